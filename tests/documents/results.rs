//! docs/results.md: ten findings, from the runs that each one names.

use std::collections::BTreeSet;

use results::stats::median;

use super::Document;
use super::fill::{Claim, claim};
use super::reference::{Reference, by, digits, millions, span};
use super::swapoff::{step, whole_swapoff};

pub fn document() -> Document {
    let all = [releases(), two_cpus(), reference(), heat(), kept(), barrier(), fifo()];
    let sentences = all.into_iter().flatten().collect();
    Document { path: "docs/results.md", sentences, blocks: Vec::new() }
}

/// The answer at the top of the README.
pub fn answer() -> Vec<Claim> {
    let run = Reference::of("releases-predicted");
    vec![
        claim(
            "With 32 CPUs it swaps {} times as many pages as 6.12's one lock",
            [times(&run, "scanning", "percluster", "threads=32")],
        ),
        claim("with {} times 6.12 in all workloads below", [over("percpu-cluster")]),
        claim("Taking each lock once waits for it, at {} ns a cluster", [digits(per_cluster(), 1)]),
    ]
}

/// `2.54 (2.49..2.63)`: throughput of `new` against `base`.
fn times(run: &Reference, base: &str, new: &str, point: &str) -> String {
    let row = run.change(base, new, point);
    let interval = row.interval.expect("six trials");
    let [ratio, lo, hi] = [row.ratio, interval.lo, interval.hi].map(|x| digits(x, 2));
    format!("{ratio} ({lo}..{hi})")
}

fn releases() -> Vec<Claim> {
    let run = Reference::of("releases-predicted");
    let at = |base: &str, new: &str, n: u32| times(&run, base, new, &format!("threads={n}"));
    vec![
        claim(
            "swaps {} times as many pages out and in as `scanning` (6.12) with 16 CPUs, {} times with 32, \
             and {} times with 128",
            [16, 32, 128].map(|n| at("scanning", "percluster", n)),
        ),
        claim(
            "`swap-table` (7.3) has {} times the throughput of `percpu-cluster` (6.18) with 384 CPUs and \
             {} times with one",
            [384, 1].map(|n| at("percpu-cluster", "swap-table", n)),
        ),
    ]
}

fn two_cpus() -> Vec<Claim> {
    let (run, zram) = (Reference::of("three-schemes"), Reference::of("releases-predicted"));
    let change =
        |n: u32| run.change("scanning", "percluster", &format!("workload=churn threads={n}"));
    let [one, two] = [1, 2].map(change);
    assert!(one.ratio > 1.0 && two.ratio < 1.0, "docs/results.md: faster on one, slower on two");
    let apart = (zram.change("scanning", "percluster", "threads=1").ratio - 1.0).abs() * 100.0;
    vec![
        claim(
            "churn under `percluster` is faster by {} on one thread and slower by {} on two. On zram the \
             model has both within {} % of each other on one CPU",
            [by(&one), by(&two), digits(apart.ceil(), 0)],
        ),
        claim(
            "six trials a point; {} trials with two threads were hit",
            [run.hit("workload=churn threads=2")],
        ),
    ]
}

fn reference() -> Vec<Claim> {
    let run = Reference::of("bare-predicted");
    let new = ["scanning-ref", "percluster"];
    vec![claim(
        "predicted to do {} times as much with 96 CPUs, and `percluster` {} times",
        new.map(|new| times(&run, "scanning", new, "threads=96")),
    )]
}

fn heat() -> Vec<Claim> {
    let run = Reference::of("heat-predicted");
    let both = workloads(&run, "scanning").intersection(&workloads(&run, "percpu-cluster")).count();
    vec![claim(
        "does {} times what 6.12 does with 64 CPUs, over all {} workloads; `percluster` (6.14) does {} \
         times",
        [over("percpu-cluster"), both.to_string(), over("percluster")],
    )]
}

/// `2.20 to 7.64`: the throughput of `new` against 6.12's with 64 CPUs, over all workloads.
fn over(new: &str) -> String {
    let run = Reference::of("heat-predicted");
    let base = workloads(&run, "scanning");
    let both = workloads(&run, new).into_iter().filter(|workload| base.contains(workload));
    let ratio = |w: String| run.change("scanning", new, &format!("workload={w} threads=64")).ratio;
    span(&both.map(ratio).collect::<Vec<_>>(), |x| digits(x, 2))
}

fn workloads(run: &Reference, variant: &str) -> BTreeSet<String> {
    let points = run.points(&format!("variant={variant} threads=64"));
    points.iter().map(|point| point.key.workload.clone()).collect()
}

fn kept() -> Vec<Claim> {
    let run = Reference::of("kept-predicted");
    let loss = |kept: &str| {
        by(&run.change("percpu-free-first", "percpu-cluster", &format!("threads=16 kept={kept}")))
    };
    vec![claim(
        "that loses {} of the throughput of 6.17 on 16 CPUs; if each CPU keeps 512 pages in memory it \
         loses {}, and {} with 4096 pages",
        ["", "512", "4096"].map(loss),
    )]
}

fn barrier() -> Vec<Claim> {
    let run = Reference::of("swapoff");
    let point = |size: &str, fill: &str, threads: u32| {
        format!("variant=percluster size={size} fill={fill} threads={threads}")
    };
    let idle = step(&run, &point("128GiB", "0", 1), "barrier");
    let loaded = point("1024GiB", "1GiB", 2);
    let share = step(&run, &loaded, "barrier") / whole_swapoff(&run, &loaded) * 100.0;
    vec![claim(
        "costs {} ns a cluster on an idle device: {} ms for 128 GiB. At 1 TiB under load it is {} % of the \
         whole swapoff",
        [digits(per_cluster(), 1), digits(idle / 1e6, 2), digits(share, 1)],
    )]
}

/// What the barrier takes for each cluster of an idle device of 128 GiB, ns.
fn per_cluster() -> f64 {
    let idle = "variant=percluster size=128GiB fill=0 threads=1";
    step(&Reference::of("swapoff"), idle, "barrier") / 65_536.0
}

fn fifo() -> Vec<Claim> {
    let run = Reference::of("holder-preempted");
    let rate = |lock: &str| run.median(&format!("lock={lock} threads=4"), "throughput");
    let slow = ["mcs", "qspin", "ticket"].map(rate);
    assert!(median(&slow) < rate("tas") / 10.0, "docs/results.md: a bad lock in a guest");
    vec![claim(
        "`tas` does {} M operations per second and the FIFO locks do {} of them",
        [millions(rate("tas")), span(&slow, |x| digits(x / 1e3, 1) + "k")],
    )]
}
