//! Charts of a validation: where a curve has several points, measured and model over x; where it has
//! one, model over measured on a square, with the diagonal on which they agree. Guards that the model
//! never stands without its error: that of its predicted points is a band, and the title says it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use results::validation::{Basis, Point, Section, Validation};
use results::{plural, stats};

use crate::PlotError;
use crate::axis::{Axis, si};
use crate::chart::finding;
use crate::chart::lines::{self, Curve};
use crate::commands::{self, Entry};
use crate::data::{Median, slug};
use crate::frame::{Caption, Frame, fit};
use crate::scene::{Anchor, Scene};
use crate::style::{Dash, INK, Look, MUTED, README, Rgb, look, text};

/// Points that a scatter chart names.
const FARTHEST: usize = 5;

/// How far from the diagonal a scatter chart has its dashed lines.
const APART: f64 = 1.3;

/// Draws every panel of every section into `out`.
pub fn validation(validation: &Validation, out: &Path) -> Result<Vec<PathBuf>, PlotError> {
    std::fs::create_dir_all(out).map_err(|e| PlotError::write(out, e))?;
    let (mut files, mut entries) = (Vec::new(), Vec::new());
    for section in &validation.sections {
        for panel in section.panels() {
            let points: Vec<&Point> = section.points.iter().filter(|p| p.panel == panel).collect();
            let caption = caption(validation, section, panel, &points);
            let single = |curve: &&str| points.iter().filter(|p| p.curve == **curve).count() == 1;
            let scene = match section.curves(panel).iter().all(single) {
                true => scatter(&caption, section, panel, &points),
                false => curves(&caption, section, panel, &points),
            };
            let stem = slug(&format!("validation-{}-{panel}", section.id));
            files.extend(scene.write(out, &stem)?);
            entries.push(Entry::new(&stem, &scene).of_command(&validation.command));
        }
    }
    commands::write(out, entries)?;
    Ok(files)
}

fn caption(validation: &Validation, section: &Section, panel: &str, points: &[&Point]) -> Caption {
    let commit: String =
        validation.commit.known().map_or("unknown", |c| c.as_str()).chars().take(12).collect();
    let whole = |x| points.iter().filter(|p| p.x == x).all(|p| p.basis == Basis::Fitted);
    let place = |p: &&Point| match whole(p.x) {
        true => format!("at {} {}", si(p.x), section.x),
        false => format!("on {}", p.curve),
    };
    // Sorted, so that each place is named once.
    let fitted: BTreeSet<String> =
        points.iter().copied().filter(|p| p.basis == Basis::Fitted).map(|p| place(&p)).collect();
    let fitted = match Vec::from_iter(fitted).as_slice() {
        [] => "all points of the model are predictions".into(),
        some => format!("fitted {}, the other points are predictions", some.join(", ")),
    };
    let mut small_print =
        vec![format!("measured: {}", section.source), format!("model: commit {commit}")];
    if let Some(seeds) = points.iter().filter_map(|p| p.interval).map(|range| range.seeds).max() {
        small_print.push(format!("Bars of the model: median and range of {seeds} seeds."));
    }
    if let Some(trials) = points.iter().filter_map(|p| p.spread).map(|range| range.trials).max() {
        small_print
            .push(format!("Bars of what was measured: median and range of {trials} trials."));
    }
    let mut title = section.title.clone();
    let mut subtitle = format!("{panel}; {fitted}");
    if let Some(Error { median, most, n }) = Error::of(points) {
        let of = |share: f64| format!("{:.0} %", 100.0 * share);
        subtitle = format!("{}\n{fitted}", section.title);
        title = match n {
            1 => format!("{panel}: the model is {} off", of(median)),
            _ => format!("{panel}: the model is {} off, at most {}", of(median), of(most)),
        };
        let n = plural(n, "predicted point");
        small_print.push(format!(
            "Band, and the title: the median size of the error of {n}. At most: of all points."
        ));
    }
    // "x86-1" is a name and stays as it is.
    let word = panel.split([' ', ',']).next().unwrap_or_default();
    let title = match word.chars().all(char::is_alphabetic) {
        true => finding::said(false, &title),
        false => title,
    };
    Caption { title, subtitle, small_print }
}

/// How far the model is off.
struct Error {
    /// Of the predicted points: a fitted one does not make the model better.
    median: f64,
    /// Of all points: nor is one that misses although it was fitted left out.
    most: f64,
    /// Predicted points.
    n: usize,
}

impl Error {
    /// `None` where every point was fitted, or what was measured is no number to divide by.
    fn of(points: &[&Point]) -> Option<Error> {
        let sizes = |of: &dyn Fn(&Point) -> bool| -> Vec<f64> {
            let chosen = points.iter().filter(|p| of(p));
            chosen.map(|p| p.error().abs()).filter(|size| size.is_finite()).collect()
        };
        let predicted = sizes(&|p| p.basis == Basis::Predicted);
        let most = sizes(&|_| true).into_iter().fold(0.0, f64::max);
        let n = predicted.len();
        (n > 0).then(|| Error { median: stats::median(&predicted), most, n })
    }

    /// What the model's figure may be; above nothing, as a logarithmic axis has no zero.
    fn around(&self, figure: f64) -> [f64; 2] {
        [figure * (1.0 - self.median).max(0.05), figure * (1.0 + self.median)]
    }
}

fn curves(caption: &Caption, section: &Section, panel: &str, points: &[&Point]) -> Scene {
    let curve = |name: &str, i: usize, predicted: bool| {
        let mut look = look(i);
        look.dash = if predicted { &[5.0, 5.0] } else { &[] };
        let at = |p: &&&Point| {
            let (y, range) = match predicted {
                true => (p.predicted, p.interval.map(|r| (r.seeds, r.low, r.high))),
                false => (p.measured, p.spread.map(|r| (r.trials, r.least, r.most))),
            };
            let (n, lo, hi) = range.map_or((1, y, y), |(n, lo, hi)| (n as usize, lo, hi));
            (p.x, Median { n, lo, median: y, hi })
        };
        let mut points: Vec<_> =
            points.iter().filter(|p| p.curve == name).map(|p| at(&p)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let name = format!("{name}, {}", if predicted { "model" } else { "measured" });
        Curve { name, look, points, hollow: predicted }
    };
    let names = section.curves(panel);
    let pair = |(i, name): (usize, &&str)| [curve(name, i, false), curve(name, i, true)];
    let all: Vec<Curve> = names.iter().enumerate().flat_map(pair).collect();
    let (xs, mut ys) = lines::extents(&all);
    let bands: Vec<Band> = bands(&all, points);
    ys.extend(bands.iter().flat_map(|(_, band)| band).flat_map(|(_, ends)| *ends));
    let mut frame = Frame::new(README, caption);
    let y = lines::y_axis(quantity(section, panel), &ys, si);
    // The band of the model is its error; its seeds are bars alone.
    let lines: Vec<Curve> = all.iter().map(without_band).collect();
    let panel = lines::draw(&mut frame, Axis::log2(&section.x, &xs), y, &lines);
    for (colour, band) in bands {
        let upper = band.iter().map(|(x, [_, hi])| panel.at(*x, *hi));
        let lower = band.iter().rev().map(|(x, [lo, _])| panel.at(*x, *lo));
        frame.scene.area(upper.chain(lower).collect(), colour, 0.2);
    }
    for curve in all.iter().filter(|curve| curve.hollow) {
        lines::whiskers(&mut frame, &panel, curve);
    }
    frame.scene
}

fn without_band(curve: &Curve) -> Curve {
    let thin = |(x, m): &(f64, Median)| match curve.hollow {
        true => (*x, Median { lo: m.median, hi: m.median, ..*m }),
        false => (*x, *m),
    };
    let points = curve.points.iter().map(thin).collect();
    Curve { name: curve.name.clone(), look: curve.look, points, hollow: curve.hollow }
}

/// A colour, and the least and the most at each x.
type Band = (Rgb, Vec<(f64, [f64; 2])>);

/// The model's error around each of its curves.
fn bands(curves: &[Curve], points: &[&Point]) -> Vec<Band> {
    let Some(error) = Error::of(points) else { return Vec::new() };
    let band = |curve: &Curve| {
        let around = |(x, m): &(f64, Median)| (*x, error.around(m.median));
        (curve.look.colour, curve.points.iter().map(around).collect())
    };
    curves.iter().filter(|curve| curve.hollow).map(band).collect()
}

/// The quantity of a panel, with its unit: the panel's own name where it has one.
fn quantity<'a>(section: &'a Section, panel: &'a str) -> &'a str {
    match panel.rsplit_once(", ") {
        Some((_, "s" | "%")) => panel,
        _ => &section.y,
    }
}

fn scatter(caption: &Caption, section: &Section, panel: &str, points: &[&Point]) -> Scene {
    let mut groups: Vec<&str> = Vec::new();
    for point in points {
        let group = group(point);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let mut caption = caption.clone();
    caption.small_print.push(format!(
        "Line: model and measurement agree; dashed: they are a factor of {APART} apart."
    ));
    let mut frame = Frame::new(README, &caption);
    let ends = |p: &Point| p.interval.map_or([p.predicted; 2], |range| [range.low, range.high]);
    let model = points.iter().flat_map(|p| ends(p).into_iter().chain([p.predicted]));
    let all: Vec<f64> = model.chain(points.iter().map(|p| p.measured)).collect();
    let what = quantity(section, panel);
    let axis = |whose| Axis::log10(&format!("{whose}, {what} (log scale)"), &all, si);
    // Its name may be long, and so has a line of its own.
    let panel = frame.square(axis("measured"), axis("model"));
    frame.free.left = panel.area.right + frame.px(40.0);
    frame.free.top = panel.area.top;
    let key: Vec<(&str, Look)> = groups.iter().enumerate().map(|(i, g)| (*g, look(i))).collect();
    farthest(&mut frame, points, key.len());
    let wide = frame.room_for(groups.iter().copied()) + frame.px(24.0);
    frame.free.right = frame.free.right.min(frame.free.left + wide);
    frame.key(&key);
    let (low, high) = all.iter().fold((f64::MAX, 0f64), |(a, b), v| (a.min(*v), b.max(*v)));
    // The ends of a line that stay inside both axes.
    let ends = |factor: f64| (low.max(low / factor), high.min(high / factor));
    if let Some(error) = Error::of(points) {
        let [under, over] = error.around(1.0);
        let line = |factor: f64| {
            let (from, to) = ends(factor);
            let at = |x: f64, y: f64| panel.at(x.clamp(low, high), y.clamp(low, high));
            [at(from, from * factor), at(to, to * factor)]
        };
        let ([a, b], [c, d]) = (line(under), line(over));
        frame.scene.area(vec![a, b, panel.at(high, high), d, c, panel.at(low, low)], MUTED, 0.15);
    }
    let dashed: Dash = &[4.0, 4.0];
    for (factor, colour, dash) in
        [(1.0, INK, &[][..]), (APART, MUTED, dashed), (1.0 / APART, MUTED, dashed)]
    {
        let (from, to) = ends(factor);
        if from < to {
            let line = vec![panel.at(from, from * factor), panel.at(to, to * factor)];
            frame.scene.line(line, colour, 1.0, dash);
        }
    }
    for point in points {
        let index = groups.iter().position(|g| *g == group(point)).expect("just gathered");
        let look = look(index);
        if let Some(range) = point.interval {
            let (x, top) = panel.at(point.measured, range.high);
            let (_, bottom) = panel.at(point.measured, range.low);
            lines::whisker(&mut frame, x, [top, bottom], look.colour);
        }
        frame.scene.mark(panel.at(point.measured, point.predicted), look.marker, look.colour, true);
    }
    frame.scene
}

/// The points that are farthest off in words, below a key of `rows` rows.
fn farthest(frame: &mut Frame, points: &[&Point], rows: usize) {
    let mut far: Vec<&&Point> = points.iter().filter(|p| p.error().is_finite()).collect();
    far.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
    let (x, width) = (frame.free.left, frame.free.right - frame.free.left);
    let mut y = frame.free.top + frame.px(24.0 * (rows + 2) as f64);
    let lines =
        far.iter().take(FARTHEST).map(|p| format!("{}: {:+.0} %", p.curve, 100.0 * p.error()));
    for (i, line) in std::iter::once("farthest off".to_owned()).chain(lines).enumerate() {
        let line = fit(&line, frame.px(text::SMALL + 1.0), false, width);
        let ink = if i == 0 { MUTED } else { INK };
        frame.scene.text((x, y), line, text::SMALL + 1.0, ink, Anchor::Start);
        y += frame.px(19.0);
    }
}

/// The name that colours a curve: the part behind the slash of `variant / lock`.
fn group(point: &Point) -> &str {
    point.curve.rsplit(" / ").next().unwrap_or(&point.curve)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::tests::assert_readable;
    use results::schema::Reading;
    use results::validation::Interval;

    #[test]
    fn a_long_unit_and_a_long_legend_do_not_meet() {
        let panel = "share of the waits for si->lock, %";
        let point = |(i, curve): (usize, &str)| Point {
            panel: panel.into(),
            curve: curve.into(),
            x: 1.0,
            measured: 20.0 + i as f64,
            predicted: 30.0,
            basis: Basis::Predicted,
            spread: None,
            interval: None,
        };
        let callers = ["free_swap_and_cache_nr", "get_swap_pages", "swapcache_free_entries"];
        let points: Vec<Point> = callers.into_iter().enumerate().map(point).collect();
        let section = Section {
            id: "demo".into(),
            title: "A demonstration".into(),
            source: "nobody".into(),
            x: "jobs".into(),
            y: "seconds, or percent".into(),
            points: points.clone(),
            steps: Vec::new(),
            notes: Vec::new(),
        };
        let points: Vec<&Point> = points.iter().collect();
        assert_readable(&scatter(&Caption::default(), &section, panel, &points), "scatter");
    }

    #[test]
    fn curves_and_single_points_have_a_chart_each() {
        let point = |panel: &str, curve: &str, x, predicted| Point {
            panel: panel.into(),
            curve: curve.into(),
            x,
            measured: 100.0 * x,
            predicted,
            basis: if x == 4.0 { Basis::Fitted } else { Basis::Predicted },
            spread: None,
            interval: None,
        };
        let range = Interval { low: 50.0, high: 300.0, seeds: 5 };
        let section = Section {
            id: "demo".into(),
            title: "A demonstration".into(),
            source: "nobody".into(),
            x: "threads".into(),
            y: "ns".into(),
            points: vec![
                point("curve", "ticket", 1.0, 120.0),
                point("curve", "ticket", 4.0, 400.0),
                point("time, s", "ticket", 1.0, 120.0),
                point("time, s", "ticket", 4.0, 500.0),
                point("scatter", "a / tas", 1.0, 90.0),
                point("scatter", "a / mcs", 2.0, 290.0),
                Point { basis: Basis::Fitted, ..point("one fitted", "a / tas", 1.0, 90.0) },
                Point { interval: Some(range), ..point("range", "a / tas", 1.0, 90.0) },
                Point { interval: Some(range), ..point("ranges", "ticket", 1.0, 90.0) },
                Point { interval: Some(range), ..point("ranges", "ticket", 2.0, 90.0) },
                point("one fitted", "a / mcs", 1.0, 120.0),
            ],
            steps: Vec::new(),
            notes: Vec::new(),
        };
        let all: Vec<&Point> = section.points.iter().filter(|p| p.panel == "curve").collect();
        let Error { median, most, n } = Error::of(&all).unwrap();
        assert_eq!(n, 1, "the fitted point is no prediction");
        assert!((median - 0.2).abs() < 1e-9 && (most - 0.2).abs() < 1e-9, "{median} {most}");
        let commit = Reading::Known("0123456789abcdef".to_owned());
        let whole =
            Validation { command: "swapscale validate".into(), commit, sections: vec![section] };
        let dir = tempfile::tempdir().unwrap();
        let files = validation(&whole, dir.path()).unwrap();
        assert_eq!(files.len(), 12, "{files:?}");
        let svg = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let curve = svg("validation-demo-curve.svg");
        for words in ["ticket, measured", "ticket, model", "fitted at 4 threads", "0123456789ab"] {
            assert!(curve.contains(words), "{words}");
        }
        let scatter = svg("validation-demo-scatter.svg");
        assert!(scatter.contains("\ntas\n") && scatter.contains("all points of the model"));
        for words in ["measured, ns (log scale)", "model, ns (log scale)", "a factor of 1.3 apart"]
        {
            assert!(scatter.contains(words), "{words}");
        }
        assert!(svg("validation-demo-one-fitted.svg").contains("fitted on a / tas, the other"));
        for (name, seeds) in [("range", 1), ("ranges", 1), ("curve", 0)] {
            let chart = svg(&format!("validation-demo-{name}.svg"));
            assert_eq!(chart.matches("median and range of 5 seeds").count(), seeds, "{name}");
        }
        let seconds = svg("validation-demo-time--s.svg");
        assert!(seconds.contains("time, s"), "the panel's own unit");
    }
}
