//! The kernel's history release by release: a small panel for each workload, with the throughput at the
//! most CPUs. Guards that a panel is of one run under one lock, and that releases stand in their order.

use results::metric::Metric;
use results::scheme::{self, HISTORY};

use super::finding::{self, Claim, largest, short_name, without_run};
use super::{Picture, lines, load};
use crate::axis::{Axis, si};
use crate::data::{self, Median, Set, Track, spread};
use crate::frame::{Area, Caption, Frame, Panel, fit};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{INK, MUTED, Size, text};

/// Panels that a picture has room for, and how many stand side by side.
const PANELS: usize = 12;
const COLUMNS: usize = 4;
/// Fewer releases are no history.
const LEAST: usize = 3;

/// A workload and its releases, the oldest first.
struct Strip<'a> {
    set: &'a Set<'a>,
    tracks: Vec<&'a Track<'a>>,
}

/// Pictures of each machine.
pub fn draw(sets: &[&Set], size: Size) -> super::Outcome {
    let strips: Vec<Strip> =
        sets.iter().filter(|set| !load::in_sweep(set, sets)).filter_map(|set| strip(set)).collect();
    let mut pictures = Vec::new();
    let mut machines: Vec<&str> = strips.iter().map(|s| s.set.place.machine.as_str()).collect();
    machines.dedup();
    for machine in machines {
        let here: Vec<&Strip> =
            strips.iter().filter(|strip| strip.set.place.machine == machine).collect();
        for (at, strips) in here.chunks(PANELS).enumerate() {
            let part = match at {
                0 => machine.to_owned(),
                _ => format!("{machine}-{}", at + 1),
            };
            if !pictures.iter().any(|known: &Picture| known.part == part) {
                pictures.push(Picture { part, scene: scene(size, strips) });
            }
        }
    }
    if pictures.is_empty() {
        let why =
            format!("needs {LEAST} releases of the kernel's history, of one run and one lock");
        return Err(why);
    }
    Ok(pictures)
}

/// The run and lock with the most releases; `None` where no history can be told of it.
fn strip<'a>(set: &'a Set<'a>) -> Option<Strip<'a>> {
    let mut families: Vec<(*const _, &str, Vec<&Track>)> = Vec::new();
    for track in set.tracks.iter().filter(|track| scheme::place(track.variant).is_some()) {
        let (Some(side), lock) = (set.side(track), track.groups[0].key.lock.as_str()) else {
            continue;
        };
        let run = std::ptr::from_ref(side.loaded);
        match families.iter_mut().find(|(of, under, _)| (*of, *under) == (run, lock)) {
            Some((.., tracks)) => tracks.push(track),
            None => families.push((run, lock, vec![track])),
        }
    }
    let (.., mut tracks) = families.into_iter().max_by_key(|(.., tracks)| tracks.len())?;
    tracks.sort_by_key(|track| scheme::place(track.variant));
    let threads = tracks[0].widest().threads();
    let alike = tracks.iter().all(|track| track.widest().threads() == threads);
    (alike && tracks.len() >= LEAST).then_some(Strip { set, tracks })
}

impl<'a> Strip<'a> {
    fn threads(&self) -> u32 {
        self.tracks[0].widest().threads()
    }

    /// The largest step from one release to the next, where one can be told.
    fn largest(&self) -> Option<Claim<'a>> {
        let step = |pair: &[&'a Track<'a>]| {
            Claim::of(self.set, (pair[0], pair[1]), &Metric::Throughput, self.threads())
        };
        largest(self.tracks.windows(2).filter_map(step).collect())
    }
}

fn scene(size: Size, strips: &[&Strip]) -> Scene {
    let sets: Vec<&Set> = strips.iter().map(|strip| strip.set).collect();
    let place = &sets[0].place;
    let trials = strips.iter().flat_map(|s| &s.tracks).map(|track| track.widest().cells.len());
    let note = format!(
        "Points: median; bars: {}. Each panel has its own scale, from zero.",
        spread(trials)
    );
    let caption = Caption {
        title: title(strips),
        subtitle: format!(
            "Operations per second by release, {}, {} {}",
            cpus(strips),
            place.origin(),
            place.machine
        ),
        small_print: data::small_print(&data::runs_of(&sets), note),
    };
    let mut frame = Frame::new(size, &caption);
    let columns = strips.len().min(COLUMNS);
    let areas = frame.grid(strips.len().div_ceil(columns), columns);
    for (area, strip) in areas.into_iter().zip(strips) {
        panel(&mut frame, area, strip);
    }
    frame.scene
}

fn cpus(strips: &[&Strip]) -> String {
    match strips.iter().all(|strip| strip.threads() == strips[0].threads()) {
        true => finding::at(strips[0].tracks[0], strips[0].threads()),
        false => "with the most CPUs of each".into(),
    }
}

/// The release that is most often the largest step.
fn title(strips: &[&Strip]) -> String {
    let mut counts = vec![0; HISTORY.len()];
    for claim in strips.iter().filter_map(|strip| strip.largest()) {
        counts[scheme::place(claim.new.variant).unwrap_or(0)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let release = counts.iter().position(|count| *count == most).unwrap_or(0);
    let predicted = strips[0].set.place.predicted;
    let all = strips.len();
    match most {
        0 => "The kernel's history by workload".into(),
        _ if all == 1 => {
            finding::said(predicted, &format!("the largest step is that to {}", HISTORY[release].1))
        }
        _ => {
            let to = HISTORY[release].1;
            let words = format!("the largest step is that to {to}, in {most} of {all} workloads");
            finding::said(predicted, &words)
        }
    }
}

fn panel(frame: &mut Frame, area: Area, strip: &Strip) {
    let small = text::SMALL + 1.0;
    let name = fit(&strip.set.work, frame.px(small), true, area.right - area.left);
    frame.scene.title((area.left, area.top + frame.px(13.0)), name, small, INK);
    let points: Vec<(&Track, Median)> = strip
        .tracks
        .iter()
        .filter_map(|t| Some((*t, Median::of(&t.widest().samples(&Metric::Throughput))?)))
        .collect();
    let all: Vec<f64> = points.iter().flat_map(|(_, m)| [m.lo, m.median, m.hi]).collect();
    let inside = Area {
        left: area.left + frame.px(30.0),
        top: area.top + frame.px(34.0),
        right: area.right - frame.px(14.0),
        bottom: area.bottom - frame.px(20.0),
    };
    let x = Axis::bare("", 0.0, (points.len().max(2) - 1) as f64);
    let panel = Panel::bare(inside, x, Axis::from_zero("", &all, si));
    let base = [(area.left, inside.bottom), (area.right, inside.bottom)];
    frame.scene.line(base.to_vec(), INK, 1.2, &[]);
    let at = |i: usize, v: f64| panel.at(i as f64, v);
    let path = points.iter().enumerate().map(|(i, (_, m))| at(i, m.median)).collect();
    frame.scene.line(path, MUTED, 1.6, &[]);
    let mut taken = f64::MIN;
    for (i, (track, m)) in points.iter().enumerate() {
        let ((x, top), (_, bottom)) = (at(i, m.hi), at(i, m.lo));
        lines::whisker(frame, x, [top, bottom], track.look.colour);
        let hollow = strip.set.place.predicted;
        frame.scene.mark(at(i, m.median), track.look.marker, track.look.colour, hollow);
        // The line goes on to the right of the first point and comes from the left of the last.
        if i == 0 {
            value(frame, (x + frame.px(5.0), top), m.median, Anchor::End);
        } else if i + 1 == points.len() {
            value(frame, (x, top), m.median, Anchor::Middle);
        }
        let release = without_run(&short_name(track)).to_owned();
        let half = text_width(&release, frame.px(text::SMALL), false) / 2.0;
        if x - half > taken && x + half <= area.right + frame.px(8.0) {
            let y = inside.bottom + frame.px(15.0);
            frame.scene.text((x, y), release, text::SMALL, INK, Anchor::Middle);
            taken = x + half + frame.px(3.0);
        }
    }
}

/// A figure above a point.
fn value(frame: &mut Frame, (x, y): (f64, f64), figure: f64, anchor: Anchor) {
    frame.scene.text((x, y - frame.px(9.0)), si(figure), text::SMALL, INK, anchor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::assert_readable;
    use crate::common::{self, Plan};
    use crate::style::{README, SLIDE};

    fn run(variants: &[&'static str], workloads: usize) -> results::store::Loaded {
        let at = |fill: usize| {
            let fill = [("fill".to_owned(), fill.to_string())];
            ("churn", std::collections::BTreeMap::from(fill))
        };
        common::simulated(&Plan {
            variants: variants.to_vec(),
            threads: vec![1, 64],
            workloads: (10..10 + workloads).map(at).collect(),
            ..Plan::default()
        })
    }

    #[test]
    fn releases_stand_in_their_order_whatever_the_plan_says() {
        let all = ["swap-table", "percluster", "global", "percpu-cluster", "scanning"];
        for workloads in [1, 2, 11, 13] {
            let runs = [run(&all, workloads)];
            let sets = data::sets(&runs);
            let all: Vec<&Set> = sets.iter().collect();
            for size in [README, SLIDE] {
                let pictures = draw(&all, size).unwrap();
                assert_eq!(pictures.len(), workloads.div_ceil(PANELS));
                pictures.iter().for_each(|p| assert_readable(&p.scene, &p.part));
            }
            let names: Vec<_> = strip(all[0]).unwrap().tracks.iter().map(|t| t.variant).collect();
            assert_eq!(names, ["scanning", "percluster", "percpu-cluster", "swap-table"]);
        }
    }

    #[test]
    fn two_releases_or_two_runs_are_no_history() {
        let mut later = run(&["percpu-cluster", "swap-table"], 1);
        later.run.id = "2".into();
        for runs in [
            vec![run(&["scanning", "percluster", "global", "mine"], 1)],
            vec![run(&["scanning", "percluster"], 1), later],
        ] {
            let sets = data::sets(&runs);
            let all: Vec<&Set> = sets.iter().collect();
            let reason = draw(&all, README).err().unwrap();
            assert!(reason.contains("3 releases of the kernel's history"), "{reason}");
        }
    }
}
