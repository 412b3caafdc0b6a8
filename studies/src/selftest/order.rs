//! Trials of different points are interleaved and balanced, so that what drifts over time favours
//! none (LLFree's harness and many others measure all of A, then all of B).

use super::Finding;
use bench_harness::schedule::Slot;

const ORDERS: u64 = 500;

/// The fault of one order of `points` times `trials`, if it has one, and the largest difference of
/// the points' mean positions.
fn judge(slots: &[Slot], points: usize, trials: u32) -> (Option<&'static str>, f64) {
    if slots.len() != points * trials as usize {
        return (Some("not every point has all its trials"), 0.0);
    }
    let mut positions = vec![0.0; points];
    for (block, chunk) in slots.chunks(points).enumerate() {
        let mut seen = vec![false; points];
        for (at, slot) in chunk.iter().enumerate() {
            if slot.block as usize != block || std::mem::replace(&mut seen[slot.point], true) {
                return (Some("a block does not hold every point once"), 0.0);
            }
            positions[slot.point] += (block * points + at) as f64 / f64::from(trials);
        }
    }
    let most = positions.iter().copied().fold(f64::MIN, f64::max);
    let least = positions.iter().copied().fold(f64::MAX, f64::min);
    (None, most - least)
}

/// `order` gives the slots of points, trials and a seed.
pub(super) fn check(order: impl Fn(usize, u32, u64) -> Vec<Slot>) -> Finding {
    let mut random = fastrand::Rng::with_seed(2);
    let (mut worst, mut different) = (0.0f64, std::collections::BTreeSet::new());
    for seed in 0..ORDERS {
        let (points, trials) = (random.usize(2..40), 2 * random.u32(1..10));
        let slots = order(points, trials, seed);
        let (wrong, apart) = judge(&slots, points, trials);
        if let Some(wrong) = wrong {
            let figure = format!("{points} points, {trials} trials, seed {seed}: {wrong}");
            return Finding::new("order", false, figure);
        }
        worst = worst.max(apart);
        different.insert(slots.iter().take(points).map(|s| s.point).collect::<Vec<_>>());
    }
    let figure = format!(
        "mean positions of the points differ by {worst:.1} slots at most (0 wanted) in {ORDERS} \
         plans; every block holds every point once"
    );
    Finding::new("order", worst < 1e-6 && different.len() > ORDERS as usize / 2, figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_harness::schedule::interleaved;

    #[test]
    fn the_schedule_is_interleaved_and_balanced() {
        let finding = check(interleaved);
        assert_eq!(finding.held, Some(true), "{finding}");
    }

    #[test]
    fn unfair_orders_are_found_out() {
        let adjacent = |points: usize, trials: u32, _| {
            let of = |point| (0..trials).map(move |block| Slot { block, point });
            (0..points).flat_map(of).collect()
        };
        assert!(check(adjacent).broken(), "all of A, then all of B");
        let same = |points: usize, trials: u32, _| {
            let of = |block| (0..points).map(move |point| Slot { block, point });
            (0..trials).flat_map(of).collect()
        };
        assert!(check(same).broken(), "A is always first");
    }
}
