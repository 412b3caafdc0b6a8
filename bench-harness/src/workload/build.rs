//! W3, a kernel build in a memory cgroup: hundreds of short processes that are pushed out while
//! they live, fault pages in again, and free the rest when they exit, often on another CPU. Each
//! worker builds processes of 50..5000 pages (log-normal), several in turns, since reclaim goes by
//! the age of a page and not by its process. Memory is touched in runs, so pages go out and come in
//! in runs. Nine of ten pages that go out are faulted in again before the process ends. Three in ten
//! of its pages are shared with a forked child; the next worker ends both, a random process first, in
//! bursts of 1..batch pages. Before the load begins, processes are built in the same way.
//!
//! The share of refaults and the length of a run were chosen with sight of how many waits the lock
//! series' profile has. There get_swap_pages(), for up to 64 slots a time, waited 16,569 times, the slot
//! caches gave back as many slots 15,786 times, and exits freed runs of two slots and more 34,948
//! times. So nearly all pages come back one by one, and what is left at exit lies in short runs.
//!
//! It deviates in that a worker pushes out the pages of its own processes only, and that no file is
//! mapped.

use std::collections::VecDeque;

use machine::{Atomic, Cpu, Fields, Machine, Region};
use variants::{Folio, Spec, SwapAllocator};

use super::{Params, RECLAIM_BATCH, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::CLUSTER;

pub fn defaults() -> Params {
    Params { batch: Some(CLUSTER as u32), ..Params::default() }
}

/// The largest process, in pages.
const MOST: usize = 5000;
/// The median one.
const TYPICAL: usize = 500;
/// The mean one.
const MEAN: usize = 815;
/// Every 16th quantile of a log-normal distribution with sigma 1, cut at a tenth and at ten times
/// the median, in thousandths of it: a table, since libm's last digits differ between platforms.
const QUANTILES: [u64; 17] =
    [100, 216, 317, 412, 509, 613, 727, 854, 1000, 1170, 1375, 1630, 1963, 2428, 3159, 4638, 10000];
/// Processes that a worker builds in turns, at most.
const TURNS: usize = 8;
/// Of so many steps all but one bring a page in again.
const REFAULTS_OF: u32 = 10;
/// Pages that are looked at for one that is out.
const LOOKS: usize = 16;
/// Pages that are touched one after the other, 16 KiB.
const RUN: usize = 4;
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
    /// The processes being built; the last one goes on growing until its run ends.
    building: Vec<Growing>,
    /// The run that is being faulted in: its process and its pages left.
    touching: (usize, std::ops::Range<usize>),
    /// Their pages that are in memory again, as (process, page), the first to go out in front.
    faulted: VecDeque<(usize, usize)>,
    /// The process being ended, its first page left and its size.
    ending: Option<(usize, usize, usize)>,
}

impl Worker {
    fn new(rng: fastrand::Rng) -> Self {
        let (building, faulted) = (Vec::new(), VecDeque::new());
        Self { rng, building, touching: (0, 0..0), faulted, ending: None }
    }
}

/// A process, its size so far and in the end.
#[derive(Clone, Copy)]
struct Growing {
    process: usize,
    pages: usize,
    size: usize,
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
        let mut spec = super::equal_shares(params, threads);
        let share = spec.pages_per_owner;
        // Of the processes that a worker may have, three quarters are alive, and as a rule the
        // others are half built. Smaller ones on a small device.
        let each = (share * 8 / 7 / MEAN).clamp(2 * TURNS, 4096);
        spec.owners = 2 * threads * each;
        spec.pages_per_owner = MOST.min(share * 8 / 7 * MOST / MEAN / each).max(1);
        spec
    }

    /// As many processes as there are when one ends for each that begins.
    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &M::Cpu) -> Self {
        let all = stage.swap.owners.count() / 2;
        let alive = Region::new("alive", all, |_| Alive(M::Atomic::new(0)));
        let build = Self { alive, each: all / stage.threads };
        let mut meter = Meter::new(u32::MAX);
        for id in 0..stage.threads {
            let mut worker = Worker::new(stage.rng(stage.threads + id));
            for process in build.of(id).take(build.each * 3 / 4) {
                while worker.building.len() == TURNS {
                    build.advance(stage, cpu, &mut worker, &mut meter);
                }
                build.start(stage, &mut worker, process);
            }
            while !worker.building.is_empty() {
                build.advance(stage, cpu, &mut worker, &mut meter);
            }
        }
        build
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu) -> Worker {
        Worker::new(stage.rng(cpu.id()))
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        if worker.building.len() < TURNS {
            self.begin(stage, cpu, worker);
        }
        let idle = worker.building.is_empty() && worker.ending.is_none();
        if !worker.building.is_empty() {
            self.advance(stage, cpu, worker, meter);
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

    /// Begins a process if there is a place for it. One process ends for each that begins.
    fn begin<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &M::Cpu, worker: &mut Worker) {
        let taken = |p: usize| worker.building.iter().any(|growing| growing.process == p);
        let free = |&p: &usize| !taken(p) && self.alive[p].0.load_acquire() == 0;
        if let Some(process) = self.of(cpu.id()).find(free) {
            self.start(stage, worker, process);
        }
        if worker.ending.is_none() {
            let reaped = (cpu.id() + stage.threads - 1) % stage.threads;
            worker.ending = self.due(reaped, &mut worker.rng);
        }
    }

    /// A process is built from now on, of a random size.
    fn start<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, worker: &mut Worker, process: usize) {
        let size = size(&mut worker.rng, stage.swap.owners.pages());
        worker.building.insert(0, Growing { process, pages: 0, size });
    }

    /// The processes being built touch a page, most of the time one that is out; a page goes out.
    fn advance<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        if worker.rng.u32(..REFAULTS_OF) > 0 {
            refault(stage, cpu, worker, meter);
        }
        if worker.faulted.len() > RECLAIM_BATCH {
            reclaim(stage, cpu, worker, meter);
        } else {
            self.grow(stage, cpu, worker, meter);
        }
    }

    /// A new page of a process goes out; with the last one it forks, and is its reaper's.
    fn grow<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        worker: &mut Worker,
        meter: &mut Meter,
    ) {
        let last = worker.building.len() - 1;
        if worker.building[last].pages.is_multiple_of(RUN) {
            worker.building.swap(worker.rng.usize(..=last), last);
        }
        let Growing { process, pages, size } = worker.building[last];
        let (swap, owner) = (&stage.swap, parent(process));
        meter.op(cpu, Kind::Alloc, || swap.swap_out(cpu, owner, pages, 0, Folio::Drop));
        worker.building[last].pages += 1;
        if pages + 1 < size {
            return;
        }
        worker.building.pop();
        worker.faulted.retain(|&(of, _)| of != process);
        if worker.touching.0 == process {
            worker.touching.1 = 0..0;
        }
        let shared = shared(size);
        if shared > 0 {
            meter.op(cpu, Kind::Dup, || swap.fork(cpu, owner, child(process), 0, shared) > 0);
        }
        self.alive[process].0.store_release(size as u32);
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

/// The next page of a random run of a process being built that is out comes in again.
fn refault<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    worker: &mut Worker,
    meter: &mut Meter,
) {
    let Some((process, page)) = (0..LOOKS).find_map(|_| touched(stage, worker)) else { return };
    let owner = parent(process);
    if meter.op(cpu, Kind::Free, || stage.swap.swap_in(cpu, owner, page, Folio::Drop)) {
        worker.faulted.push_back((process, page));
    }
}

/// The next page that is touched, as (process, page); none where it is in memory.
fn touched<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    worker: &mut Worker,
) -> Option<(usize, usize)> {
    if worker.touching.1.is_empty() {
        let Growing { process, pages, .. } = *worker.rng.choice(&worker.building).expect("one");
        let first = worker.rng.usize(..pages.div_ceil(RUN).max(1)) * RUN;
        worker.touching = (process, first..(first + RUN).min(pages));
    }
    let process = worker.touching.0;
    let page = worker.touching.1.next()?;
    stage.swap.owners.get(parent(process), page).map(|_| (process, page))
}

/// The page that was faulted in first goes out again.
fn reclaim<M: Machine, A: SwapAllocator<M>>(
    stage: &Stage<M, A>,
    cpu: &M::Cpu,
    worker: &mut Worker,
    meter: &mut Meter,
) {
    let Some((process, page)) = worker.faulted.pop_front() else { return };
    let owner = parent(process);
    meter.op(cpu, Kind::Alloc, || stage.swap.swap_out(cpu, owner, page, 0, Folio::Drop));
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::lock::Tas;
    use machine::native::Native;

    /// A device that is to be 75 % full is neither half empty nor full.
    #[test]
    fn processes_fill_the_share_that_they_are_to() {
        let params = defaults();
        for threads in [1, 6, 64, 384] {
            let spec = <Build<Native<Tas, false>> as Workload<_>>::spec(&params, threads);
            let mut rng = fastrand::Rng::with_seed(1);
            let drawn = 100_000;
            let pages: usize = (0..drawn).map(|_| size(&mut rng, spec.pages_per_owner)).sum();
            let processes = spec.owners as f64 / 2.0 * 7.0 / 8.0;
            let full = processes * pages as f64 / drawn as f64;
            let share = full / params.used() as f64;
            assert!((0.9..1.1).contains(&share), "{threads} threads: {share:.2} of the share");
        }
    }
}
