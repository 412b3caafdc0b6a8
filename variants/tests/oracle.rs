//! Every variant under every lock does what a plain map says it should, over random
//! sequences of operations; a failing sequence is shrunk.

mod common;

use common::{ORDERS, OWNERS, Op, PAGES, follow};
use machine::lock::{LockKind, Mcs, Qspin, Tas, Ticket};
use machine::{Machine, Native};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::marker::PhantomData;
use variants::SwapAllocator;
use variants::registry::{VARIANTS, Variant, Visitor, visit};

fn op() -> impl Strategy<Value = Op> {
    let (owner, page, nr) = (0..OWNERS, 0..PAGES, 1..20usize);
    let out = (owner.clone(), page.clone(), 0..=ORDERS, any::<bool>());
    let single = (owner.clone(), page.clone(), any::<bool>());
    prop_oneof![
        8 => out.prop_map(|(owner, page, order, keep)| Op::Out { owner, page, order, keep }),
        8 => single.prop_map(|(owner, page, keep)| Op::Out { owner, page, order: 0, keep }),
        6 => (owner.clone(), page.clone(), any::<bool>())
            .prop_map(|(owner, page, keep)| Op::In { owner, page, keep }),
        4 => (owner.clone(), page.clone(), nr.clone())
            .prop_map(|(owner, page, nr)| Op::Zap { owner, page, nr }),
        2 => (owner.clone(), owner, page, nr)
            .prop_map(|(parent, child, page, nr)| Op::Fork { parent, child, page, nr }),
        1 => (0..2usize).prop_map(|dev| Op::Off { dev }),
        2 => Just(Op::Work),
    ]
}

/// Follows one variant under lock `K` through random sequences.
struct Follow<K>(PhantomData<K>);

impl<K: LockKind> Visitor<Native<K, false>> for Follow<K> {
    type Output = ();
    fn visit<A: SwapAllocator<Native<K, false>>>(self, variant: &'static Variant) {
        let config = Config { cases: 48, failure_persistence: None, ..Config::default() };
        let sequences = proptest::collection::vec(op(), 1..120);
        let followed = TestRunner::new(config)
            .run(&sequences, |ops| follow::<K, A>(&ops).map_err(TestCaseError::fail));
        if let Err(error) = followed {
            panic!("{} under {}: {error}", variant.name, K::NAME);
        }
    }
}

fn every_variant<K: LockKind>()
where
    Native<K, false>: Machine,
{
    for variant in VARIANTS {
        visit::<Native<K, false>, _>(variant.name, Follow::<K>(PhantomData)).expect("is listed");
    }
}

#[test]
fn with_tas() {
    every_variant::<Tas>();
}

#[test]
fn with_ticket() {
    every_variant::<Ticket>();
}

#[test]
fn with_mcs() {
    every_variant::<Mcs>();
}

#[test]
fn with_qspin() {
    every_variant::<Qspin>();
}
