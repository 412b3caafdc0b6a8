//! Runs a plan and records what happened.

pub mod backing;
pub mod cell;
pub mod engine;
pub mod meter;
pub mod over_time;
pub mod plan;
pub mod schedule;
pub mod sharing;
pub mod trial;
pub mod units;
pub mod workload;
