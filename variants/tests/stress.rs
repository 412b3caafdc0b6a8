//! Every variant under every lock stands threads, with swapoff and swapon in the loop.

mod common;

use common::{Check, On, every_variant_under_every_lock, stress};
use machine::lock::LockKind;
use variants::SwapAllocator;
use variants::registry::Variant;

struct Pages;

impl Check for Pages {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        stress::pages::<K, A>()
    }
}

struct Slots;

impl Check for Slots {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        stress::slots::<K, A>()
    }
}

#[test]
fn pages_go_out_and_in() {
    every_variant_under_every_lock(&Pages);
}

#[test]
fn a_slot_has_one_holder() {
    every_variant_under_every_lock(&Slots);
}
