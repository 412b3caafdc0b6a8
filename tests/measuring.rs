//! How a run measures, as a user asks for it: until it is narrow, on a schedule, and the self-test.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn swapscale(args: &str, dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.args(args.split_whitespace()).current_dir(dir).output().unwrap()
}

const SMALL: &str = "--variant percluster --workload churn --threads 1 --size 4MiB --out runs";

fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Cells of all runs below `runs`.
fn cells(dir: &Path) -> usize {
    let runs = fs::read_dir(dir.join("runs")).unwrap();
    let text = |run: fs::DirEntry| fs::read_to_string(run.path().join("cells.jsonl")).unwrap();
    runs.map(|run| text(run.unwrap()).lines().count()).sum()
}

#[test]
fn a_run_until_narrow_ends_at_a_look() {
    let dir = tempfile::tempdir().unwrap();
    let until = format!("run {SMALL} --seconds 0.02 --until 50% --budget 60s");
    let output = swapscale(&until, dir.path());
    let table = stdout(&output);
    assert!(table.contains("until +-50%") && table.contains("reached"), "{table}");
    let refused = String::from_utf8_lossy(&output.stderr).matches(": refused: ").count();
    let cells = cells(dir.path()) + refused;
    let looks: Vec<usize> = results::sequential::looks().take_while(|n| *n <= 60).collect();
    assert!(looks.contains(&cells), "{cells} trials are no look");
}

#[test]
fn a_budget_ends_a_run_that_does_not_get_narrow() {
    let dir = tempfile::tempdir().unwrap();
    let until = format!("run {SMALL} --seconds 0.02 --until 0.01% --budget 4s");
    let table = stdout(&swapscale(&until, dir.path()));
    let row = table.lines().skip_while(|line| !line.contains("reached")).nth(1).unwrap();
    assert!(row.ends_with(" no"), "{table}");
    let both = swapscale(&format!("run {SMALL} --until 1% --trials 6"), dir.path());
    assert_eq!(both.status.code(), Some(2), "a number of trials or until, not both");
}

#[test]
fn a_sweep_of_rates_has_a_table_and_a_chart_of_load() {
    let dir = tempfile::tempdir().unwrap();
    let sweep = format!("run {SMALL} --seconds 0.05 --trials 2 --rate 1k,2k,5k");
    let table = stdout(&swapscale(&sweep, dir.path()));
    let rows = table.lines().skip_while(|line| !line.contains("p99 r"));
    assert!(rows.filter(|line| line.contains("us") || line.contains("ns")).count() >= 3, "{table}");
    let run = fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let plot = format!("plot {} --out charts", run.display());
    let said = stdout(&swapscale(&plot, dir.path()));
    for name in ["load-churn-native-alloc-p50.svg", "load-churn-native-free-p99.svg"] {
        assert!(said.contains(name) && dir.path().join("charts").join(name).exists(), "{said}");
    }
    assert!(!said.contains("latency-"), "a sweep's loads are one chart: {said}");
}

#[test]
fn the_selftest_prints_its_checks_and_fails_if_one_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let output = swapscale("selftest --seconds 1", dir.path());
    let text = String::from_utf8_lossy(&output.stdout);
    let checks = ["overlap", "load", "pinning", "order", "broken lock", "counters", "sites off"];
    let later = ["stall", "identity", "gate level", "gate power", "A/A", "sensitivity"];
    for check in checks.iter().chain(&later) {
        assert!(text.lines().any(|line| line.starts_with(check)), "{check}: {text}");
    }
    assert_eq!(output.status.code(), Some(i32::from(text.contains("BROKEN"))), "{text}");
}

/// The switch is in the key of each cell, and tables, charts and comparisons say what it left out.
#[test]
fn a_run_without_lock_sites_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let run = |out: &str, flag: &str| {
        let words = format!("run {SMALL}/{out} --seconds 0.05 --trials 1 {flag}");
        let table = stdout(&swapscale(&words, dir.path()));
        let run = fs::read_dir(dir.path().join("runs").join(out))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        (table, run)
    };
    let ((_, counted), (table, not)) = (run("counted", ""), run("not", "--no-sites"));
    let cells = fs::read_to_string(not.join("cells.jsonl")).unwrap();
    assert!(cells.contains(r#""sites":"off""#) && cells.contains(r#""sites":[]"#), "{cells}");
    assert!(table.contains("Not counted: lock sites: run without --no-sites"), "{table}");
    let report = stdout(&swapscale(&format!("report --mail {}", not.display()), dir.path()));
    assert!(report.contains("lock sites were not counted"), "{report}");
    let plot = format!("plot {} --all --out charts", not.display());
    let said = String::from_utf8(swapscale(&plot, dir.path()).stderr).unwrap();
    let why = said.lines().filter(|line| line.contains("run without --no-sites")).count();
    assert_eq!(why, 4, "butterfly, contention, hold and waits: {said}");
    let page = fs::read_to_string(dir.path().join("charts/report.html")).unwrap();
    assert!(page.contains(r#""nosites":"lock sites were not counted"#));
    let both = format!("compare {} {}", counted.display(), not.display());
    let output = swapscale(&both, dir.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains("--no-sites"), "{said}");
}
