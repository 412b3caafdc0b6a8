//! The order in which each scheme takes its locks is the one documented for its kernel,
//! neither more nor less. Orders are learnt in builds with debug assertions only.
#![cfg(debug_assertions)]

mod common;

use common::learnt::Documented;
use common::{On, every_variant_under_every_lock, spec};
use machine::lock::Tas;
use machine::native::Config;
use machine::{Machine, Native, Site};
use variants::percluster::PerCluster;
use variants::{Folio, Swap, SwapAllocator};

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
            assert!(swap.swapon(cpu, 0) && swap.swap_out(cpu, 0, 0, 0, Folio::Drop));
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
