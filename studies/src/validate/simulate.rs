//! A workload on a simulated machine, once per seed. Guards that everything that is compared meets
//! the same seeds, and that the cost of a page means the same in every experiment: After's time per
//! page is taken as published, with its waits, and the model adds what Before costs more.

use std::sync::Arc;
use std::time::Duration;

use bench_harness::meter::Kind;
use bench_harness::trial::{self, Log, Setting};
use bench_harness::workload::{
    Params, Workload, build::Build, churn::Churn, mthp::Mthp, seq::FillAndFree,
};
use machine::lock::Qspin;
use machine::simulated::{self, Account, Config, Model};
use machine::topology::Pin;
use machine::{Failure, Simulated, SiteStats};
use rayon::prelude::*;
use results::stats::median;
use variants::SwapAllocator;
use variants::registry::{self, Variant};

/// Every figure is the median over these, and its interval their range.
pub const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

type M = Simulated<Qspin>;

/// A load: what runs on how many CPUs of which machine, and for how long.
#[derive(Clone)]
pub struct Load {
    pub model: Arc<Model>,
    pub workload: String,
    pub threads: usize,
    /// With the think time.
    pub params: Params,
    /// Pages swapped out before the window, all threads together, and in it.
    pub warm: u64,
    pub measured: u64,
    /// About how long a page takes a thread beside its think time, ns: it sizes the window.
    pub page_ns: f64,
}

/// The cost of one page swapped out to a thread, ns, as one seed has it.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// All of it but waits for locks, think time included.
    pub work_ns: f64,
    pub wait_ns: f64,
    /// Waits for cache lines; those inside waits for locks are in both figures.
    pub lines_ns: f64,
    /// Share of the large folios that found no run of slots and went out as single pages.
    pub fallback: f64,
    pub sites: Vec<SiteStats>,
}

impl Seen {
    pub fn total_ns(&self) -> f64 {
        self.work_ns + self.wait_ns
    }
}

/// Before and after, per seed.
pub type Both = Vec<[Seen; 2]>;

/// The median over the seeds of one figure.
pub fn middle(both: &[[Seen; 2]], figure: impl Fn(&[Seen; 2]) -> f64) -> f64 {
    median(&both.iter().map(figure).collect::<Vec<_>>())
}

/// A change: load and variant before and after, once per seed, in the order of [`SEEDS`].
///
/// # Errors
///
/// A [`Failure`] of a simulated run.
pub fn both(before: (&Load, &str), after: (&Load, &str)) -> Result<Both, Failure> {
    let both = |&seed: &u64| {
        let once = |(load, variant): (&Load, &str)| load.once(variant, seed);
        let (before, after) = rayon::join(|| once(before), || once(after));
        Ok([before?, after?])
    };
    SEEDS.par_iter().map(both).collect()
}

/// What a page costs less after the change, ns.
pub fn saved([before, after]: &[Seen; 2]) -> f64 {
    before.total_ns() - after.total_ns()
}

/// The built-in model `name`, on which two threads of a core do not slow each other: that is in the
/// published time per page already.
///
/// # Errors
///
/// That there is no such model.
pub fn machine(name: &str) -> Result<Arc<Model>, Failure> {
    let mut model = Model::load(name).map_err(|e| Failure::Unsupported(e.to_string()))?;
    model.shape.smt_slowdown.ratio = 1.0;
    Ok(Arc::new(model))
}

/// A think time is right if work and think time per page are this near to what is wanted, as a share.
/// Behind a saturated lock the work differs from seed to seed by about as much.
const NEAR: f64 = 0.03;
const MOST_PROBES: usize = 4;

impl Load {
    /// The same load with a think time, in ns.
    pub fn thinking(mut self, think_ns: f64) -> Self {
        self.params.think_ns = think_ns.max(0.0) as u64;
        self
    }

    /// The same load with the think time at which a page takes a thread `each_ns` under `variant`,
    /// with all its waits; with none if it takes longer anyway. One seed looks for it, and the nearest
    /// of its probes is taken.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of a simulated run.
    pub fn paced(mut self, variant: &str, each_ns: f64) -> Result<Self, Failure> {
        let mut nearest = (f64::INFINITY, self.clone());
        for _ in 0..MOST_PROBES {
            let think = each_ns - self.page_ns;
            self = self.thinking(think);
            let think = self.params.think_ns as f64;
            let total_ns = self.once(variant, SEEDS[0])?.total_ns();
            self.page_ns = total_ns - think;
            let off = (total_ns / each_ns - 1.0).abs();
            if off < nearest.0 {
                nearest = (off, self.clone());
            }
            if off < NEAR || think == 0.0 {
                break;
            }
        }
        Ok(nearest.1)
    }

    /// `variant` under this load with one seed.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of the simulated run.
    pub fn once(&self, variant: &str, seed: u64) -> Result<Seen, Failure> {
        let logs = self.logs(variant, seed, u32::MAX)?;
        let account = simulated::take_account().expect("a run that succeeded has one");
        Ok(seen(logs, &self.params, &account))
    }

    /// The workers' logs of the same; one operation in `sample` is timed.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of the simulated run.
    pub fn logs(&self, variant: &str, seed: u64, sample: u32) -> Result<Vec<Log>, Failure> {
        let pins = Pin::SmtLast.take(&self.model.topology(), self.threads);
        let each = (self.params.think_ns as f64 + self.page_ns) / self.threads as f64;
        let config = Config {
            model: self.model.clone(),
            pins: pins.map_err(|e| Failure::Unsupported(e.to_string()))?,
            warm_ns: (self.warm as f64 * each) as u64,
            measure_ns: (self.measured as f64 * each) as u64,
            seed,
            preemption: None,
            precision: None,
            sites: true,
        };
        let setting = Setting {
            params: self.params.clone(),
            threads: self.threads,
            seed,
            sample,
            measure: Duration::from_nanos(config.measure_ns),
            host: None,
        };
        let named = Named { config: &config, setting: &setting, workload: &self.workload };
        registry::visit::<M, _>(variant, named).ok_or_else(|| {
            Failure::Unsupported(format!("no variant {variant}, see `swapscale list`"))
        })?
    }
}

/// From the variant's name to its type.
struct Named<'a> {
    config: &'a Config,
    setting: &'a Setting,
    workload: &'a str,
}

impl Named<'_> {
    fn run<A: SwapAllocator<M>, W: Workload<M>>(&self) -> Result<Vec<Log>, Failure> {
        trial::run::<M, A, W>(self.config, self.setting)
    }
}

impl registry::Visitor<M> for Named<'_> {
    type Output = Result<Vec<Log>, Failure>;

    /// The workloads that stand for a published load, not all: each pair is compiled by itself.
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        match self.workload {
            "build" => self.run::<A, Build<M>>(),
            "churn" => self.run::<A, Churn<M>>(),
            "mthp" => self.run::<A, Mthp<M>>(),
            "seq" => self.run::<A, FillAndFree<M>>(),
            other => Err(Failure::Unsupported(format!(
                "no workload {other}, expected build, churn, mthp or seq"
            ))),
        }
    }
}

fn seen(logs: Vec<Log>, params: &Params, account: &Account) -> Seen {
    let time: u64 = logs.iter().map(|log| log.closed - log.opened).sum();
    let sum = |figure: fn(&Log) -> u64| logs.iter().map(figure).sum::<u64>();
    let single = sum(|log| log.meter.tallies[Kind::Alloc as usize].count());
    let large = sum(|log| log.meter.tallies[Kind::AllocLarge as usize].count());
    let failed = sum(|log| log.meter.tallies[Kind::AllocLarge as usize].failed);
    let order = params.orders.iter().flat_map(|mix| mix.shares()).map(|(order, _)| order).max();
    let pages = (single + ((large - failed) << order.unwrap_or(0))).max(1) as f64;
    let sites: Vec<SiteStats> = logs.into_iter().flat_map(|log| log.sites).collect();
    let wait_ns = sites.iter().map(|site| site.wait_total).sum::<u64>() as f64 / pages;
    let lines_ps: u64 = account.fields.iter().map(|field| field.traffic.waited_ps).sum();
    Seen {
        work_ns: time as f64 / pages - wait_ns,
        wait_ns,
        lines_ns: lines_ps as f64 / 1e3 / pages,
        fallback: failed as f64 / large.max(1) as f64,
        sites,
    }
}
