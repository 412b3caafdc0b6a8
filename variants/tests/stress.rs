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

/// A plain program, so that a sanitizer sees nothing but what is under test.
fn main() {
    every_variant_under_every_lock(&Pages);
    println!("stress: pages go out and in ... ok");
    every_variant_under_every_lock(&Slots);
    println!("stress: a slot has one holder ... ok");
}
