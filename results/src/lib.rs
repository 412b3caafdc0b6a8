//! Results: the schema of a run, its store, statistics, comparisons and tables. This crate guards
//! the numbers between a measurement and a picture. It knows nothing of locks: variants, locks and
//! workloads are strings here.

#![warn(missing_docs)]

pub mod against;
pub mod aggregate;
pub mod compare;
mod distance;
pub mod disturbed;
pub mod elsewhere;
pub mod error;
pub mod example;
pub mod family;
pub mod hit;
pub mod hlog;
pub mod identity;
mod in_order_of_events;
pub mod kernel;
pub mod lab;
pub mod load;
pub mod locks;
pub mod metric;
pub mod overall;
mod plausible;
mod plural;
pub mod published;
pub mod report;
pub mod schema;
pub mod scheme;
pub mod sequential;
pub mod stats;
pub mod steps;
pub mod store;
pub mod tables;
pub mod traffic;
pub mod usl;
pub mod validation;

pub use error::{Error, Result};
pub use in_order_of_events::in_order_of_events;
pub use plural::plural;
