//! The lab over a QEMU that is a script, and one boot of each of two packaged kernels. The boots are
//! skipped, with a line that says why, where QEMU, Debian's tools, the package mirror or the time for
//! them are missing.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use kernel::lab::hunt::{Begun, Ended};
use kernel::lab::{MARK, Message};

fn swapscale(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_swapscale")).args(args).output().unwrap()
}

#[test]
fn without_a_kernel_there_is_one_message() {
    let output = swapscale(&["lab"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--before"), "{said}");
    let output = swapscale(&["lab", "--kernel", "/nowhere/bzImage"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let why = ["/nowhere/bzImage", "qemu-system-x86"].iter().any(|why| said.contains(why));
    assert!(output.status.code() == Some(2) && why, "{said}");
}

/// A hunt can leave the guest locked up, so nothing comes after it.
#[test]
fn a_hunt_runs_alone() {
    for (options, why) in [
        (&["--workload=mthp-swapoff,churn"][..], "runs alone"),
        (&["--workload=mthp-swapoff", "--threads=2"], "runs alone"),
        (&["--workload=churn", "--swapoffs=4"], "--swapoffs"),
        (&["--workload=mthp-swapof"], "or mthp-swapoff alone"),
    ] {
        let output = swapscale(&[&["lab", "--kernel=/nowhere/bzImage"], options].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// Runs the lab on `kernels`, each a name and what its guest says on the console. QEMU is a script
/// that writes a line to the file `starts`, prints the kernel's file, and complains.
fn lab_with(kernels: &[(&str, String)], options: &[&str]) -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let qemu = at(&format!("qemu-system-{}", std::env::consts::ARCH));
    // Whatever is asked of KVM, it is not there.
    let says = "while [ \"$1\" != -kernel ]; do shift; done; cat \"$2\"; echo 'the last line' >&2";
    let script = format!("echo >>{}; {says}", at("starts").display());
    fs::write(&qemu, format!("#!/bin/sh\ncase \"$*\" in *tcg*) {script};; esac\n")).unwrap();
    fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.args(["lab", "--boots=1"]).args(options).arg("--out").arg(at("out"));
    for (name, says) in kernels {
        fs::write(at(name), says).unwrap();
        command.arg("--kernel").arg(at(name));
    }
    let path = format!("{}:/usr/bin:/bin", dir.path().display());
    let output = command.env("PATH", path).output().unwrap();
    (dir, output)
}

/// Lines of a guest on its console.
fn console(messages: &[Message]) -> String {
    let line = |message| format!("{MARK}{}\n", serde_json::to_string(message).unwrap());
    messages.iter().map(line).collect()
}

fn up() -> Message {
    Message::Up { release: "6.18.1".into(), unsupported: None }
}

/// Counts a kernel's starts for one boot.
#[test]
fn a_kernel_that_panics_before_init_is_started_again() {
    let starts = |says: String| {
        let (dir, output) = lab_with(&[("bzImage", says + "\n")], &[]);
        let said = String::from_utf8(output.stderr).unwrap();
        (fs::read_to_string(dir.path().join("starts")).unwrap().len(), said)
    };
    let panic = "[    1.2] Kernel panic - not syncing: Fatal exception in interrupt";
    let (count, said) = starts(panic.into());
    assert_eq!(count, 3, "{said}");
    assert_eq!(said.matches(panic).count(), 3, "{said}");
    assert_eq!(said.matches("; started again").count(), 2, "{said}");
    let (count, said) = starts(console(&[up()]) + panic);
    assert!(count == 1 && said.contains(panic), "after init: {said}");
    let (count, said) = starts("no such device".into());
    assert!(count == 1 && said.contains("the last line"), "no panic: {said}");
}

/// One guest measures and one cannot: the report begins with it, and what was measured is kept.
#[test]
fn a_kernel_that_cannot_be_measured_is_no_success() {
    let cell = Message::Cell(Box::new(results::example::cell()));
    let good = console(&[up(), cell, Message::End { notes: Vec::new(), refused: Vec::new() }]);
    let bad = console(&[up(), Message::Failed("no /sys/class/zram-control".into())]);
    let (dir, output) = lab_with(&[("good", good), ("bad", bad)], &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    let why = "bad was not measured: no /sys/class/zram-control";
    assert!(output.status.code() == Some(2) && said.trim_end().ends_with(why), "{said}");
    let made = || fs::read_dir(dir.path().join("out")).unwrap().flatten().map(|dir| dir.path());
    let report = made().find_map(|dir| fs::read_to_string(dir.join("lab.txt")).ok()).unwrap();
    assert!(report.starts_with(why), "{report}");
    assert!(report.contains("swapscale lab: 6.18.1"), "{report}");
    let cells = made().filter_map(|dir| fs::read_to_string(dir.join("cells.jsonl")).ok());
    assert_eq!(cells.map(|cells| cells.lines().count()).collect::<Vec<_>>(), [1]);
}

/// What the guest says of its swapoffs and what its kernel says of a lockup become a rate, and the
/// kernel's report stays beside the run.
#[test]
fn a_hunt_gives_a_rate_and_keeps_the_report_of_the_kernel() {
    let begun = |folios| Message::Begun(Begun { folios, used_slots: 130_000, whole: 48 });
    let ended =
        |stuck_ns| Message::Ended(Ended { ns: 3 << 30, errno: 0, stuck_ns, calls: Some(7) });
    let lockup = "[   14.2] watchdog: BUG: soft lockup - CPU#1 stuck for 3s! [exe:135]\n\
                  [   14.2]  cluster_alloc_swap_entry+0x164/0x410\n[   14.2]  </TASK>\n";
    let says = console(&[up(), begun(true)])
        + lockup
        + &console(&[ended(vec![2_500_000_000]), begun(false), ended(Vec::new())])
        + &console(&[Message::End { notes: Vec::new(), refused: Vec::new() }]);
    let (dir, output) = lab_with(&[("bzImage", says)], &["--workload=mthp-swapoff"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for expected in ["1 of 1: 100.0 % (20.7..100.0)", "0 of 1: 0.0 % (0.0..79.3)", "2.50"] {
        assert!(said.contains(expected), "no {expected}:\n{said}");
    }
    assert!(!said.contains("Throughput"), "{said}");
    let runs = fs::read_dir(dir.path().join("out")).unwrap().flatten();
    let report = runs.filter_map(|run| fs::read_to_string(run.path().join("lockup-1.txt")).ok());
    assert_eq!(report.collect::<Vec<_>>(), [lockup]);
}

/// Past the test harness, which shows nothing of a test that passes.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "tests/lab.rs: the lab is not booted: {why}");
}

#[test]
fn a_guest_reports_before_and_after() {
    if std::env::var_os("SWAPSCALE_LAB").is_none() {
        return skipped("it takes minutes; SWAPSCALE_LAB=1 asks for it");
    }
    let qemu = format!("qemu-system-{}", std::env::consts::ARCH);
    if Command::new(&qemu).arg("--version").output().is_err() {
        return skipped(&format!("no {qemu} on this machine"));
    }
    let out = tempfile::tempdir().unwrap();
    let lab = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
        let fixed = ["lab", "--before=6.12", "--after=6.18", "--boots=1", "--threads=2"];
        command.args(fixed).args(options).arg("--out").arg(out.path());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (child.id(), child.wait_with_output().unwrap())
    };
    let (_, output) = lab(&["--workload=churn,swapoff"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(2) && ["package mirror", "apt-"].iter().any(|s| why.contains(s))
    {
        return skipped(&why);
    }
    assert!(output.status.success(), "{why}");
    for expected in [
        "(scanning)",
        "(percpu-cluster)",
        "emulated: not hardware timing",
        "get_swap_pages",
        "step unuse",
        "churn batch 16 x2  not decidable",
    ] {
        let here = said.contains(expected);
        // With KVM times are the hardware's.
        assert!(here || why.contains("guests run by KVM"), "no {expected}:\n{said}");
    }
    let runs = fs::read_dir(out.path()).unwrap().flatten();
    let runs = runs.filter_map(|dir| fs::read_to_string(dir.path().join("run.json")).ok());
    let runs: Vec<String> = runs.collect();
    assert!(runs.len() == 2 && !runs.concat().contains("not looked up"), "{runs:?}");
    let (process, output) = lab(&["--workload=churn", "--patience=1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("no end in time"), "{said}");
    // The image is a file of the lab's: by that a QEMU of ours is known.
    let ours = format!("/proc/{process}/fd/");
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(&qemu) && line.contains(&ours)
    });
    assert_eq!(left.count(), 0, "a QEMU outlives the lab");
}
