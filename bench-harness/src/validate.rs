//! Published experiments, predicted and held against what was measured, with the
//! errors. Says of every figure whether it is fitted, chosen with sight of the data,
//! stated, or predicted.

mod hammer;
pub mod host;
pub mod kernel_build;
pub mod list;
mod lockhammer;
mod locks;

pub use lockhammer::{Data, Host, Hosts, PUBLISHED, PUBLISHED_HOSTS, Verdict, report, section};
