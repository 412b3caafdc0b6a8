//! The order in which a failing execution is told. Loom runs an execution in one order and lets a
//! read return an older write; told in that order it would read as impossible, although most such
//! executions have another order in which each read returns the last write. Guards that such an order
//! is found where there is one: a linear extension of program order, reads-from and coherence.

use machine::checked::{Op, Step, Trace};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The search gives up after so many states.
const STATES: usize = 1_000_000;

/// What is known of the order of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Every read returns the last write.
    Sequential,
    /// No order of the steps has that: a weak memory model is needed.
    Weak,
    /// The search for one gave up.
    NotFound,
}

/// `trace` with its steps in the order nearest to the executed one in which every read returns the
/// last write; unchanged if none is known.
pub(super) fn sequential(trace: &Trace) -> (Trace, Order) {
    let mut search = Search::new(trace);
    let executed: Vec<usize> = (trace.start..trace.steps.len()).collect();
    let found = match search.allows(&executed) {
        true => Ok(Some(executed)),
        false => search.find(),
    };
    // What the other CPUs did after their part in the violation need not have happened yet.
    let found = match found {
        Ok(None) => {
            search.needed = needed(trace);
            search.find()
        }
        found => found,
    };
    let order = match found {
        Ok(Some(order)) => order,
        Ok(None) => return (trace.clone(), Order::Weak),
        Err(TooMany) => return (trace.clone(), Order::NotFound),
    };
    let told = (0..trace.start).chain(order);
    let told = told.map(|n| Step { stale: None, ..trace.steps[n].clone() });
    (Trace { steps: told.collect(), ..trace.clone() }, Order::Sequential)
}

/// Whether the violation was seen while no CPU was inside, and not at a CPU's step.
pub(super) fn is_at_rest(violation: &str) -> bool {
    violation.ends_with(')')
}

/// Per CPU, how many of its steps the violation needs, whatever they are: up to its last note, since a
/// check may go by that, and up to the access that races; of the CPU that broke something all.
fn needed(trace: &Trace) -> Vec<usize> {
    let last = trace.steps.last().filter(|_| !is_at_rest(&trace.violation));
    let mut taken = vec![0; trace.workers + 1];
    let mut needed = taken.clone();
    for step in &trace.steps[trace.start..] {
        taken[step.cpu] += 1;
        let all = last.is_none_or(|last| last.cpu == step.cpu || last.place == step.place);
        if all || step.op == Op::Note {
            needed[step.cpu] = taken[step.cpu];
        }
    }
    needed
}

struct TooMany;

/// A step of the search: what it does to memory.
#[derive(Clone, Copy)]
enum Access {
    /// Finds this value there.
    Read(u64),
    /// Leaves this value there.
    Write(u64),
    /// Finds the first, leaves the second.
    Change(u64, u64),
    /// Finds the lock held.
    Held,
    /// The n-th note: notes keep their order.
    Note(usize),
}

/// A depth-first search that tries, in each state, the step first that was executed first.
struct Search {
    /// Per CPU its steps in program order; the CPU of set-up and finish is the last one.
    programs: Vec<Vec<usize>>,
    /// Per step after `start`: its cell and access.
    accesses: Vec<(usize, Access)>,
    start: usize,
    /// Steps done per CPU.
    done: Vec<usize>,
    /// Steps per CPU without which the order is not one of this violation.
    needed: Vec<usize>,
    /// Per cell its value; None: not known yet, and so what the first read says.
    memory: Vec<Option<u64>>,
    notes: usize,
}

/// Puts back what a step has changed.
struct Undo {
    cpu: usize,
    cell: usize,
    value: Option<u64>,
    note: bool,
}

impl Search {
    fn new(trace: &Trace) -> Self {
        let mut first: BTreeMap<usize, u64> = BTreeMap::new();
        let mut programs = vec![Vec::new(); trace.workers + 1];
        let (mut accesses, mut notes) = (Vec::new(), 0);
        for (n, step) in trace.steps.iter().enumerate() {
            let cell = step.place;
            if n < trace.start {
                let lock = matches!(step.op, Op::Lock | Op::Unlock | Op::Wait | Op::Missed);
                first.insert(cell, if lock { 0 } else { step.value });
                continue;
            }
            programs[step.cpu].push(n);
            let holder = step.cpu as u64 + 1;
            let access = match step.op {
                Op::Load | Op::Get => Access::Read(step.value),
                Op::Store | Op::Set => Access::Write(step.value),
                Op::Rmw { before } => Access::Change(before, step.value),
                Op::Lock => Access::Change(0, holder),
                Op::Unlock => Access::Change(holder, 0),
                Op::Wait | Op::Missed => Access::Held,
                Op::Note => {
                    notes += 1;
                    Access::Note(notes - 1)
                }
            };
            accesses.push((cell, access));
        }
        let cells = trace.steps.iter().map(|step| step.place + 1).max().unwrap_or(0);
        let memory = (0..cells).map(|cell| first.get(&cell).copied()).collect();
        let (done, needed) = (vec![0; programs.len()], programs.iter().map(Vec::len).collect());
        Self { programs, accesses, start: trace.start, done, needed, memory, notes: 0 }
    }

    /// Whether every read of this order returns the last write.
    fn allows(&mut self, order: &[usize]) -> bool {
        let mut undone = Vec::new();
        let all = order.iter().all(|&n| match self.take(n) {
            Some(undo) => {
                undone.push(undo);
                true
            }
            None => false,
        });
        undone.into_iter().rev().for_each(|undo| self.undo(undo));
        all
    }

    /// The next step of each CPU, the one that was executed first first. The execution's last step,
    /// which is the violation, stays the last one; the finish begins when all CPUs have ended.
    fn next(&self) -> Vec<usize> {
        let left: usize =
            self.needed.iter().zip(&self.done).map(|(all, done)| all.saturating_sub(*done)).sum();
        let workers = self.programs.len() - 1;
        let ended = (0..workers).all(|cpu| self.done[cpu] >= self.needed[cpu]);
        let last = self.start + self.accesses.len() - 1;
        let mut next: Vec<usize> = (0..self.programs.len())
            .filter(|&cpu| cpu < workers || ended)
            .filter_map(|cpu| self.programs[cpu].get(self.done[cpu]).copied())
            .filter(|&n| n != last || left == 1)
            .collect();
        next.sort_unstable();
        next
    }

    /// Takes step `n`, if it is possible now.
    fn take(&mut self, n: usize) -> Option<Undo> {
        let cpu = (0..self.programs.len())
            .find(|&cpu| self.programs[cpu].get(self.done[cpu]) == Some(&n))?;
        let (cell, access) = self.accesses[n - self.start];
        let now = self.memory[cell];
        let finds = |value: u64| now.is_none_or(|now| now == value);
        let (possible, then) = match access {
            Access::Read(value) => (finds(value), Some(value)),
            Access::Write(value) => (true, Some(value)),
            Access::Change(before, after) => (finds(before), Some(after)),
            Access::Held => (now.is_some_and(|now| now != 0), now),
            Access::Note(nth) => (nth == self.notes, now),
        };
        possible.then(|| {
            let note = matches!(access, Access::Note(_));
            self.notes += usize::from(note);
            self.done[cpu] += 1;
            Undo { cpu, cell, value: std::mem::replace(&mut self.memory[cell], then), note }
        })
    }

    fn undo(&mut self, undo: Undo) {
        self.memory[undo.cell] = undo.value;
        self.done[undo.cpu] -= 1;
        self.notes -= usize::from(undo.note);
    }

    fn state(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.done, &self.memory).hash(&mut hasher);
        hasher.finish()
    }

    fn find(&mut self) -> Result<Option<Vec<usize>>, TooMany> {
        let mut seen = HashSet::from([self.state()]);
        // The steps taken, how to take each back, and what else there was to try at each.
        let (mut order, mut undone) = (Vec::new(), Vec::new());
        let mut untried = vec![self.next()];
        while let Some(choices) = untried.last_mut() {
            if self.done.iter().zip(&self.needed).all(|(done, needed)| done >= needed) {
                return Ok(Some(order));
            }
            if choices.is_empty() {
                untried.pop();
                order.pop();
                undone.pop().into_iter().for_each(|undo| self.undo(undo));
                continue;
            }
            let n = choices.remove(0);
            let Some(undo) = self.take(n) else { continue };
            if !seen.insert(self.state()) {
                self.undo(undo);
                continue;
            }
            if seen.len() > STATES {
                return Err(TooMany);
            }
            order.push(n);
            undone.push(undo);
            untried.push(self.next());
        }
        Ok(None)
    }
}
