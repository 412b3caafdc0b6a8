//! What a backing charges arrives where the kernel spends it: under the locks of each release, and
//! outside of all. Everything here is virtual time.

use std::collections::BTreeSet;
use std::sync::Arc;

use bench_harness::backing::Backing;
use bench_harness::plan::{Host, Options, Plan};
use bench_harness::{engine, units::Threads};
use machine::simulated::Model;
use results::schema::Cell;
use results::store::{self, Writer};

/// One cell per variant and backing, on eight simulated CPUs.
fn cells(variants: &[&str], workload: &str, backings: &[&str]) -> Vec<Cell> {
    let model = Model::load("vm-32").unwrap();
    let topology = model.topology();
    let host = Host { topology: &topology, guest: false, model: Some(Arc::new(model)) };
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    let options = Options {
        variant: words(variants),
        workload: words(&[workload]),
        backing: words(backings),
        threads: vec![Threads::Count(8)],
        size: vec!["64MiB".parse().unwrap()],
        trials: Some(1),
        seconds: Some(0.001),
        ..Options::default()
    };
    let plan = Plan::new(options, &host).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = engine::describe(&plan, &topology, "a test".into());
    let mut writer = Writer::create(dir.path(), run).unwrap();
    engine::run(&plan, &mut writer, &[], |_| {}).unwrap();
    store::load(writer.dir()).unwrap().cells
}

fn locks(cell: &Cell) -> BTreeSet<&str> {
    cell.sites.iter().map(|site| &site.lock[..]).collect()
}

/// Each release takes the neighbours' locks that it has.
#[test]
fn every_release_has_the_locks_of_its_time() {
    let all = ["scanning", "percluster", "percpu-free-first", "percpu-cluster"];
    for cell in cells(&all, "churn", &["zram"]) {
        let (variant, locks) = (&cell.key.variant[..], locks(&cell));
        for always in ["class->lock", "lru_lock"] {
            assert!(locks.contains(always), "{variant}: {locks:?}");
        }
        assert_eq!(locks.contains("ctrl->lock"), variant == "scanning", "{variant}: {locks:?}");
        for xarray in ["xa_lock", "list_lru"] {
            let expected = variant != "percpu-cluster";
            assert_eq!(locks.contains(xarray), expected, "{variant}: {locks:?}");
        }
    }
}

/// The bare allocator meets no neighbour, and its cells are named as they always were.
#[test]
fn without_a_backing_nothing_is_charged() {
    for cell in cells(&["scanning", "percpu-cluster"], "build", &["none"]) {
        assert!(!cell.key.params.contains_key("backing"));
        let neighbours = ["xa_lock", "list_lru", "class->lock", "lru_lock", "ctrl->lock"];
        assert!(neighbours.iter().all(|lock| !locks(&cell).contains(lock)), "{:?}", cell.sites);
    }
}

/// A page out and in takes what its backing charges, and hardly more where nobody waits.
#[test]
fn a_page_takes_its_price() {
    for cell in cells(&["percpu-cluster"], "churn", &["zram", "zram-same", "ssd"]) {
        let backing = Backing::load(&cell.key.params["backing"]).unwrap();
        let prices = backing.prices;
        let pages = cell.kinds["alloc"].count as f64;
        let each = cell.duration_ns as f64 * 8.0 / pages;
        let least = (prices.out_ns + prices.in_ns + prices.free_ns) as f64;
        assert!((1.0..1.5).contains(&(each / least)), "{}: {each} of {least} ns", backing.name);
    }
}

/// A hold of si->lock (6.12) or ci->lock (6.14) to free slots grows by what a slot's object takes.
#[test]
fn a_slot_is_freed_under_the_lock_of_its_release() {
    let hold = |cell: &Cell, lock: &str, caller: &str| {
        let site = cell.sites.iter().find(|s| (&s.lock[..], &s.caller[..]) == (lock, caller));
        let site = site.unwrap_or_else(|| panic!("{lock} of {caller}: {:?}", cell.sites));
        site.hold_total_ns as f64 / site.hold_sampled as f64
    };
    let free_ns = Backing::load("zram").unwrap().prices.free_ns as f64;
    for (variant, lock, caller, slots) in [
        ("scanning", "si->lock", "swapcache_free_entries", 32.0),
        ("percluster", "ci->lock", "put_swap_folio", 1.0),
    ] {
        let [bare, zram] = [["none"], ["zram"]].map(|b| cells(&[variant], "churn", &b).remove(0));
        let more = hold(&zram, lock, caller) - hold(&bare, lock, caller);
        assert!(more >= slots * free_ns, "{variant}: {more} ns for {slots} slots of {free_ns}");
    }
}
