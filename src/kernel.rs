//! `swapscale run --machine kernel` and `swapscale kernel`: the running kernel's own allocator.

use std::path::PathBuf;

#[cfg(not(target_os = "linux"))]
use {crate::Answer, bench_harness::plan::Options};

/// The recorded state of this machine.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Hold kernels against the variants that model them, with runs of both
    Compare(Compare),
    /// Write the lab's report anew from its runs
    Report(Report),
    /// Undo what a run that was killed has left behind
    Cleanup,
    /// Show what is recorded as made, and the kernel's scheme
    Status,
    /// A worker process of a run; started by it
    #[command(hide = true)]
    Worker,
}

/// What `swapscale kernel compare` is given.
#[derive(clap::Args)]
pub struct Compare {
    /// Directories of runs: of kernels (live or lab), and of models (native, simulated)
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the tables (.md, .txt) and charts go
    #[arg(long, default_value = "plots-out")]
    out: PathBuf,
}

/// What `swapscale kernel report` is given.
#[derive(clap::Args)]
pub struct Report {
    /// Directories of the lab's runs, the kernel before first; other runs beside them are left out
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where the report (lab.txt, lab.md, lab.html) and its charts go
    #[arg(long, default_value = "plots-out")]
    out: PathBuf,
}

#[cfg(target_os = "linux")]
pub use linux::{main, run};

#[cfg(not(target_os = "linux"))]
pub fn run(_: &crate::run::Args, _: Options) -> Answer {
    not_linux()
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: &Command) -> Answer {
    not_linux()
}

#[cfg(not(target_os = "linux"))]
fn not_linux() -> Answer {
    Err(format!("the live kernel must be Linux; this is {}", std::env::consts::OS).into())
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::process::ExitCode;
    use std::time::Duration;

    use bench_harness::engine::Progress;
    use bench_harness::plan::Options;
    use bench_harness::units::{Fill, Size};
    use kernel::live::{self, Error, Workload};
    use machine::topology::{Pin, Topology};
    use plots::{Cell, Matrix, Row, Section};
    use results::against::{Against, Column, against};
    use results::store;

    use super::{Command, Compare, Report};
    use crate::report::say_notes;
    use crate::{Answer, print, run};

    /// `swapscale run --machine kernel`.
    pub fn run(request: &run::Args, options: Options) -> Answer {
        let label = options.label.clone().unwrap_or_else(|| "kernel".into());
        let args = resolve(request, options)?;
        if request.dry_run {
            let would = live::dry_run(&args)?;
            print(&(would.join("\n") + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let command = crate::command_line();
        let mut done = 0;
        let (dir, summary) = live::record(&args, &request.out, &label, &command, |all, cell| {
            done += 1;
            let hit = results::hit::hit(cell);
            let (key, result, hit) = (&cell.key, Ok(cell.ops_per_s), hit.as_deref());
            run::show(Progress { done, all, key, result, hit });
        })?;
        summary.refused.iter().for_each(|why| eprintln!("no figure: {why}"));
        let dir = dir.ok_or("every trial was refused")?;
        run::say(request, &[store::load(&dir)?])?;
        Ok(ExitCode::SUCCESS)
    }

    /// `swapscale kernel`.
    pub fn main(command: &Command) -> Answer {
        match command {
            Command::Compare(args) => compare(args),
            Command::Report(args) => report(args),
            Command::Cleanup => {
                let undone = live::cleanup()?;
                if undone.is_empty() {
                    println!("nothing to undo");
                }
                undone.iter().for_each(|entry| println!("undone: {entry}"));
                Ok(ExitCode::SUCCESS)
            }
            Command::Status => status(),
            // What goes wrong the controller says; a worker alone has nobody to tell.
            Command::Worker => Ok(live::worker_main().map_or(2.into(), |()| ExitCode::SUCCESS)),
        }
    }

    fn status() -> Answer {
        let running = live::running();
        println!("kernel {}: scheme {}", running.name, running.scheme);
        match live::status(&live::directory())? {
            None => println!("nothing is recorded as made"),
            Some((pid, entries)) => {
                entries.iter().for_each(|entry| println!("made by process {pid}: {entry}"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn report(args: &Report) -> Answer {
        let runs = results::lab::runs(store::load_all(&args.runs)?);
        say_notes(&runs);
        if runs.is_empty() {
            return Err("no run of the lab: expected directories that `swapscale lab` wrote".into());
        }
        // What the lab said while it ran is not in its runs.
        print(&crate::lab::write_report(&runs, &[], &args.out)?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn compare(args: &Compare) -> Answer {
        let runs = store::load_all(&args.runs)?;
        say_notes(&runs);
        for against in against(&runs)? {
            let stem = against.stem();
            plots::matrix(&matrix(&against), &args.out, &stem)?;
            let document = against.document();
            let mail = document.mail();
            for (extension, text) in [("md", &document.markdown()), ("txt", &mail)] {
                let path = args.out.join(format!("{stem}.{extension}"));
                fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            print(&mail)?;
            eprintln!("{}", args.out.join(format!("{stem}.png")).display());
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The chart of a comparison.
    fn matrix(against: &Against) -> Matrix {
        let row = |label: &str, cell: &dyn Fn(&Column) -> Cell| Row {
            label: label.into(),
            cells: against.columns.iter().map(cell).collect(),
        };
        let site = |site: &String| {
            row(site, &|column| match column.shares.get(site) {
                Some(share) => {
                    Cell::Share { value: share.all, least: share.least, most: share.most }
                }
                None => Cell::Word("none".into()),
            })
        };
        let step = |step: &String| {
            row(step, &|column| match against.step(column, step) {
                Ok(value) => Cell::Share { value, least: value, most: value },
                Err(word) => Cell::Word(word.into()),
            })
        };
        let mut sections = vec![Section {
            name: "Contended acquisitions by call site".into(),
            rows: against.sites.iter().map(site).collect(),
        }];
        if !against.steps.is_empty() {
            sections.push(Section {
                name: "Time of swapoff by step".into(),
                rows: against.steps.iter().map(step).collect(),
            });
        }
        let contended = |column: &Column| format!("{}: {}", column.name, column.contended);
        let contended: Vec<String> = against.columns.iter().map(contended).collect();
        let note = "Bars: share of all trials together; black: least to most of the trials.";
        Matrix {
            title: format!("{} against the kernel", against.scheme),
            subtitle: format!("{}; contended, in all: {}", against.workload, contended.join(", ")),
            small_print: [vec![note.into()], against.remarks()].concat(),
            columns: against.columns.iter().map(|column| column.name.clone()).collect(),
            sections,
        }
    }

    /// What of a plan's options says something to the live kernel.
    const TAKEN: [&str; 11] = [
        "machine", "workload", "threads", "trials", "seconds", "seed", "pin", "size", "fill",
        "batch", "label",
    ];

    /// The kernel's own defaults are smaller: its pages are real ones, and some workers are slow.
    fn resolve(request: &run::Args, mut options: Options) -> Result<live::Args, Error> {
        let given = serde_json::to_value(&options).expect("options are plain data");
        let other = |key: &&String| !TAKEN.contains(&key.as_str());
        if let Some(key) = given.as_object().and_then(|given| given.keys().find(other)) {
            let taken = TAKEN[1..].join(", --");
            return Err(refused(&format!("--{key}"), &format!("the live kernel takes --{taken}")));
        }
        if options.size.len() > 1 || options.fill.len() > 1 {
            return Err(refused(
                "--size, --fill",
                &"a live run has one device: expected one value",
            ));
        }
        if options.workload.is_empty() {
            options.workload = ["churn", "seq", "build", "swapoff"].map(str::to_owned).into();
        }
        let workloads = options.workload.iter().map(|name| workload(name));
        let seconds = options.seconds.unwrap_or(0.5);
        if !(0.05..=60.0).contains(&seconds) {
            return Err(refused("--seconds", &"expected 0.05 to 60"));
        }
        if options.batch.is_empty() {
            options.batch = vec![1, 16, 512];
        }
        let topology = Topology::here().map_err(|error| Error::Refused(error.to_string()))?;
        let pin = options.pin.unwrap_or(Pin::Compact);
        let cpus = pin.order(&topology).map_err(|error| refused("--pin", &error))?;
        let threads = options.threads.iter().flat_map(|t| t.expand(cpus.len()));
        let threads: Vec<u32> = threads.map(|t| t as u32).collect();
        Ok(live::Args {
            workloads: workloads.collect::<Result<_, _>>()?,
            threads: if threads.is_empty() { vec![1, 2] } else { threads },
            batches: options.batch.iter().map(|batch| *batch as usize).collect(),
            trials: options.trials.unwrap_or(3),
            interval: Duration::from_secs_f64(seconds),
            seed: options.seed.unwrap_or(1),
            cpus,
            pin: pin.to_string(),
            size: options.size.first().copied().unwrap_or(Size::mib(1024)).bytes(),
            fill: match options.fill.first() {
                None => 25,
                Some(Fill::Percent(percent)) => *percent,
                Some(size) => return Err(refused("--fill", &format!("{size}: expected percent"))),
            },
            trace: true,
            swap_device: request.swap_device.clone(),
        })
    }

    fn workload(name: &str) -> Result<Workload, Error> {
        let known = Workload::ALL.into_iter().find(|workload| workload.id() == name);
        known.ok_or_else(|| {
            let names = Workload::ALL.map(Workload::id).join(", ");
            refused("--workload", &format!("{name}: the live kernel runs {names}"))
        })
    }

    fn refused(option: &str, why: &dyn std::fmt::Display) -> Error {
        Error::Refused(format!("{option}: {why}"))
    }
}
