//! W9, a storm of get_swap_device() and put_swap_device(): faults and readahead look a device up
//! far more often than they change a slot, so the price of pinning it is paid on every swap-in.
//! All workers get and put; worker 0 switches the device off and on between, rarely, which kills
//! and revives the reference. It deviates in that nothing is swapped: this is the reference alone.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::SwapAllocator;

use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::Size;

pub(super) fn defaults() -> Params {
    Params { size: Size::mib(64), devices: None, ..Params::default() }
}

/// Between two swapoffs, ns.
const SWITCH_EVERY: u64 = 20_000_000;

pub struct Refs<M>(PhantomData<fn() -> M>);

impl<M: Machine> Workload<M> for Refs<M> {
    /// When the device is to be switched next.
    type Worker = u64;

    fn new<A: SwapAllocator<M>>(_stage: &Stage<M, A>, _cpu: &M::Cpu) -> Self {
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, _stage: &Stage<M, A>, cpu: &M::Cpu) -> u64 {
        cpu.now() + SWITCH_EVERY
    }

    #[inline]
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        next: &mut u64,
        meter: &mut Meter,
    ) {
        let alloc = &stage.swap.alloc;
        meter.op(cpu, Kind::Get, || {
            let got = alloc.tryget_device(cpu, 0);
            if got {
                alloc.put_device(cpu, 0);
            }
            got
        });
        if cpu.id() == 0 && cpu.now() >= *next {
            if stage.swapoff(cpu, 0, meter) {
                stage.swapon(cpu, 0, meter);
            }
            *next = cpu.now() + SWITCH_EVERY;
        }
    }
}
