//! Hardware and software counters of one thread, by perf_event_open(2). Guards three ways in which a
//! counter lies: a silent 0 for an event it may not see, a partial sum, and a count scaled up unseen.
//!
//! Every event is a counter of its own, not a group: a group is scheduled whole or not at all, and
//! where an NMI watchdog holds one register it then never counts. The sets fit the six registers
//! common PMUs have, so on an idle PMU nothing is multiplexed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::str::FromStr;

use perf_event::events::{Cache, CacheOp, CacheResult, Event, Hardware, Software, WhichCache};
use results::schema::{Counter, Reading};

use super::{Roots, reason};

/// A named choice of events; software events are in every set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// cycles, instructions, last-level cache references and misses, branch misses
    Core,
    /// cycles, instructions, load misses of the L1, the last level and the data TLB
    Cache,
}

impl FromStr for Set {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "core" => Ok(Set::Core),
            "cache" => Ok(Set::Cache),
            _ => Err(format!("counter set '{text}': expected core or cache")),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Set::Core => "core",
            Set::Cache => "cache",
        })
    }
}

impl Set {
    /// perf's names, so that `perf stat -e` counts the same.
    fn events(self) -> Vec<(&'static str, Event)> {
        let load = |which, result| Cache { which, operation: CacheOp::READ, result }.into();
        let mut events: Vec<(&'static str, Event)> = vec![
            ("cycles", Hardware::CPU_CYCLES.into()),
            ("instructions", Hardware::INSTRUCTIONS.into()),
        ];
        events.extend(match self {
            Set::Core => [
                ("cache-references", Hardware::CACHE_REFERENCES.into()),
                ("cache-misses", Hardware::CACHE_MISSES.into()),
                ("branch-misses", Hardware::BRANCH_MISSES.into()),
            ],
            Set::Cache => [
                ("L1-dcache-load-misses", load(WhichCache::L1D, CacheResult::MISS)),
                ("LLC-load-misses", load(WhichCache::LL, CacheResult::MISS)),
                ("dTLB-load-misses", load(WhichCache::DTLB, CacheResult::MISS)),
            ],
        });
        events.extend([
            ("context-switches", Software::CONTEXT_SWITCHES.into()),
            ("cpu-migrations", Software::CPU_MIGRATIONS.into()),
            ("page-faults", Software::PAGE_FAULTS.into()),
        ]);
        events
    }
}

/// What the kernel returns for one counter, summed since it was opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw {
    pub count: u64,
    /// Time the counter was meant to run and time it had a register, ns.
    pub enabled_ns: u64,
    pub running_ns: u64,
}

/// An open counter. A trait, so that a fake one can give every error the kernel gives.
pub trait Handle: Sized {
    /// Opens `event` for the calling thread, disabled.
    fn open(event: &Event, kernel: bool) -> io::Result<Self>;
    fn enable(&mut self) -> io::Result<()>;
    fn disable(&mut self) -> io::Result<()>;
    fn read(&mut self) -> io::Result<Raw>;
}

impl Handle for perf_event::Counter {
    fn open(event: &Event, kernel: bool) -> io::Result<Self> {
        let mut builder = perf_event::Builder::new().kind(event.clone());
        // The crate excludes the kernel unless told otherwise.
        builder.exclude_kernel(!kernel);
        builder.build()
    }

    fn enable(&mut self) -> io::Result<()> {
        perf_event::Counter::enable(self)
    }

    fn disable(&mut self) -> io::Result<()> {
        perf_event::Counter::disable(self)
    }

    fn read(&mut self) -> io::Result<Raw> {
        let read = self.read_count_and_time()?;
        Ok(Raw { count: read.count, enabled_ns: read.time_enabled, running_ns: read.time_running })
    }
}

/// The counters of the thread that opened them.
pub struct Counters<H = perf_event::Counter> {
    members: BTreeMap<String, Result<Member<H>, String>>,
}

struct Member<H> {
    handle: H,
    before: Raw,
}

impl Counters {
    /// Opens the set for the calling thread. A member that cannot be had says why in the result.
    pub fn open(set: Set) -> Self {
        Self::open_on(set, &paranoid(&Roots::default()))
    }
}

impl<H: Handle> Counters<H> {
    /// `paranoid` is `kernel.perf_event_paranoid`, for the reason when something is forbidden.
    fn open_on(set: Set, paranoid: &str) -> Self {
        let members = set.events().into_iter().map(|(name, event)| {
            let (name, handle) = open_widest::<H>(name, &event);
            let member = handle
                .map(|handle| Member { handle, before: Raw::default() })
                .map_err(|error| why(&error, paranoid));
            (name, member)
        });
        Self { members: members.collect() }
    }

    /// Starts counting. May be called again after `stop`.
    pub fn start(&mut self) {
        for member in self.members.values_mut() {
            if let Ok(open) = member
                && let Err(error) = open.begin()
            {
                *member = Err(failed("start", &error));
            }
        }
    }

    /// Stops counting and gives what was counted since `start`.
    pub fn stop(&mut self) -> BTreeMap<String, Counter> {
        // All stop before any is read: reading is work that the others would count.
        for member in self.members.values_mut() {
            if let Ok(open) = member
                && let Err(error) = open.handle.disable()
            {
                *member = Err(failed("stop", &error));
            }
        }
        let value = |member: &mut Result<Member<H>, String>| match member {
            Ok(open) => open.since_start(),
            Err(reason) => Counter::Unsupported { unsupported: reason.clone() },
        };
        self.members.iter_mut().map(|(name, member)| (name.clone(), value(member))).collect()
    }
}

impl<H: Handle> Member<H> {
    fn begin(&mut self) -> io::Result<()> {
        self.before = self.handle.read()?;
        self.handle.enable()
    }

    fn since_start(&mut self) -> Counter {
        let unsupported = |unsupported| Counter::Unsupported { unsupported };
        let now = match self.handle.read() {
            Ok(now) => now,
            Err(error) => return unsupported(failed("read", &error)),
        };
        let enabled = now.enabled_ns.saturating_sub(self.before.enabled_ns);
        let running = now.running_ns.saturating_sub(self.before.running_ns);
        let count = now.count.saturating_sub(self.before.count);
        if running == 0 {
            return unsupported(
                "not counted: it never had a register (PMU taken by others, or an event of \
                 another core type)"
                    .into(),
            );
        }
        let scaled = enabled as f64 / running as f64;
        Counter::Value { value: (count as f64 * scaled).round() as u64, scaled }
    }
}

/// Opens with the kernel counted; where that is forbidden, without it under perf's name for that
/// (`cycles:u`). Switches and migrations happen in the kernel: without it they would count 0.
fn open_widest<H: Handle>(name: &str, event: &Event) -> (String, io::Result<H>) {
    let whole = H::open(event, true);
    let in_kernel = [Software::CONTEXT_SWITCHES, Software::CPU_MIGRATIONS].map(Event::Software);
    match &whole {
        Err(error) if forbidden(error) && !in_kernel.contains(event) => {
            (format!("{name}:u"), H::open(event, false))
        }
        _ => (name.to_owned(), whole),
    }
}

fn forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

fn failed(what: &str, error: &io::Error) -> String {
    format!("failed to {what}: {}", reason(error))
}

/// One line that says why an event cannot be had.
fn why(error: &io::Error, paranoid: &str) -> String {
    let errno = error.raw_os_error().unwrap_or(0);
    let words = reason(error);
    let name = words.split(':').next().unwrap_or(&words);
    match errno {
        libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV => {
            format!("unsupported: {name} (no PMU here, or it has no such event)")
        }
        libc::ENOSYS => format!("unsupported: {name} (kernel without perf events)"),
        libc::EINVAL => format!("unsupported: {name} (this kernel does not take the event)"),
        libc::EACCES | libc::EPERM => {
            format!("forbidden: {name} (perf_event_paranoid={paranoid}; needs CAP_PERFMON)")
        }
        libc::EMFILE | libc::ENFILE => format!("busy: {name} (too many open files)"),
        libc::ENOSPC | libc::EBUSY => format!("busy: {name} (no counter register left)"),
        _ => format!("unsupported: {words}"),
    }
}

fn paranoid(roots: &Roots) -> String {
    match roots.proc("sys/kernel/perf_event_paranoid") {
        Reading::Known(value) => value,
        Reading::Unknown { .. } => "?".into(),
    }
}

/// Sum over threads. A counter that any thread lacks has no sum.
pub fn sum(threads: &[BTreeMap<String, Counter>]) -> BTreeMap<String, Counter> {
    let missing = || Counter::Unsupported { unsupported: "not counted on every thread".into() };
    let names: BTreeSet<&String> = threads.iter().flat_map(BTreeMap::keys).collect();
    let total = |name: &String| {
        let each = threads.iter().map(|t| t.get(name).cloned().unwrap_or_else(missing));
        each.reduce(plus).unwrap_or_else(missing)
    };
    names.into_iter().map(|name| (name.clone(), total(name))).collect()
}

fn plus(a: Counter, b: Counter) -> Counter {
    match (a, b) {
        (Counter::Value { value: a, scaled: sa }, Counter::Value { value: b, scaled: sb }) => {
            let raw = a as f64 / sa + b as f64 / sb;
            let scaled = if raw > 0.0 { (a + b) as f64 / raw } else { sa.max(sb) };
            Counter::Value { value: a + b, scaled }
        }
        (Counter::Value { .. }, reason) => reason,
        (reason, _) => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    thread_local! {
        /// What the fake kernel answers: to an open with the kernel included, and one without.
        static OPEN: Cell<(i32, i32)> = const { Cell::new((0, 0)) };
        static READS: RefCell<Vec<Result<Raw, i32>>> = const { RefCell::new(Vec::new()) };
        static STOPS: Cell<i32> = const { Cell::new(0) };
    }

    struct Fake;

    fn answer(errno: i32) -> io::Result<()> {
        if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
    }

    impl Handle for Fake {
        fn open(_: &Event, kernel: bool) -> io::Result<Self> {
            let (with, without) = OPEN.get();
            answer(if kernel { with } else { without }).map(|()| Fake)
        }
        fn enable(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn disable(&mut self) -> io::Result<()> {
            answer(STOPS.get())
        }
        fn read(&mut self) -> io::Result<Raw> {
            let read = READS.with_borrow_mut(Vec::pop).unwrap();
            read.map_err(io::Error::from_raw_os_error)
        }
    }

    fn raw(count: u64, enabled_ns: u64, running_ns: u64) -> Raw {
        Raw { count, enabled_ns, running_ns }
    }

    /// One start and stop of the core set; `reads` are given to every member in turn.
    fn run(open: (i32, i32), reads: [Result<Raw, i32>; 2]) -> BTreeMap<String, Counter> {
        OPEN.set(open);
        let mut counters = Counters::<Fake>::open_on(Set::Core, "4");
        let members = counters.members.values().filter(|m| m.is_ok()).count();
        READS.set([reads[1], reads[0]].map(|r| vec![r; members]).concat());
        counters.start();
        counters.stop()
    }

    fn unsupported(counter: &Counter) -> &str {
        match counter {
            Counter::Unsupported { unsupported } => unsupported,
            value => panic!("{value:?} where nothing could be counted"),
        }
    }

    const GOOD: [Result<Raw, i32>; 2] = [
        Ok(Raw { count: 5, enabled_ns: 10, running_ns: 10 }),
        Ok(Raw { count: 25, enabled_ns: 50, running_ns: 50 }),
    ];

    #[test]
    fn every_error_of_the_kernel_has_its_reason() {
        for (errno, expected) in [
            (libc::ENOENT, "unsupported: ENOENT (no PMU"),
            (libc::EOPNOTSUPP, "unsupported: EOPNOTSUPP (no PMU"),
            (libc::ENODEV, "unsupported: ENODEV (no PMU"),
            (libc::ENOSYS, "unsupported: ENOSYS (kernel without"),
            (libc::EINVAL, "unsupported: EINVAL (this kernel"),
            (libc::EACCES, "forbidden: EACCES (perf_event_paranoid=4"),
            (libc::EPERM, "forbidden: EPERM (perf_event_paranoid=4"),
            (libc::EMFILE, "busy: EMFILE"),
            (libc::ENOSPC, "busy: ENOSPC"),
            (libc::EBUSY, "busy: EBUSY"),
            (libc::E2BIG, "unsupported: Argument list too long"),
        ] {
            let counters = run((errno, errno), GOOD);
            assert_eq!(counters.len(), 8);
            for counter in counters.values() {
                assert!(unsupported(counter).starts_with(expected), "{counter:?}");
            }
        }
    }

    #[test]
    fn without_the_kernel_the_name_says_so_and_switches_are_not_zero() {
        let counters = run((libc::EACCES, 0), GOOD);
        let names: Vec<_> = counters.keys().map(String::as_str).collect();
        assert!(names.contains(&"cycles:u") && names.contains(&"page-faults:u"), "{names:?}");
        assert!(unsupported(&counters["context-switches"]).starts_with("forbidden: EACCES"));
        assert!(unsupported(&counters["cpu-migrations"]).starts_with("forbidden: EACCES"));
    }

    #[test]
    fn only_what_was_counted_since_start() {
        let counters = run((0, 0), GOOD);
        assert_eq!(counters["cycles"], Counter::Value { value: 20, scaled: 1.0 });
    }

    #[test]
    fn multiplexing_is_scaled_and_flagged() {
        let counters = run((0, 0), [Ok(raw(0, 0, 0)), Ok(raw(100, 40, 10))]);
        assert_eq!(counters["cycles"], Counter::Value { value: 400, scaled: 4.0 });
    }

    #[test]
    fn never_scheduled_is_not_zero() {
        let counters = run((0, 0), [Ok(raw(0, 0, 0)), Ok(raw(0, 40, 0))]);
        assert!(unsupported(&counters["cycles"]).starts_with("not counted"));
    }

    #[test]
    fn late_errors_are_not_zero_either() {
        let start = run((0, 0), [Err(libc::EIO), Ok(raw(9, 9, 9))]);
        assert!(unsupported(&start["cycles"]).starts_with("failed to start: EIO"));
        let stop = run((0, 0), [Ok(raw(0, 0, 0)), Err(libc::EIO)]);
        assert!(unsupported(&stop["cycles"]).starts_with("failed to read: EIO"));
        STOPS.set(libc::ENODEV);
        let disable = run((0, 0), GOOD);
        assert!(unsupported(&disable["cycles"]).starts_with("failed to stop: ENODEV"));
    }

    #[test]
    fn threads_add_up_unless_one_is_missing() {
        let value = |value, scaled| Counter::Value { value, scaled };
        let none = || Counter::Unsupported { unsupported: "busy: EMFILE".into() };
        let thread = |cycles, misses: Counter, extra: Option<&str>| {
            let all = [("cycles", cycles), ("misses", misses)].into_iter();
            let all = all.chain(extra.map(|name| (name, value(1, 1.0))));
            all.map(|(name, counter)| (name.to_owned(), counter)).collect::<BTreeMap<_, _>>()
        };
        let one = thread(value(100, 1.0), value(7, 1.0), Some("page-faults"));
        let two = thread(value(300, 3.0), none(), None);
        let total = sum(&[one.clone(), two.clone()]);
        assert_eq!(total["cycles"], value(400, 2.0));
        assert_eq!(total["misses"], none());
        assert_eq!(unsupported(&total["page-faults"]), "not counted on every thread");
        assert_eq!(sum(&[two, one])["misses"], none(), "whichever thread comes first");
        assert_eq!(sum(&[]), BTreeMap::new());
    }

    #[test]
    fn sets_parse_and_fit_a_pmu() {
        for set in [Set::Core, Set::Cache] {
            assert_eq!(set.to_string().parse(), Ok(set));
            let software = |e: &Event| matches!(e, Event::Software(_));
            assert!(set.events().iter().filter(|(_, e)| !software(e)).count() <= 6);
        }
        assert!("caches".parse::<Set>().unwrap_err().contains("expected core or cache"));
    }

    /// Software events work in any VM; where a sandbox forbids them, the reason must be there.
    #[test]
    fn the_running_kernel_counts_switches() {
        let mut counters = Counters::open(Set::Core);
        counters.start();
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(1));
        }
        match &counters.stop()["context-switches"] {
            Counter::Value { value, .. } => assert!(*value >= 5, "{value} switches in 5 sleeps"),
            Counter::Unsupported { unsupported } => {
                assert!(unsupported.contains(": E"), "{unsupported}");
            }
        }
    }
}
