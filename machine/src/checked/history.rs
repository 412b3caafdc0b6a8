//! The history of the running execution: every access with its CPU, its kernel function and its
//! cell by name. Guards that recording adds no ordering: it is kept outside the model.

use crate::Extent;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// The kind of access of a step to its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// An atomic read; the step's value is the one that it read.
    Load,
    /// An atomic write.
    Store,
    /// An atomic read-modify-write; the step's value is the one that it left behind.
    Rmw {
        /// The value that it found.
        before: u64,
    },
    /// A read of plain memory.
    Get,
    /// A write to plain memory.
    Set,
    /// A lock was taken.
    Lock,
    /// A lock is held by another CPU, and this one waits for it.
    Wait,
    /// A trylock on a held lock.
    Missed,
    /// A lock was given up.
    Unlock,
    /// The value of a [`crate::Cpu::note`]; the cell is its name.
    Note,
}

/// An older value that a read may still see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The value that the step of this index wrote.
    Step(usize),
    /// The cell's first value.
    Initial,
}

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The CPU that took the step.
    pub cpu: usize,
    /// The kernel function that runs.
    pub function: &'static str,
    /// The kind of access.
    pub op: Op,
    /// `region[index].field`, or `region.field` where there is one element.
    pub cell: String,
    /// The cell itself: some have their name in common.
    pub place: usize,
    /// The value read, written or left behind, zero-extended.
    pub value: u64,
    /// For a read that did not see the last write: what it saw instead.
    pub stale: Option<Seen>,
}

/// The failing execution: steps in the order they took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Number of workers; CPU `workers` ran setup and finish.
    pub workers: usize,
    /// Index of the first step after the workers started.
    pub start: usize,
    /// All steps of the execution.
    pub steps: Vec<Step>,
    /// The failure's message.
    pub violation: String,
}

/// A write to a region's cell or a note, for a watcher, as it happens.
pub struct Event {
    /// The CPU that wrote.
    pub cpu: usize,
    /// The region's name, or the note's text.
    pub region: &'static str,
    /// The element; 0 for a note.
    pub index: usize,
    /// The element's field; "" if it has no fields.
    pub field: &'static str,
    /// Whether this is a note.
    pub note: bool,
    /// The cell's value before; 0 for a note.
    pub before: u64,
    /// The cell's value now, or the note's.
    pub after: u64,
}

/// A step as it is recorded: names are looked up only if the execution fails.
struct Raw {
    cpu: usize,
    function: &'static str,
    op: Op,
    place: Place,
    value: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Place {
    /// (region, byte offset in it).
    In(usize, usize),
    /// The n-th cell that is in no region.
    Loose(usize),
    Named(&'static str),
}

struct Home {
    /// 0 once the region is gone.
    base: usize,
    bytes: usize,
    stride: usize,
    name: &'static str,
    fields: Vec<(&'static str, usize)>,
}

impl Home {
    /// The field at byte `within` of an element.
    fn field(&self, within: usize) -> &'static str {
        let before = self.fields.iter().filter(|f| f.1 <= within);
        before.max_by_key(|f| f.1).map_or("", |f| f.0)
    }
}

/// Which function a CPU is in. A function that is known by its lock sites alone begins where it takes
/// a lock and ends with its last section; the others say so themselves ([`crate::Frame`]).
#[derive(Clone, Default)]
struct Calls {
    current: &'static str,
    /// The function before the last `enter`; that of the lock site, if a lock is taken next.
    before: &'static str,
    /// The functions that were called and have not returned.
    frames: Vec<Called>,
    /// Held locks: the function that took each, and its caller if the lock site alone names it.
    held: Vec<(Place, &'static str, Option<&'static str>)>,
}

/// A function that was called.
#[derive(Clone)]
struct Called {
    function: &'static str,
    caller: &'static str,
    /// How many steps the CPU had taken by then.
    since: usize,
}

impl Calls {
    fn call(&mut self, function: &'static str, since: usize) {
        self.frames.push(Called { function, caller: self.current, since });
        self.resume(function);
    }

    fn returned(&mut self) {
        if let Some(called) = self.frames.pop() {
            self.resume(called.caller);
        }
    }

    /// The innermost function that runs since `step` of the CPU.
    fn since(&self, step: usize) -> &'static str {
        let longer = self.frames.iter().rev().find(|called| called.since <= step);
        longer.map_or(self.current, |called| called.function)
    }

    fn enter(&mut self, function: &'static str) {
        self.before = std::mem::replace(&mut self.current, function);
    }

    fn resume(&mut self, function: &'static str) {
        self.current = function;
        self.before = function;
    }

    fn after(&mut self, op: Op, place: Place) {
        match op {
            Op::Lock => {
                let sites_alone = (self.before != self.current).then_some(self.before);
                let outer = || self.held.iter().find(|held| held.1 == self.current);
                let caller = sites_alone.or_else(|| outer().and_then(|held| held.2));
                self.held.push((place, self.current, caller));
            }
            Op::Missed => self.current = self.before,
            Op::Unlock => self.released(place),
            _ => (),
        }
        self.before = self.current;
    }

    fn released(&mut self, place: Place) {
        let Some(n) = self.held.iter().rposition(|held| held.0 == place) else { return };
        let (_, function, caller) = self.held.remove(n);
        let goes_on = self.held.iter().any(|held| held.1 == function);
        if let Some(caller) = caller.filter(|_| self.current == function && !goes_on) {
            self.current = caller;
        }
    }
}

#[derive(Default)]
struct History {
    raw: Vec<Raw>,
    homes: Vec<Home>,
    loose: HashMap<usize, usize>,
    calls: Vec<Calls>,
    /// Steps per CPU.
    taken: Vec<usize>,
    /// Of these, those that changed something.
    wrote: Vec<usize>,
    /// Steps per CPU before its current act.
    earlier: Vec<usize>,
    /// Steps before the workers started.
    start: usize,
}

/// Steps that a CPU may take in one act. A waiting CPU lets the others run, so waiting does not
/// use the budget up; the longest act of all scenarios takes a fifth of it.
const BUDGET: usize = 4_000;

thread_local! {
    static NOW: RefCell<History> = RefCell::default();
    static ME: Cell<usize> = const { Cell::new(0) };
    static LAST: RefCell<Option<Trace>> = const { RefCell::new(None) };
    static WATCHER: Cell<Option<fn(&Event)>> = const { Cell::new(None) };
}

/// Calls `watcher` for every write and note of this thread's explorations. It may
/// panic to end an execution, and must not touch the model.
pub fn watch(watcher: Option<fn(&Event)>) {
    WATCHER.set(watcher);
}

/// The history of the last execution that failed on this thread. None: none failed since the last
/// call.
pub fn last_trace() -> Option<Trace> {
    LAST.take()
}

pub(super) fn me() -> usize {
    ME.get()
}

pub(super) fn set_me(cpu: usize) {
    ME.set(cpu);
}

/// Runs `switching`, in which other CPUs may run, and makes this CPU the running one again.
pub(super) fn as_me<T>(switching: impl FnOnce() -> T) -> T {
    let me = ME.get();
    let result = switching();
    ME.set(me);
    result
}

/// A new execution begins on the set-up CPU.
pub(super) fn clear(workers: usize) {
    NOW.with_borrow_mut(|now| {
        let (calls, none) = (vec![Calls::default(); workers + 1], vec![0; workers + 1]);
        let (taken, wrote) = (none.clone(), none.clone());
        *now = History { calls, taken, wrote, earlier: none, ..History::default() };
    });
    set_me(workers);
}

/// The workers start now.
pub(super) fn started() {
    NOW.with_borrow_mut(|now| now.start = now.raw.len());
}

pub(super) fn steps() -> usize {
    NOW.with_borrow(|now| now.raw.len())
}

/// Steps of other CPUs than `me` that changed something.
pub(super) fn writes_of_others(me: usize) -> usize {
    NOW.with_borrow(|now| now.wrote.iter().sum::<usize>() - now.wrote[me])
}

/// Where this CPU waits, and for which cell: its last load.
pub(super) fn waiting_for() -> String {
    NOW.with_borrow(|now| {
        let last = now.raw.iter().rev().find(|s| s.cpu == ME.get() && s.op == Op::Load);
        last.map_or("a CPU waits".into(), |s| {
            let (cpu, function, value) = (s.cpu, s.function, s.value);
            format!("CPU {cpu} in {function} still reads {} = {value}", now.name(s.place))
        })
    })
}

/// Does `change` to the calls of the running CPU, which has taken so many steps.
fn calls(change: impl FnOnce(&mut Calls, usize)) {
    NOW.with_borrow_mut(|now| {
        let taken = now.taken.get(ME.get()).copied().unwrap_or(0);
        if let Some(calls) = now.calls.get_mut(ME.get()) {
            change(calls, taken);
        }
    });
}

pub(super) fn enter(function: &'static str) {
    calls(|calls, _| calls.enter(function));
}

pub(super) fn call(function: &'static str) {
    calls(|calls, taken| calls.call(function, taken));
}

pub(super) fn returned() {
    calls(|calls, _| calls.returned());
}

impl History {
    fn place(&mut self, address: usize) -> Place {
        let inside = |home: &Home| home.base != 0 && address.wrapping_sub(home.base) < home.bytes;
        if let Some(n) = self.homes.iter().position(inside) {
            return Place::In(n, address - self.homes[n].base);
        }
        let next = self.loose.len();
        Place::Loose(*self.loose.entry(address).or_insert(next))
    }

    fn push(&mut self, op: Op, place: Place, value: u64) {
        let cpu = ME.get();
        self.taken[cpu] += 1;
        let changes = !matches!(op, Op::Load | Op::Get | Op::Missed | Op::Note);
        self.wrote[cpu] += usize::from(changes);
        let function = self.calls[cpu].current;
        self.calls[cpu].after(op, place);
        self.raw.push(Raw { cpu, function, op, place, value });
    }

    /// Once the CPU has spent its budget: (CPU, the function that has not returned for long).
    fn spent(&self) -> Option<(usize, &'static str)> {
        let cpu = ME.get();
        let spent = self.taken[cpu] - self.earlier[cpu] > BUDGET;
        spent.then(|| (cpu, self.calls[cpu].since(self.earlier[cpu] + BUDGET / 2)))
    }

    fn name(&self, place: Place) -> String {
        let (n, offset) = match place {
            Place::In(n, offset) => (n, offset),
            Place::Loose(n) => return format!("cell {n}"),
            Place::Named(name) => return name.into(),
        };
        let home = &self.homes[n];
        let (index, within) = (offset / home.stride, offset % home.stride);
        let alike = |other: &&Home| {
            (other.name, other.bytes, other.stride) == (home.name, home.bytes, home.stride)
        };
        // Regions of one name and form are those of the CPUs, in order.
        let base = match self.homes.iter().filter(alike).count() {
            1 => home.name.to_string(),
            _ => format!("{}[{}]", home.name, self.homes[..n].iter().filter(alike).count()),
        };
        let element = match home.bytes / home.stride {
            1 => base,
            _ => format!("{base}[{index}]"),
        };
        match home.field(within) {
            "" => element,
            field => format!("{element}.{field}"),
        }
    }

    /// For a read of `step`: which write it saw, if not the last one.
    fn stale(&self, step: usize) -> Option<Seen> {
        let read = &self.raw[step];
        if read.op != Op::Load {
            return None;
        }
        let wrote = |s: &Raw| s.place == read.place && matches!(s.op, Op::Store | Op::Rmw { .. });
        let mut writes = (0..step).rev().filter(|&n| wrote(&self.raw[n])).peekable();
        let last = *writes.peek()?;
        match writes.find(|&n| self.raw[n].value == read.value) {
            Some(seen) if seen == last => None,
            Some(seen) => Some(Seen::Step(seen)),
            None => Some(Seen::Initial),
        }
    }

    fn trace(&self, violation: String) -> Trace {
        let mut places = HashMap::new();
        let steps = self.raw.iter().enumerate().map(|(n, raw)| {
            let next = places.len();
            Step {
                cpu: raw.cpu,
                function: raw.function,
                op: raw.op,
                cell: self.name(raw.place),
                place: *places.entry(raw.place).or_insert(next),
                value: raw.value,
                stale: self.stale(n),
            }
        });
        let workers = self.calls.len().saturating_sub(1);
        Trace { workers, start: self.start, steps: steps.collect(), violation }
    }
}

pub(super) fn record(address: usize, op: Op, value: u64) {
    let spent = NOW.with_borrow_mut(|now| {
        let place = now.place(address);
        now.push(op, place, value);
        now.spent()
    });
    if let Some((cpu, function)) = spent {
        panic!("no end: CPU {cpu} takes more than {BUDGET} steps, and is still in {function}");
    }
}

/// This CPU begins an act, with a new budget of steps.
pub fn act_begins() {
    NOW.with_borrow_mut(|now| now.earlier[ME.get()] = now.taken[ME.get()]);
}

/// Records a write to a cell that had the value `before`, and shows it to the watcher.
pub(super) fn record_write(address: usize, op: Op, before: u64, value: u64) {
    let at = NOW.with_borrow_mut(|now| {
        let place = now.place(address);
        now.push(op, place, value);
        match place {
            Place::In(n, offset) => {
                let home = &now.homes[n];
                Some((home.name, offset / home.stride, home.field(offset % home.stride)))
            }
            _ => None,
        }
    });
    if let (Some(watcher), Some((region, index, field))) = (WATCHER.get(), at) {
        let cpu = ME.get();
        watcher(&Event { cpu, region, index, field, note: false, before, after: value });
    }
}

pub(super) fn note(what: &'static str, value: u64) {
    NOW.with_borrow_mut(|now| now.push(Op::Note, Place::Named(what), value));
    if let Some(watcher) = WATCHER.get() {
        let (cpu, index, field, before) = (ME.get(), 0, "", 0);
        watcher(&Event { cpu, region: what, index, field, note: true, before, after: value });
    }
}

pub(super) fn register(region: &Extent) {
    let Extent { base, bytes, stride, name, .. } = *region;
    let fields = region.fields.clone();
    NOW.with_borrow_mut(|now| now.homes.push(Home { base, bytes, stride, name, fields }));
}

pub(super) fn unregister(base: usize) {
    let gone = |now: &mut History| {
        now.homes.iter_mut().filter(|home| home.base == base).for_each(|home| home.base = 0);
    };
    NOW.with_borrow_mut(gone);
}

/// The last step as a data race, with the last access of another CPU to the same cell.
pub(super) fn racing() -> String {
    NOW.with_borrow(|now| {
        let Some(last) = now.raw.last() else {
            return "a data race".into();
        };
        let other = |s: &&Raw| s.place == last.place && s.cpu != last.cpu;
        let with =
            now.raw.iter().rev().find(other).map_or(String::new(), |s| {
                format!(", unordered with CPU {} in {}", s.cpu, s.function)
            });
        let does = if last.op == Op::Set { "writes" } else { "reads" };
        let (cpu, function, cell) = (last.cpu, last.function, now.name(last.place));
        format!("data race: CPU {cpu} in {function} {does} {cell}{with}")
    })
}

/// Keeps the failed execution for [`last_trace`].
pub(super) fn keep(violation: String) {
    NOW.with_borrow(|now| LAST.set(Some(now.trace(violation))));
}
