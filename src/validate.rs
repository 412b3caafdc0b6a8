//! `swapscale validate`: how good the simulated machine's predictions are.

use std::path::PathBuf;
use std::process::ExitCode;

use bench_harness::validate::{Data, Hosts, PUBLISHED, PUBLISHED_HOSTS, report};

use crate::{Answer, print};

/// Without options: lockhammer's published curves
#[derive(clap::Args)]
pub struct Args {
    /// Measurements in lockhammer's columns: host, lock, critical, parallel, threads, median_ns_per_op
    #[arg(long, requires = "topology")]
    data: Option<PathBuf>,
    /// TOML: host.NAME with model (a name or a file), pins, and optionally topology, beyond-l3-ns
    #[arg(long, requires = "data")]
    topology: Option<PathBuf>,
    /// Derive constants from the empty, incdec_refcount and one-thread rows (always done for the
    /// published hosts)
    #[arg(long)]
    fit: bool,
    /// Leave out cells with more threads
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    max_threads: usize,
}

/// What kind of figure each one is.
const RULES: &str = "\
fitted: the lines above, from empty, incdec_refcount and one-thread rows alone
chosen with sight of the published curves: the cost model's structure and its ratios
(read-latency, read-occupancy, nearest-first, stay), and x86-1's latency beyond an L3 group
predicted: every curve below, for locks whose rows no constant was fitted on
";

pub fn run(args: &Args) -> Answer {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        Ok::<_, String>((name, text))
    };
    let (data, hosts, fit) = match (&args.data, &args.topology) {
        (Some(data), Some(topology)) => (read(data)?, read(topology)?, args.fit),
        _ => (
            ("lockhammer-x86.csv".into(), PUBLISHED.into()),
            ("lockhammer-x86.toml".into(), PUBLISHED_HOSTS.into()),
            true,
        ),
    };
    let measured = Data::parse(&data.0, &data.1)?;
    let known = Hosts::parse(&hosts.0, &hosts.1)?;
    let mut verdicts = Vec::new();
    for name in measured.hosts() {
        let mut host = known.host(&hosts.0, &name, &measured)?;
        if fit {
            host.fit()?;
        }
        print(&host.fitted.iter().map(|line| format!("{line}\n")).collect::<String>())?;
        verdicts.extend(host.judge(args.max_threads)?);
    }
    print(RULES)?;
    print(&report(&verdicts))?;
    Ok(ExitCode::SUCCESS)
}
