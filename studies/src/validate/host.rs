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
use results::store::{self, Loaded, Writer};
use results::validation::{Basis, Point, Section};
use variants::registry::VARIANTS;

use crate::calibrate::{FITTED, calibrate};
use bench_harness::engine::{self, Progress};
use bench_harness::plan::{Host, Options, Plan};
use bench_harness::units::{Size, Threads};

/// The model whose figures stand for what this host has no instance of.
const BASE: &str = "xeon-2s";
/// Of uncontended figures the error is to be at most this.
const TARGET: f64 = 0.3;

/// Calibrates, measures and simulates; both runs stay below `dir` if there is one.
pub fn section(
    topology: &Topology,
    dir: Option<&Path>,
    mut progress: impl FnMut(Progress),
) -> Result<Section, String> {
    let passing = tempfile::tempdir().map_err(|e| format!("a directory for the runs: {e}"))?;
    let dir = dir.unwrap_or(passing.path());
    let base = Model::load(BASE).map_err(|e| e.to_string())?;
    let model = Model { name: "this-host".into(), ..calibrate(topology, base)? };
    let native = options(topology, 0.1);
    let measured = run(native, &Host::here(topology), topology, dir, &mut progress)?;
    let simulated = Host { topology, guest: false, model: Some(Arc::new(model)) };
    let predicted = run(options(topology, 0.002), &simulated, topology, dir, &mut progress)?;
    let cpu = measured.run.environment.cpu_model.clone();
    let (measured, predicted) = (per_operation(&measured), per_operation(&predicted));
    let point = |(key, measured): &(CellKey, f64)| {
        let same = |(other, _): &&(CellKey, f64)| {
            let place = |k: &CellKey| (k.variant.clone(), k.lock.clone(), k.threads);
            place(key) == place(other)
        };
        let predicted = predicted.iter().find(same)?.1;
        let panel = if key.threads == 1 { "1 thread".into() } else { "2 threads".into() };
        let (curve, x) = (format!("{} / {}", key.variant, key.lock), f64::from(key.threads));
        let fitted =
            (key.variant.as_str(), key.lock.as_str(), key.threads) == (FITTED.0, FITTED.1, 1);
        let basis = if fitted { Basis::Fitted } else { Basis::Predicted };
        Some(Point { panel, curve, x, measured: *measured, predicted, basis })
    };
    let points: Vec<Point> = measured.iter().filter_map(point).collect();
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
    let planned = VARIANTS.len() * KINDS.len() * threads(topology).len();
    if points.len() < planned {
        notes.push(format!(
            "{} points have no trial whose workers overlapped",
            planned - points.len()
        ));
    }
    Ok(Section {
        id: "host".into(),
        title: "This host and a model calibrated on it: churn, every variant and lock".into(),
        source: format!("here, just now: {cpu}"),
        x: "threads".into(),
        y: "ns an operation of a thread".into(),
        points,
        notes,
    })
}

fn threads(topology: &Topology) -> Vec<usize> {
    (1..=topology.cpus().len().min(2)).collect()
}

/// A device that fits into caches: what is compared is locks and lines, not memory.
pub(crate) fn options(topology: &Topology, seconds: f64) -> Options {
    Options {
        variant: VARIANTS.iter().map(|v| v.name.to_owned()).collect(),
        lock: KINDS.iter().map(|(name, _)| name.to_string()).collect(),
        workload: vec!["churn".into()],
        threads: threads(topology).into_iter().map(Threads::Count).collect(),
        trials: Some(5),
        seconds: Some(seconds),
        size: vec![Size::mib(32)],
        label: Some("validate".into()),
        ..Options::default()
    }
}

pub(crate) fn run(
    options: Options,
    host: &Host,
    topology: &Topology,
    dir: &Path,
    progress: impl FnMut(Progress),
) -> Result<Loaded, String> {
    let plan = Plan::new(options, host).map_err(|e| e.to_string())?;
    let run = engine::describe(&plan, topology, "swapscale validate --only host".into());
    let mut writer = Writer::create(dir, run).map_err(|e| e.to_string())?;
    engine::run(&plan, &mut writer, &[], progress).map_err(|e| e.to_string())?;
    store::load(writer.dir()).map_err(|e| e.to_string())
}

/// A thread's nanoseconds an operation at each point, the median over the trials.
fn per_operation(run: &Loaded) -> Vec<(CellKey, f64)> {
    let of = |group: Group| {
        let rate = group.estimate(&Metric::Throughput)?.median;
        let ns = 1e9 * f64::from(group.key.threads) / rate;
        Some((group.key, ns))
    };
    groups(&run.cells).into_iter().filter_map(of).collect()
}
