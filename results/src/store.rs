//! Runs on disk. Guards that a finished cell is never lost and never counts twice: a run's directory
//! appears whole or not at all, one process at a time writes it, a cell's line is appended whole and
//! synced before `append` returns, and a line torn by a crash is dropped when read, with a note, so
//! that a run can be resumed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use crate::hlog::{self, Interval};
use crate::schema::{Cell, CellKey, Run, SCHEMA};
use crate::{Error, Result, plausible};

const RUN: &str = "run.json";
const CELLS: &str = "cells.jsonl";
/// The process id of the writer, for the message of a second one. The lock on `cells.jsonl` decides,
/// not this file: a writer that was killed leaves it behind.
const WRITER: &str = ".writer";

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

/// The time now, for the name and the date of a run. No interval is measured by it. A clock beyond
/// the year 9999, which is the last one of RFC 3339, reads as the end of that year.
pub fn created_now() -> Timestamp {
    timestamp(SystemTime::now())
}

fn timestamp(time: SystemTime) -> Timestamp {
    let end = if time > SystemTime::UNIX_EPOCH { Timestamp::MAX } else { Timestamp::MIN };
    Timestamp::try_from(time).unwrap_or(end)
}

/// The name of a new run's directory: `<utc-time>-<random>-<host>-<label>`. The random part keeps
/// apart what starts in one second, also in other directories and on hosts of one name.
pub fn run_id(created: Timestamp, host: &str, label: &str) -> String {
    let clean = |text: &str| -> String {
        text.chars()
            .map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
            .collect()
    };
    let (time, random) = (created.strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..1 << 24));
    format!("{time}-{random:06x}-{}-{}", clean(host), clean(label))
}

/// A run being written. No other process can write it meanwhile.
#[derive(Debug)]
pub struct Writer {
    run: Run,
    lock: Lock,
    /// bytes of `cells.jsonl` that are whole lines
    written: u64,
}

/// The right to write a run, as long as `cells.jsonl` is open. It ends with the process, however
/// that ends.
#[derive(Debug)]
struct Lock {
    dir: PathBuf,
    cells: File,
    /// why the file system has no locks (ENOTSUP, ENOLCK), if it has none
    missing: Option<String>,
}

impl Writer {
    /// Make `root/<run.id>` with `run.json` and no cells. Where a run of that name exists, the id
    /// gets a number.
    ///
    /// # Errors
    /// The directory cannot be made; then nothing is left of it.
    pub fn create(root: &Path, run: Run) -> Result<Writer> {
        fs::create_dir_all(root).map_err(Error::io("create directory", root))?;
        let wanted = root.join(&run.id);
        let hidden = root.join(format!(".{}.{:016x}.tmp", run.id, fastrand::u64(..)));
        fs::create_dir(&hidden).map_err(Error::io("create the run", &wanted))?;
        let made = Writer::fill(&hidden, root, run);
        if made.is_err() {
            let _ = fs::remove_dir_all(&hidden);
        }
        made
    }

    /// Fill the `hidden` directory, lock it, and give it its name.
    fn fill(hidden: &Path, root: &Path, mut run: Run) -> Result<Writer> {
        let wanted = run.id.clone();
        let failed = |dir: &Path, error| Error::io("create the run", dir)(error);
        write_new(&hidden.join(CELLS), b"").map_err(|e| failed(&root.join(&wanted), e))?;
        let mut lock = Lock::take(hidden)?;
        for number in 2.. {
            let dir = root.join(&run.id);
            let text = pretty(&run)?;
            write_new(&hidden.join(RUN), text.as_bytes()).map_err(|e| failed(&dir, e))?;
            // The rename fails where another process makes that directory after the look.
            let renamed = if dir.exists() { None } else { Some(fs::rename(hidden, &dir)) };
            match renamed {
                Some(Ok(())) => {
                    sync_dir(root).map_err(|e| failed(&dir, e))?;
                    lock.dir = dir;
                    return Ok(Writer { run, lock, written: 0 });
                }
                Some(Err(error)) if !taken(error.kind()) => return Err(failed(&dir, error)),
                _ => run.id = format!("{wanted}-{number}"),
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Go on with a run: its cells so far, and a torn last line cut off.
    ///
    /// # Errors
    /// As [`load`], or another process writes the run, or `cells.jsonl` cannot be written.
    pub fn resume(dir: &Path) -> Result<(Writer, Loaded)> {
        // The error of a directory that holds no run names `run.json`, as everywhere.
        read(&dir.join(RUN))?;
        // What is read before the lock is held may be half of what another process writes.
        let lock = Lock::take(dir)?;
        let loaded = load(dir)?;
        let path = dir.join(CELLS);
        let written = whole_lines(&read(&path)?).len() as u64;
        lock.cells.set_len(written).map_err(Error::io("cut the torn line of", &path))?;
        Ok((Writer { run: loaded.run.clone(), lock, written }, loaded))
    }

    /// A remark for the reader where the file system has no locks: nothing keeps a second writer
    /// out then.
    pub fn note(&self) -> Option<String> {
        let why = self.lock.missing.as_ref()?;
        let dir = self.dir().display();
        Some(format!("{dir}: not locked ({why}): no other swapscale may write this run meanwhile"))
    }

    /// Adds to the notes of the run's environment, on disk too.
    ///
    /// # Errors
    /// `run.json` cannot be written; then it is as before.
    pub fn remark(&mut self, note: String) -> Result<()> {
        self.run.environment.notes.push(note);
        let text = pretty(&self.run)?;
        self.replace(RUN, &text)?;
        sync_dir(self.dir()).map_err(Error::io("write", &self.dir().join(RUN)))
    }

    /// The run as written, with the id it got.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The run's directory.
    pub fn dir(&self) -> &Path {
        &self.lock.dir
    }

    /// Put a cell on disk.
    ///
    /// # Errors
    /// A figure is not finite, or the disk is full; then the file is as before.
    pub fn append(&mut self, cell: &Cell) -> Result<()> {
        let path = self.dir().join(CELLS);
        let mut line = serde_json::to_vec(cell).map_err(|e| Error::NotStorable {
            problem: format!("a cell of {}: {e}", cell.key.variant),
        })?;
        line.push(b'\n');
        let mut cells = &self.lock.cells;
        if let Err(error) = cells.write_all(&line).and_then(|()| synced(cells.sync_data())) {
            let _ = cells.set_len(self.written);
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
        self.replace(&name, &hlog::encode(intervals)?)?;
        cell.hlog = Some(name);
        Ok(())
    }

    /// Puts a file of the run on disk, whole.
    fn replace(&self, name: &str, text: &str) -> Result<()> {
        let path = self.dir().join(name);
        let hidden = self.dir().join(format!(".{name}.tmp"));
        let made = write_new(&hidden, text.as_bytes()).and_then(|()| fs::rename(&hidden, &path));
        if let Err(error) = made {
            let _ = fs::remove_file(&hidden);
            return Err(Error::io("write", &path)(error));
        }
        Ok(())
    }
}

impl Lock {
    fn take(dir: &Path) -> Result<Lock> {
        let path = dir.join(CELLS);
        let cells =
            OpenOptions::new().append(true).open(&path).map_err(Error::io("open", &path))?;
        let missing = match cells.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(dir.join(WRITER)).unwrap_or_default();
                let pid = if pid.is_empty() { "unknown".into() } else { pid };
                return Err(Error::Locked { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => Some(error.to_string()),
        };
        // For a message only: a disk that is full is met by the first cell.
        let _ = fs::write(dir.join(WRITER), std::process::id().to_string());
        Ok(Lock { dir: dir.to_owned(), cells, missing })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.dir.join(WRITER));
    }
}

/// Whether a rename failed because its target exists.
fn taken(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
    )
}

/// Read one run's directory.
///
/// # Errors
/// A file is missing, damaged, or of a newer schema. A torn last line is a note instead.
pub fn load(dir: &Path) -> Result<Loaded> {
    let path = dir.join(RUN);
    let run = parse_run(&read(&path)?, &path)?;
    let path = dir.join(CELLS);
    let (cells, notes) = parse_cells(&read(&path)?, &path)?;
    Ok(Loaded { dir: dir.to_owned(), run, cells, notes })
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

/// The runs at `paths`, and those of the paths that are there and have none: of a glob over a directory
/// of runs some may hold something else.
///
/// # Errors
///
/// A path is not there or cannot be read, or none of them has a run.
pub fn load_found<P: AsRef<Path>>(paths: &[P]) -> Result<(Vec<Loaded>, Vec<PathBuf>)> {
    let (mut runs, mut without) = (Vec::new(), Vec::new());
    for path in paths.iter().map(P::as_ref) {
        match load_all(&[path]) {
            Ok(found) => runs.extend(found),
            Err(Error::NoRun { .. }) => without.push(path.to_owned()),
            Err(error) => return Err(error),
        }
    }
    match (runs.is_empty(), without.first()) {
        (true, Some(path)) => Err(Error::NoRun { path: path.clone() }),
        _ => Ok((runs, without)),
    }
}

/// The runs at `path`: itself, or its visible subdirectories, by name.
fn run_dirs(path: &Path) -> Result<Vec<PathBuf>> {
    if path.join(RUN).exists() {
        return Ok(vec![path.to_owned()]);
    }
    if path.is_file() {
        return Err(Error::NoRun { path: path.to_owned() });
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

/// The cells of the whole lines of `cells.jsonl`, and remarks: on a torn line behind them, and on
/// cells that stand twice, of which the first counts. `path` is for the message.
///
/// # Errors
/// A whole line is no cell, or has a figure that no machine can give.
pub fn parse_cells(bytes: &[u8], path: &Path) -> Result<(Vec<Cell>, Vec<String>)> {
    let lines = whole_lines(bytes);
    let torn = bytes.len() - lines.len();
    let mut notes = Vec::new();
    if torn > 0 {
        notes.push(format!("the last line is torn ({torn} bytes) and was dropped"));
    }
    let mut first_seen: BTreeMap<CellKey, (usize, usize)> = BTreeMap::new();
    let (mut cells, mut twice): (Vec<Cell>, Vec<String>) = Default::default();
    for (index, text) in lines.split_inclusive(|&b| b == b'\n').enumerate() {
        let line = index + 1;
        let wrong = |problem: String| Error::CorruptLine { path: path.to_owned(), line, problem };
        let cell: Cell = serde_json::from_slice(text).map_err(|e| wrong(e.to_string()))?;
        if let Some(problem) = plausible::problem(&cell) {
            return Err(wrong(problem));
        }
        // A cell that counts twice would make an interval narrower than it is.
        match first_seen.get(&cell.key) {
            Some(&(at, before)) => {
                twice.push(format!("line {line} has the key of line {before}"));
                forget_shared_histograms(&mut cells[at], &cell);
            }
            None => {
                first_seen.insert(cell.key.clone(), (cells.len(), line));
                cells.push(cell);
            }
        }
    }
    if let Some(first) = twice.first() {
        let n = twice.len();
        notes.push(format!("{n} cells stand twice ({first}, ..): the first of each counts"));
    }
    let named = notes.into_iter().map(|note| format!("{}: {note}", path.display()));
    Ok((cells, named.collect()))
}

/// Two writers of one cell have written one file of histograms, and it is not known which of them
/// was last: unless the two cells are equal, neither has histograms.
fn forget_shared_histograms(first: &mut Cell, again: &Cell) {
    if first.hlog == again.hlog && first != again {
        first.hlog = None;
    }
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

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    synced(file.sync_all())
}

/// A rename is on disk only when its directory is.
fn sync_dir(dir: &Path) -> io::Result<()> {
    synced(File::open(dir).and_then(|dir| dir.sync_all()))
}

/// Some file systems cannot sync a directory, and a few no file either (CIFS, 9p, virtiofs, sshfs,
/// vboxsf): they say that the call, the descriptor or the permission is wrong. That is no failure of
/// the disk.
fn synced(result: io::Result<()>) -> io::Result<()> {
    // EBADF and EOPNOTSUPP have no ErrorKind in every version of std.
    let by_number = |error: &io::Error| matches!(error.raw_os_error(), Some(9 | 95));
    let by_kind = |error: &io::Error| {
        use ErrorKind::{InvalidInput, IsADirectory, PermissionDenied, Unsupported};
        matches!(error.kind(), InvalidInput | IsADirectory | PermissionDenied | Unsupported)
    };
    match result {
        Err(error) if by_number(&error) || by_kind(&error) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// By number, as Linux has them on every architecture that Rust supports but MIPS and SPARC.
    #[test]
    fn a_disk_that_cannot_sync_is_no_failure_and_one_that_fails_is() {
        for cannot in [1, 9, 13, 21, 22, 38, 95] {
            assert!(synced(Err(io::Error::from_raw_os_error(cannot))).is_ok(), "errno {cannot}");
        }
        for fails in [5, 28, 30, 122] {
            assert!(synced(Err(io::Error::from_raw_os_error(fails))).is_err(), "errno {fails}");
        }
    }

    #[test]
    fn a_clock_of_any_year_has_a_date() {
        let year = |seconds| {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            timestamp(time).strftime("%Y").to_string()
        };
        assert_eq!((year(0), year(1 << 40)), ("1970".into(), "9999".into()));
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1 << 40);
        assert_eq!(timestamp(before), Timestamp::MIN);
        assert!(run_id(timestamp(before), "host", "label").ends_with("-host-label"));
    }
}
