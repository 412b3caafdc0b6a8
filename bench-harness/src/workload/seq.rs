//! W1, fill in order and free in bursts: a batch job that is pushed out while it grows, then
//! exits (usemem -x). All workers allocate in address order until each has its share, wait for
//! each other, free in runs of 1..batch consecutive pages, wait, and begin again. It deviates in
//! that the address space lives on, and that the burst is cut in random runs rather than at the
//! boundaries of page tables. W8, `discard`, is the same on an SSD mounted with discard=pages: a
//! freed cluster is discarded, which takes 20 us, before it is used again. It deviates in that
//! worker 0 does so between its steps, not a kernel worker on some CPU. W12, `memhog`, is one process
//! of many threads, so that the last of them frees all pages, a page table (512 pages) in one call.

use machine::{Cpu, Machine};
use variants::{Spec, SwapAllocator};

use super::block::ALLOC;
use super::{Gate, Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::CLUSTER;

pub(super) fn defaults() -> Params {
    Params { batch: Some(CLUSTER as u32), ..super::with_orders() }
}

pub struct FillAndFree<M: Machine> {
    gate: Gate<M>,
    discards: bool,
    /// Worker 0 frees the pages of all.
    alone: bool,
}

/// Whether freed clusters are discarded.
fn discards(params: &Params) -> bool {
    params.workload == "discard"
}

pub struct Worker {
    rng: fastrand::Rng,
    freeing: bool,
    /// The next page.
    at: usize,
    /// The round whose end is waited for.
    waiting: Option<u32>,
    /// Start of this worker's phase.
    since: u64,
}

impl<M: Machine> Workload<M> for FillAndFree<M> {
    type Worker = Worker;
    const ROUNDS: bool = true;

    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::equal_shares(params, threads);
        spec.devices.iter_mut().for_each(|device| device.discard = discards(params));
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, _cpu: &M::Cpu) -> Self {
        Self {
            gate: Gate::new(stage.threads),
            discards: discards(&stage.params),
            alone: stage.params.workload == "memhog",
        }
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        let rng = stage.rng(cpu.id());
        Worker { rng, freeing: false, at: 0, waiting: None, since: cpu.now() }
    }

    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        if let Some(round) = worker.waiting {
            if !self.gate.open(round) {
                return cpu.cond_resched();
            }
            (worker.waiting, worker.since) = (None, cpu.now());
        }
        let (pages, end) = (stage.swap.owners.pages(), self.pages(stage, cpu, worker.freeing));
        if worker.at == end {
            // Another worker does this phase.
        } else if worker.freeing {
            let (owner, at) = if self.alone {
                (worker.at / pages, worker.at % pages)
            } else {
                (cpu.id(), worker.at)
            };
            let most = if self.alone { stage.most_entries() } else { stage.batch(&mut worker.rng) };
            let run = most.min(pages - at);
            meter.op(cpu, Kind::Free, || stage.swap.zap(cpu, owner, at, run) > 0);
            worker.at += run;
        } else {
            let block = worker.at >> stage.block_order;
            stage.block_out(cpu, cpu.id(), block, ALLOC, &mut worker.rng, meter);
            worker.at += 1 << stage.block_order;
        }
        if self.discards {
            stage.run_work_sometimes(cpu, &mut worker.rng);
        }
        if worker.at == end {
            self.turn(cpu, worker, meter, end as u64);
        }
    }
}

impl<M: Machine> FillAndFree<M> {
    /// Pages that a worker goes through in a phase.
    fn pages<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        freeing: bool,
    ) -> usize {
        let own = stage.swap.owners.pages();
        match (self.alone && freeing, cpu.id()) {
            (false, _) => own,
            (true, 0) => own * stage.threads,
            (true, _) => 0,
        }
    }

    /// The end of a phase: its time and its slots are counted apart from the other's.
    fn turn(&self, cpu: &M::Cpu, worker: &mut Worker, meter: &mut Meter, pages: u64) {
        let (slots, time) =
            if worker.freeing { ("free.slots", "free.ns") } else { ("fill.slots", "fill.ns") };
        meter.add(slots, pages);
        meter.add(time, cpu.now().saturating_sub(worker.since));
        worker.freeing = !worker.freeing;
        let (round, last) = self.gate.arrive();
        if last && !worker.freeing {
            cpu.round_ended();
        }
        (worker.at, worker.waiting) = (0, Some(round));
    }
}
