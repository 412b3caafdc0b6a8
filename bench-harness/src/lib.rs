//! Runs a plan and records what happened.
pub mod calibrate;
pub mod cell;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod lab;
#[cfg(target_os = "linux")]
pub mod live;
pub mod meter;
pub mod null;
pub mod overhead;
pub mod plan;
pub mod probe;
pub mod schedule;
pub mod selftest;
pub mod trial;
pub mod validate;
pub mod workload;
