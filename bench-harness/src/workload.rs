//! Workloads: what the workers of a trial do. Each is written once, over any machine and any
//! variant, as one file here and one line in the list. It swaps pages of owners out and in; it never
//! sees a lock. Guards that every workload in the list is found by name everywhere.

use std::num::NonZeroU64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use machine::lock::Any;
use machine::{Atomic, Cpu, Machine, Simulated};
use variants::{DeviceSpec, Spec, Swap, SwapAllocator, SwapoffError};

use crate::backing::Backing;
use crate::meter::{Kind, Meter};
use crate::units::{Devices, Fill, Orders, Size};

pub mod bgsave;
pub(crate) mod block;
pub mod build;
pub mod churn;
pub mod dup;
pub mod full;
pub mod mthp;
pub mod refs;
pub mod seq;
pub mod swapoff;
#[cfg(test)]
mod toy;

/// The parameters of a workload, each an axis of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Its name: one type may be several workloads.
    pub workload: &'static str,
    /// Size of a swap device.
    pub size: Size,
    /// None where the workload has devices of its own.
    pub devices: Option<Devices>,
    /// How much of the devices is in use.
    pub fill: Fill,
    /// None where the workload has no choice of orders.
    pub orders: Option<Orders>,
    /// Entries in one call; None where the workload has no such choice.
    pub batch: Option<u32>,
    /// Pages that a worker keeps in memory before it swaps them out again; None where the workload
    /// has no such choice.
    pub kept: Option<u32>,
    /// What the pages are written to, and what that costs.
    pub backing: Backing,
    /// Think time between operations, ns.
    pub think_ns: u64,
    /// Open loop: steps per second that each worker is asked for.
    pub rate: Option<NonZeroU64>,
}

/// The system under test, as the workers share it.
pub struct Stage<M: Machine, A: SwapAllocator<M>> {
    pub swap: Swap<M, A>,
    pub devices: usize,
    pub params: Params,
    pub threads: usize,
    /// Of the random numbers; the host's own word, since trials on one device change it.
    pub seed: AtomicU64,
    /// Order of a block, the pages that are swapped out together.
    pub block_order: usize,
}

/// A workload. The engine calls `new` once, `worker` on each CPU, then `step` until time is up.
pub trait Workload<M: Machine>: Send + Sync + Sized + 'static {
    /// A worker's private state.
    type Worker: 'static;
    /// Whether page-table entries may share a slot. Without forks, a slot with two entries was
    /// handed out twice.
    const FORKS: bool = false;

    /// Whether all workers go through rounds together, as filling and freeing, and say when one ends
    /// ([`machine::Cpu::round_ended`]). A window that is not whole rounds would show one phase more
    /// than the other.
    const ROUNDS: bool = false;

    /// Devices and owners. By default one owner per worker, with an equal share of the slots in use.
    fn spec(params: &Params, threads: usize) -> Spec {
        equal_shares(params, threads)
    }

    /// Called once, on the first CPU: all devices are on and no page is swapped out.
    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self;

    /// Called once on each CPU, before its first step.
    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Self::Worker;

    /// One operation, or a few. Short: the worker looks between steps whether time is up.
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Self::Worker,
        meter: &mut Meter,
    );

    /// Whether this worker's steps may be long: its window is then left out of the overlap.
    fn is_control(_threads: usize, _worker: usize) -> bool {
        false
    }

    /// Checks the workload's own invariants when all workers have stopped.
    ///
    /// # Errors
    ///
    /// A line that names the broken invariant.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Code that is generic over the workload.
pub trait Visitor<M: Machine> {
    type Output;
    fn visit<W: Workload<M>>(self) -> Self::Output;
}

/// A workload as the list shows it.
pub struct Entry {
    pub id: &'static str,
    /// Its operations, and the real workload that it stands for.
    pub about: &'static str,
    defaults: fn() -> Params,
}

impl Entry {
    /// Its parameters where none is given.
    pub fn defaults(&self) -> Params {
        Params { workload: self.id, ..(self.defaults)() }
    }
}

macro_rules! registry {
    ($($(#[$when:meta])? $id:literal, $file:ident::$Type:ident, $about:literal;)*) => {
        /// Every workload, in the order of the lists users see.
        pub const LIST: &[Entry] =
            &[$($(#[$when])? Entry { id: $id, about: $about, defaults: $file::defaults }),*];

        /// Calls the visitor with the workload called `id`; None if there is none.
        pub fn visit<M: Machine, V: Visitor<M>>(id: &str, visitor: V) -> Option<V::Output> {
            match id {
                $($(#[$when])? $id => Some(visitor.visit::<$file::$Type<M>>()),)*
                _ => None,
            }
        }
    };
}

registry! {
    "churn", churn::Churn, "W2: swap a random own page in, and out again";
    "churn-remote", churn::Churn, "W2: the same with any worker's page: frees of others' slots";
    "seq", seq::FillAndFree, "W1: all fill their share in order, then all free it in runs of 1..batch";
    "build", build::Build, "W3: short-lived processes and their forks, freed by another worker";
    "mthp", mthp::Mthp, "W4: folios of mixed orders, in part freed: fragmentation and fallback";
    "near-full", full::Full, "W5: 98 % full with cache-only slots: reclaim in the scan";
    "swapoff", swapoff::Storm, "W6: churn, while one worker switches the device off and on";
    "dup", dup::Dup, "W7: fork of 70 children and their exits: counts beyond 62 users";
    "discard", seq::FillAndFree, "W8: seq on a device that discards freed clusters";
    "refs", refs::Refs, "W9: get and put of the device alone, with rare swapoffs";
    "look-up", churn::Churn, "W10: churn, where each fault looks its neighbours up (readahead)";
    "bgsave", bgsave::Bgsave, "W11: fork of one child, writes of the parent, exit of the child";
    "memhog", seq::FillAndFree, "W12: all fill their share in order, then one CPU frees everything";
    #[cfg(test)]
    "toy", toy::Toy, "one page in and out";
}

/// The workload called `id`.
pub fn find(id: &str) -> Option<&'static Entry> {
    LIST.iter().find(|entry| entry.id == id)
}

/// What decides how a window of a workload may end.
pub struct Shape {
    /// [`Workload::ROUNDS`].
    pub rounds: bool,
    /// A worker of it switches the device off and on, and its steps are long.
    pub control: bool,
}

/// The shape of the workload called `id`.
pub fn shape(id: &str) -> Option<Shape> {
    struct Ask;
    impl<M: Machine> Visitor<M> for Ask {
        type Output = Shape;
        fn visit<W: Workload<M>>(self) -> Shape {
            Shape { rounds: W::ROUNDS, control: W::is_control(2, 0) || W::is_control(2, 1) }
        }
    }
    visit::<Simulated<Any>, _>(id, Ask)
}

impl Default for Params {
    /// 1 GiB, three quarters in use, the bare allocator, a closed loop without think time, and no
    /// further choice.
    fn default() -> Params {
        let (size, fill) = (Size::mib(1024), Fill::Percent(75));
        Params {
            workload: "",
            size,
            devices: Some(Devices::one()),
            fill,
            orders: None,
            batch: None,
            kept: None,
            backing: Backing::default(),
            think_ns: 0,
            rate: None,
        }
    }
}

/// The default with a choice of orders, which is order 0 unless another is made.
fn with_orders() -> Params {
    Params { orders: Some(Orders::base_pages()), ..Params::default() }
}

fn equal_shares(params: &Params, threads: usize) -> Spec {
    let device = DeviceSpec::new(params.size.slots() as u32);
    let devices = params.devices.clone().unwrap_or_else(Devices::one);
    let devices = devices.priorities().map(|priority| DeviceSpec { priority, ..device.clone() });
    Spec {
        masks: params.devices.as_ref().is_some_and(Devices::masked),
        devices: devices.collect(),
        owners: threads,
        pages_per_owner: block::whole(params, params.used() / threads),
        ..Spec::default()
    }
}

impl Params {
    /// Slots of all devices.
    pub fn slots(&self) -> usize {
        self.size.slots() * self.devices.as_ref().map_or(1, Devices::count)
    }

    /// Those of them that are in use.
    pub fn used(&self) -> usize {
        self.fill.of(self.slots())
    }
}

/// Pages that reclaim swaps out for one owner before it turns to another (SWAP_CLUSTER_MAX).
const RECLAIM_BATCH: usize = 32;

impl<M: Machine, A: SwapAllocator<M>> Stage<M, A> {
    /// A random number generator per worker, the same in every repetition of a run.
    pub(crate) fn rng(&self, worker: usize) -> fastrand::Rng {
        fastrand::Rng::with_seed(
            self.seed.load(Relaxed) ^ (worker as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }

    /// The most entries of one call.
    fn most_entries(&self) -> usize {
        self.params.batch.map_or(1, |batch| batch as usize)
    }

    /// A random number of entries for one call.
    fn batch(&self, rng: &mut fastrand::Rng) -> usize {
        rng.usize(1..=self.most_entries())
    }

    /// The work of kernel workqueues. Worker 0 runs it, in one step of 64 on average.
    fn run_work_sometimes(&self, cpu: &M::Cpu, rng: &mut fastrand::Rng) {
        if cpu.id() == 0 && rng.u32(..64) == 0 {
            self.swap.alloc.run_work(cpu);
        }
    }

    /// Swaps a random one of this CPU's first `blocks` in, and out again to other slots. Pages that
    /// are in memory already, because swapoff brought them back, are only swapped out.
    #[inline]
    fn refault(
        &self,
        cpu: &M::Cpu,
        blocks: usize,
        alloc: [Kind; 2],
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) {
        let block = rng.usize(..blocks);
        self.block_in(cpu, cpu.id(), block, meter);
        self.block_out(cpu, cpu.id(), block, alloc, rng, meter);
    }

    /// Switches the device off and records the steps; false if it is still on.
    fn swapoff(&self, cpu: &M::Cpu, dev: usize, meter: &mut Meter) -> bool {
        let (at, used) = (cpu.now(), self.swap.alloc.inuse(dev));
        let mut result = Err(SwapoffError::NotOn);
        meter.op(cpu, Kind::Swapoff, || {
            result = self.swap.swapoff(cpu, dev);
            result.is_ok()
        });
        meter.swapoff(at, used, result);
        result.is_ok()
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize, meter: &mut Meter) {
        meter.op(cpu, Kind::Swapon, || self.swap.swapon(cpu, dev));
    }
}

/// A barrier between a workload's phases. A worker polls it once per step, so that none is stuck in
/// it when time is up.
struct Gate<M: Machine> {
    arrived: M::Atomic<u32>,
    threads: u32,
}

impl<M: Machine> Gate<M> {
    fn new(threads: usize) -> Self {
        Self { arrived: M::Atomic::new(0), threads: threads as u32 }
    }

    /// The ticket to ask [`Gate::open`] with, and whether all others have arrived before.
    fn arrive(&self) -> (u32, bool) {
        let before = self.arrived.fetch_add(1);
        (before / self.threads, before % self.threads == self.threads - 1)
    }

    /// Whether all workers of this round have arrived.
    fn open(&self, round: u32) -> bool {
        self.arrived.load_acquire() / self.threads > round
    }
}
