//! `swapscale validate`: how good the simulated machine's predictions are.

#[cfg(target_os = "linux")]
mod live;

use std::cell::OnceCell;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench_harness::engine::Progress;
use clap::ValueEnum;
use machine::topology::Topology;
use results::schema::Reading;
use results::validation::{Section, Validation};
use studies::validate::kernel_build::{self, Fit};
use studies::validate::{Curves, Data, Hosts, host, list, report, section, steps};

use crate::progress::Steps;
use crate::{Answer, print, say};

/// Without options: every published experiment, and this host; all but `live`
#[derive(clap::Args)]
pub struct Args {
    /// Which experiments: lockhammer's lock curves on the hosts that the model was made with, those of
    /// the hosts that came after it, LLFree's lists, the lock series' kernel build, what each
    /// published step was worth, this host against a model calibrated on it, the running kernel's
    /// pages against the model at this machine's prices (live: only where it is named; makes a zram
    /// device and a cgroup, and needs Linux and root)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME,..")]
    only: Vec<Experiment>,
    /// Directory for validation.json, charts and this host's runs
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run nothing: draw tables and charts (in --out, or in DIR) of what an earlier --out has left
    #[arg(long, value_name = "DIR", conflicts_with_all = ["only", "data"])]
    redraw: Option<PathBuf>,
    /// Measurements in lockhammer's columns: host, lock, critical, parallel, threads, median_ns_per_op
    #[arg(long, requires = "topology", conflicts_with = "only")]
    data: Option<PathBuf>,
    /// TOML: host.NAME with topology (packages, cores, smt ..) or model, pins, remote-ns ..; see
    /// docs/simulator.md
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

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Experiment {
    Curves,
    Blind,
    Lists,
    KernelBuild,
    Steps,
    Host,
    // It makes devices on the machine, so it is never run unless it is named.
    Live,
}

/// Which figures are fitted, chosen or predicted.
const RULES: &str = "\
fitted: the lines above, from empty, incdec_refcount and one-thread rows alone
chosen with sight of the published curves of x86-1 and x86-2: the cost model's structure and its
figures read-latency, read-occupancy, nearest-first, stay and pause; x86-1's latency between dies
predicted: every curve below; no constant was fitted on a row of these locks with 2 threads or more
";
/// Where the hosts that came after the model stand.
const SEEN_SINCE: &str = "x86-3, x86-4: not seen by anybody who wrote the model until commit 46cf0f2 \
    was judged by them; seen since";
const LOCKHAMMER: &str = "lockhammer's data set (ARM-software/synchronization-benchmarks, \
    BSD-3-Clause, Arm Limited), medians of 9 runs";

pub fn run(args: &Args) -> Answer {
    if let Some(dir) = &args.redraw {
        let validation = Validation::read(dir)?;
        for section in &validation.sections {
            tell(&(section.table() + "\n"))?;
        }
        return drawn(&validation, args.out.as_ref().unwrap_or(dir));
    }
    let all = Experiment::value_variants();
    let wanted: Vec<Experiment> = match (&args.data, args.only.as_slice()) {
        (Some(_), _) => vec![Experiment::Curves],
        (None, []) => all.iter().copied().filter(|e| *e != Experiment::Live).collect(),
        (None, only) => only.to_vec(),
    };
    let (mut sections, fit) = (Vec::new(), OnceCell::new());
    for experiment in all.iter().filter(|e| wanted.contains(e)) {
        if wanted.len() > 1 {
            say(format_args!("validate: {}", name(*experiment)));
        }
        let section = match experiment {
            Experiment::Curves | Experiment::Blind => curves(args, *experiment)?,
            Experiment::Lists => list::section()?,
            Experiment::KernelBuild => kernel_build::section(build(&fit)?)?,
            Experiment::Steps => steps::section(build(&fit)?)?,
            Experiment::Host => this_host(args.out.as_deref())?,
            Experiment::Live => running_kernel(args.out.as_deref())?,
        };
        if !matches!(experiment, Experiment::Curves | Experiment::Blind) {
            tell(&(section.table() + "\n"))?;
        }
        sections.push(section);
    }
    let Some(out) = &args.out else {
        say("charts and figures to keep: the same with --out DIR");
        return Ok(ExitCode::SUCCESS);
    };
    let validation = Validation { command: crate::command_line(), commit: commit(), sections };
    validation.write(out)?;
    drawn(&validation, out)
}

/// As --only calls it.
fn name(experiment: Experiment) -> String {
    let value = experiment.to_possible_value().expect("every experiment has a name");
    value.get_name().to_owned()
}

/// Text for a person on a terminal; anywhere else it is kept, and its lines are what they are.
fn tell(text: &str) -> Result<(), Box<dyn std::error::Error>> {
    match std::io::stdout().is_terminal() {
        true => print(&crate::narrow(text)),
        false => print(text),
    }
}

fn drawn(validation: &Validation, out: &Path) -> Answer {
    let files = plots::validation(validation, out)?;
    let svg = files.iter().filter(|file| file.extension().is_some_and(|e| e == "svg"));
    print(&svg.map(|file| format!("{}\n", file.display())).collect::<String>())?;
    let dir = out.display();
    say(format_args!("to draw them again without running: swapscale validate --redraw {dir}"));
    Ok(ExitCode::SUCCESS)
}

/// The fit that two experiments need, made once.
fn build(fit: &OnceCell<Fit>) -> Result<&Fit, String> {
    if fit.get().is_none() {
        let _ = fit.set(kernel_build::fit()?);
    }
    Ok(fit.get().expect("just made"))
}

/// Lock curves, published ones or the user's, with a report of their own.
fn curves(args: &Args, which: Experiment) -> Result<Section, Box<dyn std::error::Error>> {
    let read = |path: &PathBuf| {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
        Ok::<_, String>((name, text))
    };
    let (data, hosts, fit) = match (&args.data, &args.topology) {
        (Some(data), Some(topology)) => (read(data)?, read(topology)?, args.fit),
        _ => {
            let published = if which == Experiment::Blind { &Curves::BLIND } else { &Curves::SEEN };
            let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
            (own(published.data), own(published.hosts), true)
        }
    };
    let measured = Data::parse(&data.0, &data.1)?;
    tell(&measured.notes())?;
    let known = Hosts::parse(&hosts.0, &hosts.1)?;
    let (mut verdicts, mut notes) = (Vec::new(), Vec::new());
    for name in measured.hosts() {
        let mut host = known.host(&hosts.0, &name, &measured)?;
        if fit {
            host.fit()?;
        }
        notes.append(&mut host.constants);
        let seen = Steps::new(format!("{name}: points of its curves"));
        verdicts.extend(host.judge(args.max_threads, |done, all| seen.at(done, all))?);
    }
    if which == Experiment::Blind {
        notes.push(SEEN_SINCE.into());
    }
    tell(&notes.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    tell(RULES)?;
    tell(&(report(&verdicts) + "\n"))?;
    let source = if args.data.is_some() { &data.0 } else { LOCKHAMMER };
    let id = if which == Experiment::Blind { "blind" } else { "curves" };
    Ok(section(id, &verdicts, source, notes))
}

/// Leaves its two runs in `out`, or nothing.
fn this_host(out: Option<&Path>) -> Result<Section, Box<dyn std::error::Error>> {
    let show = |progress: Progress| {
        if progress.done.is_multiple_of(20) || progress.done == progress.all {
            let Progress { done, all, key, .. } = progress;
            crate::say(format_args!("[{done}/{all}] {}", key.machine));
        }
    };
    Ok(host::section(&Topology::here()?, out, show)?)
}

/// Leaves its prices and its run in `out`, or nothing.
#[cfg(target_os = "linux")]
fn running_kernel(out: Option<&Path>) -> Result<Section, Box<dyn std::error::Error>> {
    live::section(out)
}

#[cfg(not(target_os = "linux"))]
fn running_kernel(_: Option<&Path>) -> Result<Section, Box<dyn std::error::Error>> {
    let here = std::env::consts::OS;
    Err(format!("validate --only live: expected Linux; this is {here}").into())
}

/// The commit that the program was built from; with a plus where the tree had changes.
fn commit() -> Reading<String> {
    let (commit, dirty) = probe::commit::of_this_program();
    let dirty = dirty.known() == Some(&true);
    commit.and_then(|commit| Ok(if dirty { commit + "+" } else { commit }))
}
