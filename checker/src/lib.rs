//! The checker: scenarios, the invariants that must hold in them, and race diagrams. A case is
//! explored at growing preemption bounds, so that a failure is found at the lowest. Guards that a
//! verdict never says more than what was explored. docs/catalogue.md has the numbers of invariants
//! and bugs (I1, #11) with their sources.

pub mod diagram;
pub mod faults;
mod machinery;
pub mod scenario;
mod slice;

use diagram::Diagram;
use machine::checked::{Config, Loom, Shuttle, last_executions, last_trace};
use machine::{Failure, Machine, fault};
use scenario::{Exploration, SCENARIOS, Scenario};
use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};
use variants::registry::{self, VARIANTS, Variant};

/// Makes the enum of invariants, the list of its members, and the sentence of each.
macro_rules! invariants {
    ($($name:ident, $about:literal;)*) => {
        /// A property that every execution must have.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant {
            $(#[doc = $about] $name,)*
        }

        impl Invariant {
            /// All invariants in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The invariant in one sentence.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$name => $about,)*
                }
            }
        }
    };
}

invariants! {
    I1, "No slot is handed to two owners.";
    I2, "No slot becomes allocated after swapoff's barrier, until swapon.";
    I3, "Nothing touches the arrays after swapoff has freed them.";
    I4, "At rest, inuse_pages is the number of slots in use.";
    I5, "ci->count is the number of the cluster's slots in use.";
    I6, "Every cluster is on exactly the list that its flag names.";
    I7, "A cluster's flag fits its count.";
    I9, "A device is on the avail list if and only if it is neither full nor swapped off.";
    I10, "nr_swap_pages is what is free on enabled devices.";
    I11, "A slot in a slot cache is allocated, once, and has no user.";
    I12, "Who holds a reference has valid arrays; nobody gets one after the drain.";
    L, "Everything ends: swapoff, an allocation, every wait, within a budget of steps.";
    Race, "No two accesses to plain memory are unordered.";
    Bug, "The kernel's own assertions, and the lock order.";
}

impl Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

thread_local! {
    /// Bit n: the n-th invariant is not checked.
    static IGNORED: Cell<u32> = const { Cell::new(0) };
}

/// For tests of the checks themselves: `invariants`, and no others, are ignored by this thread from
/// now on.
pub fn ignore(invariants: &[Invariant]) {
    IGNORED.set(invariants.iter().fold(0, |set, &i| set | 1 << i as u32));
}

/// Checks that `holds`.
///
/// # Panics
///
/// If it is false and `invariant` is not ignored: that ends the execution with the message
/// `broken`.
pub fn hold(invariant: Invariant, holds: bool, broken: impl FnOnce() -> String) {
    if !holds && IGNORED.get() & 1 << invariant as u32 == 0 {
        panic!("{invariant}: {}", broken());
    }
}

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

/// All cases: the machine's parts, then every scenario of every variant.
pub fn cases() -> Vec<Case> {
    let of = |v: &'static Variant| SCENARIOS.iter().map(move |s| Case::of(v, s));
    machinery::cases().into_iter().chain(VARIANTS.iter().flat_map(of)).collect()
}

fn explore<M: Machine<Config = Config>>(
    variant: &'static Variant,
    scenario: &'static Scenario,
) -> Explore {
    Box::new(move |config| {
        let explored = registry::visit::<M, _>(variant.name, Exploration { scenario, config });
        explored.expect("the variant is in the registry")
    })
}

impl Case {
    fn of(variant: &'static Variant, scenario: &'static Scenario) -> Self {
        Self {
            subject: variant.name,
            scenario: scenario.name,
            roles: scenario.cpus.iter().map(|cpu| cpu.0).collect(),
            bound: scenario.bound,
            loom: explore::<Loom>(variant, scenario),
            shuttle: Some(explore::<Shuttle>(variant, scenario)),
        }
    }

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
        if IGNORED.get() & 1 << invariant as u32 != 0 {
            return Finding::Inconclusive(format!("ignored: {message}"));
        }
        let trace = last_trace().expect("a panic leaves a history");
        Finding::Broken { invariant, diagram: Diagram::new(&trace, &self.roles) }
    }
}

/// The invariant that a failure's message is about.
fn named(message: &str) -> Invariant {
    use Invariant::*;
    let begins = |i: &&Invariant| message.starts_with(&format!("{i}: "));
    match Invariant::ALL.iter().find(begins) {
        Some(&invariant) => invariant,
        None if ["no progress", "no end", "deadlock"].iter().any(|l| message.starts_with(l)) => L,
        None if message.starts_with("data race") => Race,
        None => Bug,
    }
}
