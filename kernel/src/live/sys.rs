//! The system calls the live driver needs and std has no name for. All of its
//! `unsafe` that is not the perf ring lives here, behind functions that cannot be
//! misused: a region owns its memory, a fork happens in a single-threaded worker.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes in a page. x86-64 and the usual arm64 kernels; `Region::map` checks it.
pub const PAGE: usize = 4096;

/// Set by SIGINT and SIGTERM; every wait of the controller looks at it.
pub static STOP: AtomicBool = AtomicBool::new(false);

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// CLOCK_MONOTONIC, ns: the same in every process, so that one START and one END hold for all.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// True for root; everything here needs CAP_SYS_ADMIN and writes to sysfs.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no precondition and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// True where access(2) lets us write: root too is kept out of a read-only mount.
pub fn writable(path: &Path) -> bool {
    let Ok(path) = c_path(path) else { return false };
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    unsafe { libc::access(path.as_ptr(), libc::W_OK) == 0 }
}

/// True for a file whose pages are memory that can itself be swapped out (tmpfs).
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let path = c_path(path)?;
    // SAFETY: a zeroed statfs is valid and is written by the call; the path is NUL-terminated.
    let kind = unsafe {
        let mut about: libc::statfs = std::mem::zeroed();
        check(libc::statfs(path.as_ptr(), &mut about))?;
        about.f_type
    };
    Ok(kind == libc::TMPFS_MAGIC)
}

/// swapon(2) with the highest priority there is, so that this device is used before any other.
pub fn swapon(device: &Path) -> io::Result<()> {
    const PREFER: libc::c_int = 0x8000;
    const PRIORITY: libc::c_int = 0x7fff;
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    check(unsafe { libc::swapon(path.as_ptr(), PREFER | PRIORITY) }).map(drop)
}

/// swapoff(2). A pending signal ends it with EINTR while it still brings pages back.
pub fn swapoff(device: &Path) -> io::Result<()> {
    let path = c_path(device)?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    check(unsafe { libc::swapoff(path.as_ptr()) }).map(drop)
}

/// Pins the calling thread to one CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero cpu_set_t is the empty set; CPU_SET bounds-checks its index;
    // the size passed is the size of the set pointed to.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    check(result).map(drop)
}

/// Asks for SIGKILL when `parent` dies, and says no if it is dead already.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) })?;
    if std::os::unix::process::parent_id() != parent {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    Ok(())
}

/// Lets the process that `command` starts die with this one.
pub fn die_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let us = std::process::id();
    // SAFETY: between fork and exec only prctl and getppid are called, which are
    // async-signal-safe; the error that may be made there allocates nothing before exec fails.
    unsafe { command.pre_exec(move || die_with_parent(us)) };
}

/// Sends SIGKILL; a process that is gone is no error.
pub fn kill(pid: i32) {
    // SAFETY: kill touches no memory of ours; the caller read `pid` from a cgroup or child of its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// From now on SIGINT and SIGTERM set [`STOP`] and interrupt what sleeps.
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
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Waits until `fd` can be read or has ended; false after `timeout`.
pub fn readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, whose descriptor is open for as long as `fd` is borrowed.
    match check(unsafe { libc::poll(&mut poll, 1, timeout.as_millis() as libc::c_int) }) {
        Ok(ready) => Ok(ready > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs `child` in a forked copy of this process, which then exits without unwinding or
/// flushing anything. Only for a process with one thread.
pub fn fork(child: impl FnOnce()) -> io::Result<()> {
    let parent = std::process::id();
    // SAFETY: the callers are workers, which have one thread, so no lock can be held by
    // a thread that the copy lacks; the child leaves by _exit.
    match check(unsafe { libc::fork() })? {
        0 => {
            if die_with_parent(parent).is_ok() {
                child();
            }
            // SAFETY: _exit ends the process and returns to nobody.
            unsafe { libc::_exit(0) }
        }
        _ => Ok(()),
    }
}

/// Reaps the forked children that have ended; true while some still run.
pub fn reap() -> bool {
    loop {
        // SAFETY: a null status is allowed; WNOHANG never blocks.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => return true,
            -1 => return false,
            _ => {}
        }
    }
}

/// Times this process was preempted so far.
pub fn involuntary_switches() -> u64 {
    // SAFETY: a zeroed rusage is valid and is written by the call; RUSAGE_SELF is always valid.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_nivcsw as u64
    }
}

/// Private anonymous memory, the only kind the workloads swap.
pub struct Region {
    base: *mut u8,
    pages: usize,
}

/// A run of pages of a region.
pub type Run = std::ops::Range<usize>;

impl Region {
    /// Maps `pages` pages, aligned to 2 MiB, of which none is there yet.
    pub fn map(pages: usize) -> io::Result<Region> {
        const ALIGN: usize = 2 << 20;
        // SAFETY: sysconf has no precondition.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        if page != PAGE as libc::c_long {
            return Err(io::Error::other(format!("pages of {page} bytes; this driver needs 4096")));
        }
        let wanted = pages * PAGE;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice; the two
        // munmaps give back only the parts of it before and after the aligned range.
        unsafe {
            let raw = libc::mmap(
                std::ptr::null_mut(),
                wanted + ALIGN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            );
            if raw == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let head = raw.cast::<u8>().align_offset(ALIGN);
            if head > 0 {
                libc::munmap(raw, head);
            }
            let base = raw.cast::<u8>().add(head);
            if head < ALIGN {
                libc::munmap(base.add(wanted).cast(), ALIGN - head);
            }
            Ok(Region { base, pages })
        }
    }

    /// Writes one word to a page: fills it, or brings it back from swap and makes its slot stale.
    pub fn touch(&self, page: usize, word: u64) {
        assert!(page < self.pages);
        // SAFETY: the page lies in this mapping, which is writable and page-aligned; the
        // memory is only ever accessed through this function.
        unsafe { self.base.add(page * PAGE).cast::<u64>().write_volatile(word) }
    }

    /// Reclaims the pages now: one call, however many pages.
    pub fn pageout(&self, run: Run) -> io::Result<()> {
        self.advise(run, libc::MADV_PAGEOUT)
    }

    /// Drops the pages and frees their slots.
    pub fn discard(&self, run: Run) -> io::Result<()> {
        self.advise(run, libc::MADV_DONTNEED)
    }

    /// Asks for huge pages (of every size that is enabled for madvise), or for none.
    pub fn huge(&self, wanted: bool) -> io::Result<()> {
        let advice = if wanted { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
        match self.advise(0..self.pages, advice) {
            // EINVAL: a kernel without huge pages, which has small ones only anyway.
            Err(error) if !wanted && error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            other => other,
        }
    }

    /// Pages in the region.
    pub fn pages(&self) -> usize {
        self.pages
    }

    fn advise(&self, run: Run, advice: libc::c_int) -> io::Result<()> {
        assert!(run.start <= run.end && run.end <= self.pages);
        // SAFETY: the range lies in this mapping; none of the advices used here can make an
        // access to it invalid, only its contents may be dropped, and those are only words.
        let result = unsafe {
            libc::madvise(self.base.add(run.start * PAGE).cast(), run.len() * PAGE, advice)
        };
        check(result).map(drop)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: exactly the range `map` kept, unmapped once.
        unsafe { libc::munmap(self.base.cast(), self.pages * PAGE) };
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
