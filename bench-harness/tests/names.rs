//! Names that the crates below results spell themselves, held to the lists of the schema.

use machine::simulated::SOURCES;
use results::schema::Distance;
use variants::Steps;

#[test]
fn the_simulators_distances_are_those_of_the_schema() {
    assert_eq!(SOURCES, Distance::ALL.map(Distance::name));
}

#[test]
fn the_variants_steps_of_swapoff_are_those_of_the_list() {
    let some = Some(1);
    let all = Steps { barrier: some, drain: some, scanning: some, ..Steps::default() };
    let names: Vec<&str> = all.rows().map(|(name, _)| name).collect();
    assert_eq!(names, results::steps::of_model().collect::<Vec<_>>());
}
