//! The ground of a run: its swap device, switched on, and its cgroup. Guards the order: what a run
//! needs is checked before anything is made, and each thing is recorded before it is made.

use std::fs;
use std::path::{Path, PathBuf};

use super::device::{self, Device};
use super::state::{self, Entry, Made};
use super::{Error, cgroup, safety, sys};

/// What a run takes of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// bytes of its zram device
    pub size: u64,
    /// bytes of memory that the workers touch
    pub load: u64,
    /// workers at the same time
    pub processes: u64,
    /// a block device of the user instead of a zram device
    pub swap_device: Option<&'a Path>,
    pub words: &'static safety::Words,
}

impl Needs<'_> {
    /// Checks permission, support and memory. Nothing is made.
    ///
    /// # Errors
    /// [`Error::Refused`] with the reason.
    pub fn check(&self) -> Result<(), Error> {
        let device = if self.swap_device.is_some() { 0 } else { self.size };
        safety::check(device, self.load, self.words)?;
        match self.swap_device {
            Some(_) => Ok(()),
            None => safety::check_zram(self.words),
        }
    }

    /// Bytes of memory for the cgroup: twice what the workers touch, for copies after fork, and
    /// 64 MiB per process.
    pub fn limit(&self) -> u64 {
        2 * self.load + (64 << 20) * (self.processes + 1)
    }
}

/// A machine that is ready for workers. Dropping it undoes everything.
pub struct Ready {
    pub device: Device,
    pub cgroup: PathBuf,
    /// undone before: what a killed run had left
    pub left: Vec<Entry>,
    pub made: Made,
}

impl Ready {
    /// Takes the machine and makes what `needs` asks for. From here on signals end waits.
    ///
    /// # Errors
    /// [`Error`]. All that was made is undone.
    pub fn make(needs: &Needs) -> Result<Ready, Error> {
        sys::catch_signals();
        let hierarchy = hierarchy()?;
        let (mut made, left) = Made::take(&state::directory())?;
        let device = match needs.swap_device {
            Some(path) => device::take(path)?,
            None => device::make_zram(&mut made, needs.size)?,
        };
        made.record(Entry::Swap { device: device.path.clone(), uuid: device.uuid.clone() })?;
        let named = device.path.display();
        sys::swapon(&device.path).map_err(Error::system(format!("swapon {named}")))?;
        let cgroup = hierarchy.own();
        made.record(Entry::Cgroup { path: cgroup.clone() })?;
        hierarchy
            .make(&cgroup, needs.limit())
            .map_err(Error::system(format!("cannot make {}", cgroup.display())))?;
        Ok(Ready { device, cgroup, left, made })
    }
}

/// The hierarchy that has the memory controller.
///
/// # Errors
/// [`Error::Refused`] where there is none, [`Error::System`] where the mounts cannot be read.
pub fn hierarchy() -> Result<cgroup::Hierarchy, Error> {
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    cgroup::find(&mounts.map_err(Error::system("cannot read /proc/self/mountinfo"))?)
}
