//! The toy variant of CONTRIBUTING.md passes what every variant has to pass: the oracle, the stress
//! load and the lock order, under every lock, by the very checks that run over the registry.

mod common;
#[path = "toy/first_fit.rs"]
mod first_fit;

use common::learnt::{Documented, learnt};
use common::stress::{Effort, Pages, Slots};
use common::{Check, On, oracle::Follows};
use first_fit::FirstFit;
use machine::lock::{KINDS, Tas};
use machine::with_lock;
use variants::registry::Variant;

/// The toy's row in the registry, as README.md gives it.
const TOY: Variant =
    Variant { name: "toy", releases: &[], ablation: false, about: "one lock, one map" };

fn under_every_lock<C: Check>(check: &C) {
    for (lock, _) in KINDS {
        let checked = with_lock!(lock, K => check.check::<K, FirstFit<C::On<K>>>(&TOY));
        if let Err(why) = checked.expect("a registered lock") {
            panic!("the toy under {lock}: {why}");
        }
    }
}

#[test]
fn the_toy_passes_the_oracle() {
    under_every_lock(&Follows);
}

#[test]
fn the_toy_passes_the_stress_load() {
    under_every_lock(&Pages(Effort::USUAL));
    under_every_lock(&Slots(Effort::USUAL));
}

/// The toy has no documented order, so the check is that there is no cycle. That its locks are seen
/// at all is what the learnt pairs say; they are learnt in builds with debug assertions only.
#[test]
#[cfg(debug_assertions)]
fn the_toy_passes_the_lock_order() {
    under_every_lock(&Documented);
    let pairs = learnt::<Tas, FirstFit<On<Tas>>>().expect("no cycle");
    let own = ["ptl > si->lock", "si->lock > cont_lock", "swap_lock > si->lock"];
    let neighbours = ["si->lock > class->lock", "si->lock > xa_lock", "xa_lock > list_lru"];
    let mut expected = own.iter().chain(&neighbours);
    assert!(expected.all(|pair| pairs.iter().any(|p| p == pair)), "{pairs:?}");
}
