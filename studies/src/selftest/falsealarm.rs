//! A compared with itself shows no difference, but in the 5 of 100 comparisons that its level
//! allows; a stored baseline that was not interleaved has been seen to in 56.

use results::compare::Outcome;
use results::schema::Cell;
use results::stats::{ALPHA, MIN_SAMPLES};
use results::store::Loaded;

use super::Finding;
use super::trials::verdict;
use bench_harness::schedule::Slot;

/// `schedule` says which of the trials in a row are called A, and which B.
pub(super) fn check(run: &Loaded, schedule: impl Fn(usize, u32, u64) -> Vec<Slot>) -> Finding {
    const CHECK: &str = "A/A";
    let mut cells: Vec<&Cell> = run.cells.iter().collect();
    cells.sort_by_key(|cell| cell.order_in_run);
    let alarm = |(seed, trials): (usize, &[&Cell])| {
        let slots = schedule(2, MIN_SAMPLES as u32, seed as u64);
        let side = |point| -> Vec<&Cell> {
            let mine = slots.iter().zip(trials).filter(|(slot, _)| slot.point == point);
            mine.map(|(_, cell)| *cell).collect()
        };
        matches!(verdict(run, side(0), side(1)), Outcome::Better | Outcome::Worse)
    };
    let comparisons: Vec<bool> =
        cells.chunks_exact(2 * MIN_SAMPLES).enumerate().map(alarm).collect();
    let (n, alarms) = (comparisons.len(), comparisons.iter().filter(|alarm| **alarm).count());
    if n < 10 {
        return Finding::undecided(CHECK, "most trials were refused: see swapscale doctor");
    }
    let most = most(n);
    let figure = format!(
        "{alarms} of {n} comparisons of {MIN_SAMPLES}+{MIN_SAMPLES} trials showed a difference \
         (at most {most}: 5 % and chance)"
    );
    Finding::new(CHECK, alarms <= most, figure)
}

/// The number of false alarms in `n` comparisons at level [`ALPHA`] that fewer than 1 in 100
/// self-tests exceed.
fn most(n: usize) -> usize {
    let mut exactly = (1.0 - ALPHA).powi(n as i32);
    let mut up_to = exactly;
    (0..n)
        .find(|k| {
            let enough = up_to >= 0.99;
            exactly *= (n - k) as f64 / (k + 1) as f64 * ALPHA / (1.0 - ALPHA);
            up_to += exactly;
            enough
        })
        .unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench_harness::schedule::interleaved;
    use results::example;

    /// Trials of a machine that slows down by `drift` half way through each dozen, with noise. (One that
    /// slows down steadily shows it in each side, and the comparison takes it into account.)
    fn run(drift: f64) -> Loaded {
        let mut random = fastrand::Rng::with_seed(8);
        let cell = |n: u32| {
            let mut cell = example::cell();
            (cell.key.block, cell.order_in_run) = (n, u64::from(n));
            let slow = if n % 12 < 6 { 0.0 } else { drift };
            cell.ops_per_s = 1e6 * (1.0 - slow + 0.01 * random.f64());
            cell
        };
        let cells = (0..600).map(cell).collect();
        Loaded { dir: "selftest".into(), run: example::run(), cells, notes: Vec::new() }
    }

    #[test]
    fn trials_that_are_not_interleaved_are_found_out() {
        let adjacent = |points: usize, trials: u32, _| {
            let of = |point| (0..trials).map(move |block| Slot { block, point });
            (0..points).flat_map(of).collect::<Vec<_>>()
        };
        assert!(check(&run(0.1), adjacent).broken());
        assert_eq!(check(&run(0.1), interleaved).held, Some(true), "drift favours neither");
        assert_eq!(check(&run(0.0), interleaved).held, Some(true));
    }

    #[test]
    fn the_bound_is_the_level_and_chance() {
        assert_eq!((most(20), most(50), most(1000)), (4, 7, 67));
    }
}
