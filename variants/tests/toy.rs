//! The toy variant of CONTRIBUTING.md passes what every variant has to pass.

mod common;
#[path = "toy/first_fit.rs"]
mod first_fit;

use common::{Op, follow, random_op, stress};
use first_fit::FirstFit;
use machine::Native;
use machine::lock::Tas;

#[test]
fn the_toy_passes_the_oracle() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let ops: Vec<Op> = (0..150).map(|_| random_op(&mut random, true)).collect();
        follow::<Tas, FirstFit<Native<Tas, false>>>(&ops).unwrap();
    }
}

#[test]
fn the_toy_passes_the_stress_load() {
    stress::<Tas, FirstFit<Native<Tas, true>>>(5_000, u32::MAX).unwrap();
}
