//! docs/predictions.md: an example that is simulated here, and the committed predictions.

use std::process::Command;
use std::sync::OnceLock;

use results::aggregate::Group;
use results::metric::Metric;
use results::schema::Cell;
use results::stats::median;
use results::store;

use super::Document;
use super::fill::{Claim, claim};
use super::reference::{Reference, digits, span};

/// ns per operation of the document's example, by `--seconds`. A model's figure is the same on every
/// host.
fn examples() -> &'static [String; 2] {
    static EXAMPLES: OnceLock<[String; 2]> = OnceLock::new();
    EXAMPLES.get_or_init(|| ["0.002", "0.02"].map(example))
}

fn example(seconds: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let command = "run --machine xeon-2s --variant percluster --lock tas --workload churn \
                   --size 256MiB --threads 1 --trials 1 --out runs --seconds";
    let mut swapscale = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    swapscale.args(command.split_whitespace()).arg(seconds).current_dir(&dir);
    let output = swapscale.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = store::load_all(&[dir.path().join("runs")]).expect("one run");
    digits(1e9 / runs[0].cells[0].ops_per_s, 1)
}

pub fn document() -> Document {
    let bare = Reference::of("bare-predicted");
    let rate = |run: &Reference, point: &str| run.median(point, "throughput");
    let slowest = |threads: u32| {
        let all = bare.points(&format!("threads={threads}"));
        let slowest = all.iter().min_by(|a, b| ops(a).total_cmp(&ops(b))).expect("points");
        format!("`{}`", slowest.key.variant)
    };
    let same_at_both_ends = slowest(1);
    assert_eq!(same_at_both_ends, slowest(384), "docs/predictions.md: the order in W2");
    let queue = rate(&bare, "variant=global threads=384");
    let sentences = vec![
        claim("(`global`) an operation takes {} ms on average", [tenths(384.0 / queue * 1e3)]),
        claim(
            "takes {} ns per operation with `--seconds 0.002`, and {} ns with",
            examples().clone(),
        ),
        claim(
            "Without prices {} comes last in W2 with 1 and with 384 CPUs (with 16 {} does).",
            [same_at_both_ends, slowest(16)],
        ),
    ];
    let sentences = sentences.into_iter().chain(front()).chain(devices()).collect();
    Document { path: "docs/predictions.md", sentences, blocks: vec![("tiers", tiers())] }
}

fn tenths(x: f64) -> String {
    digits(x, 1)
}

/// Throughput of a point, its median.
fn ops(point: &Group) -> f64 {
    point.estimate(&Metric::Throughput).expect("throughput").median
}

/// The two plans of six schemes.
fn front() -> Vec<Claim> {
    let (front, seq) = (Reference::of("front-predicted"), Reference::of("front-seq-predicted"));
    let cells = front.0.cells.len() + seq.0.cells.len();
    let releases = Reference::of("releases-predicted");
    let against_8_gib = |variants: &[&str]| -> Vec<f64> {
        let point =
            |variant: &&str| front.points(&format!("variant={variant} workload=churn fill=60"));
        let ratio = |point: Group| {
            let (variant, threads) = (&point.key.variant, point.key.threads);
            let large = releases.points(&format!("variant={variant} threads={threads}"));
            ops(&point) / ops(large.first().expect("the same point on 8 GiB"))
        };
        variants.iter().flat_map(point).map(ratio).collect()
    };
    let widths = front.point("variant=global workload=churn fill=60 threads=384");
    let widths = widths.values(|cell| cell.precision.as_ref()?.half_width);
    let few =
        |cell: &&Cell| cell.precision.as_ref().is_some_and(|known| known.half_width.is_none());
    let ahead = |others: &[&str]| -> Vec<f64> {
        let rate = |variant: &str, fill: u32| {
            seq.median(&format!("variant={variant} fill={fill} threads=384"), "throughput")
        };
        let ratio = |fill, other| rate("percpu-cluster", fill) / rate(other, fill);
        others.iter().flat_map(|other| [60, 90].map(|fill| ratio(fill, other))).collect()
    };
    let two = |x: f64| digits(x, 2);
    vec![
        claim("The two plans of six schemes, {} cells, took", [cells.to_string()]),
        claim(
            "the schemes up to 6.17 have {} times the throughput",
            [span(&against_8_gib(&["scanning", "percluster", "percpu-free-first"]), two)],
        ),
        claim(
            "`percpu-cluster` has {} times as much: how far",
            [span(&against_8_gib(&["percpu-cluster"]), two)],
        ),
        claim(
            "knows its own throughput in W2 to +-{} %, as the median",
            [digits(100.0 * median(&widths), 0)],
        ),
        claim(
            "of its trials. {} of {} trials of W1 saw fewer than three rounds",
            [seq.0.cells.iter().filter(few).count().to_string(), seq.0.cells.len().to_string()],
        ),
        claim(
            "it has {} times the throughput of `percluster` with 384 CPUs, and {} times that of the",
            [
                span(&ahead(&["percluster"]), tenths),
                span(&ahead(&["global", "scanning", "scanning-ref"]), tenths),
            ],
        ),
    ]
}

/// Masks of swap tiers: throughput, and in brackets how many devices an allocation comes to.
fn tiers() -> String {
    let run = Reference::of("tiers-predicted");
    let all = ["4+4", "4+4:worker", "4+4:turns"];
    let mut table = format!("| scheme | CPUs | `{}` |\n", all.join("` | `"));
    table += "| --- | ---: | ---: | ---: | ---: |\n";
    for variant in ["swap-table", "per-device-table"] {
        for threads in [1, 16, 32, 64, 96] {
            let cell = |devices: &str| {
                let point = format!("variant={variant} threads={threads} devices={devices}");
                let [rate, walked] =
                    ["throughput", "slow-path"].map(|metric| run.estimate(&point, metric));
                let interval = rate.interval.expect("six trials");
                let [rate, lo, hi] =
                    [rate.median, interval.lo, interval.hi].map(|ops| digits(ops / 1e6, 2));
                format!("{rate} {lo}..{hi} ({})", digits(walked.median, 2))
            };
            table += &format!("| `{variant}` | {threads} | {} |\n", all.map(cell).join(" | "));
        }
    }
    table
}

/// Eight devices: the two schemes' throughput, and what waits for swap_avail_lock.
fn devices() -> Vec<Claim> {
    let run = Reference::of("devices-predicted");
    let (one, each) = ("swap-table", "per-device-table");
    let row = |threads: u32| run.change(one, each, &format!("threads={threads}"));
    let few = [1, 2, 4, 8, 16, 24].map(|threads| 100.0 * (row(threads).ratio - 1.0));
    let ahead = [8, 16].map(|threads| row(threads).interval.expect("six trials").lo > 1.0);
    assert_eq!(ahead, [true, true], "docs/predictions.md: ahead with 8 and 16 CPUs");
    let less = |threads| {
        let (row, percent) = (row(threads), |ratio: f64| tenths(100.0 * (1.0 - ratio)));
        let interval = row.interval.expect("six trials");
        [percent(row.ratio), format!("{}..{}", percent(interval.hi), percent(interval.lo))]
    };
    let waits = |variant: &str| {
        let share = |cell: &Cell| {
            let avail = cell.sites.iter().filter(|site| site.lock == "swap_avail_lock");
            let waited: u64 = avail.map(|site| site.wait_total_ns).sum();
            Some(100.0 * waited as f64 / (cell.duration_ns as f64 * f64::from(cell.key.threads)))
        };
        median(&run.point(&format!("variant={variant} threads=96")).values(share))
    };
    let [least, most] =
        [f64::min, f64::max].map(|of| format!("{:+.1}", few.into_iter().reduce(of).expect("six")));
    let ([at_32, span_32], [at_96, span_96]) = (less(32), less(96));
    vec![
        claim("it differs from `swap-table` by {} % to {} % with up to 24 CPUs", [least, most]),
        claim(
            "with 32 it has {} % less ({}), with 96 {} % less ({}).",
            [at_32, span_32, at_96, span_96],
        ),
        claim(
            "with 96 CPUs they wait for it {} % of their time, and with `swap-table`, where only a CPU \
             that needs a new cluster takes it, {} %",
            [each, one].map(|variant| digits(waits(variant), 2)),
        ),
    ]
}
