//! Where a scheme overtakes the one before it: between which numbers of CPUs, and about where. Guards that
//! a crossover is one of verdicts: on both sides of it [`results::compare`] tells the two apart.

use results::compare::{Outcome, Row};
use results::metric::Metric;
use results::scheme;

use super::finding::{self, short_name, without_run};
use crate::data::Set;
use crate::frame::{Frame, Panel};
use crate::style::INK;

/// Who is ahead by less has overtaken nobody, however sure it is.
const LEAST: f64 = 0.03;

/// Of two schemes the one that was behind is ahead from here on.
pub struct Crossover {
    /// "6.18 overtakes 6.16 between 64 and 128 CPUs".
    pub words: String,
    /// Threads and throughput where the straight lines between the points cross.
    at: (f64, f64),
}

/// The crossovers of each scheme of the history with its predecessor, by rising number of threads.
pub fn of(set: &Set) -> Vec<Crossover> {
    let mut found = Vec::new();
    for new in set.tracks.iter().filter(|track| scheme::place(track.variant).is_some()) {
        let Some(base) = finding::before(set, new) else { continue };
        let rows = finding::rows(set, base, new, &Metric::Throughput);
        let name = |track| without_run(&short_name(track)).to_owned();
        found.extend(of_rows(rows, [name(base), name(new)]));
    }
    found.sort_by(|a, b| a.at.0.total_cmp(&b.at.0));
    found
}

fn of_rows(mut rows: Vec<Row>, [base, new]: [String; 2]) -> Vec<Crossover> {
    rows.retain(|row| row.ratio > 0.0);
    rows.sort_by_key(|row| row.key.threads);
    let told = |row: &Row| {
        let seen = row.change().abs() >= LEAST;
        seen && matches!(row.outcome, Outcome::Better | Outcome::Worse)
    };
    let standing: Vec<usize> = (0..rows.len()).filter(|i| told(&rows[*i])).collect();
    let ahead = |at: usize| rows[at].ratio > 1.0;
    let turned = |pair: &[usize]| ahead(pair[0]) != ahead(pair[1]);
    let crossover = |pair: &[usize]| {
        let (from, to) = (pair[0], pair[1]);
        let (over, under) = if ahead(to) { (&new, &base) } else { (&base, &new) };
        let [first, last] = [from, to].map(|at| rows[at].key.threads);
        let words = format!("{over} overtakes {under} between {first} and {last} CPUs");
        Some(Crossover { words, at: meeting(&rows[from..=to])? })
    };
    standing.windows(2).filter(|pair| turned(pair)).filter_map(crossover).collect()
}

/// Where the medians first cross, on logarithmic axes.
fn meeting(rows: &[Row]) -> Option<(f64, f64)> {
    rows.windows(2).find_map(|pair| {
        let (a, b) = (&pair[0], &pair[1]);
        let (before, after) = (a.ratio.ln(), b.ratio.ln());
        if before * after > 0.0 || before == after {
            return None;
        }
        let share = before / (before - after);
        let between = |a: f64, b: f64| a * (b / a).powf(share);
        let threads = between(f64::from(a.key.threads), f64::from(b.key.threads));
        Some((threads, between(a.base.median, b.base.median)))
    })
}

/// A line of at most two of them; empty where there is none.
pub fn sentence(found: &[Crossover]) -> String {
    let words: Vec<&str> = found.iter().take(2).map(|crossover| crossover.words.as_str()).collect();
    match found.len() {
        0 => String::new(),
        1 => format!("\nRing: {}", words[0]),
        2 => format!("\nRings: {}", words.join("; ")),
        n => format!("\nRings: {}; {} more", words.join("; "), n - 2),
    }
}

pub fn mark(frame: &mut Frame, panel: &Panel, found: &[Crossover]) {
    for Crossover { at: (threads, value), .. } in found {
        frame.scene.ring(panel.at(*threads, *value), INK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn a_scheme_overtakes_where_the_verdict_turns() {
        let runs = [common::native(&Plan::default())];
        let sets = data::sets(&runs);
        let found = of(&sets[0]);
        let words: Vec<&str> = found.iter().map(|crossover| crossover.words.as_str()).collect();
        assert_eq!(words, ["6.14 overtakes 6.12 between 1 and 2 CPUs"]);
        assert!((1.0..2.0).contains(&found[0].at.0), "{}", found[0].at.0);
    }

    #[test]
    fn trials_that_tell_nothing_cross_nothing() {
        let runs = [common::native(&Plan { trials: 3, ..Plan::default() })];
        assert!(of(&data::sets(&runs)[0]).is_empty());
    }

    #[test]
    fn who_is_ahead_by_a_hair_has_overtaken_nobody() {
        let mut run = common::native(&Plan { threads: vec![1, 2], ..Plan::default() });
        for cell in run.cells.iter_mut().filter(|cell| cell.key.threads == 1) {
            let ahead = if cell.key.variant == "scanning" { 1.01 } else { 1.0 };
            cell.ops_per_s = 1e6 * ahead * (1.0 + 1e-4 * f64::from(cell.key.block));
        }
        assert!(of(&data::sets(&[run])[0]).is_empty());
    }
}
