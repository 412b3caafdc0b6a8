//! Which CPUs there are and how far apart they are: packages, NUMA nodes, L3 groups, cores, SMT
//! siblings and core types. Guards that no two workers share a CPU: every pin policy is a
//! permutation of the usable CPUs. Guards also that no machine is refused because a file of sysfs
//! is missing: such a file has a plain default and leaves a note.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::affinity;
use sysfs::{Sysfs, parse_list};

mod sysfs;

/// Why there is no topology, or no order of CPUs.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Neither the affinity mask nor sysfs names a CPU.
    #[error("no CPU to run on: the affinity mask has none, and {sys} names none")]
    NoCpu {
        /// The root of sysfs.
        sys: String,
    },
    /// A text that is no pin policy.
    #[error("pin policy '{0}': expected compact, spread, smt-last or a CPU list such as 0,2,4-7")]
    Policy(String),
    /// A pin list names a CPU twice.
    #[error("pin list: CPU {0} is named twice")]
    Twice(usize),
    /// A pin list names a CPU that this process may not use.
    #[error("pin list: CPU {cpu} is not usable here{why}; usable: {usable}{hint}")]
    NotUsable {
        /// The CPU.
        cpu: usize,
        /// The kernel's reason, where it was asked, after a colon.
        why: String,
        /// The CPUs that are usable, as a list.
        usable: String,
        /// How to start the program on that CPU, where there may be a way.
        hint: String,
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

/// Type of a core on a machine that mixes types. Sorts the fast ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoreKind {
    /// All cores alike, or the fastest type: Intel's `cpu_core`, or on Arm the highest capacity.
    Performance,
    /// The second type: Intel's `cpu_atom`, or on Arm the next lower capacity.
    Efficient,
    /// The slowest type: Intel's `cpu_lowpower` or the cores of `cpu_atom` outside the L3, or on
    /// Arm any capacity below the first two.
    LowPower,
}

impl fmt::Display for CoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CoreKind::Performance => "performance",
            CoreKind::Efficient => "efficient",
            CoreKind::LowPower => "low-power",
        })
    }
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
    /// Those of `forbidden` that the kernel was told to isolate (`isolcpus=`).
    pub isolated: Vec<usize>,
    /// What sysfs does not say here, and what is assumed instead; one sentence each.
    pub notes: Vec<String>,
    /// Whether a pin list may name a CPU outside the affinity mask: the kernel is then asked. True
    /// for the machine itself, false for a description of one.
    pub asks_kernel: bool,
}

impl Topology {
    /// Reads this machine and the calling thread's affinity, which is within its cpuset. Call it
    /// once, first thing in `main`: after a pin the mask has a single CPU.
    ///
    /// Without `/sys` and `/proc` the CPUs of the affinity mask are cores of one package; without
    /// a mask too, there is the CPU that the calling thread runs on.
    ///
    /// # Errors
    ///
    /// As [`Topology::read`].
    pub fn here() -> Result<Self, TopologyError> {
        let sys = Path::new("/sys");
        let listed = sysfs::allowed(Path::new("/proc/thread-self/status"));
        let (allowed, note) = mask(affinity::allowed(), listed, Sysfs::new(sys).online());
        let found = Self::read(sys, allowed.as_deref());
        let only = || Self::read(sys, Some(&[rustix::thread::sched_getcpu()]));
        let mut topology = found.or_else(|_| only())?;
        topology.notes.extend(note);
        topology.asks_kernel = true;
        Ok(topology)
    }

    /// Reads the sysfs tree at `root`. `allowed` are the CPUs of the affinity mask, each of which
    /// the kernel can run a thread on; `None` where the mask is not known. The mask is true where
    /// `online` contradicts it: lxcfs lets `online` count from 0 in a container, whose mask has the
    /// host's numbers.
    ///
    /// # Errors
    ///
    /// [`TopologyError::NoCpu`] if neither the mask nor the tree names a CPU.
    pub fn read(root: &Path, allowed: Option<&[usize]>) -> Result<Self, TopologyError> {
        let mut sysfs = Sysfs::new(root);
        let mut online = match (sysfs.online(), allowed) {
            (Some(online), _) => online,
            (None, Some(allowed)) => allowed.to_vec(),
            (None, None) => sysfs.cpu_directories(),
        };
        let mut usable = allowed.unwrap_or(&online).to_vec();
        usable.sort_unstable();
        usable.dedup();
        if usable.is_empty() {
            return Err(TopologyError::NoCpu { sys: root.display().to_string() });
        }
        if let Some(unknown) = usable.iter().find(|id| !online.contains(id)) {
            sysfs.note(format!(
                "the affinity mask has CPU {unknown}, which is not among the online CPUs {}; the \
                 mask counts (a container's own view of /sys?)",
                ranges(&online)
            ));
            online.clone_from(&usable);
        }
        let present = sysfs.present().unwrap_or_default();
        let isolated = sysfs.isolated();
        let forbidden: Vec<_> = online.iter().copied().filter(|id| !usable.contains(id)).collect();
        Ok(Self {
            cpus: number(sysfs.places(&usable, &online)),
            offline: present.into_iter().filter(|id| !online.contains(id)).collect(),
            isolated: forbidden.iter().copied().filter(|id| isolated.contains(id)).collect(),
            forbidden,
            notes: sysfs.into_notes(),
            asks_kernel: false,
        })
    }

    /// The topology of a machine that is only described; `cpus` by ascending id.
    pub fn made_of(cpus: Vec<Cpu>) -> Self {
        Self {
            cpus,
            offline: Vec::new(),
            forbidden: Vec::new(),
            isolated: Vec::new(),
            notes: Vec::new(),
            asks_kernel: false,
        }
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

    /// The core types of the usable CPUs, fast ones first, with the number of CPUs of each.
    pub fn kinds(&self) -> BTreeMap<CoreKind, usize> {
        let mut kinds = BTreeMap::new();
        self.cpus.iter().for_each(|c| *kinds.entry(c.kind).or_insert(0) += 1);
        kinds
    }

    /// Says which isolated CPUs no policy uses, and how to use them; `None` where there are none.
    pub fn left_out(&self) -> Option<String> {
        let list = ranges(&self.isolated);
        (!list.is_empty()).then(|| {
            format!("CPUs {list} are isolated and left out; --pin {list} or taskset -c uses them")
        })
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
    /// Fast core types first. Within a type as close together as possible: both threads of a core,
    /// then the L3, then the package.
    Compact,
    /// Fast core types first. Within a type as far apart as possible: one worker on every package,
    /// then on every L3, then on every core. Second threads come last.
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

fn near(c: &Cpu) -> (CoreKind, usize, usize, usize, usize) {
    (c.kind, c.package, c.node, c.l3, c.core)
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
            let usable = || ranges(&topology.cpus.iter().map(|c| c.id).collect::<Vec<_>>());
            if !topology.asks_kernel {
                let (why, hint) = (String::new(), String::new());
                return Err(TopologyError::NotUsable { cpu, why, usable: usable(), hint });
            }
            affinity::may_pin(cpu).map_err(|error| TopologyError::NotUsable {
                cpu,
                why: format!(": {error} (offline, or outside the cpuset of this process?)"),
                usable: usable(),
                hint: format!("; or start as taskset -c {} swapscale ..", ranges(list)),
            })?;
        }
        if !seen.insert(cpu) {
            return Err(TopologyError::Twice(cpu));
        }
    }
    Ok(list.to_vec())
}

/// The CPUs that may be used, and a note if they are uncertain. `mask` is the system call's answer,
/// which has no CPU that is offline. `listed` is the kernel's text, which may have such CPUs.
/// Either may be another machine's where a container imitates one, so a CPU has to be in both.
fn mask(
    mask: std::io::Result<Vec<usize>>,
    listed: Option<Vec<usize>>,
    online: Option<Vec<usize>>,
) -> (Option<Vec<usize>>, Option<String>) {
    let both = |a: &[usize], b: &[usize]| -> Vec<usize> {
        a.iter().copied().filter(|id| b.contains(id)).collect()
    };
    match (mask, listed) {
        (Ok(mask), Some(listed)) => match both(&mask, &listed) {
            none if none.is_empty() => (Some(mask), None),
            cpus => (Some(cpus), None),
        },
        (Ok(mask), None) => (Some(mask), None),
        (Err(error), Some(listed)) => {
            let note = format!("sched_getaffinity: {error}; /proc names the usable CPUs");
            let cpus = online.map(|online| both(&listed, &online));
            (Some(cpus.filter(|cpus| !cpus.is_empty()).unwrap_or(listed)), Some(note))
        }
        (Err(error), None) => {
            let note = format!("sched_getaffinity: {error}; all online CPUs count as usable");
            (None, Some(note))
        }
    }
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
pub fn ranges(list: &[usize]) -> String {
    let runs = list.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(",")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_and_the_list_of_proc_are_both_heard() {
        let failed = || Err(std::io::ErrorKind::PermissionDenied.into());
        let list = |text: &str| parse_list(text);
        // The kernel lists all possible CPUs; the system call names those that are there.
        assert_eq!(mask(Ok(vec![0, 1]), list("0-127"), list("0-1")), (list("0-1"), None));
        assert_eq!(mask(Ok((0..1024).collect()), list("0-15"), None), (list("0-15"), None));
        assert_eq!(mask(Ok(vec![4]), list("0-1"), None), (list("4"), None), "nothing in both");
        assert_eq!(mask(Ok(vec![4]), None, None), (list("4"), None), "no /proc");
        let (cpus, note) = mask(failed(), list("0-127"), list("0-3"));
        assert!(cpus == list("0-3") && note.unwrap().contains("sched_getaffinity: "));
        assert_eq!(mask(failed(), list("1"), None).0, list("1"));
        assert_eq!(mask(failed(), list("1"), list("0")).0, list("1"), "lxcfs");
        assert_eq!(mask(failed(), None, list("0")).0, None);
    }
}
