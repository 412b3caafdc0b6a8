//! W2, random churn: an application whose working set exceeds its memory and touches it at
//! random (usemem -R, a database's buffer pool that is written to). Every fault frees a random slot
//! and costs an allocation elsewhere, so the device stays as full as it was and its clusters
//! fragment; they have done so for long when the measurement begins. A worker keeps the last
//! [`KEPT`] pages that it faulted in, so the device has as many free slots per worker. A scheme that
//! looks for slots in nearly full clusters first (6.18) depends on that number. With none kept, a
//! page goes out in the step that brought it in.
//! W10, `look-up`, is the same on a device that is read ahead (a disk): each fault first looks a window
//! of pages up in the swap cache, as swap_vma_readahead() does, without a lock, while other CPUs
//! allocate and free there. A neighbour that is not cached, and most are not, stays out.
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

/// Pages of a readahead window, the faulted one among them: 2^page_cluster, which is 3 where memory is
/// at least 16 MiB (swap_setup()).
const WINDOW: usize = 8;

/// Of which pages, and after what, a fault is.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// A worker's own pages: it frees what it allocated.
    Local,
    /// Any worker's pages: slots are freed on another CPU than the one that allocated them.
    Remote,
    /// A worker's own pages, after a look around.
    LookUp,
}

pub struct Churn<M> {
    form: Form,
    machine: PhantomData<fn() -> M>,
}

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

impl<M: Machine> Workload<M> for Churn<M> {
    type Worker = Worker;

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        stage.age(cpu);
        let form = match stage.params.workload {
            "churn-remote" => Form::Remote,
            "look-up" => Form::LookUp,
            _ => Form::Local,
        };
        Self { form, machine: PhantomData }
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        let (blocks, kept) = (stage.blocks(), stage.params.kept.unwrap_or(0) as usize);
        // A small device: half of it may be in memory.
        let most = (kept >> stage.block_order).min(blocks / 2);
        let (kept, in_memory) = (VecDeque::with_capacity(most + 1), vec![0; blocks.div_ceil(64)]);
        let mut worker = Worker { rng: stage.rng(cpu.id()), kept, in_memory, most };
        let mut meter = Meter::new(u32::MAX);
        while worker.kept.len() < most {
            fault_in(stage, cpu, &mut worker, self.form, &mut meter);
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
        if self.form == Form::LookUp {
            look_around(stage, cpu, &mut worker.rng, meter);
        }
        let remote = self.form == Form::Remote;
        if !remote && worker.most == 0 {
            return stage.refault(cpu, stage.blocks(), ALLOC, &mut worker.rng, meter);
        }
        fault_in(stage, cpu, worker, self.form, meter);
        if worker.kept.len() <= worker.most {
            return;
        }
        let Some((owner, oldest)) = worker.kept.pop_front() else { return };
        if !remote {
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

/// Looks for the folios around a random page of any worker.
fn look_around<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    rng: &mut fastrand::Rng,
    meter: &mut Meter,
) {
    let (owner, pages) = (rng.usize(..stage.threads), stage.swap.owners.pages());
    let first = rng.usize(..pages) & !(WINDOW - 1);
    meter.op(cpu, Kind::LookUp, || {
        (first..pages.min(first + WINDOW)).for_each(|page| {
            stage.swap.look_up(cpu, owner, page);
        });
        true
    });
}

/// A touch of a random page. One that is in memory costs nothing; any other comes in, with its
/// block, and is kept. Of any worker's pages, the worker that swaps a block's first page in owns the
/// block until it is out again.
#[inline]
fn fault_in<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    worker: &mut Worker,
    form: Form,
    meter: &mut Meter,
) {
    let remote = form == Form::Remote;
    let owner = if remote { worker.rng.usize(..stage.threads) } else { cpu.id() };
    let block = worker.rng.usize(..stage.blocks());
    if remote {
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
