//! What a run says while it measures, and at its end.

use std::error::Error;

use bench_harness::engine::Progress;
use results::aggregate::label;
use results::metric::Metric;
use results::report::{Report, sides};
use results::schema::CellKey;
use results::store::Loaded;

use crate::report::FormatArgs;
use crate::{print, say};

/// What a point is called in such a line.
pub fn point(key: &CellKey) -> String {
    label(key, |axis| !["machine", "pin"].contains(&axis))
}

/// One line per cell, printed between measurements.
pub fn show(progress: Progress) {
    let Progress { done, all, key, result, hit } = progress;
    let point = point(key);
    match result {
        Ok(rate) => {
            let hit = hit.map(|why| format!(" (hit: {why})")).unwrap_or_default();
            say(format_args!("[{done}/{all}] {point}: {:.3} Mops/s{hit}", rate / 1e6));
        }
        Err(why) => say(format_args!("[{done}/{all}] {point}: refused: {why}")),
    }
}

/// The figures of a run that has just been made, and where it is.
pub fn report(format: &FormatArgs, run: &[Loaded; 1]) -> Result<(), Box<dyn Error>> {
    let sides = sides(run, None)?;
    let mut report = Report::new(&sides, &Metric::Throughput)?;
    report.add_shapes(&sides)?;
    print(&format.chosen().render(&report))?;
    say(run[0].dir.display());
    Ok(())
}
