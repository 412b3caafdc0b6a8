//! Trace events in a buffer that the kernel shares with this process, by perf_event_open(2): one
//! ring per CPU, read without system calls. With `sys.rs` the only `unsafe` of the driver; it
//! guards that no byte is read which the kernel may still write.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

use perf_event_open_sys as perf;
use perf_event_open_sys::bindings as abi;
use rustix::mm::{MapFlags, ProtFlags};

use super::sys::PAGE;

/// Data pages of a ring: a power of two, 1 MiB.
const RING_PAGES: usize = 256;
/// The data pages, and the control page before them.
const MAPPED: usize = (1 + RING_PAGES) * PAGE;

/// Opens one tracepoint for one task on one CPU, and for the children that it will have. `id` is
/// the tracepoint's number in tracefs; `stack` asks for the kernel's call chain with each record.
///
/// # Errors
/// That of perf_event_open(2): EACCES without CAP_PERFMON, ENOSYS in some containers.
pub fn open(pid: u32, cpu: usize, id: u64, stack: bool) -> io::Result<OwnedFd> {
    let mut attr = abi::perf_event_attr {
        size: size_of::<abi::perf_event_attr>() as u32,
        type_: abi::PERF_TYPE_TRACEPOINT,
        config: id,
        sample_type: abi::PERF_SAMPLE_TID as u64
            | abi::PERF_SAMPLE_TIME as u64
            | abi::PERF_SAMPLE_CALLCHAIN as u64
            | abi::PERF_SAMPLE_RAW as u64,
        clockid: libc::CLOCK_MONOTONIC,
        ..Default::default()
    };
    attr.__bindgen_anon_1.sample_period = 1;
    attr.set_inherit(1);
    attr.set_exclude_callchain_user(1);
    attr.set_exclude_callchain_kernel(u64::from(!stack));
    attr.set_use_clockid(1);
    let flags = libc::c_ulong::from(abi::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attr` is initialized and lives for the call; the kernel only samples into a ring.
    let fd = unsafe {
        perf::perf_event_open(&mut attr, pid as libc::pid_t, cpu as libc::c_int, -1, flags)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just returned this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The buffer that the events of one CPU share.
pub struct Ring {
    pub cpu: usize,
    base: *mut u8,
    /// the events that write here, kept open; the first one was mapped
    events: Vec<OwnedFd>,
}

impl Ring {
    /// Maps the buffer of `event`, which counts on `cpu`.
    ///
    /// # Errors
    /// That of mmap(2): EPERM beyond the limit of locked memory.
    pub fn map(event: OwnedFd, cpu: usize) -> io::Result<Ring> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new shared mapping of a perf event, one control page and a power of two of
        // data pages, at an address that the kernel chooses.
        let base = unsafe {
            rustix::mm::mmap(null_mut(), MAPPED, protection, MapFlags::SHARED, &event, 0)
        };
        Ok(Ring { cpu, base: base?.cast(), events: vec![event] })
    }

    /// Lets another event of this CPU write here.
    ///
    /// # Errors
    /// That of the ioctl PERF_EVENT_IOC_SET_OUTPUT: EINVAL for an event of another CPU.
    pub fn add(&mut self, event: OwnedFd) -> io::Result<()> {
        // SAFETY: both descriptors are open perf events; the ioctl takes the other's number.
        match unsafe { perf::ioctls::SET_OUTPUT(event.as_raw_fd(), self.events[0].as_raw_fd()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => {
                self.events.push(event);
                Ok(())
            }
        }
    }

    /// Moves all complete records to `records`.
    pub fn read(&self, records: &mut Vec<Vec<u8>>) {
        let control = self.base.cast::<abi::perf_event_mmap_page>();
        // SAFETY: the control page is mapped and its two positions are aligned u64 that the
        // kernel writes atomically: it moves data_head after the data (hence Acquire), and
        // reuses the room once data_tail has moved (hence Release).
        let (head, tail) = unsafe {
            (
                AtomicU64::from_ptr(&raw mut (*control).data_head),
                AtomicU64::from_ptr(&raw mut (*control).data_tail),
            )
        };
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        while at < end {
            let size = u16::from_ne_bytes([self.byte(at + 6), self.byte(at + 7)]);
            records.push((0..u64::from(size)).map(|i| self.byte(at + i)).collect());
            at += u64::from(size.max(8));
        }
        tail.store(at, Ordering::Release);
    }

    fn byte(&self, at: u64) -> u8 {
        let offset = PAGE + at as usize % (RING_PAGES * PAGE);
        // SAFETY: the offset lies in the data pages; the kernel does not write between
        // data_tail and data_head, and callers stay between them.
        unsafe { self.base.add(offset).read() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` mapped, unmapped once.
        let _ = unsafe { rustix::mm::munmap(self.base.cast(), MAPPED) };
    }
}
