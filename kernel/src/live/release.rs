//! Which locking scheme a kernel contains, from its release: what the series changed and
//! when. A distribution that backports the series makes the number lie; the report shows both.

use std::fs;

use variants::registry::scheme_of;

/// The running kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// as uname(2) gives it
    pub name: String,
    /// id of the variant that models its allocator
    pub scheme: &'static str,
}

/// The running kernel's release.
pub fn running() -> Release {
    let name = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.trim().to_owned();
    Release { scheme: scheme_of(&name), name }
}
