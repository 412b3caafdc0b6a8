//! The gain of each step from one variant to the next, in the order of the plan. With the steps of
//! the kernel's history it shows how much the percpu ref, the lock split and the end of the slot
//! cache brought.

use results::metric::Metric;
use results::plural;

use super::Outcome;
use super::bars::{self, Row};
use crate::axis::{short, si};
use crate::data::{Median, Set};
use crate::style::{INK, Size};

pub fn draw(set: &Set, size: Size) -> Outcome {
    if set.tracks.len() < 3 {
        return Err("needs three variants or more".into());
    }
    let blocks = thread_counts(set).into_iter().map(|threads| block(set, threads)).collect();
    let note = "Bars: median over the trials; black: its 95 % interval; \
                in brackets: 95 % interval of the ratio of medians.";
    let caption = set.caption("What each step is worth", note);
    bars::pictures(size, &caption, ("operations per second", si), &[], blocks)
}

/// The least, a middle and the largest count that all variants have.
fn thread_counts(set: &Set) -> Vec<u32> {
    let all: Vec<u32> = set.tracks[0]
        .groups
        .iter()
        .map(|g| g.threads())
        .filter(|n| set.tracks.iter().all(|t| t.groups.iter().any(|g| g.threads() == *n)))
        .collect();
    match all[..] {
        [first, .., last] if all.len() > 2 => vec![first, all[all.len() / 2], last],
        _ => all,
    }
}

fn block(set: &Set, threads: u32) -> Vec<Row> {
    let mut rows = vec![Row::Heading { text: plural(threads as usize, "thread"), colour: INK }];
    let mut before: Option<Vec<f64>> = None;
    for track in &set.tracks {
        let Some(group) = track.groups.iter().find(|g| g.threads() == threads) else { continue };
        let now = group.samples(&Metric::Throughput);
        let Some(s) = Median::of(&now) else { continue };
        let step = before.as_ref().and_then(|b| Median::of_ratio(b, &now));
        let step = step.map_or(String::new(), |r| {
            format!(", ×{} ({} .. {})", short(r.median), short(r.lo), short(r.hi))
        });
        rows.push(Row::Bar {
            label: track.name.clone(),
            parts: vec![(s.median, track.look.colour)],
            note: format!("{}/s{step}", si(s.median)),
            interval: Some((s.lo, s.hi)),
        });
        before = Some(now);
    }
    rows
}
