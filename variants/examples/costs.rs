//! `make costs`: costs that are counted and not timed. Bytes per slot and per cluster, and
//! instructions per operation without contention, by callgrind. Guards that a count is the same at
//! every run of one build: each is made twice. Without valgrind a line says so.

use std::process::{Command, ExitCode};

use machine::lock::Tas;
use machine::{Machine, Native, native};
use rayon::prelude::*;
use variants::registry::{self, VARIANTS, Variant};
use variants::{DeviceSpec, Folio, Spec, Swap, SwapAllocator, SwpEntry};

/// Without lock sites, so that the allocator alone is counted.
type M = Native<Tas, false>;
type MyCpu = <M as Machine>::Cpu;

/// How many operations are counted: many fillings of a slot cache (64 slots) and of a cluster
/// (512).
const TURNS: usize = 4096;
/// Slots of the device. Owner 1 has half of them in use; owner 0 takes [`TURNS`] of the rest.
const SLOTS: u32 = 4 * TURNS as u32;
/// Turns after which a random load is steady.
const WARM: usize = 16 * TURNS;

const OPERATIONS: [&str; 7] =
    ["alloc", "free", "get + put", "dup", "swap out", "swap in", "refault"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [variant, operation] = &words[..] else {
        space();
        return path();
    };
    registry::visit(variant, Count(operation)).expect("a variant of the list");
    ExitCode::SUCCESS
}

/// Prints how many bytes the arrays of a device take, which is the same for every variant.
fn space() {
    let config = native::Config::untimed(1);
    let setup = |cpu: &MyCpu| Swap::<M, variants::percluster::PerCluster<M>>::new(&spec(), cpu);
    let sizes = |swap: &Swap<M, _>, _: &MyCpu| {
        let device = &SwapAllocator::<M>::base(&swap.alloc).devices[0];
        let each = |(name, bytes): (&str, usize)| {
            let (per, of) = match name {
                "cluster_info" => (SLOTS / device.cluster_slots, "cluster"),
                _ => (SLOTS, "slot"),
            };
            format!("{name} {} per {of}", bytes as f64 / f64::from(per))
        };
        device.footprint().map(each).join(", ")
    };
    let run = M::run(&config, setup, sizes, |_, _| {}).expect("sizes cannot fail");
    println!("bytes: {}\n", run.workers[0]);
}

/// Prints a table of instructions per operation.
fn path() -> ExitCode {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: left out, there is no valgrind here");
        return ExitCode::SUCCESS;
    }
    // Counts do not depend on what else runs.
    let count = |variant: &'static str| {
        let twice =
            |operation: &&str| Ok((counted(variant, operation)?, counted(variant, operation)?));
        OPERATIONS.iter().map(twice).collect::<Result<Vec<_>, String>>()
    };
    let rows: Vec<_> = VARIANTS.par_iter().map(|v| (v.name, count(v.name))).collect();
    println!("| instructions | {} |", OPERATIONS.join(" | "));
    println!("| --- |{}", " ---: |".repeat(OPERATIONS.len()));
    let mut code = ExitCode::SUCCESS;
    for (name, counts) in rows {
        let cells: Vec<String> = match counts {
            Ok(counts) => counts.iter().map(cell).collect(),
            Err(why) => {
                code = ExitCode::from(2);
                vec![why]
            }
        };
        println!("| `{name}` | {} |", cells.join(" | "));
    }
    code
}

/// A cell of the table: instructions of one operation; both counts where they differ.
fn cell((first, second): &(u64, u64)) -> String {
    let each = |n: &u64| format!("{:.1}", *n as f64 / TURNS as f64);
    if first == second { each(first) } else { format!("{} or {}", each(first), each(second)) }
}

/// Instructions inside [`swapscale_measured`], counted in a process of its own. The error is
/// valgrind's last line.
fn counted(variant: &str, operation: &str) -> Result<u64, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*swapscale_measured*")
        .arg(me)
        .args([variant, operation])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    let count =
        stderr.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| {
        let last = stderr.lines().last().unwrap_or("no output");
        format!("valgrind, {}: {last}", output.status)
    })
}

/// Runs what callgrind is to count. Callgrind finds it by its name.
#[inline(never)]
fn swapscale_measured(operation: impl FnOnce()) {
    operation();
}

fn spec() -> Spec {
    let pages_per_owner = SLOTS as usize / 2;
    Spec { devices: vec![DeviceSpec::new(SLOTS)], owners: 2, pages_per_owner, ..Spec::default() }
}

/// Does one operation [`TURNS`] times inside [`swapscale_measured`].
struct Count<'a>(&'a str);

impl registry::Visitor<M> for Count<'_> {
    type Output = ();
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) {
        let operation = self.0.to_owned();
        let setup = |cpu: &MyCpu| {
            let swap = Swap::<M, A>::new(&spec(), cpu);
            assert!(swap.swapon(cpu, 0));
            swap
        };
        let worker = move |swap: &Swap<M, A>, cpu: &MyCpu| {
            for page in 0..swap.owners.pages() {
                swap.swap_out(cpu, 1, page, 0, Folio::Drop);
            }
            measure(swap, cpu, &operation);
        };
        M::run(&native::Config::untimed(1), setup, worker, |_, _| {}).expect("a count cannot fail");
    }
}

fn measure<A: SwapAllocator<M>>(swap: &Swap<M, A>, cpu: &MyCpu, operation: &str) {
    let alloc = &swap.alloc;
    let fresh = || -> Vec<SwpEntry> { (0..TURNS).filter_map(|_| alloc.alloc(cpu, 0)).collect() };
    let out = |page| swap.swap_out(cpu, 0, page, 0, Folio::Drop);
    match operation {
        "alloc" => {
            let mut entries = Vec::with_capacity(TURNS);
            swapscale_measured(|| entries.extend((0..TURNS).filter_map(|_| alloc.alloc(cpu, 0))));
            assert_eq!(entries.len(), TURNS);
        }
        "free" => {
            let entries = fresh();
            swapscale_measured(|| entries.iter().for_each(|entry| alloc.put_folio(cpu, *entry, 0)));
        }
        "get + put" => swapscale_measured(|| {
            for _ in 0..TURNS {
                assert!(alloc.tryget_device(cpu, 0));
                alloc.put_device(cpu, 0);
            }
        }),
        "dup" => {
            let entries = fresh();
            swapscale_measured(|| entries.iter().for_each(|entry| assert!(alloc.dup(cpu, *entry))));
        }
        "swap out" => swapscale_measured(|| (0..TURNS).for_each(|page| assert!(out(page)))),
        "swap in" => {
            (0..TURNS).for_each(|page| assert!(out(page)));
            swapscale_measured(|| {
                (0..TURNS).for_each(|page| assert!(swap.swap_in(cpu, 0, page, Folio::Drop)));
            });
        }
        "refault" => {
            let mut random = fastrand::Rng::with_seed(1);
            (0..TURNS).for_each(|page| assert!(out(page)));
            // Every page is equally likely, so that the free quarter of the device spreads over all
            // its clusters.
            let mut refault = || {
                let at = random.usize(..3 * TURNS);
                let (owner, page) = if at < TURNS { (0, at) } else { (1, at - TURNS) };
                assert!(swap.swap_in(cpu, owner, page, Folio::Drop));
                assert!(swap.swap_out(cpu, owner, page, 0, Folio::Drop));
            };
            (0..WARM).for_each(|_| refault());
            swapscale_measured(|| (0..TURNS).for_each(|_| refault()));
        }
        other => panic!("no operation is called {other}"),
    }
}
