//! A swap area on a block device: its header, and what /proc/swaps says of it. Guards the areas of
//! others: nothing is switched off but the area whose UUID was recorded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::sys::{self, PAGE};

/// The label of the areas that the driver makes, and that a device must carry to be taken with
/// `--swap-device`.
pub const LABEL: &str = "swapscale";

/// Slots in a cluster: SWAPFILE_CLUSTER of mm/swap.h with transparent huge pages.
pub const CLUSTER: usize = 512;

/// Offsets of `union swap_header`, include/linux/swap.h.
const INFO: usize = 1024;
const UUID: usize = INFO + 12;
const NAME: usize = UUID + 16;
const MAGIC: &[u8; 10] = b"SWAPSPACE2";

/// Writes the header of an area of `pages` pages, with a random UUID, which is returned in hex.
///
/// # Errors
/// That of opening, writing or syncing the device.
pub fn format(device: &Path, pages: u32) -> io::Result<String> {
    let mut uuid = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut uuid)?;
    let mut file = OpenOptions::new().write(true).open(device)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header(pages, &uuid))?;
    file.sync_all()?;
    Ok(hex(&uuid))
}

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

/// UUID and label of the swap area on `device`; `None` where it holds something else.
///
/// # Errors
/// That of opening or reading the device.
pub fn read_header(device: &Path) -> io::Result<Option<(String, String)>> {
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

/// Slots in use on `device`; `None` when it is not swapped on.
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

/// Switches the area off if it is on and still has the recorded `uuid`.
///
/// # Errors
/// That of swapoff(2), or a header with another UUID.
pub fn stop(device: &Path, uuid: &str) -> io::Result<()> {
    if used_slots(device).is_none() {
        return Ok(());
    }
    match read_header(device)? {
        Some((found, _)) if found == uuid => sys::swapoff(device),
        _ => Err(io::Error::other("its header is not the recorded one: left alone")),
    }
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
}
