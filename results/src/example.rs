//! One run and one cell with every field filled: what `docs/results-schema.md`
//! shows, and what tests start from. The figures are made up.

use std::collections::BTreeMap;

use crate::schema::*;

/// A native run on a machine that tells nearly everything.
pub fn run() -> Run {
    Run {
        schema: SCHEMA,
        id: "20260102T030405Z-lab1-example".into(),
        created_utc: "2026-01-02T03:04:05Z".into(),
        label: "example".into(),
        command: "swapscale run --variant scanning,percluster --workload churn --threads 1,2 \
                  --trials 8 --seed 1 --label example"
            .into(),
        plan: serde_json::json!({ "trials": 8, "seconds": 1.0 }),
        in_turns: None,
        events: None,
        machine: MachineId { kind: MachineKind::Native, name: "native".into(), predicted: false },
        environment: environment(),
        probe: ProbeCost { clock_read_ns: known(9.8), record_ns: known(2.8) },
    }
}

fn environment() -> Environment {
    Environment {
        host: known("lab1".into()),
        cpu_model: known("Example CPU @ 2.60GHz".into()),
        cpus_online: known(2),
        packages: known(1),
        smt: known(false),
        numa_nodes: known(1),
        kernel: known("6.12.117 #1 SMP".into()),
        governor: Reading::unknown("ENOENT: no cpufreq in this VM"),
        turbo: Reading::unknown("ENOENT: no cpufreq in this VM"),
        thp: known("madvise".into()),
        virtualized: known("kvm".into()),
        mem_total_kib: known(8_000_000),
        rustc: known("rustc 1.89.0".into()),
        commit: known("0123456789ab".into()),
        dirty: known(false),
        tsc: known("constant_tsc nonstop_tsc 2.596 GHz".into()),
        clock_ns: known(20.0),
        identity: known("8f0d5a1c92e74b63".into()),
        boot_id: known("3c1f0e52-6d0b-4f0e-9a57-2f1d8f1b7a10".into()),
        notes: vec!["the hypervisor took up to 312 us at once".into()],
    }
}

/// A trial of two threads, with a swapoff under load.
pub fn cell() -> Cell {
    Cell {
        key: key(),
        seed: 1,
        duration_ns: 1_000_000_000,
        asked_ns: Some(1_000_000_000),
        order_in_run: 0,
        per_thread: vec![4_000_000, 4_200_000],
        ops_per_s: 8_200_000.0,
        jain: 0.999_405,
        overlap: 0.998,
        precision: None,
        kinds: BTreeMap::from([
            ("alloc".into(), kind(4_100_000, 12, latency(88, 140))),
            ("free".into(), kind(4_100_000, 0, latency(61, 97))),
        ]),
        sites: vec![site()],
        counters: BTreeMap::from([
            ("context-switches".into(), Counter::Value { value: 14, scaled: 1.0 }),
            ("cycles".into(), Counter::Unsupported { unsupported: "ENOENT: no PMU in VM".into() }),
        ]),
        counters_per_thread: Vec::new(),
        noise: noise(),
        swapoff: vec![swapoff()],
        series: vec![Series {
            name: "inuse_pages".into(),
            unit: "slots".into(),
            points: vec![(0, 1_966_080.0), (500_000_000, 1_965_990.0)],
        }],
        lines: Some(vec![Line {
            region: "cluster_info".into(),
            field: "lock".into(),
            transfers: BTreeMap::from([("same-l3".into(), 120), ("other-package".into(), 7)]),
            wait_ns: 9_600,
            invalidations: 127,
        }]),
        line_callers: Some(vec![LineCaller {
            caller: "swapcache_free_entries".into(),
            transfers: BTreeMap::from([("same-l3".into(), 120), ("other-package".into(), 7)]),
            wait_ns: 9_600,
            invalidations: 127,
        }]),
        hot_lines: Some(vec![HotLine { name: "ci[17].lock".into(), transfers: 31 }]),
        verified: "invariants I1..I12 of 5120 clusters".into(),
        counts: BTreeMap::from([("fallback".into(), 12)]),
        hlog: Some("00000.hlog".into()),
    }
}

fn key() -> CellKey {
    CellKey {
        machine: "native".into(),
        variant: "scanning".into(),
        lock: "tas".into(),
        workload: "churn".into(),
        params: BTreeMap::from([("fill".into(), "75".into()), ("size".into(), "10GiB".into())]),
        threads: 2,
        pin: "compact".into(),
        block: 0,
    }
}

fn kind(count: u64, failed: u64, latency: Latency) -> Kind {
    Kind { count, failed, sampled_every: 64, latency: Some(latency), response: None }
}

fn latency(p50: u64, p90: u64) -> Latency {
    let (n, min, p99, p999) = (64_062, p50 / 2, p90 * 3, p90 * 40);
    let mean = p50 as f64 * 1.5;
    Latency { n, min, p50, p90, p99, p999, p9999: p999 * 9, max: p999 * 20, mean }
}

fn site() -> Site {
    Site {
        lock: "si->lock".into(),
        kind: "spinlock".into(),
        caller: "swapcache_free_entries".into(),
        acquisitions: Some(64_100),
        contended: 5_800,
        wait_total_ns: 12_400_000,
        wait_max_ns: 310_000,
        hold_sampled: 1_001,
        hold_total_ns: 2_100_000,
        hold_max_ns: 41_000,
        sharing: Some(sharing()),
    }
}

fn sharing() -> Sharing {
    Sharing {
        per_thread: vec![32_100, 32_000],
        looked: 91,
        queue_total: 4,
        queue_max: 1,
        handover: BTreeMap::from([("same-l3".into(), 88), ("unseen".into(), 3)]),
        waited_for: vec![vec![0, 101_000], vec![94_000, 0]],
        again: Some(Again { n: 1_000, p50: 15_000, p99: 61_000, max: 940_000 }),
        lwss: Some(2.0),
    }
}

fn noise() -> Noise {
    Noise {
        steal_ns: known(10_000_000),
        involuntary_switches: known(3),
        gaps: known(41),
        gap_max_ns: known(312_000),
        gap_total_ns: known(1_200_000),
        frequency_drift: Reading::unknown("ENOENT: no cpufreq in this VM"),
        throttled: Reading::unknown("ENOENT: no thermal_throttle in this VM"),
    }
}

fn swapoff() -> Swapoff {
    let step = |name: &str, ns| Step { name: name.into(), ns };
    Swapoff {
        at_ns: 400_000_000,
        used_slots: 1_966_080,
        clusters: 5_120,
        steps: vec![
            step("barrier", 61_000),
            step("unuse", 340_000_000),
            step("drain", 52_000),
            step("free", 800_000),
        ],
        result: "ok".into(),
    }
}

fn known<T>(value: T) -> Reading<T> {
    Reading::Known(value)
}
