//! `swapscale run --machine kernel` and `swapscale kernel`: the running kernel's own allocator.

use std::path::PathBuf;
#[cfg(not(target_os = "linux"))]
use std::process::ExitCode;

/// What to run on the live kernel.
#[derive(clap::Args)]
pub struct Run {
    /// The machine: kernel, the running one
    #[arg(long, value_parser = ["kernel"])]
    pub machine: String,
    /// churn, seq, build, mthp, swapoff
    #[arg(long, value_delimiter = ',', default_value = "churn,seq,build,swapoff")]
    pub workload: Vec<String>,
    /// Numbers of worker processes
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    pub threads: Vec<u32>,
    /// Pages in one call, where the workload leaves it open
    #[arg(long, value_delimiter = ',', default_value = "1,16,512")]
    pub batch: Vec<usize>,
    /// Trials of every point, interleaved
    #[arg(long, default_value_t = 3)]
    pub trials: u32,
    /// Measured seconds of one trial
    #[arg(long, default_value_t = 0.5)]
    pub seconds: f64,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// compact, spread, smt-last, or a list of CPUs
    #[arg(long, default_value = "compact")]
    pub pin: String,
    /// Percent of the device in use
    #[arg(long, default_value_t = 25)]
    pub fill: u32,
    /// MiB of the zram device made for the run
    #[arg(long, default_value_t = 1024)]
    pub size_mib: u64,
    /// A block device to swap on instead, labelled with `mkswap -L swapscale`
    #[arg(long)]
    pub swap_device: Option<PathBuf>,
    /// Where the run's directory is made
    #[arg(long, default_value = "results/local")]
    pub out: PathBuf,
    /// What the run is called
    #[arg(long, default_value = "kernel")]
    pub label: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

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
pub fn run(_: &Run) -> ExitCode {
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
    use machine::topology::{Pin, Topology};

    use super::{Command, Run};

    /// `swapscale run --machine kernel`.
    pub fn run(request: &Run) -> ExitCode {
        ending(resolve(request).and_then(|args| {
            if request.dry_run {
                live::dry_run(&args)?.iter().for_each(|line| println!("{line}"));
                return Ok(());
            }
            let command = std::env::args().collect::<Vec<_>>().join(" ");
            let (dir, summary) = live::record(&args, &request.out, &request.label, &command)?;
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

    fn resolve(request: &Run) -> Result<live::Args, Error> {
        let topology = Topology::here().map_err(|error| Error::Refused(error.to_string()))?;
        let pin: Pin = request.pin.parse().map_err(|error| refused("--pin", &error))?;
        let cpus = pin.order(&topology).map_err(|error| refused("--pin", &error))?;
        let workloads = request.workload.iter().map(|name| workload(name));
        if !(0.05..=60.0).contains(&request.seconds) {
            return Err(refused("--seconds", &"expected 0.05 to 60"));
        }
        Ok(live::Args {
            workloads: workloads.collect::<Result<_, _>>()?,
            threads: request.threads.clone(),
            batches: request.batch.clone(),
            trials: request.trials,
            interval: Duration::from_secs_f64(request.seconds),
            seed: request.seed,
            cpus,
            pin: request.pin.clone(),
            size: request.size_mib << 20,
            fill: request.fill,
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
