//! `swapscale completions`: a script for each shell that knows the subcommands, and that
//! the shell takes.

use std::io::Write;
use std::process::{Command, Stdio};

fn script(shell: &str) -> Vec<u8> {
    let command = env!("CARGO_BIN_EXE_swapscale");
    let output = Command::new(command).args(["completions", shell]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn every_shell_has_a_script_with_the_subcommands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = String::from_utf8(script(shell)).unwrap();
        for word in ["compare", "doctor", "fail-on"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn bash_takes_it_and_completes_a_subcommand() {
    let ask = "COMP_WORDS=(swapscale comp); COMP_CWORD=1; _swapscale swapscale comp swapscale\n\
               echo \"${COMPREPLY[*]}\"\n";
    let child = Command::new("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        return eprintln!("SKIPPED: no bash here");
    };
    let mut input = script("bash");
    input.extend(ask.bytes());
    child.stdin.take().unwrap().write_all(&input).unwrap();
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    assert!(words.contains("compare") && words.contains("completions"), "{words:?}");
}
