//! `swapscale selftest`: can the engine be believed on this machine?

use std::process::ExitCode;
use std::time::Duration;

use bench_harness::selftest;
use machine::topology::Topology;

use crate::Answer;

/// Exits with 1 when a check is broken
#[derive(clap::Args)]
pub struct Args {
    /// Time for the trials of the statistical checks: more of it finds smaller slowdowns
    #[arg(long, value_name = "S", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

pub fn run(args: &Args) -> Answer {
    let time = Duration::from_secs(args.seconds);
    let findings = selftest::run(&Topology::here()?, time, |finding| println!("{finding}"))?;
    let broken = findings.iter().filter(|finding| finding.broken()).count();
    println!("{} checks, {broken} broken", findings.len());
    Ok(ExitCode::from(u8::from(broken > 0)))
}
