//! The machines a trial can run on, one function each: from names to types, and from what the
//! workers bring back to a cell.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use machine::lock::Any;
use machine::simulated::{self, FieldTraffic, Model, SOURCES, Traffic};
use machine::{Failure, Machine, Native, Simulated, native};
use results::schema::{HotLine, Line, LineCaller, Precision as CellPrecision};
use results::stats;
use variants::SwapAllocator;
use variants::registry::{self, Variant};

use super::Measured;
use crate::cell::{Label, assemble};
use crate::plan::{Plan, Point, Precision};
use crate::sharing::Places;
use crate::trial::{self, Device, Log, Setting};
use crate::units::CLUSTER;
use crate::workload::{self, Workload};
use probe::Roots;
use probe::counters::Groups;
use probe::noise::Watch;

/// The machine of a model.
pub(super) type Modelled = Simulated<Any>;

const CHECKED: &str = "the plan has checked the name";

fn setting(plan: &Plan, label: &Label, host: Option<Groups>) -> Setting {
    let Point { threads, params, .. } = label.point.clone();
    let (sample, measure) = (plan.sample, label.measure);
    Setting { params, threads, seed: label.seed, sample, measure, host }
}

fn config(plan: &Plan, cpus: &[usize], measure: Duration) -> native::Config {
    let pins = cpus.iter().copied().map(Some).collect();
    native::Config { pins, warm: plan.warm, measure }
}

/// Checks that this host can run every point of the plan.
pub(super) fn check(plan: &Plan) -> Result<(), Failure> {
    let each = |threads| native::check(&config(plan, &plan.pins(threads), plan.measure));
    plan.points.iter().map(|point| point.threads).try_for_each(each)
}

/// The lock's own type. A build with assertions measures nothing, and has one type for all locks: each is
/// every workload on every variant once more to compile.
#[cfg(not(debug_assertions))]
macro_rules! natively {
    ($name:expr, $K:ident => $body:expr) => {
        machine::with_lock!($name, $K => $body)
    };
}
#[cfg(debug_assertions)]
macro_rules! natively {
    ($name:expr, $K:ident => $body:expr) => {{
        type $K = Any;
        Any::choose($name).then(|| $body)
    }};
}

/// Pinned threads on this host.
pub(super) fn native(plan: &Plan, label: &Label) -> Result<Measured, Failure> {
    let point = label.point;
    let cpus = plan.pins(point.threads);
    let watch = Watch::start(&Roots::default(), &cpus);
    let config = config(plan, &cpus, label.measure);
    let setting = setting(plan, label, Some(plan.counters.clone()));
    let logs = natively!(point.lock, K => match point.sites {
        true => on_machine::<Native<K, true>>(&config, point, &setting, &Device::anew()),
        false => on_machine::<Native<K, false>>(&config, point, &setting, &Device::anew()),
    });
    let places = Places { topology: &plan.topology, cpus: &cpus };
    let (cell, histograms) = assemble(label, &logs.expect(CHECKED)?, places, Some(watch));
    Ok(Measured { cell, histograms, events: 0 })
}

/// Virtual CPUs of a model, in virtual time.
pub(super) fn simulated(
    plan: &Plan,
    label: &Label,
    model: &Arc<Model>,
    device: &Device<Modelled>,
) -> Result<Measured, Failure> {
    let point = label.point;
    let cpus = plan.pins(point.threads);
    let config = simulated::Config {
        model: model.clone(),
        pins: cpus.clone(),
        warm_ns: plan.warm.as_nanos() as u64,
        measure_ns: label.measure.as_nanos() as u64,
        seed: label.seed,
        preemption: point.preempt.map(|preempt| preempt.0),
        precision: plan.precision.map(|precision| stops(precision, point)),
        sites: point.sites,
    };
    let setting = setting(plan, label, None);
    assert!(Any::choose(point.lock), "{CHECKED}");
    let mut logs = on_machine::<Simulated<Any>>(&config, point, &setting, device)?;
    let account = simulated::take_account().expect("a run that succeeded has one");
    if account.grew {
        device.forget();
    }
    let mut label = label.clone();
    if let Some(known) = account.known {
        // An operation that straddles the window's start is not counted and one that straddles its
        // end is: of workers that are at work before, in and after it, all together count what they
        // did in it.
        let (opened, closed) = known.window_ns;
        logs.iter_mut().for_each(|log| (log.opened, log.closed) = (opened, closed));
        label.measure = Duration::from_nanos(closed - opened);
    }
    let places = Places { topology: &plan.topology, cpus: &cpus };
    let (mut cell, histograms) = assemble(&label, &logs, places, None);
    cell.precision = account.known.map(precision);
    let (fields, callers, lines) = (account.fields, account.callers, account.hottest);
    cell.lines = Some(fields.into_iter().map(field).collect());
    cell.line_callers = Some(callers.into_iter().map(caller).collect());
    cell.hot_lines = Some(lines.into_iter().map(hot_line).collect());
    Ok(Measured { cell, histograms, events: account.events })
}

/// What a worker does before the window opens, at least: as many operations as a cluster has slots. All
/// workers begin with a cluster of their own, and use the first ones up at the same time.
const WARM_OPS: u64 = CLUSTER;
/// What all workers do together before it, at least, for each cluster. An aged device begins with nonfull
/// clusters that are nearly full, and the schemes from 6.18 on look through all of them first: 7.3 on one
/// CPU and 8 GiB takes between three and four operations a cluster for that (from its windows of 0.02 to
/// 1 s), and fetches more of the swap table meanwhile than ever after.
const WARM_OPS_A_CLUSTER: u64 = 4;
/// What a worker does in the window at least: it goes twice through all slots of its slot cache.
const LEAST_OPS: u64 = 128;

fn stops(precision: Precision, point: &Point) -> simulated::Precision {
    let clusters = point.params.slots() as u64 / CLUSTER;
    simulated::Precision {
        width: precision.width,
        half_width: stats::half_width,
        warm: WARM_OPS.max(WARM_OPS_A_CLUSTER * clusters / point.threads as u64),
        least: LEAST_OPS,
        rounds: workload::shape(point.params.workload).expect(CHECKED).rounds,
        most_events: precision.most_events.0.get(),
    }
}

fn precision(known: simulated::Known) -> CellPrecision {
    CellPrecision { batches: known.batches as u32, half_width: known.half_width }
}

fn field(FieldTraffic { region, field, traffic }: FieldTraffic) -> Line {
    Line {
        region: region.into(),
        field: field.into(),
        transfers: transfers(&traffic),
        wait_ns: traffic.waited_ps / 1000,
        invalidations: traffic.invalidations,
    }
}

fn caller((caller, traffic): (&str, Traffic)) -> LineCaller {
    LineCaller {
        caller: caller.into(),
        transfers: transfers(&traffic),
        wait_ns: traffic.waited_ps / 1000,
        invalidations: traffic.invalidations,
    }
}

fn hot_line(simulated::HotLine { name, transfers }: simulated::HotLine) -> HotLine {
    HotLine { name, transfers }
}

fn transfers(traffic: &Traffic) -> BTreeMap<String, u64> {
    let all = SOURCES.iter().zip(traffic.transfers).filter(|(_, n)| *n > 0);
    all.map(|(source, n)| (source.to_string(), n)).collect()
}

/// Runs a trial of the point on machine `M`. Here names become types: below, variant and workload
/// are type parameters.
fn on_machine<M: Machine>(
    config: &M::Config,
    point: &Point,
    setting: &Setting,
    device: &Device<M>,
) -> Result<Vec<Log>, Failure> {
    struct ByVariant<'a, M: Machine>(&'a M::Config, &'a Point, &'a Setting, &'a Device<M>);
    struct ByWorkload<'a, M: Machine, A>(ByVariant<'a, M>, std::marker::PhantomData<fn() -> A>);

    impl<M: Machine> registry::Visitor<M> for ByVariant<'_, M> {
        type Output = Result<Vec<Log>, Failure>;
        fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
            let id = self.1.params.workload;
            let visitor = ByWorkload::<M, A>(self, std::marker::PhantomData);
            workload::visit(id, visitor).expect(CHECKED)
        }
    }

    impl<M: Machine, A: SwapAllocator<M>> workload::Visitor<M> for ByWorkload<'_, M, A> {
        type Output = Result<Vec<Log>, Failure>;
        fn visit<W: Workload<M>>(self) -> Self::Output {
            trial::run_on::<M, A, W>(self.0.0, self.0.2, self.0.3)
        }
    }

    registry::visit(point.variant, ByVariant::<M>(config, point, setting, device)).expect(CHECKED)
}
