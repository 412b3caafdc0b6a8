//! Every variant under every lock stands threads, with swapoff and swapon in the loop.

mod common;

use common::every_variant_under_every_lock;
use common::stress::{Effort, Pages, Slots};

/// A plain program, so that a sanitizer sees nothing but what is under test.
fn main() {
    every_variant_under_every_lock(&Pages(Effort::USUAL));
    println!("stress: pages go out and in ... ok");
    every_variant_under_every_lock(&Slots(Effort::USUAL));
    println!("stress: a slot has one holder ... ok");
}
