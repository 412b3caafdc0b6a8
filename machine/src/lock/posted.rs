//! Each CPU posts, on lines of its own, which locks it holds and which lock it waits for. A waiter
//! reads there which CPU holds the lock and how many wait with it. Guards that accounting neither
//! enlarges the locks nor adds traffic to their lines.
//!
//! Cost: 2 stores to own lines per acquisition; 2 per wait; a look reads each other CPU's lines
//! once, and each of those CPUs then misses once. Only one wait in [`Machine::SAMPLE`] looks. The
//! words are the host's own, not the machine's: they cost a simulated CPU nothing.

use crate::Machine;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// Places for lock classes: a CPU holds at most one lock of a class. The first 15 classes have a
/// place each; all others share the last one, at which no waiter looks.
const CLASSES: usize = 16;

/// The place at which locks of the class with this number are posted.
pub(super) fn place(class: usize) -> usize {
    class.min(CLASSES - 1)
}

/// One CPU's lines: addresses of locks, 0 for none.
#[derive(Default)]
#[repr(align(64))]
pub struct Posted {
    /// The lock that it holds, by place.
    holds: [AtomicUsize; CLASSES],
    /// The lock that it waits for.
    waits: AtomicUsize,
    /// When the lock was given up, if that is a virtual time that others may not have reached;
    /// else 0.
    until: [AtomicU64; CLASSES],
}

/// The result of a waiter's look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The CPU that holds the lock. None: the lock was between two holders, or its class has no
    /// place of its own.
    pub holder: Option<usize>,
    /// How many other CPUs wait for the lock.
    pub waiting: u64,
}

impl Posted {
    #[inline]
    pub(super) fn acquired<M: Machine>(&self, place: usize, lock: usize) {
        let place = place % CLASSES;
        if M::VIRTUAL {
            self.until[place].store(0, Relaxed);
        }
        self.holds[place].store(lock, Relaxed);
    }

    /// The lock is given up: now, or at the virtual time `until`.
    #[inline]
    pub(super) fn released<M: Machine>(&self, place: usize, until: u64) {
        let place = place % CLASSES;
        if M::VIRTUAL {
            self.until[place].store(until, Relaxed);
        } else {
            self.holds[place].store(0, Relaxed);
        }
    }

    fn holds(&self, place: usize, lock: usize, now: u64) -> bool {
        let still = || match self.until[place].load(Relaxed) {
            0 => true,
            until => now <= until,
        };
        self.holds[place].load(Relaxed) == lock && still()
    }

    /// Begins to wait for `lock`; 0 ends the wait.
    #[inline]
    pub(super) fn waits_for(&self, lock: usize) {
        self.waits.store(lock, Relaxed);
    }
}

/// A look of CPU `me` at the lines of the others: which holds `lock`, of the class with this place,
/// at `now`, how many wait for it.
pub(super) fn look(all: &[Arc<Posted>], me: usize, place: usize, lock: usize, now: u64) -> Seen {
    let (place, mut seen) = (place % CLASSES, Seen::default());
    for (cpu, posted) in all.iter().enumerate().filter(|(cpu, _)| *cpu != me) {
        seen.waiting += u64::from(posted.waits.load(Relaxed) == lock);
        if place < CLASSES - 1 && posted.holds(place, lock, now) {
            seen.holder = Some(cpu);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Native;
    use crate::lock::Tas;
    use crate::simulated::Simulated;

    type Real = Native<Tas, true>;
    type Virtual = Simulated<Tas>;

    #[test]
    fn a_look_finds_the_holder_and_the_waiters() {
        let all: [Arc<Posted>; 4] = Default::default();
        all[1].acquired::<Real>(0, 64);
        all[1].acquired::<Real>(1, 128);
        all[0].waits_for(64);
        all[3].waits_for(128);
        assert_eq!(look(&all, 2, 0, 64, 9), Seen { holder: Some(1), waiting: 1 });
        assert_eq!(look(&all, 0, 0, 64, 9), Seen { holder: Some(1), waiting: 0 }, "not itself");
        all[1].released::<Real>(0, 0);
        assert_eq!(look(&all, 2, 0, 64, 9).holder, None);
        assert_eq!(look(&all, 2, 1, 128, 9).holder, Some(1), "released in any order");
    }

    #[test]
    fn a_virtual_release_is_seen_when_its_time_has_come() {
        let all: [Arc<Posted>; 2] = Default::default();
        all[1].acquired::<Virtual>(1, 128);
        all[1].released::<Virtual>(1, 20);
        assert_eq!(look(&all, 0, 1, 128, 20).holder, Some(1), "not over yet");
        assert_eq!(look(&all, 0, 1, 128, 21).holder, None);
        all[1].acquired::<Virtual>(1, 192);
        assert_eq!(look(&all, 0, 1, 192, 21).holder, Some(1), "its place is free again");
    }

    #[test]
    fn classes_without_a_place_are_not_found_and_do_no_harm() {
        let all: [Arc<Posted>; 2] = Default::default();
        (0..CLASSES + 2).for_each(|class| all[0].acquired::<Real>(place(class), class + 1));
        assert_eq!(look(&all, 1, CLASSES - 2, CLASSES - 1, 9).holder, Some(0));
        assert_eq!(look(&all, 1, place(CLASSES - 1), CLASSES, 9).holder, None);
        (0..CLASSES + 2).for_each(|class| all[0].released::<Real>(place(class), 0));
        assert_eq!(look(&all, 1, 0, 1, 9).holder, None);
    }
}
