//! The files of sysfs that say where a CPU sits. Guards that none of them is needed: virtual
//! machines, containers and new hardware each lack some. What a missing or damaged file would have
//! said gets a plain default, and a note names the file, the reason and the default.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::{CoreKind, Place};

/// CPU numbers above this come from a damaged file or a typing error, not from a machine.
const MAX_CPU: usize = 1 << 16;

/// A capacity below this share of a type's highest one, in percent, is another type of core. The
/// cores of one type differ by a few percent: NVIDIA Grace has capacities from 1007 to 1024.
const SAME_KIND: i64 = 80;

/// Why a file says nothing.
enum Lack {
    Absent,
    Unusable(String),
}

/// A sysfs tree, and the notes about its files.
pub(super) struct Sysfs {
    root: PathBuf,
    cpu: PathBuf,
    /// By the default that stands for them: the first such file and why, and how many there are.
    missing: BTreeMap<&'static str, (String, usize)>,
    notes: Vec<String>,
}

impl Sysfs {
    pub(super) fn new(root: &Path) -> Self {
        let cpu = root.join("devices/system/cpu");
        Self { root: root.to_owned(), cpu, missing: BTreeMap::new(), notes: Vec::new() }
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// All notes, those about files that many CPUs lack once each.
    pub(super) fn into_notes(self) -> Vec<String> {
        let missing = self.missing.into_iter().map(|(instead, (first, files))| match files {
            1 => format!("{first}; {instead}"),
            _ => format!("{first}, and {} more like it; {instead}", files - 1),
        });
        self.notes.into_iter().chain(missing).collect()
    }

    fn lacks(&mut self, path: &Path, why: impl Display, instead: &'static str) {
        let first = || (format!("{}: {why}", path.display()), 0);
        self.missing.entry(instead).or_insert_with(first).1 += 1;
    }

    /// What the file says; where it says nothing, `instead` is noted.
    fn read<T>(&mut self, path: &Path, parse: Parse<T>, instead: &'static str) -> Option<T> {
        match parsed(path, parse) {
            Ok(value) => Some(value),
            Err(Lack::Absent) => {
                self.lacks(path, "no such file", instead);
                None
            }
            Err(Lack::Unusable(why)) => {
                self.lacks(path, why, instead);
                None
            }
        }
    }

    /// Like [`Sysfs::read`] for a file that most machines do not have: only a damaged one is noted.
    fn read_if_there<T>(
        &mut self,
        path: &Path,
        parse: Parse<T>,
        instead: &'static str,
    ) -> Option<T> {
        match parsed(path, parse) {
            Err(Lack::Absent) => None,
            _ => self.read(path, parse, instead),
        }
    }

    pub(super) fn online(&mut self) -> Option<Vec<usize>> {
        let instead = "the CPUs of the affinity mask count as all that are online";
        self.read(&self.cpu.join("online"), parse_some, instead)
    }

    pub(super) fn present(&mut self) -> Option<Vec<usize>> {
        let instead = "CPUs that are offline are not known";
        self.read(&self.cpu.join("present"), parse_list, instead)
    }

    pub(super) fn isolated(&mut self) -> Vec<usize> {
        let instead = "isolated CPUs are not known";
        let path = self.cpu.join("isolated");
        self.read_if_there(&path, parse_list, instead).unwrap_or_default()
    }

    /// The CPUs that have a directory.
    pub(super) fn cpu_directories(&self) -> Vec<usize> {
        numbered(&self.cpu, "cpu").map(|found| found.into_keys().collect()).unwrap_or_default()
    }

    /// The places of the CPUs `usable`. Core types are ranked among those of `online` as well: the
    /// slow cores of a machine stay slow where the process may use no others.
    pub(super) fn places(&mut self, usable: &[usize], online: &[usize]) -> Vec<Place> {
        let nodes = self.nodes();
        let all: BTreeSet<usize> = usable.iter().chain(online).copied().collect();
        let kinds = self.kinds(&all);
        let packages: Vec<_> = usable.iter().map(|&id| self.package(id)).collect();
        let first = packages.iter().flatten().min().copied().unwrap_or(0);
        let place = |(&id, package): (&usize, Option<i64>)| Place {
            id,
            package: package.unwrap_or(first),
            node: self.node(id, &nodes),
            l3: self.l3(id).unwrap_or(usize::MAX),
            core: self.core(id),
            kind: kinds.get(&id).copied().unwrap_or(CoreKind::Performance),
        };
        usable.iter().zip(packages).map(place).collect()
    }

    /// -1 is a package too: all CPUs without an entry in the firmware (Arm guests).
    fn package(&mut self, id: usize) -> Option<i64> {
        let path = self.cpu.join(format!("cpu{id}/topology/physical_package_id"));
        self.read(&path, number, "the CPU counts as part of the first package")
    }

    fn core(&mut self, id: usize) -> usize {
        let path = self.cpu.join(format!("cpu{id}/topology/thread_siblings_list"));
        let siblings = self.read(&path, parse_some, "the CPU counts as a core of its own");
        siblings.and_then(|list| list.into_iter().min()).unwrap_or(id)
    }

    /// Lowest CPU that shares this one's L3, when it has one. A directory without a level is no
    /// cache.
    fn l3(&mut self, id: usize) -> Option<usize> {
        let cache = self.cpu.join(format!("cpu{id}/cache"));
        let group = "the CPUs of a package without a known L3 count as one L3 group";
        let indices = match numbered(&cache, "index") {
            Ok(indices) => indices,
            Err(why) => {
                self.lacks(&cache, why, group);
                return None;
            }
        };
        for index in indices.values() {
            let level = self.read(&index.join("level"), number, "it counts as no cache");
            if level == Some(3) {
                let shared = self.read(&index.join("shared_cpu_list"), parse_some, group);
                return shared.and_then(|list| list.into_iter().min());
            }
        }
        None
    }

    /// The node of each CPU, from every `nodeN/cpulist`. A node of memory alone has an empty list.
    fn nodes(&mut self) -> BTreeMap<usize, usize> {
        let dir = self.root.join("devices/system/node");
        let instead = "all CPUs count as one NUMA node (right if the kernel has no CONFIG_NUMA)";
        let found = numbered(&dir, "node").unwrap_or_else(|why| {
            self.lacks(&dir, why, instead);
            BTreeMap::new()
        });
        let mut nodes = BTreeMap::new();
        for (node, path) in found {
            let instead = "the node counts as one without CPUs";
            let cpus = self.read(&path.join("cpulist"), parse_list, instead);
            nodes.extend(cpus.unwrap_or_default().into_iter().map(|cpu| (cpu, node)));
        }
        nodes
    }

    fn node(&mut self, id: usize, nodes: &BTreeMap<usize, usize>) -> usize {
        if let Some(node) = nodes.get(&id) {
            return *node;
        }
        if let Some(lowest) = nodes.values().min() {
            let dir = self.root.join("devices/system/node");
            let why = format!("no node has CPU {id}");
            self.lacks(&dir, why, "the CPU counts as one of the first node");
            return *lowest;
        }
        0
    }

    /// The type of each core: Intel names the CPUs of each type, Arm gives every CPU a capacity.
    fn kinds(&mut self, cpus: &BTreeSet<usize>) -> BTreeMap<usize, CoreKind> {
        let instead = "its CPUs count as another type of core";
        let mut list = |kind| {
            let path = self.root.join(format!("devices/{kind}/cpus"));
            self.read_if_there(&path, parse_list, instead)
        };
        let (core, atom, low) = (list("cpu_core"), list("cpu_atom"), list("cpu_lowpower"));
        if atom.is_none() && low.is_none() {
            return self.by_capacity(cpus);
        }
        let has = |list: &Option<Vec<usize>>, id| list.as_ref().is_some_and(|l| l.contains(&id));
        let mut kinds = BTreeMap::new();
        for &id in cpus {
            let kind = match () {
                () if has(&core, id) => CoreKind::Performance,
                () if has(&low, id) => CoreKind::LowPower,
                () if has(&atom, id) || core.is_some() => CoreKind::Efficient,
                () => CoreKind::Performance,
            };
            kinds.insert(id, kind);
        }
        if low.is_none() {
            self.outside_the_l3(&mut kinds);
        }
        kinds
    }

    /// Before Linux 6.13 Intel's low-power cores are in `cpu_atom`, without an L3 that the other
    /// efficient cores have.
    fn outside_the_l3(&self, kinds: &mut BTreeMap<usize, CoreKind>) {
        let efficient =
            |(id, kind): (&usize, &CoreKind)| (*kind == CoreKind::Efficient).then_some(*id);
        let efficient: Vec<usize> = kinds.iter().filter_map(efficient).collect();
        // What this look lacks is noted by the one that places the usable CPUs.
        let mut look = Sysfs::new(&self.root);
        let (inside, outside): (Vec<_>, Vec<_>) =
            efficient.into_iter().partition(|&id| look.l3(id).is_some());
        if !inside.is_empty() {
            kinds.extend(outside.into_iter().map(|id| (id, CoreKind::LowPower)));
        }
    }

    /// Types by capacity: a type ends where a capacity is below [`SAME_KIND`] percent of its
    /// highest.
    fn by_capacity(&mut self, cpus: &BTreeSet<usize>) -> BTreeMap<usize, CoreKind> {
        let instead = "the CPU counts as a fast core";
        let mut capacities = Vec::new();
        for &id in cpus {
            let path = self.cpu.join(format!("cpu{id}/cpu_capacity"));
            let capacity = self.read_if_there(&path, number, instead);
            capacities.extend(capacity.map(|capacity| (capacity, id)));
        }
        capacities.sort_unstable_by_key(|(capacity, id)| (Reverse(*capacity), *id));
        let Some(&(mut highest, _)) = capacities.first() else { return BTreeMap::new() };
        if capacities.len() < cpus.len() {
            let why = format!("cpu_capacity of {} of {} CPUs", capacities.len(), cpus.len());
            self.lacks(&self.cpu.clone(), why, instead);
        }
        let mut kind = CoreKind::Performance;
        let of = |(capacity, id): (i64, usize)| {
            if capacity.saturating_mul(100) < highest.saturating_mul(SAME_KIND) {
                highest = capacity;
                kind = match kind {
                    CoreKind::Performance => CoreKind::Efficient,
                    _ => CoreKind::LowPower,
                };
            }
            (id, kind)
        };
        capacities.into_iter().map(of).collect()
    }
}

type Parse<T> = fn(&str) -> Option<T>;

fn parsed<T>(path: &Path, parse: Parse<T>) -> Result<T, Lack> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Lack::Absent,
        _ => Lack::Unusable(error.to_string()),
    })?;
    let text = text.trim();
    let shown: String = text.chars().take(40).collect();
    parse(text).ok_or_else(|| Lack::Unusable(format!("'{shown}' is not what the kernel writes")))
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// The kernel's list format (`bitmap_parselist`), in the order given; empty text is no CPU. As in
/// taskset(1), `0-6:2` is every second CPU of a range.
pub(super) fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) if range.contains('-') => (range, step.parse().ok()?),
            Some(_) => return None,
            None => (part, 1),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // A list that names more than all CPUs there can be is damaged, and would fill memory.
        if step == 0 || first > last || last > MAX_CPU || list.len() > MAX_CPU {
            return None;
        }
        list.extend((first..=last).step_by(step));
    }
    Some(list)
}

/// A list that names at least one CPU.
fn parse_some(text: &str) -> Option<Vec<usize>> {
    parse_list(text).filter(|list| !list.is_empty())
}

/// The CPUs that a `status` file of /proc allows.
pub(super) fn allowed(status: &Path) -> Option<Vec<usize>> {
    let status = std::fs::read_to_string(status).ok()?;
    parse_some(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)
}

/// `prefixN` entries of a directory by number, or why they cannot be listed.
fn numbered(dir: &Path, prefix: &str) -> Result<BTreeMap<usize, PathBuf>, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such directory".into(),
        _ => error.to_string(),
    })?;
    let number = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
        Some((number, entry.path()))
    };
    Ok(entries.flatten().filter_map(number).collect())
}
