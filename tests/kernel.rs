//! The command in front of the live driver: what it says where it refuses. What it does on a
//! machine that can is tested in bench-harness/tests/live.rs.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use results::example;
use results::schema::{MachineKind, Site};
use results::store::Writer;

fn swapscale(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swapscale")).args(args).output().unwrap()
}

/// One line on standard error, and exit code 2.
fn refused(args: &[&str]) -> String {
    let output = swapscale(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    said
}

const VALIDATE: [&str; 3] = ["validate", "--only", "live"];
/// How it says that this machine cannot do it.
const REFUSED: &str = "swapscale: validate --only live:";
const RUN: [&str; 4] = ["run", "--machine", "kernel", "--workload"];

#[test]
fn bad_input_names_the_option_and_what_was_expected() {
    let said = refused(&[&RUN[..], &["chrun"]].concat());
    assert!(said.contains("--workload") && said.contains("churn, seq"), "{said}");
    let said = refused(&[&RUN[..], &["churn", "--seconds", "0"]].concat());
    assert!(said.contains("--seconds") && said.contains("0.05"), "{said}");
    let said = refused(&[&RUN[..], &["churn", "--pin", "closest"]].concat());
    assert!(said.contains("--pin") && said.contains("closest"), "{said}");
}

/// It can lock a CPU of the host up for good.
#[test]
fn the_hunt_for_a_lockup_is_not_run_on_the_host() {
    for more in [&[][..], &["--dry-run"]] {
        let said = refused(&[&RUN[..], &["mthp-swapoff"], more].concat());
        assert!(said.contains("lock up a CPU") && said.contains("swapscale lab"), "{said}");
    }
    let said = refused(&["run", "--workload", "mthp-swapoff"]);
    assert!(said.contains("mthp-swapoff"), "{said}");
}

#[test]
fn what_says_nothing_to_the_live_kernel_is_refused() {
    let said = refused(&[&RUN[..], &["churn", "--variant", "scanning"]].concat());
    assert!(said.contains("--variant") && said.contains("--batch"), "{said}");
    let said = refused(&[&RUN[..], &["churn", "--think-ns", "5"]].concat());
    assert!(said.contains("--think-ns"), "{said}");
    let said = refused(&[&RUN[..], &["churn", "--size", "64MiB,128MiB"]].concat());
    assert!(said.contains("--size") && said.contains("one value"), "{said}");
}

#[test]
fn prices_and_a_model_are_two_calibrations() {
    let said = refused(&["calibrate", "--content", "compressible"]);
    assert!(said.contains("--kernel"), "{said}");
    let said = refused(&["calibrate", "--kernel", "--base", "x86-2"]);
    assert!(said.contains("--base"), "{said}");
    let said = refused(&["calibrate", "--kernel", "--runs", "0"]);
    assert!(said.contains("--runs 0: expected 1 or more"), "{said}");
}

/// Two trials of churn under `scanning`: on an emulated kernel, where the entries to the slow
/// path are counts, or natively, where sites are known.
fn write_run(root: &Path, kind: MachineKind, machine: &str, contended: [(&str, u64); 3]) {
    let mut run = example::run();
    (run.id, run.machine.kind, run.machine.name) = (machine.into(), kind, machine.into());
    let mut writer = Writer::create(root, run).unwrap();
    for block in 0..2 {
        let mut cell = example::cell();
        let site = cell.sites[0].clone();
        (cell.key.machine, cell.key.variant) = (machine.into(), "scanning".into());
        (cell.key.workload, cell.key.block, cell.hlog) = ("churn".into(), block, None);
        cell.sites.clear();
        cell.counters.clear();
        cell.swapoff.clear();
        for (caller, contended) in contended {
            if kind == MachineKind::Emulated {
                cell.counts.insert(format!("slowpath:{caller}"), contended);
            } else {
                let lock = if caller == "do_swap_page" { "ptl" } else { "si->lock" }.into();
                cell.sites.push(Site { lock, caller: caller.into(), contended, ..site.clone() });
            }
        }
        writer.append(&cell).unwrap();
    }
}

#[test]
fn a_model_that_disagrees_with_the_kernel_is_shown_to() {
    let root = tempfile::tempdir().unwrap();
    let (get, free) = ("get_swap_pages", "swapcache_free_entries");
    let kernel = [(get, 20), (free, 70), ("add_to_swap_cache", 10)];
    write_run(root.path(), MachineKind::Emulated, "6.12.117+deb13", kernel);
    let model = [(get, 70), (free, 30), ("do_swap_page", 9)];
    let (runs, out) = (root.path().to_str().unwrap(), root.path().join("out"));
    let compare = ["kernel", "compare", runs, "--out", out.to_str().unwrap()];
    let said = refused(&compare);
    assert!(said.contains("of the variant that models it"), "{said}");

    write_run(root.path(), MachineKind::Native, "native", model);
    let output = swapscale(&compare);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in [
        "6.12.117, emulated",
        "#1 70.0 (70.0..70.0)",
        "#2 20.0 (20.0..20.0)",
        "swap cache ",
        "2 of 3 pairs",
        "not hardware timing",
    ] {
        assert!(said.contains(expected), "no {expected}:\n{said}");
    }
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("emulated: not decidable (too few trials)"), "{said}");
    for extension in ["png", "svg", "md", "txt"] {
        let stem = "against-scanning-churn";
        assert!(out.join(format!("{stem}.{extension}")).is_file(), "no {stem}.{extension}");
    }
}

#[test]
fn a_device_that_is_not_ours_is_never_touched() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let said = refused(&[&RUN[..], &["churn", "--swap-device", path]].concat());
    // Where the machine can't do it at all (no root, no swap), that is said first.
    let first = ["needs root", "may not switch swap", "no swap", "MiB of memory"];
    let elsewhere = first.iter().any(|why| said.contains(why));
    assert!(elsewhere || said.contains("not a block device"), "{said}");
    assert_eq!(file.as_file().metadata().unwrap().len(), 0);
}

/// Past the test harness, which shows nothing of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "tests/kernel.rs: skipped: {why}");
}

/// Run as nobody where the tests run as root: setpriv is in util-linux.
#[test]
fn without_root_there_is_one_message() {
    let program = env!("CARGO_BIN_EXE_swapscale");
    for args in [&["run", "--machine", "kernel", "--workload", "churn"][..], &VALIDATE] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--clear-groups", program]).args(args);
        let Ok(output) = command.output() else {
            return skipped("no setpriv on this machine");
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("setpriv:") {
            return skipped(&said);
        }
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains("needs root"), "{said}");
    }
}

/// A comparison that is interrupted while its swap is on says so and leaves nothing.
#[test]
fn an_interrupted_comparison_per_page_leaves_nothing() {
    let program = env!("CARGO_BIN_EXE_swapscale");
    let mut child = Command::new(program).args(VALIDATE).stderr(Stdio::piped()).spawn().unwrap();
    let swap_is_on = || {
        let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
        swaps.lines().any(|line| line.contains("zram") && line.ends_with("32767"))
    };
    while !swap_is_on() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).stderr(Stdio::null()).status();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let refused = last.starts_with(REFUSED) || last.contains("another run");
    if refused || !interrupted.is_ok_and(|status| status.success()) {
        return skipped(last);
    }
    assert!(last.contains("interrupted"), "{said}");
    assert!(!swap_is_on(), "{said}");
    let status = swapscale(&["kernel", "status"]);
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains("nothing is recorded as made"), "{status}");
}

#[test]
fn status_names_the_scheme() {
    let output = swapscale(&["kernel", "status"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(": scheme "), "{said}");
}
