//! An allocator that does nothing: what is measured through it is the engine. Never in the
//! registry; no variant may look like it.

use std::hint::black_box;

use machine::Machine;
use variants::device::{Base, Device};
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

pub struct Null<M: Machine>(Base<M>);

impl<M: Machine> SwapAllocator<M> for Null<M> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self(Base::new(spec, cpu))
    }

    fn base(&self) -> &Base<M> {
        &self.0
    }

    /// No slot is ever in use, so a device need not be on.
    fn swapon(&self, _cpu: &M::Cpu, _dev: usize) -> bool {
        true
    }

    fn swapoff(&self, _: &M::Cpu, _: usize, _: &Owners<M>) -> Result<Steps, SwapoffError> {
        Err(SwapoffError::NotOn)
    }

    #[inline]
    fn alloc(&self, _cpu: &M::Cpu, _order: usize) -> Option<SwpEntry> {
        black_box(Some(SwpEntry::new(0, 1)))
    }

    fn put(&self, _cpu: &M::Cpu, _entry: SwpEntry, _nr: u32) {}

    fn put_and_reclaim(&self, _cpu: &M::Cpu, _entry: SwpEntry, _nr: u32) -> bool {
        true
    }

    fn put_folio(&self, _cpu: &M::Cpu, _entry: SwpEntry, _order: usize) {}

    fn with_entry<T>(
        &self,
        _cpu: &M::Cpu,
        entry: SwpEntry,
        _site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        action(&self.0.devices[entry.dev()])
    }

    fn add_continuation(&self, _cpu: &M::Cpu, _entry: SwpEntry) {}

    fn validate(&self) -> Result<(), String> {
        Ok(())
    }

    fn next_used(&self, _dev: usize, _from: u32) -> Option<u32> {
        None
    }
}
