//! Latencies over time: coarse counts by part of the window and by quarters of a power of two.
//! Guards their cost: a timed operation pays nothing, since a part is what the histogram of the
//! whole window has gained by the part's end.

use hdrhistogram::Histogram;

use probe::recorder::{LONGEST_NS, Recorder, histogram};

/// The largest number of parts of a window.
pub const PARTS: usize = 16;
/// Quarters of powers of two up to 100 s.
const LEVELS: usize = level(LONGEST_NS) + 1;

/// Latencies of one kind of operation, as one worker saw them.
#[derive(Clone, Debug)]
pub struct OverTime {
    parts: Box<[[u32; LEVELS]; PARTS]>,
    /// Counts of all parts that have ended.
    ended: [u32; LEVELS],
}

impl Default for OverTime {
    fn default() -> Self {
        Self { parts: Box::new([[0; LEVELS]; PARTS]), ended: [0; LEVELS] }
    }
}

impl OverTime {
    /// A part ends; `recorder` holds it and all before it.
    pub fn end_part(&mut self, part: usize, recorder: &Recorder) {
        let mut all = [0; LEVELS];
        recorder.counts().for_each(|(ns, count)| all[level(ns)] += count as u32);
        let part = &mut self.parts[part.min(PARTS - 1)];
        for (level, count) in part.iter_mut().enumerate() {
            *count += all[level] - self.ended[level];
        }
        self.ended = all;
    }

    pub fn reset(&mut self) {
        self.parts.iter_mut().for_each(|part| part.fill(0));
        self.ended.fill(0);
    }

    pub fn add(&mut self, other: &Self) {
        let counts = self.parts.iter_mut().flatten().zip(other.parts.iter().flatten());
        counts.for_each(|(sum, n)| *sum += n);
    }

    /// The parts in which anything was recorded, each as a histogram of the middles of its
    /// levels.
    pub fn histograms(&self) -> impl Iterator<Item = (usize, Histogram<u64>)> {
        self.parts.iter().enumerate().filter(|(_, part)| part.iter().any(|n| *n > 0)).map(
            |(i, part)| {
                let mut histogram = histogram();
                for (level, n) in part.iter().enumerate().filter(|(_, n)| **n > 0) {
                    histogram.saturating_record_n(middle(level), u64::from(*n));
                }
                (i, histogram)
            },
        )
    }
}

/// Windows of `measure_ns` have parts of this power of two: between half of [`PARTS`] and all.
pub fn part_shift(measure_ns: u64) -> u32 {
    u64::BITS - (measure_ns / PARTS as u64).leading_zeros()
}

const fn level(ns: u64) -> usize {
    let ns = if ns == 0 {
        1
    } else if ns > LONGEST_NS {
        LONGEST_NS
    } else {
        ns
    };
    let octave = ns.ilog2();
    4 * octave as usize + (ns << 2 >> octave) as usize % 4
}

fn middle(level: usize) -> u64 {
    let (octave, quarter) = (level / 4, level as u64 % 4);
    (((9 + 2 * quarter) << octave) >> 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_within_an_eighth_of_what_it_stands_for() {
        for ns in (0..2000).chain((1..36).map(|e| (1 << e) + 12345 % (1 << e))) {
            let stands_for = middle(level(ns)) as f64;
            let off = (stands_for - ns as f64).abs();
            assert!(off <= (ns as f64 / 8.0).max(1.0), "{ns} ns as {stands_for}");
        }
        assert_eq!(level(u64::MAX), LEVELS - 1);
    }

    #[test]
    fn a_window_has_8_to_16_parts() {
        for measure in [1_000_000_000u64, 2_000_000, 123_456_789, 1 << 30] {
            let parts = (measure - 1) >> part_shift(measure);
            assert!((7..PARTS as u64).contains(&parts), "{measure} ns: {parts}");
        }
    }

    #[test]
    fn parts_stay_apart_and_add_up() {
        let (mut one, mut recorder) = (OverTime::default(), Recorder::default());
        for (part, ns) in [(0, 100), (3, 5_000), (99, 5_000)] {
            recorder.record(ns);
            one.end_part(part, &recorder);
        }
        let mut sum = one.clone();
        sum.add(&one);
        let seen: Vec<_> = sum.histograms().map(|(part, h)| (part, h.len())).collect();
        assert_eq!(seen, [(0, 2), (3, 2), (PARTS - 1, 2)]);
        one.reset();
        recorder.reset();
        one.end_part(0, &recorder);
        assert_eq!(one.histograms().count(), 0);
    }
}
