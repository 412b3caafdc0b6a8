//! Topology and pin policies against fixture trees of other machines. Guards that groups are those
//! of the hardware, that no policy ever names a CPU twice, and that a tree which lacks any of its
//! files is read all the same.

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
        tree.put("devices/system/cpu/present", &list(&|_| true));
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
    assert_eq!(kinds(&t), [112]);
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
    assert!(t.smt());
    assert_eq!((t.cores(), t.l3_groups()), (16, 2));
    assert_eq!(kinds(&t), [12, 8, 2], "the efficient cores outside the L3 are low-power cores");
    assert_eq!(t.cpu(12).unwrap().kind, CoreKind::Efficient);
    assert_eq!(ids(&t, "smt-last")[..7], [0, 2, 4, 6, 8, 10, 12]);
    assert_eq!(ids(&t, "smt-last")[16..], [1, 3, 5, 7, 9, 11]);
    assert_eq!(ids(&t, "spread")[..6], [0, 2, 4, 6, 8, 10], "fast cores first");
    assert_eq!(ids(&t, "spread")[6..16], [12, 13, 14, 15, 16, 17, 18, 19, 20, 21]);
    assert_eq!(ids(&t, "compact")[20..], [20, 21]);
    assert_eq!(t.distance(0, 20), Some(Distance::Package), "outside the L3");
}

/// CPUs of each core type that there is, fast ones first.
fn kinds(t: &Topology) -> Vec<usize> {
    t.kinds().into_values().collect()
}

#[test]
fn lists_name_three_core_types() {
    let (cpus, _) = hybrid();
    let tree = Tree::new(&cpus);
    tree.put("devices/cpu_core/cpus", "0-11");
    tree.put("devices/cpu_atom/cpus", "12-19");
    tree.put("devices/cpu_lowpower/cpus", "20-21");
    let t = tree.read();
    assert_eq!(kinds(&t), [12, 8, 2]);
    assert!(t.notes.is_empty(), "{:?}", t.notes);
    for pin in ["compact", "spread", "smt-last"] {
        let low = |id: &usize| *id >= 20;
        let order = ids(&t, pin);
        let fast = order.iter().take_while(|id| !low(id)).count();
        assert!(fast >= 14, "{pin}: low-power cores come after the efficient ones: {order:?}");
    }
    // A CPU in no list is not fast, and without `cpu_core` all that is not named is.
    tree.put("devices/cpu_atom/cpus", "12-18");
    assert_eq!(kinds(&tree.read()), [12, 8, 2]);
    fs::remove_file(tree.path().join("devices/cpu_core/cpus")).unwrap();
    assert_eq!(kinds(&tree.read()), [13, 7, 2]);
    // Lakefield and Lunar Lake: no efficient core has an L3, so that says nothing.
    fs::remove_file(tree.path().join("devices/cpu_lowpower/cpus")).unwrap();
    tree.put("devices/cpu_atom/cpus", "20-21");
    assert_eq!(kinds(&tree.read()), [20, 2]);
}

fn capacities(values: &[u32]) -> Tree {
    let cpu = |id| Fixture { id, package: 0, node: 0, l3: Some(id / 4), core: id };
    let tree = Tree::new(&(0..values.len()).map(cpu).collect::<Vec<_>>());
    for (cpu, value) in values.iter().enumerate() {
        tree.put(&format!("devices/system/cpu/cpu{cpu}/cpu_capacity"), &value.to_string());
        tree.put(&format!("devices/system/cpu/cpu{cpu}/topology/physical_package_id"), "-1");
    }
    tree
}

#[test]
fn arm_capacities_tell_core_types() {
    let t = capacities(&[381, 1024]).read();
    assert_eq!(t.packages(), 1);
    assert_eq!(ids(&t, "compact"), [1, 0], "fast core first");
    // Four small, three middle and one big core; the small ones have an L3 group to themselves.
    let t = capacities(&[250, 250, 250, 250, 620, 620, 620, 1024]).read();
    assert_eq!(kinds(&t), [1, 3, 4]);
    for pin in ["compact", "spread", "smt-last"] {
        assert_eq!(ids(&t, pin), [7, 4, 5, 6, 0, 1, 2, 3], "{pin}");
    }
    let five = capacities(&[100, 200, 400, 800, 1024]).read();
    assert_eq!(kinds(&five), [1, 1, 3], "there are three types at most");
}

#[test]
fn capacities_within_20_percent_are_one_type() {
    // NVIDIA Grace: 72 like cores.
    let grace: Vec<u32> = (0..72).map(|cpu| 1007 + cpu * 5 % 18).collect();
    assert_eq!(kinds(&capacities(&grace).read()), [72]);
    assert_eq!(ids(&capacities(&grace).read(), "compact")[..4], [0, 1, 2, 3]);
    for (value, types) in [(820, 1), (819, 2)] {
        assert_eq!(kinds(&capacities(&[value, 1024]).read()).len(), types, "{value} of 1024");
    }
    // The highest of a type counts: a chain of small steps is not one type.
    assert_eq!(kinds(&capacities(&[1000, 850, 720, 610]).read()), [2, 2]);
    // A machine whose usable cores are all slow is a machine of slow cores.
    let t = Topology::read(capacities(&[381, 381, 1024]).path(), Some(&[0, 1])).unwrap();
    assert_eq!(t.kinds().into_keys().collect::<Vec<_>>(), [CoreKind::Efficient]);
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
    let t = Topology::read(tree.path(), Some(&[60, 3, 59])).unwrap();
    assert_eq!(ids(&t, "smt-last"), [3, 60, 59], "60 is the first usable thread of its core");
    assert_eq!(t.forbidden.len(), 109);
    let none = Topology::read(tree.path(), Some(&[])).unwrap_err().to_string();
    assert!(none.contains("no CPU to run on"), "{none}");
}

/// lxcfs: `online` counts the container's CPUs from 0, the mask has the host's numbers.
#[test]
fn the_mask_is_true_where_online_contradicts_it() {
    let tree = Tree::new(&xeon());
    tree.put("devices/system/cpu/online", "0-1");
    let t = Topology::read(tree.path(), Some(&[40, 41])).unwrap();
    assert_eq!(ids(&t, "compact"), [40, 41]);
    assert_eq!(t.forbidden, [0; 0], "`online` is another numbering and forbids nothing");
    assert_eq!(t.distance(40, 41), Some(Distance::L3), "the rest of sysfs is the host's");
    assert!(t.notes[0].contains("mask has CPU 40"), "{:?}", t.notes);
}

#[test]
fn isolated_cpus_are_left_out_and_named() {
    let tree = Tree::new(&xeon());
    tree.put("devices/system/cpu/isolated", "2-3,60");
    let t = Topology::read(tree.path(), Some(&[0, 1, 60])).unwrap();
    assert_eq!(t.isolated, [2, 3], "60 is isolated and usable: taskset has given it");
    let note = t.left_out().unwrap();
    assert_eq!(note, "CPUs 2-3 are isolated and left out; --pin 2-3 or taskset -c uses them");
    assert_eq!(tree.read().left_out(), None);
}

/// A pin list may name a CPU outside the mask: the kernel decides, on this machine's own CPUs.
#[test]
fn a_named_cpu_is_tried() {
    let usable = machine::affinity::allowed().unwrap();
    let cpu = |&id: &usize| Fixture { id, package: 0, node: 0, l3: Some(0), core: id };
    let tree = Tree::new(&usable.iter().map(cpu).collect::<Vec<_>>());
    let first = usable[0];
    let mut t = Topology::read(tree.path(), Some(&[first])).unwrap();
    let list = |t: &Topology, cpus: &[usize]| Pin::List(cpus.to_vec()).order(t);
    if let [_, .., last] = usable[..] {
        assert!(list(&t, &[last, first]).is_err(), "a description is not asked");
        t.asks_kernel = true;
        assert_eq!(list(&t, &[last, first]).unwrap(), [last, first]);
        assert!(matches!(list(&t, &[last, last]), Err(TopologyError::Twice(_))));
    }
    t.asks_kernel = true;
    let refused = list(&t, &[first, 60_000]).unwrap_err().to_string();
    assert!(refused.contains("CPU 60000 is not usable here: Invalid argument"), "{refused}");
    assert!(refused.contains(&format!("start as taskset -c {first},60000")), "{refused}");
    assert_eq!(refused.lines().count(), 1);
}

#[test]
fn this_machine_reads() {
    let t = Topology::here().unwrap();
    assert_eq!(Pin::Compact.order(&t).unwrap().len(), t.cpus().len());
}

/// 2 sockets of 8 cores, each with an L3 and a node.
fn two_sockets() -> Vec<Fixture> {
    let cpu = |id: usize| {
        let socket = id / 8;
        Fixture { id, package: socket, node: socket, l3: Some(socket), core: id }
    };
    (0..16).map(cpu).collect()
}

/// The tree of two sockets with one file missing (None) or with another text: the topology, and its
/// only note, which names the file.
fn spoiled(file: &str, text: Option<&str>) -> (Topology, String) {
    let tree = Tree::new(&two_sockets());
    let path = tree.path().join(file);
    match text {
        Some(text) => tree.put(file, text),
        None if path.is_dir() => fs::remove_dir_all(path).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
    let all: Vec<usize> = (0..16).collect();
    let t = Topology::read(tree.path(), Some(&all)).unwrap();
    assert_eq!(t.notes.len(), 1, "{file}: {:?}", t.notes);
    let note = t.notes[0].clone();
    assert!(note.contains(file), "{note}");
    assert_eq!(ids(&t, "spread").len(), 16, "{file}");
    (t, note)
}

#[test]
fn a_file_that_is_missing_or_damaged_has_a_default_and_a_note() {
    let cpu = "devices/system/cpu";
    let note = |file: &str, text, instead: &str| {
        let (t, note) = spoiled(&format!("{cpu}/{file}"), text);
        assert!(note.contains(instead), "{note}");
        t
    };
    for text in [None, Some("0-x"), Some("0-99999999999"), Some("3-1"), Some("")] {
        let t = note("online", text, "the affinity mask count as all");
        assert_eq!((t.cpus().len(), t.forbidden.len()), (16, 0));
    }
    note("present", None, "offline are not known");
    note("isolated", Some("all"), "isolated CPUs are not known");
    for text in [None, Some("one"), Some("")] {
        let t = note("cpu7/topology/physical_package_id", text, "part of the first package");
        assert_eq!(t.packages(), 2);
    }
    for text in [None, Some(""), Some("?")] {
        let t = note("cpu7/topology/thread_siblings_list", text, "a core of its own");
        assert_eq!(t.distance(6, 7), Some(Distance::L3));
        let t = note("cpu7/cache/index3/shared_cpu_list", text, "count as one L3 group");
        assert_eq!(t.distance(6, 7), Some(Distance::Package));
    }
    let t = note("cpu7/cache/index3/level", None, "it counts as no cache");
    assert_eq!(t.distance(6, 7), Some(Distance::Package));
    note("cpu7/cache/index0/level", None, "it counts as no cache");
    note("cpu7/cache", None, "count as one L3 group");
    note("cpu7/cpu_capacity", Some("fast"), "counts as a fast core");
    let (t, _) = spoiled("devices/system/node", None);
    assert_eq!(t.nodes(), 2, "a node lies within a package");
    let (t, note) = spoiled("devices/cpu_atom/cpus", Some("4-"));
    assert!(note.contains("another type of core") && kinds(&t) == [16], "{note}");
}

#[test]
fn nodes_without_cpus_and_cpus_without_node() {
    let tree = Tree::new(&two_sockets());
    tree.put("devices/system/node/node2/cpulist", "");
    let t = tree.read();
    assert_eq!((t.nodes(), t.notes.len()), (2, 0), "a node of memory alone is no fault");
    for text in [None, Some("?"), Some("")] {
        let node = tree.path().join("devices/system/node/node1/cpulist");
        match text {
            Some(text) => tree.put("devices/system/node/node1/cpulist", text),
            None => fs::remove_file(node).unwrap(),
        }
        let t = tree.read();
        let notes = t.notes.join("\n");
        assert!(notes.contains("no node has CPU 8, and 7 more like it"), "{notes}");
        assert_eq!((t.cpus().len(), t.packages()), (16, 2));
    }
}

/// What many CPUs lack is one note.
#[test]
fn an_empty_tree_leaves_what_the_mask_says() {
    let empty = tempfile::tempdir().unwrap();
    for root in [empty.path(), Path::new("/no/such/directory")] {
        let t = Topology::read(root, Some(&[0, 1, 5])).unwrap();
        assert_eq!(ids(&t, "compact"), [0, 1, 5]);
        assert_eq!((t.packages(), t.nodes(), t.l3_groups(), t.cores()), (1, 1, 1, 3));
        assert_eq!(t.notes.len(), 6, "{:?}", t.notes);
        assert!(Topology::read(root, None).is_err());
    }
    let tree = Tree::new(&holes());
    fs::remove_file(tree.path().join("devices/system/cpu/online")).unwrap();
    assert_eq!(ids(&tree.read(), "5,71"), [5, 71], "the directories name the CPUs");
}

#[test]
fn a_machine_of_1920_cpus() {
    let cpu = |id: usize| {
        let core = id % 960;
        Fixture { id, package: core / 60, node: core / 60, l3: None, core }
    };
    let tree = Tree::new(&[1900, 1023, 1024, 964].map(cpu));
    tree.put("devices/system/cpu/online", "0-1919");
    tree.put("devices/system/cpu/present", "0-1919");
    let t = Topology::read(tree.path(), Some(&[964, 1023, 1024, 1900])).unwrap();
    assert_eq!(ids(&t, "compact"), [964, 1023, 1024, 1900]);
    assert_eq!((t.forbidden.len(), t.offline.len(), t.packages()), (1916, 0, 3));
}

#[test]
fn policies_parse_and_print() {
    for text in ["compact", "spread", "smt-last", "0-3,8,6", "5"] {
        assert_eq!(text.parse::<Pin>().unwrap().to_string(), text);
    }
    assert_eq!("0-6:2,7".parse::<Pin>().unwrap(), Pin::List(vec![0, 2, 4, 6, 7]));
    for text in ["", "compcat", "1,,2", "1-", "4-2", "-1", "0-70000", "0-6:0", "3:1", "0-6:"] {
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
