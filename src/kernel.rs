//! `swapscale run --machine kernel` and `swapscale kernel`: the running kernel's own allocator.

#[cfg(not(target_os = "linux"))]
use {bench_harness::plan::Options, std::process::ExitCode};

/// The recorded state of this machine.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Undo what a run that was killed has left behind
    Cleanup,
    /// Show what is recorded as made, and the kernel's scheme
    Status,
    /// A worker process of a run; started by it
    #[command(hide = true)]
    Worker,
}

#[cfg(target_os = "linux")]
pub use linux::{main, run};

#[cfg(not(target_os = "linux"))]
pub fn run(_: &crate::run::Args, _: Options) -> ExitCode {
    not_linux()
}

#[cfg(not(target_os = "linux"))]
pub fn main(_: &Command) -> ExitCode {
    not_linux()
}

#[cfg(not(target_os = "linux"))]
fn not_linux() -> ExitCode {
    eprintln!("swapscale: the live kernel must be Linux; this is {}", std::env::consts::OS);
    ExitCode::from(2)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::process::ExitCode;
    use std::time::Duration;

    use bench_harness::live::{self, Error, Workload};
    use bench_harness::plan::{Fill, Options, Size};
    use machine::topology::{Pin, Topology};

    use super::Command;
    use crate::run;

    /// `swapscale run --machine kernel`.
    pub fn run(request: &run::Args, options: Options) -> ExitCode {
        let label = options.label.clone().unwrap_or_else(|| "kernel".into());
        ending(resolve(request, options).and_then(|args| {
            if request.dry_run {
                live::dry_run(&args)?.iter().for_each(|line| println!("{line}"));
                return Ok(());
            }
            let command = std::env::args().collect::<Vec<_>>().join(" ");
            let (dir, summary) = live::record(&args, &request.out, &label, &command)?;
            summary.refused.iter().for_each(|why| eprintln!("no figure: {why}"));
            let dir = dir.ok_or_else(|| Error::Refused("every trial was refused".into()))?;
            println!("{}", dir.display());
            Ok(())
        }))
    }

    /// `swapscale kernel`.
    pub fn main(command: &Command) -> ExitCode {
        ending(match command {
            Command::Cleanup => live::cleanup().map(|undone| {
                if undone.is_empty() {
                    println!("nothing to undo");
                }
                undone.iter().for_each(|entry| println!("undone: {entry}"));
            }),
            Command::Status => status(),
            Command::Worker => return worker(),
        })
    }

    fn status() -> Result<(), Error> {
        let running = live::running();
        println!("kernel {}: scheme {}", running.name, running.scheme);
        match live::status(&live::directory())? {
            None => println!("nothing is recorded as made"),
            Some((pid, entries)) => {
                entries.iter().for_each(|entry| println!("made by process {pid}: {entry}"));
            }
        }
        Ok(())
    }

    fn worker() -> ExitCode {
        match live::worker_main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(2),
        }
    }

    fn ending(result: Result<(), Error>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("swapscale: {error}");
                ExitCode::from(2)
            }
        }
    }

    /// The kernel's own defaults are smaller: its pages are real ones, and some workers are slow.
    fn resolve(request: &run::Args, mut options: Options) -> Result<live::Args, Error> {
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
