//! The data of the page: runs, sets, points with their intervals, and the cells
//! themselves, as compact JSON. Names of fields are short where there are thousands.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use results::hit::hit;
use results::metric::{Metric, Percentile};
use results::schema::{Cell, Counter, Latency, Swapoff};
use results::store::Loaded;
use results::{stats, traffic, usl};
use serde_json::{Map, Value, json};

use super::pairs::{self, Pairs};
use super::{Race, histograms, pictures, verdict};
use crate::chart::swapoff::{by_trial, step_names, total};
use crate::data::{self, Group, Median, Set, Track, ops};
use crate::style::Look;

/// Lock sites and fields of cache lines kept per point.
const TOP: usize = 6;
/// Single cache lines kept per point.
const HOTTEST: usize = 3;
/// Kinds of operation with a column of their own in the raw table.
const KIND_COLUMNS: usize = 4;
/// Points kept of a series over time.
const SERIES_POINTS: usize = 120;

/// Everything but the pictures, for the element `#data`.
pub fn json(runs: &[Loaded], sets: &[Set], races: &[Race]) -> Value {
    let mut tracks: Vec<(String, &str, Look)> = Vec::new();
    for track in sets.iter().flat_map(|s| &s.tracks) {
        if !tracks.iter().any(|(name, ..)| *name == track.name) {
            tracks.push((track.name.clone(), track.variant, track.look));
        }
    }
    let words = Words { reasons: reasons(sets), names: names(sets) };
    let pairs = Pairs::of(runs);
    let mut all = json!({
        "tracks": tracks.iter().map(|(name, variant, l)| json!({"name": name, "variant": variant, "rank": pairs::rank(variant), "look": look(*l)})).collect::<Vec<_>>(),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
        "reasons": words.reasons,
        "names": words.names,
        "sets": sets.par_iter().map(|s| set(s, runs, &pairs, &tracks, &words)).collect::<Vec<_>>(),
        "cells": cells(sets),
        "races": races.iter().map(race).collect::<Vec<_>>(),
    });
    shorten(&mut all);
    all
}

fn race(race: &Race) -> Value {
    json!({
        "title": race.title, "about": race.about, "text": race.text,
        "timeline": race.timeline.as_ref().map(timeline),
        "counterpart": race.counterpart.as_ref().map(timeline),
    })
}

/// A timeline of the checker without what the page does not show: of a row's accesses the locks' and
/// notes', and of the state what the row changed.
fn timeline(whole: &Value) -> Value {
    let mut short = whole.clone();
    let mut before = whole["initial"].clone();
    for row in short["rows"].as_array_mut().into_iter().flatten() {
        let after = row["state"].take();
        let changed = after.as_object().into_iter().flatten().filter(|(k, v)| before[k] != **v);
        row["state"] = changed.map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>().into();
        before = after;
        if let Some(accesses) = row["accesses"].as_array_mut() {
            accesses.retain(|a| !["read", "write", "change"].iter().any(|op| a["op"] == *op));
            *accesses =
                accesses.iter().map(|a| json!({"op": a["op"], "cell": a["cell"]})).collect();
        }
    }
    short
}

/// Whole numbers without their `.0`: of ten thousand cells it is a tenth of the page.
pub(super) fn shorten(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Number(n) => {
            if let Some(v) = n.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 1e15) {
                *value = json!(v as i64);
            }
        }
        _ => {}
    }
}

/// Colour, marker and dash, as the page's own charts take them.
fn look(look: Look) -> Value {
    let dash: Vec<String> = look.dash.iter().map(f64::to_string).collect();
    json!({ "c": pictures::css(look.colour), "m": format!("{:?}", look.marker).to_lowercase(), "d": dash.join(" ") })
}

/// Why counters have no value, each once: points of a machine without a PMU repeat them.
fn reasons(sets: &[Set]) -> BTreeSet<String> {
    let groups = sets.iter().flat_map(|s| &s.tracks).flat_map(|t| &t.groups);
    groups.flat_map(|g| &g.cells).flat_map(|c| c.counters.values()).map(reason).collect()
}

/// Words that many points repeat, which say them by their place here.
struct Words {
    /// why counters have no value
    reasons: BTreeSet<String>,
    /// of locks, callers, cache lines and distances
    names: BTreeSet<String>,
}

impl Words {
    fn name(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }
}

fn names(sets: &[Set]) -> BTreeSet<String> {
    let groups = || sets.iter().flat_map(|s| &s.tracks).flat_map(|t| &t.groups);
    let sites = groups().flat_map(|g| &g.cells).flat_map(|c| &c.sites);
    let mut names: BTreeSet<String> =
        sites.flat_map(|site| [site.lock.clone(), site.caller.clone()]).collect();
    let tracks = sets.iter().flat_map(|s| &s.tracks);
    let detailed = tracks.flat_map(|t| t.groups.iter().filter(|g| detailed(t, g)));
    for moved in detailed.filter_map(|g| traffic::of(g.cells.iter().copied())) {
        let all = moved.fields.iter().chain(&moved.callers);
        names.extend(all.clone().map(|m| m.name.clone()));
        names.extend(all.flat_map(|m| &m.transfers).map(|(distance, _)| distance.clone()));
        names.extend(moved.hottest.into_iter().take(HOTTEST).map(|(name, _)| name));
    }
    names
}

/// Whether a point has all details: the one that charts at one number of threads show, and the last.
fn detailed(track: &Track, group: &Group) -> bool {
    let last = track.groups.last().is_some_and(|last| std::ptr::eq(last, group));
    last || std::ptr::eq(track.widest(), group)
}

fn reason(counter: &Counter) -> String {
    data::unsupported(match counter {
        Counter::Unsupported { unsupported } => unsupported,
        Counter::Value { .. } => "no operation finished",
    })
}

/// A run's head, with its environment as rows of a table.
fn run(loaded: &Loaded) -> Value {
    let run = &loaded.run;
    let environment = serde_json::to_value(&run.environment).unwrap_or(Value::Null);
    let mut rows: Vec<(String, String)> = vec![
        ("created".into(), run.created_utc.clone()),
        ("command".into(), run.command.clone()),
        ("clock read, ns".into(), run.probe.clock_read_ns.to_string()),
        ("recording a latency, ns".into(), run.probe.record_ns.to_string()),
    ];
    rows.extend(environment.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), plain(v))));
    rows.extend(loaded.notes.iter().map(|n| ("note".to_string(), n.clone())));
    json!({
        "id": run.id, "label": run.label, "machine": run.machine.name,
        "day": run.created_utc.chars().take(10).collect::<String>(), "hardware": hardware(loaded),
        "origin": run.machine.kind.origin(), "command": run.command, "rows": rows,
        "source": data::provenance(loaded),
    })
}

/// The machine in a line: of a prediction the model, else processor, CPUs, kernel and hypervisor.
fn hardware(loaded: &Loaded) -> String {
    let (machine, environment) = (&loaded.run.machine, &loaded.run.environment);
    let origin = machine.kind.origin();
    if machine.predicted {
        return format!("{origin} {}", machine.name);
    }
    let (model, cpus) = (&environment.cpu_model, &environment.cpus_online);
    let (kernel, under) = (environment.kernel.to_string(), &environment.virtualized);
    let release = kernel.split_whitespace().next().unwrap_or("unknown");
    format!("{origin} {model}, {cpus} CPUs, Linux {release}, hypervisor: {under}")
}

/// A value as a reader would say it; `{"unknown": why}` is "unknown (why)".
fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join("; "),
        Value::Object(o) => match o.get("unknown") {
            Some(why) => format!("unknown ({})", plain(why)),
            None => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn set(
    set: &Set,
    runs: &[Loaded],
    pairs: &Pairs,
    tracks: &[(String, &str, Look)],
    words: &Words,
) -> Value {
    let place = &set.place;
    let index = |t: &Track| tracks.iter().position(|(name, ..)| *name == t.name);
    json!({
        "machine": place.machine,
        "workload": place.workload,
        "params": place.params,
        "pin": place.pin,
        "origin": place.origin(),
        "predicted": place.predicted,
        "conditions": set.conditions(),
        "refused": set.refused,
        "nosites": place.why_no_sites(),
        "runs": run_indices(set, runs),
        "words": verdict::words(set),
        "pairs": pairs.json(set),
        "steps": step_names(set),
        "tracks": set.tracks.iter().map(|t| track(set, t, index(t), words)).collect::<Vec<_>>(),
    })
}

/// Places of a set's runs among all.
fn run_indices(set: &Set, runs: &[Loaded]) -> Vec<usize> {
    let place = |run: &&Loaded| runs.iter().position(|r| std::ptr::eq(r, *run));
    set.runs.iter().filter_map(place).collect()
}

fn track(set: &Set, track: &Track, index: Option<usize>, words: &Words) -> Value {
    let one =
        track.groups.first().filter(|g| g.threads() == 1).map(|g| g.samples(&Metric::Throughput));
    let first = track.widest().cells[0];
    json!({
        "t": index,
        "b": pairs::predecessor(set, track),
        "d": track.widest().threads(),
        "g": track.groups.par_iter().map(|g| group(g, one.as_deref(), detailed(track, g), words)).collect::<Vec<_>>(),
        "usl": law(track),
        "hdr": histograms::of(set, track.widest()),
        "series": first.series.iter().map(series).collect::<Vec<_>>(),
    })
}

/// One point: everything that charts show of it, each with the range it has.
/// `detailed`: with what makes thousands of points megabytes.
fn group(group: &Group, one: Option<&[f64]>, detailed: bool, words: &Words) -> Value {
    let now = group.samples(&Metric::Throughput);
    let speedup = one.and_then(|one| match group.threads() {
        1 => Some(Median { n: now.len(), lo: 1.0, median: 1.0, hi: 1.0 }),
        _ => Median::of_ratio(one, &now),
    });
    let mut point = json!({
        "n": group.threads(),
        "k": group.cells.len(),
        "x": Median::of(&now).map(triple),
        "s": speedup.map(triple),
        "j": range(&group.samples(&Metric::Jain)),
        "lat": latencies(group, |c, kind| c.kinds.get(kind)?.latency.as_ref()),
        "resp": latencies(group, |c, kind| c.kinds.get(kind)?.response.as_ref()),
        "sites": sites(group, words),
        "ctr": counters(group, &words.reasons),
    });
    let hit = group.cells.iter().filter(|cell| hit(cell).is_some()).count();
    let hit = if hit > 0 { json!(hit) } else { Value::Null };
    let lines = if detailed { lines(group, words) } else { Value::Null };
    let shares = if detailed { json!(shares(group.cells[0])) } else { Value::Null };
    let optional = [("off", swapoff(group)), ("lines", lines), ("share", shares), ("hit", hit)];
    for (name, value) in optional.into_iter().filter(|(_, v)| !v.is_null()) {
        point[name] = value;
    }
    point
}

/// Median, and the ends of the 95 % interval; a 1 behind them where they are a range of trials.
fn triple(s: Median) -> Vec<f64> {
    let ends = [sig(s.median), sig(s.lo), sig(s.hi)];
    ends.into_iter().chain(s.is_range().then_some(1.0)).collect()
}

/// Median, least and largest of the trials: for what gets no interval.
fn range(values: &[f64]) -> Option<[f64; 3]> {
    let least = values.iter().copied().reduce(f64::min)?;
    let largest = values.iter().copied().reduce(f64::max)?;
    Some([sig(stats::median(values)), sig(least), sig(largest)])
}

/// Four significant digits: more are noise, and thousands of them are megabytes.
pub(super) fn sig(v: f64) -> f64 {
    format!("{v:.3e}").parse().unwrap_or(v)
}

/// By kind of operation: p50, p90, p99, p99.9 and p99.99, each a range in ns.
fn latencies(group: &Group, of: for<'a> fn(&'a Cell, &str) -> Option<&'a Latency>) -> Value {
    let kinds: BTreeSet<&String> = group.cells.iter().flat_map(|c| c.kinds.keys()).collect();
    let mut by_kind = serde_json::Map::new();
    for kind in kinds {
        let at = |percentile: Percentile, beyond: f64| {
            range(&group.values(|c| {
                let latency = of(c, kind)?;
                (latency.n as f64 * beyond >= 10.0).then(|| percentile.of(latency))
            }))
        };
        let list = [
            at(Percentile::P50, 0.5),
            at(Percentile::P90, 0.1),
            at(Percentile::P99, 0.01),
            at(Percentile::P999, 0.001),
            at(Percentile::P9999, 0.0001),
        ];
        if list.iter().any(Option::is_some) {
            by_kind.insert(kind.clone(), json!(list));
        }
    }
    Value::Object(by_kind)
}

/// Lock, caller, ns waited per operation, share contended, longest wait.
fn sites(group: &Group, words: &Words) -> Value {
    let done: f64 = group.cells.iter().map(|c| ops(c)).sum();
    type Sums = (u64, u64, Option<u64>, u64);
    let mut by_name: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
    for site in group.cells.iter().flat_map(|c| &c.sites) {
        let sum = by_name.entry((&site.lock, &site.caller)).or_insert((0, 0, Some(0), 0));
        sum.0 += site.wait_total_ns;
        sum.1 += site.contended;
        sum.2 = sum.2.zip(site.acquisitions).map(|(a, b)| a + b);
        sum.3 = sum.3.max(site.wait_max_ns);
    }
    let mut list: Vec<_> = by_name.into_iter().collect();
    list.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.0));
    let rows = list.iter().take(TOP).map(|((lock, caller), (wait, contended, taken, longest))| {
        let share = taken.filter(|t| *t > 0).map(|t| sig(*contended as f64 / t as f64));
        let per_op = (done > 0.0).then(|| sig(*wait as f64 / done));
        json!([words.name(lock), words.name(caller), per_op, share, contended, longest])
    });
    rows.collect()
}

/// Per operation, or the reason's place among `reasons`.
fn counters(group: &Group, reasons: &BTreeSet<String>) -> Value {
    let mut by_name = serde_json::Map::new();
    for (name, counter) in group.cells.iter().flat_map(|c| &c.counters) {
        if by_name.contains_key(name) {
            continue;
        }
        let metric = Metric::Counter(name.clone());
        let value = range(&group.samples(&metric)).map(|v| json!(v));
        let why = || json!(reasons.iter().position(|r| *r == reason(counter)));
        by_name.insert(name.clone(), value.unwrap_or_else(why));
    }
    Value::Object(by_name)
}

/// Points kept of the threads' shares.
const SHARES: usize = 48;

/// Each thread's operations against the mean, least served first, in the first trial; of many threads
/// some, evenly picked from the first to the last.
fn shares(cell: &Cell) -> Vec<f64> {
    let mean = ops(cell) / cell.per_thread.len().max(1) as f64;
    let mut sorted = cell.per_thread.clone();
    sorted.sort_unstable();
    let share = |n: u64| (n as f64 / mean * 100.0).round() / 100.0;
    let kept = sorted.len().min(SHARES);
    let place = |i: usize| i * (sorted.len() - 1) / (kept - 1).max(1);
    if mean > 0.0 { (0..kept).map(|i| share(sorted[place(i)])).collect() } else { Vec::new() }
}

/// Clusters, number of trials, total and each step, in ns.
fn swapoff(group: &Group) -> Value {
    let good = |c: &&Cell| c.swapoff.iter().filter(|s| s.result == "ok").cloned().collect();
    let all: Vec<Swapoff> = group.cells.iter().flat_map(|c| -> Vec<Swapoff> { good(c) }).collect();
    let Some(first) = all.first() else { return Value::Null };
    let totals = by_trial(group, |off| Some(total(off)));
    let steps: Vec<Value> = first
        .steps
        .iter()
        .map(|step| {
            let same = all.iter().flat_map(|s| &s.steps).filter(|s| s.name == step.name);
            let times: Vec<f64> = same.map(|s| s.ns as f64).collect();
            json!([step.name, range(&times)])
        })
        .collect();
    json!({
        "clusters": first.clusters, "k": group.cells.len(),
        "total": Median::of_trials(&totals).map(triple), "steps": steps,
    })
}

/// By field, by caller: name, transfers per operation by distance, ns waited per operation.
/// And the hottest single lines.
fn lines(group: &Group, words: &Words) -> Value {
    let Some(traffic) = traffic::of(group.cells.iter().copied()) else { return Value::Null };
    let rows = |mut all: Vec<traffic::Moved>| -> Value {
        all.sort_by(|a, b| b.misses().total_cmp(&a.misses()));
        let row = |m: &traffic::Moved| {
            let moved: Vec<(Option<usize>, f64)> =
                m.transfers.iter().map(|(d, n)| (words.name(d), sig(*n))).collect();
            json!([words.name(&m.name), moved, sig(m.wait_ns)])
        };
        all.iter().take(TOP).map(row).collect()
    };
    let hottest: Value = traffic
        .hottest
        .iter()
        .take(HOTTEST)
        .map(|(name, n)| json!([words.name(name), sig(*n)]))
        .collect();
    json!({ "fields": rows(traffic.fields), "callers": rows(traffic.callers), "hottest": hottest })
}

/// The fitted law with its band over the threads measured, or null. One that does not fit has no curve.
fn law(track: &Track) -> Value {
    let points: Vec<usl::Point> =
        track.groups.iter().map(|g| (g.threads(), g.samples(&Metric::Throughput))).collect();
    let Some(fit) = usl::fit(&points) else { return Value::Null };
    let most = points.last().map_or(1.0, |(threads, _)| f64::from(*threads));
    let at: Vec<f64> = (0..=24).map(|i| most.powf(f64::from(i) / 24.0)).collect();
    let band = usl::band(&points, &at);
    let ends = |i: stats::Interval| [sig(i.lo), sig(i.hi)];
    let curve: Vec<[f64; 4]> = match &band {
        Some(band) => {
            let point = |(n, i): &(f64, stats::Interval)| {
                [sig(*n), sig(fit.at(*n)), sig(i.lo.min(fit.at(*n))), sig(i.hi.max(fit.at(*n)))]
            };
            band.throughput.iter().map(point).collect()
        }
        None => at
            .iter()
            .map(|n| [sig(*n), sig(fit.at(*n)), sig(fit.at(*n)), sig(fit.at(*n))])
            .collect(),
    };
    json!({
        "lambda": sig(fit.lambda), "sigma": sig(fit.sigma), "kappa": sig(fit.kappa),
        "sigma95": band.as_ref().map(|b| ends(b.sigma)),
        "kappa95": band.as_ref().map(|b| ends(b.kappa)),
        "peak": fit.peak().map(sig), "error": sig(fit.error), "fits": fit.fits(), "curve": if fit.fits() { curve } else { Vec::new() },
    })
}

/// At most [`SERIES_POINTS`] points, evenly picked.
fn series(series: &results::schema::Series) -> Value {
    let step = series.points.len().div_ceil(SERIES_POINTS).max(1);
    let points: Vec<(f64, f64)> = series
        .points
        .iter()
        .step_by(step)
        .map(|(at, v)| (sig(*at as f64 / 1e9), sig(*v)))
        .collect();
    json!({ "name": series.name, "unit": series.unit, "points": points })
}

/// The cells by column, in the order of sets, tracks and groups.
fn cells(sets: &[Set]) -> Value {
    let all: Vec<(usize, usize, usize, &Cell)> = sets
        .iter()
        .enumerate()
        .flat_map(|(s, set)| {
            set.tracks.iter().enumerate().flat_map(move |(t, track)| {
                track
                    .groups
                    .iter()
                    .enumerate()
                    .flat_map(move |(g, group)| group.cells.iter().map(move |c| (s, t, g, *c)))
            })
        })
        .collect();
    let column = |name: &str, value: &dyn Fn(&Cell) -> Option<f64>| {
        sparse(name, &all.iter().map(|(.., c)| value(c).map(sig)).collect::<Vec<_>>())
    };
    let mut columns = vec![
        column("ops/s", &|c| Metric::Throughput.of(c)),
        column("Jain", &|c| Metric::Jain.of(c)),
        column("overlap", &|c| Metric::Overlap.of(c)),
        column("steal, ns", &|c| c.noise.steal_ns.known().map(|v| *v as f64)),
        column("clock gaps", &|c| c.noise.gaps.known().map(|v| *v as f64)),
    ];
    let tables = [Metric::TablesBorn, Metric::TablesFreed, Metric::TablesMost];
    let tables = tables.into_iter().zip(["tables born/s", "tables freed/s", "tables at most"]);
    let there = |metric: &Metric| all.iter().any(|(.., c)| metric.of(c).is_some());
    for (metric, name) in tables.filter(|(metric, _)| there(metric)) {
        columns.push(column(name, &|c| metric.of(c)));
    }
    let kinds: BTreeSet<&String> = all.iter().flat_map(|(.., c)| c.kinds.keys()).collect();
    for kind in kinds.into_iter().take(KIND_COLUMNS) {
        let p99 = Metric::Latency { kind: kind.clone(), at: Percentile::P99 };
        columns.push(column(&format!("p99 {kind}, ns"), &|c| p99.of(c)));
    }
    json!({
        "at": counted(all.iter().map(|(s, t, g, _)| [*s, *t, *g])),
        "trial": all.iter().map(|(.., c)| c.key.block).collect::<Vec<_>>(),
        "columns": columns,
    })
}

/// Each place with how many cells in a row it has.
fn counted(places: impl Iterator<Item = [usize; 3]>) -> Vec<[usize; 4]> {
    let mut runs: Vec<[usize; 4]> = Vec::new();
    for [s, t, g] in places {
        match runs.last_mut() {
            Some([a, b, c, n]) if [*a, *b, *c] == [s, t, g] => *n += 1,
            _ => runs.push([s, t, g, 1]),
        }
    }
    runs
}

/// A column; one that is empty for the most part says where its values are.
fn sparse(name: &str, values: &[Option<f64>]) -> Value {
    let there: Vec<usize> = (0..values.len()).filter(|&n| values[n].is_some()).collect();
    if there.len() * 2 > values.len() {
        return json!({ "name": name, "v": values });
    }
    let kept: Vec<f64> = values.iter().flatten().copied().collect();
    json!({ "name": name, "at": there, "v": kept })
}
