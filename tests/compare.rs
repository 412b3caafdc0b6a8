//! `swapscale compare` and `report` as a user and as CI call them, on runs that the
//! test writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use results::example;
use results::store::Writer;

/// A run of two variants, six trials each; percluster `factor` times as fast.
fn write_run(root: &Path, label: &str, factor: f64) -> PathBuf {
    write(root, label, 6, &|variant, _| if variant == "percluster" { factor } else { 1.0 }, &[2])
}

/// A run of two variants at these numbers of threads; `factor` of 0 is a point that is left out.
fn write(
    root: &Path,
    label: &str,
    trials: u32,
    factor: &dyn Fn(&str, u32) -> f64,
    threads: &[u32],
) -> PathBuf {
    let mut run = example::run();
    run.id = label.into();
    run.label = label.into();
    let mut writer = Writer::create(root, run).unwrap();
    for block in 0..trials {
        for variant in ["scanning", "percluster"] {
            for threads in threads.iter().filter(|n| factor(variant, **n) > 0.0) {
                let mut cell = example::cell();
                cell.key.variant = variant.into();
                cell.key.threads = *threads;
                cell.key.block = block;
                cell.ops_per_s = 1e6 * factor(variant, *threads) + f64::from(block * 7 % 5);
                cell.hlog = None;
                writer.append(&cell).unwrap();
            }
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

/// The number of points takes no power away: one of 60 is slower, or all are.
#[test]
fn a_gate_over_many_points_fails() {
    let root = tempfile::tempdir().unwrap();
    let threads: Vec<u32> = (1..=30).collect();
    let run = |label: &str, factor: &dyn Fn(&str, u32) -> f64| {
        write(root.path(), label, 6, factor, &threads).to_str().unwrap().to_owned()
    };
    let old = run("old", &|_, _| 1.0);
    let same = run("same", &|_, _| 1.0);
    let all = run("all", &|_, _| 0.5);
    let one = run("one", &|variant, n| if variant == "scanning" && n == 9 { 0.9 } else { 1.0 });
    let gate = |new: &str| swapscale(&["compare", &old, new, "--fail-on", "5%"]);
    assert_eq!(gate(&same).status.code(), Some(0), "{}", text(&gate(&same).stderr));
    let failed = gate(&all);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(text(&failed.stderr).matches("worse by 50.0%").count(), 60);
    let failed = gate(&one);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(text(&failed.stderr).matches("worse by 10.0%").count(), 1);
}

/// A gate that could not have failed says so, in one line, and does not say that all is well.
#[test]
fn a_gate_that_could_not_have_failed_exits_with_2() {
    let root = tempfile::tempdir().unwrap();
    let run = |label: &str, trials: u32, factor: &dyn Fn(&str, u32) -> f64| {
        write(root.path(), label, trials, factor, &[1, 2]).to_str().unwrap().to_owned()
    };
    let old = run("old", 6, &|_, _| 1.0);
    let five = run("five", 5, &|_, _| 0.1);
    let half = run("half", 6, &|_, n| if n == 2 { 0.0 } else { 1.0 });
    let cases = [
        (&five, "4 of 4 points need 6 trials per side"),
        (&half, "2 of 4 points have no figure in half"),
    ];
    for (new, why) in cases {
        let output = swapscale(&["compare", &old, new, "--fail-on", "5%"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("this comparison could not have failed: ") && said.contains(why),
            "{said}"
        );
        assert_eq!(
            swapscale(&["compare", &old, new]).status.code(),
            Some(0),
            "no gate was asked for"
        );
    }
    // A run of which no cell was finished: its reason alone, in one line.
    let empty = run("empty", 0, &|_, _| 1.0);
    let output = swapscale(&["compare", &old, &empty, "--fail-on", "5%"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.lines().count() == 1, "{said}");
    assert!(said.contains("empty has 0 cells") && !said.contains("Noise"), "{said}");
    let output = swapscale(&["compare", &old, &old, "--fail-on", "100%"]);
    assert_eq!(output.status.code(), Some(2), "nothing is worse by more than all of it");
    let latency = ["compare", &old, &old, "--metric", "p99:alloc", "--fail-on", "200%"];
    assert_eq!(swapscale(&latency).status.code(), Some(0));
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
