//! The lab, one boot of each of two packaged kernels: skipped, with a line that says why, where
//! QEMU, Debian's tools, the package mirror or the time for it are missing.
#![cfg(target_os = "linux")]

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
    assert!(output.status.code() == Some(2) && said.contains("/nowhere/bzImage"), "{said}");
}

#[test]
fn a_guest_reports_before_and_after() {
    if std::env::var_os("SWAPSCALE_LAB").is_none() {
        return println!("skipped: a lab takes minutes; SWAPSCALE_LAB=1 runs it");
    }
    let out = tempfile::tempdir().unwrap();
    let output = swapscale(&[
        "lab",
        "--before=6.12",
        "--after=6.18",
        "--boots=1",
        "--workload=churn,swapoff",
        "--threads=2",
        "--out",
        out.path().to_str().unwrap(),
    ]);
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(2) {
        return println!("skipped: {why}");
    }
    assert!(output.status.success(), "{why}");
    for expected in ["(scanning)", "(percpu-cluster)", "swapoff under load", "churn batch 16 x2"] {
        assert!(said.contains(expected), "no {expected}:\n{said}");
    }
}
