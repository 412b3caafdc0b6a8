//! The documented lock order of each scheme, held against what the lock-order check
//! learns while everything that takes locks runs: no pair may be taken the other way
//! round, and the pairs that make the scheme what it is must have been seen.
#![cfg(debug_assertions)]

mod common;

use common::{ORDERS, OWNERS, PAGES, random_op, spec};
use machine::lock::Tas;
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use std::sync::{Arc, Mutex};
use variants::registry::{VARIANTS, Variant, Visitor, visit};
use variants::{Swap, SwapAllocator};

type M = Native<Tas, false>;

/// Outermost first. Classes that never nest may stand in any order.
struct Documented {
    variant: &'static str,
    order: &'static [&'static str],
    /// Pairs without which the scheme would be another.
    seen: &'static [&'static str],
}

const CACHES: [&str; 2] = ["slot cache alloc_lock", "slot cache free_lock"];
const SI_FIRST: &[&str] = &[
    "ptl",
    CACHES[0],
    CACHES[1],
    "swap_lock",
    "si->lock",
    "ci->lock",
    "swap_avail_lock",
    "cont_lock",
];
const CI_FIRST: &[&str] =
    &["ptl", CACHES[0], "ci->lock", "swap_lock", "si->lock", "swap_avail_lock", "cont_lock"];
const SI_SEEN: &[&str] = &[
    "si->lock > ci->lock",
    "si->lock > swap_avail_lock",
    "slot cache free_lock > si->lock",
    "slot cache alloc_lock > si->lock",
    "swap_lock > si->lock",
    "ci->lock > cont_lock",
];
const CI_SEEN: &[&str] = &[
    "ci->lock > si->lock",
    "ci->lock > swap_avail_lock",
    "si->lock > swap_avail_lock",
    "swap_lock > si->lock",
    "ptl > ci->lock",
    "ci->lock > cont_lock",
];

/// 6.12: swap_lock > si->lock > ci->lock; 6.14: ci->lock > si->lock.
const DOCUMENTED: &[Documented] = &[
    Documented { variant: "scanning", order: SI_FIRST, seen: SI_SEEN },
    Documented { variant: "scanning-ref", order: SI_FIRST, seen: SI_SEEN },
    Documented {
        variant: "global",
        order: SI_FIRST,
        seen: &["ptl > si->lock", "si->lock > swap_avail_lock", "si->lock > cont_lock"],
    },
    Documented { variant: "percluster", order: CI_FIRST, seen: CI_SEEN },
    Documented { variant: "percluster-rcu", order: CI_FIRST, seen: CI_SEEN },
    Documented { variant: "percluster-second-ref", order: CI_FIRST, seen: CI_SEEN },
    Documented { variant: "percpu-cluster", order: CI_FIRST, seen: CI_SEEN },
];

/// Fill, reclaim, share beyond 62, free, discard, swapoff.
fn everything<A: SwapAllocator<M>>(swap: &Swap<M, A>, cpu: &<M as Machine>::Cpu) {
    for (owner, page) in (0..OWNERS).flat_map(|o| (0..PAGES).map(move |p| (o, p))) {
        swap.swap_out(cpu, owner, page, 0, page % 3 == 0);
    }
    let entry = swap.owners.get(0, 1).expect("swapped out");
    (0..70).for_each(|_| assert!(swap.alloc.dup(cpu, entry)));
    swap.alloc.put(cpu, entry, 1);
    (0..69).for_each(|_| swap.alloc.put(cpu, entry, 1));
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..3_000 {
        match random_op(&mut random, false) {
            common::Op::Out { owner, page, order, keep } => {
                let page = page.min(PAGES - (1 << ORDERS));
                swap.zap(cpu, owner, page, 1 << order);
                swap.swap_out(cpu, owner, page, order, keep);
            }
            common::Op::In { owner, page, keep } => {
                swap.swap_in(cpu, owner, page, keep);
            }
            common::Op::Zap { owner, page, nr } => {
                swap.zap(cpu, owner, page, nr.min(PAGES - page));
            }
            _ => swap.alloc.run_work(cpu),
        }
    }
    for dev in 0..2 {
        swap.swapoff(cpu, dev).expect("no other thread");
        assert!(swap.swapon(cpu, dev));
    }
}

struct Learn;

impl Visitor<M> for Learn {
    type Output = Vec<String>;
    fn visit<A: SwapAllocator<M>>(self, variant: &'static Variant) -> Vec<String> {
        let learnt = Arc::new(Mutex::new(Vec::new()));
        let result = learnt.clone();
        let run = M::run(
            &Config::untimed(1),
            |cpu| {
                let swap = Swap::<M, A>::new(&spec(), cpu);
                (0..2).for_each(|dev| assert!(swap.swapon(cpu, dev)));
                swap
            },
            everything,
            move |_, cpu| *learnt.lock().unwrap() = cpu.system().order.learnt(),
        );
        run.unwrap_or_else(|failure| panic!("{}: {failure}", variant.name));
        let result = result.lock().unwrap();
        result.clone()
    }
}

#[test]
fn is_as_documented() {
    for variant in VARIANTS {
        let documented = DOCUMENTED.iter().find(|d| d.variant == variant.name);
        let Documented { order, seen, .. } =
            documented.unwrap_or_else(|| panic!("{} has no documented order", variant.name));
        let learnt = visit::<M, _>(variant.name, Learn).expect("is listed");
        let place = |class: &str| {
            let known = order.iter().position(|&c| c == class);
            known.unwrap_or_else(|| panic!("{}: {class} is in no documented order", variant.name))
        };
        for pair in &learnt {
            let (outer, inner) = pair.split_once(" > ").expect("a pair");
            assert!(place(outer) < place(inner), "{}: {pair} is not documented", variant.name);
        }
        for pair in *seen {
            assert!(learnt.iter().any(|l| l == pair), "{}: {pair} not in {learnt:?}", variant.name);
        }
    }
}
