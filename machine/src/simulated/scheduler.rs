//! Virtual time: one event queue, one coroutine a CPU, store buffers, phases. Guards
//! that shared accesses take effect in the order of virtual time whatever the host
//! does, and that a run in which nobody can go on ends with who waits for what.
//!
//! A CPU runs ahead on its own clock until it touches shared memory; there it waits
//! until no earlier event is left. Everything here is integer picoseconds.

use super::account::Account;
use super::coherence::{Access, At, By, Grant, Memory, Start};
use super::{Config, Preemption};
use crate::Phase;
use corosensei::Yielder;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

#[derive(Clone, Copy, Debug)]
enum What {
    /// A CPU goes on, if it is still this generation of its sleep.
    Resume(usize, u32),
    /// The oldest store of a CPU's buffer asks for its line.
    Drain(usize),
    /// A younger one does, ahead of its turn.
    Prefetch(usize, At),
    /// A line may be free for those who queue for it.
    Free(At),
}

struct Event {
    time: u64,
    /// Random, then in order of creation: breaks ties of time.
    tie: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.tie) == (other.time, other.tie)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.tie).cmp(&(other.time, other.tie))
    }
}

/// A store on its way to its line.
struct Store {
    address: usize,
    bits: u64,
    bytes: usize,
    at: At,
    time: u64,
    /// A heavy fence has made it visible before its line came.
    applied: bool,
    /// Its line has been asked for ahead of its turn and is not there yet.
    prefetching: bool,
    /// Its turn has come meanwhile.
    due: bool,
}

impl Store {
    fn apply(&mut self) {
        if !std::mem::replace(&mut self.applied, true) {
            write_word(self.address, self.bytes, self.bits);
        }
    }
}

pub(super) fn write_word(address: usize, bytes: usize, bits: u64) {
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
/// A run that is this long past its end, or past its start if it has none, is stuck.
const PATIENCE: u64 = 10_000_000_000_000;
/// One jiffy at HZ=250.
const JIFFY: u64 = 4_000_000_000;

/// Think time in progress, for CPUs whose siblings run too.
struct Work {
    left: u64,
    since: u64,
    /// Thousandths that it takes now.
    pace: u64,
}

struct Virtual {
    clock: u64,
    generation: u32,
    /// When the access it sleeps for is done.
    granted: Option<u64>,
    buffer: VecDeque<Store>,
    /// Sleeps until its buffer is empty.
    fenced: bool,
    work: Option<Work>,
    /// Time that interrupts took and that it has yet to spend.
    debt: u64,
    preempted_at: u64,
    waits_for: Option<At>,
    yielder: *const Yielder<(), ()>,
    ended: bool,
}

/// What a load finds in its CPU's store buffer.
enum Forwarded {
    Nothing,
    All(u64),
    /// Bytes of a store of another size: x86 waits until the store is done.
    Part,
}

/// What an access does next.
enum Flow {
    Done,
    /// Others come first: ask again when this CPU runs next.
    Later,
    /// The access is complete when this CPU runs next.
    Sleep,
}

struct Times {
    hit: u64,
    store: u64,
    locked: u64,
    pause: u64,
    scan_byte: u64,
    ipi: u64,
    ipi_per_cpu: u64,
    ipi_handler: u64,
    nearest_first: u64,
    jitter: u64,
    smt_slowdown: u64,
    threads_a_core: u64,
}

pub(super) struct Sim {
    memory: Memory,
    queue: BinaryHeap<Reverse<Event>>,
    created: u32,
    rng: fastrand::Rng,
    now: u64,
    me: usize,
    cpus: Vec<Virtual>,
    times: Times,
    preemption: Option<Preemption>,
    /// The measured window; u64::MAX: no clock, everything is measured.
    window: (u64, u64),
    open_windows: usize,
    /// Off while `setup` and `finish` run and after a failure.
    charged: bool,
    failure: Option<String>,
    events: u64,
}

thread_local! {
    static SIM: RefCell<Option<Sim>> = const { RefCell::new(None) };
}

/// The simulation of this thread until the value is dropped.
pub(super) struct Installed;

impl Installed {
    pub fn new(config: &Config) -> Self {
        let before = SIM.replace(Some(Sim::new(config)));
        assert!(before.is_none(), "a simulation inside a simulation");
        Self
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        SIM.set(None);
    }
}

/// None where nothing is charged.
fn charged<T>(step: impl FnOnce(&mut Sim) -> T) -> Option<T> {
    SIM.with_borrow_mut(|sim| sim.as_mut().filter(|s| s.charged).map(step))
}

pub(super) fn with<T>(step: impl FnOnce(&mut Sim) -> T) -> Option<T> {
    SIM.with_borrow_mut(|sim| sim.as_mut().map(step))
}

/// Back to the scheduler until this CPU's next event.
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

/// One access of the running CPU; when it returns, the effect may be made.
fn access(address: usize, kind: Access) {
    let first = charged(|sim| if sim.reach() { sim.ask(address, kind) } else { Flow::Later });
    match first {
        Some(Flow::Later) => {
            suspend();
            if let Some(Flow::Sleep) = charged(|sim| sim.ask(address, kind)) {
                suspend();
            }
        }
        Some(Flow::Sleep) => suspend(),
        Some(Flow::Done) | None => (),
    }
}

/// Waits until no earlier event is left.
fn reach() {
    if charged(Sim::reach) == Some(false) {
        suspend();
    }
}

/// Charges a load. Some(bits): the value is in this CPU's own store buffer.
pub(super) fn read(address: usize, bytes: usize) -> Option<u64> {
    match charged(|sim| sim.forwarded(address, bytes)) {
        Some(Forwarded::All(bits)) => return Some(bits),
        Some(Forwarded::Part) => drain(),
        Some(Forwarded::Nothing) | None => (),
    }
    access(address, Access::Read);
    None
}

/// Charges a store. False: the caller has to make it, now.
pub(super) fn write(address: usize, bytes: usize, bits: u64) -> bool {
    match charged(|sim| sim.store(address, bytes, bits)) {
        Some(Flow::Later) => true,
        Some(Flow::Sleep) => {
            suspend();
            true
        }
        Some(Flow::Done) | None => false,
    }
}

/// Charges a locked instruction: when it returns, the line is this CPU's.
pub(super) fn own(address: usize) {
    drain();
    if let Some(locked) = charged(|sim| sim.times.locked) {
        access(address, Access::Write(locked));
    }
}

/// Waits until the store buffer is empty.
pub(super) fn drain() {
    if charged(Sim::must_drain) == Some(true) {
        suspend();
    }
}

/// smp_mb().
pub(super) fn fence() {
    drain();
    charged(|sim| sim.me().clock += sim.times.locked);
}

/// Sleeps until another CPU writes to the line of `address`, which this CPU has just
/// read. False: nobody else could ever write there.
pub(super) fn park(address: usize) -> bool {
    if charged(|sim| sim.park(address)).is_none() {
        return false;
    }
    suspend();
    true
}

/// `ns` of think time.
pub(super) fn work(ns: u64) {
    let Some(length) = charged(|sim| sim.jittered(ns * 1000)) else { return };
    if charged(|sim| sim.works_alone(length)) == Some(false) {
        reach();
        charged(|sim| sim.begin_work(length));
        suspend();
        charged(Sim::end_work);
    }
}

pub(super) fn relax() {
    charged(|sim| sim.me().clock += sim.times.pause);
}

/// Until the next jiffy begins.
pub(super) fn sleep_jiffy() {
    charged(|sim| {
        let late = sim.rng.u64(0..1_000_000);
        let me = sim.me();
        me.clock = (me.clock / JIFFY + 1) * JIFFY + late;
    });
}

/// membarrier(2): drains all store buffers, at the price of an interrupt each.
pub(super) fn interrupt_all() {
    fence();
    reach();
    charged(Sim::interrupt_all);
}

/// `bytes` looked at in bulk, all in one line.
pub(super) fn scanned(bytes: usize) {
    charged(|sim| sim.me().clock += sim.times.scan_byte * bytes as u64);
}

/// Charges a bulk access to a whole line.
pub(super) fn read_line(address: usize) {
    access(address, Access::Read);
}

pub(super) fn write_line(address: usize) {
    if let Some(store) = charged(|sim| sim.times.store) {
        access(address, Access::Write(8 * store));
    }
}

pub(super) fn enter(function: &'static str) {
    charged(|sim| sim.memory.enter(sim.me, function));
}

/// Nanoseconds of the running CPU's clock.
pub(super) fn clock() -> u64 {
    with(|sim| sim.cpus.get(sim.me).map_or(sim.now, |me| me.clock) / 1000).unwrap_or(0)
}

pub(super) fn phase() -> Phase {
    let phase = with(|sim| sim.phase()).unwrap_or(Phase::Stop);
    if phase == Phase::Overrun {
        // Lets the others go on even if this CPU's operations touch nothing shared.
        reach();
    }
    phase
}

pub(super) fn window_closed() {
    with(|sim| sim.open_windows = sim.open_windows.saturating_sub(1));
}

impl Sim {
    fn new(config: &Config) -> Self {
        let (cost, shape) = (&config.model.cost, &config.model.shape);
        let workers = config.pins.len();
        let window = match config.measure_ns {
            u64::MAX => (0, u64::MAX),
            ns => (config.warm_ns * 1000, (config.warm_ns + ns) * 1000),
        };
        let mut rng = fastrand::Rng::with_seed(config.seed);
        let first = |rng: &mut fastrand::Rng, p: &Preemption| rng.u64(0..=2 * p.every_ns * 1000);
        let cpu = |rng: &mut fastrand::Rng| Virtual {
            clock: 0,
            generation: 0,
            granted: None,
            buffer: VecDeque::new(),
            fenced: false,
            work: None,
            debt: 0,
            preempted_at: config.preemption.as_ref().map_or(u64::MAX, |p| first(rng, p)),
            waits_for: None,
            yielder: std::ptr::null(),
            ended: false,
        };
        Self {
            memory: Memory::new(&config.model, &config.pins),
            queue: BinaryHeap::new(),
            created: 0,
            now: 0,
            me: workers,
            cpus: (0..workers).map(|_| cpu(&mut rng)).collect(),
            rng,
            times: Times {
                hit: cost.hit.ps(),
                store: cost.store.ps(),
                locked: cost.locked.ps(),
                pause: cost.pause.ps(),
                scan_byte: cost.scan_byte.ps(),
                ipi: cost.ipi.ps(),
                ipi_per_cpu: cost.ipi_per_cpu.ps(),
                ipi_handler: cost.ipi_handler.ps(),
                nearest_first: shape.nearest_first.permille(),
                jitter: shape.jitter.permille(),
                smt_slowdown: shape.smt_slowdown.permille(),
                threads_a_core: config.model.topology.smt as u64,
            },
            preemption: config.preemption,
            window,
            open_windows: workers,
            charged: false,
            failure: None,
            events: 0,
        }
    }

    pub fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// A region goes: what was to be stored there is stored at once.
    pub fn unregister(&mut self, base: usize) {
        let Some((base, end)) = self.memory.unregister(base) else { return };
        for cpu in &mut self.cpus {
            for store in cpu.buffer.iter_mut().filter(|s| (base..end).contains(&s.address)) {
                store.apply();
            }
        }
    }

    /// The workers start, each within the first half microsecond.
    pub fn start(&mut self) {
        self.charged = true;
        for cpu in 0..self.cpus.len() {
            let at = self.rng.u64(0..500_000);
            self.resume_at(at, cpu);
        }
    }

    /// `setup`, `finish` and whatever a failed worker left behind are not charged.
    pub fn stop(&mut self) {
        self.charged = false;
    }

    /// The running CPU's coroutine has begun.
    pub fn began(&mut self, yielder: *const Yielder<(), ()>) {
        self.me().yielder = yielder;
    }

    /// The running CPU has nothing more to do; its buffer still drains.
    pub fn ended(&mut self) {
        self.me().ended = true;
    }

    pub fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    pub fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    pub fn account(&self) -> Account {
        let mut account =
            Account { events: self.events, virtual_ps: self.now, ..Account::default() };
        self.memory.account(&mut account);
        account.sort();
        account
    }

    fn me(&mut self) -> &mut Virtual {
        &mut self.cpus[self.me]
    }

    fn schedule(&mut self, time: u64, what: What) {
        self.created = self.created.wrapping_add(1);
        let tie = u64::from(self.rng.u32(..)) << 32 | u64::from(self.created);
        self.queue.push(Reverse(Event { time, tie, what }));
    }

    fn resume_at(&mut self, time: u64, cpu: usize) {
        let generation = self.cpus[cpu].generation;
        self.schedule(time, What::Resume(cpu, generation));
    }

    /// The CPU to run next; None when there is none.
    pub fn next(&mut self) -> Option<usize> {
        while self.failure.is_none() {
            let Some(Reverse(event)) = self.queue.pop() else { break };
            self.now = event.time;
            self.events += 1;
            match event.what {
                What::Resume(cpu, generation) if self.cpus[cpu].generation == generation => {
                    let virtual_cpu = &mut self.cpus[cpu];
                    virtual_cpu.clock = match virtual_cpu.granted.take() {
                        Some(done) => done,
                        None => virtual_cpu.clock.max(event.time),
                    };
                    self.me = cpu;
                    self.check_patience();
                    return Some(cpu);
                }
                What::Resume(..) => (),
                background => self.handle(background),
            }
        }
        self.check_deadlock();
        None
    }

    fn check_patience(&mut self) {
        let end = if self.window.1 == u64::MAX { 0 } else { self.window.1 };
        if self.now > end + PATIENCE {
            self.fail(format!(
                "no end in sight after {} ms of virtual time",
                self.now / 1_000_000_000
            ));
        }
    }

    fn check_deadlock(&mut self) {
        if self.failure.is_some() || self.cpus.iter().all(|c| c.ended) {
            return;
        }
        let waiting = (0..self.cpus.len()).filter(|&n| !self.cpus[n].ended).map(|n| {
            let cell = self.cpus[n].waits_for.map_or("nothing".into(), |at| self.memory.name(at));
            format!("CPU {n} waits for {cell}")
        });
        let waiting: Vec<_> = waiting.collect();
        self.failure = Some(format!("deadlock: {}", waiting.join(", ")));
    }

    fn handle(&mut self, what: What) {
        match what {
            What::Drain(cpu) => self.drain_one(cpu),
            What::Prefetch(cpu, at) => self.prefetch(cpu, at),
            What::Free(at) if self.memory.exists(at) => self.serve(at),
            What::Free(_) | What::Resume(..) => (),
        }
    }

    /// Does what is due before the running CPU's clock. False: another CPU is earlier,
    /// and this one will run again when it is its turn.
    fn reach(&mut self) -> bool {
        let me = self.me;
        self.pass_interrupts();
        let time = self.cpus[me].clock;
        loop {
            match self.queue.peek() {
                Some(Reverse(event)) if event.time <= time => match event.what {
                    What::Resume(cpu, generation) if self.cpus[cpu].generation == generation => {
                        self.resume_at(time, me);
                        return false;
                    }
                    _ => {
                        let Reverse(event) = self.queue.pop().expect("it was peeked at");
                        self.now = event.time;
                        self.events += 1;
                        self.handle(event.what);
                    }
                },
                _ => break,
            }
        }
        self.now = time;
        self.events += 1;
        true
    }

    fn pass_interrupts(&mut self) {
        let me = &mut self.cpus[self.me];
        me.clock += std::mem::take(&mut me.debt);
        if me.clock >= me.preempted_at
            && let Some(Preemption { every_ns, for_ns }) = self.preemption
        {
            me.clock += for_ns * 1000;
            me.preempted_at = me.clock + self.rng.u64(0..=2 * every_ns * 1000);
        }
    }

    /// Asks for a line at this very moment, which is the running CPU's turn.
    fn ask(&mut self, address: usize, access: Access) -> Flow {
        let at = self.memory.locate(address);
        self.memory.counting = self.now >= self.window.0 && self.now < self.window.1;
        match self.memory.request(at, self.me, access, By::Instruction, self.now) {
            Start::Done(done) => {
                self.me().clock = done;
                if access != Access::Read {
                    self.wake(at, done);
                }
                Flow::Done
            }
            Start::Queued(watch) => {
                if let Some(time) = watch {
                    self.schedule(time, What::Free(at));
                }
                self.me().waits_for = Some(at);
                Flow::Sleep
            }
        }
    }

    fn wake(&mut self, at: At, done: u64) {
        for cpu in self.memory.wake(at) {
            let cpu = cpu as usize;
            let late = self.rng.u64(0..=self.times.pause + self.times.hit);
            let time = done.max(self.cpus[cpu].clock) + late;
            self.resume_at(time, cpu);
        }
    }

    /// Serves those who queue for a line, as far as the line is free.
    fn serve(&mut self, at: At) {
        self.memory.counting = self.now >= self.window.0 && self.now < self.window.1;
        loop {
            let near = self.rng.u64(0..1000) < self.times.nearest_first;
            match self.memory.grant(at, near, self.now) {
                Grant::Nobody => return,
                Grant::Later(time) => {
                    let time = time.max(self.now + 1);
                    self.schedule(time, What::Free(at));
                    return;
                }
                Grant::To(request, done) => {
                    if request.access != Access::Read && request.by != By::Prefetch {
                        self.wake(at, done);
                    }
                    match request.by {
                        By::Store => self.stored(request.who, done),
                        By::Prefetch => self.prefetched(request.who, at, done),
                        By::Instruction => {
                            self.cpus[request.who].granted = Some(done);
                            self.resume_at(self.now, request.who);
                        }
                    }
                }
            }
        }
    }

    /// What the running CPU itself last stored at `address` and nobody sees yet.
    fn forwarded(&mut self, address: usize, bytes: usize) -> Forwarded {
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

    /// Done: the caller stores now. Later: it is in the buffer.
    fn store(&mut self, address: usize, bytes: usize, bits: u64) -> Flow {
        let (me, cost) = (self.me, self.times.store);
        self.cpus[me].clock += cost;
        let time = self.cpus[me].clock;
        let at = self.memory.locate(address);
        let earliest = self.queue.peek().is_none_or(|Reverse(event)| event.time > time);
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
            self.schedule(time, What::Drain(me));
        } else if fresh {
            self.schedule(time, What::Prefetch(me, at));
        }
        self.cpus[me].fenced = full;
        if full { Flow::Sleep } else { Flow::Later }
    }

    /// A store that is not the oldest asks for its line: commits are in order, the
    /// transfers before them overlap.
    fn prefetch(&mut self, cpu: usize, at: At) {
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

    fn prefetched(&mut self, cpu: usize, at: At, done: u64) {
        let mut buffered = self.cpus[cpu].buffer.iter_mut();
        let Some(store) = buffered.find(|s| s.prefetching && s.at.same_line(&at)) else { return };
        store.prefetching = false;
        if store.due {
            self.wake(at, done);
            self.stored(cpu, done);
        }
    }

    fn drain_one(&mut self, cpu: usize) {
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
    fn stored(&mut self, cpu: usize, done: u64) {
        let cpu_state = &mut self.cpus[cpu];
        cpu_state.buffer.pop_front().expect("it was drained").apply();
        if let Some(next) = cpu_state.buffer.front() {
            let time = done.max(next.time);
            self.schedule(time, What::Drain(cpu));
        } else if std::mem::take(&mut cpu_state.fenced) {
            let time = done.max(cpu_state.clock);
            self.resume_at(time, cpu);
        }
    }

    fn must_drain(&mut self) -> bool {
        let me = self.me();
        me.fenced = !me.buffer.is_empty();
        me.fenced
    }

    fn park(&mut self, address: usize) {
        let at = self.memory.locate(address);
        self.memory.park(at, self.me);
        self.me().waits_for = Some(at);
    }

    fn jittered(&mut self, length: u64) -> u64 {
        let spread = length / 1000 * self.times.jitter;
        length - spread + self.rng.u64(0..=2 * spread)
    }

    /// True: no sibling thread takes part in this run, the time is charged already.
    fn works_alone(&mut self, length: u64) -> bool {
        let alone = self.memory.mates(self.me).is_empty() || self.times.smt_slowdown == 1000;
        if alone {
            self.me().clock += length;
        }
        alone
    }

    fn begin_work(&mut self, length: u64) {
        let (me, now) = (self.me, self.now);
        let pace = self.pace(me);
        self.cpus[me].work = Some(Work { left: length, since: now, pace });
        self.sleep_for_work(me);
        self.repace_mates();
    }

    fn end_work(&mut self) {
        self.me().work = None;
        self.repace_mates();
    }

    /// Thousandths that think time of `cpu` takes while those of its core think who do.
    fn pace(&self, cpu: usize) -> u64 {
        let busy = self.memory.mates(cpu).iter().filter(|&&m| self.cpus[m].work.is_some());
        let others = self.times.threads_a_core.saturating_sub(1).max(1);
        1000 + (self.times.smt_slowdown - 1000) * busy.count() as u64 / others
    }

    /// The running CPU works, or no longer: what its core's other threads have left takes
    /// another time from now on.
    fn repace_mates(&mut self) {
        for n in 0..self.memory.mates(self.me).len() {
            let mate = self.memory.mates(self.me)[n];
            let (now, pace) = (self.now, self.pace(mate));
            let Some(work) = &mut self.cpus[mate].work else { continue };
            let worked = (now - work.since) * 1000 / work.pace;
            *work = Work { left: work.left.saturating_sub(worked), since: now, pace };
            self.cpus[mate].generation += 1;
            self.sleep_for_work(mate);
        }
    }

    fn sleep_for_work(&mut self, cpu: usize) {
        let work = self.cpus[cpu].work.as_ref().expect("it works");
        let takes = work.left * work.pace / 1000;
        self.resume_at(self.now + takes, cpu);
    }

    fn interrupt_all(&mut self) {
        let (me, handler) = (self.me, self.times.ipi_handler);
        let mut hit = 0;
        for (n, cpu) in self.cpus.iter_mut().enumerate().filter(|(_, c)| !c.ended) {
            cpu.buffer.iter_mut().for_each(Store::apply);
            if n != me {
                cpu.debt += handler;
                hit += 1;
            }
        }
        self.cpus[me].clock += self.times.ipi + hit * self.times.ipi_per_cpu;
    }

    fn phase(&self) -> Phase {
        let clock = self.cpus.get(self.me).map_or(self.now, |me| me.clock);
        match self.window {
            _ if self.failure.is_some() => Phase::Stop,
            (_, u64::MAX) => Phase::Measure,
            (warm, _) if clock < warm => Phase::Warm,
            (_, end) if clock < end => Phase::Measure,
            _ if self.open_windows > 0 => Phase::Overrun,
            _ => Phase::Stop,
        }
    }
}
