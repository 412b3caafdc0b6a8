//! lockhammer's loop on a simulated machine: fixed work per thread, and the time until the last
//! thread is done.

use super::locks::{Empty, IncDec, M, Osq, Queued, SwapMutex, Tested, Ticket};
use machine::simulated::{Config, Model, take_account};
use machine::{Cpu, Failure, Machine};
use std::sync::Arc;

/// A cell to simulate.
#[derive(Clone, Debug)]
pub struct Point {
    pub lock: Lock,
    pub pins: Vec<usize>,
    /// Nanoseconds per operation with the lock held.
    pub held: u64,
    /// Nanoseconds per operation without it.
    pub apart: u64,
    /// Nanoseconds per operation of a thread by which the last thread starts late.
    pub late: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lock {
    Empty,
    IncDec,
    Ticket,
    Queued,
    Swap,
    Osq,
}

impl Lock {
    pub const ALL: [(&'static str, Lock); 6] = [
        ("empty", Lock::Empty),
        ("incdec_refcount", Lock::IncDec),
        ("ticket_spinlock", Lock::Ticket),
        ("queued_spinlock", Lock::Queued),
        ("swap_mutex", Lock::Swap),
        ("osq_lock", Lock::Osq),
    ];
    /// Those whose curves are predicted.
    pub const PREDICTED: [Lock; 4] = [Lock::Ticket, Lock::Queued, Lock::Swap, Lock::Osq];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, lock)| *lock == self).expect("all are there").0
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, lock)| *lock)
    }

    /// All names, for messages.
    pub fn list() -> String {
        Self::ALL.map(|(name, _)| name).join(", ")
    }
}

/// The result of a simulated run.
pub struct Hammered {
    /// Nanoseconds per operation of all threads together.
    pub ns: f64,
    pub events: u64,
}

/// The benchmark with `operations` per thread.
///
/// # Errors
///
/// A [`Failure`] of the simulated machine.
pub fn hammer(
    model: &Arc<Model>,
    point: &Point,
    operations: u64,
    seed: u64,
) -> Result<Hammered, Failure> {
    let run = match point.lock {
        Lock::Empty => on::<Empty>,
        Lock::IncDec => on::<IncDec>,
        Lock::Ticket => on::<Ticket>,
        Lock::Queued => on::<Queued>,
        Lock::Swap => on::<SwapMutex>,
        Lock::Osq => on::<Osq>,
    };
    run(model, point, operations, seed)
}

fn on<L: Tested>(
    model: &Arc<Model>,
    point: &Point,
    operations: u64,
    seed: u64,
) -> Result<Hammered, Failure> {
    let config = Config {
        model: model.clone(),
        pins: point.pins.clone(),
        warm_ns: 0,
        measure_ns: u64::MAX,
        seed,
        preemption: None,
        precision: None,
        sites: true,
    };
    let (held, apart) = (point.held, point.apart);
    let others = point.pins.len().saturating_sub(1).max(1) as f64;
    let late = point.late * operations as f64 / others;
    let run = M::run(
        &config,
        |_| L::new(),
        move |lock: &L, cpu| {
            let began = cpu.now();
            cpu.work((late * cpu.id() as f64) as u64);
            for _ in 0..operations {
                lock.acquire(cpu);
                if held > 0 {
                    cpu.work(held);
                }
                lock.release(cpu);
                if apart > 0 {
                    cpu.work(apart);
                }
            }
            (began, cpu.now())
        },
        |_, _| (),
    )?;
    let began = run.workers.iter().map(|w| w.0).min().unwrap_or(0);
    let ended = run.workers.iter().map(|w| w.1).max().unwrap_or(0);
    let ns = (ended - began) as f64 / (operations * point.pins.len() as u64) as f64;
    Ok(Hammered { ns, events: take_account().map_or(0, |account| account.events) })
}
