//! `swapscale plot`: the charts of runs, and one page that holds them all.

use std::path::PathBuf;
use std::process::ExitCode;

use plots::{Drawn, Race, Wanted};
use results::store;

use crate::{Answer, print};

#[derive(clap::Args)]
pub struct Args {
    /// Directories of runs, measured and predicted
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where charts and report.html go
    #[arg(long, default_value = "plots-out")]
    out: PathBuf,
    /// Charts by the beginning of their file names, as throughput,latency-churn [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,..")]
    only: Vec<String>,
    /// No pictures in a slide's size
    #[arg(long)]
    no_slides: bool,
    /// Text files with race diagrams for the page
    #[arg(long, value_name = "FILE")]
    race: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Answer {
    let races = args.race.iter().map(race).collect::<Result<Vec<Race>, String>>()?;
    let runs = store::load_all(&args.runs)?;
    for note in runs.iter().flat_map(|run| &run.notes) {
        eprintln!("swapscale: {note}");
    }
    let wanted = Wanted { charts: args.only.clone(), slides: !args.no_slides };
    let drawn = plots::draw_only(&runs, &args.out, &wanted)?;
    let page = args.out.join("report.html");
    plots::page(&runs, &races, &page)?;
    let mut said = String::new();
    for chart in &drawn {
        match chart {
            Drawn::Files { files, .. } => {
                let svg = files.iter().filter(|f| f.extension().is_some_and(|e| e == "svg"));
                svg.for_each(|file| said += &format!("{}\n", file.display()));
            }
            Drawn::Absent { chart, reason } => eprintln!("{chart}: not drawn, {reason}"),
        }
    }
    print(&format!("{said}{}\n", page.display()))?;
    Ok(ExitCode::SUCCESS)
}

fn race(path: &PathBuf) -> Result<Race, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let title = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Race { title, text })
}
