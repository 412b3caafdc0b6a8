//! The lab, one boot of each of two packaged kernels: skipped, with a line that says why, where
//! QEMU, Debian's tools, the package mirror or the time for it are missing.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn swapscale(args: &[&str]) -> std::process::Output {
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

/// Counts a kernel's starts for one boot by a QEMU that only talks.
#[test]
fn a_kernel_that_panics_before_init_is_started_again() {
    let starts = |says: &str| {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let qemu = at(&format!("qemu-system-{}", std::env::consts::ARCH));
        let count = at("starts");
        let says = format!("echo >>{}; printf '%s\\n' {says} 'a last line'", count.display());
        // Whatever is asked of KVM, it is not there.
        fs::write(&qemu, format!("#!/bin/sh\ncase \"$*\" in *tcg*) {says};; esac\n")).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(at("bzImage"), "").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
        command.args(["lab", "--boots=1", "--kernel"]).arg(at("bzImage"));
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let output = command.arg("--out").arg(dir.path()).env("PATH", path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        (fs::read_to_string(count).unwrap().len(), said)
    };
    let panic = "[    1.2] Kernel panic - not syncing: Fatal exception in interrupt";
    let (count, said) = starts(&format!("'{panic}'"));
    assert_eq!(count, 3, "{said}");
    assert_eq!(said.matches(panic).count(), 3, "{said}");
    assert_eq!(said.matches("; started again").count(), 2, "{said}");
    let up = r#"'@swapscale {"up":{"release":"6.18","unsupported":null}}'"#;
    let (count, said) = starts(&format!("{up} '{panic}'"));
    assert!(count == 1 && said.contains(panic), "after init: {said}");
    let (count, said) = starts("'no such device'");
    assert!(count == 1 && said.contains("a last line"), "no panic: {said}");
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
        // The images are made here: by that a QEMU of ours is known.
        command.env("TMPDIR", out.path()).output().unwrap()
    };
    let output = lab(&["--workload=churn,swapoff"]);
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
    let output = lab(&["--workload=churn", "--patience=1"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("no end in time"), "{said}");
    let ours = out.path().to_str().unwrap();
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        line.starts_with(&qemu) && line.contains(ours)
    });
    assert_eq!(left.count(), 0, "a QEMU outlives the lab");
}
