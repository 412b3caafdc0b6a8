//! What a run says while it measures, and at its end.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bench_harness::engine::Progress;
use results::aggregate::label;
use results::metric::Metric;
use results::report::sides;
use results::schema::CellKey;
use results::store::Loaded;

use crate::report::{FormatArgs, NEXT};
use crate::{print, say};

/// Time between two lines of progress where they stay.
const QUIET: Duration = Duration::from_secs(10);

/// What a point is called in such a line.
pub fn point(key: &CellKey) -> String {
    label(key, |axis| !["machine", "pin"].contains(&axis))
}

/// One line per cell of a run that began then, printed between measurements.
pub fn show(began: Instant, progress: Progress) {
    let Progress { done, all, share, key, result, hit } = progress;
    let (point, left) = (point(key), left(began.elapsed(), share));
    match result {
        Ok(rate) => {
            let hit = hit.map(|why| format!(" (hit: {why})")).unwrap_or_default();
            say(format_args!("[{done}/{all}{left}] {point}: {:.3} Mops/s{hit}", rate / 1e6));
        }
        Err(why) => say(format_args!("[{done}/{all}{left}] {point}: refused: {why}")),
    }
}

/// Progress of long work of many parts, on standard error: a line that changes on a terminal, and
/// elsewhere a line now and then.
pub struct Steps {
    what: String,
    said: Mutex<Instant>,
}

impl Steps {
    /// Of parts that are called so.
    pub fn new(what: String) -> Steps {
        Steps { what, said: Mutex::new(Instant::now()) }
    }

    /// So many of all are done. Parts may end in any thread.
    pub fn at(&self, done: usize, all: usize) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("[{done}/{all}] {}", self.what);
        let mut stderr = std::io::stderr();
        if stderr.is_terminal() {
            // The last one leaves the line to what comes next.
            let line = if done < all { line } else { String::new() };
            let _ = write!(stderr, "\r{line}\x1b[K");
        } else if said.elapsed() >= QUIET {
            *said = Instant::now();
            say(line);
        }
    }
}

/// How long the rest will take if it goes on so, once that is more than a minute.
fn left(took: Duration, share: Option<f64>) -> String {
    let share = share.filter(|share| *share > 0.0).unwrap_or(1.0);
    match took.as_secs_f64() * (1.0 - share) / share / 60.0 {
        minutes if minutes < 1.0 => String::new(),
        minutes => format!(", about {minutes:.0} min left"),
    }
}

/// The figures of a run that has just been made, and where it is.
pub fn report(format: &FormatArgs, run: &[Loaded; 1]) -> Result<(), Box<dyn Error>> {
    let report = format.report(sides(run, None)?, false, &Metric::Throughput)?;
    print(&format.chosen().render(&report))?;
    say(run[0].dir.display());
    if format.for_a_person() {
        say(NEXT);
    }
    Ok(())
}
