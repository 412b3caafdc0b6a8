//! The fuzzing entry points for a moment on a stable compiler: valid inputs, what was found
//! before (`fuzz/regressions/<parser>/`), and damaged copies of both. `make fuzz` goes on for as
//! long as it is let.

#[path = "../fuzz/parsers.rs"]
mod parsers;

use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use parsers::{PARSERS, Parser};

/// For each parser.
fn time() -> Duration {
    let seconds = std::env::var("SWAPSCALE_FUZZ_SECONDS").map(|text| text.parse().unwrap());
    Duration::from_secs_f64(seconds.unwrap_or(0.25))
}

fn seeds((name, _, valid): &Parser) -> Vec<Vec<u8>> {
    let mut all = valid();
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions").join(name);
    let files = std::fs::read_dir(found).into_iter().flatten().flatten();
    all.extend(files.map(|file| std::fs::read(file.path()).unwrap()));
    all
}

/// A copy with a few bytes changed, cut out, doubled, or put in the place of others.
fn damaged(seed: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    const WORDS: [&str; 12] =
        ["-1", "0", "1e999", "NaN", "18446744073709551616", ",", "\n", "[", "\"", "-", "\0", "é"];
    let mut data = seed.to_vec();
    for _ in 0..random.usize(1..5) {
        let at = random.usize(0..=data.len());
        let to = random.usize(at..=data.len().min(at + 20));
        match random.u8(0..4) {
            0 => drop(data.drain(at..to)),
            1 => data.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.u8(..)),
            2 => drop(data.splice(at..to, WORDS[random.usize(..WORDS.len())].bytes())),
            _ => {
                let twice = data[at..to].to_vec();
                drop(data.splice(at..at, twice));
            }
        }
    }
    data
}

fn survives(parser: &Parser, data: &[u8]) {
    let (name, parse, _) = parser;
    if catch_unwind(|| parse(data)).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crash-{name}"));
        std::fs::write(&path, data).unwrap();
        panic!("{name} fell over; its input is in {}", path.display());
    }
}

#[test]
fn no_parser_falls_over() {
    for parser in &PARSERS {
        let seeds = seeds(parser);
        seeds.iter().for_each(|seed| survives(parser, seed));
        for seed in &seeds {
            let step = seed.len() / 500 + 1;
            (0..seed.len()).step_by(step).for_each(|end| survives(parser, &seed[..end]));
        }
        let mut random = fastrand::Rng::with_seed(1);
        let end = Instant::now() + time();
        while Instant::now() < end {
            let seed = &seeds[random.usize(..seeds.len())];
            survives(parser, &damaged(seed, &mut random));
        }
    }
}

#[test]
fn a_parser_that_falls_over_is_found_out() {
    let weak: Parser = ("weak", |data| assert!(!data.contains(&b'[')), || vec![b"a".to_vec()]);
    let mut random = fastrand::Rng::with_seed(1);
    let found = (0..10_000).any(|_| {
        let data = damaged(&(weak.2)()[0], &mut random);
        catch_unwind(|| (weak.1)(&data)).is_err()
    });
    assert!(found);
}
