//! Measures the machine at hand and writes a model of it. Every figure carries how it
//! was measured; what this machine has no instance of keeps the base model's figure,
//! and says so.

mod ordinary;

pub use ordinary::FITTED;

use std::time::{Duration, Instant};

use machine::lock::Tas;
use machine::native::Config;
use machine::simulated::{Costs, Model, Numbering, Shape, Siblings, Time};
use machine::topology::{Distance, Topology};
use machine::{Atomic, Cpu, Failure, Fields, Machine, Native, Region};

type M = Native<Tas, false>;

struct Ball(<M as Machine>::Atomic<u64>);
impl Fields for Ball {}

/// Repetitions of each measurement; the least disturbed one counts.
const TRIES: usize = 9;
const ROUNDS: u64 = 20_000;
const LOADS: u32 = 16;
/// Transfers per try and pair: every pair is measured.
const VOLLEYS: u64 = 2_000;

/// The longest time that a core keeps a line it has fetched, in locked instructions: 0.7 to 0.9 in
/// the models of the suite.
const STAY: f64 = 0.8;

/// A model of this machine: `base` with what could be measured. Takes some 20 seconds.
///
/// # Errors
///
/// A line that says why this machine cannot be described as a model, or what could not be measured.
pub fn calibrate(topology: &Topology, base: Model) -> Result<Model, String> {
    let shape = shape(topology)?;
    let mut model = Model { title: "this machine, calibrated".into(), topology: shape, ..base };
    let same = |a, b| model.topology().distance(a, b) == topology.distance(a, b);
    let ids: Vec<usize> = topology.cpus().iter().map(|c| c.id).collect();
    if !ids.iter().all(|&a| ids.iter().all(|&b| same(a, b))) {
        return Err("this machine's CPUs are not numbered as a model can say".into());
    }
    let failed = |e: Failure| e.to_string();
    alone(ids[0], &mut model.cost).map_err(failed)?;
    if let Some(&second) = ids.get(1) {
        let ns = grace(ids[0], second).map_err(failed)? / 2.0;
        model.cost.ipi = measured(ns, "membarrier(2), one other CPU spinning, the median");
    }
    transfers(topology, &mut model.cost).map_err(failed)?;
    ordinary::fit(topology, &mut model)?;
    Ok(model)
}

/// What one CPU pays on a line that it has already.
fn alone(cpu: usize, cost: &mut Costs) -> Result<(), Failure> {
    let loads = solo(cpu, |ball, _| (0..LOADS).for_each(|_| _ = Atomic::load(&ball.0)))?;
    cost.hit = measured(
        loads / f64::from(LOADS),
        "independent loads, sixteen a call, since a call takes longer than a load",
    );
    let locked = solo(cpu, |ball, _| _ = Atomic::fetch_add(&ball.0, 1))?;
    cost.locked = measured(locked, "a loop of fetch_add");
    // No more than one instruction follows the one that fetched the line.
    let stay = STAY * cost.locked.ns;
    if stay < cost.stay.ns {
        let source = format!("{STAY} of a locked instruction; base model: {}", cost.stay.source);
        cost.stay = Time { ns: (stay * 100.0).round() / 100.0, source };
    }
    cost.pause = measured(solo(cpu, |_, cpu| cpu.relax())?, "a loop of PAUSE");
    Ok(())
}

/// What a line's way from one CPU to another takes, by distance.
fn transfers(topology: &Topology, cost: &mut Costs) -> Result<(), Failure> {
    for (distance, time) in [
        (Distance::Smt, &mut cost.smt),
        (Distance::L3, &mut cost.l3),
        (Distance::Package, &mut cost.package),
        (Distance::Remote, &mut cost.remote),
    ] {
        *time = match transfer(topology, distance)? {
            Some(Pairs { median, least, most, pairs, rounds, from, to }) => measured(
                median,
                &format!(
                    "compare-exchange ping-pong, one way, median of all {pairs} pairs, \
                     {least:.0} to {most:.0}, in the middle one of {rounds} rounds, whose medians \
                     are {from:.0} to {to:.0}"
                ),
            ),
            None => Time {
                source: format!("no such pair on this machine; base model: {}", time.source),
                ..time.clone()
            },
        };
    }
    Ok(())
}

fn measured(ns: f64, how: &str) -> Time {
    let ns = (ns * 100.0).round() / 100.0;
    Time { ns, source: format!("measured here: {how}; {TRIES} tries, the least if not said") }
}

/// The machine as rows of equal groups.
fn shape(topology: &Topology) -> Result<Shape, String> {
    let cpus = topology.cpus();
    let (packages, groups) = (topology.packages(), topology.l3_groups());
    let (cores, threads) = (topology.cores(), cpus.len());
    if groups % packages + cores % groups + threads % cores != 0 {
        return Err("a model needs packages, L3 groups and cores of equal size".into());
    }
    let place = |n: usize| cpus.get(n).map(|c| (c.package, c.l3, c.core));
    let beside = place(0).map(|p| p.2) == place(1).map(|p| p.2);
    let next = if beside { threads / cores } else { 1 };
    let apart = place(0).map(|p| p.1) != place(next).map(|p| p.1);
    let dealt = groups > 1 && cores > groups && apart;
    Ok(Shape {
        packages,
        l3_groups: groups / packages,
        cores: cores / groups,
        smt: threads / cores,
        numbering: if dealt { Numbering::Interleaved } else { Numbering::Blocks },
        siblings: if beside { Siblings::Adjacent } else { Siblings::Split },
        source: "sysfs of this machine".into(),
    })
}

fn ball(_: &<M as Machine>::Cpu) -> Region<M, Ball> {
    Region::new("ball", 1, |_| Ball(Atomic::new(0)))
}

fn least(times: impl Iterator<Item = f64>) -> f64 {
    times.fold(f64::INFINITY, f64::min)
}

/// Nanoseconds of one `body` on one CPU.
fn solo(cpu: usize, body: fn(&Ball, &<M as Machine>::Cpu)) -> Result<f64, Failure> {
    let config = Config { pins: vec![Some(cpu)], ..Config::untimed(1) };
    let worker = move |ball: &Region<M, Ball>, cpu: &<M as Machine>::Cpu| {
        let once = |_| {
            let began = cpu.now();
            (0..ROUNDS).for_each(|_| body(&ball[0], cpu));
            (cpu.now() - began) as f64 / ROUNDS as f64
        };
        least((0..TRIES).map(once))
    };
    Ok(M::run(&config, ball, worker, |_, _| ())?.workers[0])
}

/// Nanoseconds of a grace period, two heavy fences, while another CPU is busy.
fn grace(first: usize, second: usize) -> Result<f64, Failure> {
    let config = Config { pins: vec![Some(first), Some(second)], ..Config::untimed(2) };
    let worker = |ball: &Region<M, Ball>, cpu: &<M as Machine>::Cpu| {
        if cpu.id() == 1 {
            ball[0].0.spin_until(|over| over == 1);
            return 0.0;
        }
        let once = |_| {
            let began = cpu.now();
            (0..100).for_each(|_| cpu.system().rcu.synchronize(cpu));
            (cpu.now() - began) as f64 / 100.0
        };
        // Not the least: while the other CPU is not running, nothing is interrupted.
        let mut times: Vec<f64> = (0..TRIES).map(once).collect();
        times.sort_by(f64::total_cmp);
        Atomic::store(&ball[0].0, 1);
        times[TRIES / 2]
    };
    Ok(M::run(&config, ball, worker, |_, _| ())?.workers[0])
}

/// A transfer one way between the CPU pairs of one distance, nanoseconds, in the round of the
/// middle.
struct Pairs {
    median: f64,
    least: f64,
    most: f64,
    pairs: usize,
    rounds: usize,
    /// the medians of the quickest and the slowest round
    from: f64,
    to: f64,
}

/// How long rounds are repeated: a hypervisor moves virtual CPUs, now to one core, now so far apart
/// that a transfer takes ten times as long.
const ROUNDS_TAKE: Duration = Duration::from_secs(3);
const BETWEEN_ROUNDS: Duration = Duration::from_millis(100);

/// Over all pairs at `distance`; None if there is no such pair.
fn transfer(topology: &Topology, distance: Distance) -> Result<Option<Pairs>, Failure> {
    let ids: Vec<usize> = topology.cpus().iter().map(|c| c.id).collect();
    let pairs =
        ids.iter().enumerate().flat_map(|(n, &a)| ids[n + 1..].iter().map(move |&b| (a, b)));
    let pairs: Vec<(usize, usize)> =
        pairs.filter(|&(a, b)| topology.distance(a, b) == Some(distance)).collect();
    if pairs.is_empty() {
        return Ok(None);
    }
    let round = || -> Result<Vec<f64>, Failure> {
        let mut times =
            pairs.iter().map(|&(a, b)| ping_pong(a, b)).collect::<Result<Vec<_>, _>>()?;
        times.sort_by(f64::total_cmp);
        Ok(times)
    };
    let began = Instant::now();
    let mut rounds = vec![round()?];
    while began.elapsed() < ROUNDS_TAKE {
        std::thread::sleep(BETWEEN_ROUNDS);
        rounds.push(round()?);
    }
    let median = |times: &Vec<f64>| times[times.len() / 2];
    rounds.sort_by(|a, b| median(a).total_cmp(&median(b)));
    let (first, middle, last) = (&rounds[0], &rounds[rounds.len() / 2], &rounds[rounds.len() - 1]);
    Ok(Some(Pairs {
        median: median(middle),
        least: middle[0],
        most: middle[middle.len() - 1],
        pairs: pairs.len(),
        rounds: rounds.len(),
        from: median(first),
        to: median(last),
    }))
}

/// Nanoseconds one way: each CPU in turn adds one by compare-exchange.
fn ping_pong(a: usize, b: usize) -> Result<f64, Failure> {
    let config = Config { pins: vec![Some(a), Some(b)], ..Config::untimed(2) };
    let worker = |ball: &Region<M, Ball>, cpu: &<M as Machine>::Cpu| {
        let (word, me) = (&ball[0].0, cpu.id() as u64);
        let play = |from: u64| {
            let began = cpu.now();
            for n in (from + me..from + VOLLEYS).step_by(2) {
                let mut misses = 0u32;
                while word.cmpxchg(n, n + 1).is_err() {
                    misses += 1;
                    if misses > 1 << 16 {
                        // The other worker may be waiting for this very CPU.
                        std::thread::yield_now();
                    }
                }
            }
            (cpu.now() - began) as f64 / VOLLEYS as f64
        };
        least((0..TRIES as u64).map(|n| play(n * VOLLEYS)))
    };
    Ok(M::run(&config, ball, worker, |_, _| ())?.workers[0])
}
