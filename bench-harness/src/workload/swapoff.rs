//! W6, swapoff under load: a machine whose swap device is replaced while it swaps (and, on small
//! devices, stress-ng --swap). Worker 0 fills the device, switches it off and on, again and
//! again; the others churn all the while, on a second device of lower priority when the first is
//! off. With one worker the device is idle meanwhile. It deviates in that unuse brings pages back
//! without I/O, and that no owner ever exits.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{DeviceSpec, Spec, SwapAllocator};

use super::{Params, RECLAIM_BATCH, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::plan::Size;

pub(super) fn defaults() -> Params {
    Params { size: Size::mib(64), ..super::base() }
}

/// The device that goes and comes.
const DEV: usize = 0;

pub struct Storm<M>(PhantomData<fn() -> M>);

/// `next` is the page worker 0 has come to in filling up its own.
pub struct Worker {
    rng: fastrand::Rng,
    next: usize,
}

impl<M: Machine> Workload<M> for Storm<M> {
    type Worker = Worker;

    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::share_of_one_device(params, threads);
        let victim = DeviceSpec { priority: 1, ..spec.devices[0].clone() };
        spec.devices.insert(DEV, victim);
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        stage.swap_all_out(cpu);
        Self(PhantomData)
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
        let pages = stage.swap.owners.pages();
        if cpu.id() != 0 {
            return stage.refault(cpu, cpu.id(), worker.rng.usize(..pages), meter);
        }
        if worker.next < pages {
            let last = (worker.next + RECLAIM_BATCH).min(pages);
            for page in worker.next..last {
                if stage.swap.owners.get(0, page).is_none() {
                    meter.op(cpu, Kind::Refill, || stage.swap.swap_out(cpu, 0, page, 0, false));
                }
            }
            worker.next = last;
        } else {
            stage.off_and_on(cpu, DEV, meter);
            worker.next = 0;
        }
    }

    fn is_control(threads: usize, worker: usize) -> bool {
        threads > 1 && worker == 0
    }
}
