//! Processes that fill a swap device, and processes that ask it for slots without keeping one. For
//! the lab's guests alone: what they do together with swapoff can lock a CPU up
//! (docs/findings/steal-loop.md).

use std::io;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::runs;
use super::recorder::Interval;
use super::swap_area::CLUSTER;
use super::sys::Region;

/// Pages that one process keeps in swap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hold {
    pub pages: usize,
    /// random pages that come back: their slots become free
    pub back: usize,
    /// as folios of 64 KiB
    pub folios: bool,
}

impl Hold {
    /// Swaps the pages out, brings some back, says so by `ready`, and waits there to be killed.
    ///
    /// # Errors
    /// That of a system call, of `ready`, or of pages that do not go out.
    pub fn run(&self, seed: u64, ready: impl FnOnce() -> io::Result<Interval>) -> io::Result<()> {
        let region = filled(self.pages, self.folios)?;
        swap_out(&region)?;
        let mut random = fastrand::Rng::with_seed(seed);
        (0..self.back).for_each(|_| region.touch(random.usize(0..self.pages), 1));
        ready().map(drop)
    }
}

/// Pages that one process asks the kernel to swap out, again and again, in a cgroup that may not
/// have any swap: each gets a slot, cannot be charged for it, and gives it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Press {
    pub pages: usize,
}

impl Press {
    /// Fills the pages, says so by `ready`, which waits for the start, and presses until it is killed.
    ///
    /// # Errors
    /// That of a system call, or of `ready`.
    pub fn run(&self, ready: impl FnOnce() -> io::Result<Interval>) -> io::Result<()> {
        let region = filled(self.pages, false)?;
        ready()?;
        loop {
            region.pageout(0..self.pages)?;
        }
    }
}

fn filled(pages: usize, folios: bool) -> io::Result<Region> {
    let region = Region::map(pages)?;
    region.huge(folios)?;
    (0..pages).for_each(|page| region.touch(page, page as u64 | 1 << 63));
    Ok(region)
}

/// Asks for the pages until all are out: some wait in a CPU's batch for the LRU list, where
/// reclaim does not find them.
fn swap_out(region: &Region) -> io::Result<()> {
    const ROUNDS: usize = 100;
    for _ in 0..ROUNDS {
        runs(region.pages(), CLUSTER).try_for_each(|run| region.pageout(run))?;
        if region.swapped()? == region.pages() {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
    Err(io::Error::other(format!(
        "only {} of {} pages could be swapped out",
        region.swapped()?,
        region.pages()
    )))
}
