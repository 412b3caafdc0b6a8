//! What the swapoffs of one boot gave, as cells. Guards the rate: a swapoff that never came back
//! counts only if the kernel reported a lockup while it ran, and one that the lab itself broke off
//! does not count at all.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use results::kernel::{FOLIOS, HUNT, STUCK};
use results::schema::{Cell, CellKey, Kind, Latency, Noise, Reading, Step, Swapoff};
use variants::registry::scheme_of;

use super::hunt::{self, Begun, Ended};
use crate::live::errno_name;

/// The swapoffs of one boot.
#[derive(Default)]
pub struct Tally {
    began: Option<(Begun, u64)>,
    done: Vec<Done>,
}

struct Done {
    begun: Begun,
    ended: Ended,
    result: String,
    /// reports of the watchdog while it ran
    lockups: u64,
}

impl Tally {
    /// A swapoff begins.
    pub fn begin(&mut self, begun: Begun) {
        self.began = Some((begun, 0));
    }

    /// The guest's kernel has reported a lockup.
    pub fn lockup(&mut self) {
        if let Some((_, lockups)) = &mut self.began {
            *lockups += 1;
        }
    }

    /// The swapoff has ended.
    pub fn end(&mut self, ended: Ended) {
        let Some((begun, lockups)) = self.began.take() else { return };
        let result = errno_name(ended.errno);
        self.done.push(Done { begun, ended, result, lockups });
    }

    /// The guest has said nothing for `silence`. True where that is a lockup.
    pub fn silent(&mut self, silence: Duration) -> bool {
        let Some((begun, lockups @ 1..)) = self.began.take() else { return false };
        let ns = silence.as_nanos() as u64;
        let ended = Ended { ns, errno: 0, stuck_ns: vec![ns], calls: None };
        let result = format!("no end in {} s", silence.as_secs());
        self.done.push(Done { begun, ended, result, lockups });
        true
    }

    /// One cell of those with folios and one of those without, where there are any.
    pub fn cells(&self, args: &hunt::Args, release: &str, boot: u32) -> Vec<Cell> {
        let of = |folios: bool| -> Vec<&Done> {
            self.done.iter().filter(|done| done.begun.folios == folios).collect()
        };
        let both = [true, false].into_iter().enumerate();
        let cells = both.filter_map(|(order, folios)| {
            let done = of(folios);
            (!done.is_empty()).then(|| Cell {
                order_in_run: u64::from(boot) * 2 + order as u64,
                ..cell(args, release, boot, folios, &done)
            })
        });
        cells.collect()
    }
}

fn cell(args: &hunt::Args, release: &str, boot: u32, folios: bool, done: &[&Done]) -> Cell {
    let duration_ns = done.iter().map(|done| done.ended.ns).sum::<u64>().max(1);
    let workers = args.cpus - 1;
    let unknown = || Reading::unknown("not looked for in a hunt");
    Cell {
        key: CellKey {
            machine: release.into(),
            variant: scheme_of(release).into(),
            lock: "kernel".into(),
            workload: HUNT.into(),
            params: BTreeMap::from([(FOLIOS.into(), if folios { "64K" } else { "none" }.into())]),
            threads: workers,
            pin: "compact".into(),
            block: boot,
        },
        seed: args.seed,
        duration_ns,
        asked_ns: None,
        order_in_run: 0,
        // Each of these calls gives its slot back: they are no pages out.
        per_thread: vec![0; workers as usize],
        ops_per_s: 0.0,
        jain: 1.0,
        overlap: 1.0,
        precision: None,
        kinds: kinds(done),
        sites: Vec::new(),
        counters: BTreeMap::new(),
        counters_per_thread: Vec::new(),
        noise: Noise {
            steal_ns: unknown(),
            involuntary_switches: unknown(),
            gaps: unknown(),
            gap_max_ns: unknown(),
            gap_total_ns: unknown(),
            frequency_drift: Reading::unknown("not looked for in a hunt"),
            throttled: unknown(),
        },
        swapoff: done.iter().map(|done| swapoff(done)).collect(),
        series: Vec::new(),
        lines: None,
        line_callers: None,
        hot_lines: None,
        verified: verified(folios, done),
        counts: counts(done),
        hlog: None,
    }
}

/// The times of the swapoffs, and those of the calls that were stuck.
fn kinds(done: &[&Done]) -> BTreeMap<String, Kind> {
    let kind = |times: &mut dyn Iterator<Item = u64>, failed: usize| {
        let mut histogram = Histogram::<u64>::new(3).expect("3 digits are allowed");
        times.for_each(|ns| histogram.record(ns).expect("the histogram grows by itself"));
        Kind {
            count: histogram.len(),
            failed: failed as u64,
            sampled_every: 1,
            latency: Latency::of(&histogram),
            response: None,
        }
    };
    let failed = done.iter().filter(|done| done.result != "ok").count();
    let stuck = &mut done.iter().flat_map(|done| done.ended.stuck_ns.iter().copied());
    BTreeMap::from([
        ("swapoff".into(), kind(&mut done.iter().map(|done| done.ended.ns), failed)),
        (STUCK.into(), kind(stuck, 0)),
    ])
}

fn counts(done: &[&Done]) -> BTreeMap<String, u64> {
    let calls: Option<u64> = done.iter().map(|done| done.ended.calls).sum();
    let hits = done.iter().filter(|done| !done.ended.stuck_ns.is_empty()).count();
    let lost = done.iter().filter(|done| done.result.starts_with("no end")).count();
    let mut counts = BTreeMap::from([
        ("stuck_swapoffs".into(), hits as u64),
        ("soft_lockups".into(), done.iter().map(|done| done.lockups).sum()),
        ("no_end".into(), lost as u64),
    ]);
    // Of a guest that is lost nobody knows how often it was called.
    counts.extend(calls.map(|calls| ("folio_alloc_swap".into(), calls)));
    counts
}

fn swapoff(done: &Done) -> Swapoff {
    Swapoff {
        at_ns: 0,
        used_slots: done.begun.used_slots,
        clusters: hunt::CLUSTERS,
        steps: vec![Step { name: "swapoff".into(), ns: done.ended.ns }],
        result: done.result.clone(),
    }
}

/// Whether the loop's precondition was there, by the kernel's own count.
fn verified(folios: bool, done: &[&Done]) -> String {
    let whole: Vec<u64> = done.iter().map(|done| done.begun.whole).collect();
    let (least, most) = (whole.iter().min().unwrap_or(&0), whole.iter().max().unwrap_or(&0));
    let wanted = if folios { hunt::FOLIOS } else { 0 };
    format!("{least} to {most} folios of 64 KiB went out in one piece, of {wanted} each time")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGS: hunt::Args = hunt::Args { swapoffs: 4, cpus: 2, seed: 1 };

    fn begun(folios: bool) -> Begun {
        Begun { folios, used_slots: 5000, whole: if folios { 48 } else { 0 } }
    }

    fn ended(errno: i32, stuck_ns: &[u64]) -> Ended {
        Ended { ns: 2_000_000_000, errno, stuck_ns: stuck_ns.to_vec(), calls: Some(70) }
    }

    #[test]
    fn a_boot_has_a_cell_with_folios_and_one_without() {
        let mut tally = Tally::default();
        for (folios, stuck) in [(true, &[1_500_000_000][..]), (false, &[]), (true, &[])] {
            tally.begin(begun(folios));
            tally.end(ended(0, stuck));
        }
        let cells = tally.cells(&ARGS, "6.18.15+deb13", 3);
        let of = |cell: &Cell| {
            (cell.key.params[FOLIOS].clone(), cell.swapoff.len(), cell.counts["stuck_swapoffs"])
        };
        let all: Vec<_> = cells.iter().map(of).collect();
        assert_eq!(all, [("64K".into(), 2, 1), ("none".into(), 1, 0)]);
        assert_eq!((cells[0].key.block, cells[0].order_in_run), (3, 6));
        let stuck = &cells[0].kinds[STUCK];
        assert_eq!((stuck.count, stuck.latency.as_ref().unwrap().max / 1_000_000), (1, 1500));
        assert_eq!(cells[1].kinds[STUCK].latency, None);
        assert!(cells[0].verified.starts_with("48 to 48"), "{}", cells[0].verified);
    }

    #[test]
    fn silence_is_a_lockup_only_with_a_report_of_the_kernel() {
        let silence = Duration::from_secs(120);
        let mut tally = Tally::default();
        tally.lockup();
        tally.begin(begun(true));
        assert!(!tally.silent(silence) && tally.cells(&ARGS, "6.12.118", 0).is_empty());
        tally.begin(begun(true));
        tally.lockup();
        tally.lockup();
        assert!(tally.silent(silence));
        let cell = &tally.cells(&ARGS, "6.12.118", 0)[0];
        let counts = ["stuck_swapoffs", "soft_lockups", "no_end"].map(|name| cell.counts[name]);
        assert_eq!(counts, [1, 2, 1]);
        assert_eq!(cell.swapoff[0].result, "no end in 120 s");
        assert_eq!(cell.counts.get("folio_alloc_swap"), None);
    }

    #[test]
    fn a_failed_swapoff_can_have_been_hit_too() {
        let mut tally = Tally::default();
        tally.begin(begun(true));
        tally.end(ended(12, &[400_000_000]));
        let cell = &tally.cells(&ARGS, "6.18.15", 0)[0];
        assert_eq!(cell.swapoff[0].result, "ENOMEM");
        assert_eq!((cell.kinds["swapoff"].failed, cell.counts["stuck_swapoffs"]), (1, 1));
    }
}
