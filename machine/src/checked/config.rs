//! The space that a checker explores, and its limits. They are counts, so that a verdict does not depend
//! on how busy the machine is.

/// The space to explore, and when to give up: a limit reached is
/// [`Failure::Inconclusive`](crate::Failure::Inconclusive), neither a pass nor a catch.
#[derive(Clone, Debug)]
pub struct Config {
    /// CPUs, the set-up CPU not included.
    pub workers: usize,
    /// Loom: at most this many preemptions in one execution; None: any number.
    pub bound: Option<usize>,
    /// Shuttle: PCT of this depth; None: uniformly random.
    pub depth: Option<usize>,
    /// Shuttle: the same seed explores the same schedules.
    pub seed: u64,
    /// Limit on the steps of one execution (loom: branches).
    pub steps: usize,
    /// Loom: limit on the executions; shuttle: how many to run.
    pub executions: u64,
}

impl Config {
    /// Explores all executions with at most `bound` preemptions, or returns Inconclusive.
    pub fn bounded(workers: usize, bound: usize) -> Self {
        Self {
            workers,
            bound: Some(bound),
            depth: None,
            seed: 0,
            steps: 12_000,
            executions: u64::MAX,
        }
    }

    /// Runs `executions` random schedules.
    pub fn random(workers: usize, seed: u64, executions: u64) -> Self {
        Self { seed, executions, steps: 100_000, ..Self::bounded(workers, 0) }
    }
}
