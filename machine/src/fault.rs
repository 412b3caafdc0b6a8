//! Historical bugs as switches. One fault at a time can be on, for the runs
//! started from this thread; a machine with `EXPLORED == false` never asks.

use std::cell::Cell;

thread_local! {
    static ACTIVE: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Turns `name` on until the returned value is dropped. Checkers run all CPUs of
/// a model on the calling thread, so a thread-local switch reaches them all.
pub fn with(name: Option<&'static str>) -> Active {
    Active(ACTIVE.replace(name))
}

/// Keeps a fault on; see [`with`].
pub struct Active(Option<&'static str>);

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.set(self.0);
    }
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
