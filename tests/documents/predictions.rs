//! docs/predictions.md: an example that is simulated here, and the committed predictions.

use std::process::Command;
use std::sync::OnceLock;

use results::store;

use super::Document;
use super::fill::claim;
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
    let percluster = Reference::of("throughput-predicted");
    let locked = Reference::of("throughput-locked-predicted");
    let slowest = |threads: u32| {
        let point = format!("fill=60 threads={threads}");
        let all = [&percluster, &locked].into_iter().flat_map(|run| run.points(&point));
        let rate = |group: &results::aggregate::Group| group.cells[0].ops_per_s;
        let slowest = all.min_by(|a, b| rate(a).total_cmp(&rate(b))).expect("points");
        format!("`{}`", slowest.key.variant)
    };
    let same_at_both_ends = slowest(1);
    assert_eq!(same_at_both_ends, slowest(384), "docs/predictions.md: the order in W2");
    let seq = Reference::of("seq-predicted");
    let ahead = |others: &[&str]| -> Vec<f64> {
        let rate = |variant: &str, fill: u32| {
            seq.median(&format!("variant={variant} fill={fill} threads=384"), "throughput")
        };
        let ratio = |fill, other| rate("percpu-cluster", fill) / rate(other, fill);
        others.iter().flat_map(|other| [60, 90].map(|fill| ratio(fill, other))).collect()
    };
    let queue = locked.median("variant=global fill=90 threads=384", "throughput");
    let tenths = |x: f64| digits(x, 1);
    let sentences = vec![
        claim("(`global`) an operation takes {} ms on average", [tenths(384.0 / queue * 1e3)]),
        claim(
            "takes {} ns per operation with `--seconds 0.002`, and {} ns with",
            examples().clone(),
        ),
        claim(
            "With 60 % in use {} comes last in W2 with 1 and with 384 CPUs (with 16 {} does;",
            [same_at_both_ends, slowest(16)],
        ),
        claim(
            "it has {} times the throughput of `percluster` with 384 CPUs, and {} times that of",
            [
                span(&ahead(&["percluster"]), tenths),
                span(&ahead(&["global", "scanning", "scanning-ref"]), tenths),
            ],
        ),
    ];
    Document { path: "docs/predictions.md", sentences, blocks: Vec::new() }
}
