//! The order in which each scheme takes its locks is the one documented for its kernel,
//! neither more nor less. Orders are learnt in builds with debug assertions only.
#![cfg(debug_assertions)]

mod common;

use common::oracle::Oracle;
use common::order::{allowed, documented};
use common::{Check, OWNERS, On, PAGES, every_variant_under_every_lock, random_op, spec};
use machine::lock::{LockKind, Tas};
use machine::native::Config;
use machine::{Cpu, Machine, Native, Site};
use variants::percluster::PerCluster;
use variants::registry::Variant;
use variants::{Swap, SwapAllocator};

/// What random operations seldom reach: more users than one swap_map byte counts, so
/// that continuations come into play, and devices that become full.
fn corners<M: Machine, A: SwapAllocator<M>>(swap: &Swap<M, A>, cpu: &M::Cpu) {
    assert!(swap.swap_out(cpu, 0, 0, 0, false));
    let entry = swap.owners.get(0, 0).expect("swapped out");
    (0..70).for_each(|_| assert!(swap.alloc.dup(cpu, entry)));
    (0..70).for_each(|_| swap.alloc.put(cpu, entry, 1));
    swap.zap(cpu, 0, 0, 1);
    let pages = || (0..OWNERS).flat_map(|owner| (0..PAGES).map(move |page| (owner, page)));
    let full = pages().any(|(owner, page)| !swap.swap_out(cpu, owner, page, 0, false));
    assert!(full, "the owners' pages outnumber the slots");
    (0..OWNERS).for_each(|owner| assert!(swap.zap(cpu, owner, 0, PAGES) > 0));
}

/// A fixed sequence of every kind of operation, then the order learnt from it.
fn learnt<K: LockKind, A: SwapAllocator<On<K>>>() -> Result<Vec<String>, String> {
    let run = Native::run(
        &Config::untimed(1),
        |cpu| Swap::<On<K>, A>::new(&spec(8), cpu),
        |swap, cpu| {
            let (mut oracle, mut random) =
                (Oracle::new(swap, cpu, spec(8)), fastrand::Rng::with_seed(1));
            corners(swap, cpu);
            (0..2_000).for_each(|_| oracle.step(random_op(&mut random)));
            oracle.finish();
            cpu.system().order.learnt()
        },
        |_, _| (),
    );
    run.map(|outcome| outcome.workers.concat()).map_err(|failure| failure.to_string())
}

struct Documented;

impl Check for Documented {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, variant: &Variant) -> Result<(), String> {
        let learnt = learnt::<K, A>()?;
        // A variant that is not in the table is still free of cycles.
        let Some(chains) = documented(variant.name) else { return Ok(()) };
        let allowed = allowed(chains);
        let undocumented: Vec<_> = learnt.iter().filter(|pair| !allowed.contains(*pair)).collect();
        let steps = chains.iter().flat_map(|chain| chain.windows(2));
        let never: Vec<_> =
            steps.map(|w| w.join(" > ")).filter(|pair| !learnt.contains(pair)).collect();
        if undocumented.is_empty() && never.is_empty() {
            return Ok(());
        }
        Err(format!("not documented: {undocumented:?}; documented but never taken: {never:?}"))
    }
}

#[test]
fn each_scheme_takes_its_locks_in_the_documented_order() {
    every_variant_under_every_lock(&Documented);
}

#[test]
fn a_reversed_pair_in_a_variant_is_reported_with_both_places() {
    static SI_FIRST: Site = Site::new("si->lock", "takes_si_first");
    static THEN_CI: Site = Site::new("ci->lock", "takes_ci_then");
    type M = On<Tas>;
    let run = Native::run(
        &Config::untimed(1),
        |cpu| Swap::<M, PerCluster<M>>::new(&spec(8), cpu),
        |swap, cpu| {
            assert!(swap.swapon(cpu, 0) && swap.swap_out(cpu, 0, 0, 0, false));
            let dev = &swap.alloc.base().devices[0];
            let _si = dev.si().lock.lock(cpu, &SI_FIRST);
            let _ci = dev.lock_cluster(cpu, 0, &THEN_CI);
        },
        |_, _| (),
    );
    let message = run.expect_err("the order is reversed").to_string();
    for place in ["takes_si_first", "takes_ci_then", "move_cluster"] {
        assert!(message.contains(place), "{place} missing in: {message}");
    }
}
