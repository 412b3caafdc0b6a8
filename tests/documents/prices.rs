//! The table of docs/kernel.md of the price files that were measured. Guards that a file cannot be
//! measured anew without the document.

use std::collections::BTreeMap;
use std::fmt::Write;

use std::path::Path;

use serde::Deserialize;

use super::fill::{Claim, claim};
use super::reference::{digits, root, text};

/// Where the price files are.
const FILES: &str = "bench-harness/src/backing";
/// The measured ones, by the content of their pages.
const MEASURED: [(&str, &str); 3] =
    [("same-filled", "zram-same"), ("compressible", "zram"), ("incompressible", "zram-full")];

/// A measured price file, as far as the document tells of it.
#[derive(Deserialize)]
pub struct Prices {
    conditions: BTreeMap<String, String>,
    measured: Vec<Point>,
}

#[derive(Deserialize)]
pub struct Point {
    what: String,
    batch: usize,
    processes: usize,
    pub ns: f64,
    pub least: f64,
    pub most: f64,
    runs: usize,
}

/// The price file `name`.
fn read(name: &str) -> Prices {
    Prices::read(&root().join(FILES).join(name).with_extension("toml"))
}

impl Prices {
    pub fn read(path: &Path) -> Self {
        toml::from_str(&text(path)).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }

    pub fn point(&self, what: &str, batch: usize, processes: usize) -> &Point {
        let mut points = self.measured.iter().filter(|point| point.what == what);
        let point = points.find(|point| (point.batch, point.processes) == (batch, processes));
        point.unwrap_or_else(|| panic!("no {what} of batch {batch}, {processes} processes"))
    }

    /// The time per freed slot of two processes, by that of one.
    fn freed_by_two(&self) -> String {
        digits(self.point("free", 512, 2).ns / self.point("free", 512, 1).ns, 1)
    }
}

/// What the document says around the table.
pub fn sentences() -> Vec<Claim> {
    let (zram, same) = (read("zram"), read("zram-same"));
    let condition = |key: &str| zram.conditions[key].clone();
    vec![
        claim(
            "(`bench-harness/src/backing/zram*.toml`) are of kernel {} on an {} with {} virtual CPUs",
            ["kernel", "cpu", "cpus"].map(condition),
        ),
        claim(
            "two processes take {} times as long per slot as one (512 slots per call), and {} times \
             where pages are same-filled",
            [zram.freed_by_two(), same.freed_by_two()],
        ),
    ]
}

/// A row per content and kind, a column per batch and number of processes.
pub fn table() -> String {
    let mut table = String::from(
        "| pages | per page | 1 page per call | 32 | 512 | 1, two processes | 32, two | 512, two |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (content, file) in MEASURED {
        let prices = read(file);
        for what in ["out", "in", "free"] {
            let cells = [(1, 1), (32, 1), (512, 1), (1, 2), (32, 2), (512, 2)]
                .map(|(batch, processes)| cell(prices.point(what, batch, processes)));
            writeln!(table, "| {content} | {what} | {} |", cells.join(" | ")).expect("a string");
        }
    }
    table
}

/// `480 (470..520)`, with the number of runs where it is not that of all.
fn cell(point: &Point) -> String {
    let Point { ns, least, most, runs, .. } = point;
    let of = if *runs == 9 { String::new() } else { format!(" of {runs}") };
    format!("{ns:.0} ({least:.0}..{most:.0}){of}")
}

#[test]
fn every_price_of_a_stated_file_says_that_it_is_stated() {
    for name in ["brd", "zswap", "ssd"] {
        let path = root().join(FILES).join(name).with_extension("toml");
        let file: toml::Table = toml::from_str(&text(&path)).expect("TOML");
        for price in ["out", "in", "free"] {
            let source = file[price]["source"].as_str().expect("a source");
            assert!(source.starts_with("stated, not measured: "), "{name}.toml: {price}: {source}");
        }
    }
}
