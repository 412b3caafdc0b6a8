//! `swapscale compare` and `report` as a user and as CI call them, on runs that the
//! test writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use results::example;
use results::store::Writer;

/// A run of two variants, six trials each; percluster `factor` times as fast.
fn write_run(root: &Path, label: &str, factor: f64) -> PathBuf {
    let mut run = example::run();
    run.id = label.into();
    run.label = label.into();
    let mut writer = Writer::create(root, run).unwrap();
    for block in 0..6 {
        for (variant, speed) in [("scanning", 1e6), ("percluster", 1e6 * factor)] {
            let mut cell = example::cell();
            cell.key.variant = variant.into();
            cell.key.block = block;
            cell.ops_per_s = speed + f64::from(block);
            cell.hlog = None;
            writer.append(&cell).unwrap();
        }
    }
    writer.dir().to_owned()
}

fn swapscale(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swapscale")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_regression_beyond_the_threshold_exits_with_1() {
    let root = tempfile::tempdir().unwrap();
    let old = write_run(root.path(), "old", 2.0);
    let new = write_run(root.path(), "new", 1.8);
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let output = swapscale(&["compare", old, new, "--fail-on", "5%"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("worse by 10.0%: native percluster"));
    assert_eq!(swapscale(&["compare", old, new, "--fail-on", "20%"]).status.code(), Some(0));
    assert_eq!(swapscale(&["compare", old, new]).status.code(), Some(0));
    assert_eq!(swapscale(&["compare", new, old, "--fail-on", "5%"]).status.code(), Some(0));
}

#[test]
fn two_variants_of_one_run() {
    let root = tempfile::tempdir().unwrap();
    let run = write_run(root.path(), "run", 2.0);
    let run = run.to_str().unwrap();
    let output = swapscale(&["compare", run, "--variant", "scanning,percluster", "--mail"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("throughput of churn, 2 threads: percluster against"));
    assert!(text(&output.stdout).contains("+100.0%"));
    let turned = ["compare", run, "--variant", "percluster,scanning", "--fail-on", "5%"];
    assert_eq!(swapscale(&turned).status.code(), Some(1));
}

#[test]
fn bad_input_is_one_message_and_exit_2() {
    let root = tempfile::tempdir().unwrap();
    let run = write_run(root.path(), "run", 2.0);
    let run = run.to_str().unwrap();
    let bad: [(&[&str], &str); 5] = [
        (&["compare", run, "no-such-run"], "no-such-run"),
        (&["compare", run, "--variant", "nonesuch,scanning"], "nonesuch"),
        (&["compare", run, "--variant", "scanning"], "--variant A,B"),
        (&["compare", run, run, "--metric", "speed"], "p99:KIND"),
        (&["report", "no-such-run"], "no-such-run"),
    ];
    for (args, named) in bad {
        let output = swapscale(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(text(&output.stderr).contains(named), "{args:?}: {}", text(&output.stderr));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
