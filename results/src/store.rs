//! Runs on disk. A run's directory appears whole or not at all, a cell's line is
//! appended whole and synced before `append` returns, and a line torn by a crash
//! is dropped when read, with a note, so that a run can be resumed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::hlog::{self, Interval};
use crate::schema::{Cell, CellKey, Run, SCHEMA};
use crate::{Error, Result};

const RUN: &str = "run.json";
const CELLS: &str = "cells.jsonl";

/// A run as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// directory of the run
    pub dir: PathBuf,
    /// `run.json`
    pub run: Run,
    /// `cells.jsonl`, in its order
    pub cells: Vec<Cell>,
    /// remarks for the reader, such as a torn line that was dropped
    pub notes: Vec<String>,
}

impl Loaded {
    /// The histograms of one cell; empty if it has none.
    ///
    /// # Errors
    /// The file cannot be read, or is no interval log.
    pub fn histograms(&self, cell: &Cell) -> Result<Vec<Interval>> {
        let Some(name) = &cell.hlog else { return Ok(Vec::new()) };
        let path = self.dir.join(name);
        hlog::decode(&read(&path)?, &path)
    }
}

/// The name of a new run's directory.
pub fn run_id(created: Timestamp, host: &str, label: &str) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
            .collect()
    };
    format!("{}-{}-{}", created.strftime("%Y%m%dT%H%M%SZ"), clean(host), clean(label))
}

/// A run being written.
#[derive(Debug)]
pub struct Writer {
    run: Run,
    dir: PathBuf,
    cells: File,
    /// bytes of `cells` that are whole lines
    written: u64,
}

impl Writer {
    /// Make `root/<run.id>` with `run.json` and no cells. Where a run of that name
    /// exists (two in one second), the id gets a number.
    ///
    /// # Errors
    /// The directory cannot be made; then nothing is left of it.
    pub fn create(root: &Path, mut run: Run) -> Result<Writer> {
        fs::create_dir_all(root).map_err(Error::io("create directory", root))?;
        let wanted = run.id.clone();
        let mut number = 1;
        while root.join(&run.id).exists() {
            number += 1;
            run.id = format!("{wanted}-{number}");
        }
        let dir = root.join(&run.id);
        // By process: what one that was killed has left behind must not be in the way.
        let hidden = root.join(format!(".{}.{}.tmp", run.id, std::process::id()));
        let text = pretty(&run)?;
        let made = fs::create_dir(&hidden)
            .and_then(|()| write_new(&hidden.join(RUN), text.as_bytes()))
            .and_then(|()| write_new(&hidden.join(CELLS), b""))
            .and_then(|()| fs::rename(&hidden, &dir))
            .and_then(|()| sync_dir(root));
        if let Err(error) = made {
            let _ = fs::remove_dir_all(&hidden);
            return Err(Error::io("create the run", &dir)(error));
        }
        Writer::open(dir, run, 0)
    }

    /// Go on with a run: its cells so far, and a torn last line cut off.
    ///
    /// # Errors
    /// As [`load`], or `cells.jsonl` cannot be written.
    pub fn resume(dir: &Path) -> Result<(Writer, Loaded)> {
        let loaded = load(dir)?;
        let path = dir.join(CELLS);
        let bytes = read(&path)?;
        let whole = whole_lines(&bytes).len() as u64;
        let writer = Writer::open(dir.to_owned(), loaded.run.clone(), whole)?;
        writer.cells.set_len(whole).map_err(Error::io("cut the torn line of", &path))?;
        Ok((writer, loaded))
    }

    fn open(dir: PathBuf, run: Run, written: u64) -> Result<Writer> {
        let path = dir.join(CELLS);
        let cells =
            OpenOptions::new().append(true).open(&path).map_err(Error::io("open", &path))?;
        Ok(Writer { run, dir, cells, written })
    }

    /// The run as written, with the id it got.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Put a cell on disk.
    ///
    /// # Errors
    /// A figure is not finite, or the disk is full; then the file is as before.
    pub fn append(&mut self, cell: &Cell) -> Result<()> {
        let path = self.dir.join(CELLS);
        let mut line = serde_json::to_vec(cell).map_err(|e| Error::NotStorable {
            problem: format!("a cell of {}: {e}", cell.key.variant),
        })?;
        line.push(b'\n');
        if let Err(error) = self.cells.write_all(&line).and_then(|()| self.cells.sync_data()) {
            let _ = self.cells.set_len(self.written);
            return Err(Error::io("append a cell to", &path)(error));
        }
        self.written += line.len() as u64;
        Ok(())
    }

    /// Put a cell's histograms on disk and name the file in the cell. To be called
    /// before [`Writer::append`], so that no line names a file that is not there.
    ///
    /// # Errors
    /// The file cannot be written; then nothing is left of it.
    pub fn attach(&self, cell: &mut Cell, intervals: &[Interval]) -> Result<()> {
        let name = format!("{:05}.hlog", cell.order_in_run);
        let path = self.dir.join(&name);
        let hidden = self.dir.join(format!(".{name}.tmp"));
        let text = hlog::encode(intervals)?;
        let made = write_new(&hidden, text.as_bytes()).and_then(|()| fs::rename(&hidden, &path));
        if let Err(error) = made {
            let _ = fs::remove_file(&hidden);
            return Err(Error::io("write", &path)(error));
        }
        cell.hlog = Some(name);
        Ok(())
    }
}

/// Read one run's directory.
///
/// # Errors
/// A file is missing, damaged, or of a newer schema. A torn last line is a note instead.
pub fn load(dir: &Path) -> Result<Loaded> {
    let path = dir.join(RUN);
    let run = parse_run(&read(&path)?, &path)?;
    let path = dir.join(CELLS);
    let (cells, note) = parse_cells(&read(&path)?, &path)?;
    Ok(Loaded { dir: dir.to_owned(), run, cells, notes: note.into_iter().collect() })
}

/// Read every run that `paths` name: a run's directory, or one that holds runs.
///
/// # Errors
/// As [`load`], or a path has no run.
pub fn load_all<P: AsRef<Path>>(paths: &[P]) -> Result<Vec<Loaded>> {
    let mut runs = Vec::new();
    for path in paths {
        for dir in run_dirs(path.as_ref())? {
            runs.push(load(&dir)?);
        }
    }
    Ok(runs)
}

/// The runs at `path`: itself, or its visible subdirectories, by name.
fn run_dirs(path: &Path) -> Result<Vec<PathBuf>> {
    if path.join(RUN).exists() {
        return Ok(vec![path.to_owned()]);
    }
    let mut dirs = Vec::new();
    for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
        let entry = entry.map_err(Error::io("read", path))?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().join(RUN).exists() {
            dirs.push(entry.path());
        }
    }
    if dirs.is_empty() {
        return Err(Error::NoRun { path: path.to_owned() });
    }
    dirs.sort();
    Ok(dirs)
}

/// The run that `run.json` holds; `path` is for the message.
///
/// # Errors
/// It is no JSON, lacks a field, or is of a newer schema.
pub fn parse_run(bytes: &[u8], path: &Path) -> Result<Run> {
    let expected = "a run, as JSON with `schema`";
    let value: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt(path, e, expected))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found > u64::from(SCHEMA) => {
            Err(Error::NewerSchema { path: path.to_owned(), found, known: SCHEMA })
        }
        Some(1..) => serde_json::from_value(value).map_err(|e| Error::corrupt(path, e, expected)),
        _ => Err(Error::corrupt(path, "no `schema` number", expected)),
    }
}

/// The cells of the whole lines of `cells.jsonl`, and a remark on a torn line behind them. `path` is
/// for the message.
///
/// # Errors
/// A whole line is no cell, or has the key of an earlier one.
pub fn parse_cells(bytes: &[u8], path: &Path) -> Result<(Vec<Cell>, Option<String>)> {
    let lines = whole_lines(bytes);
    let torn = bytes.len() - lines.len();
    let note = (torn > 0).then(|| {
        format!("{}: the last line is torn ({torn} bytes) and was dropped", path.display())
    });
    let mut first_seen: BTreeMap<CellKey, usize> = BTreeMap::new();
    let mut cells = Vec::new();
    for (index, line) in lines.split_inclusive(|&b| b == b'\n').enumerate() {
        let line_error = |problem: String| Error::CorruptLine {
            path: path.to_owned(),
            line: index + 1,
            problem,
        };
        let cell: Cell = serde_json::from_slice(line).map_err(|e| line_error(e.to_string()))?;
        // A cell that counts twice would make an interval narrower than it is.
        if let Some(before) = first_seen.insert(cell.key.clone(), index + 1) {
            return Err(line_error(format!("the same key as line {before}")));
        }
        cells.push(cell);
    }
    Ok((cells, note))
}

/// The bytes before the last newline: a line without one was torn by a crash.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    &bytes[..end]
}

fn pretty(run: &Run) -> Result<String> {
    serde_json::to_string_pretty(run)
        .map(|text| text + "\n")
        .map_err(|e| Error::NotStorable { problem: format!("run {}: {e}", run.id) })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(Error::io("read", path))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A rename is on disk only when its directory is.
fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}
