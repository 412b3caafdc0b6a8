//! The tables of a report with their figures as text, for mail, Markdown and terminal. Each format
//! draws the columns in its own way.

use std::collections::BTreeSet;

use super::grid::{Grid, Row, header};
use super::text::{Scale, change, duration};
use super::{contention, counters, swap_tables};
use crate::aggregate::{at, label, telling, varying};
use crate::compare::{self, Comparison, Difference, Outcome};
use crate::disturbed::Undisturbed;
use crate::in_order_of_events;
use crate::load::BEYOND_KNEE;
use crate::overall::Overall;
use crate::plural;
use crate::report::{Detail, Report};
use crate::schema::Distance;
use crate::stats::{Estimate, Interval};
use crate::traffic::{Moved, Traffic};

/// Rows of fields, of callers and of lines, at most, each.
const MAX_LINES: usize = 4;
/// Columns of distances and what is in each.
const NEAR_TO_FAR: [(&str, &[Distance]); 5] = [
    ("core", &[Distance::SameCpu, Distance::Sibling]),
    ("L3", &[Distance::SameL3]),
    ("package", &[Distance::SamePackage]),
    ("remote", &[Distance::OtherPackage]),
    ("memory", &[Distance::Memory]),
];

/// The meaning of the marks of throughputs.
const SPREAD: &str = "+-: half the 95% interval of the median; in brackets, of fewer than 6 trials: \
     half their range, which is no interval.";
/// The meaning of the marks of comparisons.
const COMPARED: &str = "95% interval: of the ratio of the medians (bootstrap); in brackets: from the \
     farthest to the nearest that two trials lie apart. ~: not significant at 5% (permutation test \
     of all rows of one table together; each table is tested for itself). n<6: too few runs a side \
     to tell.";

/// The meaning of the marks, under the tables that have them.
pub(super) fn legend(report: &Report) -> String {
    match report.comparisons.is_empty() {
        true => SPREAD.to_owned(),
        false => format!("{SPREAD} {COMPARED}"),
    }
}

/// A difference between the two sides, in words.
pub(super) fn difference(difference: &Difference) -> String {
    let loud = if difference.loud { "WARNING: " } else { "" };
    let (what, base, new) = (&difference.what, &difference.base, &difference.new);
    format!("{loud}not the same {what}: base {base}, new {new}")
}

/// All points of a comparison in a sentence: how many are better and worse, the mean with its interval,
/// and the two ends that a mean hides.
pub(super) fn overall(comparison: &Comparison, overall: &Overall) -> String {
    let [better, worse, same, few] =
        [Outcome::Better, Outcome::Worse, Outcome::NotSignificant, Outcome::TooFew]
            .map(|outcome| comparison.count(outcome));
    let few = if few > 0 { format!(", {few} with too few trials") } else { String::new() };
    let alone = comparison.missing.len() + comparison.added.len();
    let alone = if alone > 0 { format!(" (and {alone} on one side only)") } else { String::new() };
    let counts = format!(
        "{}{alone}: {better} better, {worse} worse, {same} not significant{few}",
        plural(overall.points, "point")
    );
    format!("{counts}. Geometric mean of all: {}{}", mean(overall), from_to(comparison))
}

/// The same for a mail.
pub(super) fn brief(comparison: &Comparison, overall: &Overall) -> String {
    let marks = [
        (Outcome::Better, "better"),
        (Outcome::Worse, "worse"),
        (Outcome::NotSignificant, "~"),
        (Outcome::TooFew, "n<6"),
    ];
    let counts: Vec<String> = marks
        .iter()
        .map(|(outcome, words)| (comparison.count(*outcome), words))
        .filter(|(n, _)| *n > 0)
        .map(|(n, words)| format!("{n} {words}"))
        .collect();
    let alone = comparison.missing.len() + comparison.added.len();
    let alone = if alone > 0 { format!(", {alone} on one side only") } else { String::new() };
    format!(
        "Geometric mean of {}: {}{}; {}{alone}",
        plural(overall.points, "point"),
        mean(overall),
        from_to_in_brief(comparison),
        counts.join(", ")
    )
}

/// The mean with its interval, or why it has none.
fn mean(overall: &Overall) -> String {
    let mean = overall.ratio.map_or("none".to_owned(), |ratio| change(ratio - 1.0));
    match (overall.interval, &overall.why) {
        (Some(i), _) => {
            format!("{mean} (95% interval {}..{})", change(i.lo - 1.0), change(i.hi - 1.0))
        }
        (None, why) => format!("{mean} (no interval: {})", why.as_deref().unwrap_or("unknown")),
    }
}

/// The points that are the farthest apart, where there is more than one.
fn ends(comparison: &Comparison) -> Option<[(String, &compare::Row); 2]> {
    let by_ratio = |a: &&compare::Row, b: &&compare::Row| a.ratio.total_cmp(&b.ratio);
    let rows = &comparison.rows;
    let (least, most) = (rows.iter().min_by(by_ratio)?, rows.iter().max_by(by_ratio)?);
    (rows.len() > 1).then(|| [least, most].map(|row| (change(row.change()), row)))
}

/// The ends with the names of their points.
fn from_to(comparison: &Comparison) -> String {
    let keys: Vec<_> = comparison.rows.iter().map(|row| &row.key).collect();
    let axes = telling(&keys);
    let name = |(change, row): &(String, &compare::Row)| {
        let point = label(&row.key, |axis| axis == "threads" || axes.iter().any(|a| a == axis));
        format!("{change} at {point}")
    };
    let words = |[least, most]: [_; 2]| format!(", from {} to {}", name(&least), name(&most));
    ends(comparison).map_or(String::new(), words)
}

/// The same, with the points as in the columns of a table.
fn from_to_in_brief(comparison: &Comparison) -> String {
    let keys: Vec<_> = comparison.rows.iter().map(|row| &row.key).collect();
    let axes = telling(&keys);
    let name = |(change, row): &(String, &compare::Row)| {
        let place = axes.iter().map(|axis| at(&row.key, axis)).filter(|value| !value.is_empty());
        let place: Vec<String> = place.chain([row.key.threads.to_string()]).collect();
        format!("{change} ({})", place.join(", "))
    };
    let words = |[least, most]: [_; 2]| format!("; {} to {}", name(&least), name(&most));
    ends(comparison).map_or(String::new(), words)
}

/// [`overall`] of every comparison, with the sides' names where there are several.
pub(super) fn overalls(report: &Report) -> Vec<String> {
    let several = report.comparisons.len() > 1;
    let line = |(c, all): (&Comparison, &Overall)| {
        let who = format!("{} against {}: ", c.new, c.base);
        (if several { who } else { String::new() }) + &overall(c, all)
    };
    report.comparisons.iter().zip(&report.overall).map(line).collect()
}

/// What the report leaves out.
pub(super) fn others(report: &Report) -> Option<String> {
    let names = report.others.join(", ");
    (!report.others.is_empty()).then(|| format!("Not shown: {names}"))
}

/// Every table of what was compared: the verdicts, the verdicts without the trials that were hit,
/// the loads of open-loop points, and the points of runs that went on until they were narrow.
pub(super) fn verdicts(report: &Report) -> Vec<Grid> {
    let mut grids = comparisons(report);
    grids.extend(report.undisturbed.iter().map(undisturbed));
    grids.extend(loads(report));
    grids.extend(narrow(report));
    grids
}

/// One table per comparison, or one for all steps.
fn comparisons(report: &Report) -> Vec<Grid> {
    match report.comparisons.split_last() {
        Some((whole, steps)) if report.stepwise => vec![self::steps(report, whole, steps)],
        _ => report.comparisons.iter().map(|c| comparison(report, c)).collect(),
    }
}

/// The change that each step makes at each point, and its part in the whole change: of the
/// logarithms, since factors multiply.
fn steps(report: &Report, whole: &Comparison, steps: &[Comparison]) -> Grid {
    let figures = report.prefix();
    let differ = varying(whole.rows.iter().map(|row| &row.key));
    let most = steps.iter().flat_map(|s| &s.rows).map(|r| r.base.median.max(r.new.median));
    let scale = Scale::of(whole.unit, most.fold(0.0, f64::max));
    let mut rows = Vec::new();
    for total in &whole.rows {
        let section = label(&total.key, |axis| differ.contains(axis));
        let mut push = |name: &str, figures: Vec<String>, outcome| {
            let cells = [vec![name.to_owned()], figures].concat();
            rows.push(Row { section: section.clone(), cells, outcome });
        };
        let blank = |n| vec![String::new(); n];
        push(&whole.base, [vec![scale.print(total.base.median)], blank(4)].concat(), None);
        for step in steps.iter().chain([whole]) {
            let Some(row) = step.rows.iter().find(|row| row.key == total.key) else { continue };
            let told = |row: &compare::Row| matches!(row.outcome, Outcome::Better | Outcome::Worse);
            let part =
                (told(row) && told(total)).then(|| change(row.ratio.ln() / total.ratio.ln()));
            let figures = vec![
                scale.print(row.new.median),
                change(row.change()),
                row.outcome.mark().to_owned(),
                interval(row),
                part.unwrap_or_else(|| "-".to_owned()),
            ];
            let name = if std::ptr::eq(step, whole) { "all steps" } else { &step.new };
            push(name, figures, Some(row.outcome));
        }
    }
    Grid {
        title: String::new(),
        caption: format!(
            "{figures}{}, {}, median: each variant against the one above it; part: of all steps, by \
             logarithms, - where the step or all steps together are not significant",
            whole.metric, scale.unit
        ),
        header: header(&["variant", &scale.unit, "delta", "", "95% interval", "part"]),
        left: 1,
        rows,
    }
}

fn comparison(report: &Report, comparison: &Comparison) -> Grid {
    let figures = report.prefix();
    let differ = varying(comparison.rows.iter().map(|row| &row.key));
    let largest = comparison.rows.iter().map(|row| row.base.median.max(row.new.median));
    let scale = Scale::of(comparison.unit, largest.fold(0.0, f64::max));
    let rows = comparison.rows.iter().map(|row| Row {
        section: label(&row.key, |axis| axis != "threads" && differ.contains(axis)),
        cells: vec![
            row.key.threads.to_string(),
            scale.print(row.base.median),
            half_width(&row.base),
            scale.print(row.new.median),
            half_width(&row.new),
            change(row.change()),
            row.outcome.mark().to_owned(),
            interval(row),
            format!("{}+{}", row.base.n, row.new.n),
        ],
        outcome: Some(row.outcome),
    });
    Grid {
        title: String::new(),
        caption: format!(
            "{figures}{}, {}, median: base = {}, new = {}",
            comparison.metric, scale.unit, comparison.base, comparison.new
        ),
        header: header(&[
            "threads",
            "base",
            "+-",
            "new",
            "+-",
            "delta",
            "",
            "95% interval",
            "runs",
        ]),
        left: 0,
        rows: rows.collect(),
    }
}

/// The verdict with the trials that were hit from outside, and without them.
fn undisturbed(undisturbed: &Undisturbed) -> Grid {
    let differ = varying(undisturbed.rows.iter().map(|row| &row.key));
    let rows = undisturbed.rows.iter().map(|point| {
        let delta = |row: &compare::Row| change(row.change());
        let rest = point.without.as_ref();
        Row {
            section: label(&point.key, |axis| axis != "threads" && differ.contains(axis)),
            cells: vec![
                point.key.threads.to_string(),
                format!("{}+{}", point.hit[0], point.hit[1]),
                rest.map_or("-".into(), delta),
                rest.map_or("-", |row| row.outcome.mark()).to_owned(),
                rest.map_or("-".into(), interval),
                rest.map_or("none".into(), |row| format!("{}+{}", row.base.n, row.new.n)),
                point.with.name().to_owned(),
                rest.map_or("-", |row| row.outcome.name()).to_owned(),
            ],
            outcome: None,
        }
    });
    Grid {
        title: String::new(),
        caption: format!(
            "the same with the trials left that were not hit from outside: base = {}, new = {}",
            undisturbed.base, undisturbed.new
        ),
        header: header(&[
            "threads",
            "hit",
            "delta",
            "",
            "95% interval",
            "left",
            "verdict",
            "without",
        ]),
        left: 0,
        rows: rows.collect(),
    }
}

/// Response beside service time of open-loop points, by load; `None` without any.
fn loads(report: &Report) -> Option<Grid> {
    report.loads.first()?;
    let mut differ = varying(report.loads.iter().map(|row| &row.key));
    differ.remove("rate");
    let scale =
        Scale::of("ops/s", report.loads.iter().map(|row| row.done.median).fold(0.0, f64::max));
    let rows = report.loads.iter().map(|row| {
        let rest = label(&row.key, |axis| axis != "variant" && differ.contains(axis));
        let knee = match row.knee {
            [true, true] => "both",
            [true, false] => "p50",
            [false, true] => "p99",
            [false, false] => "",
        };
        Row {
            section: [row.side.as_str(), &row.kind, &rest].join(" ").trim_end().to_owned(),
            cells: vec![
                scale.print(row.asked),
                scale.print(row.done.median),
                duration(row.service[0].median),
                duration(row.response[0].median),
                duration(row.service[1].median),
                duration(row.response[1].median),
                knee.to_owned(),
            ],
            outcome: None,
        }
    });
    Some(Grid {
        title: String::new(),
        caption: format!(
            "open loop: steps asked for and operations done, {}; service time s and response time \
             r from the intended start, median of the trials; the knee is the last load with at \
             most {BEYOND_KNEE} times the response of low loads",
            scale.unit
        ),
        header: header(&["asked", "done", "p50 s", "p50 r", "p99 s", "p99 r", "knee"]),
        left: 0,
        rows: rows.collect(),
    })
}

/// The points of runs that went on until they were narrow; `None` without any.
fn narrow(report: &Report) -> Option<Grid> {
    let first = report.narrow.first()?;
    let differ = varying(report.narrow.iter().map(|row| &row.key));
    let several: BTreeSet<&str> = report.narrow.iter().map(|row| row.side.as_str()).collect();
    let scale = Scale::of("ops/s", report.narrow.iter().map(|row| row.median).fold(0.0, f64::max));
    let rows = report.narrow.iter().map(|row| {
        let rest = label(&row.key, |axis| {
            !["threads", "variant"].contains(&axis) && differ.contains(axis)
        });
        let side = if several.len() > 1 { &row.side } else { &row.key.variant };
        let ends = row.interval.map(|i| format!("{}..{}", scale.print(i.lo), scale.print(i.hi)));
        Row {
            section: [side, rest.as_str()].join(" ").trim_end().to_owned(),
            cells: vec![
                row.key.threads.to_string(),
                scale.print(row.median),
                ends.unwrap_or("?".into()),
                row.wider_side.map_or("?".into(), |side| format!("{:.2}%", 100.0 * side)),
                row.trials.to_string(),
                if row.reached { "yes" } else { "no" }.to_owned(),
            ],
            outcome: None,
        }
    });
    Some(Grid {
        title: String::new(),
        caption: format!(
            "until +-{}: throughput, {}, with intervals of the median that hold at every look, 95%",
            first.asked, scale.unit
        ),
        header: header(&["threads", "median", "interval", "wider side", "runs", "reached"]),
        left: 0,
        rows: rows.collect(),
    })
}

/// The interval of a change; in brackets the range of trials that are too few for one.
fn interval(row: &compare::Row) -> String {
    let ends = |i: Interval| format!("{}..{}", change(i.lo - 1.0), change(i.hi - 1.0));
    row.interval.map_or_else(|| format!("({})", ends(row.range())), ends)
}

/// The figures of every group, one table for each kind of operation whose latency it shows.
pub(super) fn summaries(report: &Report) -> Vec<Grid> {
    let kinds: BTreeSet<Option<&str>> =
        report.summary.iter().map(|row| row.kind.as_deref()).collect();
    kinds.into_iter().map(|kind| summary(report, kind)).collect()
}

fn summary(report: &Report, kind: Option<&str>) -> Grid {
    let differ = varying(report.summary.iter().map(|row| &row.key));
    let several: BTreeSet<&str> = report.summary.iter().map(|row| row.side.as_str()).collect();
    let largest = report.summary.iter().map(|row| row.throughput.median).fold(0.0, f64::max);
    let scale = Scale::of("ops/s", largest);
    let rows = report.summary.iter().filter(|row| row.kind.as_deref() == kind).map(|row| {
        let side = if several.len() > 1 { &row.side } else { &row.key.variant };
        let rest = label(&row.key, |axis| {
            !["threads", "variant"].contains(&axis) && differ.contains(axis)
        });
        let variant = if *side != row.key.variant { row.key.variant.as_str() } else { "" };
        let optional = |value: Option<f64>| value.map_or("-".to_owned(), duration);
        let contended = row.contended.map_or("-".into(), |x| format!("{:.2}%", x * 100.0));
        Row {
            section: [side, variant, &rest]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            cells: vec![
                row.key.threads.to_string(),
                scale.print(row.throughput.median),
                half_width(&row.throughput),
                row.throughput.n.to_string(),
                optional(row.p50),
                optional(row.p99),
                contended,
                format!("{:.3}", row.jain),
            ],
            outcome: None,
        }
    });
    let latency = kind.map_or("no operation was timed".to_owned(), |kind| {
        format!("latency of the most frequent operation, {kind}")
    });
    Grid {
        title: String::new(),
        caption: format!("{}throughput, {}, median; {latency}", report.prefix(), scale.unit),
        header: header(&["threads", &scale.unit, "+-", "runs", "p50", "p99", "contended", "Jain"]),
        left: 0,
        rows: rows.collect(),
    }
}

/// Latency of one point, all its sides together; `None` where none was timed.
fn latency(report: &Report, details: &[&Detail]) -> Option<Grid> {
    let first = details.first()?;
    let mut kinds: BTreeSet<&str> = BTreeSet::new();
    for detail in details {
        kinds.extend(detail.latency.iter().map(|row| row.kind.as_str()));
    }
    let mut rows = Vec::new();
    for kind in kinds {
        for detail in details {
            let timed = detail.latency.iter().filter(|row| row.kind == kind);
            rows.extend(timed.map(|row| {
                let times = [Some(row.p50), row.p90, row.p99, row.p999, Some(row.max)];
                let times = times.map(|time| time.map_or("-".to_owned(), duration));
                let names = vec![row.kind.clone(), detail.side.clone(), row.n.to_string()];
                Row::plain([names, times.to_vec()].concat())
            }));
        }
    }
    // The longest operation need not be among those that were timed.
    let sampled =
        details.iter().flat_map(|detail| &detail.latency).any(|row| row.sampled_every > 1);
    let max = if sampled { "max of timed" } else { "max" };
    (!rows.is_empty()).then(|| Grid {
        title: String::new(),
        caption: format!("{}latency, median of the trials, at {}", report.prefix(), first.point),
        header: header(&["", "", "timed", "p50", "p90", "p99", "p99.9", max]),
        left: 2,
        rows,
    })
}

/// The steps of swapoff, one row per step and one column per side; `None` without any.
fn swapoff<'a>(report: &Report, details: &[&'a Detail]) -> Option<Grid> {
    let first = details.first()?;
    let steps = |detail: &&'a Detail| detail.swapoff.iter().map(|step| step.name.as_str());
    let names = in_order_of_events(details.iter().map(steps));
    let ns = |detail: &Detail, name: &str| {
        let step = detail.swapoff.iter().find(|step| step.name == name);
        step.map_or("-".to_owned(), |step| duration(step.ns as f64))
    };
    let row = |name: &str| {
        let times = details.iter().map(|detail| ns(detail, name));
        Row::plain(std::iter::once(name.to_owned()).chain(times).collect())
    };
    let mut header = vec!["step".to_owned()];
    header.extend(details.iter().map(|detail| detail.side.clone()));
    (!names.is_empty()).then(|| Grid {
        title: String::new(),
        caption: format!("{}swapoff, median of the trials, at {}", report.prefix(), first.point),
        header,
        left: 1,
        rows: names.into_iter().map(row).collect(),
    })
}

/// Coherence misses per operation by distance, of fields, callers and single lines; `None` where
/// the machine does not know them.
fn traffic(report: &Report, detail: &Detail) -> Option<Grid> {
    let Traffic { fields, callers, hottest } = detail.traffic.as_ref()?;
    let per_op = |n: f64| match n {
        0.0 => "-".to_owned(),
        n if n < 0.01 => "<.01".to_owned(),
        n => format!("{n:.2}"),
    };
    let moved = |section: &str, moved: &Moved| {
        let mut cells = vec![per_op(moved.misses())];
        cells.extend(NEAR_TO_FAR.iter().map(|(_, distances)| {
            let near = moved
                .transfers
                .iter()
                .filter(|(d, _)| distances.iter().any(|distance| distance.name() == d));
            per_op(near.map(|(_, n)| n).sum())
        }));
        cells.extend([duration(moved.wait_ns), moved.name.clone()]);
        Row { section: section.to_owned(), cells, outcome: None }
    };
    let mut rows: Vec<Row> = fields.iter().take(MAX_LINES).map(|m| moved("by field", m)).collect();
    rows.extend(callers.iter().take(MAX_LINES).map(|m| moved("by lock caller", m)));
    rows.extend(hottest.iter().take(MAX_LINES).map(|(name, fetched)| {
        let mut cells = vec![per_op(*fetched)];
        cells.extend(vec![String::new(); NEAR_TO_FAR.len() + 1]);
        cells.push(name.clone());
        Row { section: "hottest lines".into(), cells, outcome: None }
    }));
    let distances = NEAR_TO_FAR.map(|(name, _)| name);
    Some(Grid {
        title: String::new(),
        caption: format!(
            "{}cache line transfers an operation: {} at {}",
            report.prefix(),
            detail.side,
            detail.point
        ),
        header: header(&[&["misses"], &distances[..], &["wait", "where"]].concat()),
        left: 0,
        rows,
    })
}

/// The tables of one point: contention and cache lines of each side, then latency and
/// swapoff of all sides together.
pub(super) fn of_point(report: &Report, details: &[&Detail]) -> Vec<Grid> {
    let mut grids: Vec<Grid> = Vec::new();
    for detail in details {
        grids.extend(contention::sites(report, detail));
        grids.extend(contention::sharing(report, detail));
        grids.extend(traffic(report, detail));
    }
    grids.extend(latency(report, details));
    grids.extend(swapoff(report, details));
    grids.extend(counters::per_operation(details));
    grids.extend(swap_tables::churn(details));
    grids
}

/// The details by point, sides together.
pub(super) fn points(details: &[Detail]) -> Vec<Vec<&Detail>> {
    details.chunk_by(|a, b| a.point == b.point).map(|chunk| chunk.iter().collect()).collect()
}

/// Half of the median's interval, as a share of the median; in brackets half the range of trials that
/// are too few for one.
pub(super) fn half_width(estimate: &Estimate) -> String {
    let half = |lo: f64, hi: f64| format!("{:.0}%", (hi - lo) / 2.0 / estimate.median * 100.0);
    match estimate.interval {
        _ if estimate.n < 2 || estimate.median <= 0.0 => "?".to_owned(),
        Some(interval) => half(interval.lo, interval.hi),
        None => format!("({})", half(estimate.min, estimate.max)),
    }
}
