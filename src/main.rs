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

use results::tables::terminal::WIDTH;
use results::tables::text::wrap;

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

/// `text` without a line wider than [`WIDTH`]: wrapped between words, further to the right than the line
/// itself begins.
fn narrow(text: &str) -> String {
    let wrapped = |line: &str| {
        let begins = line.len() - line.trim_start().len();
        wrap(line, WIDTH, &" ".repeat(begins + 2)).join("\n") + "\n"
    };
    text.lines()
        .map(|line| if line.len() > WIDTH { wrapped(line) } else { line.to_owned() + "\n" })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Help of every command, and of its subcommands.
    fn helps(command: &mut clap::Command, path: &str) -> Vec<(String, clap::Command, [String; 2])> {
        let texts =
            [command.render_help(), command.render_long_help()].map(|text| text.to_string());
        let mut all = vec![(path.to_owned(), command.clone(), texts)];
        for sub in command.get_subcommands_mut() {
            let path = format!("{path} {}", sub.get_name());
            all.extend(helps(sub, &path));
        }
        all
    }

    /// Nothing is wider than a terminal, and no option, value or word of help is broken.
    #[test]
    fn help_fits_and_breaks_no_word() {
        let mut command = command();
        command.build();
        let all = helps(&mut command, "swapscale");
        assert!(all.len() > 13);
        let both = all.iter().flat_map(|(path, command, texts)| {
            [false, true].map(|long| (path, command, &texts[usize::from(long)], long))
        });
        for (path, command, text, is_long) in both {
            let words: Vec<&str> = text.split_whitespace().collect();
            let has = |word: &str| assert!(words.contains(&word), "{path}: {word} in\n{text}");
            text.lines().for_each(|line| assert!(line.chars().count() <= WIDTH, "{path}: {line}"));
            for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let long = arg.get_long().map(|long| format!("--{long}"));
                assert!(long.is_none_or(|long| text.contains(&long)), "{path}: {arg}");
                let help = arg.get_long_help().filter(|_| is_long).or(arg.get_help());
                let help = help.map(ToString::to_string).unwrap_or_default();
                help.split_whitespace().for_each(has);
            }
        }
    }

    #[test]
    fn a_long_line_is_wrapped_below_its_beginning() {
        let line = format!("  {}\n", "word ".repeat(30).trim_end());
        let text = narrow(&line);
        assert!(
            text.lines().count() == 2 && text.lines().all(|line| line.len() <= WIDTH),
            "{text}"
        );
        assert!(text.lines().nth(1).unwrap().starts_with("    word"), "{text}");
        assert_eq!(narrow("short\n\n  a  b\n"), "short\n\n  a  b\n");
    }
}
