//! When a run has seen enough: the window closes once batch means know how much the workers get
//! done to a given precision. Guards that the decision depends on virtual time alone, so that the
//! same seed gives the same window, and that a run which never becomes precise ends at its budget.
//!
//! A window is cut into batches of equal length, which are put together two by two as it grows, or
//! into the rounds that a workload reports. The window opens when the workers have done enough to
//! warm up.

/// How well, at what cost.
#[derive(Clone, Copy, Debug)]
pub struct Precision {
    /// Half of the 95 % interval that is narrow enough, as a share of the mean.
    pub width: f64,
    /// Half of that interval by the rates of batches; none if they are too few.
    pub half_width: fn(&[f64]) -> Option<f64>,
    /// What each worker does on average before the window opens.
    pub warm: u64,
    /// What it does on average, at least, until the window closes.
    pub least: u64,
    /// Batches are the rounds that the workload reports, not stretches of time.
    pub rounds: bool,
    /// The window closes after so many events of the simulator in all, however wide the interval.
    pub most_events: u64,
}

/// What is known when the window closes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// When the window opened and closed, virtual nanoseconds.
    pub window_ns: (u64, u64),
    /// Batches in it.
    pub batches: usize,
    /// Half of the 95 % interval by these batches, as a share of the mean; none: too few batches.
    pub half_width: Option<f64>,
}

/// The first batches are this long, picoseconds.
const SHORTEST: u64 = 1_000_000;
/// So many batches are put together two by two.
const MOST: usize = 32;
/// With so many batches, and every fourth more, the window may close.
const ENOUGH: usize = 16;
/// With so many rounds.
const ENOUGH_ROUNDS: usize = 3;

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Nothing,
    Opens,
    Closes,
}

/// A part of the window.
#[derive(Clone, Copy)]
struct Batch {
    done: u64,
    length: u64,
}

/// Watches one run.
pub(super) struct Watch {
    precision: Precision,
    workers: u64,
    /// What each worker has reported last, and all of it together.
    reported: Vec<u64>,
    done: u64,
    /// When the window opened, and what was done by then.
    opened: Option<(u64, u64)>,
    batches: Vec<Batch>,
    /// When the batch under way began, and what was done before it.
    since: (u64, u64),
    length: u64,
    /// When time ends the next batch.
    pub next: u64,
    pub known: Option<Known>,
}

impl Watch {
    pub fn new(precision: Precision, workers: usize) -> Self {
        Self {
            precision,
            workers: workers as u64,
            reported: vec![0; workers],
            done: 0,
            opened: None,
            batches: Vec::new(),
            since: (0, 0),
            length: SHORTEST,
            next: if precision.rounds { u64::MAX } else { SHORTEST },
            known: None,
        }
    }

    pub fn by_rounds(&self) -> bool {
        self.precision.rounds
    }

    /// A worker has done `total` since it began to count, which it does anew with each phase.
    pub fn reports(&mut self, worker: usize, total: u64) {
        let before = std::mem::replace(&mut self.reported[worker], total);
        self.done += total.checked_sub(before).unwrap_or(total);
    }

    /// Whether workers that have closed their window go on until the last one has: no longer than
    /// for an eighth of the budget beyond it. One operation can be thousands of times as long as the
    /// window, such as the drain of all slot caches. Its worker then ends it alone.
    pub fn waits_for_last(&self, events: u64) -> bool {
        events < self.precision.most_events.saturating_add(self.precision.most_events / 8)
    }

    /// A batch ends at `now`, picoseconds, after so many events.
    pub fn look(&mut self, now: u64, events: u64) -> Look {
        if self.known.is_some() {
            return Look::Nothing;
        }
        self.next = if self.precision.rounds { u64::MAX } else { now + self.length };
        let Some((opened, before)) = self.opened else {
            let warm = self.workers * self.precision.warm;
            if self.done < warm && events < self.precision.most_events / 2 {
                return Look::Nothing;
            }
            (self.opened, self.since) = (Some((now, self.done)), (now, self.done));
            return Look::Opens;
        };
        let (began, done) = std::mem::replace(&mut self.since, (now, self.done));
        self.batches.push(Batch { done: self.done - done, length: now - began });
        let half_width = self.half_width();
        let precise = half_width.is_some_and(|half| half <= self.precision.width);
        let least = self.workers * self.precision.least;
        let seen = self.done - before >= least && self.may_close();
        if precise && seen || events >= self.precision.most_events {
            let window_ns = (opened / 1000, now / 1000);
            self.known = Some(Known { window_ns, batches: self.batches.len(), half_width });
            self.next = u64::MAX;
            return Look::Closes;
        }
        if !self.precision.rounds && self.batches.len() == MOST {
            self.batches = pairs(&self.batches);
            self.length *= 2;
            self.next = now + self.length;
        }
        Look::Nothing
    }

    fn may_close(&self) -> bool {
        let batches = self.batches.len();
        if self.precision.rounds {
            batches >= ENOUGH_ROUNDS
        } else {
            batches >= ENOUGH && batches.is_multiple_of(4)
        }
    }

    /// By the batches, and by pairs of them, whichever is wider: batches that are too short are
    /// alike, and their interval is too narrow.
    fn half_width(&self) -> Option<f64> {
        let of = |batches: &[Batch]| {
            let rate = |batch: &Batch| batch.done as f64 / batch.length.max(1) as f64;
            (self.precision.half_width)(&batches.iter().map(rate).collect::<Vec<_>>())
        };
        let alone = of(&self.batches)?;
        if self.precision.rounds {
            return Some(alone);
        }
        Some(alone.max(of(&pairs(&self.batches))?))
    }
}

/// Batches put together two by two; one that is left over is dropped.
fn pairs(batches: &[Batch]) -> Vec<Batch> {
    let both = |pair: &[Batch]| Batch {
        done: pair[0].done + pair[1].done,
        length: pair[0].length + pair[1].length,
    };
    batches.chunks_exact(2).map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half the range, as a share of the mean.
    fn range(rates: &[f64]) -> Option<f64> {
        let (least, most) =
            (rates.iter().copied().reduce(f64::min)?, rates.iter().copied().reduce(f64::max)?);
        Some((most - least) / 2.0 / (rates.iter().sum::<f64>() / rates.len() as f64))
    }

    fn precision() -> Precision {
        Precision {
            width: 0.02,
            half_width: range,
            warm: 1000,
            least: 500,
            rounds: false,
            most_events: 1 << 40,
        }
    }

    /// One worker that does `rate(n)` in the n-th microsecond. Returns what is known, and how much
    /// was done until the window opened and closed.
    fn watch(precision: Precision, rate: impl Fn(u64) -> u64) -> (Known, u64, u64) {
        let (mut watch, mut done, mut opened) = (Watch::new(precision, 1), 0, 0);
        for n in 1.. {
            done += rate(n);
            watch.reports(0, done);
            let now = n * 1_000_000;
            if now < watch.next && !precision.rounds {
                continue;
            }
            match watch.look(now, n) {
                Look::Nothing => (),
                Look::Opens => opened = done,
                Look::Closes => return (watch.known.unwrap(), opened, done),
            }
        }
        unreachable!("it closes");
    }

    #[test]
    fn a_steady_run_ends_when_enough_was_done() {
        let (known, opened, closed) = watch(precision(), |_| 10);
        assert_eq!((opened, known.half_width), (1000, Some(0.0)));
        assert!((1500..2000).contains(&closed), "{closed}");
        assert!((ENOUGH..=MOST).contains(&known.batches));
    }

    #[test]
    fn an_uneven_run_goes_on_until_its_batches_are_alike() {
        // 30 us of 5, then of 15.
        let (known, _, closed) = watch(precision(), |n| if n / 30 % 2 == 0 { 5 } else { 15 });
        assert!(known.half_width.unwrap() <= 0.02 && closed > 4_000, "{known:?}, {closed}");
    }

    #[test]
    fn the_budget_ends_a_run_that_never_is_precise() {
        let budget = Precision { most_events: 5_000, ..precision() };
        let (known, _, _) = watch(budget, |n| n);
        assert!(known.half_width.unwrap() > 0.02, "{known:?}");
        assert!((5_000_000..6_000_000).contains(&known.window_ns.1), "{known:?}");
    }

    #[test]
    fn rounds_are_batches_however_long() {
        let rounds = Precision { rounds: true, ..precision() };
        let (known, _, _) = watch(rounds, |_| 500);
        assert_eq!((known.batches, known.window_ns), (ENOUGH_ROUNDS, (2_000, 5_000)));
    }

    #[test]
    fn a_count_that_begins_anew_loses_nothing() {
        let mut watch = Watch::new(precision(), 2);
        for (worker, total) in [(0, 10), (1, 5), (0, 12), (0, 3), (1, 6)] {
            watch.reports(worker, total);
        }
        assert_eq!(watch.done, 10 + 5 + 2 + 3 + 1);
    }
}
