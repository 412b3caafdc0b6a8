//! `vswap`: a proposal. A layer above the devices of `swap-table`: a page-table entry names a slot of the
//! layer, which gets a slot on a device when its page is written. Guards that everything but an allocation
//! for writeout goes by the layer alone: layer.rs has its clusters, backing.rs what is behind its slots.
//! Kernel: "mm, swap: Virtual Swap Space (Swap Table Edition)", RFC v2 of 12 June 2026, functions as named.
//!
//! Simplified: swap space ends where that of the devices does, while the kernel's layer goes on with zswap
//! and in memory. munmap() frees the slots that only the swap cache holds, which page reclaim does there.
//! Later versions of the series (a sparse array instead of the xarray, v5) are not followed.

use crate::allocator::{EntrySite, Leaves, Steps, SwapAllocator, SwapoffError};
use crate::backing::{Backed, Below, Devices, Writing};
use crate::cache::{LockedFolio, NoFolio, Reclaimed, SwapCache};
use crate::cluster::Release;
use crate::count::DupError;
use crate::device::{Base, Device};
use crate::entry::{Slot, SwpEntry};
use crate::layer::Layer;
use crate::owners::Owners;
use crate::percpu_cluster::{Choice, NonfullFirst, Table, nonfull_first};
use crate::spec::{DeviceSpec, Spec};
use crate::swap_map::HAS_CACHE;
use crate::swap_table::{Sections, cgroup_of};
use crate::unuse::until_unused;
use machine::{Atomic, Cpu, Machine, PerCpu, Plain, Region};

mod site {
    use machine::Site;
    pub static RECORD: Site = Site::new("vswap ci->lock", "__mem_cgroup_record_swap");
    pub static DUP: Site = Site::new("vswap ci->lock", "swap_dup_entries_cluster");
    pub static PUT: Site = Site::new("vswap ci->lock", "swap_put_entries_cluster");
    pub static EXTEND: Site = Site::new("vswap ci->lock", "swap_extend_table_alloc");
}

// ---- the devices ----

impl<M: Machine> Choice<M> for Below<M> {
    /// The cgroup and the zero flag are the layer's.
    const RELEASE: Release = Release {
        table: Some(Sections { memcg: false, zero_flag: false, ..Sections::LATE }),
        ..<NonfullFirst<Table> as Choice<M>>::RELEASE
    };
    const POINTERS: bool = true;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let words = |dev: &DeviceSpec| {
            let slots = dev.slots.next_multiple_of(spec.cluster_slots) as usize;
            Region::named("reverse", slots, Vec::new(), |_| M::Atomic::new(0))
        };
        let writing = |_| Writing { first: M::Plain::new(0) };
        Self {
            layer: Layer::new(spec, cpu),
            reverse: spec.devices.iter().map(words).collect(),
            writing: PerCpu::new("writing", cpu.system().cpus(), writing),
            swap_max: spec.swap_max,
        }
    }

    fn new_cluster(core: &Devices<M>, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> Option<Slot> {
        nonfull_first(core, cpu, dev, order)
    }

    fn point(&self, cpu: &M::Cpu, dev: &Device<M>, offset: u32, nr: u32) {
        Backed::point(self, cpu, dev, offset, nr);
    }

    fn reclaim(core: &Devices<M>, cpu: &M::Cpu, dev: &Device<M>, offset: u32) -> Reclaimed {
        Backed(core).reclaim(cpu, dev, offset)
    }

    /// try_to_unuse(), for slots that point to the layer.
    fn unuse(
        core: &Devices<M>,
        cpu: &M::Cpu,
        dev: usize,
        owners: &Owners<M>,
    ) -> Result<(), SwapoffError> {
        until_unused(core, owners, cpu, dev, || {
            let mut from = 1;
            while core.inuse(dev) != 0
                && let Some(offset) = core.next_used(dev, from)
            {
                Backed(core).bring_in(cpu, &core.base.devices[dev], offset);
                from = offset + 1;
            }
            Ok(())
        })
    }
}

// ---- the whole ----

/// Variant `vswap`.
pub struct Vswap<M: Machine>(Devices<M>);

impl<M: Machine> Vswap<M> {
    fn backed(&self) -> Backed<'_, M> {
        Backed(&self.0)
    }

    fn layer(&self) -> &Layer<M> {
        &self.0.policy.choice.layer
    }

    fn is_layer(&self, dev: usize) -> bool {
        dev == self.layer().dev.index
    }

    /// __swap_duplicate() for one more user. The layer's ci->lock is held.
    fn dup_slot(&self, dev: &Device<M>, offset: u32) -> Result<(), DupError> {
        dev.dup_in_table(offset)?;
        if dev.byte(offset).load() == HAS_CACHE | 1 {
            self.backed().set_used(offset, true);
        }
        Ok(())
    }

    fn extend(&self, cpu: &M::Cpu, offset: u32) {
        self.backed().section(cpu, offset, &site::EXTEND, |dev| dev.attach_extend(offset));
    }

    /// swap_put_entries_cluster(), once per cluster: takes a user off each slot.
    fn put_slots(&self, cpu: &M::Cpu, offset: u32, nr: u32) {
        let (backed, dev) = (self.backed(), &self.layer().dev);
        let (mut from, end) = (offset, offset + nr);
        while from < end {
            let to = end.min(dev.end_of(dev.cluster_of(from)));
            backed.section(cpu, from, &site::PUT, |dev| {
                let free = |first, n| backed.free_range(cpu, first, n);
                dev.put_run(from..to, free, |slot| backed.set_used(slot, false));
            });
            from = to;
        }
    }
}

impl<M: Machine> SwapAllocator<M> for Vswap<M> {
    const MASKS: bool = true;

    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self(Devices::new(spec, cpu))
    }

    fn base(&self) -> &Base<M> {
        &self.0.base
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.0.swapon(cpu, dev)
    }

    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        self.0.swapoff(cpu, dev, owners)
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        if self.0.base.avail.nr_swap_pages() < 1 << order {
            return None;
        }
        let slot = self.layer().alloc(cpu, order)?;
        Some(SwpEntry::new(self.layer().dev.index, slot.offset()))
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        self.put_slots(cpu, entry.offset(), nr);
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        self.put_slots(cpu, entry.offset(), nr);
        let (dev, mut offset) = (&self.layer().dev, entry.offset());
        while offset < entry.offset() + nr {
            let cached = dev.byte(offset).load() == HAS_CACHE;
            offset = match cached.then(|| self.layer().look_up(cpu, offset)) {
                Some(Ok(folio)) => {
                    self.backed().drop_unused(cpu, folio);
                    folio.offset + folio.slots()
                }
                _ => offset + 1,
            };
        }
        true
    }

    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        let folio = LockedFolio { offset: entry.offset(), order };
        self.backed().remove(cpu, folio, Leaves::Unused);
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        self.backed().section(cpu, entry.offset(), &site.ci, action)
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.extend(cpu, entry.offset());
    }

    fn dup_once(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<(), DupError> {
        let offset = entry.offset();
        self.backed().section(cpu, offset, &site::DUP, |dev| self.dup_slot(dev, offset))
    }

    fn dup_run(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> u32 {
        self.layer().dev.dup_by_cluster(
            entry.offset()..entry.offset() + nr,
            |dev, slot| self.dup_slot(dev, slot),
            |offset, dup| self.backed().section(cpu, offset, &site::DUP, dup),
            |offset| self.extend(cpu, offset),
        )
    }

    fn swapped(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        // should_try_to_free_swap(): whether the device is a synchronous one.
        self.backed().backend_flags(cpu, entry.offset());
        self.backed().maybe_swapped(cpu, entry.offset(), nr)
    }

    fn add_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) -> LockedFolio {
        let offset = entry.offset();
        if !self.base().spec.prices.memcg_off {
            let id = cgroup_of::<M>(cpu);
            let record = |dev: &Device<M>| dev.set_cgroup(offset, 1 << order, id);
            self.backed().section(cpu, offset, &site::RECORD, record);
        }
        LockedFolio { offset, order }
    }

    fn written(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        self.backed().write_out(cpu, entry.offset(), nr.trailing_zeros() as usize);
    }

    fn look_up(&self, cpu: &M::Cpu, entry: SwpEntry) -> Result<LockedFolio, NoFolio> {
        self.layer().look_up(cpu, entry.offset())
    }

    fn add_for_fault(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        page_in: impl FnOnce(),
    ) -> Option<LockedFolio> {
        // do_swap_page(): whether the device is a synchronous one.
        self.backed().backend_flags(cpu, entry.offset());
        self.backed().add(cpu, entry.offset(), page_in)
    }

    fn remove_folio(&self, cpu: &M::Cpu, _dev: usize, folio: LockedFolio, why: Leaves) {
        self.backed().remove(cpu, folio, why);
    }

    /// should_try_to_free_swap(): only slots on a device could spare a later writeout.
    fn keep_folio(&self, cpu: &M::Cpu, dev: usize, folio: LockedFolio) {
        if self.backed().is_backed(cpu, folio) {
            self.folios(dev).unlock(folio);
        } else {
            self.backed().drop_unused(cpu, folio);
        }
    }

    /// Nothing pins the layer, which is always there.
    fn tryget_device(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.is_layer(dev) || self.0.tryget_device(cpu, dev)
    }

    fn put_device(&self, cpu: &M::Cpu, dev: usize) {
        if !self.is_layer(dev) {
            self.0.put_device(cpu, dev);
        }
    }

    fn folios(&self, dev: usize) -> &SwapCache<M> {
        if self.is_layer(dev) { &self.layer().dev.folios } else { self.0.folios(dev) }
    }

    fn inuse(&self, dev: usize) -> u64 {
        self.0.inuse(dev)
    }

    /// No page-table entry names a slot of a device.
    fn usage(&self, entry: SwpEntry) -> (u32, bool) {
        if self.is_layer(entry.dev()) {
            return self.layer().dev.usage(entry.offset());
        }
        (0, self.0.usage(entry) != (0, false))
    }

    fn run_work_of(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.0.run_work_of(cpu, dev);
    }

    fn validate(&self) -> Result<(), String> {
        self.0.validate()?;
        self.layer().validate()?;
        self.backed().validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Folio, Swap};
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    type M = Native<Tas, false>;

    /// What validate() returns after `harm` to two pages that were written; the first one's slot of the
    /// layer and on the device are its arguments.
    fn after(harm: fn(&Vswap<M>, usize, usize)) -> Result<(), String> {
        let spec = Spec { devices: vec![DeviceSpec::new(1024)], ..Spec::default() };
        let run = M::run(
            &Config::untimed(1),
            move |cpu| Swap::<M, Vswap<M>>::new(&spec, cpu),
            move |swap, cpu| {
                assert!(swap.swapon(cpu, 0));
                assert!((0..2).all(|page| swap.swap_out(cpu, 0, page, 0, Folio::Drop)));
                let above = swap.owners.peek(0, 0).expect("swapped out").offset() as usize;
                let word = swap.alloc.layer().virtual_table[above].peek();
                let phys = SwpEntry::from_pte(word).expect("written").offset() as usize;
                harm(&swap.alloc, above, phys);
                swap.alloc.validate()
            },
            |_, _| (),
        );
        run.expect("a run of one worker").workers.remove(0)
    }

    #[test]
    fn what_holds_between_layer_and_device_can_fail() {
        after(|_, _, _| ()).expect("sound");
        let lost = |swap: &Vswap<M>, above: usize, _: usize| {
            Atomic::store(&swap.layer().virtual_table[above], 0);
        };
        assert!(after(lost).expect_err("a lost slot").starts_with("I4:"));
        let harms: [fn(&Vswap<M>, usize, usize); 2] = [
            |swap, above, phys| {
                Atomic::store(&swap.0.policy.choice.reverse[0][phys], above as u32 + 1);
            },
            |swap, _, phys| _ = Atomic::fetch_and(swap.0.base.devices[0].byte(phys as u32), !1),
        ];
        for harm in harms {
            let broken = after(harm).expect_err("a wrong pointer");
            assert!(broken.contains("of the layer"), "{broken}");
        }
    }
}
