//! Lock-site accounting that is off leaves nothing behind: a lock pair with a site compiles to
//! the code of the bare lock. LLVM makes functions of equal code one, so that equal code has one
//! address.

use machine::lock::{LockKind, RawLock, Tas};
use machine::{Machine, Native, Site, SpinLock};

use super::Finding;

type Off = Native<Tas, false>;
type On = Native<Tas, true>;
type Bare = <Tas as LockKind>::Lock<Off>;
/// A function's address: compared, never called.
type Address = usize;

static PAIR: Site = Site::new("lock", "selftest");

#[inline(never)]
fn bare(lock: &Bare, cpu: &<Off as Machine>::Cpu) {
    lock.lock(cpu, || {});
    RawLock::<Off>::unlock(lock, cpu, ());
}

#[inline(never)]
fn off(lock: &SpinLock<Off>, cpu: &<Off as Machine>::Cpu) {
    let guard = lock.lock(cpu, &PAIR);
    lock.unlock(cpu, guard);
}

#[inline(never)]
fn on(lock: &SpinLock<On>, cpu: &<On as Machine>::Cpu) {
    let guard = lock.lock(cpu, &PAIR);
    lock.unlock(cpu, guard);
}

/// The bare pair, and the pair with accounting off and on.
pub(super) fn pairs() -> [Address; 3] {
    [bare as *const () as Address, off as *const () as Address, on as *const () as Address]
}

/// `off` and `on` are held against the bare pair.
pub(super) fn check([bare, off, on]: [Address; 3]) -> Finding {
    const CHECK: &str = "sites off";
    if cfg!(debug_assertions) {
        return Finding::untold(CHECK, "a debug build checks the order of locks at each");
    }
    let figure = match (bare == off, bare == on) {
        (true, false) => "a lock pair is the same code with accounting off and without it",
        (_, true) => "a lock pair is the same code with accounting on: it accounts nothing",
        (false, _) => "a lock pair is other code with accounting off than without it",
    };
    Finding::new(CHECK, bare == off && bare != on, figure.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_stays_is_found_out() {
        let [bare, off, on] = pairs();
        let release = !cfg!(debug_assertions);
        assert_eq!(check([bare, on, on]).broken(), release, "accounting that stays when off");
        assert_eq!(check([bare, off, bare]).broken(), release, "accounting that is never on");
        assert!(!check([bare, off, on]).broken());
    }
}
