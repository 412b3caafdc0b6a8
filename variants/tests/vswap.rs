//! What a layer above the devices changes for its users. Guards when a slot on a device comes and goes:
//! not at the allocation, with the page at its writeout, and by swapoff without a look at page tables.

mod common;

use common::{On, spec};
use machine::lock::Tas;
use machine::native::Config;
use machine::{Machine, Native};
use variants::vswap::Vswap;
use variants::{DeviceSpec, Folio, Spec, Swap, SwapAllocator, SwpEntry};

type M = On<Tas>;
type Cpu = <M as Machine>::Cpu;

/// One device of 23 slots, and more pages than that.
fn one_device() -> Spec {
    Spec { devices: vec![DeviceSpec::new(24)], ..spec(8) }
}

fn on(spec: Spec, check: impl Fn(&Swap<M, Vswap<M>>, &Cpu) + Send + Sync + 'static) {
    let setup = move |cpu: &Cpu| {
        let swap = Swap::new(&spec, cpu);
        assert!(swap.swapon(cpu, 0));
        swap
    };
    let worker = move |swap: &Swap<M, Vswap<M>>, cpu: &Cpu| {
        check(swap, cpu);
        swap.alloc.validate().expect("consistent");
    };
    Native::run(&Config::untimed(1), setup, worker, |_, _| ()).expect("nothing fails");
}

/// Slots of the device that are in use.
fn used(swap: &Swap<M, Vswap<M>>) -> u64 {
    swap.alloc.stats(0).inuse
}

fn entries(swap: &Swap<M, Vswap<M>>) -> Vec<SwpEntry> {
    (0..3).filter_map(|page| swap.owners.peek(0, page)).collect()
}

#[test]
fn a_page_gets_a_slot_on_a_device_when_it_is_written() {
    on(one_device(), |swap, cpu| {
        assert!(swap.swap_out(cpu, 0, 0, 0, Folio::Keep));
        assert_eq!(used(swap), 0);
        assert!(swap.swap_out(cpu, 0, 4, 2, Folio::Drop));
        assert_eq!(used(swap), 4);
        assert_eq!(swap.zap(cpu, 0, 4, 4), 4);
        assert_eq!(used(swap), 0);
    });
}

#[test]
fn swapoff_frees_the_slots_of_a_device_and_leaves_the_page_tables() {
    on(one_device(), |swap, cpu| {
        assert!((0..3).all(|page| swap.swap_out(cpu, 0, page, 0, Folio::Drop)));
        let before = entries(swap);
        assert_eq!(before.len(), 3);
        swap.swapoff(cpu, 0).expect("swapoff");
        assert_eq!(entries(swap), before);
        for (page, entry) in before.into_iter().enumerate() {
            assert_eq!(swap.alloc.usage(entry), (1, true), "in the swap cache");
            assert!(swap.swap_in(cpu, 0, page, Folio::Keep), "without a device");
            assert_eq!(swap.alloc.usage(entry), (0, false));
        }
    });
}

#[test]
fn a_folio_that_gets_no_slot_on_a_device_stays_in_the_swap_cache() {
    on(Spec { swap_max: 0, ..one_device() }, |swap, cpu| {
        assert!(swap.swap_out(cpu, 0, 0, 0, Folio::Drop));
        assert_eq!(used(swap), 0);
        assert_eq!(swap.alloc.usage(entries(swap)[0]), (1, true));
        assert!(swap.swap_in(cpu, 0, 0, Folio::Drop));
    });
}

#[test]
fn slots_that_only_the_swap_cache_holds_are_reclaimed_for_others() {
    on(one_device(), |swap, cpu| {
        for page in 0..16 {
            assert!(swap.swap_out(cpu, 0, page, 0, Folio::Drop));
            assert!(swap.swap_in(cpu, 0, page, Folio::Keep));
        }
        let out = |page| swap.swap_out(cpu, 1, page, 0, Folio::Drop);
        let fits = (0..20).take_while(|&page| out(page)).count();
        assert!(fits < 20, "16 slots of 23 were held");
        swap.alloc.run_work(cpu);
        assert!((fits..20).all(out), "the queued work frees slots of the device");
    });
}
