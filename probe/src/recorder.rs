//! Counts latencies while a worker runs, in the buckets of an HdrHistogram with two significant
//! digits, but without the bookkeeping of one. Guards the cost of a record; the counts convert to
//! exactly the histogram that an HdrHistogram would have.
//!
//! A record follows a read of the clock, and another read follows soon: it waits until the record
//! has been done, as was measured on an Intel host. To find the bucket and to raise its count takes
//! some 15 cycles one after the other (the leading bit, which is microcode on AMD before LZCNT; two
//! shifts, a load, a store). So a record only stores the latency, which nothing waits for, and 64 of
//! them are counted together, where the work on one overlaps with that on the next.

use hdrhistogram::Histogram;

/// Buckets per power of two, so that none is wider than 1 % of its values.
const HALF: usize = 128;
/// 100 s; a longer latency counts as this one.
pub const LONGEST_NS: u64 = 100_000_000_000;
const BUCKETS: usize = bucket(LONGEST_NS) + 1;

/// Latencies that are counted together.
const WAITING: usize = 64;

/// Latencies in the order in which they came, and their counts per bucket: 31 KiB, of which a run
/// touches only the buckets of its latencies.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// The first `n` are not counted yet. In a box, as a coroutine's stack takes no large values.
    waiting: Box<[u64; WAITING]>,
    n: usize,
    counts: Box<[u64; BUCKETS]>,
}

const fn bucket(ns: u64) -> usize {
    // Values below 256 have a bucket each; above, the 8 leading bits count.
    let shift = (ns | 255).ilog2() as usize - 7;
    shift * HALF + (ns >> shift) as usize
}

/// The lowest value of a bucket.
fn value(bucket: usize) -> u64 {
    let shift = (bucket / HALF).saturating_sub(1);
    ((bucket - shift * HALF) as u64) << shift
}

/// An empty HdrHistogram with the same buckets.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_NS, 2).expect("the bounds are constant")
}

impl Default for Recorder {
    fn default() -> Self {
        Self { waiting: Box::new([0; WAITING]), n: 0, counts: Box::new([0; BUCKETS]) }
    }
}

impl Recorder {
    /// Counts one latency, ns.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.waiting[self.n % WAITING] = ns.clamp(1, LONGEST_NS);
        self.n += 1;
        if self.n == WAITING {
            self.count();
        }
    }

    #[cold]
    fn count(&mut self) {
        self.waiting.iter().for_each(|ns| self.counts[bucket(*ns)] += 1);
        self.n = 0;
    }

    /// Sets all counts to 0.
    pub fn reset(&mut self) {
        self.n = 0;
        self.counts.fill(0);
    }

    /// The lowest value of each bucket that is not empty, ns, and its count; in parts, where some of
    /// it has not been counted yet.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        let counted = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let waiting = self.waiting[..self.n].iter().map(|ns| (value(bucket(*ns)), 1));
        counted.map(|(bucket, count)| (value(bucket), *count)).chain(waiting)
    }

    /// Adds the counts to `histogram`, which must have these buckets.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (ns, count) in self.counts() {
            histogram.record_n(ns, count).expect("its bounds are these");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The same values in an HdrHistogram give the same histogram.
        #[test]
        fn it_is_the_histogram(values in prop::collection::vec(
            prop_oneof![0..1_000u64, 0..10_000_000u64, 0..2 * LONGEST_NS, Just(u64::MAX)], 0..200
        )) {
            let (mut recorder, mut expected, mut got) =
                (Recorder::default(), histogram(), histogram());
            for ns in values {
                recorder.record(ns);
                expected.record(ns.clamp(1, LONGEST_NS)).unwrap();
            }
            recorder.add_to(&mut got);
            prop_assert_eq!(&got, &expected);
            for q in [0.0, 0.5, 0.99, 0.9999, 1.0] {
                prop_assert_eq!(got.value_at_quantile(q), expected.value_at_quantile(q));
            }
            recorder.reset();
            let mut empty = histogram();
            recorder.add_to(&mut empty);
            prop_assert!(empty.is_empty());
        }
    }
}
