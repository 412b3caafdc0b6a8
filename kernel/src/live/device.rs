//! The swap device: a zram device of the run's own, or a block device that its owner has
//! labelled for the purpose. Guards the machine's other devices: nothing without the
//! label or the recorded UUID is switched on, off, formatted or removed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::sys::{self, PAGE};
use super::{Error, state};

/// The label a device must carry to be taken with `--swap-device`.
pub const LABEL: &str = "swapscale";

const ZRAM: &str = "/sys/class/zram-control";
/// `union swap_header` of include/linux/swap.h: where the fields of interest are.
const INFO: usize = 1024;
const UUID: usize = INFO + 12;
const NAME: usize = UUID + 16;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";

/// The first page of a swap area.
fn header(pages: u32, uuid: &[u8; 16]) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    page[INFO..INFO + 4].copy_from_slice(&1u32.to_ne_bytes());
    page[INFO + 4..INFO + 8].copy_from_slice(&(pages - 1).to_ne_bytes());
    page[UUID..NAME].copy_from_slice(uuid);
    page[NAME..NAME + LABEL.len()].copy_from_slice(LABEL.as_bytes());
    page[PAGE - MAGIC.len()..].copy_from_slice(MAGIC);
    page
}

/// UUID and label of the swap area on `device`, if it is one.
fn read_header(device: &Path) -> io::Result<Option<(String, String)>> {
    let mut page = [0; PAGE];
    File::open(device)?.read_exact(&mut page)?;
    if &page[PAGE - MAGIC.len()..] != MAGIC {
        return Ok(None);
    }
    let label = page[NAME..NAME + 16].iter().take_while(|&&b| b != 0).copied().collect();
    Ok(Some((hex(&page[UUID..NAME]), String::from_utf8(label).unwrap_or_default())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A swap area that is ready to be switched on.
#[derive(Clone, Debug)]
pub struct Device {
    /// the block device
    pub path: PathBuf,
    /// the UUID in its header, as hex digits
    pub uuid: String,
    /// its slots: its pages without the header
    pub slots: u64,
    /// what it is, for the report
    pub describe: String,
}

/// Makes, sizes and formats a zram device.
pub fn make_zram(made: &mut state::Made, bytes: u64) -> Result<Device, Error> {
    // The driver's idr gives the lowest free number.
    let id = (0..).find(|id| !sysfs(*id).exists()).expect("a free number");
    made.record(state::Entry::Zram { id, confirmed: false })?;
    let add = Path::new(ZRAM).join("hot_add");
    let failed = |what: String| Error::system(what);
    let id = fs::read_to_string(&add).map_err(failed(format!("cannot read {}", add.display())))?;
    let id: u32 = id
        .trim()
        .parse()
        .map_err(|_| Error::Refused(format!("hot_add gave {id:?}, not a number")))?;
    made.amend(state::Entry::Zram { id, confirmed: true })?;
    let disksize = sysfs(id).join("disksize");
    fs::write(&disksize, bytes.to_string())
        .map_err(failed(format!("cannot write {bytes} to {}", disksize.display())))?;
    let path = PathBuf::from(format!("/dev/zram{id}"));
    let mut uuid = [0; 16];
    let pages = u32::try_from(bytes / PAGE as u64)
        .map_err(|_| Error::Refused(format!("--size {bytes}: more pages than a swap area has")))?;
    let format = |uuid: &mut [u8; 16]| {
        File::open("/dev/urandom")?.read_exact(uuid)?;
        let mut file = OpenOptions::new().write(true).open(&path)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(pages, uuid))?;
        file.sync_all()
    };
    format(&mut uuid).map_err(failed(format!("cannot format {}", path.display())))?;
    let algorithm = fs::read_to_string(sysfs(id).join("comp_algorithm")).unwrap_or_default();
    let chosen = algorithm.split(['[', ']']).nth(1).unwrap_or("unknown").to_owned();
    Ok(Device {
        path,
        uuid: hex(&uuid),
        slots: u64::from(pages) - 1,
        describe: format!("zram, {chosen}, {} MiB", bytes >> 20),
    })
}

/// Takes a device its owner has labelled with `mkswap -L swapscale`.
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
    match read_header(&path) {
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

/// Why the device must not be touched, if it is mounted, swapped on, held or partitioned.
fn in_use(path: &Path, rdev: u64) -> Option<String> {
    let number = format!("{}:{}", libc::major(rdev), libc::minor(rdev));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if mounts.lines().any(|line| line.split(' ').nth(2) == Some(&number)) {
        return Some("it is mounted".into());
    }
    if used_slots(path).is_some() {
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

/// A loop device over a file in memory must not be swapped on: the file's own pages can be
/// swapped out to it, and then the loop driver waits for a write that only it could do. No
/// signal ends that; seen on 6.18 with a file in /dev/shm.
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

/// Slots in use on `device`; None when it is not swapped on.
pub fn used_slots(device: &Path) -> Option<u64> {
    parse_swaps(&fs::read_to_string("/proc/swaps").ok()?, device)
}

fn parse_swaps(swaps: &str, device: &Path) -> Option<u64> {
    let line = swaps.lines().skip(1).find(|line| {
        line.split_whitespace().next().is_some_and(|name| Path::new(name) == device)
    })?;
    let kib: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / 4)
}

/// Switches the area off if it is on and still the one that was recorded.
pub fn stop_swap(device: &Path, uuid: &str) -> io::Result<()> {
    if used_slots(device).is_none() {
        return Ok(());
    }
    match read_header(device)? {
        Some((found, _)) if found == uuid => sys::swapoff(device),
        _ => Err(io::Error::other("its header is not the recorded one: left alone")),
    }
}

/// Removes a zram device; one that is not there is no error. An unconfirmed one goes only
/// while it has no size, since it might be somebody else's.
pub fn remove_zram(id: u32, confirmed: bool) -> io::Result<()> {
    let sysfs = sysfs(id);
    let Ok(size) = fs::read_to_string(sysfs.join("disksize")) else {
        return Ok(());
    };
    if !confirmed && size.trim() != "0" {
        return Ok(());
    }
    fs::write(sysfs.join("reset"), "1")?;
    fs::write(Path::new(ZRAM).join("hot_remove"), id.to_string())
}

fn sysfs(id: u32) -> PathBuf {
    PathBuf::from(format!("/sys/block/zram{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_anything_else_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), header(100, &[7; 16])).unwrap();
        let (uuid, label) = read_header(file.path()).unwrap().unwrap();
        assert_eq!((uuid.as_str(), label.as_str()), ("07".repeat(16).as_str(), LABEL));
        fs::write(file.path(), [0; PAGE]).unwrap();
        assert_eq!(read_header(file.path()).unwrap(), None);
    }

    #[test]
    fn used_slots_are_read_from_proc_swaps() {
        let swaps = "Filename\tType\tSize\tUsed\tPriority\n\
                     /dev/zram10 partition 1048572 8 5\n/dev/zram1 partition 1048572 4096 32767\n";
        assert_eq!(parse_swaps(swaps, Path::new("/dev/zram1")), Some(1024));
        assert_eq!(parse_swaps(swaps, Path::new("/dev/zram2")), None);
    }

    #[test]
    fn a_file_is_refused_as_a_device() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = take(file.path()).unwrap_err().to_string();
        assert!(refused.contains("not a block device"), "{refused}");
    }
}
