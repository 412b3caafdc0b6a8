//! The order in which an allocator takes its locks, learnt from a fixed sequence of operations.
//! Guards that it has no cycle and is the documented one.

use super::oracle::Oracle;
use super::order::{allowed, documented};
use super::{Check, OWNERS, On, PAGES, random_op, spec};
use machine::lock::LockKind;
use machine::native::Config;
use machine::{Cpu, Machine, Native};
use variants::registry::Variant;
use variants::{Folio, Swap, SwapAllocator};

/// Reaches what random operations seldom do: continuations, by more users than one swap_map byte
/// counts, and full devices.
fn corners<M: Machine, A: SwapAllocator<M>>(swap: &Swap<M, A>, cpu: &M::Cpu) {
    assert!(swap.swap_out(cpu, 0, 0, 0, Folio::Drop));
    let entry = swap.owners.get(0, 0).expect("swapped out");
    (0..70).for_each(|_| assert!(swap.alloc.dup(cpu, entry)));
    (0..70).for_each(|_| swap.alloc.put(cpu, entry, 1));
    swap.zap(cpu, 0, 0, 1);
    let pages = || (0..OWNERS).flat_map(|owner| (0..PAGES).map(move |page| (owner, page)));
    let full = pages().any(|(owner, page)| !swap.swap_out(cpu, owner, page, 0, Folio::Drop));
    assert!(full, "the owners' pages outnumber the slots");
    (0..OWNERS).for_each(|owner| assert!(swap.zap(cpu, owner, 0, PAGES) > 0));
}

/// Every "outer > inner" learnt from a fixed sequence of every kind of operation. The error is a
/// panic on the way, such as a cycle.
pub fn learnt<K: LockKind, A: SwapAllocator<On<K>>>() -> Result<Vec<String>, String> {
    let run = Native::run(
        &Config::untimed(1),
        |cpu| Swap::<On<K>, A>::new(&spec(8), cpu),
        |swap, cpu| {
            let (mut oracle, mut random) =
                (Oracle::new(swap, cpu, spec(8)), fastrand::Rng::with_seed(1));
            corners(swap, cpu);
            (0..2_000).for_each(|_| oracle.step(random_op(&mut random)));
            oracle.finish();
            cpu.system().order.learnt()
        },
        |_, _| (),
    );
    run.map(|outcome| outcome.workers.concat()).map_err(|failure| failure.to_string())
}

/// The learnt order has no cycle, and it is the documented one, if one is documented.
pub struct Documented;

impl Check for Documented {
    type On<K: LockKind> = On<K>;
    fn check<K: LockKind, A: SwapAllocator<On<K>>>(&self, variant: &Variant) -> Result<(), String> {
        let learnt = learnt::<K, A>()?;
        // A variant that is not in the table is still free of cycles.
        let Some(chains) = documented(variant.name) else { return Ok(()) };
        let allowed = allowed(chains);
        let undocumented: Vec<_> = learnt.iter().filter(|pair| !allowed.contains(*pair)).collect();
        let steps = chains.iter().flat_map(|chain| chain.windows(2));
        let never: Vec<_> =
            steps.map(|w| w.join(" > ")).filter(|pair| !learnt.contains(pair)).collect();
        if undocumented.is_empty() && never.is_empty() {
            return Ok(());
        }
        Err(format!("not documented: {undocumented:?}; documented but never taken: {never:?}"))
    }
}
