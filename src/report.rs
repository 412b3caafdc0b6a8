//! `swapscale report`: the figures of runs as a table, in one of several formats.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use results::compare::Side;
use results::metric::Metric;
use results::report::{Report, one_pair, sides};
use results::store::{self, Loaded};
use results::tables::{Brief, Csv, Format, Json, Lkp, Mail, Markdown, Terminal};

use crate::{Answer, print, say};

#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs; of several, the first is the base
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// What is reported, as throughput or p99:alloc
    #[arg(long, default_value = "throughput")]
    metric: Metric,
    /// Of a single run: the variant that the others are compared with. Without it each is compared
    /// with what the kernel had before it
    #[arg(long)]
    base: Option<String>,
    /// Of a single run: only these variants; of two, the first is the base
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    variant: Vec<String>,
    /// Of a single run: compare each variant with the one before it, in the plan's order
    #[arg(long, conflicts_with_all = ["base", "lkp"])]
    steps: bool,
    #[command(flatten)]
    format: FormatArgs,
}

#[derive(clap::Args)]
pub struct FormatArgs {
    #[command(flatten)]
    form: Form,
    /// With --mail: every table, of all variants
    #[arg(long, requires = "mail")]
    full: bool,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct Form {
    /// 25 lines of 72 columns of ASCII, to paste into a patch discussion; of a run with several
    /// variants the newest scheme against the one before it
    #[arg(long)]
    mail: bool,
    /// The form of the kernel test robot's mails: means, with standard deviations from 2 % on
    #[arg(long)]
    lkp: bool,
    /// For an issue tracker or a README
    #[arg(long)]
    markdown: bool,
    /// Every figure, in base units
    #[arg(long)]
    json: bool,
    /// The main table, in base units
    #[arg(long)]
    csv: bool,
}

impl FormatArgs {
    /// Whether a person reads it here: the other forms are for somewhere else, and nothing is added.
    pub fn for_a_person(&self) -> bool {
        let Form { mail, lkp, markdown, json, csv } = self.form;
        !(mail || lkp || markdown || json || csv)
    }

    /// Whether it has one table, of two sides.
    fn is_of_a_pair(&self) -> bool {
        self.form.lkp || self.form.mail && !self.full
    }

    pub fn chosen(&self) -> Box<dyn Format> {
        match self.form {
            Form { mail: true, .. } if !self.full => Box::new(Brief),
            Form { mail: true, .. } => Box::new(Mail),
            Form { lkp: true, .. } => Box::new(Lkp),
            Form { markdown: true, .. } => Box::new(Markdown),
            Form { json: true, .. } => Box::new(Json),
            Form { csv: true, .. } => Box::new(Csv),
            _ => Box::new(Terminal::here()),
        }
    }

    /// The report of these runs. A single run's variants are held against their predecessors unless
    /// `base` says that the first of `sides` is the base.
    pub fn report(
        &self,
        sides: Vec<Side>,
        base: bool,
        metric: &Metric,
    ) -> Result<Report, results::Error> {
        let (sides, others) = match self.is_of_a_pair() {
            true => one_pair(sides, base),
            false => (sides, Vec::new()),
        };
        let first_is_base = base || self.is_of_a_pair();
        let report = if first_is_base { Report::new } else { Report::by_history };
        Ok(Report { others, ..report(&sides, metric)? })
    }
}

/// What a reader of a run's figures may want next.
pub const NEXT: &str = "pictures and a page of it: swapscale plot RUN --out DIR";

/// Remarks on runs that were read, to standard error: a torn line that was dropped.
pub fn say_notes(runs: &[Loaded]) {
    for note in runs.iter().flat_map(|run| &run.notes) {
        say(format_args!("swapscale: {note}"));
    }
}

pub fn run(args: &Args) -> Answer {
    let runs = store::load_all(&args.runs)?;
    say_notes(&runs);
    let report = report(args, &runs)?;
    print(&args.format.chosen().render(&report))?;
    if args.format.for_a_person() {
        say(NEXT);
    }
    Ok(ExitCode::SUCCESS)
}

fn report(args: &Args, runs: &[Loaded]) -> Result<Report, Box<dyn Error>> {
    let [_] = runs else {
        if !args.variant.is_empty() {
            return Err("--variant: an option of a single run; see swapscale compare".into());
        }
        return Ok(args.format.report(sides(runs, None)?, true, &args.metric)?);
    };
    let base = args.base.as_deref().or(match args.variant.as_slice() {
        [first, _] => Some(first.as_str()),
        _ => None,
    });
    let mut chosen = sides(runs, base)?;
    for name in &args.variant {
        // A name that the run lacks is answered with those that it has.
        Side::of_variant(&runs[0], name)?;
    }
    let wanted = |side: &Side| args.variant.is_empty() || args.variant.contains(&side.name);
    chosen.retain(|side| wanted(side) || Some(side.name.as_str()) == base);
    if args.steps {
        if args.format.is_of_a_pair() {
            return Err("--steps: its mail is --mail --full".into());
        }
        return Ok(Report::stepwise(&chosen, &args.metric)?);
    }
    Ok(args.format.report(chosen, base.is_some(), &args.metric)?)
}
