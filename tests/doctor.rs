//! `swapscale doctor` as a user runs it. Guards its exit codes and the shape of its JSON.

use std::process::{Command, Output};

fn doctor(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.arg("doctor").args(args).output().unwrap()
}

#[test]
fn strict_fails_exactly_when_something_bends_the_figures() {
    let out = doctor(&["--json", "--strict"]);
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&out.stdout).unwrap();
    let warned = findings.iter().any(|f| f["severity"] == "warn");
    assert_eq!(out.status.code(), Some(i32::from(warned)), "{findings:#?}");
    for key in ["id", "severity", "here", "effect", "fix"] {
        assert!(findings.iter().all(|f| f[key].as_str().is_some_and(|t| !t.is_empty())), "{key}");
    }
}

#[test]
fn without_strict_it_only_tells() {
    let out = doctor(&[]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0));
    assert!(text.contains("clocksource") && text.ends_with(" ok\n"), "{text}");
    assert_eq!(doctor(&["--wrong"]).status.code(), Some(2));
}
