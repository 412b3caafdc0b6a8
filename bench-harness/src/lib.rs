//! Runs a plan and records what happened.
pub mod probe;
