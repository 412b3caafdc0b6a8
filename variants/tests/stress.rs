//! Every variant under every lock stands workers that meet in the middle of operations, with swapoff
//! and swapon in the loop: woven on one thread, then on threads that run at once.

mod common;

use common::every_variant_under_every_lock;
use common::stress::{Effort, Pages, Slots};

/// A plain program, so that a sanitizer sees nothing but what is under test. With the argument
/// `threads` no round is woven: ThreadSanitizer knows threads, and no coroutines.
fn main() {
    let all = [("woven", Effort::USUAL), ("on threads", Effort::THREADS)];
    let threads = std::env::args().any(|argument| argument == "threads");
    for (how, effort) in all.into_iter().skip(usize::from(threads)) {
        every_variant_under_every_lock(&Pages(effort));
        println!("stress, {how}: pages go out and in ... ok");
        every_variant_under_every_lock(&Slots(effort));
        println!("stress, {how}: a slot has one holder ... ok");
    }
}
