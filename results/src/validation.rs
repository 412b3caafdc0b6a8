//! Predictions held against measurements, as `swapscale validate` leaves them on disk:
//! `validation.json`, from which its tables and charts are made. Guards that every figure
//! says whether it was fitted or predicted, and where the measurement is from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::published::{self, Step};
use crate::schema::Reading;
use crate::stats::median;
use crate::tables::grid::columns;
use crate::tables::text::digits;
use crate::{Error, Result};

/// The file's name in the directory that `validate --out` is given.
pub const FILE: &str = "validation.json";

/// `validation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// the command line that repeats it
    pub command: String,
    /// commit the program was built from
    pub commit: Reading<String>,
    /// experiments, in the order in which they were made
    pub sections: Vec<Section>,
}

/// One experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// fit for a file name
    pub id: String,
    /// heading of its table and charts
    pub title: String,
    /// citation of what was measured
    pub source: String,
    /// what `x` counts
    pub x: String,
    /// what was measured, with its unit
    pub y: String,
    /// figures, in the order of the table
    pub points: Vec<Point>,
    /// published steps and predicted ones, where that is what was compared
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// what was fitted, chosen or left out, a sentence each
    pub notes: Vec<String>,
}

/// One figure, measured and from the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// points with the same panel share a chart
    pub panel: String,
    /// points with the same curve are joined
    pub curve: String,
    /// position on the axis that [`Section::x`] names
    pub x: f64,
    /// measured figure, in the unit of [`Section::y`] or of the panel
    pub measured: f64,
    /// figure of the model, in the same unit
    pub predicted: f64,
    /// how the model came to it
    pub basis: Basis,
    /// what the measured trials range over, where the figure is their median; older files have none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// what the model's figure ranges over; older files have none
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
}

/// The range of a figure of the model that was simulated with several seeds. The figure is their
/// median.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// lowest figure of any seed
    pub low: f64,
    /// highest figure of any seed
    pub high: f64,
    /// how many seeds
    pub seeds: u32,
}

/// The range of a measured figure. The figure is the median of its trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// lowest figure of any trial
    pub least: f64,
    /// highest figure of any trial
    pub most: f64,
    /// how many trials
    pub trials: u32,
}

/// How the model came to its figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// a constant was chosen so that it fits
    Fitted,
    /// nothing was chosen for it
    Predicted,
}

impl Point {
    /// Predicted over measured, less 1.
    pub fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }

    /// The measured figure, with the range over its trials where there are several.
    fn of_trials(&self) -> String {
        let range = self.spread.map_or(String::new(), |Spread { least, most, trials }| {
            format!(" ({}..{}, {trials} trials)", figure(least), figure(most))
        });
        figure(self.measured) + &range
    }

    /// The model's figure, with the range over the seeds where there are several.
    fn of_model(&self) -> String {
        let range = self.interval.map_or(String::new(), |Interval { low, high, seeds }| {
            format!(" ({}..{}, {seeds} seeds)", figure(low), figure(high))
        });
        figure(self.predicted) + &range
    }
}

impl Interval {
    /// Median and range of one figure per seed.
    ///
    /// # Panics
    ///
    /// There is no figure.
    pub fn of(figures: &[f64]) -> (f64, Self) {
        let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (median(figures), Self { low, high, seeds: figures.len() as u32 })
    }
}

impl Spread {
    /// Median and range of one figure per trial.
    ///
    /// # Panics
    ///
    /// There is no figure.
    pub fn of(figures: &[f64]) -> (f64, Self) {
        let (median, range) = Interval::of(figures);
        (median, Self { least: range.low, most: range.high, trials: range.seeds })
    }
}

impl Section {
    /// Panels in the order in which they occur.
    pub fn panels(&self) -> Vec<&str> {
        in_order(self.points.iter().map(|p| p.panel.as_str()))
    }

    /// Curves of a panel in the order in which they occur.
    pub fn curves(&self, panel: &str) -> Vec<&str> {
        in_order(self.points.iter().filter(|p| p.panel == panel).map(|p| p.curve.as_str()))
    }

    /// Median size of the error of the predicted points among `points`, and how many.
    fn median_error<'a>(points: impl Iterator<Item = &'a Point>) -> Option<(f64, usize)> {
        let predicted = points.filter(|p| p.basis == Basis::Predicted);
        let errors: Vec<f64> = predicted.map(|p| p.error().abs()).collect();
        (!errors.is_empty()).then(|| (median(&errors), errors.len()))
    }

    /// Title, source, every point with its error, median errors, steps and notes.
    pub fn table(&self) -> String {
        let mut text = format!("{}\n  measured: {}\n\n", self.title, self.source);
        if !self.points.is_empty() {
            text += &(self.rows() + &self.errors());
        }
        if !self.steps.is_empty() {
            text += &published::table(&self.steps);
        }
        self.notes.iter().for_each(|note| text += &format!("* {note}\n"));
        text
    }

    fn rows(&self) -> String {
        let header = ["", "", &self.x, "measured", "model", "error", ""];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.points.iter().map(|p| {
            vec![
                p.panel.clone(),
                p.curve.clone(),
                figure(p.x),
                p.of_trials(),
                p.of_model(),
                format!("{:+.0} %", 100.0 * p.error()),
                if p.basis == Basis::Fitted { "fitted".into() } else { "predicted".into() },
            ]
        }));
        columns(&rows, 2, 2).into_iter().map(|line| line + "\n").collect()
    }

    /// Median sizes of the errors, by curve and in all.
    fn errors(&self) -> String {
        let mut text = format!("\n{}; median size of the predicted points' errors:\n", self.y);
        let mut by_curve: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
        for point in &self.points {
            by_curve.entry(&point.curve).or_default().push(point);
        }
        for (name, points) in by_curve.iter().filter(|(_, points)| points.len() > 1) {
            if let Some((error, n)) = Self::median_error(points.iter().copied()) {
                text += &format!("  {name}: {:.0} % of {n}\n", 100.0 * error);
            }
        }
        if let Some((error, n)) = Self::median_error(self.points.iter()) {
            text += &format!("  all: {:.0} % of {n}\n", 100.0 * error);
        }
        text
    }
}

impl Validation {
    /// Writes `validation.json` into `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// The file cannot be written, or a figure is not finite.
    pub fn write(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::NotStorable { problem: format!("{}: {e}", path.display()) })?;
        fs::write(&path, text + "\n").map_err(Error::io("write", &path))
    }

    /// Reads `validation.json` from `dir`.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let text = fs::read(&path).map_err(Error::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|e| Error::corrupt(&path, e, "a validation, as JSON"))
    }
}

/// A whole number as it is, anything else in three digits.
fn figure(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { digits(value) }
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> Section {
        let point = |x, measured, predicted, basis| Point {
            panel: "host".into(),
            curve: "ticket".into(),
            x,
            measured,
            predicted,
            basis,
            spread: None,
            interval: None,
        };
        Section {
            id: "locks".into(),
            title: "Locks".into(),
            source: "somebody, somewhere".into(),
            x: "threads".into(),
            y: "ns an operation".into(),
            points: vec![
                point(1.0, 50.0, 50.0, Basis::Fitted),
                point(2.0, 100.0, 80.0, Basis::Predicted),
                point(4.0, 100.0, 110.0, Basis::Predicted),
            ],
            steps: Vec::new(),
            notes: vec!["one constant was fitted".into()],
        }
    }

    #[test]
    fn fitted_points_do_not_lower_the_error() {
        let table = section().table();
        assert!(table.contains("ticket: 15 % of 2"), "{table}");
        assert!(table.contains("all: 15 % of 2"), "{table}");
        let row = table.lines().find(|l| l.contains("-20 %")).unwrap();
        assert!(row.contains("predicted") && !row.contains("fitted"), "{row}");
        assert!(table.contains("somebody, somewhere") && table.contains("* one constant"));
    }

    #[test]
    fn the_range_over_seeds_stands_beside_the_figure() {
        let mut section = section();
        let (predicted, interval) = Interval::of(&[110.0, 95.0, 100.0]);
        let last = section.points.last_mut().unwrap();
        (last.predicted, last.interval) = (predicted, Some(interval));
        let table = section.table();
        assert!(table.contains("100 (95..110, 3 seeds)"), "{table}");
        assert_eq!(table.matches("seeds").count(), 1, "{table}");
    }

    #[test]
    fn the_range_over_trials_stands_beside_the_measured_figure() {
        let mut section = section();
        let (measured, spread) = Spread::of(&[8200.0, 8000.0, 8100.0]);
        (section.points[2].measured, section.points[2].spread) = (measured, Some(spread));
        let table = section.table();
        assert!(table.contains("8100 (8000..8200, 3 trials)"), "{table}");
        assert_eq!(table.matches("trials").count(), 1, "{table}");
    }

    #[test]
    fn a_file_without_ranges_is_read() {
        let mut section = section();
        section.points[0].interval = Some(Interval { low: 1.0, high: 2.0, seeds: 5 });
        let mut written = serde_json::to_value(&section).unwrap();
        assert_eq!(serde_json::from_value::<Section>(written.clone()).unwrap(), section);
        assert_eq!(written["points"][1].get("interval"), None);
        written["points"][0].as_object_mut().unwrap().remove("interval");
        section.points[0].interval = None;
        assert_eq!(serde_json::from_value::<Section>(written).unwrap(), section);
    }

    #[test]
    fn it_reads_back_from_disk() {
        let dir = tempfile::tempdir().unwrap();
        let command = "swapscale validate".to_owned();
        let whole =
            Validation { command, commit: Reading::unknown("no git"), sections: vec![section()] };
        whole.write(dir.path()).unwrap();
        assert_eq!(Validation::read(dir.path()).unwrap(), whole);
        let error = Validation::read(&dir.path().join("none")).unwrap_err().to_string();
        assert!(error.contains("none/validation.json"), "{error}");
    }
}
