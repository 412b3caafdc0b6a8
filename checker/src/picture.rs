//! A diagram as a picture: time runs down, one lifeline per CPU, a bar while a lock is held, the window of
//! the race marked. Guards that nothing overlaps: every text has a line of its own beside its lifeline.

use crate::columns::wrap_words;
use crate::diagram::{Diagram, Row};
use machine::checked::Op;
use std::fmt::Write;

/// Height of a line of text, and of the space between two rows.
const LINE: f64 = 17.0;
const SPACE: f64 = 7.0;
/// From a lifeline to its texts.
const APART: f64 = 14.0;
/// A bar, and the space to the next one inside it.
const BAR: f64 = 10.0;
const BARS: f64 = 13.0;
/// Around the picture.
const MARGIN: f64 = 20.0;
/// For the rows' numbers.
const NUMBERS: f64 = 24.0;
/// Between the lifelines of two CPUs whose texts are outside.
const BETWEEN: f64 = 150.0;
/// Characters per line of a row's text.
const WRAP: usize = 36;

/// Okabe and Ito's colour-blind-safe set, without its yellow: one colour per lock.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#b8609a", "#b87d00", "#3a8fc0"];
const INK: &str = "#1c1c1c";
const MUTED: &str = "#5a5a5a";
const RED: &str = "#b00020";
const GREEN: &str = "#00664b";

/// The picture of `diagram` under a title.
pub(crate) fn svg(diagram: &Diagram, title: &str) -> String {
    whole(title, &[Panel::new(diagram, "")])
}

/// Two diagrams of the same acts under one title, each with a heading of its own: one that breaks an
/// invariant and one that does not.
pub(crate) fn side_by_side(title: &str, left: (&str, &Diagram), right: (&str, &Diagram)) -> String {
    whole(title, &[Panel::new(left.1, left.0), Panel::new(right.1, right.0)])
}

fn whole(title: &str, panels: &[Panel]) -> String {
    let gap = 2.0 * MARGIN;
    let inner: f64 = panels.iter().map(|p| p.width).sum::<f64>() + gap * (panels.len() - 1) as f64;
    let heading = wrap_pixels(title, inner.max(420.0), 15.0);
    let width = heading.iter().map(|line| length(line, 15.0)).fold(inner, f64::max) + 2.0 * MARGIN;
    let top = MARGIN + 22.0 * heading.len() as f64 + SPACE;
    let height = top + panels.iter().map(|p| p.height).fold(0.0, f64::max) + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title desc\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"13\">\n\
         <title id=\"title\">{}</title>\n<desc id=\"desc\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        escaped(title),
        escaped(&panels.iter().map(Panel::aloud).collect::<Vec<_>>().join(" "))
    );
    for (n, line) in heading.iter().enumerate() {
        let y = MARGIN + 15.0 + 22.0 * n as f64;
        text(&mut out, MARGIN, y, "font-size=\"15\" font-weight=\"bold\"", line);
    }
    let mut x = MARGIN;
    for panel in panels {
        let _ = writeln!(out, "<g transform=\"translate({x:.0} {top:.0})\">");
        panel.draw(&mut out);
        out.push_str("</g>\n");
        x += panel.width + gap;
    }
    out.push_str("</svg>\n");
    out
}

/// A held lock, or the wait for one.
struct Bar {
    lane: usize,
    lock: String,
    /// Rows from which and to which.
    rows: (usize, usize),
    /// How many other bars of its CPU it is inside.
    depth: usize,
    waits: bool,
}

/// Where the texts of a lane are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// One diagram, laid out.
struct Panel<'a> {
    diagram: &'a Diagram,
    heading: &'a str,
    width: f64,
    height: f64,
    /// Per lane its lifeline.
    lanes: Vec<(f64, Side)>,
    /// Per row: the line of its function, and the first of its text.
    rows: Vec<(f64, f64)>,
    bars: Vec<Bar>,
    /// Where the lifelines end.
    bottom: f64,
    /// What stands below them, with its colour.
    ends: Vec<(String, &'static str)>,
}

impl<'a> Panel<'a> {
    fn new(diagram: &'a Diagram, heading: &'a str) -> Self {
        let (lanes, inner) = lifelines(diagram);
        let top = if heading.is_empty() { 0.0 } else { 26.0 };
        let mut y = top + LINE + 2.0 * SPACE;
        let rows = diagram.rows.iter().map(|row| {
            let function = y + LINE;
            let first = if row.enters { function + LINE } else { function };
            y = first + LINE * (lines(row).len() - 1) as f64 + SPACE;
            (function, first)
        });
        let rows: Vec<_> = rows.collect();
        let bottom = y + SPACE;
        let width = inner.max(length(heading, 14.0));
        let colour = if diagram.is_broken() { RED } else { GREEN };
        let texts = diagram.remark().map(|remark| (remark, MUTED)).into_iter();
        let texts = texts.chain([(format!("=> {}", diagram.violation), colour)]);
        let wrapped = |(text, colour): (String, _)| {
            wrap_pixels(&text, width - NUMBERS, 13.0).into_iter().map(move |line| (line, colour))
        };
        let ends: Vec<_> = texts.flat_map(wrapped).collect();
        let height = bottom + SPACE + LINE * ends.len() as f64 + SPACE;
        Self { diagram, heading, width, height, lanes, rows, bars: bars(diagram), bottom, ends }
    }

    /// The rows as sentences, for those who cannot see the picture.
    fn aloud(&self) -> String {
        let rows = self.diagram.rows.iter().enumerate().map(|(n, row)| {
            let cpu = self.diagram.lanes[row.lane].cpu;
            format!("{}. CPU {cpu}: {}.", n + 1, row.text)
        });
        let rows: Vec<_> = rows.collect();
        let begins = if self.heading.is_empty() { "" } else { ": " };
        format!("{}{begins}{} {}.", self.heading, rows.join(" "), self.diagram.violation)
    }

    fn draw(&self, out: &mut String) {
        text(out, 0.0, 14.0, "font-size=\"14\" font-weight=\"bold\"", self.heading);
        self.window(out);
        self.lifelines(out);
        self.bars.iter().for_each(|bar| self.bar(out, bar));
        (0..self.rows.len()).for_each(|n| self.row(out, n));
        for (n, (line, colour)) in self.ends.iter().enumerate() {
            let y = self.bottom + SPACE + LINE * (n + 1) as f64;
            text(out, 0.0, y, &format!("fill=\"{colour}\" font-weight=\"bold\""), line);
        }
    }

    fn lifelines(&self, out: &mut String) {
        let top = if self.heading.is_empty() { 0.0 } else { 26.0 };
        for (lane, &(x, side)) in self.diagram.lanes.iter().zip(&self.lanes) {
            let (from, to) = (top + LINE + SPACE, self.bottom);
            let _ = writeln!(
                out,
                "<line x1=\"{x:.1}\" y1=\"{from:.1}\" x2=\"{x:.1}\" y2=\"{to:.1}\" \
                 stroke=\"#b8b8b8\" stroke-width=\"2\"/>"
            );
            let (at, anchor) = beside(x, side, -10.0);
            text(
                out,
                at,
                top + LINE - 2.0,
                &format!("{anchor} font-weight=\"bold\""),
                &lane.title(),
            );
        }
    }

    /// How far the bars of a lane reach.
    fn inwards(&self, lane: usize) -> f64 {
        let own = self.bars.iter().filter(|bar| bar.lane == lane);
        let deepest = own.map(|bar| bar.depth).max().unwrap_or(0);
        BARS * (deepest + 1) as f64
    }

    /// The window of the race: between the lifelines of two CPUs, or behind the rows of more.
    fn window(&self, out: &mut String) {
        let Some((from, to)) = self.diagram.window else { return };
        let (top, bottom) = (self.rows[from].1 - LINE + 2.0, self.rows[to].1 + 6.0);
        let (left, right) = match self.lanes[..] {
            [(a, Side::Left), (b, _)] => (a + self.inwards(0), b - self.inwards(1)),
            _ => (NUMBERS, self.width),
        };
        let (width, height) = (right - left, bottom - top);
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"#fbe9ea\"/>"
        );
        if let [(_, Side::Left), _] = self.lanes[..] {
            let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0 + 4.0);
            let style = format!("text-anchor=\"middle\" fill=\"{RED}\" font-size=\"12\"");
            text(out, x, y, &style, "the window");
        }
    }

    fn bar(&self, out: &mut String, bar: &Bar) {
        let (x, side) = self.lanes[bar.lane];
        // Inner bars are further from the texts.
        let inwards = if side == Side::Left { BARS } else { -BARS };
        let left = x + inwards * bar.depth as f64 - BAR / 2.0;
        let (from, to) = (self.rows[bar.rows.0].1 - LINE + 5.0, self.rows.get(bar.rows.1));
        let height = to.map_or(self.bottom, |row| row.1 + 4.0) - from;
        let colour = colour(self.diagram, &bar.lock);
        let style = match bar.waits {
            false => format!("fill=\"{colour}\""),
            true => format!("fill=\"#ffffff\" stroke=\"{colour}\" stroke-dasharray=\"3 2\""),
        };
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{from:.1}\" width=\"{BAR}\" height=\"{height:.1}\" rx=\"2\" \
             {style}/>"
        );
    }

    fn row(&self, out: &mut String, n: usize) {
        let (row, (function, first)) = (&self.diagram.rows[n], self.rows[n]);
        let (x, side) = self.lanes[row.lane];
        let (at, anchor) = beside(x, side, APART);
        if let Some(name) = row.heading() {
            let style = format!("{anchor} fill=\"{MUTED}\" font-style=\"italic\" font-size=\"12\"");
            text(out, at, function, &style, &name);
        }
        text(out, 0.0, first, "fill=\"#8a8a8a\" font-size=\"11\"", &(n + 1).to_string());
        let marked = self.diagram.window.is_some_and(|(from, to)| n == from || n == to);
        let lock = row.accesses.first().filter(|access| is_lock(access.op));
        let (colour, weight) = match lock {
            Some(access) => (colour(self.diagram, &access.cell), "bold"),
            None if marked => (RED, "bold"),
            None if row.is_note() => (MUTED, "normal"),
            None => (INK, "normal"),
        };
        if row.is_note() {
            self.milestone(out, first - 4.0);
        } else if lock.is_none() {
            let y = first - 4.0;
            let _ =
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
        }
        for (line, words) in lines(row).iter().enumerate() {
            let style = format!("{anchor} fill=\"{colour}\" font-weight=\"{weight}\"");
            text(out, at, first + LINE * line as f64, &style, words);
        }
    }

    /// A line from the first lifeline to the last one.
    fn milestone(&self, out: &mut String, y: f64) {
        let (from, to) = (self.lanes[0].0, self.lanes[self.lanes.len() - 1].0);
        // A single lifeline gets a dash.
        let (from, to) = (from - 5.0, to.max(from + 5.0) + 5.0);
        let _ = writeln!(
            out,
            "<line x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y:.1}\" stroke=\"{MUTED}\" \
             stroke-dasharray=\"2 4\"/>"
        );
    }
}

/// The lifelines, and the width of all. Two CPUs have their texts outside, so that the window fits
/// between them.
fn lifelines(diagram: &Diagram) -> (Vec<(f64, Side)>, f64) {
    let widest = |lane: usize| {
        let own = diagram.rows.iter().filter(|row| row.lane == lane);
        let texts = own.flat_map(|row| lines(row).into_iter().chain(row.heading()));
        let title = length(&diagram.lanes[lane].title(), 14.5);
        texts.map(|text| length(&text, 13.0)).fold(title, f64::max)
    };
    if diagram.lanes.len() == 2 {
        let left = NUMBERS + widest(0) + APART;
        let right = left + BETWEEN;
        let lanes = vec![(left, Side::Left), (right, Side::Right)];
        return (lanes, right + APART + widest(1));
    }
    let mut x = NUMBERS;
    let lanes = (0..diagram.lanes.len()).map(|lane| {
        let line = x + 3.0 * BARS;
        x = line + APART + widest(lane);
        (line, Side::Right)
    });
    (lanes.collect(), x)
}

/// The sections of the locks that are drawn being taken, and the waits for them.
fn bars(diagram: &Diagram) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for lane in 0..diagram.lanes.len() {
        let own: Vec<usize> =
            (0..diagram.rows.len()).filter(|&n| diagram.rows[n].lane == lane).collect();
        let drawn = |section: usize| own.iter().any(|&n| diagram.rows[n].takes(section));
        for (position, &n) in own.iter().enumerate() {
            let row = &diagram.rows[n];
            let begun = row.sections().filter(|section| row.takes(section.0) && drawn(section.0));
            for (section, lock) in begun {
                let holds = |&&m: &&usize| diagram.rows[m].sections().any(|s| s.0 == section);
                let last = own.iter().rev().find(holds).copied().unwrap_or(n);
                let ends = if diagram.lanes[lane].holds(section) { usize::MAX } else { last };
                let outer = |bar: &&Bar| bar.lane == lane && bar.rows.1 >= n && !bar.waits;
                let depth = bars.iter().filter(outer).count();
                let lock = lock.to_string();
                bars.push(Bar { lane, lock, rows: (n, ends), depth, waits: false });
            }
            if let Some(access) = row.accesses.iter().find(|access| access.op == Op::Wait) {
                let until = own.get(position + 1).copied().unwrap_or(usize::MAX);
                let lock = access.cell.clone();
                let outer = |bar: &&Bar| bar.lane == lane && bar.rows.1 > n;
                let depth = bars.iter().filter(outer).count();
                bars.push(Bar { lane, lock, rows: (n, until), depth, waits: true });
            }
        }
    }
    // A wait is under the section that ends it.
    bars.sort_by_key(|bar| !bar.waits);
    bars
}

fn is_lock(op: Op) -> bool {
    matches!(op, Op::Lock | Op::Wait | Op::Missed | Op::Unlock)
}

/// The colour of a lock: they are taken in the order in which the locks appear.
fn colour(diagram: &Diagram, lock: &str) -> &'static str {
    let all = diagram.rows.iter().flat_map(|row| &row.accesses);
    let mut locks: Vec<&str> = Vec::new();
    for access in all.filter(|access| is_lock(access.op)) {
        if !locks.contains(&access.cell.as_str()) {
            locks.push(&access.cell);
        }
    }
    let place = locks.iter().position(|known| *known == lock).unwrap_or(0);
    COLOURS[place % COLOURS.len()]
}

fn lines(row: &Row) -> Vec<String> {
    wrap_words(row.text.trim_start_matches("* "), WRAP)
}

/// Where a text begins that is `apart` from the lifeline, and its anchor.
fn beside(x: f64, side: Side, apart: f64) -> (f64, &'static str) {
    match side {
        Side::Left => (x - apart, "text-anchor=\"end\""),
        Side::Right => (x + apart, "text-anchor=\"start\""),
    }
}

/// The width of a text at this font size, a little more than it is: fonts differ.
fn length(text: &str, size: f64) -> f64 {
    let of = |c: char| match c {
        'i' | 'l' | 'j' | '.' | ',' | ':' | '\'' | '|' | '!' => 0.34,
        ' ' | '(' | ')' | '[' | ']' | 't' | 'f' | 'r' | '-' | ';' | '*' => 0.44,
        'm' | 'w' | 'M' | 'W' | '=' | '<' | '>' | '+' => 0.92,
        'A'..='Z' => 0.76,
        _ => 0.65,
    };
    text.chars().map(of).sum::<f64>() * size * 1.06
}

/// `text` in lines of this width.
fn wrap_pixels(text: &str, width: f64, size: f64) -> Vec<String> {
    wrap_words(text, (width / (0.66 * size)).max(30.0) as usize)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(out: &mut String, x: f64, y: f64, style: &str, words: &str) {
    if !words.is_empty() {
        let words = escaped(words);
        let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{words}</text>");
    }
}
