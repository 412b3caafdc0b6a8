//! Every chart is drawn from made-up runs and says what it should; where its data
//! is absent, so is the chart, with a reason.

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use common::Plan;
use plots::{Drawn, Wanted};
use results::store::Loaded;

struct Pictures {
    drawn: Vec<Drawn>,
    out: PathBuf,
    _dir: tempfile::TempDir,
}

/// `PLOTS_OUT=dir` keeps the pictures, to be looked at.
fn draw(runs: &[Loaded]) -> Pictures {
    let dir = tempfile::tempdir().unwrap();
    let out = std::env::var_os("PLOTS_OUT").map_or(dir.path().into(), PathBuf::from);
    // A slide is the same picture, larger, and slow to draw in a test build.
    let wanted = Wanted { charts: Vec::new(), all: true, slides: false };
    Pictures { drawn: plots::draw_only(runs, &out, &wanted).unwrap(), out, _dir: dir }
}

impl Pictures {
    fn svg(&self, stem: &str) -> String {
        let path = self.out.join(format!("{stem}.svg"));
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    fn reason(&self, wanted: &str) -> &str {
        let found = self.drawn.iter().find_map(|d| match d {
            Drawn::Absent { chart, reason } if chart == wanted => Some(reason),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{wanted} is not absent: {:?}", self.drawn))
    }
}

/// Churn and two sizes of swapoff.
fn plan() -> Plan<'static> {
    let mut plan = Plan { threads: vec![1, 4, 16, 64], trials: 3, ..Plan::default() };
    plan.workloads.truncate(3);
    plan
}

/// Churn alone: drawing is slow in a test build.
fn churn() -> Plan<'static> {
    let mut plan = plan();
    plan.workloads.truncate(1);
    plan
}

#[test]
fn every_chart_is_drawn_and_says_where_it_is_from() {
    let pictures = draw(&[common::native(&plan()), common::simulated(&churn())]);
    for (stem, words) in [
        ("throughput-churn-native", &["Throughput", "operations per second", "threads"][..]),
        ("speedup-churn-native", &["Speedup", "ideal"]),
        ("efficiency-churn-native", &["efficiency", "speedup / threads"]),
        ("latency-churn-native-alloc", &["Latency of alloc at 64 threads", "99.99%", "10 ms"]),
        ("response-churn-epyc-7742-free", &["percluster response", "percluster service"]),
        ("contention-churn-native", &["si-&gt;lock  get_swap_pages", "contended", "max 2.1 ms"]),
        ("counters-churn-native", &["cycles", "per op"]),
        ("fairness-churn-native", &["Jain", "fair share"]),
        (
            "swapoff-swapoff-native-size64",
            &["barrier", "drain", "of a swapoff", "one allocation, p50"],
        ),
        ("swapoff-size-swapoff-native-threads64", &["whole swapoff", "allocations meanwhile"]),
        ("ablation-churn-native", &["scanning-ref", " times 6.12 ("]),
        (
            "butterfly-churn-native-6.12-scanning-6.14-percluster",
            &["all callers", "move_cluster, si-&gt;lock", "new"],
        ),
        (
            "transfers-churn-epyc-7742",
            &["swap_info-&gt;lock", "invalidations", "other-package", "cluster_info[17].count"],
        ),
        ("transfers-churn-epyc-7742-callers", &["by lock caller", "move_cluster"]),
        ("series-churn-native", &["fallbacks, per second", "seconds"]),
        ("predicted-churn", &["percluster · native", "percluster · epyc-7742", "dashed"]),
    ] {
        let svg = pictures.svg(stem);
        assert!(svg.starts_with("<svg width=\"900\" height=\"560\""), "{stem}: {}", &svg[..80]);
        for word in words {
            assert!(svg.contains(word), "{stem} lacks {word:?}");
        }
        assert!(svg.contains("run 20260102T030405Z-lab1"), "{stem} lacks its run");
        assert!(svg.contains("commit 0123456789ab"), "{stem} lacks its commit");
        let png = pictures.out.join(format!("{stem}.png"));
        assert!(png.metadata().is_ok_and(|m| m.len() > 1000), "{}", png.display());
    }
    let native = pictures.svg("throughput-churn-native");
    assert!(native.contains("measured on native") && !native.contains("predicted"));
    assert!(
        pictures.svg("throughput-churn-epyc-7742").contains("predicted by the model epyc-7742")
    );
}

#[test]
fn hold_times_are_drawn_against_what_is_in_use() {
    let filled = |percent: &str| BTreeMap::from([("fill".to_string(), percent.to_string())]);
    let workloads = ["50", "75", "98"].map(|percent| ("churn", filled(percent))).into();
    let pictures = draw(&[common::native(&Plan { workloads, ..churn() })]);
    for which in ["mean", "longest"] {
        let svg = pictures.svg(&format!("hold-churn-native-si--lock-{which}"));
        for word in ["holds si-&gt;lock", "device in use, %", which] {
            assert!(svg.contains(word), "{word}");
        }
    }
}

#[test]
fn an_unsupported_counter_is_a_reason_and_not_zero() {
    let pictures = draw(&[common::native(&churn())]);
    let all = pictures.svg("counters-churn-native") + &pictures.svg("counters-churn-native-2");
    assert_eq!(all.matches("unsupported: ENOENT: this machine has no PMU event").count(), 2);
}

#[test]
fn what_is_not_there_is_not_drawn() {
    let mut run = common::native(&Plan { threads: vec![1], variants: vec!["a", "b"], ..plan() });
    for cell in &mut run.cells {
        cell.kinds.clear();
        cell.sites.clear();
        cell.counters.clear();
        cell.series.clear();
        cell.swapoff.clear();
    }
    let pictures = draw(&[run]);
    for (chart, reason) in [
        ("speedup-churn-native", "needs trials at one thread and at more"),
        ("latency-churn-native", "no operation's latency was recorded"),
        ("response-churn-native", "no open-loop run"),
        ("contention-churn-native", "no lock site"),
        ("counters-churn-native", "no counter"),
        ("fairness-churn-native", "more than one thread"),
        ("swapoff-swapoff-native-size64", "no swapoff"),
        ("swapoff-size-swapoff", "several sizes"),
        ("ablation-churn-native", "two neighbours of the kernel's history"),
        ("butterfly-churn-native", "lock sites of a scheme"),
        ("transfers-churn-native", "cannot tell"),
        ("series-churn-native", "no values over time"),
        ("predicted-churn", "measured and a predicted"),
    ] {
        assert!(pictures.reason(chart).contains(reason), "{chart}: {}", pictures.reason(chart));
    }
}

#[test]
fn cells_without_overlap_are_left_out_and_counted() {
    let mut run = common::native(&churn());
    for cell in run.cells.iter_mut().filter(|c| c.key.variant == "global") {
        cell.overlap = 0.5;
    }
    let svg = draw(&[run]).svg("throughput-churn-native");
    assert!(!svg.contains("\nglobal\n"), "a refused variant is drawn");
    assert!(svg.contains("12 cells left out"), "{svg}");
}

#[test]
fn two_runs_of_one_machine_are_told_apart() {
    let mut new = common::native(&churn());
    (new.run.label, new.run.id) = ("patched".into(), "20260103T030405Z-lab1-patched".into());
    let svg = draw(&[common::native(&churn()), new]).svg("throughput-churn-native");
    assert!(svg.contains("global [example]") && svg.contains("global [patched]"));
}

#[test]
fn names_from_a_run_cannot_leave_their_place() {
    let hostile = "../<script>alert(1)</script>";
    let pictures = draw(&[common::native(&Plan {
        variants: vec![hostile],
        workloads: vec![("../../churn", Default::default())],
        ..churn()
    })]);
    let svg = pictures.svg("throughput-churn-native");
    assert!(svg.contains("&lt;script&gt;") && !svg.contains("<script"));
}

#[test]
fn what_is_wanted_is_drawn_in_both_sizes_and_nothing_else() {
    let run = [common::native(&churn())];
    let names = |chart: &str, slides| {
        let dir = tempfile::tempdir().unwrap();
        let wanted = Wanted { charts: vec![chart.into()], all: false, slides };
        plots::draw_only(&run, dir.path(), &wanted).unwrap();
        let files = dir.path().read_dir().unwrap();
        let mut names: Vec<_> =
            files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names.join(" ")
    };
    let readme = "commands.txt speedup-churn-native.png speedup-churn-native.svg";
    let slide = "speedup-churn-native-slide.png speedup-churn-native-slide.svg";
    assert_eq!(names("speedup", false), readme);
    assert_eq!(names("speedup", true), readme.replacen("speedup", &format!("{slide} speedup"), 1));
    let part = "commands.txt latency-churn-native-free.png latency-churn-native-free.svg";
    assert_eq!(names("latency-churn-native-free", false), part);
}

/// What the small print has no room for stands beside the pictures, once a picture.
#[test]
fn words_and_commands_stand_beside_the_pictures() {
    let run = common::native(&churn());
    let command = run.run.command.clone();
    let pictures = draw(&[run]);
    let text = std::fs::read_to_string(pictures.out.join("commands.txt")).unwrap();
    let of = |stem: &str| {
        let (_, rest) = text.split_once(&format!("\n\n{stem}\n")).unwrap();
        rest.split("\n\n").next().unwrap().to_owned()
    };
    let speedup = of("speedup-churn-native");
    assert!(speedup.contains("alt: Speedup over one thread. churn"), "{speedup}");
    assert!(
        speedup.contains(&format!("run 20260102T030405Z-lab1-example: {command}")),
        "{speedup}"
    );
    assert!(speedup.contains("--only speedup-churn-native"), "{speedup}");
    let svg = pictures.svg("speedup-churn-native");
    assert!(svg.contains("<title>Speedup over one thread</title>") && !svg.contains(&command));
}

#[test]
fn no_cells_are_an_error() {
    let mut run = common::native(&churn());
    run.cells.clear();
    let dir = tempfile::tempdir().unwrap();
    assert!(plots::draw(&[run], dir.path()).is_err());
}
