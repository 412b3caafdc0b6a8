//! The oracle and the stress load reject an allocator that is broken on purpose: a sound one
//! behind a thin wrapper that at every third call does the wrong thing, and the toy of README.md with
//! a race in its allocation.

mod common;
#[path = "toy/first_fit.rs"]
mod first_fit;

use common::shaken::Shaken;
use common::stress::Effort;
use common::{On, oracle, stress};
use first_fit::FirstFit;
use machine::lock::Tas;
use machine::{Atomic, Cpu, Machine, Site};
use variants::device::{Base, Device};
use variants::percluster::PerCluster;
use variants::swap_map::HAS_CACHE;
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

/// The wrapper alone: it does nothing wrong.
const SOUND: u8 = 0;
/// At every third call hands out the slot that it handed out last.
const TWICE: u8 = 1;
/// Hands out the slot that another CPU got last, which one thread alone never sees.
const RACED: u8 = 2;
/// At every third call does not take a user off.
const LEAKS: u8 = 3;
/// At every third call does not count a new user.
const MISCOUNTS: u8 = 4;
/// Waits for what never comes.
const HANGS: u8 = 5;
/// Drops si->lock between the scan of the map and the mark in it.
const RETAKES: u8 = 6;
/// Tests SWP_WRITEOK before it takes si->lock.
const TESTS_EARLY: u8 = 7;
/// Counts the slot after it has dropped si->lock.
const COUNTS_LATE: u8 = 8;
/// Keeps a reference to the device, for which swapoff waits.
const KEEPS: u8 = 9;

struct Broken<M: Machine, A, const HOW: u8> {
    sound: A,
    calls: M::Atomic<u64>,
    /// The last entry of order 0, and above it the CPU that got it.
    last: M::Atomic<u64>,
}

const CPU_SHIFT: u32 = 40;

static RACY: Site = Site::new("si->lock", "racy_alloc");

impl<M: Machine, A: SwapAllocator<M>, const HOW: u8> Broken<M, A, HOW> {
    fn now_and_then(&self) -> bool {
        self.calls.fetch_add(1) % 3 == 2
    }

    /// The toy's allocation, with a race.
    fn racy(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        self.base().devices.iter().find_map(|dev| {
            if !dev.users.tryget_live(cpu) {
                return None;
            }
            let early = HOW != TESTS_EARLY || dev.writeok();
            let mut guard = dev.si().lock.lock(cpu, &RACY);
            let window = dev.window(0, dev.max(), order, || false);
            let on = || if HOW == TESTS_EARLY { early } else { dev.writeok() };
            let window = window.filter(|_| on());
            if HOW == RETAKES {
                dev.si().lock.unlock(cpu, guard);
                guard = dev.si().lock.lock(cpu, &RACY);
            }
            let count = || {
                self.base().avail.add_pages(-(1 << order));
                dev.si().inuse_pages.fetch_add_relaxed(1 << order);
            };
            if let Some(found) = &window {
                dev.fill(found.offset, 1 << order, HAS_CACHE);
                if HOW != COUNTS_LATE {
                    count();
                }
            }
            dev.si().lock.unlock(cpu, guard);
            if HOW == COUNTS_LATE && window.is_some() {
                count();
            }
            dev.users.put(cpu);
            window.map(|found| SwpEntry::new(dev.index, found.offset))
        })
    }
}

impl<M: Machine, A: SwapAllocator<M>, const HOW: u8> SwapAllocator<M> for Broken<M, A, HOW> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self { sound: A::new(spec, cpu), calls: M::Atomic::new(0), last: M::Atomic::new(0) }
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        if HOW == KEEPS {
            let _ = self.base().devices[0].users.tryget_live(cpu);
        } else if HOW >= RETAKES {
            return self.racy(cpu, order);
        }
        while HOW == HANGS && self.calls.load() > 20 {
            cpu.relax();
        }
        if order > 0 {
            return self.sound.alloc(cpu, order);
        }
        let (last, mine) = (self.last.load(), (cpu.id() as u64 + 1) << CPU_SHIFT);
        let (cpu_bits, entry) = (last & (0xff << CPU_SHIFT), last & !(0xff << CPU_SHIFT));
        let again = HOW == TWICE || HOW == RACED && cpu_bits != mine;
        if again && entry != 0 && (HOW == RACED || self.now_and_then()) {
            return SwpEntry::from_pte(entry);
        }
        self.calls.fetch_add(u64::from(HOW == HANGS));
        let entry = self.sound.alloc(cpu, 0)?;
        self.last.store(SwpEntry::to_pte(Some(entry)) | mine);
        Some(entry)
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        if HOW != LEAKS || !self.now_and_then() {
            self.sound.put(cpu, entry, nr);
        }
    }

    fn dup(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        HOW == MISCOUNTS && self.now_and_then() || self.sound.dup(cpu, entry)
    }

    fn base(&self) -> &Base<M> {
        self.sound.base()
    }

    fn swapon(&self, cpu: &M::Cpu, dev: usize) -> bool {
        self.sound.swapon(cpu, dev)
    }

    fn swapoff(&self, cpu: &M::Cpu, dev: usize, owners: &Owners<M>) -> Result<Steps, SwapoffError> {
        self.sound.swapoff(cpu, dev, owners)
    }

    fn put_and_reclaim(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        self.sound.put_and_reclaim(cpu, entry, nr)
    }

    fn put_folio(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) {
        self.sound.put_folio(cpu, entry, order);
    }

    fn with_entry<T>(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        site: &'static EntrySite,
        action: impl FnOnce(&Device<M>) -> T,
    ) -> T {
        self.sound.with_entry(cpu, entry, site, action)
    }

    fn add_continuation(&self, cpu: &M::Cpu, entry: SwpEntry) {
        self.sound.add_continuation(cpu, entry);
    }

    fn run_work_of(&self, cpu: &M::Cpu, dev: &Device<M>) {
        self.sound.run_work_of(cpu, dev);
    }

    fn inuse(&self, dev: usize) -> u64 {
        self.sound.inuse(dev)
    }

    fn validate(&self) -> Result<(), String> {
        self.sound.validate()
    }
}

type Alone<const HOW: u8> = Broken<On<Tas>, PerCluster<On<Tas>>, HOW>;
type Toy<const HOW: u8> = Broken<On<Tas>, FirstFit<On<Tas>>, HOW>;

type M = Shaken<Tas, false>;
type Stressed<const HOW: u8> = Broken<M, PerCluster<M>, HOW>;
type StressedToy<const HOW: u8> = Broken<M, FirstFit<M>, HOW>;

fn pages<const HOW: u8>() -> Result<(), String> {
    stress::pages::<Tas, Stressed<HOW>, false>(&Effort::USUAL)
}

fn slots<const HOW: u8>() -> Result<(), String> {
    stress::slots::<Tas, Stressed<HOW>, false>(&Effort::USUAL)
}

#[test]
fn the_wrapper_alone_is_accepted() {
    oracle::random_sequences::<On<Tas>, Alone<SOUND>>().expect("by the oracle");
    pages::<SOUND>().expect("by the pages");
    slots::<SOUND>().expect("by the slots");
}

#[test]
fn a_slot_given_twice_is_rejected() {
    oracle::random_sequences::<On<Tas>, Alone<TWICE>>().expect_err("by the oracle");
    pages::<TWICE>().expect_err("by the pages");
    let why = slots::<TWICE>().expect_err("by the slots");
    assert!(why.contains("I1") || why.contains("without a folio"), "{why}");
}

#[test]
fn a_slot_given_to_two_threads_is_rejected_by_stress_alone() {
    oracle::random_sequences::<On<Tas>, Alone<RACED>>().expect("one thread cannot see it");
    pages::<RACED>().expect_err("by the pages");
    slots::<RACED>().expect_err("by the slots");
}

#[test]
fn a_wait_that_never_ends_is_reported_with_its_round() {
    let why = pages::<HANGS>().expect_err("by the pages");
    for part in ["L: no worker has finished a step", "(round ", "seed "] {
        assert!(why.contains(part), "{part} missing in: {why}");
    }
}

/// In rounds of a swapoff beside other workers, and of one after them.
#[test]
fn a_swapoff_that_never_ends_is_reported() {
    let said = |seed| {
        let effort = Effort { seed, rounds: 1, ..Effort::USUAL };
        stress::slots::<Tas, Stressed<KEEPS>, false>(&effort).expect_err("it never ends")
    };
    let all: Vec<String> = (1..5).map(said).collect();
    let hangs = |why: &&String| why.contains("L: no worker has finished a step");
    // In a round in which no swapoff is called the references that are kept are seen at rest.
    let leaks = |why: &&String| why.contains("I20: a device that is on has");
    assert!(all.iter().all(|why| hangs(&why) || leaks(&why)), "{all:?}");
    assert!(all.iter().any(|why| hangs(&why)), "{all:?}");
}

/// The races that a newcomer's variant may have: the command `swapscale check` finds them too.
#[test]
fn a_race_in_the_toy_is_rejected_by_stress_alone() {
    fn rejects<const HOW: u8>(name: &str) {
        oracle::random_sequences::<On<Tas>, Toy<HOW>>().expect("one thread cannot see it");
        let slots = stress::slots::<Tas, StressedToy<HOW>, false>(&Effort::USUAL);
        let pages = stress::pages::<Tas, StressedToy<HOW>, false>(&Effort::USUAL);
        assert!(slots.is_err() || pages.is_err(), "{name}");
    }
    rejects::<RETAKES>("si->lock is dropped and taken again");
    rejects::<TESTS_EARLY>("SWP_WRITEOK is tested before the lock");
    rejects::<COUNTS_LATE>("a slot is counted after the unlock");
}

#[test]
fn a_user_never_taken_off_is_rejected() {
    let why = oracle::random_sequences::<On<Tas>, Alone<LEAKS>>().expect_err("by the oracle");
    assert!(why.contains("swapoff"), "{why}");
    pages::<LEAKS>().expect_err("by the pages");
}

#[test]
fn a_user_never_counted_is_rejected() {
    oracle::random_sequences::<On<Tas>, Alone<MISCOUNTS>>().expect_err("by the oracle");
    pages::<MISCOUNTS>().expect_err("by the pages");
}
