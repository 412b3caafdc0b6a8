//! The counterpart of a race: the same acts with the barrier in its place. Guards that it is an execution
//! of the variant as it is, in which the allocation is as late as the barrier lets it be.

use crate::case::Case;
use crate::diagram::{Diagram, HOLDS};
use crate::picture::side_by_side;
use machine::checked::{Config, Event, last_trace};
use std::cell::Cell;

thread_local! {
    /// Instead of the checks: looks for the execution that is wanted.
    static LOOKING: Cell<bool> = const { Cell::new(false) };
    /// A slot was taken, and swapoff had not begun.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
    /// swapoff has cleared SWP_WRITEOK since.
    static CLEARED: Cell<bool> = const { Cell::new(false) };
    /// The slot was counted only then.
    static LATE: Cell<bool> = const { Cell::new(false) };
}

/// The watcher to use instead of the checks, while an example is looked for.
pub(crate) fn watcher() -> Option<fn(&Event)> {
    LOOKING.get().then(|| {
        [&TAKEN, &CLEARED, &LATE].into_iter().for_each(|seen| seen.set(false));
        watch as fn(&Event)
    })
}

/// Ends the execution in which the slot was taken before swapoff began and counted after.
fn watch(event: &Event) {
    match (event.note, event.region, event.field) {
        (false, "swap_map" | "swap_table", _) if event.before == 0 => {
            TAKEN.set(true);
            CLEARED.set(false);
            LATE.set(false);
        }
        (true, "swapoff: SWP_WRITEOK cleared", _) => CLEARED.set(true),
        (false, _, "inuse_pages") if event.after & 1 == 1 => {
            LATE.set(TAKEN.get() && CLEARED.get());
        }
        (true, "swapoff: unuse done", _) if LATE.get() => {
            panic!("{HOLDS}the barrier waits, and unuse finds the slot");
        }
        _ => (),
    }
}

/// How swapoff's barrier and an allocation meet in `case`, which is one without a fault. None: they do
/// not, within its bound.
pub fn barrier_waits(case: &Case) -> Option<Diagram> {
    LOOKING.set(true);
    let bounds = 0..=case.bound?;
    let config = |bound| Config::bounded(case.roles.len(), bound);
    let found = bounds.into_iter().find_map(|bound| (case.loom)(&config(bound)).err());
    LOOKING.set(false);
    found?;
    last_trace().map(|trace| Diagram::new(&trace, &case.roles))
}

/// A race without the barrier, which `case` has found, beside the same acts with it: as SVG.
pub fn beside(case: &Case, broken: &Diagram, holds: &Diagram) -> String {
    let title =
        format!("An allocation has tested SWP_WRITEOK when swapoff clears it ({})", case.id());
    let (without, with) = (("Without the barrier", broken), ("With the barrier", holds));
    side_by_side(&title, without, with)
}
