//! Published experiments, predicted and held against what was measured, with the
//! errors. Says of every figure whether it is fitted, chosen with sight of the data,
//! stated, or predicted.

mod data;
mod fit;
mod hammer;
pub mod host;
mod hosts;
pub mod kernel_build;
pub mod list;
pub mod live;
mod locks;
mod simulate;
pub mod steps;
mod verdict;

pub use data::{Curves, Data};
pub use fit::Host;
pub use hosts::Hosts;
pub use verdict::{Verdict, report, section};
