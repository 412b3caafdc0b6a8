//! The tests of all variants share small systems, random operations on them, and the walk over
//! every registered variant under every registered kind of lock. Guards that none is left out.
#![allow(dead_code, reason = "each test binary uses its part")]

pub mod learnt;
pub mod oracle;
pub mod order;
pub mod shaken;
pub mod stress;

use machine::lock::{KINDS, LockKind};
use machine::native::Config;
use machine::{Machine, Native, with_lock};
use std::marker::PhantomData;
use variants::prices::{Prices, XarrayPrices, ZsmallocPrices};
use variants::registry::{VARIANTS, Variant, Visitor, visit};
use variants::{DeviceSpec, FailedTables, Folio, SlotCacheSpec, Spec, SwapAllocator};

/// The machine of tests on one CPU: it accounts lock sites, as measurements do.
pub type On<K> = Native<K, true>;

/// A machine whose run needs no more than a number of workers.
pub trait Tested: Machine {
    fn config(workers: usize) -> Self::Config;
}

impl<K: LockKind> Tested for On<K> {
    fn config(workers: usize) -> Config {
        Config::untimed(workers)
    }
}

pub const OWNERS: usize = 3;
pub const PAGES: usize = 48;
/// Largest order, where it is not larger than a cluster.
pub const ORDERS: usize = 3;

/// Two devices of a few clusters, the second with discard, a partial last cluster and
/// another size the second time; slot caches that come on and go off. Clusters of 8
/// slots and less can be filled up by the owners' pages. With clusters of 8 slots the first CPU gets
/// swap tables by sleeping alone.
pub fn spec(cluster_slots: u32) -> Spec {
    let (first, second) = if cluster_slots <= 8 { (8, 5) } else { (2, 2) };
    Spec {
        devices: vec![
            DeviceSpec::new(first * cluster_slots),
            DeviceSpec {
                discard: true,
                later_slots: Some((second - 2) * cluster_slots + 5),
                ..DeviceSpec::new(second * cluster_slots + 3)
            },
        ],
        cluster_slots,
        orders: (ORDERS + 1).min(cluster_slots.trailing_zeros() as usize + 1),
        cluster_cols: 2,
        slot_cache: SlotCacheSpec { size: 4, activate: 10, deactivate: 4 },
        swap_max: u64::MAX,
        discard_ns: 0,
        prices: free_of_charge(),
        owners: OWNERS,
        pages_per_owner: PAGES,
        unuse_passes: 1_000,
        failed_tables: (cluster_slots == 8).then_some(FailedTables { cpu: 0, sleeping: false }),
        masks: false,
    }
}

/// Every lock of the neighbours is taken, and nothing takes time.
fn free_of_charge() -> Prices {
    let xarray = XarrayPrices { add_ns: 0, remove_ns: 0, shadow_ns: 0, list_lru_ns: 0 };
    let zsmalloc = ZsmallocPrices { classes: 3, malloc_ns: 0, free_ns: 0 };
    Prices {
        xarray: Some(xarray),
        zsmalloc: Some(zsmalloc),
        swap_cgroup_ns: Some(0),
        ..Prices::default()
    }
}

/// One step of a workload.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Out {
        owner: usize,
        page: usize,
        order: usize,
        folio: Folio,
    },
    In {
        owner: usize,
        page: usize,
        folio: Folio,
    },
    Zap {
        owner: usize,
        page: usize,
        nr: usize,
    },
    /// `in_runs`: one call for slots that follow each other.
    Fork {
        parent: usize,
        child: usize,
        page: usize,
        nr: usize,
        in_runs: bool,
    },
    LookUp {
        owner: usize,
        page: usize,
    },
    Off {
        dev: usize,
    },
    Work,
}

/// A random choice as [`Swap`](variants::Swap) takes it.
pub fn folio(keep: bool) -> Folio {
    if keep { Folio::Keep } else { Folio::Drop }
}

pub fn random_op(random: &mut fastrand::Rng) -> Op {
    let (owner, page) = (random.usize(..OWNERS), random.usize(..PAGES));
    let nr = random.usize(1..20);
    match random.u32(..100) {
        0..40 => {
            Op::Out { owner, page, order: random.usize(..=ORDERS) / 2, folio: folio(random.bool()) }
        }
        40..45 => Op::Out { owner, page, order: ORDERS, folio: Folio::Drop },
        45..70 => Op::In { owner, page, folio: folio(random.bool()) },
        70..82 => Op::Zap { owner, page, nr },
        82..90 => {
            let (child, in_runs) = (random.usize(..OWNERS), nr.is_multiple_of(2));
            Op::Fork { parent: owner, child, page, nr, in_runs }
        }
        90..93 => Op::Off { dev: random.usize(..2) },
        93..96 => Op::LookUp { owner, page },
        _ => Op::Work,
    }
}

/// Something that every allocator must stand. The error says what is wrong with it.
pub trait Check {
    /// The machine that it runs on.
    type On<K: LockKind>: Machine;

    fn check<K: LockKind, A: SwapAllocator<Self::On<K>>>(
        &self,
        variant: &'static Variant,
    ) -> Result<(), String>;
}

struct Under<'a, C, K>(&'a C, PhantomData<K>);

impl<C: Check, K: LockKind> Visitor<C::On<K>> for Under<'_, C, K> {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<C::On<K>>>(self, variant: &'static Variant) -> Self::Output {
        self.0.check::<K, A>(variant)
    }
}

/// Checks all that is registered: a new variant or lock needs no line here.
pub fn every_variant_under_every_lock<C: Check>(check: &C) {
    for (lock, _) in KINDS {
        for variant in VARIANTS {
            let checked = with_lock!(lock, K => {
                visit::<C::On<K>, _>(variant.name, Under(check, PhantomData::<K>))
            });
            if let Err(why) = checked.flatten().expect("a registered variant and lock") {
                panic!("{} under {lock}: {why}", variant.name);
            }
        }
    }
}
