//! Two builds measured in turns, as a user asks for it. The builds are this one, and this one behind
//! a script.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use results::store::{self, Loaded};

const HERE: &str = env!("CARGO_BIN_EXE_swapscale");
/// On a model, so that equal builds give equal figures.
const PLAN: &str = "\
    --machine xeon-2s --workload churn --size 4MiB --seconds 0.0002 --sample 1 --out runs";

fn swapscale(args: &str, dir: &Path) -> Output {
    Command::new(HERE).args(args.split_whitespace()).current_dir(dir).output().unwrap()
}

/// A build that is killed before its trial has a cell is not one whose trials are refused.
#[test]
fn a_build_that_is_killed_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let killed =
        build(dir.path(), &format!("{HERE} \"$@\"; : > $(echo $5/*/cells.jsonl); kill -9 $$"));
    let args = format!("run --baseline {} --variant percluster --threads 1", killed.display());
    let output = swapscale(&format!("{args} --trials 6 {PLAN}"), dir.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && !errors.contains("refused"), "{errors}");
    assert!(errors.contains("expected a build of swapscale"), "{errors}");
}

/// A program that does what `script` says.
fn build(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("other-build");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The runs of the base and of the new build.
fn runs(dir: &Path) -> [Loaded; 2] {
    let mut runs = store::load_all(&[dir.join("runs")]).unwrap();
    runs.sort_by_key(|run| !run.run.label.ends_with("-base"));
    runs.try_into().unwrap()
}

fn compare(dir: &Path, runs: &[Loaded; 2], options: &str) -> Output {
    let [base, new] = runs.each_ref().map(|run| run.dir.display().to_string());
    swapscale(&format!("compare {base} {new} {options}"), dir)
}

#[test]
fn equal_builds_are_equal_trial_by_trial() {
    let dir = tempfile::tempdir().unwrap();
    let args = format!("run --baseline {HERE} --variant percluster --threads 1,2 {PLAN}");
    let output = swapscale(&format!("{args} --trials 6"), dir.path());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(errors.contains("12 pairs of trials") && errors.contains("[12/12]"), "{errors}");
    let runs = runs(dir.path());
    for run in &runs {
        assert_eq!((run.cells.len(), &run.run.in_turns), (12, &runs[0].run.in_turns));
        assert!(run.run.command.contains("--baseline") && run.run.command.contains("--trials 6"));
        assert!(run.cells.iter().all(|cell| !run.histograms(cell).unwrap().is_empty()));
    }
    for (base, new) in runs[0].cells.iter().zip(&runs[1].cells) {
        assert_eq!((&base.key, base.ops_per_s), (&new.key, new.ops_per_s));
    }
    let seeds = |run: &Loaded| run.cells.iter().map(|cell| cell.seed).max();
    assert_eq!(seeds(&runs[0]), Some(6), "each block has random numbers of its own");
    // The same plan in one process gives the same figures.
    let alone = args.replace(&format!("--baseline {HERE} "), "").replace("out runs", "out alone");
    assert!(swapscale(&format!("{alone} --trials 6"), dir.path()).status.success());
    let alone = store::load_all(&[dir.path().join("alone")]).unwrap();
    for cell in &alone[0].cells {
        let same = runs[1].cells.iter().find(|other| other.key == cell.key).unwrap();
        assert_eq!((cell.ops_per_s, cell.seed), (same.ops_per_s, same.seed));
    }
    let json = compare(dir.path(), &runs, "--json --fail-on 1%");
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["comparisons"][0]["paired"], true);
    // Nothing of the single trials is left, and such a run is not gone on with.
    assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 2);
    let resumed = swapscale(&format!("run --resume {}", runs[1].dir.display()), dir.path());
    let errors = String::from_utf8_lossy(&resumed.stderr);
    assert!(resumed.status.code() == Some(2) && errors.contains("in_turns"), "{errors}");
}

#[test]
fn a_build_that_is_faster_makes_the_new_one_worse() {
    let dir = tempfile::tempdir().unwrap();
    // What it says is ten times what it measured.
    let faster = format!(
        "{HERE} \"$@\" && sed -i 's/\"ops_per_s\":\\([0-9]*\\)/\"ops_per_s\":\\10/' \
         $5/*/cells.jsonl"
    );
    let faster = build(dir.path(), &faster);
    let args = format!("run --baseline {} --variant percluster --threads 2", faster.display());
    let output = swapscale(&format!("{args} --trials 6 {PLAN}"), dir.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let gate = compare(dir.path(), &runs(dir.path()), "--fail-on 5%");
    let errors = String::from_utf8_lossy(&gate.stderr);
    assert!(gate.status.code() == Some(1) && errors.contains("worse by 90.0%"), "{errors}");
}

#[test]
fn what_is_no_build_of_this_program_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let broken = build(dir.path(), "echo swapscale: no such option >&2; exit 2");
    let cases = [
        (Path::new("/no/such/build"), "/no/such/build: expected a build"),
        (Path::new("/bin/true"), "it said nothing, exit status: 0"),
        (broken.as_path(), "that can measure this plan: no such option"),
    ];
    for (binary, expected) in cases {
        let args = format!("run --baseline {} --variant percluster --threads 1", binary.display());
        let output = swapscale(&format!("{args} --trials 1 {PLAN}"), dir.path());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && errors.contains(expected), "{errors}");
        assert_eq!(errors.lines().filter(|line| line.starts_with("swapscale: ")).count(), 1);
        assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 0, "nothing is left");
    }
}
