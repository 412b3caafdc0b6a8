//! `swapscale plot` from a run on disk: pictures, the page, and what it says of
//! charts that the run has no data for.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use results::example;
use results::store::Writer;

fn run_on_disk(root: &Path) -> PathBuf {
    let mut writer = Writer::create(root, example::run()).unwrap();
    for block in 0..3 {
        for threads in [1, 2] {
            let mut cell = example::cell();
            cell.key.block = block;
            cell.key.threads = threads;
            cell.hlog = None;
            writer.append(&cell).unwrap();
        }
    }
    writer.dir().to_owned()
}

fn plot(run: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swapscale"));
    command.arg("plot").arg(run).args(more).output().unwrap()
}

#[test]
fn a_run_becomes_pictures_and_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_on_disk(dir.path());
    let (out, race) = (dir.path().join("out"), dir.path().join("no-barrier.txt"));
    std::fs::write(&race, "alloc | swapoff\n").unwrap();
    let (out_arg, race_arg) = (out.to_str().unwrap(), race.to_str().unwrap());
    let more = ["--only", "throughput,ablation", "--out", out_arg, "--race", race_arg];
    let said = plot(&run, &more);
    assert!(said.status.success(), "{said:?}");
    let (stdout, stderr) =
        (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap());
    let listed: Vec<&str> = stdout.lines().collect();
    assert_eq!(listed.len(), 2, "{stdout}");
    assert!(listed[0].ends_with(".svg"), "{stdout}");
    let page = listed[1].strip_prefix("open ").expect(&stdout);
    assert!(page.ends_with("report.html"), "{stdout}");
    assert!([listed[0], page].iter().all(|file| Path::new(file).metadata().unwrap().len() > 1000));
    assert!(stderr.contains("not drawn, needs two neighbours"), "{stderr}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("no-barrier") && page.contains("alloc | swapoff"));
}

#[test]
fn the_checkers_findings_are_on_the_page() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_on_disk(dir.path());
    let check = ["check", "percluster", "--fault", "no-barrier", "--json"];
    let found = Command::new(env!("CARGO_BIN_EXE_swapscale")).args(check).output().unwrap();
    let races = dir.path().join("races.json");
    std::fs::write(&races, &found.stdout).unwrap();
    let out = dir.path().join("out");
    let more = ["--only", "none", "--out", out.to_str().unwrap(), "--race"];
    let said = plot(&run, &[&more[..], &[races.to_str().unwrap()]].concat());
    assert!(said.status.success(), "{said:?}");
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("no-barrier put back into percluster/"), "no title");
    assert!(page.contains("WRITEOK"), "no diagram");
    std::fs::write(&races, "no array").unwrap();
    let said = plot(&run, &["--out", out.to_str().unwrap(), "--race", races.to_str().unwrap()]);
    assert_eq!(said.status.code(), Some(2));
    let stderr = String::from_utf8(said.stderr).unwrap();
    assert!(stderr.contains("races.json") && stderr.contains("check --json"), "{stderr}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let said = plot(Path::new("/nowhere/at-all"), &[]);
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8(said.stderr).unwrap().contains("/nowhere/at-all"));
}

/// `plot results/reference/*/` meets directories that hold something else.
#[test]
fn what_holds_no_run_is_left_out_with_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_on_disk(dir.path());
    let (other, file) = (dir.path().join("validation"), dir.path().join("costs.txt"));
    std::fs::create_dir(&other).unwrap();
    std::fs::write(&file, "no run").unwrap();
    let [other, file] = [&other, &file].map(|path| path.to_str().unwrap());
    let out = dir.path().join("out");
    let more = ["--only", "none", "--out", out.to_str().unwrap()];
    let said = plot(&run, &[&[other, file], &more[..]].concat());
    assert!(said.status.success(), "{said:?}");
    let stderr = String::from_utf8(said.stderr).unwrap();
    for path in [other, file] {
        assert!(stderr.contains(&format!("{path}: left out, as it holds no run")), "{stderr}");
    }
    let none = plot(Path::new(other), &more);
    assert_eq!(none.status.code(), Some(2));
    let missing = plot(&run, &["no-such-directory"]);
    assert_eq!(missing.status.code(), Some(2), "a path that is not there is an error");
}
