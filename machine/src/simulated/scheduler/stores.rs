//! Store buffers: stores block no CPU, commit in program order, and fetch their lines at the same
//! time. Guards that no other CPU sees a store before it commits, and that a CPU never reads a word
//! of which a store of its own has committed only a part.

use super::super::coherence::{Access, At, By, Start};
use super::event::What;
use super::{Flow, Sim};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

/// A store on its way to its line.
pub(super) struct Store {
    pub address: usize,
    bits: u64,
    bytes: usize,
    at: At,
    time: u64,
    /// A heavy fence has made it visible before its line arrived.
    applied: bool,
    /// Its line was requested ahead of its turn and has not arrived.
    prefetching: bool,
    /// Its turn has come.
    due: bool,
}

impl Store {
    pub(super) fn apply(&mut self) {
        if !std::mem::replace(&mut self.applied, true) {
            write_word(self.address, self.bytes, self.bits);
        }
    }
}

/// Stores the low `bytes` of `bits` at `address`.
pub(in crate::simulated) fn write_word(address: usize, bytes: usize, bits: u64) {
    // SAFETY: the address is that of a cell of at least this size in a registered region,
    // aligned as its size; pending stores to a region are applied before it is given
    // back. Cells are std atomics, and one host thread runs all of a simulation.
    #[allow(unsafe_code)]
    unsafe {
        match bytes {
            1 => (*(address as *const AtomicU8)).store(bits as u8, Relaxed),
            2 => (*(address as *const AtomicU16)).store(bits as u16, Relaxed),
            4 => (*(address as *const AtomicU32)).store(bits as u32, Relaxed),
            _ => (*(address as *const AtomicU64)).store(bits, Relaxed),
        }
    }
}

/// Entries of a store buffer (Skylake: 56).
const BUFFER: usize = 56;
/// A load's bytes in its CPU's store buffer.
pub(super) enum Forwarded {
    Nothing,
    All(u64),
    /// Bytes of a store of another size: x86 waits until the store is done.
    Part,
}

impl Sim {
    /// A region is freed: buffered stores to it take effect at once.
    pub fn unregister(&mut self, base: usize) {
        let Some((base, end)) = self.memory.unregister(base) else { return };
        for cpu in &mut self.cpus {
            for store in cpu.buffer.iter_mut().filter(|s| (base..end).contains(&s.address)) {
                store.apply();
            }
        }
    }

    /// The running CPU's last buffered store at `address`, which no other CPU sees yet.
    pub(super) fn forwarded(&mut self, address: usize, bytes: usize) -> Forwarded {
        let hit = self.times.hit;
        let me = self.me();
        let touches =
            |s: &&Store| !s.applied && s.address < address + bytes && address < s.address + s.bytes;
        match me.buffer.iter().rev().find(touches) {
            Some(mine) if (mine.address, mine.bytes) == (address, bytes) => {
                me.clock += hit;
                Forwarded::All(mine.bits)
            }
            Some(_) => Forwarded::Part,
            None => Forwarded::Nothing,
        }
    }

    /// Done: the caller stores now. Later: the store is in the buffer. Sleep: it is, and the buffer
    /// is full.
    pub(super) fn store(&mut self, address: usize, bytes: usize, bits: u64) -> Flow {
        let (me, cost) = (self.me, self.times.store);
        self.cpus[me].clock += cost;
        let time = self.cpus[me].clock;
        let at = self.memory.locate(address);
        let earliest = self.queue.peek().is_none_or(|event| event.time > time);
        if earliest && self.cpus[me].buffer.is_empty() && self.memory.owns(at, me, time) {
            self.now = time;
            self.events += 1;
            let Start::Done(done) =
                self.memory.request(at, me, Access::Write(cost), By::Store, time)
            else {
                unreachable!("the line is this CPU's alone");
            };
            self.wake(at, done);
            return Flow::Done;
        }
        let buffer = &mut self.cpus[me].buffer;
        let fresh = !buffer.iter().any(|s| s.at.same_line(&at));
        let (prefetching, due) = (false, false);
        buffer.push_back(Store {
            address,
            bits,
            bytes,
            at,
            time,
            applied: false,
            prefetching,
            due,
        });
        let (length, full) = (buffer.len(), buffer.len() >= BUFFER);
        if length == 1 {
            self.schedule(time, What::Drain(me as u16));
        } else if fresh {
            self.schedule(time, What::Prefetch(me as u16, at));
        }
        self.cpus[me].fenced = full;
        if full { Flow::Sleep } else { Flow::Later }
    }

    /// A store that is not the oldest asks for its line: commits are in order, but their transfers
    /// overlap.
    pub(super) fn prefetch(&mut self, cpu: usize, at: At) {
        let mut buffered = self.cpus[cpu].buffer.iter_mut().skip(1);
        let Some(store) = buffered.find(|s| s.at.same_line(&at)) else { return };
        if !self.memory.exists(at) {
            return;
        }
        self.memory.counting = self.now >= self.window.0 && self.now < self.window.1;
        let asked = self.memory.request(at, cpu, Access::Write(0), By::Prefetch, self.now);
        store.prefetching = matches!(asked, Start::Queued(_));
        if let Start::Queued(Some(time)) = asked {
            self.schedule(time, What::Free(at));
        }
    }

    pub(super) fn prefetched(&mut self, cpu: usize, at: At, done: u64) {
        let mut buffered = self.cpus[cpu].buffer.iter_mut();
        let Some(store) = buffered.find(|s| s.prefetching && s.at.same_line(&at)) else { return };
        store.prefetching = false;
        if store.due {
            self.wake(at, done);
            self.stored(cpu, done);
        }
    }

    pub(super) fn drain_one(&mut self, cpu: usize) {
        let store = self.cpus[cpu].buffer.front_mut().expect("drained while it has a store");
        store.due = true;
        if store.prefetching {
            return;
        }
        let at = store.at;
        if !self.memory.exists(at) {
            return self.stored(cpu, self.now);
        }
        self.memory.counting = self.now >= self.window.0 && self.now < self.window.1;
        let keep = Access::Write(self.times.store);
        match self.memory.request(at, cpu, keep, By::Store, self.now) {
            Start::Done(done) => {
                self.wake(at, done);
                self.stored(cpu, done);
            }
            Start::Queued(Some(time)) => self.schedule(time, What::Free(at)),
            Start::Queued(None) => (),
        }
    }

    /// The oldest store of `cpu` takes effect; the next one may ask at `done`.
    pub(super) fn stored(&mut self, cpu: usize, done: u64) {
        let cpu_state = &mut self.cpus[cpu];
        cpu_state.buffer.front_mut().expect("it was drained").apply();
        cpu_state.buffer.pop_front();
        if let Some(next) = cpu_state.buffer.front() {
            let time = done.max(next.time);
            self.schedule(time, What::Drain(cpu as u16));
        } else if std::mem::take(&mut cpu_state.fenced) {
            let time = done.max(cpu_state.clock);
            self.resume_at(time, cpu);
        }
    }

    pub(super) fn must_drain(&mut self) -> bool {
        let me = self.me();
        me.fenced = !me.buffer.is_empty();
        me.fenced
    }
}
