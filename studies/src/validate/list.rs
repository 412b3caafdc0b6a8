//! LLFree's two strawmen, predicted: a list of free frames under one test-and-set lock,
//! and one whose head is changed by compare-and-swap. Guards that what is simulated is what
//! its `repeat` benchmark does: every thread takes a frame and puts it back, on and on.

use std::sync::Arc;

use machine::lock::Tas;
use machine::simulated::{Config, Model, Shape, Time};
use machine::{Atomic, Cpu, Failure, Fields, Machine, Region, Simulated};
use rayon::prelude::*;
use results::validation::{Basis, Point, Section};
use serde::Deserialize;

const PUBLISHED: &str = include_str!("llfree-lists.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    source: String,
    threads: Vec<usize>,
    model: String,
    l3: Time,
    topology: Shape,
    list: Vec<Curve>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Curve {
    kind: Kind,
    name: String,
    ns: Vec<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Locked,
    Cas,
}

/// Gets and puts per thread; every point is simulated with twice as many too.
const OPERATIONS: u64 = 100;

/// Both curves, held against the published ones.
///
/// # Errors
///
/// A line that names the simulation that failed.
pub fn section() -> Result<Section, String> {
    let data: Experiment = toml::from_str(PUBLISHED).expect("it comes with the program");
    let mut model = Model::load(&data.model).map_err(|e| e.to_string())?;
    (model.topology, model.cost.l3) = (data.topology.clone(), data.l3.clone());
    let model = Arc::new(model);
    let all: Vec<(&Curve, usize, f64)> = data
        .list
        .iter()
        .flat_map(|c| data.threads.iter().zip(&c.ns).map(move |(threads, ns)| (c, *threads, *ns)))
        .collect();
    let point = |&(curve, threads, measured): &(&Curve, usize, f64)| {
        let once = repeat(&model, curve.kind, threads, OPERATIONS)?;
        let predicted = repeat(&model, curve.kind, threads, 2 * OPERATIONS)?;
        let (panel, curve) = ("Xeon Gold 5320".into(), curve.name.clone());
        let x = threads as f64;
        let point = Point {
            panel,
            curve,
            x,
            measured,
            predicted,
            basis: Basis::Predicted,
            spread: None,
            interval: None,
        };
        Ok(((once / predicted - 1.0).abs() > 0.1, point))
    };
    let points: Result<Vec<(bool, Point)>, Failure> = all.par_iter().map(point).collect();
    let points = points.map_err(|e| format!("LLFree's lists: {e}"))?;
    let unsettled = points.iter().filter(|(unsettled, _)| *unsettled).count();
    Ok(Section {
        id: "llfree".into(),
        title: "LLFree's list allocators, one get and one put of a thread".into(),
        source: data.source,
        x: "threads".into(),
        y: "ns a get and put".into(),
        points: points.into_iter().map(|(_, point)| point).collect(),
        steps: Vec::new(),
        notes: vec![
            format!("stated, not fitted: {} ns between cores ({})", data.l3.ns, data.l3.source),
            "left out: the instructions between accesses, and the frames that each thread takes \
             before the clock starts"
                .into(),
            format!(
                "{unsettled} points differ by more than 10 % when half as many operations are \
                 simulated"
            ),
        ],
    })
}

type M = Simulated<Tas>;

#[repr(C, align(64))]
struct Word(<M as Machine>::Atomic<u64>);
impl Fields for Word {}

/// A list of frames by index, each `next` on a line of its own, as in struct page.
struct List {
    /// Taken by the locked list alone; not on the head's line.
    lock: Region<M, Word>,
    /// Frame + 1; above it a tag that counts changes (by CAS alone).
    head: Region<M, Word>,
    next: Region<M, Word>,
    /// Frames that a thread holds.
    held: Region<M, Word>,
}

/// The `next` of a frame that is in no list.
const OUTSIDE: u64 = u64::MAX;
const FRAME: u64 = u32::MAX as u64;
const TAG: u64 = FRAME + 1;

impl List {
    fn new(threads: usize) -> Self {
        let words = |name, n, value: fn(usize) -> u64| {
            Region::new(name, n, |i| Word(Atomic::new(value(i))))
        };
        Self {
            lock: words("lock", 1, |_| 0),
            head: words("head", 1, |_| 1),
            next: words("next", 16 * threads, |i| i as u64 + 2),
            held: words("held", threads, |_| 0),
        }
    }

    fn locked<T>(&self, cpu: &<M as Machine>::Cpu, action: impl FnOnce() -> T) -> T {
        while self.lock[0].0.cmpxchg(0, 1).is_err() {
            cpu.relax();
        }
        let result = action();
        self.lock[0].0.store_release(0);
        result
    }

    fn next(&self, frame: u64) -> &<M as Machine>::Atomic<u64> {
        &self.next[frame as usize - 1].0
    }

    fn get(&self, kind: Kind, cpu: &<M as Machine>::Cpu) -> u64 {
        let head = &self.head[0].0;
        let frame = match kind {
            Kind::Locked => self.locked(cpu, || {
                let frame = head.load();
                head.store(self.next(frame).swap(OUTSIDE));
                frame
            }),
            Kind::Cas => {
                let mut top = head.load();
                loop {
                    let next = self.next(top & FRAME).load();
                    let new = (top & !FRAME).wrapping_add(TAG) | next & FRAME;
                    match head.cmpxchg(top, new) {
                        Ok(_) => break,
                        Err(changed) => top = changed,
                    }
                }
                let next = self.next(top & FRAME);
                assert!(next.cmpxchg(next.peek(), OUTSIDE).is_ok());
                top & FRAME
            }
        };
        self.held[cpu.id()].0.fetch_add(1);
        frame
    }

    fn put(&self, kind: Kind, cpu: &<M as Machine>::Cpu, frame: u64) {
        let (head, next) = (&self.head[0].0, self.next(frame));
        match kind {
            Kind::Locked => self.locked(cpu, || {
                next.store(head.load());
                head.store(frame);
            }),
            Kind::Cas => {
                let (mut top, mut before) = (head.load(), OUTSIDE);
                loop {
                    assert!(next.cmpxchg(before, top & FRAME).is_ok());
                    let new = (top & !FRAME).wrapping_add(TAG) | frame;
                    match head.cmpxchg(top, new) {
                        Ok(_) => break,
                        Err(changed) => (before, top) = (top & FRAME, changed),
                    }
                }
            }
        }
        self.held[cpu.id()].0.fetch_sub(1);
    }
}

/// Nanoseconds of a get and a put, the mean over the threads.
fn repeat(model: &Arc<Model>, kind: Kind, threads: usize, operations: u64) -> Result<f64, Failure> {
    let config = Config {
        model: model.clone(),
        pins: (0..threads).collect(),
        warm_ns: 0,
        measure_ns: u64::MAX,
        seed: 1,
        preemption: None,
        precision: None,
        sites: true,
    };
    let run = M::run(
        &config,
        move |_| List::new(threads),
        move |list: &List, cpu| {
            let began = cpu.now();
            for _ in 0..operations {
                let frame = list.get(kind, cpu);
                list.put(kind, cpu, frame);
            }
            (cpu.now() - began) as f64 / operations as f64
        },
        |list, _| assert!(list.held.iter().all(|held| held.0.peek() == 0)),
    )?;
    Ok(run.workers.iter().sum::<f64>() / threads as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In virtual time, so the same everywhere: one taker pays hits, two pay transfers.
    #[test]
    fn a_shared_head_costs_transfers() {
        let model = Arc::new(Model::load("xeon-2s").unwrap());
        let ns = |kind, threads| repeat(&model, kind, threads, 50).unwrap();
        assert!(ns(Kind::Cas, 2) > 3.0 * ns(Kind::Cas, 1));
        assert!(ns(Kind::Locked, 8) > 3.0 * ns(Kind::Locked, 1));
    }
}
