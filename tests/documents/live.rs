//! The part of docs/kernel.md that holds the running kernel against the model per page: the committed
//! `validate --only live`. Guards that the run cannot be replaced without the document.

use std::fmt::Write;

use results::validation::{Point, Section, Spread, Validation};

use super::fill::{Claim, claim};
use super::prices::Prices;
use super::reference::{digits, root};

const FOLDER: &str = "results/reference/validation-live";

/// Validation, and the price file that was measured for it.
fn read() -> (Section, Prices) {
    let mut all = Validation::read(&root().join(FOLDER)).expect("validation.json");
    (all.sections.remove(0), Prices::read(&root().join(FOLDER).join("zram-one-word.toml")))
}

fn ratio(point: &Point) -> String {
    digits(point.predicted / point.measured, 2)
}

fn find<'a>(section: &'a Section, panel: &str, curve: &str, processes: f64) -> &'a Point {
    let on = |p: &&Point| (&*p.panel, &*p.curve, p.x) == (panel, curve, processes);
    section.points.iter().find(on).expect("a point of the run")
}

/// A row per workload, page and number of processes.
pub fn table() -> String {
    let mut table = String::from(
        "| workload | per page | processes | kernel | model | model / kernel |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for point in read().0.points {
        let Spread { least, most, .. } = point.spread.expect("several trials");
        writeln!(
            table,
            "| `{}` | {} | {} | {:.0} ({least:.0}..{most:.0}) | {:.0} | {} |",
            point.panel,
            point.curve,
            point.x,
            point.measured,
            point.predicted,
            ratio(&point)
        )
        .expect("a string takes it");
    }
    table
}

/// What the document says around the table.
pub fn sentences() -> Vec<Claim> {
    let (section, prices) = read();
    let one = |p: &&Point| p.x == 1.0;
    let within = section.points.iter().filter(one).filter(|p| p.error().abs() <= 0.3).count();
    let all = section.points.iter().filter(one).count();
    let together = prices.point("free", 512, 2);
    let freed = find(&section, "seq", "free", 2.0);
    let churned = find(&section, "churn", "out", 1.0);
    vec![
        claim(
            "One process should be within 30 %: {} of {} figures are. A page out of churn is at {} \
             times what was measured, and its price alone at {} times",
            [
                within.to_string(),
                all.to_string(),
                ratio(churned),
                digits(prices.point("out", 32, 1).ns / churned.measured, 2),
            ],
        ),
        claim(
            "free at the same time, {} ns per slot ({}..{}), of which the model has {} times as much",
            [
                digits(together.ns, 0),
                digits(together.least, 0),
                digits(together.most, 0),
                digits(freed.predicted / together.ns, 2),
            ],
        ),
    ]
}
