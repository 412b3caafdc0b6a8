//! What the workers do. A workload is written once, over any machine and any variant: one file
//! here and one line in the list. It swaps pages of owners out and in; it never sees a lock.

use std::num::NonZeroU64;

use machine::{Atomic, Cpu, Machine};
use variants::{DeviceSpec, Spec, Swap, SwapAllocator, SwapoffError};

use crate::meter::{Kind, Meter};
use crate::plan::{Fill, Orders, Size};

pub mod build;
pub mod churn;
pub mod dup;
pub mod full;
pub mod mthp;
pub mod refs;
pub mod seq;
pub mod swapoff;

/// What a workload is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Of a swap device.
    pub size: Size,
    /// How much of the device is in use.
    pub fill: Fill,
    pub orders: Orders,
    /// Entries in one call, where the workload leaves it open.
    pub batch: u32,
    /// Think time between operations, ns.
    pub think_ns: u64,
    /// Open loop: steps a second that each worker is asked for.
    pub rate: Option<NonZeroU64>,
}

/// The system under test, as the workers share it.
pub struct Stage<M: Machine, A: SwapAllocator<M>> {
    pub swap: Swap<M, A>,
    pub devices: usize,
    pub params: Params,
    pub threads: usize,
    pub seed: u64,
}

/// A workload. The engine calls `new` once, `worker` on each CPU, then `step` until time is up.
pub trait Workload<M: Machine>: Send + Sync + Sized + 'static {
    /// What a worker keeps to itself.
    type Worker;
    /// Whether pages share slots; where none forks, a slot named twice was handed out twice.
    const FORKS: bool = false;

    /// Devices and owners; without more words one device, and an owner a worker who has its share
    /// of the slots in use.
    fn spec(params: &Params, threads: usize) -> Spec {
        share_of_one_device(params, threads)
    }

    /// All devices are on and no page is swapped out.
    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self;

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Self::Worker;

    /// One operation, or a few; short, since between steps the worker looks whether time is up.
    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Self::Worker,
        meter: &mut Meter,
    );

    /// Whether this worker's steps may be long: then its window is not held against the others'.
    fn is_control(_threads: usize, _worker: usize) -> bool {
        false
    }

    /// What of its own must hold when all workers have stopped.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Something to be done with a workload, whichever it is.
pub trait Visitor<M: Machine> {
    type Output;
    fn visit<W: Workload<M>>(self) -> Self::Output;
}

/// A workload as the list shows it.
pub struct Entry {
    pub id: &'static str,
    /// What it does, and the real workload it stands for.
    pub about: &'static str,
    pub defaults: fn() -> Params,
}

macro_rules! registry {
    ($($id:literal, $file:ident::$Type:ident, $about:literal;)*) => {
        /// Every workload, in the order of the lists users see.
        pub const LIST: &[Entry] =
            &[$(Entry { id: $id, about: $about, defaults: $file::defaults }),*];

        /// Calls the visitor with the workload called `id`; None if there is none.
        pub fn visit<M: Machine, V: Visitor<M>>(id: &str, visitor: V) -> Option<V::Output> {
            match id {
                $($id => Some(visitor.visit::<$file::$Type<M>>()),)*
                _ => None,
            }
        }
    };
}

registry! {
    "churn", churn::Local, "W2: swap a random own page in, and out again";
    "churn-remote", churn::Remote, "W2: the same with any worker's page: frees of others' slots";
    "seq", seq::Seq, "W1: all fill their share in order, then all free it in runs of 1..batch";
    "build", build::Build, "W3: short-lived processes and their forks, freed by another worker";
    "mthp", mthp::Mthp, "W4: folios of mixed orders, in part freed: fragmentation and fallback";
    "near-full", full::Full, "W5: 98 % full with cache-only slots: reclaim in the scan";
    "swapoff", swapoff::Storm, "W6: churn, while one worker switches the device off and on";
    "dup", dup::Dup, "W7: fork of 70 children and their exits: counts beyond 62 users";
    "discard", seq::Discard, "W8: seq on a device that discards freed clusters";
    "refs", refs::Refs, "W9: get and put of the device alone, with rare swapoffs";
}

/// The workload called `id`.
pub fn find(id: &str) -> Option<&'static Entry> {
    LIST.iter().find(|entry| entry.id == id)
}

/// 1 GiB, three quarters in use, order 0, one page a call.
fn base() -> Params {
    let (size, orders) = (Size::mib(1024), Orders::base_pages());
    Params { size, fill: Fill::Percent(75), orders, batch: 1, think_ns: 0, rate: None }
}

fn share_of_one_device(params: &Params, threads: usize) -> Spec {
    let slots = params.size.slots();
    Spec {
        devices: vec![DeviceSpec::new(slots as u32)],
        owners: threads,
        pages_per_owner: (params.fill.of(slots) / threads).max(1),
        ..Spec::default()
    }
}

/// How many pages reclaim swaps out for one owner before it turns to another (SWAP_CLUSTER_MAX).
const RECLAIM_BATCH: usize = 32;

impl<M: Machine, A: SwapAllocator<M>> Stage<M, A> {
    /// Swaps all pages of all owners out, a batch of each in turn, as reclaim does.
    pub(crate) fn swap_all_out(&self, cpu: &M::Cpu) {
        self.swap_first_out(cpu, |_| self.swap.owners.pages());
    }

    /// The same for as many pages of each owner as `pages` says.
    fn swap_first_out(&self, cpu: &M::Cpu, pages: impl Fn(usize) -> usize) {
        let owners = &self.swap.owners;
        for first in (0..owners.pages()).step_by(RECLAIM_BATCH) {
            for owner in 0..owners.count() {
                for page in first..(first + RECLAIM_BATCH).min(pages(owner)) {
                    self.swap.swap_out(cpu, owner, page, 0, false);
                }
            }
        }
    }

    /// A generator that differs between workers, and is the same in a run repeated.
    pub(crate) fn rng(&self, worker: usize) -> fastrand::Rng {
        fastrand::Rng::with_seed(
            self.seed ^ (worker as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        )
    }

    /// Workqueues run on some CPU; here worker 0 runs them, one step in 64.
    fn run_work_sometimes(&self, cpu: &M::Cpu, rng: &mut fastrand::Rng) {
        if cpu.id() == 0 && rng.u32(..64) == 0 {
            self.swap.alloc.run_work(cpu);
        }
    }

    /// One page back in, and out again to another slot. A page that is in memory already, because
    /// swapoff brought it back, is only swapped out. `owner` is swapped out by this CPU alone.
    /// The allocation counts as of kind `alloc`.
    fn refault(&self, cpu: &M::Cpu, (owner, page): (usize, usize), alloc: Kind, meter: &mut Meter) {
        let swap = &self.swap;
        if swap.owners.get(owner, page).is_some() {
            meter.op(cpu, Kind::Free, || swap.swap_in(cpu, owner, page, false));
        }
        if swap.owners.get(owner, page).is_none() {
            meter.op(cpu, alloc, || swap.swap_out(cpu, owner, page, 0, false));
        }
    }
}

impl<M: Machine, A: SwapAllocator<M>> Stage<M, A> {
    /// swapoff with its steps; false if the device is still on.
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

/// Where workers wait for each other between phases, step by step: no worker is ever stuck in it.
struct Gate<M: Machine> {
    arrived: M::Atomic<u32>,
    threads: u32,
}

impl<M: Machine> Gate<M> {
    fn new(threads: usize) -> Self {
        Self { arrived: M::Atomic::new(0), threads: threads as u32 }
    }

    /// The ticket to ask [`Gate::open`] with.
    fn arrive(&self) -> u32 {
        self.arrived.fetch_add(1) / self.threads
    }

    /// Whether all workers of this round have arrived.
    fn open(&self, round: u32) -> bool {
        self.arrived.load_acquire() / self.threads > round
    }
}
