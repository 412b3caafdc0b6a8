//! Inside a guest, where this program is process 1: mounts file systems and loads modules so that
//! the live driver can run, runs the plan, reports everything on the console, and ends the machine.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use results::kernel::ACQUISITIONS;
use results::schema::Cell;
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;
use serde::{Deserialize, Serialize};

use super::Task;
use super::acquisitions::Acquisitions;
use super::hunt::{self, Begun, Ended};
use super::slow_path::SlowPaths;
use super::steps::Steps;
use super::tracefs::TRACING;
use crate::live::{self, Args, Workload};

/// Where the image holds the plan.
pub const PLAN: &str = "/plan.json";
/// Where the image holds the modules.
pub const MODULES: &str = "/modules";
/// Levels of the kernel's messages on the console: others would tear our lines there.
pub const ONLY_THE_GRAVEST: &str = "1 1 1 1";
/// Prefix of each line of this program: the kernel writes to the same console.
pub const MARK: &str = "@swapscale ";

/// A message from the guest to the lab: one line on the console.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// user space runs: the kernel's release, and why the probes do not count, if they do not
    Up { release: String, unsupported: Option<String> },
    /// one trial was measured
    Cell(Box<Cell>),
    /// a swapoff of a hunt is about to begin
    Begun(Begun),
    /// it has ended
    Ended(Ended),
    /// the kernel has reported a soft lockup. No guest sends it: the console makes it of the line
    Lockup,
    /// the plan is done: conditions, and the trials that gave no cell
    End { notes: Vec<String>, refused: Vec<String> },
    /// the plan could not be run, and why
    Failed(String),
}

/// True in a guest of the lab: process 1 with a plan.
pub fn is_guest() -> bool {
    std::process::id() == 1 && Path::new(PLAN).exists()
}

/// Runs the plan as process 1. It does not return: it ends the machine.
pub fn main() -> ! {
    send(&run().unwrap_or_else(Message::Failed));
    rustix::fs::sync();
    let _ = rustix::system::reboot(RebootCommand::Restart);
    // If init returned, the kernel would panic.
    loop {
        std::thread::park();
    }
}

fn send(message: &Message) {
    println!("{MARK}{}", serde_json::to_string(message).expect("plain data"));
}

/// Returns the last message.
fn run() -> Result<Message, String> {
    for (kind, at) in [
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("devtmpfs", "/dev"),
        ("tmpfs", "/run"),
        ("tracefs", TRACING),
        ("cgroup2", "/sys/fs/cgroup"),
    ] {
        rustix::mount::mount(kind, at, kind, MountFlags::empty(), None)
            .map_err(|error| format!("mount {at}: {}", io::Error::from(error)))?;
    }
    let _ = fs::write("/proc/sys/kernel/printk", ONLY_THE_GRAVEST);
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory")
        .map_err(|error| format!("cgroup.subtree_control: {error}"))?;
    let plan = fs::read(PLAN).map_err(|error| format!("{PLAN}: {error}"))?;
    load_modules()?;
    match serde_json::from_slice(&plan).map_err(|error| format!("{PLAN}: {error}"))? {
        Task::Trials(args) => trials(&args),
        Task::Hunt(args) => hunt(&args),
    }
}

fn hunt(args: &hunt::Args) -> Result<Message, String> {
    send(&Message::Up { release: live::running().name, unsupported: None });
    args.run(|message| send(&message))?;
    Ok(Message::End { notes: Vec::new(), refused: Vec::new() })
}

fn trials(args: &Args) -> Result<Message, String> {
    let slow = SlowPaths::start();
    let steps = Steps::start();
    let unsupported = slow.as_ref().err().or(steps.as_ref().err()).cloned();
    send(&Message::Up { release: live::running().name, unsupported });
    let mut summary = live::run(args, &(), |_, mut cell, _| {
        if let Ok(slow) = &slow {
            cell.counts.extend(slow.take());
        }
        if let Ok(steps) = &steps {
            steps.cut(&mut cell.swapoff);
        }
        send(&Message::Cell(Box::new(cell)));
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    let measured = summary.refused.len() < summary.planned;
    if measured && let Err(why) = count_acquisitions(args) {
        summary.refused.push(format!("acquisitions per page are unknown: {why}"));
    }
    Ok(Message::End { notes: summary.notes, refused: summary.refused })
}

/// One more trial of churn, with a probe on each acquisition of a spinlock. It comes last: nothing
/// else is measured once the probes are there.
fn count_acquisitions(args: &Args) -> Result<(), String> {
    let probes = Acquisitions::start()?;
    let args =
        Args { workloads: vec![Workload::Churn], threads: vec![1], trials: 1, ..args.clone() };
    let summary = live::run(&args, &probes, |_, mut cell, _| {
        cell.key.params.insert("trace".into(), ACQUISITIONS.into());
        cell.counts.extend(probes.take());
        send(&Message::Cell(Box::new(cell)));
        Ok(())
    });
    let refused = summary.map_err(|error| error.to_string())?.refused;
    if refused.is_empty() { Ok(()) } else { Err(refused.join("; ")) }
}

/// Loads the image's modules in passes, as long as a pass loads at least one, since a module may
/// need the symbols of another.
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
            // A module that zram can do without may fail; zram itself may not.
            let zram = live::has_zram();
            return if zram { Ok(()) } else { Err(format!("cannot load zram: {why}")) };
        }
    }
}

fn load_module(path: &Path) -> io::Result<()> {
    /// MODULE_INIT_COMPRESSED_FILE of include/uapi/linux/module.h, since 5.17.
    const COMPRESSED: i32 = 4;
    let compressed = path.extension().is_some_and(|extension| extension != "ko");
    let flags = if compressed { COMPRESSED } else { 0 };
    Ok(rustix::system::finit_module(File::open(path)?, c"", flags)?)
}
