//! What people read in a terminal of 80 columns. Guards that no line is wider, that no word of help is
//! broken, and that a text for somewhere else has no line that is only for people.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const WIDTH: usize = 80;

/// Piped, as in this test, the width is 80 whatever COLUMNS says.
fn swapscale(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.args(args).env_remove("COLUMNS").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fits(args: &[&str]) -> String {
    let output = swapscale(args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    for line in
        [&output.stdout, &output.stderr].map(|bytes| text(bytes)).iter().flat_map(|t| t.lines())
    {
        assert!(line.chars().count() <= WIDTH, "{args:?}: {line}");
    }
    text(&output.stdout)
}

/// The committed runs.
fn reference() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/reference");
    let below = |dir: PathBuf| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let all = below(root.clone()).chain(below(root.join("kernel")));
    all.filter(|path| path.join("run.json").exists()).collect()
}

fn three_schemes() -> String {
    let named = |path: &PathBuf| path.to_string_lossy().ends_with("vm-three-schemes");
    reference().into_iter().find(named).unwrap().display().to_string()
}

/// The names in the list of subcommands.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = list.take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// That the words of help are whole is a test of the program itself (src/main.rs).
#[test]
fn help_of_every_subcommand_fits_and_breaks_no_option() {
    let commands = subcommands(&fits(&["--help"]));
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands.iter().filter(|name| *name != "help") {
        let help = fits(&[command, "--help"]);
        let options: Vec<&str> =
            help.split_whitespace().filter(|word| word.starts_with("--")).collect();
        for option in options {
            let name = option.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let known = name.chars().all(|c| c.is_ascii_alphanumeric() || "-=.,:".contains(c));
            assert!(known && !option.ends_with('-'), "{command}: {option}");
        }
    }
    fits(&["kernel", "report", "--help"]);
}

#[test]
fn lists_and_reports_fit() {
    let list = fits(&["list"]);
    assert!(list.contains("test-and-test-and-set"), "{list}");
    for run in reference() {
        fits(&["report", run.to_str().unwrap()]);
    }
    fits(&["check", "percpu_ref", "rcu"]);
    let doctor = fits(&["doctor"]);
    assert!(!doctor.contains('\x1b'), "no colour where it is piped");
}

/// The summary is the last line of the table, and what to do next is no part of it.
#[test]
fn compare_ends_with_what_it_comes_to() {
    let run = three_schemes();
    let args = ["compare", &run, "--variant", "scanning,percluster"];
    let table = fits(&args);
    let last = table.rsplit("\n\n").next().unwrap();
    let last = last.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(last.starts_with("6 points: 2 better, 3 worse, 1 not significant. "), "{last}");
    assert!(last.contains("Geometric mean of all: -0.3% (95% interval "), "{last}");
    assert_eq!(text(&swapscale(&args).stderr).lines().count(), 1);
    for form in ["--mail", "--lkp", "--markdown", "--json", "--csv"] {
        let output = swapscale(&[&args[..], &[form]].concat());
        assert_eq!(text(&output.stderr), "", "{form} is for somewhere else");
    }
}

/// A run's variants are held against what the kernel had before them; another base can be chosen.
#[test]
fn the_base_of_a_report_can_be_chosen() {
    let run = three_schemes();
    let mail = |more: &[&str]| fits(&[&["report", &run, "--mail"], more].concat());
    assert!(mail(&[]).contains("Before 6.12 scanning, After 6.14 percluster"));
    assert!(mail(&["--variant", "global,percluster"]).contains("Before global, After 6.14"));
    assert!(mail(&["--base", "global"]).contains("Before global, After 6.14 percluster"));
    assert!(mail(&["--full"]).lines().count() > 100);
    let all = fits(&["report", &run]);
    assert!(all.contains("base = scanning, new = percluster"), "{all}");
    assert!(!all.contains("base = global"), "{all}");
    let bad: [&[&str]; 3] = [&["--variant", "none"], &["--full"], &["--mail", "--steps"]];
    for more in bad {
        let output = swapscale(&[&["report", run.as_str()], more].concat());
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.lines().count() == 1, "{more:?}: {said}");
    }
}
