//! When a run that goes on until its intervals are narrow may stop. Guards the level: an
//! interval looked at again and again, and taken when it looks best, misses more often than
//! it says. Here each look has a share of the 5 %, and the shares add up to it.

use statrs::distribution::{Binomial, DiscreteCDF};

use crate::stats::{ALPHA, Interval, median};

/// At the first look the median's interval is the whole range: 8 trials miss it in 2 of 256.
const FIRST_LOOK: usize = 8;

/// The trials at which a run is looked at: half as many more each time, and always even,
/// since blocks of trials come in mirrored pairs.
pub fn looks() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(FIRST_LOOK), |n| Some((n * 3 / 2).next_multiple_of(2)))
}

/// The part of [`ALPHA`] that look number `look`, from 1, may spend: 1/2, 1/6, 1/12 and so on.
/// The parts of any number of looks add up to less than the whole.
fn share(look: usize) -> f64 {
    ALPHA / (look * (look + 1)) as f64
}

/// An interval of the median that holds at every look at once, with 95 %: between two of
/// the ordered samples, whatever their distribution (the sign test turned round). Samples
/// between two looks count as the later one. `None` where there are too few.
pub fn interval(samples: &[f64]) -> Option<Interval> {
    let n = samples.len();
    let look = 1 + looks().take_while(|at| *at < n).count();
    // The number of n samples below the median is that of heads in n tosses.
    let below = Binomial::new(0.5, n as u64).ok()?;
    let outside = |rank: &usize| 2.0 * below.cdf(*rank as u64 - 1) <= share(look);
    let rank = (1..=n / 2).take_while(outside).last()?;
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Interval { lo: sorted[rank - 1], hi: sorted[n - rank] })
}

/// The wider side of the interval, from the median to its end, as a share of the median; `None`
/// where there is none yet.
pub fn wider_side(samples: &[f64]) -> Option<f64> {
    let (interval, median) = (interval(samples)?, median(samples));
    Some((interval.hi - median).max(median - interval.lo) / median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{bootstrap_ratio, mann_whitney};

    const REPEATS: usize = 1_000;

    /// A trial's figure around 1: mostly near it, at times far below, as on a VM.
    fn trial(random: &mut fastrand::Rng) -> f64 {
        let bell = |random: &mut fastrand::Rng| (0..6).map(|_| random.f64() - 0.5).sum::<f64>();
        let lost = if random.u32(..8) == 0 { 0.2 * random.f64() } else { 0.0 };
        1.0 + 0.02 * bell(random) - lost
    }

    /// The median of [`trial`], from very many.
    fn truth() -> f64 {
        let mut random = fastrand::Rng::with_seed(99);
        median(&(0..200_001).map(|_| trial(&mut random)).collect::<Vec<_>>())
    }

    /// How many of the runs leave the truth out of the interval at any of their looks.
    fn missed(interval: impl Fn(&[f64]) -> Option<Interval>) -> usize {
        let truth = truth();
        let miss = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let samples: Vec<f64> = (0..250).map(|_| trial(&mut random)).collect();
            let mut looks = looks().take_while(|n| *n <= samples.len());
            looks.any(|n| interval(&samples[..n]).is_some_and(|i| !i.contains(truth)))
        };
        (0..REPEATS as u64).filter(|seed| miss(*seed)).count()
    }

    #[test]
    fn the_level_holds_over_all_looks_together() {
        let missed = missed(interval);
        assert!(missed * 20 <= REPEATS, "{missed} of {REPEATS}");
    }

    /// The test can fail: the usual interval, looked at as often, misses too often.
    #[test]
    fn the_usual_interval_does_not_hold_over_all_looks() {
        let usual = |samples: &[f64]| {
            let mut sorted = samples.to_vec();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            let rank = (n as f64 / 2.0 - 0.98 * (n as f64).sqrt()).max(1.0) as usize;
            Some(Interval { lo: sorted[rank - 1], hi: sorted[n - rank] })
        };
        let missed = missed(usual);
        assert!(missed * 10 > REPEATS, "{missed} of {REPEATS}");
    }

    /// Two sides of the same, measured until both are narrow: a difference is seen in at
    /// most 5 of 100, and 2 for the error of 400 repeats.
    #[test]
    fn a_run_that_stops_when_narrow_shows_no_false_difference() {
        let repeats = 400;
        let mut random = fastrand::Rng::with_seed(5);
        let false_alarm = |random: &mut fastrand::Rng| {
            let [mut base, mut new] = [Vec::new(), Vec::new()];
            for n in looks().take_while(|n| *n <= 250) {
                [&mut base, &mut new].into_iter().for_each(|side| {
                    side.extend((side.len()..n).map(|_| trial(random)));
                });
                let narrow = |side: &[f64]| wider_side(side).is_some_and(|wide| wide <= 0.01);
                if narrow(&base) && narrow(&new) {
                    break;
                }
            }
            mann_whitney(&base, &new).is_some_and(|p| p < ALPHA)
                && !bootstrap_ratio(&base, &new).contains(1.0)
        };
        let alarms = (0..repeats).filter(|_| false_alarm(&mut random)).count();
        assert!(alarms * 100 <= repeats * 7, "{alarms} of {repeats}");
    }

    #[test]
    fn it_gets_narrower_and_needs_its_first_look() {
        let samples: Vec<f64> = (0..200).map(|i| 100.0 + f64::from(i * 7919 % 200)).collect();
        assert_eq!((interval(&samples[..5]), wider_side(&[])), (None, None));
        let sides: Vec<f64> =
            looks().take_while(|n| *n <= 200).filter_map(|n| wider_side(&samples[..n])).collect();
        assert_eq!(sides.len(), 8);
        assert!(sides[7] < sides[0] / 3.0, "{sides:?}");
        assert_eq!(looks().take(4).collect::<Vec<_>>(), [8, 12, 18, 28]);
        // One trial far below the others: the interval is wide on that side alone.
        let lopsided = [100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0, 98.0];
        assert_eq!(wider_side(&lopsided), Some(0.02));
        assert!((1..10_000).map(share).sum::<f64>() < ALPHA);
    }
}
