//! Historical bugs as switches. Guards that a measured build has none of them: a machine with
//! `EXPLORED == false` never asks. At most one fault is on, for the runs started from this thread.

use std::cell::Cell;

thread_local! {
    static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Turns the fault `name` on until the returned value is dropped; None turns off the one that is
/// on. Checkers run all CPUs of a model on the calling thread, so a thread-local switch reaches
/// them all.
pub fn with(name: Option<&'static str>) -> Active {
    Active(ACTIVE.replace(name))
}

/// Keeps a fault on; see [`with()`].
pub struct Active(Option<&'static str>);

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.set(self.0);
    }
}

/// The fault that is on in this thread, for a machine that starts threads of its own.
pub fn active() -> Option<&'static str> {
    ACTIVE.get()
}

/// Whether `name` is the active fault. Ask by [`crate::fault!`].
pub fn on(name: &str) -> bool {
    ACTIVE.get() == Some(name)
}

/// `fault!(M, "no-barrier")`: one condition at the place where the kernel had the bug.
#[macro_export]
macro_rules! fault {
    ($machine:ty, $name:literal) => {
        (<$machine as $crate::Machine>::EXPLORED && $crate::fault::on($name))
    };
}

/// `vm_bug_on!(M, condition, message)`: the kernel's VM_BUG_ON(), for machines with
/// `ASSERTS`.
#[macro_export]
macro_rules! vm_bug_on {
    ($machine:ty, $bug:expr, $message:literal) => {
        if <$machine as $crate::Machine>::ASSERTS {
            assert!(!$bug, $message);
        }
    };
}
