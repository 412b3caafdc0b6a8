//! swapoff(2) and swapon(2): the steps that all schemes share, in their order, each timed. A
//! scheme fills in how it blocks allocations and what it waits for. Guards the order of the steps:
//! the arrays go only when no CPU can reach them. Kernel: SYSCALL_DEFINE1(swapoff) of 6.12 and
//! 6.14; docs/catalogue.md numbers the steps.

use crate::allocator::{Steps, SwapAllocator, SwapoffError};
use crate::device::Device;
use crate::owners::Owners;
use crate::unuse::try_to_unuse;
use machine::{Atomic, Cpu, Frame, Machine, Site, fault};

static FREE_SWAP: Site = Site::new("swap_lock", "swapoff");
static CLAIM: Site = Site::new("swap_lock", "alloc_swap_info");

/// What differs between schemes, in the order of the calls. `dev` is on until `block`, and usable
/// again after `reinsert`. A step that the scheme does not have returns `None`.
pub trait Swapoff<M: Machine>: SwapAllocator<M> {
    /// Takes the device off the avail list and clears SWP_WRITEOK, under swap_lock.
    ///
    /// # Errors
    /// [`SwapoffError::NotOn`] and [`SwapoffError::Pinned`].
    fn block(&self, cpu: &M::Cpu, dev: &Device<M>) -> Result<(), SwapoffError>;
    /// Returns when every allocation that saw SWP_WRITEOK has ended. `None`: one that goes on looks
    /// again, under the lock under which `block` cleared it.
    fn barrier(&self, _cpu: &M::Cpu, _dev: &Device<M>) -> Option<()> {
        None
    }
    /// Empties the slot caches and keeps them empty until `undrain`.
    fn drain(&self, _cpu: &M::Cpu) -> Option<()> {
        None
    }
    /// Slot caches may be filled again: unuse has ended.
    fn undrain(&self) {}
    /// Brings in what is on the device `dev`.
    ///
    /// # Errors
    /// As [`SwapAllocator::swapoff`].
    fn unuse(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<(), SwapoffError> {
        try_to_unuse(self, owners, cpu, dev)
    }
    /// unuse failed: the device goes back.
    fn reinsert(&self, cpu: &M::Cpu, dev: &Device<M>);
    /// Forgets per-CPU state that points to the device. All users are gone.
    fn forget(&self, _cpu: &M::Cpu, _dev: &Device<M>) {}
    /// Waits for scanners that hold no reference.
    fn wait_for_scanners(&self, _cpu: &M::Cpu, _dev: &Device<M>) -> Option<()> {
        None
    }
    /// Frees what each cluster still has, before the arrays go (7.0 on).
    fn free_clusters(&self, _cpu: &M::Cpu, _dev: &Device<M>) {}
    /// The device appears: SWP_WRITEOK and the avail list.
    fn enable(&self, cpu: &M::Cpu, dev: &Device<M>);
    /// The scheme's per-CPU state for a fresh device.
    fn reset(&self, dev: &Device<M>);
}

struct Stopwatch {
    at: u64,
}

impl Stopwatch {
    /// Nanoseconds since the last lap.
    fn lap<M: Machine>(&mut self, cpu: &M::Cpu) -> u64 {
        let now = cpu.now();
        now.saturating_sub(std::mem::replace(&mut self.at, now))
    }
}

/// swapoff(2) of device `index`. Returns how long each step took.
///
/// # Errors
/// As [`SwapAllocator::swapoff`].
pub fn swapoff<M: Machine, A: Swapoff<M>>(
    swap: &A,
    cpu: &M::Cpu,
    index: usize,
    owners: &Owners<M>,
) -> Result<Steps, SwapoffError> {
    let _frame = Frame::<M>::entered("swapoff");
    let dev = &swap.base().devices[index];
    let (mut clock, mut steps) = (Stopwatch { at: cpu.now() }, Steps::default());
    swap.block(cpu, dev)?;
    cpu.note("swapoff: SWP_WRITEOK cleared", index as u64);
    steps.block = clock.lap::<M>(cpu);
    if fault!(M, "kill-before-unuse") {
        end_users(cpu, dev, &mut clock, &mut steps);
    }
    if !fault!(M, "no-barrier") && !fault!(M, "v1-series") && !fault!(M, "barrier-after-unuse") {
        steps.barrier = swap.barrier(cpu, dev).map(|()| clock.lap::<M>(cpu));
        // Without one a scanner may go on, but it allocates nothing any more.
        let blocked =
            steps.barrier.map_or("swapoff: needs no barrier", |_| "swapoff: past the barrier");
        cpu.note(blocked, index as u64);
    }
    steps.drain = swap.drain(cpu).map(|()| clock.lap::<M>(cpu));
    let unused = swap.unuse(cpu, index, owners);
    M::enter("swapoff");
    if unused.is_ok() {
        cpu.note("swapoff: unuse done", index as u64);
    }
    if fault!(M, "barrier-after-unuse") {
        swap.barrier(cpu, dev);
    }
    if let Err(error) = unused {
        cpu.note("swapoff: unuse fails", index as u64);
        swap.reinsert(cpu, dev);
        swap.undrain();
        return Err(error);
    }
    swap.undrain();
    steps.unuse = clock.lap::<M>(cpu);
    check_clean(dev);
    if !fault!(M, "kill-before-unuse") {
        end_users(cpu, dev, &mut clock, &mut steps);
    }
    flush_work(swap, cpu, dev);
    swap.forget(cpu, dev);
    steps.flush = clock.lap::<M>(cpu);
    dev.free_continuations();
    steps.scanning = swap.wait_for_scanners(cpu, dev).map(|()| clock.lap::<M>(cpu));
    free(swap, cpu, dev);
    steps.free = clock.lap::<M>(cpu);
    Ok(steps)
}

/// The invariant behind smp_wmb() in swap_range_free(): once unuse has seen no page in use, every
/// slot has been cleaned up. The kernel warns of leftovers when it frees the zswap tree and the
/// address spaces. Here only a checker looks, because there a look costs nothing.
fn check_clean<M: Machine>(dev: &Device<M>) {
    if M::EXPLORED {
        assert!(dev.all_clean(), "a slot was not cleaned up when unuse ended");
    }
}

/// percpu_ref_kill(), synchronize_rcu() and the wait for the last reference: afterwards no
/// reference to the device is left, and none can be taken.
fn end_users<M: Machine>(cpu: &M::Cpu, dev: &Device<M>, clock: &mut Stopwatch, steps: &mut Steps) {
    clock.lap::<M>(cpu);
    M::enter("percpu_ref_kill");
    dev.users.kill();
    M::enter("swapoff");
    if fault!(M, "no-drain") {
        return;
    }
    cpu.system().rcu.synchronize(cpu);
    steps.grace = clock.lap::<M>(cpu);
    dev.users.switch_to_atomic();
    dev.users.wait_released();
    steps.users = clock.lap::<M>(cpu);
}

/// flush_work() of the device's discard and reclaim works.
fn flush_work<M: Machine, A: Swapoff<M>>(swap: &A, cpu: &M::Cpu, dev: &Device<M>) {
    swap.run_work_of(cpu, dev);
    dev.wait_for_workers();
}

/// The last step of swapoff: under swap_lock and si->lock the arrays go, then the struct.
fn free<M: Machine, A: Swapoff<M>>(swap: &A, cpu: &M::Cpu, dev: &Device<M>) {
    static FREE_SI: Site = Site::new("si->lock", "swapoff");
    swap.free_clusters(cpu, dev);
    let swap_lock = swap.base().avail.swap_lock();
    let (all, si) = (swap_lock.lock(cpu, &FREE_SWAP), dev.si().lock.lock(cpu, &FREE_SI));
    let left = swap.inuse(dev.index);
    assert!(left == 0, "I4: {left} slots are in use when swapoff frees the arrays");
    dev.tear_down();
    cpu.note("swapoff: arrays freed", dev.index as u64);
    dev.si().lock.unlock(cpu, si);
    swap_lock.unlock(cpu, all);
    let all = swap_lock.lock(cpu, &FREE_SWAP);
    dev.si().flags.store(0);
    swap_lock.unlock(cpu, all);
}

/// swapon(2) of device `index`: first the arrays, then the reference comes to life, then the
/// device appears. False if the device is on already.
pub fn swapon<M: Machine, A: Swapoff<M>>(swap: &A, cpu: &M::Cpu, index: usize) -> bool {
    let _frame = Frame::<M>::entered("swapon");
    let dev = &swap.base().devices[index];
    let swap_lock = swap.base().avail.swap_lock();
    let all = swap_lock.lock(cpu, &CLAIM);
    let claimed = dev.claim();
    swap_lock.unlock(cpu, all);
    if claimed {
        dev.set_up();
        swap.reset(dev);
        dev.users.resurrect();
        // Slots may become allocated again from here on.
        cpu.note("swapon", index as u64);
        swap.enable(cpu, dev);
    }
    claimed
}
