//! The workloads on a real kernel. The synthetic ones work on slots, these on pages: swap-out is
//! MADV_PAGEOUT, swap-in is a write, a slot is freed by MADV_DONTNEED, munmap or exit, and a second
//! reference to a slot comes from fork.

use std::collections::VecDeque;
use std::io;

use serde::{Deserialize, Serialize};

use super::recorder::Recorder;
use super::swap_area::CLUSTER;
use super::sys::{self, Region, Run};

/// The workloads, by the names they have on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// W2: swap a random batch in, and out again
    Churn,
    /// W1: swap everything out in order, then free everything in order
    Seq,
    /// W3: short-lived regions of 50..5000 pages, three in ten shared with a child that frees them
    Build,
    /// W4: blocks of 64 KiB as one folio, swapped and freed whole or in part
    Mthp,
    /// W12: swap everything out in order, then unmap it in one call; each process by itself
    Memhog,
    /// W6: churn, while another process switches the swap off and on
    Swapoff,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 6] = [
        Workload::Churn,
        Workload::Seq,
        Workload::Build,
        Workload::Mthp,
        Workload::Memhog,
        Workload::Swapoff,
    ];

    /// Its name on the command line and in results.
    pub fn id(self) -> &'static str {
        match self {
            Workload::Churn => "churn",
            Workload::Seq => "seq",
            Workload::Build => "build",
            Workload::Mthp => "mthp",
            Workload::Memhog => "memhog",
            Workload::Swapoff => "swapoff",
        }
    }

    /// True where the number of pages per call is an axis of the plan; the other workloads have
    /// their own.
    pub fn has_batches(self) -> bool {
        self == Workload::Churn
    }
}

/// A workload in progress in one process.
pub struct Load {
    workload: Workload,
    region: Region,
    batch: usize,
    random: fastrand::Rng,
    peer_cpu: usize,
    /// regions of `build` that still live, oldest first
    alive: VecDeque<Region>,
}

impl Load {
    /// Maps `pages` pages and, for the workloads that start full, swaps all of them out. `batch` is
    /// the number of pages per call; children run on `peer_cpu`.
    ///
    /// # Errors
    /// That of mmap(2) or madvise(2).
    pub fn new(
        workload: Workload,
        pages: usize,
        batch: usize,
        seed: u64,
        peer_cpu: usize,
    ) -> io::Result<Load> {
        let region = Region::map(pages)?;
        region.huge(workload == Workload::Mthp)?;
        let random = fastrand::Rng::with_seed(seed);
        let load = Load { workload, region, batch, random, peer_cpu, alive: VecDeque::new() };
        if workload != Workload::Build {
            for run in runs(pages, CLUSTER) {
                fill(&load.region, run.clone(), seed);
                load.region.pageout(run)?;
            }
        }
        Ok(load)
    }

    /// One round of the workload.
    ///
    /// # Errors
    /// That of a system call of the round.
    pub fn step(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        match self.workload {
            Workload::Churn | Workload::Swapoff => self.churn(recorder),
            Workload::Seq => self.seq(recorder),
            Workload::Build => self.build(recorder),
            Workload::Mthp => self.mthp(recorder),
            Workload::Memhog => self.memhog(recorder),
        }
    }

    fn churn(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        let run = self.random_run(self.batch);
        touch_back(&self.region, run.clone(), self.random.u64(1..), recorder);
        recorder.time("pageout", self.batch as u64, || self.region.pageout(run))
    }

    fn seq(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        for run in runs(self.region.pages(), CLUSTER) {
            recorder.time("free", 0, || self.region.discard(run))?;
        }
        self.pageout_all(recorder)
    }

    fn memhog(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        let fresh = Region::map(self.region.pages())?;
        fresh.huge(false)?;
        let old = std::mem::replace(&mut self.region, fresh);
        recorder.watch("munmap", || drop(old));
        self.pageout_all(recorder)
    }

    fn pageout_all(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        for run in runs(self.region.pages(), CLUSTER) {
            fill(&self.region, run.clone(), self.random.u64(1..));
            recorder.time("pageout", run.len() as u64, || self.region.pageout(run))?;
        }
        Ok(())
    }

    /// The memory of a short-lived process. A child on another CPU holds a second reference to
    /// every slot. The parent unmaps first, so that the child's exit frees the slots on that CPU.
    fn build(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        const CHILDREN: usize = 4;
        let pages = self.lifetime_pages();
        let region = Region::map(pages)?;
        region.huge(false)?;
        fill(&region, 0..pages, self.random.u64(1..));
        for run in runs(pages, CLUSTER) {
            recorder.time("pageout", run.len() as u64, || region.pageout(run))?;
        }
        if self.random.u32(0..10) < 3 {
            let (peer, touched) = (self.peer_cpu, pages / 10);
            let child = || {
                let _ = machine::affinity::pin(peer);
                fill(&region, 0..touched, 1);
            };
            recorder.time("fork", 0, || sys::fork(child))?;
            recorder.watch("munmap", || drop(region));
            sys::reap();
        } else {
            self.alive.push_back(region);
        }
        let mut total: usize = self.alive.iter().map(Region::pages).sum();
        while total > self.region.pages() || self.alive.len() > 16 * CHILDREN {
            let oldest = self.alive.pop_front().expect("total counts what is there");
            total -= oldest.pages();
            recorder.watch("munmap", || drop(oldest));
        }
        Ok(())
    }

    /// 50..5000 pages, log-normal: a median of 500 and a heavy tail.
    fn lifetime_pages(&mut self) -> usize {
        let normal = (0..12).map(|_| self.random.f64()).sum::<f64>() - 6.0;
        ((500.0 * normal.exp()) as usize).clamp(50, 5000).min(self.region.pages())
    }

    /// A block of 16 pages. In 7 of 10 rounds one of its pages comes back and goes out again alone.
    /// In the others the block is freed and written again, which makes a fresh folio.
    fn mthp(&mut self, recorder: &mut Recorder) -> io::Result<()> {
        const BLOCK: usize = 16;
        let run = self.random_run(BLOCK);
        let word = self.random.u64(1..);
        if self.random.u32(0..10) < 7 {
            let page = run.start + self.random.usize(0..BLOCK);
            touch_back(&self.region, page..page + 1, word, recorder);
            recorder.time("pageout-1", 1, || self.region.pageout(page..page + 1))
        } else {
            recorder.time("free", 0, || self.region.discard(run.clone()))?;
            fill(&self.region, run.clone(), word);
            recorder.time("pageout-16", BLOCK as u64, || self.region.pageout(run))
        }
    }

    fn random_run(&mut self, batch: usize) -> Run {
        let start = self.random.usize(0..self.region.pages() / batch) * batch;
        start..start + batch
    }
}

/// Children end by themselves within milliseconds. The last ones are waited for, at most 1 s.
impl Drop for Load {
    fn drop(&mut self) {
        for _ in 0..100 {
            if !sys::reap() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// `0..pages` in pieces of `length`, the last one shorter.
pub fn runs(pages: usize, length: usize) -> impl Iterator<Item = Run> {
    (0..pages).step_by(length).map(move |start| start..(start + length).min(pages))
}

/// Writes a different word to each page, so that no page is all zeros and no two are the same.
fn fill(region: &Region, run: Run, word: u64) {
    run.for_each(|page| region.touch(page, word ^ page as u64 | 1 << 63));
}

/// Swaps pages in and times each fault.
fn touch_back(region: &Region, run: Run, word: u64, recorder: &mut Recorder) {
    for page in run {
        recorder.watch("swapin", || fill(region, page..page + 1, word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_every_page_once() {
        let pages: Vec<usize> = runs(1100, 512).flatten().collect();
        assert_eq!(pages, (0..1100).collect::<Vec<_>>());
    }

    #[test]
    fn lifetimes_keep_their_bounds_and_have_a_tail() {
        let mut load = Load::new(Workload::Build, 1 << 14, 1, 1, 0).unwrap();
        let sizes: Vec<usize> = (0..2000).map(|_| load.lifetime_pages()).collect();
        assert!(sizes.iter().all(|&pages| (50..=5000).contains(&pages)));
        let median = {
            let mut sorted = sizes.clone();
            sorted.sort_unstable();
            sorted[1000]
        };
        assert!((350..700).contains(&median), "{median}");
        assert!(sizes.iter().filter(|&&pages| pages > 2000).count() > 50);
    }
}
