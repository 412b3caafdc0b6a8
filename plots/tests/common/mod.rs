//! Made-up runs with every field a chart can show, deterministic and shaped like
//! the real thing: one scheme collapses, one saturates, one scales.

#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;
use std::path::PathBuf;

use results::example;
use results::schema::*;
use results::store::Loaded;

pub const VARIANTS: [&str; 5] =
    ["global", "scanning", "scanning-ref", "percluster", "percpu-cluster"];

/// Throughput of one thread, serial share and cost of coherence of each variant.
const LAWS: [(f64, f64, f64); 5] = [
    (3.1e6, 0.9, 0.02),
    (2.9e6, 0.5, 0.004),
    (3.0e6, 0.3, 0.002),
    (2.7e6, 0.03, 0.0001),
    (2.8e6, 0.02, 0.0002),
];

/// Repeatable noise of a few percent around 1.
fn noise(seed: u64) -> f64 {
    let x = (seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64;
    0.96 + 0.08 * x / (1u64 << 24) as f64
}

/// What to make up.
#[derive(Clone)]
pub struct Plan<'a> {
    pub variants: Vec<&'a str>,
    pub threads: Vec<u32>,
    pub trials: u32,
    pub workloads: Vec<(&'a str, BTreeMap<String, String>)>,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        let fill = BTreeMap::from([("fill".to_string(), "60".to_string())]);
        let sized = |n: &str| BTreeMap::from([("size".to_string(), n.to_string())]);
        Plan {
            variants: VARIANTS.to_vec(),
            threads: vec![1, 2, 4, 8, 16, 32, 64],
            trials: 6,
            workloads: vec![
                ("churn", fill),
                ("swapoff", sized("64")),
                ("swapoff", sized("512")),
                ("swapoff", sized("4096")),
            ],
        }
    }
}

/// A measured run.
pub fn native(plan: &Plan) -> Loaded {
    let mut run = example::run();
    run.plan = serde_json::json!({ "variant": plan.variants });
    let cells = cells(plan, "native", 1.0, false);
    Loaded { dir: PathBuf::from("native"), run, cells, notes: Vec::new() }
}

/// A predicted run of the same plan.
pub fn simulated(plan: &Plan) -> Loaded {
    let mut run = example::run();
    run.id = "20260102T030405Z-lab1-sim".into();
    run.machine =
        MachineId { kind: MachineKind::Simulated, name: "epyc-7742".into(), predicted: true };
    run.plan = serde_json::json!({ "variant": plan.variants });
    let cells = cells(plan, "epyc-7742", 0.7, true);
    Loaded { dir: PathBuf::from("simulated"), run, cells, notes: Vec::new() }
}

fn cells(plan: &Plan, machine: &str, factor: f64, predicted: bool) -> Vec<Cell> {
    let mut cells = Vec::new();
    for block in 0..plan.trials {
        for (workload, params) in &plan.workloads {
            for (v, variant) in plan.variants.iter().enumerate() {
                for &threads in &plan.threads {
                    let mut cell = example::cell();
                    cell.key = CellKey {
                        machine: machine.into(),
                        variant: variant.to_string(),
                        lock: "tas".into(),
                        workload: workload.to_string(),
                        params: params.clone(),
                        threads,
                        pin: "compact".into(),
                        block,
                    };
                    cell.order_in_run = cells.len() as u64;
                    fill(&mut cell, v % LAWS.len(), factor, predicted);
                    cells.push(cell);
                }
            }
        }
    }
    cells
}

fn fill(cell: &mut Cell, law: usize, factor: f64, predicted: bool) {
    let (lambda, sigma, kappa) = LAWS[law];
    let seed = cell.order_in_run;
    let n = f64::from(cell.key.threads);
    let slowdown = 1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0);
    let rate = factor * noise(seed) * lambda * n / slowdown;
    cell.ops_per_s = rate;
    let uneven = if law == 3 { 0.5 } else { 5.0 };
    cell.per_thread = (0..u64::from(cell.key.threads))
        .map(|t| (rate / n * (1.0 + uneven * (noise(seed * 131 + t) - 1.0))) as u64)
        .collect();
    cell.jain = results::stats::jain(&cell.per_thread);
    let service = n / rate * 1e9;
    cell.kinds = BTreeMap::from([
        ("alloc".into(), kind(service * 0.6, rate as u64 / 2, seed, predicted)),
        ("free".into(), kind(service * 0.4, rate as u64 / 2, seed + 7, predicted)),
        ("alloc-in-swapoff".into(), kind(service * 0.9, rate as u64 / 9, seed + 5, false)),
    ]);
    cell.sites = sites(service, rate, law, seed, &cell.per_thread);
    cell.counters = counters(rate, law, seed, predicted);
    cell.swapoff = if cell.key.workload == "swapoff" { vec![swapoff(cell, law)] } else { vec![] };
    cell.series = vec![
        series("free clusters", "clusters", 900.0, law),
        series("fragmented clusters", "clusters", 80.0, law + 2),
        series("fallbacks", "per second", 12.0, law + 1),
    ];
    cell.lines = predicted.then(|| lines(rate, n, law));
    cell.line_callers = predicted.then(|| callers(&cell.sites, cell.lines.as_deref()));
    cell.hot_lines = predicted.then(|| hot_lines(rate));
}

/// Each waits for all the others alike, for the next one most.
fn sharing(per_thread: &[u64], wait: u64) -> Sharing {
    let n = per_thread.len().min(16);
    let ns = |row: usize, column: usize| match (column + n - row) % n {
        0 => 0,
        1 => wait / 64,
        _ => wait / 256,
    };
    Sharing {
        per_thread: per_thread.to_vec(),
        looked: 5_000,
        queue_total: 9_000,
        queue_max: 7,
        handover: BTreeMap::from([("same-l3".into(), 5_000)]),
        waited_for: (0..n).map(|row| (0..n).map(|column| ns(row, column)).collect()).collect(),
        again: Some(Again { n: 1_000, p50: 900, p99: 9_000, max: 90_000 }),
        lwss: Some(n as f64),
    }
}

fn kind(service: f64, count: u64, seed: u64, open_loop: bool) -> Kind {
    let latency = |scale: f64| {
        let at = |k: f64| (service * scale * k * noise(seed + k as u64)) as u64;
        Latency {
            n: count / 64 + 200_000,
            min: at(0.3),
            p50: at(0.8),
            p90: at(2.0),
            p99: at(9.0),
            p999: at(60.0),
            p9999: at(900.0),
            max: at(5000.0),
            mean: service * scale,
        }
    };
    Kind {
        count,
        failed: 0,
        sampled_every: 64,
        latency: Some(latency(1.0)),
        response: open_loop.then(|| latency(3.0)),
    }
}

fn sites(service: f64, rate: f64, law: usize, seed: u64, per_thread: &[u64]) -> Vec<Site> {
    let places: &[(&str, &str)] = match law {
        0 => &[("si->lock", "get_swap_pages")],
        1 | 2 => &[
            ("si->lock", "scan_swap_map_slots"),
            ("si->lock", "swap_range_free"),
            ("ci->lock", "cluster_alloc_range"),
        ],
        _ => &[
            ("ci->lock", "cluster_alloc_swap_entry"),
            ("si->lock", "move_cluster"),
            ("ci->lock", "swap_entries_free"),
        ],
    };
    let site = |(i, (lock, caller)): (usize, &(&str, &str))| {
        let wait = service * rate * 0.5 / (1.0 + 3.0 * i as f64) * noise(seed + i as u64);
        Site {
            lock: lock.to_string(),
            kind: "spinlock".into(),
            caller: caller.to_string(),
            acquisitions: Some(rate as u64),
            contended: (rate * 0.36 / (1.0 + i as f64)) as u64,
            wait_total_ns: wait as u64,
            wait_max_ns: 2_100_000,
            hold_sampled: 1000,
            hold_total_ns: 90_000,
            hold_max_ns: 4_000,
            sharing: Some(sharing(per_thread, wait as u64)),
        }
    };
    places.iter().enumerate().map(site).collect()
}

fn counters(rate: f64, law: usize, seed: u64, predicted: bool) -> BTreeMap<String, Counter> {
    let value = |per_op: f64| Counter::Value {
        value: (rate * per_op * noise(seed) * (1.0 + law as f64)) as u64,
        scaled: 1.0,
    };
    let lacking = |why: &str| Counter::Unsupported { unsupported: why.into() };
    if predicted {
        return BTreeMap::new();
    }
    BTreeMap::from([
        ("context-switches".into(), value(0.0002)),
        ("cycles".into(), value(900.0)),
        ("instructions".into(), value(450.0)),
        ("LLC-load-misses".into(), lacking("ENOENT: this machine has no PMU event for it")),
        ("branch-misses".into(), lacking("ENOENT: this machine has no PMU event for it")),
        ("page-faults".into(), value(0.0)),
    ])
}

fn swapoff(cell: &Cell, law: usize) -> Swapoff {
    let clusters: u64 = cell.key.params["size"].parse().unwrap();
    let scale = |ns: f64| (ns * noise(cell.order_in_run)) as u64;
    let step = |name: &str, ns: f64| Step { name: name.into(), ns: scale(ns) };
    let c = clusters as f64;
    Swapoff {
        at_ns: 1000,
        used_slots: clusters * 300,
        clusters,
        steps: vec![
            step("barrier", if law < 3 { 900.0 } else { 40.0 * c }),
            step("unuse", 9_000.0 * c * (1.0 + law as f64 * 0.3)),
            step("drain", 4e6),
            step("free", 90.0 * c),
        ],
        result: "ok".into(),
    }
}

fn series(name: &str, unit: &str, top: f64, law: usize) -> Series {
    let point = |i: u64| {
        let t = i as f64 / 100.0;
        let slope = 0.3 + 0.12 * law as f64;
        (i * 10_000_000, top * (1.0 - slope * t) + top * 0.05 * (t * 30.0 + law as f64).sin())
    };
    Series { name: name.into(), unit: unit.into(), points: (0..100).map(point).collect() }
}

fn lines(rate: f64, threads: f64, law: usize) -> Vec<Line> {
    let line = |region: &str, field: &str, per_op: f64| Line {
        region: region.into(),
        field: field.into(),
        transfers: BTreeMap::from([
            ("same-l3".into(), (rate * per_op * 0.5) as u64),
            ("same-package".into(), (rate * per_op * 0.3) as u64),
            ("other-package".into(), (rate * per_op * 0.2) as u64),
        ]),
        wait_ns: (rate * per_op * 90.0 * threads) as u64,
        invalidations: (rate * per_op * 0.8) as u64,
    };
    let k = 1.0 / (1.0 + law as f64);
    vec![
        line("swap_info", "lock", 2.0 * k),
        line("swap_info", "inuse_pages", 0.9),
        line("cluster_info", "lock", 0.3),
        line("swap_map", "slots", 0.2),
    ]
}

/// Each caller of a lock has moved what one of the fields says.
fn callers(sites: &[Site], lines: Option<&[Line]>) -> Vec<LineCaller> {
    let of = |(site, line): (&Site, &Line)| LineCaller {
        caller: site.caller.clone(),
        transfers: line.transfers.clone(),
        wait_ns: line.wait_ns,
        invalidations: line.invalidations,
    };
    sites.iter().zip(lines.into_iter().flatten()).map(of).collect()
}

fn hot_lines(rate: f64) -> Vec<HotLine> {
    let hot = |(name, per_op): (&str, f64)| HotLine {
        name: name.into(),
        transfers: (rate * per_op) as u64,
    };
    [("swap_info->lock", 1.7), ("cluster_info[17].count", 0.2)].map(hot).into()
}
