//! The allocator's neighbours: what the rest of the kernel does for a page beside the allocator's
//! locks and under them, and which locks of its own it takes there. Guards that a lock of a neighbour
//! is a lock here too, with its own line and its place in the contention table. Where nothing is
//! charged, nothing here is taken, touched or waited for.
//!
//! | lock | one for | held by | kernel |
//! | --- | --- | --- | --- |
//! | xa_lock | 64 MiB of a device | a folio enters or leaves the swap cache; a freed slot's shadow goes | until 6.17 |
//! | list_lru | the system | inside xa_lock, when a node of the XArray has only shadows, and when no longer | until 6.17 |
//! | ctrl->lock | a device | a slot's cgroup is recorded (page out) or forgotten (inside si->lock) | until 6.13 |
//! | class->lock | a size class | zsmalloc's object is allocated (page out) or freed (inside si->lock or ci->lock) | all |
//! | lru_lock | a cgroup | reclaim isolates pages, a fault adds pages, in batches | all |
//!
//! Beside the locks lie words that every CPU changes by atomic operations, some of them while
//! si->lock or ci->lock is held. Alone they take a few nanoseconds; with many CPUs their lines are
//! always elsewhere.
//!
//! | word | a page out | in | a slot freed | kernel function |
//! | --- | ---: | ---: | ---: | --- |
//! | zsmalloc's pool->migrate_lock, taken for reading | 2 | 2 | 2 | zs_map_object(), zs_free() |
//! | zram's stats | 2 | 0 | 3 | zram_write_page(), zram_slot_free_notify(), zram_free_page() |
//! | the swap counters of the cgroup and of the root, and the cgroup's id.ref | 1 each | 0 | 1 each | mem_cgroup_try_charge_swap(), mem_cgroup_uncharge_swap() |
//!
//! All of this was read in 6.12.117; that ctrl->lock ended with 2b3a58b12134 of 6.14, in lists of
//! commits.
//!
//! Simplified: which size class an object has is a hash of its slot. A fault on a synchronous device
//! does not enter the swap cache; on another device the folio pays for its way out of the cache when it
//! comes in. A folio that a scan reclaims from the cache pays nothing for that.

use crate::entry::SwpEntry;
use crate::prices::{Prices, ZsmallocPrices};
use crate::spec::Spec;
use machine::{Atomic, Cpu, Fields, Machine, PerCpu, Plain, Region, Site, SpinLock};

/// Pages that reclaim isolates at once.
pub const SWAP_CLUSTER_MAX: u64 = 32;
/// PAGEVEC_SIZE: pages that a CPU collects before it adds them to their list.
pub const FOLIO_BATCH: u64 = 31;
/// SWAP_ADDRESS_SPACE_SHIFT: slots of one XArray of the swap cache, 64 MiB.
const ADDRESS_SPACE_SHIFT: u32 = 14;

mod site {
    use machine::Site;
    pub static XA_ADD: Site = Site::irqs_off("xa_lock", "add_to_swap_cache");
    pub static XA_REMOVE: Site = Site::irqs_off("xa_lock", "__remove_mapping");
    pub static XA_DELETE: Site = Site::irqs_off("xa_lock", "delete_from_swap_cache");
    pub static XA_SHADOW: Site = Site::irqs_off("xa_lock", "clear_shadow_from_swap_cache");
    pub static LRU_DEL: Site = Site::irqs_off("list_lru", "list_lru_del");
    pub static LRU_ADD: Site = Site::irqs_off("list_lru", "list_lru_add");
    pub static ZS_MALLOC: Site = Site::new("class->lock", "zs_malloc");
    pub static ZS_FREE: Site = Site::new("class->lock", "zs_free");
    pub static CGROUP_CHARGE: Site = Site::irqs_off("ctrl->lock", "mem_cgroup_try_charge_swap");
    pub static CGROUP_UNCHARGE: Site = Site::irqs_off("ctrl->lock", "mem_cgroup_uncharge_swap");
    pub static ISOLATE: Site = Site::irqs_off("lru_lock", "shrink_inactive_list");
    pub static MOVE_LRU: Site = Site::irqs_off("lru_lock", "folio_batch_move_lru");
}

/// A lock on a line of its own.
#[repr(align(64))]
struct OwnLine<M: Machine>(SpinLock<M>);

impl<M: Machine> Fields for OwnLine<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("lock", 0)]
    }
}

fn locks<M: Machine>(name: &'static str, n: usize) -> Region<M, OwnLine<M>> {
    Region::new(name, n, |_| OwnLine(SpinLock::new()))
}

/// A word on a line of its own.
#[repr(align(64))]
struct Word<M: Machine>(M::Atomic<u64>);

impl<M: Machine> Fields for Word<M> {}

/// Words that all CPUs change.
struct Words<M: Machine> {
    pool: Region<M, Word<M>>,
    stats: Region<M, Word<M>>,
    /// The cgroup's counter, the root's, and the cgroup's id.ref.
    memcg: Region<M, Word<M>>,
}

impl<M: Machine> Words<M> {
    fn new() -> Self {
        let words = |name, n| Region::new(name, n, |_| Word(M::Atomic::new(0)));
        Self {
            pool: words("zs_pool", 1),
            stats: words("zram->stats", 1),
            memcg: words("memcg->swap", 3),
        }
    }
}

/// `times` atomic additions.
fn count<M: Machine>(word: &Word<M>, times: u32) {
    (0..times).for_each(|_| _ = word.0.fetch_add_relaxed(1));
}

/// What one CPU has collected.
struct Own<M: Machine> {
    /// Pages to swap out that it has isolated already.
    isolated: M::Plain<u64>,
    /// Pages swapped in that are on no list yet.
    to_add: M::Plain<u64>,
    /// The last slot that it freed.
    freed: M::Plain<u64>,
    /// Time that its pages take outside all locks and that it has not spent yet, ns.
    owed: M::Plain<u64>,
}

impl<M: Machine> Fields for Own<M> {}

impl<M: Machine> Own<M> {
    fn take_owed(&self) -> u64 {
        let owed = self.owed.get();
        self.owed.set(0);
        owed
    }
}

/// The neighbours' locks, and what they charge.
pub struct Neighbours<M: Machine> {
    /// None where everything is free of charge.
    at: Option<Charged<M>>,
}

struct Charged<M: Machine> {
    prices: Prices,
    /// XArrays of the swap cache, one device after the other.
    spaces: Region<M, OwnLine<M>>,
    spaces_per_device: usize,
    list_lru: Region<M, OwnLine<M>>,
    classes: Region<M, OwnLine<M>>,
    lruvec: Region<M, OwnLine<M>>,
    /// One a device.
    swap_cgroup: Region<M, OwnLine<M>>,
    words: Words<M>,
    own: PerCpu<M, Own<M>>,
}

impl<M: Machine> Neighbours<M> {
    /// Those of the devices of `spec`, at its prices.
    pub(crate) fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let Prices { memcg_off, table_sleep, .. } = spec.prices;
        let free = Prices { memcg_off, table_sleep, ..Prices::default() };
        Self { at: (spec.prices != free).then(|| Charged::new(spec, cpu)) }
    }

    /// A fresh folio has got slots: it enters the swap cache and is written.
    pub(crate) fn page_out(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let Some(at) = &self.at else { return };
        at.isolate(cpu, u64::from(nr));
        if let Some(xarray) = at.prices.xarray {
            at.swap_cache(cpu, entry, nr, &site::XA_ADD, Some(&site::LRU_DEL), xarray.add_ns);
        }
        at.charge(cpu, entry, &site::CGROUP_CHARGE);
        for slot in 0..nr {
            at.object(cpu, entry.plus(slot), &site::ZS_MALLOC, |zsmalloc| zsmalloc.malloc_ns);
            at.count_object(2, 2);
        }
        at.owe(cpu, at.prices.out_ns * u64::from(nr));
    }

    /// The folio, which has been written, leaves the swap cache and a shadow there.
    pub(crate) fn written(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let Some(at) = &self.at else { return };
        if let Some(xarray) = at.prices.xarray {
            at.swap_cache(cpu, entry, nr, &site::XA_REMOVE, Some(&site::LRU_ADD), xarray.remove_ns);
        }
    }

    /// A fault reads a page that has no folio.
    pub(crate) fn page_in(&self, cpu: &M::Cpu, entry: SwpEntry) {
        let Some(at) = &self.at else { return };
        if let (Some(xarray), true) = (at.prices.xarray, at.prices.faults_in_cache) {
            at.swap_cache(cpu, entry, 1, &site::XA_ADD, Some(&site::LRU_DEL), xarray.add_ns);
            at.swap_cache(cpu, entry, 1, &site::XA_DELETE, None, xarray.remove_ns);
        }
        at.count_object(2, 0);
        at.add_to_lru(cpu);
        at.owe(cpu, at.prices.in_ns);
    }

    /// swap_range_free(): `nr` slots of a cluster give up what they stand for. si->lock (until
    /// 6.13) or ci->lock is held.
    pub(crate) fn range_free(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) {
        let Some(at) = &self.at else { return };
        for slot in 0..nr {
            at.object(cpu, entry.plus(slot), &site::ZS_FREE, |zsmalloc| zsmalloc.free_ns);
            at.count_object(2, 3);
        }
        at.charge(cpu, entry, &site::CGROUP_UNCHARGE);
        let first = if at.follows(cpu, entry, nr) {
            at.prices.free_ns
        } else {
            at.prices.free_scattered_ns
        };
        cpu.work(first + at.prices.free_ns * u64::from(nr - 1));
        if let Some(xarray) = at.prices.xarray {
            at.swap_cache(cpu, entry, nr, &site::XA_SHADOW, None, xarray.shadow_ns);
        }
    }

    /// Works for as long as this CPU's pages have taken outside all locks since the last call.
    /// Whoever drives the workload calls it after each step, so that the time of an operation is
    /// that of the allocator and its neighbours' locks alone.
    #[inline]
    pub fn spend_owed(&self, cpu: &M::Cpu) {
        if let Some(at) = &self.at {
            cpu.work(at.own.of(cpu.id()).take_owed());
        }
    }

    /// Forgets what this CPU's pages have taken: they were set up, and are no load.
    pub fn forget_owed(&self, cpu: &M::Cpu) {
        if let Some(at) = &self.at {
            at.own.of(cpu.id()).take_owed();
        }
    }
}

impl<M: Machine> Charged<M> {
    fn new(spec: &Spec, cpu: &M::Cpu) -> Self {
        let most = spec.devices.iter().map(|device| device.slots).max().unwrap_or(1);
        let spaces_per_device = most.div_ceil(1 << ADDRESS_SPACE_SHIFT) as usize;
        let counts = |_| Own {
            isolated: Plain::new(0),
            to_add: Plain::new(0),
            freed: Plain::new(0),
            owed: Plain::new(0),
        };
        Self {
            spaces: locks("swapper_spaces", spec.devices.len() * spaces_per_device),
            spaces_per_device,
            list_lru: locks("list_lru", 1),
            classes: locks("size_class", spec.prices.zsmalloc.map_or(1, |z| z.classes)),
            lruvec: locks("lruvec", 1),
            swap_cgroup: locks("swap_cgroup_ctrl", spec.devices.len()),
            words: Words::new(),
            own: PerCpu::new("neighbours", cpu.system().cpus(), counts),
            prices: spec.prices.clone(),
        }
    }

    /// A section of xa_lock; `node` is the list operation inside it.
    fn swap_cache(
        &self,
        cpu: &M::Cpu,
        entry: SwpEntry,
        nr: u32,
        site: &'static Site,
        node: Option<&'static Site>,
        ns: u64,
    ) {
        let space = (entry.offset() >> ADDRESS_SPACE_SHIFT) as usize;
        let lock = &self.spaces[entry.dev() * self.spaces_per_device + space].0;
        let guard = lock.lock(cpu, site);
        cpu.work(ns * u64::from(nr));
        if let (Some(node), Some(xarray)) = (node, self.prices.xarray) {
            section(cpu, &self.list_lru[0], node, xarray.list_lru_ns);
        }
        lock.unlock(cpu, guard);
    }

    /// Whether the slots that this CPU frees lie behind the one that it freed last.
    fn follows(&self, cpu: &M::Cpu, entry: SwpEntry, nr: u32) -> bool {
        let freed = &self.own.of(cpu.id()).freed;
        let at = |entry: SwpEntry| (entry.dev() as u64) << 32 | u64::from(entry.offset());
        let last = freed.get();
        freed.set(at(entry.plus(nr - 1)));
        last + 1 == at(entry)
    }

    /// A section of the size class of the slot's object, if it has one.
    fn object(
        &self,
        cpu: &M::Cpu,
        slot: SwpEntry,
        site: &'static Site,
        ns: impl Fn(ZsmallocPrices) -> u64,
    ) {
        if let Some(zsmalloc) = self.prices.zsmalloc {
            // Neighbours' contents are of different sizes: Fibonacci hashing spreads them.
            let hash = slot.offset().wrapping_mul(0x9e37_79b9) >> 16;
            let class = &self.classes[hash as usize % zsmalloc.classes];
            section(cpu, class, site, ns(zsmalloc));
        }
    }

    /// What is counted for a slot's object in the pool's lock and in zram's stats.
    fn count_object(&self, pool: u32, stats: u32) {
        if self.prices.zsmalloc.is_some() {
            count(&self.words.pool[0], pool);
            count(&self.words.stats[0], stats);
        }
    }

    /// The cgroup is charged for a run of slots, or no longer.
    fn charge(&self, cpu: &M::Cpu, entry: SwpEntry, site: &'static Site) {
        if self.prices.memcg_off {
            return;
        }
        if let Some(ns) = self.prices.swap_cgroup_ns {
            section(cpu, &self.swap_cgroup[entry.dev()], site, ns);
        }
        self.words.memcg.iter().for_each(|word| count(word, 1));
    }

    fn isolate(&self, cpu: &M::Cpu, nr: u64) {
        let ns = self.prices.lruvec.isolate_ns * SWAP_CLUSTER_MAX;
        let isolated = &self.own.of(cpu.id()).isolated;
        let mut left = isolated.get();
        while left < nr {
            section(cpu, &self.lruvec[0], &site::ISOLATE, ns);
            left += SWAP_CLUSTER_MAX;
        }
        isolated.set(left - nr);
    }

    fn add_to_lru(&self, cpu: &M::Cpu) {
        let to_add = &self.own.of(cpu.id()).to_add;
        let mut nr = to_add.get() + 1;
        if nr == FOLIO_BATCH {
            let ns = self.prices.lruvec.add_ns * FOLIO_BATCH;
            section(cpu, &self.lruvec[0], &site::MOVE_LRU, ns);
            nr = 0;
        }
        to_add.set(nr);
    }

    fn owe(&self, cpu: &M::Cpu, ns: u64) {
        let owed = &self.own.of(cpu.id()).owed;
        owed.set(owed.get() + ns);
    }
}

/// Holds `lock` for `ns`.
fn section<M: Machine>(cpu: &M::Cpu, lock: &OwnLine<M>, site: &'static Site, ns: u64) {
    let guard = lock.0.lock(cpu, site);
    cpu.work(ns);
    lock.0.unlock(cpu, guard);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percluster::PerCluster;
    use crate::{DeviceSpec, Folio, Swap, SwapAllocator};
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    type M = Native<Tas, false>;

    /// What one page owes that goes out and comes in again, with its folio kept or dropped.
    fn owed(folio: Folio) -> u64 {
        let prices = Prices { out_ns: 1_000, in_ns: 7, ..Prices::default() };
        let spec = Spec { devices: vec![DeviceSpec::new(1024)], prices, ..Spec::default() };
        let run = M::run(
            &Config::untimed(1),
            move |cpu| Swap::<M, PerCluster<M>>::new(&spec, cpu),
            move |swap, cpu| {
                assert!(swap.swapon(cpu, 0));
                assert!(swap.swap_out(cpu, 0, 0, 0, folio));
                assert!(swap.swap_in(cpu, 0, 0, Folio::Drop));
                let at = swap.alloc.base().neighbours.at.as_ref().expect("there are prices");
                at.own.of(cpu.id()).take_owed()
            },
            |_, _| (),
        );
        run.unwrap().workers[0]
    }

    #[test]
    fn a_page_whose_folio_is_there_is_not_read() {
        assert_eq!(owed(Folio::Drop), 1_007);
        assert_eq!(owed(Folio::Keep), 1_000);
    }
}
