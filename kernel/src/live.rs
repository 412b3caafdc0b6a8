//! The running kernel as a machine: its own swap allocator under the same workloads. Guards the
//! host: the driver refuses a run that could hurt it, bounds the memory that it takes, records
//! everything before it makes it, and undoes all of it however the run ends.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use results::hlog;
use results::schema::Cell;
use serde::{Deserialize, Serialize};

pub mod calibrate;
mod cgroup;
mod content;
mod crew;
mod device;
mod load;
mod lockstat;
mod pages;
mod pressure;
mod record;
mod recorder;
mod release;
mod ring;
mod safety;
mod setup;
mod state;
mod swap_area;
mod symbols;
mod sys;
mod trial;
mod vmstat;
mod worker;
mod zram;

pub use content::Content;
pub(crate) use crew::Crew;
pub use load::Workload;
pub(crate) use pressure::{Hold, Press};
pub use record::record;
pub(crate) use recorder::Interval;
pub use release::{Release, running};
pub use state::{Entry, directory, status};
pub(crate) use swap_area::{CLUSTER, format, used_slots};
pub(crate) use symbols::is_lock_code;
pub(crate) use sys::{PAGE, catch_signals, die_with_us, now_ns, readable, swapoff, swapon};
pub use trial::Beside;
pub(crate) use trial::errno_name;
pub use worker::{ARGV as WORKER_ARGV, main as worker_main};
pub(crate) use worker::{Role, Spec};
pub(crate) use zram::has_zram;

use setup::{Needs, Ready, hierarchy};
use trial::{Outcome, Point, Setting};

/// A run: its plan, and the CPUs and the device to use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Args {
    pub workloads: Vec<Workload>,
    /// numbers of worker processes
    pub threads: Vec<u32>,
    /// numbers of pages per call, for the workloads that have them as an axis
    pub batches: Vec<usize>,
    pub trials: u32,
    /// length of the measured interval of one trial
    pub interval: Duration,
    pub seed: u64,
    /// CPUs in the order in which workers take them
    pub cpus: Vec<usize>,
    /// name of the policy behind that order
    pub pin: String,
    /// bytes of the zram device
    pub size: u64,
    /// percentage of the device that is in use
    pub fill: u32,
    /// trace lock waits, in extra trials at the end
    pub trace: bool,
    /// a block device of the user instead of a zram device
    pub swap_device: Option<PathBuf>,
}

/// The default size of the device, bytes: small enough that a careless run is harmless.
pub const DEFAULT_SIZE: u64 = 1 << 30;

/// Why a run did not start, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// not possible or not safe on this machine, or not a valid plan
    #[error("{0}")]
    Refused(String),
    /// a system call that failed, and what it was for
    #[error("{what}: {source}")]
    System { what: String, source: io::Error },
    /// the cells could not be stored
    #[error(transparent)]
    Store(#[from] results::Error),
    /// SIGINT or SIGTERM
    #[error("interrupted; what was made has been undone")]
    Interrupted,
}

impl Error {
    /// For `map_err`: names the attempt, `what`, before the error.
    pub(crate) fn system(what: impl Into<String>) -> impl Fn(io::Error) -> Error {
        let what = what.into();
        move |source| Error::System { what: what.clone(), source }
    }
}

/// The result of a run beside its cells.
#[derive(Debug)]
pub struct Summary {
    pub release: Release,
    /// number of trials in the plan
    pub planned: usize,
    /// conditions a reader should know, one sentence each
    pub notes: Vec<String>,
    /// trials that gave no cell, and why
    pub refused: Vec<String>,
}

/// Runs all trials, interleaved, and `beside` in the interval of each. Passes each cell to `each` as
/// it is measured, with the summary so far and the histograms.
///
/// # Errors
/// [`Error`]; those of `beside` and `each` end the run. All that the run has made is undone in every
/// case.
pub fn run(
    args: &Args,
    beside: &dyn Beside,
    mut each: impl FnMut(&Summary, Cell, Vec<hlog::Interval>) -> Result<(), Error>,
) -> Result<Summary, Error> {
    check(args)?;
    let Ready { device, cgroup, left, mut made } = Ready::make(&needs(args))?;
    enable_mthp(args, &mut made)?;

    let release = running();
    let mut summary = Summary { notes: notes(&device), release, planned: 0, refused: Vec::new() };
    summary.notes.extend(left.iter().map(|entry| format!("undone from a killed run: {entry}")));
    let no_trace = match args.trace {
        true => lockstat::Tracer::probe().err(),
        false => Some("not asked for".into()),
    };
    let release = summary.release.clone();
    let setting =
        Setting { args, device: &device, cgroup: &cgroup, release: &release, beside, no_trace };
    let plan = plan(args, setting.no_trace.is_none());
    summary.planned = plan.len();
    for (order, (point, block)) in plan.into_iter().enumerate() {
        match trial::run(&setting, &point, block, order as u64)? {
            Outcome::Measured(cell, histograms) => each(&summary, *cell, histograms)?,
            Outcome::Refused(why) => summary.refused.push(why),
        }
    }
    made.undo()?;
    Ok(summary)
}

/// The steps that [`run`] would take, one sentence each. Nothing is made.
///
/// # Errors
/// [`Error::Refused`] where [`run`] would refuse, [`Error::System`] where a file cannot be read.
pub fn dry_run(args: &Args) -> Result<Vec<String>, Error> {
    check(args)?;
    let hierarchy = hierarchy()?;
    let device = match &args.swap_device {
        Some(path) => format!("take {}", device::take(path)?.describe),
        None => format!("make a zram device of {} MiB and format it", args.size >> 20),
    };
    let mut would = vec![
        format!("record everything in {}/state.json first", directory().display()),
        device,
        "swapon with the highest priority; other swap devices stay as they are".into(),
        format!("make the cgroup {}, {} MiB", hierarchy.own().display(), needs(args).limit() >> 20),
    ];
    if args.workloads.contains(&Workload::Mthp) {
        would.push(format!("set {}/enabled to madvise if it is never", vmstat::MTHP));
    }
    let trials = plan(args, args.trace).into_iter().map(|(point, block)| {
        let trace = if point.traced { ", lock waits traced" } else { "" };
        let (workload, threads) = (point.workload.id(), point.threads);
        let batch = format!("{} pages a call", point.batch);
        format!("trial {block}: {workload}, {threads} workers, {batch}{trace}")
    });
    would.extend(trials);
    would.push("swapoff, and undo all of the above in reverse order".into());
    Ok(would)
}

/// Undoes and returns what a killed run has left.
///
/// # Errors
/// [`Error::Refused`] while another run holds the machine, [`Error::System`] where a step of the
/// undoing fails; the rest stays recorded.
pub fn cleanup() -> Result<Vec<Entry>, Error> {
    Ok(state::Made::take(&directory())?.1)
}

fn check(args: &Args) -> Result<(), Error> {
    needs(args).check()?;
    let most = args.threads.iter().copied().max().unwrap_or(0) as usize;
    if most == 0 || args.threads.contains(&0) {
        return Err(Error::Refused("--threads: expected numbers from 1".into()));
    }
    if most > args.cpus.len() {
        let have = args.cpus.len();
        return Err(Error::Refused(format!("--threads {most}: only {have} CPUs may be used")));
    }
    if !(1..=90).contains(&args.fill) {
        return Err(Error::Refused(format!("--fill {}: expected 1 to 90 percent", args.fill)));
    }
    if let Some(batch) = args.batches.iter().find(|batch| !(1..=CLUSTER).contains(*batch)) {
        return Err(Error::Refused(format!("batch {batch}: expected 1 to {CLUSTER} pages")));
    }
    Ok(())
}

fn needs(args: &Args) -> Needs<'_> {
    Needs {
        size: args.size,
        load: args.size / 100 * u64::from(args.fill),
        processes: u64::from(args.threads.iter().copied().max().unwrap_or(1)),
        swap_device: args.swap_device.as_deref(),
        words: &safety::Words {
            command: "--machine kernel",
            less: "give a smaller --size",
            instead: ", or give --swap-device",
        },
    }
}

/// Every point once per block, each block in its own random order; the traced trials come last.
fn plan(args: &Args, trace: bool) -> Vec<(Point, u32)> {
    let mut points = Vec::new();
    for &workload in &args.workloads {
        let batches = if workload.has_batches() { &args.batches[..] } else { &[CLUSTER] };
        for &threads in &args.threads {
            let point = |&batch| Point { workload, threads, batch, traced: false };
            points.extend(batches.iter().map(point));
        }
    }
    let mut random = fastrand::Rng::with_seed(args.seed);
    let mut plan = Vec::new();
    for block in 0..args.trials {
        random.shuffle(&mut points);
        plan.extend(points.iter().cloned().map(|point| (point, block)));
    }
    if trace {
        plan.extend(points.into_iter().map(|point| (Point { traced: true, ..point }, 0)));
    }
    plan
}

/// Lets processes ask for 64 KiB folios if a workload of the plan needs them.
fn enable_mthp(args: &Args, made: &mut state::Made) -> Result<(), Error> {
    if !args.workloads.contains(&Workload::Mthp) {
        return Ok(());
    }
    let path = PathBuf::from(vmstat::MTHP).join("enabled");
    let what = || format!("workload mthp needs {} (6.8 and later)", path.display());
    let text = std::fs::read_to_string(&path).map_err(Error::system(what()))?;
    if let Some(before @ "never") = text.split(['[', ']']).nth(1) {
        made.record(Entry::Setting { path: path.clone(), before: before.into() })?;
        std::fs::write(&path, "madvise").map_err(Error::system(what()))?;
    }
    Ok(())
}

fn notes(device: &device::Device) -> Vec<String> {
    let read = |path: &str| {
        let text = std::fs::read_to_string(path);
        text.map_or_else(|error| format!("unknown ({error})"), |text| text.trim().into())
    };
    vec![
        format!("swap device: {}", device.describe),
        format!("zswap enabled: {}", read("/sys/module/zswap/parameters/enabled")),
        format!("vm.page-cluster: {}", read("/proc/sys/vm/page-cluster")),
        format!("vm.overcommit_memory: {}", read("/proc/sys/vm/overcommit_memory")),
        "one operation is one page swapped out; workers are processes".into(),
        "page contents: one word in a page of zeros".into(),
    ]
}

/// For loops of the controller, and for what its caller does with the cells: an error once SIGINT or
/// SIGTERM has arrived.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check_stop() -> Result<(), Error> {
    match sys::STOP.load(std::sync::atomic::Ordering::Relaxed) {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}

/// Retries `attempt` until it succeeds, fails for good, or `patience` is over.
pub(crate) fn within<T>(
    patience: Duration,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match attempt() {
            Err(error) if Instant::now() < deadline && is_passing(&error) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

/// Errors that pass by themselves, such as EBUSY while a dying process still holds the device.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, ResourceBusy, WouldBlock};
    matches!(error.kind(), Interrupted | OutOfMemory | ResourceBusy | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            workloads: vec![Workload::Churn, Workload::Seq],
            threads: vec![1, 2],
            batches: vec![1, 16, 512],
            trials: 3,
            interval: Duration::from_millis(500),
            seed: 1,
            cpus: vec![0, 1],
            pin: "compact".into(),
            size: DEFAULT_SIZE,
            fill: 25,
            trace: true,
            swap_device: None,
        }
    }

    #[test]
    fn every_block_has_every_point_once_and_its_own_order() {
        let plan = plan(&args(), true);
        let block =
            |n| plan.iter().filter(move |(p, b)| *b == n && !p.traced).map(|(p, _)| p.clone());
        let (first, second): (Vec<_>, Vec<_>) = (block(0).collect(), block(1).collect());
        assert_eq!((first.len(), second.len()), (8, 8));
        assert!(first.iter().all(|point| second.contains(point)));
        assert_ne!(first, second);
        assert!(plan[24..].iter().all(|(point, _)| point.traced));
        assert_eq!(plan.len(), 32);
    }

    #[test]
    fn waiting_gives_up_on_errors_that_stay_and_at_the_deadline() {
        let mut tries = 0;
        let stays = within(Duration::from_secs(9), || -> io::Result<()> {
            tries += 1;
            Err(io::ErrorKind::NotFound.into())
        });
        assert_eq!((stays.is_err(), tries), (true, 1));
        let mut tries = 0;
        let passes = within(Duration::from_secs(9), || {
            tries += 1;
            if tries < 3 { Err(io::ErrorKind::ResourceBusy.into()) } else { Ok(tries) }
        });
        assert_eq!(passes.unwrap(), 3);
    }
}
