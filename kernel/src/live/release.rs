//! The running kernel's release, and from it the locking scheme that it contains. A distribution
//! that backports the series makes the release wrong, so the report shows both.

use std::fs;

use variants::registry::scheme_of;

/// The running kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// the release as in uname(2)
    pub name: String,
    /// id of the variant that models its allocator
    pub scheme: &'static str,
}

/// Reads the release of the running kernel.
pub fn running() -> Release {
    let name = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.trim().to_owned();
    Release { scheme: scheme_of(&name), name }
}
