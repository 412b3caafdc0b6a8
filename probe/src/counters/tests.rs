//! The counters over a fake kernel that gives every error the real one gives, and over the real
//! one with the software events that work in any VM.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::*;

type Answer = Result<(), Errno>;

/// Count, time enabled and time running, or an error.
type Read = Result<(u64, u64, u64), Errno>;

thread_local! {
    /// What the fake kernel answers to an open with the kernel included, and to one without.
    static OPEN: Cell<(Answer, Answer)> = const { Cell::new((Ok(()), Ok(()))) };
    /// Groups of more members than this are refused with EINVAL.
    static FITS: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Groups of more members than this never run.
    static RUNS: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Before and after.
    static READS: RefCell<[Read; 2]> =
        const { RefCell::new([Ok((5, 10, 10)), Ok((25, 50, 50))]) };
    static STOPS: Cell<Answer> = const { Cell::new(Ok(())) };
    static GROUPS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

struct Fake {
    members: usize,
    reads: usize,
}

impl Group for Fake {
    fn open(events: &[(Event, bool)]) -> Result<Self, (usize, io::Error)> {
        for (at, (_, kernel)) in events.iter().enumerate() {
            let (with, without) = OPEN.get();
            (if *kernel { with } else { without }).map_err(|e| (at, e.into()))?;
            if at >= FITS.get() {
                return Err((at, Errno::INVAL.into()));
            }
        }
        GROUPS.with_borrow_mut(|groups| groups.push(events.len()));
        Ok(Fake { members: events.len(), reads: 0 })
    }
    fn enable(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn disable(&mut self) -> io::Result<()> {
        Ok(STOPS.get()?)
    }
    fn read(&mut self) -> io::Result<Raw> {
        // A group's trial is not among the two.
        let trial = usize::from(self.members > 1);
        self.reads += 1;
        if self.reads <= trial {
            let running_ns = if self.members > RUNS.get() { 0 } else { 1 };
            return Ok(Raw { counts: vec![0; self.members], enabled_ns: 1, running_ns });
        }
        let (count, enabled_ns, running_ns) =
            READS.with_borrow(|reads| reads[self.reads - trial - 1])?;
        Ok(Raw { counts: vec![count; self.members], enabled_ns, running_ns })
    }
}

/// One start and stop of the core set.
fn run(open: (Answer, Answer)) -> BTreeMap<String, Counter> {
    OPEN.set(open);
    GROUPS.take();
    let mut counters = Counters::<Fake>::open_on(&Set::Core.groups(), "4");
    counters.start();
    counters.stop()
}

fn run_reads(reads: [Read; 2]) -> BTreeMap<String, Counter> {
    READS.set(reads);
    run((Ok(()), Ok(())))
}

fn unsupported(counter: &Counter) -> &str {
    match counter {
        Counter::Unsupported { unsupported } => unsupported,
        value => panic!("{value:?} where nothing could be counted"),
    }
}

#[test]
fn every_error_of_the_kernel_has_its_reason() {
    for (errno, expected) in [
        (Errno::NOENT, "unsupported: ENOENT (no PMU"),
        (Errno::OPNOTSUPP, "unsupported: EOPNOTSUPP (no PMU"),
        (Errno::NODEV, "unsupported: ENODEV (no PMU"),
        (Errno::NOSYS, "unsupported: ENOSYS (kernel without"),
        (Errno::INVAL, "unsupported: EINVAL (this kernel"),
        (Errno::ACCESS, "forbidden: EACCES (perf_event_paranoid=4"),
        (Errno::PERM, "forbidden: EPERM (perf_event_paranoid=4"),
        (Errno::MFILE, "busy: EMFILE"),
        (Errno::NOSPC, "busy: ENOSPC"),
        (Errno::BUSY, "busy: EBUSY"),
        (Errno::TOOBIG, "unsupported: Argument list too long"),
    ] {
        let counters = run((Err(errno), Err(errno)));
        assert_eq!(counters.len(), 8);
        for counter in counters.values() {
            assert!(unsupported(counter).starts_with(expected), "{counter:?}");
        }
    }
}

#[test]
fn without_the_kernel_the_name_says_so_and_switches_are_not_zero() {
    let counters = run((Err(Errno::ACCESS), Ok(())));
    let names: Vec<_> = counters.keys().map(String::as_str).collect();
    assert!(names.contains(&"cycles:u") && names.contains(&"page-faults:u"), "{names:?}");
    assert!(unsupported(&counters["context-switches"]).starts_with("forbidden: EACCES"));
    assert!(unsupported(&counters["cpu-migrations"]).starts_with("forbidden: EACCES"));
}

#[test]
fn what_is_divided_is_counted_together() {
    assert_eq!(run((Ok(()), Ok(()))).len(), 8);
    assert_eq!(GROUPS.take(), [3, 2, 3]);
}

#[test]
fn a_group_that_the_pmu_cannot_hold_is_split() {
    let all = |groups: &[usize]| {
        let counters = run((Ok(()), Ok(())));
        assert!(counters.values().all(|c| matches!(c, Counter::Value { .. })), "{counters:?}");
        assert_eq!(GROUPS.take(), groups);
    };
    FITS.set(2);
    all(&[1, 2, 2, 1, 2]);
    FITS.set(1);
    all(&[1; 8]);
    FITS.set(usize::MAX);
    RUNS.set(2);
    all(&[3, 1, 1, 1, 2, 3, 1, 1, 1]);
}

#[test]
fn only_what_was_counted_since_start() {
    assert_eq!(run((Ok(()), Ok(())))["cycles"], Counter::Value { value: 20, scaled: 1.0 });
}

#[test]
fn multiplexing_is_scaled_and_flagged() {
    let counters = run_reads([Ok((0, 0, 0)), Ok((100, 40, 10))]);
    assert_eq!(counters["cycles"], Counter::Value { value: 400, scaled: 4.0 });
}

#[test]
fn never_scheduled_is_not_zero() {
    let counters = run_reads([Ok((0, 0, 0)), Ok((0, 40, 0))]);
    assert!(unsupported(&counters["cycles"]).starts_with("not counted"));
}

#[test]
fn late_errors_are_not_zero_either() {
    let start = run_reads([Err(Errno::IO), Ok((9, 9, 9))]);
    assert!(unsupported(&start["cycles"]).starts_with("failed to start: EIO"));
    let stop = run_reads([Ok((0, 0, 0)), Err(Errno::IO)]);
    assert!(unsupported(&stop["cycles"]).starts_with("failed to read: EIO"));
    STOPS.set(Err(Errno::NODEV));
    let disable = run_reads([Ok((5, 10, 10)), Ok((25, 50, 50))]);
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

/// Software events work in any VM; where a sandbox forbids them, the reason must be there.
#[test]
fn the_running_kernel_counts_switches_in_a_group() {
    let mut counters = Counters::open(&Set::Core.groups());
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

/// The same switches, by a user's file: its tracepoint, read by id.
#[test]
fn the_running_kernel_counts_a_tracepoint() {
    let text = "[[event]]\ntracepoint = 'sched:sched_switch'\n[[event]]\nname = 'x'\nraw = 0xc0\n";
    let groups = events::parse(text, &Roots::default()).unwrap();
    let mut counters = Counters::open(&groups);
    counters.start();
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let counted = counters.stop();
    match (&counted["sched:sched_switch"], &counted["context-switches"]) {
        (Counter::Value { value, .. }, Counter::Value { value: same, .. }) => {
            assert!(*value >= 5 && same.abs_diff(*value) <= 1, "{value} and {same}");
        }
        (Counter::Unsupported { unsupported }, _) | (_, Counter::Unsupported { unsupported }) => {
            assert!(unsupported.contains(": "), "{unsupported}");
        }
    }
    assert!(counted.contains_key("x") || counted.contains_key("x:u"));
}
