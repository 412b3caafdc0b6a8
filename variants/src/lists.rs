//! Doubly linked lists of clusters. Links live in the clusters, as in the
//! kernel; si->lock protects them. Every misuse that would corrupt a list panics.

use crate::device::ClusterInfo;
use machine::{Machine, Plain};

/// A link: cluster index + 1, or one of these.
const END: u64 = 0;
const UNLINKED: u64 = u64::MAX;

/// A list's head.
#[repr(C)]
pub struct List<M: Machine> {
    first: M::Plain<u64>,
    last: M::Plain<u64>,
}

impl<M: Machine> List<M> {
    pub fn new() -> Self {
        Self { first: M::Plain::new(END), last: M::Plain::new(END) }
    }

    /// Forgets its clusters, each of which is then to be `unlink`ed.
    pub fn clear(&self) {
        self.first.set(END);
        self.last.set(END);
    }

    pub fn unlink(cluster: &ClusterInfo<M>) {
        cluster.next.set(UNLINKED);
        cluster.prev.set(UNLINKED);
    }

    pub fn first(&self) -> Option<usize> {
        index(self.first.get())
    }

    pub fn after(&self, clusters: &[ClusterInfo<M>], i: usize) -> Option<usize> {
        index(clusters[i].next.get())
    }

    /// list_add_tail().
    pub fn push(&self, clusters: &[ClusterInfo<M>], i: usize) {
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

    /// list_del().
    pub fn remove(&self, clusters: &[ClusterInfo<M>], i: usize) {
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
        Self::unlink(&clusters[i]);
    }

    /// The clusters on it, at rest.
    pub fn peek(&self, clusters: &[ClusterInfo<M>]) -> Vec<usize> {
        let follow = |&i: &usize| index(clusters[i].next.peek());
        let on_list = std::iter::successors(index(self.first.peek()), follow);
        on_list.take(clusters.len() + 1).collect()
    }
}

fn index(link: u64) -> Option<usize> {
    (link != END).then(|| link as usize - 1)
}
