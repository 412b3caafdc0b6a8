//! Runs a plan and records what happened.
#[cfg(target_os = "linux")]
pub mod live;
pub mod probe;
