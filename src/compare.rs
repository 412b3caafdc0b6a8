//! `swapscale compare BASE NEW`: is the new run, or the other variant of one run,
//! worse? For a person, and for CI.

use std::path::PathBuf;
use std::process::ExitCode;

use results::compare::compare;
use results::metric::Metric;
use results::report::{Report, pair};
use results::store;

use crate::report::{FormatArgs, say_notes};
use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Directory of the run to compare with
    base: PathBuf,
    /// Directory of the run in question; without it, two variants of BASE
    #[arg(required_unless_present = "variant")]
    new: Option<PathBuf>,
    /// One variant of both runs, or BASE's and NEW's
    #[arg(long, value_name = "A[,B]", value_delimiter = ',', num_args = 1..=2)]
    variant: Vec<String>,
    /// What is compared, as throughput or p99:alloc
    #[arg(long, default_value = "throughput")]
    metric: Metric,
    /// Exit with 1 where a point is significantly worse by more than this, and with 2 where a point
    /// has too few trials to tell, or no figure in NEW. Without this option a comparison that can be
    /// made exits with 0, whatever it shows
    #[arg(long, value_name = "PCT", value_parser = share)]
    fail_on: Option<f64>,
    /// Exit with 1 where a verdict does not stand without the trials hit from outside
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// `5%` as 0.05.
fn share(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<f64>() {
        Ok(percent) if (0.0..=1e6).contains(&percent) => Ok(percent / 100.0),
        _ => Err("expected a percentage such as 5%".into()),
    }
}

/// What a person who saw the table may want next.
const NEXT: &str = "to paste it into a mail: the same with --mail; a gate for CI: --fail-on 5%";

pub fn run(args: &Args) -> Answer {
    let new = args.new.as_ref().unwrap_or(&args.base);
    if args.new.is_none() && args.variant.len() < 2 {
        return Err("one run against itself: name two variants, as --variant A,B".into());
    }
    if args.metric.higher_is_better() && args.fail_on.is_some_and(|share| share >= 1.0) {
        let metric = &args.metric;
        return Err(format!("--fail-on: {metric} cannot be worse by more than 100%").into());
    }
    let runs = [store::load(&args.base)?, store::load(new)?];
    say_notes(&runs);
    let sides = pair(&runs[0], &runs[1], &args.variant)?;
    let report = Report::new(&sides, &args.metric)?;
    print(&args.format.chosen().render(&report))?;
    // Where the sides have no point in common, their figures have been shown, and this says why.
    let comparison = compare(&sides[0], &sides[1], &args.metric)?;
    if args.format.for_a_person() && args.fail_on.is_none() {
        crate::say(NEXT);
    }
    let point = |key| results::aggregate::label(key, |_| true);
    let worse = args.fail_on.map_or(Vec::new(), |threshold| comparison.regressions(threshold));
    for row in &worse {
        let percent = 100.0 * row.change().abs();
        crate::say(format_args!("swapscale: worse by {percent:.1}%: {}", point(&row.key)));
    }
    let unseen = args.fail_on.and_then(|threshold| comparison.could_be_worse(threshold));
    unseen.iter().for_each(|points| crate::say(format_args!("swapscale: {points}")));
    let fragile = report.undisturbed.iter().flat_map(|again| &again.rows);
    let fragile: Vec<_> = fragile.filter(|row| args.strict && !row.stands()).collect();
    for row in &fragile {
        let point = point(&row.key);
        crate::say(format_args!("swapscale: no verdict without the trials that were hit: {point}"));
    }
    if !worse.is_empty() || !fragile.is_empty() {
        return Ok(ExitCode::from(1));
    }
    match comparison.could_not_fail().filter(|_| args.fail_on.is_some()) {
        Some(why) => Err(format!("this comparison could not have failed: {why}").into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
