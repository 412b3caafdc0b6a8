//! `swapscale check` as a user runs it: verdicts, exit codes, JSON and pictures.

use std::process::{Command, Output};

fn check(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.arg("check").args(args).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_holds_ends_with_0_and_says_what_was_explored() {
    let output = check(&["rcu", "percpu_ref"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("percpu_ref/drain: no violation within bound 3: "), "{text}");
    assert!(text.contains("executions"), "{text}");
}

#[test]
fn a_caught_fault_ends_with_0_and_a_diagram() {
    let output = check(&["6.14", "--fault", "kill-before-unuse"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    // Lines are wrapped between words.
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("caught by L"), "{text}");
    assert!(text.contains("swap-in: get_swap_device()"), "{text}");
}

#[test]
fn json_says_whether_a_fault_was_caught() {
    let dir = tempfile::tempdir().expect("a directory");
    let to = dir.path().to_str().expect("UTF-8");
    let output = check(&["--fault", "ref-no-bias", "--json", "--diagrams", to]);
    let results: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("a JSON document");
    assert_eq!(results[0]["caught"], true, "{results}");
    assert_eq!(results[0]["verdict"], "broken", "{results}");
    let read = |ending| {
        let file = dir.path().join("percpu_ref-ref-no-bias").with_extension(ending);
        std::fs::read_to_string(file).expect("a diagram")
    };
    assert!(read("svg").starts_with("<svg "), "{}", read("svg"));
    assert!(read("txt").contains("CPU 0: swapoff"), "{}", read("txt"));
}

#[test]
fn the_same_fault_and_seed_give_the_same_diagram() {
    let drawn = || {
        let dir = tempfile::tempdir().expect("a directory");
        let to = dir.path().to_str().expect("UTF-8");
        let args = ["percluster", "--fault", "no-barrier", "--seed", "7", "--diagrams", to];
        assert_eq!(check(&args).status.code(), Some(0));
        ["txt", "svg"].map(|ending| {
            let file = dir.path().join("percluster-no-barrier").with_extension(ending);
            std::fs::read_to_string(file).expect("a diagram")
        })
    };
    assert_eq!(drawn(), drawn());
}

#[test]
fn unknown_names_end_with_2_and_the_names_there_are() {
    let cases: [(&[&str], [&str; 2]); 3] = [
        (&["nosuch"], ["nosuch", "percluster"]),
        (&["--fault", "nosuch"], ["nosuch", "no-barrier"]),
        (&["scanning", "--fault", "no-barrier"], ["not in scanning", "percpu-cluster"]),
    ];
    for (args, said) in cases {
        let output = check(args);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(said.iter().all(|part| message.contains(part)), "{message}");
    }
}
