//! docs/findings/steal-loop.md: how often the committed hunts hit the loop, and what the kernel said.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use results::lab::Found;
use results::schema::Cell;
use results::store::{self, Loaded};

use super::Document;
use super::reference::{root, text};

const RUNS: &str = "results/reference/lockup";
pub const PATH: &str = "docs/findings/steal-loop.md";

/// The cells of all hunts by the numbers of their release, then by the CPUs of the guest.
fn hunts() -> BTreeMap<(Vec<u32>, u32), Vec<Cell>> {
    let mut all: BTreeMap<_, Vec<Cell>> = BTreeMap::new();
    for Loaded { run, cells, .. } in
        store::load_all(&[root().join(RUNS)]).expect("the committed hunts")
    {
        let release = run.machine.name.split('+').next().expect("a first part");
        let release: Vec<u32> = release.split('.').flat_map(str::parse).collect();
        for cell in cells {
            all.entry((release.clone(), cell.key.threads + 1)).or_default().push(cell);
        }
    }
    all
}

pub fn document() -> Document {
    let mut table = "| Debian's | vCPUs | with 64K folios in swap: hit | longest call, s | soft \
                     lockups | without: hit |\n| --- | ---: | --- | ---: | ---: | --- |\n"
        .to_owned();
    for ((release, cpus), cells) in hunts() {
        let release: Vec<String> = release.iter().map(u32::to_string).collect();
        let (with, without) = (Found::of(cells.iter(), "64K"), Found::of(cells.iter(), "none"));
        let [hit, control] = [&with, &without].map(|found| found.rate().replacen(':', ",", 1));
        let (longest, lockups) = (with.longest(), with.lockups + without.lockups);
        let release = release.join(".");
        writeln!(table, "| {release} | {cpus} | {hit} | {longest} | {lockups} | {control} |")
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
