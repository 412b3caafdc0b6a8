//! Threads with swapoff and swapon in the loop, for every variant and lock: what is
//! left at the end must be consistent and complete. Counts, not times, end it.

mod common;

use common::{OWNERS, Op, PAGES, random_op, spec};
use machine::lock::{LockKind, Mcs, Qspin, Tas, Ticket};
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use variants::registry::{VARIANTS, Variant, Visitor, visit};
use variants::{Swap, SwapAllocator};

const WORKERS: usize = 3;
const STEPS: usize = 30_000;

struct World<M: Machine, A: SwapAllocator<M>> {
    swap: Swap<M, A>,
    /// Workers that still swap.
    busy: AtomicUsize,
}

/// Worker 0 takes devices off and on while the others swap, each its own owner's
/// pages out and anybody's in.
fn worker<M: Machine, A: SwapAllocator<M>>(world: &World<M, A>, cpu: &M::Cpu) -> usize {
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
    for _ in 0..STEPS {
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
fn finish<M: Machine, A: SwapAllocator<M>>(world: &World<M, A>, cpu: &M::Cpu) {
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

struct Stress<K>(PhantomData<K>);

impl<K: LockKind> Visitor<Native<K, true>> for Stress<K> {
    type Output = ();
    fn visit<A: SwapAllocator<Native<K, true>>>(self, variant: &'static Variant) {
        let run = Native::<K, true>::run(
            &Config::untimed(WORKERS),
            |cpu| {
                let swap = Swap::<Native<K, true>, A>::new(&spec(), cpu);
                (0..2).for_each(|dev| assert!(swap.swapon(cpu, dev)));
                World { swap, busy: AtomicUsize::new(WORKERS - 1) }
            },
            worker,
            finish,
        );
        if let Err(failure) = run {
            panic!("{} under {}: {failure}", variant.name, K::NAME);
        }
    }
}

fn every_variant<K: LockKind>() {
    for variant in VARIANTS {
        visit::<Native<K, true>, _>(variant.name, Stress::<K>(PhantomData)).expect("is listed");
    }
}

#[test]
fn with_tas() {
    every_variant::<Tas>();
}

#[test]
fn with_ticket() {
    every_variant::<Ticket>();
}

#[test]
fn with_mcs() {
    every_variant::<Mcs>();
}

#[test]
fn with_qspin() {
    every_variant::<Qspin>();
}
