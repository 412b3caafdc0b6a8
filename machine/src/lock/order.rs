//! A small lockdep, for machines with `ASSERTS`: it learns which lock class is taken inside which,
//! and panics on a cycle, on two locks of one class at once, and on a sleep with a spinlock held.
//! Orders are learnt anew in each run, because schemes differ.

use super::sites::Site;
use std::cell::RefCell;
use std::sync::{Mutex, MutexGuard};

/// A lock that a CPU holds.
struct Holding {
    site: &'static Site,
    address: usize,
}

/// The locks that one CPU holds, oldest first.
#[derive(Default)]
pub(super) struct Held(RefCell<Vec<Holding>>);

/// A lock of `outer`'s class was held when one of `inner`'s was taken, at these two places.
struct Edge {
    outer: &'static Site,
    inner: &'static Site,
}

/// The order of lock classes that all CPUs of a run have shown so far.
#[derive(Default)]
pub struct Order(Mutex<Vec<Edge>>);

/// The learnt edge that ends a path from class `from` to class `to`.
fn path(edges: &[Edge], from: &str, to: &str) -> Option<(&'static Site, &'static Site)> {
    let mut reached = vec![from];
    let mut next = 0;
    while next < reached.len() {
        let class = reached[next];
        for edge in edges.iter().filter(|e| e.outer.lock == class) {
            if edge.inner.lock == to {
                return Some((edge.outer, edge.inner));
            }
            if !reached.contains(&edge.inner.lock) {
                reached.push(edge.inner.lock);
            }
        }
        next += 1;
    }
    None
}

impl Order {
    fn edges(&self) -> MutexGuard<'_, Vec<Edge>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Learns `held -> site`; the error says what is wrong with it and names both places.
    fn learn(&self, held: &[Holding], site: &'static Site) -> Result<(), String> {
        let (class, caller) = (site.lock, site.caller);
        if let Some(Holding { site: outer, .. }) = held.iter().find(|h| h.site.lock == class) {
            return Err(format!(
                "two {class} at once: {} holds one, {caller} takes another",
                outer.caller
            ));
        }
        let mut edges = self.edges();
        for Holding { site: outer, .. } in held {
            if let Some((a, b)) = path(&edges, class, outer.lock) {
                return Err(format!(
                    "lock order reversed: {caller} takes {class} inside {} of {}, \
                     but {} takes {} inside {} of {}",
                    outer.lock, outer.caller, b.caller, b.lock, a.lock, a.caller
                ));
            }
            if !edges.iter().any(|e| (e.outer.lock, e.inner.lock) == (outer.lock, class)) {
                edges.push(Edge { outer, inner: site });
            }
        }
        Ok(())
    }

    /// One "outer > inner" per learnt pair, sorted: for comparison with the documented order.
    pub fn learnt(&self) -> Vec<String> {
        let edges = self.edges();
        let mut lines: Vec<_> =
            edges.iter().map(|e| format!("{} > {}", e.outer.lock, e.inner.lock)).collect();
        lines.sort();
        lines
    }
}

impl Held {
    /// Called before a lock is waited for; a trylock needs no order.
    #[inline]
    pub(super) fn before_lock(&self, order: &Order, site: &'static Site, address: usize) {
        let held = self.0.borrow();
        if let Some(own) = held.iter().find(|h| h.address == address) {
            panic!("{} takes the {} that {} holds", site.caller, site.lock, own.site.caller);
        }
        if let Err(error) = order.learn(&held, site) {
            panic!("{error}");
        }
    }

    #[inline]
    pub(super) fn acquired(&self, site: &'static Site, address: usize) {
        self.0.borrow_mut().push(Holding { site, address });
    }

    #[inline]
    pub(super) fn released(&self, site: &'static Site, address: usize) {
        let mut held = self.0.borrow_mut();
        let place = held.iter().rposition(|h| h.address == address);
        held.remove(place.unwrap_or_else(|| panic!("{}: unlock of a lock not held", site.lock)));
    }

    #[inline]
    pub(super) fn might_sleep(&self, what: &str) {
        if let Some(lock) = self.0.borrow().first() {
            panic!("{what} sleeps with {} of {} held", lock.site.lock, lock.site.caller);
        }
    }
}
