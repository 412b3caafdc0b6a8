//! `cargo bench`, first part: what single operations cost on one thread and on two, by criterion.
//! Every sample runs on threads of its own that are pinned and have all started before any of
//! them is timed; the time is from the first start to the last end. For scaling see `scaling`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use machine::lock::{KINDS, LockKind, Tas};
use machine::topology::{Pin, Topology};
use machine::{Cpu, Machine, Native, Site, SpinLock, native, with_lock};
use variants::registry::{self, VARIANTS, Variant};
use variants::{DeviceSpec, Spec, Swap, SwapAllocator};

type M = Native<Tas, false>;

/// One thread, and two where there are two CPUs. Read before anything is pinned.
fn pins() -> Vec<Vec<usize>> {
    let topology = Topology::here().expect("sysfs is readable");
    let order = Pin::SmtLast.order(&topology).expect("a policy fits its own machine");
    (1..=order.len().min(2)).map(|n| order[..n].to_vec()).collect()
}

/// The time that `iters` turns of `op` take on every CPU of `pins` at once.
fn sample<M, S>(
    pins: &[usize],
    iters: u64,
    setup: impl Fn(&M::Cpu) -> S + Send + Sync + 'static,
    op: impl Fn(&S, &M::Cpu) + Send + Sync + 'static,
) -> Duration
where
    M: Machine<Config = native::Config>,
    S: Send + Sync + 'static,
{
    let threads = pins.len();
    let mut config = native::Config::untimed(threads);
    config.pins = pins.iter().copied().map(Some).collect();
    let started = Arc::new(AtomicUsize::new(0));
    let worker = move |state: &S, cpu: &M::Cpu| {
        started.fetch_add(1, Ordering::SeqCst);
        while started.load(Ordering::SeqCst) < threads {
            std::thread::yield_now();
        }
        let start = cpu.now();
        for _ in 0..iters {
            op(state, cpu);
        }
        (start, cpu.now())
    };
    let outcome = M::run(&config, setup, worker, |_, _| {}).expect("a benchmark does not fail");
    let start = outcome.workers.iter().map(|w| w.0).min().unwrap_or(0);
    let end = outcome.workers.iter().map(|w| w.1).max().unwrap_or(0);
    Duration::from_nanos(end - start)
}

const PAGES: usize = 1024;

/// A 64 MiB device half full, and one owner per CPU whose pages are in memory.
fn half_full<A: SwapAllocator<M>>(threads: usize, cpu: &<M as Machine>::Cpu) -> Swap<M, A> {
    let spec = Spec {
        devices: vec![DeviceSpec::new(1 << 14)],
        owners: threads + 8,
        pages_per_owner: PAGES,
        ..Spec::default()
    };
    let swap = Swap::new(&spec, cpu);
    swap.swapon(cpu, 0);
    for owner in threads..threads + 8 {
        for page in 0..PAGES {
            swap.swap_out(cpu, owner, page, 0, false);
        }
    }
    swap
}

struct Operations<'a> {
    criterion: &'a mut Criterion,
    pins: &'a [Vec<usize>],
}

impl registry::Visitor<M> for Operations<'_> {
    type Output = ();
    fn visit<A: SwapAllocator<M>>(self, variant: &'static Variant) {
        type Op<A> = fn(&Swap<M, A>, &<M as Machine>::Cpu);
        let operations: [(&str, Op<A>); 3] = [
            ("alloc-free", |swap, cpu| {
                let entry = swap.alloc.alloc(cpu, 0).expect("half of the device is free");
                swap.alloc.put_folio(cpu, entry, 0);
            }),
            ("swap-out-in", |swap, cpu| {
                swap.swap_out(cpu, cpu.id(), 0, 0, false);
                swap.swap_in(cpu, cpu.id(), 0, false);
            }),
            ("get-put", |swap, cpu| {
                if swap.alloc.tryget_device(cpu, 0) {
                    swap.alloc.put_device(cpu, 0);
                }
            }),
        ];
        for (name, op) in operations {
            let mut group = self.criterion.benchmark_group(name);
            for pins in self.pins {
                let threads = pins.len();
                group.throughput(Throughput::Elements(threads as u64));
                group.bench_function(BenchmarkId::new(variant.name, threads), |bencher| {
                    let setup = move |cpu: &<M as Machine>::Cpu| half_full::<A>(threads, cpu);
                    bencher.iter_custom(|iters| sample::<M, _>(pins, iters, setup, op));
                });
            }
        }
    }
}

fn operations(criterion: &mut Criterion) {
    let pins = pins();
    for variant in VARIANTS {
        let visitor = Operations { criterion, pins: &pins };
        registry::visit(variant.name, visitor).expect("it is in the list");
    }
}

/// Uncontended and contended pairs of every lock kind, beside two that users know.
fn locks(criterion: &mut Criterion) {
    let pins = pins();
    for (name, _) in KINDS {
        with_lock!(name, K => lock_pair::<K>(criterion, &pins, name)).expect("it is in the list");
    }
    baseline(criterion, &pins, "std-mutex", std::sync::Mutex::<()>::default, |lock| {
        drop(black_box(lock.lock()));
    });
    baseline(criterion, &pins, "parking-lot", parking_lot::Mutex::<()>::default, |lock| {
        drop(black_box(lock.lock()));
    });
}

static PAIR: Site = Site::new("lock", "ops");

fn lock_pair<K: LockKind>(criterion: &mut Criterion, pins: &[Vec<usize>], name: &str) {
    let mut group = criterion.benchmark_group("lock");
    for pins in pins {
        group.bench_function(BenchmarkId::new(name, pins.len()), |bencher| {
            bencher.iter_custom(|iters| {
                let setup = |_: &_| SpinLock::<Native<K, false>>::new();
                sample::<Native<K, false>, _>(pins, iters, setup, |lock, cpu| {
                    let guard = lock.lock(cpu, &PAIR);
                    lock.unlock(cpu, guard);
                })
            });
        });
    }
}

fn baseline<L: Send + Sync + 'static>(
    criterion: &mut Criterion,
    pins: &[Vec<usize>],
    name: &str,
    make: fn() -> L,
    pair: fn(&L),
) {
    let mut group = criterion.benchmark_group("lock");
    for pins in pins {
        group.bench_function(BenchmarkId::new(name, pins.len()), |bencher| {
            bencher.iter_custom(|iters| {
                sample::<M, _>(pins, iters, move |_| make(), move |lock, _| pair(lock))
            });
        });
    }
}

/// Short: the machine's noise is wider than what more samples would tell.
fn short() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800))
        .without_plots()
}

criterion_group! {
    name = ops;
    config = short();
    targets = operations, locks
}
criterion_main!(ops);
