//! What the tests of the checker share: how far they explore, and which case catches a fault.

use checker::diagram::Diagram;
use checker::faults::Fault;
use checker::{Case, Effort, Finding, Invariant};

/// Limited by counts alone, and so the same on a busy machine.
pub fn effort() -> Effort {
    Effort { executions: 20_000, beyond: 20_000, random: 400, ..Effort::quick(1) }
}

/// The first case of `subject` that catches `fault`: by what, and how it is drawn.
pub fn catch<'a>(
    cases: &'a [Case],
    subject: &str,
    fault: &Fault,
) -> Option<(&'a Case, Invariant, Diagram)> {
    fault.scenarios.iter().find_map(|scenario| {
        let own = |case: &&Case| case.subject == subject && case.scenario == *scenario;
        let case = cases.iter().find(own).expect("the registry names a scenario there is");
        match case.check(Some(fault.name), &effort()).finding {
            Finding::Broken { invariant, diagram } => Some((case, invariant, diagram)),
            _ => None,
        }
    })
}

/// Runs `body` on all, on two threads: explorations are independent.
pub fn for_each<T: Sync>(all: &[T], body: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for odd in [0, 1] {
            let body = &body;
            scope.spawn(move || all.iter().skip(odd).step_by(2).for_each(body));
        }
    });
}
