//! What a chart's title says of its schemes, and the verdicts that colour cells and steps. Guards that no
//! picture claims a difference that [`results::compare`] refuses, nor one between two runs.

use results::compare::{self, Outcome, Row};
use results::family;
use results::metric::Metric;
use results::plural;
use results::schema::MachineKind;
use results::scheme;

use crate::axis::rare;
use crate::data::{Set, Track};

/// A scheme held against another at one number of threads.
pub struct Claim<'a> {
    pub base: &'a Track<'a>,
    pub new: &'a Track<'a>,
    pub row: Row,
}

impl<'a> Claim<'a> {
    /// `None` where the two share no such point, or are of two runs.
    pub fn of(
        set: &'a Set<'a>,
        (base, new): (&'a Track<'a>, &'a Track<'a>),
        metric: &Metric,
        threads: u32,
    ) -> Option<Claim<'a>> {
        let row =
            rows(set, base, new, metric).into_iter().find(|row| row.key.threads == threads)?;
        Some(Claim { base, new, row })
    }

    pub fn stands(&self) -> bool {
        matches!(self.row.outcome, Outcome::Better | Outcome::Worse)
    }

    fn size(&self) -> f64 {
        self.row.ratio.ln().abs()
    }
}

/// Every point that two tracks of one run share, each with its verdict.
pub fn rows(set: &Set, base: &Track, new: &Track, metric: &Metric) -> Vec<Row> {
    let Some((base, new)) = set.side(base).zip(set.side(new)) else { return Vec::new() };
    if !std::ptr::eq(base.loaded, new.loaded) || set.place.kind == MachineKind::Emulated {
        return Vec::new();
    }
    compare::compare(&base, &new, metric).map(|all| all.rows).unwrap_or_default()
}

/// What people call a track in a sentence: the release alone where it has one.
pub fn short_name(track: &Track) -> String {
    let label = scheme::label(track.variant);
    match (scheme::place(track.variant), track.name.strip_prefix(&label)) {
        (Some(_), Some(rest)) => {
            let release = label.split(' ').next().unwrap_or_default();
            format!("{release}{rest}")
        }
        _ => track.name.clone(),
    }
}

/// The track that `track` is a step from: of the same run and lock, the scheme before it.
pub fn before<'a>(set: &'a Set<'a>, track: &Track) -> Option<&'a Track<'a>> {
    let from = |track: &Track| {
        let lock = track.groups[0].key.lock.clone();
        set.side(track).map(|side| (std::ptr::from_ref(side.loaded), lock))
    };
    let of = from(track)?;
    let alike: Vec<&Track> =
        set.tracks.iter().filter(|known| from(known) == Some(of.clone())).collect();
    let there: Vec<&str> = alike.iter().map(|known| known.variant).collect();
    let before = scheme::predecessor(track.variant, &there)?;
    alike.into_iter().find(|known| known.variant == before)
}

/// Its name without its run, where a sentence or a heading names the run once.
pub fn without_run(name: &str) -> &str {
    name.split(" [").next().unwrap_or(name)
}

/// "2.5 times", or "4 % more than" where that says more.
pub fn times(ratio: f64) -> String {
    let change = ratio - 1.0;
    match change.abs() < 0.095 {
        true if change < 0.0 => format!("{} less than", percent(-change)),
        true => format!("{} more than", percent(change)),
        false => format!("{} times", two(ratio)),
    }
}

/// "3.6 %".
pub fn percent(share: f64) -> String {
    rare(share).replace('%', " %")
}

/// "at most 3.6 %", or "less than 0.1 %".
pub fn at_most(share: f64) -> String {
    match percent(share) {
        tiny if tiny.starts_with('<') => tiny.replace('<', "less than "),
        share => format!("at most {share}"),
    }
}

/// Two significant digits.
pub fn two(v: f64) -> String {
    let digits = if v >= 9.95 {
        0
    } else if v >= 0.995 {
        1
    } else {
        2
    };
    format!("{v:.digits$}")
}

/// "with 32 CPUs", or threads where several share a CPU.
pub fn at(track: &Track, threads: u32) -> String {
    let group = track.groups.iter().find(|group| group.threads() == threads);
    match group.is_some_and(|group| group.per_cpu() > 1) {
        true => format!("with {}", plural(threads as usize, "thread")),
        false => format!("with {}", plural(threads as usize, "CPU")),
    }
}

/// Of schemes against the oldest one that is there, the largest difference at the most threads.
/// `None` where there is nothing to be held against each other, or are too few trials.
pub fn against_oldest(set: &Set, metric: &Metric) -> Option<Words> {
    let base = base(set)?;
    let threads = base.widest().threads();
    // The strawman and the steps within a change are no answer to which kernel is best.
    let others = || set.tracks.iter().filter(|track| track.name != base.name);
    let released = |track: &&Track| scheme::place(track.variant).is_some();
    let releases = released(&base) && others().any(|track| released(&track));
    let claims: Vec<Claim> = others()
        .filter(|track| !releases || released(track))
        .filter_map(|track| Claim::of(set, (base, track), metric, threads))
        .collect();
    if claims.iter().all(|claim| claim.row.outcome == Outcome::TooFew) {
        return None;
    }
    // The largest is picked out of several: together they must show that they are not the same.
    let blocks = |track: &Track| compare::blocks(track.widest(), metric);
    let together: Vec<_> =
        std::iter::once(base).chain(claims.iter().map(|c| c.new)).map(blocks).collect();
    let picked = claims.len() < 2 || family::any_differs(&together);
    let alone = (claims.len() == 1).then(|| short_name(claims[0].new));
    let at = at(base, threads);
    match largest(claims).filter(|_| picked) {
        Some(claim) => Some(Words::Differ {
            at,
            new: without_run(&short_name(claim.new)).to_owned(),
            ratio: claim.row.ratio,
            base: short_name(base),
        }),
        None => Some(Words::Same { at, new: alone, base: short_name(base) }),
    }
}

/// The claim that stands and is the largest.
pub fn largest<'a>(claims: Vec<Claim<'a>>) -> Option<Claim<'a>> {
    let standing = claims.into_iter().filter(Claim::stands);
    standing.max_by(|a, b| a.size().total_cmp(&b.size()))
}

/// The oldest scheme of the kernel's history, else the first track.
fn base<'a>(set: &'a Set<'a>) -> Option<&'a Track<'a>> {
    let there: Vec<&str> = set.tracks.iter().map(|track| track.variant).collect();
    let oldest = scheme::oldest(&there)?;
    set.tracks.iter().find(|track| track.variant == oldest)
}

/// A finding on its way to a sentence.
pub enum Words {
    Differ {
        at: String,
        new: String,
        ratio: f64,
        base: String,
    },
    /// Nothing that these trials can show; `new` where only one was held against the base.
    Same {
        at: String,
        new: Option<String>,
        base: String,
    },
}

impl Words {
    /// "With 32 CPUs 6.14 does 2.5 times 6.12".
    pub fn throughput(self, predicted: bool) -> String {
        self.sentence(predicted, |at, new, times, base| format!("{at} {new} does {times} {base}"))
    }

    /// "With 2 CPUs the p99 of alloc under 6.14 is 1.5 times that under 6.12".
    pub fn time(self, predicted: bool, what: &str) -> String {
        self.sentence(predicted, |at, new, times, base| {
            format!("{at} {what} under {new} is {times} that under {base}")
        })
    }

    fn sentence(
        self,
        predicted: bool,
        differ: impl Fn(&str, &str, &str, &str) -> String,
    ) -> String {
        let words = match self {
            Words::Differ { at, new, ratio, base } => differ(&at, &new, &times(ratio), &base),
            Words::Same { at, new: Some(new), base } => {
                format!("{at} {new} cannot be told from {base}")
            }
            Words::Same { at, new: None, base } => {
                format!("{at} nothing can be told from {base}")
            }
        };
        said(predicted, &words)
    }
}

/// A finding as a title.
pub fn said(predicted: bool, words: &str) -> String {
    if predicted {
        return format!("Predicted: {words}");
    }
    let mut letters = words.chars();
    letters
        .next()
        .map_or(String::new(), |first| first.to_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::data;

    fn title(run: results::store::Loaded) -> Option<String> {
        let runs = [run];
        let sets = data::sets(&runs);
        let predicted = sets[0].place.predicted;
        Some(against_oldest(&sets[0], &Metric::Throughput)?.throughput(predicted))
    }

    #[test]
    fn a_title_says_what_compare_says_and_no_more() {
        let said = title(common::native(&Plan::default())).unwrap();
        assert!(
            said.starts_with("With 64 CPUs 6.18 does ") && said.ends_with(" times 6.12"),
            "{said}"
        );
        let said = title(common::simulated(&Plan::default())).unwrap();
        assert!(said.starts_with("Predicted: with 64 CPUs 6.18 does "), "{said}");
        assert_eq!(title(common::native(&Plan { trials: 3, ..Plan::default() })), None, "too few");
        let mut same = common::native(&Plan::default());
        for (i, cell) in same.cells.iter_mut().enumerate() {
            cell.ops_per_s = 1e6 + (i * 7919 % 100) as f64 * 1e3;
        }
        let said = title(same).unwrap();
        assert_eq!(said, "With 64 CPUs nothing can be told from 6.12");
    }

    #[test]
    fn nothing_is_claimed_across_runs() {
        let one = |id: &str, variant| {
            let mut run = common::native(&Plan { variants: vec![variant], ..Plan::default() });
            run.run.id = id.into();
            run
        };
        let runs = [one("1", "scanning"), one("2", "percluster")];
        let sets = data::sets(&runs);
        assert_eq!(sets[0].tracks.len(), 2);
        let rows = rows(&sets[0], &sets[0].tracks[0], &sets[0].tracks[1], &Metric::Throughput);
        assert!(rows.is_empty() && against_oldest(&sets[0], &Metric::Throughput).is_none());
    }

    #[test]
    fn small_differences_are_percent() {
        assert_eq!(times(2.51), "2.5 times");
        assert_eq!(times(0.31), "0.31 times");
        assert_eq!(times(12.4), "12 times");
        assert_eq!((times(1.04), times(0.96)), ("4 % more than".into(), "4 % less than".into()));
    }
}
