//! `swapscale run`: measures a plan and leaves a run's directory behind.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_harness::engine::{self, EngineError, Finished};
use bench_harness::plan::{Host, Options, Plan, PlanError, Precision, defaults};
use machine::simulated::Model;
use machine::topology::Topology;
use probe::environment;
use results::elsewhere::Differences;
use results::store::{self, Loaded, Writer};

use crate::report::FormatArgs;
use crate::{Answer, baseline, kernel, progress, say};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    options: Options,
    /// A plan in TOML, - for standard input. Its keys are the names of these options; an option
    /// given here wins
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Directory below which the run's own directory is made
    #[arg(long, value_name = "DIR", default_value = "results/local")]
    out: PathBuf,
    /// Go on with a run that was stopped: its directory, or the newest one in --out
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// With --resume: go on although the machine, its kernel or this program is another one now. A
    /// note in the run says so
    #[arg(long, requires = "resume")]
    force: bool,
    /// Another build of this program: each trial is measured by it too, in turns, into a run of its
    /// own, and the two runs are compared pair by pair
    #[arg(long, value_name = "BINARY", conflicts_with = "resume")]
    baseline: Option<PathBuf>,
    #[command(flatten)]
    live: kernel::RunArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// The subcommand, whose help says the default of each option of a plan.
pub fn with_defaults(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let default = arg.get_long().and_then(defaults::help);
        match (arg.get_help(), default) {
            (Some(help), Some(default)) => {
                let help = format!("{help} {default}");
                arg.help(help)
            }
            _ => arg,
        }
    })
}

pub fn run(args: Args) -> Answer {
    if let Some(dir) = &args.resume {
        return resume(&args, dir.as_deref());
    }
    let file = args.plan.as_deref().map(Options::read).transpose()?.unwrap_or_default();
    let options = args.options.clone().over(file);
    if options.machine.as_deref() == Some("kernel") {
        let besides = [options.until.is_some(), options.strict, args.baseline.is_some()];
        if besides.contains(&true) || !options.rate.is_empty() {
            let expected = "expected no until, rate, strict or baseline beside it";
            return Err(format!("machine 'kernel': {expected}").into());
        }
        return kernel::run(&args.live, options, &args.out, &args.format);
    }
    let topology = Topology::here()?;
    let plan = plan(options, &topology).map_err(|error| from_file(&args, error))?;
    ready(&plan)?;
    if let (None, Some(note)) = (&plan.model, topology.left_out()) {
        crate::say(format_args!("swapscale: {note}"));
    }
    if let Some(baseline) = &args.baseline {
        return baseline::run(plan, baseline, &args.out, &args.format);
    }
    let run = engine::describe(&plan, &topology, plan.options.command());
    let writer = Writer::create(&args.out, run)?;
    measure(&args, &plan, writer, &[])
}

fn resume(args: &Args, dir: Option<&Path>) -> Answer {
    if args.options != Options::default() || args.plan.is_some() {
        return Err(
            "--resume takes its plan from the run: expected no other option of a plan".into()
        );
    }
    let newest = || Ok(store::load_all(&[&args.out])?.pop().expect("never empty").dir);
    let dir = dir.map_or_else(newest, |dir| Ok::<_, results::Error>(dir.to_owned()))?;
    let (mut writer, loaded) = Writer::resume(&dir)?;
    loaded.notes.iter().for_each(|note| say(format_args!("swapscale: {note}")));
    let file = dir.join("run.json");
    if loaded.run.in_turns.is_some() {
        let file = file.display();
        return Err(format!("{file}: in_turns: a run with --baseline is begun anew").into());
    }
    let options = serde_json::from_value(loaded.run.plan.clone());
    let options = options.map_err(|e| format!("{}: plan: {e}", file.display()))?;
    let topology = Topology::here()?;
    let plan = plan(options, &topology).map_err(|e| format!("{}: {e}", file.display()))?;
    as_it_began(args.force, &plan, &topology, &mut writer, &loaded)?;
    ready(&plan)?;
    measure(args, &plan, writer, &loaded.cells)
}

/// Checks what can be checked before anything is written.
fn ready(plan: &Plan) -> Result<(), Box<dyn Error>> {
    if plan.model.is_some() {
        crate::start_pool()?;
    }
    plan.fits()?;
    Ok(engine::check(plan)?)
}

/// Checks that the run goes on where it began; with `--force` a note in it says where it did not. A
/// model predicts the same on every host, so that only another program is refused there.
fn as_it_began(
    force: bool,
    plan: &Plan,
    topology: &Topology,
    writer: &mut Writer,
    loaded: &Loaded,
) -> Result<(), Box<dyn Error>> {
    let here = environment::here(topology, engine::now);
    let Differences { machine, mut program } = Differences::between(&loaded.run.environment, &here);
    if loaded.run.events.is_some() && loaded.run.events != plan.events {
        program.push("the events file has another text".into());
    }
    let refused: Vec<String> =
        if plan.model.is_some() { program.clone() } else { [&machine[..], &program].concat() };
    if !refused.is_empty() && !force {
        let (dir, differences) = (writer.dir().display(), refused.join("; "));
        return Err(format!(
            "{dir}: {differences}: expected the machine and the program that began the run, or \
             --force"
        )
        .into());
    }
    let all = [machine, program].concat().join("; ");
    if !all.is_empty() {
        let note = format!("resumed after {} cells: {all}", loaded.cells.len());
        say(format_args!("swapscale: WARNING: {note}"));
        writer.remark(note)?;
    }
    Ok(())
}

/// The plan on this host, or on the model that the options name.
fn plan(options: Options, here: &Topology) -> Result<Plan, PlanError> {
    let name = match options.machine.as_deref() {
        None | Some("native") => return Plan::new(options, &Host::here(here)),
        Some(name) => name,
    };
    let model = Model::load(name).map_err(|error| PlanError::Value {
        key: "machine",
        value: name.into(),
        expected: format!("native, kernel or a model ({error})"),
    })?;
    let topology = model.topology();
    Plan::new(options, &Host { topology: &topology, guest: false, model: Some(Arc::new(model)) })
}

/// Names the plan file too where the value in question is the file's.
fn from_file(args: &Args, error: PlanError) -> String {
    let given = serde_json::to_value(&args.options).expect("options are plain data");
    match (&args.plan, &error) {
        (Some(file), PlanError::Value { key, .. }) if given.get(key).is_none() => {
            format!("{}: {error}", file.display())
        }
        _ => error.to_string(),
    }
}

fn measure(
    args: &Args,
    plan: &Plan,
    mut writer: Writer,
    finished: &[results::schema::Cell],
) -> Answer {
    if let Some(note) = writer.note() {
        say(format_args!("swapscale: {note}"));
    }
    let dir = writer.dir().to_owned();
    let each = format!("{}, into {}", each(plan), dir.display());
    match plan.until {
        Some(until) => {
            let most = until.budget.as_secs_f64();
            say(format_args!("for {most} s at most, cells {each}"));
        }
        None => {
            let cells = plan.points.len() * plan.trials as usize - finished.len();
            say(format_args!("{cells} cells {each}"));
            let (points, trials) = (plan.points.len(), plan.trials as usize);
            say(results::compare::gate_needs(points, trials));
        }
    }
    let began = Instant::now();
    let ended = match engine::run(plan, &mut writer, finished, |progress| {
        progress::show(began, progress)
    }) {
        Ok(ended) => ended,
        Err(wrong @ EngineError::Wrong { .. }) => {
            say(format_args!("swapscale: {wrong}"));
            return Ok(ExitCode::from(1));
        }
        Err(other) => return Err(other.into()),
    };
    if plan.model.is_some() {
        let cost = simulated(plan, &ended, began.elapsed());
        say(&cost);
        writer.remark(cost)?;
    }
    let refused = ended.refused;
    let runs = [store::load(&dir)?];
    if runs[0].cells.is_empty() {
        return Err(
            format!("all {} cells were refused; see `swapscale doctor`", refused.len()).into()
        );
    }
    progress::report(&args.format, &runs)?;
    after_refusals(plan, refused.len())
}

/// How long each cell of the plan takes.
pub fn each(plan: &Plan) -> String {
    match plan.precision {
        None => format!("of {:.4} s each", plan.measure.as_secs_f64()),
        Some(Precision { width, most_events }) => {
            let (percent, most) = (100.0 * width, most_events.0.get() as f64 / 1e6);
            format!("until each is known to {percent} % or has taken {most} M events")
        }
    }
}

/// The end of a run of which so many cells were refused.
pub fn after_refusals(plan: &Plan, refused: usize) -> Answer {
    match refused {
        1.. if plan.strict => {
            Err(format!("--strict: {refused} cells were refused, this machine is too noisy").into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The cost of the simulation, which is no part of the results.
fn simulated(plan: &Plan, ended: &Finished, took: Duration) -> String {
    let (events, handovers) = (ended.events as f64 / 1e6, ended.handovers as f64 / 1e6);
    let counted = plan.points.iter().any(|point| point.sites);
    let handovers =
        if counted { format!(" and {handovers:.2} M lock hand-overs") } else { String::new() };
    let (seconds, threads) = (took.as_secs_f64(), rayon::current_num_threads());
    format!(
        "simulated {events:.1} M events{handovers} in {seconds:.1} s on {threads} threads: {:.1} M \
         events/s",
        events / seconds
    )
}
