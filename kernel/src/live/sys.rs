//! The system calls that the live driver needs and std does not offer. Its `unsafe` is here and
//! in the perf ring (`ring.rs`) only, behind functions that cannot be misused: a region owns its
//! memory, and fork is for a process with one thread. rustix makes the calls that it knows; swapon,
//! swapoff, fork, signal handlers and getrusage go through libc.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Access, FsWord};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::time::ClockId;

/// Bytes in a page, on x86-64 and on the usual arm64 kernels. `Region::map` checks it.
pub const PAGE: usize = 4096;

/// Set by SIGINT and SIGTERM. Every wait of the controller checks it.
pub static STOP: AtomicBool = AtomicBool::new(false);

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// CLOCK_MONOTONIC, ns. All processes read the same clock, so one start and one end of an
/// interval hold for every worker.
pub fn now_ns() -> u64 {
    let time = rustix::time::clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// True for root. The driver needs CAP_SYS_ADMIN and writes to sysfs.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// True where access(2) allows writing: a read-only mount stops root too.
pub fn writable(path: &Path) -> bool {
    rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

/// True for a file on tmpfs, whose pages are memory that can itself be swapped out.
///
/// # Errors
/// That of statfs(2), such as a path that does not exist.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    /// TMPFS_MAGIC of include/uapi/linux/magic.h.
    const TMPFS: FsWord = 0x0102_1994;
    Ok(rustix::fs::statfs(path)?.f_type == TMPFS)
}

/// swapon(2) with the highest priority, so that the kernel uses this device before any other.
///
/// # Errors
/// That of swapon(2).
pub fn swapon(device: &Path) -> io::Result<()> {
    const PREFER: libc::c_int = 0x8000;
    const PRIORITY: libc::c_int = 0x7fff;
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    check(unsafe { libc::swapon(path.as_ptr(), PREFER | PRIORITY) }).map(drop)
}

/// swapoff(2).
///
/// # Errors
/// That of swapoff(2); EINTR where a signal came while it still brought pages back.
pub fn swapoff(device: &Path) -> io::Result<()> {
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    check(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}

/// Asks for SIGKILL when the parent dies.
///
/// # Errors
/// ESRCH where the parent is no longer `parent`: it died before the call.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if std::os::unix::process::parent_id() != parent {
        return Err(Errno::SRCH.into());
    }
    Ok(())
}

/// Makes the process that `command` starts die with this one.
pub fn die_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let us = std::process::id();
    // SAFETY: between fork and exec only prctl and getppid are called, which are
    // async-signal-safe; an error there is an errno and allocates nothing.
    unsafe { command.pre_exec(move || die_with_parent(us)) };
}

/// Sends SIGKILL. It is no error if the process has ended already.
pub fn kill(pid: Pid) {
    let _ = rustix::process::kill_process(pid, Signal::KILL);
}

/// From now on SIGINT and SIGTERM set [`STOP`] and interrupt system calls that block.
pub fn catch_signals() {
    extern "C" fn stop(_: libc::c_int) {
        STOP.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe; a zeroed
        // sigaction is valid and has no SA_RESTART, so blocking calls return EINTR.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = stop as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(signal, &action, null_mut());
        }
    }
}

/// Waits until `fd` can be read or has ended; false after `timeout` or a signal.
///
/// # Errors
/// That of poll(2).
pub fn readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Runs `child` in a forked copy of this process, which then exits without unwinding or
/// flushing anything. Only for a process with one thread.
///
/// # Errors
/// That of fork(2).
pub fn fork(child: impl FnOnce()) -> io::Result<()> {
    let parent = std::process::id();
    // SAFETY: the callers are workers, which have one thread, so no lock can be held by
    // a thread that the copy lacks; the child leaves by _exit.
    match check(unsafe { libc::fork() })? {
        0 => {
            if die_with_parent(parent).is_ok() {
                child();
            }
            // SAFETY: _exit ends the process and does not return.
            unsafe { libc::_exit(0) }
        }
        _ => Ok(()),
    }
}

/// Reaps the forked children that have ended; true while some still run.
pub fn reap() -> bool {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(None) => return true,
            Ok(Some(_)) => {}
            Err(_) => return false,
        }
    }
}

/// How many times this process has been preempted.
pub fn involuntary_switches() -> u64 {
    // SAFETY: a zeroed rusage is valid and is written by the call; RUSAGE_SELF is always valid.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_nivcsw as u64
    }
}

/// Private anonymous memory, the only kind that the workloads swap.
pub struct Region {
    base: *mut u8,
    pages: usize,
}

/// Consecutive pages of a region.
pub type Run = std::ops::Range<usize>;

impl Region {
    /// Maps `pages` pages, aligned to 2 MiB, none of them present yet.
    ///
    /// # Errors
    /// That of mmap(2), or a page size that is not [`PAGE`].
    pub fn map(pages: usize) -> io::Result<Region> {
        const ALIGN: usize = 2 << 20;
        let page = rustix::param::page_size();
        if page != PAGE {
            return Err(io::Error::other(format!("pages of {page} bytes; this driver needs 4096")));
        }
        let wanted = pages * PAGE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a fresh anonymous mapping at an address that the kernel chooses; the two
        // munmaps give back only the parts of it before and after the aligned range.
        unsafe {
            let raw = rustix::mm::mmap_anonymous(null_mut(), wanted + ALIGN, protection, flags)?;
            let head = raw.cast::<u8>().align_offset(ALIGN);
            if head > 0 {
                let _ = rustix::mm::munmap(raw, head);
            }
            let base = raw.cast::<u8>().add(head);
            if head < ALIGN {
                let _ = rustix::mm::munmap(base.add(wanted).cast(), ALIGN - head);
            }
            Ok(Region { base, pages })
        }
    }

    /// Writes one word to a page: fills it, or brings it back from swap and makes its slot stale.
    pub fn touch(&self, page: usize, word: u64) {
        assert!(page < self.pages);
        // SAFETY: the page lies in this mapping, which is writable and page-aligned; the
        // memory is only ever accessed through this function and `write`.
        unsafe { self.base.add(page * PAGE).cast::<u64>().write_volatile(word) }
    }

    /// Writes a whole page.
    pub fn write(&self, page: usize, words: &[u64; PAGE / size_of::<u64>()]) {
        assert!(page < self.pages);
        // SAFETY: as in `touch`; the words fill exactly one page.
        unsafe { self.base.add(page * PAGE).cast::<[u64; PAGE / 8]>().write_volatile(*words) }
    }

    /// How many of the pages are in swap, by the page tables (/proc/self/pagemap).
    ///
    /// # Errors
    /// That of reading the file.
    pub fn swapped(&self) -> io::Result<usize> {
        const SWAPPED: u64 = 1 << 62;
        const ENTRY: usize = size_of::<u64>();
        let mut entries = vec![0; self.pages * ENTRY];
        let first = self.base as usize / PAGE * ENTRY;
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entries, first as u64)?;
        let entries = entries
            .chunks_exact(ENTRY)
            .map(|entry| u64::from_ne_bytes(entry.try_into().expect("a chunk is one entry")));
        Ok(entries.filter(|entry| entry & SWAPPED != 0).count())
    }

    /// Reclaims the pages now, all in one madvise call.
    ///
    /// # Errors
    /// That of madvise(2).
    pub fn pageout(&self, run: Run) -> io::Result<()> {
        Ok(self.advise(run, Advice::LinuxPageOut)?)
    }

    /// Drops the pages and frees their slots.
    ///
    /// # Errors
    /// That of madvise(2).
    pub fn discard(&self, run: Run) -> io::Result<()> {
        Ok(self.advise(run, Advice::LinuxDontNeed)?)
    }

    /// Asks for huge pages (of every size that is enabled for madvise), or for none.
    ///
    /// # Errors
    /// That of madvise(2).
    pub fn huge(&self, wanted: bool) -> io::Result<()> {
        let advice = if wanted { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        match self.advise(0..self.pages, advice) {
            // A kernel without huge pages, which has only small ones anyway.
            Err(Errno::INVAL) if !wanted => Ok(()),
            other => Ok(other?),
        }
    }

    /// Pages in the region.
    pub fn pages(&self) -> usize {
        self.pages
    }

    fn advise(&self, run: Run, advice: Advice) -> rustix::io::Result<()> {
        assert!(run.start <= run.end && run.end <= self.pages);
        // SAFETY: the range lies in this mapping; none of the advices used here can make an
        // access to it invalid, only its contents may be dropped, and those are only words.
        unsafe {
            let start = self.base.add(run.start * PAGE);
            rustix::mm::madvise(start.cast(), run.len() * PAGE, advice)
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` kept, unmapped once.
        let _ = unsafe { rustix::mm::munmap(self.base.cast(), self.pages * PAGE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_aligned_and_holds_its_pages() {
        let region = Region::map(1000).unwrap();
        assert_eq!(region.base as usize % (2 << 20), 0);
        for page in 0..region.pages() {
            region.touch(page, 1);
        }
        assert_eq!(region.swapped().unwrap(), 0);
        region.discard(0..1000).unwrap();
    }

    #[test]
    fn a_file_in_tmpfs_is_told_from_one_in_proc() {
        assert!(!is_in_memory(Path::new("/proc/self/stat")).unwrap());
        assert!(is_in_memory(Path::new("/nowhere/at/all")).is_err());
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        if mounts.lines().any(|line| line.contains(" /dev/shm tmpfs ")) {
            assert!(is_in_memory(Path::new("/dev/shm")).unwrap());
        }
    }

    #[test]
    fn the_monotonic_clock_advances() {
        let before = now_ns();
        std::thread::sleep(Duration::from_millis(2));
        assert!(now_ns() - before >= 2_000_000);
    }
}
