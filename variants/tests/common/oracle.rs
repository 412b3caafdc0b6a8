//! A plain map from pages to slots that follows an allocator through random sequences of operations
//! on one CPU. Guards what the allocator does to the one thread that uses it: the first difference
//! from the map is reported.

use super::{Check, ORDERS, OWNERS, On, Op, PAGES, Tested, folio, spec};
use machine::Machine;
use machine::lock::LockKind;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;
use variants::registry::Variant;
use variants::{Folio, Spec, Swap, SwapAllocator, SwpEntry};

/// An allocator follows the map.
pub struct Follows;

impl Check for Follows {
    type On<K: LockKind> = On<K>;
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, _: &Variant) -> Result<(), String> {
        random_sequences::<On<K>, A>()
    }
}

/// An allocator, and the map of what its owners must have.
pub struct Oracle<'a, M: Machine, A: SwapAllocator<M>> {
    swap: &'a Swap<M, A>,
    cpu: &'a M::Cpu,
    spec: Spec,
    /// The entry of each (owner, page) that is swapped out.
    owned: BTreeMap<(usize, usize), SwpEntry>,
}

impl<'a, M: Machine, A: SwapAllocator<M>> Oracle<'a, M, A> {
    pub fn new(swap: &'a Swap<M, A>, cpu: &'a M::Cpu, spec: Spec) -> Self {
        for dev in 0..spec.devices.len() {
            assert!(swap.swapon(cpu, dev), "swapon of a device that is off");
        }
        Self { swap, cpu, spec, owned: BTreeMap::new() }
    }

    fn entries(&self) -> BTreeMap<(usize, usize), SwpEntry> {
        let all = (0..OWNERS).flat_map(|owner| (0..PAGES).map(move |page| (owner, page)));
        all.filter_map(|at| Some((at, self.swap.owners.peek(at.0, at.1)?))).collect()
    }

    fn users(&self, entry: SwpEntry) -> u32 {
        self.owned.values().filter(|&&other| other == entry).count() as u32
    }

    /// Performs `op` on the allocator and on the map, and compares them.
    pub fn step(&mut self, op: Op) {
        match op {
            Op::Out { owner, page, order, folio } => self.out(owner, page, order, folio),
            Op::In { owner, page, folio } => {
                let was = self.owned.remove(&(owner, page)).is_some();
                assert_eq!(self.swap.swap_in(self.cpu, owner, page, folio), was);
            }
            Op::Zap { owner, page, nr } => {
                let nr = nr.min(PAGES - page);
                let gone = (page..page + nr).filter(|&p| self.owned.remove(&(owner, p)).is_some());
                let gone = gone.count();
                assert_eq!(self.swap.zap(self.cpu, owner, page, nr), gone);
            }
            Op::Fork { parent, child, page, nr, in_runs } => {
                self.fork(parent, child, page, nr, in_runs);
            }
            Op::LookUp { owner, page } => {
                let found = self.swap.look_up(self.cpu, owner, page);
                assert!(!found || self.owned.contains_key(&(owner, page)));
            }
            Op::Off { dev } => {
                self.swap.swapoff(self.cpu, dev).expect("swapoff by the only thread");
                self.owned.retain(|_, entry| entry.dev() != dev);
                assert_eq!(self.entries(), self.owned, "unuse");
                assert!(!self.swap.alloc.tryget_device(self.cpu, dev), "I12");
                self.validate();
                assert!(self.swap.swapon(self.cpu, dev));
            }
            Op::Work => self.swap.alloc.run_work(self.cpu),
        }
        self.validate();
    }

    fn out(&mut self, owner: usize, page: usize, order: usize, folio: Folio) {
        let order = order.min(self.spec.orders - 1);
        let nr = 1 << order;
        let page = page.min(PAGES - nr);
        if (page..page + nr).any(|p| self.owned.contains_key(&(owner, p))) {
            return;
        }
        if self.swap.swap_out(self.cpu, owner, page, order, folio) {
            let first = self.swap.owners.peek(owner, page).expect("a page that was swapped out");
            assert_eq!(first.offset() % nr as u32, 0, "slots of an order are aligned");
            for i in 0..nr {
                let entry = first.plus(i as u32);
                // A layer above the devices has no end.
                let dev = self.swap.alloc.base().devices.get(entry.dev());
                assert!(dev.is_none_or(|dev| entry.offset() < dev.max()), "beyond the end");
                assert_eq!(self.users(entry), 0, "I1: {entry:?} has an owner already");
                self.owned.insert((owner, page + i), entry);
            }
        } else if order == 0 {
            self.no_slot_is_free();
        }
    }

    /// An order-0 allocation without contention fails only if no slot is free.
    fn no_slot_is_free(&self) {
        let free = |dev| {
            let stats = self.swap.alloc.stats(dev);
            stats.pages - stats.inuse
        };
        let free: u64 = (0..self.spec.devices.len()).map(free).sum();
        assert_eq!(free, 0, "an allocation failed with {free} slots free");
    }

    fn fork(&mut self, parent: usize, child: usize, page: usize, nr: usize, in_runs: bool) {
        let nr = nr.min(PAGES - page);
        let busy = (page..page + nr).any(|p| self.owned.contains_key(&(child, p)));
        if parent == child || busy {
            return;
        }
        let mut copies = 0;
        for page in page..page + nr {
            if let Some(&entry) = self.owned.get(&(parent, page)) {
                self.owned.insert((child, page), entry);
                copies += 1;
            }
        }
        let copied = match in_runs {
            false => self.swap.fork(self.cpu, parent, child, page, nr),
            true => self.swap.fork_in_runs(self.cpu, parent, child, page, nr),
        };
        assert_eq!(copied, copies);
    }

    fn validate(&self) {
        assert_eq!(self.entries(), self.owned, "page tables");
        for &entry in self.owned.values() {
            let users = self.swap.alloc.usage(entry).0;
            assert_eq!(users, self.users(entry), "users of {entry:?}");
        }
        if let Err(broken) = self.swap.alloc.validate() {
            panic!("{broken}");
        }
    }

    /// Frees everything, takes every device off, and checks that no slot is left in use.
    pub fn finish(mut self) {
        for owner in 0..OWNERS {
            self.step(Op::Zap { owner, page: 0, nr: PAGES });
        }
        for dev in 0..self.spec.devices.len() {
            self.swap.swapoff(self.cpu, dev).expect("the last swapoff");
        }
        assert_eq!(self.swap.alloc.nr_swap_pages(), 0);
        self.swap.alloc.validate().expect("all devices are off");
    }
}

/// Runs `ops` on one CPU under the oracle. The error is the first difference.
pub fn follow<M: Tested, A: SwapAllocator<M>>(spec: Spec, ops: &[Op]) -> Result<(), String> {
    let (ops, of) = (ops.to_vec(), spec.clone());
    let run = M::run(
        &M::config(1),
        move |cpu| Swap::<M, A>::new(&of, cpu),
        move |swap, cpu| {
            let mut oracle = Oracle::new(swap, cpu, spec.clone());
            ops.iter().for_each(|&op| oracle.step(op));
            oracle.finish();
        },
        |_, _| (),
    );
    run.map(|_| ()).map_err(|failure| failure.to_string())
}

fn op() -> impl Strategy<Value = Op> {
    let (owner, page, nr) = (0..OWNERS, 0..PAGES, 1..20usize);
    let out = (owner.clone(), page.clone(), 0..=ORDERS, any::<bool>().prop_map(folio));
    let single = (owner.clone(), page.clone(), any::<bool>().prop_map(folio));
    prop_oneof![
        8 => out.prop_map(|(owner, page, order, folio)| Op::Out { owner, page, order, folio }),
        8 => single.prop_map(|(owner, page, folio)| Op::Out { owner, page, order: 0, folio }),
        6 => (owner.clone(), page.clone(), any::<bool>().prop_map(folio))
            .prop_map(|(owner, page, folio)| Op::In { owner, page, folio }),
        4 => (owner.clone(), page.clone(), nr.clone())
            .prop_map(|(owner, page, nr)| Op::Zap { owner, page, nr }),
        2 => (owner.clone(), owner.clone(), page.clone(), nr, any::<bool>()).prop_map(
            |(parent, child, page, nr, in_runs)| Op::Fork { parent, child, page, nr, in_runs }
        ),
        1 => (owner, page).prop_map(|(owner, page)| Op::LookUp { owner, page }),
        1 => (0..2usize).prop_map(|dev| Op::Off { dev }),
        2 => Just(Op::Work),
    ]
}

/// Follows an allocator through random sequences over clusters of several sizes. The error is that
/// of the shortest failing sequence that shrinking found.
pub fn random_sequences<M: Tested, A: SwapAllocator<M>>() -> Result<(), String> {
    shrunk::<M, A>(400)
}

/// As [`random_sequences`]; the error is that of a sequence that `shrinks` tries made shorter.
pub fn shrunk<M: Tested, A: SwapAllocator<M>>(shrinks: u32) -> Result<(), String> {
    let cases = proptest::test_runner::Config {
        cases: 32,
        max_shrink_iters: shrinks,
        failure_persistence: None,
        ..Default::default()
    };
    let clusters = proptest::sample::select(vec![4, 8, 64, 512]);
    let sequences = (clusters, proptest::collection::vec(op(), 1..120));
    let always_the_same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(cases, always_the_same)
        .run(&sequences, |(cluster_slots, ops)| {
            follow::<M, A>(spec(cluster_slots), &ops).map_err(TestCaseError::fail)
        })
        .map_err(|error| error.to_string())
}
