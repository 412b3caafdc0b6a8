//! The smallest slowdown that most comparisons show, by the number of trials. Slowdowns are put in
//! by scaling real trials, so that the noise is this machine's.

use results::schema::Cell;
use results::stats::MIN_SAMPLES;
use results::store::Loaded;

use super::Finding;

/// Slowdowns tried, in percent.
const SLOWDOWNS: [f64; 12] = [0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 25.0, 50.0];
const COMPARISONS: usize = 60;
/// The share of comparisons that must show a slowdown for it to count as found.
const FOUND: f64 = 0.8;

/// `worse` says whether the second trials are slower than the first.
pub(super) fn check(
    run: &Loaded,
    worse: impl Fn(&Loaded, Vec<&Cell>, Vec<&Cell>) -> bool,
) -> Finding {
    let each = run.cells.iter().map(|cell| cell.duration_ns).max().unwrap_or(0) as f64 / 1e9;
    let counts = [MIN_SAMPLES, 10, 20, 40, 80].into_iter().filter(|n| 2 * n <= run.cells.len());
    let curve: Vec<(usize, Option<f64>)> = counts.map(|n| (n, smallest(run, n, &worse))).collect();
    let line = |(n, found): &(usize, Option<f64>)| {
        let time = 2.0 * *n as f64 * each;
        match found {
            Some(percent) => {
                let bar = "#".repeat((percent * 2.0).ceil() as usize);
                format!("{time:5.2} s of trials, {n:2}+{n:<2}: {percent:4} % {bar}")
            }
            None => format!("{time:5.2} s of trials, {n:2}+{n:<2}: not even 50 %"),
        }
    };
    let (held, best) = match curve.last() {
        Some((n, Some(percent))) => (true, format!("{percent} % with {n}+{n} trials")),
        _ => (false, "none up to 50 %".into()),
    };
    let figure =
        format!("the smallest slowdown found in {:.0} % of comparisons: {best}", 100.0 * FOUND);
    let mut finding = Finding::new("sensitivity", held, figure);
    finding.curve = curve.iter().map(line).collect();
    finding
}

/// The smallest slowdown that is found with `n` trials a side.
fn smallest(
    run: &Loaded,
    n: usize,
    worse: &impl Fn(&Loaded, Vec<&Cell>, Vec<&Cell>) -> bool,
) -> Option<f64> {
    let found = |percent: f64| {
        let mut random = fastrand::Rng::with_seed(3);
        let mut shows = 0;
        for _ in 0..COMPARISONS {
            let mut drawn: Vec<&Cell> = run.cells.iter().collect();
            random.shuffle(&mut drawn);
            let slow = |cell: &&Cell| {
                let ops_per_s = cell.ops_per_s * (1.0 - percent / 100.0);
                Cell { ops_per_s, ..(*cell).clone() }
            };
            let slowed: Vec<Cell> = drawn[n..2 * n].iter().map(slow).collect();
            shows += usize::from(worse(run, drawn[..n].to_vec(), slowed.iter().collect()));
        }
        shows as f64 >= FOUND * COMPARISONS as f64
    };
    // What finds a small slowdown finds a larger one.
    let at = SLOWDOWNS.partition_point(|percent| !found(*percent));
    SLOWDOWNS.get(at).copied()
}

#[cfg(test)]
mod tests {
    use super::super::trials::worse;
    use super::*;
    use results::example;

    /// Trials with noise of `spread` either side.
    fn run(spread: f64) -> Loaded {
        let mut random = fastrand::Rng::with_seed(4);
        let cell = |n: u32| {
            let mut cell = example::cell();
            (cell.key.block, cell.order_in_run) = (n, u64::from(n));
            cell.ops_per_s = 1e6 * (1.0 + spread * (2.0 * random.f64() - 1.0));
            cell
        };
        let cells = (0..100).map(cell).collect();
        Loaded { dir: "selftest".into(), run: example::run(), cells, notes: Vec::new() }
    }

    #[test]
    fn more_noise_hides_more_and_more_trials_find_more() {
        let (quiet, loud) = (run(0.01), run(0.1));
        let six = |run: &Loaded| smallest(run, 6, &worse).unwrap();
        assert!(six(&quiet) < six(&loud), "{} {}", six(&quiet), six(&loud));
        assert!(smallest(&loud, 40, &worse).unwrap() < six(&loud));
        let finding = check(&quiet, worse);
        assert!(finding.held == Some(true) && finding.curve.len() == 4, "{finding}");
    }

    #[test]
    fn a_comparison_that_sees_nothing_is_found_out() {
        assert!(check(&run(0.01), |_, _, _| false).broken());
    }
}
