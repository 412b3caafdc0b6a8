//! A gate over many points fails for what is slower, and for nothing else. Points are simulated, so
//! that the answer is known and is the same on every machine: benchstat called a 30 % change no
//! difference, and a correction by the number of points leaves six trials no power at all.

use results::family::{Design, Point};
use results::stats::{ALPHA, MIN_SAMPLES};

use super::Finding;

/// The corrected p-value of each point of a family.
pub(super) trait Gate: Fn(&[Point], Design) -> Vec<f64> {}

impl<G: Fn(&[Point], Design) -> Vec<f64>> Gate for G {}

/// Points of a family whose sides are the same: the default plan has 27 on four CPUs.
const POINTS: usize = 24;
/// Families per kind of noise and design.
const FAMILIES: usize = 60;
/// Points of a family of which one is slower, and by what.
const MANY: usize = 60;
const SLOWER: f64 = 0.95;
const REPEATS: usize = 60;
/// The share of repeats in which it must be found.
const FOUND: f64 = 0.95;
/// How much a trial varies.
const SPREAD: f64 = 0.01;

/// How the trials of one point vary.
#[derive(Clone, Copy, Debug)]
enum Noise {
    Normal,
    /// Student's t with 2 degrees of freedom: it has no variance.
    HeavyTails,
    /// AR(1): each trial leans to the one before it.
    Wandering,
}

impl Noise {
    const ALL: [Self; 3] = [Self::Normal, Self::HeavyTails, Self::Wandering];
    /// How much of a trial is the one before it.
    const RHO: f64 = 0.45;

    fn trials(self, random: &mut fastrand::Rng) -> [f64; MIN_SAMPLES] {
        let mut last = normal(random);
        std::array::from_fn(|_| {
            let bell = normal(random);
            last = match self {
                Self::Normal => bell,
                Self::HeavyTails => bell / (-(1.0 - random.f64()).ln()).sqrt(),
                Self::Wandering => Self::RHO * last + (1.0 - Self::RHO * Self::RHO).sqrt() * bell,
            };
            (1.0 + SPREAD * last).clamp(0.2, 5.0)
        })
    }
}

/// Box and Muller.
fn normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// `points` points with six trials per side. The first one's new side is base times `factor`. Where
/// both are of one run, a block does the same to both.
fn family(
    noise: Noise,
    design: Design,
    random: &mut fastrand::Rng,
    (points, factor): (usize, f64),
) -> Vec<Point> {
    let point = |n: usize| {
        let wave = Noise::Normal.trials(random);
        let mut side = |factor: f64| {
            let trials = noise.trials(random).into_iter().zip(wave);
            let sample = |(x, wave): (f64, f64)| match design {
                Design::Paired => factor * x * wave,
                Design::Unpaired => factor * x,
            };
            (0..).zip(trials.map(sample)).collect()
        };
        Point { base: side(1.0), new: side(if n == 0 { factor } else { 1.0 }) }
    };
    (0..points).map(point).collect()
}

/// How many of `families` families `fails` says yes to.
fn count(families: usize, mut fails: impl FnMut() -> bool) -> usize {
    (0..families).filter(|_| fails()).count()
}

const DESIGNS: [Design; 2] = [Design::Paired, Design::Unpaired];

/// How many families whose sides are the same fail: of `families` per design and kind of noise.
fn alarms(gate: &impl Gate, families: usize) -> impl Iterator<Item = (Design, Noise, usize)> {
    let kinds = DESIGNS.into_iter().flat_map(|d| Noise::ALL.map(|noise| (d, noise)));
    kinds.map(move |(design, noise)| {
        let mut random = fastrand::Rng::with_seed(17);
        let alarms = count(families, || {
            let family = family(noise, design, &mut random, (POINTS, 1.0));
            gate(&family, design).iter().any(|p| *p < ALPHA)
        });
        (design, noise, alarms)
    })
}

/// Families whose sides are the same, with heavy tails and trials that lean on each other.
pub(super) fn level(gate: impl Gate) -> Finding {
    let alarms: Vec<usize> = alarms(&gate, FAMILIES).map(|(_, _, alarms)| alarms).collect();
    let (families, alarms) = (FAMILIES * alarms.len(), alarms.iter().sum::<usize>());
    let figure = format!(
        "{alarms} of {families} simulated families of {POINTS} equal points failed (at most \
         {:.0} %)",
        100.0 * ALPHA
    );
    Finding::new("gate level", alarms as f64 <= ALPHA * families as f64, figure)
}

/// Families of which one point is slower.
pub(super) fn power(gate: impl Gate) -> Finding {
    let mut random = fastrand::Rng::with_seed(19);
    let found = DESIGNS.map(|design| {
        count(REPEATS, || {
            let family = family(Noise::Normal, design, &mut random, (MANY, SLOWER));
            gate(&family, design)[0] < ALPHA
        })
    });
    let figure = format!(
        "a slowdown of {:.0} % at one point of {MANY} with {MIN_SAMPLES}+{MIN_SAMPLES} trials: found \
         in {} of {REPEATS} in one run, in {} of {REPEATS} across two (at least {:.0} %)",
        100.0 * (1.0 - SLOWER),
        found[0],
        found[1],
        100.0 * FOUND
    );
    let enough = |found: &usize| *found as f64 >= FOUND * REPEATS as f64;
    Finding::new("gate power", found.iter().all(enough), figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use results::family::corrected;

    #[test]
    fn the_gate_keeps_its_level_and_has_power() {
        let (level, power) = (level(corrected), power(corrected));
        assert_eq!((level.held, power.held), (Some(true), Some(true)), "{level}\n{power}");
    }

    /// The level of each design and kind of noise by itself, in as many families as show it.
    #[test]
    fn a_gate_over_equal_runs_is_quiet() {
        const FAMILIES: usize = 2_000;
        for (design, noise, alarms) in alarms(&corrected, FAMILIES) {
            assert!(alarms * 20 <= FAMILIES, "{design:?}, {noise:?}: {alarms} of {FAMILIES}");
        }
    }

    #[test]
    fn a_gate_that_corrects_for_nothing_is_found_out() {
        let each = |points: &[Point], design| -> Vec<f64> {
            points.iter().flat_map(|point| corrected(std::slice::from_ref(point), design)).collect()
        };
        let finding = level(each);
        assert!(finding.broken(), "{finding}");
    }

    #[test]
    fn a_gate_that_cannot_fail_is_found_out() {
        let bonferroni = |points: &[Point], design| -> Vec<f64> {
            let each = |point| corrected(std::slice::from_ref(point), design);
            points.iter().flat_map(each).map(|p| p * points.len() as f64).collect()
        };
        let finding = power(bonferroni);
        assert!(finding.broken(), "{finding}");
    }
}
