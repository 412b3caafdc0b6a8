//! `cargo bench`, third part: what measuring costs, in a paired comparison (README, "cost of
//! measuring").

use std::time::Duration;

use bench_harness::overhead;
use machine::topology::{Pin, Topology};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    if has("--list") {
        return println!("overhead: benchmark");
    }
    let short = has("--test") || !has("--bench");
    let (rounds, window) = if short { (2, 5) } else { (40, 50) };
    let topology = Topology::here().expect("sysfs is readable");
    let cpu = Pin::SmtLast.order(&topology).expect("a policy fits its own machine")[0];
    match overhead::measure(rounds, Duration::from_millis(window), cpu) {
        Ok(overhead) => println!("overhead: {overhead}"),
        Err(failure) => {
            eprintln!("overhead: {failure}");
            std::process::exit(2);
        }
    }
}
