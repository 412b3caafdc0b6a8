//! W7, fork: a server that forks to write a snapshot (redis BGSAVE) while most of it is swapped
//! out. Each worker has a parent of a few hundred swapped pages and 70 children; a step copies
//! the parent's entries to one child, in batches, or ends one that has them. With all children
//! alive a slot has more users than its byte counts (62): counts go on in continuation pages. It
//! deviates in that no page is written to, so nothing is copied out of swap.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{Folio, Spec, SwapAllocator};

use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::Size;

pub(super) fn defaults() -> Params {
    Params { size: Size::mib(64), batch: Some(64), ..Params::default() }
}

/// Children of a worker: with the parent more users than SWAP_MAP_MAX.
const CHILDREN: usize = 70;
/// Pages of a family.
const PAGES: usize = 512;

pub struct Dup<M>(PhantomData<fn() -> M>);

/// The child and the page that are next; the children before it are as `forking` has left them.
pub struct Worker {
    forking: bool,
    child: usize,
    page: usize,
}

/// Page tables of a worker's family: the parent, then the children.
fn owner(worker: usize, member: usize) -> usize {
    worker * (CHILDREN + 1) + member
}

impl<M: Machine> Workload<M> for Dup<M> {
    type Worker = Worker;
    const FORKS: bool = true;

    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::equal_shares(params, threads);
        spec.owners = threads * (CHILDREN + 1);
        spec.pages_per_owner = spec.pages_per_owner.min(PAGES);
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        for worker in 0..stage.threads {
            for page in 0..stage.swap.owners.pages() {
                stage.swap.swap_out(cpu, owner(worker, 0), page, 0, Folio::Drop);
            }
        }
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, _stage: &Stage<M, A>, _cpu: &M::Cpu) -> Worker {
        Worker { forking: true, child: 1, page: 0 }
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        let (swap, first) = (&stage.swap, worker.page);
        let nr = stage.most_entries().min(swap.owners.pages() - first);
        let (parent, child) = (owner(cpu.id(), 0), owner(cpu.id(), worker.child));
        if worker.forking {
            meter.op(cpu, Kind::Dup, || swap.fork(cpu, parent, child, first, nr) == nr);
        } else {
            meter.op(cpu, Kind::Free, || swap.zap(cpu, child, first, nr) == nr);
        }
        meter.add("entries", nr as u64);
        worker.page += nr;
        if worker.page == swap.owners.pages() {
            worker.page = 0;
            worker.child += 1;
        }
        if worker.child > CHILDREN {
            (worker.child, worker.forking) = (1, !worker.forking);
        }
    }
}
