//! What is measured beside the operations themselves: counters, noise, the host, and what the
//! probes cost. Guards that a value which could not be had is recorded with its reason, never as 0.

use std::io;
use std::path::{Path, PathBuf};

use results::schema::Reading;

pub mod clock;
pub mod counters;
pub mod doctor;
pub mod environment;
#[cfg(test)]
mod fixture;
pub mod noise;
pub mod recorder;

/// Where the kernel's files are: `/proc` and `/sys`, or the fixture trees of a test.
#[derive(Clone, Debug)]
pub struct Roots {
    pub proc: PathBuf,
    pub sys: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

impl Roots {
    /// A file below `/proc`, without the last newline.
    pub fn proc(&self, path: &str) -> Reading<String> {
        read(&self.proc.join(path))
    }

    /// A file below `/sys`, without the last newline.
    pub fn sys(&self, path: &str) -> Reading<String> {
        read(&self.sys.join(path))
    }
}

fn read(path: &Path) -> Reading<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Reading::Known(text.trim_end().to_owned()),
        Err(error) => Reading::unknown(format!("{}: {}", path.display(), reason(&error))),
    }
}

/// `error` by the name a kernel reader knows, and in words.
fn reason(error: &io::Error) -> String {
    let Some(errno) = error.raw_os_error() else { return error.to_string() };
    let name = match errno {
        libc::ENOENT => "ENOENT",
        libc::EPERM => "EPERM",
        libc::EACCES => "EACCES",
        libc::EINVAL => "EINVAL",
        libc::EIO => "EIO",
        libc::ENODEV => "ENODEV",
        libc::EMFILE => "EMFILE",
        libc::ENFILE => "ENFILE",
        libc::ENOSPC => "ENOSPC",
        libc::EBUSY => "EBUSY",
        libc::ENOSYS => "ENOSYS",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        _ => return error.to_string(),
    };
    let words = error.to_string();
    format!("{name}: {}", words.split(" (os error").next().unwrap_or_default())
}
