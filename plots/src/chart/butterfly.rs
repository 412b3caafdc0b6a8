//! perf lock before and after: what each caller waits for locks, the scheme before on the left and the
//! scheme after it on the right, with the sums. Guards that both are of one run and neighbours as the
//! kernel's history has them, and that only the sum is called better or worse.

use std::collections::BTreeSet;

use results::compare::Outcome;
use results::metric::Metric;
use results::plural;
use results::schema::Cell;
use results::scheme::STRAWMAN;

use super::Picture;
use super::finding::{self, Claim, short_name, without_run};
use crate::axis::{short, time};
use crate::data::{Group, Median, Set, Track, ops, spread};
use crate::frame::{Frame, fit};
use crate::scene::{Anchor, Scene, text_width};
use crate::style::{GRID, INK, MUTED, Size, text};

/// Callers that a picture names.
const CALLERS: usize = 9;

pub fn draw(set: &Set, size: Size) -> super::Outcome {
    let later = set.tracks.iter().filter(|track| track.variant != STRAWMAN);
    let pairs = later.filter_map(|new| Some((finding::before(set, new)?, new)));
    let mut pictures = Vec::new();
    for (base, new) in pairs {
        let rows = rows(base.widest(), new.widest());
        if !rows.is_empty() && base.widest().threads() == new.widest().threads() {
            let part = format!("{}-{}", without_run(&base.name), without_run(&new.name));
            pictures.push(Picture { part, scene: scene(set, size, (base, new), rows) });
        }
    }
    if pictures.is_empty() {
        let why = set.place.why_no_sites();
        return Err(why.unwrap_or("needs lock sites of a scheme and of the one before it").into());
    }
    Ok(pictures)
}

/// Waiting per operation of one caller, before and after; `None` where it does not take the lock.
struct Row {
    label: String,
    sides: [Option<Median>; 2],
}

impl Row {
    fn value(&self, side: usize) -> f64 {
        self.sides[side].map_or(0.0, |m| m.median)
    }

    fn most(&self) -> f64 {
        self.value(0).max(self.value(1))
    }

    /// How the right side stands to the left one.
    fn delta(&self) -> String {
        match (self.value(0), self.value(1)) {
            (before, after) if before <= 0.0 && after <= 0.0 => String::new(),
            (before, _) if before <= 0.0 => "new".into(),
            (_, after) if after <= 0.0 => "gone".into(),
            (before, after) if after / before >= 2.0 => format!("{} times", short(after / before)),
            (before, after) => format!("{:+.0} %", 100.0 * (after / before - 1.0)),
        }
    }
}

/// The callers that wait most, then the rest of them in one row; the sum is not among them.
fn rows(base: &Group, new: &Group) -> Vec<Row> {
    let sites = |group: &Group| -> BTreeSet<(String, String)> {
        let all = group.cells.iter().flat_map(|cell| &cell.sites);
        all.map(|site| (site.caller.clone(), site.lock.clone())).collect()
    };
    let names: BTreeSet<(String, String)> = &sites(base) | &sites(new);
    let row = |(caller, lock): &(String, String)| {
        let is = |c: &str, l: &str| c == caller && l == lock;
        Row { label: format!("{caller}, {lock}"), sides: [waits(base, is), waits(new, is)] }
    };
    let mut rows: Vec<Row> = names.iter().map(row).filter(|row| row.most() > 0.0).collect();
    rows.sort_by(|a, b| b.most().total_cmp(&a.most()));
    let rest: BTreeSet<String> = rows.iter().skip(CALLERS).map(|row| row.label.clone()).collect();
    if rest.len() > 1 {
        rows.truncate(CALLERS);
        let is = |c: &str, l: &str| rest.contains(&format!("{c}, {l}"));
        let label = plural(rest.len(), "more caller");
        rows.push(Row { label, sides: [waits(base, is), waits(new, is)] });
    }
    rows
}

/// Waits per operation of the sites that are meant.
fn waits(group: &Group, meant: impl Fn(&str, &str) -> bool) -> Option<Median> {
    let of = |cell: &Cell| {
        let sites = || cell.sites.iter().filter(|site| meant(&site.caller, &site.lock));
        let total: u64 = sites().map(|site| site.wait_total_ns).sum();
        (ops(cell) > 0.0 && sites().next().is_some()).then(|| total as f64 / ops(cell))
    };
    Median::of(&group.values(of))
}

fn scene(set: &Set, size: Size, (base, new): (&Track, &Track), rows: Vec<Row>) -> Scene {
    let threads = new.widest().threads();
    let claim = Claim::of(set, (base, new), &Metric::Wait, threads);
    let trials = [base, new].map(|track| track.widest().cells.len());
    let note = format!(
        "Time that callers wait for locks, per operation: median over the trials; black: {}. The sum \
         is the median of the trials' sums.",
        spread(trials)
    );
    let title = title(set, (base, new), claim.as_ref());
    let mut caption = set.caption(title, &note);
    caption.subtitle = format!("Waiting per operation; {}", caption.subtitle);
    let mut frame = Frame::new(size, &caption);
    let sum = Row {
        label: "all callers".into(),
        sides: [base, new].map(|track| waits(track.widest(), |_, _| true)),
    };
    let verdict = claim.map_or("", |claim| claim.row.outcome.mark());
    let sides = Sides { tracks: [base, new], rows: &rows, sum: &sum, verdict };
    sides.draw(&mut frame);
    frame.scene
}

fn title(set: &Set, (base, new): (&Track, &Track), claim: Option<&Claim>) -> String {
    let (before, after) = (short_name(base), without_run(&short_name(new)).to_owned());
    let at = finding::at(new, new.widest().threads());
    let words = match claim {
        Some(claim) if claim.stands() => {
            format!("{at} {after} waits for locks {} {before}", as_long(claim.row.ratio))
        }
        Some(claim) if claim.row.outcome == Outcome::NotSignificant => {
            format!("{at} {after} waits for locks as long as {before}, as far as can be told")
        }
        _ => format!("{at}: what {before} and {after} wait for locks"),
    };
    finding::said(set.place.predicted, &words)
}

/// "90 % less than", "20 % more than", "2.5 times as long as".
fn as_long(ratio: f64) -> String {
    let change = 100.0 * (ratio - 1.0);
    match ratio {
        r if r >= 2.0 => format!("{} times as long as", finding::two(r)),
        r if r < 1.0 => format!("{:.0} % less than", -change),
        _ => format!("{change:.0} % more than"),
    }
}

/// Two columns of bars back to back, the callers between them, and the deltas on the right.
struct Sides<'a> {
    tracks: [&'a Track<'a>; 2],
    rows: &'a [Row],
    sum: &'a Row,
    verdict: &'a str,
}

/// Where the columns are, in pixels: the inner ends of the bars, their length, and the deltas' end.
struct Columns {
    inner: [f64; 2],
    length: f64,
    delta: f64,
}

impl Sides<'_> {
    fn draw(&self, frame: &mut Frame) {
        let columns = self.columns(frame);
        let top = frame.free.top + frame.px(34.0);
        let lines = self.rows.len() + 1;
        let step = ((frame.free.bottom - top - frame.px(8.0)) / lines as f64).min(frame.px(36.0));
        self.heads(frame, &columns);
        let scale = self.rows.iter().chain([self.sum]).flat_map(|row| row.sides).flatten();
        let scale = scale.map(|m| m.hi.max(m.median)).fold(f64::MIN_POSITIVE, f64::max).min(1e100);
        for (i, row) in self.rows.iter().enumerate() {
            self.row(frame, &columns, row, (top + step * i as f64, step), scale);
        }
        let y = top + step * self.rows.len() as f64 + frame.px(4.0);
        frame.scene.line(vec![(frame.free.left, y), (frame.free.right, y)], MUTED, 1.2, &[]);
        self.row(frame, &columns, self.sum, (y + frame.px(2.0), step), scale);
    }

    fn columns(&self, frame: &Frame) -> Columns {
        let wide = |words: &str| text_width(words, frame.px(text::SMALL + 1.0), false);
        let labels =
            self.rows.iter().map(|row| wide(&row.label)).fold(wide("all callers"), f64::max);
        let (left, right) = (frame.free.left, frame.free.right);
        let labels = labels.min((right - left) * 0.36) + frame.px(20.0);
        let all = || self.rows.iter().chain([self.sum]);
        let delta = all().map(|row| wide(&self.delta(row))).fold(wide("delta"), f64::max);
        let sides = all().flat_map(|row| row.sides).flatten();
        let number = sides.map(|m| wide(&time(m.median))).fold(0.0, f64::max) + frame.px(10.0);
        let delta = delta + frame.px(8.0);
        let length = (right - left - labels - delta) / 2.0 - number;
        let inner = left + number + length;
        Columns { inner: [inner, inner + labels], length, delta: right }
    }

    /// The delta of a row, with the verdict where it is that of the sums.
    fn delta(&self, row: &Row) -> String {
        let mark = if std::ptr::eq(row, self.sum) { self.verdict } else { "" };
        format!("{} {mark}", row.delta()).trim().to_owned()
    }

    fn heads(&self, frame: &mut Frame, columns: &Columns) {
        let y = frame.free.top + frame.px(20.0);
        for (side, anchor) in [Anchor::End, Anchor::Start].into_iter().enumerate() {
            let track = self.tracks[side];
            let room = columns.length + frame.px(50.0);
            let name = fit(without_run(&track.name), frame.px(text::LABEL), true, room);
            let x = match anchor {
                Anchor::End => columns.inner[0] - text_width(&name, frame.px(text::LABEL), true),
                _ => columns.inner[1],
            };
            frame.scene.title((x, y), name, text::LABEL, track.look.colour.darker());
        }
        frame.scene.text((columns.delta, y), "delta", text::SMALL + 1.0, MUTED, Anchor::End);
    }

    fn row(
        &self,
        frame: &mut Frame,
        columns: &Columns,
        row: &Row,
        (y, step): (f64, f64),
        scale: f64,
    ) {
        let size = (text::SMALL + 1.0).min(0.8 * step / frame.px(1.0));
        let base = y + step * 0.5 + 0.35 * frame.px(size);
        let middle = (columns.inner[0] + columns.inner[1]) / 2.0;
        let room = columns.inner[1] - columns.inner[0] - frame.px(10.0);
        let label = fit(&row.label, frame.px(size), false, room);
        frame.scene.text((middle, base), label, size, INK, Anchor::Middle);
        for (side, to) in [-1.0, 1.0].into_iter().enumerate() {
            let (inner, colour) = (columns.inner[side], self.tracks[side].look.colour);
            let at = |v: f64| inner + to * columns.length * (v / scale).clamp(0.0, 1.0);
            frame.scene.line(vec![(inner, y), (inner, y + step)], GRID, 1.0, &[]);
            let Some(m) = row.sides[side] else { continue };
            let (top, bottom) = (y + step * 0.18, y + step * 0.82);
            frame.scene.bar((inner, top), (at(m.median), bottom), colour);
            let across = y + step * 0.5;
            frame.scene.line(vec![(at(m.lo), across), (at(m.hi), across)], INK, 1.6, &[]);
            let anchor = if to < 0.0 { Anchor::End } else { Anchor::Start };
            let x = at(m.median.max(m.hi)) + to * frame.px(6.0);
            frame.scene.text((x, base), time(m.median), size, INK, anchor);
        }
        frame.scene.text((columns.delta, base), self.delta(row), size, INK, Anchor::End);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};
    use crate::data;
    use crate::scene::Shape;
    use crate::style::README;
    use results::store::Loaded;

    fn parts(runs: &[Loaded]) -> Result<Vec<String>, String> {
        let sets = data::sets(runs);
        Ok(draw(&sets[0], README)?.into_iter().map(|picture| picture.part).collect())
    }

    fn run(id: &str, variants: &[&'static str]) -> Loaded {
        let mut run = common::native(&Plan { variants: variants.to_vec(), ..Plan::default() });
        (run.run.id, run.run.label) = (id.into(), id.into());
        run
    }

    #[test]
    fn a_scheme_stands_beside_the_one_before_it_and_the_strawman_beside_none() {
        let all = parts(&[run("1", &common::VARIANTS)]).unwrap();
        let pairs = [
            "6.12 scanning-scanning-ref",
            "6.12 scanning-6.14 percluster",
            "6.14 percluster-6.18 percpu-cluster",
        ];
        assert_eq!(all, pairs);
        for runs in [
            vec![run("1", &["global", "scanning"])],
            vec![run("1", &["scanning"]), run("2", &["percluster"])],
        ] {
            let reason = parts(&runs).unwrap_err();
            assert!(reason.contains("of the one before it"), "{reason}");
        }
    }

    #[test]
    fn the_line_of_sums_is_of_all_callers() {
        let mut run = run("1", &["scanning", "percluster"]);
        for cell in &mut run.cells {
            cell.per_thread = vec![1000; cell.key.threads as usize];
            let wait = if cell.key.variant == "scanning" { 64_000_000 } else { 16_000_000 };
            cell.sites.iter_mut().for_each(|site| site.wait_total_ns = wait);
        }
        let runs = [run];
        let sets = data::sets(&runs);
        let picture = draw(&sets[0], README).unwrap().remove(0);
        let texts: Vec<&str> = picture
            .scene
            .shapes
            .iter()
            .filter_map(|shape| match shape {
                Shape::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        // One caller before, three after it: 1 and three times 0.25 us an operation of 64 threads.
        for words in
            ["With 64 CPUs 6.14 waits for locks 25 % less than 6.12", "1 µs", "750 ns", "-25 %"]
        {
            assert!(texts.contains(&words), "{words}: {texts:?}");
        }
    }
}
