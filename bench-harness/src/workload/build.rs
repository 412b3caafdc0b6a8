//! W3, a kernel build in a memory cgroup: hundreds of short processes that are pushed out while
//! they live and free everything when they exit, often on another CPU. Each worker builds
//! processes of 50..5000 pages (log-normal), three in ten of their pages shared with a forked
//! child; the next worker ends them, a random one first, in bursts of 1..batch pages. Most waits
//! of the published profile came from these frees. It deviates in that a process is built in one
//! go, not in turns with others, and that no file is mapped.

use machine::{Atomic, Cpu, Fields, Machine, Region};
use variants::{Folio, Spec, SwapAllocator};

use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::CLUSTER;

pub fn defaults() -> Params {
    Params { batch: Some(CLUSTER as u32), ..Params::default() }
}

/// The largest process, in pages.
const MOST: usize = 5000;
/// The median one.
const TYPICAL: usize = 500;
/// Every 16th quantile of a log-normal distribution with sigma 1, cut at a tenth and at ten times
/// the median, in thousandths of it: a table, since libm's last digits differ between platforms.
const QUANTILES: [u64; 17] =
    [100, 216, 317, 412, 509, 613, 727, 854, 1000, 1170, 1375, 1630, 1963, 2428, 3159, 4638, 10000];
/// The pages of a process that it shares with its child: three in ten.
fn shared(pages: usize) -> usize {
    pages * 3 / 10
}

/// A process is its creator's while 0, and its reaper's while it is its number of pages.
pub struct Build<M: Machine> {
    alive: Region<M, Alive<M>>,
    /// Processes a worker may have.
    each: usize,
}

struct Alive<M: Machine>(M::Atomic<u32>);

impl<M: Machine> Fields for Alive<M> {}

pub struct Worker {
    rng: fastrand::Rng,
    /// The process being built, its size so far and in the end.
    building: Option<(usize, usize, usize)>,
    /// The process being ended, its first page left and its size.
    ending: Option<(usize, usize, usize)>,
}

/// Page tables: a process and its child.
fn parent(process: usize) -> usize {
    2 * process
}

fn child(process: usize) -> usize {
    2 * process + 1
}

impl<M: Machine> Workload<M> for Build<M> {
    type Worker = Worker;
    const FORKS: bool = true;

    fn spec(params: &Params, threads: usize) -> Spec {
        let mut spec = super::share_of_one_device(params, threads);
        let share = spec.pages_per_owner;
        // Typical processes that fill the share: three quarters are alive. Smaller ones on a small
        // device.
        spec.owners = 2 * threads * (share / TYPICAL).clamp(4, 4096);
        spec.pages_per_owner = MOST.min(share / 4).max(1);
        spec
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, _cpu: &M::Cpu) -> Self {
        let all = stage.swap.owners.count() / 2;
        let alive = Region::new("alive", all, |_| Alive(M::Atomic::new(0)));
        Self { alive, each: all / stage.threads }
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        Worker { rng: stage.rng(cpu.id()), building: None, ending: None }
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        if worker.building.is_none() {
            let free = self.of(cpu.id()).find(|&p| self.alive[p].0.load_acquire() == 0);
            let most = stage.swap.owners.pages();
            worker.building = free.map(|p| (p, 0, size(&mut worker.rng, most)));
            // One process ends for each that begins.
            let reaped = (cpu.id() + stage.threads - 1) % stage.threads;
            worker.ending = worker.ending.or_else(|| self.due(reaped, &mut worker.rng));
        }
        let idle = worker.building.is_none() && worker.ending.is_none();
        if let Some(process) = worker.building.take() {
            worker.building = self.grow(stage, cpu, process, meter);
        }
        if let Some(process) = worker.ending.take() {
            let burst = stage.batch(&mut worker.rng);
            worker.ending = self.shrink(stage, cpu, process, burst, meter);
        }
        if idle {
            cpu.cond_resched();
        }
    }
}

/// A log-normal number of pages; small where the device is.
fn size(rng: &mut fastrand::Rng, most: usize) -> usize {
    let at = rng.usize(..QUANTILES.len() - 1);
    let thousandths = rng.u64(QUANTILES[at]..QUANTILES[at + 1]);
    let typical = (TYPICAL * most) as u64;
    ((typical * thousandths / 1000 / MOST as u64) as usize).clamp(1, most)
}

impl<M: Machine> Build<M> {
    fn of(&self, worker: usize) -> std::ops::Range<usize> {
        self.each * worker..self.each * (worker + 1)
    }

    /// A random process of `worker`, once three quarters of what it may have are alive.
    fn due(&self, worker: usize, rng: &mut fastrand::Rng) -> Option<(usize, usize, usize)> {
        let alive = || self.of(worker).filter(|p| self.alive[*p].0.load_acquire() != 0);
        let all = alive().count();
        let chosen = (all * 4 >= self.each * 3).then(|| alive().nth(rng.usize(..all)))??;
        Some((chosen, 0, self.alive[chosen].0.load_acquire() as usize))
    }

    /// One page of a process goes out; with the last one it forks, and is its reaper's.
    fn grow<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        (process, page, size): (usize, usize, usize),
        meter: &mut Meter,
    ) -> Option<(usize, usize, usize)> {
        let (swap, owner) = (&stage.swap, parent(process));
        meter.op(cpu, Kind::Alloc, || swap.swap_out(cpu, owner, page, 0, Folio::Drop));
        if page + 1 < size {
            return Some((process, page + 1, size));
        }
        let shared = shared(size);
        if shared > 0 {
            meter.op(cpu, Kind::Dup, || swap.fork(cpu, owner, child(process), 0, shared) == shared);
        }
        self.alive[process].0.store_release(size as u32);
        None
    }

    /// A burst of pages of a process and its child is freed; after the last the place is free.
    fn shrink<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        (process, page, size): (usize, usize, usize),
        burst: usize,
        meter: &mut Meter,
    ) -> Option<(usize, usize, usize)> {
        let run = burst.min(size - page);
        for owner in [parent(process), child(process)] {
            if owner == parent(process) || page < shared(size) {
                meter.op(cpu, Kind::Free, || stage.swap.zap(cpu, owner, page, run) > 0);
            }
        }
        if page + run < size {
            return Some((process, page + run, size));
        }
        self.alive[process].0.store_release(0);
        None
    }
}
