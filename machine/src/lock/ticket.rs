//! The ticket lock: FIFO, all waiters spin on one word. Reed and Kanodia, "Synchronization with
//! Eventcounts and Sequencers", CACM 1979; as a spinlock in Mellor-Crummey and Scott, TOCS 1991.
//! Linux x86 from 2.6.25 until queued spinlocks came in 4.2.

use super::{LockKind, RawLock};
use crate::{Atomic, Machine};

/// The ticket lock: two halves of a word, the ticket that is served and the next one to be drawn.
///
/// All waiters read the half that every release writes, so a hand-over costs the more the more
/// CPUs wait (Boyd-Wickizer et al., "Non-scalable locks are dangerous", OLS 2012). On a simulated
/// machine:
///
/// ```
/// use machine::lock::Ticket;
/// use machine::simulated::{Config, Model, Simulated};
/// use machine::{Cpu, Fields, Machine, Region, Site, SpinLock};
///
/// type M = Simulated<Ticket>;
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
/// assert!(hand_over(48) > 2 * hand_over(4));
/// ```
pub struct Ticket;

impl LockKind for Ticket {
    type Lock<M: Machine> = TicketLock<M>;
}

/// [`Ticket`] over the words of `M`.
#[repr(C)]
pub struct TicketLock<M: Machine> {
    /// The ticket that is served.
    owner: M::Atomic<u16>,
    /// The next ticket to be drawn.
    next: M::Atomic<u16>,
}

impl<M: Machine> RawLock<M> for TicketLock<M> {
    /// The ticket being served while the lock is held.
    type Token = u16;

    fn new() -> Self {
        Self { owner: M::Atomic::new(0), next: M::Atomic::new(0) }
    }

    #[inline]
    fn lock(&self, _cpu: &M::Cpu, contended: impl FnOnce()) -> u16 {
        let ticket = self.next.fetch_add(1);
        if self.owner.load_acquire() != ticket {
            contended();
            self.owner.spin_until(|owner| owner == ticket);
        }
        ticket
    }

    #[inline]
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<u16> {
        // While `next` is what `owner` was, nobody holds a ticket: the lock is free.
        let ticket = self.owner.load_acquire();
        let free = self.next.load() == ticket;
        (free && self.next.cmpxchg(ticket, ticket.wrapping_add(1)).is_ok()).then_some(ticket)
    }

    #[inline]
    fn unlock(&self, _cpu: &M::Cpu, ticket: u16) {
        self.owner.store_release(ticket.wrapping_add(1));
    }

    fn peek_locked(&self) -> bool {
        self.owner.peek() != self.next.peek()
    }
}
