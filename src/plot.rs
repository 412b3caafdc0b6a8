//! `swapscale plot`: the charts of runs, and one page that holds them all.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use plots::{Drawn, Race, Wanted};
use results::store;
use serde_json::Value;

use crate::report::say_notes;
use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs, measured and predicted
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where charts and report.html go
    #[arg(long, default_value = "plots-out")]
    out: PathBuf,
    /// Charts by the beginning of their file names, as throughput,latency-churn [default: a dozen that
    /// say most]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    only: Vec<String>,
    /// Every chart that the runs have data for
    #[arg(long, conflicts_with = "only")]
    all: bool,
    /// Pictures in a slide's size too
    #[arg(long)]
    slides: bool,
    /// Races for the page: what `swapscale check --json` printed, or a diagram as text
    #[arg(long, value_name = "FILE")]
    race: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Answer {
    let races = args.race.iter().map(|file| races(file)).collect::<Result<Vec<_>, String>>()?;
    let (runs, without) = store::load_found(&args.runs)?;
    for path in without {
        crate::say(format_args!("{}: left out, as it holds no run", path.display()));
    }
    say_notes(&runs);
    let wanted = Wanted { charts: args.only.clone(), all: args.all, slides: args.slides };
    let drawn = plots::draw_only(&runs, &args.out, &wanted)?;
    let page = args.out.join("report.html");
    plots::page(&runs, &races.concat(), &page)?;
    print(&format!("{}open {}\n", said(&drawn, &args.out), page.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// More pictures than this are counted and not listed.
const LISTED: usize = 24;

/// The pictures, one a line; what was not drawn goes to standard error.
fn said(drawn: &[Drawn], out: &Path) -> String {
    let mut pictures: Vec<String> = Vec::new();
    for chart in drawn {
        match chart {
            Drawn::Files { files, .. } => {
                let svg = files.iter().filter(|f| f.extension().is_some_and(|e| e == "svg"));
                pictures.extend(svg.map(|file| format!("{}\n", file.display())));
            }
            Drawn::Absent { chart, reason } => {
                crate::say(format_args!("{chart}: not drawn, {reason}"))
            }
        }
    }
    match pictures.len() {
        n if n > LISTED => format!("{n} pictures in {}\n", out.display()),
        _ => pictures.concat(),
    }
}

/// The races of a file: every finding that is broken, or the text that it is.
fn races(path: &Path) -> Result<Vec<Race>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "json") {
        let title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![Race { title, text, ..Race::default() }]);
    }
    let expected = "expected the array that `swapscale check --json` prints";
    let findings: Vec<Value> =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}: {expected}", path.display()))?;
    Ok(findings.iter().filter(|f| f["verdict"] == "broken").map(found).collect())
}

fn found(finding: &Value) -> Race {
    let word = |key: &str| finding[key].as_str().unwrap_or_default();
    let place = format!("{}/{}", word("subject"), word("scenario"));
    let title = match word("fault") {
        "" => format!("{place} is broken"),
        fault => format!("{fault} put back into {place}"),
    };
    let about = if word("shows").is_empty() { word("violation") } else { word("shows") };
    let data = |key: &str| finding.get(key).filter(|value| value.is_object()).cloned();
    let (timeline, counterpart) = (data("timeline"), data("counterpart"));
    Race { title, about: about.into(), text: word("diagram").into(), timeline, counterpart }
}
