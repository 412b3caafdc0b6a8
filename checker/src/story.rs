//! Which steps of a failing execution a reader needs: from what broke, backwards along
//! what was read and who wrote it, with the lock sections around. The same history
//! always tells the same story.

use machine::checked::{Op, Seen, Step, Trace};
use std::collections::BTreeSet;

fn writes(step: &Step) -> bool {
    matches!(step.op, Op::Store | Op::Set | Op::Rmw { .. })
}

/// Cells whose steps explain nothing, unless the violation is about them.
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
/// Words that every story of swapoff is about.
const PLOT: [&str; 2] = ["si.flags", "users.state"];
/// Notes that are told only where the violation is about what they say.
const ASIDES: &str = "avail list";
/// The most steps of a loop without end that are told.
const LOOP: usize = 16;

/// Beginnings of the cells that a violation is about, besides those that it names.
fn subjects(violation: &str) -> &'static [&'static str] {
    match violation.split_once(':').map_or("", |(invariant, _)| invariant) {
        "I3" if violation.ends_with("the device's end") => &["si.max"],
        "I3" => &["si.swap_map"],
        "I6" | "I7" => &["ci["],
        "I9" => &[ASIDES],
        "" if violation.starts_with("list_") => &["ci["],
        "I10" => &["swap.nr_swap_pages"],
        "I12" => &["users"],
        _ => &[],
    }
}

/// The only function that makes a slot allocated.
const ALLOCATES: &str = "cluster_alloc_range";
/// Those that put a device on the avail list and take it off.
const LISTS: [&str; 2] = ["add_to_avail_list", "del_from_avail_list"];

fn reads(step: &Step) -> bool {
    matches!(step.op, Op::Load | Op::Get | Op::Rmw { .. })
}

/// A history, and what is asked of it again and again.
pub(super) struct Story<'a> {
    trace: &'a Trace,
    /// Each step: the steps at which its CPU had taken the locks that it holds.
    held: Vec<Vec<usize>>,
    /// Cells that more than one CPU touches, and somebody writes.
    shared: BTreeSet<&'a str>,
}

impl<'a> Story<'a> {
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

    /// Whether steps on the cell can explain anything.
    fn tells(&self, cell: &str) -> bool {
        !self.inside(cell)
            && (self.named(cell) || !self.machinery(cell) && self.shared.contains(cell))
    }

    /// The insides of lists, which no reader wants to see.
    fn inside(&self, cell: &str) -> bool {
        cell.ends_with("_clusters") || cell.contains(".list.")
    }

    fn machinery(&self, cell: &str) -> bool {
        self.inside(cell) || MACHINERY.iter().any(|m| cell.starts_with(m))
    }

    /// Where the story begins: what broke, swapoff's milestones and barriers, every
    /// change of the words of the plot.
    fn seeds(&self) -> Vec<usize> {
        let plot = |n: &usize| {
            let step = self.step(*n);
            let word = match step.cell.as_str() {
                // What frees count is of interest to who reads it.
                "si.inuse_pages" => step.function == ALLOCATES || LISTS.contains(&step.function),
                cell if cell.starts_with("swap_map[") && step.function == ALLOCATES => true,
                cell => PLOT.contains(&cell) || self.named(cell) && !self.inside(cell),
            };
            step.cpu < self.trace.workers
                && match step.op {
                    Op::Note => !step.cell.starts_with(ASIDES) || self.named(ASIDES),
                    _ => word && writes(step) || self.is_barrier(*n),
                }
        };
        let ends = (0..self.trace.workers).filter_map(|cpu| {
            let own = |&n: &usize| self.step(n).cpu == cpu && self.tells(&self.step(n).cell);
            self.run().rev().find(|n| own(n) && !matches!(self.step(*n).op, Op::Unlock))
        });
        self.run().filter(plot).chain(ends).chain(self.end_of_all()).collect()
    }

    /// The last that the CPU did which broke something: a few steps, or, if it does the
    /// same for ever, once what it does.
    fn end_of_all(&self) -> Vec<usize> {
        let Some(last) = self.trace.steps.last() else { return Vec::new() };
        let told = |n: &usize| {
            let step = self.step(*n);
            step.cpu == last.cpu && step.op != Op::Note && !self.machinery(&step.cell)
        };
        let own = self.run().rev().filter(told).filter(|_| last.cpu < self.trace.workers);
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

    /// A ci->lock section with nothing in it.
    fn is_barrier(&self, n: usize) -> bool {
        let step = self.step(n);
        let mut next = (n + 1..self.trace.steps.len()).filter(|&m| self.step(m).cpu == step.cpu);
        let end = next.next().map(|m| self.step(m));
        step.op == Op::Lock
            && step.cell.starts_with("ci[")
            && end.is_some_and(|end| end.op == Op::Unlock && end.cell == step.cell)
    }

    /// What one has to know to understand step `n`: what it read and who wrote that
    /// before or after, and for a write what its CPU had looked at before.
    fn causes(&self, n: usize) -> Vec<usize> {
        let step = self.step(n);
        let theirs = |m: &usize| {
            let other = self.step(*m);
            other.cpu != step.cpu && other.cell == step.cell && writes(other)
        };
        let mut causes = Vec::new();
        if reads(step) {
            match step.stale {
                Some(Seen::Step(seen)) => causes.push(seen),
                Some(Seen::Initial) => (),
                None => causes.extend(self.run().rev().filter(|&m| m < n).find(theirs)),
            }
            causes.extend(self.run().filter(|&m| m > n).find(theirs));
        }
        let looked = |m: &usize| {
            let own = self.step(*m);
            let changed = self.run().any(|k| {
                let other = self.step(k);
                other.cpu != own.cpu && other.cell == own.cell && writes(other)
            });
            own.cpu == step.cpu
                && matches!(own.op, Op::Load | Op::Get)
                && self.tells(&own.cell)
                && changed
        };
        let last = n + 1 == self.trace.steps.len();
        if writes(step) || last {
            causes.extend(self.run().rev().filter(|&m| m < n).find(looked));
        }
        causes.retain(|&m| m >= self.trace.start && self.step(m).cpu < self.trace.workers);
        causes
    }

    /// The steps a reader needs, in order.
    pub(super) fn told(&self) -> Vec<usize> {
        let mut kept = BTreeSet::new();
        let mut todo = self.seeds();
        while let Some(n) = todo.pop() {
            if kept.insert(n) {
                todo.extend(self.causes(n));
            }
        }
        let steps: Vec<usize> = kept.iter().copied().collect();
        kept.extend(self.locks(&steps));
        without_repeats(self.trace, kept.into_iter().collect())
    }

    /// The lock sections around `kept` steps: those of clusters and devices, and others
    /// if more than one CPU has steps inside. And the ends of barriers.
    fn locks(&self, kept: &[usize]) -> BTreeSet<usize> {
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

/// For each step, where its CPU had taken the locks that it then holds.
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

/// A CPU that waits reads the same again and again: once is enough.
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
