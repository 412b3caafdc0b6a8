//! Checks before a run makes anything: permission, support by the kernel, and enough memory. Guards
//! the host from a run that could not end well.

use std::fs;
use std::path::Path;

use super::zram::{CONTROL, has_zram};
use super::{Error, sys};

/// Bytes of memory that must stay free.
const RESERVE: u64 = 256 << 20;

/// How a command is called in a refusal, and what its user can do.
#[derive(Debug)]
pub struct Words {
    pub command: &'static str,
    /// against too little memory
    pub less: &'static str,
    /// instead of a zram device, with a comma in front; empty where there is nothing
    pub instead: &'static str,
}

/// Checks permission, swap support and memory. `device_bytes` is the size of a zram device, which
/// holds its content in memory; `load_bytes` is the memory that the workers touch.
///
/// # Errors
/// [`Error::Refused`] with the reason.
pub fn check(device_bytes: u64, load_bytes: u64, words: &Words) -> Result<(), Error> {
    if !sys::is_root() {
        let command = words.command;
        return Err(Error::Refused(format!(
            "{command} makes and switches swap devices: it needs root"
        )));
    }
    if !is_admin() {
        return Err(Error::Refused(
            "root without CAP_SYS_ADMIN on this machine (a container?) may not switch swap".into(),
        ));
    }
    if !Path::new("/proc/swaps").exists() {
        return Err(Error::Refused("this kernel has no swap (CONFIG_SWAP is not set)".into()));
    }
    let available = available_kib().unwrap_or(0) << 10;
    let needed = device_bytes + load_bytes + RESERVE;
    if available < needed {
        return Err(Error::Refused(format!(
            "{} MiB of memory are available and the run may take {} MiB: {}",
            available >> 20,
            needed >> 20,
            words.less
        )));
    }
    Ok(())
}

/// Checks that a zram device can be made, seen and removed again. Reading hot_add makes one even
/// where nothing may be written, so this comes first.
///
/// # Errors
/// [`Error::Refused`] with the reason and what to do.
pub fn check_zram(words: &Words) -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Refused(format!("{why}{}", words.instead)));
    if !has_zram() {
        return refuse(&format!("no {CONTROL}: load it (modprobe zram)"));
    }
    if !sys::writable(&Path::new(CONTROL).join("hot_remove")) {
        return refuse(&format!("{CONTROL} is read-only: run outside of the container"));
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    if !mounts.lines().any(|line| line.contains(" /dev devtmpfs ")) {
        return refuse(
            "/dev is no devtmpfs and would not show the device: run outside of the container",
        );
    }
    Ok(())
}

/// True with CAP_SYS_ADMIN in the initial user namespace; that of another namespace does not count.
fn is_admin() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let caps = caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok()).unwrap_or(0);
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    caps & CAP_SYS_ADMIN != 0 && initial
}

/// MemAvailable of /proc/meminfo, KiB.
pub fn available_kib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}
