//! `cargo bench`, second part: throughput against threads, by the engine's own rules (pinned,
//! overlapping, interleaved), as `swapscale run --budget 4m`. Criterion's flags do no harm here.

use std::path::Path;

use bench_harness::engine;
use bench_harness::plan::{Host, Options, Plan};
use machine::topology::Topology;
use results::aggregate::label;
use results::metric::Metric;
use results::report::{Report, sides};
use results::store::{self, Writer};
use results::tables::{Format, Terminal};

/// Options of criterion that have a value, which is no filter then.
const WITH_VALUE: [&str; 18] = [
    "-c",
    "--color",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--sample-size",
    "--measurement-time",
    "--warm-up-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--profile-time",
    "--load-baseline",
    "--format",
    "--output-format",
];

/// The words of the command line that are for this benchmark, not for criterion.
#[derive(Default)]
struct Args {
    /// cargo says so: without it this is a test run.
    bench: bool,
    list: bool,
    test: bool,
    budget: Option<String>,
    filters: Vec<String>,
}

impl Args {
    fn of(mut words: impl Iterator<Item = String>) -> Self {
        let mut args = Args::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => args.bench = true,
                "--list" => args.list = true,
                "--test" => args.test = true,
                "--budget" => args.budget = words.next(),
                flag if WITH_VALUE.contains(&flag) => drop(words.next()),
                flag if flag.starts_with('-') => {}
                _ => args.filters.push(word),
            }
        }
        args
    }
}

fn main() {
    let args = Args::of(std::env::args().skip(1));
    if let Err(error) = scale(&args) {
        eprintln!("scaling: {error}");
        std::process::exit(2);
    }
}

fn scale(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let topology = Topology::here()?;
    let budget = args.budget.as_deref().unwrap_or("4m").parse()?;
    let label_of = Some("bench".into());
    let options = Options { budget: Some(budget), label: label_of, ..Options::default() };
    let mut plan = Plan::new(options, &Host::here(&topology))?;
    let id = |p: &bench_harness::plan::Point| {
        format!("scaling/{}/{}/{}", p.params.workload, p.variant, p.threads)
    };
    plan.points.retain(|p| args.filters.iter().all(|filter| id(p).contains(filter)));
    if args.list {
        plan.points.iter().for_each(|p| println!("{}: benchmark", id(p)));
        return Ok(());
    }
    if args.test || !args.bench {
        plan.points.iter().for_each(|p| println!("Testing {}\nSuccess", id(p)));
        return Ok(());
    }
    if plan.points.is_empty() {
        return Ok(());
    }
    let run = engine::describe(&plan, &topology, "cargo bench --bench scaling".into());
    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/local");
    let mut writer = Writer::create(&out, run)?;
    engine::run(&plan, &mut writer, &[], |progress| {
        let point = label(progress.key, |_| true);
        match progress.result {
            Ok(rate) => eprintln!("{point}: {:.3} Mops/s", rate / 1e6),
            Err(why) => eprintln!("{point}: refused: {why}"),
        }
    })?;
    let runs = [store::load(writer.dir())?];
    let sides = sides(&runs, None)?;
    let report = Report::new(&sides, &Metric::Throughput)?;
    print!("{}", Terminal::here().render(&report));
    Ok(())
}
