//! The kernel's own counters. Guards every figure: it is compared with them, since MADV_PAGEOUT
//! reports success even where nothing was swapped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The counters that are read from /proc/vmstat. `swpout_zero` (6.13 and later) counts pages of
/// zeros, which take a slot but are never written.
const FIELDS: [&str; 8] = [
    "pswpin",
    "pswpout",
    "swpin_zero",
    "swpout_zero",
    "thp_swpout",
    "thp_swpout_fallback",
    "zswpout",
    "pgmajfault",
];

/// The directory of the 64 KiB multi-size huge page.
pub const MTHP: &str = "/sys/kernel/mm/transparent_hugepage/hugepages-64kB";

/// The counters at one moment. One that this kernel lacks is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads all counters.
    pub fn read() -> Counts {
        let mut counts = parse(&fs::read_to_string("/proc/vmstat").unwrap_or_default());
        for name in ["swpout", "swpout_fallback", "anon_fault_alloc", "anon_fault_fallback"] {
            let text = fs::read_to_string(Path::new(MTHP).join("stats").join(name));
            if let Some(value) = text.ok().and_then(|t| t.trim().parse().ok()) {
                counts.insert(format!("mthp64k_{name}"), value);
            }
        }
        Counts(counts)
    }

    /// The increments since `before`.
    pub fn since(&self, before: &Counts) -> BTreeMap<String, u64> {
        let added = |(name, value): (&String, &u64)| {
            Some((name.clone(), value.saturating_sub(*before.0.get(name)?)))
        };
        self.0.iter().filter_map(added).collect()
    }
}

fn parse(vmstat: &str) -> BTreeMap<String, u64> {
    let pairs = vmstat.lines().filter_map(|line| line.split_once(' '));
    pairs
        .filter(|(name, _)| FIELDS.contains(name))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::kernel::swapped_out;

    #[test]
    fn differences_leave_out_what_the_kernel_lacks() {
        let before = Counts(parse("pswpin 5\npswpout 10\nnr_free_pages 7\n"));
        let after = Counts(parse("pswpin 5\npswpout 110\nswpout_zero 3\n"));
        let added = after.since(&before);
        assert_eq!(added, BTreeMap::from([("pswpin".into(), 0), ("pswpout".into(), 100)]));
        assert_eq!(swapped_out(&added), 100);
    }
}
