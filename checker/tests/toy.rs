//! `swapscale check toy`, as README.md tells whoever adds a variant: the toy of variants/tests/toy holds in
//! every scenario, and three that race are caught, each of which passes the tests of variants. Guards that
//! the check finds what those tests do not.

#[path = "../../variants/tests/toy/first_fit.rs"]
mod first_fit;

use checker::scenario::Exploration;
use checker::{Case, Effort, Finding, SCENARIOS};
use first_fit::FirstFit;
use machine::checked::{Config, Loom, Shuttle};
use machine::{Atomic, Machine, Site};
use variants::device::Device;
use variants::registry::{Variant, Visitor};
use variants::swap_map::HAS_CACHE;
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

const TOY: Variant =
    Variant { name: "toy", releases: &[], ablation: false, about: "one lock, one map" };

static RACY: Site = Site::new("si->lock", "toy_alloc");

/// si->lock is dropped and taken again between the scan and the fill.
const LOCK_DROPPED: u8 = 1;
/// SWP_WRITEOK is tested before the lock is taken.
const TESTED_EARLY: u8 = 2;
/// The slots are counted after the lock was dropped.
const COUNTED_LATE: u8 = 3;

/// The toy, whose allocation has one of the races.
struct Racy<M: Machine, const RACE: u8>(FirstFit<M>);

impl<M: Machine, const RACE: u8> Racy<M, RACE> {
    fn count(&self, dev: &Device<M>, slots: i64) {
        self.base().avail.add_pages(-slots);
        dev.si().inuse_pages.fetch_add_relaxed(slots as u64);
    }

    fn alloc_on(&self, cpu: &M::Cpu, dev: &Device<M>, order: usize) -> Option<SwpEntry> {
        let (lock, slots) = (&dev.si().lock, 1 << order);
        let early = dev.writeok();
        let mut guard = lock.lock(cpu, &RACY);
        let writeok = if RACE == TESTED_EARLY { early } else { dev.writeok() };
        let window = dev.window(0, dev.max(), order, || false).filter(|_| writeok);
        if RACE == LOCK_DROPPED {
            lock.unlock(cpu, guard);
            guard = lock.lock(cpu, &RACY);
        }
        let entry = window.map(|found| SwpEntry::new(dev.index, found.offset));
        if let Some(entry) = entry {
            dev.fill(entry.offset(), slots, HAS_CACHE);
            if RACE != COUNTED_LATE {
                self.count(dev, slots.into());
            }
        }
        lock.unlock(cpu, guard);
        if RACE == COUNTED_LATE && entry.is_some() {
            self.count(dev, slots.into());
        }
        entry
    }
}

impl<M: Machine, const RACE: u8> SwapAllocator<M> for Racy<M, RACE> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self(FirstFit::new(spec, cpu))
    }

    fn base(&self) -> &variants::device::Base<M> {
        self.0.base()
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.0.swapon(cpu, dev)
    }

    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        self.0.swapoff(cpu, dev, owners)
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        self.base().devices.iter().find_map(|dev| {
            if !dev.users.tryget_live(cpu) {
                return None;
            }
            let entry = self.alloc_on(cpu, dev, order);
            dev.users.put(cpu);
            entry
        })
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        self.0.put(cpu, entry, nr);
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        self.0.put_and_reclaim(cpu, entry, nr)
    }

    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        self.0.put_folio(cpu, entry, order);
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        self.0.with_entry(cpu, entry, site, action)
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.0.add_continuation(cpu, entry);
    }

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

/// The first scenario that breaks the allocator, in the order in which `check` explores them.
fn broken<L: SwapAllocator<Loom>, S: SwapAllocator<Shuttle>>(effort: &Effort) -> Option<String> {
    SCENARIOS.iter().find_map(|scenario| {
        let case = Case {
            subject: TOY.name,
            scenario: scenario.name,
            roles: scenario.cpus.iter().map(|cpu| cpu.0).collect(),
            bound: scenario.bound,
            loom: Box::new(move |config: &Config| {
                Exploration { scenario, config }.visit::<L>(&TOY)
            }),
            shuttle: Some(Box::new(move |config: &Config| {
                Exploration { scenario, config }.visit::<S>(&TOY)
            })),
        };
        match case.check(None, effort).finding {
            Finding::Broken { invariant, .. } => Some(format!("{invariant} in {}", case.id())),
            _ => None,
        }
    })
}

#[test]
fn the_toy_holds() {
    let effort = Effort { executions: 200, beyond: 100, random: 20, ..Effort::quick(1) };
    assert_eq!(broken::<FirstFit<Loom>, FirstFit<Shuttle>>(&effort), None);
}

#[test]
fn a_toy_that_races_is_caught() {
    let effort = Effort::quick(1);
    let found = [
        broken::<Racy<Loom, LOCK_DROPPED>, Racy<Shuttle, LOCK_DROPPED>>(&effort),
        broken::<Racy<Loom, TESTED_EARLY>, Racy<Shuttle, TESTED_EARLY>>(&effort),
        broken::<Racy<Loom, COUNTED_LATE>, Racy<Shuttle, COUNTED_LATE>>(&effort),
    ];
    for race in found {
        assert_eq!(race.as_deref(), Some("I2 in toy/alloc"));
    }
}
