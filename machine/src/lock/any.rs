//! Any lock of the list, chosen as the program runs: for the simulator, and for builds that measure
//! nothing, where a variant would otherwise be compiled once per lock. Guards the simulated cells: the
//! words, and the accesses to them, are those of the lock that was chosen.
#![allow(unsafe_code)]
// The token of some locks is `()`.
#![allow(clippy::unit_arg)]

use super::KINDS;
use crate::contract::{LockKind, Token};
use crate::{Atomic, Machine, RawLock};
use std::cell::Cell;

thread_local! {
    /// A simulated machine runs on one host thread, and so does all of its CPUs. The threads of a native
    /// run inherit it.
    static CHOSEN: Cell<&'static str> = const { Cell::new("tas") };
}

/// The lock that [`Any::choose`] named last on this thread. A match per acquisition is nothing to a
/// simulator; a native run has the lock's own type.
pub struct Any;

impl Any {
    /// From now on, on this thread: the lock called `name`. False if there is none.
    pub fn choose(name: &str) -> bool {
        let found = KINDS.iter().find(|(kind, _)| *kind == name);
        found.inspect(|(kind, _)| CHOSEN.set(kind)).is_some()
    }
}

/// What was chosen on this thread.
pub(crate) fn chosen() -> &'static str {
    CHOSEN.get()
}

/// Chooses on this thread what was chosen on the thread that starts it.
pub(crate) fn inherit(chosen: &'static str) {
    CHOSEN.set(chosen);
}

impl LockKind for Any {
    type Lock<M: Machine> = AnyLock<M>;
}

/// The four bytes of a lock's word. Of every lock, 0 is the free one.
#[repr(transparent)]
pub struct AnyLock<M: Machine>(M::Atomic<u32>);

impl<M: Machine> AnyLock<M> {
    fn as_kind<K: LockKind>(&self) -> &K::Lock<M> {
        const {
            assert!(size_of::<K::Lock<M>>() == size_of::<Self>());
            assert!(align_of::<K::Lock<M>>() <= align_of::<Self>());
        }
        // SAFETY: a lock is nothing but words of the machine, four bytes in all, as the word here
        // is; all are interior mutable, and of each every value of the bytes is a value.
        unsafe { &*std::ptr::from_ref(self).cast() }
    }
}

/// Evaluates the body with `K` bound to the chosen lock.
macro_rules! chosen {
    ($K:ident => $body:expr) => {
        with_lock!(CHOSEN.get(), $K => $body).expect("one of the list was chosen")
    };
}

impl<M: Machine> RawLock<M> for AnyLock<M> {
    type Token = u32;

    fn new() -> Self {
        Self(M::Atomic::new(0))
    }

    fn lock(&self, cpu: &M::Cpu, contended: impl FnOnce()) -> u32 {
        chosen!(K => self.as_kind::<K>().lock(cpu, contended).number())
    }

    fn try_lock(&self, cpu: &M::Cpu) -> Option<u32> {
        chosen!(K => self.as_kind::<K>().try_lock(cpu).map(Token::number))
    }

    fn unlock(&self, cpu: &M::Cpu, token: u32) {
        chosen!(K => self.as_kind::<K>().unlock(cpu, Token::of(token)))
    }

    fn peek_locked(&self) -> bool {
        chosen!(K => self.as_kind::<K>().peek_locked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::native::{Config, Native};

    #[test]
    fn native_threads_inherit_the_choice() {
        assert!(Any::choose("mcs"));
        let run = Native::<Any, true>::run(&Config::untimed(2), |_| (), |_, _| chosen(), |_, _| ());
        assert_eq!(run.expect("two threads").workers, ["mcs"; 2]);
    }
}
