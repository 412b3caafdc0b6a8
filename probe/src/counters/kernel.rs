//! Groups of counters by perf_event_open(2), through the `perf-event` crate. A trait, so that a
//! fake one can give every error the kernel gives.

use std::io;

use perf_event::{Builder, Counter, Group as Leader};

use super::events::{Event, Kind};

/// What a group has counted since it was opened.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// In the order of the group's events.
    pub counts: Vec<u64>,
    /// Time the group was meant to run and time it was on the PMU, ns.
    pub enabled_ns: u64,
    pub running_ns: u64,
}

/// Counters of the calling thread that run together or not at all.
pub trait Group: Sized {
    /// Opens all of `events`, disabled; each with the kernel counted or not. Else which one
    /// failed: then none is open. Each thread opens its own: many kernels refuse groups that
    /// are inherited (EINVAL).
    fn open(events: &[(Event, bool)]) -> Result<Self, (usize, io::Error)>;
    fn enable(&mut self) -> io::Result<()>;
    fn disable(&mut self) -> io::Result<()>;
    fn read(&mut self) -> io::Result<Raw>;
}

/// A single counter has no leader: it saves a file descriptor a thread.
pub enum Perf {
    Single(Counter),
    Group(Leader, Vec<Counter>),
}

fn builder(event: &Event, kernel: bool) -> Builder<'_> {
    const PERF_TYPE_TRACEPOINT: u32 = 2;
    const PERF_TYPE_RAW: u32 = 4;
    let mut builder = Builder::new();
    match event.kind.as_ref().expect("only what the kernel can be asked for is opened") {
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
    // The crate excludes the kernel unless told otherwise.
    builder.exclude_kernel(!kernel);
    builder
}

impl Group for Perf {
    fn open(events: &[(Event, bool)]) -> Result<Self, (usize, io::Error)> {
        if let [(event, kernel)] = events {
            return builder(event, *kernel).build().map(Perf::Single).map_err(|e| (0, e));
        }
        // A leader whose member could not be opened reads wrong (perf-event 0.4.9): a new one
        // is made for every attempt.
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
