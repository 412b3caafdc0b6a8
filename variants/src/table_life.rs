//! The life of a swap table (7.0 on): from the isolation of its cluster from the free list to a grace
//! period after the cluster's return. Guards that a table is published under its ci->lock alone, and
//! freed when no reader has it any more (I14). Kernel: mm/swapfile.c of 7.1 and 7.3, functions as named.
//!
//! Simplified: a table's page is that of its cluster, zeroed anew for each life. Only a checker follows
//! when the page is freed; the grace period that call_rcu() leaves to a worker is waited for at once.

use crate::cluster::{CiFirst, Policy};
use crate::cluster_info::ClusterList::Free;
use crate::device::Device;
use machine::{Atomic, Cpu, Guard, Machine, Plain, Region, Site, fault};

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

impl<M: Machine> Device<M> {
    /// The table of a fresh device's cluster: it has one if some of its slots are bad.
    pub(crate) fn set_up_table(&self, index: usize, there: bool) {
        let Some(tabled) = self.tabled(index) else { return };
        tabled.table.store(u64::from(there));
        tabled.extend.set(0);
        if there {
            self.pages.allocate(index);
        }
    }

    /// Whether the cluster's table is there, at rest; `None` for a scheme without.
    pub(crate) fn peek_table(&self, index: usize) -> Option<bool> {
        self.tabled(index).map(|tabled| tabled.table.peek() != 0)
    }

    /// A zeroed table for the cluster. ci->lock is held.
    fn publish(&self, index: usize) {
        self.clear_table(index);
        self.pages.allocate(index);
        self.clusters().tabled(index).table.store_release(1);
    }

    /// The table of a cluster that goes to the free list ends. ci->lock is held.
    pub(crate) fn unpublish(&self, cpu: &M::Cpu, index: usize) {
        let tabled = self.clusters().tabled(index);
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
        let Some(failed) = failed else {
            dev.publish(index);
            return Some(guard);
        };
        dev.unlock_cluster(cpu, index, guard);
        M::enter("swap_cluster_populate");
        // 7.2.13 and 7.3.4 publish the table before memcg_table is there, and take it back without it.
        let early = fault!(M, "table-published-early");
        if early {
            dev.publish(index);
        }
        // Meanwhile the cluster is on no list, and nothing keeps the device but the reference on it.
        cpu.local().might_sleep("swap_cluster_populate");
        cpu.cond_resched();
        if early && failed.sleeping {
            dev.unpublish(cpu, index);
        }
        let guard = dev.lock_cluster(cpu, index, &POPULATE);
        if failed.sleeping {
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
