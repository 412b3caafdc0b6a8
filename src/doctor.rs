//! `swapscale doctor`: what about this machine spoils measurements, before anyone measures.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use bench_harness::probe::{Roots, doctor};
use machine::topology::Topology;

#[derive(clap::Args)]
pub struct Args {
    /// The findings as a JSON array
    #[arg(long)]
    json: bool,
    /// Exit with 1 when something bends the figures
    #[arg(long)]
    strict: bool,
}

pub fn run(args: &Args) -> ExitCode {
    let topology = match Topology::here() {
        Ok(topology) => topology,
        Err(error) => {
            eprintln!("swapscale doctor: {error}");
            return ExitCode::from(2);
        }
    };
    let trial = doctor::Trial::here(&topology);
    let findings = doctor::examine(&Roots::default(), &topology, &trial);
    let text = if args.json {
        serde_json::to_string_pretty(&findings).expect("findings are plain data") + "\n"
    } else {
        doctor::Text(&findings).to_string()
    };
    // A reader that has seen enough (`| head`) is no error.
    if let Err(error) = io::stdout().write_all(text.as_bytes())
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("swapscale doctor: standard output: {error}");
        return ExitCode::from(2);
    }
    let bent = findings.iter().any(|f| f.severity == doctor::Severity::Warn);
    if args.strict && bent { ExitCode::from(1) } else { ExitCode::SUCCESS }
}
