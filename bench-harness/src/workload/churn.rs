//! W2, random churn: an application whose working set exceeds its memory and touches it at
//! random (usemem -R, a database's buffer pool). Every fault frees a random slot and costs an
//! allocation elsewhere, 1:1, so the device stays as full as it was and its clusters fragment;
//! they have done so for long when the measurement begins.
//! It deviates in that a fault's I/O takes no time, and that a page swapped in goes out at once.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::SwapAllocator;

use super::block::ALLOC;
use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};

pub(super) fn defaults() -> Params {
    super::base_with_orders()
}

/// A worker's own pages: it frees what it allocated.
pub type Local<M> = Churn<M, false>;
/// Any worker's pages: slots are freed on another CPU than the one that allocated them.
pub type Remote<M> = Churn<M, true>;

pub struct Churn<M, const REMOTE: bool>(PhantomData<fn() -> M>);

impl<M: Machine, const REMOTE: bool> Workload<M> for Churn<M, REMOTE> {
    type Worker = fastrand::Rng;

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        stage.age(cpu);
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> fastrand::Rng {
        stage.rng(cpu.id())
    }

    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) {
        let blocks = stage.blocks();
        if !REMOTE {
            return stage.refault(cpu, blocks, ALLOC, rng, meter);
        }
        // The worker that swaps a block's first page in owns the block until it is out again.
        let (owner, block) = (rng.usize(..stage.threads), rng.usize(..blocks));
        let first = block << stage.block_order;
        if meter.op(cpu, Kind::Free, || stage.swap.swap_in(cpu, owner, first, false)) {
            stage.block_in(cpu, owner, block, meter);
            while !stage.block_out(cpu, owner, block, ALLOC, rng, meter) {
                if cpu.phase() == machine::Phase::Stop {
                    return;
                }
            }
        }
    }
}
