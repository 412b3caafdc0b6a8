//! Workers that are done early must keep the load on, or the late ones are measured without
//! contention (the guard of the kernel's refscale is inverted and never runs; LLFree's harness has
//! none).

use std::time::Duration;

use machine::{Atomic, Cpu, Machine, Phase, native};
use variants::SwapAllocator;

use super::{Finding, Harness, M, setting};
use bench_harness::meter::{Kind, Meter};
use bench_harness::workload::{Stage, Workload};

/// Steps that worker 0 must take after its window, while worker 1 waits for them in its own.
const STEPS: u64 = 1_000;
/// Worker 1 gives up.
const PATIENCE_NS: u64 = 1_000_000_000;

struct Latecomer {
    after: <M as Machine>::Atomic<u64>,
}

impl Workload<M> for Latecomer {
    type Worker = ();

    fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &<M as Machine>::Cpu) -> Self {
        Self { after: Atomic::new(0) }
    }

    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &<M as Machine>::Cpu) {}

    fn step<A: SwapAllocator<M>>(
        &self,
        _: &Stage<M, A>,
        cpu: &<M as Machine>::Cpu,
        _: &mut (),
        meter: &mut Meter,
    ) {
        // Before all else: a step that is still of the warm-up must not wait for its window's end.
        let phase = cpu.phase();
        meter.op(cpu, Kind::Get, || true);
        if cpu.id() == 0 && phase == Phase::Overrun {
            Atomic::fetch_add(&self.after, 1);
        }
        if cpu.id() == 1 && phase == Phase::Measure {
            while cpu.phase() == Phase::Measure {
                std::thread::yield_now();
            }
            let patience = cpu.now() + PATIENCE_NS;
            while Atomic::load(&self.after) < STEPS && cpu.now() < patience {
                std::thread::yield_now();
            }
            meter.add("after", Atomic::load(&self.after));
        }
    }
}

pub(super) fn check(harness: &impl Harness) -> Finding {
    const CHECK: &str = "load";
    let window = Duration::from_millis(200);
    let config = native::Config { pins: vec![None; 2], warm: window, measure: window };
    // A worker that was not scheduled in its window waits in none.
    for _ in 0..5 {
        let logs = match harness.run::<Latecomer>(&config, &setting(2)) {
            Ok(logs) => logs,
            Err(failure) => return Finding::new(CHECK, false, failure.to_string()),
        };
        if let Some(&after) = logs[1].meter.counts.get("after") {
            let figure = format!(
                "worker 0 went on for {after} steps after its window, while worker 1 was in its \
                 own (at least {STEPS})"
            );
            return Finding::new(CHECK, after >= STEPS, figure);
        }
    }
    Finding::undecided(CHECK, "worker 1 did not get a CPU in its window, five times")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null::Null;
    use crate::selftest::Engine;
    use bench_harness::trial::{Log, Setting};
    use machine::Failure;

    /// Workers go home when their windows close.
    struct StopsEarly;

    impl Harness for StopsEarly {
        fn run<W: Workload<M>>(
            &self,
            config: &native::Config,
            setting: &Setting,
        ) -> Result<Vec<Log>, Failure> {
            let setting = setting.clone();
            let setup = move |cpu: &_| {
                let stage = Stage::<M, Null<M>>::new::<W>(&setting, cpu);
                let workload = W::new(&stage, cpu);
                (stage, workload)
            };
            let work = |(stage, workload): &(Stage<M, Null<M>>, W), cpu: &_| {
                let mut worker = workload.worker(stage, cpu);
                let (opened, mut meter) = (cpu.now(), Meter::new(1));
                while cpu.phase() as u8 <= Phase::Measure as u8 {
                    workload.step(stage, cpu, &mut worker, &mut meter);
                }
                let (closed, sites) = (cpu.now(), Vec::new());
                Log { opened, closed, control: false, meter, sites, host: None }
            };
            Ok(M::run(config, setup, work, |_, _| {})?.workers)
        }
    }

    #[test]
    fn early_finishers_that_stop_are_found_out() {
        let finding = check(&StopsEarly);
        assert!(finding.broken(), "{finding}");
    }

    #[test]
    fn the_engine_keeps_the_load_on() {
        let finding = check(&Engine);
        assert!(!finding.broken(), "{finding}");
    }
}
