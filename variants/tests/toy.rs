//! The toy variant of CONTRIBUTING.md passes what every variant has to pass.

mod common;
#[path = "toy/first_fit.rs"]
mod first_fit;

use common::{On, oracle, stress};
use first_fit::FirstFit;
use machine::lock::{Qspin, Tas};

#[test]
fn the_toy_passes_the_oracle() {
    oracle::random_sequences::<Tas, FirstFit<On<Tas>>>().unwrap();
    oracle::random_sequences::<Qspin, FirstFit<On<Qspin>>>().unwrap();
}

#[test]
fn the_toy_passes_the_stress_load() {
    stress::pages::<Tas, FirstFit<On<Tas>>>().unwrap();
    stress::slots::<Qspin, FirstFit<On<Qspin>>>().unwrap();
}
