//! Groups of counters by perf_event_open(2), through the `perf-event` crate. [`Group`] is a trait
//! so that a test's group can return every error of the kernel.

use std::io;

use perf_event::{Builder, Counter, Group as Leader};

use super::events::{Event, Kind};

/// The counts of a group since it was opened.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// in the order of the group's events
    pub counts: Vec<u64>,
    /// time in which the group was enabled, ns
    pub enabled_ns: u64,
    /// time in which it was on the PMU, ns
    pub running_ns: u64,
}

/// Counters of the calling thread that run together or not at all.
pub trait Group: Sized {
    /// Opens all of `events`, disabled, each with or without the kernel. Each thread opens its own
    /// groups: many kernels refuse inherited groups (EINVAL).
    ///
    /// # Errors
    /// The index of the event that failed, and the error of perf_event_open(2). Then none is open.
    fn open(events: &[(Event, bool)]) -> Result<Self, (usize, io::Error)>;
    /// Starts counting.
    ///
    /// # Errors
    /// That of ioctl(2).
    fn enable(&mut self) -> io::Result<()>;
    /// Stops counting.
    ///
    /// # Errors
    /// That of ioctl(2).
    fn disable(&mut self) -> io::Result<()>;
    /// Reads the counts.
    ///
    /// # Errors
    /// That of read(2).
    fn read(&mut self) -> io::Result<Raw>;
}

/// Counters of the kernel.
pub enum Perf {
    /// one counter, without a leader: this saves a file descriptor per thread
    Single(Counter),
    /// several counters that run together
    Group(Leader, Vec<Counter>),
}

fn builder(event: &Event, kernel: bool) -> Builder<'_> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const PERF_TYPE_RAW: u32 = 4;
    let mut builder = Builder::new();
    match event.kind.as_ref().expect("events without a kind are not opened") {
        Kind::Named(named) => builder = builder.kind(named.clone()),
        Kind::Raw(config, config1) => {
            let attrs = builder.attrs_mut();
            (attrs.type_, attrs.config) = (PERF_TYPE_RAW, *config);
            attrs.__bindgen_anon_3.config1 = *config1;
        }
        Kind::Tracepoint(id) => {
            let attrs = builder.attrs_mut();
            (attrs.type_, attrs.config) = (PERF_TYPE_TRACEPOINT, *id);
        }
    }
    // The crate excludes the kernel by default.
    builder.exclude_kernel(!kernel);
    builder
}

impl Group for Perf {
    fn open(events: &[(Event, bool)]) -> Result<Self, (usize, io::Error)> {
        if let [(event, kernel)] = events {
            return builder(event, *kernel).build().map(Perf::Single).map_err(|e| (0, e));
        }
        // A leader reads wrong counts after a member could not be opened (perf-event 0.4.9), so
        // every attempt makes a new one.
        let mut leader = Leader::new().map_err(|e| (0, e))?;
        let mut members = Vec::new();
        for (at, (event, kernel)) in events.iter().enumerate() {
            let member = builder(event, *kernel).group(&mut leader).build();
            members.push(member.map_err(|e| (at, e))?);
        }
        Ok(Perf::Group(leader, members))
    }

    fn enable(&mut self) -> io::Result<()> {
        match self {
            Perf::Single(counter) => counter.enable(),
            Perf::Group(leader, _) => leader.enable(),
        }
    }

    fn disable(&mut self) -> io::Result<()> {
        match self {
            Perf::Single(counter) => counter.disable(),
            Perf::Group(leader, _) => leader.disable(),
        }
    }

    fn read(&mut self) -> io::Result<Raw> {
        Ok(match self {
            Perf::Single(counter) => {
                let read = counter.read_count_and_time()?;
                let (enabled_ns, running_ns) = (read.time_enabled, read.time_running);
                Raw { counts: vec![read.count], enabled_ns, running_ns }
            }
            Perf::Group(leader, members) => {
                let read = leader.read()?;
                let counts = members.iter().map(|member| read[member]).collect();
                let (enabled_ns, running_ns) = (read.time_enabled(), read.time_running());
                Raw { counts, enabled_ns, running_ns }
            }
        })
    }
}
