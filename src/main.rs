//! The `swapscale` command: one file per subcommand, thin over the crates. Guards the exit code: 0
//! for success, 1 for a negative answer (a regression, a broken invariant, a fault that escaped),
//! and 2 for bad input or an environment that cannot do it, after one line that says what was
//! expected. Nothing in it prints by `println!` or `eprintln!`, which panic where the reader has gone
//! or the disk is full.
#![warn(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod baseline;
mod calibrate;
mod check;
mod compare;
mod completions;
mod doctor;
mod kernel;
#[cfg(target_os = "linux")]
mod lab;
mod list;
mod plot;
mod progress;
mod report;
mod run;
mod selftest;
mod timeline;
mod validate;

/// The command as it was given, without the path that this program was started by.
fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("swapscale".into()).chain(arguments).collect::<Vec<String>>().join(" ")
}

/// Starts the threads that explorations, cells of a model and charts share. Rayon panics where it
/// cannot start them itself.
fn start_pool() -> Result<(), Box<dyn Error>> {
    let started = rayon::ThreadPoolBuilder::new().build_global();
    let limits = "the limit is ulimit -u, pids.max of the control group, or memory";
    Ok(started.map_err(|error| format!("threads cannot be started: {error}; {limits}"))?)
}

/// The end of a subcommand: its exit code, or why it could not do its work.
type Answer = Result<ExitCode, Box<dyn Error>>;

/// Columns of help where no terminal says otherwise, and at most: a wider line is not read.
const WIDTH: usize = 80;

/// Lock-scaling benchmark and visualization suite for the Linux swap allocator
#[derive(Parser)]
#[command(version, arg_required_else_help = true, max_term_width = WIDTH)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List machines, variants, locks and workloads
    List(list::Args),
    /// Run workloads and record a run
    Run(Box<run::Args>),
    /// Show the figures of runs as a table
    Report(report::Args),
    /// Draw charts and the report page of runs
    Plot(plot::Args),
    /// Compare two runs, point by point; with --fail-on, exit with 1 if the new one is worse
    Compare(compare::Args),
    /// Explore the schemes under a model checker: can they go wrong, and how
    Check(check::Args),
    /// Measure this machine and write a model of it
    Calibrate(calibrate::Args),
    /// Predict published experiments and hold them against their measurements
    Validate(validate::Args),
    /// Show what spoils measurements on this machine
    Doctor(doctor::Args),
    /// Check that the engine can be believed here: look for its own faults, each with a figure
    Selftest(selftest::Args),
    /// Boot kernels before and after a change in QEMU, and compare them
    #[cfg(target_os = "linux")]
    Lab(lab::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Show and undo what a run on the live kernel has made
    #[command(subcommand)]
    Kernel(kernel::Command),
}

fn main() -> ExitCode {
    let (commit, dirty) = (env!("SWAPSCALE_COMMIT"), env!("SWAPSCALE_DIRTY"));
    probe::commit::built(commit, dirty, env!("CARGO_MANIFEST_DIR"));
    #[cfg(target_os = "linux")]
    if lab::is_guest() {
        lab::guest();
    }
    let answer = match parse().command {
        Command::List(args) => list::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Plot(args) => start_pool().and_then(|()| plot::run(&args)),
        Command::Compare(args) => compare::run(&args),
        Command::Check(args) => start_pool().map(|()| check::run(&args)),
        Command::Doctor(args) => doctor::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Validate(args) => start_pool().and_then(|()| validate::run(&args)),
        Command::Completions(args) => completions::run(&args),
        Command::Run(args) => run::run(*args),
        #[cfg(target_os = "linux")]
        Command::Lab(args) => start_pool().and_then(|()| lab::run(&args)),
        Command::Kernel(command) => kernel::main(&command),
    };
    answer.unwrap_or_else(|error| {
        say(format_args!("swapscale: {error}"));
        ExitCode::from(2)
    })
}

/// The command, its help complete.
fn command() -> clap::Command {
    Cli::command().mut_subcommand("run", run::with_defaults)
}

/// The command line. An error in it is one line on standard error.
fn parse() -> Cli {
    let matches = command().try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).unwrap_or_else(|error| {
        if error.exit_code() == 0 || error.kind() == DisplayHelpOnMissingArgumentOrSubcommand {
            error.exit();
        }
        let text = error.to_string();
        let what = text.split("\n\nUsage:").next().unwrap_or_default();
        let what = what.split("\n\nFor more information").next().unwrap_or_default();
        let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
        say(format_args!("swapscale: {}", line.trim_start_matches("error: ")));
        std::process::exit(2)
    })
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<(), Box<dyn Error>> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("standard output: {error}").into())
        }
        _ => Ok(()),
    }
}

/// Writes a line to standard error. Where nobody reads it or the disk is full, the work goes on: its
/// results are elsewhere.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
