//! The cache-line accounts of a simulated run: transfers by distance and time lost waiting, per
//! field, per lock caller and for the hottest lines. No hardware counter has them.

use super::precision::Known;

/// Same CPU, sibling, L3 group, package, another package, memory.
pub(super) const DISTANCES: usize = 6;

/// Where lines came from, in the order of [`Traffic::transfers`]: the words of every table and
/// chart. `results::schema`, which this crate does not know, has an enum of the same six words.
pub const SOURCES: [&str; DISTANCES] =
    ["same-cpu", "sibling", "same-l3", "same-package", "other-package", "memory"];

/// Coherence traffic of a field or a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Coherence misses by where the line came from; see [`SOURCES`].
    pub transfers: [u64; DISTANCES],
    /// How many of them were for a write.
    pub writes: u64,
    /// Copies that other cores lost.
    pub invalidations: u64,
    /// Sum of the times from a request for the line to its arrival, picoseconds; buffered stores
    /// included.
    pub waited_ps: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, source: usize, write: bool, lost: u64, waited: u64) {
        self.transfers[source] += 1;
        self.writes += u64::from(write);
        self.invalidations += lost;
        self.waited_ps += waited;
    }

    fn merge(&mut self, other: &Traffic) {
        for (sum, n) in self.transfers.iter_mut().zip(other.transfers) {
            *sum += n;
        }
        self.writes += other.writes;
        self.invalidations += other.invalidations;
        self.waited_ps += other.waited_ps;
    }

    /// Coherence misses in all.
    pub fn misses(&self) -> u64 {
        self.transfers.iter().sum()
    }
}

/// Traffic of a field of all elements of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldTraffic {
    /// The region's name.
    pub region: &'static str,
    /// The field's name; empty where the region names no fields.
    pub field: &'static str,
    /// Its misses.
    pub traffic: Traffic,
}

/// A line and how often it was transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotLine {
    /// The cell on it that moved most: `si->lock`, `ci[17].count`.
    pub name: String,
    /// Its transfers in the measured window.
    pub transfers: u64,
}

/// The line accounts of one run. Only misses in the measured window count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Events the simulator handled, warm-up included.
    pub events: u64,
    /// Virtual time of the last event, picoseconds.
    pub virtual_ps: u64,
    /// The window that the run's precision decided; none without one.
    pub known: Option<Known>,
    /// Regions were made after `setup`: to put back what it made is not to begin anew.
    pub grew: bool,
    /// By field; most waited for first.
    pub fields: Vec<FieldTraffic>,
    /// By the kernel function that last took or tried a lock; most waited for first.
    pub callers: Vec<(&'static str, Traffic)>,
    /// At most [`HOTTEST`], most transferred first.
    pub hottest: Vec<HotLine>,
}

/// How many lines [`Account::hottest`] names.
pub const HOTTEST: usize = 16;

impl Account {
    pub(super) fn add_field(&mut self, region: &'static str, field: &'static str, t: &Traffic) {
        if t.misses() == 0 {
            return;
        }
        let same = |f: &&mut FieldTraffic| (f.region, f.field) == (region, field);
        match self.fields.iter_mut().find(same) {
            Some(known) => known.traffic.merge(t),
            None => self.fields.push(FieldTraffic { region, field, traffic: t.clone() }),
        }
    }

    pub(super) fn add_line(&mut self, transfers: u32, name: impl FnOnce() -> String) {
        let least = self.hottest.last().map_or(0, |line| line.transfers);
        let transfers = u64::from(transfers);
        if transfers == 0 || self.hottest.len() == HOTTEST && transfers <= least {
            return;
        }
        let place = self.hottest.partition_point(|line| line.transfers >= transfers);
        self.hottest.insert(place, HotLine { name: name(), transfers });
        self.hottest.truncate(HOTTEST);
    }

    pub(super) fn add_callers(&mut self, callers: &[(&'static str, Traffic)]) {
        for (name, traffic) in callers.iter().filter(|(_, t)| t.misses() > 0) {
            match self.callers.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.merge(traffic),
                None => self.callers.push((name, traffic.clone())),
            }
        }
    }

    /// Most waited for first.
    pub(super) fn sort(&mut self) {
        self.callers.sort_by_key(|(name, t)| (std::cmp::Reverse(t.waited_ps), *name));
        self.fields.sort_by_key(|f| (std::cmp::Reverse(f.traffic.waited_ps), f.region, f.field));
    }
}
