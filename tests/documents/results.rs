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
    let points = run.points("variant=scanning threads=64");
    let workloads: BTreeSet<&str> = points.iter().map(|p| p.key.workload.as_str()).collect();
    let over = |new: &str| {
        let has =
            |w: &&&str| !run.points(&format!("variant={new} workload={w} threads=64")).is_empty();
        let ratio =
            |w: &&str| run.change("scanning", new, &format!("workload={w} threads=64")).ratio;
        span(&workloads.iter().filter(has).map(ratio).collect::<Vec<_>>(), |x| digits(x, 2))
    };
    vec![claim(
        "does {} times what 6.12 does with 64 CPUs, over all {} workloads; `percluster` (6.14) does {} \
         times",
        [over("percpu-cluster"), workloads.len().to_string(), over("percluster")],
    )]
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
    let clusters = 65_536.0;
    let loaded = point("1024GiB", "1GiB", 2);
    let share = step(&run, &loaded, "barrier") / whole_swapoff(&run, &loaded) * 100.0;
    vec![claim(
        "costs {} ns a cluster on an idle device: {} ms for 128 GiB. At 1 TiB under load it is {} % of the \
         whole swapoff",
        [digits(idle / clusters, 1), digits(idle / 1e6, 2), digits(share, 1)],
    )]
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
