//! The mail that is pasted: what was compared, where, one table, its mean, the lock sites before and
//! after, and the command. Guards that it stays short enough to be read, and that what is left out for
//! that is said. The form is that of results in kernel changelogs: Before and After.

use super::Format;
use super::grid::columns;
use super::mail::{Lines, REPORT, WIDTH};
use super::rows;
use super::text::{Scale, ascii, change, cut, digits, duration, wrap_command};
use crate::aggregate::{at, counts_sites, telling};
use crate::compare::{Comparison, Outcome, Row};
use crate::disturbed::Without;
use crate::plural;
use crate::report::{Detail, Report, Summary};
use crate::schema::{CellKey, Site};
use crate::scheme;
use crate::stats::Estimate;

/// Lines of the mail, at most.
pub const LINES: usize = 25;
/// Empty lines that a table which is cut leaves room for.
const GAPS: usize = 2;
/// Call sites of each side.
const TOP: usize = 3;
/// Half of the median's 95 % interval.
const SPREAD: &str = "+-95%";
/// What stands in its place where the trials are too few for one.
const RANGE: &str = "; (..): half the range, too few trials";
/// A site with less of the longest wait than this makes room for the table.
const LITTLE: f64 = 0.05;

/// The report in [`LINES`] lines of [`WIDTH`] columns. Of several comparisons it shows the first.
pub struct Brief;

impl Format for Brief {
    fn render(&self, report: &Report) -> String {
        let table = match report.comparisons.first() {
            Some(comparison) => compared(report, comparison),
            None => alone(report),
        };
        let (whole, elsewhere) = (command(report), vec![line(COMMAND_ELSEWHERE)]);
        let forms = [(0.0, &whole), (LITTLE, &whole), (0.0, &elsewhere), (LITTLE, &elsewhere)];
        let forms = forms.map(|(least, command)| Parts {
            head: head(report),
            legend: filled(&table.legend, 2),
            tail: tail(report),
            sites: sites(report, least),
            command: command.clone(),
        });
        // Points come first: what is said elsewhere too, or weighs little, makes room for them.
        let form = forms.iter().find(|parts| parts.room() >= table.points.len());
        form.unwrap_or(&forms[3]).set(&table)
    }
}

/// In place of a command that leaves no room for the points.
const COMMAND_ELSEWHERE: &str =
    "The command of the run is in its run.json, and in this mail with --full.";

/// The table's points before it is known how many of them fit.
struct Table {
    /// what the marks mean
    legend: String,
    header: Vec<String>,
    /// columns from the left that name the point
    names: usize,
    points: Vec<Line>,
}

struct Line {
    cells: Vec<String>,
    /// 0 for the most threads of its workload, 1 for the next number, ..
    rank: usize,
    /// size of the change, as a logarithm
    change: f64,
}

/// Everything but the table's header and points.
struct Parts {
    head: Vec<String>,
    legend: Vec<String>,
    tail: Vec<String>,
    sites: Vec<String>,
    command: Vec<String>,
}

impl Parts {
    /// Lines for the table's points.
    fn room(&self) -> usize {
        let parts = [&self.head, &self.legend, &self.tail, &self.sites, &self.command];
        LINES.saturating_sub(1 + parts.map(|part| part.len()).iter().sum::<usize>())
    }

    /// The mail, with empty lines between its parts where they cost no point.
    fn set(&self, table: &Table) -> String {
        let (points, left_out) = match self.room() {
            room if room >= table.points.len() => (table.points.iter().collect(), None),
            room => chosen(&table.points, room.saturating_sub(1 + GAPS).max(1)),
        };
        let left_out = left_out.into_iter().collect::<Vec<String>>();
        let body = [&self.legend[..], &laid_out(table, &points), &left_out, &self.tail].concat();
        let parts = [&self.head, &body, &self.sites, &self.command];
        let mut spare = LINES.saturating_sub(parts.map(|part| part.len()).iter().sum());
        let mut out: Vec<String> = Vec::new();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !out.is_empty() && spare > 0 {
                out.push(String::new());
                spare -= 1;
            }
            out.extend(part.iter().cloned());
        }
        out.truncate(LINES);
        out.join("\n") + "\n"
    }
}

/// A sentence in `most` lines, cut where it is longer.
fn filled(text: &str, most: usize) -> Vec<String> {
    let mut lines = Lines::new(REPORT);
    lines.fill(text);
    let mut lines = lines.lines;
    if lines.len() > most {
        lines.truncate(most);
        let last = lines.last_mut().expect("some lines are asked for");
        *last = last.chars().take(WIDTH - 3).chain(" ..".chars()).collect();
    }
    lines
}

fn line(text: &str) -> String {
    let mut lines = Lines::new(REPORT);
    lines.push(text);
    lines.lines.concat()
}

/// What was compared, on which machine and under which conditions.
fn head(report: &Report) -> Vec<String> {
    let mut out = filled(&report.subject, 2);
    out.extend(rows::others(report).iter().map(|text| line(text)));
    let loud = report.comparisons.iter().take(1).flat_map(|c| &c.differences).filter(|d| d.loud);
    let differ: Vec<String> =
        loud.map(|d| format!("{} ({} / {})", d.what, d.base, d.new)).collect();
    if !differ.is_empty() {
        out.extend(filled(&format!("WARNING: not the same: {}", differ.join(", ")), 2));
    }
    out.extend(filled(&setting(report), 5));
    out
}

/// Machine, kernel and conditions in a paragraph, without what is not known or does not matter.
fn setting(report: &Report) -> String {
    let [machine, kernel, conditions] = &report.setting;
    let commits: Vec<&str> = report.repeat.iter().map(|repeat| repeat.commit.as_str()).collect();
    let commits = format!("swapscale {}", commits.join(" and "));
    // A model computes the same on any host.
    let model = report.predicted.then(|| machine.split(", computed on").next()).flatten();
    let known: Vec<&str> = kernel.split(", ").filter(|part| !part.ends_with("unknown")).collect();
    let known = known.join(", ");
    match model {
        Some(model) => format!("{model}; {conditions}; {commits}"),
        None => format!("{machine}; {known}; {conditions}; {commits}"),
    }
}

/// The table of a comparison.
fn compared(report: &Report, comparison: &Comparison) -> Table {
    let rows = &comparison.rows;
    let keys: Vec<&CellKey> = rows.iter().map(|row| &row.key).collect();
    let axes = telling(&keys);
    let most = rows.iter().map(|row| row.base.median.max(row.new.median)).fold(0.0, f64::max);
    let scale = Scale::of(comparison.unit, most);
    let fallen = fallen(report);
    let figures = |row: &Row| {
        let falls = fallen.iter().any(|without| without.key == row.key);
        vec![
            scale.print(row.base.median),
            spread(&row.base),
            scale.print(row.new.median),
            spread(&row.new),
            change(row.change()),
            verdict(row.outcome).to_owned() + if falls { "*" } else { "" },
            runs(row),
        ]
    };
    let line = |row: &Row| Line {
        cells: [place(&row.key, &axes), figures(row)].concat(),
        rank: rank(&row.key, &keys),
        change: row.ratio.ln().abs(),
    };
    let [before, after] = [&comparison.base, &comparison.new].map(|name| scheme::label(name));
    let mut legend = format!("{}: Before {before}, After {after}", scale.unit);
    if rows.iter().any(|row| row.outcome == Outcome::NotSignificant) {
        legend += "; ~: not significant";
    }
    if rows.iter().any(|row| row.base.interval.is_none() || row.new.interval.is_none()) {
        legend += RANGE;
    }
    let columns = ["Before", SPREAD, "After", SPREAD, "delta", "verdict", "n"];
    Table {
        legend,
        header: named(&axes, &columns),
        names: axes.len() + 1,
        points: rows.iter().map(line).collect(),
    }
}

/// The table of figures that have nothing to be compared with.
fn alone(report: &Report) -> Table {
    let keys: Vec<&CellKey> = report.summary.iter().map(|row| &row.key).collect();
    let axes = telling(&keys);
    let most = report.summary.iter().map(|row| row.throughput.median).fold(0.0, f64::max);
    let scale = Scale::of("ops/s", most);
    let line = |row: &Summary| {
        let n = row.throughput.n.to_string();
        let figures = vec![scale.print(row.throughput.median), spread(&row.throughput), n];
        let rank = rank(&row.key, &keys);
        Line { cells: [place(&row.key, &axes), figures].concat(), rank, change: 0.0 }
    };
    Table {
        legend: format!("{}; nothing to compare{RANGE}", scale.unit),
        header: named(&axes, &["median", SPREAD, "n"]),
        names: axes.len() + 1,
        points: report.summary.iter().map(line).collect(),
    }
}

fn named(axes: &[String], columns: &[&str]) -> Vec<String> {
    let names = axes.iter().map(String::as_str).chain(["threads"]).chain(columns.iter().copied());
    names.map(str::to_owned).collect()
}

fn place(key: &CellKey, axes: &[String]) -> Vec<String> {
    let places = axes.iter().map(|axis| Some(at(key, axis)).filter(|value| !value.is_empty()));
    let places = places.map(|value| value.unwrap_or_else(|| "-".to_owned()));
    places.chain([key.threads.to_string()]).map(|cell| ascii(&cell)).collect()
}

/// How many larger numbers of threads there are of the same workload and parameters.
fn rank(key: &CellKey, keys: &[&CellKey]) -> usize {
    let same = |other: &CellKey| CellKey { threads: key.threads, ..other.clone() } == *key;
    keys.iter().filter(|other| other.threads > key.threads && same(other)).count()
}

fn spread(estimate: &Estimate) -> String {
    rows::half_width(estimate)
}

fn verdict(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Better | Outcome::Worse => outcome.name(),
        Outcome::NotSignificant | Outcome::TooFew => outcome.mark(),
    }
}

fn runs(row: &Row) -> String {
    match row.base.n == row.new.n {
        true => row.new.n.to_string(),
        false => format!("{}+{}", row.base.n, row.new.n),
    }
}

/// The points that are kept, in their order, and the words for those that are not.
fn chosen(points: &[Line], kept: usize) -> (Vec<&Line>, Option<String>) {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|&a, &b| {
        let by_change = points[b].change.total_cmp(&points[a].change);
        points[a].rank.cmp(&points[b].rank).then(by_change)
    });
    order.truncate(kept);
    order.sort_unstable();
    let left_out = format!(
        "Left out: {} of {} (kept: most threads, then largest change)",
        points.len() - order.len(),
        plural(points.len(), "point")
    );
    (order.into_iter().map(|at| &points[at]).collect(), Some(line(&left_out)))
}

/// Header and points in columns; names are cut where nothing else helps.
fn laid_out(table: &Table, points: &[&Line]) -> Vec<String> {
    let mut cells = vec![table.header.clone()];
    cells.extend(points.iter().map(|line| line.cells.clone()));
    let fits = |lines: &[String]| lines.iter().all(|line| line.len() <= WIDTH);
    let mut lines = columns(&cells, table.names - 1, 2);
    if !fits(&lines) {
        lines = columns(&cells, table.names - 1, 1);
    }
    if !fits(&lines) {
        for row in &mut cells {
            row[..table.names].iter_mut().for_each(|cell| *cell = cut(cell, 11));
        }
        lines = columns(&cells, table.names - 1, 1);
    }
    lines.iter().map(|text| line(text)).collect()
}

/// The mean, and the verdicts that rest on trials which something from outside has hit.
fn tail(report: &Report) -> Vec<String> {
    let both = report.comparisons.first().zip(report.overall.first());
    let mut out = both.map_or(Vec::new(), |(c, all)| filled(&rows::brief(c, all), 3));
    let fallen = fallen(report);
    if !fallen.is_empty() {
        let hit: usize = fallen.iter().flat_map(|row| row.hit).sum();
        let trials = plural(hit, "trial");
        out.extend(filled(&format!("*: does not stand without {trials} hit from outside"), 1));
    }
    if report.comparisons.is_empty() && report.partial {
        let why = report.notes.iter().find(|note| note.starts_with("nothing to compare"));
        out.extend(why.iter().flat_map(|why| filled(why, 3)));
    }
    out
}

/// The points whose verdict another one takes the place of where the trials that were hit are left out.
fn fallen(report: &Report) -> Vec<&Without> {
    let rows = report.undisturbed.iter().take(1).flat_map(|again| &again.rows);
    rows.filter(|row| !row.stands() && row.claims()).collect()
}

/// The lock sites where the threads of either side wait the longest, before and after; without those
/// that have less than this share of the longest wait.
fn sites(report: &Report, least: f64) -> Vec<String> {
    let Some(first) = report.hot.first() else { return Vec::new() };
    if !counts_sites(&first.key) {
        return filled(crate::aggregate::WHY_NO_SITES, 1);
    }
    let waits = |detail: &Detail, site: &Site| {
        let found = detail.sites.iter().find(|other| same(other, site) && other.contended > 0);
        found.map(|found| found.wait_total_ns as f64 / detail.operations.max(1) as f64)
    };
    let of_both =
        |site: &Site| report.hot.iter().filter_map(|d| waits(d, site)).fold(0.0, f64::max);
    let mut seen: Vec<&Site> = Vec::new();
    for detail in &report.hot {
        let contended = detail.sites.iter().filter(|site| site.contended > 0);
        let new = |site: &&Site| !seen.iter().any(|known| same(known, site));
        seen.extend(contended.take(TOP).filter(new).collect::<Vec<_>>());
    }
    let longest = seen.iter().map(|site| of_both(site)).fold(0.0, f64::max);
    seen.retain(|site| of_both(site) >= least * longest);
    if seen.is_empty() {
        return filled(&format!("no contended lock at {}", first.point), 1);
    }
    let sides = if report.hot.len() == 2 { ["Before", "After"].as_slice() } else { &["wait"] };
    let header = [sides, &["lock", "caller"]].concat().into_iter().map(str::to_owned).collect();
    let row = |site: &&Site| {
        let cells = report.hot.iter().take(sides.len()).map(|detail| waits(detail, site));
        let cells = cells.map(|wait| wait.map_or("-".to_owned(), per_operation));
        cells.chain([ascii(&site.lock), ascii(&site.caller)]).collect::<Vec<String>>()
    };
    let rows: Vec<_> = std::iter::once(header).chain(seen.iter().map(row)).collect();
    let mut lines = columns(&rows, 0, 2);
    let captions = captions(first, least);
    let fits = |caption: &&String| lines[0].len() + caption.len() <= WIDTH;
    let caption = captions.iter().find(fits).unwrap_or(&captions[2]).clone();
    lines[0] += &caption;
    lines.iter().map(|text| line(text)).collect()
}

/// What the lock sites' figures are, and where they were counted, from the longest words on.
fn captions(detail: &Detail, least: f64) -> [String; 3] {
    let share = if least > 0.0 { format!(" >{:.0}%", 100.0 * least) } else { String::new() };
    let CellKey { workload, threads, .. } = &detail.key;
    let threads_too = format!("{workload} {}", plural(*threads as usize, "thread"));
    let number = format!("{workload}, {threads}");
    [&detail.point, &threads_too, &number]
        .map(|point| format!(" (wait/op{share}, {})", ascii(point)))
}

fn same(a: &Site, b: &Site) -> bool {
    (&a.lock, &a.caller) == (&b.lock, &b.caller)
}

fn per_operation(ns: f64) -> String {
    if ns < 100.0 { format!("{} ns", digits(ns)) } else { duration(ns) }
}

fn command(report: &Report) -> Vec<String> {
    let commands = report.repeat.iter().map(|repeat| ascii(&repeat.command));
    commands.flat_map(|command| wrap_command(&command, WIDTH)).collect()
}
