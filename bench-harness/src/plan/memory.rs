//! The memory that a point takes, estimated before it is taken. Guards that a run which cannot fit
//! says so in one line, instead of being killed by the kernel hours later.

use std::fmt;

use machine::lock::Any;
use machine::{Machine, Simulated};
use probe::{Roots, memory};
use variants::Spec;

use super::error::PlanError;
use super::points::Point;
use crate::workload::{self, Params, Visitor, Workload};

/// Of a slot: its count, its zeromap byte and its swap cache byte.
const PER_SLOT: u64 = 3;
/// Of a cluster: its `swap_cluster_info`.
const PER_CLUSTER: u64 = 24;
/// Of a page: its page-table entry, and its place in the list of the check at the end.
const PER_PAGE: u64 = 16;
/// Of a worker: its stack, and its histograms before and after the window.
const PER_WORKER: u64 = 1 << 20;
/// The program itself, before its first trial.
const PROGRAM: u64 = 16 << 20;
/// The simulator keeps the state of each line beside the line.
pub(super) const MODEL: u64 = 2;
/// With `--precision` what the set-up made is kept as well.
pub(super) const KEPT: u64 = 1;

/// Bytes, for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 as f64 / f64::from(1 << 20) {
            mib if mib < 1024.0 => write!(f, "{mib:.0} MiB"),
            mib => write!(f, "{:.1} GiB", mib / 1024.0),
        }
    }
}

/// The devices and page tables of a workload, which are the same on every machine.
struct SpecOf<'a>(&'a Params, usize);

impl<M: Machine> Visitor<M> for SpecOf<'_> {
    type Output = Spec;
    fn visit<W: Workload<M>>(self) -> Spec {
        W::spec(self.0, self.1)
    }
}

/// Bytes that one trial of a point takes, about.
fn trial(point: &Point, copies: u64) -> u64 {
    let visitor = SpecOf(&point.params, point.threads);
    let spec = workload::visit::<Simulated<Any>, _>(point.params.workload, visitor);
    let spec = spec.expect("the plan has checked the name");
    let slots: u64 = spec.devices.iter().map(|device| u64::from(device.slots)).sum();
    let clusters = slots.div_ceil(u64::from(spec.cluster_slots));
    let pages = spec.owners as u64 * spec.pages_per_owner as u64;
    let arrays = slots * PER_SLOT + clusters * PER_CLUSTER + pages * PER_PAGE;
    arrays * copies + point.threads as u64 * PER_WORKER
}

/// Checks that the largest trials that run at the same time have room in the memory that is
/// available now.
///
/// # Errors
///
/// [`PlanError::Memory`] where they have none. Where the memory is unknown, nothing is refused.
pub(super) fn fits(
    points: &[Point],
    copies: u64,
    at_once: usize,
    roots: &Roots,
) -> Result<(), PlanError> {
    let Some(available) = memory::available(roots).known().copied() else { return Ok(()) };
    let mut all: Vec<(u64, &Point)> = points.iter().map(|p| (trial(p, copies), p)).collect();
    all.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let needs = PROGRAM + all.iter().take(at_once).map(|(bytes, _)| bytes).sum::<u64>();
    match all.first() {
        Some((_, point)) if needs > available => Err(PlanError::Memory {
            point: format!("{} of {}", point.params.workload, point.params.size),
            at_once: all.len().min(at_once),
            needs: Bytes(needs),
            available: Bytes(available),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(workload: &str, size: &str, threads: usize) -> Point {
        let entry = workload::find(workload).unwrap();
        let params = Params { size: size.parse().unwrap(), ..entry.defaults() };
        let (variant, lock) = ("percluster", "tas");
        Point { variant, lock, threads, params, preempt: None, sites: true }
    }

    fn with_memory(kib: u64) -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("meminfo"), format!("MemAvailable: {kib} kB")).unwrap();
        let nowhere = dir.path().join("none");
        let roots = Roots { proc: dir.path().into(), sys: nowhere.clone(), etc: nowhere };
        (dir, roots)
    }

    #[test]
    fn a_point_that_does_not_fit_is_refused_with_both_amounts() {
        let (_dir, roots) = with_memory(900 << 10);
        let refused = |points: &[Point], copies, at_once| {
            fits(points, copies, at_once, &roots).err().map(|error| error.to_string())
        };
        let (large, small) = (point("churn", "256GiB", 1), point("churn", "32GiB", 1));
        assert_eq!(
            refused(std::slice::from_ref(&large), 1, 1).unwrap(),
            "memory: churn of 256GiB needs about 980 MiB, 900 MiB available: expected smaller \
             devices, or fewer threads"
        );
        let several = vec![small; 8];
        assert_eq!(refused(&several, 1, 1), None);
        let together = refused(&several, MODEL, 8).unwrap();
        assert!(together.contains("8 trials at once, the largest churn of 32GiB"), "{together}");
        assert_eq!(refused(&several[..1], MODEL, 8), None, "one trial has no neighbours");
        let nowhere = Roots { proc: "/none".into(), sys: "/none".into(), etc: "/none".into() };
        assert!(fits(&[large], 1, 1, &nowhere).is_ok(), "unknown memory refuses nothing");
    }

    #[test]
    fn every_workload_has_an_estimate_that_grows() {
        for entry in workload::LIST {
            let bytes = |size, threads| trial(&point(entry.id, size, threads), 1);
            assert!(bytes("64MiB", 2) < bytes("128MiB", 2), "{}", entry.id);
            assert!(bytes("64MiB", 2) < bytes("64MiB", 64), "{}", entry.id);
        }
    }
}
