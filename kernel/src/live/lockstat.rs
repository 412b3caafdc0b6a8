//! Which lock each worker waited for: the tracepoints lock:contention_begin and _end of the workers
//! and their children, with the caller from the kernel's stack. As `perf lock contention` does it,
//! without perf, and with nothing mounted or left behind.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use perf_event_open_sys::bindings as abi;
use results::locks::lock_of;
use results::schema::Site;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::recorder::Interval;
use super::release::running;
use super::ring::{self, Ring};
use super::symbols::Symbols;

/// A trace that is running.
pub struct Tracer {
    /// one per CPU
    rings: Vec<Ring>,
    ids: Ids,
    symbols: Symbols,
    release: String,
    interval: Interval,
    /// by thread id: the wait that has begun and not ended
    waiting: HashMap<u32, Waiter>,
    sites: HashMap<(String, &'static str), Site>,
    lost: u64,
}

#[derive(Clone, Copy)]
struct Ids {
    begin: u64,
    end: u64,
}

struct Waiter {
    lock: u64,
    since: u64,
    caller: String,
    kind: &'static str,
}

/// The lock sites seen, and how many records the kernel dropped because a ring was full.
pub struct Contention {
    pub sites: Vec<Site>,
    pub lost: u64,
}

impl Tracer {
    /// Whether this machine can trace at all.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn probe() -> Result<(), String> {
        Tracer::start(&[(std::process::id(), vec![0])]).map(drop)
    }

    /// Begins to trace `tasks`, each a pid and the CPUs that it and its children run on.
    ///
    /// # Errors
    /// The reason why this machine cannot trace.
    pub fn start(tasks: &[(u32, Vec<usize>)]) -> Result<Tracer, String> {
        let ids = ids()?;
        let mut rings: Vec<Ring> = Vec::new();
        let why = |error: io::Error| format!("perf_event_open(lock:contention): {error}");
        for (pid, cpus) in tasks {
            for &cpu in cpus {
                for id in [ids.begin, ids.end] {
                    let event = ring::open(*pid, cpu, id, id == ids.begin).map_err(why)?;
                    match rings.iter_mut().find(|ring| ring.cpu == cpu) {
                        Some(ring) => ring.add(event).map_err(why)?,
                        None => rings.push(Ring::map(event, cpu).map_err(why)?),
                    }
                }
            }
        }
        Ok(Tracer {
            rings,
            ids,
            symbols: Symbols::read(),
            release: running().name,
            interval: Interval { start: u64::MAX, end: 0 },
            waiting: HashMap::new(),
            sites: HashMap::new(),
            lost: 0,
        })
    }

    /// From now on only waits that lie in the interval count.
    pub fn only_in(&mut self, interval: Interval) {
        self.interval = interval;
    }

    /// Empties the rings. Must be called often enough that they do not overflow.
    pub fn drain(&mut self) {
        let mut records = Vec::new();
        for ring in &self.rings {
            ring.read(&mut records);
        }
        for record in records {
            self.take(&record);
        }
    }

    /// The lock sites seen, the longest total wait first.
    pub fn finish(mut self) -> Contention {
        self.drain();
        let mut sites: Vec<Site> = self.sites.into_values().collect();
        sites.sort_by_key(|site| std::cmp::Reverse((site.wait_total_ns, site.contended)));
        Contention { sites, lost: self.lost }
    }

    fn take(&mut self, record: &[u8]) {
        let header = u32_at(record, 0);
        if header == abi::PERF_RECORD_LOST {
            self.lost += u64_at(record, 16);
        }
        if header != abi::PERF_RECORD_SAMPLE {
            return;
        }
        let Some(sample) = Sample::parse(record) else { return };
        if sample.event == self.ids.begin {
            let caller = self.symbols.caller(&sample.stack);
            let kind = kind(sample.flags);
            let waiter = Waiter { lock: sample.lock, since: sample.time, caller, kind };
            self.waiting.insert(sample.tid, waiter);
        } else if let Some(waiter) = self.waiting.remove(&sample.tid)
            && waiter.lock == sample.lock
            && waiter.since >= self.interval.start
            && sample.time <= self.interval.end
        {
            self.waited(waiter, sample.time);
        }
    }

    fn waited(&mut self, waiter: Waiter, until: u64) {
        let ns = until.saturating_sub(waiter.since);
        let site = self.sites.entry((waiter.caller, waiter.kind));
        let site = site.or_insert_with_key(|(caller, kind)| Site {
            lock: lock_of(caller, &self.release),
            kind: (*kind).into(),
            caller: caller.clone(),
            acquisitions: None,
            contended: 0,
            wait_total_ns: 0,
            wait_max_ns: 0,
            hold_sampled: 0,
            hold_total_ns: 0,
            hold_max_ns: 0,
            sharing: None,
        });
        site.contended += 1;
        site.wait_total_ns += ns;
        site.wait_max_ns = site.wait_max_ns.max(ns);
    }
}

/// One record of the two tracepoints.
struct Sample {
    tid: u32,
    time: u64,
    stack: Vec<u64>,
    event: u64,
    lock: u64,
    flags: u32,
}

impl Sample {
    /// PERF_SAMPLE_TID | TIME | CALLCHAIN | RAW, in the order of perf_event_open(2). The raw
    /// part is the tracepoint's: a common header of 8 bytes, the lock's address, the flags.
    fn parse(record: &[u8]) -> Option<Sample> {
        let depth = u64_at(record.get(..32)?, 24) as usize;
        let raw = 32 + 8 * depth;
        let bytes = record.get(raw + 4..)?;
        if bytes.len() < 20 {
            return None;
        }
        Some(Sample {
            tid: u32_at(record, 12),
            time: u64_at(record, 16),
            stack: (0..depth).map(|i| u64_at(record, 32 + 8 * i)).collect(),
            event: u64::from(u16::from_ne_bytes([bytes[0], bytes[1]])),
            lock: u64_at(bytes, 8),
            flags: u32_at(bytes, 16),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The LCB_F_* flags of include/trace/events/lock.h, as perf lock prints them.
fn kind(flags: u32) -> &'static str {
    match flags {
        f if f & 32 != 0 => "mutex",
        f if f & 1 != 0 && f & 2 != 0 => "rwlock:R",
        f if f & 1 != 0 && f & 4 != 0 => "rwlock:W",
        f if f & 1 != 0 => "spinlock",
        f if f & 2 != 0 => "rwsem:R",
        f if f & 4 != 0 => "rwsem:W",
        _ => "other",
    }
}

/// The numbers of the two tracepoints.
fn ids() -> Result<Ids, String> {
    let (_mounted, root) = tracefs()?;
    let id = |name: &str| {
        let file = root.join("events/lock").join(name).join("id");
        let text = fs::read_to_string(&file)
            .map_err(|error| format!("tracepoint lock:{name}: {error} (5.19 and later)"))?;
        text.trim().parse().map_err(|_| format!("tracepoint lock:{name}: no number in its id"))
    };
    Ok(Ids { begin: id("contention_begin")?, end: id("contention_end")? })
}

/// tracefs where it is mounted; elsewhere a mount that no other process sees and that lives as long
/// as the descriptor returned with it.
fn tracefs() -> Result<(Option<OwnedFd>, PathBuf), String> {
    for root in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
        if PathBuf::from(root).join("events").is_dir() {
            return Ok((None, root.into()));
        }
    }
    let fd = detached_mount().map_err(|error| format!("tracefs: {}", io::Error::from(error)))?;
    let root = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
    Ok((Some(fd), root))
}

/// A tracefs that is mounted nowhere.
fn detached_mount() -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen("tracefs", FsOpenFlags::empty())?;
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::empty(), MountAttrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_in_the_order_of_the_abi() {
        let mut record = vec![0; 8];
        record.extend(5u32.to_ne_bytes());
        record.extend(6u32.to_ne_bytes());
        record.extend(700u64.to_ne_bytes());
        record.extend(2u64.to_ne_bytes());
        record.extend([0xaau64, 0xbb].iter().flat_map(|ip| ip.to_ne_bytes()));
        record.extend(24u32.to_ne_bytes());
        record.extend(42u16.to_ne_bytes());
        record.extend([0; 6]);
        record.extend(0x1000u64.to_ne_bytes());
        record.extend(1u32.to_ne_bytes());
        let sample = Sample::parse(&record).unwrap();
        assert_eq!((sample.tid, sample.time, sample.event), (6, 700, 42));
        assert_eq!((sample.lock, sample.flags), (0x1000, 1));
        assert_eq!(sample.stack, [0xaa, 0xbb]);
        assert!(Sample::parse(&record[..40]).is_none());
    }

    #[test]
    fn kinds_are_named_as_perf_names_them() {
        assert_eq!(kind(1), "spinlock");
        assert_eq!(kind(32), "mutex");
        assert_eq!(kind(5), "rwlock:W");
        assert_eq!(kind(2), "rwsem:R");
    }
}
