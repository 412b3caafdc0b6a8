//! The kernel function that runs, by scope. Guards that a history goes back to the caller where a
//! function returns. On a machine without histories it is nothing.

use crate::Machine;
use std::marker::PhantomData;

/// A kernel function that runs until this goes; then its caller runs again.
pub struct Frame<M: Machine>(PhantomData<fn() -> M>);

impl<M: Machine> Frame<M> {
    /// `function` begins: for histories alone.
    #[inline(always)]
    pub fn of(function: &'static str) -> Self {
        M::call(function);
        Self(PhantomData)
    }

    /// `function` begins, and the simulator charges it for what follows.
    #[inline(always)]
    pub fn entered(function: &'static str) -> Self {
        let frame = Self::of(function);
        M::enter(function);
        frame
    }
}

impl<M: Machine> Drop for Frame<M> {
    #[inline(always)]
    fn drop(&mut self) {
        M::returned();
    }
}
