//! `cargo bench --bench simulator`: how fast the simulator is, by whole runs of the program. With
//! `-- --baseline BINARY` that build runs the same cells in turns with this one, and every line
//! ends with the ratio and its interval. Guards the comparison: a cell that the two builds do not
//! predict alike is no faster, it is another one, and ends the bench.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use results::schema::Line;
use results::stats::{Estimate, MIN_SAMPLES, bootstrap_ratio_paired};
use results::store;

type Error = Box<dyn std::error::Error>;

/// Machine, workload, variant, threads, size of the device, and a window in which all workers
/// overlap: a shorter one would be simulated again, and the time of both tries counted.
const CELLS: [[&str; 6]; 6] = [
    ["epyc-96", "churn", "percluster", "96", "256MiB", "0.11"],
    ["epyc-96", "churn", "global", "96", "256MiB", "0.32"],
    ["epyc-96", "seq", "percpu-cluster", "96", "64MiB", "0.032"],
    ["epyc-96", "mthp", "percluster", "16", "64MiB", "0.01"],
    ["epyc-96", "churn", "percluster", "1", "64MiB", "0.05"],
    ["big-384", "churn", "percluster", "384", "512MiB", "0.17"],
];
/// Runs of each build: as many as an interval needs.
const RUNS: usize = MIN_SAMPLES;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--list") {
        return println!("simulator: benchmark");
    }
    if has("--test") || !has("--bench") {
        return;
    }
    let baseline = words.iter().skip_while(|word| *word != "--baseline").nth(1);
    if let Err(why) = bench(baseline.map(Path::new)) {
        eprintln!("simulator: {why}");
        std::process::exit(2);
    }
}

/// What one run simulated.
#[derive(Clone, PartialEq)]
struct Seen {
    events: f64,
    /// Operations counted in the window.
    ops: u64,
    duration_ns: u64,
    per_thread: Vec<u64>,
    lines: Option<Vec<Line>>,
}

fn bench(baseline: Option<&Path>) -> Result<(), Error> {
    let here = Path::new(env!("CARGO_BIN_EXE_swapscale"));
    println!(
        "one host thread, median of {RUNS} runs with their set-up; events per operation that is \
         counted, those of the warm-up among them"
    );
    for cell in CELLS {
        let (mut new, mut base) = (Vec::new(), Vec::new());
        let seen = once(here, &cell)?.1;
        for _ in 0..RUNS {
            let baseline = baseline.map(|build| (build, &mut base));
            for (build, times) in baseline.into_iter().chain([(here, &mut new)]) {
                let (seconds, same) = once(build, &cell)?;
                if same != seen {
                    let (build, cell) = (build.display(), cell.join(" "));
                    return Err(format!("{cell}: {build} predicts another cell").into());
                }
                times.push(seconds);
            }
        }
        println!("{:<40}{}{}", cell[..5].join(" "), speed(&new, &seen)?, ratio(&base, &new)?);
    }
    Ok(())
}

fn speed(seconds: &[f64], seen: &Seen) -> Result<String, Error> {
    let median = Estimate::of(seconds).ok_or("no run")?.median;
    let (events, ops) = (seen.events, seen.ops as f64);
    Ok(format!(
        "{:6.2} M events/s {:6.1} events/op {:6.1} ns/event",
        events / median / 1e6,
        events / ops,
        median / events * 1e9
    ))
}

/// How many times as fast as the baseline, with its 95 % interval by pairs of runs.
fn ratio(base: &[f64], new: &[f64]) -> Result<String, Error> {
    let Some(baseline) = Estimate::of(base) else { return Ok(String::new()) };
    let ratio = baseline.median / Estimate::of(new).ok_or("no run")?.median;
    let interval = bootstrap_ratio_paired(new, base);
    Ok(format!("  x{ratio:.2} [{:.2} {:.2}] the baseline", interval.lo, interval.hi))
}

/// One run of a build: the seconds it took, and what it simulated.
fn once(build: &Path, asked: &[&str; 6]) -> Result<(f64, Seen), Error> {
    let out = tempfile::tempdir()?;
    let names = ["--machine", "--workload", "--variant", "--threads", "--size", "--seconds"];
    let given = names.iter().zip(asked).flat_map(|(name, value)| [*name, *value]);
    // Without latencies: they would be a file per cell.
    let fixed = ["--lock", "qspin", "--trials", "1", "--sample", "1000000000"];
    let began = Instant::now();
    let mut command = Command::new(build);
    command.arg("run").args(given).args(fixed).arg("--out").arg(out.path());
    let output = command.env("RAYON_NUM_THREADS", "1").output();
    let output = output.map_err(|e| format!("{}: {e}", build.display()))?;
    let seconds = began.elapsed().as_secs_f64();
    let said = String::from_utf8_lossy(&output.stderr);
    let [run] = &store::load_all(&[out.path()])?[..] else { return Err(said.into()) };
    let [cell] = &run.cells[..] else { return Err(said.into()) };
    if cell.duration_ns as f64 > 1.3e9 * asked[5].parse::<f64>()? {
        return Err(format!("{}: expected a longer window", asked.join(" ")).into());
    }
    let events = said.split_once("simulated ").and_then(|(_, rest)| rest.split(' ').next());
    let events = events.and_then(|millions| millions.parse::<f64>().ok());
    let events = events.ok_or_else(|| format!("expected 'simulated N M events' in: {said}"))? * 1e6;
    let (per_thread, lines) = (cell.per_thread.clone(), cell.lines.clone());
    let (ops, duration_ns) = (per_thread.iter().sum(), cell.duration_ns);
    Ok((seconds, Seen { events, ops, duration_ns, per_thread, lines }))
}
