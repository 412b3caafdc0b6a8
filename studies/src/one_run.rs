//! One plan, run at once and read back: what calibrating and validating have in common. Guards that
//! both measure the same workload on the same device.

use std::path::Path;

use machine::lock::KINDS;
use machine::topology::Topology;
use results::store::{self, Loaded, Writer};
use variants::registry::VARIANTS;

use bench_harness::engine::{self, Progress};
use bench_harness::plan::{Host, Options, Plan};
use bench_harness::units::{Size, Threads};

/// Churn by every variant with every lock. The device fits into caches: what is compared is locks
/// and lines, not memory.
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

/// One thread, and two where there are two CPUs.
pub(crate) fn threads(topology: &Topology) -> Vec<usize> {
    (1..=topology.cpus().len().min(2)).collect()
}

/// Runs the plan that `options` give on `host`, into a directory below `dir`.
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
