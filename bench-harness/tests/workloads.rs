//! Every variant under every workload, with threads: the invariants hold at the end, every slot
//! has the users that name it, and locks were taken in the documented order alone.
#![cfg(debug_assertions)]

#[path = "../../variants/tests/common/order.rs"]
mod order;

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Duration;

use bench_harness::meter::Meter;
use bench_harness::trial::{self, Setting};
use bench_harness::units::{Orders, Size};
use bench_harness::workload::{self, LIST, Params, Stage, Workload};
use machine::lock::Tas;
use machine::{Cpu, Machine, Native, Phase, native};
use variants::registry::{self, VARIANTS, Variant};
use variants::{Spec, SwapAllocator};

type M = Native<Tas, true>;
type MyCpu = <M as Machine>::Cpu;

const WORKERS: usize = 3;

/// "outer > inner" of the pair under test. There is one test in this file, so that no other writes it.
static LEARNT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// A workload that leaves the lock order behind when its window is over.
struct Watched<W>(W);

impl<W: Workload<M>> Workload<M> for Watched<W> {
    type Worker = W::Worker;
    const FORKS: bool = W::FORKS;

    fn spec(params: &Params, threads: usize) -> Spec {
        // Discards come while the window is open, not once in a blue moon.
        Spec { discard_ns: 0, ..W::spec(params, threads) }
    }

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, cpu: &MyCpu) -> Self {
        Self(W::new(stage, cpu))
    }

    fn worker<A: SwapAllocator<M>>(&self, stage: &Stage<M, A>, cpu: &MyCpu) -> W::Worker {
        self.0.worker(stage, cpu)
    }

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &MyCpu,
        worker: &mut W::Worker,
        meter: &mut Meter,
    ) {
        self.0.step(stage, cpu, worker, meter);
        if cpu.phase() == Phase::Overrun {
            LEARNT.lock().unwrap().extend(cpu.system().order.learnt());
        }
    }
}

struct ByWorkload(&'static str);
struct ByVariant<A>(PhantomData<fn() -> A>, Params);

impl registry::Visitor<M> for ByWorkload {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        let mut params = workload::find(self.0).expect("it is in the list").defaults();
        params.size = Size::mib(8);
        if self.0 == "mthp" {
            params.orders = Some("0:.5,2:.3,4:.2".parse::<Orders>()?);
        }
        let visitor = ByVariant(PhantomData::<fn() -> A>, params);
        workload::visit(self.0, visitor).expect("it is in the list")
    }
}

impl<A: SwapAllocator<M>> workload::Visitor<M> for ByVariant<A> {
    type Output = Result<(), String>;
    fn visit<W: Workload<M>>(self) -> Self::Output {
        let measure = Duration::from_millis(30);
        let config =
            native::Config { pins: vec![None; WORKERS], warm: Duration::from_millis(5), measure };
        let setting =
            Setting { params: self.1, threads: WORKERS, seed: 1, sample: 64, measure, host: None };
        let logs = trial::run::<M, A, Watched<W>>(&config, &setting).map_err(|f| f.to_string())?;
        let worked = logs.iter().any(|log| log.meter.total() > 0);
        if worked { Ok(()) } else { Err("no worker did anything".into()) }
    }
}

#[test]
fn every_variant_stands_every_workload_in_its_documented_lock_order() {
    for variant in VARIANTS {
        // A variant that is not in the table is still free of cycles.
        let allowed = order::documented(variant.name).map(order::allowed);
        for entry in LIST {
            LEARNT.lock().unwrap().clear();
            let stood = registry::visit(variant.name, ByWorkload(entry.id)).expect("in the list");
            if let Err(why) = stood {
                panic!("{} under {}: {why}", variant.name, entry.id);
            }
            let learnt = LEARNT.lock().unwrap().clone();
            let new = |allowed| learnt.difference(allowed).cloned().collect::<Vec<_>>();
            let undocumented = allowed.as_ref().map(new).unwrap_or_default();
            assert!(
                !learnt.is_empty() && undocumented.is_empty(),
                "{} under {}: learnt {learnt:?}, not documented {undocumented:?}",
                variant.name,
                entry.id
            );
        }
    }
}
