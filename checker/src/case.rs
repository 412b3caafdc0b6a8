//! Cases: a scenario of a variant or of a part of the machine, explored at growing preemption
//! bounds, so that a failure is found at the lowest, and then at random. Guards that a verdict
//! never says more than what was explored.

use crate::diagram::Diagram;
use crate::invariant::{Invariant, ignored, named};
use machine::checked::{Config, last_executions, last_trace};
use machine::{Failure, fault};
use std::time::{Duration, Instant};

/// Explores a scenario within the limits of a configuration. Returns the number of executions, or
/// the failure.
pub type Explore = Box<dyn Fn(&Config) -> Result<u64, Failure> + Send + Sync>;

/// A scenario of one subject: a variant, or a part of the machine.
pub struct Case {
    /// The variant, or the part of the machine.
    pub subject: &'static str,
    /// The scenario's name.
    pub scenario: &'static str,
    /// What each CPU does.
    pub roles: Vec<&'static str>,
    /// Preemption bound that a pass needs; None: not for exhaustive search.
    pub bound: Option<usize>,
    /// Exhaustive search.
    pub loom: Explore,
    /// Random schedules; None: they would find no execution that loom does not.
    pub shuttle: Option<Explore>,
}

/// How much to explore.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many preemption bounds beyond the one that a pass needs.
    pub more: usize,
    /// Time limit for one bound of one case.
    pub time: Duration,
    /// Limit on the executions for one bound of one case.
    pub executions: u64,
    /// Random executions per case: half uniform, half PCT of depth 3.
    pub random: u64,
    /// Seed of the random schedules.
    pub seed: u64,
}

impl Effort {
    /// As much as a pass needs, and 2,000 random executions per case.
    pub fn quick(seed: u64) -> Self {
        let (time, executions) = (Duration::from_secs(60), u64::MAX);
        Self { more: 0, time, executions, random: 2_000, seed }
    }

    /// A quarter of an hour for all cases on two cores.
    pub fn deep(seed: u64) -> Self {
        Self { more: 1, time: Duration::from_secs(120), random: 50_000, ..Self::quick(seed) }
    }
}

/// The result of an exploration.
#[derive(Clone, Debug)]
pub enum Finding {
    /// No execution broke an invariant.
    Holds,
    /// An execution did.
    Broken {
        /// The invariant.
        invariant: Invariant,
        /// How it happened.
        diagram: Diagram,
    },
    /// A limit was reached first; the text says which.
    Inconclusive(String),
}

/// A finding, and what it rests on.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The finding.
    pub finding: Finding,
    /// The highest preemption bound that was explored completely.
    pub bound: Option<usize>,
    /// Executions of the exhaustive search, over all bounds.
    pub executions: u64,
    /// Random executions.
    pub random: u64,
    /// How long all this took.
    pub took: Duration,
    /// Why a higher bound, which a pass does not need, was given up.
    pub beyond: Option<String>,
}

impl Case {
    /// `subject/scenario`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.subject, self.scenario)
    }

    /// Explores the case with `fault` on: exhaustively, then, if that finds nothing, at random.
    pub fn check(&self, fault: Option<&'static str>, effort: &Effort) -> Verdict {
        let _on = fault::with(fault);
        let began = Instant::now();
        let mut verdict = Verdict {
            finding: Finding::Holds,
            bound: None,
            executions: 0,
            random: 0,
            took: Duration::ZERO,
            beyond: None,
        };
        self.exhaust(effort, &mut verdict);
        if matches!(verdict.finding, Finding::Holds) {
            self.sample(effort, &mut verdict);
        }
        verdict.took = began.elapsed();
        verdict
    }

    fn exhaust(&self, effort: &Effort, verdict: &mut Verdict) {
        let Some(needed) = self.bound else { return };
        for bound in 0..=needed + effort.more {
            let mut config = Config::bounded(self.roles.len(), bound);
            (config.time, config.executions) = (effort.time, effort.executions);
            let ended = (self.loom)(&config);
            verdict.executions += last_executions();
            match ended {
                Ok(_) => verdict.bound = Some(bound),
                Err(Failure::Inconclusive(why)) if bound > needed => {
                    verdict.beyond = Some(format!("bound {bound}: {why}"));
                    return;
                }
                Err(failure) => {
                    verdict.finding = self.broken(failure);
                    return;
                }
            }
        }
    }

    fn sample(&self, effort: &Effort, verdict: &mut Verdict) {
        let Some(shuttle) = &self.shuttle else { return };
        for depth in [None, Some(3)] {
            let mut config = Config::random(self.roles.len(), effort.seed, effort.random / 2);
            config.depth = depth;
            let ended = shuttle(&config);
            verdict.random += last_executions();
            if let Err(failure) = ended {
                verdict.finding = self.broken(failure);
                return;
            }
        }
    }

    fn broken(&self, failure: Failure) -> Finding {
        let message = match failure {
            Failure::Panicked(message) => message,
            Failure::Inconclusive(why) => return Finding::Inconclusive(why),
            other => return Finding::Inconclusive(other.to_string()),
        };
        let invariant = named(&message);
        if ignored(invariant) {
            return Finding::Inconclusive(format!("ignored: {message}"));
        }
        let trace = last_trace().expect("a panic leaves a history");
        Finding::Broken { invariant, diagram: Diagram::new(&trace, &self.roles) }
    }
}
