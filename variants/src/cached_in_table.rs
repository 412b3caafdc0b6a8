//! 6.18 and 6.19: the swap cache is a table per cluster, while the counts are swap_map's still. Guards that
//! a folio enters and leaves it under ci->lock, once more beside the sections for the counts. Kernel:
//! mm/swap_state.c and mm/vmscan.c of 6.18, functions as named.
//!
//! Simplified: a table is always there, and not only while its cluster is off the free list; a shadow is a
//! byte elsewhere and not an entry of the table.

use crate::allocator::Leaves;
use crate::cache::LockedFolio;
use crate::cluster::{CiFirst, Policy};
use crate::device::Device;
use crate::entry::SwpEntry;
use machine::{Machine, Site};

static ADD: Site = Site::new("ci->lock", "swap_cache_add_folio");
static REMOVE: Site = Site::irqs_off("ci->lock", "__remove_mapping");
static DELETE: Site = Site::new("ci->lock", "swap_cache_del_folio");

impl<M: Machine, P: Policy<M>> CiFirst<M, P> {
    pub(crate) const CACHED_IN_TABLE: bool = !P::RELEASE.xarray && P::RELEASE.table.is_none();

    /// A fresh folio, locked, enters the swap cache when its page goes out.
    pub(crate) fn enter_cache(&self, cpu: &M::Cpu, entry: SwpEntry, order: usize) -> LockedFolio {
        let add = |dev: &Device<M>| dev.folios.add(entry.offset(), order);
        match Self::CACHED_IN_TABLE {
            true => self.section(cpu, entry, &ADD, add),
            false => add(self.dev(entry)),
        }
    }

    /// The same when a fault reads its page, which on a synchronous device is no member of the swap cache.
    pub(crate) fn enter_by_fault(&self, cpu: &M::Cpu, entry: SwpEntry) -> LockedFolio {
        match self.base.spec.prices.faults_in_cache {
            true => self.enter_cache(cpu, entry, 0),
            false => self.dev(entry).folios.add(entry.offset(), 0),
        }
    }

    /// The locked folio leaves the swap cache; its slots are in use still.
    pub(crate) fn leave_cache(
        &self,
        cpu: &M::Cpu,
        dev: &Device<M>,
        folio: LockedFolio,
        why: Leaves,
    ) {
        let site = match why {
            Leaves::Reclaimed => &REMOVE,
            Leaves::Read if !self.base.spec.prices.faults_in_cache => {
                return dev.folios.remove(folio);
            }
            Leaves::Unused | Leaves::Read => &DELETE,
        };
        if Self::CACHED_IN_TABLE {
            let entry = SwpEntry::new(dev.index, folio.offset);
            self.section(cpu, entry, site, |dev| dev.folios.remove(folio));
        } else {
            dev.folios.remove(folio);
        }
    }
}
