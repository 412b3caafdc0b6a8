//! Virtual time: one event queue, one coroutine per CPU, store buffers, phases. Guards that shared
//! accesses take effect in the order of virtual time whatever the host does, and that a run in
//! which no CPU can go on ends with a list of what each waits for.
//!
//! A CPU runs ahead on its own clock until it touches shared memory; there it waits until no
//! earlier event is left. All times here are integer picoseconds.

mod access;
mod event;
mod queue;
mod stores;
mod think;

pub(super) use access::*;
pub(super) use stores::write_word;

use super::account::Account;
use super::coherence::{Access, At, By, Grant, Memory, Start};
use super::config::{Config, Preemption};
use super::model::Time;
use super::precision::{Look, Watch};
use crate::Phase;
use crate::region::Kept;
use corosensei::Yielder;
use event::What;
use queue::{Event, Queue};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use stores::Store;
use think::Work;

/// A run is stuck when it is this long past its window, or past its start if it has no window.
const PATIENCE: u64 = 10_000_000_000_000;
/// How many accesses, with the ordinary instructions before each, a core begins while a transfer is
/// under way: with twelve instructions each that is 500 (reorder buffers hold 224 to 512).
const LOOK_AHEAD: u64 = 40;
/// One jiffy at HZ=250.
const JIFFY: u64 = 4_000_000_000;

/// A virtual CPU. What every access looks at comes first, on one line of the host's cache.
#[repr(C, align(64))]
struct Virtual {
    clock: u64,
    /// When the access that it sleeps for is done.
    granted: Option<u64>,
    /// Ordinary instructions that it ran during its last transfer, as time: the next accesses do
    /// not pay for them.
    ahead: u64,
    /// Time that interrupts took and that its clock does not have yet.
    debt: u64,
    /// When it is taken away next.
    preempted_at: u64,
    /// Events that resume an older generation are void.
    generation: u32,
    /// Sleeps until its buffer is empty.
    fenced: bool,
    buffer: VecDeque<Store>,
    work: Option<Work>,
    /// The cell that it waits for, or waited for last: for messages.
    waits_for: Option<At>,
    yielder: *const Yielder<(), ()>,
    ended: bool,
}

/// How an access goes on.
enum Flow {
    /// The caller makes its effect now.
    Done,
    /// Other events are earlier: ask again when this CPU runs next.
    Later,
    /// The access is complete when this CPU runs next.
    Sleep,
}

/// The model's costs in picoseconds and ratios in thousandths.
struct Times {
    hit: u64,
    store: u64,
    locked: u64,
    ordinary: u64,
    pause: u64,
    scan_byte: u64,
    ipi: u64,
    ipi_per_cpu: u64,
    ipi_handler: u64,
    nearest_first: u64,
    jitter: u64,
    smt_slowdown: u64,
    threads_per_core: u64,
}

/// A simulation.
pub(super) struct Sim {
    memory: Memory,
    queue: Queue,
    /// Number of events created, modulo 2^32.
    created: u32,
    rng: fastrand::Rng,
    /// The time of the current event.
    now: u64,
    /// The running CPU; the number of workers while the set-up CPU runs.
    me: usize,
    cpus: Vec<Virtual>,
    times: Times,
    preemption: Option<Preemption>,
    /// The measured window. (0, u64::MAX): no clock, everything is measured.
    window: (u64, u64),
    /// Decides the window, where nothing else does.
    watch: Option<Watch>,
    /// When it looks next.
    next_look: u64,
    /// Workers that have not closed their window.
    open_windows: usize,
    /// Regions that were there before `setup`, and after it.
    before_setup: usize,
    after_setup: usize,
    /// Locks account for their sites.
    sites: bool,
    failure: Option<String>,
    events: u64,
}

thread_local! {
    static SIM: RefCell<Option<Sim>> = const { RefCell::new(None) };
    /// Off while `setup` and `finish` run and after a failure. Beside the simulation, so that a
    /// set-up of millions of operations pays next to nothing for each access.
    static CHARGED: Cell<bool> = const { Cell::new(false) };
    /// Whether locks account for their sites while accesses are charged.
    static ACCOUNTED: Cell<bool> = const { Cell::new(false) };
}

fn charge(accesses: bool, sites: bool) {
    CHARGED.set(accesses);
    ACCOUNTED.set(sites);
}

/// Keeps a simulation in its thread-local place until it is dropped.
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
        charge(false, false);
    }
}

impl Sim {
    fn new(config: &Config) -> Self {
        let (cost, shape) = (&config.model.cost, &config.model.shape);
        let workers = config.pins.len();
        let window = match config.measure_ns {
            _ if config.precision.is_some() => (u64::MAX, u64::MAX),
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
            ahead: 0,
            debt: 0,
            preempted_at: config.preemption.as_ref().map_or(u64::MAX, |p| first(rng, p)),
            waits_for: None,
            yielder: std::ptr::null(),
            ended: false,
        };
        Self {
            memory: Memory::new(&config.model, &config.pins),
            queue: Queue::new(),
            created: 0,
            now: 0,
            me: workers,
            cpus: (0..workers).map(|_| cpu(&mut rng)).collect(),
            rng,
            times: Times {
                hit: cost.hit.ps(),
                store: cost.store.ps(),
                locked: cost.locked.ps(),
                ordinary: cost.ordinary.as_ref().map_or(0, Time::ps),
                pause: cost.pause.ps(),
                scan_byte: cost.scan_byte.ps(),
                ipi: cost.ipi.ps(),
                ipi_per_cpu: cost.ipi_per_cpu.ps(),
                ipi_handler: cost.ipi_handler.ps(),
                nearest_first: shape.nearest_first.permille(),
                jitter: shape.jitter.permille(),
                smt_slowdown: shape.smt_slowdown.permille(),
                threads_per_core: config.model.topology.smt as u64,
            },
            preemption: config.preemption,
            window,
            watch: config.precision.map(|precision| Watch::new(precision, workers)),
            next_look: if config.precision.is_some() { 0 } else { u64::MAX },
            open_windows: workers,
            before_setup: 0,
            after_setup: 0,
            sites: config.sites,
            failure: None,
            events: 0,
        }
    }

    pub fn memory(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub fn setup_begins(&mut self) {
        self.before_setup = self.memory.regions();
    }

    /// What `setup` has made.
    pub fn keep(&self) -> Kept {
        Kept::of(self.memory.since(self.before_setup))
    }

    /// Starts the workers, each at a random time within the first half microsecond.
    pub fn start(&mut self) {
        charge(true, self.sites);
        self.after_setup = self.memory.regions();
        for cpu in 0..self.cpus.len() {
            let at = self.rng.u64(0..500_000);
            self.resume_at(at, cpu);
        }
    }

    /// Ends the charging: `finish`, and the destructors of a failed worker, cost nothing.
    pub fn stop(&mut self) {
        charge(false, false);
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
        account.grew = self.memory.regions() > self.after_setup;
        account.known = self.watch.as_ref().and_then(|watch| watch.known);
        self.memory.account(&mut account);
        account.sort();
        account
    }

    fn me(&mut self) -> &mut Virtual {
        &mut self.cpus[self.me]
    }

    /// Inline, so that the event is made where it stays.
    #[inline(always)]
    fn schedule(&mut self, time: u64, what: What) {
        self.created = self.created.wrapping_add(1);
        let tie = u64::from(self.rng.u32(..)) << 32 | u64::from(self.created);
        self.queue.push(time, tie, what);
    }

    fn resume_at(&mut self, time: u64, cpu: usize) {
        let generation = self.cpus[cpu].generation;
        self.schedule(time, What::Resume(cpu as u16, generation));
    }

    /// The CPU that goes on by this event. None: the event is another, or void.
    #[inline]
    fn resumed(&self, what: What) -> Option<usize> {
        match what {
            What::Resume(cpu, generation) => {
                Some(cpu as usize).filter(|&cpu| self.cpus[cpu].generation == generation)
            }
            _ => None,
        }
    }

    /// The CPU to run next; None when there is none.
    pub fn next(&mut self) -> Option<usize> {
        while self.failure.is_none() {
            let Some((time, what)) = self.queue.pop() else { break };
            self.now = time;
            self.events += 1;
            let Some(cpu) = self.resumed(what) else {
                self.handle(what);
                continue;
            };
            match self.cpus[cpu].granted.take() {
                Some(done) => self.arrived(cpu, done),
                None => self.cpus[cpu].clock = self.cpus[cpu].clock.max(time),
            }
            self.me = cpu;
            self.check_patience();
            return Some(cpu);
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
            What::Drain(cpu) => self.drain_one(cpu as usize),
            What::Prefetch(cpu, at) => self.prefetch(cpu as usize, at),
            What::Free(at) if self.memory.exists(at) => self.serve(at),
            What::Free(_) | What::Resume(..) => (),
        }
    }

    /// Charges the ordinary instructions before an access.
    fn ordinary(&mut self) {
        let each = self.times.ordinary;
        let me = self.me();
        let done = me.ahead.min(each);
        me.ahead -= done;
        me.clock += each - done;
    }

    /// Asks for a line if it is the running CPU's turn.
    fn begin(&mut self, address: usize, access: Access) -> Flow {
        if self.reach() { self.ask(address, access) } else { Flow::Later }
    }

    /// Handles all events up to the running CPU's clock. False: another CPU is earlier, and this
    /// one will run again when it is its turn.
    fn reach(&mut self) -> bool {
        let me = self.me;
        self.pass_interrupts();
        let time = self.cpus[me].clock;
        while let Some(&Event { time: earlier, what, .. }) = self.queue.peek()
            && earlier <= time
        {
            if self.resumed(what).is_some() {
                self.resume_at(time, me);
                return false;
            }
            self.queue.pop();
            self.now = earlier;
            self.events += 1;
            self.handle(what);
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

    /// Asks for a line now; it is the running CPU's turn.
    fn ask(&mut self, address: usize, access: Access) -> Flow {
        let at = self.memory.locate(address);
        self.memory.counting = self.now >= self.window.0 && self.now < self.window.1;
        match self.memory.request(at, self.me, access, By::Instruction, self.now) {
            Start::Done(done) => {
                self.arrived(self.me, done);
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

    /// The line that `cpu` asked for arrives at `done`. Meanwhile it has run ahead as far as it
    /// can.
    fn arrived(&mut self, cpu: usize, done: u64) {
        let own = self.times.hit.max(self.times.locked);
        let cpu = &mut self.cpus[cpu];
        let waited = done.saturating_sub(cpu.clock + own);
        cpu.ahead = cpu.ahead.max(waited.min(LOOK_AHEAD * self.times.ordinary));
        cpu.clock = done;
    }

    fn wake(&mut self, at: At, done: u64) {
        for cpu in self.memory.wake(at) {
            let cpu = cpu as usize;
            let late = self.rng.u64(0..=self.times.pause + self.times.hit);
            let time = done.max(self.cpus[cpu].clock) + late;
            self.resume_at(time, cpu);
        }
    }

    /// Serves the requests that queue for a line, as far as the line is free.
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
                        By::Store => self.stored(request.cpu, done),
                        By::Prefetch => self.prefetched(request.cpu, at, done),
                        By::Instruction => {
                            self.cpus[request.cpu].granted = Some(done);
                            self.resume_at(self.now, request.cpu);
                        }
                    }
                }
            }
        }
    }

    fn park(&mut self, address: usize) {
        let at = self.memory.locate(address);
        self.memory.park(at, self.me);
        self.me().waits_for = Some(at);
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

    /// The running CPU has done so much since it began to count.
    fn reports(&mut self, total: u64) {
        let me = self.me;
        if let Some(watch) = &mut self.watch {
            watch.reports(me, total);
        }
    }

    /// A batch is over, if something watches the window.
    fn look(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        match watch.look(self.now, self.events) {
            Look::Nothing => (),
            Look::Opens => self.window.0 = self.now,
            Look::Closes => self.window.1 = self.now,
        }
        self.next_look = watch.next;
    }

    fn waits_for_last(&self) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.waits_for_last(self.events))
    }

    fn phase(&mut self) -> Phase {
        if self.now >= self.next_look {
            self.look();
        }
        let clock = self.cpus.get(self.me).map_or(self.now, |me| me.clock);
        match self.window {
            _ if self.failure.is_some() => Phase::Stop,
            (warm, _) if clock < warm => Phase::Warm,
            (_, end) if clock < end => Phase::Measure,
            _ if self.open_windows > 0 && self.waits_for_last() => Phase::Overrun,
            _ => Phase::Stop,
        }
    }
}
