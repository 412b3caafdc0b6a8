//! The six distances of the schema. Guards one spelling and one order for the engine, which
//! writes them, and for every table and chart.

/// How far a lock's holder is from its waiter, or a cache line from the CPU that fetches it. The
/// names are the keys of `handover` and `transfers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distance {
    /// the same hardware thread
    SameCpu,
    /// another hardware thread of the core
    Sibling,
    /// another core behind the same last-level cache
    SameL3,
    /// another last-level cache in the package
    SamePackage,
    /// another package
    OtherPackage,
    /// no cache: a line came from memory
    Memory,
}

impl Distance {
    /// The nearest first.
    pub const ALL: [Distance; 6] = [
        Distance::SameCpu,
        Distance::Sibling,
        Distance::SameL3,
        Distance::SamePackage,
        Distance::OtherPackage,
        Distance::Memory,
    ];

    /// The key in a cell.
    pub fn name(self) -> &'static str {
        match self {
            Distance::SameCpu => "same-cpu",
            Distance::Sibling => "sibling",
            Distance::SameL3 => "same-l3",
            Distance::SamePackage => "same-package",
            Distance::OtherPackage => "other-package",
            Distance::Memory => "memory",
        }
    }
}

/// The key in `handover` of a holder that was between two acquisitions when a waiter looked.
pub const UNSEEN: &str = "unseen";
