//! `swapscale doctor`: what about this machine spoils measurements, before anyone measures.

use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::AnsiColor;
use machine::topology::Topology;
use probe::{Roots, doctor};

use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Print the findings as a JSON array
    #[arg(long)]
    json: bool,
    /// Exit with 1 when something distorts measurements
    #[arg(long)]
    strict: bool,
}

const WARN: &str = "WARN";

/// What must be set right stands out on a terminal; anywhere else, and with NO_COLOR, the text is plain.
fn coloured(text: &str) -> String {
    if AutoStream::choice(&std::io::stdout()) == ColorChoice::Never {
        return text.to_owned();
    }
    let style = AnsiColor::Red.on_default().bold();
    text.lines()
        .map(|line| match line.strip_prefix(WARN) {
            Some(rest) => format!("{style}{WARN}{style:#}{rest}\n"),
            None => format!("{line}\n"),
        })
        .collect()
}

pub fn run(args: &Args) -> Answer {
    let topology = Topology::here()?;
    let trial = doctor::Trial::here(&topology);
    let findings = doctor::examine(&Roots::default(), &topology, &trial);
    print(&if args.json {
        serde_json::to_string_pretty(&findings)? + "\n"
    } else {
        coloured(&doctor::Text(&findings).to_string())
    })?;
    let bent = findings.iter().any(|f| f.severity == doctor::Severity::Warn);
    Ok(ExitCode::from(u8::from(args.strict && bent)))
}
