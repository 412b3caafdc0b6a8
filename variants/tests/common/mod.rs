//! A small system, random operations on it, and the oracle that follows them.
#![allow(dead_code, reason = "each test binary uses its part")]

use machine::lock::LockKind;
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use variants::{DeviceSpec, SlotCacheSpec, Spec, Swap, SwapAllocator, SwpEntry};

pub const OWNERS: usize = 3;
pub const PAGES: usize = 48;
/// Largest order: half a cluster, so that a cluster can be shared.
pub const ORDERS: usize = 3;

/// Two devices of a few clusters of 8, the second with discard and a partial last
/// cluster; slot caches that come on and go off.
pub fn spec() -> Spec {
    Spec {
        devices: vec![
            DeviceSpec::new(64),
            DeviceSpec { discard: true, later_slots: Some(29), ..DeviceSpec::new(43) },
        ],
        cluster_slots: 8,
        orders: ORDERS + 1,
        cluster_cols: 2,
        slot_cache: SlotCacheSpec { size: 4, activate: 10, deactivate: 4 },
        swap_max: u64::MAX,
        discard_ns: 0,
        owners: OWNERS,
        pages_per_owner: PAGES,
        // Alone, unuse is done in two; among threads somebody may be slow.
        unuse_passes: 10,
    }
}

/// One step of a workload.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Out { owner: usize, page: usize, order: usize, keep: bool },
    In { owner: usize, page: usize, keep: bool },
    Zap { owner: usize, page: usize, nr: usize },
    Fork { parent: usize, child: usize, page: usize, nr: usize },
    Off { dev: usize },
    Work,
}

/// What an allocator must be like to the one thread that uses it.
pub struct Oracle<'a, M: Machine, A: SwapAllocator<M>> {
    swap: &'a Swap<M, A>,
    cpu: &'a M::Cpu,
    spec: Spec,
    /// Who has which entry.
    owned: BTreeMap<(usize, usize), SwpEntry>,
}

impl<'a, M: Machine, A: SwapAllocator<M>> Oracle<'a, M, A> {
    pub fn new(swap: &'a Swap<M, A>, cpu: &'a M::Cpu, spec: Spec) -> Self {
        for dev in 0..spec.devices.len() {
            assert!(swap.swapon(cpu, dev), "swapon of a device that is off");
        }
        Self { swap, cpu, spec, owned: BTreeMap::new() }
    }

    fn entries(&self) -> BTreeMap<(usize, usize), SwpEntry> {
        let all = (0..OWNERS).flat_map(|owner| (0..PAGES).map(move |page| (owner, page)));
        all.filter_map(|at| Some((at, self.swap.owners.peek(at.0, at.1)?))).collect()
    }

    fn users(&self, entry: SwpEntry) -> u32 {
        self.owned.values().filter(|&&other| other == entry).count() as u32
    }

    /// Does it, and compares what came of it with what should.
    pub fn step(&mut self, op: Op) {
        match op {
            Op::Out { owner, page, order, keep } => self.out(owner, page, order, keep),
            Op::In { owner, page, keep } => {
                let was = self.owned.remove(&(owner, page)).is_some();
                assert_eq!(self.swap.swap_in(self.cpu, owner, page, keep), was);
            }
            Op::Zap { owner, page, nr } => {
                let nr = nr.min(PAGES - page);
                let gone = (page..page + nr).filter(|&p| self.owned.remove(&(owner, p)).is_some());
                let gone = gone.count();
                assert_eq!(self.swap.zap(self.cpu, owner, page, nr), gone);
            }
            Op::Fork { parent, child, page, nr } => self.fork(parent, child, page, nr),
            Op::Off { dev } => {
                self.swap.swapoff(self.cpu, dev).expect("swapoff by the only thread");
                self.owned.retain(|_, entry| entry.dev() != dev);
                assert_eq!(self.entries(), self.owned, "unuse");
                assert!(!self.swap.alloc.tryget_device(self.cpu, dev), "I12");
                self.validate();
                assert!(self.swap.swapon(self.cpu, dev));
            }
            Op::Work => self.swap.alloc.run_work(self.cpu),
        }
        self.validate();
    }

    fn out(&mut self, owner: usize, page: usize, order: usize, keep: bool) {
        let nr = 1 << order;
        let page = page.min(PAGES - nr);
        if (page..page + nr).any(|p| self.owned.contains_key(&(owner, p))) {
            return;
        }
        if self.swap.swap_out(self.cpu, owner, page, order, keep) {
            let first = self.swap.owners.peek(owner, page).expect("a page that was swapped out");
            assert_eq!(first.offset() % nr as u32, 0, "slots of an order are aligned");
            for i in 0..nr {
                let entry = first.plus(i as u32);
                assert!(
                    entry.offset() < self.swap.alloc.base().devices[entry.dev()].max(),
                    "beyond the end"
                );
                assert_eq!(self.users(entry), 0, "I1: {entry:?} has an owner already");
                self.owned.insert((owner, page + i), entry);
            }
        } else if order == 0 {
            self.no_slot_is_free();
        }
    }

    /// L3: an order-0 allocation without contention fails only if nothing is free.
    fn no_slot_is_free(&self) {
        let free = |dev| {
            let stats = self.swap.alloc.stats(dev);
            stats.pages - stats.inuse
        };
        let free: u64 = (0..self.spec.devices.len()).map(free).sum();
        assert_eq!(free, 0, "L3: an allocation failed with {free} slots free");
    }

    fn fork(&mut self, parent: usize, child: usize, page: usize, nr: usize) {
        let nr = nr.min(PAGES - page);
        let busy = (page..page + nr).any(|p| self.owned.contains_key(&(child, p)));
        if parent == child || busy {
            return;
        }
        let mut copies = 0;
        for page in page..page + nr {
            if let Some(&entry) = self.owned.get(&(parent, page)) {
                self.owned.insert((child, page), entry);
                copies += 1;
            }
        }
        assert_eq!(self.swap.fork(self.cpu, parent, child, page, nr), copies);
    }

    fn validate(&self) {
        assert_eq!(self.entries(), self.owned, "page tables");
        for &entry in self.owned.values() {
            let users = self.swap.alloc.usage(entry).0;
            assert_eq!(users, self.users(entry), "users of {entry:?}");
        }
        if let Err(broken) = self.swap.alloc.validate() {
            panic!("{broken}");
        }
    }

    /// Frees everything: afterwards every device goes off and nothing is left.
    pub fn finish(mut self) {
        for owner in 0..OWNERS {
            self.step(Op::Zap { owner, page: 0, nr: PAGES });
        }
        for dev in 0..self.spec.devices.len() {
            self.swap.swapoff(self.cpu, dev).expect("the last swapoff");
        }
        assert_eq!(self.swap.alloc.nr_swap_pages(), 0);
        self.swap.alloc.validate().expect("all devices are off");
    }
}

/// Runs `ops` on one native CPU under the oracle: what it objects to, if anything.
pub fn follow<K: LockKind, A: SwapAllocator<Native<K, false>>>(ops: &[Op]) -> Result<(), String> {
    let ops = ops.to_vec();
    let run = Native::<K, false>::run(
        &Config::untimed(1),
        |cpu| Swap::<Native<K, false>, A>::new(&spec(), cpu),
        move |swap, cpu| {
            let mut oracle = Oracle::new(swap, cpu, spec());
            ops.iter().for_each(|&op| oracle.step(op));
            oracle.finish();
        },
        |_, _| (),
    );
    run.map(|_| ()).map_err(|failure| failure.to_string())
}

pub fn random_op(random: &mut fastrand::Rng, swapoffs: bool) -> Op {
    let (owner, page) = (random.usize(..OWNERS), random.usize(..PAGES));
    let nr = random.usize(1..20);
    match random.u32(..100) {
        0..40 => Op::Out { owner, page, order: random.usize(..=ORDERS) / 2, keep: random.bool() },
        40..45 => Op::Out { owner, page, order: ORDERS, keep: false },
        45..70 => Op::In { owner, page, keep: random.bool() },
        70..82 => Op::Zap { owner, page, nr },
        82..90 => Op::Fork { parent: owner, child: random.usize(..OWNERS), page, nr },
        90..94 if swapoffs => Op::Off { dev: random.usize(..2) },
        _ => Op::Work,
    }
}

/// Threads of the stress load.
const WORKERS: usize = 3;

pub struct World<M: Machine, A: SwapAllocator<M>> {
    pub swap: Swap<M, A>,
    /// Of each worker that swaps.
    steps: usize,
    /// Workers that still swap.
    busy: AtomicUsize,
}

/// Worker 0 takes devices off and on while the others swap, each its own owner's
/// pages out and anybody's in.
pub fn worker<M: Machine, A: SwapAllocator<M>>(world: &World<M, A>, cpu: &M::Cpu) -> usize {
    let mut random = fastrand::Rng::with_seed(cpu.id() as u64);
    if cpu.id() == 0 {
        let mut swapoffs = 0;
        while swapoffs < 2 || world.busy.load(Relaxed) > 0 {
            let dev = swapoffs % 2;
            world.swap.swapoff(cpu, dev).expect("everything can be swapped in");
            assert!(world.swap.swapon(cpu, dev));
            swapoffs += 1;
            cpu.cond_resched();
        }
        return swapoffs;
    }
    for _ in 0..world.steps {
        step(&world.swap, cpu, random_op(&mut random, false), cpu.id() - 1);
    }
    world.busy.fetch_sub(1, Relaxed);
    0
}

/// Only its own worker swaps an owner's pages out or copies them; all may do the rest.
fn step<M: Machine, A: SwapAllocator<M>>(swap: &Swap<M, A>, cpu: &M::Cpu, op: Op, own: usize) {
    match op {
        Op::Out { page, order, keep, .. } => {
            let page = page.min(PAGES - (1 << order));
            let taken = |p| swap.owners.get(own, p).is_some();
            if !(page..page + (1 << order)).any(taken) {
                swap.swap_out(cpu, own, page, order, keep);
            }
        }
        Op::In { owner, page, keep } => {
            swap.swap_in(cpu, owner, page, keep);
        }
        Op::Zap { owner, page, nr } => {
            swap.zap(cpu, owner, page, nr.min(PAGES - page));
        }
        Op::Fork { parent, page, nr, .. } => {
            let nr = nr.min(PAGES - page);
            let taken = |p| swap.owners.get(own, p).is_some();
            if parent != own && !(page..page + nr).any(taken) {
                swap.fork(cpu, parent, own, page, nr);
            }
        }
        Op::Work | Op::Off { .. } => swap.alloc.run_work(cpu),
    }
}

/// All owners exit, all devices go off: nothing may be left.
pub fn finish<M: Machine, A: SwapAllocator<M>>(world: &World<M, A>, cpu: &M::Cpu) {
    let swap = &world.swap;
    swap.alloc.validate().expect("the threads are done");
    for owner in 0..OWNERS {
        swap.zap(cpu, owner, 0, PAGES);
    }
    swap.alloc.validate().expect("the owners are gone");
    for dev in 0..2 {
        swap.swapoff(cpu, dev).expect("the last swapoff");
    }
    assert_eq!(swap.alloc.nr_swap_pages(), 0);
    swap.alloc.validate().expect("the devices are off");
}

/// The load on `WORKERS` threads, with a limit to unuse's passes: what went wrong, if
/// anything.
pub fn stress<K: LockKind, A: SwapAllocator<Native<K, true>>>(
    steps: usize,
    unuse_passes: u32,
) -> Result<(), String> {
    let run = Native::<K, true>::run(
        &Config::untimed(WORKERS),
        move |cpu| {
            let swap = Swap::<Native<K, true>, A>::new(&Spec { unuse_passes, ..spec() }, cpu);
            (0..2).for_each(|dev| assert!(swap.swapon(cpu, dev)));
            World { swap, steps, busy: AtomicUsize::new(WORKERS - 1) }
        },
        worker,
        finish,
    );
    run.map(|_| ()).map_err(|failure| failure.to_string())
}
