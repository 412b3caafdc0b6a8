//! The lock sites of a cell, from those of each CPU: sums over the threads, the distances of lock
//! hand-overs, which worker waited for which, and how fairly a lock went round. Guards that each
//! wait is counted once, with its holder where the holder was seen.

use std::collections::BTreeMap;

use machine::SiteStats;
use machine::lock::Intervals;
use machine::topology::{Distance, Topology};
use results::schema::{Again, Distance as Far, IRQS_OFF, Sharing, Site, UNSEEN};

/// Rows of the matrix of waits, at most: it must not outgrow the rest of a cell.
const ROWS: usize = 16;
/// Acquisitions in a row whose different threads are the lock working set (Dice, "Malthusian
/// Locks", EuroSys 2017).
const WORKING_SET: f64 = 1000.0;

/// Where the workers of a cell ran.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    pub topology: &'a Topology,
    /// The CPU of each worker.
    pub cpus: &'a [usize],
}

impl Places<'_> {
    /// In the words that cache-line transfers have too.
    fn distance(&self, waiter: usize, holder: usize) -> &'static str {
        let cpus = self.cpus.get(waiter).zip(self.cpus.get(holder));
        let distance = cpus.and_then(|(a, b)| self.topology.distance(*a, *b));
        distance.map_or(UNSEEN, |distance| {
            let far = match distance {
                Distance::Same => Far::SameCpu,
                Distance::Smt => Far::Sibling,
                Distance::L3 => Far::SameL3,
                Distance::Package => Far::SamePackage,
                Distance::Remote => Far::OtherPackage,
            };
            far.name()
        })
    }
}

/// The sites of all workers; `duration_ns` is the measured interval.
pub fn sites(workers: &[&[SiteStats]], places: Places, duration_ns: u64) -> Vec<Site> {
    let mut by_name: BTreeMap<(&str, &str), Vec<(usize, &SiteStats)>> = BTreeMap::new();
    for (worker, sites) in workers.iter().enumerate() {
        for site in *sites {
            by_name.entry((site.lock, site.caller)).or_default().push((worker, site));
        }
    }
    let site = |((lock, caller), seen): ((&str, &str), Vec<(usize, &SiteStats)>)| {
        let sum = |of: fn(&SiteStats) -> u64| seen.iter().map(|(_, s)| of(s)).sum();
        let max = |of: fn(&SiteStats) -> u64| seen.iter().map(|(_, s)| of(s)).max().unwrap_or(0);
        Site {
            lock: lock.into(),
            kind: if seen[0].1.irqs_off { IRQS_OFF } else { "spinlock" }.into(),
            caller: caller.into(),
            acquisitions: Some(sum(|s| s.acquired)),
            contended: sum(|s| s.contended),
            wait_total_ns: sum(|s| s.wait_total),
            wait_max_ns: max(|s| s.wait_max),
            hold_sampled: sum(|s| s.hold_sampled),
            hold_total_ns: sum(|s| s.hold_total),
            hold_max_ns: max(|s| s.hold_max),
            sharing: Some(sharing(&seen, workers.len(), places, duration_ns)),
        }
    };
    by_name.into_iter().map(site).collect()
}

fn sharing(
    seen: &[(usize, &SiteStats)],
    workers: usize,
    places: Places,
    duration_ns: u64,
) -> Sharing {
    let mut per_thread = vec![0; workers];
    let mut handover: BTreeMap<String, u64> = BTreeMap::new();
    let mut again = Intervals::default();
    for (worker, site) in seen {
        // Several sites in the source may share lock and caller.
        per_thread[*worker] += site.acquired;
        again.merge(&site.again);
        let mut unseen = site.looked;
        for (holder, (waits, _)) in site.waited_for.iter().enumerate().filter(|(_, w)| w.0 > 0) {
            unseen -= waits;
            *handover.entry(places.distance(*worker, holder).into()).or_default() += waits;
        }
        if unseen > 0 {
            *handover.entry(UNSEEN.into()).or_default() += unseen;
        }
    }
    Sharing {
        per_thread,
        looked: seen.iter().map(|(_, s)| s.looked).sum(),
        queue_total: seen.iter().map(|(_, s)| s.queue_total).sum(),
        queue_max: seen.iter().map(|(_, s)| s.queue_max).max().unwrap_or(0),
        handover,
        waited_for: waited_for(seen, workers),
        again: (again.count() > 0).then(|| Again {
            n: again.count(),
            p50: again.quantile(0.5),
            p99: again.quantile(0.99),
            max: again.max,
        }),
        lwss: working_set(seen, duration_ns),
    }
}

/// Waits by row and column; neighbours share a row where the threads are many.
fn waited_for(seen: &[(usize, &SiteStats)], workers: usize) -> Vec<Vec<u64>> {
    if seen.iter().all(|(_, site)| site.waited_for.iter().all(|w| w.0 == 0)) {
        return Vec::new();
    }
    let together = workers.div_ceil(ROWS);
    let rows = workers.div_ceil(together);
    let mut matrix = vec![vec![0; rows]; rows];
    for (worker, site) in seen {
        for (holder, (_, ns)) in site.waited_for.iter().enumerate().take(workers) {
            matrix[worker / together][holder / together] += ns;
        }
    }
    matrix
}

/// The mean number of different threads in 1000 acquisitions in a row. A thread is missing from
/// a stretch of time as long as those take if the stretch falls between two of its acquisitions:
/// a gap has room for gap - stretch of them. Its gaps are known from those timed; what they leave
/// of the interval is the gap in which it began or ended.
fn working_set(seen: &[(usize, &SiteStats)], duration_ns: u64) -> Option<f64> {
    let all: u64 = seen.iter().map(|(_, s)| s.acquired).sum();
    let timed = seen.iter().any(|(_, s)| s.again.count() > 0);
    let stretch = WORKING_SET * duration_ns as f64 / all as f64;
    let present = |site: &SiteStats| match site.again.count() {
        // Too rare to have been timed twice: at even intervals.
        0 => (site.acquired as f64 * WORKING_SET / all as f64).min(1.0),
        timed => {
            let every = site.acquired as f64 / timed as f64;
            let rest = duration_ns as f64 - every * site.again.total() as f64 - stretch;
            let missing = every * site.again.beyond(stretch as u64) as f64 + rest.max(0.0);
            (1.0 - missing / duration_ns as f64).max(0.0)
        }
    };
    timed.then(|| seen.iter().map(|(_, site)| present(site)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::lock::Tas;
    use machine::topology::Pin;
    use machine::{Cpu, Fields, Machine, Native, Region, Simulated, Site as LockSite, SpinLock};

    static SITE: LockSite = LockSite::new("test->lock", "hold");

    struct Lock<M: Machine>(SpinLock<M>);
    impl<M: Machine> Fields for Lock<M> {}

    /// Each worker takes the lock `times` times, holds it for `hold` and thinks for `think` ns.
    fn simulated(cpus: &[usize], times: [u64; 2], hold: u64, think: u64) -> Vec<Site> {
        type M = Simulated<Tas>;
        let model = machine::simulated::Model::load("epyc-96").unwrap();
        let topology = model.topology();
        let mut config = machine::simulated::Config::untimed(model, cpus.len());
        config.pins = Pin::List(cpus.to_vec()).order(&topology).unwrap();
        let run = M::run(
            &config,
            |cpu| {
                let lock = Region::<M, _>::new("lock", 1, |_| Lock::<M>(SpinLock::new()));
                // The set-up takes the lock too: its CPU must not seem to hold it ever after.
                lock[0].0.unlock(cpu, lock[0].0.lock(cpu, &SITE));
                lock
            },
            move |lock, cpu| {
                let start = cpu.now();
                for _ in 0..times[cpu.id() % 2] {
                    let guard = lock[0].0.lock(cpu, &SITE);
                    cpu.work(hold);
                    lock[0].0.unlock(cpu, guard);
                    cpu.work(think);
                }
                (cpu.local().sites(), cpu.now() - start)
            },
            |_, _| {},
        );
        let workers = run.unwrap().workers;
        let stats: Vec<&[SiteStats]> = workers.iter().map(|w| &w.0[..]).collect();
        let longest = workers.iter().map(|w| w.1).max().unwrap();
        sites(&stats, Places { topology: &topology, cpus }, longest)
    }

    #[test]
    fn every_wait_of_a_model_is_seen_and_the_holder_named() {
        let all = simulated(&[0, 1, 2, 3], [200, 200], 1_000, 100);
        let sharing = all[0].sharing.as_ref().unwrap();
        assert_eq!((all.len(), all[0].acquisitions), (1, Some(800)));
        assert_eq!((sharing.looked, all[0].hold_sampled), (all[0].contended, 800));
        assert!(all[0].contended > 400, "a lock held nearly always is contended");
        assert_eq!(sharing.handover.values().sum::<u64>(), sharing.looked);
        assert!(sharing.queue_max <= 2, "a waiter, the holder, and two more");
        assert!(sharing.queue_total > sharing.looked, "the others wait most of the time");
        let matrix: u64 = sharing.waited_for.iter().flatten().sum();
        assert!(matrix <= all[0].wait_total_ns && matrix > all[0].wait_total_ns / 2);
        assert!((0..4).all(|n| sharing.waited_for[n][n] == 0), "no worker waits for itself");
        assert!(all[0].hold_total_ns / all[0].hold_sampled >= 800, "1 us, less its jitter");
    }

    #[test]
    fn distances_are_the_topologys() {
        let words = |cpus: &[usize]| {
            let all = simulated(cpus, [100, 100], 500, 50);
            let handover = all[0].sharing.clone().unwrap().handover;
            handover.into_iter().filter(|(word, _)| word != "unseen").map(|(word, _)| word)
        };
        let model = machine::simulated::Model::load("epyc-96").unwrap().topology();
        let far = |want| {
            let found = model.cpus().iter().find(|c| model.distance(0, c.id) == Some(want));
            found.map(|c| c.id)
        };
        for (distance, word) in [(Distance::L3, "same-l3"), (Distance::Package, "same-package")] {
            let other = far(distance).expect("the model has such a pair");
            assert_eq!(words(&[0, other]).collect::<Vec<_>>(), [word]);
        }
    }

    #[test]
    fn the_working_set_counts_who_comes_round() {
        let of = |times, think| simulated(&[0, 1], times, 100, think)[0].sharing.clone().unwrap();
        let both = of([3_000, 3_000], 100);
        assert!(both.lwss.unwrap() > 1.9, "{both:?}");
        assert_eq!(both.per_thread, [3_000, 3_000]);
        // The second is done after 30 of its acquisitions: those are in few stretches of 1000.
        let one = of([60_000, 30], 100);
        assert!((1.0..1.1).contains(&one.lwss.unwrap()), "{one:?}");
        assert_eq!(working_set(&[(0, &SiteStats::default())], 1), None, "nothing was timed");
    }

    /// Two places in one function take one lock: they are one row, and each acquisition counts.
    #[test]
    fn places_of_one_name_add_up() {
        static AGAIN: LockSite = LockSite::new("test->lock", "hold");
        type M = Native<Tas, true>;
        let run = M::run(
            &machine::native::Config::untimed(2),
            |_| SpinLock::<M>::new(),
            |lock, cpu| {
                for site in [&SITE, &AGAIN, &AGAIN] {
                    let guard = lock.lock(cpu, site);
                    lock.unlock(cpu, guard);
                }
                cpu.local().sites()
            },
            |_, _| {},
        );
        let workers = run.unwrap().workers;
        let stats: Vec<&[SiteStats]> = workers.iter().map(Vec::as_slice).collect();
        assert!(stats.iter().all(|sites| sites.len() == 2), "two places: {stats:?}");
        let topology = Topology::made_of(Vec::new());
        let all = sites(&stats, Places { topology: &topology, cpus: &[] }, 1_000_000);
        assert_eq!((all.len(), all[0].acquisitions), (1, Some(6)));
        assert_eq!(all[0].sharing.as_ref().unwrap().per_thread, [3, 3]);
    }

    #[test]
    fn many_threads_share_rows() {
        let mut waits = SiteStats::default();
        waits.looked = 1;
        waits.waited_for = vec![(0, 0); 49];
        waits.waited_for[47] = (1, 700);
        let matrix = waited_for(&[(0, &waits)], 48);
        assert_eq!((matrix.len(), matrix[0].len()), (16, 16));
        assert_eq!(matrix[0][15], 700);
        assert!(waited_for(&[(0, &SiteStats::default())], 48).is_empty());
    }

    /// Natively one acquisition in 128 is timed; a single worker never waits.
    #[test]
    fn a_native_lock_without_rivals() {
        type M = Native<Tas, true>;
        let run = M::run(
            &machine::native::Config::untimed(1),
            |_| SpinLock::<M>::new(),
            |lock, cpu| {
                for _ in 0..12_800 {
                    let guard = lock.lock(cpu, &SITE);
                    lock.unlock(cpu, guard);
                }
                cpu.local().sites()
            },
            |_, _| {},
        );
        let workers = run.unwrap().workers;
        let topology = Topology::made_of(Vec::new());
        let all = sites(&[&workers[0]], Places { topology: &topology, cpus: &[] }, 1_000_000);
        let sharing = all[0].sharing.as_ref().unwrap();
        let sampled = all[0].hold_sampled;
        assert!((98..=102).contains(&sampled), "{sampled} of 12800");
        assert_eq!(sharing.again.as_ref().unwrap().n, sampled);
        assert_eq!((all[0].contended, sharing.looked), (0, 0));
        assert!(sharing.waited_for.is_empty() && sharing.handover.is_empty());
    }
}
