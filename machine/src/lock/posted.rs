//! What each CPU posts of its locks, on a line of its own: which it holds and which it
//! waits for. A waiter that looks around learns there who holds the lock and how many
//! wait with it, so that the locks keep their size and their lines their traffic.
//!
//! What it costs: a holder, two stores to its own line a lock; a waiter, two a wait; a
//! look, one read of every other CPU's line, and that CPU the line once. Only one wait in
//! [`Machine::SAMPLE`](crate::Machine::SAMPLE) looks. The words are the host's own, not
//! the machine's: they cost a simulated CPU nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// Locks of one CPU that are posted; the innermost ones of a deeper nest are not.
const DEPTH: usize = 6;

/// One CPU's line: addresses of locks, 0 for none.
#[derive(Default)]
#[repr(align(64))]
pub struct Posted {
    holds: [AtomicUsize; DEPTH],
    waits: AtomicUsize,
    /// When a held lock was given up, in a virtual time that others have not reached; else 0.
    until: [AtomicU64; DEPTH],
}

/// Who a waiter found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// None: it was between two holders, or nested too deep.
    pub holder: Option<usize>,
    pub waiting: u64,
}

impl Posted {
    /// Returns the place of the posted address, for [`Posted::released`].
    #[inline]
    pub(super) fn acquired(&self, lock: usize) -> u8 {
        let over = |place: &usize| self.until[*place].load(Relaxed) != 0;
        let free = |place: &usize| self.holds[*place].load(Relaxed) == 0 || over(place);
        let place = (0..DEPTH).find(free).unwrap_or(DEPTH);
        if place < DEPTH {
            self.until[place].store(0, Relaxed);
            self.holds[place].store(lock, Relaxed);
        }
        place as u8
    }

    /// At once, or at the virtual time `until`.
    #[inline]
    pub(super) fn released(&self, place: u8, until: u64) {
        let place = usize::from(place);
        if place < DEPTH && until == 0 {
            self.holds[place].store(0, Relaxed);
        } else if place < DEPTH {
            self.until[place].store(until, Relaxed);
        }
    }

    fn holds(&self, lock: usize, now: u64) -> bool {
        let held = |at: usize| self.holds[at].load(Relaxed) == lock;
        let still = |at: usize| match self.until[at].load(Relaxed) {
            0 => true,
            until => now <= until,
        };
        (0..DEPTH).any(|at| held(at) && still(at))
    }

    /// Begins to wait for `lock`; 0 ends it.
    pub(super) fn waits_for(&self, lock: usize) {
        self.waits.store(lock, Relaxed);
    }
}

/// What CPU `me` finds of `lock` on the others' lines at `now`.
pub(super) fn look(all: &[Posted], me: usize, lock: usize, now: u64) -> Seen {
    let mut seen = Seen::default();
    for (cpu, posted) in all.iter().enumerate().filter(|(cpu, _)| *cpu != me) {
        seen.waiting += u64::from(posted.waits.load(Relaxed) == lock);
        if posted.holds(lock, now) {
            seen.holder = Some(cpu);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_finds_the_holder_and_who_waits() {
        let all: [Posted; 4] = Default::default();
        let place = all[1].acquired(64);
        all[1].acquired(128);
        all[0].waits_for(64);
        all[3].waits_for(128);
        assert_eq!(look(&all, 2, 64, 9), Seen { holder: Some(1), waiting: 1 });
        assert_eq!(look(&all, 0, 64, 9), Seen { holder: Some(1), waiting: 0 }, "not itself");
        all[1].released(place, 0);
        assert_eq!(look(&all, 2, 64, 9).holder, None);
        assert_eq!(look(&all, 2, 128, 9).holder, Some(1), "released in any order");
        all[1].released(1, 20);
        assert_eq!(look(&all, 2, 128, 20).holder, Some(1), "not over yet");
        assert_eq!(look(&all, 2, 128, 21).holder, None);
        assert_eq!(all[1].acquired(64), 0);
        assert_eq!(all[1].acquired(192), 1, "its place is free again");
    }

    #[test]
    fn a_nest_too_deep_is_not_posted_and_does_no_harm() {
        let all: [Posted; 2] = Default::default();
        let places: Vec<u8> = (1..=DEPTH + 2).map(|lock| all[0].acquired(lock)).collect();
        assert_eq!(look(&all, 1, DEPTH, 9).holder, Some(0));
        assert_eq!(look(&all, 1, DEPTH + 1, 9).holder, None);
        places.into_iter().rev().for_each(|place| all[0].released(place, 0));
        assert_eq!(look(&all, 1, 1, 9).holder, None);
    }
}
