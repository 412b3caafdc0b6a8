//! The topology file: what is known of each host of the data. Guards that a host is
//! simulated on the CPUs it has, and that every stated cost is known as stated.

use super::data::Data;
use super::fit::Host;
use machine::simulated::{Model, Numbering, Shape, Siblings};
use machine::topology::Pin;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hosts {
    host: BTreeMap<String, Known>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Known {
    /// The machine model that costs are taken from where nothing is fitted or stated:
    /// built in, or a path.
    model: Option<String>,
    /// Instead of the model's.
    topology: Option<Arranged>,
    /// The CPUs in the order in which the threads were pinned; 0, 1, 2 .. if not given.
    pins: Option<Vec<usize>>,
    /// Cost of a transfer between L3 groups of a package, ns, where it is known.
    package_ns: Option<f64>,
    /// Cost of a transfer between packages, ns, where it is known.
    remote_ns: Option<f64>,
}

/// A model's `topology` with the usual case left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Arranged {
    packages: usize,
    /// L3 groups per package.
    #[serde(default = "one")]
    l3_groups: usize,
    /// Cores per L3 group.
    cores: usize,
    /// Threads per core.
    #[serde(default = "one")]
    smt: usize,
    #[serde(default = "blocks")]
    numbering: Numbering,
    #[serde(default = "split")]
    siblings: Siblings,
}

fn one() -> usize {
    1
}

fn blocks() -> Numbering {
    Numbering::Blocks
}

fn split() -> Siblings {
    Siblings::Split
}

impl Arranged {
    fn shape(&self) -> Shape {
        let &Self { packages, l3_groups, cores, smt, numbering, siblings } = self;
        let source = "the topology file".into();
        Shape { packages, l3_groups, cores, smt, numbering, siblings, source }
    }
}

impl Known {
    /// The model named, or the one of this shape whose figures are best known.
    fn model(&self, key: &str) -> Result<Model, String> {
        let groups = self.topology.as_ref().map(|t| t.l3_groups);
        let name = match (&self.model, groups) {
            (Some(name), _) => name,
            (None, Some(1)) => "xeon-2s",
            (None, Some(_)) => "epyc-2x96",
            (None, None) => {
                return Err(format!(
                    "{key}: expected topology (packages, cores; and l3-groups, smt, numbering, \
                     siblings) or model"
                ));
            }
        };
        let mut model = Model::load(name).map_err(|e| format!("{key}.model: {e}"))?;
        if let Some(arranged) = &self.topology {
            model.topology = arranged.shape();
        }
        let wrong = |(at, expected)| format!("{key}.{at}: expected {expected}");
        model.check().map_err(wrong)?;
        Ok(model)
    }
}

impl Hosts {
    /// Reads a topology file; `file` is for messages.
    ///
    /// # Errors
    ///
    /// A line that names the file and the key that is wrong.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|e| format!("{file}: {e}"))
    }

    /// The host called `name`, ready to be fitted.
    ///
    /// # Errors
    ///
    /// A line that names the key of the topology file that is missing or wrong.
    pub fn host<'a>(&self, file: &str, name: &str, data: &'a Data) -> Result<Host<'a>, String> {
        let key = format!("{file}: host.{name}");
        let known = self.host.get(name).ok_or(format!(
            "{file}: expected a table [host.{name}], since the data has rows of {name}"
        ))?;
        let model = known.model(&key)?;
        let pins = known.pins.clone().unwrap_or_else(|| (0..model.cpus()).collect());
        let order = Pin::List(pins).order(&model.topology());
        let pins = order.map_err(|e| format!("{key}.pins: {e}"))?;
        let most = data.rows.iter().filter(|r| r.host == name).map(|r| r.threads).max();
        if most.is_some_and(|most| most > pins.len()) {
            return Err(format!(
                "{key}.pins: expected a CPU for each of the {} threads of the data, found {}",
                most.unwrap_or_default(),
                pins.len()
            ));
        }
        let mut host = Host::new(name, model, pins, data);
        for (what, ns) in [("package", known.package_ns), ("remote", known.remote_ns)] {
            match ns {
                Some(ns) if !(0.0..=1e6).contains(&ns) => {
                    return Err(format!("{key}.{what}-ns: expected 0 to 1e6 nanoseconds"));
                }
                Some(ns) => host.state(what, ns),
                None => (),
            }
        }
        Ok(host)
    }
}
