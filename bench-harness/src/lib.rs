//! Runs a plan and records what happened.
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod live;
pub mod plan;
pub mod probe;
pub mod schedule;
pub mod workload;
