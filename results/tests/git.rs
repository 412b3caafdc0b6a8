//! A mail report in a changelog: what git makes of it on the way to the list and
//! back. Where there is no git there is nothing to go through.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use results::metric::Metric;
use results::report::{Report, sides};
use results::tables::{Brief, Format, Lkp, Mail};

/// Run git in `dir` with nobody's configuration; its output, if it went well.
fn git(dir: &Path, args: &[&str], input: &str) -> Option<String> {
    let mut child = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    // A git that reads nothing may close its input early.
    let _ = child.stdin.take()?.write_all(input.as_bytes());
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Committed (which drops lines that start with `#`), formatted as a patch, applied
/// (which cuts at `---` and takes `diff` for the patch), the text is the same.
#[test]
fn a_mail_report_survives_commit_patch_and_am() {
    if Command::new("git").arg("--version").output().is_err() {
        return eprintln!("SKIPPED: no git here");
    }
    let runs = [common::run(8)];
    let report = Report::new(&sides(&runs, None).unwrap(), &Metric::Throughput).unwrap();
    for form in [&Mail as &dyn Format, &Brief, &Lkp] {
        survives(&form.render(&report));
    }
}

fn survives(mail: &str) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let run = |args: &[&str], input: &str| {
        git(dir, args, input).unwrap_or_else(|| panic!("git {args:?} failed"))
    };
    run(&["init", "-q"], "");
    std::fs::write(dir.join("file"), "1\n").unwrap();
    run(&["add", "file"], "");
    run(&["commit", "-qm", "base"], "");
    std::fs::write(dir.join("file"), "2\n").unwrap();
    let message = format!("mm, swap: a subject\n\n{mail}");
    run(&["commit", "-qa", "--cleanup=strip", "-F", "-"], &message);
    let patch = run(&["format-patch", "--stdout", "-1"], "");
    run(&["reset", "-q", "--hard", "HEAD~1"], "");
    run(&["am", "-q"], &patch);
    assert_eq!(run(&["log", "-1", "--format=%b"], "").trim_end(), mail.trim_end());
    sent(dir, &patch, mail);
}

/// What `git send-email --dry-run` takes: no line that it would have to encode, fold
/// or refuse. The command is a package of its own in some distributions.
fn sent(dir: &Path, patch: &str, mail: &str) {
    std::fs::write(dir.join("0001.patch"), patch).unwrap();
    let args = ["send-email", "--dry-run", "--to=list@example.org", "--confirm=never"];
    let args = [&args[..], &["--validate", "--smtp-server=/bin/true", "0001.patch"]].concat();
    let exists = Command::new("git").args(["send-email", "-h"]).output();
    let exists = exists.is_ok_and(|help| help.stdout.starts_with(b"git send-email"));
    if !exists {
        eprintln!("SKIPPED: no git send-email here (Debian: git-email)");
    } else {
        let log = git(dir, &args, "").expect("git send-email --dry-run failed");
        assert!(log.contains("Dry-OK"), "{log}");
        assert!(!log.contains("quoted-printable") && !log.contains("base64"), "{log}");
    }
    assert!(patch.contains(mail.trim_end()), "the body is not as it was written");
}
