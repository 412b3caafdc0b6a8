//! The committed runs of `results/reference/`, and how a figure of them is written.

use std::fs;
use std::path::{Path, PathBuf};

use results::aggregate::{Group, axes, groups};
use results::compare::{Row, Side, compare};
use results::hit::hit;
use results::metric::Metric;
use results::schema::{Cell, CellKey};
use results::stats::{Estimate, Interval, median};
use results::store::{self, Loaded};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A committed run.
pub struct Reference(pub Loaded);

impl Reference {
    /// The run of `results/reference/` whose name ends in `-label`. `label` may begin with a folder.
    pub fn of(label: &str) -> Self {
        let (folder, label) = label.rsplit_once('/').unwrap_or(("", label));
        let folder = root().join("results/reference").join(folder);
        let label = format!("-vm-{label}");
        let mut all = fs::read_dir(&folder).expect("results/reference").flatten();
        let dir = all.find(|entry| entry.file_name().to_string_lossy().ends_with(&label));
        let dir = dir.unwrap_or_else(|| panic!("no run *{label} in {}", folder.display())).path();
        Self(store::load(&dir).expect("a committed run can be read"))
    }

    /// The points that `point` describes: `variant=tas threads=2`. `preempt=` is a point without it.
    pub fn points(&self, point: &str) -> Vec<Group<'_>> {
        let mut all = groups(&self.0.cells);
        all.retain(|group| is(&group.key, point));
        all
    }

    /// The one point that `point` describes.
    pub fn point(&self, point: &str) -> Group<'_> {
        let mut found = self.points(point);
        assert_eq!(found.len(), 1, "{}: points that are {point:?}", self.0.run.id);
        found.remove(0)
    }

    pub fn estimate(&self, point: &str, metric: &str) -> Estimate {
        let estimate = self.point(point).estimate(&metric.parse().expect("a metric"));
        estimate.unwrap_or_else(|| panic!("{}: no {metric} of {point:?}", self.0.run.id))
    }

    /// The median of one point.
    pub fn median(&self, point: &str, metric: &str) -> f64 {
        self.estimate(point, metric).median
    }

    /// Throughput of variant `new` against that of `base`, as the report has it.
    pub fn change(&self, base: &str, new: &str, point: &str) -> Row {
        let side = |variant| Side::of_variant(&self.0, variant).expect("a variant of the run");
        let all = compare(&side(base), &side(new), &Metric::Throughput).expect("points");
        let mut rows: Vec<Row> = all.rows.into_iter().filter(|row| is(&row.key, point)).collect();
        assert_eq!(rows.len(), 1, "{base}, {new}: points that are {point:?}");
        rows.remove(0)
    }

    /// `39 of 80`: trials that were hit from outside, of those that `point` describes.
    pub fn hit(&self, point: &str) -> String {
        let trials: Vec<&Cell> = self.0.cells.iter().filter(|cell| is(&cell.key, point)).collect();
        let hit = trials.iter().filter(|cell| hit(cell).is_some()).count();
        format!("{hit} of {}", trials.len())
    }

    /// The median over the trials of `value`, which may find none.
    pub fn of_trials(&self, point: &str, value: impl Fn(&Cell) -> Option<f64>) -> f64 {
        median(&self.point(point).values(value))
    }
}

/// Whether `key` stands where `point` says on every axis that it names.
fn is(key: &CellKey, point: &str) -> bool {
    let axes = axes(key);
    let on = |name: &str| axes.iter().find(|(axis, _)| *axis == name).map(|(_, at)| at.as_str());
    let wanted = point.split(' ').filter_map(|word| word.split_once('='));
    wanted.into_iter().all(|(name, at)| on(name).unwrap_or_default() == at)
}

pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// `x` with so many digits after the point.
pub fn digits(x: f64, digits: usize) -> String {
    format!("{x:.digits$}")
}

/// `13.8`: millions.
pub fn millions(x: f64) -> String {
    digits(x / 1e6, 1)
}

/// `16 % (15..18)`: by how much a side is better or worse, in whole per cent, without its sign.
pub fn by(row: &Row) -> String {
    let Interval { lo, hi } = row.interval.unwrap_or_else(|| row.range());
    let per_cent = |ratio: f64| ((ratio - 1.0) * 100.0).abs().round();
    let (a, b) = (per_cent(lo), per_cent(hi));
    format!("{} % ({}..{})", per_cent(row.ratio), a.min(b), a.max(b))
}

/// `16`: the same, alone.
pub fn per_cent(row: &Row) -> String {
    digits((row.change() * 100.0).abs(), 0)
}

/// `13.8..13.9`: the interval, or the range of fewer than six trials.
pub fn range(of: &Estimate, write: impl Fn(f64) -> String) -> String {
    let Interval { lo, hi } = of.interval.unwrap_or(Interval { lo: of.min, hi: of.max });
    format!("{}..{}", write(lo), write(hi))
}

/// `1.2 to 2.3`: the least and the largest; `2.9` where both are written alike.
pub fn span(values: &[f64], write: impl Fn(f64) -> String) -> String {
    let least = write(values.iter().copied().fold(f64::INFINITY, f64::min));
    let most = write(values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    if least == most { least } else { format!("{least} to {most}") }
}
