//! The command in front of the live driver: what it says where it refuses. What it does on a
//! machine that can is tested in bench-harness/tests/live.rs.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

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

/// Run as nobody where the tests run as root: setpriv is in util-linux.
#[test]
fn without_root_there_is_one_message() {
    let program = env!("CARGO_BIN_EXE_swapscale");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--clear-groups", program]).args(RUN).arg("churn");
    let Ok(output) = command.output() else {
        return println!("skipped: no setpriv on this machine");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("setpriv:") {
        return println!("skipped: {said}");
    }
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("needs root"), "{said}");
}

#[test]
fn status_names_the_scheme() {
    let output = swapscale(&["kernel", "status"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(": scheme "), "{said}");
}
