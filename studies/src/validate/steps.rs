//! What each published change to the swap allocator was worth, and what the model says: scheme before
//! and scheme after under one load, seed by seed. Guards that nothing is fitted on a step, that the
//! model answers only for loads which it carries as fast as was published, and that a step which it
//! does not cover is listed with the reason.

use bench_harness::backing::Backing;
use bench_harness::workload::{self, Params};
use machine::Failure;
use results::published::{Answer, Step};
use results::validation::{Basis, Interval, Section};
use serde::Deserialize;

use super::kernel_build::{FILL, Fit, SWAPPING, SWAPPING_NS};
use super::simulate::{self, Both, Load, Seen, both, middle, saved};

const PUBLISHED: &str = include_str!("steps.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    source: String,
    step: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    publication: String,
    changed: String,
    /// Runs of each side.
    runs: Option<u32>,
    /// The parameter of the kernel build was fitted on this row.
    #[serde(default)]
    fitted: bool,
    figure: Vec<Figure>,
    model: Option<Simulated>,
    not_covered: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figure {
    kind: Kind,
    before: f64,
    after: f64,
    /// Standard deviations before and after.
    deviation: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    System,
    Real,
    Throughput,
    Fallbacks,
    Waits,
}

/// What stands for the published load.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Simulated {
    machine: String,
    threads: usize,
    workload: String,
    /// A mix, as `run --orders` takes it; the workload's own if not given.
    orders: Option<String>,
    batch: Option<u32>,
    /// What the pages go to, as `run --backing` takes it.
    backing: String,
    /// The change ends the swap cache's XArray with its locks.
    #[serde(default)]
    ends_xarray: bool,
    /// The schemes before and after.
    variants: [String; 2],
    /// Time of all threads together after the change.
    seconds: f64,
    /// Pages swapped out in that time, in millions; or times as many as in the fitted build.
    millions: Option<f64>,
    of_build: Option<f64>,
    covers: String,
}

/// After's time per page is an input. Where the model is slower than that by more than this, as a share
/// of all the time of the load, it does not carry the load, and its step is one of another load.
const SLOWER: f64 = 0.25;

/// Pages swapped out before the window and in it.
const WARM: u64 = 40_000;
const MEASURED: u64 = 40_000;

/// Every published step, with the model's.
///
/// # Errors
///
/// A line that names the step whose simulation failed.
pub fn section(fit: &Fit) -> Result<Section, String> {
    let data: Experiment = toml::from_str(PUBLISHED).expect("it comes with the program");
    let steps = data.step.iter().map(|row| {
        let steps = row.steps(fit);
        steps.map_err(|e| format!("step '{}, {}': {e}", row.publication, row.changed))
    });
    let steps = steps.collect::<Result<Vec<Vec<Step>>, String>>()?.concat();
    Ok(Section {
        id: "steps".into(),
        title: "Published steps of the swap allocator, and the predicted ones".into(),
        source: data.source,
        x: String::new(),
        y: "percent".into(),
        points: Vec::new(),
        steps,
        notes: notes(fit),
    })
}

fn notes(fit: &Fit) -> Vec<String> {
    vec![
        format!(
            "fitted: {:.1} M pages swapped out in a build, on the rows -j24 of the lock series \
             alone; no other figure of this table",
            fit.pages / 1e6
        ),
        "taken as published: After, and with it the time that a thread has per page; the step is \
         what a page costs more or less in the simulation; system time has all of it"
            .into(),
        "chosen with sight of the lock series' rows: the machine model and the workload; see \
         docs/simulator.md for the rest"
            .into(),
        format!(
            "not covered: loads whose After the model carries more than {:.0} % slower than was \
             published. Chosen with sight of the rows to 6.18",
            100.0 * SLOWER
        ),
    ]
}

impl Row {
    fn steps(&self, fit: &Fit) -> Result<Vec<Step>, String> {
        let both = self.model.as_ref().map(|model| model.both(fit));
        let both = both.transpose().map_err(|e| e.to_string())?;
        let step = |figure: &Figure| {
            let model = match (&self.model, &both) {
                (Some(model), Some((pages, both))) => match model.too_slow(*pages, both) {
                    Some(why) => Answer::NotCovered(why),
                    None => self.answer(model, figure, *pages, both),
                },
                _ => Answer::NotCovered(self.not_covered.clone().unwrap_or_default()),
            };
            Step {
                publication: self.publication.clone(),
                changed: self.changed.clone(),
                quantity: figure.kind.name().into(),
                percent: change(figure.before, figure.after),
                noise: figure.noise(self.runs),
                runs: self.runs,
                model,
            }
        };
        Ok(self.figure.iter().map(step).collect())
    }

    fn answer(&self, model: &Simulated, figure: &Figure, pages: f64, both: &Both) -> Answer {
        let system = 1e9 * figure.after / pages;
        let beside = (1.0 - model.swapping()) * 1e9 * model.seconds / pages;
        let change = |pair: &[Seen; 2]| match figure.kind {
            Kind::System => dearer(system, saved(pair)),
            Kind::Real => change(beside + pair[0].total_ns(), beside + pair[1].total_ns()),
            Kind::Throughput => change(1.0 / pair[0].total_ns(), 1.0 / pair[1].total_ns()),
            Kind::Fallbacks => change(pair[0].fallback, pair[1].fallback),
            Kind::Waits => change(waits(&pair[0]), waits(&pair[1])),
        };
        let (percent, interval) = Interval::of(&both.iter().map(change).collect::<Vec<_>>());
        let basis = if self.fitted { Basis::Fitted } else { Basis::Predicted };
        let waits = |side: usize| middle(both, |pair| pair[side].wait_ns + pair[side].lines_ns);
        let waits_ns = (figure.kind != Kind::Fallbacks).then(|| [waits(0), waits(1)]);
        Answer::Change { covers: model.covers.clone(), percent, interval, waits_ns, basis }
    }
}

/// Percent of `before`; no change where both are nothing. One in a million stands for a share that is
/// nothing before, so that the figure can be stored.
fn change(before: f64, after: f64) -> f64 {
    if before == after { 0.0 } else { 100.0 * (after / before.max(1e-6) - 1.0) }
}

/// The change of a time that is `published` on its cheaper side, where the step saves `saved`. So a step
/// that costs more has no negative time before it.
fn dearer(published: f64, saved: f64) -> f64 {
    change(published + saved.max(0.0), published + (-saved).max(0.0))
}

/// The share of a thread's time that it waits for si->lock.
fn waits(seen: &Seen) -> f64 {
    let si_lock = seen.sites.iter().filter(|site| site.lock == "si->lock");
    let all: u64 = seen.sites.iter().map(|site| site.wait_total).sum();
    let share = si_lock.map(|site| site.wait_total).sum::<u64>() as f64 / all.max(1) as f64;
    share * seen.wait_ns / seen.total_ns()
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::System => "system time",
            Kind::Real => "real time",
            Kind::Throughput => "throughput",
            Kind::Fallbacks => "fallbacks",
            Kind::Waits => "lock waits",
        }
    }
}

impl Figure {
    /// Two standard errors of the change, in percent.
    fn noise(&self, runs: Option<u32>) -> Option<f64> {
        let [before, after] = self.deviation?;
        Some(200.0 * before.hypot(after) / f64::from(runs?).sqrt() / self.before)
    }
}

impl Simulated {
    /// Share of the time in which the load swaps.
    fn swapping(&self) -> f64 {
        if self.of_build.is_some() { SWAPPING } else { 1.0 }
    }

    /// In words, that After takes longer than was published, where it is by more than [`SLOWER`].
    fn too_slow(&self, pages: f64, both: &Both) -> Option<String> {
        let published = 1e9 * self.seconds / pages;
        let beside = (1.0 - self.swapping()) * published;
        let slower = (beside + middle(both, |[_, after]| after.total_ns())) / published - 1.0;
        (slower > SLOWER).then(|| {
            format!(
                "the model's {} takes {:.0} % longer than the published load, even without think \
                 time",
                self.variants[1],
                100.0 * slower
            )
        })
    }

    /// Pages, and the load before and after, once per seed.
    fn both(&self, fit: &Fit) -> Result<(f64, Both), Failure> {
        let millions = self.millions.map(|millions| 1e6 * millions);
        let of_build = self.of_build.map(|times| times * fit.pages);
        let pages = millions.or(of_build).expect("the file gives the pages");
        let [before, after] = &self.variants;
        let swapping_ns = self.swapping() * 1e9 * self.seconds;
        if self.of_build == Some(1.0) && fit.is_of(&self.machine, &self.variants) {
            return Ok((pages, fit.at(self.threads, swapping_ns)?));
        }
        let load = self.load()?;
        let mut later = load.clone();
        if self.ends_xarray {
            later.params.backing.prices.xarray = None;
        }
        let later = later.paced(after, swapping_ns / pages)?;
        let params = Params { backing: load.params.backing, ..later.params.clone() };
        let earlier = Load { params, ..later.clone() };
        Ok((pages, both((&earlier, before), (&later, after))?))
    }

    fn load(&self) -> Result<Load, Failure> {
        let unsupported = |what: String| Failure::Unsupported(what);
        let entry = workload::find(&self.workload);
        let mut params = entry.ok_or_else(|| unsupported(self.workload.clone()))?.defaults();
        if let Some(orders) = &self.orders {
            params.orders = Some(orders.parse().map_err(unsupported)?);
        }
        if self.workload == "build" {
            params.fill = FILL;
        }
        params.batch = self.batch.or(params.batch);
        params.backing = Backing::load(&self.backing).map_err(unsupported)?;
        Ok(Load {
            model: simulate::machine(&self.machine)?,
            workload: self.workload.clone(),
            threads: self.threads,
            params,
            warm: WARM,
            measured: MEASURED,
            page_ns: SWAPPING_NS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::simulated::Model;
    use variants::registry;

    #[test]
    fn every_row_has_a_load_or_a_reason() {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        for row in &data.step {
            assert_eq!(row.model.is_some(), row.not_covered.is_none(), "{}", row.changed);
            let Some(model) = &row.model else { continue };
            assert_eq!(model.millions.is_some(), model.of_build.is_none(), "{}", row.changed);
            assert!(model.threads <= Model::load(&model.machine).unwrap().cpus());
            assert!(model.variants.iter().all(|name| registry::find(name).is_some()));
            model.load().unwrap();
        }
        assert_eq!(data.step.iter().filter(|row| row.fitted).count(), 1);
    }

    #[test]
    fn changes_and_their_noise_are_in_percent_of_before() {
        let figure = Figure { kind: Kind::System, before: 200.0, after: 150.0, deviation: None };
        assert_eq!(change(figure.before, figure.after), -25.0);
        assert_eq!(change(0.0, 0.0), 0.0);
        assert_eq!(figure.noise(Some(4)), None);
        let figure = Figure { deviation: Some([3.0, 4.0]), ..figure };
        assert_eq!(figure.noise(Some(25)), Some(1.0));
        assert_eq!(figure.noise(None), None);
    }

    /// A page that costs 100 ns less, of 400 ns after the change: the sign goes with the quantity.
    #[test]
    fn a_cheaper_page_is_less_time_and_more_throughput() {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        let row = &data.step[0];
        let model = Simulated { seconds: 400.0, ..toml::from_str(SMALL).unwrap() };
        let seen = |work_ns| Seen { work_ns, ..Seen::default() };
        let both = vec![[seen(500.0), seen(400.0)]];
        for (kind, expected) in
            [(Kind::System, -20.0), (Kind::Real, -20.0), (Kind::Throughput, 25.0)]
        {
            let figure = Figure { kind, before: 1.0, after: 400.0, deviation: None };
            let Answer::Change { percent, .. } = row.answer(&model, &figure, 1e9, &both) else {
                unreachable!()
            };
            assert!((percent - expected).abs() < 1e-9, "{kind:?}: {percent}");
        }
    }

    /// Half of the 400 ns that a page takes after the change is no swapping.
    #[test]
    fn the_part_of_a_build_that_does_not_swap_is_not_faster() {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        let small: Simulated = toml::from_str(SMALL).unwrap();
        let build = Simulated { seconds: 400.0, of_build: Some(1.0), millions: None, ..small };
        let seen = |work_ns| Seen { work_ns, ..Seen::default() };
        let both = vec![[seen(300.0), seen(200.0)]];
        let figure = Figure { kind: Kind::Real, before: 1.0, after: 400.0, deviation: None };
        let Answer::Change { percent, .. } = data.step[0].answer(&build, &figure, 1e9, &both)
        else {
            unreachable!()
        };
        assert!((percent + 20.0).abs() < 1e-9, "{percent}");
    }

    /// A page that costs more than all that was published is still a rise.
    #[test]
    fn a_dearer_page_is_never_a_gain() {
        assert_eq!(dearer(100.0, -150.0), 150.0);
        assert_eq!(dearer(100.0, 100.0), -50.0);
    }

    const SMALL: &str = "machine = 'vm-32'\nbacking = 'none'\nthreads = 1\nworkload = 'seq'\ncovers = ''\n\
        variants = ['scanning', 'percluster']\nseconds = 1\nmillions = 1";
}
