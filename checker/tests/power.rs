//! How much the stress load of variants/tests finds.

#[path = "../../variants/tests/common/mod.rs"]
mod common;

use checker::faults::FAULTS;
use common::shaken::{Shaken, Way};
use common::stress::{self, Effort};
use common::{Tested, oracle, shaken};
use machine::fault;
use machine::lock::Tas;
use std::time::{Duration, Instant};
use variants::SwapAllocator;
use variants::registry::{Variant, Visitor, visit};

type M = Shaken<Tas, true>;

impl Tested for M {
    fn config(workers: usize) -> shaken::Config {
        shaken::Config { workers, way: Way::Woven, seed: 1, every: 0 }
    }
}

struct Alone;

impl Visitor<M> for Alone {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        oracle::random_sequences::<M, A>()
    }
}

struct Stress(Effort);

impl Visitor<M> for Stress {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        stress::slots::<Tas, A, true>(&self.0)?;
        stress::pages::<Tas, A, true>(&self.0)
    }
}

#[test]
#[ignore]
fn table() {
    let time: f64 = std::env::var("T").map_or(0.2, |t| t.parse().unwrap());
    std::panic::set_hook(Box::new(|_| ()));
    let only = std::env::var("ONLY").ok();
    for fault in FAULTS {
        if only.as_ref().is_some_and(|only| only != fault.name) {
            continue;
        }
        for subject in fault.subjects {
            let subject = if *subject == "percpu_ref" { "percluster" } else { subject };
            let _on = fault::with(Some(fault.name));
            let alone = visit::<M, _>(subject, Alone).unwrap();
            let find = |effort: Effort| {
                let began = Instant::now();
                let mut n = 0;
                loop {
                    n += 1;
                    if let Err(why) = visit::<M, _>(subject, Stress(Effort { seed: n as u64, rounds: 1, ..effort })).unwrap() {
                        return (Some(why), n, began.elapsed());
                    }
                    if began.elapsed().as_secs_f64() > time {
                        return (None, n, began.elapsed());
                    }
                }
            };
            let calm = find(Effort::CALM);
            let threads = find(Effort::THREADS);
            let shaken = find(Effort::USUAL);
            let show = |(why, n, t): &(Option<String>, i32, Duration)| match why {
                Some(why) => format!("FOUND {n} {:.2}s {}", t.as_secs_f64(), why.chars().take(50).collect::<String>().replace('\n', " ")),
                None => format!("- {n} {:.2}s", t.as_secs_f64()),
            };
            println!("{:28} {:22} alone={} | {} | {} | {}", fault.name, subject, alone.is_err(), show(&calm), show(&threads), show(&shaken));
        }
    }
}

#[test]
fn sound() {
    for v in variants::registry::VARIANTS {
        for effort in [Effort::CALM, Effort::THREADS, Effort::USUAL] {
            let b = Instant::now();
            let r = visit::<M, _>(v.name, Stress(Effort { ..effort })).unwrap();
            println!("{} {:?} {:?}", v.name, r, b.elapsed());
        }
    }
}
