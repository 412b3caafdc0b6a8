//! Every variant under every lock does what a plain map says it should, over random
//! sequences of operations; a failing sequence is shrunk.

mod common;

use common::{Check, On, every_variant_under_every_lock, oracle};
use machine::lock::LockKind;
use variants::SwapAllocator;
use variants::registry::Variant;

struct Follow;

impl Check for Follow {
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        oracle::random_sequences::<K, A>()
    }
}

#[test]
fn every_variant_agrees_with_a_map() {
    every_variant_under_every_lock(&Follow);
}
