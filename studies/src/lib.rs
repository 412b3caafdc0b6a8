//! Questions that take many runs: is the engine to be believed (selftest), what does measuring
//! cost (overhead), which model is this machine (calibrate), how good are predictions (validate).

pub mod calibrate;
pub mod null;
mod one_run;
pub mod overhead;
pub mod selftest;
pub mod validate;
