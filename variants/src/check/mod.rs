//! Checking variants: scenarios, what must hold in them, and race diagrams.

pub mod diagram;
