//! The parts that every chart has around its data: title, axes with grid, labels at the
//! ends of lines, and the small print that says where the figures are from.

use crate::axis::Axis;
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{Dash, GRID, GRID_MINOR, INK, Look, MUTED, Rgb, Size, text};

/// The words around a chart.
#[derive(Debug, Clone, Default)]
pub struct Caption {
    pub title: String,
    /// Conditions: workload, machine, measured or predicted. A new line begins one on the picture.
    pub subtitle: String,
    /// Runs and commit. How to repeat them stands in a file beside the picture.
    pub small_print: Vec<String>,
}

/// A rectangle on the page, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

/// A page with its words set and the rest of it free.
pub struct Frame {
    pub scene: Scene,
    pub free: Area,
    zoom: f64,
}

impl Frame {
    /// Sets the title on top and the small print at the bottom.
    pub fn new(size: Size, caption: &Caption) -> Frame {
        let mut scene = Scene::new(size);
        scene.words = [caption.title.clone(), caption.subtitle.clone()];
        let z = size.zoom;
        let margin = 20.0 * z;
        let width = size.width - 2.0 * margin;
        let mut y = 32.0 * z;
        let title = shrunk(&caption.title, text::TITLE * z, text::LABEL * z, true, width) / z;
        scene.title((margin, y), fit(&caption.title, title * z, true, width), title, INK);
        let about = caption.subtitle.lines();
        for line in about.flat_map(|line| wrapped(line, text::SUBTITLE * z, width, 2)) {
            y += 22.0 * z;
            scene.text((margin, y), line, text::SUBTITLE, MUTED, Anchor::Start);
        }
        let lines: Vec<String> = caption
            .small_print
            .iter()
            .flat_map(|l| wrapped(l, text::SMALL * z, width, 2))
            .collect();
        let step = 14.0 * z;
        let mut at = size.height - 10.0 * z - step * (lines.len().max(1) - 1) as f64;
        let bottom = at - step - 4.0 * z;
        for line in lines {
            scene.text((margin, at), line, text::SMALL, MUTED, Anchor::Start);
            at += step;
        }
        let free = Area { left: margin, top: y + 12.0 * z, right: size.width - margin, bottom };
        Frame { scene, free, zoom: z }
    }

    /// Draws both axes into the free area, leaving `right` pixels for labels, and
    /// returns the panel that data is drawn on.
    pub fn panel(&mut self, x: Axis, y: Axis, right: f64) -> Panel {
        let z = self.zoom;
        let widest = y
            .ticks()
            .iter()
            .filter_map(|t| t.label.as_deref())
            .map(|l| text_width(l, text::TICK * z, false))
            .fold(0.0, f64::max);
        let area = Area {
            left: self.free.left + widest + 10.0 * z,
            top: self.free.top + 28.0 * z,
            right: self.free.right - right.max(16.0 * z),
            bottom: self.free.bottom - 44.0 * z,
        };
        let panel = Panel { area, x, y };
        self.y_axis(&panel);
        self.x_axis(&panel);
        panel
    }

    /// A panel as wide as it is high, on the left: a value is as far along on both axes. What is right of
    /// it stays free.
    pub fn square(&mut self, x: Axis, y: Axis) -> Panel {
        let before = self.free;
        let labels = y.ticks().iter().filter_map(|tick| tick.label.as_deref());
        let widest =
            labels.map(|l| text_width(l, text::TICK * self.zoom, false)).fold(0.0, f64::max);
        let side = before.bottom - before.top - self.px(28.0 + 44.0);
        let right = before.left + widest + self.px(10.0) + side + self.px(16.0);
        self.free.right = right.min(before.right);
        let panel = self.panel(x, y, 0.0);
        self.free.right = before.right;
        panel
    }

    fn y_axis(&mut self, panel: &Panel) {
        let (z, a) = (self.zoom, panel.area);
        let mut free_above = f64::MAX;
        for tick in panel.y.ticks() {
            let y = panel.y_at(tick.value);
            let colour = if tick.label.is_some() { GRID } else { GRID_MINOR };
            self.scene.line(vec![(a.left, y), (a.right, y)], colour, 1.0, &[]);
            if let Some(label) = tick.label.as_ref().filter(|_| y < free_above) {
                let at = (a.left - 7.0 * z, y + 5.0 * z);
                self.scene.text(at, label, text::TICK, INK, Anchor::End);
                free_above = y - text::TICK * z;
            }
        }
        if !panel.y.name.is_empty() {
            let at = (self.free.left, a.top - 13.0 * z);
            self.scene.text(at, &panel.y.name, text::LABEL, MUTED, Anchor::Start);
        }
    }

    fn x_axis(&mut self, panel: &Panel) {
        let (z, a) = (self.zoom, panel.area);
        self.scene.line(vec![(a.left, a.bottom), (a.right, a.bottom)], INK, 1.2, &[]);
        let mut labels = Vec::new();
        for tick in panel.x.ticks() {
            let x = panel.x_at(tick.value);
            self.scene.line(vec![(x, a.bottom), (x, a.bottom + 5.0 * z)], INK, 1.2, &[]);
            if let Some(label) = &tick.label {
                labels.push((x, text_width(label, text::TICK * z, false), label));
            }
        }
        for (x, label) in apart(&labels, 6.0 * z) {
            let at = (x, a.bottom + 20.0 * z);
            self.scene.text(at, label, text::TICK, INK, Anchor::Middle);
        }
        let at = ((a.left + a.right) / 2.0, a.bottom + 40.0 * z);
        self.scene.text(at, &panel.x.name, text::LABEL, MUTED, Anchor::Middle);
    }

    /// The room on the right that `labels` need at the ends of their lines.
    pub fn room_for<'a>(&self, labels: impl IntoIterator<Item = &'a str>) -> f64 {
        let widest = labels
            .into_iter()
            .map(|l| text_width(&self.label(l), text::LABEL * self.zoom, true))
            .fold(0.0, f64::max);
        widest + 26.0 * self.zoom
    }

    /// Writes each label right of the panel at the height of its line's end, moved
    /// apart where they would overlap, with a thin leader from the line.
    pub fn end_labels(&mut self, panel: &Panel, ends: &[(&str, (f64, f64), Look)]) {
        let z = self.zoom;
        let wanted: Vec<f64> = ends.iter().map(|(_, at, _)| at.1).collect();
        let height = panel.area.bottom - panel.area.top;
        // Many labels get smaller rather than leave the page.
        let gap = (19.0 * z).min(height / ends.len() as f64);
        let size = text::LABEL * (gap / (19.0 * z)).max(0.5);
        let rows = spaced(&wanted, gap, panel.area.top, panel.area.bottom);
        let x = panel.area.right + 20.0 * z;
        for ((label, from, look), y) in ends.iter().zip(rows) {
            let start = (from.0 + 8.0 * z, from.1);
            // A long leader must not look like data.
            let long = panel.area.right - from.0 > 30.0 * z;
            let dash: Dash = if long { &[1.5, 4.0] } else { &[] };
            if start.0 < x - 4.0 * z {
                self.scene.line(vec![start, (x - 4.0 * z, y)], look.colour, 0.8, dash);
            }
            let label = self.label(label);
            self.scene.title((x, y + 0.32 * size * z), label, size, look.colour.darker());
        }
    }

    /// A row of coloured squares with their names, right-aligned above the free area.
    pub fn legend(&mut self, items: &[(String, Rgb)]) {
        let z = self.zoom;
        let y = self.free.top + 10.0 * z;
        let mut x = self.free.right;
        for (name, colour) in items.iter().rev() {
            x -= text_width(name, text::LABEL * z, false);
            self.scene.text((x, y), name, text::LABEL, INK, Anchor::Start);
            x -= 17.0 * z;
            self.scene.bar((x, y - 11.0 * z), (x + 12.0 * z, y + 1.0 * z), *colour);
            x -= 16.0 * z;
        }
    }

    /// A column of lines with their names on the right of the free area, which gets
    /// narrower by it.
    pub fn key(&mut self, items: &[(&str, Look)]) {
        let z = self.zoom;
        let widest = self.room_for(items.iter().map(|(name, _)| *name));
        let left = self.free.right - widest - 24.0 * z;
        let step = (24.0 * z).min((self.free.bottom - self.free.top) / (items.len() + 1) as f64);
        for (i, (name, look)) in items.iter().enumerate() {
            let y = self.free.top + step * (1.0 + i as f64);
            let middle = left + 14.0 * z;
            self.scene.line(vec![(left, y), (left + 28.0 * z, y)], look.colour, 2.2, look.dash);
            self.scene.mark((middle, y), look.marker, look.colour, false);
            let at = (left + 36.0 * z, y + 5.0 * z);
            self.scene.title(at, self.label(name), text::LABEL, look.colour.darker());
        }
        self.free.right = left - 14.0 * z;
    }

    /// The free area in `rows` times `columns` equal parts, row by row.
    pub fn grid(&self, rows: usize, columns: usize) -> Vec<Area> {
        let a = self.free;
        let (gap, below) = (self.px(22.0), self.px(8.0));
        let width = (a.right - a.left + gap) / columns as f64;
        let height = (a.bottom - a.top + below) / rows as f64;
        let part = |i: usize| {
            let left = a.left + (i % columns) as f64 * width;
            let top = a.top + (i / columns) as f64 * height;
            Area { left, top, right: left + width - gap, bottom: top + height - below }
        };
        (0..rows * columns).map(part).collect()
    }

    fn label(&self, label: &str) -> String {
        fit(label, text::LABEL * self.zoom, true, 230.0 * self.zoom)
    }

    /// Pixels of a length given at the README's size.
    pub fn px(&self, length: f64) -> f64 {
        length * self.zoom
    }
}

/// Two axes on a rectangle of the page.
pub struct Panel {
    pub area: Area,
    x: Axis,
    y: Axis,
}

impl Panel {
    /// Axes without lines, marks and names.
    pub fn bare(area: Area, x: Axis, y: Axis) -> Panel {
        Panel { area, x, y }
    }

    pub fn x_at(&self, v: f64) -> f64 {
        self.area.left + self.x.at(v) * (self.area.right - self.area.left)
    }

    pub fn y_at(&self, v: f64) -> f64 {
        self.area.bottom - self.y.at(v) * (self.area.bottom - self.area.top)
    }

    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x_at(x), self.y_at(y))
    }
}

/// Of labels (middle, width, text) by rising place those that are `gap` apart; the last, which
/// says how far the data goes, before those between.
fn apart<'a>(labels: &[(f64, f64, &'a String)], gap: f64) -> Vec<(f64, &'a String)> {
    let end = labels.last().map_or(f64::MAX, |(x, width, _)| x - width / 2.0 - gap);
    let mut taken = f64::MIN;
    let mut kept = Vec::new();
    for (i, (x, width, label)) in labels.iter().enumerate() {
        let last = i + 1 == labels.len();
        if x - width / 2.0 > taken && (last || x + width / 2.0 < end) {
            kept.push((*x, *label));
            taken = x + width / 2.0 + gap;
        }
    }
    kept
}

/// A size of `text` down to `least` at which it is at most `width` pixels wide, if it can be.
pub fn shrunk(text: &str, size: f64, least: f64, bold: bool, width: f64) -> f64 {
    (size * width / text_width(text, size, bold)).clamp(least, size)
}

/// `text`, cut with an ellipsis to at most `width` pixels.
pub fn fit(text: &str, size: f64, bold: bool, width: f64) -> String {
    if text_width(text, size, bold) <= width {
        return text.to_string();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short: String = kept.iter().collect::<String>() + "…";
        if text_width(&short, size, bold) <= width {
            return short;
        }
    }
    "…".into()
}

/// Breaks `text` at spaces into at most `most` lines of `width` pixels.
fn wrapped(text: &str, size: f64, width: f64, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        let longer = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
        if line.is_empty() || lines_full(&longer, size, width) {
            *line = longer;
        } else {
            lines.push(word.to_string());
        }
    }
    if lines.len() > most {
        let rest = lines.split_off(most - 1).join(" ");
        lines.push(rest);
    }
    lines.into_iter().map(|l| fit(&l, size, false, width)).collect()
}

fn lines_full(line: &str, size: f64, width: f64) -> bool {
    text_width(line, size, false) <= width
}

/// Rows at least `gap` apart and inside `top..bottom`, near where they are `wanted`.
fn spaced(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut rows: Vec<f64> = order.iter().map(|i| wanted[*i].clamp(top, bottom)).collect();
    // Neighbours in each other's way share the move: one sweep down, one up, halved.
    for _ in 0..200 {
        let mut moved = false;
        for i in 1..rows.len() {
            let lack = gap - (rows[i] - rows[i - 1]);
            if lack > 0.01 {
                rows[i - 1] -= lack / 2.0;
                rows[i] += lack / 2.0;
                moved = true;
            }
        }
        if let Some(last) = rows.last_mut() {
            *last = last.min(bottom);
        }
        if let Some(first) = rows.first_mut() {
            *first = first.max(top);
        }
        if !moved {
            break;
        }
    }
    // Rows that are still too close or too low after 200 rounds are moved from the bottom up.
    for i in (0..rows.len().saturating_sub(1)).rev() {
        rows[i] = rows[i].min(rows[i + 1] - gap);
    }
    let mut result = vec![0.0; wanted.len()];
    for (i, row) in order.into_iter().zip(rows) {
        result[i] = row;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_move_apart_and_stay_in() {
        let rows = spaced(&[100.0, 101.0, 100.5, 300.0, 299.0], 20.0, 0.0, 300.0);
        let mut sorted = rows.clone();
        sorted.sort_by(f64::total_cmp);
        for pair in sorted.windows(2) {
            assert!(pair[1] - pair[0] > 19.9, "{rows:?}");
        }
        assert!(rows.iter().all(|r| (0.0..=300.0).contains(r)), "{rows:?}");
        assert!(rows[0] < rows[2] && rows[2] < rows[1], "order is kept: {rows:?}");
    }

    #[test]
    fn the_last_label_stays_and_its_neighbour_gives_way() {
        let names = ["1", "128", "256", "384"].map(String::from);
        let labels: Vec<_> =
            [0.0, 90.0, 120.0, 140.0].iter().zip(&names).map(|(x, n)| (*x, 24.0, n)).collect();
        let kept: Vec<_> = apart(&labels, 4.0).into_iter().map(|(_, name)| name).collect();
        assert_eq!(kept, ["1", "128", "384"]);
    }

    #[test]
    fn a_title_shrinks_before_it_is_cut() {
        let title = "a title of some length";
        let width = text_width(title, 20.0, true) * 0.9;
        let size = shrunk(title, 20.0, 14.0, true, width);
        assert!((17.0..19.0).contains(&size), "{size}");
        assert_eq!(shrunk(title, 20.0, 14.0, true, 2.0 * width), 20.0);
        assert_eq!(shrunk(&title.repeat(9), 20.0, 14.0, true, width), 14.0);
    }

    #[test]
    fn long_text_is_cut_to_width() {
        let cut = fit(&"word ".repeat(100), 14.0, false, 200.0);
        assert!(cut.ends_with('…') && text_width(&cut, 14.0, false) <= 200.0);
    }
}
