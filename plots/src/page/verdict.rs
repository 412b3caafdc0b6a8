//! How each variant scales, in words a reader can check against the charts. Guards against claims
//! that the data do not support: whether a variant gains is the outcome of [`results::compare`]. What
//! one variant is to another is in the comparisons of [`super::pairs`].

use results::aggregate::PER_CPU;
use results::compare::{self, Outcome, Side};
use results::metric::Metric;
use results::plural;
use results::schema::{Cell, MachineKind};
use results::stats::MIN_SAMPLES;

use crate::data::{Median, Set, Track};

/// One sentence each.
pub fn words(set: &Set) -> Vec<String> {
    if set.place.kind == MachineKind::Emulated {
        return vec!["Emulated: times here are not the hardware's, and none are compared.".into()];
    }
    set.tracks.iter().filter_map(|track| scaling(set, track)).collect()
}

/// Where a variant stops gaining, if a comparison of its thread counts shows that it does.
fn scaling(set: &Set, track: &Track) -> Option<String> {
    let name = &track.name;
    let points: Vec<(u32, f64, usize)> = track
        .groups
        .iter()
        .filter_map(|g| {
            let m = Median::of(&g.samples(&Metric::Throughput))?;
            Some((g.threads(), m.median, m.n))
        })
        .collect();
    let [.., (before, ..), (last, rate, n)] = points[..] else { return None };
    let side = set.side(track)?;
    let peak = points.iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("not empty");
    let at = plural(peak.0 as usize, "thread");
    let lost = (1.0 - rate / peak.1) * 100.0;
    if n < MIN_SAMPLES {
        let trials = if n == 1 { "single trials".into() } else { plural(n, "trial") };
        return Some(match peak.0 == last {
            true => format!("{name} does most at {at}, in {trials}."),
            false => {
                format!("{name} does most at {at}, and {lost:.0} % less at {last}, in {trials}.")
            }
        });
    }
    if against(&side, peak.0, last) == Outcome::Worse {
        return Some(format!("{name} does most at {at} and loses {lost:.0} % of it by {last}."));
    }
    Some(match against(&side, before, last) {
        Outcome::Better => format!("{name} still gains from {before} to {last} threads."),
        _ => format!("{name} gains nothing that can be told from {before} to {last} threads."),
    })
}

/// The verdict on `new` threads against `base` threads of one variant.
fn against(side: &Side, base: u32, new: u32) -> Outcome {
    // The comparison matches points by their thread counts, so the cells are given one.
    let at = |threads: u32| -> Vec<Cell> {
        let here = side.cells.iter().filter(|cell| cell.key.threads == threads);
        let mut cells: Vec<Cell> = here.map(|cell| (*cell).clone()).collect();
        for cell in &mut cells {
            cell.key.threads = new;
            cell.key.params.remove(PER_CPU);
        }
        cells
    };
    let (base, new) = (at(base), at(new));
    let (base, new) = (
        Side { cells: base.iter().collect(), ..side.clone() },
        Side { cells: new.iter().collect(), ..side.clone() },
    );
    let comparison = compare::compare(&base, &new, &Metric::Throughput);
    comparison
        .ok()
        .and_then(|all| all.rows.first().map(|row| row.outcome))
        .unwrap_or(Outcome::NotSignificant)
}

#[cfg(test)]
mod tests {
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn a_peak_and_a_gain_are_what_compare_finds() {
        let runs = [common::native(&Plan { trials: 6, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].starts_with("global does most at"), "{words:?}");
        assert!(words.iter().any(|w| w == "6.14 percluster still gains from 32 to 64 threads."));
    }

    #[test]
    fn single_trials_say_that_they_are() {
        let runs = [common::simulated(&Plan { trials: 1, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].ends_with(" % less at 64, in single trials."), "{words:?}");
    }

    #[test]
    fn nothing_emulated_is_ranked() {
        let mut run = common::native(&Plan { trials: 6, ..Plan::default() });
        run.run.machine.kind = results::schema::MachineKind::Emulated;
        let runs = [run];
        let sets = data::sets(&runs);
        assert!(matches!(&super::words(&sets[0])[..], [one] if one.starts_with("Emulated")));
        assert!(sets[0].place.conditions().contains("emulated, not hardware timing, on"));
    }
}
