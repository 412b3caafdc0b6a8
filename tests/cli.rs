//! The command as a user runs it: what it prints, what it leaves behind, and that bad input is one
//! clear line, exit code 2 and nothing written.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
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

/// `run.json` of a run that is stopped once it has begun, and what it says first: how long trials
/// are.
fn begun(args: &[&str]) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.arg("run").args(args).current_dir(dir.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let runs = fs::read_dir(dir.path().join("results/local")).expect(&first);
    let run = runs.map(|run| run.unwrap().path()).next().expect(&first);
    (serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap(), first)
}

/// The default of `option` by a line of `--help`: that of `place` where it has its own.
fn says(help: &str, option: &str, place: &str) -> String {
    let named = |line: &&str| line.trim_start().starts_with(&format!("--{option} "));
    let line = help.lines().find(named).unwrap();
    let (_, defaults) = line.rsplit_once("[default").expect(line);
    let mut parts = defaults.trim_end_matches(']').split("; ");
    let own = parts.clone().find_map(|part| part.trim_start().strip_prefix(&format!("{place}: ")));
    own.or(parts.next().and_then(|first| first.strip_prefix(": "))).expect(line).to_owned()
}

/// Every default that `swapscale run --help` prints is what a run without that option has. Those of
/// the live kernel are held against the driver's arguments in src/kernel.rs.
#[test]
fn help_says_the_defaults_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let help = stdout(&swapscale(&["run", "--help"], dir.path()));
    let with_default = help.lines().filter(|line| line.contains("[default"));
    let names = with_default.map(|line| line.trim_start().trim_start_matches("--"));
    let mut left: BTreeSet<&str> = names.map(|line| line.split(' ').next().unwrap()).collect();
    let mut holds = |option: &'static str, place: &str, found: &str| {
        left.remove(option);
        let says = says(&help, option, place);
        // "tas in a guest, qspin on bare metal"
        let by_host = says.split(", ").any(|host| host.starts_with(&format!("{found} ")));
        assert!(says == found || by_host, "--{option}, {place}: {says:?}, but is {found:?}");
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let window = |line: &str| {
        let (_, rest) = line.split_once(" of ").unwrap();
        rest.split_once(" s each").unwrap().0.parse::<f64>().unwrap().to_string()
    };
    for (place, args) in [("here", &[][..]), ("model", &["--machine", "vm-32"])] {
        let (run, first) = begun(args);
        for option in [
            "variant", "lock", "workload", "threads", "trials", "seed", "pin", "sample", "counters",
        ] {
            let found = match &run["plan"][option] {
                Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
                one => text(one),
            };
            holds(option, place, &found);
        }
        holds("seconds", place, &window(&first));
        holds("label", place, &text(&run["label"]));
        if args.is_empty() {
            holds("machine", place, &text(&run["machine"]["name"]));
        }
    }
    let (run, first) = begun(&["--until", "1%", "--variant", "percluster", "--threads", "1"]);
    holds("seconds", "with --until", &window(&first));
    assert_eq!(
        (text(&run["plan"]["budget"]), &run["plan"]["trials"]),
        ("240s".into(), &Value::Null)
    );
    holds("budget", "with --until", "4m");
    // The rest is in the names of cells, and each workload has its own.
    let refs = ["run", "--machine", "vm-32", "--variant", "percluster", "--workload", "refs"];
    let short = ["--threads", "1", "--trials", "1", "--seconds", "0.0002", "--out", "runs"];
    stdout(&swapscale(&[&refs[..], &short].concat(), dir.path()));
    let cell = fs::read_to_string(only_run(&dir).join("cells.jsonl")).unwrap();
    let cell: Value = serde_json::from_str(cell.lines().next().unwrap()).unwrap();
    let params = &cell["key"]["params"];
    let own = (bench_harness::workload::find("refs").unwrap().defaults)();
    assert_eq!(params["size"], own.size.to_string());
    assert_eq!(params["fill"], own.fill.to_string());
    assert_eq!((&params["orders"], &params["batch"]), (&Value::Null, &Value::Null));
    for option in ["size", "fill", "orders", "batch"] {
        holds(option, "here", "the workload's");
    }
    holds("think-ns", "model", &text(&params["think-ns"]));
    holds("rate", "model", if params["rate"].is_null() { "closed loop" } else { "open" });
    assert_eq!(left, BTreeSet::from(["out"]), "these are not held against a run");
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
    stdout(&swapscale(&SHORT, dir.path()));
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
fn bad_options_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = |option: &[&str], words: &[&str]| {
        refused(&[&SHORT[..], option].concat(), dir.path(), words);
    };
    bad(&["--pin", "closest"], &["--pin", "closest", "compact"]);
    bad(&["--pin", "60000"], &["60000"]);
    bad(&["--fill", "200"], &["fill", "200", "0 to 100"]);
    bad(&["--size", "3MiB"], &["--size", "3MiB", "2MiB"]);
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
