//! W2, random churn: an application whose working set exceeds its memory and touches it at
//! random (usemem -R, a database's buffer pool that is written to). Every fault frees a random slot
//! and costs an allocation elsewhere, so the device stays as full as it was and its clusters
//! fragment; they have done so for long when the measurement begins. A worker keeps the last
//! [`KEPT`] pages that it faulted in, so the device has as many free slots per worker. A scheme that
//! looks for slots in nearly full clusters first (6.18) depends on that number. With none kept, a
//! page goes out in the step that brought it in.
//! It deviates in that a fault's I/O takes no time, and that every fault is a write on a device whose
//! swap cache is dropped at once (SWP_SYNCHRONOUS_IO: zram, brd, pmem). A read fault on a disk that
//! is less than half full would keep its slot.

use std::collections::VecDeque;
use std::marker::PhantomData;

use machine::{Cpu, Machine, Phase};
use variants::{Folio, SwapAllocator};

use super::block::ALLOC;
use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};

/// Pages that a task has in memory between reclaims: at the limit of its memory cgroup it reclaims at
/// least SWAP_CLUSTER_MAX pages at once (try_to_free_mem_cgroup_pages()), and then faults as many
/// in. kswapd, which reclaims up to a watermark, keeps thousands.
pub const KEPT: u32 = super::RECLAIM_BATCH as u32;

pub(super) fn defaults() -> Params {
    Params { kept: Some(KEPT), ..super::with_orders() }
}

/// A worker's own pages: it frees what it allocated.
pub type Local<M> = Churn<M, false>;
/// Any worker's pages: slots are freed on another CPU than the one that allocated them.
pub type Remote<M> = Churn<M, true>;

pub struct Churn<M, const REMOTE: bool>(PhantomData<fn() -> M>);

pub struct Worker {
    rng: fastrand::Rng,
    /// The blocks in memory as (owner, block), the first to go out in front.
    kept: VecDeque<(usize, usize)>,
    /// Which of its own blocks these are, a bit each.
    in_memory: Vec<u64>,
    most: usize,
}

impl Worker {
    fn is_kept(&self, block: usize) -> bool {
        self.in_memory[block / 64] >> (block % 64) & 1 != 0
    }

    fn flip(&mut self, block: usize) {
        self.in_memory[block / 64] ^= 1 << (block % 64);
    }
}

impl<M: Machine, const REMOTE: bool> Workload<M> for Churn<M, REMOTE> {
    type Worker = Worker;

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        stage.age(cpu);
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        let (blocks, kept) = (stage.blocks(), stage.params.kept.unwrap_or(0) as usize);
        // A small device: half of it may be in memory.
        let most = (kept >> stage.block_order).min(blocks / 2);
        let (kept, in_memory) = (VecDeque::with_capacity(most + 1), vec![0; blocks.div_ceil(64)]);
        let mut worker = Worker { rng: stage.rng(cpu.id()), kept, in_memory, most };
        let mut meter = Meter::new(u32::MAX);
        while worker.kept.len() < most {
            fault_in::<_, _, REMOTE>(stage, cpu, &mut worker, &mut meter);
        }
        worker
    }

    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        if !REMOTE && worker.most == 0 {
            return stage.refault(cpu, stage.blocks(), ALLOC, &mut worker.rng, meter);
        }
        fault_in::<_, _, REMOTE>(stage, cpu, worker, meter);
        if worker.kept.len() <= worker.most {
            return;
        }
        let Some((owner, oldest)) = worker.kept.pop_front() else { return };
        if !REMOTE {
            worker.flip(oldest);
            stage.block_out(cpu, owner, oldest, ALLOC, &mut worker.rng, meter);
            return;
        }
        // Another worker may only take the block once all of it is out.
        while !stage.block_out(cpu, owner, oldest, ALLOC, &mut worker.rng, meter) {
            if cpu.phase() == Phase::Stop {
                return;
            }
        }
    }
}

/// A touch of a random page. One that is in memory costs nothing; any other comes in, with its
/// block, and is kept. Of any worker's pages, the worker that swaps a block's first page in owns the
/// block until it is out again.
#[inline]
fn fault_in<M: Machine, A: SwapAllocator<M>, const REMOTE: bool>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    worker: &mut Worker,
    meter: &mut Meter,
) {
    let owner = if REMOTE { worker.rng.usize(..stage.threads) } else { cpu.id() };
    let block = worker.rng.usize(..stage.blocks());
    if REMOTE {
        let first = block << stage.block_order;
        if !meter.op(cpu, Kind::Free, || stage.swap.swap_in(cpu, owner, first, Folio::Drop)) {
            return;
        }
    } else if worker.is_kept(block) {
        return;
    } else {
        worker.flip(block);
    }
    stage.block_in(cpu, owner, block, meter);
    worker.kept.push_back((owner, block));
}
