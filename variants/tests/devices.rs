//! Which device an allocation comes from, where several have one priority. Guards the difference between
//! `per-device-table`, whose allocations take turns on the devices, and `swap-table`, whose CPU keeps to
//! its current cluster.

mod common;

use common::{On, spec};
use machine::lock::Tas;
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use variants::per_device_table::PerDeviceTable;
use variants::percpu_cluster::SwapTable;
use variants::{DeviceSpec, Spec, SwapAllocator};

type M = On<Tas>;

/// Three devices of one priority, and one of a lower priority.
fn peers() -> Spec {
    let last = DeviceSpec { priority: -1, ..DeviceSpec::new(64) };
    let peer = || DeviceSpec::new(64);
    Spec { devices: vec![last, peer(), peer(), peer()], ..spec(8) }
}

/// (device, slot) of seven allocations by one CPU, and how often they took swap_avail_lock.
fn seven<A: SwapAllocator<M>>() -> (Vec<(usize, u32)>, u64) {
    let run = Native::run(
        &Config::untimed(1),
        |cpu| {
            let swap = A::new(&peers(), cpu);
            (0..4).for_each(|dev| assert!(swap.swapon(cpu, dev)));
            swap
        },
        |swap, cpu| {
            let alloc = |_| swap.alloc(cpu, 0).map(|entry| (entry.dev(), entry.offset()));
            let places = (0..7).map(alloc).collect::<Option<Vec<_>>>().expect("there is room");
            let sites = cpu.local().sites();
            let avail = sites.iter().filter(|site| site.lock == "swap_avail_lock");
            (places, avail.map(|site| site.acquired).sum())
        },
        |_, _| (),
    );
    run.expect("nothing fails").workers.remove(0)
}

#[test]
fn with_a_current_cluster_per_device_every_allocation_goes_to_the_next_device() {
    let turns = vec![(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2), (1, 3)];
    assert_eq!(seven::<PerDeviceTable<M>>(), (turns, 7));
}

#[test]
fn with_one_current_cluster_a_cpu_keeps_to_a_device() {
    let one = (1..8).map(|slot| (1, slot)).collect();
    assert_eq!(seven::<SwapTable<M>>(), (one, 1));
}
