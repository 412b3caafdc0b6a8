//! docs/costs.md: hold times, the steps of the kernel's history, the scan order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;

use bench_harness::backing::Backing;
use results::compare::{Side, compare};
use results::disturbed::undisturbed;
use results::lab::ci_lock_per_page;
use results::metric::Metric;
use results::schema::{Cell, CellKey};
use results::stats::median;
use results::store;

use super::Document;
use super::fill::claim;
use super::reference::{Reference, by, digits, millions, per_cent, range, root, span, text};

pub fn document() -> Document {
    let printed = text(&root().join("results/reference/costs.txt"));
    let sentences = [counted(&printed), hold(), ablation()].into_iter().flatten().collect();
    let blocks = vec![
        ("costs.txt", table(&printed)),
        ("steps", steps()),
        ("scan order", scan_order()),
        ("kept", kept()),
        ("lost", lost()),
        (
            "sections",
            sections([
                ("percpu-cluster", "none"),
                ("swap-table-early", "none"),
                ("swap-table", "none"),
                ("swap-table", "no-memcg"),
                ("per-device-table", "none"),
            ]),
        ),
        ("sections of kernels", sections_of_kernels()),
        ("sections of the layer", sections([("vswap", "none")])),
    ];
    Document { path: "docs/costs.md", sentences, blocks }
}

/// Sections of ci->lock per page out and in, by the function that takes it: counted on a model, where
/// they are the same at every run. A column is a variant and a backing.
fn counted_in_models<const N: usize>(columns: [(&str, &str); N]) -> [BTreeMap<String, f64>; N] {
    let dir = tempfile::tempdir().expect("a directory");
    let command = "run --machine x86-2 --lock qspin --workload churn --kept 0 --size 64MiB --fill 1 \
                   --threads 1 --trials 1 --seconds 0.002 --sample 1000000000 --out runs \
                   --backing none,no-memcg --variant";
    let mut swapscale = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    swapscale.args(command.split_whitespace()).arg(columns.map(|(variant, _)| variant).join(","));
    let output = swapscale.current_dir(&dir).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = store::load_all(&[dir.path().join("runs")]).expect("one run").remove(0);
    let per_page = |(variant, backing): (&str, &str)| -> BTreeMap<String, f64> {
        let is_it = |key: &CellKey| {
            let priced = key.params.get("backing").map_or("none", String::as_str);
            key.variant == variant && priced == backing
        };
        let cell = run.cells.iter().find(|cell| is_it(&cell.key)).expect("its cell");
        let pages = cell.kinds["alloc"].count as f64;
        let taken = cell.sites.iter().filter_map(|site| {
            let caller = match site.lock.as_str() {
                "ci->lock" => format!("`{}`", site.caller),
                "vswap ci->lock" => format!("`{}`, of the layer", site.caller),
                _ => return None,
            };
            Some((caller, site.acquisitions.unwrap_or(0) as f64 / pages))
        });
        taken.filter(|(_, sections)| *sections > 0.01).collect()
    };
    columns.map(per_page)
}

/// The same as a table.
fn sections<const N: usize>(columns: [(&str, &str); N]) -> String {
    let all = counted_in_models(columns);
    let callers: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let heads = columns.map(|(variant, backing)| match backing {
        "none" => format!(" `{variant}` |"),
        _ => " the same, memory cgroups off |".to_owned(),
    });
    let mut table = format!("| ci->lock per page |{}\n", heads.concat());
    table += &format!("| --- |{}\n", " ---: |".repeat(N));
    for caller in callers {
        let of = |sections: &BTreeMap<String, f64>| {
            sections.get(caller).map_or("-".into(), |sections| digits(*sections, 1))
        };
        writeln!(table, "| {caller} | {} |", all.each_ref().map(of).join(" | ")).expect("a string");
    }
    let sum = |sections: &BTreeMap<String, f64>| digits(sections.values().sum(), 1);
    table + &format!("| all | {} |\n", all.each_ref().map(sum).join(" | "))
}

/// A packaged kernel's function as a probe sees it, after inlining, and the function of its variant that
/// stands for it.
type Pair = (&'static str, &'static str);

const PAIRS: [(&str, &str, &[Pair]); 3] = [
    (
        "6.18.15",
        "percpu-cluster",
        &[
            ("folio_alloc_swap", "swap_alloc_fast"),
            ("swap_cache_add_folio", "swap_cache_add_folio"),
            ("__swap_duplicate", "__swap_duplicate"),
            ("folio_free_swap", "folio_swapped"),
            ("__remove_mapping", "__remove_mapping"),
            ("swap_entries_put_cache", "put_swap_folio"),
            ("swap_entries_put_map", "swap_free_nr"),
        ],
    ),
    (
        "7.0.13",
        "swap-table-early",
        &[
            ("folio_alloc_swap", "swap_alloc_fast"),
            ("__swap_duplicate", "swap_dup_entries_cluster"),
            ("folio_free_swap", "folio_swapped"),
            ("__remove_mapping", "__remove_mapping"),
            ("__swap_cache_prepare_and_add", "__swap_cache_prepare_and_add"),
            ("swap_put_entries_cluster", "swap_put_entries_cluster"),
            ("swap_cache_del_folio", "swap_cache_del_folio"),
        ],
    ),
    (
        "7.3.4",
        "swap-table",
        &[
            ("folio_alloc_swap", "swap_alloc_fast"),
            ("__mem_cgroup_try_charge_swap", "__mem_cgroup_try_charge_swap"),
            ("swap_dup_entries_cluster", "swap_dup_entries_cluster"),
            ("swap_writeout", "swap_writeout"),
            ("__remove_mapping", "__remove_mapping"),
            ("swap_cache_alloc_folio", "__swap_cache_alloc"),
            ("swap_put_entries_cluster", "swap_put_entries_cluster"),
            ("swap_cache_del_folio", "swap_cache_del_folio"),
        ],
    ),
];

/// Sections of ci->lock per page, as probes count them in kernels and as the variants have them. Each
/// function of either side has its partner, with the same count but for the pages that take more than one
/// way.
fn sections_of_kernels() -> String {
    let runs = store::load_all(&[root().join("results/reference/lab-7")]).expect("the lab's runs");
    let models = counted_in_models(PAIRS.map(|(_, variant, _)| (variant, "none")));
    let mut table =
        "| kernel | function | per page | in the variant | per page |\n| --- | --- | ---: | --- | ---: |\n"
            .to_owned();
    for ((release, variant, pairs), model) in PAIRS.iter().zip(models) {
        let run = runs.iter().find(|run| run.run.machine.name.starts_with(release));
        let kernel = ci_lock_per_page(&run.expect("the kernel's run").cells, release);
        let paired: BTreeSet<&str> = pairs.iter().map(|(function, _)| *function).collect();
        assert_eq!(paired, kernel.keys().map(String::as_str).collect(), "{release}");
        assert_eq!(pairs.len(), model.len(), "{variant}: {model:?}");
        for (function, ours) in *pairs {
            let (counted, modelled) = (kernel[*function], model[&format!("`{ours}`")]);
            assert!((counted / modelled - 1.0).abs() < 0.15, "{release}: {function}: {counted}");
            table += &format!(
                "| {release} | `{function}` | {counted:.2} | `{ours}` | {modelled:.0} |\n"
            );
        }
        let (counted, modelled): (f64, f64) = (kernel.values().sum(), model.values().sum());
        table += &format!("| {release} | all | {counted:.2} | `{variant}` | {modelled:.0} |\n");
    }
    table
}

/// What one CPU takes for a page out and in beyond the prices of both, by number of CPUs.
fn lost() -> String {
    let run = Reference::of("releases-predicted");
    let zram = Backing::load("zram").expect("it comes with the program").prices;
    let price = (zram.out_ns + zram.in_ns) as f64;
    let variants = ["scanning", "percluster", "percpu-free-first", "percpu-cluster", "swap-table"];
    let mut table = format!("| CPUs | `{}` |\n", variants.join("` | `"));
    table += &format!("| ---: |{}\n", " ---: |".repeat(variants.len()));
    for threads in [1u32, 8, 16, 32, 64, 128, 384] {
        write!(table, "| {threads} |").expect("a string takes it");
        for variant in variants {
            let points = run.points(&format!("variant={variant} threads={threads}"));
            let cell = points.first().map_or("refused".into(), |point| {
                let ops = point.estimate(&Metric::Throughput).expect("throughput").median;
                // An operation is a page out, or a page in.
                let ns = 2e9 * f64::from(threads) / ops - price;
                format!("{ns:.0} ns ({:.0} %)", 100.0 * ns / price)
            });
            write!(table, " {cell} |").expect("a string takes it");
        }
        table.push('\n');
    }
    table
}

/// The table that `make costs` prints, with the compiler and the commit.
fn table(printed: &str) -> String {
    let table = printed.lines().filter(|line| line.starts_with('|'));
    let table: String = table.map(|line| format!("{line}\n")).collect();
    let made = printed.lines().next().expect("costs.txt says what it was made with");
    format!("{table}\n{made}\n")
}

/// Instructions of an operation, from the table of `make costs`.
fn instructions(printed: &str, variant: &str, operation: &str) -> String {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let mut lines = printed.lines().map(cells);
    let header = lines.find(|cells| cells.iter().any(|cell| cell == "instructions"));
    let at = header.expect("a header").iter().position(|cell| cell == operation).expect(operation);
    let row = lines.find(|cells| cells.get(1).is_some_and(|cell| *cell == format!("`{variant}`")));
    digits(row.expect(variant)[at].parse().expect("a number"), 0)
}

/// Bytes and instructions.
fn counted(printed: &str) -> Vec<super::Claim> {
    let of = |variant, operation| instructions(printed, variant, operation);
    let bytes = |what: &str| {
        let after = printed.split_once(&format!("{what} ")).expect("costs.txt has the bytes").1;
        after.split_once(' ').expect("a number").0.to_owned()
    };
    vec![
        claim("count and cache bit | {} (`swap_map`)", [bytes("swap_map")]),
        claim("what a free cleans up | {} (zeromap)", [bytes("zeromap")]),
        claim("per slot: swap cache | {} |", [bytes("swap cache")]),
        claim("`swap_cluster_info` | {} |", [bytes("cluster_info")]),
        claim(
            "allocation longer: from {} to {} instructions with a read section, and to {} with",
            [
                of("percluster", "alloc"),
                of("percluster-rcu", "alloc"),
                of("percluster-second-ref", "alloc"),
            ],
        ),
        claim(
            "no slot cache, an allocation goes from {} to {} instructions",
            [of("percluster", "alloc"), of("percpu-free-first", "alloc")],
        ),
        claim(
            "a free went from {} to {} instructions",
            [of("scanning", "free"), of("percluster", "free")],
        ),
    ]
}

/// Mean hold time of si->lock in the trials of a point, ns: by one caller, or by all.
fn held(run: &Reference, point: &str, caller: Option<&str>) -> f64 {
    run.of_trials(point, |cell| {
        let ours = |site: &&results::schema::Site| {
            site.lock == "si->lock" && caller.is_none_or(|caller| site.caller == caller)
        };
        let sites = cell.sites.iter().filter(ours);
        let (total, sampled) = sites.fold((0, 0), |(total, sampled), site| {
            (total + site.hold_total_ns, sampled + site.hold_sampled)
        });
        (sampled > 0).then(|| total as f64 / sampled as f64)
    })
}

/// How often `caller` took `lock`.
fn taken(cell: &Cell, lock: &str, callers: &[&str]) -> f64 {
    let ours = cell.sites.iter().filter(|s| s.lock == lock && callers.contains(&s.caller.as_str()));
    ours.filter_map(|site| site.acquisitions).sum::<u64>() as f64
}

fn hold() -> Vec<super::Claim> {
    let run = Reference::of("hold");
    let point = |variant: &str, fill: u32| format!("variant={variant} fill={fill} threads=1");
    let fills = [50, 75, 90, 98];
    let mean = |variants: &[&str]| -> Vec<f64> {
        let points = variants.iter().flat_map(|variant| fills.map(|fill| point(variant, fill)));
        points.map(|point| held(&run, &point, None)).collect()
    };
    let batch = |caller: &str, fills: &[u32]| -> Vec<f64> {
        fills.iter().map(|fill| held(&run, &point("scanning", *fill), Some(caller)) / 1e3).collect()
    };
    let reclaim = run.of_trials(&point("scanning", 98), |cell| {
        let reclaim = ["cluster_reclaim_range", "swap_reclaim_full_clusters"];
        let batches = ["get_swap_pages", "swapcache_free_entries"];
        Some(taken(cell, "si->lock", &reclaim) / taken(cell, "si->lock", &batches))
    });
    let whole = |x: f64| digits(x, 0);
    let tenths = |x: f64| digits(x, 1);
    vec![
        claim(
            "the mean is {} ns with `scanning` and {} ns with the others",
            [
                span(&mean(&["scanning"]), whole),
                span(&mean(&["percluster", "percpu-free-first", "percpu-cluster"]), whole),
            ],
        ),
        claim(
            "takes {} us at every fill. Its batch of allocations (`get_swap_pages`) takes {} us up to \
               90 %, and {} us at 98 %",
            [
                span(&batch("swapcache_free_entries", &fills), tenths),
                span(&batch("get_swap_pages", &fills[..3]), tenths),
                span(&batch("get_swap_pages", &fills[3..]), tenths),
            ],
        ),
        claim("reclaim takes the lock {} times as often", [tenths(reclaim)]),
        claim("on one thread that were hit from outside: {}. Natively", [run.hit("threads=1")]),
    ]
}

fn ablation() -> Vec<super::Claim> {
    let run = Reference::of("ablation");
    let change = |base, new, point: &str| run.change(base, new, point);
    let (churn1, churn2) = ("workload=churn threads=1", "workload=churn threads=2");
    let (build1, build2) = ("workload=build threads=1", "workload=build threads=2");
    let (merged, free_first, last) = ("percluster", "percpu-free-first", "percpu-cluster");
    vec![
        claim(
            "The committed run has {} trials per point, on 2 vCPUs",
            [run.point(&format!("{churn1} variant=scanning")).cells.len().to_string()],
        ),
        claim(
            "The split gains {} in churn on one thread",
            [by(&change("scanning-ref", merged, churn1))],
        ),
        claim(
            "The end of the slot cache gains {} and {} % on one thread, and 6.18's order loses {} of churn",
            [
                per_cent(&change(merged, free_first, churn1)),
                per_cent(&change(merged, free_first, build1)),
                by(&change(free_first, last, churn1)),
            ],
        ),
        claim("On two threads {} trials were hit", [run.hit("threads=2")]),
        claim(
            "the loss of {} in build at the end of the slot cache, the loss of {} from 6.12 to 6.14 \
               in build and the loss of {} in churn",
            [
                by(&change(merged, free_first, build2)),
                by(&change("scanning", merged, build2)),
                by(&change(free_first, last, churn2)),
            ],
        ),
    ]
}

/// Each scheme against the one before it, with and without the trials that were hit.
fn steps() -> String {
    let run = Reference::of("ablation");
    let mut table =
        "| step | workload | threads | throughput | 95 % interval | | hit | without them |\n\
                     | --- | --- | ---: | ---: | --- | --- | ---: | --- |\n"
            .to_owned();
    for (base, new) in [
        ("scanning", "scanning-ref"),
        ("scanning-ref", "percluster"),
        ("percluster", "percpu-free-first"),
        ("percpu-free-first", "percpu-cluster"),
        ("scanning", "percluster"),
    ] {
        let side = |variant| Side::of_variant(&run.0, variant).expect("a variant of the run");
        let (from, to) = (side(base), side(new));
        let all = compare(&from, &to, &Metric::Throughput).expect("points");
        let without = undisturbed(&from, &to, &all);
        for row in &all.rows {
            let left = without.iter().flat_map(|without| &without.rows);
            let left =
                left.filter(|left| left.key == row.key).find_map(|left| left.without.as_ref());
            let left = match (row.hit.iter().sum::<usize>(), left) {
                (0, _) => "the same",
                (_, Some(left)) => left.outcome.mark(),
                (_, None) => "n<6",
            };
            let (percent, key) =
                (|ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0), &row.key);
            let interval = row.interval.unwrap_or_else(|| row.range());
            let hit = format!("{} of {}", row.hit[0] + row.hit[1], row.base.n + row.new.n);
            writeln!(
                table,
                "| `{base}` to `{new}` | {} | {} | {} | {} .. {} | {} | {hit} | {left} |",
                key.workload,
                key.threads,
                percent(row.ratio),
                percent(interval.lo),
                percent(interval.hi),
                row.outcome.mark(),
            )
            .expect("a string takes it");
        }
    }
    table
}

/// What 6.18's order costs, by device.
fn scan_order() -> String {
    let mut table = "| run | | Mops/s | new clusters per allocation | hit |\n\
                     | --- | --- | ---: | ---: | ---: |\n"
        .to_owned();
    for (label, what, base, point) in [
        ("hold", "hold: 256 MiB, 75 %", "percpu-free-first", "fill=75 threads=1"),
        ("ablation", "ablation: 1 GiB, 75 %", "percpu-free-first", "workload=churn threads=1"),
        ("front", "front: 8 GiB, 60 %", "percluster", "workload=churn fill=60 threads=1"),
    ] {
        let run = Reference::of(label);
        for (what, variant) in [(what, base), ("", "percpu-cluster")] {
            let point = format!("variant={variant} {point}");
            let slow = run.point(&point).values(|cell| {
                let slow = taken(cell, "swap_avail_lock", &["swap_alloc_slow"]);
                (slow > 0.0).then(|| slow / cell.kinds["alloc"].count as f64)
            });
            let share = match slow.is_empty() {
                true => "-".to_owned(),
                false => digits(median(&slow), 3),
            };
            let rate = run.estimate(&point, "throughput");
            let rate = format!("{} ({})", millions(rate.median), range(&rate, millions));
            let hit = hit(&run, &point);
            writeln!(table, "| {what} | `{variant}` | {rate} | {share} | {hit} |")
                .expect("a string takes it");
        }
    }
    table
}

/// What 6.18's order costs, by the pages that a worker keeps in memory.
fn kept() -> String {
    let run = Reference::of("kept-predicted");
    let mut table = "| pages kept per CPU | 1 CPU | 16 CPUs |\n| ---: | ---: | ---: |\n".to_owned();
    for (pages, kept) in [("none", ""), ("32", "32"), ("512", "512"), ("4096", "4096")] {
        let loss = |threads| {
            let point = format!("threads={threads} kept={kept}");
            by(&run.change("percpu-free-first", "percpu-cluster", &point))
        };
        writeln!(table, "| {pages} | {} | {} |", loss(1), loss(16)).expect("a string takes it");
    }
    table
}

/// `0 of 4` trials, or a dash for a run that timed no operation and so saw no clock gap.
fn hit(run: &Reference, point: &str) -> String {
    let timed = |cell: &&Cell| cell.kinds.values().any(|kind| kind.latency.is_some());
    match run.point(point).cells.iter().copied().any(|cell| timed(&cell)) {
        true => run.hit(point),
        false => "-".into(),
    }
}
