//! Which CPUs the calling thread may run on: sched_setaffinity(2) and sched_getaffinity(2) with a
//! mask as long as it has to be. Guards that no machine is too large: the `cpu_set_t` of libc and
//! the `CpuSet` of rustix end at 1024 CPUs, the kernel at `NR_CPUS` (up to 8192 on x86).

use std::io;

type Word = libc::c_ulong;
const BITS: usize = Word::BITS as usize;

/// Words of the longest mask that is tried. If room for 2^20 CPUs is not enough, EINVAL has another
/// cause.
const LONGEST: usize = (1 << 20) / BITS;

/// Pins the calling thread to the CPU with the kernel's number `cpu`.
///
/// # Errors
///
/// That of the system call: EINVAL if the CPU does not exist, is offline or is outside the
/// thread's cpuset.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut mask: Vec<Word> = vec![0; cpu / BITS + 1];
    mask[cpu / BITS] = 1 << (cpu % BITS);
    // SAFETY: the kernel reads as many bytes at the pointer as the length says, all of `mask`.
    #[allow(unsafe_code)]
    let result =
        unsafe { libc::sched_setaffinity(0, size_of_val(&mask[..]), mask.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a thread of this process can be pinned to the CPU with the kernel's number `cpu`: a
/// thread of its own tries. The affinity mask does not say so: CPUs that the kernel isolates
/// (`isolcpus=`) are in no mask, and can be pinned to.
///
/// # Errors
///
/// As [`pin`], or that of starting the thread.
pub fn may_pin(cpu: usize) -> io::Result<()> {
    let attempt = std::thread::Builder::new().spawn(move || pin(cpu))?;
    attempt.join().expect("a system call does not panic")
}

/// The CPUs that the calling thread may run on, by the kernel's numbers, ascending: its affinity
/// mask within its cpuset. CPUs that are offline are not among them.
///
/// # Errors
///
/// That of the system call; the kernel refuses only masks that are too short, which are retried.
pub fn allowed() -> io::Result<Vec<usize>> {
    let mut mask: Vec<Word> = vec![0; 1024 / BITS];
    loop {
        // SAFETY: the kernel writes at most as many bytes as the length says, all of `mask`.
        #[allow(unsafe_code)]
        let result =
            unsafe { libc::sched_getaffinity(0, size_of_val(&mask[..]), mask.as_mut_ptr().cast()) };
        if result == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || mask.len() >= LONGEST {
            return Err(error);
        }
        mask.resize(2 * mask.len(), 0);
    }
    let set = |cpu: &usize| mask[cpu / BITS] >> (cpu % BITS) & 1 == 1;
    Ok((0..mask.len() * BITS).filter(set).collect())
}

/// The scheduling policy that new threads of the calling thread get, as sched(7) numbers them. A
/// policy that is reset on fork is SCHED_OTHER for them.
///
/// # Errors
///
/// That of sched_getscheduler(2). The call is made directly: musl's function always fails.
pub fn policy() -> io::Result<libc::c_int> {
    // SAFETY: the call takes one number and touches no memory.
    #[allow(unsafe_code)]
    let policy = unsafe { libc::syscall(libc::SYS_sched_getscheduler, 0) } as libc::c_int;
    match policy {
        ..0 => Err(io::Error::last_os_error()),
        policy if policy & libc::SCHED_RESET_ON_FORK != 0 => Ok(libc::SCHED_OTHER),
        policy => Ok(policy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own: the affinity of a test's thread must not outlive the test.
    fn in_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(body).join().unwrap())
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_pinned_thread_may_run_on_that_cpu_alone() {
        for cpu in allowed().unwrap() {
            assert_eq!(in_a_thread(|| pin(cpu).and_then(|()| allowed())).unwrap(), [cpu]);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)]
    fn a_cpu_beyond_every_mask_is_the_kernels_to_refuse() {
        let error = in_a_thread(|| pin(1 << 20)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }
}
