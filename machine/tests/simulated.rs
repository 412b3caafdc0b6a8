//! The simulated machine: references drain, the same seed gives the same run, and the shapes that
//! the cost model is for come out, as ratios and counts of virtual time. That locks exclude is in
//! `locks.rs`.

use machine::lock::{LockKind, Mcs, Qspin, Tas, Ticket};
use machine::simulated::{self, Account, Config, Model, Preemption, Time};
use machine::topology::Pin;
use machine::{
    Atomic, Cpu, Failure, Fields, Machine, PercpuRef, Phase, Plain, Region, Simulated, Site,
    SpinLock,
};
use std::sync::Arc;

#[repr(C)]
struct Counter<M: Machine> {
    lock: SpinLock<M>,
    /// Changed by a load and a store: wrong unless the lock excludes.
    value: M::Plain<u64>,
}

impl<M: Machine> Fields for Counter<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("lock", std::mem::offset_of!(Self, lock)),
            ("value", std::mem::offset_of!(Self, value)),
        ]
    }
}

static COUNT: Site = Site::new("counter->lock", "excludes");

fn model(name: &str) -> Model {
    Model::load(name).unwrap()
}

/// `rounds` counted sections on each worker. Returns when each worker ended, in virtual
/// nanoseconds, and the line accounts.
fn count<K: LockKind>(config: &Config, rounds: u64) -> (Vec<u64>, Account) {
    let workers = config.pins.len() as u64;
    let run = Simulated::<K>::run(
        config,
        |_| {
            Region::<Simulated<K>, _>::new("counter", 1, |_| Counter {
                lock: SpinLock::new(),
                value: Plain::new(0u64),
            })
        },
        move |counter: &Region<_, Counter<Simulated<K>>>, cpu| {
            for _ in 0..rounds {
                let guard = counter[0].lock.lock(cpu, &COUNT);
                counter[0].value.set(counter[0].value.get() + 1);
                counter[0].lock.unlock(cpu, guard);
                cpu.work(20);
            }
            let sites = cpu.local().sites();
            assert_eq!(sites.iter().map(|s| s.acquired).sum::<u64>(), rounds);
            cpu.now()
        },
        move |counter, _| assert_eq!(counter[0].value.peek(), workers * rounds),
    );
    (run.unwrap().workers, simulated::take_account().unwrap())
}

/// Virtual nanoseconds per section, of all CPUs together.
fn service<K: LockKind>(name: &str, workers: usize) -> u64 {
    let (ends, _) = count::<K>(&Config::untimed(model(name), workers), 100);
    ends.iter().max().unwrap() / (100 * workers as u64)
}

#[test]
fn a_ticket_lock_collapses_and_a_queued_one_does_not() {
    let (ticket4, ticket48) = (service::<Ticket>("x86-2", 4), service::<Ticket>("x86-2", 48));
    let (mcs4, mcs48) = (service::<Mcs>("x86-2", 4), service::<Mcs>("x86-2", 48));
    assert!(ticket48 > 2 * ticket4, "ticket: {ticket4} ns at 4, {ticket48} ns at 48");
    assert!(mcs48 < 2 * mcs4, "mcs: {mcs4} ns at 4, {mcs48} ns at 48");
    assert!(mcs48 < ticket48, "mcs {mcs48} ns, ticket {ticket48} ns");
}

#[test]
fn a_lock_costs_more_across_packages() {
    let config = |pin: Pin| {
        let model = model("xeon-2s");
        let pins = pin.take(&model.topology(), 2).unwrap();
        Config { pins, ..Config::untimed(model, 1) }
    };
    let near = count::<Mcs>(&config(Pin::SmtLast), 200).0[0];
    let far = count::<Mcs>(&config(Pin::Spread), 200).0[0];
    assert!(far > near * 3 / 2, "{near} ns in a package, {far} ns across");
}

#[test]
fn the_same_seed_gives_the_same_run_on_any_thread() {
    let run = |seed| {
        let config = Config { seed, ..Config::untimed(model("x86-1"), 12) };
        format!("{:?}", count::<Ticket>(&config, 50))
    };
    let here = run(7);
    let threads: Vec<_> = (0..2).map(|_| std::thread::spawn(move || run(7))).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), here);
    }
    assert_ne!(run(8), here, "the seed has no effect");
}

/// No build profile, host thread or host address may change a run: predicted cells are compared to
/// the byte. A change of the cost model changes this figure, and must.
#[test]
fn a_run_is_the_same_in_every_build() {
    let config = Config { seed: 7, ..Config::untimed(model("x86-1"), 12) };
    let (ended, account) = count::<Qspin>(&config, 50);
    let mut digest = 0xcbf2_9ce4_8422_2325u64;
    for byte in format!("{ended:?} {:?}", account.fields).bytes() {
        digest = (digest ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    assert_eq!(digest, PINNED, "in {} events", account.events);
}

const PINNED: u64 = 12_745_689_304_686_291_538;

/// After a byte of a word is stored, the word is read only once that byte has committed.
#[test]
fn parts_of_a_word_are_stored_as_on_x86() {
    let word = |_: &<M as Machine>::Cpu| {
        Region::<M, simulated::Shared<u32>>::named("word", 1, vec![], |_| Atomic::new(0x1234_5601))
    };
    let run = M::run(
        &Config::untimed(model("vm-32"), 2),
        word,
        |word, cpu| {
            if cpu.id() == 0 {
                word[0].store_byte(0);
                let mine = word[0].load();
                word[0].store_half(0x1111);
                return mine;
            }
            word[0].spin_until(|value| value & 0xffff == 0x1111)
        },
        |word, _| assert_eq!(word[0].peek(), 0x1234_1111),
    );
    assert_eq!(run.unwrap().workers, [0x1234_5600, 0x1234_1111]);
}

/// Stores commit in order, but their lines are fetched at the same time.
#[test]
fn transfers_of_buffered_stores_overlap() {
    let took = |lines: usize| {
        let run = M::run(
            &Config::untimed(model("vm-32"), 2),
            |_| {
                Region::<M, <M as Machine>::Atomic<u64>>::named("words", 64, vec![], |_| {
                    Atomic::new(0u64)
                })
            },
            move |words, cpu| {
                let each = |from: usize| (from..lines).map(|n| &words[8 * n]);
                if cpu.id() == 1 {
                    each(0).for_each(|word| _ = word.fetch_add(1));
                    words[63].store(1);
                    return 0;
                }
                words[63].spin_until(|ready| ready == 1);
                let began = cpu.now();
                each(0).for_each(|word| word.store(5));
                M::mb();
                cpu.now() - began
            },
            |_, _| (),
        );
        run.unwrap().workers[0]
    };
    let (one, four) = (took(1), took(4));
    assert!(four < 2 * one, "one line {one} ns, four {four} ns");
}

/// Four threads per core: think time grows with the number of threads that think.
#[test]
fn all_threads_of_a_core_share_it() {
    let took = |workers| {
        let mut model = model("x86-2");
        (model.topology.smt, model.topology.cores, model.shape.jitter.ratio) = (4, 12, 0.0);
        let pins = Pin::Compact.take(&model.topology(), workers).unwrap();
        let config = Config { pins, ..Config::untimed(model, 1) };
        let work = |_: &(), cpu: &<M as Machine>::Cpu| {
            let began = cpu.now();
            cpu.work(100_000);
            cpu.now() - began
        };
        M::run(&config, |_| (), work, |_, _| ()).unwrap().workers[0]
    };
    let [alone, two, four] = [1, 2, 4].map(took);
    assert_eq!(alone, 100_000);
    assert!(alone < two && two < four, "{alone}, {two}, {four} ns");
}

#[test]
fn lines_are_named_and_counted() {
    let (_, account) = count::<Ticket>(&Config::untimed(model("x86-2"), 8), 50);
    let first = &account.fields[0];
    assert_eq!((first.region, first.field), ("counter", "lock"));
    assert_eq!(account.hottest[0].name, "counter->lock");
    // Eight CPUs on four cores take turns: nearly every section moves the line.
    assert!(first.traffic.misses() > 4 * 50, "{:?}", first.traffic);
    assert_eq!(account.callers[0].0, "excludes");
    assert!(account.events > 8 * 50);
}

struct Line<M: Machine>(M::Atomic<u64>);
impl<M: Machine> Fields for Line<M> {}

type M = Simulated<Tas>;

#[test]
fn a_private_line_is_fetched_once_and_a_shared_one_again_and_again() {
    let transfers = |apart: usize| {
        M::run(
            &Config::untimed(model("epyc-96"), 4),
            |_| Region::<M, _>::new("slots", 64, |_| Line::<M>(Atomic::new(0))),
            move |slots: &Region<M, Line<M>>, cpu| {
                for _ in 0..100 {
                    slots[cpu.id() * apart].0.fetch_add(1);
                }
            },
            |_, _| (),
        )
        .unwrap();
        simulated::take_account().unwrap().fields[0].traffic.misses()
    };
    assert_eq!(transfers(8), 4, "a line each");
    assert!(transfers(1) > 50, "false sharing costs nothing");
}

/// Fifty loads of each of twenty lines: the ordinary instructions before a load cost time, but
/// not those of the next forty loads for as long as the core waits for the line.
#[test]
fn ordinary_instructions_hide_behind_a_transfer() {
    let takes = |ordinary: f64, memory: f64| {
        let mut model = model("epyc-96");
        model.cost.memory.ns = memory;
        model.cost.ordinary = Some(Time { ns: ordinary, source: "test".into() });
        let run = M::run(
            &Config::untimed(model, 1),
            |_| Region::<M, _>::new("slots", 160, |_| Line::<M>(Atomic::new(0))),
            |slots: &Region<M, Line<M>>, cpu| {
                (0..1000).for_each(|n| _ = slots[n / 50 * 8].0.load());
                cpu.now()
            },
            |_, _| (),
        );
        run.unwrap().workers[0]
    };
    let longer = |memory| takes(2.0, memory) - takes(0.0, memory);
    assert_eq!(longer(0.0), 2000, "nothing to hide behind");
    assert!((700..=900).contains(&longer(70.0)), "30 of 50 while it waits: {}", longer(70.0));
    assert!((400..=402).contains(&longer(1e4)), "40 of 50, it looks no further: {}", longer(1e4));
}

/// Waiters in four L3 groups for one written line: its home sends it to one group after the other.
#[test]
fn reads_from_other_groups_arrive_one_after_the_other() {
    let spread = |pins: Vec<usize>| {
        let run = M::run(
            &Config { pins, ..Config::untimed(model("epyc-96"), 1) },
            |_| Region::<M, _>::new("flag", 1, |_| Line::<M>(Atomic::new(0u64))),
            |flag: &Region<M, Line<M>>, cpu| {
                if cpu.id() == 0 {
                    cpu.work(3000);
                    flag[0].0.store(1);
                } else {
                    flag[0].0.spin_until(|value| value == 1);
                }
                cpu.now()
            },
            |_, _| (),
        );
        let woke = &run.unwrap().workers[1..];
        woke.iter().max().unwrap() - woke.iter().min().unwrap()
    };
    let (near, far) = (spread(vec![0, 1, 2, 3, 4]), spread(vec![0, 8, 16, 24, 32]));
    assert!(near < 100, "a group's waiters: {near} ns from the first to the last");
    assert!((100..=250).contains(&far), "four groups' waiters: {far} ns");
}

#[test]
fn references_drain_and_grace_periods_wait() {
    let run = M::run(
        &Config::untimed(model("xeon-2s"), 6),
        |cpu| {
            let users = PercpuRef::<M>::new(cpu.system().cpus());
            users.resurrect();
            (users, Region::<M, _>::new("inside", 1, |_| Line::<M>(Atomic::new(0))))
        },
        |(users, inside), cpu| {
            let inside = &inside[0].0;
            if cpu.id() == 0 {
                cpu.work(20_000);
                users.drain(cpu);
                assert_eq!(inside.load(), 0, "a holder after the drain");
                assert!(!users.tryget_live(cpu));
                return 0;
            }
            let mut taken = 0u64;
            while users.tryget_live(cpu) {
                inside.fetch_add(1);
                cpu.work(50);
                inside.fetch_sub(1);
                users.put(cpu);
                taken += 1;
            }
            taken
        },
        |(users, _), _| assert_eq!(users.peek(), 0),
    );
    assert!(run.unwrap().workers[1..].iter().all(|&taken| taken > 0));
}

#[test]
fn phases_follow_virtual_time() {
    let config =
        Config { warm_ns: 1_000, measure_ns: 5_000, ..Config::untimed(model("epyc-96"), 3) };
    let run = M::run(
        &config,
        |_| (),
        |_, cpu| {
            let (mut seen, mut closed) = ([0u32; 3], false);
            loop {
                match cpu.phase() {
                    Phase::Warm => seen[0] += 1,
                    Phase::Measure => seen[1] += 1,
                    Phase::Overrun => seen[2] += 1,
                    Phase::Stop => return seen,
                }
                if cpu.phase() == Phase::Overrun && !closed {
                    closed = true;
                    cpu.window_closed();
                }
                cpu.work(100);
            }
        },
        |_, _| (),
    );
    for seen in run.unwrap().workers {
        assert!((5..15).contains(&seen[0]) && (40..60).contains(&seen[1]), "{seen:?}");
    }
}

fn failing(
    body: impl Fn(&Region<M, Line<M>>, &<M as Machine>::Cpu) + Send + Sync + 'static,
) -> String {
    let run = M::run(
        &Config::untimed(model("x86-2"), 3),
        |_| Region::<M, _>::new("word", 1, |_| Line::<M>(Atomic::new(0))),
        body,
        |_, _| (),
    );
    match run {
        Err(Failure::Panicked(message)) => message,
        other => panic!("should have failed: {other:?}"),
    }
}

#[test]
fn a_failing_worker_fails_the_run_and_the_next_run_works() {
    let message = failing(|word, cpu| {
        assert!(cpu.id() != 1, "worker {} is broken", cpu.id());
        word[0].0.spin_until(|v| v == 1);
    });
    assert_eq!(message, "worker 1 is broken");
    count::<Mcs>(&Config::untimed(model("x86-2"), 3), 5);
}

#[test]
fn a_deadlock_says_who_waits_for_what() {
    let message = failing(|word, cpu| {
        if cpu.id() != 2 {
            word[0].0.spin_until(|v| v == 1);
        }
    });
    assert_eq!(message, "deadlock: CPU 0 waits for word, CPU 1 waits for word");
}

#[test]
fn a_cell_outside_every_region_is_refused() {
    let message = failing(|_, _| {
        let loose: <M as Machine>::Atomic<u64> = Atomic::new(0);
        loose.fetch_add(1);
    });
    assert!(message.starts_with("a shared cell outside every Region"), "{message}");
}

#[test]
fn preempted_holders_hurt() {
    let sections = |preemption| {
        let config = Config { preemption, ..Config::untimed(model("vm-32"), 8) };
        *count::<Ticket>(&config, 200).0.iter().max().unwrap()
    };
    let calm = sections(None);
    let busy = sections(Some(Preemption { every_ns: 20_000, for_ns: 20_000 }));
    assert!(busy > 2 * calm, "{calm} ns, preempted {busy} ns");
}

/// The accounts of lock sites take no virtual time.
#[test]
fn a_run_without_accounts_is_the_same_run() {
    let ends = |sites| {
        let mut config = Config::untimed(model("epyc-96"), 8);
        config.sites = sites;
        let run = M::run(
            &config,
            |_| {
                Region::<M, _>::new("lock", 1, |_| Counter::<M> {
                    lock: SpinLock::new(),
                    value: Plain::new(0),
                })
            },
            |counter, cpu| {
                (0..50)
                    .for_each(|_| counter[0].lock.unlock(cpu, counter[0].lock.lock(cpu, &COUNT)));
                (cpu.now(), cpu.local().sites().iter().map(|site| site.acquired).sum::<u64>())
            },
            |_, _| (),
        );
        run.unwrap().workers.into_iter().unzip::<u64, u64, Vec<_>, Vec<_>>()
    };
    let (with, without) = (ends(true), ends(false));
    assert_eq!(with.0, without.0);
    assert_eq!((with.1, without.1), (vec![50; 8], vec![0; 8]));
}

#[test]
fn a_bulk_scan_costs_its_lines() {
    let run = M::run(
        &Config::untimed(model("vm-32"), 1),
        |_| {
            Region::<M, <M as Machine>::Atomic<u8>>::named("map", 640, vec![], |i| {
                Atomic::new(u8::from(i == 500))
            })
        },
        |map, _| {
            M::fill(map, 8, 20, 3);
            (
                M::scan(map, 0, 640, |b| b == 1),
                M::scan(map, 0, 640, |b| b == 3),
                M::scan(map, 600, 640, |b| b == 1),
            )
        },
        |_, _| (),
    );
    assert_eq!(run.unwrap().workers, [(500, 8, 640)]);
    assert_eq!(simulated::take_account().unwrap().fields[0].traffic.misses(), 9);
}

#[test]
fn every_model_loads_and_says_what_is_wrong() {
    for name in Model::names() {
        let model = model(name);
        assert_eq!(model.topology().cpus().len(), model.cpus(), "{name}");
    }
    assert_eq!(model("big-384").cpus(), 384);
    // lockhammer's x86-1: CPUs 0, 32, 8 and 40 share an L3 group; 4 shares the die with them, 1
    // does not.
    let topology = model("x86-1").topology();
    let far = |cpu| topology.distance(0, cpu).unwrap() as u8;
    assert_eq!([32, 8, 40, 4, 1].map(far), [1, 2, 2, 3, 4]);
    let text = toml::to_string(&model("x86-2")).unwrap();
    let message = |text: &str| Model::parse("m", "m.toml", text).unwrap_err().to_string();
    assert!(
        message(&text.replace("smt = 2", "smt = 9")).contains("m.toml: topology.smt: expected")
    );
    assert!(message(&text.replace("smt = 2", "smd = 2")).contains("smd"));
    let unknown = Model::load("x86-3").unwrap_err().to_string();
    assert!(unknown.contains("x86-3") && unknown.contains("big-384"), "{unknown}");
}

/// A worker whose operation is far longer than the window ends it alone: the others do not go on
/// until then.
#[test]
fn the_budget_holds_for_an_operation_without_end() {
    const BUDGET: u64 = 20_000;
    const LONG: u64 = 40_000;
    let precision = simulated::Precision {
        width: 0.1,
        half_width: |rates| (rates.len() > 3).then_some(0.0),
        warm: 10,
        least: 10,
        rounds: false,
        most_events: BUDGET,
    };
    let mut config = Config::untimed(model("vm-32"), 8);
    config.precision = Some(precision);
    let run = M::run(
        &config,
        |_| Region::<M, <M as Machine>::Atomic<u64>>::named("hits", 1, vec![], |_| Atomic::new(0)),
        |hits, cpu| {
            let mut done = 0;
            while matches!(cpu.phase(), Phase::Warm | Phase::Measure) {
                let long = cpu.id() == 0 && done == 0;
                (0..if long { LONG } else { 1 }).for_each(|_| _ = hits[0].fetch_add(1));
                done += 1;
                cpu.reports(done);
            }
            cpu.window_closed();
            while cpu.phase() != Phase::Stop {
                hits[0].fetch_add(1);
            }
        },
        |_, _| (),
    );
    run.unwrap();
    // The line is the long operation's after each of its steps, a grant and an access each.
    let events = simulated::take_account().unwrap().events;
    assert!(events > LONG && events < 2 * LONG + 2 * BUDGET, "{events}");
}

/// Line states of a large device must take no memory before its lines are touched.
#[test]
fn untouched_lines_cost_nothing() {
    let config = Arc::new(Config::untimed(model("vm-32"), 1));
    let slots = 1 << 26;
    let run = M::run(
        &config,
        move |_| {
            Region::<M, <M as Machine>::Atomic<u8>>::named("map", slots, vec![], |_| Atomic::new(0))
        },
        move |map, _| map[slots - 1].load(),
        |_, _| (),
    );
    assert_eq!(run.unwrap().workers, [0]);
}
