//! Every workload at every number of threads, each scheme against the oldest: the whole answer at first
//! sight. Guards that a cell is coloured by a ratio that [`results::compare`] lets stand, that both sides
//! of a ratio are of one run, and that what was not run is blank.

use std::collections::BTreeSet;

use results::compare::Outcome;
use results::metric::Metric;
use results::scheme;

use super::finding::{self, two};
use super::{Picture, load};
use crate::data::{self, Set, Track};
use crate::frame::{Area, Caption, Frame, fit, shrunk};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{GRID_MINOR, INK, MUTED, PAPER, Size, diverging, text};

/// Rows that a picture has room for.
const ROWS: usize = 16;

/// Pictures of each machine that ran several workloads, or one under several conditions.
pub fn draw(sets: &[&Set], size: Size) -> super::Outcome {
    let mut machines: Vec<&str> = Vec::new();
    for set in sets {
        if !machines.contains(&&set.place.machine[..]) {
            machines.push(&set.place.machine);
        }
    }
    let mut pictures = Vec::new();
    for machine in machines {
        let of = |set: &&Set| set.place.machine == machine && !load::in_sweep(set, sets);
        let all: Vec<&Set> = sets.iter().copied().filter(of).collect();
        pictures.extend(of_machine(machine, &all, size));
    }
    if pictures.is_empty() {
        return Err("needs two workloads of one machine, with two variants each".into());
    }
    Ok(pictures)
}

/// A ratio, and whether it is more than chance.
#[derive(Clone, Copy)]
struct Ratio {
    value: f64,
    outcome: Outcome,
}

/// A scheme beside the base: ratio by row and number of threads.
struct Facet {
    /// Release and variant, or variant and lock: a line each.
    head: [String; 2],
    rows: Vec<Vec<Option<Ratio>>>,
}

/// All rows of a machine have one base: the oldest scheme that was run.
fn of_machine(machine: &str, sets: &[&Set], size: Size) -> Vec<Picture> {
    let there: Vec<&str> =
        sets.iter().flat_map(|set| &set.tracks).map(|track| track.variant).collect();
    let Some(base) = scheme::oldest(&there) else { return Vec::new() };
    let has_base =
        |set: &&Set| set.tracks.len() > 1 && set.tracks.iter().any(|track| track.variant == base);
    let sets: Vec<&Set> = sets.iter().copied().filter(has_base).collect();
    if sets.len() < 2 {
        return Vec::new();
    }
    let parts = sets.chunks(ROWS).enumerate().filter_map(|(at, sets)| {
        let part = match at {
            0 => data::slug(machine),
            _ => format!("{}-{}", data::slug(machine), at + 1),
        };
        Some(Picture { part, scene: scene(machine, base, sets, size)? })
    });
    parts.collect()
}

/// `None` where no two tracks of one run can be held against each other.
fn scene(machine: &str, base: &str, sets: &[&Set], size: Size) -> Option<Scene> {
    let threads: BTreeSet<u32> =
        sets.iter().flat_map(|set| set.groups()).map(|(_, group)| group.threads()).collect();
    let facets: Vec<Facet> = heads(base, sets)
        .into_iter()
        .map(|head| Facet {
            rows: sets.iter().map(|set| row(set, base, &head, &threads)).collect(),
            head,
        })
        .filter(|facet| facet.rows.iter().flatten().any(Option::is_some))
        .collect();
    if facets.is_empty() {
        return None;
    }
    let mut frame = Frame::new(size, &caption(machine, base, sets, &threads, &facets));
    let labels: Vec<&str> = sets.iter().map(|set| &set.work[..]).collect();
    draw_facets(&mut frame, &labels, &threads, &facets);
    Some(frame.scene)
}

/// The heads of all schemes but the base, in the order of history; what it does not know comes last.
fn heads(base: &str, sets: &[&Set]) -> Vec<[String; 2]> {
    let mut found: Vec<(usize, [String; 2])> = Vec::new();
    for track in sets.iter().flat_map(|set| &set.tracks).filter(|track| track.variant != base) {
        let of = scheme::place(track.variant)
            .or_else(|| scheme::place(scheme::variation_of(track.variant)?));
        let head = head(track);
        if !found.iter().any(|(_, known)| *known == head) {
            found.push((of.unwrap_or(usize::MAX), head));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, head)| head).collect()
}

/// "6.14" over "percluster"; a lock that tells tracks apart stays with the variant, a run does not.
fn head(track: &Track) -> [String; 2] {
    let name = finding::without_run(&track.name);
    match (scheme::place(track.variant), name.split_once(' ')) {
        (Some(_), Some((release, variant))) => [release.to_owned(), variant.to_owned()],
        _ => [name.to_owned(), String::new()],
    }
}

/// The first track of the set that has the head, against the base under the same lock in the same run.
fn row(
    set: &Set,
    base: &str,
    head_of: &[String; 2],
    threads: &BTreeSet<u32>,
) -> Vec<Option<Ratio>> {
    let lock = |track: &Track| track.groups[0].key.lock.clone();
    let news = set.tracks.iter().filter(|track| head(track) == *head_of);
    let pairs = news.flat_map(|new| {
        let bases = set.tracks.iter().filter(move |known| known.variant == base);
        bases.filter(move |known| lock(known) == lock(new)).map(move |known| (known, new))
    });
    let rows = pairs.map(|(base, new)| finding::rows(set, base, new, &Metric::Throughput));
    let rows = rows.into_iter().find(|rows| !rows.is_empty()).unwrap_or_default();
    let at = |n: &u32| {
        let row = rows.iter().find(|row| row.key.threads == *n)?;
        Some(Ratio { value: row.ratio, outcome: row.outcome })
    };
    threads.iter().map(at).collect()
}

fn caption(
    machine: &str,
    base: &str,
    sets: &[&Set],
    threads: &BTreeSet<u32>,
    facets: &[Facet],
) -> Caption {
    let predicted = sets.iter().any(|set| set.place.predicted);
    let trials: BTreeSet<usize> =
        sets.iter().flat_map(|set| set.groups()).map(|(_, group)| group.cells.len()).collect();
    let count = [trials.first(), trials.last()].map(|n| n.copied().unwrap_or(0));
    let trials = if count[0] == count[1] {
        results::plural(count[0], "trial")
    } else {
        format!("{} to {} trials", count[0], count[1])
    };
    let title = title(base, threads, facets).map(|words| finding::said(predicted, &words));
    let origin = sets[0].place.origin();
    let note = format!(
        "Ratio of medians of {trials}. Grey: they cannot be told apart. Blank: not run, or refused."
    );
    Caption {
        title: title.unwrap_or(format!("Throughput as a multiple of {}", scheme::label(base))),
        subtitle: format!(
            "Throughput over that of {}, by CPUs; {origin} {machine}. Blue: more. Orange: less.",
            scheme::label(base)
        ),
        small_print: data::small_print(&data::runs_of(sets), note),
    }
}

/// In how many workloads the newest scheme differs at the most threads. `None` where the trials are too
/// few to tell.
fn title(base: &str, threads: &BTreeSet<u32>, facets: &[Facet]) -> Option<String> {
    let newest = facets.iter().rfind(|facet| !facet.head[1].is_empty())?;
    let last: Vec<Ratio> =
        newest.rows.iter().filter_map(|row| row.last().copied().flatten()).collect();
    let count = |outcome| last.iter().filter(|ratio| ratio.outcome == outcome).count();
    let (more, less) = (count(Outcome::Better), count(Outcome::Worse));
    if last.is_empty() || count(Outcome::TooFew) == last.len() {
        return None;
    }
    let at = results::plural(*threads.last()? as usize, "CPU");
    let release =
        |variant: &str| scheme::label(variant).split(' ').next().unwrap_or_default().to_owned();
    let (all, new, base) = (last.len(), &newest.head[0], release(base));
    let of = |outcome| last.iter().filter(move |ratio| ratio.outcome == outcome).map(|r| r.value);
    let most = of(Outcome::Better).fold(0.0, f64::max);
    let least = of(Outcome::Worse).fold(f64::INFINITY, f64::min);
    let up = match more {
        0 => String::new(),
        _ => format!("more than {base} in {more} of {all} workloads (to {} times)", two(most)),
    };
    let down = match less {
        0 => String::new(),
        _ if more > 0 => format!(", less in {less} (to {})", two(least)),
        _ => format!("less than {base} in {less} of {all} workloads (to {} times)", two(least)),
    };
    match more + less {
        0 => Some(format!("with {at} {new} cannot be told from {base}")),
        _ => Some(format!("with {at} {new} does {up}{down}")),
    }
}

fn draw_facets(frame: &mut Frame, labels: &[&str], threads: &BTreeSet<u32>, facets: &[Facet]) {
    let small = text::SMALL + 1.0;
    let Area { left, top, right, bottom } = frame.free;
    let widest = labels.iter().map(|l| text_width(l, frame.px(small), false)).fold(0.0, f64::max);
    let gap = frame.px(14.0);
    let first = left + widest.min(0.25 * (right - left)) + frame.px(8.0);
    let column = (right - first - gap * (facets.len() - 1) as f64)
        / (facets.len() * threads.len()).max(1) as f64;
    let head = top + frame.px(62.0);
    let row = ((bottom - head) / labels.len().max(1) as f64).min(frame.px(34.0));
    let middle = |y: f64| y + row / 2.0 + 0.35 * frame.px(small);
    let base: Vec<f64> = (0..labels.len()).map(|at| head + row * at as f64).collect();
    let rows: Vec<(f64, f64)> = base.iter().map(|y| (*y, middle(*y))).collect();
    for ((_, middle), label) in rows.iter().zip(labels) {
        let label = fit(label, frame.px(small), false, first - left - frame.px(8.0));
        frame.scene.text((first - frame.px(8.0), *middle), label, small, INK, Anchor::End);
    }
    for (at, facet) in facets.iter().enumerate() {
        let x = first + (column * threads.len() as f64 + gap) * at as f64;
        let width = column * threads.len() as f64;
        two_lines(frame, &facet.head, (x, top), width);
        let columns: Vec<f64> = (0..threads.len()).map(|n| x + column * n as f64).collect();
        counts(frame, threads, &columns, column, head - frame.px(6.0));
        for ((y, middle), cells) in rows.iter().zip(&facet.rows) {
            for (x, ratio) in columns.iter().zip(cells) {
                let Some(Ratio { value, outcome }) = ratio else { continue };
                let told = *outcome != Outcome::NotSignificant;
                let (colour, opacity) = if told { diverging(*value) } else { (INK, 0.0) };
                let inset = frame.px(1.0);
                let (left, right) = (x + inset, x + column - inset);
                let (top, bottom) = (y + inset, y + row - inset);
                let corners = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
                frame.scene.area(corners.clone(), GRID_MINOR, 1.0);
                frame.scene.area(corners, colour, opacity);
                let at = (x + column / 2.0, *middle);
                let words = two(*value);
                if text_width(&words, frame.px(text::SMALL), false) < column {
                    let ink = match told {
                        true if opacity > 0.75 => PAPER,
                        true => INK,
                        false => MUTED,
                    };
                    frame.scene.text(at, words, text::SMALL, ink, Anchor::Middle);
                }
            }
        }
    }
}

/// The release in bold and the variant below it: smaller rather than cut.
fn two_lines(frame: &mut Frame, [first, second]: &[String; 2], (x, top): (f64, f64), width: f64) {
    let lines = [(first, text::LABEL, true, INK), (second, text::SMALL + 1.0, false, MUTED)];
    for ((words, usual, bold, ink), below) in lines.into_iter().zip([16.0, 33.0]) {
        let size = shrunk(words, frame.px(usual), frame.px(8.0), bold, width);
        let words = fit(words, size, bold, width);
        let (at, size) = ((x, top + frame.px(below)), size / frame.px(1.0));
        match bold {
            true => frame.scene.title(at, words, size, ink),
            false => frame.scene.text(at, words, size, ink, Anchor::Start),
        }
    }
}

/// Numbers of threads over their columns, those that have room.
fn counts(frame: &mut Frame, threads: &BTreeSet<u32>, columns: &[f64], width: f64, y: f64) {
    let mut free = f64::NEG_INFINITY;
    for (n, x) in threads.iter().zip(columns) {
        let (middle, words) = (x + width / 2.0, n.to_string());
        let half = text_width(&words, frame.px(text::SMALL), false) / 2.0;
        if middle - half > free {
            frame.scene.text((middle, y), words, text::SMALL, MUTED, Anchor::Middle);
            free = middle + half + frame.px(3.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::style::README;

    /// scanning-ref stands before scanning, and seventeen workloads need a second picture.
    #[test]
    fn the_base_is_the_scheme_and_not_one_of_a_longer_name() {
        let at = |fill: usize| {
            let fill = [("fill".to_owned(), fill.to_string())];
            ("churn", std::collections::BTreeMap::from(fill))
        };
        let plan = Plan {
            variants: vec!["scanning-ref", "scanning", "percluster"],
            workloads: (0..ROWS + 1).map(at).collect(),
            ..Plan::default()
        };
        let runs = [common::simulated(&plan)];
        let sets = data::sets(&runs);
        let all: Vec<&Set> = sets.iter().collect();
        let pictures = draw(&all, README).unwrap();
        let parts: Vec<&str> = pictures.iter().map(|picture| &picture.part[..]).collect();
        assert_eq!(parts.len(), 2, "{parts:?}");
        assert_eq!(parts[1], format!("{}-2", parts[0]));
        let svg = pictures[0].scene.svg().unwrap();
        assert!(svg.contains("over that of 6.12 scanning, by CPUs"), "the subtitle names the base");
        assert!(svg.contains("6.14 does more than 6.12 in 16 of 16 workloads"), "the title");
        assert!(!svg.contains("…"), "a head is cut");
        pictures.iter().for_each(|p| crate::chart::tests::assert_readable(&p.scene, &p.part));
        assert!(draw(&all[..1], README).is_err(), "one workload is no overview");
    }
}
