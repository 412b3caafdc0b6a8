//! zram devices by the kernel's control files. Guards the devices of others: one whose making was
//! not confirmed is removed only while it has no size.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::sys::PAGE;

/// Where devices are added and removed.
pub const CONTROL: &str = "/sys/class/zram-control";

/// True where the kernel can make zram devices.
pub fn has_zram() -> bool {
    Path::new(CONTROL).join("hot_add").exists()
}

/// The number that the next device is expected to have: the driver's idr gives the lowest free one.
pub fn next() -> u32 {
    (0..).find(|id| !sysfs(*id).exists()).expect("a free number")
}

/// Makes a device and returns the text of its number.
///
/// # Errors
/// That of reading `hot_add`, which makes it.
pub fn add() -> io::Result<String> {
    fs::read_to_string(Path::new(CONTROL).join("hot_add"))
}

/// The directory of a device's attributes.
pub fn sysfs(id: u32) -> PathBuf {
    PathBuf::from(format!("/sys/block/zram{id}"))
}

/// The compression algorithm of the device at `path`.
pub fn algorithm(path: &Path) -> String {
    let all = fs::read_to_string(attribute(path, "comp_algorithm")).unwrap_or_default();
    all.split(['[', ']']).nth(1).unwrap_or("unknown").into()
}

/// What a device holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    pub pages: u64,
    /// bytes of their compressed objects
    pub bytes: u64,
}

/// What the device at `path` holds, by its `mm_stat`.
///
/// # Errors
/// That of reading the file, or `InvalidData` where its first two fields are no numbers.
pub fn stored(path: &Path) -> io::Result<Stored> {
    let text = fs::read_to_string(attribute(path, "mm_stat"))?;
    let mut fields = text.split_whitespace().map(str::parse::<u64>);
    match (fields.next(), fields.next()) {
        (Some(Ok(original)), Some(Ok(bytes))) => {
            Ok(Stored { pages: original / PAGE as u64, bytes })
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("mm_stat is {text:?}"))),
    }
}

fn attribute(path: &Path, name: &str) -> PathBuf {
    Path::new("/sys/block").join(path.file_name().unwrap_or_default()).join(name)
}

/// Removes a device; it is no error if it does not exist. One that is not `confirmed` is removed
/// only while it has no size, since it might belong to someone else.
///
/// # Errors
/// That of writing `reset` or `hot_remove`: EBUSY while the device is open.
pub fn remove(id: u32, confirmed: bool) -> io::Result<()> {
    let sysfs = sysfs(id);
    let Ok(size) = fs::read_to_string(sysfs.join("disksize")) else {
        return Ok(());
    };
    if !confirmed && size.trim() != "0" {
        return Ok(());
    }
    fs::write(sysfs.join("reset"), "1")?;
    fs::write(Path::new(CONTROL).join("hot_remove"), id.to_string())
}
