//! No CPU has two workers while another is free: any policy, any stride, any machine. LLFree's
//! stride pins two threads on one CPU where it does not divide their number.

use machine::topology::{CoreKind, Cpu, Pin, Topology};

use super::Finding;
use bench_harness::plan::{Host, Options, Plan};
use bench_harness::units::Threads;

const MACHINES: u64 = 200;

/// The CPUs of as many workers as there are CPUs, as a plan gives them.
pub(super) fn planned(topology: &Topology, pin: &Pin) -> Result<Vec<usize>, String> {
    let threads = match pin {
        Pin::List(list) => list.len(),
        _ => topology.cpus().len(),
    };
    let options = Options {
        threads: vec![Threads::Count(threads)],
        pin: Some(pin.clone()),
        ..Options::default()
    };
    let plan = Plan::new(options, &Host { topology, guest: false, model: None });
    plan.map(|plan| plan.pins(threads)).map_err(|error| error.to_string())
}

/// A machine of uneven parts: packages, nodes, L3 groups and cores of different sizes, some cores
/// with two threads, CPU numbers with holes and in no order.
fn machine(random: &mut fastrand::Rng) -> Topology {
    let mut cpus = Vec::new();
    let (mut node, mut l3, mut core) = (0, 0, 0);
    for package in 0..random.usize(1..=4) {
        for _ in 0..random.usize(1..=3) {
            for _ in 0..random.usize(1..=3) {
                for _ in 0..random.usize(1..=5) {
                    let kind = [CoreKind::Performance, CoreKind::Efficient][random.usize(..2)];
                    for smt in 0..random.usize(1..=2) {
                        cpus.push(Cpu { id: 0, package, node, l3, core, smt, kind });
                    }
                    core += 1;
                }
                l3 += 1;
            }
            node += 1;
        }
    }
    random.shuffle(&mut cpus);
    let mut id = 0;
    for cpu in &mut cpus {
        id += random.usize(1..=3);
        cpu.id = id;
    }
    Topology::made_of(cpus)
}

/// Every policy, and the lists that strides give.
fn pins(topology: &Topology) -> Vec<Pin> {
    let cpus = topology.cpus();
    let stride =
        |by: usize| Pin::List((0..cpus.len()).map(|i| cpus[i * by % cpus.len()].id).collect());
    let strides = (1..=cpus.len().min(8)).map(stride);
    [Pin::Compact, Pin::Spread, Pin::SmtLast].into_iter().chain(strides).collect()
}

/// `order` gives the CPUs of all workers, or refuses.
pub(super) fn check(order: impl Fn(&Topology, &Pin) -> Result<Vec<usize>, String>) -> Finding {
    let mut random = fastrand::Rng::with_seed(1);
    let (mut workers, mut twice, mut refused, mut wrong) = (0, 0, 0, None);
    for _ in 0..MACHINES {
        let topology = machine(&mut random);
        for pin in pins(&topology) {
            let pinned = match order(&topology, &pin) {
                Ok(pinned) => pinned,
                Err(why) => {
                    refused += 1;
                    // Only a list may be refused, and only for naming a CPU twice.
                    let fair = matches!(&pin, Pin::List(list) if repeats(list) > 0);
                    wrong = wrong.or((!fair).then_some(why));
                    continue;
                }
            };
            workers += pinned.len();
            twice += repeats(&pinned);
        }
    }
    let figure = wrong.clone().unwrap_or_else(|| {
        format!(
            "{twice} of {workers} workers on a CPU that was taken ({MACHINES} machines of uneven \
             parts; {refused} strides that would repeat a CPU were refused)"
        )
    });
    Finding::new("pinning", twice == 0 && wrong.is_none() && workers > 0, figure)
}

fn repeats(cpus: &[usize]) -> usize {
    let different: std::collections::BTreeSet<_> = cpus.iter().collect();
    cpus.len() - different.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_plan_pins_a_cpu_twice() {
        let finding = check(planned);
        assert_eq!(finding.held, Some(true), "{finding}");
    }

    #[test]
    fn a_stride_that_wraps_is_found_out() {
        let wraps = |topology: &Topology, _: &Pin| {
            let cpus = topology.cpus();
            Ok((0..cpus.len()).map(|i| cpus[i * 2 % cpus.len()].id).collect())
        };
        assert!(check(wraps).broken());
        let refuses = |_: &Topology, pin: &Pin| Err(format!("{pin} is not to my taste"));
        assert!(check(refuses).broken(), "a policy must not be refused");
    }
}
