//! The invariants, and how a broken one ends an execution. Guards that a failure is always put down
//! to one of them, and that a test can look behind the first one that fails. The numbers are those
//! of docs/catalogue.md.

use std::cell::Cell;
use std::fmt::Display;

/// Makes the enum of invariants, the list of its members, and the sentence of each.
macro_rules! invariants {
    ($($name:ident, $about:literal;)*) => {
        /// A property that every execution must have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant {
            $(#[doc = $about] $name,)*
        }

        impl Invariant {
            /// All invariants in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The invariant in one sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)*
                }
            }
        }
    };
}

invariants! {
    I1, "No slot is handed to two owners.";
    I2, "No slot becomes allocated after swapoff's barrier, until swapon.";
    I3, "Nothing touches the arrays after swapoff has freed them.";
    I4, "At rest, inuse_pages is the number of slots in use.";
    I5, "ci->count is the number of the cluster's slots in use.";
    I6, "Every cluster is on exactly the list that its flag names.";
    I7, "A cluster's flag fits its count.";
    I8, "Since 6.14 a cluster serves one order; order 0 alone may take slots of another order's cluster.";
    I9, "A device is on the avail list if and only if it is neither full nor swapped off.";
    I10, "nr_swap_pages is what is free on enabled devices.";
    I11, "A slot in a slot cache is allocated, once, and has no user.";
    I12, "Who holds a reference has valid arrays; nobody gets one once percpu_ref_kill() has returned.";
    I13, "A cluster has a swap table exactly while it is not on the free list.";
    I14, "A swap table is freed a grace period after it has been taken away from its cluster.";
    I15, "A look-up without a lock returns the folio of the slot that it looks for.";
    I16, "A slot has a folio if and only if its entry in the swap table says so.";
    I17, "extend_table counts a slot if and only if its entry says so.";
    I18, "Slots of a large folio are aligned to its size.";
    I19, "A freed cluster is discarded before it is free, is not in use meanwhile, and does not wait for ever.";
    I20, "At rest nothing leaks: no reference, no lock of a folio, no slot without a holder, no slot cache that stays off.";
    L, "Everything ends: swapoff, an allocation, every wait, within a budget of steps.";
    Race, "No two accesses to plain memory are unordered.";
    Bug, "The kernel's own assertions, and the lock order.";
}

impl Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

thread_local! {
    /// Bit n: the n-th invariant is not checked.
    static IGNORED: Cell<u32> = const { Cell::new(0) };
}

/// For tests of the checks themselves: `invariants`, and no others, are ignored by this thread from
/// now on.
pub fn ignore(invariants: &[Invariant]) {
    IGNORED.set(invariants.iter().fold(0, |set, &i| set | 1 << i as u32));
}

/// Whether `invariant` is ignored by this thread.
pub(crate) fn ignored(invariant: Invariant) -> bool {
    IGNORED.get() & 1 << invariant as u32 != 0
}

/// Checks that `holds`.
///
/// # Panics
///
/// If it is false and `invariant` is not ignored: that ends the execution with the message
/// `broken`.
pub fn hold(invariant: Invariant, holds: bool, broken: impl FnOnce() -> String) {
    if !holds && !ignored(invariant) {
        panic!("{invariant}: {}", broken());
    }
}

/// The invariant that a failure's message is about.
pub(crate) fn named(message: &str) -> Invariant {
    use Invariant::*;
    let begins = |i: &&Invariant| message.starts_with(&format!("{i}: "));
    match Invariant::ALL.iter().find(begins) {
        Some(&invariant) => invariant,
        None if ["no progress", "no end", "deadlock"].iter().any(|l| message.starts_with(l)) => L,
        None if message.starts_with("data race") => Race,
        None => Bug,
    }
}
