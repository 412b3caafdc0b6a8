//! The points of a plan: the product of all axes, each value once. Guards that every value is one
//! its axis has, and that no option of a plan is without effect.

use std::iter::once;

use machine::lock::Any;
use machine::{Machine, Simulated};
use variants::{SwapAllocator, registry};

use super::error::{PlanError, refuse};
use super::options::Options;
use crate::backing::Backing;
use crate::units::{CLUSTER, Preempt};
use crate::workload::{self, Params};

/// One thing to be measured, `trials` times.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub variant: &'static str,
    pub lock: &'static str,
    pub threads: usize,
    pub params: Params,
    /// How a model's CPUs are taken away.
    pub preempt: Option<Preempt>,
    /// Lock sites are counted.
    pub sites: bool,
}

/// The product of all axes, each value once.
pub(super) fn points(options: &Options, cpus: usize, model: bool) -> Result<Vec<Point>, PlanError> {
    let variants = registry::VARIANTS.iter();
    let variants = variants.flat_map(|v| once(v.name).chain(v.releases.iter().copied()));
    let variants = named("variant", &options.variant, variants, |name| {
        registry::find(name).map(|variant| variant.name)
    })?;
    let locks = machine::lock::KINDS.iter().map(|(name, _)| *name);
    let locks =
        named("lock", &options.lock, locks.clone(), |name| locks.clone().find(|l| *l == name))?;
    let workloads = workload::LIST.iter().map(|entry| entry.id);
    let workloads = named("workload", &options.workload, workloads, |id| {
        workload::find(id).map(|entry| entry.id)
    })?;
    let threads = threads(options, cpus, model)?;
    let preempts = preempts(options, model)?;
    used(options, &workloads)?;
    masked(options, &variants)?;
    let mut points = Vec::new();
    for id in &workloads {
        let entry = workload::find(id).expect("just looked up");
        let params = params(options, entry)?;
        for (variant, lock) in variants.iter().flat_map(|v| locks.iter().map(move |l| (*v, *l))) {
            let all = threads.iter().flat_map(|t| params.iter().map(move |p| (*t, p)));
            let all = all.flat_map(|(t, p)| preempts.iter().map(move |preempt| (t, p, *preempt)));
            points.extend(all.map(|(threads, params, preempt)| Point {
                variant,
                lock,
                threads,
                params: params.clone(),
                preempt,
                sites: !options.no_sites,
            }));
        }
    }
    Ok(points)
}

/// Refuses devices, orders, batches and kept pages that no workload of the plan has a use for.
fn used(options: &Options, workloads: &[&str]) -> Result<(), PlanError> {
    let having = |has: fn(&Params) -> bool| {
        let all = workload::LIST.iter().filter(|entry| has(&entry.defaults()));
        all.map(|entry| entry.id).collect::<Vec<_>>()
    };
    let check = |key, given: Option<String>, has: fn(&Params) -> bool| match given {
        Some(value) if !having(has).iter().any(|id| workloads.contains(id)) => {
            let having = having(has).join(", ");
            refuse(key, value, format!("a workload that has a use for it: {having}"))
        }
        _ => Ok(()),
    };
    let devices = options.devices.first().map(ToString::to_string);
    check("devices", devices, |p| p.devices.is_some())?;
    check("orders", options.orders.as_ref().map(ToString::to_string), |p| p.orders.is_some())?;
    check("batch", options.batch.first().map(ToString::to_string), |p| p.batch.is_some())?;
    check("kept", options.kept.first().map(ToString::to_string), |p| p.kept.is_some())
}

/// Refuses masks of devices with variants that do not look at them.
fn masked(options: &Options, variants: &[&str]) -> Result<(), PlanError> {
    let Some(masked) = options.devices.iter().find(|devices| devices.masked()) else {
        return Ok(());
    };
    let looks =
        |name: &&str| registry::visit::<Simulated<Any>, _>(name, LooksAtMasks) == Some(true);
    if variants.iter().all(looks) {
        return Ok(());
    }
    let known: Vec<_> =
        registry::VARIANTS.iter().map(|variant| variant.name).filter(looks).collect();
    refuse(
        "devices",
        masked,
        format!("no masks, or variants that keep to them: {}", known.join(", ")),
    )
}

struct LooksAtMasks;

impl<M: Machine> registry::Visitor<M> for LooksAtMasks {
    type Output = bool;

    fn visit<A: SwapAllocator<M>>(self, _variant: &'static registry::Variant) -> bool {
        A::MASKS
    }
}

/// The ids that `names` stand for, each once, in the order given.
fn named(
    key: &'static str,
    names: &[String],
    known: impl Iterator<Item = &'static str>,
    id: impl Fn(&str) -> Option<&'static str>,
) -> Result<Vec<&'static str>, PlanError> {
    let mut found = Vec::new();
    for name in names {
        let Some(id) = id(name) else {
            let all = known.collect::<Vec<_>>().join(", ");
            return refuse(key, name, format!("one of {all}"));
        };
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// How a model's CPUs are taken away; natively those that share the host's CPUs do it.
fn preempts(options: &Options, model: bool) -> Result<Vec<Option<Preempt>>, PlanError> {
    let mut all: Vec<Option<Preempt>> = Vec::new();
    for preempt in options.preempt.iter().map(|preempt| preempt.some()) {
        if !all.contains(&preempt) {
            all.push(preempt);
        }
    }
    if !model && all.iter().any(Option::is_some) {
        let given = options.preempt.iter().map(Preempt::to_string).collect::<Vec<_>>().join(",");
        return refuse("preempt", given, "a model in --machine; natively --oversubscribe does it");
    }
    Ok(if all.is_empty() { vec![None] } else { all })
}

fn threads(options: &Options, cpus: usize, model: bool) -> Result<Vec<usize>, PlanError> {
    let mut all: Vec<usize> = options.threads.iter().flat_map(|t| t.expand(cpus)).collect();
    all.sort_unstable();
    all.dedup();
    match all.last() {
        Some(&most) if most > cpus && model => {
            refuse("threads", most, format!("at most {cpus}, the model's CPUs: none is shared"))
        }
        Some(&most) if most > cpus && !options.oversubscribe => {
            refuse("threads", most, format!("at most {cpus}, the CPUs here, or --oversubscribe"))
        }
        Some(&most) if most > 4096 => refuse("threads", most, "at most 4096"),
        _ => Ok(all),
    }
}

fn params(options: &Options, workload: &workload::Entry) -> Result<Vec<Params>, PlanError> {
    let default = workload.defaults();
    fn or<T: Clone>(list: &[T], one: T) -> Vec<T> {
        if list.is_empty() { vec![one] } else { list.to_vec() }
    }
    let fills = or(&options.fill, default.fill);
    // What a workload has no use for is no axis of it.
    let batches: Vec<_> = match default.batch {
        Some(batch) => or(&options.batch, batch).into_iter().map(Some).collect(),
        None => vec![None],
    };
    if let Some(batch) = options.batch.iter().find(|batch| !(1..=CLUSTER as u32).contains(*batch)) {
        return refuse("batch", batch, format!("1 to {CLUSTER} entries"));
    }
    let kept: Vec<_> = match default.kept {
        Some(kept) => or(&options.kept, kept).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let backings =
        options.backing.iter().map(|name| Backing::load(name).map_err(PlanError::Backing));
    let backings = backings.collect::<Result<Vec<_>, _>>()?;
    let sizes = or(&options.size, default.size);
    let devices: Vec<_> = match default.devices.clone() {
        Some(devices) => or(&options.devices, devices).into_iter().map(Some).collect(),
        None => vec![None],
    };
    let rates: Vec<_> = options.rate.iter().map(|rate| Some(rate.0)).collect();
    let rates = if rates.is_empty() { vec![None] } else { rates };
    let first = Params {
        orders: default.orders.clone().map(|mix| options.orders.clone().unwrap_or(mix)),
        think_ns: options.think_ns.unwrap_or(default.think_ns),
        ..default
    };
    let mut all = product(vec![first], &sizes, |params, size| params.size = size);
    all = product(all, &devices, |params, devices| params.devices = devices);
    all = product(all, &fills, |params, fill| params.fill = fill);
    if let Some(over) = all.iter().find(|params| params.used() > params.slots()) {
        let most = match &over.devices {
            Some(devices) if devices.count() > 1 => {
                format!("all {devices} devices of {}", over.size)
            }
            _ => format!("the device, {}", over.size),
        };
        return refuse("fill", over.fill, format!("at most the size of {most}"));
    }
    all = product(all, &batches, |params, batch| params.batch = batch);
    all = product(all, &kept, |params, kept| params.kept = kept);
    all = product(all, &backings, |params, backing| params.backing = backing);
    Ok(product(all, &rates, |params, rate| params.rate = rate))
}

/// Each of `all` with each of `values`, no two the same.
fn product<T: Clone>(all: Vec<Params>, values: &[T], set: fn(&mut Params, T)) -> Vec<Params> {
    let mut more: Vec<Params> = Vec::new();
    for (params, value) in all.iter().flat_map(|p| values.iter().map(move |v| (p, v))) {
        let mut params = params.clone();
        set(&mut params, value.clone());
        if !more.contains(&params) {
            more.push(params);
        }
    }
    more
}
