//! Steps from one scheme to the next, as published and as predicted. Guards that a step counts as
//! right only where publication and prediction both show a direction, and as wrong also where no
//! change was published and one is predicted that the noise does not leave room for. A prediction has
//! a direction only where it is of what the model is for: waits for locks and cache lines.

use serde::{Deserialize, Serialize};

use crate::tables::grid::columns;
use crate::validation::{Basis, Interval};

/// One published figure before and after a change, and what the model says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// where it was published
    pub publication: String,
    /// what was changed, and under which load
    pub changed: String,
    /// what was measured
    pub quantity: String,
    /// published change, percent of the figure before
    pub percent: f64,
    /// two standard errors of `percent`, where the publication gives runs and spread
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<f64>,
    /// runs of each side, where the publication says so
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
    /// the model's answer
    pub model: Answer,
}

/// The model's answer to a published step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// a prediction
    Change {
        /// what the model has of the load
        covers: String,
        /// change, percent: the median over the seeds
        percent: f64,
        /// its range, seed by seed
        interval: Interval,
        /// what a page waits for locks and for cache lines, ns, before and after; not given for
        /// quantities that are no time
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waits_ns: Option<[f64; 2]>,
        /// fitted, where the parameter was chosen for this very step
        basis: Basis,
    },
    /// why there is none
    NotCovered(String),
}

/// Whether a predicted step goes the way that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// it does
    Right,
    /// it goes the other way, or goes further than the noise where no change was published
    Wrong,
    /// the published change is within its own noise, and the prediction may be, too
    NonePublished,
    /// the seeds do not agree on a sign
    NonePredicted,
    /// waits before and after are alike
    WaitsAlike,
}

/// Changes published without a spread are taken to be known to this, percent. Builds and usemem of
/// several threads that give a spread have two standard errors of 0.8 % and more.
const NOISE: f64 = 1.0;

/// Waits nearer to each other than this, as a share of the larger, are alike.
const ALIKE: f64 = 0.1;

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "WRONG",
            Self::NonePublished => "~ published",
            Self::NonePredicted => "~ predicted",
            Self::WaitsAlike => "~ waits alike",
        }
    }
}

impl Step {
    /// None where the model has no answer.
    pub fn direction(&self) -> Option<Direction> {
        let Answer::Change { percent, interval, waits_ns, .. } = &self.model else { return None };
        let noise = self.noise.unwrap_or(NOISE);
        let alike = |[before, after]: [f64; 2]| (before - after).abs() <= ALIKE * before.max(after);
        Some(if self.percent.abs() <= noise {
            let beyond =
                interval.low > self.percent + noise || interval.high < self.percent - noise;
            if beyond { Direction::Wrong } else { Direction::NonePublished }
        } else if waits_ns.is_some_and(alike) {
            Direction::WaitsAlike
        } else if interval.low * interval.high <= 0.0 {
            Direction::NonePredicted
        } else if (*percent > 0.0) == (self.percent > 0.0) {
            Direction::Right
        } else {
            Direction::Wrong
        })
    }

    fn is_predicted(&self) -> bool {
        matches!(self.model, Answer::Change { basis: Basis::Predicted, .. })
    }

    fn published(&self) -> String {
        let noise = self.noise.map_or("no spread".to_owned(), |noise| format!("+-{noise:.1}"));
        let runs = self.runs.map_or(String::new(), |runs| format!("n={runs}, "));
        format!("{:+.1} % ({runs}{noise})", self.percent)
    }

    fn row(&self) -> Vec<String> {
        let (predicted, verdict, about) = match &self.model {
            Answer::NotCovered(why) => ("not covered".into(), "", why),
            Answer::Change { covers, percent, interval, basis, .. } => {
                let Interval { low, high, seeds } = interval;
                let range = format!("{percent:+.1} % ({low:+.1}..{high:+.1}, {seeds} seeds)");
                let direction = self.direction().map_or("", Direction::name);
                (range, if *basis == Basis::Fitted { "fitted" } else { direction }, covers)
            }
        };
        let (publication, changed) = (self.publication.clone(), self.changed.clone());
        let verdict = verdict.to_owned();
        let quantity = self.quantity.clone();
        vec![publication, changed, quantity, self.published(), predicted, verdict, about.clone()]
    }
}

/// The least share of directions that should be right, percent.
const GOAL: f64 = 90.0;

/// All steps, and whether enough directions are right.
pub fn table(steps: &[Step]) -> String {
    let header =
        ["published in", "change", "", "published step", "predicted step", "direction", "model"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(steps.iter().map(Step::row));
    let mut text: String = columns(&rows, 7, 2).into_iter().map(|line| line + "\n").collect();
    let predicted: Vec<&Step> = steps.iter().filter(|step| step.is_predicted()).collect();
    let of = |wanted| predicted.iter().filter(|step| step.direction() == Some(wanted)).count();
    let (right, wrong) = (of(Direction::Right), of(Direction::Wrong));
    let (shown, uncovered) = (right + wrong, steps.iter().filter(|s| s.direction().is_none()));
    if shown > 0 {
        let share = 100.0 * right as f64 / shown as f64;
        let mark = if share >= GOAL { "PASS" } else { "MISS" };
        text += &format!(
            "\n{mark} direction right in {right} of {shown} predicted steps that show one: {share:.0} % \
             (at least {GOAL:.0} %)\n"
        );
    }
    text += &format!(
        "{} within the published noise, {} where the seeds do not agree on a sign, {} where waits before \
         and after differ by less than {:.0} %, {} not covered\n\
         +- is two standard errors of the published change, {NOISE:.0} % where no spread is published; \
         brackets are the range over the seeds\n",
        of(Direction::NonePublished),
        of(Direction::NonePredicted),
        of(Direction::WaitsAlike),
        100.0 * ALIKE,
        uncovered.count()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(published: f64, noise: Option<f64>, [low, percent, high]: [f64; 3]) -> Step {
        let interval = Interval { low, high, seeds: 5 };
        let (covers, basis) = ("locks".into(), Basis::Predicted);
        Step {
            publication: "a mail".into(),
            changed: "a lock".into(),
            quantity: "time".into(),
            percent: published,
            noise,
            runs: Some(12),
            model: Answer::Change { covers, percent, interval, waits_ns: None, basis },
        }
    }

    fn waiting(waits: [f64; 2], mut step: Step) -> Step {
        let Answer::Change { waits_ns, .. } = &mut step.model else { unreachable!() };
        *waits_ns = Some(waits);
        step
    }

    #[test]
    fn a_direction_needs_both_sides() {
        for (step, expected) in [
            (step(-10.0, None, [-9.0, -5.0, -1.0]), Direction::Right),
            (step(10.0, Some(2.0), [1.0, 5.0, 9.0]), Direction::Right),
            (step(-10.0, Some(2.0), [1.0, 5.0, 9.0]), Direction::Wrong),
            (step(10.0, None, [-9.0, -5.0, -1.0]), Direction::Wrong),
            (step(-1.0, Some(2.0), [-9.0, -5.0, -1.0]), Direction::NonePublished),
            (step(-1.0, Some(2.0), [-9.0, -5.0, -3.5]), Direction::Wrong),
            (step(-1.0, Some(2.0), [1.5, 5.0, 9.0]), Direction::Wrong),
            (step(-10.0, Some(2.0), [-9.0, -5.0, 0.1]), Direction::NonePredicted),
            (step(-10.0, Some(2.0), [0.0, 0.0, 0.0]), Direction::NonePredicted),
            (step(-0.9, None, [-1.8, -1.5, -1.2]), Direction::NonePublished),
            (step(-0.9, None, [-9.0, -5.0, -2.0]), Direction::Wrong),
            (waiting([100.0, 91.0], step(-10.0, None, [1.0; 3])), Direction::WaitsAlike),
            (waiting([91.0, 100.0], step(-10.0, None, [-1.0; 3])), Direction::WaitsAlike),
            (waiting([0.0, 0.0], step(-10.0, None, [-1.0; 3])), Direction::WaitsAlike),
            (waiting([100.0, 89.0], step(-10.0, None, [1.0; 3])), Direction::Wrong),
            (waiting([100.0, 100.0], step(-0.5, None, [5.0; 3])), Direction::Wrong),
        ] {
            assert_eq!(step.direction(), Some(expected), "{step:?}");
        }
        let model = Answer::NotCovered("no such lock".into());
        assert_eq!(Step { model, ..step(1.0, None, [1.0; 3]) }.direction(), None);
    }

    #[test]
    fn a_target_that_is_missed_is_printed_as_missed() {
        let (right, wrong) = (step(-9.0, None, [-9.0; 3]), step(-9.0, None, [9.0; 3]));
        let passes = table(&[right.clone(), step(-1.0, Some(2.0), [0.5; 3])]);
        assert!(passes.contains("PASS direction right in 1 of 1"), "{passes}");
        assert!(passes.contains("-1.0 % (n=12, +-2.0)") && passes.contains("~ published"));
        let beyond = table(&[right.clone(), step(-1.0, Some(2.0), [5.0; 3])]);
        assert!(beyond.contains("MISS direction right in 1 of 2"), "{beyond}");
        let missed = table(&[right.clone(), wrong]);
        assert!(missed.contains("MISS direction right in 1 of 2"), "{missed}");
        assert!(missed.contains("+9.0 % (+9.0..+9.0, 5 seeds)  WRONG"), "{missed}");
        let mut fitted = right.clone();
        let Answer::Change { basis, .. } = &mut fitted.model else { unreachable!() };
        *basis = Basis::Fitted;
        let fitted = table(&[fitted]);
        assert!(fitted.contains("fitted") && !fitted.contains("PASS"), "{fitted}");
        let none = table(&[Step { model: Answer::NotCovered("no such lock".into()), ..right }]);
        assert!(none.contains("not covered") && none.contains("no such lock"), "{none}");
        assert!(!none.contains("PASS") && !none.contains("MISS"), "{none}");
    }
}
