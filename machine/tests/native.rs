//! The native machine under real threads: references drain, a failing worker fails the run, and
//! the lock-order check names both places. That locks exclude is in `locks.rs`.

use machine::lock::Tas;
use machine::native::Config;
use machine::{Cpu, Failure, Fields, Machine, Native, PercpuRef, Region, Site, SpinLock};

const WORKERS: usize = 3;

#[test]
fn a_drained_reference_has_no_holder() {
    struct World<M: Machine> {
        users: PercpuRef<M>,
        inside: Region<M, Flag<M>>,
    }
    struct Flag<M: Machine>(M::Atomic<u64>);
    impl<M: Machine> Fields for Flag<M> {}

    type M = Native<Tas, false>;
    let run = M::run(
        &Config::untimed(WORKERS),
        |cpu| {
            let users = PercpuRef::new(cpu.system().cpus());
            users.resurrect();
            let inside = Region::<M, _>::new("inside", 1, |_| Flag(machine::Atomic::new(0)));
            World { users, inside }
        },
        |world, cpu| {
            let inside = &world.inside[0].0;
            if cpu.id() == 0 {
                cpu.work(100_000);
                world.users.drain(cpu);
                assert_eq!(machine::Atomic::load(inside), 0, "a holder after the drain");
                assert!(!world.users.tryget_live(cpu));
                return;
            }
            while world.users.tryget_live(cpu) {
                inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                world.users.put(cpu);
            }
        },
        |world, _| assert_eq!(world.users.peek(), 0),
    );
    run.unwrap();
}

fn failing(body: impl Fn(&<M as Machine>::Cpu) + Send + Sync + 'static) -> String {
    match M::run(&Config::untimed(2), |_| (), move |_, cpu| body(cpu), |_, _| ()) {
        Err(Failure::Panicked(message)) => message,
        other => panic!("should have failed: {other:?}"),
    }
}

type M = Native<Tas, false>;

#[test]
fn a_failing_worker_fails_the_run() {
    let message = failing(|cpu| assert!(cpu.id() != 1, "worker {} is broken", cpu.id()));
    assert_eq!(message, "worker 1 is broken");
}

#[test]
#[cfg(debug_assertions)]
fn a_reversed_lock_pair_is_reported_with_both_places() {
    static A: Site = Site::new("a->lock", "first_a");
    static B: Site = Site::new("b->lock", "then_b");
    static B_FIRST: Site = Site::new("b->lock", "first_b");
    static A_LATER: Site = Site::new("a->lock", "then_a");
    let message = failing(|cpu| {
        if cpu.id() != 0 {
            return;
        }
        let (a, b) = (SpinLock::<M>::new(), SpinLock::<M>::new());
        let (ga, gb) = (a.lock(cpu, &A), b.lock(cpu, &B));
        b.unlock(cpu, gb);
        a.unlock(cpu, ga);
        let (_gb, _ga) = (b.lock(cpu, &B_FIRST), a.lock(cpu, &A_LATER));
    });
    for place in ["first_a", "then_b", "first_b", "then_a"] {
        assert!(message.contains(place), "{place} missing in: {message}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn two_locks_of_a_class_and_a_sleep_under_a_lock_are_reported() {
    static C: Site = Site::new("c->lock", "takes_c");
    let message = failing(|cpu| {
        let (one, two) = (SpinLock::<M>::new(), SpinLock::<M>::new());
        let (_one, _two) = (one.lock(cpu, &C), two.lock(cpu, &C));
    });
    assert!(message.starts_with("two c->lock at once"), "{message}");
    let message = failing(|cpu| {
        let lock = SpinLock::<M>::new();
        let _guard = lock.lock(cpu, &C);
        cpu.sleep_jiffy();
    });
    assert!(message.contains("sleeps with c->lock of takes_c held"), "{message}");
}

/// The test below runs this program again, with this variable and little address space.
const STARVED: &str = "MACHINE_TEST_FEW_THREADS";

/// Where the system starts only some of the threads, those must not wait for the others.
#[test]
#[cfg_attr(miri, ignore)]
fn threads_that_cannot_be_started_end_the_run() {
    if std::env::var_os(STARVED).is_some() {
        let run = M::run(&Config::untimed(16), |_| (), |_, _| (), |_, _| ());
        let Err(Failure::Unsupported(why)) = run else { panic!("should have failed: {run:?}") };
        println!("{why}");
        return;
    }
    if std::env::var_os("SWAPSCALE_EMULATED").is_some() {
        return eprintln!("left out: an emulated program cannot start itself again");
    }
    let test = std::env::current_exe().unwrap();
    let name = "threads_that_cannot_be_started_end_the_run";
    let shell = format!("ulimit -v 4000000 && exec timeout 60 {test:?} --exact {name} --nocapture");
    let mut child = std::process::Command::new("sh");
    // A stack of 1 GiB: the first threads fit.
    child.args(["-c", &shell]).env(STARVED, "1").env("RUST_MIN_STACK", (1 << 30).to_string());
    let out = child.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{out:?}");
    assert!(text.contains(" of 16 cannot be started: "), "{text}");
}
