//! `cargo bench`, third part: what measuring costs, as the table in docs/measuring.md. Beside the
//! engine's figure of an operation stands criterion's, measured in the same minute.

use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use machine::topology::{Pin, Topology};
use results::stats::Interval;
use studies::overhead::{self, Effort, Figure, Row, Unit};
use studies::selftest::accounting_off;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--list") {
        return println!("overhead: benchmark");
    }
    let short = has("--test") || !has("--bench");
    let (rounds, window) = if short { (2, 5) } else { (20, 50) };
    if let Err(why) = table(rounds, Duration::from_millis(window), short) {
        eprintln!("overhead: {why}");
        std::process::exit(2);
    }
}

fn table(rounds: usize, window: Duration, short: bool) -> Result<(), Box<dyn std::error::Error>> {
    let topology = Topology::here()?;
    let cpu = Pin::SmtLast.order(&topology)?[0];
    println!(
        "ns an operation, median and 95 % interval of {rounds} ABBA rounds of {} ms, one thread;\n\
         + and x are against the row without an indent, in pairs",
        window.as_millis()
    );
    let rows = overhead::measure(&Effort { rounds, window, cpu }, |row| println!("{row}"))?;
    let engine = rows.last().ok_or("no row")?;
    let hand = rows.iter().rev().find(|row| row.unit == Unit::Ns).ok_or("no base row")?;
    let criterion = by_criterion(cpu, short)?;
    println!("{criterion}");
    println!("{}", over(hand, engine, &criterion.figure));
    println!("{}", accounting_off());
    Ok(())
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
    Row { what: "through the engine, not in pairs".into(), figure, unit: Unit::Times, goal: None }
}

/// The same operation of churn, by criterion.
fn by_criterion(cpu: usize, short: bool) -> Result<Row, Box<dyn std::error::Error>> {
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
    Ok(Row { what: "churn operation, criterion".into(), figure, unit: Unit::Ns, goal: None })
}

/// Criterion's own estimate, from its file.
fn median_of(path: &Path) -> Result<(f64, Interval), Box<dyn std::error::Error>> {
    let estimates: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let number = |at: &str| {
        let value = estimates.pointer(at).and_then(serde_json::Value::as_f64);
        value.ok_or_else(|| format!("{}: no {at}", path.display()))
    };
    let lo = number("/median/confidence_interval/lower_bound")?;
    let hi = number("/median/confidence_interval/upper_bound")?;
    Ok((number("/median/point_estimate")?, Interval { lo, hi }))
}
