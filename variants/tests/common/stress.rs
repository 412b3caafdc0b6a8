//! Threads with swapoff and swapon in the loop. A run ends after a count of steps, not after a
//! time. Guards what is left then: it must be consistent and complete.

use super::{Check, OWNERS, On, Op, PAGES, random_op, spec};
use machine::lock::LockKind;
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use variants::registry::Variant;
use variants::{Swap, SwapAllocator, SwapoffError, SwpEntry};

/// An allocator stands [`pages`].
pub struct Pages;

impl Check for Pages {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        pages::<K, A>()
    }
}

/// An allocator stands [`slots`].
pub struct Slots;

impl Check for Slots {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        slots::<K, A>()
    }
}

const WORKERS: usize = 3;
const STEPS: usize = 10_000;
const CLUSTER_SLOTS: u32 = 8;

struct World<M: Machine, A: SwapAllocator<M>> {
    swap: Swap<M, A>,
    /// The CPU that holds each slot, or 0, by device and offset; the holders themselves write it.
    holders: Vec<Vec<AtomicU32>>,
    /// How many workers still allocate.
    busy: AtomicUsize,
}

impl<M: Machine, A: SwapAllocator<M>> World<M, A> {
    fn new(cpu: &M::Cpu) -> Self {
        let spec = spec(CLUSTER_SLOTS);
        let swap = Swap::<M, A>::new(&spec, cpu);
        (0..2).for_each(|dev| assert!(swap.swapon(cpu, dev)));
        let nobody = |slots| (0..slots).map(|_| AtomicU32::new(0)).collect();
        let holders = spec.devices.iter().map(|dev| nobody(dev.slots)).collect();
        Self { swap, holders, busy: AtomicUsize::new(WORKERS - 1) }
    }

    /// Takes devices off and on while others allocate from them. A swapoff may be
    /// interrupted by a slot that stays busy; then the device is still on.
    fn storm(&self, cpu: &M::Cpu) {
        let mut swapoffs = 0;
        while swapoffs < 2 || self.busy.load(Relaxed) > 0 {
            let dev = swapoffs % 2;
            match self.swap.swapoff(cpu, dev) {
                Ok(_) => assert!(self.swap.swapon(cpu, dev)),
                Err(error) => assert_eq!(error, SwapoffError::Interrupted),
            }
            swapoffs += 1;
            cpu.cond_resched();
        }
    }

    fn worker(&self, cpu: &M::Cpu, steps: usize, step: impl Fn(&mut fastrand::Rng)) {
        if cpu.id() == 0 {
            return self.storm(cpu);
        }
        let mut random = fastrand::Rng::with_seed(cpu.id() as u64);
        (0..steps).for_each(|_| step(&mut random));
        self.busy.fetch_sub(1, Relaxed);
    }

    /// All owners exit, all devices go off: nothing may be left.
    fn finish(&self, cpu: &M::Cpu) {
        let swap = &self.swap;
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

    /// One random operation on pages. An owner's pages are swapped out and copied by its own worker
    /// alone; all else is done by any worker.
    fn swap_pages(&self, cpu: &M::Cpu, random: &mut fastrand::Rng) {
        let (swap, own) = (&self.swap, cpu.id() - 1);
        let taken = |p| swap.owners.get(own, p).is_some();
        match random_op(random) {
            Op::Out { page, order, folio, .. } => {
                let page = page.min(PAGES - (1 << order));
                if !(page..page + (1 << order)).any(taken) {
                    swap.swap_out(cpu, own, page, order, folio);
                }
            }
            Op::In { owner, page, folio } => {
                swap.swap_in(cpu, owner, page, folio);
            }
            Op::Zap { owner, page, nr } => {
                swap.zap(cpu, owner, page, nr.min(PAGES - page));
            }
            Op::Fork { parent, page, nr, .. } => {
                let nr = nr.min(PAGES - page);
                if parent != own && !(page..page + nr).any(taken) {
                    swap.fork(cpu, parent, own, page, nr);
                }
            }
            Op::Work | Op::Off { .. } => swap.alloc.run_work(cpu),
        }
    }

    /// Allocates 1 to 7 entries, signs for every slot of each, and gives all back.
    fn hold_slots(&self, cpu: &M::Cpu, random: &mut fastrand::Rng) {
        let (me, alloc) = (cpu.id() as u32, &self.swap.alloc);
        let mut held = Vec::new();
        for _ in 0..random.usize(1..8) {
            let order = random.usize(..6) / 2;
            if let Some(entry) = alloc.alloc(cpu, order) {
                self.sign(entry, order, 0, me);
                held.push((entry, order));
            }
        }
        for (entry, order) in held {
            self.sign(entry, order, me, 0);
            alloc.put_folio(cpu, entry, order);
        }
    }

    /// Passes every slot of the entry from CPU `from` to CPU `to`; 0 is no CPU.
    fn sign(&self, entry: SwpEntry, order: usize, from: u32, to: u32) {
        for slot in entry.offset()..entry.offset() + (1 << order) {
            let had = self.holders[entry.dev()][slot as usize].swap(to, Relaxed);
            assert_eq!(had, from, "I1: slot {slot} of device {} has two holders", entry.dev());
        }
    }
}

/// Pages go out and in, shared by owners and by the swap cache. The error is a worker's panic.
pub fn pages<K: LockKind, A: SwapAllocator<On<K>>>() -> Result<(), String> {
    let run = Native::run(
        &Config::untimed(WORKERS),
        World::<On<K>, A>::new,
        |world, cpu| world.worker(cpu, STEPS, |random| world.swap_pages(cpu, random)),
        World::finish,
    );
    run.map(|_| ()).map_err(|failure| failure.to_string())
}

/// Bare slots, each of which must have one holder at a time. The error is a worker's panic.
pub fn slots<K: LockKind, A: SwapAllocator<On<K>>>() -> Result<(), String> {
    let run = Native::run(
        &Config::untimed(WORKERS),
        World::<On<K>, A>::new,
        |world, cpu| world.worker(cpu, STEPS / 5, |random| world.hold_slots(cpu, random)),
        World::finish,
    );
    run.map(|_| ()).map_err(|failure| failure.to_string())
}
