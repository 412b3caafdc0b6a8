//! The swap allocators, one file per locking scheme.

pub mod check;
pub mod faults;
