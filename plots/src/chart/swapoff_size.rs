//! How a swapoff grows with its device: the whole, the barrier alone, the barrier's share, and
//! what allocations take meanwhile. Small panels on one page, a page for each amount in use
//! and number of threads: one thread is an idle device, more are load.

use std::collections::{BTreeMap, BTreeSet};

use results::schema::{Cell, Swapoff};
use results::steps::BARRIER;

use super::lines::Curve;
use super::panels::{self, Panel};
use super::swapoff::{by_trial, step, swapoffs, total};
use super::{Outcome, Picture, finding};
use crate::axis::{Axis, percent, si, time};
use crate::data::{Group, Median, Set, runs_of, small_print, spread};
use crate::frame::Caption;
use crate::scene::Scene;
use crate::style::{Look, Size};

/// The kind of allocations that begin while a swapoff is under way.
const MEANWHILE: &str = "alloc-in-swapoff";
/// With fewer of them there is no 99th percentile.
const LEAST_TIMED: u64 = 1000;

/// The conditions that one picture shares.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Page<'a> {
    machine: &'a str,
    params: BTreeMap<&'a str, &'a str>,
    threads: u32,
}

/// The groups of one variant by the number of clusters of the device.
type Sizes<'a> = BTreeMap<u64, &'a Group<'a>>;

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let pages: BTreeSet<Page> = sets.iter().flat_map(|set| pages(set)).collect();
    let several = pages.len() > 1;
    let mut pictures = Vec::new();
    for page in pages {
        let here: Vec<&Set> = sets.iter().copied().filter(|set| page.has(set)).collect();
        let tracks = tracks(&here, page.threads);
        if tracks.iter().any(|(.., sizes)| sizes.len() > 1) {
            let part = if several { page.name(sets) } else { page.machine.to_string() };
            pictures.push(Picture { part, scene: picture(&here, &page, size, &tracks) });
        }
    }
    if pictures.is_empty() {
        return Err("needs swapoffs of devices of several sizes".into());
    }
    Ok(pictures)
}

fn params<'a>(set: &'a Set) -> BTreeMap<&'a str, &'a str> {
    let all = set.place.params.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    all.filter(|(key, _)| *key != "size").collect()
}

fn pages<'a>(set: &'a Set) -> Vec<Page<'a>> {
    let threads: BTreeSet<u32> = set.groups().map(|(_, g)| g.threads()).collect();
    let page = |threads| Page { machine: &set.place.machine, params: params(set), threads };
    threads.into_iter().map(page).collect()
}

impl Page<'_> {
    fn has(&self, set: &Set) -> bool {
        self.machine == set.place.machine && self.params == params(set)
    }

    /// Machine, threads, and the parameters that are not the same on all pages.
    fn name(&self, sets: &[&Set]) -> String {
        let differs =
            |key: &str, value: &str| sets.iter().any(|s| params(s).get(key) != Some(&value));
        let own = self.params.iter().filter(|(key, value)| differs(key, value));
        let own: Vec<String> = own.map(|(key, value)| format!("-{key}{value}")).collect();
        format!("{}{}-threads{}", self.machine, own.concat(), self.threads)
    }
}

/// Name, look and sizes of each variant that swapped off at this number of threads.
fn tracks<'a>(sets: &[&'a Set], threads: u32) -> Vec<(&'a str, Look, Sizes<'a>)> {
    let mut found: Vec<(&str, Look, Sizes)> = Vec::new();
    for track in sets.iter().flat_map(|set| &set.tracks) {
        let Some(group) = track.groups.iter().find(|g| g.threads() == threads) else { continue };
        let Some(clusters) = swapoffs(group).map(|s| s.clusters).next() else { continue };
        match found.iter_mut().find(|(name, ..)| *name == track.name) {
            Some((.., sizes)) => drop(sizes.insert(clusters, group)),
            None => found.push((&track.name, track.look, BTreeMap::from([(clusters, group)]))),
        }
    }
    found
}

/// A panel's heading, its values of one group, and their axis.
type Measure = (&'static str, fn(&Group) -> Vec<Vec<f64>>, fn(&str, &[f64]) -> Axis);

const MEASURES: [Measure; 4] = [
    ("whole swapoff (log scale)", |g| by_trial(g, |off| Some(total(off))), log_time),
    ("barrier alone (log scale)", |g| by_trial(g, barrier), log_time),
    ("barrier's share (log scale)", |g| by_trial(g, share), shares),
    (
        "p99 of allocations meanwhile (log scale)",
        |g| g.cells.iter().map(|c| meanwhile(c).into_iter().collect()).collect(),
        log_time,
    ),
];

fn log_time(name: &str, values: &[f64]) -> Axis {
    Axis::log10(name, values, time)
}

fn shares(name: &str, values: &[f64]) -> Axis {
    Axis::log10(name, values, percent)
}

fn barrier(swapoff: &Swapoff) -> Option<f64> {
    step(swapoff, BARRIER)
}

fn share(swapoff: &Swapoff) -> Option<f64> {
    Some(barrier(swapoff)? / total(swapoff))
}

fn meanwhile(cell: &Cell) -> Option<f64> {
    let latency = cell.kinds.get(MEANWHILE)?.latency.as_ref()?;
    (latency.n >= LEAST_TIMED).then_some(latency.p99 as f64)
}

/// The barrier's largest share of a swapoff, and of which scheme and size.
fn title(predicted: bool, tracks: &[(&str, Look, Sizes)]) -> String {
    let all = tracks.iter().flat_map(|(name, _, sizes)| sizes.iter().map(move |of| (name, of)));
    let share = |(name, (clusters, group)): (&&str, (&u64, &&Group))| {
        let share = Median::of_trials(&by_trial(group, share))?.median;
        let name = name.split(' ').next().unwrap_or_default();
        Some((share, format!("{name}, {} clusters", si(*clusters as f64))))
    };
    let shares = all.filter_map(share).filter(|(share, _)| share.is_finite());
    match shares.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((most, of)) => {
            let words = format!("the barrier is {} of a swapoff ({of})", finding::at_most(most));
            finding::said(predicted, &words)
        }
        None => "swapoff against device size".into(),
    }
}

fn picture(sets: &[&Set], page: &Page, size: Size, tracks: &[(&str, Look, Sizes)]) -> Scene {
    let place = &sets[0].place;
    let load = match page.threads {
        1 => "idle but for the swapoff".to_string(),
        2 => "1 more thread allocates meanwhile".into(),
        n => format!("{} more threads allocate meanwhile", n - 1),
    };
    let fill = page.params.get("fill").map_or(String::new(), |fill| match fill.parse::<u32>() {
        Ok(percent) => format!(", {percent} % in use"),
        Err(_) => format!(", {fill} in use"),
    });
    let trials = tracks.iter().flat_map(|(.., sizes)| sizes.values()).map(|g| g.cells.len());
    let note = format!(
        "Points: median over all swapoffs (last panel: trials); bars, by trial: {}. What waits for an \
         RCU grace period waits for membarrier(2) here: the kernel's takes milliseconds.",
        spread(trials)
    );
    let caption = Caption {
        title: title(place.predicted, tracks),
        subtitle: format!("{}{fill}, {load}, {} {}", place.workload, place.origin(), place.machine),
        small_print: small_print(&runs_of(sets), note),
    };
    let panel = |(name, values, y): Measure| Panel {
        name: name.into(),
        x: |clusters| Axis::log10("clusters", clusters, si),
        y,
        curves: tracks.iter().map(|t| curve(t, values, place.predicted)).collect(),
        marks: true,
    };
    let key: Vec<_> = tracks.iter().map(|(name, look, _)| (*name, *look)).collect();
    panels::draw(size, &caption, &key, MEASURES.map(panel).into(), 2)
}

fn curve(track: &(&str, Look, Sizes), values: fn(&Group) -> Vec<Vec<f64>>, hollow: bool) -> Curve {
    let (name, look, sizes) = track;
    let point = |(clusters, group): (&u64, &&Group)| {
        Some((*clusters as f64, Median::of_trials(&values(group))?))
    };
    let points = sizes.iter().filter_map(point).collect();
    Curve { name: name.to_string(), look: *look, points, hollow }
}
