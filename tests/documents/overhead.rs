//! The README, and the table of docs/measuring.md: what measuring costs, from
//! `results/reference/overhead.json`, and what the front picture leaves out, from kept-predicted.

use std::fmt::Write;

use bench_harness::plan::defaults;
use results::schema::Reading;
use results::stats::median;
use results::validation::{Point, Validation};
use studies::overhead::{Measured, Row, Unit};

use super::Document;
use super::fill::claim;
use super::reference::{Reference, by, digits, root, span, text};

/// The row of lock-site accounting as a variant pays for it.
const IN_PLACE: &str = "accounting in place, per acquisition";

pub fn readme() -> Document {
    let all = measured();
    let cost = |base: &str, what: &str| {
        let row = row_below(&all, base, what);
        let (median, interval) = row.words();
        let median = median.trim_start_matches('+');
        let (goal, verdict) = row.goal.zip(row.verdict()).expect("a row with a goal");
        format!("{median} ns ({interval}; at most {goal} wanted: {verdict})")
    };
    let kept = Reference::of("kept-predicted");
    let loss = |kept_pages: &str| {
        let point = format!("threads=16 kept={kept_pages}");
        by(&kept.change("percpu-free-first", "percpu-cluster", &point))
    };
    let releases = Reference::of("releases-predicted");
    let pages = |variant: &str, threads: u32| {
        releases.median(&format!("variant={variant} threads={threads}"), "throughput")
    };
    let times = |new: &str, base: &str, threads: u32| {
        let row = releases.change(base, new, &format!("threads={threads}"));
        let interval = row.interval.expect("six trials");
        let [ratio, lo, hi] = [row.ratio, interval.lo, interval.hi].map(|x| digits(x, 2));
        format!("{ratio} ({lo}..{hi})")
    };
    let alone = ["percluster", "percpu-free-first", "percpu-cluster"];
    let apart = alone.iter().map(|new| (pages(new, 1) / pages("scanning", 1) - 1.0).abs());
    let of_scanning = releases.points("variant=scanning").into_iter();
    let best = of_scanning.map(|point| pages("scanning", point.threads())).fold(0.0, f64::max);
    let short = (best / pages("scanning", 8) - 1.0) * 100.0;
    let less = [32, 64].map(|n| pages("percpu-cluster", n) < pages("percpu-free-first", n));
    assert_eq!(less, [true, true], "README.md: 6.18 has less with 32 and 64");
    let apart = digits((apart.fold(0.0, f64::max) * 100.0).ceil(), 0);
    let sentences = vec![
        claim("all schemes to 6.18 are within {} % of each other", [apart.clone()]),
        claim(
            "the model has the schemes to 6.18 within {} % of each other on one CPU. `scanning` (6.12) is \
             within {} % of its best with 8 CPUs, and does not get faster than that. With 32 CPUs \
             `percluster` (6.14) swaps {} times as many pages out and in, with 128 CPUs {} times.",
            [
                apart,
                digits(short.ceil(), 0),
                times("percluster", "scanning", 32),
                times("percluster", "scanning", 128),
            ],
        ),
        claim(
            "the model has 6.12's lock waits {} % too long at -j48 and {} % at -j96. But choices about \
             the load were made with sight of that table, and the model's 6.14 takes {} % and {} % too \
             long there",
            build(),
        ),
        claim(
            "the model has 6.12's lock waits {} % and {} % too long, and 6.14's time {} % and {} %",
            build(),
        ),
        claim(
            "with 384 CPUs `percpu-cluster` (6.18) has {} times the throughput of",
            [times("percpu-cluster", "percpu-free-first", 384)],
        ),
        claim(
            "`swap-table` (7.3) has {} times the throughput of `percpu-cluster` with 384 CPUs and {} \
             times with one",
            [384, 1].map(|threads| times("swap-table", "percpu-cluster", threads)),
        ),
        claim(
            "the loss of both against 6.17: {} as here, {} where each CPU keeps 512 pages in memory, {} \
             with 4096",
            [loss(""), loss("512"), loss("4096")],
        ),
        claim(
            "`results/reference/overhead.json` ({}, load average {}) recording",
            [all.environment.cpu_model.to_string(), load(&all.load_average[0])],
        ),
        claim(
            "latency adds {}, and lock-site accounting adds {} per acquisition in place, inside an \
             allocator",
            [
                cost("two clock reads", "recorded in the histogram"),
                cost("churn operation, no accounting", IN_PLACE),
            ],
        ),
    ];
    let answer = super::results::answer().into_iter();
    let sentences = answer.chain(sentences).collect();
    Document { path: "README.md", sentences, blocks: Vec::new() }
}

/// The kernel build at -j48 and -j96: by how many percent the predicted waits are too long, and After.
fn build() -> [String; 4] {
    let all = Validation::read(&root().join("results/reference/validation-build"));
    let section = all.expect("validation.json").sections.remove(0);
    let over = |panel: &str, curve: &str, jobs: f64| {
        let is = |p: &&Point| (&p.panel[..], &p.curve[..], p.x) == (panel, curve, jobs);
        digits(section.points.iter().find(is).expect("a point").error() * 100.0, 0)
    };
    let wait = |jobs| over("lock wait, s", "before", jobs);
    let after = |jobs| over("real time, s", "after", jobs);
    [wait(48.0), wait(96.0), after(48.0), after(96.0)]
}

pub fn measuring() -> Document {
    let all = measured();
    let churn = row(&all, "churn operation, no accounting").figure.median;
    let accounting = row_below(&all, "churn operation", "with lock-site accounting").figure.median;
    let every = defaults::sample();
    let sentences = vec![
        claim(
            "than on a bare lock: {} % of a churn operation",
            [digits(accounting / churn * 100.0, 0)],
        ),
        claim("once per acquisition: {} times per page swapped out and in", [acquisitions()]),
        claim("A throughput run times one operation in {};", [every.to_string()]),
        // `Tally::next_stride`: a quarter less to a quarter more.
        claim(
            "differs from one timed operation to the next, between {} and {}:",
            [(every - every / 4).to_string(), (every + every / 4).to_string()],
        ),
    ];
    Document { path: "docs/measuring.md", sentences, blocks: vec![("overhead", table(&all))] }
}

fn measured() -> Measured {
    let path = root().join("results/reference/overhead.json");
    serde_json::from_str(&text(&path)).expect("overhead.json is what `make overhead` writes")
}

fn row<'a>(all: &'a Measured, what: &str) -> &'a Row {
    let mut rows = all.rows.iter();
    rows.find(|row| row.what == what).unwrap_or_else(|| panic!("overhead.json: no row {what:?}"))
}

/// The row `what` that is relative to a row whose name begins with `base`.
fn row_below<'a>(all: &'a Measured, base: &str, what: &str) -> &'a Row {
    let mut last = "";
    let mut rows = all.rows.iter();
    let found = rows.find(|row| {
        if row.unit == Unit::Ns {
            last = &row.what;
        }
        row.what == what && last.starts_with(base)
    });
    found.unwrap_or_else(|| panic!("overhead.json: no row {what:?} below {base:?}"))
}

/// The load of the last minute.
fn load(loadavg: &Reading<String>) -> String {
    let first = |text: &String| text.split(' ').next().unwrap_or_default().to_owned();
    loadavg.known().map_or("unknown".into(), first)
}

fn table(all: &Measured) -> String {
    let host = &all.environment;
    let steal = match &all.steal_ns {
        Reading::Known(ns) => format!("{:.2} s", *ns as f64 / 1e9),
        Reading::Unknown { .. } => "an unknown time".into(),
    };
    let kernel = host.kernel.to_string();
    let dirty = if host.dirty == Reading::Known(true) { " with changes" } else { "" };
    let commit: String = host.commit.to_string().chars().take(12).collect();
    let mut table = format!(
        "Measured {} on {}, {} CPUs, kernel {}, at commit {commit}{dirty}.\n\
         A round is four turns of {} ms. The load average was {} before and {} after;\n\
         the hypervisor took {steal} from the CPU.\n\n\
         | ns per operation | | 95 % interval | ABBA rounds | goal |\n\
         | --- | ---: | --- | ---: | --- |\n",
        &all.created_utc[..10],
        host.cpu_model,
        host.cpus_online,
        kernel.split(' ').next().unwrap_or_default(),
        all.window_ms,
        load(&all.load_average[0]),
        load(&all.load_average[1]),
    );
    for row in &all.rows {
        let (median, interval) = row.words();
        let dots = if row.unit == Unit::Ns { "" } else { ".. " };
        let rounds = row.rounds.map_or("-".to_owned(), |rounds| rounds.to_string());
        let goal = row.goal.zip(row.verdict());
        let goal =
            goal.map_or(String::new(), |(goal, verdict)| format!("at most {goal}: {verdict}"));
        writeln!(table, "| {dots}{} | {median} | {interval} | {rounds} | {goal} |", row.what)
            .expect("a string takes it");
    }
    table
}

/// Acquisitions per page that churn swaps out and in on one thread, by variant.
fn acquisitions() -> String {
    let run = Reference::of("ablation");
    let points = run.points("workload=churn threads=1");
    let of_variant = |point: &results::aggregate::Group| {
        let per_page = point.values(|cell| {
            let taken: u64 = cell.sites.iter().filter_map(|site| site.acquisitions).sum();
            Some(taken as f64 / cell.kinds["alloc"].count as f64)
        });
        median(&per_page)
    };
    span(&points.iter().map(of_variant).collect::<Vec<_>>(), |x| digits(x, 0))
}
