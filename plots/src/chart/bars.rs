//! Labelled horizontal bars under headings: lock sites, counters, steps, lines.

use super::{Outcome, Picture};
use crate::axis::Axis;
use crate::frame::{Area, Caption, Frame, fit, shrunk};
use crate::scene::{Anchor, text_width};
use crate::style::{GRID, INK, MUTED, Rgb, Size, text};

/// One line of such a chart.
pub enum Row {
    Heading {
        text: String,
        colour: Rgb,
    },
    /// Parts stack from the left; the note stands behind them.
    Bar {
        label: String,
        parts: Vec<(f64, Rgb)>,
        note: String,
        interval: Option<(f64, f64)>,
    },
    /// No bar, but words: details, or why something could not be had.
    Words {
        label: String,
        text: String,
    },
}

impl Row {
    /// The farthest value the row reaches.
    fn reach(&self) -> f64 {
        match self {
            Row::Bar { parts, interval, .. } => {
                let sum = parts.iter().map(|(v, _)| v).sum::<f64>();
                interval.map_or(sum, |(_, hi)| sum.max(hi))
            }
            _ => 0.0,
        }
    }
}

/// Rows that a page of this size has room for.
pub fn rows_on_a_page(frame: &Frame) -> usize {
    let height = frame.free.bottom - frame.free.top - frame.px(68.0);
    (height / frame.px(20.0)) as usize
}

/// Shares blocks of rows out to pages, each block whole: a bar must stay readable.
pub fn pages(frame: &Frame, blocks: Vec<Vec<Row>>) -> Vec<Vec<Row>> {
    let fit = rows_on_a_page(frame);
    let mut pages: Vec<Vec<Row>> = Vec::new();
    for block in blocks {
        match pages.last_mut() {
            Some(page) if page.len() + block.len() <= fit => page.extend(block),
            _ => pages.push(block),
        }
    }
    pages
}

/// A picture for each page of `blocks`, numbered from the second on.
pub fn pictures(
    size: Size,
    caption: &Caption,
    (name, format): (&str, fn(f64) -> String),
    legend: &[(String, Rgb)],
    blocks: Vec<Vec<Row>>,
) -> Outcome {
    let pages = pages(&Frame::new(size, caption), blocks);
    let mut pictures = Vec::new();
    for (i, rows) in pages.iter().enumerate() {
        let mut frame = Frame::new(size, caption);
        frame.legend(legend);
        draw(&mut frame, name, format, rows);
        let part = if i == 0 { String::new() } else { (i + 1).to_string() };
        pictures.push(Picture { part, scene: frame.scene });
    }
    Ok(pictures)
}

/// Draws all rows on one linear scale from zero, which is named below it.
fn draw(frame: &mut Frame, name: &str, format: fn(f64) -> String, rows: &[Row]) {
    let reach: Vec<f64> = rows.iter().map(Row::reach).collect();
    let axis = Axis::from_zero(name, &reach, format);
    let columns = Columns::of(frame, rows);
    let at = |v: f64| columns.bars.left + axis.at(v) * (columns.bars.right - columns.bars.left);
    for tick in axis.ticks() {
        let x = at(tick.value);
        frame.scene.line(vec![(x, columns.bars.top), (x, columns.bars.bottom)], GRID, 1.0, &[]);
    }
    tick_labels(frame, &axis, &columns);
    let step = columns.step;
    let mut y = columns.bars.top;
    for row in rows {
        let base = y + step * 0.5 + frame.px(5.0);
        let left = frame.free.left;
        match row {
            Row::Heading { text, colour } => {
                frame.scene.title((left, base), text, text::LABEL, *colour);
            }
            Row::Bar { label, parts, note, interval } => {
                name_row(frame, label, base, &columns);
                let (top, bottom) = (y + step * 0.18, y + step * 0.82);
                let mut from = 0.0;
                for (value, colour) in parts {
                    frame.scene.bar((at(from), top), (at(from + value), bottom), *colour);
                    from += value;
                }
                if let Some((lo, hi)) = interval {
                    let middle = y + step * 0.5;
                    frame.scene.line(vec![(at(*lo), middle), (at(*hi), middle)], INK, 1.6, &[]);
                }
                let x = at(row.reach()) + frame.px(7.0);
                frame.scene.text((x, base), note, text::SMALL + 1.0, INK, Anchor::Start);
            }
            Row::Words { label, text: words } => {
                name_row(frame, label, base, &columns);
                let x = columns.bars.left + frame.px(7.0);
                let width = frame.free.right - x;
                let (usual, least) = (frame.px(text::SMALL + 1.0), frame.px(text::SMALL - 1.0));
                let size = shrunk(words, usual, least, false, width);
                let text = fit(words, size, false, width);
                frame.scene.text((x, base), text, size / frame.px(1.0), MUTED, Anchor::Start);
            }
        }
        y += step;
    }
}

fn tick_labels(frame: &mut Frame, axis: &Axis, columns: &Columns) {
    let Columns { bars, .. } = columns;
    let mut taken = f64::MIN;
    for tick in axis.ticks() {
        let x = bars.left + axis.at(tick.value) * (bars.right - bars.left);
        let label = tick.label.as_deref().unwrap_or_default();
        let half = text_width(label, frame.px(text::TICK), false) / 2.0;
        if x - half > taken {
            let at = (x, bars.bottom + frame.px(18.0));
            frame.scene.text(at, label, text::TICK, INK, Anchor::Middle);
            taken = x + half + frame.px(8.0);
        }
    }
    let at = ((bars.left + bars.right) / 2.0, bars.bottom + frame.px(38.0));
    frame.scene.text(at, &axis.name, text::LABEL, MUTED, Anchor::Middle);
}

fn name_row(frame: &mut Frame, label: &str, base: f64, columns: &Columns) {
    let x = columns.bars.left - frame.px(8.0);
    let width = x - frame.free.left;
    let label = fit(label, frame.px(text::SMALL + 1.5), false, width);
    frame.scene.text((x, base), label, text::SMALL + 1.5, INK, Anchor::End);
}

/// Where labels end, and bars begin and end so that the notes still fit.
struct Columns {
    bars: Area,
    step: f64,
}

impl Columns {
    fn of(frame: &Frame, rows: &[Row]) -> Columns {
        let width = |text: &str| text_width(text, frame.px(text::SMALL + 1.5), false);
        let (mut label, mut note) = (0.0f64, 0.0f64);
        for row in rows {
            match row {
                Row::Bar { label: l, note: n, .. } => {
                    label = label.max(width(l));
                    note = note.max(width(n));
                }
                Row::Words { label: l, .. } => label = label.max(width(l)),
                Row::Heading { .. } => {}
            }
        }
        let free = frame.free;
        let left = free.left + label.min((free.right - free.left) * 0.36) + frame.px(14.0);
        let right = (free.right - note - frame.px(14.0)).max(left + frame.px(120.0));
        let top = free.top + frame.px(22.0);
        let step = ((free.bottom - top - frame.px(46.0)) / rows.len() as f64).min(frame.px(34.0));
        let bottom = top + step * rows.len() as f64;
        Columns { bars: Area { left, top, right, bottom }, step }
    }
}
