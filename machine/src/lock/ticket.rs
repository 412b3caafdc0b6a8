//! The ticket lock: FIFO, all waiters spin on one word. Reed and Kanodia 1979;
//! Linux x86 from 2.6.25 until queued spinlocks came in 4.2.

use super::{LockKind, RawLock};
use crate::{Atomic, Machine};

pub struct Ticket;

impl LockKind for Ticket {
    const NAME: &'static str = "ticket";
    type Lock<M: Machine> = TicketLock<M>;
}

#[repr(C)]
pub struct TicketLock<M: Machine> {
    owner: M::Atomic<u16>,
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
