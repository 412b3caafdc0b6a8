//! A race diagram: the steps of a failing execution that matter, one lane per CPU, as they are drawn on
//! the mailing list. Guards that it reads as one timeline: each read returns the last write above it or
//! is marked as stale, and the same history always gives the same diagram.

use crate::slice::Slice;
use crate::timeline::{Order, sequential};
use crate::words::{formatted, kernel_name, sentence};
use crate::{columns, picture};
use machine::checked::{Op, Seen, Step, Trace};

/// What the message of an example begins with that breaks nothing, behind its invariant.
pub(crate) const HOLDS: &str = "I2 holds: ";

/// One CPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its number in the scenario.
    pub cpu: usize,
    /// What it does.
    pub role: String,
    /// The sections that it is in at the end: the steps that began them.
    inside: Vec<usize>,
}

impl Lane {
    /// Whether it is in the section at the end.
    pub(crate) fn holds(&self, section: usize) -> bool {
        self.inside.contains(&section)
    }

    pub(crate) fn title(&self) -> String {
        format!("CPU {}: {}", self.cpu, self.role)
    }
}

/// What a step does to a cell, as far as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The cell, in the kernel's notation.
    pub cell: String,
    /// The kind of access.
    pub op: Op,
    /// The value that it found; none for a write that does not look, and for locks and notes.
    pub found: Option<String>,
    /// The value that it left behind, or found.
    pub value: String,
    /// A read that did not return the last write.
    pub stale: bool,
}

/// One numbered line: a step, or some that are one act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The index of the CPU among the [lanes](Diagram::lanes).
    pub lane: usize,
    /// The kernel function; "" where none is known.
    pub function: String,
    /// The CPU was in another one at its line before.
    pub enters: bool,
    /// The step, in words.
    pub text: String,
    /// What it accesses, in order.
    pub accesses: Vec<Access>,
    /// The locks that the CPU holds meanwhile, the one that it took first first.
    pub held: Vec<String>,
    /// The steps at which it took them.
    taken: Vec<usize>,
    /// Its steps in the history.
    steps: Vec<usize>,
}

impl Row {
    /// The sections that it is in, by the step that began each, with their locks.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (usize, &str)> {
        self.taken.iter().copied().zip(self.held.iter().map(String::as_str))
    }

    /// Whether it begins this section.
    pub(crate) fn takes(&self, section: usize) -> bool {
        self.steps.contains(&section)
    }

    /// The function as a heading, where it is not that of the line before.
    pub(crate) fn heading(&self) -> Option<String> {
        self.enters.then(|| format!("{}()", self.function))
    }

    /// Whether it is a milestone, and not an access.
    pub fn is_note(&self) -> bool {
        self.accesses.iter().any(|access| access.op == Op::Note)
    }
}

/// A diagram, to be drawn as text for a mail or as SVG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
    /// The CPUs that do something in it.
    pub lanes: Vec<Lane>,
    /// The lines, in order.
    pub rows: Vec<Row>,
    /// Whether each read returns the last write.
    pub order: Order,
    /// The first and the last row of the race: a read that another CPU made out of date, and the act
    /// that trusted it.
    pub window: Option<(usize, usize)>,
    /// The cells and their values before the first row, as far as they are known.
    pub initial: Vec<(String, String)>,
    /// The failure's message.
    pub violation: String,
}

impl Diagram {
    /// The diagram of `trace`, with the CPUs' `roles` as titles.
    pub fn new(trace: &Trace, roles: &[&str]) -> Self {
        let (trace, order) = &sequential(trace);
        let slice = Slice::new(trace);
        let acts = acts(trace, &slice.steps());
        let of = |cpu: usize| acts.iter().any(|act| trace.steps[act[0]].cpu == cpu);
        let cpus: Vec<usize> = (0..trace.workers).filter(|&cpu| of(cpu)).collect();
        let number = |n: usize| acts.iter().position(|act| act.contains(&n)).map(|row| row + 1);
        let mut functions = vec![""; trace.workers + 1];
        let rows = acts.iter().map(|act| {
            let first = &trace.steps[act[0]];
            let before = std::mem::replace(&mut functions[first.cpu], first.function);
            let entered = before != first.function && !first.function.is_empty();
            let locks = slice.held(act[0]).iter().map(|&lock| kernel_name(&trace.steps[lock].cell));
            Row {
                lane: cpus.iter().position(|&cpu| cpu == first.cpu).expect("it has an act"),
                function: first.function.into(),
                enters: entered,
                text: text(trace, act, number),
                accesses: act.iter().map(|&n| access(&trace.steps[n])).collect(),
                held: locks.collect(),
                taken: slice.held(act[0]).to_vec(),
                steps: act.clone(),
            }
        });
        let rows: Vec<Row> = rows.collect();
        let lane = |&cpu: &usize| Lane {
            cpu,
            role: roles.get(cpu).unwrap_or(&"").to_string(),
            inside: slice.inside(cpu),
        };
        let lanes = cpus.iter().map(lane).collect();
        let initial = initial(trace, &rows);
        let violation = trace.violation.clone();
        let mut drawn = Self { lanes, rows, order: *order, window: None, initial, violation };
        drawn.window = window(trace, &drawn.rows).filter(|_| drawn.is_broken());
        drawn
    }

    /// What has to be said about the order, if the rows cannot be read as a timeline.
    pub fn remark(&self) -> Option<String> {
        match self.order {
            Order::Sequential => None,
            Order::Weak => Some(
                "No order of these steps has every read return the last write: a weak memory model \
                 is needed."
                    .into(),
            ),
            Order::NotFound => {
                Some("No order in which every read returns the last write was found.".into())
            }
        }
    }

    /// The diagram as ASCII text of at most 72 columns.
    pub fn ascii(&self) -> String {
        columns::ascii(self)
    }

    /// The diagram as a picture.
    pub fn svg(&self, title: &str) -> String {
        picture::svg(self, title)
    }

    /// Whether it shows how something breaks, and not how it holds.
    pub(crate) fn is_broken(&self) -> bool {
        !self.violation.starts_with(HOLDS)
    }

    /// The drawn cells and their values after each row; "?" until something is known.
    pub fn states(&self) -> Vec<Vec<(String, String)>> {
        let mut now = self.initial.clone();
        let after = self.rows.iter().map(|row| {
            for access in row.accesses.iter().filter(|access| !access.stale) {
                let cell = now.iter_mut().find(|(cell, _)| *cell == access.cell);
                cell.into_iter().for_each(|cell| cell.1.clone_from(&access.value));
            }
            now.clone()
        });
        after.collect()
    }
}

/// The `kept` steps by row: a section with nothing in it is one act, and so are writes of one value to
/// neighbouring elements.
fn acts(trace: &Trace, kept: &[usize]) -> Vec<Vec<usize>> {
    let mut acts: Vec<Vec<usize>> = Vec::new();
    for &n in kept {
        let step = &trace.steps[n];
        let joins = acts.last().is_some_and(|act| {
            let before = &trace.steps[*act.last().expect("never empty")];
            let same = (before.cpu, before.function) == (step.cpu, step.function);
            same && (closes(before, step) || continues(before, step))
        });
        match acts.last_mut().filter(|_| joins) {
            Some(act) => act.push(n),
            None => acts.push(vec![n]),
        }
    }
    acts
}

/// Whether `step` ends the section that `before` begins.
fn closes(before: &Step, step: &Step) -> bool {
    (before.op, step.op) == (Op::Lock, Op::Unlock) && before.place == step.place
}

/// Whether `step` writes to the next element what `before` has written.
fn continues(before: &Step, step: &Step) -> bool {
    let (Some(a), Some(b)) = (element(&before.cell), element(&step.cell)) else { return false };
    let plain = matches!(step.op, Op::Store | Op::Set) && before.op == step.op;
    plain && (a.0, a.1 + 1, a.2) == b && before.value == step.value
}

/// `name[index]rest` in its parts.
fn element(cell: &str) -> Option<(&str, usize, &str)> {
    let (name, rest) = cell.split_once('[')?;
    let (index, rest) = rest.split_once(']')?;
    Some((name, index.parse().ok()?, rest))
}

/// A row in words.
fn text(trace: &Trace, act: &[usize], number: impl Fn(usize) -> Option<usize>) -> String {
    let (first, last) = (&trace.steps[act[0]], &trace.steps[act[act.len() - 1]]);
    match first.op {
        Op::Lock if act.len() > 1 => format!("lock, unlock {}", kernel_name(&first.cell)),
        _ if act.len() > 1 => {
            let (first_cell, last_cell) = (element(&first.cell), element(&last.cell));
            let ((name, from, rest), (_, to, _)) = first_cell.zip(last_cell).expect("of an array");
            let cell = kernel_name(&format!("{name}[{from}..{to}]{rest}"));
            format!("{cell} = {}", formatted(&first.cell, first.value))
        }
        _ => sentence(first, &seen(trace, first, number)),
    }
}

/// What a stale read returns, in words.
fn seen(trace: &Trace, step: &Step, number: impl Fn(usize) -> Option<usize>) -> String {
    match step.stale {
        None => String::new(),
        Some(Seen::Step(n)) if n >= trace.start => match number(n) {
            Some(n) => format!(" (stale: the value of step {n})"),
            None => " (stale: an older value)".into(),
        },
        Some(_) => " (stale: the initial value)".into(),
    }
}

fn access(step: &Step) -> Access {
    let (value, found) = match step.op {
        Op::Note | Op::Lock | Op::Wait | Op::Missed | Op::Unlock => (step.value, None),
        Op::Load | Op::Get => (step.value, Some(step.value)),
        Op::Rmw { before } => (step.value, Some(before)),
        Op::Store | Op::Set => (step.value, None),
    };
    Access {
        cell: kernel_name(&step.cell),
        op: step.op,
        found: found.map(|found| formatted(&step.cell, found)),
        value: formatted(&step.cell, value),
        stale: step.stale.is_some(),
    }
}

fn is_lock(op: Op) -> bool {
    matches!(op, Op::Lock | Op::Wait | Op::Missed | Op::Unlock)
}

/// The value of each cell in `rows` before the first of them.
fn initial(trace: &Trace, rows: &[Row]) -> Vec<(String, String)> {
    let mut cells: Vec<(String, String)> = Vec::new();
    let drawn = rows.iter().flat_map(|row| &row.steps).map(|&n| &trace.steps[n]);
    for step in drawn.filter(|step| step.op != Op::Note && !is_lock(step.op)) {
        let cell = kernel_name(&step.cell);
        if cells.iter().any(|known| known.0 == cell) {
            continue;
        }
        let set_up = trace.steps[..trace.start].iter().rev().find(|s| s.place == step.place);
        let value = access(step).found.or(set_up.map(|s| formatted(&s.cell, s.value)));
        cells.push((cell, value.unwrap_or_else(|| "?".into())));
    }
    cells
}

/// From the read that another CPU makes out of date to the act that trusted it. If the last row is a
/// write, what was read before by another CPU; or else the first such read in the rows.
fn window(trace: &Trace, rows: &[Row]) -> Option<(usize, usize)> {
    let step = |row: usize| &trace.steps[rows[row].steps[0]];
    let plain = |s: &Step| s.op != Op::Note && !is_lock(s.op);
    let writes = |s: &Step| matches!(s.op, Op::Store | Op::Set | Op::Rmw { .. });
    let last = rows.len().checked_sub(1)?;
    let clash = |a: usize, b: usize| {
        step(a).cpu != step(b).cpu && step(a).place == step(b).place && plain(step(a))
    };
    if plain(step(last)) && trace.steps.len() == rows[last].steps[0] + 1 {
        let other = (0..last).rev().find(|&row| clash(row, last));
        let trusted = other.filter(|&row| writes(step(row)) || writes(step(last)));
        if let Some(row) = trusted.filter(|&row| writes(step(last)) || !writes(step(row))) {
            return Some((row, last));
        }
    }
    (0..=last).find_map(|row| {
        let looks = access(step(row)).found.is_some();
        let over = (row + 1..=last).find(|&w| looks && clash(row, w) && writes(step(w)))?;
        let trusts = |&act: &usize| step(act).cpu == step(row).cpu && writes(step(act));
        let acts = (over + 1..=last).find(trusts)?;
        Some((row, acts))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::WIDTH;
    use machine::checked::{Config, Loom, last_trace};
    use machine::{Atomic, Cpu, Fields, Machine, Region};

    type M = Loom;
    struct Flag(<M as Machine>::Atomic<u32>);
    impl Fields for Flag {
        fn fields() -> Vec<(&'static str, usize)> {
            vec![("flag", 0)]
        }
    }

    fn store_buffering() -> Diagram {
        let run = M::run(
            &Config::bounded(2, 2),
            |_| Region::<M, Flag>::new("si", 2, |_| Flag(Atomic::new(0))),
            |si, cpu| {
                M::enter(if cpu.id() == 0 { "swapoff" } else { "scan_swap_map_slots" });
                si[cpu.id()].0.store(1);
                let seen = si[1 - cpu.id()].0.load();
                si[cpu.id()].0.store(2 + seen);
            },
            |si, _| {
                let none = si.iter().all(|f| f.0.peek() == 2);
                assert!(!none, "both CPUs read 0");
            },
        );
        run.unwrap_err();
        Diagram::new(&last_trace().unwrap(), &["swapoff", "allocator"])
    }

    #[test]
    fn where_no_order_explains_the_reads_a_stale_one_is_marked() {
        let diagram = store_buffering();
        let ascii = diagram.ascii();
        assert_eq!(diagram.order, Order::Weak, "{ascii}");
        assert!(ascii.lines().all(|line| line.len() <= WIDTH), "{ascii}");
        assert!(ascii.contains("scan_swap_map_slots()"), "{ascii}");
        assert!(ascii.contains("(stale: the initial"), "{ascii}");
        assert!(ascii.contains("No order of these steps"), "{ascii}");
        assert!(ascii.trim_end().ends_with("=> both CPUs read 0"), "{ascii}");
    }

    #[test]
    fn the_same_failure_gives_the_same_diagram() {
        assert_eq!(store_buffering(), store_buffering());
        assert_eq!(store_buffering().svg(""), store_buffering().svg(""));
    }
}
