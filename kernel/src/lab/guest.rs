//! Inside a guest: this program is process 1. It makes a machine of the bare kernel, runs the
//! plan, counts who enters the spinlock's slow path, says everything on the console, and ends
//! the machine.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use results::kernel::RETURNS;
use results::schema::Cell;
use serde::{Deserialize, Serialize};

use super::steps::Steps;
use crate::live::{self, Args};

/// Where the image holds the plan and the modules.
pub const PLAN: &str = "/plan.json";
pub const MODULES: &str = "/modules";
/// Before each line that is ours: the kernel writes to the same console.
pub const MARK: &str = "@swapscale ";

pub const TRACING: &str = "/sys/kernel/tracing";
const SLOW_PATH: &str = "native_queued_spin_lock_slowpath";

/// What the guest says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// user space runs: the release, and why the probes do not count, if they do not
    Up {
        release: String,
        unsupported: Option<String>,
    },
    Cell(Box<Cell>),
    /// the plan is done: conditions, and the trials that gave no cell
    End {
        notes: Vec<String>,
        refused: Vec<String>,
    },
    Failed(String),
}

/// True in a guest of the lab: process 1 with a plan.
pub fn is_guest() -> bool {
    std::process::id() == 1 && Path::new(PLAN).exists()
}

/// The guest's life. It does not return: with process 1 the machine ends.
pub fn main() -> ! {
    let said = match life() {
        Ok(summary) => Said::End { notes: summary.notes, refused: summary.refused },
        Err(why) => Said::Failed(why),
    };
    say(&said);
    // SAFETY: sync and reboot take no memory of ours; process 1 of a throw-away machine.
    unsafe {
        libc::sync();
        libc::reboot(libc::LINUX_REBOOT_CMD_RESTART);
    }
    loop {
        std::thread::park();
    }
}

fn say(said: &Said) {
    println!("{MARK}{}", serde_json::to_string(said).expect("plain data"));
}

fn life() -> Result<live::Summary, String> {
    for (kind, at) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tracefs", TRACING),
        ("cgroup2", "/sys/fs/cgroup"),
    ] {
        mount(kind, at).map_err(|error| format!("mount {at}: {error}"))?;
    }
    // A line of ours must not be torn by one of the kernel's.
    let _ = fs::write("/proc/sys/kernel/printk", "1 1 1 1");
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
        .map_err(|error| format!("cgroup.subtree_control: {error}"))?;
    load_modules()?;
    let slow = SlowPaths::start();
    let steps = Steps::start();
    let unsupported = slow.as_ref().err().or(steps.as_ref().err()).cloned();
    say(&Said::Up { release: live::running().name, unsupported });
    let plan = fs::read(PLAN).map_err(|error| format!("{PLAN}: {error}"))?;
    let args: Args = serde_json::from_slice(&plan).map_err(|error| format!("{PLAN}: {error}"))?;
    let summary = live::run(&args, |_, mut cell, _| {
        if let Ok(slow) = &slow {
            cell.counts.extend(slow.take());
        }
        if let Ok(steps) = &steps {
            steps.cut(&mut cell.swapoff);
        }
        say(&Said::Cell(Box::new(cell)));
        Ok(())
    });
    summary.map_err(|error| error.to_string())
}

fn mount(kind: &str, at: &str) -> io::Result<()> {
    let (name, path) = (CString::new(kind)?, CString::new(at)?);
    // SAFETY: NUL-terminated strings that outlive the call; no data is passed.
    let result =
        unsafe { libc::mount(name.as_ptr(), path.as_ptr(), name.as_ptr(), 0, std::ptr::null()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Loads what the image holds: again and again, as long as one more goes in, since each may
/// need another's symbols first.
fn load_modules() -> Result<(), String> {
    let entries = fs::read_dir(MODULES).map_err(|error| format!("{MODULES}: {error}"))?;
    let mut left: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    loop {
        let before = left.len();
        let mut why = String::new();
        left.retain(|path| match load_module(path) {
            Ok(()) => false,
            Err(error) => {
                why = format!("{}: {error}", path.display());
                true
            }
        });
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            // One that zram can do without may be missing something; zram itself may not.
            let zram = live::has_zram();
            return if zram { Ok(()) } else { Err(format!("cannot load zram: {why}")) };
        }
    }
}

fn load_module(path: &Path) -> io::Result<()> {
    const MODULE_INIT_COMPRESSED_FILE: libc::c_int = 4;
    let compressed = path.extension().is_some_and(|extension| extension != "ko");
    let flags = if compressed { MODULE_INIT_COMPRESSED_FILE } else { 0 };
    let file = File::open(path)?;
    // SAFETY: an open descriptor and an empty NUL-terminated string of parameters.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A kprobe on the slow path of the queued spinlock, with a histogram of the stacks that lead
/// to it; and what the functions return that can fail a swapoff.
struct SlowPaths;

const STACKS: &str = "hist:keys=common_stacktrace:size=4096";
const VALUES: &str = "hist:keys=ret";

impl SlowPaths {
    fn start() -> Result<SlowPaths, String> {
        add(&format!("p:swapscale {SLOW_PATH}"), "swapscale", STACKS)?;
        for function in RETURNS {
            // One that is inlined in this kernel is absent from the counts.
            let _ = add(&format!("r:{function} {function} ret=$retval:s32"), function, VALUES);
        }
        Ok(SlowPaths)
    }

    /// Entries by caller and returned values since the last call, by their names in a cell.
    fn take(&self) -> BTreeMap<String, u64> {
        let callers = by_caller(&drain("swapscale", STACKS)).into_iter();
        let mut counts: BTreeMap<String, u64> =
            callers.map(|(caller, count)| (format!("slowpath:{caller}"), count)).collect();
        for function in RETURNS {
            let values = by_value(&drain(function, VALUES)).into_iter();
            counts.extend(values.map(|(value, n)| (format!("returns:{function}:{value}"), n)));
        }
        counts
    }
}

fn event(name: &str, file: &str) -> PathBuf {
    Path::new(TRACING).join("events/kprobes").join(name).join(file)
}

fn add(probe: &str, name: &str, trigger: &str) -> Result<(), String> {
    append(&Path::new(TRACING).join("kprobe_events"), probe)?;
    append(&event(name, "trigger"), trigger)
}

/// Writes without truncating: opening a trigger file with O_TRUNC removes its triggers.
pub fn append(path: &Path, line: &str) -> Result<(), String> {
    let mut file = File::options().append(true).open(path).map_err(|e| e.to_string())?;
    file.write_all(line.as_bytes()).map_err(|error| format!("{line}: {error}"))
}

/// The histogram of an event, emptied.
fn drain(name: &str, trigger: &str) -> String {
    let counted = fs::read_to_string(event(name, "hist")).unwrap_or_default();
    match append(&event(name, "trigger"), &format!("{trigger}:clear")) {
        Ok(()) => counted,
        // Counts that cannot be told from the next cell's are no counts.
        Err(_) => String::new(),
    }
}

/// The counts of a `hist` file of returned values, which it prints without a sign.
fn by_value(hist: &str) -> BTreeMap<i64, u64> {
    let lines = hist.lines().filter_map(|line| line.trim().strip_prefix("{ ret:"));
    lines
        .filter_map(|line| {
            let (value, count) = line.split_once("} hitcount:")?;
            let value = value.trim();
            let signed = value.parse().or_else(|_| value.parse::<u64>().map(|v| v as i64));
            Some((signed.ok()?, count.trim().parse().ok()?))
        })
        .collect()
}

/// Sums a `hist` file of stack traces by the first function that is not the lock's own.
fn by_caller(hist: &str) -> BTreeMap<String, u64> {
    let mut callers = BTreeMap::new();
    let mut caller: Option<&str> = None;
    for line in hist.lines().map(str::trim) {
        if line.starts_with('{') {
            caller = None;
        } else if let Some(count) = line.strip_prefix("} hitcount:") {
            let count: u64 = count.trim().parse().unwrap_or(0);
            *callers.entry(caller.unwrap_or("unknown").to_owned()).or_insert(0) += count;
        } else if line.starts_with(SLOW_PATH) {
            // What stands above it is the probe's own.
            caller = None;
        } else if caller.is_none() && !line.starts_with('#') {
            let name = line.split(['+', '.', ' ']).next().unwrap_or_default();
            caller = (!name.is_empty() && !live::is_lock_code(name)).then_some(name);
        }
    }
    callers
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIST: &str = "# event histogram\n#\n\
        { common_stacktrace:\n         native_queued_spin_lock_slowpath+0x5/0x2c0\n\
         _raw_spin_lock+0x2a/0x30\n         get_swap_pages+0x8b/0x2a0\n\
         folio_alloc_swap+0x1/0x2\n} hitcount:         12\n\
        { common_stacktrace:\n         kprobe_ftrace_handler+0x12/0x2c0\n\
         0xffffffffc03f80de\n\
         native_queued_spin_lock_slowpath+0x5/0x2c0\n         _raw_spin_lock_irqsave+0x2a/0x30\n         get_swap_pages.isra.0+0x9b/0x2a0\n\
        } hitcount:          3\n\
        { common_stacktrace:\n         native_queued_spin_lock_slowpath+0x5/0x2c0\n\
         _raw_spin_lock+0x2a/0x30\n         __swap_duplicate+0x1b/0x2a0\n} hitcount: 4\n\
        Totals:\n    Hits: 19\n    Entries: 3\n    Dropped: 0\n";

    #[test]
    fn returned_values_get_their_sign_back() {
        let hist = "# event histogram\n\n{ ret: 18446744073709551604 } hitcount:          2\n\
                    { ret:          0 } hitcount:       3703\n\nTotals:\n    Hits: 3705\n";
        assert_eq!(by_value(hist), BTreeMap::from([(-12, 2), (0, 3703)]));
    }

    #[test]
    fn slow_path_entries_are_summed_by_caller() {
        let expected = [("__swap_duplicate", 4), ("get_swap_pages", 15)];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(by_caller(HIST), BTreeMap::from(expected));
    }
}
