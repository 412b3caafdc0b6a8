//! The life of a swap table (7.0 on): from the isolation of its cluster from the free list to a grace
//! period after the cluster's return. Guards that a table is published under its ci->lock alone, and
//! freed when no reader has it any more (I14). Kernel: mm/swapfile.c of 7.1 and 7.3, functions as named.
//!
//! Simplified: a table's page is that of its cluster, zeroed anew for each life. Only a checker follows
//! when the page is freed; the grace period that call_rcu() leaves to a worker is waited for at once.

use crate::cluster::{CiFirst, Policy};
use crate::cluster_info::ClusterList::Free;
use crate::device::Device;
use machine::{Atomic, Cpu, Frame, Guard, Machine, Plain, Region, Site, fault, vm_bug_on};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static POPULATE: Site = Site::new("ci->lock", "swap_cluster_populate");
static RELEASE: Site = Site::new("ci->lock", "swapoff");

/// Whether the page of each cluster's table is allocated; nothing where no checker looks.
pub(crate) struct Pages<M: Machine>(Option<Region<M, M::Atomic<u8>>>);

impl<M: Machine> Pages<M> {
    pub(crate) fn new(clusters: usize) -> Self {
        let none = |_| M::Atomic::new(0);
        let pages = || Region::named("table_page", clusters, Vec::new(), none);
        Self((M::EXPLORED && clusters > 0).then(pages))
    }

    fn allocate(&self, index: usize) {
        if let Some(pages) = &self.0 {
            pages[index].store(1);
        }
    }

    /// Panics if the table is read that a reader has found, and its page is freed already.
    pub(crate) fn read(&self, index: usize) {
        let there = self.0.as_ref().is_none_or(|pages| pages[index].load() != 0);
        assert!(there, "I14: the page of ci[{index}].table is read after it was freed");
    }

    /// call_rcu(), and the work behind it.
    fn free(&self, cpu: &M::Cpu, index: usize) {
        let Some(page) = self.0.as_ref().map(|pages| &pages[index]) else { return };
        if page.load() == 0 {
            return;
        }
        if !fault!(M, "table-freed-at-once") {
            cpu.system().rcu.synchronize(cpu);
        }
        page.store(0);
    }
}

/// Lives of swap tables: a cluster's begins when its table is published, and ends when that is taken away.
#[derive(Default)]
pub(crate) struct Lives {
    now: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
    most: AtomicU64,
}

/// What [`Device::table_churn`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Churn {
    /// Tables that were born.
    pub born: u64,
    /// Tables that were freed.
    pub freed: u64,
    /// The most that there were at once.
    pub most: u64,
}

impl std::iter::Sum for Churn {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            born: sum.born + one.born,
            freed: sum.freed + one.freed,
            most: sum.most + one.most,
        })
    }
}

impl Lives {
    pub(crate) fn begin(&self) {
        let now = self.now.fetch_add(1, Relaxed) + 1;
        self.begun.fetch_add(1, Relaxed);
        self.most.fetch_max(now, Relaxed);
    }

    /// Whether the next life that begins is the n-th, or the 2n-th and so on.
    fn next_is_nth(&self, n: u32) -> bool {
        (self.begun.load(Relaxed) + 1).is_multiple_of(u64::from(n))
    }

    pub(crate) fn end(&self) {
        self.now.fetch_sub(1, Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }
}

impl<M: Machine> Device<M> {
    /// Tables are counted from now on.
    pub fn count_tables(&self) {
        let lives = &self.si().lives;
        lives.most.store(lives.now.load(Relaxed), Relaxed);
        lives.begun.store(0, Relaxed);
        lives.ended.store(0, Relaxed);
    }

    /// The device was put back to an earlier state ([`Machine::restore`]), which leaves the count as it was.
    pub fn recount_tables(&self) {
        self.si().lives.now.store(self.tables_there(), Relaxed);
    }

    fn tables_there(&self) -> u64 {
        let there = |index: &usize| self.peek_table(*index) == Some(true);
        (0..self.clusters_at_rest().len()).filter(there).count() as u64
    }

    /// How many tables the count says are there, and how many are, at rest.
    pub(crate) fn tables_now(&self) -> (u64, u64) {
        (self.si().lives.now.load(Relaxed), self.tables_there())
    }

    /// Tables since [`Device::count_tables`]; `None` for a scheme without.
    pub fn table_churn(&self) -> Option<Churn> {
        let lives = self.has_tables().then(|| &self.si().lives)?;
        Some(Churn {
            born: lives.begun.load(Relaxed),
            freed: lives.ended.load(Relaxed),
            most: lives.most.load(Relaxed),
        })
    }

    /// The table of a fresh device's cluster: it has one if some of its slots are bad.
    pub(crate) fn set_up_table(&self, index: usize, there: bool) {
        let Some(tabled) = self.tabled(index) else { return };
        tabled.table.store(u64::from(there));
        tabled.extend.set(0);
        if there {
            self.pages.allocate(index);
            self.si().lives.begin();
        }
    }

    /// Whether the cluster's table is there, at rest; `None` for a scheme without.
    pub(crate) fn peek_table(&self, index: usize) -> Option<bool> {
        self.tabled(index).map(|tabled| tabled.table.peek() != 0)
    }

    /// A zeroed table for the cluster. ci->lock is held.
    fn publish(&self, index: usize) {
        let there = || self.peek_table(index) == Some(true);
        vm_bug_on!(
            M,
            there(),
            "I13: a swap table of cluster {index} takes the place of one that is there"
        );
        self.clear_table(index);
        self.pages.allocate(index);
        self.si().lives.begin();
        self.clusters().tabled(index).table.store_release(1);
    }

    /// The table of a cluster that goes to the free list ends, if there is one. ci->lock is held.
    pub(crate) fn unpublish(&self, cpu: &M::Cpu, index: usize) {
        let tabled = self.clusters().tabled(index);
        if self.peek_table(index) == Some(true) {
            self.si().lives.end();
        }
        tabled.table.store(0);
        // One that was attached for a user who then came no more.
        if tabled.extend.get() != 0 {
            tabled.extend.set(0);
        }
        self.pages.free(cpu, index);
    }
}

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    /// swap_cluster_populate(): the table of a cluster that has left the free list. ci->lock is held, and
    /// is dropped while the allocation sleeps. `None`: there is no memory, and the cluster is unlocked and
    /// on the free list again.
    pub(crate) fn populate(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        index: usize,
        guard: Guard<M>,
    ) -> Option<Guard<M>> {
        let failed = self.base.spec.failed_tables.filter(|failed| failed.cpu == cpu.id());
        let sleep = self.base.spec.prices.table_sleep;
        let sleep = sleep.filter(|sleep| dev.si().lives.next_is_nth(sleep.every));
        if failed.is_none() && sleep.is_none() {
            dev.publish(index);
            return Some(guard);
        }
        let fails = failed.is_some_and(|failed| failed.sleeping);
        dev.unlock_cluster(cpu, index, guard);
        let _frame = Frame::<M>::entered("swap_cluster_populate");
        // 7.2.13 and 7.3.4 publish the table before memcg_table is there, and take it back without it.
        let early = fault!(M, "table-published-early");
        if early {
            dev.publish(index);
        }
        // Meanwhile the cluster is on no list, and nothing keeps the device but the reference on it.
        cpu.local().might_sleep("swap_cluster_populate");
        cpu.work(sleep.map_or(0, |sleep| sleep.ns));
        cpu.cond_resched();
        if early && fails {
            dev.unpublish(cpu, index);
        }
        let guard = dev.lock_cluster(cpu, index, &POPULATE);
        if fails {
            self.move_cluster(cpu, dev, index, Free);
            dev.unlock_cluster(cpu, index, guard);
            return None;
        }
        if !early {
            dev.publish(index);
        }
        Some(guard)
    }

    /// The last step of swapoff frees the tables that are left, of clusters with bad slots: every ci->lock
    /// once more.
    pub(crate) fn free_tables(&self, cpu: &M::Cpu, dev: &Device<M>) {
        for index in 0..dev.nr_clusters() {
            let guard = dev.lock_cluster(cpu, index, &RELEASE);
            dev.unpublish(cpu, index);
            dev.unlock_cluster(cpu, index, guard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::percpu_cluster::SwapTable;
    use crate::prices::{Prices, TableSleep};
    use crate::{DeviceSpec, Folio, Spec, Swap};
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    type M = Native<Tas, true>;

    /// What `work` sees on a device of 8 clusters; cluster 0 has the header, and so a table already.
    fn on<T: Send + 'static>(
        prices: Prices,
        work: impl Fn(&Swap<M, SwapTable<M>>, &<M as Machine>::Cpu) -> T + Send + Sync + 'static,
    ) -> T {
        let devices = vec![DeviceSpec::new(64)];
        let spec = Spec { devices, cluster_slots: 8, orders: 1, prices, ..Spec::default() };
        let setup = move |cpu: &_| {
            let swap = Swap::new(&spec, cpu);
            assert!(swap.swapon(cpu, 0));
            swap
        };
        let run = M::run(&Config::untimed(1), setup, work, |_, _| ());
        run.expect("a run of one worker").workers.remove(0)
    }

    #[test]
    fn one_in_so_many_allocations_sleeps() {
        let sections = |every: Option<u32>| {
            let table_sleep = every.map(|every| TableSleep { every, ns: 0 });
            on(Prices { table_sleep, ..Prices::default() }, |swap, cpu| {
                swap.alloc.base.devices[0].count_tables();
                assert!((0..7 + 48).all(|page| swap.swap_out(cpu, 0, page, 0, Folio::Drop)));
                let sites = cpu.local().sites();
                let populate = sites.iter().find(|site| site.caller == "swap_cluster_populate");
                populate.map_or(0, |site| site.acquired)
            })
        };
        assert_eq!([None, Some(1), Some(2), Some(4)].map(sections), [0, 6, 3, 1]);
    }

    #[test]
    fn tables_are_counted_while_their_clusters_are_off_the_free_list() {
        let [churn, after] = on(Prices::default(), |swap, cpu| {
            let dev = &swap.alloc.base.devices[0];
            dev.count_tables();
            assert!((0..7 + 17).all(|page| swap.swap_out(cpu, 0, page, 0, Folio::Drop)));
            assert_eq!(swap.zap(cpu, 0, 0, 24), 24);
            let churn = dev.table_churn();
            dev.count_tables();
            [churn, dev.table_churn()].map(|churn| churn.expect("a scheme with tables"))
        });
        assert_eq!(churn, Churn { born: 3, freed: 3, most: 4 });
        assert_eq!(after, Churn { born: 0, freed: 0, most: 1 });
    }
}
