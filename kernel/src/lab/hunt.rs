//! The hunt for the lockup of docs/findings/steal-loop.md, inside a guest: a device without a free
//! cluster, allocations of one page that get a slot each time by the slow path, and swapoff. Guards
//! the claim "unforced": nothing stops a CPU, and nothing is probed between the look at the list of
//! devices and the loop.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::guest::{Message, ONLY_THE_GRAVEST};
use super::stuck::Stuck;
use crate::live::{
    CLUSTER, Crew, Error, Hold, Interval, PAGE, Press, Role, Spec, format, now_ns, swapoff, swapon,
    used_slots, within,
};

/// The plan of one boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Args {
    /// swapoffs: in turns with pages only, and with folios of 64 KiB in swap
    pub swapoffs: u32,
    /// CPUs of the guest: the first one is swapoff's, each other one has a process that allocates
    pub cpus: u32,
    /// seed of the pauses and of the free slots
    pub seed: u64,
}

/// A swapoff is about to begin. A guest that locks up says nothing after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// folios of 64 KiB are in swap: the loop's precondition
    pub folios: bool,
    /// slots in use
    pub used_slots: u64,
    /// folios that went out in one piece, by the kernel's count
    pub whole: u64,
}

/// A swapoff has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// how long it took
    pub ns: u64,
    /// errno, 0 for success
    pub errno: i32,
    /// time of each call of the allocator that was stuck, ns
    pub stuck_ns: Vec<u64>,
    /// calls of the allocator from just before the swapoff to its end; unknown of a guest that is lost
    pub calls: Option<u64>,
}

/// The swap device: the one that the module zram makes when it is loaded.
const DISK: &str = "/dev/zram0";
/// Bytes of the device: swapoff takes seconds to bring all of it back.
const SIZE: usize = 512 << 20;
/// The watchdog reports a CPU that is stuck for twice as long, s. The kernel's own value is 10.
const THRESHOLD: &str = "1";
/// Pages of the process that has the folios: two clusters. With folios a quarter of it stays free,
/// so that both clusters are on the lists of part-used ones; with pages it fills them.
const LARGE: usize = 2 * CLUSTER;
/// Folios of 64 KiB of that process.
pub const FOLIOS: usize = (LARGE - LARGE / 4) / 16;
/// Clusters of the device.
pub const CLUSTERS: u64 = (SIZE / PAGE / CLUSTER) as u64;
/// Pages of one madvise(2) that presses.
const BATCH: usize = 256;
/// Deadline of a process for its memory.
const PATIENCE: Duration = Duration::from_secs(60);

const THP: &str = "/sys/kernel/mm/transparent_hugepage";
/// The cgroup of the processes that hold pages in swap.
const HOLD: &str = "/sys/fs/cgroup/hold";
/// The cgroup whose swap is used up.
const FULL: &str = "/sys/fs/cgroup/full";

impl Args {
    /// Makes the swapoffs, and passes on what a lab must know of each before and after it.
    ///
    /// # Errors
    /// In words: what this kernel lacks, or a step of the set-up that failed.
    pub fn run(&self, mut say: impl FnMut(Message)) -> Result<(), String> {
        prepare()?;
        let mut stuck = Stuck::start()?;
        let mut random = fastrand::Rng::with_seed(self.seed);
        // The control comes first: a guest may be lost in the first one with folios.
        for turn in 0..self.swapoffs {
            let seed = random.u64(..);
            self.swapoff(turn % 2 == 1, seed, &mut stuck, &mut say).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// One swapoff. The processes begin anew each time: swapoff takes the pages of the last one that
    /// began to swap first, and so those of the folios last.
    fn swapoff(
        &self,
        folios: bool,
        seed: u64,
        stuck: &mut Stuck,
        say: &mut impl FnMut(Message),
    ) -> Result<(), Error> {
        if used_slots(Path::new(DISK)).is_none() {
            swapon(Path::new(DISK)).map_err(Error::system("swapon"))?;
        }
        let before = whole()?;
        let pages = if folios { 16 * FOLIOS } else { LARGE - 1 };
        let large = self.crew(0..1, HOLD, seed, &Role::Hold(Hold { pages, back: 0, folios }))?;
        // A slot for each process that presses, each in a full cluster: none of them is the one that
        // a CPU allocates from, so that each allocation takes the slow path.
        let back = self.cpus as usize - 1;
        let pages = SIZE / PAGE - LARGE;
        let hold = Role::Hold(Hold { pages, back, folios: false });
        let small = self.crew(0..1, HOLD, seed, &hold)?;
        let cpus = 1..self.cpus as usize;
        let mut pressing = self.crew(cpus, FULL, seed, &Role::Press(Press { pages: BATCH }))?;
        // Nobody reports: the start alone counts.
        pressing.go(Interval { start: 0, end: 0 })?;
        stuck.take()?;
        let unlisted = || Error::Refused(format!("/proc/swaps does not list {DISK}"));
        let used_slots = used_slots(Path::new(DISK)).ok_or_else(unlisted)?;
        say(Message::Begun(Begun { folios, used_slots, whole: whole()? - before }));
        let (ns, errno) = aloud(|| {
            sleep(Duration::from_micros(300_000 + seed % 50_000));
            let start = now_ns();
            let errno = swapoff(Path::new(DISK)).err().and_then(|error| error.raw_os_error());
            let ns = now_ns() - start;
            // The loop ends while swapoff still runs; this is for the call's own way out.
            sleep(Duration::from_millis(50));
            (ns, errno.unwrap_or(0))
        });
        drop((pressing, small, large));
        let (stuck_ns, calls) = stuck.take()?;
        say(Message::Ended(Ended { ns, errno, stuck_ns, calls: Some(calls) }));
        [HOLD, FULL].into_iter().try_for_each(emptied)
    }

    /// A process of `role` on each of `cpus`, with its memory ready.
    fn crew(
        &self,
        cpus: std::ops::Range<usize>,
        cgroup: &str,
        seed: u64,
        role: &Role,
    ) -> Result<Crew, Error> {
        let spec = |cpu: usize| Spec {
            controller: std::process::id(),
            cgroup: cgroup.into(),
            cpu,
            peer_cpu: cpu,
            seed: seed ^ cpu as u64,
            role: role.clone(),
        };
        Crew::start(&cpus.map(spec).collect::<Vec<_>>(), PATIENCE)
    }
}

/// The device as a swap area, the two cgroups, folios of 64 KiB and no larger ones, and the watchdog.
fn prepare() -> Result<(), String> {
    let said = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    fs::write("/sys/block/zram0/disksize", SIZE.to_string()).map_err(said(DISK))?;
    format(Path::new(DISK), (SIZE / PAGE) as u32).map_err(said(DISK))?;
    for cgroup in [HOLD, FULL] {
        fs::create_dir(cgroup).map_err(said(cgroup))?;
    }
    for (path, value) in [
        (format!("{FULL}/memory.swap.max"), "0"),
        (format!("{THP}/enabled"), "madvise"),
        (format!("{THP}/hugepages-64kB/enabled"), "madvise"),
        (format!("{THP}/hugepages-2048kB/enabled"), "never"),
        ("/proc/sys/kernel/watchdog_thresh".to_owned(), THRESHOLD),
        ("/proc/sys/vm/overcommit_memory".to_owned(), "1"),
    ] {
        fs::write(&path, value).map_err(said(&path))?;
    }
    machine::affinity::pin(0).map_err(|error| format!("CPU 0: {error}"))
}

/// Folios of 64 KiB that have gone out in one piece since the boot.
fn whole() -> Result<u64, Error> {
    let path = format!("{THP}/hugepages-64kB/stats/swpout");
    let text = fs::read_to_string(&path).map_err(Error::system(path.clone()))?;
    text.trim().parse().map_err(|_| Error::Refused(format!("{path}: {text}: expected a number")))
}

/// Waits until the processes of a cgroup are gone, and with them their memory and slots.
fn emptied(cgroup: &str) -> Result<(), Error> {
    let procs = PathBuf::from(cgroup).join("cgroup.procs");
    let gone = || match fs::read_to_string(&procs)?.is_empty() {
        true => Ok(()),
        false => Err(std::io::ErrorKind::ResourceBusy.into()),
    };
    within(PATIENCE, gone).map_err(Error::system(format!("processes stay in {cgroup}")))
}

/// Runs `what` with the kernel's messages on the console: a report of the watchdog is to be seen
/// with its stack. At other times they would tear our own lines.
fn aloud<T>(what: impl FnOnce() -> T) -> T {
    const LEVELS: &str = "/proc/sys/kernel/printk";
    let _ = fs::write(LEVELS, "8 4 1 7");
    let result = what();
    let _ = fs::write(LEVELS, ONLY_THE_GRAVEST);
    result
}
