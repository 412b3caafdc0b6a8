//! Masks of swap tiers, as proposed in 2026: a cgroup may use the devices of some priorities alone. Guards
//! that an allocation takes no slot of a device that its task's mask leaves out, also where this CPU's
//! current cluster is on such a device. Proposal: "mm/swap: introduce swap tiers" (v9 of 21 June 2026).
//!
//! Simplified: a mask names one priority, and stands in a word per CPU, which is that of the task that
//! runs there; the proposal looks a folio's cgroup up. The list of devices is one, not one per tier: a walk
//! passes those of other tiers under swap_avail_lock, and leaves them where they are.

use crate::device::{Base, Device};
use machine::{Cpu, Fields, Machine, PerCpu, Plain};

/// The task that runs on a CPU.
pub(crate) struct Task<M: Machine> {
    /// The priority of the devices that it may use, or [`ANY`].
    tier: M::Plain<u32>,
}

impl<M: Machine> Fields for Task<M> {}

/// No priority is as high.
const ANY: u32 = u32::MAX;

/// What runs on each CPU; a task that nobody has named may use all devices.
pub(crate) fn tasks<M: Machine>(cpu: &M::Cpu) -> PerCpu<M, Task<M>> {
    PerCpu::new("current", cpu.system().cpus(), |_| Task { tier: M::Plain::new(ANY) })
}

impl<M: Machine> Base<M> {
    /// From now on this CPU's task may use the devices of one priority alone. Without
    /// [`Spec::masks`](crate::Spec::masks) it does nothing.
    pub fn run_in_tier(&self, cpu: &M::Cpu, priority: i16) {
        if let Some(tasks) = &self.tasks {
            tasks.of(cpu.id()).tier.set(priority as u16 as u32);
        }
    }

    /// Whether this CPU's task may use the device.
    pub(crate) fn may_use(&self, cpu: &M::Cpu, dev: &Device<M>) -> bool {
        let Some(tasks) = &self.tasks else { return true };
        let tier = tasks.of(cpu.id()).tier.get();
        tier == ANY || tier == dev.spec.priority as u16 as u32
    }
}

#[cfg(test)]
mod tests {
    use crate::per_device_table::PerDeviceTable;
    use crate::percpu_cluster::{PercpuFreeFirst, SwapTable};
    use crate::{DeviceSpec, Spec, SwapAllocator};
    use machine::Machine;
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    type M = Native<Tas, false>;

    /// The devices of allocations whose tasks take turns, and whether there is one for a priority that no
    /// device has.
    fn turns<A: SwapAllocator<M>>() -> (Vec<usize>, bool) {
        let device = |priority| DeviceSpec { priority, ..DeviceSpec::new(1024) };
        let devices = vec![device(1), device(0)];
        let spec = Spec { devices, masks: true, orders: 1, ..Spec::default() };
        let run = M::run(
            &Config::untimed(1),
            move |cpu| A::new(&spec, cpu),
            |swap, cpu| {
                assert!((0..2).all(|dev| swap.swapon(cpu, dev)));
                let alloc_in = |priority| {
                    swap.base().run_in_tier(cpu, priority);
                    swap.alloc(cpu, 0).map(|entry| entry.dev())
                };
                let devices = [1, 0, 0, 1, 0].map(|priority| alloc_in(priority).expect("a slot"));
                (devices.to_vec(), alloc_in(2).is_some())
            },
            |_, _| (),
        );
        run.expect("a run of one worker").workers.remove(0)
    }

    #[test]
    fn an_allocation_keeps_to_its_tasks_mask() {
        let kept = (vec![0, 1, 1, 0, 1], false);
        assert_eq!(turns::<SwapTable<M>>(), kept);
        assert_eq!(turns::<PerDeviceTable<M>>(), kept);
        assert_eq!(turns::<PercpuFreeFirst<M>>(), kept);
    }
}
