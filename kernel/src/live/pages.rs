//! One pass over pages whose price is measured, in a worker process. Guards the figure: contents are
//! written and pages are counted outside the timed part, and only pages that moved are counted.

use std::io;

use serde::{Deserialize, Serialize};

use super::content::Content;
use super::load::runs;
use super::recorder::{Interval, Report};
use super::swap_area::CLUSTER;
use super::sys::{self, Region, now_ns};
use crate::prices::What;

/// The pass of one worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pass {
    pub content: Content,
    pub what: What,
    /// consecutive pages per call; whole batches are taken in random order
    pub batch: usize,
    /// pages of this worker
    pub pages: usize,
}

impl Pass {
    /// Prepares the pages, says so by `ready`, which gives the common start, and does the pass. Of
    /// the report, `pages_out` is the number of pages that left swap or went there.
    ///
    /// # Errors
    /// That of a system call, or of `ready`.
    pub fn run(
        &self,
        seed: u64,
        ready: impl FnOnce() -> io::Result<Interval>,
    ) -> io::Result<Report> {
        let mut random = fastrand::Rng::with_seed(seed);
        let region = Region::map(self.pages)?;
        region.huge(false)?;
        for page in 0..self.pages {
            region.write(page, &self.content.words(page, &mut random));
        }
        if self.what != What::Out {
            runs(self.pages, CLUSTER).try_for_each(|run| region.pageout(run))?;
        }
        let mut order: Vec<_> = runs(self.pages, self.batch).collect();
        random.shuffle(&mut order);
        let before = region.swapped()?;
        let start = ready()?.start;
        while now_ns() < start {
            std::hint::spin_loop();
        }
        let switches = sys::involuntary_switches();
        let first = now_ns();
        for run in order {
            match self.what {
                What::Out => region.pageout(run)?,
                What::In => run.for_each(|page| region.touch(page, 1)),
                What::Free => region.discard(run)?,
            }
        }
        let last = now_ns();
        let involuntary_switches = sys::involuntary_switches() - switches;
        let pages_out = before.abs_diff(region.swapped()?) as u64;
        Ok(Report { pages_out, first, last, involuntary_switches, ..Report::default() })
    }
}
