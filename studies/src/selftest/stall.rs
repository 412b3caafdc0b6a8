//! Is a worker seen that does not run when its window ends? A vCPU that is descheduled then, or a
//! laptop that sleeps, makes the window longer and the rate lower, and the worker times nothing more.

use std::time::Duration;

use machine::{Cpu, Machine, Phase};
use probe::counters::Groups;
use results::example;
use results::hit::hit;
use results::schema::{Cell, Reading};
use variants::SwapAllocator;

use super::{Finding, Harness, M, config, setting};
use bench_harness::cell::Windows;
use bench_harness::meter::{Kind, Meter};
use bench_harness::trial::{Log, Setting};
use bench_harness::workload::{Stage, Workload};

const WINDOW: Duration = Duration::from_millis(100);
/// From the middle of the window to its double.
const STALL: Duration = Duration::from_millis(150);

/// A workload whose worker is stopped once.
struct Stopped;

/// When the first step of the window began, and whether the stop is over.
#[derive(Default)]
struct Worker {
    began: Option<u64>,
    stopped: bool,
}

impl Workload<M> for Stopped {
    type Worker = Worker;

    fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &<M as Machine>::Cpu) -> Self {
        Self
    }

    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &<M as Machine>::Cpu) -> Worker {
        Worker::default()
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        _: &Stage<M, A>,
        cpu: &<M as Machine>::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        meter.op(cpu, Kind::Get, || true);
        let (phase, now) = (cpu.phase(), cpu.now());
        let began = *worker.began.get_or_insert(now);
        if phase != Phase::Measure {
            worker.began = None;
        } else if !worker.stopped && now - began > WINDOW.as_nanos() as u64 / 2 {
            worker.stopped = true;
            meter.add("stops", 1);
            std::thread::sleep(STALL);
        }
    }
}

/// The cell of one worker's log, as far as its disturbances go.
fn cell(log: &Log) -> Cell {
    let windows = Windows::of(&[(log.opened, log.closed)], WINDOW);
    let mut cell = Cell { asked_ns: Some(WINDOW.as_nanos() as u64), ..example::cell() };
    cell.duration_ns = windows.duration;
    cell.kinds.clear();
    cell.noise.steal_ns = Reading::unknown("not looked at");
    let gaps = &log.host.as_ref().expect("the host was watched").noise.gaps;
    cell.noise.gap_max_ns = Reading::Known(gaps.max_ns);
    cell.noise.gap_total_ns = Reading::Known(gaps.total_ns);
    cell
}

const CHECK: &str = "stall";

pub(super) fn check(harness: &impl Harness, cpus: &[usize]) -> Finding {
    let setting = Setting { measure: WINDOW, host: Some(Groups::from([])), ..setting(1) };
    // A worker that had no CPU in the second half of its window was not stopped.
    for _ in 0..5 {
        match harness.run::<Stopped>(&config(&cpus[..1], WINDOW), &setting) {
            Ok(logs) if logs[0].meter.counts.contains_key("stops") => return judge(&logs[0]),
            Ok(_) => (),
            Err(failure) => return Finding::new(CHECK, false, failure.to_string()),
        }
    }
    Finding::undecided(CHECK, "the worker had no CPU in its windows: see swapscale doctor")
}

fn judge(log: &Log) -> Finding {
    let cell = cell(log);
    let gap = cell.noise.gap_max_ns.known().copied().unwrap_or(0);
    let said = hit(&cell);
    let figure = format!(
        "a worker that was stopped for {} ms over its window's end: the longest gap is {} ms; the \
         trial is {}",
        STALL.as_millis(),
        gap / 1_000_000,
        said.as_ref().map_or("not hit".into(), |why| format!("hit ({why})"))
    );
    let seen = u128::from(gap) >= STALL.as_nanos() * 9 / 10;
    Finding::new(CHECK, seen && said.is_some(), figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::Engine;
    use machine::{Failure, native};
    use probe::noise::GapMeter;

    fn cpus() -> Vec<usize> {
        let topology = machine::topology::Topology::here().unwrap();
        topology.cpus().iter().map(|cpu| cpu.id).collect()
    }

    #[test]
    fn a_stop_at_the_end_of_a_window_is_seen() {
        let finding = check(&Engine, &cpus());
        assert_eq!(finding.held, Some(true), "{finding}");
    }

    /// Only timed operations feed the gap meter, so that the window's end does not.
    struct Unfed;

    impl Harness for Unfed {
        fn run<W: Workload<M>>(
            &self,
            config: &native::Config,
            setting: &Setting,
        ) -> Result<Vec<Log>, Failure> {
            let mut logs = Engine.run::<W>(config, setting)?;
            for log in &mut logs {
                log.host.as_mut().expect("the host was watched").noise.gaps = GapMeter::default();
            }
            Ok(logs)
        }
    }

    /// The window is taken for as long as was asked.
    struct AsPlanned;

    impl Harness for AsPlanned {
        fn run<W: Workload<M>>(
            &self,
            config: &native::Config,
            setting: &Setting,
        ) -> Result<Vec<Log>, Failure> {
            let mut logs = Unfed.run::<W>(config, setting)?;
            for log in &mut logs {
                log.closed = log.opened + WINDOW.as_nanos() as u64;
            }
            Ok(logs)
        }
    }

    #[test]
    fn an_engine_that_does_not_look_at_the_end_is_found_out() {
        for finding in [check(&Unfed, &cpus()), check(&AsPlanned, &cpus())] {
            assert!(finding.broken(), "{finding}");
        }
    }
}
