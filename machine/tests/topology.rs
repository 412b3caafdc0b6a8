//! Topology and pin policies against fixture trees of other machines. Guards that groups are those
//! of the hardware, and that no policy ever names a CPU twice.

use machine::topology::{CoreKind, Distance, Pin, Topology, TopologyError};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// One CPU as in its sysfs files; groups are any numbers, equal within a group.
#[derive(Clone, Debug)]
struct Fixture {
    id: usize,
    package: usize,
    node: usize,
    l3: Option<usize>,
    core: usize,
}

/// A sysfs tree of these CPUs, all online.
struct Tree(TempDir);

impl Tree {
    fn new(cpus: &[Fixture]) -> Self {
        let tree = Tree(tempfile::tempdir().unwrap());
        let list = |same: &dyn Fn(&Fixture) -> bool| {
            let ids = cpus.iter().filter(|c| same(c)).map(|c| c.id.to_string());
            ids.collect::<Vec<_>>().join(",")
        };
        for c in cpus {
            let cpu = format!("devices/system/cpu/cpu{}", c.id);
            tree.put(&format!("{cpu}/topology/physical_package_id"), &c.package.to_string());
            let siblings = list(&|o| (o.package, o.core) == (c.package, c.core));
            tree.put(&format!("{cpu}/topology/thread_siblings_list"), &siblings);
            tree.put(&format!("{cpu}/cache/index0/level"), "1");
            if c.l3.is_some() {
                tree.put(&format!("{cpu}/cache/index3/level"), "3");
                let shared = list(&|o| (o.package, o.l3) == (c.package, c.l3));
                tree.put(&format!("{cpu}/cache/index3/shared_cpu_list"), &shared);
            }
            let node = format!("devices/system/node/node{}/cpulist", c.node);
            tree.put(&node, &list(&|o| o.node == c.node));
        }
        tree.put("devices/system/cpu/online", &list(&|_| true));
        tree
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self) -> Topology {
        Topology::read(self.path(), None).unwrap()
    }
}

fn vm() -> Vec<Fixture> {
    (0..2).map(|id| Fixture { id, package: 0, node: 0, l3: Some(0), core: id }).collect()
}

/// 2 sockets of 28 cores; as Intel numbers them: first threads of both sockets, then second ones.
fn xeon() -> Vec<Fixture> {
    let cpu = |id: usize| {
        let core = id % 56;
        Fixture { id, package: core / 28, node: core / 28, l3: Some(core / 28), core }
    };
    (0..112).map(cpu).collect()
}

/// 2 sockets, 4 nodes each (NPS4), 12 L3 groups of 8 cores per socket, SMT: 384 CPUs.
fn epyc() -> Vec<Fixture> {
    let cpu = |id: usize| {
        let core = id % 192;
        Fixture { id, package: core / 96, node: core / 24, l3: Some(core / 8), core }
    };
    (0..384).map(cpu).collect()
}

/// 6 fast cores with two threads, 8 slow ones, and 2 slow ones outside the L3.
fn hybrid() -> (Vec<Fixture>, &'static str) {
    let cpu = |id: usize| {
        let core = if id < 12 { id / 2 } else { id };
        Fixture { id, package: 0, node: 0, l3: (id < 20).then_some(0), core }
    };
    ((0..22).map(cpu).collect(), "12-21")
}

/// Two sockets with gaps in the numbering: CPUs 0, 1, 4, 5 and 64, 70, 71.
fn holes() -> Vec<Fixture> {
    let cpu = |id: usize| {
        let package = id / 64;
        Fixture { id, package, node: package * 3, l3: Some(package), core: id / 2 }
    };
    [0, 1, 4, 5, 64, 70, 71].into_iter().map(cpu).collect()
}

fn ids(topology: &Topology, pin: &str) -> Vec<usize> {
    pin.parse::<Pin>().unwrap().order(topology).unwrap()
}

#[test]
fn two_vcpu_vm() {
    let t = Tree::new(&vm()).read();
    assert_eq!((t.packages(), t.nodes(), t.l3_groups(), t.cores(), t.smt()), (1, 1, 1, 2, false));
    assert_eq!(t.distance(0, 1), Some(Distance::L3));
    for pin in ["compact", "spread", "smt-last"] {
        assert_eq!(ids(&t, pin), [0, 1]);
    }
}

#[test]
fn two_socket_smt_xeon() {
    let t = Tree::new(&xeon()).read();
    assert_eq!((t.packages(), t.nodes(), t.l3_groups(), t.cores(), t.smt()), (2, 2, 2, 56, true));
    assert!(!t.hybrid());
    assert_eq!(ids(&t, "compact")[..4], [0, 56, 1, 57]);
    assert_eq!(ids(&t, "compact")[56], 28, "socket 0 fills with both threads first");
    assert_eq!(ids(&t, "smt-last")[..3], [0, 1, 2]);
    assert_eq!(ids(&t, "smt-last")[56], 56, "second threads when all cores are taken");
    assert_eq!(ids(&t, "spread")[..4], [0, 28, 1, 29]);
    let far = [(0, 0), (0, 56), (0, 27), (0, 28)].map(|(a, b)| t.distance(a, b).unwrap());
    assert_eq!(far, [Distance::Same, Distance::Smt, Distance::L3, Distance::Remote]);
}

#[test]
fn epyc_with_many_l3_groups() {
    let t = Tree::new(&epyc()).read();
    let counts = (t.packages(), t.nodes(), t.l3_groups(), t.cores(), t.cpus().len());
    assert_eq!(counts, (2, 8, 24, 192, 384));
    let spread = ids(&t, "spread");
    let groups = |n: usize, of: fn(&machine::topology::Cpu) -> usize| {
        spread[..n].iter().map(|&id| of(t.cpu(id).unwrap())).collect::<BTreeSet<_>>().len()
    };
    assert_eq!((groups(2, |c| c.package), groups(8, |c| c.node), groups(24, |c| c.l3)), (2, 8, 24));
    assert_eq!(ids(&t, "compact")[..3], [0, 192, 1]);
    assert_eq!(t.distance(0, 8), Some(Distance::Package));
    assert_eq!(t.distance(0, 96), Some(Distance::Remote));
}

#[test]
fn hybrid_desktop() {
    let (cpus, slow) = hybrid();
    let tree = Tree::new(&cpus);
    tree.put("devices/cpu_atom/cpus", slow);
    let t = tree.read();
    assert!(t.hybrid() && t.smt());
    assert_eq!((t.cores(), t.l3_groups()), (16, 2));
    assert_eq!(t.cpu(12).unwrap().kind, CoreKind::Efficient);
    assert_eq!(ids(&t, "smt-last")[..7], [0, 2, 4, 6, 8, 10, 12]);
    assert_eq!(ids(&t, "smt-last")[16..], [1, 3, 5, 7, 9, 11]);
    assert_eq!(ids(&t, "spread")[..6], [0, 2, 4, 6, 8, 10], "fast cores first");
    assert_eq!(t.distance(0, 20), Some(Distance::Package), "outside the L3");
}

#[test]
fn arm_capacities_tell_core_types() {
    let tree = Tree::new(&vm());
    tree.put("devices/system/cpu/cpu0/cpu_capacity", "381");
    tree.put("devices/system/cpu/cpu1/cpu_capacity", "1024");
    tree.put("devices/system/cpu/cpu0/topology/physical_package_id", "-1");
    tree.put("devices/system/cpu/cpu1/topology/physical_package_id", "-1");
    let t = tree.read();
    assert_eq!(t.packages(), 1);
    assert_eq!(ids(&t, "compact"), [1, 0], "fast core first");
}

#[test]
fn holes_in_the_numbering() {
    let tree = Tree::new(&holes());
    tree.put("devices/system/cpu/present", "0-7,64-71");
    let t = tree.read();
    assert_eq!(t.offline, [2, 3, 6, 7, 65, 66, 67, 68, 69]);
    assert_eq!(ids(&t, "compact"), [0, 1, 4, 5, 64, 70, 71]);
    assert_eq!(ids(&t, "smt-last"), [0, 4, 64, 70, 1, 5, 71]);
    assert_eq!(ids(&t, "spread"), [0, 64, 4, 70, 1, 5, 71]);
    assert_eq!(t.cpu(2), None);
    assert_eq!(t.distance(0, 2), None);
}

#[test]
fn affinity_limits_the_choice() {
    let tree = Tree::new(&xeon());
    let t = Topology::read(tree.path(), Some(&[3, 59, 60, 500])).unwrap();
    assert_eq!(ids(&t, "smt-last"), [3, 60, 59], "60 is the first usable thread of its core");
    assert_eq!(t.forbidden.len(), 109);
    let none = Topology::read(tree.path(), Some(&[500])).unwrap_err().to_string();
    assert!(none.contains("cpu/online") && none.contains("none of the online CPUs"), "{none}");
}

#[test]
fn this_machine_reads() {
    let t = Topology::here().unwrap();
    assert_eq!(Pin::Compact.order(&t).unwrap().len(), t.cpus().len());
}

#[test]
fn errors_name_the_file() {
    let broken = |file: &str, text: Option<&str>| {
        let tree = Tree::new(&xeon());
        match text {
            Some(text) => tree.put(file, text),
            None => fs::remove_file(tree.path().join(file)).unwrap(),
        }
        let message = Topology::read(tree.path(), None).unwrap_err().to_string();
        assert!(message.contains(file), "{message}");
        message
    };
    broken("devices/system/cpu/online", None);
    assert!(broken("devices/system/cpu/online", Some("0-x")).contains("a CPU list such as"));
    broken("devices/system/cpu/online", Some("0-99999999999"));
    broken("devices/system/cpu/online", Some("3-1"));
    broken("devices/system/cpu/cpu7/topology/physical_package_id", Some("one"));
    broken("devices/system/cpu/cpu7/topology/thread_siblings_list", None);
    broken("devices/system/cpu/cpu7/topology/thread_siblings_list", Some(""));
    broken("devices/system/cpu/cpu7/cache/index3/shared_cpu_list", None);
    broken("devices/system/node/node1/cpulist", Some("?"));
}

#[test]
fn policies_parse_and_print() {
    for text in ["compact", "spread", "smt-last", "0-3,8,6", "5"] {
        assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
    }
    for text in ["", "compcat", "1,,2", "1-", "4-2", "-1", "0-70000"] {
        let message = text.parse::<Pin>().unwrap_err().to_string();
        assert!(message.contains("expected compact, spread, smt-last"), "{message}");
    }
}

#[test]
fn a_list_is_checked() {
    let t = Tree::new(&holes()).read();
    assert_eq!(ids(&t, "5,0-1,64"), [5, 0, 1, 64]);
    let list = |text: &str| text.parse::<Pin>().unwrap().order(&t).unwrap_err();
    assert!(matches!(list("0,1,0"), TopologyError::Twice(0)));
    assert_eq!(
        list("2").to_string(),
        "pin list: CPU 2 is not usable here; usable: 0-1,4-5,64,70-71"
    );
    let many = Pin::Compact.take(&t, 8).unwrap_err().to_string();
    assert_eq!(many, "8 threads do not fit on 7 CPUs (compact)");
}

type Shape = (usize, usize, usize, usize, bool);

/// Machines of any shape: uneven groups, shuffled and sparse CPU numbers, some CPUs forbidden.
fn any_machine() -> impl Strategy<Value = (Vec<Fixture>, Vec<usize>)> {
    let cpu = (0..3usize, 0..2usize, 0..3usize, 0..3usize, prop::bool::weighted(0.9));
    let cpus = prop::collection::btree_map(0..200usize, (cpu, any::<bool>()), 1..24);
    cpus.prop_map(|cpus| {
        let allowed = cpus.iter().filter(|(_, (_, yes))| *yes).map(|(id, _)| *id).collect();
        let fixture = |(&id, ((package, node, l3, core, has_l3), _)): (&usize, &(Shape, bool))| {
            let node = package * 2 + node;
            // Threads of one core share their L3, or the lack of one.
            let l3 = has_l3.then_some(node * 3 + l3);
            let group = l3.unwrap_or(100 + node);
            Fixture { id, package: *package, node, l3, core: group * 3 + core }
        };
        (cpus.iter().map(fixture).collect(), allowed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]
    #[test]
    fn no_policy_names_a_cpu_twice((cpus, allowed) in any_machine()) {
        let tree = Tree::new(&cpus);
        for allowed in [None, Some(&allowed[..])] {
            let Ok(t) = Topology::read(tree.path(), allowed) else {
                prop_assert_eq!(allowed, Some(&[][..]));
                continue;
            };
            let all: BTreeSet<usize> = t.cpus().iter().map(|c| c.id).collect();
            for pin in [Pin::Compact, Pin::Spread, Pin::SmtLast] {
                let order = pin.order(&t).unwrap();
                prop_assert_eq!(order.len(), all.len());
                prop_assert_eq!(&order.iter().copied().collect::<BTreeSet<_>>(), &all);
                for n in 0..=all.len() {
                    prop_assert_eq!(&pin.take(&t, n).unwrap()[..], &order[..n]);
                }
                prop_assert!(pin.take(&t, all.len() + 1).is_err());
            }
        }
    }

    #[test]
    fn policies_keep_their_word((cpus, _) in any_machine()) {
        let t = Tree::new(&cpus).read();
        let place = |id: usize| t.cpu(id).unwrap();
        let second = |id: &usize| place(*id).smt > 0;
        for pin in [Pin::SmtLast, Pin::Spread] {
            let order = pin.order(&t).unwrap();
            let distinct: BTreeSet<_> = order[..t.cores()].iter().map(|&id| place(id).core).collect();
            prop_assert_eq!(distinct.len(), t.cores(), "a core got its second thread too early");
            prop_assert!(order[t.cores()..].iter().all(second));
        }
        let first = Pin::Spread.take(&t, t.packages()).unwrap();
        let packages: BTreeSet<_> = first.iter().map(|&id| place(id).package).collect();
        prop_assert_eq!(packages.len(), t.packages());
        let compact = Pin::Compact.order(&t).unwrap();
        let runs = |of: fn(&machine::topology::Cpu) -> usize| {
            compact.chunk_by(|&a, &b| of(place(a)) == of(place(b))).count()
        };
        prop_assert_eq!(runs(|c| c.package), t.packages(), "a package is left and entered again");
        prop_assert_eq!(runs(|c| c.core), t.cores(), "a core is left and entered again");
    }
}
