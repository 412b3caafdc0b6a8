//! How long the window of a trial is, or how well it must know its throughput, and when a run ends
//! that repeats trials until intervals are narrow. Guards that a run fits its budget.

use std::num::NonZeroU64;
use std::time::Duration;

use results::sequential;

use super::error::{PlanError, refuse};
use super::options::Options;
use super::points::Point;
use crate::units::{Budget, Events, Width};
use crate::workload;

/// When a run without a number of trials ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Until {
    /// Half of each point's interval, as a share of its median.
    pub width: f64,
    pub budget: Duration,
}

/// When a model's trial ends that has no fixed window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Half of the interval of its throughput, as a share of it.
    pub width: f64,
    /// Events of the simulator after which it ends anyway.
    pub most_events: Events,
}

/// Where no other number is given: a few seconds of this host's time.
const MOST_EVENTS: Events = Events(NonZeroU64::new(20_000_000).unwrap());

/// What `--precision` asks for.
pub(super) fn precision(given: &Options, simulated: bool) -> Result<Option<Precision>, PlanError> {
    let Some(width) = given.precision else {
        return match given.most_events {
            Some(events) => refuse("most-events", events, "precision beside it"),
            None => Ok(None),
        };
    };
    if !simulated {
        return refuse("precision", width, "a model in --machine; on this host there is until");
    }
    if let Some(seconds) = given.seconds {
        return refuse("seconds", seconds, "not both seconds and precision");
    }
    let most_events = given.most_events.unwrap_or(MOST_EVENTS);
    Ok(Some(Precision { width: width.share(), most_events }))
}

/// Refuses workloads that are about rare events: a window that knows its throughput may hold none.
pub(super) fn may_end_early(width: Width, points: &[Point]) -> Result<(), PlanError> {
    let control =
        |point: &&Point| workload::shape(point.params.workload).is_some_and(|s| s.control);
    match points.iter().find(control) {
        None => Ok(()),
        Some(Point { params, .. }) => {
            let workload = params.workload;
            let expected = format!("seconds for {workload}, whose window must hold swapoffs");
            refuse("precision", width, expected)
        }
    }
}

/// Beside its window a trial has a set-up, a warm-up and an end.
pub(super) const BESIDE_WINDOW: Duration = Duration::from_millis(250);
pub(super) const SHORTEST_WINDOW: Duration = Duration::from_millis(50);
const LONGEST_WINDOW_OF_BUDGET: Duration = Duration::from_secs(2);

/// What `--until` asks for; the budget has a default then, so that every run ends.
pub(super) fn until(
    given: &Options,
    default: &Options,
    simulated: bool,
) -> Result<Option<Until>, PlanError> {
    let Some(width) = given.until else { return Ok(None) };
    if simulated {
        return refuse("until", width, "a number of trials on a model, whose time is virtual");
    }
    if let Some(trials) = given.trials {
        return refuse("trials", trials, "no number of trials beside until");
    }
    let Budget(budget) = given.budget.or(default.budget).expect("the table has it");
    Ok(Some(Until { width: width.share(), budget }))
}

/// The length of a trial's window where the budget decides the number of trials: the budget must
/// have room for the first look at the intervals.
pub(super) fn window_until(
    given: &Options,
    default: &Options,
    points: usize,
    until: Until,
) -> Result<Duration, PlanError> {
    let measure = seconds(given, default)?;
    let cells = points as u32 * sequential::looks().next().expect("there is a first") as u32;
    let need = (measure + measure / 5 + BESIDE_WINDOW) * cells;
    if need > until.budget {
        let need = need.as_secs_f64().ceil();
        let expected = format!("at least {need}s for {cells} cells, the first look with --until");
        return refuse("budget", Budget(until.budget), expected);
    }
    Ok(measure)
}

fn seconds(given: &Options, default: &Options) -> Result<Duration, PlanError> {
    match given.seconds.or(default.seconds).expect("the table has it") {
        seconds @ 0.0001..=86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        seconds => refuse("seconds", seconds, "0.0001 to 86400"),
    }
}

/// The length of a trial's window: the seconds, or what the budget leaves each of `cells`.
pub(super) fn window(
    given: &Options,
    default: &Options,
    cells: usize,
    simulated: bool,
) -> Result<Duration, PlanError> {
    let Some(Budget(budget)) = given.budget else { return seconds(given, default) };
    if let Some(seconds) = given.seconds {
        return refuse("seconds", seconds, "not both seconds and budget, except with until");
    }
    if simulated {
        return refuse("budget", Budget(budget), "seconds of virtual time on a model");
    }
    let share = budget / cells as u32;
    let least = BESIDE_WINDOW + SHORTEST_WINDOW;
    if share < least {
        let need = (least * cells as u32).as_secs_f64().ceil();
        return refuse("budget", Budget(budget), format!("at least {need}s for {cells} cells"));
    }
    Ok((share - BESIDE_WINDOW).min(LONGEST_WINDOW_OF_BUDGET))
}
