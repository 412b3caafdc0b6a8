//! The verdict on a set, in words a reader can check against the charts. Guards against claims
//! that the intervals do not support.

use results::metric::Metric;
use results::plural;
use results::schema::MachineKind;

use crate::axis::{short, si};
use crate::data::{Median, Set, Track};

/// One sentence each; the first is the answer.
pub fn words(set: &Set) -> Vec<String> {
    if set.place.kind == MachineKind::Emulated {
        return vec!["Emulated: times here are not the hardware's, and none are compared.".into()];
    }
    let mut words = fastest(set);
    words.extend(set.tracks.iter().filter_map(scaling));
    words
}

/// Which variant wins at the most threads that all have, and over which by how much.
fn fastest(set: &Set) -> Vec<String> {
    let Some(threads) = common_threads(set) else {
        return vec!["The variants share no thread count, so none is compared.".into()];
    };
    let mut ranked: Vec<(&str, Vec<f64>, Median)> = set
        .tracks
        .iter()
        .filter_map(|t| {
            let samples = t.widest().samples(&Metric::Throughput);
            let median = Median::of(&samples)?;
            Some((t.name.as_str(), samples, median))
        })
        .collect();
    ranked.sort_by(|a, b| b.2.median.total_cmp(&a.2.median));
    let Some((best, best_samples, s)) = ranked.first() else { return Vec::new() };
    let at = plural(threads as usize, "thread");
    let done = if set.place.predicted { "is predicted to do" } else { "does" };
    let rate = format!("{} operations per second", si(s.median));
    let over = |other: &[f64]| Median::of_ratio(other, best_samples);
    let second = ranked.get(1).and_then(|(_, samples, _)| over(samples));
    let mut words = vec![match second {
        Some(r) if r.n < 2 => format!(
            "At {at} {best} {done} {rate}, the most; of single trials none can be told to be fastest."
        ),
        Some(r) if r.lo <= 1.0 => format!(
            "At {at} none can be told to be fastest; {best} has the highest median, {rate}."
        ),
        _ => format!("At {at} {best} {done} {rate}."),
    }];
    let last = ranked.len() - 1;
    for (i, (name, samples, _)) in ranked.iter().enumerate().skip(1) {
        if let Some(r) = over(samples).filter(|_| i == 1 || i == last) {
            words.push(compared(name, r));
        }
    }
    words
}

/// How the best stands to another.
fn compared(name: &str, r: Median) -> String {
    let (x, lo, hi) = (short(r.median), short(r.lo), short(r.hi));
    match r {
        r if r.n < 2 => format!("That is {x} times {name}, from a single trial: no interval."),
        r if r.lo > 1.0 => format!("That is {x} times {name} (95 % interval {lo} to {hi})."),
        _ => format!("It cannot be told from {name}: the ratio lies in {lo} to {hi}."),
    }
}

fn common_threads(set: &Set) -> Option<u32> {
    let mut counts = set.tracks.iter().map(|t| t.widest().threads());
    let first = counts.next()?;
    counts.all(|n| n == first).then_some(first)
}

/// Where a variant stops gaining, if its intervals show that it does.
fn scaling(track: &Track) -> Option<String> {
    let name = &track.name;
    let points: Vec<(u32, Median)> = track
        .groups
        .iter()
        .filter_map(|g| Some((g.threads(), Median::of(&g.samples(&Metric::Throughput))?)))
        .collect();
    let (last_threads, last) = points.last().filter(|_| points.len() > 1)?;
    let (peak_threads, peak) =
        points.iter().max_by(|a, b| a.1.median.total_cmp(&b.1.median)).expect("not empty");
    let at = plural(*peak_threads as usize, "thread");
    let lost = (1.0 - last.median / peak.median) * 100.0;
    if last.n == 1 {
        return Some(match peak_threads == last_threads {
            true => format!("{name} does most at {at}, in single trials."),
            false => {
                format!(
                    "{name} does most at {at}, and {lost:.0} % less at {last_threads}, in single trials."
                )
            }
        });
    }
    if last.hi < peak.lo {
        return Some(format!(
            "{name} does most at {at} and loses {lost:.0} % of it by {last_threads}."
        ));
    }
    let before = &points[points.len() - 2];
    Some(if last.lo > before.1.hi {
        format!("{name} still gains from {} to {last_threads} threads.", before.0)
    } else {
        format!(
            "{name} gains nothing that can be told from {} to {last_threads} threads.",
            before.0
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn the_answer_comes_first_and_with_its_interval() {
        let runs = [common::native(&Plan { trials: 6, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].starts_with("At 64 threads percpu-cluster does 5"), "{words:?}");
        assert!(words[1].contains("times percluster (95 % interval 1."), "{words:?}");
        assert!(words[2].contains("times global"), "{words:?}");
        assert!(words.iter().any(|w| w.starts_with("global does most at")), "{words:?}");
        assert!(words.iter().any(|w| w == "percluster still gains from 32 to 64 threads."));
    }

    #[test]
    fn single_trials_say_where_they_are_most_and_rank_nothing() {
        let runs = [common::simulated(&Plan { trials: 1, ..Plan::default() })];
        let words = super::words(&data::sets(&runs)[0]);
        let first = "At 64 threads percpu-cluster is predicted to do ";
        assert!(words[0].starts_with(first), "{words:?}");
        assert!(
            words[0].ends_with("of single trials none can be told to be fastest."),
            "{words:?}"
        );
        let global = words.iter().find(|w| w.starts_with("global does most at")).unwrap();
        assert!(global.ends_with(" % less at 64, in single trials."), "{global}");
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

    #[test]
    fn equals_are_not_ranked() {
        let mut run = common::native(&Plan { variants: vec!["a", "b"], ..Plan::default() });
        for (i, cell) in run.cells.iter_mut().enumerate() {
            cell.ops_per_s = 1e6 + (i * 7919 % 100) as f64 * 1e3;
        }
        let runs = [run];
        let words = super::words(&data::sets(&runs)[0]);
        assert!(words[0].contains("none can be told to be fastest"), "{words:?}");
        assert!(words[1].starts_with("It cannot be told from"), "{words:?}");
    }
}
