//! The gain of each step from one variant to the next, in the order of the plan. With the steps of
//! the kernel's history it shows how much the percpu ref, the lock split and the end of the slot
//! cache brought.

use results::compare::{Outcome, compare};
use results::metric::Metric;
use results::plural;

use super::bars::{self, Row};
use crate::axis::{short, si};
use crate::data::{Median, Set, Track, spread};
use crate::style::{INK, Size};

pub fn draw(set: &Set, size: Size) -> super::Outcome {
    if set.tracks.len() < 3 {
        return Err("needs three variants or more".into());
    }
    let blocks = thread_counts(set).into_iter().map(|threads| block(set, threads)).collect();
    let note = format!(
        "Bars: median over the trials; black: {}; in brackets: the same of the ratio of medians; \
         ~: not significant at 5 %.",
        spread(set.groups().map(|(_, group)| group.cells.len()))
    );
    let caption = set.caption("What each step is worth", &note);
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
    let mut before: Option<&Track> = None;
    for track in &set.tracks {
        let Some(group) = track.groups.iter().find(|g| g.threads() == threads) else { continue };
        let Some(s) = Median::of(&group.samples(&Metric::Throughput)) else { continue };
        let step = before.and_then(|before| step(set, before, track, threads));
        rows.push(Row::Bar {
            label: track.name.clone(),
            parts: vec![(s.median, track.look.colour)],
            note: format!("{}/s{}", si(s.median), step.unwrap_or_default()),
            interval: Some((s.lo, s.hi)),
        });
        before = Some(track);
    }
    rows
}

/// The ratio of a step with its interval and its verdict, which are those of `report --steps`.
fn step(set: &Set, before: &Track, now: &Track, threads: u32) -> Option<String> {
    let (base, new) = (set.side(before)?, set.side(now)?);
    let comparison = compare(&base, &new, &Metric::Throughput).ok()?;
    let row = comparison.rows.into_iter().find(|row| row.key.threads == threads)?;
    let ends = row.interval.unwrap_or_else(|| row.range());
    let (x, lo, hi) = (short(row.ratio), short(ends.lo), short(ends.hi));
    let mark = if row.outcome == Outcome::NotSignificant { " ~" } else { "" };
    Some(format!(", ×{x} ({lo} .. {hi}){mark}"))
}
