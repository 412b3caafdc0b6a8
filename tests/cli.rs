//! The command as a user runs it: what it prints, what it leaves behind, and that bad input is one
//! clear line, exit code 2 and nothing written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn swapscale(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swapscale")).args(args).current_dir(dir).output().unwrap()
}

/// A plan that takes a second. One thread: what the other CPU does then refuses no cell.
const SHORT: [&str; 15] = [
    "run",
    "--variant",
    "percluster",
    "--workload",
    "churn",
    "--threads",
    "1",
    "--trials",
    "2",
    "--seconds",
    "0.05",
    "--size",
    "4MiB",
    "--out",
    "runs",
];

fn stdout(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The only run below `runs`.
fn only_run(dir: &TempDir) -> PathBuf {
    let runs: Vec<_> = fs::read_dir(dir.path().join("runs")).unwrap().collect();
    assert_eq!(runs.len(), 1);
    runs[0].as_ref().unwrap().path()
}

/// Exit code 2, one line that holds all of `words`, and an untouched directory.
fn refused(args: &[&str], dir: &Path, words: &[&str]) {
    let before = fs::read_dir(dir).unwrap().count();
    let output = swapscale(args, dir);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{args:?}: {said}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), before, "{args:?} left something behind");
}

#[test]
fn list_names_what_a_plan_may_hold() {
    let dir = tempfile::tempdir().unwrap();
    let text = stdout(&swapscale(&["list"], dir.path()));
    for name in ["percluster", "6.14", "qspin", "swapoff"] {
        assert!(text.contains(name), "{text}");
    }
    let json = stdout(&swapscale(&["list", "--json"], dir.path()));
    let all: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all["locks"][0]["id"], "tas");
    assert_eq!(all["workloads"][0]["id"], "churn");
}

#[test]
fn a_run_leaves_its_cells_and_prints_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let table = stdout(&swapscale(&SHORT, dir.path()));
    assert!(table.contains("percluster") && table.contains("median"), "{table}");
    let run = only_run(&dir);
    let cells = fs::read_to_string(run.join("cells.jsonl")).unwrap();
    assert_eq!(cells.lines().count(), 2);
    for line in cells.lines() {
        let cell: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(cell["ops_per_s"].as_f64().unwrap() > 0.0);
        let kinds = &cell["kinds"];
        assert_eq!(kinds["alloc"]["count"], kinds["free"]["count"], "churn is 1:1, {kinds}");
        assert!(run.join(cell["hlog"].as_str().unwrap()).exists());
    }
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    let command = told["command"].as_str().unwrap();
    assert!(
        command.starts_with("swapscale run --") && command.contains("--size 4MiB"),
        "{command}"
    );
    let path = run.to_str().unwrap();
    assert!(stdout(&swapscale(&["report", path, "--csv"], dir.path())).contains("percluster"));
    assert!(stdout(&swapscale(&["compare", path, path], dir.path())).contains("throughput"));
}

/// Deterministic: the same seed gives the same cells, byte for byte.
#[test]
fn a_model_predicts_the_same_twice() {
    let dir = tempfile::tempdir().unwrap();
    let predict = |out: &str| {
        let mut words = SHORT.to_vec();
        words[6] = "1,8";
        words[10] = "0.002";
        words[14] = out;
        stdout(&swapscale(&[&words[..], &["--machine", "vm-32"]].concat(), dir.path()));
        let runs = fs::read_dir(dir.path().join(out)).unwrap().next().unwrap().unwrap().path();
        fs::read_to_string(runs.join("cells.jsonl")).unwrap()
    };
    let cells = predict("one");
    assert_eq!(cells.lines().count(), 4);
    assert!(cells.contains(r#""machine":"vm-32""#) && cells.contains(r#""region":"#), "{cells}");
    assert_eq!(predict("two"), cells);
}

#[test]
fn a_run_cut_anywhere_is_resumed_to_the_same_cells() {
    let dir = tempfile::tempdir().unwrap();
    // On a model: a busy host refuses no cell there.
    let model = ["--machine", "vm-32", "--seconds", "0.002"];
    stdout(&swapscale(&[&SHORT[..9], &model, &SHORT[11..]].concat(), dir.path()));
    let run = only_run(&dir);
    let path = run.join("cells.jsonl");
    let keys = || -> Vec<serde_json::Value> {
        let text = fs::read_to_string(&path).unwrap();
        let cells = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
        cells.map(|cell| cell["key"].clone()).collect()
    };
    let (whole, bytes) = (keys(), fs::read(&path).unwrap());
    let first_line = bytes.iter().position(|b| *b == b'\n').unwrap();
    for cut in [0, 7, first_line + 1, bytes.len() - 1] {
        fs::write(&path, &bytes[..cut]).unwrap();
        stdout(&swapscale(&["run", "--resume", run.to_str().unwrap()], dir.path()));
        assert_eq!(keys(), whole, "cut at {cut}");
    }
    let named = ["run", "--out", "runs", "--resume"];
    stdout(&swapscale(&named, dir.path()));
    assert_eq!(keys(), whole, "the newest run, with nothing left to do");
}

#[test]
fn a_plan_is_read_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plan"), "trials = 2\nfill = \"50%\"\n").unwrap();
    let run = |plan: &str| {
        let input = fs::File::open(dir.path().join(plan)).unwrap();
        let mut words = [&SHORT[..7], &SHORT[9..], &["--plan", "-", "--machine", "vm-32"]].concat();
        words[8] = "0.002";
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
        command.args(words).current_dir(dir.path()).stdin(input).output().unwrap()
    };
    stdout(&run("plan"));
    let cells = fs::read_to_string(only_run(&dir).join("cells.jsonl")).unwrap();
    assert_eq!(cells.lines().count(), 2);
    assert!(cells.contains(r#""fill":"50""#), "{cells}");
    fs::write(dir.path().join("bad"), "trails = 2\n").unwrap();
    let output = run("bad");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("standard input:1:1: unknown field `trails`"), "{said}");
}

/// Bytes that are no UTF-8, in a path and in a value.
#[cfg(unix)]
#[test]
fn arguments_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let odd = OsStr::from_bytes(b"odd\xff");
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
        command.args(words).arg(odd).current_dir(dir.path()).output().unwrap()
    };
    let short = [&SHORT[..13], &["--machine", "vm-32", "--seconds", "0.002", "--out"]].concat();
    let short: Vec<&str> = [&short[..9], &short[11..]].concat();
    stdout(&run(&short));
    assert_eq!(fs::read_dir(dir.path().join(odd)).unwrap().count(), 1);
    for option in ["--events", "--label", "--fill"] {
        let output = run(&["run", option]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{option}: {said}");
        assert_eq!(said.lines().count(), 1, "{option}: {said}");
    }
    let output = run(&["validate", "--redraw"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && !said.contains("panicked"), "{said}");
}

#[test]
fn bad_options_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = |option: &[&str], words: &[&str]| {
        refused(&[&SHORT[..], option].concat(), dir.path(), words);
    };
    bad(&["--pin", "closest"], &["--pin", "closest", "compact"]);
    bad(&["--pin", "60000"], &["60000"]);
    bad(&["--fill", "200"], &["fill", "200", "0 to 100"]);
    bad(&["--size", "3MiB"], &["--size", "3MiB", "2MiB"]);
    bad(&["--size", "64MB"], &["--size", "64MB", "power of 1000", "64MiB"]);
    bad(&["--budget", "90"], &["--budget", "90", "unit"]);
    bad(&["--force"], &["required", "--resume"]);
    bad(&["--budget", "4m"], &["seconds", "budget"]);
    bad(&["--machine", "abacus"], &["machine", "abacus", "native"]);
    bad(&["--resume"], &["--resume"]);
    let run = |option: &[&str], words: &[&str]| {
        refused(&[&["run"], option].concat(), dir.path(), words);
    };
    run(&["--variant", "6.13b"], &["variant", "6.13b", "6.14"]);
    run(&["--variant", "percluster", "--lock", "spin"], &["lock", "spin", "qspin"]);
    run(&["--variant", "percluster", "--workload", "x"], &["workload", "'x'", "churn"]);
    run(&["--variant", "percluster", "--threads", "9999"], &["threads", "--oversubscribe"]);
    run(&["--varaint", "percluster"], &["--varaint"]);
    run(&["--variant", "percluster", "--budget", "1s"], &["budget", "at least"]);
    run(&["--resume", "nowhere"], &["nowhere"]);
}

#[test]
fn bad_files_are_named_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    fs::write(&plan, "trials = 2\nthreds = [1]\n").unwrap();
    refused(&["run", "--plan", "plan.toml"], dir.path(), &["plan.toml:2:1", "threds", "threads"]);
    refused(&["run", "--plan", "none.toml"], dir.path(), &["none.toml"]);
    fs::write(&plan, "variant = \"nobody\"\n").unwrap();
    refused(&["run", "--plan", "plan.toml"], dir.path(), &["plan.toml", "variant", "nobody"]);

    let run = dir.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("cells.jsonl"), "").unwrap();
    for (text, words) in [("{", "run.json"), (r#"{"schema": 99}"#, "newer")] {
        fs::write(run.join("run.json"), text).unwrap();
        for command in
            [&["report", "run"][..], &["compare", "run", "run"], &["run", "--resume", "run"]]
        {
            refused(command, dir.path(), &["run.json", words]);
        }
    }
}

#[test]
fn a_directory_that_takes_no_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("runs"), "a file").unwrap();
    refused(&SHORT, dir.path(), &["runs"]);
}

/// A spinning real-time worker never leaves its CPU to the thread that ends the trial.
#[test]
fn a_real_time_run_without_a_cpu_to_spare_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let real_time = |command: &[&str]| {
        let mut timeout = Command::new("timeout");
        timeout.args(["20", "taskset", "-c", "0", "chrt", "-f", "1"]).args(command);
        timeout.current_dir(&dir).output()
    };
    if !real_time(&["true"]).is_ok_and(|out| out.status.success()) {
        return eprintln!("left out: no real-time policy on CPU 0 (chrt, taskset, root)");
    }
    let run = [&[env!("CARGO_BIN_EXE_swapscale")], &SHORT[..]].concat();
    let output = real_time(&run).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "124 is a run that did not end: {said}");
    assert!(
        said.lines().last().unwrap().contains("under SCHED_FIFO the run would not end"),
        "{said}"
    );
}
