//! How the threads of a run start: all at once, or none. Guards that a run ends with one line where
//! it would wait for ever: for a thread that the system does not start, or for a CPU that its own
//! workers never leave.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::Config;
use crate::{Failure, affinity};

/// A barrier between the workers and the thread that has started them, which can give up.
#[derive(Default)]
pub(super) struct Start {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    arrived: usize,
    /// Whether the run begins or is given up, once that is decided.
    begins: Option<bool>,
}

impl Start {
    /// A worker waits for all others. False where the run is given up.
    pub(super) fn wait(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        state.arrived += 1;
        self.changed.notify_all();
        let state = self.changed.wait_while(state, |state| state.begins.is_none()).unwrap();
        state.begins == Some(true)
    }

    /// Waits until `workers` have arrived, and lets them run.
    pub(super) fn begin(&self, workers: usize) {
        let state = self.state.lock().unwrap();
        let mut state = self.changed.wait_while(state, |s| s.arrived < workers).unwrap();
        state.begins = Some(true);
        self.changed.notify_all();
    }

    /// Lets the workers that have arrived, and those that still come, end at once.
    pub(super) fn give_up(&self) {
        self.state.lock().unwrap().begins = Some(false);
        self.changed.notify_all();
    }
}

/// The failure of a run whose worker `id` of `workers` could not be started.
pub(super) fn not_started(id: usize, workers: usize, error: &io::Error) -> Failure {
    Failure::Unsupported(format!(
        "thread {} of {workers} cannot be started: {error}; the limit is ulimit -u, pids.max of \
         the control group, or memory",
        id + 1
    ))
}

/// Refuses a timed run under SCHED_FIFO or SCHED_RR whose workers would keep the thread that ends
/// the window, or one another, from running: they spin, and never leave a CPU to a thread of the
/// same priority.
///
/// # Errors
///
/// [`Failure::Unsupported`] for such a run.
pub(super) fn check_realtime(config: &Config) -> Result<(), Failure> {
    let name = match affinity::policy() {
        Ok(libc::SCHED_FIFO) => "SCHED_FIFO",
        Ok(libc::SCHED_RR) => "SCHED_RR",
        _ => return Ok(()),
    };
    let untimed = config.measure == Duration::MAX;
    let allowed = affinity::allowed().unwrap_or_default();
    match starved(&config.pins, &allowed) {
        Some(why) if !untimed => Err(Failure::Unsupported(format!(
            "under {name} the run would not end: {why}; give it another CPU, fewer threads, or the \
             ordinary policy (chrt -o 0)"
        ))),
        _ => Ok(()),
    }
}

/// Why a thread of the run would get no CPU if no worker ever left its own.
fn starved(pins: &[Option<usize>], allowed: &[usize]) -> Option<String> {
    let mut taken = BTreeSet::new();
    if let Some(twice) = pins.iter().flatten().find(|cpu| !taken.insert(**cpu)) {
        return Some(format!("CPU {twice} has two workers"));
    }
    let free = allowed.iter().filter(|cpu| !taken.contains(cpu)).count();
    let unpinned = pins.len() - taken.len();
    (free <= unpinned)
        .then(|| "the thread that ends the trial has no CPU beside the workers".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_time_run_needs_a_cpu_beside_its_workers() {
        let starved = |pins: &[Option<usize>], allowed: &[usize]| starved(pins, allowed);
        assert_eq!(starved(&[Some(0)], &[0, 1]), None);
        assert!(starved(&[Some(0)], &[0]).unwrap().contains("no CPU beside"));
        assert!(starved(&[Some(0), Some(1)], &[0, 1]).is_some());
        assert!(starved(&[Some(2), Some(2)], &[0, 1, 2]).unwrap().contains("CPU 2 has two"));
        assert_eq!(starved(&[Some(7)], &[0]), None, "an isolated CPU is outside the mask");
        assert_eq!(starved(&[None], &[0, 1]), None);
        assert!(starved(&[None, Some(1)], &[0, 1]).is_some());
        assert!(starved(&[Some(0)], &[]).is_some(), "without a mask nothing is known to be free");
    }

    #[test]
    fn a_run_that_is_given_up_releases_its_workers() {
        let start = Start::default();
        std::thread::scope(|scope| {
            let early = scope.spawn(|| start.wait());
            start.give_up();
            let late = scope.spawn(|| start.wait());
            assert!(!early.join().unwrap() && !late.join().unwrap());
        });
        let start = Start::default();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| start.wait())).collect();
            start.begin(3);
            assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
        });
    }
}
