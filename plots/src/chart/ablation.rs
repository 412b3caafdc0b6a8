//! The gain of each step of the kernel's history, and of the steps within one of its changes. Guards that
//! only neighbours of that history are held against each other, and only those of one run.

use std::collections::BTreeSet;

use results::compare::Outcome;
use results::metric::Metric;
use results::scheme::{self, STRAWMAN};
use results::store::Loaded;

use super::bars::{self, Row};
use super::finding::{self, Claim, largest, short_name, without_run};
use crate::axis::{short, si};
use crate::data::{Median, Set, Track, spread};
use crate::style::{INK, Size};

const WHY_NOT: &str = "needs two neighbours of the kernel's history, of one run and under one lock";

pub fn draw(set: &Set, size: Size) -> super::Outcome {
    let families = families(set);
    let blocks: Vec<Vec<Row>> =
        families.iter().flat_map(|family| family.blocks(families.len() > 1)).collect();
    if blocks.is_empty() {
        return Err(WHY_NOT.into());
    }
    let note = format!(
        "Bars: median over the trials; black: {}. In brackets: the same of the ratio. ~: not \
         significant at 5 %.",
        spread(set.groups().map(|(_, group)| group.cells.len()))
    );
    let caption = set.caption(title(set, &families), &note);
    bars::pictures(size, &caption, ("operations per second", si), &[], blocks)
}

/// The largest step of any family at its most threads.
fn title(set: &Set, families: &[Family]) -> String {
    let claims = families.iter().flat_map(|family| {
        let threads = family.threads.last().copied().unwrap_or(0);
        family.tracks.iter().filter_map(move |track| family.step(track, threads))
    });
    match largest(claims.collect()) {
        Some(Claim { base, new, row }) => {
            let of = without_run(&short_name(new)).to_owned();
            let before = short_name(base);
            let (at, times) = (finding::at(new, row.key.threads), finding::times(row.ratio));
            let words = format!("the largest step: {of} does {times} {before}, {at}");
            finding::said(set.place.predicted, &words)
        }
        None => "What each step is worth".into(),
    }
}

/// Schemes of one run under one lock, the oldest first.
struct Family<'a> {
    set: &'a Set<'a>,
    run: &'a Loaded,
    lock: &'a str,
    tracks: Vec<&'a Track<'a>>,
    /// The least, a middle and the largest count that all have.
    threads: Vec<u32>,
}

fn families<'a>(set: &'a Set<'a>) -> Vec<Family<'a>> {
    let mut found: Vec<Family> = Vec::new();
    for track in set.tracks.iter().filter(|track| age(track.variant).is_some()) {
        let Some(side) = set.side(track) else { continue };
        let (run, lock) = (side.loaded, track.groups[0].key.lock.as_str());
        match found.iter_mut().find(|of| std::ptr::eq(of.run, run) && of.lock == lock) {
            Some(family) => family.tracks.push(track),
            None => found.push(Family { set, run, lock, tracks: vec![track], threads: Vec::new() }),
        }
    }
    for family in &mut found {
        family.tracks.sort_by_key(|track| age(track.variant));
        family.threads = thread_counts(&family.tracks);
    }
    found.retain(|family| family.tracks.iter().any(|track| family.before(track).is_some()));
    found
}

/// Its place in the history, a variation behind the scheme that it varies. The strawman is no step.
fn age(variant: &str) -> Option<(usize, bool)> {
    let of = scheme::variation_of(variant).filter(|_| variant != STRAWMAN);
    let place = scheme::place(variant).or_else(|| scheme::place(of?));
    place.map(|place| (place, of.is_some()))
}

fn thread_counts(tracks: &[&Track]) -> Vec<u32> {
    let counts = |track: &Track| track.groups.iter().map(|g| g.threads()).collect::<BTreeSet<_>>();
    let shared = tracks.iter().map(|track| counts(track)).reduce(|a, b| &a & &b);
    let all: Vec<u32> = shared.unwrap_or_default().into_iter().collect();
    match all[..] {
        [first, .., last] if all.len() > 2 => vec![first, all[all.len() / 2], last],
        _ => all,
    }
}

impl<'a> Family<'a> {
    /// The neighbour that the track is a step from: the scheme just before it, or the one it varies.
    fn before(&self, track: &Track) -> Option<&'a Track<'a>> {
        finding::before(self.set, track).filter(|before| {
            let next = scheme::place(before.variant).map(|place| place + 1);
            let varied = scheme::variation_of(track.variant) == Some(before.variant);
            varied || (next.is_some() && scheme::place(track.variant) == next)
        })
    }

    fn step(&self, track: &'a Track<'a>, threads: u32) -> Option<Claim<'a>> {
        Claim::of(self.set, (self.before(track)?, track), &Metric::Throughput, threads)
    }

    fn blocks(&self, named: bool) -> Vec<Vec<Row>> {
        let block = |threads: &u32| {
            let run = match named {
                true => format!(", run {}, lock {}", self.run.run.label, self.lock),
                false => String::new(),
            };
            let text = finding::said(false, &(finding::at(self.tracks[0], *threads) + &run));
            let mut rows = vec![Row::Heading { text, colour: INK }];
            rows.extend(self.tracks.iter().filter_map(|track| self.row(track, *threads)));
            rows
        };
        self.threads.iter().map(block).collect()
    }

    fn row(&self, track: &'a Track<'a>, threads: u32) -> Option<Row> {
        let group = track.groups.iter().find(|g| g.threads() == threads)?;
        let s = Median::of(&group.samples(&Metric::Throughput))?;
        let step = self.step(track, threads).map(|claim| words(&claim)).unwrap_or_default();
        Some(Row::Bar {
            label: without_run(&track.name).to_owned(),
            parts: vec![(s.median, track.look.colour)],
            note: format!("{}/s{step}", si(s.median)),
            interval: Some((s.lo, s.hi)),
        })
    }
}

/// ", 1.06 times 6.12 (1.05 .. 1.07)": what it is held against is named, as it need not be the bar above.
fn words(Claim { base, row, .. }: &Claim) -> String {
    let ends = row.interval.unwrap_or_else(|| row.range());
    let (x, lo, hi) = (short(row.ratio), short(ends.lo), short(ends.hi));
    let mark = if row.outcome == Outcome::NotSignificant { " ~" } else { "" };
    format!(", {x} times {} ({lo} .. {hi}){mark}", without_run(&short_name(base)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::data;
    use crate::scene::Shape;
    use crate::style::README;

    /// Every text of the first picture.
    fn texts(runs: &[Loaded]) -> Result<Vec<String>, String> {
        let sets = data::sets(runs);
        let pictures = draw(&sets[0], README)?;
        let text = |shape: &Shape| match shape {
            Shape::Text { text, .. } => Some(text.clone()),
            _ => None,
        };
        Ok(pictures.iter().flat_map(|p| p.scene.shapes.iter().filter_map(text)).collect())
    }

    fn run(id: &str, variants: &[&'static str]) -> Loaded {
        let plan = Plan { variants: variants.to_vec(), threads: vec![1, 2], ..Plan::default() };
        let mut run = common::native(&plan);
        (run.run.id, run.run.label) = (id.into(), id.into());
        run
    }

    #[test]
    fn a_step_names_the_neighbour_that_it_is_from() {
        let texts = texts(&[run("1", &common::VARIANTS)]).unwrap();
        let has = |words: &str| texts.iter().filter(|text| text.contains(words)).count();
        // Two thread counts; percluster and scanning-ref are steps from 6.12, which is from nothing.
        assert_eq!(has(" times 6.12 ("), 4, "{texts:?}");
        // 6.16 is not there, so 6.18 has no neighbour; the strawman is no step.
        assert_eq!(has(" times 6.14") + has("global"), 0, "{texts:?}");
    }

    #[test]
    fn what_is_no_neighbour_or_of_another_run_is_no_step() {
        for runs in [
            vec![run("1", &["global", "scanning"])],
            vec![run("1", &["scanning", "percpu-cluster", "swap-table"])],
            vec![run("1", &["mine", "yours", "scanning"])],
            vec![
                run("1", &["scanning", "percpu-cluster"]),
                run("2", &["percluster", "swap-table"]),
            ],
        ] {
            assert_eq!(texts(&runs).unwrap_err(), WHY_NOT);
        }
    }
}
