//! From a plan to cells on disk: trials in interleaved order, or with `--precision` point by point,
//! each on the machine its plan names, stored as soon as it is done. Guards what is stored: a trial whose workers did not overlap is
//! repeated, then refused, and a wrong allocator ends the run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use machine::Failure;
pub use machine::native::now;
use machine::topology::Topology;
use rayon::prelude::*;
use results::hit::hit;
use results::hlog::Interval;
use results::schema::{Cell, CellKey, LEAST_OVERLAP, MachineId, MachineKind, Run, SCHEMA};
use results::store::{self, Writer};

use crate::cell::Label;
use crate::plan::Plan;
use crate::schedule::{Slot, interleaved};
use crate::trial::Device;
use machines::Modelled;
use probe::{Roots, clock, environment};
use until::Watch;

mod machines;
mod until;
mod watchdog;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The variant broke an invariant.
    #[error("{variant} on {workload}, {threads} threads: {why}")]
    Wrong { variant: &'static str, workload: &'static str, threads: usize, why: String },
    #[error(transparent)]
    Machine(Failure),
    #[error(transparent)]
    Store(#[from] results::Error),
}

/// The content of `run.json`, which is written before the first cell; calibrates the probes.
pub fn describe(plan: &Plan, topology: &Topology, command: String) -> Run {
    let mut environment = environment::here(topology, now);
    if plan.model.is_none() {
        let most = plan.points.iter().map(|point| point.threads).max().unwrap_or_default();
        let used = &plan.cpus[..most.min(plan.cpus.len())];
        environment.governor = environment::governor(&Roots::default(), used);
    }
    let (probe, note) = clock::calibrate(now);
    environment.notes.push(note);
    environment.notes.extend(plan.backings());
    let created = store::created_now();
    let label = plan.label.clone();
    let host = environment.host.known().map_or("unknown", String::as_str);
    Run {
        schema: SCHEMA,
        id: store::run_id(created, host, &label),
        created_utc: created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        label,
        command,
        plan: serde_json::to_value(&plan.options).expect("options are plain data"),
        in_turns: None,
        events: plan.events.clone(),
        machine: MachineId {
            kind: if plan.model.is_some() { MachineKind::Simulated } else { MachineKind::Native },
            name: plan.machine().into(),
            predicted: plan.model.is_some(),
        },
        environment,
        probe,
    }
}

/// Checks that this machine can run the plan, before a run is made for it.
///
/// # Errors
///
/// [`EngineError::Machine`] where it cannot: no run of the plan would have a cell.
pub fn check(plan: &Plan) -> Result<(), EngineError> {
    match plan.model {
        None => machines::check(plan).map_err(EngineError::Machine),
        Some(_) => Ok(()),
    }
}

/// How far a run has come.
pub struct Progress<'a> {
    /// Cells measured or refused, with this one.
    pub done: usize,
    /// Cells of the run.
    pub all: usize,
    /// How much of what there was to do is done, 0..1; None where nobody knows.
    pub share: Option<f64>,
    pub key: &'a CellKey,
    /// Operations per second, or why there is no figure.
    pub result: Result<f64, &'a str>,
    /// How the trial was disturbed from outside.
    pub hit: Option<&'a str>,
}

/// Results of a run beside the cells on disk.
#[derive(Debug, Default)]
pub struct Finished {
    /// Cells that were refused, and why.
    pub refused: Vec<(CellKey, String)>,
    /// Events of the simulator; none natively.
    pub events: u64,
    /// Contended acquisitions in measured windows: a lock went to a CPU that waited for it.
    pub handovers: u64,
}

/// Runs every cell of the plan that is not among `finished`; with `--until` only until the
/// intervals are narrow. On this host cells run one after the other. On a model they run side by
/// side on the threads of rayon's pool, and are stored in the plan's order, with `--precision` those
/// of the most threads first.
///
/// # Errors
///
/// [`EngineError::Wrong`] where a variant breaks an invariant, [`EngineError::Machine`] where the
/// machine cannot run a trial, [`EngineError::Store`] where a cell cannot be written. Cells stored
/// before stay. A trial on this host that does not end ends the process, with one line and exit code
/// 2: threads that spin cannot be stopped otherwise.
pub fn run(
    plan: &Plan,
    writer: &mut Writer,
    finished: &[Cell],
    progress: impl FnMut(Progress),
) -> Result<Finished, EngineError> {
    let slots = slots(plan);
    let watch = plan.until.map(|until| Watch::new(until, plan.points.len(), finished));
    let finished: BTreeSet<&CellKey> = finished.iter().map(|cell| &cell.key).collect();
    let labels = slots.into_iter().enumerate().map(|(order, slot)| label(plan, order, slot));
    let labels: Vec<Label> = labels.collect();
    // A run ends between blocks only. Without `--until` it never ends early: all is one block.
    let block = if watch.is_some() { plan.points.len() } else { labels.len() };
    let to_do: Vec<&Label> = labels.iter().filter(|l| !finished.contains(&l.key())).collect();
    let mut keeper = Keeper {
        writer,
        watch,
        progress,
        done: labels.len() - to_do.len(),
        all: labels.len(),
        work: plan.until.is_none().then(|| (0, to_do.iter().map(|label| cost(plan, label)).sum())),
        plan,
        sums: Finished::default(),
    };
    for block in labels.chunks(block.max(1)) {
        if keeper.ends_before(block[0].block) {
            break;
        }
        let left: Vec<&Label> = block.iter().filter(|l| !finished.contains(&l.key())).collect();
        match plan.model {
            None => left
                .iter()
                .try_for_each(|label| keeper.keep(label, attempt(plan, label, &Device::anew())?)),
            Some(_) => side_by_side(
                &jobs(plan, &left),
                |job| together(plan, job),
                |job, measured| {
                    job.iter().zip(measured).try_for_each(|(label, cell)| keeper.keep(label, cell))
                },
            ),
        }?;
    }
    Ok(keeper.sums)
}

/// In what order cells are run and stored.
fn slots(plan: &Plan) -> Vec<Slot> {
    if plan.precision.is_none() {
        return interleaved(plan.points.len(), plan.trials, plan.seed);
    }
    // Longest first: one begun last would keep one thread of this host busy alone. In virtual time
    // nothing drifts, so the order has no effect on a cell.
    let mut points: Vec<usize> = (0..plan.points.len()).collect();
    points.sort_by_key(|point| Reverse(plan.points[*point].threads));
    let trials = |point| (0..plan.trials).map(move |block| Slot { block, point });
    points.into_iter().flat_map(trials).collect()
}

/// A trial of so many threads uses up its budget of events, about; one of more takes no longer.
const THREADS_OF_A_BUDGET: usize = 64;

/// What a cell takes of this host, against others of its plan: natively all take the same time, on a
/// model one of more threads takes more, as far as no budget ends it.
fn cost(plan: &Plan, label: &Label) -> usize {
    let threads = label.point.threads;
    match (&plan.model, plan.precision) {
        (None, _) => 1,
        (Some(_), None) => threads,
        (Some(_), Some(_)) => threads.min(THREADS_OF_A_BUDGET),
    }
}

/// What one thread of this host simulates in one go: a trial, or with `--precision` all trials of a
/// point, which begin with one device.
fn jobs<'a, 'b>(plan: &Plan, left: &'a [&'b Label<'b>]) -> Vec<&'a [&'b Label<'b>]> {
    let together =
        |a: &&Label, b: &&Label| plan.precision.is_some() && std::ptr::eq(a.point, b.point);
    left.chunk_by(together).collect()
}

/// Puts cells on disk, and reports each.
struct Keeper<'a, P> {
    writer: &'a mut Writer,
    watch: Option<Watch>,
    progress: P,
    /// Cells that have been measured or refused.
    done: usize,
    /// Cells of the run; with `--until` those up to the next look.
    all: usize,
    /// The cost of all cells done now, and of all to do; with `--until` nobody knows the latter.
    work: Option<(usize, usize)>,
    plan: &'a Plan,
    sums: Finished,
}

impl<P: FnMut(Progress)> Keeper<'_, P> {
    fn ends_before(&mut self, block: u32) -> bool {
        let Some(watch) = &self.watch else { return false };
        self.all = watch.next_look(block);
        watch.stops_before(block)
    }

    /// A cell, or why it was refused.
    fn keep(
        &mut self,
        label: &Label,
        measured: Result<Measured, String>,
    ) -> Result<(), EngineError> {
        let key = label.key();
        let (result, hit) = match measured {
            Ok(Measured { mut cell, histograms, events }) => {
                if !histograms.is_empty() {
                    self.writer.attach(&mut cell, &histograms)?;
                }
                self.writer.append(&cell)?;
                self.watch.iter_mut().for_each(|watch| watch.add(&cell));
                self.sums.events += events;
                self.sums.handovers += cell.sites.iter().map(|site| site.contended).sum::<u64>();
                (Ok(cell.ops_per_s), hit(&cell))
            }
            Err(why) => (Err(why), None),
        };
        let outcome = result.as_ref().map(|rate| *rate).map_err(String::as_str);
        self.done += 1;
        let (done, all, hit) = (self.done, self.all, hit.as_deref());
        let share = self.work.as_mut().map(|(done, all)| {
            *done += cost(self.plan, label);
            *done as f64 / *all as f64
        });
        (self.progress)(Progress { done, all, share, key: &key, result: outcome, hit });
        if let Err(why) = result {
            self.sums.refused.push((key, why));
        }
        Ok(())
    }
}

fn label<'a>(plan: &'a Plan, order: usize, slot: Slot) -> Label<'a> {
    Label {
        machine: plan.machine(),
        point: &plan.points[slot.point],
        pin: &plan.pin,
        per_cpu: plan.points[slot.point].threads.div_ceil(plan.cpus.len()),
        block: slot.block,
        // The same for all points of a block: variants are compared on the same random numbers.
        seed: plan.seed.wrapping_add(u64::from(slot.block)),
        order_in_run: order as u64,
        measure: plan.measure,
    }
}

/// Upper bound on jobs started but not yet stored; bounds memory when the disk or one job is slow.
const AHEAD: usize = 64;

/// Does `work` for all of `jobs` on rayon's threads and hands the results to `store`, on this
/// thread and in the order of `jobs`: the number of threads changes nothing that is stored.
fn side_by_side<J: Sync, T: Send, E: Send>(
    jobs: &[J],
    work: impl Fn(&J) -> Result<T, E> + Sync,
    mut store: impl FnMut(&J, T) -> Result<(), E>,
) -> Result<(), E> {
    let (done, results) = mpsc::channel();
    let (begin, begun) = mpsc::sync_channel(AHEAD);
    rayon::in_place_scope(|scope| {
        let work = &work;
        scope.spawn(move |_| {
            // A bridge hands out jobs one by one, from the first on. It ends when the receiver of
            // `begin` is gone.
            let jobs = jobs.iter().enumerate().take_while(move |_| begin.send(()).is_ok());
            let _ = jobs
                .par_bridge()
                .try_for_each_with(done, |done, (n, job)| done.send((n, work(job))));
        });
        // Both are dropped on an early return, which ends the workers.
        let (results, begun) = (results, begun);
        let (mut next, mut early) = (0, BTreeMap::new());
        for (n, result) in results {
            early.insert(n, result);
            while let Some(result) = early.remove(&next) {
                store(&jobs[next], result?)?;
                next += 1;
                // Makes room for one job more.
                let _ = begun.recv();
            }
        }
        Ok(())
    })
}

/// The result of one trial.
struct Measured {
    cell: Cell,
    histograms: Vec<Interval>,
    events: u64,
}

/// The cells of a job; with `--precision` all of it begins with one device.
fn together(plan: &Plan, job: &[&Label]) -> Result<Vec<Result<Measured, String>>, EngineError> {
    let device = plan.precision.map_or_else(Device::anew, |_| Device::kept(plan.seed));
    job.iter().map(|label| attempt(plan, label, &device)).collect()
}

/// A cell, or why it is refused: after a second try natively. A model would do the same again, so
/// it gets three tries more, in longer windows. With `--precision` all its workers share one window.
fn attempt(
    plan: &Plan,
    label: &Label,
    device: &Device<Modelled>,
) -> Result<Result<Measured, String>, EngineError> {
    let mut label = label.clone();
    let mut why = String::new();
    let tries = match (&plan.model, plan.precision) {
        (None, _) => 2,
        (Some(_), None) => 4,
        (Some(_), Some(_)) => 1,
    };
    for _ in 0..tries {
        let measured = measure(plan, &label, device)?;
        match refusal(&measured.cell, plan.strict) {
            None => return Ok(Ok(measured)),
            Some(refusal) => why = refusal,
        }
        if plan.model.is_some() {
            label.measure = longer(label.measure, &measured.cell);
        }
    }
    Ok(Err(why))
}

/// The window in which the operations that straddle its two ends are 3 % of it: on a model they
/// alone keep the workers from overlapping.
fn longer(measure: Duration, cell: &Cell) -> Duration {
    let apart = measure.mul_f64(1.0 - cell.overlap);
    (apart * 33).clamp(measure * 2, measure * 8)
}

/// Why a cell is refused.
fn refusal(cell: &Cell, strict: bool) -> Option<String> {
    if cell.overlap < LEAST_OVERLAP {
        let (is, least) = (100.0 * cell.overlap, 100.0 * LEAST_OVERLAP);
        let why = format!("all workers ran in {is:.0} % of the interval, less than {least:.0} %");
        return Some(why);
    }
    hit(cell).filter(|_| strict)
}

/// One trial on the plan's machine.
fn measure(plan: &Plan, label: &Label, device: &Device<Modelled>) -> Result<Measured, EngineError> {
    let point = label.point;
    let measured = match &plan.model {
        None => {
            let patience =
                watchdog::patience(label.measure, label.per_cpu, point.params.size.bytes());
            let late = || exit_from_a_trial_without_end(label, patience);
            watchdog::watched(patience, late, || machines::native(plan, label))
        }
        Some(model) => machines::simulated(plan, label, model, device),
    };
    measured.map_err(|why| match why {
        Failure::Panicked(why) => EngineError::Wrong {
            variant: point.variant,
            workload: point.params.workload,
            threads: point.threads,
            why,
        },
        other => EngineError::Machine(other),
    })
}

/// Every cell before this one is on disk, so nothing is lost.
fn exit_from_a_trial_without_end(label: &Label, patience: Duration) {
    let (point, seconds) = (label.point, patience.as_secs());
    let _ = writeln!(
        std::io::stderr(),
        "swapscale: {} on {}, {} threads: a trial of {:.4} s has not ended after {seconds} s",
        point.variant,
        point.params.workload,
        point.threads,
        label.measure.as_secs_f64()
    );
    std::process::exit(2);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use results::example;
    use results::schema::Reading;

    #[test]
    fn strict_refuses_what_was_hit_and_nothing_lets_workers_run_apart() {
        let calm = example::cell();
        assert_eq!((refusal(&calm, false), refusal(&calm, true)), (None, None));
        let mut hit = calm.clone();
        hit.noise.gap_total_ns = Reading::Known(hit.duration_ns / 20);
        assert_eq!(refusal(&hit, false), None, "marked, not refused");
        assert!(refusal(&hit, true).unwrap().contains("clock gaps of 5.0 %"));
        let apart = Cell { overlap: 0.9, ..calm };
        assert!(refusal(&apart, false).unwrap().contains("90 % of the interval"));
    }

    #[test]
    fn a_model_gets_a_window_in_which_its_workers_overlap() {
        let of = |overlap| {
            let cell = Cell { overlap, ..example::cell() };
            longer(Duration::from_millis(100), &cell).as_millis()
        };
        assert_eq!((of(0.94), of(0.9), of(0.0)), (200, 330, 800));
    }

    #[test]
    fn results_wait_in_order_and_never_many() {
        let (begun, mut stored, mut most) = (AtomicUsize::new(0), Vec::new(), 0);
        let work = |job: &usize| {
            begun.fetch_add(1, Ordering::Relaxed);
            Ok::<usize, ()>(*job)
        };
        let jobs: Vec<usize> = (0..10 * AHEAD).collect();
        side_by_side(&jobs, work, |_, job| {
            // A disk that is slower than all workers.
            std::thread::sleep(Duration::from_micros(200));
            most = most.max(begun.load(Ordering::Relaxed) - stored.len());
            stored.push(job);
            Ok(())
        })
        .unwrap();
        assert_eq!(stored, jobs);
        assert!(most <= AHEAD, "{most} waited");
    }

    #[test]
    fn a_store_that_fails_ends_the_work() {
        let jobs: Vec<usize> = (0..10 * AHEAD).collect();
        let begun = AtomicUsize::new(0);
        let work = |_: &usize| Ok(begun.fetch_add(1, Ordering::Relaxed));
        assert_eq!(side_by_side(&jobs, work, |_, _| Err("disk full")), Err("disk full"));
        assert!(begun.into_inner() <= AHEAD + rayon::current_num_threads());
    }
}
