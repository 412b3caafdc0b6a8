//! A distribution of times in buckets a quarter of an octave wide. Guards that a distribution per
//! site and CPU stays small: 2.5 KiB, and nothing before the first time.

/// Quarters of the 40 octaves up to 18 minutes.
const BUCKETS: usize = 160;

/// Times in nanoseconds, by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals {
    /// (count, sum).
    buckets: Vec<(u64, u64)>,
    /// The longest time; 0 if there is none.
    pub max: u64,
}

/// Index of the bucket of a time: the two bits below the leading one name the quarter of the
/// octave.
fn bucket(ns: u64) -> usize {
    let ns = ns.max(4);
    let octave = ns.ilog2() as usize;
    (4 * octave + (ns >> (octave - 2)) as usize % 4 - 8).min(BUCKETS - 1)
}

impl Intervals {
    pub(super) fn record(&mut self, ns: u64) {
        if self.buckets.is_empty() {
            self.buckets.resize(BUCKETS, (0, 0));
        }
        let (count, total) = &mut self.buckets[bucket(ns)];
        *count += 1;
        *total += ns;
        self.max = self.max.max(ns);
    }

    /// Sets all counts to 0, keeps the memory.
    pub(super) fn reset(&mut self) {
        self.buckets.fill((0, 0));
        self.max = 0;
    }

    /// Adds the times of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.buckets.resize(self.buckets.len().max(other.buckets.len()), (0, 0));
        for (mine, other) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = (mine.0 + other.0, mine.1 + other.1);
        }
        self.max = self.max.max(other.max);
    }

    /// Number of times.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.0).sum()
    }

    /// Sum of all times.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|b| b.1).sum()
    }

    /// The mean of the bucket that holds quantile `q` (0..=1); 0 if there are no times.
    pub fn quantile(&self, q: f64) -> u64 {
        let mut left = (q * self.count() as f64).ceil().max(1.0) as u64;
        for (count, total) in self.buckets.iter().filter(|b| b.0 > 0) {
            if left <= *count {
                return total / count;
            }
            left -= count;
        }
        0
    }

    /// Sum of the parts of all times beyond `ns`.
    pub fn beyond(&self, ns: u64) -> u64 {
        let over = |(count, total): &(u64, u64)| total.saturating_sub(count.saturating_mul(ns));
        self.buckets.iter().map(over).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise_and_are_narrow() {
        let mut before = 0;
        for ns in (4..100_000).chain([1 << 39, 1 << 40, u64::MAX]) {
            let here = bucket(ns);
            assert!(here >= before && here < BUCKETS, "{ns}");
            before = here;
        }
        assert_eq!(bucket(0), 0);
        assert!(bucket(1000) < bucket(1000 * 5 / 4 + 30), "a quarter of an octave apart");
    }

    #[test]
    fn quantiles_and_what_is_beyond() {
        let mut times = Intervals::default();
        assert_eq!((times.quantile(0.5), times.count()), (0, 0));
        (0..99).for_each(|_| times.record(100));
        times.record(10_000);
        assert_eq!((times.quantile(0.5), times.quantile(0.999), times.max), (100, 10_000, 10_000));
        assert_eq!((times.beyond(1_000), times.beyond(0)), (9_000, times.total()));
        let mut both = Intervals::default();
        both.merge(&times);
        both.merge(&times);
        assert_eq!((both.count(), both.total()), (200, 2 * times.total()));
        times.reset();
        assert_eq!((times.count(), times.max), (0, 0));
    }
}
