//! This host against a model of itself, calibrated a moment before: every variant and lock,
//! natively and simulated, on one thread and on two. Guards that both sides run one plan.

use std::path::Path;
use std::sync::Arc;

use machine::lock::KINDS;
use machine::simulated::Model;
use machine::topology::Topology;
use results::aggregate::{Group, groups};
use results::metric::Metric;
use results::schema::CellKey;
use results::store::Loaded;
use results::validation::{Basis, Point, Section};
use variants::registry::VARIANTS;

use crate::calibrate::{FITTED, calibrate};
use crate::one_run::{options, run, threads};
use bench_harness::engine::Progress;
use bench_harness::plan::Host;

/// The model whose figures stand for what this host has no instance of.
const BASE: &str = "xeon-2s";
/// The largest error that an uncontended figure should have.
pub(super) const TARGET: f64 = 0.3;

/// This host's model, calibrated now.
///
/// # Errors
///
/// A line that says why the host cannot be calibrated.
pub fn model(topology: &Topology) -> Result<Model, String> {
    let base = Model::load(BASE).map_err(|e| e.to_string())?;
    Ok(Model { name: "this-host".into(), ..calibrate(topology, base)? })
}

/// Calibrates, measures and simulates; both runs stay below `dir` if there is one.
///
/// # Errors
///
/// A line that says why the host cannot be calibrated, or why one of the runs has no figures.
pub fn section(
    topology: &Topology,
    dir: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Section, String> {
    let passing = tempfile::tempdir().map_err(|e| format!("a directory for the runs: {e}"))?;
    let dir = dir.unwrap_or(passing.path());
    let model = model(topology)?;
    let native = options(topology, 0.1);
    let measured = run(native, &Host::here(topology), topology, dir, &mut progress)?;
    let simulated = Host { topology, guest: false, model: Some(Arc::new(model)) };
    let predicted = run(options(topology, 0.002), &simulated, topology, dir, &mut progress)?;
    let points = points(&measured, &predicted);
    let planned = VARIANTS.len() * KINDS.len() * threads(topology).len();
    Ok(Section {
        id: "host".into(),
        title: "This host and a model calibrated on it: churn, every variant and lock".into(),
        source: format!("here, just now: {}", measured.run.environment.cpu_model),
        x: "threads".into(),
        y: "ns an operation of a thread".into(),
        steps: Vec::new(),
        notes: notes(&points, planned),
        points,
    })
}

/// Every point that both runs have.
fn points(measured: &Loaded, predicted: &Loaded) -> Vec<Point> {
    let predicted = per_operation(predicted);
    let point = |(key, measured): (CellKey, f64)| {
        let same = |(other, _): &&(CellKey, f64)| {
            let place = |k: &CellKey| (k.variant.clone(), k.lock.clone(), k.threads);
            place(&key) == place(other)
        };
        let predicted = predicted.iter().find(same)?.1;
        let panel = if key.threads == 1 { "1 thread".into() } else { "2 threads".into() };
        let (curve, x) = (format!("{} / {}", key.variant, key.lock), f64::from(key.threads));
        let fitted =
            (key.variant.as_str(), key.lock.as_str(), key.threads) == (FITTED.0, FITTED.1, 1);
        let basis = if fitted { Basis::Fitted } else { Basis::Predicted };
        Some(Point { panel, curve, x, measured, predicted, basis, spread: None, interval: None })
    };
    per_operation(measured).into_iter().filter_map(point).collect()
}

/// A thread's nanoseconds per operation at each point, the median over the trials.
fn per_operation(run: &Loaded) -> Vec<(CellKey, f64)> {
    let of = |group: Group| {
        let rate = group.estimate(&Metric::Throughput)?.median;
        let ns = 1e9 * f64::from(group.key.threads) / rate;
        Some((group.key, ns))
    };
    groups(&run.cells).into_iter().filter_map(of).collect()
}

/// What was fitted, what was not, and how many of the `planned` points are missing.
fn notes(points: &[Point], planned: usize) -> Vec<String> {
    let alone = || points.iter().filter(|p| p.x == 1.0 && p.basis == Basis::Predicted);
    let within = alone().filter(|p| p.error().abs() <= TARGET).count();
    let mut notes = vec![
        format!(
            "calibrated just before: hits, locked operations, PAUSE, transfers between CPUs; the \
             rest is the model {BASE}'s"
        ),
        format!(
            "fitted: the ordinary instructions before an access, on {} / {} on 1 thread",
            FITTED.0, FITTED.1
        ),
        format!("on one thread {within} of {} within {:.0} %", alone().count(), 100.0 * TARGET),
        "left out: what the hypervisor takes".into(),
    ];
    if points.len() < planned {
        notes.push(format!(
            "{} points have no trial whose workers overlapped",
            planned - points.len()
        ));
    }
    notes
}
