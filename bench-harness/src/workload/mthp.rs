//! W4, mixed folio sizes: memory in multi-size huge pages under pressure, as the kernel's own
//! thp_swap_allocator_test does it on a nearly full device. A worker has its memory in blocks of
//! the largest order of the mix. It drops a block, or a single page of it, and swaps what is
//! then in memory out again: the block as folios of an order drawn from the mix, a step each, that
//! fall back to single pages where no such run of slots is free. Fragmentation ages: clusters per list
//! and worker 0's fallback rate are recorded over time. It deviates in that a block in part swapped
//! in goes out by single pages, as split folios do, and that no folio is ever re-collapsed.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{Folio, SwapAllocator};

use super::block::ALLOC;
use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::Fill;

pub(super) fn defaults() -> Params {
    let orders = "0:.7,2:.1,4:.2".parse().expect("a mix of known orders");
    Params { orders: Some(orders), devices: None, fill: Fill::Percent(90), ..Params::default() }
}

/// Between two looks at the lists, ns.
const LOOK_EVERY: u64 = 20_000_000;

pub struct Mthp<M>(PhantomData<fn() -> M>);

/// A block that goes out from its end, folio by folio.
struct Block {
    first: usize,
    /// Pages that are still in.
    left: usize,
    /// Order of its folios.
    order: usize,
}

pub struct Worker {
    rng: fastrand::Rng,
    going_out: Option<Block>,
    /// When worker 0 looks at the lists next.
    next_look: u64,
    /// Its folios until the last look, and those of them that fell back.
    seen: (u64, u64),
}

impl<M: Machine> Workload<M> for Mthp<M> {
    type Worker = Worker;

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        Worker { rng: stage.rng(cpu.id()), going_out: None, next_look: 0, seen: (0, 0) }
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        worker.going_out = match worker.going_out.take() {
            Some(block) => self.folio_out(stage, cpu, block, meter),
            None => self.drop_and_begin(stage, cpu, &mut worker.rng, meter),
        };
        if cpu.id() == 0 && cpu.now() >= worker.next_look {
            self.look(stage, cpu, worker, meter);
        }
    }
}

impl<M: Machine> Mthp<M> {
    /// Drops a block, which then goes out, or a single page, which goes out at once.
    fn drop_and_begin<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) -> Option<Block> {
        let (owner, pages) = (cpu.id(), 1 << stage.block_order);
        let first = rng.usize(..stage.blocks()) << stage.block_order;
        if rng.bool() {
            meter.op(cpu, Kind::Free, || stage.swap.zap(cpu, owner, first, pages) > 0);
            return Some(Block { first, left: pages, order: stage.draw(rng) });
        }
        let page = first + rng.usize(..pages);
        meter.op(cpu, Kind::Free, || stage.swap.zap(cpu, owner, page, 1) > 0);
        meter.op(cpu, Kind::Alloc, || stage.swap.swap_out(cpu, owner, page, 0, Folio::Drop));
        None
    }

    /// One folio more; what is left of the block then.
    fn folio_out<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        Block { first, left, order }: Block,
        meter: &mut Meter,
    ) -> Option<Block> {
        let left = left - (1 << order);
        stage.folio_out(cpu, cpu.id(), (first + left, order), ALLOC, meter);
        (left > 0).then_some(Block { first, left, order })
    }

    /// How the clusters are spread over the lists, and how many of this worker's folios fell
    /// back since the last look.
    fn look<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        let now = cpu.now();
        worker.next_look = now + LOOK_EVERY;
        let large = &meter.tallies[Kind::AllocLarge as usize];
        let seen = (large.count(), large.failed);
        // The counts begin anew when the window opens.
        let since = if seen.0 < worker.seen.0 { (0, 0) } else { worker.seen };
        worker.seen = seen;
        if seen.0 > since.0 {
            let share = (seen.1 - since.1) as f64 / (seen.0 - since.0) as f64;
            meter.point("fallback", "percent of folios", now, 100.0 * share);
        }
        let stats = stage.swap.alloc.stats(0);
        let sum = |lists: &[usize]| lists.iter().sum::<usize>();
        let lists = [
            ("free", stats.free),
            ("nonfull", sum(&stats.nonfull)),
            ("frag", sum(&stats.frag)),
            ("full", stats.full),
        ];
        for (list, clusters) in lists {
            meter.point(list, "clusters", now, clusters as f64);
        }
    }
}
