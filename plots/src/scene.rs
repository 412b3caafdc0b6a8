//! A picture as a list of shapes in pixels, and its rendering to SVG and PNG.
//! Both come from the same list, so they cannot differ; a test can look at the
//! list itself and find texts that overlap or leave the page. The SVG says in words
//! what it shows, and follows light and dark.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Once;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::PlotError;
use crate::style::{self, Dash, Marker, PAPER, Rgb, Size};

/// The font's name; for an SVG viewer without it, a list of fonts as wide as it.
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";

/// Coordinates are drawn this much finer than the picture's pixels.
const FINE: usize = 4;
/// Points of the PNG for a pixel of the picture, each way: it is sharp on a screen of twice the density.
const SHARP: usize = 2;
/// Drawn points that one of the PNG is the mean of, each way.
const MEAN_OF: usize = FINE / SHARP;

/// Which end of a text its x coordinate names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// Something to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Line { points: Vec<(f64, f64)>, colour: Rgb, width: f64, dash: Dash },
    Area { points: Vec<(f64, f64)>, colour: Rgb, opacity: f64 },
    Mark { x: f64, y: f64, marker: Marker, colour: Rgb, radius: f64, hollow: bool },
    Text { x: f64, y: f64, text: String, size: f64, colour: Rgb, bold: bool, anchor: Anchor },
}

/// A picture of a fixed size. `y` grows downwards; a text's `y` is its baseline.
#[derive(Debug, Clone)]
pub struct Scene {
    pub size: Size,
    pub shapes: Vec<Shape>,
    /// Title and conditions in full, for who does not see the picture.
    pub words: [String; 2],
}

impl Scene {
    pub fn new(size: Size) -> Scene {
        Scene { size, shapes: Vec::new(), words: Default::default() }
    }

    pub fn line(&mut self, points: Vec<(f64, f64)>, colour: Rgb, width: f64, dash: Dash) {
        self.shapes.push(Shape::Line { points, colour, width: width * self.size.zoom, dash });
    }

    pub fn area(&mut self, points: Vec<(f64, f64)>, colour: Rgb, opacity: f64) {
        self.shapes.push(Shape::Area { points, colour, opacity });
    }

    /// A filled rectangle between two corners.
    pub fn bar(&mut self, a: (f64, f64), b: (f64, f64), colour: Rgb) {
        self.area(vec![a, (b.0, a.1), b, (a.0, b.1)], colour, 1.0);
    }

    pub fn mark(&mut self, at: (f64, f64), marker: Marker, colour: Rgb, hollow: bool) {
        let radius = 5.0 * self.size.zoom;
        self.shapes.push(Shape::Mark { x: at.0, y: at.1, marker, colour, radius, hollow });
    }

    /// A ring around a place of the data.
    pub fn ring(&mut self, at: (f64, f64), colour: Rgb) {
        let points = closed(&outline(Marker::Circle, at, 11.0 * self.size.zoom));
        self.line(points, colour, 1.8, &[]);
    }

    /// A small translucent dot: one sample among many.
    pub fn dot(&mut self, at: (f64, f64), colour: Rgb) {
        let points = outline(Marker::Circle, at, 2.6 * self.size.zoom);
        self.area(points, colour, 0.55);
    }

    /// Text with its baseline at `at`; `size` is one of [`crate::style::text`].
    pub fn text(
        &mut self,
        at: (f64, f64),
        text: impl Into<String>,
        size: f64,
        colour: Rgb,
        anchor: Anchor,
    ) {
        let size = size * self.size.zoom;
        let text = text.into();
        let (x, y) = at;
        self.shapes.push(Shape::Text { x, y, text, size, colour, bold: false, anchor });
    }

    pub fn title(&mut self, at: (f64, f64), text: impl Into<String>, size: f64, colour: Rgb) {
        self.text(at, text, size, colour, Anchor::Start);
        if let Some(Shape::Text { bold, .. }) = self.shapes.last_mut() {
            *bold = true;
        }
    }

    /// Writes `<stem>.svg` and `<stem>.png` into `dir`.
    pub fn write(&self, dir: &Path, stem: &str) -> Result<[PathBuf; 2], PlotError> {
        let svg = dir.join(format!("{stem}.svg"));
        std::fs::write(&svg, self.svg()?).map_err(|e| PlotError::write(&svg, e))?;
        let png = dir.join(format!("{stem}.png"));
        self.png(&png)?;
        Ok([svg, png])
    }

    /// The picture as SVG text.
    pub fn svg(&self) -> Result<String, PlotError> {
        let (w, h) = self.pixels();
        let (fw, fh) = (w * FINE as u32, h * FINE as u32);
        let mut text = String::new();
        let area = SVGBackend::with_string(&mut text, (fw, fh)).into_drawing_area();
        area.fill(&colour(PAPER)).map_err(PlotError::draw)?;
        self.draw(&area, SVG_ASCENT)?;
        area.present().map_err(PlotError::draw)?;
        drop(area);
        // The head is plotters' own; what it lacks is put behind it.
        let end = text.find('>').map_or(0, |at| at + 1);
        let head = format!(
            "<svg width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {fw} {fh}\" \
             xmlns=\"http://www.w3.org/2000/svg\" role=\"img\">\n{}{}",
            self.description(),
            self.dark()
        );
        text.replace_range(..end, &head);
        Ok(text)
    }

    /// What a screen reader says, and what stands beside the pointer.
    fn description(&self) -> String {
        let [title, about] = self.words.each_ref().map(|words| escaped(words));
        format!("<title>{title}</title>\n<desc>{about}</desc>\n")
    }

    /// The dark pair of each colour that is used. A rule in a sheet is stronger than an attribute.
    fn dark(&self) -> String {
        let used: BTreeSet<Rgb> = self.shapes.iter().map(Shape::colour).chain([PAPER]).collect();
        let rule = |colour: Rgb| {
            let (light, dark) = (svg_hex(colour), style::shade(colour)?.dark.hex());
            Some(format!(
                "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}\n"
            ))
        };
        let rules: String = used.into_iter().filter_map(rule).collect();
        format!("<style>@media (prefers-color-scheme: dark) {{\n{rules}}}</style>\n")
    }

    fn png(&self, path: &Path) -> Result<(), PlotError> {
        let (w, h) = self.pixels();
        let (w, h) = (w * SHARP as u32, h * SHARP as u32);
        let mut points = self.points()?;
        let image = BitMapElement::with_mut((0, 0), (w, h), &mut points)
            .expect("the buffer has the picture's size");
        let out = BitMapBackend::new(path, (w, h)).into_drawing_area();
        out.draw(&image).and_then(|()| out.present()).map_err(|e| PlotError::write(path, e))
    }

    /// Red, green and blue of each point of the PNG.
    fn points(&self) -> Result<Vec<u8>, PlotError> {
        let (w, h) = self.pixels();
        let (fw, fh) = (w * FINE as u32, h * FINE as u32);
        let mut fine = vec![u8::MAX; (fw * fh * 3) as usize]; // white, as PAPER is
        let area = BitMapBackend::with_buffer(&mut fine, (fw, fh)).into_drawing_area();
        self.draw(&area, PNG_ASCENT)?;
        area.present().map_err(PlotError::draw)?;
        drop(area);
        Ok(averaged(&fine, w as usize * SHARP, h as usize * SHARP))
    }

    fn pixels(&self) -> (u32, u32) {
        (self.size.width as u32, self.size.height as u32)
    }

    fn draw<B: DrawingBackend>(&self, to: &Sheet<B>, ascent: f64) -> Result<(), PlotError> {
        load_fonts();
        for shape in &self.shapes {
            match shape {
                Shape::Line { points, colour, width, dash } => {
                    let scaled: Vec<f64> = dash.iter().map(|d| d * self.size.zoom).collect();
                    for piece in dashed(points, &scaled) {
                        stroke(to, &piece, *colour, *width)?;
                    }
                }
                Shape::Area { points, colour: c, opacity } => {
                    to.draw(&Polygon::new(fine(points), colour(*c).mix(*opacity).filled()))
                        .map_err(PlotError::draw)?;
                }
                Shape::Mark { x, y, marker, colour, radius, hollow } => {
                    let outline = outline(*marker, (*x, *y), *radius);
                    let inside = if *hollow { PAPER } else { *colour };
                    to.draw(&Polygon::new(fine(&outline), self::colour(inside).filled()))
                        .map_err(PlotError::draw)?;
                    let edge = if *hollow { *colour } else { PAPER };
                    stroke(to, &closed(&outline), edge, if *hollow { 2.0 } else { 1.0 })?;
                }
                Shape::Text { x, y, text, size, colour: c, bold, anchor } => {
                    let style = font(*size * FINE as f64, *bold)
                        .color(&colour(*c))
                        .pos(Pos::new(h_pos(*anchor), VPos::Top));
                    let at = fine(&[(*x, *y - ascent * size)])[0];
                    to.draw(&Text::new(text.as_str(), at, style)).map_err(PlotError::draw)?;
                }
            }
        }
        Ok(())
    }
}

impl Shape {
    pub fn colour(&self) -> Rgb {
        match self {
            Shape::Line { colour, .. }
            | Shape::Area { colour, .. }
            | Shape::Mark { colour, .. }
            | Shape::Text { colour, .. } => *colour,
        }
    }
}

/// A colour as plotters writes it into an SVG.
fn svg_hex(colour: Rgb) -> String {
    colour.hex().to_uppercase()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

type Sheet<B> = DrawingArea<B, plotters::coord::Shift>;

/// The SVG backend divides text sizes by this; it is undone so that text comes out as measured.
pub const SVG_TEXT: f64 = 1.24;

/// From the top that each backend assumes to the baseline it draws on, per text
/// size; they differ, and this is what makes them agree.
const SVG_ASCENT: f64 = 0.76 / SVG_TEXT;
const PNG_ASCENT: f64 = 0.5;

/// Width in pixels of `text` at a text size that already includes the zoom.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    load_fonts();
    let (w, _) = font(size * FINE as f64, bold).box_size(text).expect("the font is registered");
    f64::from(w) / FINE as f64
}

fn font(size: f64, bold: bool) -> FontDesc<'static> {
    let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
    FontDesc::new(FontFamily::Name(FONT), size, style)
}

fn load_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for (style, bytes) in
            [(FontStyle::Normal, dejavu::sans::regular()), (FontStyle::Bold, dejavu::sans::bold())]
        {
            plotters::style::register_font(FONT, style, bytes)
                .unwrap_or_else(|_| panic!("the dejavu crate holds valid fonts"));
        }
    });
}

fn h_pos(anchor: Anchor) -> HPos {
    match anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    }
}

fn colour(c: Rgb) -> RGBColor {
    RGBColor(c.0, c.1, c.2)
}

fn fine(points: &[(f64, f64)]) -> Vec<(i32, i32)> {
    let f = FINE as f64;
    points.iter().map(|(x, y)| ((x * f).round() as i32, (y * f).round() as i32)).collect()
}

fn stroke<B: DrawingBackend>(
    to: &Sheet<B>,
    points: &[(f64, f64)],
    c: Rgb,
    width: f64,
) -> Result<(), PlotError> {
    let width = (width * FINE as f64).round().max(1.0) as u32;
    to.draw(&PathElement::new(fine(points), colour(c).stroke_width(width))).map_err(PlotError::draw)
}

/// The line around corners. It begins in the middle of an edge: a stroke has no joint where it begins.
fn closed(corners: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let [first, second] = [corners[0], corners[1]];
    let middle = ((first.0 + second.0) / 2.0, (first.1 + second.1) / 2.0);
    let rest = corners[1..].iter().copied();
    std::iter::once(middle).chain(rest).chain([first, middle]).collect()
}

/// The corners of a marker of equal visual weight.
pub fn outline(marker: Marker, (x, y): (f64, f64), r: f64) -> Vec<(f64, f64)> {
    let (corners, turn, r) = match marker {
        Marker::Circle => (24, 0.0, r),
        Marker::Square => (4, 0.125, r * 1.2),
        Marker::Diamond => (4, 0.0, r * 1.3),
        Marker::Triangle => (3, 0.75, r * 1.35),
        Marker::Down => (3, 0.25, r * 1.35),
    };
    (0..corners)
        .map(|i| std::f64::consts::TAU * (f64::from(i) / f64::from(corners) + turn))
        .map(|a| (x + r * a.cos(), y + r * a.sin()))
        .collect()
}

/// Cuts a line into the strokes of a dash pattern.
fn dashed(points: &[(f64, f64)], dash: &[f64]) -> Vec<Vec<(f64, f64)>> {
    if dash.is_empty() {
        return vec![points.to_vec()];
    }
    let mut strokes = Vec::new();
    let (mut i, mut left, mut current) = (0, dash[0], vec![points[0]]);
    for pair in points.windows(2) {
        let ((mut x, mut y), (tx, ty)) = (pair[0], pair[1]);
        loop {
            let rest = (tx - x).hypot(ty - y);
            if rest <= left {
                left -= rest;
                current.push((tx, ty));
                break;
            }
            (x, y) = (x + (tx - x) * left / rest, y + (ty - y) * left / rest);
            current.push((x, y));
            if i % 2 == 0 {
                strokes.push(std::mem::take(&mut current));
            }
            current = vec![(x, y)];
            i += 1;
            left = dash[i % dash.len()];
        }
    }
    if i % 2 == 0 {
        strokes.push(current);
    }
    strokes
}

/// Shrinks an RGB picture by [`MEAN_OF`] in both directions.
fn averaged(fine: &[u8], w: usize, h: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(w * h * 3);
    let mut sums = vec![0u16; w * 3];
    for rows in fine.chunks_exact(w * MEAN_OF * 3 * MEAN_OF) {
        sums.fill(0);
        for row in rows.chunks_exact(w * MEAN_OF * 3) {
            for (sum, dots) in sums.chunks_exact_mut(3).zip(row.chunks_exact(3 * MEAN_OF)) {
                for dot in dots.chunks_exact(3) {
                    for c in 0..3 {
                        sum[c] += u16::from(dot[c]);
                    }
                }
            }
        }
        out.extend(sums.iter().map(|s| (s / (MEAN_OF * MEAN_OF) as u16) as u8));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::{INK, README};

    #[test]
    fn dashes_cover_their_share() {
        let strokes = dashed(&[(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)], &[3.0, 1.0]);
        let drawn: f64 = strokes
            .iter()
            .flat_map(|s| s.windows(2))
            .map(|p| (p[1].0 - p[0].0).hypot(p[1].1 - p[0].1))
            .sum();
        assert!((drawn - 15.0).abs() < 1e-9, "{drawn} of 20 drawn in {strokes:?}");
    }

    #[test]
    fn a_picture_says_what_it_shows_and_has_a_dark_side() {
        let mut scene = Scene::new(README);
        scene.words = ["More is better & fewer <is>".into(), "somewhere".into()];
        scene.mark((10.0, 10.0), Marker::Circle, style::look(0).colour, false);
        let svg = scene.svg().unwrap();
        assert!(svg.starts_with("<svg width=\"900\" height=\"560\""), "{}", &svg[..200]);
        assert!(
            svg.contains("role=\"img\">\n<title>More is better &amp; fewer &lt;is&gt;</title>")
        );
        assert!(svg.contains("<desc>somewhere</desc>"));
        // Each colour of the drawing has a rule.
        for (attribute, colour) in
            [("fill", PAPER), ("fill", style::look(0).colour), ("stroke", PAPER)]
        {
            let at = format!("{attribute}=\"{}\"", svg_hex(colour));
            assert_eq!(svg.matches(&at).count().min(2), 2, "a rule and a shape for {at}");
        }
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("{fill:#14171a}"));
    }

    /// A bar, a mark and a line are in both where the list says, in the same colour.
    #[test]
    fn svg_and_png_agree() {
        let mut scene = Scene::new(README);
        let [bar, mark, line] = [0, 1, 2].map(|i| style::look(i).colour);
        scene.bar((100.0, 50.0), (200.0, 150.0), bar);
        scene.mark((300.0, 100.0), Marker::Circle, mark, false);
        scene.line(vec![(400.0, 100.0), (500.0, 100.0)], line, 6.0, &[]);
        let (points, svg) = (scene.points().unwrap(), scene.svg().unwrap());
        let at = |x: usize, y: usize| {
            let first = (y * SHARP * 900 * SHARP + x * SHARP) * 3;
            Rgb(points[first], points[first + 1], points[first + 2])
        };
        assert_eq!([at(150, 100), at(300, 100), at(450, 100)], [bar, mark, line]);
        assert_eq!([at(95, 100), at(300, 110), at(450, 110)], [PAPER; 3]);
        let fine = |x: usize, y: usize| format!("{},{}", x * FINE, y * FINE);
        for (at, colour) in [(fine(100, 50), bar), (fine(400, 100), line)] {
            let shape = svg.lines().find(|shape| shape.contains(&at));
            assert!(shape.is_some_and(|s| s.contains(&svg_hex(colour))), "{at}: {shape:?}");
        }
    }

    #[test]
    fn a_png_has_two_points_for_a_pixel() {
        let dir = tempfile::tempdir().unwrap();
        let [_, png] = Scene::new(README).write(dir.path(), "empty").unwrap();
        let bytes = std::fs::read(png).unwrap();
        let at = |from: usize| u32::from_be_bytes(bytes[from..from + 4].try_into().unwrap());
        assert_eq!((at(16), at(20)), (1800, 1120));
    }

    #[test]
    fn hostile_text_is_escaped() {
        let mut scene = Scene::new(README);
        scene.text((10.0, 10.0), "<script>&", 12.0, INK, Anchor::Start);
        let svg = scene.svg().unwrap();
        assert!(svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script"));
    }
}
