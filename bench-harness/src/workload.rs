//! What the workers do: the list of workloads and their parameters.

use crate::plan::{Orders, Size};

/// What a workload is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    pub size: Size,
    /// Percent of the device in use.
    pub fill: u32,
    pub orders: Orders,
    /// Entries in one call, where the workload leaves it open.
    pub batch: u32,
    /// Think time between operations, ns.
    pub think_ns: u64,
}

/// A workload as the list shows it.
pub struct Entry {
    pub id: &'static str,
    /// What it does, and the real workload it stands for.
    pub about: &'static str,
    pub defaults: fn() -> Params,
}

/// Every workload, in the order of the lists users see.
pub const LIST: [Entry; 3] = [
    Entry { id: "seq", about: "W1", defaults: base },
    Entry { id: "churn", about: "W2", defaults: base },
    Entry { id: "swapoff", about: "W6", defaults: base },
];

/// 1 GiB, three quarters full, order 0.
fn base() -> Params {
    let (size, orders) = (Size::mib(1024), Orders::base_pages());
    Params { size, fill: 75, orders, batch: 64, think_ns: 0 }
}

pub fn find(id: &str) -> Option<&'static Entry> {
    LIST.iter().find(|entry| entry.id == id)
}
