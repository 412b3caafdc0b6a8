//! `cargo bench`, third part: what measuring costs, as the table in docs/measuring.md. Beside the
//! engine's figure of an operation stands criterion's, measured in the same minute. With
//! `-- --json FILE` the figures also go to that file, with the host and the conditions.

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use machine::topology::{Pin, Topology};
use results::stats::Interval;
use studies::overhead::{self, Effort, Figure, Measured, Row, Unit};
use studies::selftest::accounting_off;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--list") {
        return println!("overhead: benchmark");
    }
    let short = has("--test") || !has("--bench");
    let (rounds, window) = if short { (2, 5) } else { (20, 50) };
    let file = words.iter().skip_while(|word| *word != "--json").nth(1);
    let done = measured(rounds, Duration::from_millis(window), short).and_then(|all| {
        let write = |file| std::fs::write(file, serde_json::to_string_pretty(&all)? + "\n");
        Ok(file.map_or(Ok(()), write)?)
    });
    if let Err(why) = done {
        eprintln!("overhead: {why}");
        std::process::exit(2);
    }
}

type Error = Box<dyn std::error::Error>;

/// Measures and prints every row.
fn measured(rounds: usize, window: Duration, short: bool) -> Result<Measured, Error> {
    let topology = Topology::here()?;
    let cpu = Pin::SmtLast.order(&topology)?[0];
    let effort = Effort { rounds, window, cpu };
    let begun = Measured::begin(&topology, &effort, "make overhead");
    println!(
        "ns per operation, median, 95 % interval and number of ABBA rounds of 4 x {} ms, one \
         thread;\n+ and x are relative to the last row without an indent, in pairs",
        window.as_millis()
    );
    let mut rows = overhead::measure(&effort, |row| println!("{row}"))?;
    let engine = rows.last().ok_or("no row")?;
    let hand = rows.iter().rev().find(|row| row.unit == Unit::Ns).ok_or("no base row")?;
    let criterion = by_criterion(cpu, short)?;
    let ratio = over(hand, engine, &criterion.figure);
    println!("{criterion}\n{ratio}\n{}", accounting_off());
    rows.extend([criterion, ratio]);
    Ok(begun.end(rows))
}

/// The engine's figure over criterion's; ends of the intervals against each other, since these
/// two were not measured in pairs.
fn over(hand: &Row, engine: &Row, criterion: &Figure) -> Row {
    let (ns, interval) = (hand.figure.median * engine.figure.median, engine.figure.interval);
    let ns_of = |ratio: f64| hand.figure.median * ratio;
    let figure = Figure {
        median: ns / criterion.median,
        interval: Interval {
            lo: ns_of(interval.lo) / criterion.interval.hi,
            hi: ns_of(interval.hi) / criterion.interval.lo,
        },
    };
    let what = "through the engine, not in pairs".into();
    Row { what, figure, unit: Unit::Times, rounds: None, goal: None }
}

/// The same operation of churn, by criterion.
fn by_criterion(cpu: usize, short: bool) -> Result<Row, Error> {
    let dir = tempfile::tempdir()?;
    let (samples, time) = if short { (10, 20) } else { (50, 4000) };
    let mut criterion = Criterion::default()
        .output_directory(dir.path())
        .sample_size(samples)
        .warm_up_time(Duration::from_millis(time / 8))
        .measurement_time(Duration::from_millis(time))
        .without_plots();
    let mut group = criterion.benchmark_group("churn");
    group.throughput(Throughput::Elements(1));
    group.bench_function("op", |bencher| {
        bencher.iter_custom(|n| overhead::churn_fault(cpu, n).expect("a fault does not fail"));
    });
    group.finish();
    let (median, interval) = median_of(&dir.path().join("churn/op/new/estimates.json"))?;
    let figure = Figure { median, interval };
    let what = "churn operation, criterion".into();
    Ok(Row { what, figure, unit: Unit::Ns, rounds: None, goal: None })
}

/// Criterion's own estimate, from its file.
fn median_of(path: &Path) -> Result<(f64, Interval), Error> {
    let estimates: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let number = |at: &str| {
        let value = estimates.pointer(at).and_then(serde_json::Value::as_f64);
        value.ok_or_else(|| format!("{}: no {at}", path.display()))
    };
    let lo = number("/median/confidence_interval/lower_bound")?;
    let hi = number("/median/confidence_interval/upper_bound")?;
    Ok((number("/median/point_estimate")?, Interval { lo, hi }))
}
