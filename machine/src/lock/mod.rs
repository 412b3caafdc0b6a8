//! Locks: the contract, what surrounds every acquisition (order check in debug
//! builds, site accounting where the machine has it), and the list of kinds.
//! Each kind is written once over `Machine`, one file each; all lock words are
//! four bytes, so that the layout of what they protect is the same for all.

mod intervals;
mod mcs;
mod order;
mod posted;
mod qspin;
mod sites;
mod tas;
mod ticket;

use crate::{Atomic, Cpu, Fields, Machine, Region};
pub use intervals::Intervals;
pub use mcs::Mcs;
pub use order::{Order, might_sleep};
pub use posted::Posted;
pub use qspin::Qspin;
pub use sites::{Local, Site, SiteStats};
pub use tas::Tas;
pub use ticket::Ticket;

/// A spinlock's algorithm. Tokens have no `Drop`: a simulated CPU may be
/// abandoned in the middle of anything.
pub trait RawLock<M: Machine>: Send + Sync {
    type Token;
    fn new() -> Self;
    /// Takes the lock; calls `contended` once if it has to wait.
    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) -> Self::Token;
    fn try_lock(&self, cpu: &M::Cpu) -> Option<Self::Token>;
    fn unlock(&self, cpu: &M::Cpu, token: Self::Token);
    /// Outside the machine's accounting: for validation.
    fn peek_locked(&self) -> bool;
}

/// A kind of lock, to be had on any machine.
pub trait LockKind: Send + Sync + 'static {
    const NAME: &'static str;
    type Lock<M: Machine>: RawLock<M>;
}

/// (name, what it is) of every kind, in the order of the lists users see.
pub const KINDS: [(&str, &str); 4] = [
    ("tas", "test-and-test-and-set; what a guest without PV spinlocks gets"),
    ("ticket", "FIFO by ticket (Linux x86 2.6.25 .. 4.1)"),
    ("mcs", "FIFO queue, each waiter spins on its own node (Mellor-Crummey, Scott 1991)"),
    ("qspin", "queued spinlock: a pending waiter, then an MCS queue (Linux 4.2 on)"),
];

/// Evaluates `$body` with `$Kind` bound to the lock kind called `$name`: Some, or
/// None if there is none. A new kind is one file, one row in `KINDS` and one here.
#[macro_export]
macro_rules! with_lock {
    ($name:expr, $Kind:ident => $body:expr) => {
        match $name {
            "tas" => {
                type $Kind = $crate::lock::Tas;
                Some($body)
            }
            "ticket" => {
                type $Kind = $crate::lock::Ticket;
                Some($body)
            }
            "mcs" => {
                type $Kind = $crate::lock::Mcs;
                Some($body)
            }
            "qspin" => {
                type $Kind = $crate::lock::Qspin;
                Some($body)
            }
            _ => None,
        }
    };
}

/// How deep a CPU may nest spinlocks, as in the kernel's queued spinlock.
pub const NESTING: usize = 4;

/// Queue nodes of `mcs` and `qspin`: per CPU by nesting level, they do not move.
pub struct Nodes<M: Machine>(Region<M, Node<M>>);

#[repr(C, align(64))]
pub(crate) struct Node<M: Machine> {
    /// 1 once this waiter has become the head of the queue.
    pub head: M::Atomic<u32>,
    /// Index + 1 of the next waiter.
    pub next: M::Atomic<u32>,
}

impl<M: Machine> Fields for Node<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("head", 0), ("next", std::mem::offset_of!(Self, next))]
    }
}

impl<M: Machine> Nodes<M> {
    pub(crate) fn new(cpus: usize) -> Self {
        Self(Region::new("mcs_node", cpus * NESTING, |_| Node {
            head: M::Atomic::new(0),
            next: M::Atomic::new(0),
        }))
    }

    pub(crate) fn at(&self, index: u32) -> &Node<M> {
        &self.0[index as usize]
    }

    /// A fresh node of this CPU; give it back by [`Nodes::release`].
    pub(crate) fn take(&self, cpu: &M::Cpu) -> u32 {
        let level = cpu.local().nest();
        let index = (cpu.id() * NESTING + level) as u32;
        let node = self.at(index);
        node.head.store(0);
        node.next.store(0);
        index
    }

    pub(crate) fn release(&self, cpu: &M::Cpu, node: u32) {
        cpu.local().unnest(node as usize % NESTING);
    }
}

/// A lock as the variants use it: `lock(cpu, site)` .. `unlock(cpu, guard)`.
#[repr(transparent)]
pub struct SpinLock<M: Machine>(M::Lock);

/// Proof of a held lock; must be given back to the lock it came from.
#[must_use = "a held lock must be unlocked"]
pub struct Guard<M: Machine> {
    token: <M::Lock as RawLock<M>>::Token,
    site: &'static Site,
    hold: sites::Hold,
}

impl<M: Machine> SpinLock<M> {
    pub fn new() -> Self {
        Self(M::Lock::new())
    }

    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// spin_lock(). `site` names the lock's class and the kernel function that takes it.
    #[inline(always)]
    pub fn lock(&self, cpu: &M::Cpu, site: &'static Site) -> Guard<M> {
        M::enter(site.caller);
        if M::ASSERTS {
            order::before_lock(cpu.local(), &cpu.system().order, site, self.address());
        }
        let mut wait = Default::default();
        let token = self.0.lock(cpu, || {
            if M::SITES {
                wait = cpu.local().waits::<M>(site, self.address(), || cpu.now());
            }
        });
        self.guard(cpu, site, token, wait)
    }

    /// spin_trylock().
    #[inline]
    pub fn try_lock(&self, cpu: &M::Cpu, site: &'static Site) -> Option<Guard<M>> {
        M::enter(site.caller);
        let Some(token) = self.0.try_lock(cpu) else {
            if M::SITES {
                cpu.local().missed(site);
            }
            return None;
        };
        Some(self.guard(cpu, site, token, Default::default()))
    }

    #[inline(always)]
    fn guard(
        &self,
        cpu: &M::Cpu,
        site: &'static Site,
        token: <M::Lock as RawLock<M>>::Token,
        wait: sites::Wait,
    ) -> Guard<M> {
        if M::ASSERTS {
            order::acquired(cpu.local(), site, self.address());
        }
        let mut hold = Default::default();
        if M::SITES {
            hold = cpu.local().took::<M>(site, self.address(), wait, || cpu.now());
        }
        Guard { token, site, hold }
    }

    /// spin_unlock().
    #[inline]
    pub fn unlock(&self, cpu: &M::Cpu, guard: Guard<M>) {
        if M::ASSERTS {
            order::released(cpu.local(), guard.site, self.address());
        }
        if M::SITES {
            cpu.local().releases::<M>(guard.hold, || cpu.now());
        }
        self.0.unlock(cpu, guard.token);
    }

    /// Outside the machine's accounting: for validation.
    pub fn peek_locked(&self) -> bool {
        self.0.peek_locked()
    }
}

impl<M: Machine> Default for SpinLock<M> {
    fn default() -> Self {
        Self::new()
    }
}
