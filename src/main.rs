//! The `swapscale` command: one module for each subcommand, thin over the libraries.

use std::process::ExitCode;

use clap::Parser;

mod check;
mod doctor;
mod kernel;

/// Measure, predict and check the locking schemes of the Linux swap allocator
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Explore the schemes under a model checker: can they go wrong, and how
    Check(check::Args),
    /// What about this machine spoils measurements
    Doctor(doctor::Args),
    /// Run workloads and record a run
    Run(Box<kernel::Run>),
    /// What a run on the live kernel has made, and how to undo it
    #[command(subcommand)]
    Kernel(kernel::Command),
}

fn main() -> ExitCode {
    match Command::parse() {
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Run(args) => kernel::run(&args),
        Command::Kernel(command) => kernel::main(&command),
    }
}
