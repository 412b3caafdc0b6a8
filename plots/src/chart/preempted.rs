//! The cost when the CPU of a lock's holder, or of the next in its queue, is taken away:
//! throughput undisturbed and disturbed, lock by lock. On a model the CPUs are taken by plan; on
//! a host the workers are more than the CPUs.

use std::collections::BTreeMap;

use results::metric::Metric;
use results::plural;

use super::bars::{self, Row};
use super::{Outcome, finding};
use crate::axis::{percent, si};
use crate::data::{Group, Median, Set, Track, runs_of, small_print, spread};
use crate::frame::Caption;
use crate::style::{INK, Size};

/// A track undisturbed, and each disturbance by name.
struct Pair<'a> {
    track: &'a Track<'a>,
    quiet: &'a Group<'a>,
    disturbed: Vec<(String, &'a Group<'a>)>,
}

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let (mut blocks, mut left) = (Vec::new(), Vec::new());
    for set in sets.iter().filter(|set| !set.place.params.contains_key("preempt")) {
        let pairs: Vec<Pair> = set.tracks.iter().filter_map(|t| pair(set, t, sets)).collect();
        let mut conditions: Vec<&String> = Vec::new();
        for (name, _) in pairs.iter().flat_map(|pair| &pair.disturbed) {
            if !conditions.contains(&name) {
                conditions.push(name);
            }
        }
        for condition in conditions {
            let text = format!("{}: {condition}, as a share of undisturbed", set.place.machine);
            let mut rows = vec![Row::Heading { text, colour: INK }];
            rows.extend(pairs.iter().filter_map(|pair| row(pair, condition)));
            left.extend(
                pairs.iter().filter_map(|pair| {
                    Some((ratio(pair, condition)?.median, short_lock(pair.track)))
                }),
            );
            blocks.push(rows);
        }
    }
    if blocks.is_empty() {
        return Err("needs cells with and without --preempt or --oversubscribe".into());
    }
    let trials = sets.iter().flat_map(|set| set.groups()).map(|(_, group)| group.cells.len());
    let caption = Caption {
        title: title(left).unwrap_or("When the holder of a lock is preempted".into()),
        subtitle: sets[0].place.workload.clone(),
        small_print: small_print(
            &runs_of(sets),
            format!("Bars: ratio of the medians over the trials; black: {}.", spread(trials)),
        ),
    };
    bars::pictures(size, &caption, ("of the undisturbed throughput", percent), &[], blocks)
}

/// The same lock where no CPU is taken away, at the most threads that have one CPU each.
fn pair<'a>(set: &'a Set, track: &'a Track<'a>, sets: &[&'a Set<'a>]) -> Option<Pair<'a>> {
    let quiet = track.groups.iter().rfind(|group| group.per_cpu() == 1)?;
    let mut disturbed: Vec<(String, &Group)> = track
        .groups
        .iter()
        .filter(|group| group.per_cpu() > 1)
        .map(|group| (format!("{} threads, {} on a CPU", group.threads(), group.per_cpu()), group))
        .collect();
    let without = |params: &BTreeMap<String, String>| {
        let mut params = params.clone();
        params.remove("preempt").map(|preempt| (preempt, params))
    };
    for other in sets.iter().filter(|o| o.place.machine == set.place.machine) {
        let Some((preempt, params)) = without(&other.place.params) else { continue };
        let same = other.tracks.iter().filter(|t| t.name == track.name);
        let groups = same.flat_map(|t| &t.groups).filter(|g| g.threads() == quiet.threads());
        if params == set.place.params
            && let Some((every, length)) = preempt.split_once(':')
        {
            let threads = plural(quiet.threads() as usize, "thread");
            let name = format!("{threads}, each CPU taken for {length} every {every}");
            disturbed.extend(groups.map(|group| (name.clone(), group)));
        }
    }
    (!disturbed.is_empty()).then_some(Pair { track, quiet, disturbed })
}

/// Throughput undisturbed, and under the condition.
fn samples(pair: &Pair, condition: &str) -> Option<[Vec<f64>; 2]> {
    let (_, group) = pair.disturbed.iter().find(|(name, _)| name == condition)?;
    Some([pair.quiet.samples(&Metric::Throughput), group.samples(&Metric::Throughput)])
}

fn ratio(pair: &Pair, condition: &str) -> Option<Median> {
    let [before, now] = samples(pair, condition)?;
    Median::of_ratio(&before, &now)
}

/// What the track is told apart by: its lock, or its name.
fn short_lock(track: &Track) -> String {
    track.name.rsplit(" / ").next().unwrap_or(&track.name).to_owned()
}

/// What is left where least and where most is.
fn title(mut left: Vec<(f64, String)>) -> Option<String> {
    left.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ([(least, worst), ..], [.., (most, best)]) = (&left[..], &left[..]) else { return None };
    let (least, most) = (finding::percent(*least), finding::percent(*most));
    let words = format!("{least} ({worst}) to {most} ({best})");
    Some(format!("Preempted holders leave {words} of the throughput"))
}

fn row(pair: &Pair, condition: &str) -> Option<Row> {
    let [before, now] = samples(pair, condition)?;
    let ratio = ratio(pair, condition)?;
    let (quiet, disturbed) = (Median::of(&before)?, Median::of(&now)?);
    Some(Row::Bar {
        label: pair.track.name.clone(),
        parts: vec![(ratio.median, pair.track.look.colour)],
        note: format!("{}/s of {}/s", si(disturbed.median), si(quiet.median)),
        interval: Some((ratio.lo, ratio.hi)),
    })
}
