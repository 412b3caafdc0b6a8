//! The pictures that are drawn when none is asked for. Guards that many runs do not become thousands of
//! files: of each chart one picture a machine, the fullest, and a dozen in all.

use super::Job;
use crate::style::README;

/// Charts in the order in which a reader wants them.
const ORDER: [&str; 14] = [
    "heat",
    "throughput",
    "history",
    "swapoff",
    "butterfly",
    "contention",
    "latency",
    "swapoff-barrier",
    "ablation",
    "load",
    "hold",
    "preempted",
    "predicted",
    "series",
];
/// Pictures at most.
const MOST: usize = 12;

/// Of all `jobs` those that lead.
pub fn leading(mut jobs: Vec<Job>) -> Vec<Job> {
    // The fullest first: most figures of one workload.
    jobs.sort_by_key(|job| std::cmp::Reverse(figures(job)));
    let mut kept: Vec<Job> = Vec::new();
    for chart in ORDER {
        let (mut here, others): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| job.chart == chart);
        jobs = others;
        while let Some(at) = here.iter().position(draws).filter(|_| kept.len() < MOST) {
            let job = here.remove(at);
            here.retain(|other| machines(other) != machines(&job));
            kept.push(job);
        }
    }
    kept
}

fn figures(job: &Job) -> usize {
    job.sets.iter().flat_map(|set| &set.tracks).map(|track| track.groups.len()).sum()
}

fn machines<'a>(job: &'a Job) -> Vec<&'a str> {
    let mut all: Vec<&str> = job.sets.iter().map(|set| &set.place.machine[..]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn draws(job: &Job) -> bool {
    (job.draw)(README).is_ok_and(|pictures| !pictures.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chart::jobs;
    use crate::common::{self, Plan};
    use crate::data;

    #[test]
    fn a_dozen_pictures_lead_and_each_machine_has_its_own() {
        let runs = [common::native(&Plan::default()), common::simulated(&Plan::default())];
        let sets = data::sets(&runs);
        let all = jobs(&sets);
        assert!(all.len() > 4 * MOST, "{} charts", all.len());
        let kept = leading(all);
        let names: Vec<&str> = kept.iter().map(|job| job.chart).collect();
        assert!(kept.len() <= MOST && kept.len() > 6, "{names:?}");
        assert_eq!(names[0], "heat");
        let of = |chart: &str| kept.iter().filter(|job| job.chart == chart).collect::<Vec<_>>();
        let throughput = of("throughput");
        assert_eq!(throughput.len(), 2, "{names:?}");
        assert_ne!(machines(throughput[0]), machines(throughput[1]));
        assert!(kept.iter().all(draws));
    }
}
