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

/// In a build sandbox there is no /sys at all. Hiding it takes a mount namespace, and so root.
#[test]
fn without_sysfs_it_works_and_so_do_runs() {
    let dir = tempfile::tempdir().unwrap();
    let hidden = |rest: &str| {
        let script = format!("mount -t tmpfs none /sys && exec \"$0\" {rest}");
        let args = ["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_swapscale")];
        Command::new("unshare").args(args).current_dir(&dir).output()
    };
    let mut mounts = Command::new("unshare");
    mounts.args(["-m", "mount", "-t", "tmpfs", "none", "/sys"]);
    if !mounts.output().is_ok_and(|out| out.status.success()) {
        return eprintln!("left out: no mount namespace can be made here");
    }
    let run =
        "run --variant percluster --workload churn --threads 1 --trials 1 --size 4MiB --out runs";
    let native = format!("{run} --seconds 0.05");
    let model = format!("{run} --machine vm-32 --seconds 0.0005");
    for command in ["doctor", &native, &model] {
        let out = hidden(command).unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(0), "{command}: {said}");
    }
}
