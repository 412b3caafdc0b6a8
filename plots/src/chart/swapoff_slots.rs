//! The time of each swapoff against the slots that were in use: every kernel on one pair of axes,
//! failures among them. One picture for measured kernels, one for emulated ones.

use std::collections::BTreeSet;

use results::schema::{MachineKind, Swapoff};

use super::{Outcome, Picture};
use crate::axis::{Axis, si, time};
use crate::data::{Set, runs_of, small_print};
use crate::frame::{Caption, Frame};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{INK, Look, Size, look, text};

/// The swapoffs of one kernel.
struct Series<'a> {
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
            let variant = track.name.split(' ').next().unwrap_or_default();
            let name = format!("{release} ({variant})");
            let offs = group.cells.iter().flat_map(|cell| &cell.swapoff);
            match found.iter_mut().find(|series| series.name == name) {
                Some(series) => series.swapoffs.extend(offs),
                None => {
                    let look = look(found.len());
                    found.push(Series { name, look, swapoffs: offs.collect() });
                }
            }
        }
    }
    found.retain(|series| !series.swapoffs.is_empty());
    found
}

fn picture(sets: &[&Set], size: Size, series: &[Series]) -> Scene {
    let all = || series.iter().flat_map(|s| &s.swapoffs);
    let failed = all().filter(|off| off.result != "ok").count();
    let counts = series.iter().map(|s| format!("{} of {}", s.swapoffs.len(), s.name));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let place = &sets[0].place;
    let note = "Each mark: one swapoff(2) under load; hollow: it failed and the swap stayed on.";
    let caption = Caption {
        title: "swapoff against slots in use".into(),
        subtitle: format!(
            "{}, {} {}: {counts}; {failed} failed",
            place.workload,
            place.kind.origin(),
            if series.len() > 1 { "these kernels" } else { "this kernel" }
        ),
        small_print: small_print(&runs_of(sets), note.into()),
    };
    let slots: Vec<f64> = all().map(|off| off.used_slots as f64).collect();
    let times: Vec<f64> = all().map(|off| total(off)).collect();
    let mut frame = Frame::new(size, &caption);
    legend(&mut frame, series);
    let x = Axis::from_zero("slots in use when it began", &slots, si);
    let panel = frame.panel(x, Axis::log10("time (log scale)", &times, time), 0.0);
    for series in series {
        for off in &series.swapoffs {
            let here = panel.at(off.used_slots as f64, total(off));
            frame.scene.mark(here, series.look.marker, series.look.colour, off.result != "ok");
        }
    }
    frame.scene
}

/// Marks with their names in rows above the panel.
fn legend(frame: &mut Frame, series: &[Series]) {
    let (left, row) = (frame.free.left, frame.px(18.0));
    let mut x = left;
    for Series { name, look, .. } in series {
        let width = frame.px(14.0) + text_width(name, frame.px(text::TICK), false);
        if x > left && x + width > frame.free.right {
            x = left;
            frame.free.top += row;
        }
        let y = frame.free.top + frame.px(8.0);
        let mark = (x + frame.px(5.0), y - frame.px(5.0));
        frame.scene.mark(mark, look.marker, look.colour, false);
        frame.scene.text((x + frame.px(14.0), y), name, text::TICK, INK, Anchor::Start);
        x += width + frame.px(16.0);
    }
    frame.free.top += row;
}

fn total(swapoff: &Swapoff) -> f64 {
    swapoff.steps.iter().map(|step| step.ns as f64).sum::<f64>().max(1.0)
}
