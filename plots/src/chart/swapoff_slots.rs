//! The time of each swapoff against the slots that were in use, a panel for each kernel on the same axes,
//! with those that failed on top: how many did is the title. One picture for measured kernels, one for
//! emulated ones.

use std::collections::BTreeSet;

use results::schema::{MachineKind, Swapoff};

use super::{Outcome, Picture};
use crate::axis::{Axis, si, time};
use crate::data::{Set, runs_of, small_print};
use crate::frame::{Area, Caption, Frame, fit};
use crate::scene::Scene;
use crate::style::{INK, Look, Size, text};

/// Panels in a row.
const COLUMNS: usize = 3;

/// The swapoffs of one kernel.
struct Series<'a> {
    /// "6.18.15 (percpu-cluster)".
    name: String,
    look: Look,
    swapoffs: Vec<&'a Swapoff>,
}

pub fn draw(sets: &[&Set], size: Size) -> Outcome {
    let mut pictures = Vec::new();
    for (kind, part) in [(MachineKind::Kernel, ""), (MachineKind::Emulated, "emulated")] {
        let here: Vec<&Set> = sets.iter().copied().filter(|s| s.place.kind == kind).collect();
        let series = series(&here);
        let slots = series.iter().flat_map(|s| &s.swapoffs).map(|off| off.used_slots);
        if slots.collect::<BTreeSet<u64>>().len() > 1 {
            let scene = picture(&here, size, &series);
            pictures.push(Picture { part: part.into(), scene });
        }
    }
    if pictures.is_empty() {
        return Err("needs swapoffs of a kernel with different numbers of slots in use".into());
    }
    Ok(pictures)
}

/// One series per kernel, in the order of the runs.
fn series<'a>(sets: &[&'a Set]) -> Vec<Series<'a>> {
    let mut found: Vec<Series> = Vec::new();
    for set in sets {
        for (track, group) in set.groups() {
            let release = set.place.machine.split('+').next().unwrap_or_default();
            let name = format!("{release} ({})", track.variant);
            let offs = group.cells.iter().flat_map(|cell| &cell.swapoff);
            match found.iter_mut().find(|series| series.name == name) {
                Some(series) => series.swapoffs.extend(offs),
                None => {
                    found.push(Series { name, look: track.look, swapoffs: offs.collect() });
                }
            }
        }
    }
    found.retain(|series| !series.swapoffs.is_empty());
    found
}

fn picture(sets: &[&Set], size: Size, series: &[Series]) -> Scene {
    let place = &sets[0].place;
    let note =
        "Each dot: one swapoff(2) under load; black and hollow: it failed and the swap stayed on.";
    let kernels = if series.len() > 1 { "these kernels" } else { "this kernel" };
    let caption = Caption {
        title: title(series),
        subtitle: format!(
            "Time of each swapoff against slots in use; {}, {} {kernels}",
            place.workload,
            place.kind.origin()
        ),
        small_print: small_print(&runs_of(sets), note.into()),
    };
    let all = || series.iter().flat_map(|s| &s.swapoffs);
    let slots: Vec<f64> = all().map(|off| off.used_slots as f64).collect();
    let times: Vec<f64> = all().map(|off| total(off)).collect();
    let mut frame = Frame::new(size, &caption);
    let columns = series.len().min(COLUMNS);
    let areas = frame.grid(series.len().div_ceil(columns), columns);
    for (area, series) in areas.into_iter().zip(series) {
        panel(&mut frame, area, series, [&slots, &times]);
    }
    frame.scene
}

/// "swapoff fails: 30 of 416 (6.16.12), none of 404 (6.12.118)".
fn title(series: &[Series]) -> String {
    let count = |series: &Series| {
        let failed = series.swapoffs.iter().filter(|off| off.result != "ok").count();
        let failed = if failed == 0 { "none".into() } else { failed.to_string() };
        let release = series.name.split(' ').next().unwrap_or_default();
        format!("{failed} of {} ({release})", series.swapoffs.len())
    };
    let counts: Vec<String> = series.iter().map(count).collect();
    format!("swapoff fails: {}", counts.join(", "))
}

/// One kernel on the axes of all.
fn panel(frame: &mut Frame, area: Area, series: &Series, [slots, times]: [&[f64]; 2]) {
    frame.free = area;
    let name = fit(&series.name, frame.px(text::SMALL + 2.0), true, area.right - area.left);
    let at = (area.left, area.top + frame.px(15.0));
    frame.scene.title(at, name, text::SMALL + 2.0, series.look.colour.darker());
    let mut y = Axis::log10("", times, time);
    y.name.clear();
    let panel = frame.panel(Axis::from_zero("slots in use", slots, si), y, 0.0);
    let at = |off: &Swapoff| panel.at(off.used_slots as f64, total(off));
    let (done, failed): (Vec<_>, Vec<_>) =
        series.swapoffs.iter().copied().partition(|off| off.result == "ok");
    done.iter().for_each(|off| frame.scene.dot(at(off), series.look.colour));
    failed.iter().for_each(|off| frame.scene.mark(at(off), series.look.marker, INK, true));
}

fn total(swapoff: &Swapoff) -> f64 {
    swapoff.steps.iter().map(|step| step.ns as f64).sum::<f64>().max(1.0)
}
