//! Who waited for which lock: the tracepoints lock:contention_begin and _end of the workers
//! and their children, by perf_event_open(2), with the caller from the kernel's stack. As
//! `perf lock contention` does it, without perf, and with nothing mounted or left behind.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use perf_event_open_sys as perf;
use perf_event_open_sys::bindings as abi;
use results::kernel::lock_of;
use results::schema::Site;

use super::worker::Interval;

/// Data pages of a ring: a power of two, 1 MiB.
const RING_PAGES: usize = 256;
const PAGE: usize = super::sys::PAGE;

/// A trace that is running.
pub struct Tracer {
    rings: Vec<Ring>,
    /// events that write to the rings, kept open
    _events: Vec<OwnedFd>,
    ids: Ids,
    symbols: Symbols,
    interval: Interval,
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

/// The lock sites seen, and the records the kernel dropped for want of room.
pub struct Contention {
    pub sites: Vec<Site>,
    pub lost: u64,
}

impl Tracer {
    /// Whether this machine can trace at all: the error is the reason why not.
    pub fn probe() -> Result<(), String> {
        Tracer::start(&[(std::process::id(), vec![0])]).map(drop)
    }

    /// Begins to trace `tasks`, each a pid and the CPUs it and its children run on. The error
    /// is the reason why this machine can't.
    pub fn start(tasks: &[(u32, Vec<usize>)]) -> Result<Tracer, String> {
        let ids = ids()?;
        let mut rings: Vec<Ring> = Vec::new();
        let mut events = Vec::new();
        let why = |error: io::Error| format!("perf_event_open(lock:contention): {error}");
        for (pid, cpus) in tasks {
            for &cpu in cpus {
                for id in [ids.begin, ids.end] {
                    let event = open(*pid, cpu, id, id == ids.begin).map_err(why)?;
                    match rings.iter().find(|ring| ring.cpu == cpu) {
                        Some(ring) => ring.take(&event).map_err(why)?,
                        None => rings.push(Ring::map(&event, cpu).map_err(why)?),
                    }
                    events.push(event);
                }
            }
        }
        Ok(Tracer {
            rings,
            _events: events,
            ids,
            symbols: Symbols::read(),
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

    /// Empties the rings; to be called often enough that they do not overflow.
    pub fn drain(&mut self) {
        let mut records = Vec::new();
        for ring in &self.rings {
            ring.read(&mut records);
        }
        for record in records {
            self.take(&record);
        }
    }

    /// What was seen, most waited-for first.
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
            lock: lock_of(caller).into(),
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

/// The kernel's text symbols.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn read() -> Symbols {
        Symbols::parse(&fs::read_to_string("/proc/kallsyms").unwrap_or_default())
    }

    fn parse(kallsyms: &str) -> Symbols {
        let mut symbols: Vec<_> = kallsyms
            .lines()
            .filter_map(|line| {
                let mut parts = line.split_whitespace();
                let address = u64::from_str_radix(parts.next()?, 16).ok().filter(|&a| a != 0)?;
                matches!(parts.next()?, "t" | "T" | "w" | "W").then_some(())?;
                let name = parts.next()?;
                Some((address, name.split('.').next().unwrap_or(name).to_owned()))
            })
            .collect();
        symbols.sort_by_key(|&(address, _)| address);
        Symbols(symbols)
    }

    /// The innermost function of the stack that is not the lock's own code.
    fn caller(&self, stack: &[u64]) -> String {
        let named = stack.iter().filter_map(|&address| {
            // Context markers are the top few numbers; an address is a return address.
            let above = self.0.partition_point(|&(start, _)| start < address);
            (address < u64::MAX - 4096 && above > 0).then(|| self.0[above - 1].1.as_str())
        });
        named.into_iter().find(|name| !is_lock_code(name)).unwrap_or("unknown").to_owned()
    }
}

/// True for the functions every waiter for a lock goes through.
pub fn is_lock_code(name: &str) -> bool {
    const PREFIXES: [&str; 20] = [
        "_raw_",
        "native_queued",
        "queued_",
        "__pv_queued",
        "virt_spin",
        "do_raw_",
        "rwsem_",
        "down_",
        "__down",
        "mutex_",
        "__mutex",
        "ww_mutex",
        "percpu_down",
        "__percpu_down",
        "rt_mutex",
        "trace_contention",
        "__traceiter_contention",
        "perf_",
        "__bpf_trace",
        "__lock_text",
    ];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
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

/// tracefs where it is mounted, or else a mount nobody else sees, which lives as long as the
/// descriptor returned with it.
fn tracefs() -> Result<(Option<OwnedFd>, PathBuf), String> {
    for root in ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"] {
        if PathBuf::from(root).join("events").is_dir() {
            return Ok((None, root.into()));
        }
    }
    let fd = detached_mount(c"tracefs").map_err(|error| format!("tracefs: {error}"))?;
    let root = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
    Ok((Some(fd), root))
}

/// A file system that is mounted nowhere.
fn detached_mount(kind: &CStr) -> io::Result<OwnedFd> {
    const FSCONFIG_CMD_CREATE: libc::c_ulong = 6;
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: fsopen takes a NUL-terminated name, fsconfig's create command takes null key and
    // value, fsmount takes flags; each descriptor is checked, then owned once.
    unsafe {
        let context = checked(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 0))?;
        let create = (FSCONFIG_CMD_CREATE, null, null, 0);
        let fd = context.as_raw_fd();
        let done = libc::syscall(libc::SYS_fsconfig, fd, create.0, create.1, create.2, create.3);
        if done == -1 {
            return Err(io::Error::last_os_error());
        }
        checked(libc::syscall(libc::SYS_fsmount, fd, 0, 0))
    }
}

/// Owns the descriptor a system call returned.
fn checked(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}

/// Opens one tracepoint for one task on one CPU, and for the children it will have.
fn open(pid: u32, cpu: usize, id: u64, stack: bool) -> io::Result<OwnedFd> {
    // SAFETY: an all-zero perf_event_attr is valid; its size is set.
    let mut attr: abi::perf_event_attr = unsafe { std::mem::zeroed() };
    attr.size = size_of::<abi::perf_event_attr>() as u32;
    attr.type_ = abi::PERF_TYPE_TRACEPOINT;
    attr.config = id;
    attr.__bindgen_anon_1.sample_period = 1;
    attr.sample_type = abi::PERF_SAMPLE_TID as u64
        | abi::PERF_SAMPLE_TIME as u64
        | abi::PERF_SAMPLE_CALLCHAIN as u64
        | abi::PERF_SAMPLE_RAW as u64;
    attr.set_inherit(1);
    attr.set_exclude_callchain_user(1);
    attr.set_exclude_callchain_kernel(u64::from(!stack));
    attr.set_use_clockid(1);
    attr.clockid = libc::CLOCK_MONOTONIC;
    let flags = libc::c_ulong::from(abi::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attr` is initialized and lives for the call; the kernel only samples into a ring.
    let fd = unsafe {
        perf::perf_event_open(&mut attr, pid as libc::pid_t, cpu as libc::c_int, -1, flags)
    };
    checked(fd.into())
}

/// The buffer the events of one CPU share.
struct Ring {
    cpu: usize,
    base: *mut u8,
    fd: i32,
}

impl Ring {
    fn map(event: &OwnedFd, cpu: usize) -> io::Result<Ring> {
        let fd = event.as_raw_fd();
        // SAFETY: a new shared mapping of a perf event, one control page and a power of two of
        // data pages, at an address of the kernel's choice.
        let base = unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let bytes = (1 + RING_PAGES) * PAGE;
            libc::mmap(std::ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Ring { cpu, base: base.cast(), fd })
    }

    /// Lets another event of this CPU write here.
    fn take(&self, event: &OwnedFd) -> io::Result<()> {
        // SAFETY: both descriptors are open perf events; the ioctl takes the other's number.
        match unsafe { perf::ioctls::SET_OUTPUT(event.as_raw_fd(), self.fd) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Moves all complete records to `records`.
    fn read(&self, records: &mut Vec<Vec<u8>>) {
        let control = self.base.cast::<abi::perf_event_mmap_page>();
        // SAFETY: the control page is mapped and its two positions are aligned u64 that the
        // kernel writes atomically: it moves data_head after the data (hence Acquire), and
        // reuses the room once data_tail has moved (hence Release).
        let (head, tail) = unsafe {
            (
                AtomicU64::from_ptr(&raw mut (*control).data_head),
                AtomicU64::from_ptr(&raw mut (*control).data_tail),
            )
        };
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        while at < end {
            let size = u16::from_ne_bytes([self.byte(at + 6), self.byte(at + 7)]);
            records.push((0..u64::from(size)).map(|i| self.byte(at + i)).collect());
            at += u64::from(size.max(8));
        }
        tail.store(at, Ordering::Release);
    }

    fn byte(&self, at: u64) -> u8 {
        let offset = PAGE + at as usize % (RING_PAGES * PAGE);
        // SAFETY: the offset lies in the data pages; the kernel does not write between
        // data_tail and data_head, and callers stay between them.
        unsafe { self.base.add(offset).read() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly the range `map` mapped, unmapped once.
        unsafe { libc::munmap(self.base.cast(), (1 + RING_PAGES) * PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "ffffffff81000100 T _raw_spin_lock\n\
                            ffffffff81000200 t folio_alloc_swap.isra.0\n\
                            ffffffff81000300 D some_data\nffffffff81000400 T shrink_folio_list\n";

    #[test]
    fn the_caller_is_the_first_function_that_is_not_lock_code() {
        let symbols = Symbols::parse(KALLSYMS);
        let marker = (-128i64) as u64;
        let stack = [marker, 0xffffffff81000150, 0xffffffff81000250, 0xffffffff81000450];
        assert_eq!(symbols.caller(&stack), "folio_alloc_swap");
        assert_eq!(symbols.caller(&[marker]), "unknown");
    }

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
