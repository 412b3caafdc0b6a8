//! Hardware and software counters of one thread. Guards against three wrong counts: a 0 for an
//! event that may not be counted, a sum that lacks a thread, and a scaled count that is not marked.
//!
//! A group that the PMU cannot hold is split, and its events are counted separately. The kernel
//! reports such a group (EINVAL), or it never runs in a trial (an NMI watchdog holds a register).

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use results::schema::{Counter, Reading};
use rustix::io::Errno;

use super::{Roots, reason};

pub mod events;
mod kernel;

pub use events::{Event, Groups, Kind, Set};
pub use kernel::{Group, Perf, Raw};

/// The counters of the thread that opened them.
pub struct Counters<G = Perf> {
    groups: Vec<Open<G>>,
    missing: BTreeMap<String, String>,
}

struct Open<G> {
    /// as displayed: with `:u` where the kernel is not counted
    names: Vec<String>,
    group: Result<G, String>,
    before: Raw,
}

impl Counters {
    /// Opens the groups for the calling thread. The result has the reason for each event that
    /// cannot be counted.
    pub fn open(groups: &[Vec<Event>]) -> Self {
        Self::open_on(groups, &paranoid(&Roots::default()))
    }
}

impl<G: Group> Counters<G> {
    /// `paranoid` is `kernel.perf_event_paranoid`, for the reason where an event is forbidden.
    fn open_on(groups: &[Vec<Event>], paranoid: &str) -> Self {
        let mut all = Self { groups: Vec::new(), missing: BTreeMap::new() };
        for group in groups {
            let group = group.iter().filter_map(|event| match &event.kind {
                Ok(_) => Some((event.clone(), event.kernel)),
                Err(why) => {
                    all.missing.insert(event.name.clone(), why.clone());
                    None
                }
            });
            let group = group.collect();
            all.open_group(group, paranoid);
        }
        all
    }

    /// Opens the events of `group` that can be counted, in as few groups as possible.
    fn open_group(&mut self, mut group: Vec<(Event, bool)>, paranoid: &str) {
        while !group.is_empty() {
            match G::open(&group) {
                Ok(mut open) => {
                    if group.len() > 1 && never_runs(&mut open) {
                        drop(open);
                        group.into_iter().for_each(|one| self.open_group(vec![one], paranoid));
                        return;
                    }
                    let names = group.iter().map(|(event, kernel)| shown(event, *kernel)).collect();
                    self.groups.push(Open { names, group: Ok(open), before: Raw::default() });
                    return;
                }
                Err((at, error)) => {
                    let (event, kernel) = &mut group[at];
                    if forbidden(&error) && *kernel && !event.kernel_only {
                        *kernel = false;
                    } else if Errno::from_io_error(&error) == Some(Errno::INVAL) && at > 0 {
                        let rest = group.split_off(at);
                        self.open_group(rest, paranoid);
                    } else {
                        let (event, kernel) = group.remove(at);
                        self.missing.insert(shown(&event, kernel), why(&error, paranoid));
                    }
                }
            }
        }
    }

    /// Starts counting. May be called again after `stop`.
    pub fn start(&mut self) {
        for open in &mut self.groups {
            open.attempt("start", |group, before| {
                *before = group.read()?;
                group.enable()
            });
        }
    }

    /// Stops counting and returns the counts since `start`, by event.
    pub fn stop(&mut self) -> BTreeMap<String, Counter> {
        // All stop before the first is read: the others would count the reading.
        for open in &mut self.groups {
            open.attempt("stop", |group, _| group.disable());
        }
        let missing = self.missing.iter().map(|(name, why)| (name.clone(), lacking(why)));
        let mut all: BTreeMap<String, Counter> = missing.collect();
        all.extend(self.groups.iter_mut().flat_map(Open::since_start));
        all
    }
}

impl<G: Group> Open<G> {
    /// Runs `step`; a group that fails is not counted from then on.
    fn attempt(&mut self, what: &str, step: impl FnOnce(&mut G, &mut Raw) -> io::Result<()>) {
        if let Ok(group) = &mut self.group
            && let Err(error) = step(group, &mut self.before)
        {
            self.group = Err(format!("failed to {what}: {}", reason(&error)));
        }
    }

    fn since_start(&mut self) -> Vec<(String, Counter)> {
        let mut now = Raw::default();
        self.attempt("read", |group, _| {
            now = group.read()?;
            Ok(())
        });
        let before = &self.before;
        let enabled = now.enabled_ns.saturating_sub(before.enabled_ns);
        let running = now.running_ns.saturating_sub(before.running_ns);
        let value = |at: usize| match &self.group {
            Err(why) => lacking(why),
            Ok(_) if running == 0 => lacking(
                "not counted: it never had a register (PMU taken by others, or an event of \
                 another core type)",
            ),
            Ok(_) => {
                let start = before.counts.get(at).copied().unwrap_or(0);
                let scaled = enabled as f64 / running as f64;
                let count = now.counts[at].saturating_sub(start);
                Counter::Value { value: (count as f64 * scaled).round() as u64, scaled }
            }
        };
        self.names.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect()
    }
}

fn lacking(why: &str) -> Counter {
    Counter::Unsupported { unsupported: why.into() }
}

/// The displayed name: as in perf, it ends in `:u` where the kernel is not counted.
fn shown(event: &Event, kernel: bool) -> String {
    let user = if kernel || !event.kernel { "" } else { ":u" };
    format!("{}{user}", event.name)
}

/// True if the group was never on the PMU while it was enabled.
fn never_runs(group: &mut impl Group) -> bool {
    let trial = group.enable().and_then(|()| group.disable()).and_then(|()| group.read());
    trial.is_ok_and(|read| read.enabled_ns > 0 && read.running_ns == 0)
}

fn forbidden(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ACCESS | Errno::PERM))
}

/// One line that says why an event cannot be counted.
fn why(error: &io::Error, paranoid: &str) -> String {
    let words = reason(error);
    let name = words.split(':').next().unwrap_or(&words);
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::OPNOTSUPP | Errno::NODEV) => {
            format!("unsupported: {name} (no PMU here, or it has no such event)")
        }
        Some(Errno::NOSYS) => format!("unsupported: {name} (kernel without perf events)"),
        Some(Errno::INVAL) => format!("unsupported: {name} (this kernel does not take the event)"),
        Some(Errno::ACCESS | Errno::PERM) => {
            format!("forbidden: {name} (perf_event_paranoid={paranoid}; needs CAP_PERFMON)")
        }
        Some(Errno::MFILE | Errno::NFILE) => format!("busy: {name} (too many open files)"),
        Some(Errno::NOSPC | Errno::BUSY) => format!("busy: {name} (no counter register left)"),
        _ => format!("unsupported: {words}"),
    }
}

fn paranoid(roots: &Roots) -> String {
    match roots.proc("sys/kernel/perf_event_paranoid") {
        Reading::Known(value) => value,
        Reading::Unknown { .. } => "?".into(),
    }
}

/// The sum over threads. A counter that any thread lacks has no sum.
pub fn sum(threads: &[BTreeMap<String, Counter>]) -> BTreeMap<String, Counter> {
    let missing = || lacking("not counted on every thread");
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
mod tests;
