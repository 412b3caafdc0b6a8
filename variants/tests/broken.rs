//! The oracle and the stress load reject an allocator that is broken on purpose: a sound one
//! behind a thin wrapper that at every third call does the wrong thing.

mod common;

use common::shaken::Shaken;
use common::stress::Effort;
use common::{On, oracle, stress};
use machine::lock::Tas;
use machine::{Atomic, Cpu, Machine};
use variants::device::{Base, Device};
use variants::percluster::PerCluster;
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

struct Broken<M: Machine, const HOW: u8> {
    sound: PerCluster<M>,
    calls: M::Atomic<u64>,
    /// The last entry of order 0, and above it the CPU that got it.
    last: M::Atomic<u64>,
}

const CPU_SHIFT: u32 = 40;

impl<M: Machine, const HOW: u8> Broken<M, HOW> {
    fn now_and_then(&self) -> bool {
        self.calls.fetch_add(1) % 3 == 2
    }
}

impl<M: Machine, const HOW: u8> SwapAllocator<M> for Broken<M, HOW> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        Self {
            sound: PerCluster::new(spec, cpu),
            calls: M::Atomic::new(0),
            last: M::Atomic::new(0),
        }
    }

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        if order > 0 {
            return self.sound.alloc(cpu, order);
        }
        let (last, mine) = (self.last.load(), (cpu.id() as u64 + 1) << CPU_SHIFT);
        let (cpu_bits, entry) = (last & (0xff << CPU_SHIFT), last & !(0xff << CPU_SHIFT));
        let again = HOW == TWICE || HOW == RACED && cpu_bits != mine;
        if again && entry != 0 && (HOW == RACED || self.now_and_then()) {
            return SwpEntry::from_pte(entry);
        }
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

type Alone<const HOW: u8> = Broken<On<Tas>, HOW>;
type Stressed<const HOW: u8> = Broken<Shaken<Tas, false>, HOW>;

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
