//! docs/findings/steal-loop.md: how often the committed hunts hit the loop, and what the kernel said.

use std::fmt::Write;
use std::fs;

use results::lab::Found;
use results::store::{self, Loaded};

use super::Document;
use super::reference::{root, text};

const RUNS: &str = "results/reference/lockup";
pub const PATH: &str = "docs/findings/steal-loop.md";

/// The hunts by release, each with all its runs.
fn hunts() -> Vec<(String, Vec<Loaded>)> {
    let mut all: Vec<(String, Vec<Loaded>)> = Vec::new();
    for run in store::load_all(&[root().join(RUNS)]).expect("the committed hunts") {
        let release = run.run.machine.name.split('+').next().expect("a first part").to_owned();
        match all.iter_mut().find(|(name, _)| *name == release) {
            Some((_, runs)) => runs.push(run),
            None => all.push((release, vec![run])),
        }
    }
    let numbers = |name: &str| -> Vec<u32> { name.split('.').flat_map(str::parse).collect() };
    all.sort_by_key(|(name, _)| numbers(name));
    all
}

pub fn document() -> Document {
    let mut table = "| Debian's | with 64K folios in swap: hit | longest call, s | soft lockups \
                     | without: hit |\n| --- | --- | ---: | ---: | --- |\n"
        .to_owned();
    for (release, runs) in hunts() {
        let of = |folios| Found::of(runs.iter().flat_map(|run| &run.cells), folios);
        let (with, without) = (of("64K"), of("none"));
        let [hit, control] = [&with, &without].map(|found| found.rate().replacen(':', ",", 1));
        let (longest, lockups) = (with.longest(), with.lockups + without.lockups);
        writeln!(table, "| {release} | {hit} | {longest} | {lockups} | {control} |")
            .expect("a string takes it");
    }
    Document { path: PATH, sentences: Vec::new(), blocks: vec![("hits", table)] }
}

/// Each line of the excerpts stands in a report that a committed run has kept.
pub fn console() {
    let dirs = fs::read_dir(root().join(RUNS)).expect(RUNS).flatten();
    let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).expect("a run").flatten());
    let reports = files.filter(|file| file.file_name().to_string_lossy().starts_with("lockup-"));
    let reports: String = reports.map(|file| text(&file.path())).collect();
    let page = text(&root().join(PATH));
    let excerpt: Vec<&str> = page.lines().filter(|line| line.starts_with("    [ ")).collect();
    assert!(excerpt.len() > 10, "{PATH} has lost its excerpt");
    for line in excerpt {
        assert!(reports.lines().any(|kept| kept == line.trim()), "{PATH}: not in a run: {line}");
    }
}
