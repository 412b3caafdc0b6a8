//! A worker: one pinned process in the run's cgroup, which dies with the controller. It is this
//! same program in a new process (`swapscale kernel worker`). It exchanges lines of JSON with the
//! controller: a spec in, `ready` out, one interval in, the report out.

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Load, Workload};
use super::pages::Pass;
use super::pressure::{Hold, Press};
use super::recorder::{Interval, Off, Recorder, Report};
use super::sys::{self, now_ns};
use super::{cgroup, safety, swap_area};

/// The arguments that make this program a worker.
pub const ARGV: [&str; 2] = ["kernel", "worker"];

/// The task of one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// pid of the controller, with which the worker dies
    pub controller: u32,
    /// cgroup to enter before any memory is touched
    pub cgroup: PathBuf,
    /// CPU to run on
    pub cpu: usize,
    /// CPU that its forked children run on
    pub peer_cpu: usize,
    /// seed of its random numbers
    pub seed: u64,
    /// load, swapoff and swapon, a pass for prices, or pressure on a full device
    pub role: Role,
}

/// The kinds of work: put load on the allocator, switch the swap off and on, time one pass, or keep
/// a device full and press against it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// keeps `pages` pages of its own going in and out of swap
    Load { workload: Workload, pages: usize, batch: usize },
    /// swapoff and swapon of `device`, again and again
    Swapper { device: PathBuf },
    /// one pass over pages, for their price
    Pass(Pass),
    /// pages that stay in swap; it has no report, and ends when it is killed
    Hold(Hold),
    /// pages that get slots and no charge; ends like `Hold`
    Press(Press),
}

/// A line from a worker to the controller.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    Ready,
    Report(Report),
    Failed(String),
}

/// Runs a worker from its spec to its report. An error of the work is sent to the controller.
///
/// # Errors
/// That of writing to the controller.
pub fn main() -> io::Result<()> {
    let last = match run() {
        Ok(report) => Reply::Report(report),
        Err(error) => Reply::Failed(error.to_string()),
    };
    send(&last)
}

fn send(what: &Reply) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn receive<T: for<'a> Deserialize<'a>>() -> io::Result<T> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn run() -> io::Result<Report> {
    let spec: Spec = receive()?;
    sys::die_with_parent(spec.controller)?;
    cgroup::enter(&spec.cgroup)?;
    machine::affinity::pin(spec.cpu)?;
    match &spec.role {
        Role::Load { workload, pages, batch } => {
            let mut load = Load::new(*workload, *pages, *batch, spec.seed, spec.peer_cpu)?;
            work(ready()?, |recorder| load.step(recorder))
        }
        Role::Swapper { device } => swapper(ready()?, device, spec.seed),
        Role::Pass(pass) => pass.run(spec.seed, ready),
        Role::Hold(hold) => hold.run(spec.seed, ready).map(|()| Report::default()),
        Role::Press(press) => press.run(ready).map(|()| Report::default()),
    }
}

/// Says that all is prepared, and waits for the start.
fn ready() -> io::Result<Interval> {
    send(&Reply::Ready)?;
    receive()
}

fn work(
    interval: Interval,
    mut step: impl FnMut(&mut Recorder) -> io::Result<()>,
) -> io::Result<Report> {
    let mut recorder = Recorder::new(interval);
    let mut switches = None;
    while now_ns() < interval.end {
        if switches.is_none() && now_ns() >= interval.start {
            switches = Some(sys::involuntary_switches());
        }
        step(&mut recorder)?;
    }
    let mut report = recorder.finish();
    let before = switches.unwrap_or_else(sys::involuntary_switches);
    report.involuntary_switches = sys::involuntary_switches() - before;
    Ok(report)
}

/// Switches the swap off and on again, after a random pause, so that the number of slots in use
/// differs. A swapoff that fails leaves the swap on, and the next one follows.
fn swapper(interval: Interval, path: &Path, seed: u64) -> io::Result<Report> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut recorder = Recorder::new(interval);
    let mut swapoffs = Vec::new();
    std::thread::sleep(Duration::from_nanos(interval.start.saturating_sub(now_ns())));
    while now_ns() < interval.end {
        std::thread::sleep(Duration::from_millis(random.u64(5..200)));
        let used_slots = swap_area::used_slots(path).unwrap_or(0);
        let available_kib = safety::available_kib().unwrap_or(0);
        let at = now_ns();
        let result = sys::swapoff(path);
        let ns = now_ns() - at;
        let errno = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        swapoffs.push(Off { at, used_slots, ns, errno, available_kib });
        recorder.record("swapoff", ns);
        if errno == 0 {
            let start = now_ns();
            sys::swapon(path)?;
            recorder.record("swapon", now_ns() - start);
        }
    }
    let Interval { start: first, end: last } = interval;
    Ok(Report { swapoffs, first, last, ..recorder.finish() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_is_one_line_each_way() {
        let report = Report { pages_out: 7, ..Report::default() };
        let line = serde_json::to_string(&Reply::Report(report)).unwrap();
        assert!(!line.contains('\n'));
        let Reply::Report(back) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(back.pages_out, 7);
    }
}
