//! Cases: a scenario of a variant or of a part of the machine, explored at growing preemption
//! bounds, so that a failure is found at the lowest, and then at random. Guards that a verdict
//! never says more than what was explored.

use crate::diagram::Diagram;
use crate::invariant::{Invariant, ignored, named};
use machine::checked::{Config, last_executions, last_trace};
use machine::{Failure, fault};
use std::time::{Duration, Instant};

/// All executions with so few preemptions can be searched in every scenario and variant.
pub(crate) const NEEDED: usize = 1;

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
    /// Preemption bound up to which it is searched; None: not for exhaustive search.
    pub bound: Option<usize>,
    /// Exhaustive search.
    pub loom: Explore,
    /// Random schedules; None: they would find no execution that loom does not.
    pub shuttle: Option<Explore>,
}

/// How much to explore. All limits are counts, so that a verdict is the same on a busy machine.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How many preemption bounds beyond that of the case.
    pub more: usize,
    /// Executions of one bound of one case that a pass must not need more of.
    pub executions: u64,
    /// Executions of a bound that a pass does not need ([`Case::needs`]).
    pub beyond: u64,
    /// Random executions of a case; of one that has no exhaustive search, twenty times as many.
    pub random: u64,
    /// Seed of the random schedules.
    pub seed: u64,
}

/// Of ten random schedules so many are PCT's, of each of [`DEPTHS`] in turn; the rest is uniform. PCT
/// finds a bug of depth d with a probability that is known (Burckhardt et al., ASPLOS 2010), and found
/// 12 of the 14 faults that only a random schedule found.
const PCT: u64 = 9;
/// Depths of PCT: one less is the number of preemptions.
pub const DEPTHS: [usize; 3] = [3, 4, 6];

impl Effort {
    /// What `swapscale check` does.
    pub fn quick(seed: u64) -> Self {
        Self { more: 0, executions: 100_000, beyond: 1_500, random: 100, seed }
    }

    /// A quarter of an hour for all cases on two cores.
    pub fn deep(seed: u64) -> Self {
        Self { more: 1, executions: 1_000_000, beyond: 100_000, random: 5_000, seed }
    }

    /// The random schedules in words, which end a run of all cases.
    pub fn random_schedules(&self) -> String {
        let Self { random, seed, .. } = self;
        let depths = DEPTHS.map(|depth| depth.to_string()).join(", ");
        format!(
            "random schedules: {random} of each case, 20 times as many where no search is exhaustive; \
             {PCT} of 10 by PCT of depth {depths}; seed {seed}"
        )
    }

    /// (depth, executions) of the random searches of a case; no depth is uniform.
    fn searches(&self, exhausted: bool) -> impl Iterator<Item = (Option<usize>, u64)> {
        let all = if exhausted { self.random } else { 20 * self.random };
        let pct = all * PCT / 10 / DEPTHS.len() as u64;
        let uniform = all - pct * DEPTHS.len() as u64;
        let depths = DEPTHS.into_iter().map(move |depth| (Some(depth), pct));
        depths.chain([(None, uniform)]).filter(|search| search.1 > 0)
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
    /// The random search that found something: its depth, if it is PCT.
    pub depth: Option<usize>,
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

    /// The preemption bound that a pass needs. What is beyond it is searched as far as the effort goes.
    pub fn needs(&self) -> usize {
        self.bound.unwrap_or(0).min(NEEDED)
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
            depth: None,
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
        let Some(last) = self.bound else { return };
        for bound in 0..=last + effort.more {
            let mut config = Config::bounded(self.roles.len(), bound);
            let needed = bound <= self.needs();
            config.executions = if needed { effort.executions } else { effort.beyond };
            let ended = (self.loom)(&config);
            verdict.executions += last_executions();
            match ended {
                Ok(_) => verdict.bound = Some(bound),
                Err(Failure::Inconclusive(why)) if !needed => {
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
        for (depth, executions) in effort.searches(self.bound.is_some()) {
            let mut config = Config::random(self.roles.len(), effort.seed, executions);
            config.depth = depth;
            let ended = shuttle(&config);
            verdict.random += last_executions();
            if let Err(failure) = ended {
                verdict.depth = depth;
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
