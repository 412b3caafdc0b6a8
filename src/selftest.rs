//! `swapscale selftest`: can the engine be believed on this machine?

use std::process::ExitCode;
use std::time::Duration;

use machine::topology::Topology;
use studies::selftest::{self, Finding};

use crate::{Answer, print};

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
    let findings = selftest::run(&Topology::here()?, time, |finding| {
        // A reader that is gone is met again by the last line.
        let _ = print(&format!("{finding}\n"));
    })?;
    let broken = broken(&findings);
    print(&format!("{} checks, {broken} broken\n", findings.len()))?;
    Ok(ExitCode::from(u8::from(broken > 0)))
}

fn broken(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.broken()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A check that a machine cannot decide is no failure; a broken one is.
    #[test]
    fn only_what_is_broken_fails() {
        let finding = |held| Finding { check: "x", held, figure: String::new(), curve: Vec::new() };
        assert_eq!(broken(&[finding(Some(true)), finding(None)]), 0);
        assert_eq!(broken(&[finding(Some(true)), finding(Some(false))]), 1);
    }
}
