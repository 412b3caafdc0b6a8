//! Many short trials of one point, by the engine and through its files. Comparisons of them have a
//! known answer: every difference between them is false, every slowdown put in is true.

use std::time::Duration;

use machine::topology::Topology;
use results::compare::{Outcome, Side, compare};
use results::metric::Metric;
use results::schema::Cell;
use results::store::{self, Loaded, Writer};

use bench_harness::engine::{self, EngineError};
use bench_harness::plan::{Host, Options, Plan};
use bench_harness::units::Threads;

/// A trial's window, and about what it takes with its beginning and end.
const WINDOW: Duration = Duration::from_millis(10);
const WHOLE: Duration = Duration::from_millis(15);
/// Comparisons that the trials must be enough for.
const LEAST: u32 = 120;

/// Trials for about `time`.
pub(super) fn measure(topology: &Topology, time: Duration) -> Result<Loaded, EngineError> {
    let trials = (time.as_millis() / WHOLE.as_millis()) as u32;
    let options = Options {
        variant: vec!["percluster".into()],
        lock: vec!["tas".into()],
        workload: vec!["churn".into()],
        threads: vec![Threads::Count(1)],
        size: vec!["16MiB".parse().expect("a size")],
        seconds: Some(WINDOW.as_secs_f64()),
        trials: Some(trials.max(LEAST)),
        label: Some("selftest".into()),
        ..Options::default()
    };
    let plan = Plan::new(options, &Host::here(topology)).expect("these options make a plan");
    let dir = tempfile::tempdir().map_err(|source| {
        let path = std::env::temp_dir();
        results::Error::Io { action: "make a directory in", path, source }
    })?;
    let run = engine::describe(&plan, topology, "swapscale selftest".into());
    let mut writer = Writer::create(dir.path(), run)?;
    engine::run(&plan, &mut writer, &[], |_| {})?;
    Ok(store::load(writer.dir())?)
}

/// How `new` compares with `base`, by the rules of every table.
pub(super) fn verdict(run: &Loaded, base: Vec<&Cell>, new: Vec<&Cell>) -> Outcome {
    let side = |name: &str, cells| Side { name: name.into(), loaded: run, cells };
    let all = compare(&side("base", base), &side("new", new), &Metric::Throughput);
    all.map_or(Outcome::TooFew, |comparison| comparison.rows[0].outcome)
}

/// Whether `new` is found to be slower.
pub(super) fn worse(run: &Loaded, base: Vec<&Cell>, new: Vec<&Cell>) -> bool {
    verdict(run, base, new) == Outcome::Worse
}
