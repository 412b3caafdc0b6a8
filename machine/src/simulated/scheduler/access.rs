//! The calls of code on a virtual CPU into the simulation: every access waits here for its turn in
//! virtual time. Guards that nothing is charged outside the workers.

use super::super::coherence::Access;
use super::stores::Forwarded;
use super::{ACCOUNTED, CHARGED, Flow, JIFFY, SIM, Sim, Watch};
use crate::Phase;

/// Whether accesses cost virtual time now. What is called most asks first, inline.
#[inline]
pub(in crate::simulated) fn is_charged() -> bool {
    CHARGED.get()
}

/// Whether locks account for their sites now.
#[inline]
pub(in crate::simulated) fn is_accounted() -> bool {
    ACCOUNTED.get()
}

/// Runs `step` on this thread's simulation. None: nothing is charged now.
#[inline]
fn charged<T>(step: impl FnOnce(&mut Sim) -> T) -> Option<T> {
    if !is_charged() {
        return None;
    }
    SIM.with_borrow_mut(|sim| sim.as_mut().map(step))
}

/// Runs `step` on this thread's simulation. None: there is none.
pub(in crate::simulated) fn with<T>(step: impl FnOnce(&mut Sim) -> T) -> Option<T> {
    SIM.with_borrow_mut(|sim| sim.as_mut().map(step))
}

/// Gives control to the scheduler until this CPU's next event. Inline, as is `complete`: each frame
/// between here and the access is lines of a stack that no cache of the host holds any more.
#[inline(always)]
fn suspend() {
    if std::thread::panicking() {
        return;
    }
    let yielder = with(|sim| sim.cpus[sim.me].yielder).expect("a simulated CPU runs");
    // SAFETY: this code runs on the coroutine that the yielder belongs to: `me` is the
    // CPU that was resumed, and it registered its own yielder before anything else.
    #[allow(unsafe_code)]
    unsafe {
        (*yielder).suspend(());
    }
}

/// One access of the running CPU; the caller makes its effect when this returns.
#[inline(never)]
fn access(address: usize, kind: Access) {
    if let Some(flow) = charged(|sim| sim.begin(address, kind)) {
        complete(address, kind, flow);
    }
}

/// Waits until an access that has begun is complete.
#[inline(always)]
fn complete(address: usize, kind: Access, begun: Flow) {
    match begun {
        Flow::Later => {
            suspend();
            if let Some(Flow::Sleep) = charged(|sim| sim.ask(address, kind)) {
                suspend();
            }
        }
        Flow::Sleep => suspend(),
        Flow::Done => (),
    }
}

/// Waits until no earlier event is left.
fn reach() {
    if charged(Sim::reach) == Some(false) {
        suspend();
    }
}

/// Charges a load. Some(bits): the value is in this CPU's own store buffer.
#[inline]
pub(in crate::simulated) fn read(address: usize, bytes: usize) -> Option<u64> {
    if is_charged() { charged_read(address, bytes) } else { None }
}

#[inline(never)]
fn charged_read(address: usize, bytes: usize) -> Option<u64> {
    let begun = charged(|sim| {
        sim.ordinary();
        match sim.forwarded(address, bytes) {
            Forwarded::Nothing => Ok(sim.begin(address, Access::Read)),
            buffered => Err(buffered),
        }
    });
    match begun {
        Some(Ok(flow)) => complete(address, Access::Read, flow),
        Some(Err(Forwarded::All(bits))) => return Some(bits),
        Some(Err(_)) => {
            drain();
            access(address, Access::Read);
        }
        None => (),
    }
    None
}

/// Charges a store. True: it is in the store buffer. False: the caller makes it now.
#[inline]
pub(in crate::simulated) fn write(address: usize, bytes: usize, bits: u64) -> bool {
    is_charged() && charged_write(address, bytes, bits)
}

#[inline(never)]
fn charged_write(address: usize, bytes: usize, bits: u64) -> bool {
    let stored = charged(|sim| {
        sim.ordinary();
        sim.store(address, bytes, bits)
    });
    match stored {
        Some(Flow::Later) => true,
        Some(Flow::Sleep) => {
            suspend();
            true
        }
        Some(Flow::Done) | None => false,
    }
}

/// Charges a locked instruction: when it returns, the line is this CPU's.
#[inline]
pub(in crate::simulated) fn own(address: usize) {
    if is_charged() {
        charged_own(address);
    }
}

#[inline(never)]
fn charged_own(address: usize) {
    let begun = charged(|sim| {
        sim.ordinary();
        let locked = Access::Write(sim.times.locked);
        (locked, if sim.must_drain() { None } else { Some(sim.begin(address, locked)) })
    });
    match begun {
        Some((locked, Some(flow))) => complete(address, locked, flow),
        Some((locked, None)) => {
            suspend();
            access(address, locked);
        }
        None => (),
    }
}

/// Waits until the store buffer is empty.
#[inline]
pub(in crate::simulated) fn drain() {
    if charged(Sim::must_drain) == Some(true) {
        suspend();
    }
}

/// smp_mb().
pub(in crate::simulated) fn fence() {
    drain();
    charged(|sim| sim.me().clock += sim.times.locked);
}

/// Sleeps until another CPU writes to the line of `address`, which this CPU has just read. False:
/// no other CPU is running that could.
pub(in crate::simulated) fn park(address: usize) -> bool {
    if charged(|sim| sim.park(address)).is_none() {
        return false;
    }
    suspend();
    true
}

/// `ns` nanoseconds of think time.
pub(in crate::simulated) fn work(ns: u64) {
    let Some(length) = charged(|sim| sim.jittered(ns * 1000)) else { return };
    if charged(|sim| sim.works_alone(length)) == Some(false) {
        reach();
        charged(|sim| sim.begin_work(length));
        suspend();
        charged(Sim::end_work);
    }
}

/// A PAUSE.
pub(in crate::simulated) fn relax() {
    charged(|sim| sim.me().clock += sim.times.pause);
}

/// Sleeps until the next jiffy begins, and up to a microsecond longer.
pub(in crate::simulated) fn sleep_jiffy() {
    charged(|sim| {
        let late = sim.rng.u64(0..1_000_000);
        let me = sim.me();
        me.clock = (me.clock / JIFFY + 1) * JIFFY + late;
    });
}

/// membarrier(2): drains all store buffers, at the price of an interrupt each.
pub(in crate::simulated) fn interrupt_all() {
    fence();
    reach();
    charged(Sim::interrupt_all);
}

/// Charges a look at each of `bytes` bytes of one line.
#[inline]
pub(in crate::simulated) fn scanned(bytes: usize) {
    charged(|sim| sim.me().clock += sim.times.scan_byte * bytes as u64);
}

/// Charges a bulk read of a whole line.
#[inline]
pub(in crate::simulated) fn read_line(address: usize) {
    access(address, Access::Read);
}

/// Charges a bulk write of a whole line: eight stores.
pub(in crate::simulated) fn write_line(address: usize) {
    if let Some(store) = charged(|sim| sim.times.store) {
        access(address, Access::Write(8 * store));
    }
}

/// The running CPU is in kernel function `function`.
#[inline]
pub(in crate::simulated) fn enter(function: &'static str) {
    charged(|sim| sim.memory.enter(sim.me, function));
}

/// Nanoseconds of the running CPU's clock.
pub(in crate::simulated) fn clock() -> u64 {
    with(|sim| sim.cpus.get(sim.me).map_or(sim.now, |me| me.clock) / 1000).unwrap_or(0)
}

/// The phase at the running CPU's clock.
pub(in crate::simulated) fn phase() -> Phase {
    let phase = with(|sim| sim.phase()).unwrap_or(Phase::Stop);
    if phase == Phase::Overrun {
        // Lets the other CPUs go on even if this CPU's operations touch nothing shared.
        reach();
    }
    phase
}

/// The running CPU has done so much since it began to count.
pub(in crate::simulated) fn reports(total: u64) {
    charged(|sim| sim.reports(total));
}

/// All workers together have ended a round of what they do.
pub(in crate::simulated) fn round_ended() {
    charged(|sim| {
        if sim.watch.as_ref().is_some_and(Watch::by_rounds) {
            sim.look();
        }
    });
}

/// A worker has stopped counting.
pub(in crate::simulated) fn window_closed() {
    with(|sim| sim.open_windows = sim.open_windows.saturating_sub(1));
}
