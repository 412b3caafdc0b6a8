//! A record of everything that the driver makes on this machine, written to disk before it is made.
//! It is undone at the end of the run, after an error, after a signal, and, after kill -9, by the
//! next start. Guards everything else: what is not recorded here is never undone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, cgroup, swap_area, within, zram};

/// One thing that has to be undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A zram device. Unconfirmed, `id` is the number that hot_add is expected to give.
    Zram { id: u32, confirmed: bool },
    /// A swap area that may be on; `uuid` is the one in its header.
    Swap { device: PathBuf, uuid: String },
    /// A memory cgroup and the processes that still run in it.
    Cgroup { path: PathBuf },
    /// A file of sysfs and the text that it had before.
    Setting { path: PathBuf, before: String },
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entry::Zram { id, confirmed: true } => write!(f, "zram device /dev/zram{id}"),
            Entry::Zram { id, .. } => write!(f, "zram device /dev/zram{id}, if it was made"),
            Entry::Swap { device, .. } => write!(f, "swap on {}", device.display()),
            Entry::Cgroup { path } => write!(f, "memory cgroup {}", path.display()),
            Entry::Setting { path, before } => {
                write!(f, "{} (was {before})", path.display())
            }
        }
    }
}

/// The state file.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    boot: String,
    pid: u32,
    entries: Vec<Entry>,
}

/// The directory of the state file. There is one per machine, as there is one swap per machine.
pub fn directory() -> PathBuf {
    if Path::new("/run").is_dir() {
        return "/run/swapscale".into();
    }
    std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(|| "/tmp/swapscale".into(), |dir| PathBuf::from(dir).join("swapscale"))
}

/// The record of this run. Only one run can hold it. Dropping it undoes what is left.
pub struct Made {
    file: PathBuf,
    entries: Vec<Entry>,
    _lock: File,
}

impl Made {
    /// Takes the machine, and first undoes what a killed run has left, which it returns too.
    ///
    /// # Errors
    /// [`Error::Refused`] while another run holds the machine or where the state file is broken,
    /// [`Error::System`] where a file cannot be used or a step of the undoing fails.
    pub fn take(directory: &Path) -> Result<(Made, Vec<Entry>), Error> {
        let io = |what: &str| Error::system(format!("{what} {}", directory.display()));
        fs::create_dir_all(directory).map_err(io("cannot make"))?;
        let lock = File::create(directory.join("lock")).map_err(io("cannot lock"))?;
        // A run was just killed while it started a worker: the worker may still hold the lock.
        let attempt = || lock.try_lock().map_err(io::Error::from);
        if within(Duration::from_secs(2), attempt).is_err() {
            let file = directory.join("state.json");
            let owner = read(&file).ok().flatten().map_or(String::new(), |r| format!(" {}", r.pid));
            return Err(Error::Refused(format!(
                "another run{owner} holds {}: wait for it or end it",
                directory.display()
            )));
        }
        let file = directory.join("state.json");
        let entries = read(&file)?.map_or_else(Vec::new, |recorded| recorded.entries);
        let left = entries.clone();
        let mut made = Made { file, entries, _lock: lock };
        made.undo()?;
        Ok((made, left))
    }

    /// Records `entry`; the caller may then make it.
    ///
    /// # Errors
    /// [`Error::System`] where the state file cannot be written.
    pub fn record(&mut self, entry: Entry) -> Result<(), Error> {
        self.entries.push(entry);
        self.save()
    }

    /// Replaces the last entry, once more is known about it.
    ///
    /// # Errors
    /// [`Error::System`] where the state file cannot be written.
    pub fn amend(&mut self, entry: Entry) -> Result<(), Error> {
        self.entries.pop();
        self.record(entry)
    }

    /// Undoes everything, newest first. What cannot be undone stays recorded.
    ///
    /// # Errors
    /// [`Error::System`] with the first entry that cannot be undone.
    pub fn undo(&mut self) -> Result<(), Error> {
        while let Some(entry) = self.entries.last() {
            undo(entry).map_err(|source| Error::System {
                what: format!("cannot undo {entry} (recorded in {})", self.file.display()),
                source,
            })?;
            self.entries.pop();
            self.save()?;
        }
        Ok(())
    }

    fn save(&self) -> Result<(), Error> {
        let failed = Error::system(format!("cannot write {}", self.file.display()));
        let write = || {
            if self.entries.is_empty() {
                return match fs::remove_file(&self.file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                    _ => Ok(()),
                };
            }
            let recorded =
                Recorded { boot: boot(), pid: std::process::id(), entries: self.entries.clone() };
            let next = self.file.with_extension("next");
            let mut file = File::create(&next)?;
            serde_json::to_writer_pretty(&mut file, &recorded)?;
            file.flush()?;
            file.sync_all()?;
            fs::rename(&next, &self.file)
        };
        write().map_err(failed)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            // Standard error may be closed.
            let _ =
                writeln!(std::io::stderr(), "swapscale: {error}; try `swapscale kernel cleanup`");
        }
    }
}

/// The recorded entries and the pid that recorded them; `None` where nothing is recorded. It takes
/// no lock.
///
/// # Errors
/// [`Error::System`] where the state file cannot be read, [`Error::Refused`] where it is broken.
pub fn status(directory: &Path) -> Result<Option<(u32, Vec<Entry>)>, Error> {
    Ok(read(&directory.join("state.json"))?.map(|recorded| (recorded.pid, recorded.entries)))
}

/// The state file, unless it is of an earlier boot: nothing of that still exists.
fn read(file: &Path) -> Result<Option<Recorded>, Error> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::System { what: format!("cannot read {}", file.display()), source });
        }
    };
    let recorded: Recorded = serde_json::from_str(&text).map_err(|error| {
        Error::Refused(format!(
            "{}: not a state file of swapscale ({error}); look for a zram device and a \
             cgroup of ours by hand, then remove it",
            file.display()
        ))
    })?;
    Ok((recorded.boot == boot()).then_some(recorded))
}

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map_or_else(|_| "unknown".into(), |id| id.trim().into())
}

fn undo(entry: &Entry) -> io::Result<()> {
    let patience = Duration::from_secs(20);
    match entry {
        Entry::Zram { id, confirmed } => within(patience, || zram::remove(*id, *confirmed)),
        Entry::Swap { device, uuid } => within(patience, || swap_area::stop(device, uuid)),
        Entry::Cgroup { path } => within(patience, || cgroup::remove(path)),
        Entry::Setting { path, before } => fs::write(path, before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(path: &Path) -> Entry {
        Entry::Setting { path: path.into(), before: "never".into() }
    }

    #[test]
    fn what_is_recorded_is_on_disk_and_undone_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let knob = dir.path().join("knob");
        fs::write(&knob, "never").unwrap();
        let (mut made, left) = Made::take(dir.path()).unwrap();
        assert!(left.is_empty());
        made.record(setting(&knob)).unwrap();
        fs::write(&knob, "always").unwrap();
        assert_eq!(status(dir.path()).unwrap().unwrap().1, [setting(&knob)]);
        drop(made);
        assert_eq!(fs::read_to_string(&knob).unwrap(), "never");
        assert_eq!(status(dir.path()).unwrap(), None);
    }

    #[test]
    fn the_next_start_undoes_what_a_killed_run_left() {
        let dir = tempfile::tempdir().unwrap();
        let knob = dir.path().join("knob");
        fs::write(&knob, "always").unwrap();
        let recorded = Recorded { boot: boot(), pid: 1, entries: vec![setting(&knob)] };
        let text = serde_json::to_string(&recorded).unwrap();
        fs::write(dir.path().join("state.json"), text).unwrap();
        let (_made, left) = Made::take(dir.path()).unwrap();
        assert_eq!(left, [setting(&knob)]);
        assert_eq!(fs::read_to_string(&knob).unwrap(), "never");
    }

    #[test]
    fn a_record_of_another_boot_is_not_acted_on() {
        let dir = tempfile::tempdir().unwrap();
        let knob = dir.path().join("knob");
        fs::write(&knob, "always").unwrap();
        let recorded = Recorded { boot: "other".into(), pid: 1, entries: vec![setting(&knob)] };
        let text = serde_json::to_string(&recorded).unwrap();
        fs::write(dir.path().join("state.json"), text).unwrap();
        let (_made, left) = Made::take(dir.path()).unwrap();
        assert!(left.is_empty());
        assert_eq!(fs::read_to_string(&knob).unwrap(), "always");
    }

    #[test]
    fn two_runs_cannot_hold_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let (_made, _) = Made::take(dir.path()).unwrap();
        let refused = Made::take(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("another run"), "{refused}");
    }

    #[test]
    fn a_broken_state_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.json"), "{").unwrap();
        let refused = Made::take(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("state.json"), "{refused}");
    }
}
