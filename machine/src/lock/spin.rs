//! The spinlock that variants use. Guards that every acquisition, of whatever kind of lock, passes
//! the order check (machines with `ASSERTS`) and the site accounting (machines with `SITES`).

use super::accounting::Hold;
use super::sites::Site;
use crate::{Cpu, Machine, RawLock};

/// A lock as the variants use it: `lock(cpu, site)` .. `unlock(cpu, guard)`.
#[repr(transparent)]
pub struct SpinLock<M: Machine>(M::Lock);

/// Proof of a held lock; must be given back to the lock it came from.
#[must_use = "a held lock must be unlocked"]
pub struct Guard<M: Machine> {
    token: <M::Lock as RawLock<M>>::Token,
    site: &'static Site,
    hold: Hold,
}

impl<M: Machine> SpinLock<M> {
    /// A free lock.
    pub fn new() -> Self {
        Self(M::Lock::new())
    }

    #[inline]
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// spin_lock(). `site` names the lock's class and the kernel function that takes it.
    ///
    /// # Panics
    ///
    /// On machines with [`Machine::ASSERTS`]: if this CPU holds the lock already, holds another of
    /// its class, or takes it against the order learnt so far.
    #[inline(always)]
    pub fn lock(&self, cpu: &M::Cpu, site: &'static Site) -> Guard<M> {
        M::enter(site.caller);
        if M::ASSERTS {
            cpu.local().held.before_lock(&cpu.system().order, site, self.address());
        }
        let mut waited = false;
        let token = self.0.lock(cpu, || {
            if M::accounts() {
                cpu.local().accounting.waits::<M>(site, self.address(), || cpu.now());
                waited = true;
            }
        });
        self.guard(cpu, site, token, waited)
    }

    /// spin_trylock(). None: the lock is held.
    #[inline]
    pub fn try_lock(&self, cpu: &M::Cpu, site: &'static Site) -> Option<Guard<M>> {
        M::enter(site.caller);
        let Some(token) = self.0.try_lock(cpu) else {
            if M::accounts() {
                cpu.local().accounting.missed(site);
            }
            return None;
        };
        Some(self.guard(cpu, site, token, false))
    }

    #[inline(always)]
    fn guard(
        &self,
        cpu: &M::Cpu,
        site: &'static Site,
        token: <M::Lock as RawLock<M>>::Token,
        waited: bool,
    ) -> Guard<M> {
        if M::ASSERTS {
            cpu.local().held.acquired(site, self.address());
        }
        let mut hold = Default::default();
        if M::accounts() {
            hold = cpu.local().accounting.took::<M>(site, self.address(), waited, || cpu.now());
        }
        Guard { token, site, hold }
    }

    /// spin_unlock().
    ///
    /// # Panics
    ///
    /// On machines with [`Machine::ASSERTS`]: if this CPU does not hold the lock.
    #[inline]
    pub fn unlock(&self, cpu: &M::Cpu, guard: Guard<M>) {
        if M::ASSERTS {
            cpu.local().held.released(guard.site, self.address());
        }
        if M::accounts() {
            cpu.local().accounting.releases::<M>(guard.hold, || cpu.now());
        }
        self.0.unlock(cpu, guard.token);
    }

    /// Whether the lock is held, outside the machine's accounting: for validation.
    pub fn peek_locked(&self) -> bool {
        self.0.peek_locked()
    }
}

impl<M: Machine> Default for SpinLock<M> {
    fn default() -> Self {
        Self::new()
    }
}
