//! What a run is: schema, store, statistics, comparison and tables. This crate
//! guards the numbers between a measurement and a picture. It knows nothing of
//! locks: variants, locks and workloads are strings here.

pub mod against;
pub mod aggregate;
pub mod compare;
mod counted;
pub mod disturbed;
pub mod error;
pub mod example;
pub mod hlog;
pub mod kernel;
pub mod lab;
pub mod load;
mod merged;
pub mod metric;
pub mod report;
pub mod schema;
pub mod sequential;
pub mod stats;
pub mod store;
pub mod tables;
pub mod traffic;
pub mod usl;
pub mod validation;

pub use counted::counted;
pub use error::{Error, Result};
pub use merged::merged;
