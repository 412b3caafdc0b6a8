//! docs/holder-preempted.md: locks of which a holder or a waiter is away.

use super::Document;
use super::fill::claim;
use super::reference::{Reference, digits, millions, span};

const FIFO: [&str; 3] = ["mcs", "qspin", "ticket"];

pub fn document() -> Document {
    let run = Reference::of("holder-preempted");
    let rate =
        |lock: &str, threads| run.median(&format!("lock={lock} threads={threads}"), "throughput");
    let fifo = |threads| FIFO.map(|lock| rate(lock, threads));
    let refused = |threads| {
        let all = run.points(&format!("lock=mcs threads={threads}"))[0].cells.len();
        let tas = run.points(&format!("lock=tas threads={threads}"))[0].cells.len();
        [(all - tas).to_string(), all.to_string()]
    };
    let model = Reference::of("holder-preempted-model");
    let left = |lock: &str| {
        let rate =
            |preempt: &str| model.median(&format!("lock={lock} preempt={preempt}"), "throughput");
        rate("10ms:1ms") / rate("") * 100.0
    };
    let (whole, kilo) = (|x: f64| digits(x, 0), |x: f64| digits(x / 1e3, 1) + "k");
    let sentences = vec![
        claim(
            "`tas` does {} M operations per second with one thread per CPU and {} M with two",
            [millions(rate("tas", 2)), millions(rate("tas", 4))],
        ),
        claim(
            "FIFO locks do {} of the {} M that they do undisturbed",
            [span(&fifo(4), kilo), span(&fifo(2), millions)],
        ),
        claim("With 4 threads per CPU {} of the {} trials of `tas` were refused", refused(8)),
        claim("of the window. {} trials count as hit", [run.hit("")]),
        claim(
            "`tas` keeps {} %, and the FIFO locks {} % (medians of six trials",
            [whole(left("tas")), span(&FIFO.map(left), whole)],
        ),
    ];
    Document { path: "docs/holder-preempted.md", sentences, blocks: Vec::new() }
}
