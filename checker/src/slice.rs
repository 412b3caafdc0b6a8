//! A backward slice of a failing execution (Weiser, "Program Slicing", ICSE 1981; here of a
//! history, so a dynamic one): from the violation back along reads and the writes that they saw,
//! with the lock sections around. Guards that the same history always gives the same slice.

use crate::diagram::is_record;
use machine::checked::{Op, Seen, Step, Trace};
use std::collections::BTreeSet;

fn writes(step: &Step) -> bool {
    matches!(step.op, Op::Store | Op::Set | Op::Rmw { .. })
}

/// Beginnings of the names of cells that are left out, unless the violation is about them.
const MACHINERY: [&str; 14] = [
    "rcu",
    "mcs_node",
    "swap_avail_head",
    "swap.",
    "swp_slots",
    "swap_slots",
    "next",
    "zeromap",
    "list.",
    "cont_page",
    "si.max",
    "si.swap_map",
    "si.active",
    "si.working",
];
/// Words of the swapoff protocol: every change of them is in the slice.
const PROTOCOL: [&str; 2] = ["si.flags", "users.state"];
/// Notes that begin so are left out, unless the violation is about them.
const ASIDES: &str = "avail list";
/// At most this many steps of an endless loop are in the slice.
const LOOP: usize = 16;

/// Beginnings of the cells that a violation is about, besides those that it names. I3 .. I17 are
/// invariants of docs/catalogue.md.
fn subjects(violation: &str) -> &'static [&'static str] {
    match violation.split_once(':').map_or("", |(invariant, _)| invariant) {
        "I3" if violation.ends_with("the device's end") => &["si.max"],
        "I3" => &["si.swap_map"],
        "I6" | "I7" | "I13" => &["ci["],
        "I14" => &["table_page"],
        "I15" => &["pfn", "folio.swap"],
        "I16" => &["swap_table", "swap_cache"],
        "I17" => &["extend_table"],
        "I9" => &[ASIDES],
        "" if violation.starts_with("list_") => &["ci["],
        "I10" => &["swap.nr_swap_pages"],
        "I12" => &["users"],
        _ => &[],
    }
}

/// The only function that makes a slot allocated.
const ALLOCATES: &str = "cluster_alloc_range";
/// The functions that put a device on the avail list and take it off.
const LISTS: [&str; 2] = ["add_to_avail_list", "del_from_avail_list"];

/// Whether a read of the cell matters where the cell does: a look-up goes by what it has read there.
fn is_entry(cell: &str) -> bool {
    cell.starts_with("pfn[")
}

fn reads(step: &Step) -> bool {
    matches!(step.op, Op::Load | Op::Get | Op::Rmw { .. })
}

/// A history, and what every step of the slicing needs from it.
pub(super) struct Slice<'a> {
    trace: &'a Trace,
    /// Per step: the steps at which its CPU took the locks that it holds.
    held: Vec<Vec<usize>>,
    /// Cells that more than one CPU accesses and at least one writes.
    shared: BTreeSet<&'a str>,
}

impl<'a> Slice<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let run = &trace.steps[trace.start..];
        let written: BTreeSet<&str> =
            run.iter().filter(|s| writes(s)).map(|s| s.cell.as_str()).collect();
        let by_two = |cell: &str| {
            let mut cpus = run.iter().filter(|s| s.cell == cell).map(|s| s.cpu);
            let first = cpus.next();
            cpus.any(|cpu| Some(cpu) != first)
        };
        let shared = written.into_iter().filter(|cell| by_two(cell)).collect();
        Self { trace, held: sections(trace), shared }
    }

    fn step(&self, n: usize) -> &'a Step {
        &self.trace.steps[n]
    }

    /// The steps since the workers started.
    fn run(&self) -> std::ops::Range<usize> {
        self.trace.start..self.trace.steps.len()
    }

    fn named(&self, cell: &str) -> bool {
        let about = subjects(&self.trace.violation);
        self.trace.violation.contains(cell) || about.iter().any(|s| cell.starts_with(s))
    }

    /// Whether steps on the cell can be in the slice.
    fn relevant(&self, cell: &str) -> bool {
        !self.list_link(cell)
            && (self.named(cell) || !self.machinery(cell) && self.shared.contains(cell))
    }

    /// Whether the cell is a link inside a list: never in the slice.
    fn list_link(&self, cell: &str) -> bool {
        cell.ends_with("_clusters") || cell.contains(".list.")
    }

    fn machinery(&self, cell: &str) -> bool {
        self.list_link(cell) || MACHINERY.iter().any(|m| cell.starts_with(m))
    }

    /// Where slicing begins (the slicing criterion): the violation, swapoff's milestones and
    /// barriers, and every change of a word of the protocol.
    fn criterion(&self) -> Vec<usize> {
        let milestone = |n: &usize| {
            let step = self.step(*n);
            let word = match step.cell.as_str() {
                // Changes by frees are added where another step reads them.
                "si.inuse_pages" => step.function == ALLOCATES || LISTS.contains(&step.function),
                cell if is_record(cell) && step.function == ALLOCATES => true,
                cell => PROTOCOL.contains(&cell) || self.named(cell) && !self.list_link(cell),
            };
            step.cpu < self.trace.workers
                && match step.op {
                    Op::Note => !step.cell.starts_with(ASIDES) || self.named(ASIDES),
                    _ => word && (writes(step) || is_entry(&step.cell)) || self.is_barrier(*n),
                }
        };
        let ends = (0..self.trace.workers).filter_map(|cpu| {
            let own = |&n: &usize| self.step(n).cpu == cpu && self.relevant(&self.step(n).cell);
            self.run().rev().find(|n| own(n) && !matches!(self.step(*n).op, Op::Unlock))
        });
        self.run().filter(milestone).chain(ends).chain(self.last_acts()).collect()
    }

    /// The last acts of the CPU that broke something: two accesses, or, if it loops for ever, one
    /// round of the loop.
    fn last_acts(&self) -> Vec<usize> {
        let Some(last) = self.trace.steps.last() else { return Vec::new() };
        let shown = |n: &usize| {
            let step = self.step(*n);
            step.cpu == last.cpu && step.op != Op::Note && !self.machinery(&step.cell)
        };
        let own = self.run().rev().filter(shown).filter(|_| last.cpu < self.trace.workers);
        if !self.trace.violation.starts_with("no end") {
            return own
                .filter(|n| !matches!(self.step(*n).op, Op::Lock | Op::Unlock))
                .take(2)
                .collect();
        }
        let mut seen = BTreeSet::new();
        let same = |n: &usize| {
            let Step { function, cell, value, .. } = self.step(*n);
            seen.insert((*function, cell, *value, matches!(self.step(*n).op, Op::Unlock)))
        };
        own.take_while(same).take(LOOP).collect()
    }

    /// Whether an empty ci->lock section begins at step `n`.
    fn is_barrier(&self, n: usize) -> bool {
        let step = self.step(n);
        let mut next = (n + 1..self.trace.steps.len()).filter(|&m| self.step(m).cpu == step.cpu);
        let end = next.next().map(|m| self.step(m));
        step.op == Op::Lock
            && step.cell.starts_with("ci[")
            && end.is_some_and(|end| end.op == Op::Unlock && end.cell == step.cell)
    }

    /// The steps that step `n` depends on. For a read: the write that it saw, and the next write to
    /// the cell by another CPU. For a write: what its CPU had read before.
    fn dependences(&self, n: usize) -> Vec<usize> {
        let step = self.step(n);
        let theirs = |m: &usize| {
            let other = self.step(*m);
            other.cpu != step.cpu && other.cell == step.cell && writes(other)
        };
        let mut found = Vec::new();
        if reads(step) {
            match step.stale {
                Some(Seen::Step(seen)) => found.push(seen),
                Some(Seen::Initial) => (),
                None => found.extend(self.run().rev().filter(|&m| m < n).find(theirs)),
            }
            found.extend(self.run().filter(|&m| m > n).find(theirs));
        }
        let tested = |m: &usize| {
            let own = self.step(*m);
            let changed = self.run().any(|k| {
                let other = self.step(k);
                other.cpu != own.cpu && other.cell == own.cell && writes(other)
            });
            own.cpu == step.cpu
                && matches!(own.op, Op::Load | Op::Get)
                && self.relevant(&own.cell)
                && changed
        };
        let last = n + 1 == self.trace.steps.len();
        if writes(step) || last {
            found.extend(self.run().rev().filter(|&m| m < n).find(tested));
        }
        found.retain(|&m| m >= self.trace.start && self.step(m).cpu < self.trace.workers);
        found
    }

    /// The steps in the slice, in order.
    pub(super) fn steps(&self) -> Vec<usize> {
        let mut kept = BTreeSet::new();
        let mut todo = self.criterion();
        while let Some(n) = todo.pop() {
            if kept.insert(n) {
                todo.extend(self.dependences(n));
            }
        }
        let steps: Vec<usize> = kept.iter().copied().collect();
        kept.extend(self.sections_around(&steps));
        without_repeats(self.trace, kept.into_iter().collect())
    }

    /// Begin and end of the lock sections around `kept` steps: of clusters and devices always, of
    /// other locks if more than one CPU has a section in the slice. And the ends of barriers.
    fn sections_around(&self, kept: &[usize]) -> BTreeSet<usize> {
        let access = |n: &&usize| !matches!(self.step(**n).op, Op::Note | Op::Lock | Op::Unlock);
        let around: BTreeSet<usize> =
            kept.iter().filter(access).flat_map(|&n| self.held[n].iter().copied()).collect();
        let users = |cell: &str| {
            let cpus = around.iter().map(|&n| self.step(n)).filter(|s| s.cell == cell);
            cpus.map(|s| s.cpu).collect::<BTreeSet<_>>().len()
        };
        let own = |cell: &str| cell.starts_with("ci[") || cell == "si.lock";
        let barriers = kept.iter().copied().filter(|&n| self.is_barrier(n));
        let begins: BTreeSet<usize> = around
            .iter()
            .copied()
            .filter(|&n| n >= self.trace.start)
            .filter(|&n| own(&self.step(n).cell) || users(&self.step(n).cell) > 1)
            .chain(barriers)
            .collect();
        begins.iter().flat_map(|&n| [Some(n), self.end(n)]).flatten().collect()
    }

    /// The unlock that ends the section begun at `lock`.
    fn end(&self, lock: usize) -> Option<usize> {
        let begin = self.step(lock);
        let ends = |&n: &usize| {
            let step = self.step(n);
            step.op == Op::Unlock && (step.cpu, &step.cell) == (begin.cpu, &begin.cell)
        };
        (lock + 1..self.trace.steps.len()).find(ends)
    }
}

/// Per step: the steps at which its CPU took the locks that it then holds.
fn sections(trace: &Trace) -> Vec<Vec<usize>> {
    let mut now: Vec<Vec<usize>> = vec![Vec::new(); trace.workers + 1];
    let mut held = Vec::with_capacity(trace.steps.len());
    for (n, step) in trace.steps.iter().enumerate() {
        let mine = &mut now[step.cpu];
        if step.op == Op::Lock {
            mine.push(n);
        }
        held.push(mine.clone());
        if step.op == Op::Unlock {
            mine.retain(|&lock| trace.steps[lock].cell != step.cell);
        }
    }
    held
}

/// `kept` without repeated reads: a waiting CPU reads the same cell again and again.
fn without_repeats(trace: &Trace, kept: Vec<usize>) -> Vec<usize> {
    let steps = &trace.steps;
    let repeats = |&n: &usize| {
        let before = kept.iter().rev().find(|&&m| m < n && steps[m].cpu == steps[n].cpu);
        before.is_some_and(|&m| {
            let same = (steps[m].op, &steps[m].cell, steps[m].value, steps[m].function);
            steps[n].op == Op::Load
                && same == (steps[n].op, &steps[n].cell, steps[n].value, steps[n].function)
        })
    };
    kept.iter().copied().filter(|n| !repeats(n)).collect()
}
