//! The time of each step of a swapoff in a guest's kernel: kprobes on functions that swapoff(2)
//! calls in a fixed order cut the call into steps. Guards against guesses: a swapoff whose marks
//! cannot be matched keeps its time in one piece.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use results::schema::{Step, Swapoff};
use results::steps::{self, BARRIER_AND_UNUSE, GRACE_PERIOD, UNUSE};

use super::tracefs::{TRACING, append};

/// The marks: name, probe, and the step that begins where the probe is hit. A function that the
/// compiler has inlined has no mark in that kernel.
const MARKS: [(&str, &str, &str); 10] = [
    // The inner function, __do_sys_swapoff(), cannot be probed in the packaged kernels: EINVAL.
    ("begin", "p __x64_sys_swapoff", "block"),
    ("drain", "p disable_swap_slots_cache_lock", "drain"),
    ("drained", "r disable_swap_slots_cache_lock", UNUSE),
    // 6.14 and later: wait_for_allocation() follows. It is inlined, so its end cannot be seen.
    ("blocked", "r del_from_avail_list", BARRIER_AND_UNUSE),
    // 7.0 and later: del_from_avail_list() is inlined too, and the barrier is part of the first step.
    ("unuse", "p shmem_unuse", UNUSE),
    ("killed", "p synchronize_rcu", GRACE_PERIOD),
    ("graced", "r synchronize_rcu", "users"),
    ("flush", "p flush_work", "flush"),
    ("free", "p destroy_swap_extents", "free"),
    ("end", "r __x64_sys_swapoff", ""),
];

/// The probes, while they are switched on.
pub struct Steps;

impl Steps {
    /// Switches the probes on.
    ///
    /// # Errors
    /// The reason why the begin or the end of a swapoff cannot be probed.
    pub fn start() -> Result<Steps, String> {
        let tracing = Path::new(TRACING);
        append(&tracing.join("trace_clock"), "mono")?;
        for (name, probe, _) in MARKS {
            let (kind, function) = probe.split_once(' ').expect("a constant");
            let line = format!("{kind}:swapoff/{name} {function}");
            let made = append(&tracing.join("kprobe_events"), &line);
            if name == "begin" || name == "end" {
                made?;
            }
        }
        append(&tracing.join("events/swapoff/enable"), "1")?;
        Ok(Steps)
    }

    /// Cuts the swapoffs of one cell, which must be all that there were since the last call.
    pub fn cut(&self, swapoffs: &mut [Swapoff]) {
        let trace = Path::new(TRACING).join("trace");
        let seen = parse(&fs::read_to_string(&trace).unwrap_or_default());
        // Opening the file with O_TRUNC empties the ring buffers.
        let _ = fs::write(&trace, "");
        if seen.len() != swapoffs.len() {
            return;
        }
        for (swapoff, mut steps) in swapoffs.iter_mut().zip(seen) {
            // The time of the call at its caller is a little longer than from mark to mark.
            let total: u64 = swapoff.steps.iter().map(|step| step.ns).sum();
            let marked: u64 = steps.iter().map(|step| step.ns).sum();
            if let Some(first) = steps.first_mut().filter(|_| marked <= total) {
                first.ns += total - marked;
                swapoff.steps = steps;
            }
        }
    }
}

/// The steps of each swapoff in a trace, in the order they ended.
fn parse(trace: &str) -> Vec<Vec<Step>> {
    let mut running: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    let mut ended = Vec::new();
    for (task, at, mark) in trace.lines().filter_map(line) {
        let Some((_, _, step)) = MARKS.iter().find(|(name, ..)| *name == mark) else { continue };
        match mark {
            "begin" => {
                running.insert(task, vec![(step, at)]);
            }
            "end" => ended.extend(running.remove(task).map(|marks| steps(&marks, at))),
            _ => {
                let Some(marks) = running.get_mut(task) else { continue };
                // A mark out of swapoff's order is another caller's.
                let rank = |step: &str| steps::of_kernel().position(|name| name == step);
                let last = marks.last().expect("it has begun").0;
                let grace = mark != "graced" || last == GRACE_PERIOD;
                if grace && rank(step) > rank(last) {
                    marks.push((step, at));
                }
            }
        }
    }
    ended
}

/// Each step ends where the next one begins.
fn steps(marks: &[(&str, u64)], end: u64) -> Vec<Step> {
    let ends = marks.iter().skip(1).map(|mark| mark.1).chain([end]);
    let step = |((name, at), end): (&(&str, u64), u64)| Step {
        name: (*name).into(),
        ns: end.saturating_sub(*at),
    };
    marks.iter().zip(ends).map(step).collect()
}

/// Task, ns and mark of `  name-76 [001] ..... 12.345678: mark: (function+0x0/0x10)`.
fn line(line: &str) -> Option<(&str, u64, &str)> {
    let (head, rest) = line.split_once(": ")?;
    let mark = rest.split_once(':')?.0;
    let task = head.split_once(" [")?.0.trim();
    let (seconds, micros) = head.rsplit_once(' ')?.1.split_once('.')?;
    let at = seconds.parse::<u64>().ok()? * 1_000_000 + micros.parse::<u64>().ok()?;
    Some((task, at * 1000, mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "# tracer: nop\n#\n\
        init-76      [000] ..... 12.000000: begin: (__x64_sys_swapoff+0x0/0x10)\n\
        kworker/1-9  [001] ..... 12.000100: flush: (flush_work+0x0/0x10)\n\
        init-76      [000] ..... 12.000200: drain: (disable_swap_slots_cache_lock+0x0/0x70)\n\
        init-76      [001] ..... 12.000500: drained: (__do_sys_swapoff+0x1/0x9 <- disable)\n\
        init-76      [001] ..... 12.000600: graced: (somebody+0x1/0x9 <- synchronize_rcu)\n\
        init-76      [001] ..... 12.030500: killed: (synchronize_rcu+0x0/0x1)\n\
        init-76      [001] ..... 12.040500: graced: (__do_sys_swapoff+0x2/0x9 <- synchronize_rcu)\n\
        init-76      [001] ..... 12.041000: flush: (flush_work+0x0/0x10)\n\
        init-76      [001] ..... 12.041500: free: (destroy_swap_extents+0x0/0x10)\n\
        init-76      [001] ..... 12.042000: flush: (flush_work+0x0/0x10)\n\
        init-76      [000] ..... 12.043000: end: (do_syscall_64+0x1/0x9 <- __x64_sys_swapoff)\n";

    #[test]
    fn a_swapoff_is_cut_at_its_own_marks() {
        let seen = parse(TRACE);
        let steps: Vec<_> = seen[0].iter().map(|step| (step.name.as_str(), step.ns)).collect();
        let expected = [
            ("block", 200_000),
            ("drain", 300_000),
            ("unuse", 30_000_000),
            ("grace period", 10_000_000),
            ("users", 500_000),
            ("flush", 500_000),
            ("free", 1_500_000),
        ];
        assert_eq!((seen.len(), steps.as_slice()), (1, &expected[..]));
    }

    #[test]
    fn unuse_begins_where_the_kernel_lets_it_be_seen() {
        let names = |marks: &[&str]| -> Vec<String> {
            let at = |(second, mark): (usize, &&str)| {
                format!("init-76 [000] ..... {}.000000: {mark}: (here+0x0/0x10)\n", 12 + second)
            };
            let trace: String = marks.iter().enumerate().map(at).collect();
            parse(&trace)[0].iter().map(|step| step.name.clone()).collect()
        };
        // As 6.12, 6.18 and 7.3 have them: each calls shmem_unuse() in every round of unuse.
        let old = names(&["begin", "drain", "drained", "unuse", "unuse", "end"]);
        assert_eq!(old, ["block", "drain", "unuse"]);
        assert_eq!(names(&["begin", "blocked", "unuse", "end"]), ["block", "barrier, unuse"]);
        assert_eq!(names(&["begin", "unuse", "unuse", "end"]), ["block", "unuse"]);
    }

    #[test]
    fn one_that_failed_has_the_steps_it_came_to() {
        let lines: Vec<&str> = TRACE.lines().collect();
        let failed = [&lines[..6], &lines[12..]].concat().join("\n");
        let names: Vec<String> = parse(&failed)[0].iter().map(|step| step.name.clone()).collect();
        assert_eq!(names, ["block", "drain", "unuse"]);
    }
}
