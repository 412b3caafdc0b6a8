//! docs/swapoff.md: what each step of a swapoff takes, by barrier and size of the device.

use results::schema::Swapoff;
use results::stats::median;

use super::Document;
use super::fill::claim;
use super::reference::{Reference, digits, span};

const SIZES: [&str; 3] = ["10GiB", "128GiB", "1024GiB"];
const OTHER_BARRIERS: [&str; 2] = ["percluster-rcu", "percluster-second-ref"];

/// Median over all swapoffs of a point's trials of what `value` finds in one, ns.
fn swapoffs(run: &Reference, point: &str, value: impl Fn(&Swapoff) -> u64) -> f64 {
    let point = run.point(point);
    let all = point.cells.iter().flat_map(|cell| &cell.swapoff);
    median(&all.map(|swapoff| value(swapoff) as f64).collect::<Vec<_>>())
}

pub fn step(run: &Reference, point: &str, name: &str) -> f64 {
    swapoffs(run, point, |swapoff| {
        swapoff.steps.iter().filter(|step| step.name == name).map(|step| step.ns).sum()
    })
}

pub fn whole_swapoff(run: &Reference, point: &str) -> f64 {
    swapoffs(run, point, |swapoff| swapoff.steps.iter().map(|step| step.ns).sum())
}

pub fn document() -> Document {
    let run = Reference::of("swapoff");
    let point = |variant: &str, size: &str, fill: &str, threads: u32| {
        format!("variant={variant} size={size} fill={fill} threads={threads}")
    };
    let barrier = |variant: &str, fill: &str, threads| {
        SIZES.map(|size| step(&run, &point(variant, size, fill, threads), "barrier"))
    };
    let others = |fill: &str, threads| -> Vec<f64> {
        OTHER_BARRIERS.into_iter().flat_map(|variant| barrier(variant, fill, threads)).collect()
    };
    let (us, ms) = (|ns: f64| digits(ns / 1e3, 0), |ns: f64| digits(ns / 1e6, 0));
    let three = |[a, b, c]: [f64; 3]| [us(a), digits(b / 1e6, 2), digits(c / 1e6, 1)];
    let (idle, used, loaded) = (
        barrier("percluster", "0", 1),
        barrier("percluster", "1GiB", 1),
        barrier("percluster", "1GiB", 2),
    );
    let clusters = [5_120.0, 65_536.0, 524_288.0];
    let per_cluster: Vec<f64> = idle.iter().zip(clusters).map(|(ns, n)| ns / n).collect();
    let unuse = |variant: &str, size: &str, threads| {
        step(&run, &point(variant, size, "1GiB", threads), "unuse")
    };
    let whole = |variant: &str, size: &str| whole_swapoff(&run, &point(variant, size, "1GiB", 2));
    let share = |at: usize| loaded[at] / whole("percluster", SIZES[at]) * 100.0;
    let fewest = run.points("workload=swapoff").into_iter();
    let fewest =
        fewest.map(|point| point.cells.iter().map(|cell| cell.swapoff.len()).sum::<usize>());
    let [idle_10, idle_128, idle_1024] = three(idle);
    let sentences = vec![
        claim(
            "takes {} ns per cluster: {} us for 10 GiB, {} ms for 128 GiB, {} ms for 1 TiB",
            [span(&per_cluster, |x| digits(x, 1)), idle_10, idle_128, idle_1024],
        ),
        claim("through the caches it takes {} us, {} ms and {} ms", three(used)),
        claim("Load changes little: {} us, {} ms, {} ms", three(loaded)),
        claim("of three trials, at least {} of them", [fewest.min().expect("points").to_string()]),
        claim("vCPUs. {} trials with two threads were hit", [run.hit("threads=2")]),
        claim(
            "unuse takes {} ms for 1 GiB on an idle device of any size",
            [span(&SIZES.map(|size| unuse("percluster", size, 1)), ms)],
        ),
        claim(
            "it takes {} ms with `percluster`, {} with `scanning`, and {} with `percpu-cluster`",
            [
                ms(unuse("percluster", SIZES[0], 2)),
                ms(unuse("scanning", SIZES[0], 2)),
                ms(unuse("percpu-cluster", SIZES[0], 2)),
            ],
        ),
        claim(
            "the longest there ({} ms against {} and {};",
            [
                ms(whole("percluster", SIZES[0])),
                ms(whole("scanning", SIZES[0])),
                ms(whole("percpu-cluster", SIZES[0])),
            ],
        ),
        claim(
            "At 1 TiB the barrier is {} % of the whole swapoff, at 10 GiB {} %",
            [digits(share(2), 1), digits(share(0), 2)],
        ),
        claim(
            "under load they take {} us at each size. On an idle empty device they take {} us",
            [span(&others("1GiB", 2), us), span(&others("0", 1), us)],
        ),
    ];
    Document { path: "docs/swapoff.md", sentences, blocks: Vec::new() }
}
