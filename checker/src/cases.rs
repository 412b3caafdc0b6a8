//! All cases. Guards that every variant of the registry is explored in every scenario.

use crate::case::{Case, Explore, NEEDED};
use crate::machinery;
use crate::scenario::{Exploration, Scenario};
use crate::scenarios::SCENARIOS;
use machine::Machine;
use machine::checked::{Config, Loom, Shuttle};
use variants::registry::{self, VARIANTS, Variant};

/// All cases: the machine's parts, then every scenario of every variant.
pub fn cases() -> Vec<Case> {
    let of = |v: &'static Variant| SCENARIOS.iter().map(move |s| case(v, s));
    machinery::cases().into_iter().chain(VARIANTS.iter().flat_map(of)).collect()
}

/// A step between two schemes is searched as far as a pass needs, and no further.
fn case(variant: &'static Variant, scenario: &'static Scenario) -> Case {
    Case {
        subject: variant.name,
        scenario: scenario.name,
        roles: scenario.cpus.iter().map(|cpu| cpu.0).collect(),
        bound: if variant.ablation {
            scenario.bound.map(|b| b.min(NEEDED))
        } else {
            scenario.bound
        },
        loom: explore::<Loom>(variant, scenario),
        shuttle: Some(explore::<Shuttle>(variant, scenario)),
    }
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
