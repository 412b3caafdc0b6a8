//! What a scenario is (scenarios.rs has the list): a small system, the acts before, and the acts of each
//! CPU, all CPUs at once. Guards the invariants in every execution: a watcher outside the model checks
//! them at each write, and the variant's own `validate` at rest.

use crate::example;
use crate::invariant::{Invariant, hold, named};
use machine::checked::{Config, Event, act_begins, watch};
use machine::{Cpu, Failure, Machine};
use std::cell::Cell;
use std::marker::PhantomData;
use variants::registry::{Variant, Visitor};
use variants::{Folio, Spec, Swap, SwapAllocator, SwapoffError, SwpEntry, UnuseMeets};

/// One act of a CPU. An owner is a page table, a page an entry in it; devices go by index.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Swaps 2^order pages out; keeps the folio in the swap cache or not.
    Out { owner: usize, page: usize, order: usize, keep: bool },
    /// Swaps a page in; its slot stays in the swap cache or not.
    In { owner: usize, page: usize, keep: bool },
    /// munmap of `nr` pages.
    Zap { owner: usize, page: usize, nr: usize },
    /// Copies a page-table entry to the same page of `child`.
    Fork { parent: usize, child: usize, page: usize },
    /// get_swap_device(), a look at the map, put_swap_device().
    Look { dev: usize },
    /// Readahead of a page, by its page-table entry.
    ReadPage { owner: usize, page: usize },
    /// Readahead of a slot, by its number.
    ReadSlot { dev: usize, slot: u32 },
    /// Pins the device for hibernation, allocates a slot for the image, and undoes both.
    Hibernate { dev: usize },
    /// Does the work that is queued to kernel workers.
    Work,
    /// Allocates 2^order slots and gives them back, as a folio whose charge fails.
    Bounce { order: usize },
    /// swapoff(2).
    Swapoff { dev: usize },
    /// swapoff(2) of a device that may be off already.
    TrySwapoff { dev: usize },
    /// swapoff(2) that fails, if anything has to be swapped in: the device goes on as before.
    SwapoffFails { dev: usize, meets: UnuseMeets },
    /// swapon(2) of a device that was swapped off.
    Swapon { dev: usize },
    /// swapon(2) of a device that may be on already.
    TrySwapon { dev: usize },
}

/// A small system and what is done with it.
pub struct Scenario {
    /// Its name in `swapscale check`.
    pub name: &'static str,
    /// The system.
    pub spec: fn() -> Spec,
    /// Done by one CPU, after all devices are on.
    pub before: &'static [Act],
    /// (role, acts) per CPU.
    pub cpus: &'static [(&'static str, &'static [Act])],
    /// Preemption bound that a pass needs; None: too large for more than random schedules.
    pub bound: Option<usize>,
}

const fn folio(keep: bool) -> Folio {
    if keep { Folio::Keep } else { Folio::Drop }
}

struct World<M: Machine, A: SwapAllocator<M>> {
    swap: Swap<M, A>,
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine, A: SwapAllocator<M>> World<M, A> {
    fn new(scenario: &Scenario, cpu: &M::Cpu) -> Self {
        BLOCKED.set(None);
        LISTED.set(false);
        OFF_NOW.set(false);
        MAY_FAIL.set(None);
        let acts = || scenario.cpus.iter().flat_map(|cpu| cpu.1).chain(scenario.before);
        let off = |act: &Act| {
            matches!(act, Act::Swapoff { .. } | Act::TrySwapoff { .. } | Act::SwapoffFails { .. })
        };
        STAYS_ON.set(!acts().any(off));
        let spec = (scenario.spec)();
        DISCARDS
            .set(Discards { cluster_slots: spec.cluster_slots as usize, ..Discards::default() });
        let world = Self { swap: Swap::new(&spec, cpu), machine: PhantomData };
        for dev in 0..spec.devices.len() {
            assert!(world.swap.swapon(cpu, dev), "swapon of a fresh device");
        }
        scenario.before.iter().for_each(|&act| world.perform(cpu, act));
        world
    }

    fn perform(&self, cpu: &M::Cpu, act: Act) {
        act_begins();
        let swap = &self.swap;
        match act {
            Act::Out { owner, page, order, keep } => {
                swap.swap_out(cpu, owner, page, order, folio(keep));
            }
            Act::In { owner, page, keep } => {
                swap.swap_in(cpu, owner, page, folio(keep));
            }
            Act::Zap { owner, page, nr } => {
                swap.zap(cpu, owner, page, nr);
            }
            Act::Fork { parent, child, page } => {
                swap.fork(cpu, parent, child, page, 1);
            }
            Act::Look { dev } => {
                M::enter("get_swap_device");
                if swap.alloc.tryget_device(cpu, dev) {
                    swap.alloc.next_used(dev, 1);
                    swap.alloc.put_device(cpu, dev);
                }
            }
            Act::ReadPage { owner, page } => {
                let entry = swap.owners.get(owner, page);
                entry.into_iter().for_each(|entry| swap.read_ahead(cpu, entry));
            }
            Act::ReadSlot { dev, slot } => swap.read_ahead(cpu, SwpEntry::new(dev, slot)),
            Act::Hibernate { dev } => {
                if swap.alloc.pin_for_hibernation(cpu, dev) {
                    let entry = swap.alloc.alloc_hibernation_slot(cpu, dev);
                    let gone = || "swapoff has taken the device that hibernation pinned".into();
                    hold(Invariant::Bug, entry.is_some(), gone);
                    entry.into_iter().for_each(|e| swap.alloc.free_hibernation_slot(cpu, e));
                    swap.alloc.unpin_for_hibernation(cpu, dev);
                }
            }
            Act::Work => swap.alloc.run_work(cpu),
            Act::Bounce { order } => {
                let entry = swap.alloc.alloc(cpu, order);
                entry.into_iter().for_each(|entry| swap.alloc.put_folio(cpu, entry, order));
            }
            Act::Swapoff { dev } => self.swapoff(cpu, dev, &[SwapoffError::Pinned]),
            Act::TrySwapoff { dev } => {
                self.swapoff(cpu, dev, &[SwapoffError::Pinned, SwapoffError::NotOn]);
            }
            Act::SwapoffFails { dev, meets } => {
                MAY_FAIL.set(Some(cpu.id()));
                swap.owners.let_unuse_meet(meets);
                self.swapoff(cpu, dev, &[SwapoffError::Interrupted, SwapoffError::NoMemory]);
                swap.owners.let_unuse_meet(UnuseMeets::Nothing);
                MAY_FAIL.set(None);
            }
            Act::Swapon { dev } => {
                let on = swap.swapon(cpu, dev);
                hold(Invariant::Bug, on, || "swapon: SWP_USED stays set after swapoff".into());
            }
            Act::TrySwapon { dev } => _ = swap.swapon(cpu, dev),
        }
    }

    /// swapoff(2), which may fail for the reasons given and for no other.
    fn swapoff(&self, cpu: &M::Cpu, dev: usize, may: &[SwapoffError]) {
        if let Err(why) = self.swap.swapoff(cpu, dev) {
            hold(Invariant::L, may.contains(&why), || format!("swapoff fails: {why}"));
        }
    }

    /// Checks the invariants while no CPU is inside, and again after everything is freed.
    fn at_rest(&self, cpu: &M::Cpu) {
        self.valid("at rest");
        let owners = &self.swap.owners;
        for owner in 0..owners.count() {
            self.swap.zap(cpu, owner, 0, owners.pages());
        }
        self.swap.alloc.run_work(cpu);
        self.valid("when all is freed");
        let waiting = |dev: &usize| self.swap.alloc.stats(*dev).discard > 0;
        let devices = self.swap.alloc.base().devices.len();
        hold(Invariant::I19, !(0..devices).any(|dev| waiting(&dev)), || {
            "a cluster waits for its discard when no work is left".into()
        });
    }

    fn valid(&self, when: &str) {
        let Err(broken) = self.swap.alloc.validate() else { return };
        let invariant = named(&broken);
        let text = broken.strip_prefix(&format!("{invariant}: ")).unwrap_or(&broken).to_string();
        hold(invariant, false, || format!("{text} ({when})"));
    }
}

thread_local! {
    /// Set once swapoff has made sure that no slot becomes allocated any more: by what.
    static BLOCKED: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// The device is on the avail list.
    static LISTED: Cell<bool> = const { Cell::new(false) };
    /// swapoff has cleared the device's SWP_WRITEOK.
    static OFF_NOW: Cell<bool> = const { Cell::new(false) };
    /// No CPU of the scenario does a swapoff, so nr_swap_pages must never be below 0.
    static STAYS_ON: Cell<bool> = const { Cell::new(false) };
    /// The CPU whose swapoff may fail now.
    static MAY_FAIL: Cell<Option<usize>> = const { Cell::new(None) };
    /// The discards of the device.
    static DISCARDS: Cell<Discards> = const { Cell::new(Discards { cluster_slots: 1, waiting: 0, under_way: 0 }) };
}

/// Which clusters wait for their discard, and which are being discarded, as bits.
#[derive(Clone, Copy, Default)]
struct Discards {
    cluster_slots: usize,
    waiting: u64,
    under_way: u64,
}

/// CLUSTER_FLAG_FREE and CLUSTER_FLAG_DISCARD, as values of ci->flags.
const FREE: u64 = 1;
const DISCARD: u64 = 5;

impl Discards {
    fn begin(mut self, cluster: u64) {
        self.under_way |= 1 << cluster;
        DISCARDS.set(self);
    }

    fn end(mut self, cluster: u64) {
        self.under_way &= !(1 << cluster);
        self.waiting &= !(1 << cluster);
        DISCARDS.set(self);
    }

    /// What the cluster holds is lost while it is discarded, so no slot may come into use; and it is free
    /// only after that.
    fn watch(mut self, event: &Event) {
        if matches!(event.region, "swap_map" | "swap_table") {
            let cluster = event.index / self.cluster_slots;
            let used = event.after != 0 && event.after != BAD;
            hold(Invariant::I19, !used || self.under_way & (1 << cluster) == 0, || {
                format!("slot {} is in use while cluster {cluster} is discarded", event.index)
            });
        }
        if (event.region, event.field) == ("ci", "flags") {
            let bit = 1 << event.index;
            hold(Invariant::I19, event.after != FREE || self.waiting & bit == 0, || {
                format!("cluster {} is free without the discard that it waits for", event.index)
            });
            self.waiting |= if event.after == DISCARD { bit } else { 0 };
            DISCARDS.set(self);
        }
    }
}

/// SWAP_MAP_BAD: the value of a cluster's slots while it is discarded.
const BAD: u64 = 0x3f;
/// The bit of a locked folio in the swap cache.
const LOCKED: u64 = 0x40;
/// SWAP_USAGE_OFFLIST_BIT of inuse_pages: the device is off the avail list.
const OFFLIST: u64 = 1 << 62;

/// Follows the notes of swapoff and of discards.
fn milestone(event: &Event) {
    match event.region {
        "discard begins: cluster" => DISCARDS.get().begin(event.after),
        "discard ends: cluster" => DISCARDS.get().end(event.after),
        "avail list: plist_add()" => LISTED.set(true),
        "avail list: plist_del()" => LISTED.set(false),
        "swapoff: SWP_WRITEOK cleared" => OFF_NOW.set(true),
        "swapoff: past the barrier" => BLOCKED.set(Some("swapoff's barrier")),
        "swapoff: needs no barrier" => BLOCKED.set(Some("SWP_WRITEOK was cleared")),
        "swapoff: unuse done" => BLOCKED.set(Some("unuse found none in use")),
        "swapoff: unuse fails" => {
            hold(Invariant::L, MAY_FAIL.get() == Some(event.cpu), || {
                "swapoff fails: unuse cannot swap everything in".into()
            });
            BLOCKED.set(None);
            OFF_NOW.set(false);
        }
        "swapon" => {
            BLOCKED.set(None);
            OFF_NOW.set(false);
        }
        _ => (),
    }
    hold(Invariant::I9, !(LISTED.get() && OFF_NOW.get()), || {
        "a device that swapoff took off the avail list is on it".into()
    });
}

/// Checks the invariants that a single write or note can break.
fn watcher(event: &Event) {
    if event.note {
        return milestone(event);
    }
    DISCARDS.get().watch(event);
    let slot = event.index;
    // An allocation makes both writes, in either order.
    let record = matches!(event.region, "swap_map" | "swap_table");
    let used = record && event.before == 0 && event.after != BAD;
    let counted = event.field == "inuse_pages" && event.after & !OFFLIST > event.before & !OFFLIST;
    if let Some(blocked) = BLOCKED.get().filter(|_| used && event.after != 0 || counted) {
        let by = if used { format!("{}[{slot}]", event.region) } else { "inuse_pages".into() };
        hold(Invariant::I2, false, || format!("a slot becomes allocated ({by}) after {blocked}"));
    }
    if event.field == "nr_swap_pages" && STAYS_ON.get() {
        let pages = event.after as i64;
        hold(Invariant::I10, pages >= 0, || format!("nr_swap_pages is {pages}"));
    }
    if event.region == "swap_cache" && event.after & LOCKED != 0 {
        hold(Invariant::I1, event.before & LOCKED == 0, || {
            format!("slot {slot} is handed out twice")
        });
    }
}

/// Explores `scenario` on the variant that this visits.
pub struct Exploration<'a> {
    /// What to explore.
    pub scenario: &'static Scenario,
    /// Within which limits.
    pub config: &'a Config,
}

impl<M: Machine<Config = Config>> Visitor<M> for Exploration<'_> {
    type Output = Result<u64, Failure>;

    fn visit<A: SwapAllocator<M>>(self, _variant: &'static Variant) -> Self::Output {
        let Self { scenario, config } = self;
        // The watcher cannot tell the slots of one device from those of another.
        let watcher = example::watcher().unwrap_or(watcher);
        watch(((scenario.spec)().devices.len() == 1).then_some(watcher));
        let run = M::run(
            config,
            |cpu| World::<M, A>::new(scenario, cpu),
            |world, cpu| {
                scenario.cpus[cpu.id()].1.iter().for_each(|&act| world.perform(cpu, act));
            },
            |world, cpu| world.at_rest(cpu),
        );
        watch(None);
        run.map(|outcome| outcome.executions)
    }
}
