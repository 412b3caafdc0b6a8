//! Machine models as data: a topology, and costs, each with the source that it was taken from.
//! Guards that no simulation runs on a figure without a source.

use crate::topology::{CoreKind, Cpu, Topology};
use serde::{Deserialize, Serialize};

/// The models that come with the suite.
const BUILT_IN: [(&str, &str); 8] = [
    ("x86-1", include_str!("models/x86-1.toml")),
    ("x86-2", include_str!("models/x86-2.toml")),
    ("xeon-2s", include_str!("models/xeon-2s.toml")),
    ("epyc-96", include_str!("models/epyc-96.toml")),
    ("epyc-2x96", include_str!("models/epyc-2x96.toml")),
    ("build-48c96t", include_str!("models/build-48c96t.toml")),
    ("vm-32", include_str!("models/vm-32.toml")),
    ("big-384", include_str!("models/big-384.toml")),
];

/// CPUs that a model may have.
pub const MOST_CPUS: usize = 2048;

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Neither a built-in model nor a file name.
    #[error("no machine model '{name}'; there are {known}, or a path to a .toml file")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The built-in models' names, as a list.
        known: String,
    },
    /// A file that cannot be read, or is not TOML of the right keys and types.
    #[error("{file}: {why}")]
    File {
        /// The file.
        file: String,
        /// The error.
        why: String,
    },
    /// A value out of range.
    #[error("{file}: {key}: expected {expected}")]
    Value {
        /// The file.
        file: String,
        /// The key, with its table.
        key: String,
        /// The range.
        expected: &'static str,
    },
}

/// A machine to simulate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name in plans and results; not in the file.
    #[serde(skip)]
    pub name: String,
    /// One line for lists and chart titles.
    pub title: String,
    /// How CPUs are arranged and numbered.
    pub topology: Shape,
    /// How long accesses, interrupts and instructions take.
    pub cost: Costs,
    /// How the machine behaves besides, as ratios.
    pub shape: Behaviour,
}

/// How CPUs are arranged and numbered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shape {
    /// Packages of the machine.
    pub packages: usize,
    /// L3 groups per package.
    pub l3_groups: usize,
    /// Cores per L3 group.
    pub cores: usize,
    /// Threads per core.
    pub smt: usize,
    /// Where consecutive cores are.
    pub numbering: Numbering,
    /// Which numbers the threads of a core have.
    pub siblings: Siblings,
    /// Where all this comes from.
    pub source: String,
}

/// Where consecutive cores are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Numbering {
    /// Side by side.
    Blocks,
    /// Dealt over packages, then over L3 groups.
    Interleaved,
}

/// Which numbers the threads of a core have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Siblings {
    /// `n` and `n + 1`.
    Adjacent,
    /// `n` and `n` plus the number of cores.
    Split,
}

/// A time and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// Nanoseconds.
    pub ns: f64,
    /// The measurement, data set or paper, or that it is an estimate.
    pub source: String,
}

/// A ratio and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The ratio.
    pub ratio: f64,
    /// As [`Time::source`].
    pub source: String,
}

/// How long accesses, interrupts and instructions take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Costs {
    /// A load that hits this core's cache.
    pub hit: Time,
    /// A store into the store buffer.
    pub store: Time,
    /// A locked instruction on a line this core owns; also smp_mb().
    pub locked: Time,
    /// The ordinary instructions before each load, store or locked instruction, in models in which
    /// `hit` does not include them. After a transfer they cost nothing for as long as it took,
    /// because a core looks ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinary: Option<Time>,
    /// How long a core keeps a line after the access that fetched it: an access that follows at
    /// once still hits.
    pub stay: Time,
    /// A hit on a line that the sibling thread wrote last costs this much more.
    pub smt: Time,
    /// An exclusive transfer from another core of the L3 group.
    pub l3: Time,
    /// An exclusive transfer from another L3 group of the package.
    pub package: Time,
    /// An exclusive transfer from another package.
    pub remote: Time,
    /// A transfer from memory, when no cache has the line.
    pub memory: Time,
    /// A PAUSE.
    pub pause: Time,
    /// A look at one byte in a bulk scan.
    pub scan_byte: Time,
    /// A grace period's IPI round.
    pub ipi: Time,
    /// Added to that round per CPU.
    pub ipi_per_cpu: Time,
    /// Lost by the CPU that an IPI interrupts.
    pub ipi_handler: Time,
}

/// How the machine behaves besides, as ratios.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Behaviour {
    /// Latency of a shared read, relative to an exclusive transfer.
    pub read_latency: Ratio,
    /// Time between the arrivals of two shared reads in an L3 group, relative to `l3`; for reads
    /// from other groups, relative to the transfer's cost.
    pub read_occupancy: Ratio,
    /// Probability that a waiter of the line's own L3 group goes before older requests.
    pub nearest_first: Ratio,
    /// Think time varies by plus or minus this.
    pub jitter: Ratio,
    /// Think time while all other threads of the core think too, relative to think time alone.
    pub smt_slowdown: Ratio,
}

impl Model {
    /// The names of the models that come with the suite.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in model, or one in a file whose name ends in `.toml`.
    ///
    /// # Errors
    ///
    /// [`ModelError::Unknown`], or as [`Model::parse`].
    pub fn load(name: &str) -> Result<Self, ModelError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(known, _)| *known == name) {
            return Self::parse(name, &format!("{name}.toml"), text);
        }
        let Some(stem) = name.strip_suffix(".toml") else {
            let known = Self::names().collect::<Vec<_>>().join(", ");
            return Err(ModelError::Unknown { name: name.into(), known });
        };
        let unreadable =
            |e: std::io::Error| ModelError::File { file: name.into(), why: e.to_string() };
        let text = std::fs::read_to_string(name).map_err(unreadable)?;
        Self::parse(stem.rsplit('/').next().unwrap_or(stem), name, &text)
    }

    /// The model that the TOML `text` describes; `file` is for messages.
    ///
    /// # Errors
    ///
    /// [`ModelError::File`] or [`ModelError::Value`].
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, ModelError> {
        let wrong = |e: toml::de::Error| ModelError::File { file: file.into(), why: e.to_string() };
        let model = Self { name: name.into(), ..toml::from_str(text).map_err(wrong)? };
        model.check().map_err(|(key, expected)| ModelError::Value {
            file: file.into(),
            key,
            expected,
        })?;
        Ok(model)
    }

    /// Whether all values are in range and have a source.
    ///
    /// # Errors
    ///
    /// The first key for which that is not so, and what is expected there.
    pub fn check(&self) -> Result<(), (String, &'static str)> {
        let t = &self.topology;
        for (key, n) in [("packages", t.packages), ("l3-groups", t.l3_groups), ("cores", t.cores)] {
            if !(1..=1024).contains(&n) {
                return Err((format!("topology.{key}"), "1 to 1024"));
            }
        }
        if !(1..=8).contains(&t.smt) {
            return Err(("topology.smt".into(), "1 to 8 threads a core"));
        }
        if self.cpus() > MOST_CPUS {
            return Err(("topology".into(), "at most 2048 CPUs in all"));
        }
        for (key, time) in self.cost.all() {
            if !(0.0..=1e9).contains(&time.ns) {
                return Err((format!("cost.{key}.ns"), "0 to 1e9 nanoseconds"));
            }
            if time.source.trim().is_empty() {
                return Err((format!("cost.{key}.source"), "where the figure comes from"));
            }
        }
        for (key, ratio, range) in self.shape.all() {
            if !range.contains(&ratio.ratio) {
                return Err((format!("shape.{key}.ratio"), "0 to 1 (smt-slowdown: 1 to 4)"));
            }
            if ratio.source.trim().is_empty() {
                return Err((format!("shape.{key}.source"), "where the figure comes from"));
            }
        }
        Ok(())
    }

    /// Number of CPUs.
    pub fn cpus(&self) -> usize {
        self.topology.packages * self.topology.l3_groups * self.topology.cores * self.topology.smt
    }

    /// The CPUs and their places, for pin policies and distances.
    pub fn topology(&self) -> Topology {
        Topology::made_of((0..self.cpus()).map(|id| self.topology.place(id)).collect())
    }
}

impl Shape {
    fn place(&self, id: usize) -> Cpu {
        let groups = self.packages * self.l3_groups;
        let cores = groups * self.cores;
        let (number, smt) = match self.siblings {
            Siblings::Adjacent => (id / self.smt, id % self.smt),
            Siblings::Split => (id % cores, id / cores),
        };
        let (package, group, place) = match self.numbering {
            Numbering::Blocks => {
                let group = number / self.cores;
                (group / self.l3_groups, group % self.l3_groups, number % self.cores)
            }
            Numbering::Interleaved => {
                let group = number % groups;
                (group % self.packages, group / self.packages, number / groups)
            }
        };
        let l3 = package * self.l3_groups + group;
        let core = l3 * self.cores + place;
        Cpu { id, package, node: package, l3, core, smt, kind: CoreKind::Performance }
    }
}

impl Costs {
    fn all(&self) -> impl Iterator<Item = (&'static str, &Time)> {
        let stated = [
            ("hit", &self.hit),
            ("store", &self.store),
            ("locked", &self.locked),
            ("stay", &self.stay),
            ("smt", &self.smt),
            ("l3", &self.l3),
            ("package", &self.package),
            ("remote", &self.remote),
            ("memory", &self.memory),
            ("pause", &self.pause),
            ("scan-byte", &self.scan_byte),
            ("ipi", &self.ipi),
            ("ipi-per-cpu", &self.ipi_per_cpu),
            ("ipi-handler", &self.ipi_handler),
        ];
        stated.into_iter().chain(self.ordinary.iter().map(|time| ("ordinary", time)))
    }
}

impl Behaviour {
    fn all(&self) -> [(&'static str, &Ratio, std::ops::RangeInclusive<f64>); 5] {
        [
            ("read-latency", &self.read_latency, 0.0..=1.0),
            ("read-occupancy", &self.read_occupancy, 0.0..=1.0),
            ("nearest-first", &self.nearest_first, 0.0..=1.0),
            ("jitter", &self.jitter, 0.0..=1.0),
            ("smt-slowdown", &self.smt_slowdown, 1.0..=4.0),
        ]
    }
}

impl Time {
    /// In picoseconds, the unit of simulations.
    pub fn ps(&self) -> u64 {
        (self.ns * 1000.0).round() as u64
    }
}

impl Ratio {
    /// In thousandths: simulations have no floating point.
    pub fn permille(&self) -> u64 {
        (self.ratio * 1000.0).round() as u64
    }
}
