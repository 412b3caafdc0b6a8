//! An xarray that hands out its lowest free index (xa_alloc()), as far as clusters need one. Guards that
//! an index is changed under xa_lock alone, and that an entry is read without it. Kernel: lib/xarray.c;
//! a node's marks of free slots are a word per 64 entries, and a word of each further level one for 64 words.
//!
//! Simplified: an entry says only that something is there, and all nodes are there from the beginning.

use machine::{Atomic, Fields, Machine, Plain, Region, Site, SpinLock};

/// A lock on a line of its own.
#[repr(align(64))]
struct Head<M: Machine>(SpinLock<M>);

impl<M: Machine> Fields for Head<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("xa_lock", 0)]
    }
}

/// Entries by index; index 0 is never handed out.
pub(crate) struct Xarray<M: Machine> {
    head: Region<M, Head<M>>,
    entries: Region<M, M::Atomic<u64>>,
    /// XA_FREE_MARK, from the level of the entries up.
    free: Vec<Region<M, M::Plain<u64>>>,
}

/// Indices per word.
const BITS: usize = u64::BITS as usize;

impl<M: Machine> Xarray<M> {
    /// An empty one, for indices below `len`.
    pub(crate) fn new(len: usize) -> Self {
        let word = |_| M::Plain::new(0);
        let words = |n: usize| Region::named("xa_marks", n.div_ceil(BITS), Vec::new(), word);
        let below = |level: &Region<M, _>| (level.len() > 1).then(|| words(level.len()));
        let xarray = Self {
            head: Region::new("xarray", 1, |_| Head(SpinLock::new())),
            entries: Region::named("xa_entries", len, Vec::new(), |_| M::Atomic::new(0)),
            free: std::iter::successors(Some(words(len)), below).collect(),
        };
        (1..len).for_each(|index| xarray.mark(index, true));
        xarray
    }

    /// xa_alloc(), but for the entry, which [`Xarray::publish`] stores: takes the lowest free index.
    pub(crate) fn alloc(&self, cpu: &M::Cpu, site: &'static Site) -> Option<usize> {
        let guard = self.head[0].0.lock(cpu, site);
        let lowest = self.free.iter().rev().try_fold(0, |at, level| {
            let word = level[at].get();
            (word != 0).then(|| at * BITS + word.trailing_zeros() as usize)
        });
        if let Some(index) = lowest {
            self.mark(index, false);
        }
        self.head[0].0.unlock(cpu, guard);
        lowest
    }

    /// What an allocated index is for is there from now on.
    pub(crate) fn publish(&self, index: usize) {
        self.entries[index].store_release(1);
    }

    /// xa_erase().
    pub(crate) fn erase(&self, cpu: &M::Cpu, site: &'static Site, index: usize) {
        let guard = self.head[0].0.lock(cpu, site);
        self.entries[index].store(0);
        self.mark(index, true);
        self.head[0].0.unlock(cpu, guard);
    }

    /// xa_load(): whether there is an entry.
    pub(crate) fn load(&self, index: usize) -> bool {
        self.entries[index].load_acquire() != 0
    }

    /// The same, at rest.
    pub(crate) fn peek(&self, index: usize) -> bool {
        self.entries[index].peek() != 0
    }

    /// Marks an index as free, or as taken. A level says of a word below whether it is 0.
    fn mark(&self, index: usize, free: bool) {
        let mut at = index;
        for level in &self.free {
            let (word, bit) = (&level[at / BITS], 1 << (at % BITS));
            let was = word.get();
            let now = if free { was | bit } else { was & !bit };
            word.set(now);
            if (was == 0) == (now == 0) {
                break;
            }
            at /= BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::lock::Tas;
    use machine::native::{Config, Native};

    #[test]
    fn the_lowest_free_index_is_handed_out() {
        static SITE: Site = Site::new("xa_lock", "test");
        type M = Native<Tas, false>;
        let run = M::run(
            &Config::untimed(1),
            |_| Xarray::<M>::new(BITS * BITS + 2),
            |xarray, cpu| {
                let alloc = || xarray.alloc(cpu, &SITE);
                let all: Vec<usize> = std::iter::from_fn(alloc).collect();
                assert_eq!(all, (1..BITS * BITS + 2).collect::<Vec<_>>());
                for index in [70, 4097, 69] {
                    xarray.erase(cpu, &SITE, index);
                }
                assert_eq!(
                    [alloc(), alloc(), alloc(), alloc()],
                    [Some(69), Some(70), Some(4097), None]
                );
            },
            |_, _| (),
        );
        run.expect("nothing fails");
    }
}
