//! `swapscale run --machine MODEL` as a user runs it: every workload, the same bytes whatever the
//! number of host threads, and figures that say they are predicted.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a plan on a model into `dir/out` on `host_threads`; the cells on disk and the table.
fn simulate(dir: &Path, out: &str, host_threads: &str, args: &[&str]) -> (String, String) {
    let size = if args.contains(&"--size") { &[][..] } else { &["--size", "8MiB"] };
    let output = Command::new(env!("CARGO_BIN_EXE_swapscale"))
        .args(["run", "--machine", "epyc-96", "--out", out, "--mail"])
        .args(size)
        .args(args)
        .env("RAYON_NUM_THREADS", host_threads)
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("M events/s"), "{said}");
    let run = fs::read_dir(dir.join(out)).unwrap().next().unwrap().unwrap().path();
    let cells = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    (cells, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_number_of_host_threads_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let plan = ["--variant", "scanning,percluster", "--workload", "churn", "--threads", "1,2,8"];
    let plan = [&plan[..], &["--trials", "2", "--seconds", "0.0005"]].concat();
    let (one, _) = simulate(dir.path(), "one", "1", &plan);
    let (three, _) = simulate(dir.path(), "three", "3", &plan);
    assert_eq!(one.lines().count(), 12);
    assert_eq!(one, three);
    let (other, _) = simulate(dir.path(), "other", "3", &[&plan[..], &["--seed", "7"]].concat());
    assert_ne!(one, other, "the seed changes nothing");
}

#[test]
fn every_workload_runs_and_its_figures_say_they_are_predicted() {
    let dir = tempfile::tempdir().unwrap();
    let all: Vec<&str> = bench_harness::workload::LIST.iter().map(|entry| entry.id).collect();
    let all = all.join(",");
    let plan = ["--variant", "percluster", "--threads", "3", "--workload", &all];
    let plan = [&plan[..], &["--trials", "1", "--seconds", "0.01"]].concat();
    let (cells, mail) = simulate(dir.path(), "all", "2", &plan);
    assert_eq!(cells.lines().count(), all.split(',').count());
    // W9, whose workers each use lines of their own, transfers none between two swapoffs.
    for line in cells.lines().filter(|line| !line.contains("\"workload\":\"refs\"")) {
        for field in ["\"lines\":[{", "\"line_callers\":[{", "\"hot_lines\":[{"] {
            assert!(line.contains(field), "no {field} in {line}");
        }
    }
    for words in ["predicted throughput of", "PREDICTED by a model", "predicted cache line"] {
        assert!(mail.contains(words), "no {words:?} in {mail}");
    }
    assert!(mail.lines().all(|line| line.len() <= 72), "{mail}");
}

/// 6.18 looks for slots in nearly full clusters first. Where churn keeps no page in memory there are
/// few others; with pages kept it loses less.
#[test]
fn pages_kept_in_memory_decide_what_the_order_of_the_scan_costs() {
    let dir = tempfile::tempdir().unwrap();
    let plan = ["--variant", "percpu-free-first,percpu-cluster", "--workload", "churn"];
    let plan = [&plan[..], &["--threads", "1", "--kept", "0,1024", "--size", "64MiB"]].concat();
    let plan = [&plan[..], &["--trials", "1", "--seconds", "0.002"]].concat();
    let (cells, _) = simulate(dir.path(), "out", "2", &plan);
    let rate = |variant: &str, kept: Option<&str>| {
        let mut cells = cells.lines().map(serde_json::from_str::<serde_json::Value>);
        let cell = cells.find(|cell| {
            let key = &cell.as_ref().unwrap()["key"];
            key["variant"] == variant && key["params"]["kept"].as_str() == kept
        });
        cell.unwrap().unwrap()["ops_per_s"].as_f64().unwrap()
    };
    let loss = |kept| 1.0 - rate("percpu-cluster", kept) / rate("percpu-free-first", kept);
    let (none, some) = (loss(None), loss(Some("1024")));
    assert!(none > 0.03 && some < none / 2.0, "{none} with none kept, {some} with 1024");
}

/// The model that calibrate writes takes as long for the point it is fitted on as this machine
/// did: it says how long that was.
#[test]
fn a_calibrated_model_meets_its_fitted_point() {
    let dir = tempfile::tempdir().unwrap();
    let swapscale = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
        let output = command.args(args).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    swapscale(&["calibrate", "--out", "here.toml"]);
    let model: toml::Table =
        fs::read_to_string(dir.path().join("here.toml")).unwrap().parse().unwrap();
    let ordinary = &model["cost"]["ordinary"];
    let (_, said) = ordinary["source"].as_str().unwrap().split_once("takes ").unwrap();
    let measured: f64 = said.split_once(" ns").unwrap().0.parse().unwrap();
    let plan = ["--variant=percluster", "--lock=tas", "--workload=churn", "--threads=1"];
    let machine = ["run", "--machine=here.toml", "--size=32MiB", "--trials=5", "--seconds=0.002"];
    swapscale(&[&machine[..], &plan, &["--out=runs"]].concat());
    let run = fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let cells = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    let took = cells.lines().map(|cell| {
        let cell: serde_json::Value = serde_json::from_str(cell).unwrap();
        1e9 / cell["ops_per_s"].as_f64().unwrap()
    });
    // The fit too takes the least of five.
    let predicted = took.min_by(f64::total_cmp).unwrap();
    let off = predicted / measured - 1.0;
    // A host may be faster than its own locked instructions in a loop make it look.
    let nothing_left = ordinary["ns"].as_float() == Some(0.0);
    assert!(nothing_left || off.abs() < 0.02, "{measured} ns here, {predicted} ns predicted");
}
