//! `swapscale validate --only live`: measures this machine's prices, its model and the running
//! kernel under load, for the comparison in `studies`. Guards that all of them are of one machine at
//! one time, and that the pages whose price is measured are those that the load writes.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bench_harness::units::Size;
use kernel::live::{self, Args, Content, Summary, Workload};
use machine::topology::{Pin, Topology};
use results::schema::{Cell, Run};
use results::store;
use results::validation::Section;
use studies::validate::{host, live as against};

use crate::say;

/// The price file that is left in `--out`.
const PRICES: &str = "zram-one-word.toml";
/// Runs per point of the prices.
const RUNS: u32 = 5;
const TRIALS: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(500);
/// Percentage of the device that is in use.
const FILL: u32 = 25;

/// Leaves price file and live run in `out`, or nothing.
pub fn section(out: Option<&Path>) -> Result<Section, Box<dyn Error>> {
    let topology = Topology::here()?;
    let args = load(&topology)?;
    // It refuses what the run would refuse, before a minute is spent on prices.
    live::dry_run(&args).map_err(|error| format!("validate --only live: {error}"))?;
    let passing = tempfile::tempdir()?;
    let dir = out.unwrap_or(passing.path());
    std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let prices = prices(&args.cpus)?;
    let file = dir.join(PRICES);
    std::fs::write(&file, &prices).map_err(|error| format!("{}: {error}", file.display()))?;
    say("calibrating the model of this machine");
    let model = host::model(&topology)?;
    let (run, cells, summary) = measure(&args, dir)?;
    let live = against::Live {
        cells: &cells,
        refused: &summary.refused,
        prices: &prices,
        model,
        size: Size::mib(args.size >> 20),
        fill: FILL,
        source: source(&run),
    };
    Ok(against::section(&live, |load, of| {
        live::check_stop().map_err(|error| error.to_string())?;
        say(format_args!("simulating load {load} of {of}"));
        Ok(())
    })?)
}

/// One process, and one on every CPU.
fn load(topology: &Topology) -> Result<Args, Box<dyn Error>> {
    let all = topology.cpus().len();
    let mut threads = vec![1, all as u32];
    threads.dedup();
    Ok(Args {
        workloads: vec![Workload::Churn, Workload::Seq],
        threads,
        batches: vec![against::BATCH as usize],
        trials: TRIALS,
        interval: INTERVAL,
        seed: 1,
        cpus: Pin::Compact.take(topology, all)?,
        pin: Pin::Compact.to_string(),
        size: live::DEFAULT_SIZE,
        fill: FILL,
        trace: false,
        swap_device: None,
    })
}

/// The text of the price file.
fn prices(cpus: &[usize]) -> Result<String, Box<dyn Error>> {
    let measured = live::calibrate::Args {
        content: Content::OneWord,
        runs: RUNS,
        pages: live::calibrate::PAGES,
        cpus: cpus.to_vec(),
        command: crate::command_line(),
    };
    let prices = live::calibrate::calibrate(&measured, |run, of| {
        say(format_args!("prices, run {run} of {of}"));
    })?;
    Ok(toml::to_string(&prices)?)
}

fn measure(args: &Args, dir: &Path) -> Result<(Run, Vec<Cell>, Summary), Box<dyn Error>> {
    let mut done = 0;
    let command = crate::command_line();
    let (run, summary) = live::record(args, dir, "validate-live", &command, |all, cell| {
        done += 1;
        let key = &cell.key;
        say(format_args!("[{done}/{all}] {}, {} processes", key.workload, key.threads));
    })?;
    let run = run.ok_or_else(|| {
        let why = summary.refused.last().map_or("none was made", String::as_str);
        format!("validate --only live: every trial was refused: {why}")
    })?;
    let run = store::load(&run)?;
    Ok((run.run, run.cells, summary))
}

fn source(run: &Run) -> String {
    let (machine, environment) = (&run.machine, &run.environment);
    format!(
        "here, just now: kernel {}, zram, {}, {TRIALS} trials of {} s",
        machine.name,
        environment.cpu_model,
        INTERVAL.as_secs_f64()
    )
}
