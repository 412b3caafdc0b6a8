//! The counts of one worker: operations by kind, latencies of a sample of them, and what else a
//! workload records. Everything is the worker's own; nothing here is shared. Guards the cost of
//! measuring: an operation that is not in the sample costs a decrement, and so does a step between
//! two looks at the clock.

use std::collections::BTreeMap;

use machine::{Cpu, Machine};
use variants::{Steps, SwapoffError};

use crate::over_time::{OverTime, part_shift};
use probe::noise::GapMeter;
use probe::recorder::Recorder;

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folio swapped out: slots are allocated.
    Alloc,
    /// An `Alloc` that began during a swapoff, where a workload counts these apart.
    AllocInSwapoff,
    /// An `Alloc` of an order above 0.
    AllocLarge,
    /// A page swapped in, or a run of pages unmapped: slots are freed.
    Free,
    /// Entries copied by fork.
    Dup,
    /// Looks into the swap cache, those around one fault.
    LookUp,
    /// get_swap_device() and put_swap_device().
    Get,
    /// An allocation by the worker that switches the device, which swaps out again what swapoff
    /// brought back.
    Refill,
    Swapoff,
    Swapon,
}

impl Kind {
    pub const ALL: [Kind; 10] = [
        Kind::Alloc,
        Kind::AllocInSwapoff,
        Kind::AllocLarge,
        Kind::Free,
        Kind::Dup,
        Kind::LookUp,
        Kind::Get,
        Kind::Refill,
        Kind::Swapoff,
        Kind::Swapon,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Alloc => "alloc",
            Kind::AllocInSwapoff => "alloc-in-swapoff",
            Kind::AllocLarge => "alloc-large",
            Kind::Free => "free",
            Kind::Dup => "dup",
            Kind::LookUp => "look-up",
            Kind::Get => "get",
            Kind::Refill => "refill",
            Kind::Swapoff => "swapoff",
            Kind::Swapon => "swapon",
        }
    }

    /// Rare and long kinds, of which every operation is timed.
    fn always_timed(self) -> bool {
        matches!(self, Kind::Swapoff | Kind::Swapon)
    }
}

/// One kind of operation, as one worker saw it.
#[derive(Clone, Debug)]
pub struct Tally {
    pub failed: u64,
    /// One operation in `every` is timed, on average.
    pub every: u32,
    /// Operations between two timed ones.
    stride: u32,
    /// Operations until the next timed one.
    left: u32,
    /// Operations counted in finished strides.
    before: u64,
    rng: fastrand::Rng,
    /// Service times, ns. Made when first needed, which is before the window opens.
    pub latency: Option<Recorder>,
    /// Times from the intended start, ns, in an open loop.
    pub response: Option<Recorder>,
    /// Parts of the window: of `response` in an open loop, else of `latency`.
    pub over_time: Option<OverTime>,
}

impl Tally {
    pub fn count(&self) -> u64 {
        self.before + u64::from(self.stride - self.left)
    }

    /// Strides differ: allocators work in batches, and a fixed stride would time the same place of
    /// each batch.
    fn next_stride(&mut self) {
        self.before += u64::from(self.stride);
        let quarter = self.every / 4;
        let jitter = self.rng.u32(0..=2 * quarter);
        self.stride = (self.every - quarter).saturating_add(jitter);
        self.left = self.stride;
    }

    /// The recorder that the parts over time are taken from.
    fn felt(&self) -> Option<&Recorder> {
        self.response.as_ref().or(self.latency.as_ref())
    }
}

/// Swapoffs whose steps a worker keeps: an empty device is switched off thousands of times per
/// second.
const SWAPOFFS_KEPT: usize = 64;

/// A swapoff: when it began, the slots in use then, and its steps or its error.
pub type SwapoffSeen = (u64, u64, Result<Steps, SwapoffError>);

/// Time between two looks at the clock, ns, where no timed operation reads it as often. A look costs
/// 10 to 40 ns, so less than a thousandth of it; a gap of 1 ms is 16 times as long, and stands out.
const LOOK_NS: u64 = 62_500;

/// Everything one worker counted.
#[derive(Clone, Debug)]
pub struct Meter {
    pub tallies: [Tally; Kind::ALL.len()],
    /// When the step under way should have begun, in an open loop.
    pub intended: Option<u64>,
    /// When the window opened, on the machine's clock.
    opened: u64,
    /// The length of the window's parts is 2^this ns.
    part_shift: u32,
    /// The part under way.
    part: usize,
    /// When it ends.
    part_ends: u64,
    pub gaps: GapMeter,
    /// Steps until the next look at the clock.
    steps_left: u64,
    /// Steps between two looks.
    steps_per_look: u64,
    /// When the last look was.
    looked: u64,
    pub counts: BTreeMap<&'static str, u64>,
    pub swapoffs: Vec<SwapoffSeen>,
    /// (name, unit) with (when, value).
    pub series: BTreeMap<(&'static str, &'static str), Vec<(u64, f64)>>,
}

impl Meter {
    /// One operation in `every` is timed, the rare kinds always.
    pub fn new(every: u32) -> Self {
        let tally = |kind: Kind| {
            let every = if kind.always_timed() { 1 } else { every };
            Tally {
                failed: 0,
                every,
                stride: every,
                left: every,
                before: 0,
                rng: fastrand::Rng::with_seed(1),
                latency: None,
                response: None,
                over_time: None,
            }
        };
        Self {
            tallies: Kind::ALL.map(tally),
            intended: None,
            opened: 0,
            part_shift: 0,
            part: 0,
            part_ends: u64::MAX,
            gaps: GapMeter::default(),
            steps_left: u64::MAX,
            steps_per_look: 1,
            looked: 0,
            counts: BTreeMap::new(),
            swapoffs: Vec::new(),
            series: BTreeMap::new(),
        }
    }

    /// Reads the clock now and then for gaps, however few operations are timed.
    pub fn watch_clock(mut self) -> Self {
        self.steps_left = 1;
        self
    }

    /// A step is done.
    #[inline]
    pub fn step<M: Machine>(&mut self, cpu: &impl Cpu<M>) {
        self.steps_left -= 1;
        if self.steps_left == 0 {
            self.look(cpu.now());
        }
    }

    /// Steps differ from workload to workload: their number is doubled or halved towards one look
    /// per [`LOOK_NS`].
    #[cold]
    fn look(&mut self, now: u64) {
        let passed = now.saturating_sub(std::mem::replace(&mut self.looked, now));
        if passed < LOOK_NS / 2 {
            self.steps_per_look *= 2;
        } else if passed > 2 * LOOK_NS {
            self.steps_per_look = (self.steps_per_look / 2).max(1);
        }
        self.steps_left = self.steps_per_look;
        self.gaps.feed_after(LOOK_NS / 2, now);
    }

    /// Runs one operation; it says whether it succeeded. There is one call of it, timed or not, so
    /// that it is compiled as in a loop written by hand.
    #[inline]
    pub fn op<M: Machine>(
        &mut self,
        cpu: &impl Cpu<M>,
        kind: Kind,
        op: impl FnOnce() -> bool,
    ) -> bool {
        let left = &mut self.tallies[kind as usize].left;
        *left -= 1;
        let timed = *left == 0;
        let start = if timed { cpu.now() } else { 0 };
        let ok = op();
        if timed {
            self.timed(kind, start, cpu.now());
        }
        if !ok {
            self.tallies[kind as usize].failed += 1;
        }
        ok
    }

    #[inline(never)]
    fn timed(&mut self, kind: Kind, start: u64, end: u64) {
        if start >= self.part_ends {
            self.next_part(start);
        }
        let tally = &mut self.tallies[kind as usize];
        tally.next_stride();
        let record = |recorder: &mut Option<Recorder>, since: u64| {
            recorder.get_or_insert_default().record(end.saturating_sub(since));
        };
        record(&mut tally.latency, start);
        if let Some(intended) = self.intended {
            record(&mut tally.response, intended);
        }
        if kind.always_timed() {
            self.gaps.skip(end);
        } else {
            self.gaps.feed(start);
        }
    }

    #[cold]
    fn next_part(&mut self, now: u64) {
        self.end_part();
        self.part = (now.saturating_sub(self.opened) >> self.part_shift) as usize;
        self.part_ends = self.opened + ((self.part as u64 + 1) << self.part_shift);
    }

    /// Assigns to the part under way what was recorded since the last one ended.
    fn end_part(&mut self) {
        for tally in &mut self.tallies {
            let mut over_time = tally.over_time.take();
            if let Some(recorder) = tally.felt() {
                over_time.get_or_insert_default().end_part(self.part, recorder);
            }
            tally.over_time = over_time;
        }
    }

    /// Adds to a count that has no kind.
    pub fn add(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }

    /// A value that changes over time.
    pub fn point(&mut self, name: &'static str, unit: &'static str, at: u64, value: f64) {
        self.series.entry((name, unit)).or_default().push((at, value));
    }

    /// Keeps the steps of the first `SWAPOFFS_KEPT` swapoffs; the tally counts and times all.
    pub fn swapoff(&mut self, at: u64, used: u64, result: Result<Steps, SwapoffError>) {
        if self.swapoffs.len() < SWAPOFFS_KEPT {
            self.swapoffs.push((at, used, result));
        }
    }

    /// Forgets all counts, because the window opens. Memory allocated in the warm-up is kept.
    pub fn reset(&mut self) {
        for tally in &mut self.tallies {
            (tally.failed, tally.before) = (0, 0);
            tally.stride = tally.left;
            for recorder in [&mut tally.latency, &mut tally.response].into_iter().flatten() {
                recorder.reset();
            }
            if let Some(over_time) = &mut tally.over_time {
                over_time.reset();
            }
        }
        self.counts.clear();
        self.swapoffs.clear();
        self.series.clear();
    }

    /// The window is open from `at` on, for about `measure_ns`.
    pub fn opened(&mut self, at: u64, measure_ns: u64) {
        (self.opened, self.part_shift) = (at, part_shift(measure_ns));
        (self.part, self.part_ends) = (0, at + (1 << self.part_shift));
        self.gaps.open(at);
    }

    /// The window was closed at `at`.
    pub fn closed(&mut self, at: u64) {
        self.gaps.feed(at);
        self.end_part();
    }

    /// Operations of all kinds that succeeded: failing is quick, and would look fast.
    pub fn total(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.count() - tally.failed).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::lock::Tas;
    use machine::{Native, native};

    /// In batches of 64 operations each place is timed equally often, and all are counted.
    #[test]
    fn what_is_timed_is_in_step_with_no_batch() {
        let worker = |_: &(), cpu: &_| {
            let (mut meter, mut places) = (Meter::new(128), [0u32; 64]);
            for n in 0..64 * 128 * 200u64 {
                let before = meter.tallies[0].before;
                meter.op::<Native<Tas, true>>(cpu, Kind::Alloc, || true);
                places[(n % 64) as usize] += u32::from(meter.tallies[0].before > before);
                assert_eq!(meter.tallies[0].count(), n + 1);
            }
            places
        };
        let config = native::Config::untimed(1);
        let outcome = Native::<Tas, true>::run(&config, |_| (), worker, |_, _| {}).unwrap();
        let places = outcome.workers[0];
        assert!(places.iter().all(|n| (140..260).contains(n)), "200 each: {places:?}");
    }

    /// A worker of which no operation is timed: it still sees a stop, wherever in its window.
    #[test]
    fn gaps_are_seen_without_timed_operations() {
        let worker = |_: &(), cpu: &_| {
            let mut meter = Meter::new(u32::MAX).watch_clock();
            let stop = std::time::Duration::from_millis(60);
            let steps = |meter: &mut Meter| {
                for _ in 0..200_000 {
                    meter.op::<Native<Tas, true>>(cpu, Kind::Get, || true);
                    meter.step::<Native<Tas, true>>(cpu);
                }
            };
            steps(&mut meter);
            let mut seen = Vec::new();
            for at in 0..3 {
                meter.reset();
                meter.opened(native::now(), 1_000_000);
                let sleep_at = |place| (at == place).then(|| std::thread::sleep(stop));
                sleep_at(0);
                steps(&mut meter);
                sleep_at(1);
                steps(&mut meter);
                sleep_at(2);
                meter.closed(native::now());
                seen.push(meter.gaps.max_ns);
            }
            (seen, meter.steps_per_look)
        };
        let config = native::Config::untimed(1);
        let outcome = Native::<Tas, true>::run(&config, |_| (), worker, |_, _| {}).unwrap();
        let (seen, steps_per_look) = &outcome.workers[0];
        assert!(seen.iter().all(|gap| *gap >= 60_000_000), "{seen:?}");
        assert!(*steps_per_look > 1, "the clock is not read at each step");
    }
}
