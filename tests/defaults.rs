//! Every default that `swapscale run --help` prints is what a run without that option has. Those of
//! the live kernel are held against the driver's arguments in src/kernel.rs.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

fn swapscale(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.args(args).current_dir(dir);
    command
}

/// The only run below `runs`.
fn only_run(runs: &Path) -> std::path::PathBuf {
    fs::read_dir(runs).unwrap().next().unwrap().unwrap().path()
}

/// `run.json` of a run that is stopped once it has begun, and the seconds of its trials.
fn begun(args: &[&str]) -> (Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = swapscale(&[&["run"], args].concat(), dir.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut first).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // "108 cells of 1.0000 s each, into .."
    let (_, rest) = first.split_once(" of ").expect(&first);
    let seconds: f64 = rest.split_once(" s each").expect(&first).0.parse().unwrap();
    let run = only_run(&dir.path().join("results/local")).join("run.json");
    (serde_json::from_slice(&fs::read(run).unwrap()).unwrap(), seconds.to_string())
}

/// The parameters in the name of a cell of `refs`, which is quick to simulate.
fn params_of_a_cell() -> Value {
    let dir = tempfile::tempdir().unwrap();
    let refs = ["run", "--machine", "vm-32", "--variant", "percluster", "--workload", "refs"];
    let short = ["--threads", "1", "--trials", "1", "--seconds", "0.0002", "--out", "runs"];
    let output = swapscale(&[&refs[..], &short].concat(), dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let cells = fs::read_to_string(only_run(&dir.path().join("runs")).join("cells.jsonl")).unwrap();
    let cell: Value = serde_json::from_str(cells.lines().next().unwrap()).unwrap();
    cell["key"]["params"].clone()
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Help with each option on a line of its own, as it is before it is wrapped.
fn unwrapped(help: &str) -> String {
    let mut text = String::new();
    for line in help.lines() {
        let words = line.trim_start();
        // What a line goes on with stands further to the right than an option.
        let begins = line.len() - words.len() <= 6;
        text.push(if begins { '\n' } else { ' ' });
        text += words;
    }
    text
}

/// The defaults that `--help` prints, and those of them that no run has been held against.
struct Help {
    text: String,
    left: BTreeSet<String>,
}

impl Help {
    fn read() -> Self {
        let output = swapscale(&["run", "--help"], Path::new(".")).output().unwrap();
        let text = unwrapped(&String::from_utf8(output.stdout).unwrap());
        let lines = text.lines().filter(|line| line.contains("[default"));
        let names = lines.map(|line| line.trim_start().trim_start_matches("--"));
        let left = names.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
        Self { text, left }
    }

    /// The default of `option`: that of `place` where it has its own.
    fn says(&self, option: &str, place: &str) -> &str {
        let named = |line: &&str| line.trim_start().starts_with(&format!("--{option} "));
        let line = self.text.lines().find(named).unwrap();
        let (_, defaults) = line.rsplit_once("[default").expect(line);
        let mut parts = defaults.trim_end_matches(']').split("; ");
        let place = format!("{place}: ");
        let own = parts.clone().find_map(|part| part.trim_start().strip_prefix(&place));
        own.or(parts.next().and_then(|first| first.strip_prefix(": "))).expect(line)
    }

    fn holds(&mut self, option: &str, place: &str, found: &str) {
        self.left.remove(option);
        let says = self.says(option, place);
        // "tas in a guest, qspin on bare metal"
        let by_host = says.split(", ").any(|host| host.starts_with(&format!("{found} ")));
        assert!(says == found || by_host, "--{option}, {place}: {says:?}, but is {found:?}");
    }
}

#[test]
fn help_says_the_defaults_of_a_run() {
    let mut help = Help::read();
    for (place, args) in [("here", &[][..]), ("model", &["--machine", "vm-32"])] {
        let (run, seconds) = begun(args);
        for option in [
            "variant", "lock", "workload", "threads", "trials", "seed", "pin", "sample", "counters",
        ] {
            help.holds(option, place, &text(&run["plan"][option]));
        }
        help.holds("seconds", place, &seconds);
        help.holds("label", place, &text(&run["label"]));
        if args.is_empty() {
            help.holds("machine", place, &text(&run["machine"]["name"]));
        }
    }
    let (run, seconds) = begun(&["--until", "1%", "--variant", "percluster", "--threads", "1"]);
    help.holds("seconds", "with --until", &seconds);
    assert_eq!((&run["plan"]["budget"], &run["plan"]["trials"]), (&"240s".into(), &Value::Null));
    help.holds("budget", "with --until", "4m");
    // The other options are in the names of cells, and each workload has its own.
    let params = params_of_a_cell();
    let own = bench_harness::workload::find("refs").unwrap().defaults();
    assert_eq!(params["size"], own.size.to_string());
    assert_eq!(params["fill"], own.fill.to_string());
    assert_eq!((&params["orders"], &params["batch"]), (&Value::Null, &Value::Null));
    for option in ["size", "devices", "fill", "orders", "batch", "kept"] {
        help.holds(option, "here", "the workload's");
    }
    help.holds("backing", "model", if params["backing"].is_null() { "none" } else { "one" });
    help.holds("think-ns", "model", &text(&params["think-ns"]));
    help.holds("rate", "model", if params["rate"].is_null() { "closed loop" } else { "open" });
    assert_eq!(help.left, BTreeSet::from(["out".into()]), "no run is held against these");
}
