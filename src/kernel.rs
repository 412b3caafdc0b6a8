//! `swapscale run --machine kernel` and `swapscale kernel`: the running kernel's own allocator.

use std::path::PathBuf;

#[cfg(not(target_os = "linux"))]
use {crate::Answer, crate::report::FormatArgs, bench_harness::plan::Options, std::path::Path};

/// Options of `swapscale run` for the live kernel alone.
#[derive(clap::Args)]
pub struct RunArgs {
    /// On the live kernel: a block device labelled swapscale to swap on, not a zram device
    #[arg(long, value_name = "DEV")]
    swap_device: Option<PathBuf>,
    /// On the live kernel: print what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

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
pub fn run(_: &RunArgs, _: Options, _: &Path, _: &FormatArgs) -> Answer {
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
    use std::path::{Path, PathBuf};
    use std::process::ExitCode;
    use std::time::Duration;

    use bench_harness::engine::Progress;
    use bench_harness::plan::Options;
    use bench_harness::plan::defaults::{self, Place};
    use bench_harness::units::Fill;
    use kernel::live::{self, Error, Workload};
    use machine::topology::Topology;
    use plots::{Cell, Matrix, Row, Section};
    use results::against::{Against, Column, against};
    use results::kernel::HUNT;
    use results::store;

    use super::{Command, Compare, Report, RunArgs};
    use crate::report::{FormatArgs, say_notes};
    use crate::{Answer, print, progress, say};

    /// `swapscale run --machine kernel`.
    pub fn run(args: &RunArgs, options: Options, out: &Path, format: &FormatArgs) -> Answer {
        let options = with_defaults(options)?;
        let label = options.label.clone().expect(FILLED);
        let resolved = resolve(args.swap_device.clone(), options)?;
        if args.dry_run {
            let would = live::dry_run(&resolved)?;
            print(&(would.join("\n") + "\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let command = crate::command_line();
        let (mut done, began) = (0, std::time::Instant::now());
        let (dir, summary) = live::record(&resolved, out, &label, &command, |all, cell| {
            done += 1;
            let hit = results::hit::hit(cell);
            let (key, result, hit) = (&cell.key, Ok(cell.ops_per_s), hit.as_deref());
            progress::show(began, Progress { done, all, share: None, key, result, hit });
        })?;
        summary.refused.iter().for_each(|why| say(format_args!("no figure: {why}")));
        let dir = dir.ok_or("every trial was refused")?;
        progress::report(format, &[store::load(&dir)?])?;
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
                    print("nothing to undo\n")?;
                }
                print(&undone.iter().map(|e| format!("undone: {e}\n")).collect::<String>())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Status => status(),
            // The controller reports errors; a worker only exits with a code.
            Command::Worker => Ok(live::worker_main().map_or(2.into(), |()| ExitCode::SUCCESS)),
        }
    }

    fn status() -> Answer {
        let running = live::running();
        let mut text = format!("kernel {}: scheme {}\n", running.name, running.scheme);
        match live::status(&live::directory())? {
            None => text += "nothing is recorded as made\n",
            Some((pid, entries)) => {
                text.extend(entries.iter().map(|e| format!("made by process {pid}: {e}\n")));
            }
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(args: &Report) -> Answer {
        let runs = results::lab::runs(store::load_all(&args.runs)?);
        say_notes(&runs);
        if runs.is_empty() {
            return Err("no run of the lab: expected directories that `swapscale lab` wrote".into());
        }
        // What the lab said while it ran is not in its runs.
        let report = results::lab::report(&runs, &[]);
        print(&crate::lab::write_report(&runs, &report, &args.out)?)?;
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
            say(args.out.join(format!("{stem}.png")).display());
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

    const FILLED: &str = "the table of defaults has it";

    /// The options with the live kernel's defaults, where it takes them all.
    fn with_defaults(given: Options) -> Result<Options, Error> {
        let taken: Vec<&str> = defaults::taken_by_kernel().collect();
        let words = serde_json::to_value(&given).expect("options are plain data");
        let other = |key: &&String| !taken.contains(&key.as_str());
        if let Some(key) = words.as_object().and_then(|words| words.keys().find(other)) {
            let taken: Vec<&str> = taken.into_iter().filter(|key| *key != "machine").collect();
            let taken = taken.join(", --");
            return Err(refused(&format!("--{key}"), &format!("the live kernel takes --{taken}")));
        }
        if given.size.len() > 1 || given.fill.len() > 1 {
            return Err(refused(
                "--size, --fill",
                &"a live run has one device: expected one value",
            ));
        }
        Ok(given.over(defaults::options(Place::Kernel)))
    }

    /// A live run's arguments from options that are all filled in.
    fn resolve(swap_device: Option<PathBuf>, options: Options) -> Result<live::Args, Error> {
        let workloads = options.workload.iter().map(|name| workload(name));
        let seconds = options.seconds.expect(FILLED);
        if !(0.05..=60.0).contains(&seconds) {
            return Err(refused("--seconds", &"expected 0.05 to 60"));
        }
        let topology = Topology::here().map_err(|error| Error::Refused(error.to_string()))?;
        let pin = options.pin.expect(FILLED);
        let cpus = pin.order(&topology).map_err(|error| refused("--pin", &error))?;
        let threads = options.threads.iter().flat_map(|t| t.expand(cpus.len()));
        Ok(live::Args {
            workloads: workloads.collect::<Result<_, _>>()?,
            threads: threads.map(|t| t as u32).collect(),
            batches: options.batch.iter().map(|batch| *batch as usize).collect(),
            trials: options.trials.expect(FILLED),
            interval: Duration::from_secs_f64(seconds),
            seed: options.seed.expect(FILLED),
            cpus,
            pin: pin.to_string(),
            size: options.size[0].bytes(),
            fill: match options.fill[0] {
                Fill::Percent(percent) => percent,
                size => return Err(refused("--fill", &format!("{size}: expected percent"))),
            },
            trace: true,
            swap_device,
        })
    }

    fn workload(name: &str) -> Result<Workload, Error> {
        if name == HUNT {
            let why = "it can lock up a CPU for good (docs/findings/steal-loop.md), so it runs in a \
                       guest only: swapscale lab --workload";
            return Err(refused("--workload", &format!("{name}: {why} {name}")));
        }
        let known = Workload::ALL.into_iter().find(|workload| workload.id() == name);
        known.ok_or_else(|| {
            let names = Workload::ALL.map(Workload::id).join(", ");
            refused("--workload", &format!("{name}: the live kernel runs {names}"))
        })
    }

    fn refused(option: &str, why: &dyn std::fmt::Display) -> Error {
        Error::Refused(format!("{option}: {why}"))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Without flags a live run is what `--help` says of the live kernel: each default is the
        /// last one that its line names.
        #[test]
        fn help_says_the_defaults_of_the_live_kernel() {
            let says = |option: &str| {
                let help = defaults::help(option).unwrap();
                let help = help.trim_start_matches("[default: ").trim_end_matches(']');
                help.rsplit("live kernel: ").next().unwrap().to_owned()
            };
            let options = with_defaults(Options::default()).unwrap();
            assert_eq!(options.label, Some(says("label")));
            let args = resolve(None, options).unwrap();
            let words = |all: Vec<String>| all.join(",");
            let ids = args.workloads.iter().map(|workload| workload.id().to_owned());
            let batches = args.batches.iter().map(usize::to_string);
            for (option, value) in [
                ("workload", words(ids.collect())),
                ("threads", words(args.threads.iter().map(u32::to_string).collect())),
                ("trials", args.trials.to_string()),
                ("seconds", args.interval.as_secs_f64().to_string()),
                ("seed", args.seed.to_string()),
                ("pin", args.pin),
                ("size", format!("{}GiB", args.size >> 30)),
                ("fill", args.fill.to_string()),
                ("batch", words(batches.collect())),
            ] {
                assert_eq!(value, says(option), "--{option}");
            }
        }
    }
}
