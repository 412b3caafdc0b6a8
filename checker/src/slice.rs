//! A backward slice of a failing execution (Weiser, "Program Slicing", ICSE 1981; here of a
//! history, so a dynamic one): from the violation back along what CPUs had from one another, reads and
//! the writes that they saw, and reads that another CPU's write made out of date before the reader
//! acted on them. Guards that a slice can be read on its own: each read in it returns the last write in
//! it, and the same history always gives the same slice.

use crate::diagram::HOLDS;
use crate::timeline::is_at_rest;
use crate::words::{formatted, is_record, of_device};
use machine::checked::{Op, Seen, Step, Trace};
use std::collections::{BTreeMap, BTreeSet};

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
const LIST_NOTES: &str = "avail list";
/// For the checks alone: it is nothing that happens.
const NO_BARRIER: &str = "swapoff: needs no barrier";
/// Notes of what a CPU has read, and in which cell.
const EVIDENCE: [(&str, &str); 2] = [
    ("swapoff: unuse done", "si.inuse_pages"),
    ("swap-in: get_swap_device() fails", "users.state"),
];
/// At most this many steps of an endless loop are in the slice.
const LOOP: usize = 16;
/// The slice follows this many dependences in a row.
const DEPTH: usize = 3;

/// Beginnings of the cells that a violation is about, besides those that it names. I3 .. I17 are
/// invariants of docs/catalogue.md.
fn subjects(violation: &str) -> &'static [&'static str] {
    match violation.split_once(':').map_or("", |(invariant, _)| invariant) {
        "I3" if violation.ends_with("the device's end") => &["si.max", "percpu_swap_cluster"],
        "I3" => &["si.swap_map"],
        "I6" | "I7" | "I13" => &["ci["],
        "I14" => &["table_page"],
        "I15" => &["pfn", "folio.swap"],
        "I16" => &["swap_table", "swap_cache"],
        "I17" => &["extend_table"],
        "I9" => &[LIST_NOTES],
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

fn reads(step: &Step) -> bool {
    matches!(step.op, Op::Load | Op::Get | Op::Rmw { .. })
}

fn is_lock(step: &Step) -> bool {
    matches!(step.op, Op::Lock | Op::Wait | Op::Missed | Op::Unlock)
}

/// The value that the step found, if it looked.
fn found(step: &Step) -> Option<u64> {
    match step.op {
        Op::Load | Op::Get => Some(step.value),
        Op::Rmw { before } => Some(before),
        _ => None,
    }
}

/// A history, and what every step of the slicing needs from it.
pub(super) struct Slice<'a> {
    trace: &'a Trace,
    /// Per step: the steps at which its CPU took the locks that it holds.
    held: Vec<Vec<usize>>,
    /// Per place the steps that write it, since the workers started.
    written: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Slice<'a> {
    pub(super) fn new(trace: &'a Trace) -> Self {
        let mut written: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for n in (trace.start..trace.steps.len()).filter(|&n| writes(&trace.steps[n])) {
            written.entry(trace.steps[n].place).or_default().push(n);
        }
        Self { trace, held: sections(trace), written }
    }

    /// The locks that the step's CPU holds at it: the steps at which it took them.
    pub(super) fn held(&self, n: usize) -> &[usize] {
        &self.held[n]
    }

    /// The sections that the CPU is in at the end.
    pub(super) fn inside(&self, cpu: usize) -> Vec<usize> {
        let last = self.run().rev().find(|&n| self.step(n).cpu == cpu);
        let open = |&lock: &usize| self.end(lock).is_none();
        last.map_or(Vec::new(), |n| self.held[n].iter().copied().filter(open).collect())
    }

    fn step(&self, n: usize) -> &'a Step {
        &self.trace.steps[n]
    }

    /// The workers' steps since they started.
    fn run(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let all = self.trace.start..self.trace.steps.len();
        all.filter(|&n| self.step(n).cpu < self.trace.workers)
    }

    /// The step that broke something, if a worker did.
    fn last(&self) -> Option<usize> {
        let last = self.trace.steps.len().checked_sub(1)?;
        let own = last >= self.trace.start && self.step(last).cpu < self.trace.workers;
        (own && !is_at_rest(&self.trace.violation)).then_some(last)
    }

    /// Whether the violation is about the cell; not if it is about another cluster or slot.
    fn named(&self, cell: &str) -> bool {
        let violation = &self.trace.violation;
        let about = subjects(violation).iter().any(|s| cell.starts_with(s));
        let other = |what: &str, cells: bool| {
            let one = numbered(violation, what).filter(|_| cells);
            one.is_some_and(|one| index(cell).is_some_and(|index| index != one))
        };
        let by_cluster = cell.starts_with("ci[");
        let by_slot = !by_cluster && is_by_slot(cell);
        violation.contains(cell)
            || about && !other("cluster ", by_cluster) && !other("slot ", by_slot)
    }

    /// Whether steps on the cell can be in the slice.
    fn relevant(&self, cell: &str) -> bool {
        !list_link(cell) && (self.named(cell) || !MACHINERY.iter().any(|m| cell.starts_with(m)))
    }

    /// The writes to the cell of step `n` by other CPUs.
    fn theirs(&self, n: usize) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let cpu = self.step(n).cpu;
        let all = self.written.get(&self.step(n).place).map_or(&[][..], Vec::as_slice);
        let workers = self.trace.workers;
        all.iter().copied().filter(move |&m| {
            let by = self.step(m).cpu;
            by != cpu && by < workers
        })
    }

    /// Whether the cell is a word of the protocol.
    fn is_protocol(&self, n: usize) -> bool {
        PROTOCOL.contains(&of_device(&self.step(n).cell).as_str())
    }

    /// Where slicing begins (the slicing criterion): the violation, swapoff's milestones and
    /// barriers, and every change of a word of the protocol.
    fn criterion(&self) -> Vec<usize> {
        let before = self.earlier_lives();
        let milestone = |&n: &usize| {
            let step = self.step(n);
            if n < before {
                return false;
            }
            match step.op {
                Op::Note if step.cell.starts_with(LIST_NOTES) => self.named(LIST_NOTES),
                Op::Note => step.cell != NO_BARRIER,
                _ if step.stale.is_some() || self.missed(n) => true,
                _ if writes(step) => self.marks(step),
                _ => self.is_barrier(n),
            }
        };
        let evidence = self.run().filter_map(|n| {
            let (_, cell) = EVIDENCE.into_iter().find(|(note, _)| self.step(n).cell == *note)?;
            self.own_before(n, |read| of_device(&read.cell) == cell)
        });
        let tests =
            self.run().filter(|&n| self.is("I2") && self.is_allocation(n)).filter_map(|n| {
                let same = |read: &Step| read.function == self.step(n).function;
                self.own_before(n, |read| of_device(&read.cell) == "si.flags" && same(read))
            });
        let looks = self.run().filter(|&n| self.is(HOLDS) && self.is_unuse(n));
        let all = self.run().filter(milestone).chain(evidence).chain(tests);
        all.chain(looks).chain(self.last_acts()).collect()
    }

    /// Whether step `n` is the write that a stale read should have seen.
    fn missed(&self, n: usize) -> bool {
        let last = |m: usize| self.written[&self.step(m).place].iter().rev().find(|&&w| w < m);
        let stale = |m: &usize| self.step(*m).stale.is_some();
        writes(self.step(n)) && self.run().filter(stale).any(|m| last(m) == Some(&n))
    }

    /// The last read before step `n` of the same CPU that is `wanted`.
    fn own_before(&self, n: usize, wanted: impl Fn(&Step) -> bool) -> Option<usize> {
        let own = |&m: &usize| {
            let step = self.step(m);
            m < n && step.cpu == self.step(n).cpu && found(step).is_some() && wanted(step)
        };
        self.run().rev().find(own)
    }

    /// Where the last life of a device that is swapped off again begins: what swapoff did before says
    /// nothing of how that one ends.
    fn earlier_lives(&self) -> usize {
        let last = |note: &str| self.run().rev().find(|&n| self.step(n).cell == note);
        let (on, off) = (last("swapon"), last("swapoff: SWP_WRITEOK cleared"));
        on.filter(|_| off > on).unwrap_or(0)
    }

    /// Whether a write is shown for its own sake.
    fn marks(&self, step: &Step) -> bool {
        let allocates = step.function == ALLOCATES && self.is_about_slots();
        match of_device(&step.cell).as_str() {
            "si.inuse_pages" => allocates || LISTS.contains(&step.function) && self.is("I4"),
            cell if is_record(cell) && allocates => true,
            cell => PROTOCOL.contains(&cell) || self.named(&step.cell) && !list_link(cell),
        }
    }

    /// Whether the step makes a slot allocated, and that is what it is about.
    fn is_allocation(&self, n: usize) -> bool {
        let step = self.step(n);
        writes(step) && is_record(&step.cell) && self.marks(step)
    }

    /// Whether unuse looks there whether anything is in use.
    fn is_unuse(&self, n: usize) -> bool {
        let step = self.step(n);
        step.function == "try_to_unuse" && of_device(&step.cell) == "si.inuse_pages"
    }

    /// Whether the violation is about slots that become allocated.
    fn is_about_slots(&self) -> bool {
        ["I1:", "I2:", "I4:", HOLDS].iter().any(|about| self.is(about))
    }

    /// The last acts of the CPU that broke something: its last access with what it read of the same
    /// matter in the same function, and the access with which it races; or, if it loops for ever, one
    /// round of the loop.
    fn last_acts(&self) -> Vec<usize> {
        let Some(last) = self.last() else { return Vec::new() };
        let broken = self.step(last);
        let shown = |&n: &usize| {
            let step = self.step(n);
            let about = self.relevant(&step.cell) || n == last;
            step.cpu == broken.cpu && step.op != Op::Note && about && !is_lock(step)
        };
        let mut own = self.run().rev().filter(shown);
        if self.is("no end") {
            let mut seen = BTreeSet::new();
            let same = |&n: &usize| {
                let Step { function, cell, value, .. } = self.step(n);
                seen.insert((*function, cell, *value))
            };
            return own.take_while(same).take(LOOP).collect();
        }
        let other = |&n: &usize| {
            let step = self.step(n);
            n < last && step.cpu != broken.cpu && step.place == broken.place && !is_lock(step)
        };
        let other = self.run().rev().find(other);
        let before = |n: &usize| {
            let step = self.step(*n);
            step.function == broken.function && self.named(&step.cell) && !self.is("data race")
        };
        let end = own.next();
        let references = [Some(last), other].map(|n| n.and_then(|n| self.reference(n)));
        let references = references.into_iter().flatten().filter(|_| self.is("data race"));
        let before = own.filter(before).take(2);
        end.into_iter().chain(before).chain(other).chain(references).collect()
    }

    /// What the CPU of step `n` last did about its reference before it.
    fn reference(&self, n: usize) -> Option<usize> {
        let cpu = self.step(n).cpu;
        let own =
            |&m: &usize| m < n && self.step(m).cpu == cpu && self.step(m).cell.starts_with("users");
        self.run().rev().find(own)
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

    /// The steps that step `n` depends on. For a read: the write of another CPU that it saw. For a
    /// write: what its CPU acted on, and what made that out of date before it acted.
    fn dependences(&self, n: usize, depth: usize) -> Vec<usize> {
        let step = self.step(n);
        let mut needed = Vec::new();
        if reads(step) {
            needed.extend(self.seen(n));
        }
        let last = Some(n) == self.last();
        if matches!(step.op, Op::Store | Op::Set) && self.is_protocol(n) {
            let read = self.own_before(n, |read| read.place == step.place);
            needed.extend(read.filter(|&m| !self.notes_between(m, n)));
        }
        let acts = (writes(step) || last)
            && ["no end", "data race", HOLDS].iter().all(|kind| !self.is(kind));
        if acts {
            let any = last || depth == 1;
            let acted_on = |m: usize| self.matters(m) && (any || self.step(m).place == step.place);
            needed.extend(self.overtaken(n, acted_on));
            if last {
                needed.extend(self.informed(n));
            }
        }
        needed
    }

    /// Whether the CPU of step `n` passes a milestone between step `m` and it.
    fn notes_between(&self, m: usize, n: usize) -> bool {
        let cpu = self.step(n).cpu;
        (m..n).map(|k| self.step(k)).any(|step| step.cpu == cpu && step.op == Op::Note)
    }

    /// Whether what a CPU reads in the cell can be why it broke something.
    fn matters(&self, n: usize) -> bool {
        let cell = &self.step(n).cell;
        let any = subjects(&self.trace.violation).is_empty();
        self.relevant(cell) && (any || self.named(cell) || self.is_protocol(n))
    }

    /// Whether the violation is of this kind: it begins so.
    fn is(&self, kind: &str) -> bool {
        self.trace.violation.starts_with(kind)
    }

    /// The last read that the CPU of step `n` `acted_on` there although another CPU had written
    /// meanwhile, and that write.
    fn overtaken(&self, n: usize, acted_on: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut reads = self.before(n).filter(|&m| acted_on(m));
        let pair = |m: usize| Some([m, self.theirs(m).find(|&k| k > m && k < n)?]);
        reads.find_map(pair).into_iter().flatten().collect()
    }

    /// The last read before step `n` in which its CPU saw what another one had written.
    fn informed(&self, n: usize) -> Option<usize> {
        self.before(n).find(|&m| self.matters(m) && self.seen(m).is_some())
    }

    /// The plain reads of its CPU before step `n`, the last one first.
    fn before(&self, n: usize) -> impl Iterator<Item = usize> + '_ {
        let cpu = self.step(n).cpu;
        self.run().rev().filter(move |&m| {
            let step = self.step(m);
            m < n && step.cpu == cpu && matches!(step.op, Op::Load | Op::Get)
        })
    }

    /// The write of another CPU whose value the step found.
    fn seen(&self, n: usize) -> Option<usize> {
        match self.step(n).stale {
            Some(Seen::Step(seen)) => return Some(seen).filter(|&m| m >= self.trace.start),
            Some(Seen::Initial) => return None,
            None => (),
        }
        let all = self.written.get(&self.step(n).place)?;
        let last = all.iter().rev().copied().find(|&m| m < n)?;
        let by = self.step(last).cpu;
        (by != self.step(n).cpu && by < self.trace.workers).then_some(last)
    }

    /// The steps in the slice, in order.
    pub(super) fn steps(&self) -> Vec<usize> {
        let mut kept = BTreeSet::new();
        let mut todo: Vec<(usize, usize)> = self.criterion().into_iter().map(|n| (n, 0)).collect();
        todo.reverse();
        while let Some((n, depth)) = todo.pop() {
            if kept.insert(n) && depth < DEPTH {
                todo.extend(self.dependences(n, depth).into_iter().map(|m| (m, depth + 1)));
            }
        }
        self.without_overwritten(&mut kept);
        self.complete(&mut kept);
        kept.extend(self.sections_around(&kept));
        without_repeats(self.trace, kept.into_iter().collect())
    }

    /// Takes out writes that the same CPU writes over before another CPU is in the slice; not those that put a
    /// cluster on the free list, from where any CPU may take it.
    fn without_overwritten(&self, kept: &mut BTreeSet<usize>) {
        let mut later: BTreeSet<usize> = BTreeSet::new();
        let mut running = None;
        let mut gone = Vec::new();
        for &n in kept.iter().rev() {
            let step = self.step(n);
            if running.replace(step.cpu) != Some(step.cpu) {
                later.clear();
            }
            let listed =
                step.cell.starts_with("ci[") && formatted(&step.cell, step.value) == "FREE";
            let shown = self.is_protocol(n) || self.missed(n) || listed;
            if writes(step) && !later.insert(step.place) && !shown {
                gone.push(n);
            }
        }
        gone.iter().for_each(|n| {
            kept.remove(n);
        });
    }

    /// Adds the writes without which a read in the slice would contradict the last access to its cell
    /// in it.
    fn complete(&self, kept: &mut BTreeSet<usize>) {
        loop {
            let mut known: BTreeMap<usize, u64> = BTreeMap::new();
            let mut missing = None;
            for &n in kept.iter() {
                let step = self.step(n);
                if step.op == Op::Note || is_lock(step) || step.stale.is_some() {
                    continue;
                }
                if let (Some(value), Some(&now)) = (found(step), known.get(&step.place))
                    && value != now
                {
                    let all = &self.written[&step.place];
                    missing = all.iter().rev().copied().find(|&m| m < n);
                    break;
                }
                known.insert(step.place, step.value);
            }
            match missing {
                Some(write) => kept.insert(write),
                None => return,
            };
        }
    }

    /// If plain write `n` loses what another CPU wrote after the read that it goes by: that write, and
    /// it.
    fn torn(&self, n: usize) -> Vec<usize> {
        let step = self.step(n);
        let plain = matches!(step.op, Op::Store | Op::Set);
        let read = self.own_before(n, |read| read.place == step.place).filter(|_| plain);
        let lost = read.and_then(|m| self.theirs(n).find(|&k| k > m && k < n));
        lost.map_or(Vec::new(), |lost| vec![lost, n])
    }

    /// Begin and end of the lock sections around `kept` steps that say something: where both CPUs
    /// want the lock, where what is done in it is what CPUs disagree about, and where another CPU does
    /// something meanwhile. Of locks other than a cluster's and a device's only those around a lost
    /// update. And the ends of barriers.
    fn sections_around(&self, kept: &BTreeSet<usize>) -> BTreeSet<usize> {
        let access = |n: &&usize| self.step(**n).op != Op::Note && !is_lock(self.step(**n));
        let accesses: Vec<usize> = kept.iter().filter(access).copied().collect();
        let around: BTreeSet<usize> = accesses
            .iter()
            .flat_map(|&n| self.held[n].iter().copied())
            .filter(|&n| n >= self.trace.start)
            .collect();
        let cpus = |of: &dyn Fn(&Step) -> bool, among: &BTreeSet<usize>| {
            let by = among.iter().map(|&n| self.step(n)).filter(|s| of(s));
            by.map(|s| s.cpu).collect::<BTreeSet<_>>().len()
        };
        let barriers: BTreeSet<usize> =
            kept.iter().copied().filter(|&n| self.is_barrier(n)).collect();
        let locks: BTreeSet<usize> = around.union(&barriers).copied().collect();
        let disputed = |n: usize| {
            let place = self.step(n).place;
            let of = |s: &Step| s.place == place;
            cpus(&of, kept) > 1
                && accesses.iter().any(|&m| of(self.step(m)) && writes(self.step(m)))
        };
        let torn: BTreeSet<usize> = accesses.iter().flat_map(|&n| self.torn(n)).collect();
        let says = |&lock: &usize| {
            let (begin, end) = (self.step(lock), self.end(lock).unwrap_or(usize::MAX));
            let inside = || kept.range(lock..end).copied();
            let own = || inside().filter(|&n| self.step(n).cpu == begin.cpu && access(&&n));
            if of_device(&begin.cell) != "si.lock" && !begin.cell.starts_with("ci[") {
                return own().any(|n| torn.contains(&n));
            }
            let wanted = cpus(&|s| s.place == begin.place, &locks) > 1;
            let meanwhile = inside().any(|n| self.step(n).cpu != begin.cpu);
            let about = self.last().is_none() && own().any(|n| self.named(&self.step(n).cell));
            wanted || meanwhile || about || own().any(disputed)
        };
        let begins = around.iter().copied().filter(says).chain(barriers.iter().copied());
        begins.flat_map(|n| [self.wait(n), Some(n), self.end(n)]).flatten().collect()
    }

    /// Where the CPU began to wait for the section that it begins at `lock`.
    fn wait(&self, lock: usize) -> Option<usize> {
        let begin = self.step(lock);
        let own = |&n: &usize| self.step(n).cpu == begin.cpu;
        let before = (self.trace.start..lock).rev().find(own)?;
        let step = self.step(before);
        (step.op == Op::Wait && step.place == begin.place).then_some(before)
    }

    /// The unlock that ends the section begun at `lock`.
    fn end(&self, lock: usize) -> Option<usize> {
        let begin = self.step(lock);
        let ends = |&n: &usize| {
            let step = self.step(n);
            step.op == Op::Unlock && (step.cpu, step.place) == (begin.cpu, begin.place)
        };
        (lock + 1..self.trace.steps.len()).find(ends)
    }
}

/// The number that follows `what` in the text.
fn numbered(text: &str, what: &str) -> Option<usize> {
    let (_, rest) = text.split_once(what)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The n of `cell[n]`.
fn index(cell: &str) -> Option<usize> {
    numbered(cell, "[")
}

/// Whether the cell is one of an array with an element per slot.
fn is_by_slot(cell: &str) -> bool {
    is_record(cell) || ["swap_cache[", "pfn["].iter().any(|array| cell.starts_with(array))
}

/// Whether the cell is a link inside a list: never in the slice.
fn list_link(cell: &str) -> bool {
    cell.ends_with("_clusters") || cell.contains(".list.")
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
            mine.retain(|&lock| trace.steps[lock].place != step.place);
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
            matches!(steps[n].op, Op::Load | Op::Get)
                && same == (steps[n].op, &steps[n].cell, steps[n].value, steps[n].function)
        })
    };
    kept.iter().copied().filter(|n| !repeats(n)).collect()
}
