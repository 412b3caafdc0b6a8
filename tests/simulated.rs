//! `swapscale run --machine MODEL` as a user runs it: every workload, the same bytes whatever the
//! number of host threads, and figures that say they are predicted.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a plan on a model into `dir/out` on `host_threads`; the cells on disk and the table.
fn simulate(dir: &Path, out: &str, host_threads: &str, args: &[&str]) -> (String, String) {
    let size = if args.contains(&"--size") { &[][..] } else { &["--size", "8MiB"] };
    let output = Command::new(env!("CARGO_BIN_EXE_swapscale"))
        .args(["run", "--machine", "epyc-96", "--out", out, "--mail", "--full"])
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

/// With `--precision` a trial ends when it knows enough. What that is, and the device that all trials
/// of a point begin with, depends on neither the host's threads nor on which trials are run.
#[test]
fn a_precise_run_is_the_same_on_any_host_threads_and_when_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let plan = ["--variant", "percluster", "--workload", "churn,seq,dup", "--threads", "1,8"];
    let plan = [&plan[..], &["--trials", "3", "--precision", "5%", "--most-events", "1M"]].concat();
    let (one, _) = simulate(dir.path(), "one", "1", &plan);
    let (three, _) = simulate(dir.path(), "three", "3", &plan);
    assert_eq!(one.lines().count(), 18);
    assert_eq!(one, three);
    let cells = one.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let cells: Vec<_> = cells.collect();
    let threads: Vec<_> = cells.iter().map(|cell| cell["key"]["threads"].as_u64()).collect();
    assert!(threads.is_sorted_by(|a, b| a >= b), "the longest first: {threads:?}");
    for cell in &cells {
        let known = &cell["precision"];
        assert!(known["batches"].as_u64().unwrap() > 0 && cell["overlap"] == 1.0, "{cell}");
    }
    let precise = |cell: &&serde_json::Value| {
        cell["precision"]["half_width"].as_f64().is_some_and(|half| half <= 0.05)
    };
    let many = cells.iter().filter(precise).count();
    assert!(many >= 9, "{many} of 18 are known to 5 %");
    let rates: std::collections::BTreeSet<_> =
        cells.iter().map(|cell| cell["ops_per_s"].to_string()).collect();
    assert!(rates.len() > 6, "trials differ: {rates:?}");
    // The last trial of each point is lost.
    let run = fs::read_dir(dir.path().join("three")).unwrap().next().unwrap().unwrap().path();
    let first: String =
        one.lines().filter(|l| !l.contains("\"block\":2")).map(|l| l.to_owned() + "\n").collect();
    fs::write(run.join("cells.jsonl"), first).unwrap();
    let resumed = Command::new(env!("CARGO_BIN_EXE_swapscale"))
        .args(["run", "--out", "three", "--resume"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&fs::read_to_string(run.join("cells.jsonl")).unwrap()), sorted(&one));
}

/// Where the machine's model did not change, neither does a byte of its cells: these are of commit
/// 6788fb2, before its scheduler was made faster. Who held a lock that was waited for is left out: at
/// that commit the set-up's CPU seemed to hold it for ever. Those of `percpu-cluster` are newer: its
/// swap cache came under ci->lock later.
#[test]
fn cells_are_those_of_older_builds() {
    const CELLS: &str = include_str!("golden/simulated-cells.txt");
    let dir = tempfile::tempdir().unwrap();
    // A cell holds its place in the run, so what came later is left out.
    let known = |name: &str| CELLS.split_whitespace().any(|word| word == name);
    let all = bench_harness::workload::LIST.iter().map(|entry| entry.id);
    let all: Vec<&str> = all.filter(|id| known(id)).collect();
    let variants = variants::registry::VARIANTS.iter().map(|v| v.name);
    let variants: Vec<&str> = variants.filter(|name| known(name)).collect();
    let (all, variants) = (all.join(","), variants.join(","));
    let plan = ["--variant", &variants, "--workload", &all, "--threads", "8", "--size", "16MiB"];
    let plan = [&plan[..], &["--trials", "1", "--seconds", "0.0005"]].concat();
    let (cells, _) = simulate(dir.path(), "all", "2", &plan);
    let mut digests: Vec<String> = cells.lines().map(digest).collect();
    digests.sort();
    let gone = CELLS.lines().filter(|line| !digests.iter().any(|mine| mine == line));
    let gone: Vec<&str> = gone.collect();
    assert!(gone.is_empty(), "now different: {gone:?}\nnow:\n{}", digests.join("\n"));
    assert!(CELLS.lines().count() > 50);
}

/// Variant, workload, and a digest of the cell's line.
fn digest(line: &str) -> String {
    let mut cell: serde_json::Value = serde_json::from_str(line).unwrap();
    for site in cell["sites"].as_array_mut().unwrap() {
        let sharing = site["sharing"].as_object_mut().unwrap();
        sharing.retain(|field, _| !["handover", "waited_for"].contains(&&field[..]));
    }
    // FNV-1a: the standard library's hashes may change.
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = cell.to_string().bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
    let word = |field: &str| cell["key"][field].as_str().unwrap().to_owned();
    format!("{} {} {hash:016x}", word("variant"), word("workload"))
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
/// few others; with pages kept it loses less. Both lose by the sections of ci->lock for the swap cache.
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
    assert!(none - some > 0.01 && some > 0.0, "{none} with none kept, {some} with 1024");
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
    let machine = ["run", "--machine=here.toml", "--size=32MiB", "--trials=5", "--out=runs"];
    // The fit's own trials have room for 8,000 operations.
    let seconds = format!("--seconds={}", 8000.0 * measured * 1e-9);
    swapscale(&[&machine[..], &plan, &[&seconds]].concat());
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
