//! What is looked at before anything is made: may we, can we, and could it hurt.

use std::fs;
use std::path::Path;

use super::{Error, sys};

/// Memory that must stay free whatever the run does.
const RESERVE: u64 = 256 << 20;

const CONTROL: &str = "/sys/class/zram-control";

/// Refuses where the machine can't do it or the run could hurt it: `device_bytes` is the swap
/// device (a zram device holds them in memory), `load_bytes` what the workers touch.
pub fn check(device_bytes: u64, load_bytes: u64) -> Result<(), Error> {
    if !sys::is_root() {
        return Err(Error::Refused(
            "--machine kernel makes and switches swap devices: it needs root".into(),
        ));
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
            "{} MiB of memory are available and the run may take {} MiB: give a smaller --size",
            available >> 20,
            needed >> 20
        )));
    }
    Ok(())
}

/// Refuses where no zram device can be made, seen and removed again. Reading hot_add makes one
/// even where nothing may be written, so this has to be known before.
pub fn check_zram() -> Result<(), Error> {
    let refuse = |why: &str| Err(Error::Refused(format!("{why}, or give --swap-device")));
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

/// True where the kernel can make zram devices.
pub fn has_zram() -> bool {
    Path::new(CONTROL).join("hot_add").exists()
}

/// CAP_SYS_ADMIN, and not just that of a user namespace.
fn is_admin() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let caps = caps.and_then(|caps| u64::from_str_radix(caps.trim(), 16).ok()).unwrap_or(0);
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
    caps & CAP_SYS_ADMIN != 0 && initial
}

/// MemAvailable, KiB.
pub fn available_kib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}
