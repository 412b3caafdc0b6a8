//! W6, swapoff under load: a machine whose swap device is replaced while it swaps (and, on small
//! devices, stress-ng --swap). Worker 0 fills the device, switches it off and on, again and
//! again; the others churn 8 MiB each all the while, on a second device of lower priority when the
//! first is off: their allocations during a swapoff are a kind of their own. With one worker the
//! device is idle meanwhile, and with `--fill 0` empty. It deviates in that unuse brings pages
//! back without I/O, that no owner ever exits, and that the arrays are kept for the next swapon.

use machine::{Atomic, Cpu, Machine};
use variants::{DeviceSpec, Spec, SwapAllocator};

use super::block::{self, ALLOC};
use super::{Params, RECLAIM_BATCH, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::{CLUSTER, Size};

pub(super) fn defaults() -> Params {
    Params { size: Size::mib(64), devices: None, ..super::with_orders() }
}

/// The device that goes and comes.
const DEV: usize = 0;
/// Pages that a worker churns, where there is room for them.
const CHURNED: usize = 2048;

pub struct Storm<M: Machine> {
    /// 1 while the device is being switched off.
    going: M::Atomic<u32>,
}

/// `next` is the block worker 0 has come to in filling up its own.
pub struct Worker {
    rng: fastrand::Rng,
    next: usize,
}

/// Pages of worker 0, which are the device's fill, and of each other worker: whole blocks.
fn pages(params: &Params, threads: usize) -> (usize, usize) {
    let (slots, fill) = (params.size.slots(), params.fill.of(params.size.slots()));
    let others = threads.max(2) - 1;
    let own = if fill == 0 { 0 } else { block::whole(params, fill) };
    (own, block::whole(params, ((slots - fill) / 2 / others).min(CHURNED)))
}

impl<M: Machine> Workload<M> for Storm<M> {
    type Worker = Worker;

    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::equal_shares(params, threads);
        let (own, each) = pages(params, threads);
        spec.pages_per_owner = own.max(each);
        let victim = DeviceSpec { priority: 1, ..spec.devices[0].clone() };
        // Room for everything twice, and for what hides in slot caches.
        let room = 2 * (own + each * threads).next_multiple_of(CLUSTER as usize);
        spec.devices[0].slots = spec.devices[0].slots.min(room as u32);
        spec.devices.insert(DEV, victim);
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        let (own, each) = pages(&stage.params, stage.threads);
        let pages = |owner| if owner == 0 { own } else { each };
        stage.swap_first_out(cpu, |owner| pages(owner) >> stage.block_order);
        Self { going: M::Atomic::new(0) }
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        Worker { rng: stage.rng(cpu.id()), next: 0 }
    }

    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        let (own, each) = pages(&stage.params, stage.threads);
        let (own, each) = (own >> stage.block_order, each >> stage.block_order);
        if cpu.id() != 0 {
            let alloc = if self.going.load() == 0 { ALLOC } else { [Kind::AllocInSwapoff; 2] };
            return stage.refault(cpu, each, alloc, &mut worker.rng, meter);
        }
        if worker.next < own {
            let last = (worker.next + RECLAIM_BATCH).min(own);
            for block in worker.next..last {
                stage.block_out(cpu, 0, block, [Kind::Refill; 2], &mut worker.rng, meter);
            }
            worker.next = last;
        } else {
            self.going.store(1);
            let off = stage.swapoff(cpu, DEV, meter);
            self.going.store(0);
            if off {
                stage.swapon(cpu, DEV, meter);
            }
            worker.next = 0;
        }
    }

    fn is_control(threads: usize, worker: usize) -> bool {
        threads > 1 && worker == 0
    }
}
