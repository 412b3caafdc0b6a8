//! A deadline for a trial on this host. Guards that a run ends: a lock that is never released, or
//! workers that never get a CPU, would keep it waiting for ever.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The time to the deadline is slept in this many pieces. A machine that was suspended, or a process
/// that was stopped, loses at most one of them, however long that took.
const PIECES: u32 = 16;
/// Beside its window a trial has a set-up and a check, whose length depends on the size.
const LEAST: Duration = Duration::from_secs(60);
const PER_GIB: Duration = Duration::from_secs(30);
/// Windows that one window may take: workers that share a CPU, or a CPU that others want.
const WINDOWS: u32 = 20;

/// The time after which a trial is taken for one that does not end.
pub(super) fn patience(window: Duration, per_cpu: usize, bytes: u64) -> Duration {
    let gib = u32::try_from(bytes >> 30).unwrap_or(u32::MAX);
    let windows = window.saturating_mul(WINDOWS).saturating_mul(per_cpu as u32);
    LEAST.saturating_add(windows).saturating_add(PER_GIB.saturating_mul(gib))
}

/// Does `work`. If it takes longer than `patience`, another thread calls `late` meanwhile.
pub(super) fn watched<R>(
    patience: Duration,
    late: impl FnOnce() + Send,
    work: impl FnOnce() -> R,
) -> R {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let watch = move || {
            let piece = patience / PIECES;
            let waits =
                (0..PIECES).all(|_| ended.recv_timeout(piece) == Err(RecvTimeoutError::Timeout));
            if waits {
                late();
            }
        };
        // Without a thread to spare the trial goes on unwatched.
        let _watcher = thread::Builder::new().name("watchdog".into()).spawn_scoped(scope, watch);
        // Dropped at the end of the work, also at an end by a panic.
        let _working = working;
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn work_that_does_not_end_is_found_out_and_other_work_is_not() {
        let late = AtomicUsize::new(0);
        let count = || {
            late.fetch_add(1, SeqCst);
        };
        let result = watched(Duration::from_secs(60), count, || 7);
        assert_eq!((result, late.load(SeqCst)), (7, 0), "and nobody waits for the deadline");
        let until_late = || {
            while late.load(SeqCst) == 0 {
                thread::yield_now();
            }
        };
        watched(Duration::from_millis(20), count, until_late);
        assert_eq!(late.load(SeqCst), 1);
        let panicked = std::panic::catch_unwind(|| {
            watched(Duration::from_secs(60), || (), || panic!("broken"));
        });
        assert!(panicked.is_err(), "a panic is no work that goes on");
    }

    #[test]
    fn patience_grows_with_what_a_trial_does() {
        let second = Duration::from_secs(1);
        assert_eq!(patience(second, 1, 1 << 20).as_secs(), 80);
        assert_eq!(patience(second, 4, 1 << 30).as_secs(), 170);
        assert!(patience(Duration::MAX, usize::MAX, u64::MAX) > second);
    }
}
