//! Threads with swapoff and swapon in the loop, for every variant and lock: what is
//! left at the end must be consistent and complete. Counts, not times, end it.

mod common;

use common::stress;
use machine::Native;
use machine::lock::{LockKind, Mcs, Qspin, Tas, Ticket};
use std::marker::PhantomData;
use variants::SwapAllocator;
use variants::registry::{VARIANTS, Variant, Visitor, visit};

struct Stress<K>(PhantomData<K>);

impl<K: LockKind> Visitor<Native<K, true>> for Stress<K> {
    type Output = ();
    fn visit<A: SwapAllocator<Native<K, true>>>(self, variant: &'static Variant) {
        if let Err(failure) = stress::<K, A>(30_000, u32::MAX) {
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
