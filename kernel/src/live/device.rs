//! The swap device: a zram device that the run makes, or a block device that its owner has
//! labelled for the purpose. Guards the machine's other devices: none without the label is
//! formatted or switched on.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::state::{Entry, Made};
use super::swap_area::{self, LABEL};
use super::sys::{self, PAGE};
use super::{Error, zram};

/// A swap area that is ready to be switched on.
#[derive(Clone, Debug)]
pub struct Device {
    /// the block device
    pub path: PathBuf,
    /// the UUID in its header, as hex digits
    pub uuid: String,
    /// its pages without the header
    pub slots: u64,
    /// kind and size, for the report
    pub describe: String,
}

/// Makes, sizes and formats a zram device of `bytes` bytes.
///
/// # Errors
/// [`Error::System`] where the kernel refuses a step, [`Error::Refused`] where `bytes` are more
/// than a swap area can have.
pub fn make_zram(made: &mut Made, bytes: u64) -> Result<Device, Error> {
    made.record(Entry::Zram { id: zram::next(), confirmed: false })?;
    let control = zram::CONTROL;
    let id = zram::add().map_err(Error::system(format!("cannot read {control}/hot_add")))?;
    let id: u32 = id
        .trim()
        .parse()
        .map_err(|_| Error::Refused(format!("hot_add gave {id:?}, not a number")))?;
    made.amend(Entry::Zram { id, confirmed: true })?;
    let disksize = zram::sysfs(id).join("disksize");
    let failed = Error::system(format!("cannot write {bytes} to {}", disksize.display()));
    fs::write(&disksize, bytes.to_string()).map_err(failed)?;
    let path = PathBuf::from(format!("/dev/zram{id}"));
    let pages = u32::try_from(bytes / PAGE as u64)
        .map_err(|_| Error::Refused(format!("--size {bytes}: more pages than a swap area has")))?;
    let failed = Error::system(format!("cannot format {}", path.display()));
    let uuid = swap_area::format(&path, pages).map_err(failed)?;
    let describe = format!("zram, {}, {} MiB", zram::algorithm(&path), bytes >> 20);
    Ok(Device { path, uuid, slots: u64::from(pages) - 1, describe })
}

/// Takes a device that its owner has labelled with `mkswap -L swapscale`.
///
/// # Errors
/// [`Error::Refused`] where it is no block device, is in use, or lacks the label; [`Error::System`]
/// where its size cannot be read.
pub fn take(device: &Path) -> Result<Device, Error> {
    let named = device.display();
    let refuse = |why: String| Err(Error::Refused(format!("--swap-device {named}: {why}")));
    let path = match device.canonicalize() {
        Ok(path) => path,
        Err(error) => return refuse(error.to_string()),
    };
    let metadata = fs::metadata(&path).map_err(Error::system(format!("cannot stat {named}")))?;
    if !metadata.file_type().is_block_device() {
        return refuse("not a block device".into());
    }
    if let Some(why) = in_use(&path, metadata.rdev()).or_else(|| loop_on_memory(&path)) {
        return refuse(why);
    }
    match swap_area::read_header(&path) {
        Ok(Some((uuid, label))) if label == LABEL => {
            let size = File::open(&path).and_then(|mut file| file.seek(SeekFrom::End(0)));
            let size = size.map_err(Error::system(format!("cannot size {named}")))?;
            let slots = (size / PAGE as u64).saturating_sub(1);
            let describe = format!("{}, {} MiB", path.display(), size >> 20);
            Ok(Device { path, uuid, slots, describe })
        }
        Ok(_) => refuse(format!(
            "not one of ours: it must hold a swap area labelled {LABEL}; if all on it may be \
             lost, run: mkswap -L {LABEL} {named}"
        )),
        Err(error) => refuse(error.to_string()),
    }
}

/// Why the device must not be touched: it is mounted, swapped on, held or partitioned.
fn in_use(path: &Path, rdev: u64) -> Option<String> {
    let number = format!("{}:{}", rustix::fs::major(rdev), rustix::fs::minor(rdev));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if mounts.lines().any(|line| line.split(' ').nth(2) == Some(&number)) {
        return Some("it is mounted".into());
    }
    if swap_area::used_slots(path).is_some() {
        return Some("it is swapped on already".into());
    }
    let sysfs = PathBuf::from(format!("/sys/dev/block/{number}"));
    let name = path.file_name()?.to_string_lossy().into_owned();
    let mut holders = fs::read_dir(sysfs.join("holders")).into_iter().flatten().flatten();
    if let Some(entry) = holders.next() {
        return Some(format!("{} holds it", entry.file_name().to_string_lossy()));
    }
    let parts = fs::read_dir(&sysfs).into_iter().flatten().flatten();
    if parts.map(|e| e.file_name()).any(|e| e.to_string_lossy().starts_with(&name)) {
        return Some("it has partitions".into());
    }
    None
}

/// Why a loop device must not be swapped on, if its file is in memory. The file's own pages could
/// be swapped out to the device, and then the loop driver would wait for a write that only it can
/// make. No signal ends that (seen on 6.18 with a file in /dev/shm).
fn loop_on_memory(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().into_owned();
    let backing = PathBuf::from(format!("/sys/block/{name}/loop/backing_file"));
    let file = fs::read_to_string(backing).ok()?;
    let file = file.trim_end();
    match sys::is_in_memory(Path::new(file)) {
        Ok(false) => None,
        Ok(true) => Some(format!("its file {file} is in memory and could be swapped out to it")),
        Err(error) => Some(format!("its file {file}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_refused_as_a_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = take(file.path()).unwrap_err().to_string();
        assert!(refused.contains("not a block device"), "{refused}");
    }
}
