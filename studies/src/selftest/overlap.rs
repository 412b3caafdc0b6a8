//! Do the workers run at the same time? The trap is a counter that two of them add to: a harness
//! whose samples are shorter than the time a thread takes to wake measures it as if each were
//! alone (divan: 1.85 ns at 2 threads as at 1, where a loop of fixed time shows 6.2).

use std::time::Duration;

use machine::{Atomic, Machine};
use variants::SwapAllocator;

use super::{Finding, Harness, M, config, setting};
use bench_harness::cell::Windows;
use bench_harness::engine::OVERLAP;
use bench_harness::meter::{Kind, Meter};
use bench_harness::trial::Log;
use bench_harness::workload::{Stage, Workload};

/// Additions in a row, so that looking whether another came in between costs little.
const BATCH: u64 = 256;
/// The least share of a worker's batches in which it must meet the other's additions.
const MET: f64 = 0.5;
const WINDOW: Duration = Duration::from_millis(200);

struct Trap(<M as Machine>::Atomic<u64>);

impl Workload<M> for Trap {
    type Worker = ();

    fn new<A: SwapAllocator<M>>(_: &Stage<M, A>, _: &<M as Machine>::Cpu) -> Self {
        Self(Atomic::new(0))
    }

    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &<M as Machine>::Cpu) {}

    fn step<A: SwapAllocator<M>>(
        &self,
        _: &Stage<M, A>,
        cpu: &<M as Machine>::Cpu,
        _: &mut (),
        meter: &mut Meter,
    ) {
        let mut met = false;
        meter.op(cpu, Kind::Get, || {
            let first = Atomic::fetch_add(&self.0, 1);
            let last = (1..BATCH).fold(first, |_, _| Atomic::fetch_add(&self.0, 1));
            met = last - first != BATCH - 1;
            true
        });
        meter.add("met", u64::from(met));
    }
}

pub(super) fn check(harness: &impl Harness, cpus: &[usize]) -> Finding {
    const CHECK: &str = "overlap";
    if cpus.len() < 2 {
        return Finding::undecided(CHECK, "one CPU: nothing runs at the same time here");
    }
    let run = |n: usize| harness.run::<Trap>(&config(&cpus[..n], WINDOW), &setting(n));
    let (alone, both) = match (run(1), run(2)) {
        (Ok(alone), Ok(both)) => (alone, both),
        (Err(failure), _) | (_, Err(failure)) => {
            return Finding::new(CHECK, false, failure.to_string());
        }
    };
    let windows: Vec<_> = both.iter().map(|log| (log.opened, log.closed)).collect();
    let overlap = Windows::of(&windows, WINDOW).overlap;
    let batches: u64 = both.iter().map(|log| log.meter.total()).sum();
    let met: u64 = both.iter().filter_map(|log| log.meter.counts.get("met")).sum();
    let met = met as f64 / batches.max(1) as f64;
    let figure = format!(
        "the other worker added in {:.1} % of {batches} batches (at least {:.0}); windows overlap \
         {:.1} % (at least {:.0}); an add takes {:.1} ns alone, {:.1} ns with another",
        100.0 * met,
        100.0 * MET,
        100.0 * overlap,
        100.0 * OVERLAP,
        ns_per_add(&alone),
        ns_per_add(&both),
    );
    Finding::new(CHECK, met >= MET && overlap >= OVERLAP, figure)
}

/// As one worker sees it.
fn ns_per_add(logs: &[Log]) -> f64 {
    let time: u64 = logs.iter().map(|log| log.closed.saturating_sub(log.opened)).sum();
    let adds: u64 = logs.iter().map(|log| log.meter.total() * BATCH).sum();
    time as f64 / adds.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::Engine;
    use bench_harness::trial::Setting;
    use machine::{Failure, native};

    /// Each worker's sample is over before the next begins.
    struct OneAfterTheOther;

    impl Harness for OneAfterTheOther {
        fn run<W: Workload<M>>(
            &self,
            config: &native::Config,
            _: &Setting,
        ) -> Result<Vec<Log>, Failure> {
            let mut logs = Vec::new();
            for pin in &config.pins {
                let one = native::Config { pins: vec![*pin], ..config.clone() };
                logs.extend(Engine.run::<W>(&one, &setting(1))?);
            }
            Ok(logs)
        }
    }

    #[test]
    fn workers_that_do_not_run_together_are_found_out() {
        let cpus = machine::topology::Topology::here().unwrap();
        let cpus: Vec<usize> = cpus.cpus().iter().map(|cpu| cpu.id).collect();
        let finding = check(&OneAfterTheOther, &cpus);
        assert!(finding.broken() || cpus.len() < 2, "{finding}");
    }
}
