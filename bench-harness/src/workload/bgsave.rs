//! W11, a snapshot by fork (BGSAVE of Redis and Valkey): a server forks while most of it is swapped
//! out, writes to a quarter of its pages while the child has them too, and the child exits. A fork
//! gives every slot a second user and the exit takes it back, in runs of consecutive slots as far as
//! these go, `--batch` pages in one call. With `--orders 9` that is a swap entry at the PMD. A page
//! that is written comes in and goes out again to another slot, and the child keeps the old one. It
//! deviates in that the child reads nothing, and that the child's memory is not copied.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{Spec, SwapAllocator};

use super::block::{self, ALLOC};
use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::{CLUSTER, Fill};

pub(super) fn defaults() -> Params {
    Params { batch: Some(CLUSTER as u32), fill: Fill::Percent(60), ..super::with_orders() }
}

/// One of so many blocks is written to while the child lives.
const WRITTEN: usize = 4;

pub struct Bgsave<M>(PhantomData<fn() -> M>);

/// What a worker's family is at.
enum Doing {
    /// The next page to share.
    Fork(usize),
    /// Blocks that are written to still.
    Write(usize),
    /// The child's next page to unmap.
    Exit(usize),
}

pub struct Worker {
    rng: fastrand::Rng,
    doing: Doing,
}

impl<M: Machine> Workload<M> for Bgsave<M> {
    type Worker = Worker;
    const FORKS: bool = true;

    /// A parent per worker, and behind all parents a child of each. The child's old slots are in use
    /// beside the parent's.
    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::equal_shares(params, threads);
        let parent = params.used() / threads * WRITTEN / (WRITTEN + 1);
        spec.pages_per_owner = block::whole(params, parent);
        spec.owners = 2 * threads;
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        let blocks = |owner| if owner < stage.threads { stage.blocks() } else { 0 };
        stage.swap_first_out(cpu, blocks);
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        Worker { rng: stage.rng(cpu.id()), doing: Doing::Fork(0) }
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        let (swap, parent, child) = (&stage.swap, cpu.id(), stage.threads + cpu.id());
        let pages = swap.owners.pages();
        let nr = |first| stage.most_entries().min(pages - first);
        worker.doing = match worker.doing {
            Doing::Fork(first) if first < pages => {
                let fork = || swap.fork_in_runs(cpu, parent, child, first, nr(first)) > 0;
                meter.op(cpu, Kind::Dup, fork);
                meter.add("entries", nr(first) as u64);
                Doing::Fork(first + nr(first))
            }
            Doing::Fork(_) => Doing::Write((stage.blocks() / WRITTEN).max(1)),
            Doing::Write(0) => Doing::Exit(0),
            Doing::Write(left) => {
                stage.refault(cpu, stage.blocks(), ALLOC, &mut worker.rng, meter);
                Doing::Write(left - 1)
            }
            Doing::Exit(first) if first < pages => {
                meter.op(cpu, Kind::Free, || swap.zap(cpu, child, first, nr(first)) > 0);
                Doing::Exit(first + nr(first))
            }
            Doing::Exit(_) => Doing::Fork(0),
        };
    }
}
