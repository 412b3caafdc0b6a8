//! A made-up run for the tests of the tables: two variants, 1 and 2 threads, some
//! trials each, with noise from a fixed seed.

use std::path::PathBuf;

use results::example;
use results::schema::{Cell, Site};
use results::store::Loaded;

pub fn run(trials: u32) -> Loaded {
    let mut random = fastrand::Rng::with_seed(3);
    let mut cells = Vec::new();
    for block in 0..trials {
        // percluster costs 1 % more alone and gains by far with two threads.
        for (variant, speed) in [("scanning", [5.1e6, 2.9e6]), ("percluster", [5.05e6, 8.3e6])] {
            for threads in [1, 2] {
                let noise = 0.98 + 0.04 * random.f64();
                let ops_per_s = speed[threads as usize - 1] * noise;
                let order = cells.len() as u64;
                cells.push(cell(variant, threads, block, order, ops_per_s));
            }
        }
    }
    let mut run = example::run();
    run.plan = serde_json::json!({ "variant": ["scanning", "percluster"], "trials": trials });
    Loaded { dir: PathBuf::from("run"), run, cells, notes: Vec::new() }
}

fn cell(variant: &str, threads: u32, block: u32, order: u64, ops_per_s: f64) -> Cell {
    let mut cell = example::cell();
    cell.key.variant = variant.into();
    cell.key.threads = threads;
    cell.key.block = block;
    cell.order_in_run = order;
    cell.ops_per_s = ops_per_s;
    cell.per_thread = vec![(ops_per_s / f64::from(threads)) as u64; threads as usize];
    cell.hlog = None;
    let slow = if variant == "scanning" { u64::from(threads) } else { 1 };
    for latency in cell.kinds.values_mut().filter_map(|kind| kind.latency.as_mut()) {
        latency.p50 = latency.p50 * slow + u64::from(block);
        latency.p90 *= slow;
        latency.p99 *= slow;
        latency.p999 *= slow;
        latency.max *= slow;
    }
    cell.sites = match (variant, threads) {
        (_, 1) => vec![site("si->lock", "get_swap_pages", 0, 0)],
        ("scanning", _) => vec![
            site("si->lock", "swapcache_free_entries", 5_800, 12_400_000),
            site("si->lock", "get_swap_pages", 4_100, 10_050_000),
            site("ci->lock", "swap_range_free", 0, 0),
        ],
        _ => vec![
            site("ci->lock", "swap_entry_range_free", 91, 204_620),
            site("si->lock", "move_cluster", 17, 41_260),
        ],
    };
    cell
}

fn site(lock: &str, caller: &str, contended: u64, wait_total_ns: u64) -> Site {
    Site {
        lock: lock.into(),
        caller: caller.into(),
        contended,
        wait_total_ns,
        wait_max_ns: wait_total_ns / 20,
        ..example::cell().sites[0].clone()
    }
}
