//! `percluster`: Linux 6.14. ci->lock first, si->lock only to move clusters between lists, `users`
//! held while scanning, slot caches for allocation. Guards the scheme's part of an allocation, from
//! the slot cache to a device and its current cluster; the rest is in cluster.rs.
//! Swapoff's barrier is a type: the kernel's takes every ci->lock, and two others stand beside it.

use crate::cluster::{CiFirst, Policy, Release, SwapoffHooks, site};
use crate::device::Device;
use crate::entry::{Slot, SwpEntry};
use crate::percpu::PercpuNext;
use crate::slot_cache::SlotCaches;
use crate::spec::Spec;
use machine::{Cpu, Frame, Machine, PercpuRef, Site, fault};

static GET: Site = Site::new("swap_avail_lock", "get_swap_pages");

/// Variant `percluster`: swapoff takes every ci->lock.
pub type PerCluster<M> = CiFirst<M, Release6_14<M, ClusterLocks>>;
/// Variant `percluster-rcu`: synchronize_rcu() instead of the ci->locks; an allocation is an RCU
/// read section.
pub type PerClusterRcu<M> = CiFirst<M, Release6_14<M, GracePeriod>>;
/// Variant `percluster-second-ref`: a second percpu_ref, held by allocations alone, that swapoff
/// drains first.
pub type PerClusterSecondRef<M> = CiFirst<M, Release6_14<M, SecondRef<M>>>;

/// How swapoff waits for allocations that saw SWP_WRITEOK.
pub trait Barrier<M: Machine>: Sized + Send + Sync + 'static {
    /// Its state, for devices that are off.
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self;
    /// As [`Policy::section`]: what an allocation does around the test of SWP_WRITEOK and the
    /// taking of the slots.
    fn section(&self, cpu: &M::Cpu, dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool;
    /// Returns when every such section that saw SWP_WRITEOK has ended.
    fn wait<P: Policy<M>>(&self, core: &CiFirst<M, P>, cpu: &M::Cpu, dev: &Device<M>);
    /// The device is about to be allocated from, for the first time or again.
    fn reopen(&self, _dev: &Device<M>) {}
}

/// wait_for_allocation(): takes every ci->lock once.
pub struct ClusterLocks;

impl<M: Machine> Barrier<M> for ClusterLocks {
    fn new(_spec: &Spec, _cpu: &M::Cpu) -> Self {
        Self
    }

    #[inline]
    fn section(&self, _cpu: &M::Cpu, _dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        allocate()
    }

    fn wait<P: Policy<M>>(&self, core: &CiFirst<M, P>, cpu: &M::Cpu, dev: &Device<M>) {
        core.take_every_cluster_lock(cpu, dev);
    }
}

/// synchronize_rcu().
pub struct GracePeriod;

impl<M: Machine> Barrier<M> for GracePeriod {
    fn new(_spec: &Spec, _cpu: &M::Cpu) -> Self {
        Self
    }

    fn section(&self, cpu: &M::Cpu, _dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        cpu.system().rcu.read(cpu, allocate)
    }

    fn wait<P: Policy<M>>(&self, _core: &CiFirst<M, P>, cpu: &M::Cpu, _dev: &Device<M>) {
        cpu.system().rcu.synchronize(cpu);
    }
}

/// One reference per device.
pub struct SecondRef<M: Machine>(Vec<PercpuRef<M>>);

impl<M: Machine> Barrier<M> for SecondRef<M> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let count = |_: &_| PercpuRef::new(cpu.system().cpus());
        Self(spec.devices.iter().map(count).collect())
    }

    fn section(&self, cpu: &M::Cpu, dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        let allocations = &self.0[dev.index];
        if !allocations.tryget_live(cpu) {
            return false;
        }
        let done = allocate();
        allocations.put(cpu);
        done
    }

    fn wait<P: Policy<M>>(&self, _core: &CiFirst<M, P>, cpu: &M::Cpu, dev: &Device<M>) {
        self.0[dev.index].drain(cpu);
    }

    fn reopen(&self, dev: &Device<M>) {
        self.0[dev.index].resurrect();
    }
}

/// The state of 6.14's scheme, over a barrier.
pub struct Release6_14<M: Machine, B: Barrier<M>> {
    next: PercpuNext<M>,
    caches: SlotCaches<M>,
    barrier: B,
}

type Core<M, B> = CiFirst<M, Release6_14<M, B>>;

impl<M: Machine, B: Barrier<M>> Policy<M> for Release6_14<M, B> {
    const RESERVES: bool = true;
    const RELEASE: Release = Release {
        counts_frag: true,
        isolate_tests_writeok: true,
        free_has_no_table: false,
        interleaves: true,
        discard_fills_bad: true,
        xarray: true,
        table: None,
    };

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self {
            next: PercpuNext::new(spec, cpu),
            caches: SlotCaches::new(&spec.slot_cache, false, cpu),
            barrier: B::new(spec, cpu),
        }
    }

    fn alloc(core: &Core<M, B>, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        if order == 0 {
            let refill = |slots: &mut [Option<SwpEntry>]| get_swap_pages(core, cpu, 0, slots);
            let free = |entries: &[SwpEntry]| core.free_entries(cpu, entries);
            let cached = core.policy.caches.alloc(cpu, &core.base.avail, refill, free);
            if cached.is_some() {
                return cached;
            }
        }
        let mut one = [None];
        get_swap_pages(core, cpu, order, &mut one);
        one[0]
    }

    fn set_next(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize, next: Option<Slot>) {
        self.next.set(cpu, dev.index, order, next);
    }

    #[inline]
    fn section(&self, cpu: &M::Cpu, dev: &Device<M>, allocate: impl FnOnce() -> bool) -> bool {
        self.barrier.section(cpu, dev, allocate)
    }
}

/// get_swap_pages(): `slots.len()` entries of `order` from the devices in turn; returns how many
/// there were. All that are wanted are taken off nr_swap_pages first, which can become negative.
fn get_swap_pages<M: Machine, B: Barrier<M>>(
    core: &Core<M, B>,
    cpu: &M::Cpu,
    order: usize,
    slots: &mut [Option<SwpEntry>],
) -> usize {
    let (avail, size) = (&core.base.avail, 1i64 << order);
    let Some((guard, wanted)) = avail.reserve(cpu, &GET, slots.len(), size) else { return 0 };
    let mut got = 0;
    avail.walk(cpu, &GET, guard, |index| {
        let dev = &core.base.devices[index];
        let _frame = Frame::<M>::entered("get_swap_pages");
        if !dev.users.tryget_live(cpu) {
            return false;
        }
        if fault!(M, "ref-dropped-early") {
            dev.users.put(cpu);
        }
        while got < wanted
            && let Some(found) = alloc_entry(core, cpu, dev, order)
        {
            slots[got] = Some(SwpEntry::new(index, found.offset()));
            got += 1;
        }
        if !fault!(M, "ref-dropped-early") {
            dev.users.put(cpu);
        }
        got > 0 || order > 0
    });
    avail.add_pages((wanted - got) as i64 * size);
    got
}

/// cluster_alloc_swap_entry(): this CPU's cluster, then a new one.
fn alloc_entry<M: Machine, B: Barrier<M>>(
    core: &Core<M, B>,
    cpu: &M::Cpu,
    dev: &Device<M>,
    order: usize,
) -> Option<Slot> {
    let _frame = Frame::<M>::entered("cluster_alloc_swap_entry");
    if let Some(next) = core.policy.next.get(cpu, dev.index, order) {
        let found = core.alloc_from(cpu, dev, next, order, &site::ALLOC);
        if found.is_some() {
            return found;
        }
    }
    core.free_first(cpu, dev, order)
}

impl<M: Machine, B: Barrier<M>> SwapoffHooks<M> for Release6_14<M, B> {
    fn barrier(core: &Core<M, B>, cpu: &M::Cpu, dev: &Device<M>) {
        core.policy.barrier.wait(core, cpu, dev);
    }

    fn drain(core: &Core<M, B>, cpu: &M::Cpu) -> Option<()> {
        core.policy.caches.disable(cpu, |entries| core.free_entries(cpu, entries));
        Some(())
    }

    fn undrain(&self) {
        self.caches.enable();
    }

    /// The kernel frees si->percpu_cluster at swapoff and allocates it at swapon.
    fn reset(&self, dev: &Device<M>) {
        self.next.reset(dev.index);
    }

    fn reopen(&self, dev: &Device<M>) {
        self.barrier.reopen(dev);
    }

    fn cached(&self) -> Vec<SwpEntry> {
        self.caches.peek()
    }

    fn caches_disabled(&self) -> u32 {
        self.caches.peek_disabled()
    }
}
