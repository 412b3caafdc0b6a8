//! In what order cells run. Guards the comparison of variants against drift: trials of different
//! points are interleaved in blocks, and each block is answered by its mirror image.

/// One trial of one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The trial's number, from 0.
    pub block: u32,
    /// Index into the plan's points.
    pub point: usize,
}

/// Every point once in every block. An even block is shuffled by `seed`, the odd one after it is
/// its reverse (ABBA): over an even number of trials every point has the same mean position, so a
/// linear drift of the machine favours none.
pub fn interleaved(points: usize, trials: u32, seed: u64) -> Vec<Slot> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut order: Vec<usize> = (0..points).collect();
    let mut slots = Vec::with_capacity(points * trials as usize);
    for block in 0..trials {
        if block % 2 == 0 {
            rng.shuffle(&mut order);
        } else {
            order.reverse();
        }
        slots.extend(order.iter().map(|&point| Slot { block, point }));
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_block_holds_every_point_once(points in 1..40usize, trials in 1..9u32, seed: u64) {
            let slots = interleaved(points, trials, seed);
            prop_assert_eq!(slots.len(), points * trials as usize);
            for (block, slots) in slots.chunks(points).enumerate() {
                let mut seen: Vec<usize> = slots.iter().map(|s| s.point).collect();
                seen.sort_unstable();
                prop_assert_eq!(seen, (0..points).collect::<Vec<_>>());
                prop_assert!(slots.iter().all(|s| s.block as usize == block));
            }
        }

        #[test]
        fn over_an_even_number_of_trials_all_points_run_at_the_same_mean_time(
            points in 1..40usize, pairs in 1..5u32, seed: u64
        ) {
            let mut positions = vec![0; points];
            for (at, slot) in interleaved(points, 2 * pairs, seed).into_iter().enumerate() {
                positions[slot.point] += at;
            }
            prop_assert!(positions.iter().all(|p| *p == positions[0]), "{:?}", positions);
        }
    }

    #[test]
    fn the_seed_decides_the_order() {
        let order = |seed| interleaved(10, 4, seed);
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_ne!(order(1)[..10], order(1)[20..30], "each pair of blocks has an order of its own");
    }
}
