//! Workers on a shaken machine, with swapoff and swapon in the loop, in many short rounds: each is a
//! small system of another shape, which three workers enter at once and leave after a count of
//! steps, not after a time. Guards what is left then: it must be consistent and complete.
//!
//! A failure names its round and seed; `SWAPSCALE_SEED=seed` makes that round the first. A woven
//! round fails every time. Threads have the shape and the work of their seed, and meet as chance
//! has it. checker/tests/power.rs measures what the load finds.

use super::shaken::{self, Shaken, Way};
use super::{Check, ORDERS, OWNERS, Op, PAGES, random_op, spec};
use machine::lock::LockKind;
use machine::{Cpu, Machine};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use variants::registry::Variant;
use variants::{
    DeviceSpec, FailedTables, SlotCacheSpec, Spec, Swap, SwapAllocator, SwapoffError, SwpEntry,
};

/// An allocator stands pages that go out and in, shared by owners and by the swap cache.
pub struct Pages(pub Effort);

impl Check for Pages {
    type On<K: LockKind> = Shaken<K, false>;
    fn check<K: LockKind, A: SwapAllocator<Self::On<K>>>(&self, _: &Variant) -> Result<(), String> {
        pages::<K, A, false>(&self.0)
    }
}

/// An allocator stands bare slots, each of which must have one holder at a time.
pub struct Slots(pub Effort);

impl Check for Slots {
    type On<K: LockKind> = Shaken<K, false>;
    fn check<K: LockKind, A: SwapAllocator<Self::On<K>>>(&self, _: &Variant) -> Result<(), String> {
        slots::<K, A, false>(&self.0)
    }
}

/// How much work there is, and how it is disturbed.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Seed of the first round; each further one has the next.
    pub seed: u64,
    pub rounds: u64,
    /// Steps of a worker in a round.
    pub steps: usize,
    pub way: Way,
    /// Whether rounds have shapes of their own, and workers are disturbed.
    pub shaken: bool,
}

impl Effort {
    /// That of a test.
    pub const USUAL: Self = Self { seed: 1, rounds: 40, steps: 100, way: Way::Woven, shaken: true };

    /// Threads that may really run at once.
    pub const THREADS: Self = Self { rounds: 2, way: Way::Threads, ..Self::USUAL };

    /// One long round of one shape without disturbances: what a thread's time slice makes of that
    /// is little more than one worker after the other.
    pub const CALM: Self = Self { rounds: 1, steps: 10_000, shaken: false, ..Self::THREADS };
}

const WORKERS: usize = 3;

/// More slots than a layer above the devices of a round has.
const LAYER: u32 = 4096;

/// What one round is made of.
#[derive(Clone, Debug)]
struct Round {
    seed: u64,
    spec: Spec,
    /// Whether one worker does nothing but swapoff and swapon.
    storm: bool,
    steps: usize,
    machine: shaken::Config,
}

impl Round {
    fn new(seed: u64, effort: &Effort) -> Self {
        let Effort { steps, shaken, way, .. } = *effort;
        let mut random = fastrand::Rng::with_seed(seed);
        let every = if shaken { *random.choice(&[8, 32, 128, 512]).expect("some") } else { 0 };
        let machine = shaken::Config { workers: WORKERS, way, seed, every };
        let calm = Self { seed, spec: spec(8), storm: true, steps, machine };
        if !shaken { calm } else { calm.shaped(&mut random) }
    }

    /// A few clusters on one device or two, often full; now and then no swapoff.
    fn shaped(self, random: &mut fastrand::Rng) -> Self {
        let cluster_slots = *random.choice(&[4, 8]).expect("some");
        let device = |random: &mut fastrand::Rng| {
            let slots = cluster_slots * random.u32(1..5) + random.u32(0..2) * (cluster_slots / 2);
            let smaller = (slots > cluster_slots && random.bool()).then_some(slots - cluster_slots);
            DeviceSpec { discard: random.bool(), later_slots: smaller, ..DeviceSpec::new(slots) }
        };
        let devices = (0..random.usize(1..3)).map(|_| device(random)).collect();
        let cached = random.bool();
        let spec = Spec {
            devices,
            cluster_slots,
            orders: (ORDERS + 1).min(cluster_slots.trailing_zeros() as usize + 1),
            cluster_cols: random.u32(1..3),
            slot_cache: SlotCacheSpec {
                size: 2,
                activate: if cached { 1 } else { 1_000 },
                deactivate: 0,
            },
            swap_max: if random.u32(..4) == 0 { random.u64(1..8) } else { u64::MAX },
            ..self.spec
        };
        let storm = random.u32(..4) > 0;
        let failed_tables = random
            .bool()
            .then(|| FailedTables { cpu: random.usize(..WORKERS), sleeping: random.bool() });
        Self { spec: Spec { failed_tables, ..spec }, storm, ..self }
    }
}

struct World<M: Machine, A: SwapAllocator<M>> {
    round: Round,
    swap: Swap<M, A>,
    /// The CPU that holds each slot, or 0, by device and offset; the holders themselves write it. After
    /// the devices comes the layer above them, in variants that have one.
    holders: Vec<Vec<AtomicU32>>,
    /// How many workers still allocate.
    busy: AtomicUsize,
}

impl<M: Machine, A: SwapAllocator<M>> World<M, A> {
    fn new(round: &Round, cpu: &M::Cpu) -> Self {
        let spec = &round.spec;
        let swap = Swap::<M, A>::new(spec, cpu);
        (0..spec.devices.len()).for_each(|dev| assert!(swap.swapon(cpu, dev)));
        let nobody = |slots| (0..slots).map(|_| AtomicU32::new(0)).collect();
        let slots = spec.devices.iter().map(|dev| dev.slots).chain([LAYER]);
        let holders = slots.map(nobody).collect();
        let busy = AtomicUsize::new(WORKERS - usize::from(round.storm));
        Self { round: round.clone(), swap, holders, busy }
    }

    fn devices(&self) -> usize {
        self.round.spec.devices.len()
    }

    /// Takes devices off and on while others allocate from them. A swapoff may be
    /// interrupted by a slot that stays busy; then the device is still on. It goes on as long as a
    /// worker is busy, so that it is no progress.
    fn storm(&self, cpu: &M::Cpu) {
        let mut swapoffs = 0;
        while swapoffs < 2 || self.busy.load(Relaxed) > 0 {
            let dev = swapoffs % self.devices();
            match self.swap.swapoff(cpu, dev) {
                Ok(_) => assert!(self.swap.swapon(cpu, dev), "swapon after swapoff"),
                Err(error) => assert_eq!(error, SwapoffError::Interrupted),
            }
            swapoffs += 1;
            cpu.cond_resched();
        }
    }

    fn worker(&self, cpu: &M::Cpu, step: impl Fn(&mut fastrand::Rng)) {
        if self.round.storm && cpu.id() == 0 {
            return self.storm(cpu);
        }
        let mut random = fastrand::Rng::with_seed(self.round.seed ^ cpu.id() as u64);
        for _ in 0..self.round.steps {
            step(&mut random);
            // swapoff takes a whole device off the count, of which slots are in use.
            let pages = self.swap.alloc.nr_swap_pages();
            assert!(self.round.storm || pages >= 0, "I10: nr_swap_pages is {pages}");
            shaken::progress();
        }
        self.busy.fetch_sub(1, Relaxed);
    }

    /// All owners exit, all devices go off: nothing may be left.
    fn finish(&self, cpu: &M::Cpu) {
        let swap = &self.swap;
        let valid = |when: &str| {
            if let Err(broken) = swap.alloc.validate() {
                panic!("{broken} ({when})");
            }
        };
        valid("the threads are done");
        for owner in 0..OWNERS {
            swap.zap(cpu, owner, 0, PAGES);
        }
        valid("the owners are gone");
        for dev in 0..self.devices() {
            swap.swapoff(cpu, dev).expect("the last swapoff");
        }
        assert_eq!(swap.alloc.nr_swap_pages(), 0);
        valid("the devices are off");
    }

    /// One random operation on pages. An owner's pages are swapped out and copied by its own worker
    /// alone; all else is done by any worker.
    fn swap_pages(&self, cpu: &M::Cpu, random: &mut fastrand::Rng) {
        let (swap, own) = (&self.swap, cpu.id());
        let taken = |p| swap.owners.get(own, p).is_some();
        match random_op(random) {
            Op::Out { page, order, folio, .. } => {
                let order = order.min(self.round.spec.orders - 1);
                let page = page.min(PAGES - (1 << order));
                if !(page..page + (1 << order)).any(taken) {
                    swap.swap_out(cpu, own, page, order, folio);
                }
            }
            Op::In { owner, page, folio } => {
                swap.swap_in(cpu, owner, page, folio);
            }
            Op::Zap { owner, page, nr } => {
                swap.zap(cpu, owner, page, nr.min(PAGES - page));
            }
            Op::Fork { parent, page, nr, in_runs, .. } => {
                let nr = nr.min(PAGES - page);
                if parent != own && !(page..page + nr).any(taken) {
                    match in_runs {
                        false => swap.fork(cpu, parent, own, page, nr),
                        true => swap.fork_in_runs(cpu, parent, own, page, nr),
                    };
                }
            }
            Op::Off { dev } => self.look(cpu, dev % self.devices()),
            Op::LookUp { owner, page } => _ = swap.look_up(cpu, owner, page),
            Op::Work => swap.alloc.run_work(cpu),
        }
    }

    /// get_swap_device(), a look at the map, put_swap_device().
    fn look(&self, cpu: &M::Cpu, dev: usize) {
        if self.swap.alloc.tryget_device(cpu, dev) {
            self.swap.alloc.next_used(dev, 1);
            self.swap.alloc.put_device(cpu, dev);
        }
    }

    /// Allocates 1 to 7 entries, signs for every slot of each, and gives all back.
    fn hold_slots(&self, cpu: &M::Cpu, random: &mut fastrand::Rng) {
        let (me, alloc) = (cpu.id() as u32 + 1, &self.swap.alloc);
        let mut held = Vec::new();
        for _ in 0..random.usize(1..8) {
            let order = random.usize(..6) / 2;
            if let Some(entry) = alloc.alloc(cpu, order) {
                self.sign(entry, order, 0, me);
                held.push((entry, order));
            }
        }
        for (entry, order) in held {
            self.sign(entry, order, me, 0);
            alloc.put_folio(cpu, entry, order);
        }
    }

    /// Passes every slot of the entry from holder `from` to holder `to`; 0 is nobody.
    fn sign(&self, entry: SwpEntry, order: usize, from: u32, to: u32) {
        for slot in entry.offset()..entry.offset() + (1 << order) {
            let had = self.holders[entry.dev()][slot as usize].swap(to, Relaxed);
            assert_eq!(had, from, "I1: slot {slot} of device {} has two holders", entry.dev());
        }
    }
}

/// One step of a worker.
type Step<M, A> = fn(&World<M, A>, &<M as Machine>::Cpu, &mut fastrand::Rng);

/// Runs all rounds of `effort`. The error is a worker's panic, with the round.
fn rounds<K: LockKind, A: SwapAllocator<Shaken<K, X>>, const X: bool>(
    effort: &Effort,
    step: Step<Shaken<K, X>, A>,
) -> Result<(), String> {
    let given = std::env::var("SWAPSCALE_SEED");
    let first = given.map_or(effort.seed, |seed| seed.parse().expect("SWAPSCALE_SEED: a number"));
    for number in 0..effort.rounds {
        let seed = first + number;
        let round = Round::new(seed, effort);
        let run = Shaken::<K, X>::run(
            &round.machine,
            {
                let round = round.clone();
                move |cpu| World::<Shaken<K, X>, A>::new(&round, cpu)
            },
            move |world, cpu| world.worker(cpu, |random| step(world, cpu, random)),
            World::finish,
        );
        run.map_err(|failure| format!("{failure} (round {number}, seed {seed}, {round:?})"))?;
    }
    Ok(())
}

/// Pages go out and in.
pub fn pages<K: LockKind, A: SwapAllocator<Shaken<K, X>>, const X: bool>(
    effort: &Effort,
) -> Result<(), String> {
    rounds::<K, A, X>(effort, World::swap_pages)
}

/// Bare slots are taken and given back.
pub fn slots<K: LockKind, A: SwapAllocator<Shaken<K, X>>, const X: bool>(
    effort: &Effort,
) -> Result<(), String> {
    rounds::<K, A, X>(effort, World::hold_slots)
}
