//! Which CPUs there are and how far apart they are: packages, NUMA nodes, L3 groups, cores, SMT
//! siblings and core types, read from sysfs. Guards that no two workers share a CPU: every pin
//! policy is a permutation of the usable CPUs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// CPU numbers above this come from a damaged file or a typing error, not from a machine.
const MAX_CPU: usize = 1 << 16;

/// Why there is no topology, or no order of CPUs.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file has other text than the kernel writes.
    #[error("{}: '{text}': expected {expected}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The affinity mask has no CPU that is online.
    #[error("{}: none of the online CPUs may be used by this process", path.display())]
    NoCpu {
        /// The list of online CPUs.
        path: PathBuf,
    },
    /// A text that is no pin policy.
    #[error("pin policy '{0}': expected compact, spread, smt-last or a CPU list such as 0,2,4-7")]
    Policy(String),
    /// A pin list names a CPU twice.
    #[error("pin list: CPU {0} is named twice")]
    Twice(usize),
    /// A pin list names a CPU that this process may not use.
    #[error("pin list: CPU {cpu} is not usable here; usable: {usable}")]
    NotUsable {
        /// The CPU.
        cpu: usize,
        /// The CPUs that are usable, as a list.
        usable: String,
    },
    /// A policy has too few CPUs.
    #[error("{wanted} threads do not fit on {have} CPUs ({policy})")]
    TooFew {
        /// Threads asked for.
        wanted: usize,
        /// CPUs that the policy may use.
        have: usize,
        /// The policy.
        policy: Pin,
    },
}

/// Type of a core on a machine that mixes two. Sorts the fast ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoreKind {
    /// All cores alike, or the faster type of a hybrid machine.
    Performance,
    /// Intel's `cpu_atom`, or on Arm a `cpu_capacity` below the machine's highest.
    Efficient,
}

/// One usable CPU and its place. Group numbers are dense, count from 0 over the whole machine and
/// are ordered by package, so two CPUs share a group when the numbers are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// The kernel's number.
    pub id: usize,
    /// Socket.
    pub package: usize,
    /// NUMA node; 0 everywhere on a kernel without NUMA.
    pub node: usize,
    /// CPUs that share one L3; where the kernel names no L3, the package's CPUs without one.
    pub l3: usize,
    /// Physical core.
    pub core: usize,
    /// 0 for the first usable thread of its core, 1 for the next.
    pub smt: usize,
    /// Type of its core.
    pub kind: CoreKind,
}

/// How far a cache line travels between two CPUs, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distance {
    /// The same CPU.
    Same,
    /// Sibling threads of one core.
    Smt,
    /// Another core on the same L3.
    L3,
    /// Another L3 in the same package.
    Package,
    /// Another package.
    Remote,
}

/// The CPUs this process may use, and those it may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    cpus: Vec<Cpu>,
    /// Present but offline.
    pub offline: Vec<usize>,
    /// Online, but outside the affinity mask or the cpuset.
    pub forbidden: Vec<usize>,
}

impl Topology {
    /// Reads this machine and the calling thread's affinity, which is within its cpuset. Call it
    /// once, first thing in `main`: after a pin the mask has a single CPU.
    ///
    /// # Errors
    ///
    /// As [`Topology::read`].
    pub fn here() -> Result<Self, TopologyError> {
        let path = Path::new("/proc/thread-self/status");
        let status = read(path)?;
        let list = status.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:"));
        let allowed = cpus_in(path, list.unwrap_or_default())?;
        Self::read(Path::new("/sys"), Some(&allowed))
    }

    /// Reads the sysfs tree at `root`; `allowed` is the affinity mask, `None` for no limit.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Read`] or [`TopologyError::Parse`] for a file that is not as the kernel
    /// writes it, [`TopologyError::NoCpu`] if no CPU is usable.
    pub fn read(root: &Path, allowed: Option<&[usize]>) -> Result<Self, TopologyError> {
        let dir = root.join("devices/system/cpu");
        let online = read_list(&dir.join("online"))?;
        let present = optional(read_list(&dir.join("present")))?.unwrap_or_default();
        let may_use = |id: &usize| allowed.is_none_or(|list| list.contains(id));
        let usable: Vec<usize> = online.iter().copied().filter(may_use).collect();
        if usable.is_empty() {
            return Err(TopologyError::NoCpu { path: dir.join("online") });
        }
        let nodes = read_nodes(&root.join("devices/system/node"))?;
        let efficient = read_efficient(root, &online)?;
        let mut places = Vec::new();
        for &id in &usable {
            places.push(Place::read(&dir, id, &nodes, &efficient)?);
        }
        Ok(Self {
            cpus: number(places),
            offline: present.into_iter().filter(|id| !online.contains(id)).collect(),
            forbidden: online.iter().copied().filter(|id| !usable.contains(id)).collect(),
        })
    }

    /// The topology of a machine that is only described; `cpus` by ascending id.
    pub fn made_of(cpus: Vec<Cpu>) -> Self {
        Self { cpus, offline: Vec::new(), forbidden: Vec::new() }
    }

    /// The usable CPUs, by ascending id.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// The usable CPU with the kernel's number `id`.
    pub fn cpu(&self, id: usize) -> Option<&Cpu> {
        self.cpus.binary_search_by_key(&id, |c| c.id).ok().map(|at| &self.cpus[at])
    }

    /// Number of packages with a usable CPU.
    pub fn packages(&self) -> usize {
        self.count(|c| c.package)
    }

    /// Number of NUMA nodes with a usable CPU.
    pub fn nodes(&self) -> usize {
        self.count(|c| c.node)
    }

    /// Number of L3 groups with a usable CPU.
    pub fn l3_groups(&self) -> usize {
        self.count(|c| c.l3)
    }

    /// Number of cores with a usable CPU.
    pub fn cores(&self) -> usize {
        self.count(|c| c.core)
    }

    /// True when some core has two usable threads.
    pub fn smt(&self) -> bool {
        self.cpus.iter().any(|c| c.smt > 0)
    }

    /// True when usable CPUs are of two core types.
    pub fn hybrid(&self) -> bool {
        self.cpus.iter().any(|c| c.kind != self.cpus[0].kind)
    }

    fn count(&self, group: impl Fn(&Cpu) -> usize) -> usize {
        self.cpus.iter().map(group).collect::<BTreeSet<_>>().len()
    }

    /// How far apart two CPUs are, by the kernel's numbers; `None` when either is not usable.
    pub fn distance(&self, a: usize, b: usize) -> Option<Distance> {
        let (a, b) = (self.cpu(a)?, self.cpu(b)?);
        Some(if a.id == b.id {
            Distance::Same
        } else if a.core == b.core {
            Distance::Smt
        } else if a.l3 == b.l3 {
            Distance::L3
        } else if a.package == b.package {
            Distance::Package
        } else {
            Distance::Remote
        })
    }
}

/// In what order workers fill the CPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// As close together as possible: both threads of a core, then the L3, then the package.
    Compact,
    /// As far apart as possible: one worker on every package, then on every L3, then on every core.
    Spread,
    /// Like compact, but second threads only when every core has its first.
    SmtLast,
    /// These CPUs in this order.
    List(Vec<usize>),
}

impl Pin {
    /// All CPUs that the policy may use, in the order in which it uses them, none twice.
    ///
    /// # Errors
    ///
    /// For a list: [`TopologyError::NotUsable`] or [`TopologyError::Twice`].
    pub fn order(&self, topology: &Topology) -> Result<Vec<usize>, TopologyError> {
        let mut cpus: Vec<&Cpu> = topology.cpus.iter().collect();
        match self {
            Pin::Compact => cpus.sort_by_key(|c| (near(c), c.smt)),
            Pin::SmtLast => cpus.sort_by_key(|c| (c.smt, near(c))),
            Pin::Spread => {
                let far = Ranks::new(&topology.cpus);
                cpus.sort_by_key(|c| (c.smt, c.kind, far.of(c), c.package));
            }
            Pin::List(list) => return checked(list, topology),
        }
        Ok(cpus.into_iter().map(|c| c.id).collect())
    }

    /// The first `n` CPUs of [`Pin::order`].
    ///
    /// # Errors
    ///
    /// As [`Pin::order`], and [`TopologyError::TooFew`].
    pub fn take(&self, topology: &Topology, n: usize) -> Result<Vec<usize>, TopologyError> {
        let mut order = self.order(topology)?;
        if n > order.len() {
            let policy = self.clone();
            return Err(TopologyError::TooFew { wanted: n, have: order.len(), policy });
        }
        order.truncate(n);
        Ok(order)
    }
}

fn near(c: &Cpu) -> (usize, usize, usize, CoreKind, usize) {
    (c.package, c.node, c.l3, c.kind, c.core)
}

/// Position of each group among its siblings in the enclosing group. Sorting by the innermost
/// position first deals the CPUs out like cards, evenly even where groups differ in size.
struct Ranks {
    node: BTreeMap<(usize, usize), usize>,
    l3: BTreeMap<(usize, usize), usize>,
    core: BTreeMap<(usize, usize), usize>,
}

impl Ranks {
    fn new(cpus: &[Cpu]) -> Self {
        let rank = |key: fn(&Cpu) -> (usize, usize)| {
            let keys: BTreeSet<_> = cpus.iter().map(key).collect();
            let mut next = BTreeMap::new();
            let position = |(outer, inner)| {
                let n = next.entry(outer).or_insert(0);
                *n += 1;
                ((outer, inner), *n)
            };
            keys.into_iter().map(position).collect()
        };
        Self {
            node: rank(|c| (c.package, c.node)),
            l3: rank(|c| (c.node, c.l3)),
            core: rank(|c| (c.l3, c.core)),
        }
    }

    fn of(&self, c: &Cpu) -> (usize, usize, usize) {
        (self.core[&(c.l3, c.core)], self.l3[&(c.node, c.l3)], self.node[&(c.package, c.node)])
    }
}

fn checked(list: &[usize], topology: &Topology) -> Result<Vec<usize>, TopologyError> {
    let mut seen = BTreeSet::new();
    for &cpu in list {
        if topology.cpu(cpu).is_none() {
            let usable = ranges(&topology.cpus.iter().map(|c| c.id).collect::<Vec<_>>());
            return Err(TopologyError::NotUsable { cpu, usable });
        }
        if !seen.insert(cpu) {
            return Err(TopologyError::Twice(cpu));
        }
    }
    Ok(list.to_vec())
}

impl FromStr for Pin {
    type Err = TopologyError;
    fn from_str(text: &str) -> Result<Self, TopologyError> {
        match text {
            "compact" => Ok(Pin::Compact),
            "spread" => Ok(Pin::Spread),
            "smt-last" => Ok(Pin::SmtLast),
            _ => match parse_list(text) {
                Some(list) if !list.is_empty() => Ok(Pin::List(list)),
                _ => Err(TopologyError::Policy(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pin::Compact => f.write_str("compact"),
            Pin::Spread => f.write_str("spread"),
            Pin::SmtLast => f.write_str("smt-last"),
            Pin::List(list) => f.write_str(&ranges(list)),
        }
    }
}

/// `0-3,8` for 0, 1, 2, 3, 8; keeps the order.
fn ranges(list: &[usize]) -> String {
    let runs = list.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
}

/// The kernel's list format (`bitmap_parselist`), in the order given; empty text is no CPU.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for part in text.trim().split(',').filter(|_| !text.trim().is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // A list that names more than all CPUs there can be is damaged, and would fill memory.
        if first > last || last > MAX_CPU || list.len() > MAX_CPU {
            return None;
        }
        list.extend(first..=last);
    }
    Some(list)
}

/// What sysfs says about one CPU, before groups are numbered.
struct Place {
    id: usize,
    package: i64,
    node: usize,
    /// Lowest CPU on its L3; a CPU without L3 sorts last in its package.
    l3: usize,
    /// Lowest CPU of its core.
    core: usize,
    kind: CoreKind,
}

impl Place {
    fn read(
        dir: &Path,
        id: usize,
        nodes: &BTreeMap<usize, usize>,
        efficient: &BTreeSet<usize>,
    ) -> Result<Self, TopologyError> {
        let cpu = dir.join(format!("cpu{id}"));
        let siblings = cpu.join("topology/thread_siblings_list");
        let kind =
            if efficient.contains(&id) { CoreKind::Efficient } else { CoreKind::Performance };
        Ok(Self {
            id,
            // -1 where the firmware has no entry (Arm guests): all such CPUs are one package.
            package: read_number(&cpu.join("topology/physical_package_id"))?,
            node: nodes.get(&id).copied().unwrap_or(0),
            l3: read_l3(&cpu.join("cache"))?.unwrap_or(usize::MAX),
            core: lowest(&siblings, &read_list(&siblings)?)?,
            kind,
        })
    }
}

/// Turns the kernel's group numbers into dense ones. A group is keyed by its package as well, so a
/// damaged list never joins two packages.
fn number(mut places: Vec<Place>) -> Vec<Cpu> {
    places.sort_by_key(|p| p.id);
    let package = dense(places.iter().map(|p| (p.package, 0, 0)));
    let node = dense(places.iter().map(|p| (p.package, p.node, 0)));
    let l3 = dense(places.iter().map(|p| (p.package, p.node, p.l3)));
    let core = dense(places.iter().map(|p| (p.package, 0, p.core)));
    let mut threads = BTreeMap::new();
    let cpu = |p: &Place| {
        let core = core[&(p.package, 0, p.core)];
        let smt = *threads.entry(core).and_modify(|n| *n += 1).or_insert(0);
        Cpu {
            id: p.id,
            package: package[&(p.package, 0, 0)],
            node: node[&(p.package, p.node, 0)],
            l3: l3[&(p.package, p.node, p.l3)],
            core,
            smt,
            kind: p.kind,
        }
    };
    places.iter().map(cpu).collect()
}

type Key = (i64, usize, usize);

fn dense(keys: impl Iterator<Item = Key>) -> BTreeMap<Key, usize> {
    let sorted: BTreeSet<Key> = keys.collect();
    sorted.into_iter().enumerate().map(|(n, key)| (key, n)).collect()
}

/// The node of each CPU, from every `nodeN/cpulist`. Without CONFIG_NUMA the directory does not
/// exist.
fn read_nodes(dir: &Path) -> Result<BTreeMap<usize, usize>, TopologyError> {
    let mut nodes = BTreeMap::new();
    for (node, path) in numbered(dir, "node")? {
        for cpu in read_list(&path.join("cpulist"))? {
            nodes.insert(cpu, node);
        }
    }
    Ok(nodes)
}

/// Lowest CPU that shares this one's L3, when it has one.
fn read_l3(cache: &Path) -> Result<Option<usize>, TopologyError> {
    for (_, index) in numbered(cache, "index")? {
        if read_number(&index.join("level"))? == 3 {
            let shared = index.join("shared_cpu_list");
            return Ok(Some(lowest(&shared, &read_list(&shared)?)?));
        }
    }
    Ok(None)
}

/// The slower cores: Intel names them in `cpu_atom`, Arm gives every CPU a capacity.
fn read_efficient(root: &Path, online: &[usize]) -> Result<BTreeSet<usize>, TopologyError> {
    if let Some(atom) = optional(read_list(&root.join("devices/cpu_atom/cpus")))? {
        return Ok(atom.into_iter().collect());
    }
    let mut capacity = BTreeMap::new();
    for &id in online {
        let path = root.join(format!("devices/system/cpu/cpu{id}/cpu_capacity"));
        if let Some(value) = optional(read_number(&path))? {
            capacity.insert(id, value);
        }
    }
    let highest = capacity.values().copied().max();
    Ok(capacity.into_iter().filter(|(_, c)| Some(*c) < highest).map(|(id, _)| id).collect())
}

/// `prefixN` entries of a directory by number; none when the directory does not exist.
fn numbered(dir: &Path, prefix: &str) -> Result<BTreeMap<usize, PathBuf>, TopologyError> {
    let at = |source| TopologyError::Read { path: dir.to_owned(), source };
    let Some(entries) = optional(std::fs::read_dir(dir).map_err(at))? else {
        return Ok(BTreeMap::new());
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(at)?;
        let number = entry.file_name().to_str().and_then(|n| n.strip_prefix(prefix)?.parse().ok());
        if let Some(number) = number {
            found.insert(number, entry.path());
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, TopologyError> {
    std::fs::read_to_string(path)
        .map_err(|source| TopologyError::Read { path: path.to_owned(), source })
}

fn read_number(path: &Path) -> Result<i64, TopologyError> {
    let text = read(path)?;
    let wrong = || parse_error(path, &text, "a number");
    text.trim().parse().map_err(|_| wrong())
}

fn read_list(path: &Path) -> Result<Vec<usize>, TopologyError> {
    cpus_in(path, &read(path)?)
}

fn cpus_in(path: &Path, text: &str) -> Result<Vec<usize>, TopologyError> {
    parse_list(text).ok_or_else(|| parse_error(path, text, "a CPU list such as 0-3,8"))
}

fn lowest(path: &Path, list: &[usize]) -> Result<usize, TopologyError> {
    list.iter().copied().min().ok_or_else(|| parse_error(path, "", "at least one CPU"))
}

fn parse_error(path: &Path, text: &str, expected: &'static str) -> TopologyError {
    TopologyError::Parse { path: path.to_owned(), text: text.trim().to_owned(), expected }
}

/// `None` for a file that does not exist, which for most of sysfs means: not on this machine.
fn optional<T>(result: Result<T, TopologyError>) -> Result<Option<T>, TopologyError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(TopologyError::Read { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
