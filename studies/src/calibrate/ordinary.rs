//! The price of the ordinary instructions before each simulated access, some twelve of them
//! (`make costs`): the simulator sees accesses only. Guards that the price is fitted on one point,
//! and that the model says so.

use std::sync::Arc;

use machine::simulated::{Model, Time};
use machine::topology::Topology;

use crate::one_run::{options, run};
use bench_harness::plan::{Host, Options};
use bench_harness::units::Threads;

/// Variant and lock of the fitted point, which is churn on one thread.
pub const FITTED: (&str, &str) = ("percluster", "tas");
/// The fit ends when the model is within this share of the measured time, or after [`STEPS`].
const NEAR: f64 = 0.005;
const STEPS: usize = 10;
/// How many operations a simulated trial has room for. Now and then an operation looks for a new
/// cluster, which takes as long as a hundred others: whether 800 operations hold two or three of
/// them, a matter of the price, moved their mean by 5 %.
const OPERATIONS: f64 = 8000.0;

/// Sets the price of the ordinary instructions before an access so that the fitted point takes as
/// long on the model as it does here.
///
/// # Errors
///
/// A line that says why the point has no figure here or on the model.
pub fn fit(topology: &Topology, model: &mut Model) -> Result<(), String> {
    let here = point(&Host::here(topology), topology, 0.1)?;
    let seconds = OPERATIONS * here * 1e-9;
    let mut simulated = |ns: f64| {
        let source = "fitted".into();
        model.cost.ordinary = Some(Time { ns, source });
        let model = Some(Arc::new(model.clone()));
        point(&Host { topology, guest: false, model }, topology, seconds)
    };
    let bare = simulated(0.0)?;
    let missing = here - bare;
    // Not quite proportional: the higher the price, the less of it hides behind transfers.
    let (mut ns, mut takes) = if missing > 0.0 { (1.0, simulated(1.0)?) } else { (0.0, bare) };
    for _ in 0..STEPS {
        if ns == 0.0 || (takes / here - 1.0).abs() < NEAR {
            break;
        }
        ns = (ns * missing / (takes - bare) * 100.0).round() / 100.0;
        takes = simulated(ns)?;
    }
    let (variant, lock) = FITTED;
    let source = format!(
        "fitted: {variant} with {lock} on one thread takes {here:.1} ns an operation here, in \
         the least disturbed trial; {takes:.1} ns in the model, {bare:.1} ns there without them"
    );
    model.cost.ordinary = Some(Time { ns, source });
    Ok(())
}

/// Nanoseconds per operation of the fitted point: the least of the trials.
fn point(host: &Host, topology: &Topology, seconds: f64) -> Result<f64, String> {
    let plan = Options {
        variant: vec![FITTED.0.into()],
        lock: vec![FITTED.1.into()],
        threads: vec![Threads::Count(1)],
        ..options(topology, seconds)
    };
    let dir = tempfile::tempdir().map_err(|e| format!("a directory for the run: {e}"))?;
    let run = run(plan, host, topology, dir.path(), |_| ())?;
    let ns = run.cells.iter().map(|cell| 1e9 / cell.ops_per_s).min_by(f64::total_cmp);
    ns.ok_or_else(|| "the fitted point has no trial".into())
}
