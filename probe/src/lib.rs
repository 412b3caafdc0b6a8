//! Measurements beside the operations themselves: counters, noise, the host, and the cost of the
//! probes. Guards that a value that cannot be read is recorded with the reason, never as 0.

use std::io;
use std::path::{Path, PathBuf};

use results::schema::Reading;
use rustix::io::Errno;

mod checkout;
pub mod clock;
pub mod commit;
pub mod counters;
pub mod doctor;
pub mod environment;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod memory;
pub mod noise;
pub mod recorder;

/// The directories of the host's files, or the fixtures of a test.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/etc`
    pub etc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into(), etc: "/etc".into() }
    }
}

impl Roots {
    /// The text of a file below `/proc`, without white space at its end.
    pub fn proc(&self, path: &str) -> Reading<String> {
        read(&self.proc.join(path))
    }

    /// The text of a file below `/sys`, without white space at its end.
    pub fn sys(&self, path: &str) -> Reading<String> {
        read(&self.sys.join(path))
    }

    /// The text of a file below `/etc`, without white space at its end.
    pub fn etc(&self, path: &str) -> Reading<String> {
        read(&self.etc.join(path))
    }
}

fn read(path: &Path) -> Reading<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Reading::Known(text.trim_end().to_owned()),
        Err(error) => Reading::unknown(format!("{}: {}", path.display(), reason(&error))),
    }
}

/// The symbolic name of an errno, as kernel sources spell it, and the words for it.
fn reason(error: &io::Error) -> String {
    let words = error.to_string();
    let name = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "ENOENT",
        Some(Errno::PERM) => "EPERM",
        Some(Errno::ACCESS) => "EACCES",
        Some(Errno::INVAL) => "EINVAL",
        Some(Errno::IO) => "EIO",
        Some(Errno::NODEV) => "ENODEV",
        Some(Errno::MFILE) => "EMFILE",
        Some(Errno::NFILE) => "ENFILE",
        Some(Errno::NOSPC) => "ENOSPC",
        Some(Errno::BUSY) => "EBUSY",
        Some(Errno::NOSYS) => "ENOSYS",
        Some(Errno::OPNOTSUPP) => "EOPNOTSUPP",
        _ => return words,
    };
    format!("{name}: {}", words.split(" (os error").next().unwrap_or_default())
}
