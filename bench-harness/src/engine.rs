//! From a plan to cells on disk: trials in interleaved order, each on the machine its plan names,
//! stored as soon as it is done. Guards what is stored: a trial whose workers did not overlap is
//! repeated once and then refused, and a wrong allocator ends the run.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use jiff::Timestamp;
use machine::Failure;
use machine::topology::Topology;
use results::disturbed::hit;
use results::hlog::Interval;
use results::schema::{Cell, CellKey, MachineId, MachineKind, Run, SCHEMA};
use results::store::{self, Writer};

use crate::cell::Label;
use crate::meter::histogram;
use crate::plan::Plan;
use crate::probe::{clock, environment};
use crate::schedule::interleaved;
use until::Watch;

mod machines;
mod until;

/// The least share of the interval in which all workers counted.
pub const OVERLAP: f64 = 0.95;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The answer is no: the variant broke an invariant.
    #[error("{variant} on {workload}, {threads} threads: {why}")]
    Wrong { variant: &'static str, workload: &'static str, threads: usize, why: String },
    #[error(transparent)]
    Machine(Failure),
    #[error(transparent)]
    Store(#[from] results::Error),
}

/// Nanoseconds of the clock that the native machine's workers read.
pub fn now() -> u64 {
    static CLOCK: OnceLock<(quanta::Clock, u64)> = OnceLock::new();
    let (clock, start) = CLOCK.get_or_init(|| {
        let clock = quanta::Clock::new();
        let start = clock.raw();
        (clock, start)
    });
    clock.delta_as_nanos(*start, clock.raw())
}

/// What `run.json` says before the first cell; calibrates the probes.
pub fn describe(plan: &Plan, topology: &Topology, command: String) -> Run {
    let mut environment = environment::here(topology, now);
    let (probe, note) = clock::calibrate(now, &mut histogram());
    environment.notes.push(note);
    let created = Timestamp::now();
    let label = plan.options.label.clone().unwrap_or_else(|| "run".into());
    let host = environment.host.known().map_or("unknown", String::as_str);
    Run {
        schema: SCHEMA,
        id: store::run_id(created, host, &label),
        created_utc: created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        label,
        command,
        plan: serde_json::to_value(&plan.options).expect("options are plain data"),
        machine: MachineId {
            kind: if plan.model.is_some() { MachineKind::Simulated } else { MachineKind::Native },
            name: plan.machine().into(),
            predicted: plan.model.is_some(),
        },
        environment,
        probe,
    }
}

/// How far a run is.
pub struct Progress<'a> {
    /// Cells done or refused, this one included, and all of them.
    pub done: usize,
    pub all: usize,
    pub key: &'a CellKey,
    /// Operations per second, or why there is no figure.
    pub result: Result<f64, &'a str>,
    /// What hit the trial from outside.
    pub hit: Option<&'a str>,
}

/// Runs every cell of the plan that is not among `finished`, or as many of them as it takes to
/// make the intervals narrow; returns those refused, and why.
pub fn run(
    plan: &Plan,
    writer: &mut Writer,
    finished: &[Cell],
    mut progress: impl FnMut(Progress),
) -> Result<Vec<(CellKey, String)>, EngineError> {
    let slots = interleaved(plan.points.len(), plan.trials, plan.seed);
    let mut watch = plan.until.map(|until| Watch::new(until, plan.points.len(), finished));
    let finished: BTreeSet<&CellKey> = finished.iter().map(|cell| &cell.key).collect();
    let mut refused = Vec::new();
    for (order, slot) in slots.iter().enumerate() {
        let begins = order % plan.points.len() == 0;
        if begins && watch.as_ref().is_some_and(|watch| watch.stops_before(slot.block)) {
            break;
        }
        let all = watch.as_ref().map_or(slots.len(), |watch| watch.next_look(slot.block));
        let label = Label {
            machine: plan.machine(),
            point: &plan.points[slot.point],
            pin: &plan.pin,
            block: slot.block,
            // The same for all points of a block: variants are compared on the same numbers.
            seed: plan.seed.wrapping_add(u64::from(slot.block)),
            order_in_run: order as u64,
            measure: plan.measure,
        };
        let key = label.key();
        if finished.contains(&key) {
            continue;
        }
        let (result, hit) = match measure_twice(plan, &label)? {
            Ok((mut cell, histograms)) => {
                writer.attach(&mut cell, &histograms)?;
                writer.append(&cell)?;
                watch.iter_mut().for_each(|watch| watch.add(&cell));
                (Ok(cell.ops_per_s), hit(&cell))
            }
            Err(why) => (Err(why), None),
        };
        let told = result.as_ref().map(|rate| *rate).map_err(String::as_str);
        let hit = hit.as_deref();
        progress(Progress { done: order + 1, all, key: &key, result: told, hit });
        if let Err(why) = result {
            refused.push((key, why));
        }
    }
    Ok(refused)
}

type Measured = (Cell, Vec<Interval>);

/// A cell, or why it is refused after a second try.
fn measure_twice(plan: &Plan, label: &Label) -> Result<Result<Measured, String>, EngineError> {
    let mut why = String::new();
    for _ in 0..2 {
        let measured = measure(plan, label)?;
        match refusal(&measured.0, plan.strict) {
            None => return Ok(Ok(measured)),
            Some(refusal) => why = refusal,
        }
    }
    Ok(Err(why))
}

/// Why a cell cannot stand.
fn refusal(cell: &Cell, strict: bool) -> Option<String> {
    if cell.overlap < OVERLAP {
        let (is, least) = (100.0 * cell.overlap, 100.0 * OVERLAP);
        let why = format!("all workers ran in {is:.0} % of the interval, less than {least:.0} %");
        return Some(why);
    }
    hit(cell).filter(|_| strict)
}

/// One trial on the plan's machine.
fn measure(plan: &Plan, label: &Label) -> Result<Measured, EngineError> {
    let point = label.point;
    let measured = match &plan.model {
        None => machines::native(plan, label),
        Some(model) => machines::simulated(plan, label, model),
    };
    measured.map_err(|why| match why {
        Failure::Panicked(why) => EngineError::Wrong {
            variant: point.variant,
            workload: point.workload,
            threads: point.threads,
            why,
        },
        other => EngineError::Machine(other),
    })
}
