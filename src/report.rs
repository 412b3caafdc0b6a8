//! `swapscale report`: the figures of runs as a table, in one of several formats.

use std::path::PathBuf;
use std::process::ExitCode;

use results::metric::Metric;
use results::report::{Report, sides};
use results::store::{self, Loaded};
use results::tables::{Csv, Format, Json, Mail, Markdown, Terminal};

use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs; of several, the first is the base
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What is reported, as throughput or p99:alloc
    #[arg(long, default_value = "throughput")]
    metric: Metric,
    /// Of a single run: the variant that the others are compared with
    #[arg(long)]
    base: Option<String>,
    /// Of a single run: compare each variant with the one before it, in the plan's order
    #[arg(long, conflicts_with = "base")]
    steps: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(clap::Args)]
#[group(multiple = false)]
pub struct FormatArgs {
    /// 72 columns of ASCII, for a patch discussion
    #[arg(long)]
    mail: bool,
    #[arg(long)]
    markdown: bool,
    #[arg(long)]
    json: bool,
    #[arg(long)]
    csv: bool,
}

impl FormatArgs {
    pub fn chosen(&self) -> Box<dyn Format> {
        match self {
            Self { mail: true, .. } => Box::new(Mail),
            Self { markdown: true, .. } => Box::new(Markdown),
            Self { json: true, .. } => Box::new(Json),
            Self { csv: true, .. } => Box::new(Csv),
            _ => Box::new(Terminal::here()),
        }
    }
}

/// Remarks on runs that were read, to standard error: a torn line that was dropped.
pub fn say_notes(runs: &[Loaded]) {
    for note in runs.iter().flat_map(|run| &run.notes) {
        crate::say(format_args!("swapscale: {note}"));
    }
}

pub fn run(args: &Args) -> Answer {
    let runs = store::load_all(&args.runs)?;
    say_notes(&runs);
    let sides = sides(&runs, args.base.as_deref())?;
    let report = if args.steps { Report::stepwise } else { Report::new };
    let mut report = report(&sides, &args.metric)?;
    report.add_shapes(&sides)?;
    print(&args.format.chosen().render(&report))?;
    Ok(ExitCode::SUCCESS)
}
