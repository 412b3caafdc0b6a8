//! A cluster (swap_cluster_info) and the doubly linked lists it can be on. Links live in the
//! clusters, as in the kernel, and si->lock protects them. Guards the lists: every misuse that
//! would corrupt one panics.

use machine::{Atomic, Fields, Machine, Plain, Region, SpinLock};
use std::mem::offset_of;
use std::ops::Index;

/// The list that a cluster is on: ci->flags, whose values are those of enum swap_cluster_flags in
/// 6.14's mm/swap.h. On no list (CLUSTER_FLAG_NONE) is `None`, which is stored as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ClusterList {
    /// Without a slot in use.
    Free = 1,
    /// With free slots; taken before fragmented ones.
    Nonfull = 2,
    /// With free slots; an allocation has looked through it.
    Frag = 3,
    /// Without a free slot.
    Full = 4,
    /// Empty, waiting for its discard.
    Discard = 5,
}

impl ClusterList {
    /// All lists.
    pub const ALL: [Self; 5] = [Self::Free, Self::Nonfull, Self::Frag, Self::Full, Self::Discard];

    /// Whether there is one list of the kind per order.
    pub fn by_order(self) -> bool {
        matches!(self, Self::Nonfull | Self::Frag)
    }

    fn from_flag(flag: u8) -> Option<Self> {
        Some(match flag {
            1 => Self::Free,
            2 => Self::Nonfull,
            3 => Self::Frag,
            4 => Self::Full,
            5 => Self::Discard,
            _ => return None,
        })
    }
}

/// How the arrays of a device are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// swap_map, and a swap_cluster_info of 24 bytes.
    Map,
    /// The same, and a table of the swap cache per cluster, to which its swap_cluster_info points (32 bytes;
    /// 6.18 and 6.19).
    Cached,
    /// A swap table per cluster, to which its swap_cluster_info points (48 bytes).
    Tables,
    /// The same, and entries point to slots of a layer above, through which all look-ups go (vswap).
    Pointers,
    /// The layer's: each swap_cluster_info is an object of its own.
    Objects,
}

impl Layout {
    /// What its records are called.
    pub(crate) fn records(self) -> &'static str {
        match self {
            Self::Map | Self::Cached => "swap_map",
            Self::Tables | Self::Pointers => "swap_table",
            Self::Objects => "vswap_table",
        }
    }

    /// Bytes from one slot's record to the next one's: 1 in swap_map, 8 in a swap table, whose entry's
    /// state stands in its first byte here. A checker has no lines that entries could share.
    pub(crate) fn record<M: Machine>(self) -> u32 {
        if self.tables() && !M::EXPLORED { 8 } else { 1 }
    }

    /// Whether a cluster has a swap table.
    pub(crate) fn tables(self) -> bool {
        matches!(self, Self::Tables | Self::Pointers | Self::Objects)
    }

    /// Bytes from one slot's word in the swap cache to the next one's. An XArray's entries have no place
    /// here, and those of a swap table are its records.
    pub(crate) fn cache_word<M: Machine>(self) -> u32 {
        if self == Self::Cached && !M::EXPLORED { 8 } else { 1 }
    }
}

/// swap_cluster_info: 24 bytes, so that clusters share cache lines as in 6.12 .. 6.14.
#[repr(C)]
pub struct ClusterInfo<M: Machine> {
    /// ci->lock.
    pub lock: SpinLock<M>,
    /// Slots in use.
    pub count: M::Plain<u16>,
    flags: M::Plain<u8>,
    /// The order of the allocations it serves, unless it is empty.
    pub order: M::Plain<u8>,
    next: M::Plain<u64>,
    prev: M::Plain<u64>,
}

impl<M: Machine> Fields for ClusterInfo<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("lock", offset_of!(Self, lock)),
            ("count", offset_of!(Self, count)),
            ("flags", offset_of!(Self, flags)),
            ("order", offset_of!(Self, order)),
            ("list.next", offset_of!(Self, next)),
            ("list.prev", offset_of!(Self, prev)),
        ]
    }
}

impl<M: Machine> ClusterInfo<M> {
    /// A cluster on no list, without a slot in use.
    pub(crate) fn new() -> Self {
        let cluster = Self {
            lock: SpinLock::new(),
            count: M::Plain::new(0),
            flags: M::Plain::new(0),
            order: M::Plain::new(0),
            next: M::Plain::new(0),
            prev: M::Plain::new(0),
        };
        cluster.unlink();
        cluster
    }

    /// The list that its flag names.
    #[inline]
    pub fn list(&self) -> Option<ClusterList> {
        ClusterList::from_flag(self.flags.get())
    }

    /// As [`ClusterInfo::list`], at rest.
    pub fn peek_list(&self) -> Option<ClusterList> {
        ClusterList::from_flag(self.flags.peek())
    }

    /// Sets the flag alone; the caller moves the cluster.
    #[inline]
    pub fn set_list(&self, list: Option<ClusterList>) {
        self.flags.set(list.map_or(0, |list| list as u8));
    }

    /// Makes it a member of no list, whatever its links were.
    pub fn unlink(&self) {
        self.next.set(UNLINKED);
        self.prev.set(UNLINKED);
    }
}

/// swap_cluster_info with its part of the swap cache, as of 6.18: 32 bytes.
#[repr(C)]
pub struct Cached<M: Machine> {
    info: ClusterInfo<M>,
    /// ci->table. It is always there, and is only read.
    table: M::Atomic<u64>,
}

impl<M: Machine> Fields for Cached<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        let table = ("table", offset_of!(Self, table));
        ClusterInfo::<M>::fields().into_iter().chain([table]).collect()
    }
}

/// swap_cluster_info with its tables, as of 7.2: 48 bytes.
#[repr(C)]
pub struct Tabled<M: Machine> {
    info: ClusterInfo<M>,
    /// ci->table: whether it is there.
    pub table: M::Atomic<u64>,
    /// ci->extend_table: whether it is there.
    pub extend: M::Plain<u64>,
    memcg: M::Plain<u64>,
}

impl<M: Machine> Fields for Tabled<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        let tables = [
            ("table", offset_of!(Self, table)),
            ("extend_table", offset_of!(Self, extend)),
            ("memcg_table", offset_of!(Self, memcg)),
        ];
        ClusterInfo::<M>::fields().into_iter().chain(tables).collect()
    }
}

impl<M: Machine> Tabled<M> {
    fn new() -> Self {
        Self {
            info: ClusterInfo::new(),
            table: M::Atomic::new(0),
            extend: M::Plain::new(0),
            memcg: M::Plain::new(0),
        }
    }
}

/// swap_cluster_info_dynamic: an object of its own, whose lock is on no other's cache line.
#[repr(align(64))]
pub struct Object<M: Machine>(Tabled<M>);

impl<M: Machine> Fields for Object<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        Tabled::<M>::fields()
    }
}

/// si->cluster_info, as its scheme has it.
pub enum Clusters<M: Machine> {
    /// With swap_map beside it.
    Mapped(Region<M, ClusterInfo<M>>),
    /// With swap_map and a table of the swap cache.
    Cached(Region<M, Cached<M>>),
    /// With a swap table per cluster.
    Tabled(Region<M, Tabled<M>>),
    /// The same, each allocated by itself.
    Objects(Region<M, Object<M>>),
}

impl<M: Machine> Clusters<M> {
    pub(crate) fn new(clusters: usize, layout: Layout) -> Self {
        match layout {
            Layout::Map => Self::Mapped(Region::new("ci", clusters, |_| ClusterInfo::new())),
            Layout::Cached => Self::Cached(Region::new("ci", clusters, |_| Cached {
                info: ClusterInfo::new(),
                table: M::Atomic::new(1),
            })),
            Layout::Tables | Layout::Pointers => {
                Self::Tabled(Region::new("ci", clusters, |_| Tabled::new()))
            }
            Layout::Objects => {
                Self::Objects(Region::new("vswap ci", clusters, |_| Object(Tabled::new())))
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Mapped(all) => all.len(),
            Self::Cached(all) => all.len(),
            Self::Tabled(all) => all.len(),
            Self::Objects(all) => all.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Mapped(all) => size_of_val(&**all),
            Self::Cached(all) => size_of_val(&**all),
            Self::Tabled(all) => size_of_val(&**all),
            Self::Objects(all) => size_of_val(&**all),
        }
    }

    /// Reads ci->table of a scheme whose swap cache it is.
    pub(crate) fn read_cache_table(&self, index: usize) {
        if let Self::Cached(all) = self {
            let _ = all[index].table.load_acquire();
        }
    }

    /// The cluster's tables. Panics where its scheme has none.
    pub fn tabled(&self, index: usize) -> &Tabled<M> {
        match self {
            Self::Mapped(_) | Self::Cached(_) => panic!("a scheme with swap_map has no tables"),
            Self::Tabled(all) => &all[index],
            Self::Objects(all) => &all[index].0,
        }
    }
}

impl<M: Machine> Index<usize> for Clusters<M> {
    type Output = ClusterInfo<M>;

    #[inline]
    fn index(&self, index: usize) -> &ClusterInfo<M> {
        match self {
            Self::Mapped(all) => &all[index],
            Self::Cached(all) => &all[index].info,
            Self::Tabled(all) => &all[index].info,
            Self::Objects(all) => &all[index].0.info,
        }
    }
}

/// A link: cluster index + 1, or one of these.
const END: u64 = 0;
const UNLINKED: u64 = u64::MAX;

/// The head of a list of clusters.
#[repr(C)]
pub struct List<M: Machine> {
    first: M::Plain<u64>,
    last: M::Plain<u64>,
}

impl<M: Machine> List<M> {
    /// An empty list.
    pub(crate) fn new() -> Self {
        Self { first: M::Plain::new(END), last: M::Plain::new(END) }
    }

    /// In the place of a list that the device does not have.
    pub(crate) fn unused() -> Self {
        Self { first: M::Plain::unused(), last: M::Plain::unused() }
    }

    /// Forgets its clusters. Each of them is then to be [`ClusterInfo::unlink`]ed.
    pub fn clear(&self) {
        self.first.set(END);
        self.last.set(END);
    }

    /// The index of the first cluster.
    pub fn first(&self) -> Option<usize> {
        index(self.first.get())
    }

    /// The index of the cluster after cluster `i`.
    pub fn after(&self, clusters: &Clusters<M>, i: usize) -> Option<usize> {
        index(clusters[i].next.get())
    }

    /// list_add_tail(). Panics if the cluster is on a list.
    pub fn push(&self, clusters: &Clusters<M>, i: usize) {
        let (me, last) = (&clusters[i], self.last.get());
        assert!(me.next.get() == UNLINKED, "list_add of a cluster that is on a list");
        me.prev.set(last);
        me.next.set(END);
        match index(last) {
            Some(last) => clusters[last].next.set(i as u64 + 1),
            None => self.first.set(i as u64 + 1),
        }
        self.last.set(i as u64 + 1);
    }

    /// list_del(). Panics if the cluster is on no list, or is the end of another one.
    pub fn remove(&self, clusters: &Clusters<M>, i: usize) {
        let (prev, next) = (clusters[i].prev.get(), clusters[i].next.get());
        assert!(next != UNLINKED, "list_del of a cluster that is on no list");
        match index(prev) {
            Some(prev) => clusters[prev].next.set(next),
            None => {
                assert!(self.first.get() == i as u64 + 1, "list_del from the wrong list");
                self.first.set(next);
            }
        }
        match index(next) {
            Some(next) => clusters[next].prev.set(prev),
            None => {
                assert!(self.last.get() == i as u64 + 1, "list_del from the wrong list");
                self.last.set(prev);
            }
        }
        clusters[i].unlink();
    }

    /// The indices of its clusters, at rest.
    pub fn peek(&self, clusters: &Clusters<M>) -> Vec<usize> {
        let follow = |&i: &usize| index(clusters[i].next.peek());
        let on_list = std::iter::successors(index(self.first.peek()), follow);
        on_list.take(clusters.len() + 1).collect()
    }
}

fn index(link: u64) -> Option<usize> {
    (link != END).then(|| link as usize - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_names_the_list_that_it_was_set_for() {
        for list in ClusterList::ALL {
            assert_eq!(ClusterList::from_flag(list as u8), Some(list));
        }
        assert_eq!(ClusterList::from_flag(0), None);
    }
}
