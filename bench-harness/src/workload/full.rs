//! W5, nearly full: a device that was made too small, most of it held by slots whose page is in
//! memory again and stays in the swap cache. Allocations then live on what the scan reclaims on
//! its way; clusters are taken on and off the frag and full lists, the device goes off the avail
//! list and comes back, and an allocation may fail although a slot is free. A step reads a random
//! page in, which leaves its slot to the swap cache, and swaps it out to another. Worker 0 runs
//! what the kernel gives to a workqueue. It deviates in that no process is ever killed for memory.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{Folio, SwapAllocator};

use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::Fill;

pub(super) fn defaults() -> Params {
    Params { fill: Fill::Percent(98), ..Params::default() }
}

pub struct Full<M>(PhantomData<fn() -> M>);

impl<M: Machine> Workload<M> for Full<M> {
    type Worker = fastrand::Rng;

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> fastrand::Rng {
        stage.rng(cpu.id())
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) {
        let (swap, owner) = (&stage.swap, cpu.id());
        let page = rng.usize(..swap.owners.pages());
        if swap.owners.get(owner, page).is_some() {
            meter.op(cpu, Kind::Free, || swap.swap_in(cpu, owner, page, Folio::Keep));
        }
        meter.op(cpu, Kind::Alloc, || swap.swap_out(cpu, owner, page, 0, Folio::Drop));
        stage.run_work_sometimes(cpu, rng);
    }
}
