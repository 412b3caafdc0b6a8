//! The kernel build of the swap allocator's lock series: W3 on a machine like its author's.
//! What the series saves is predicted: Before = After + what a page costs more under the scheme
//! before, both simulated at zram's prices, with After as published. A build swaps in a part of its
//! time. One parameter, how often a job swaps then, is fitted at -j24. Guards that every row, the fitted one too, follows one rule (After's
//! time per page) and meets the same seeds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bench_harness::backing::Backing;
use bench_harness::units::Fill;
use bench_harness::workload::{Params, build};
use machine::Failure;
use machine::simulated::Model;
use results::validation::{Basis, Interval, Point, Section};
use serde::Deserialize;

use super::simulate::{self, Both, Load, Seen, both, middle, saved};
use super::verdict::mark;

const PUBLISHED: &str = include_str!("kernel-build.toml");
/// The schemes before and after the series.
const BEFORE: &str = "scanning";
const AFTER: &str = "percluster";

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Experiment {
    source: String,
    model: String,
    build: Vec<Row>,
    profile: Profile,
}

/// Seconds.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    jobs: usize,
    system: Times,
    real: Times,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    before: f64,
    after: f64,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    jobs: usize,
    /// Seconds by caller.
    waited: BTreeMap<String, f64>,
}

/// The row that the parameter is fitted on.
const FITTED: usize = 24;
/// Pages swapped out before the window and in it: enough that seeds differ by less than rows do.
const WARM: u64 = 40_000;
const MEASURED: u64 = 120_000;
/// Share of After's time in which a build swaps; in the rest it does not. In the three seconds of the
/// profile jobs wait for si->lock 67 % of their time at -j64, in whole builds 33 % at -j48 and 37 % at
/// -j96.
pub const SWAPPING: f64 = 0.5;
/// How full the device is. Waits of reclaim by scanning, which a fuller device has, are not in the profile.
pub const FILL: Fill = Fill::Percent(40);
/// The predicted wait at -j24 is this near to the measured one, as a share.
const NEAR: f64 = 0.03;
/// Simulations of the five seeds that the fit may take.
const ROUNDS: usize = 12;

impl Row {
    /// The time in which all jobs together swap after the series, ns.
    fn after_ns(&self) -> f64 {
        SWAPPING * self.real.after * self.jobs as f64 * 1e9
    }

    /// Seconds that the series saved.
    fn saved(&self) -> f64 {
        self.system.before - self.system.after
    }
}

/// The one parameter, with what it was fitted on.
pub struct Fit {
    data: Experiment,
    model: Arc<Model>,
    /// Pages that a build swaps out.
    pub pages: f64,
    /// What a page takes a job at -j24 beside its think time, ns.
    page_ns: f64,
    /// What was simulated, by -j: all that asks for a build gets the same one.
    seen: RefCell<BTreeMap<usize, Both>>,
    /// After's time per page at -j24, ns.
    each_ns: f64,
    /// Seconds saved at -j24, predicted as the median over measured.
    reached: f64,
    rounds: usize,
}

/// The think time at which -j24 saves what was published, and the pages that a build then swaps
/// out. All rounds have the same seeds, so that the search sees the effect of the think time alone.
///
/// # Errors
///
/// A line that names the simulation that failed.
pub fn fit() -> Result<Fit, String> {
    let data: Experiment = toml::from_str(PUBLISHED).expect("it comes with the program");
    let model = simulate::machine(&data.model).map_err(|e| e.to_string())?;
    search(data, model).map_err(|e| format!("kernel build at -j{FITTED}: {e}"))
}

fn search(data: Experiment, model: Arc<Model>) -> Result<Fit, Failure> {
    let row = data.build.iter().find(|row| row.jobs == FITTED).expect("the data has the row");
    let wanted = row.saved() * 1e9 / row.after_ns();
    let (mut low, mut high) = (End { think: 8e3, off: None }, End { think: 512e3, off: None });
    let mut best: Option<Fit> = None;
    for rounds in 1..=ROUNDS {
        let think = between(&low, &high);
        let load = load(&model, row.jobs, SWAPPING_NS).thinking(think);
        let at_24 = both((&load, BEFORE), (&load, AFTER))?;
        let (after, gained) =
            (middle(&at_24, |[_, after]| after.total_ns()), middle(&at_24, saved));
        let reached = gained / after / wanted;
        let off = Some(reached.max(1e-3).ln());
        if reached > 1.0 {
            low = End { think, off }
        } else {
            high = End { think, off }
        }
        if best.as_ref().is_none_or(|fit| (reached - 1.0).abs() < (fit.reached - 1.0).abs()) {
            best = Some(Fit {
                data: data.clone(),
                model: model.clone(),
                pages: row.after_ns() / after,
                page_ns: after - think,
                seen: RefCell::new(BTreeMap::from([(FITTED, at_24)])),
                each_ns: after,
                reached,
                rounds,
            });
        }
        if best.as_ref().is_some_and(Fit::is_near) {
            break;
        }
    }
    Ok(best.expect("there is a round"))
}

/// An end of the interval in which the think time is searched.
struct End {
    think: f64,
    /// Logarithm of predicted over measured wait there, once it was simulated.
    off: Option<f64>,
}

/// Where the line between two known ends crosses 0, but in the middle eight tenths; else the middle.
/// All of it on a logarithmic axis.
fn between(low: &End, high: &End) -> f64 {
    let share = match (low.off, high.off) {
        (Some(above), Some(below)) => (above / (above - below)).clamp(0.1, 0.9),
        _ => 0.5,
    };
    low.think * (high.think / low.think).powf(share)
}

/// About how long a page takes a job beside its think time, ns: it sizes the first windows.
pub const SWAPPING_NS: f64 = 15_000.0;

/// The build's swapping alone, to zram.
fn load(model: &Arc<Model>, jobs: usize, page_ns: f64) -> Load {
    let backing = Backing::load("zram").expect("it comes with the program");
    Load {
        model: model.clone(),
        workload: "build".into(),
        threads: jobs,
        params: Params { backing, fill: FILL, ..build::defaults() },
        warm: WARM,
        measured: MEASURED,
        page_ns,
    }
}

impl Fit {
    fn is_near(&self) -> bool {
        (self.reached - 1.0).abs() <= NEAR
    }

    /// The same build with `jobs` jobs, which take `after_ns` together after the series: the think
    /// time is what that leaves beside the swapping.
    pub fn at(&self, jobs: usize, after_ns: f64) -> Result<Both, Failure> {
        if let Some(seen) = self.seen.borrow().get(&jobs) {
            return Ok(seen.clone());
        }
        let load = load(&self.model, jobs, self.page_ns).paced(AFTER, after_ns / self.pages)?;
        let seen = both((&load, BEFORE), (&load, AFTER))?;
        self.seen.borrow_mut().insert(jobs, seen.clone());
        Ok(seen)
    }

    /// Whether a step is one of the builds that the lock series changed, on the machine of the fit.
    pub fn is_of(&self, machine: &str, variants: &[String; 2]) -> bool {
        (machine, &variants[..]) == (&self.data.model, &[BEFORE.to_owned(), AFTER.to_owned()])
    }

    /// `off`: by which share the simulated time per page differs from After's, in the worst row.
    fn notes(&self, off: f64) -> Vec<String> {
        vec![
            format!(
                "fitted, at -j{FITTED}: {:.1} M pages swapped out in a build, one in {:.1} us of a \
                 job",
                self.pages / 1e6,
                self.each_ns / 1e3
            ),
            format!(
                "{} the fit: {:.0} % of the measured saving after {} rounds (within {:.0} %)",
                mark(self.is_near()),
                100.0 * self.reached,
                self.rounds,
                100.0 * NEAR
            ),
            "brackets: range over the seeds, the same ones in every row; the figure is their median"
                .into(),
            format!(
                "taken as published: After, and with it how long a job takes per page at each -j \
                 (met within {:.0} % in every row, as the median)",
                (100.0 * off).ceil()
            ),
            format!(
                "chosen with sight of this table: the machine (one package), no slow-down between \
                 two threads of a core beside that in After, that builds swap in {:.0} % of After's \
                 time, how full the device is, the share of refaults and the order in which pages \
                 go out; not chosen on it: the prices, which were measured or stated elsewhere",
                100.0 * SWAPPING
            ),
            "left out: that a build of fewer jobs swaps more or less; readahead; holders that are \
             preempted"
                .into(),
            "perf lock: at -j64, between the published -j48 and -j96; the shares of three callers, \
             in the published order"
                .into(),
        ]
    }
}

/// Build times, waits and the callers that waited, held against the cover letter.
///
/// # Errors
///
/// A line that names the simulation that failed.
pub fn section(fit: &Fit) -> Result<Section, String> {
    let (mut points, mut off) = (Vec::new(), 0.0f64);
    for row in &fit.data.build {
        let seen = fit.at(row.jobs, row.after_ns());
        let seen = seen.map_err(|e| format!("kernel build at -j{}: {e}", row.jobs))?;
        let after = middle(&seen, |[_, after]| after.total_ns());
        off = off.max((after * fit.pages / row.after_ns() - 1.0).abs());
        let gained = seen.iter().map(|both| fit.pages * saved(both) / 1e9);
        points.extend(of_row(row, &gained.collect::<Vec<_>>()));
        points.push(paced(row, &seen, fit.pages));
    }
    points.sort_by(|a, b| a.panel.cmp(&b.panel));
    points.extend(profile(fit).map_err(|e| format!("perf lock: {e}"))?);
    let notes = targets(&points).into_iter().chain(fit.notes(off)).collect();
    Ok(Section {
        id: "kernel-build".into(),
        title: "A kernel build that swaps: before the lock series = after + what the model adds"
            .into(),
        source: fit.data.source.clone(),
        x: "jobs".into(),
        y: "seconds, or percent".into(),
        points,
        steps: Vec::new(),
        notes,
    })
}

/// Each target with its verdict. The limits are shares of the measured figure.
fn targets(points: &[Point]) -> Vec<String> {
    let before = |panel: &str, jobs: f64| {
        let is = |p: &&Point| (&p.panel[..], &p.curve[..], p.x) == (panel, "before", jobs);
        points.iter().find(is).expect("a row").error()
    };
    let within = |panel: &str, jobs: f64, limit: f64| {
        let error = before(panel, jobs);
        let (mark, limit) = (mark(error.abs() <= limit), 100.0 * limit);
        format!("{mark} {panel}, -j{jobs}: {:+.0} % (within {limit:.0} %)", 100.0 * error)
    };
    let factor = |jobs: f64| {
        let times = 1.0 + before("lock wait, s", jobs);
        let mark = mark((1.0 / 3.0..=3.0).contains(&times));
        format!("{mark} lock wait, s, -j{jobs}: {times:.1} times (within a factor of 3)")
    };
    let shares: Vec<&Point> = points.iter().filter(|p| p.panel.starts_with("share")).collect();
    // They stand in the published order.
    let ordered = shares.windows(2).all(|pair| pair[0].predicted >= pair[1].predicted);
    let off = shares.iter().map(|p| (p.predicted - p.measured).abs()).fold(0.0, f64::max);
    vec![
        within("lock wait, s", 48.0, 0.3),
        within("lock wait, s", 96.0, 0.75),
        within("real time, s", 48.0, 0.1),
        within("real time, s", 96.0, 0.25),
        factor(6.0),
        factor(12.0),
        format!("{} the callers' order is the published one", mark(ordered)),
        format!("{} the callers' shares: off by at most {off:.0} points (10)", mark(off <= 10.0)),
    ]
}

/// `gained`: seconds that the series saves, one figure per seed.
fn of_row(row: &Row, gained: &[f64]) -> [Point; 3] {
    let point = |panel: &str, measured, predicted: &dyn Fn(f64) -> f64| {
        let (predicted, interval) =
            Interval::of(&gained.iter().map(|s| predicted(*s)).collect::<Vec<_>>());
        let basis = if row.jobs == FITTED { Basis::Fitted } else { Basis::Predicted };
        let (panel, curve, x) = (panel.into(), "before".into(), row.jobs as f64);
        Point {
            panel,
            curve,
            x,
            measured,
            predicted,
            basis,
            spread: None,
            interval: Some(interval),
        }
    };
    [
        point("lock wait, s", row.saved(), &|gained| gained),
        point("system time, s", row.system.before, &|gained| row.system.after + gained),
        point("real time, s", row.real.before, &|gained| row.real.after + gained / row.jobs as f64),
    ]
}

/// After, which the think time is to give. Where a page takes longer without any, the model's After is
/// too slow, and what it adds for Before is on top of that.
fn paced(row: &Row, seen: &Both, pages: f64) -> Point {
    let beside = (1.0 - SWAPPING) * row.real.after;
    let real = |[_, after]: &[Seen; 2]| beside + after.total_ns() * pages / row.jobs as f64 / 1e9;
    let (predicted, interval) = Interval::of(&seen.iter().map(real).collect::<Vec<_>>());
    Point {
        panel: "real time, s".into(),
        curve: "after".into(),
        x: row.jobs as f64,
        measured: row.real.after,
        predicted,
        basis: Basis::Fitted,
        interval: Some(interval),
        spread: None,
    }
}

/// Shares of the waits for si->lock by caller.
fn profile(fit: &Fit) -> Result<Vec<Point>, Failure> {
    let Profile { jobs, waited } = &fit.data.profile;
    let seen = fit.at(*jobs, fit.data.after_between(*jobs))?;
    let all: f64 = waited.values().sum();
    let mut callers: Vec<(&String, &f64)> = waited.iter().collect();
    callers.sort_by(|a, b| b.1.total_cmp(a.1));
    let point = |(caller, seconds): (&String, &f64)| {
        let shares: Vec<f64> = seen.iter().map(|[before, _]| share(before, caller)).collect();
        let (predicted, interval) = Interval::of(&shares);
        Point {
            panel: "share of the waits for si->lock, %".into(),
            curve: caller.clone(),
            x: *jobs as f64,
            measured: 100.0 * seconds / all,
            predicted,
            basis: Basis::Predicted,
            spread: None,
            interval: Some(interval),
        }
    };
    Ok(callers.into_iter().map(point).collect())
}

/// The percentage of the waits for si->lock that `caller` has.
fn share(seen: &Seen, caller: &str) -> f64 {
    let si_lock = || seen.sites.iter().filter(|site| site.lock == "si->lock");
    let all: u64 = si_lock().map(|site| site.wait_total).sum();
    let own = si_lock().filter(|site| site.caller == caller).map(|site| site.wait_total);
    100.0 * own.sum::<u64>() as f64 / all.max(1) as f64
}

impl Experiment {
    /// After's time of a build whose -j stands between two published ones, on the line between them.
    fn after_between(&self, jobs: usize) -> f64 {
        let above = self.build.iter().position(|row| row.jobs > jobs).expect("more jobs follow");
        let (low, high) = (&self.build[above - 1], &self.build[above]);
        let share = (jobs - low.jobs) as f64 / (high.jobs - low.jobs) as f64;
        low.after_ns() + share * (high.after_ns() - low.after_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::SiteStats;

    fn fitted(reached: f64) -> Fit {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        let model = simulate::machine(&data.model).unwrap();
        let (pages, page_ns, each_ns) = (1e9, 500.0, 3_000.0);
        let seen = RefCell::default();
        Fit { data, model, pages, page_ns, seen, each_ns, reached, rounds: 3 }
    }

    #[test]
    fn a_fit_that_did_not_get_there_is_a_miss() {
        let note = |reached| fitted(reached).notes(0.021).join("\n");
        assert!(note(1.02).contains("PASS the fit: 102 % of"), "{}", note(1.02));
        assert!(note(1.02).contains("met within 3 % in every row"), "{}", note(1.02));
        assert!(note(0.96).contains("MISS the fit: 96 % of"), "{}", note(0.96));
    }

    /// Predictions that are right pass all, and each that is moved out of its limit misses.
    #[test]
    fn a_target_that_is_missed_says_so() {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        let mut points: Vec<Point> =
            data.build.iter().flat_map(|row| of_row(row, &[row.saved()])).collect();
        points.iter_mut().for_each(|point| point.predicted = point.measured);
        let share = |curve: &str, measured| Point {
            panel: "share of the waits for si->lock, %".into(),
            curve: curve.into(),
            measured,
            predicted: measured,
            ..points[0].clone()
        };
        let shares = [share("free", 42.0), share("get", 31.0), share("slots", 27.0)];
        points.extend(shares);
        let all = targets(&points);
        assert!(all.len() == 8 && all.iter().all(|line| line.starts_with("PASS")), "{all:?}");
        let mut missed = points.clone();
        missed.iter_mut().for_each(|point| point.predicted *= 4.0);
        missed.last_mut().unwrap().predicted = 500.0;
        let all = targets(&missed);
        assert!(all.iter().all(|line| line.starts_with("MISS")), "{all:?}");
    }

    #[test]
    fn a_rows_figures_are_the_median_and_range_of_its_seeds() {
        let data: Experiment = toml::from_str(PUBLISHED).unwrap();
        let [wait, system, real] = of_row(&data.build[3], &[480.0, 4800.0, 960.0]);
        assert_eq!((wait.predicted, wait.basis), (960.0, Basis::Predicted));
        assert_eq!(system.predicted, 5831.0 + 960.0);
        assert_eq!(real.interval, Some(Interval { low: 231.0, high: 321.0, seeds: 3 }));
        assert_eq!(of_row(&data.build[2], &[1.0])[0].basis, Basis::Fitted);
    }

    #[test]
    fn a_callers_share_is_of_the_waits_for_si_lock_alone() {
        let site = |(lock, caller, waited)| {
            let mut site = SiteStats::default();
            (site.lock, site.caller, site.wait_total) = (lock, caller, waited);
            site
        };
        let all = [("si->lock", "a", 30), ("si->lock", "b", 10), ("ci->lock", "a", 60)];
        let sites = all.map(site).to_vec();
        let seen = Seen { sites, ..Seen::default() };
        assert_eq!((share(&seen, "a"), share(&seen, "none")), (75.0, 0.0));
        assert_eq!(share(&Seen::default(), "a"), 0.0);
    }

    #[test]
    fn the_search_halves_until_both_ends_are_known() {
        let end = |think, off| End { think, off };
        assert_eq!(between(&end(100.0, None), &end(10_000.0, Some(-1.0))), 1000.0);
        let near_low = between(&end(100.0, Some(0.1)), &end(10_000.0, Some(-0.9)));
        assert!((near_low - 158.49).abs() < 0.01, "{near_low}");
        let clamped = between(&end(100.0, Some(1e-6)), &end(10_000.0, Some(-9.0)));
        assert!((clamped - near_low).abs() < 0.01, "{clamped}");
    }
}
