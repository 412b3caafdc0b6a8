//! The run's memory cgroup, in the hierarchy (v2 or v1) that has the memory controller. Guards the
//! host's memory: workers cannot exceed the limit, and processes left by a crash can be found.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::{Error, sys};

/// The hierarchy that has the memory controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Hierarchy {
    /// mount point
    pub root: PathBuf,
    /// 1 or 2
    pub version: u8,
}

/// Finds the hierarchy with the memory controller in the text of a mountinfo file.
///
/// # Errors
/// [`Error::Refused`] where there is none, or no cgroup with a limit can be made in it.
pub fn find(mountinfo: &str) -> Result<Hierarchy, Error> {
    let mut mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let root = PathBuf::from(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1)?);
        match kind {
            "cgroup" if options.split(',').any(|o| o == "memory") => {
                Some(Hierarchy { root, version: 1 })
            }
            "cgroup2" if has_memory(&root.join("cgroup.controllers")) => {
                Some(Hierarchy { root, version: 2 })
            }
            _ => None,
        }
    });
    let found = mounts.next().ok_or_else(|| {
        Error::Refused("no cgroup hierarchy with the memory controller is mounted".into())
    })?;
    let control = found.root.join("cgroup.subtree_control");
    if found.version == 2 && !has_memory(&control) {
        return Err(Error::Refused(format!(
            "the memory controller is not enabled for cgroups below {root}: \
             echo +memory > {root}/cgroup.subtree_control",
            root = found.root.display()
        )));
    }
    if !sys::writable(&found.root) {
        let root = found.root.display();
        return Err(Error::Refused(format!("no cgroup can be made in {root}: it is read-only")));
    }
    Ok(found)
}

fn has_memory(controllers: &Path) -> bool {
    fs::read_to_string(controllers).is_ok_and(|list| list.split_whitespace().any(|c| c == "memory"))
}

impl Hierarchy {
    /// The path of this run's cgroup.
    pub fn own(&self) -> PathBuf {
        self.root.join(format!("swapscale-{}", std::process::id()))
    }

    /// Makes the cgroup, limited to `bytes` of memory.
    ///
    /// # Errors
    /// That of mkdir(2) or of writing the limit.
    pub fn make(&self, path: &Path, bytes: u64) -> io::Result<()> {
        fs::create_dir(path)?;
        let limit = if self.version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(path.join(limit), bytes.to_string())
    }
}

/// Moves the calling process to the cgroup.
///
/// # Errors
/// That of writing to it.
pub fn enter(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), "0")
}

/// Kills the processes in the cgroup and removes it.
///
/// # Errors
/// That of rmdir(2): EBUSY until the last process is gone.
pub fn remove(path: &Path) -> io::Result<()> {
    let Ok(procs) = fs::read_to_string(path.join("cgroup.procs")) else {
        return Ok(());
    };
    // A process of another pid namespace is shown as 0, which would kill our own group.
    let pids = procs.lines().filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
    pids.for_each(sys::kill);
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_is_found_by_its_controller() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mountinfo = format!(
            "30 24 0:26 / /cpu rw - cgroup cgroup rw,cpu\n\
             34 24 0:30 / {} rw,relatime - cgroup cgroup rw,memory\n",
            root.display()
        );
        assert_eq!(find(&mountinfo).unwrap(), Hierarchy { root: root.into(), version: 1 });
    }

    #[test]
    fn v2_counts_only_with_the_memory_controller_enabled_below() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let mountinfo = format!("30 24 0:26 / {root} rw - cgroup2 cgroup2 rw\n");
        assert!(find(&mountinfo).unwrap_err().to_string().contains("no cgroup"));
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert!(find(&mountinfo).unwrap_err().to_string().contains("+memory"));
        fs::write(dir.path().join("cgroup.subtree_control"), "memory\n").unwrap();
        assert_eq!(find(&mountinfo).unwrap().version, 2);
    }
}
