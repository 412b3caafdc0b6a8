//! Allocators that are broken on purpose: the oracle and the stress load must each
//! reject every one of them, and accept the one that they are made from.

mod common;

use common::{Op, follow, random_op, stress};
use machine::lock::Tas;
use machine::{Atomic, Machine, Native, Region};
use std::marker::PhantomData;
use variants::device::{Base, Device};
use variants::percluster::PerCluster;
use variants::{EntrySite, Owners, Spec, Steps, SwapAllocator, SwapoffError, SwpEntry};

/// What goes wrong now and then.
trait Bug: Send + Sync + 'static {
    /// An order-0 slot is handed out a second time.
    const TWICE: bool = false;
    /// A user is not taken off.
    const LEAKS: bool = false;
    /// A new user is not counted.
    const MISCOUNTS: bool = false;
}

struct Sound;
impl Bug for Sound {}

struct HandsOutTwice;
impl Bug for HandsOutTwice {
    const TWICE: bool = true;
}

struct Leaks;
impl Bug for Leaks {
    const LEAKS: bool = true;
}

struct Miscounts;
impl Bug for Miscounts {
    const MISCOUNTS: bool = true;
}

/// `percluster` with a bug in one call of 20.
struct Broken<M: Machine, B: Bug> {
    sound: PerCluster<M>,
    calls: Region<M, M::Atomic<u64>>,
    /// The last order-0 entry, as a page-table word.
    last: Region<M, M::Atomic<u64>>,
    bug: PhantomData<B>,
}

impl<M: Machine, B: Bug> Broken<M, B> {
    fn now(&self) -> bool {
        self.calls[0].fetch_add(1) % 20 == 19
    }
}

impl<M: Machine, B: Bug> SwapAllocator<M> for Broken<M, B> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let word = || Region::named("broken", 1, Vec::new(), |_| M::Atomic::new(0));
        let sound = PerCluster::new(spec, cpu);
        Self { sound, calls: word(), last: word(), bug: PhantomData }
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

    fn alloc(&self, cpu: &M::Cpu, order: usize) -> Option<SwpEntry> {
        if B::TWICE && order == 0 && self.now() {
            return SwpEntry::from_pte(self.last[0].load());
        }
        let entry = self.sound.alloc(cpu, order);
        if order == 0 {
            self.last[0].store(SwpEntry::to_pte(entry));
        }
        entry
    }

    fn put(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        if !(B::LEAKS && self.now()) {
            self.sound.put(cpu, entry, nr);
        }
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

    fn dup(&self, cpu: &M::Cpu, entry: SwpEntry) -> bool {
        (B::MISCOUNTS && self.now()) || self.sound.dup(cpu, entry)
    }

    fn inuse(&self, dev: usize) -> u64 {
        self.sound.inuse(dev)
    }

    fn validate(&self) -> Result<(), String> {
        self.sound.validate()
    }
}

fn followed<B: Bug>() -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(7);
    let ops: Vec<Op> = (0..600).map(|_| random_op(&mut random, true)).collect();
    follow::<Tas, Broken<Native<Tas, false>, B>>(&ops)
}

fn stressed<B: Bug>(unuse_passes: u32) -> Result<(), String> {
    stress::<Tas, Broken<Native<Tas, true>, B>>(5_000, unuse_passes)
}

#[test]
fn the_oracle_rejects_them() {
    followed::<Sound>().expect("percluster itself");
    for (bug, verdict) in [
        ("hands out twice", followed::<HandsOutTwice>()),
        ("leaks", followed::<Leaks>()),
        ("miscounts", followed::<Miscounts>()),
    ] {
        assert!(verdict.is_err(), "an allocator that {bug} passed");
    }
}

#[test]
fn the_stress_load_rejects_them() {
    stressed::<Sound>(u32::MAX).expect("percluster itself");
    for (bug, verdict) in [
        ("hands out twice", stressed::<HandsOutTwice>(200)),
        ("leaks", stressed::<Leaks>(200)),
        ("miscounts", stressed::<Miscounts>(200)),
    ] {
        assert!(verdict.is_err(), "an allocator that {bug} passed");
    }
}
