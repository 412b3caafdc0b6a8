//! The MCS queue lock: FIFO, each waiter spins on a line of its own. Mellor-Crummey and Scott,
//! "Algorithms for Scalable Synchronization on Shared-Memory Multiprocessors", TOCS 1991. The word
//! holds the tail as an index, not a pointer.

use super::nodes::Node;
use super::{LockKind, RawLock};
use crate::{Atomic, Cpu, Machine};

/// The MCS lock: four bytes, and a queue node per waiter.
///
/// A hand-over moves one waiter's node and no other's, so it costs about the same for any number
/// of waiters. On a simulated machine:
///
/// ```
/// use machine::lock::Mcs;
/// use machine::simulated::{Config, Model, Simulated};
/// use machine::{Cpu, Fields, Machine, Region, Site, SpinLock};
///
/// type M = Simulated<Mcs>;
/// struct Lock(SpinLock<M>);
/// impl Fields for Lock {}
/// static PASS: Site = Site::new("lock", "pass");
///
/// /// Nanoseconds of virtual time per hand-over.
/// fn hand_over(cpus: usize) -> u64 {
///     let model = Model::load("x86-2").unwrap();
///     let run = M::run(
///         &Config::untimed(model, cpus),
///         |_| Region::<M, _>::new("lock", 1, |_| Lock(SpinLock::new())),
///         |lock, cpu| {
///             for _ in 0..50 {
///                 let guard = lock[0].0.lock(cpu, &PASS);
///                 lock[0].0.unlock(cpu, guard);
///             }
///             cpu.now()
///         },
///         |_, _| (),
///     );
///     run.unwrap().workers.iter().max().unwrap() / (50 * cpus as u64)
/// }
/// assert!(hand_over(48) < 2 * hand_over(4));
/// ```
pub struct Mcs;

impl LockKind for Mcs {
    type Lock<M: Machine> = McsLock<M>;
}

/// [`Mcs`] over the words of `M`.
pub struct McsLock<M: Machine> {
    /// Index + 1 of the last waiter's node; 0 when free.
    tail: M::Atomic<u32>,
}

/// Waits until the next waiter has linked its node to `mine`, and makes it the head of the queue.
pub(super) fn pass_on<M: Machine>(cpu: &M::Cpu, mine: &Node<M>) {
    let mut next = mine.next.load_acquire();
    if next == 0 {
        next = mine.next.spin_until(|next| next != 0);
    }
    cpu.system().nodes.at(next - 1).head.store_release(1);
}

impl<M: Machine> RawLock<M> for McsLock<M> {
    /// The holder's node.
    type Token = u32;

    fn new() -> Self {
        Self { tail: M::Atomic::new(0) }
    }

    #[inline]
    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) -> u32 {
        let nodes = &cpu.system().nodes;
        let mine = nodes.take(cpu);
        let before = self.tail.swap(mine + 1);
        if before != 0 {
            contended();
            nodes.at(before - 1).next.store_release(mine + 1);
            nodes.at(mine).head.spin_until(|head| head == 1);
        }
        mine
    }

    #[inline]
    fn try_lock(&self, cpu: &M::Cpu) -> Option<u32> {
        if self.tail.load() != 0 {
            return None;
        }
        let nodes = &cpu.system().nodes;
        let mine = nodes.take(cpu);
        if self.tail.cmpxchg(0, mine + 1).is_ok() {
            return Some(mine);
        }
        nodes.release(cpu, mine);
        None
    }

    #[inline]
    fn unlock(&self, cpu: &M::Cpu, mine: u32) {
        let nodes = &cpu.system().nodes;
        let node = nodes.at(mine);
        if node.next.load() != 0 || self.tail.cmpxchg(mine + 1, 0).is_err() {
            pass_on::<M>(cpu, node);
        }
        nodes.release(cpu, mine);
    }

    fn peek_locked(&self) -> bool {
        self.tail.peek() != 0
    }
}
