//! The memory of a simulated machine: regions by address, the state of every cache line, and what
//! an access costs. Guards that a line is in one exclusive transfer at a time, that its shared
//! reads arrive in an L3 group one by one, and that those which cross from one group to others do
//! so one by one, too.

use super::account::{Account, DISTANCES, Traffic};
use super::model::Model;
use super::places::Places;
use crate::Extent;
use crate::region::LINE;
use crate::topology::Distance;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Where an access is: which region, and which of its bytes. Eight bytes, aligned to four, since
/// events hold it: the region above, [`OFFSET`] bits of the offset below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    high: u32,
    low: u32,
}

/// Bits of an offset: regions of 1 TiB, and 16 million of them.
const OFFSET: u32 = 40;

impl At {
    #[inline]
    fn new(region: u32, offset: usize) -> Self {
        let bits = u64::from(region) << OFFSET | offset as u64;
        Self { high: (bits >> 32) as u32, low: bits as u32 }
    }

    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }

    #[inline]
    fn region(self) -> usize {
        (self.bits() >> OFFSET) as usize
    }

    #[inline]
    fn offset(self) -> usize {
        (self.bits() & ((1 << OFFSET) - 1)) as usize
    }

    #[inline]
    pub fn same_line(&self, other: &At) -> bool {
        self.bits() / LINE as u64 == other.bits() / LINE as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    /// Exclusive; the value is how long the line is kept after it arrived, in picoseconds.
    Write(u64),
}

/// Which part of a CPU asks for a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Instruction,
    /// The oldest store of its buffer.
    Store,
    /// A younger store, so that its line is there when it becomes the oldest.
    Prefetch,
}

/// A CPU's request for a line that is in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub cpu: usize,
    pub access: Access,
    pub by: By,
    since: u64,
    at: At,
}

/// The outcome of a request.
pub(super) enum Start {
    /// It takes effect now; the CPU goes on at this time.
    Done(u64),
    /// Queued. The caller schedules a `Free` event at this time; None: there is one already.
    Queued(Option<u64>),
}

/// Which request a free line goes to.
pub(super) enum Grant {
    /// None waits.
    Nobody,
    /// The line is in use until this time.
    Later(u64),
    /// This one, whose CPU goes on at this time.
    To(Request, u64),
}

const NONE: u16 = u16::MAX;
const NO_CONTENTION: u32 = u32::MAX;
const FEW: usize = 4;

/// On one line of the host's cache.
#[derive(Clone)]
#[repr(align(64))]
struct Line {
    /// When the exclusive transfer or locked instruction that has it ends.
    busy: u64,
    /// When the last exclusive transfer arrived.
    arrived: u64,
    /// Until when its core keeps it, whichever CPU asks.
    leaves: u64,
    /// When the last of its shared reads arrives: before that, no CPU gets it exclusively.
    reads: u64,
    /// Transfers in the measured window.
    fetched: u32,
    /// Its index in `Memory::contentions`, or `NO_CONTENTION`.
    contention: u32,
    /// The CPU that has it modified.
    owner: u16,
    /// Cores with a copy, unless `many`.
    few: [u16; FEW],
    /// The sharers are in `Contention`.
    many: bool,
}

const UNTOUCHED: Line = Line {
    busy: 0,
    arrived: 0,
    leaves: 0,
    reads: 0,
    fetched: 0,
    contention: NO_CONTENTION,
    owner: NONE,
    few: [NONE; FEW],
    many: false,
};

/// More state of a line, for lines that several CPUs used at once.
#[derive(Default)]
struct Contention {
    queue: VecDeque<Request>,
    /// CPUs that spin on a copy.
    parked: Vec<u16>,
    /// When the last shared read of each L3 group arrived.
    ports: Vec<u64>,
    /// When the last of those reads that came from other groups arrived.
    home: u64,
    /// A `Free` event for the queue is scheduled.
    watched: bool,
    /// One bit per core.
    sharers: Vec<u64>,
}

struct Home {
    stride: usize,
    elements: usize,
    name: &'static str,
    fields: Vec<(&'static str, usize)>,
    /// By byte of an element, the index of its field; empty if none has a name.
    field_at: Vec<u16>,
    traffic: Vec<Traffic>,
    /// Empty once the region is gone.
    lines: Vec<Line>,
}

/// Costs in picoseconds.
struct Prices {
    hit: u64,
    stay: u64,
    smt: u64,
    /// Exclusive transfers by distance; the last one is from memory.
    transfer: [u64; DISTANCES],
    read_latency: u64,
    /// How far apart shared reads arrive, by distance.
    read_occupancy: [u64; DISTANCES],
}

const MEMORY: usize = DISTANCES - 1;
/// Places for extents found last, and the bytes that share one. Small regions may share a page.
const RECENT: usize = 64;
const PAGE: usize = 4096;
/// The distances between L3 groups.
const FAR: RangeInclusive<usize> = Distance::Package as usize..=Distance::Remote as usize;

pub(super) struct Memory {
    homes: Vec<Home>,
    /// (base, end, region), sorted.
    extents: Vec<(usize, usize, u32)>,
    /// Those found last, by the page of the address.
    recent: [(usize, usize, u32); RECENT],
    contentions: Vec<Contention>,
    places: Places,
    prices: Prices,
    /// The last read of each CPU: (line, when it arrived). A sibling's read of that line arrives
    /// with it.
    reading: Vec<(At, u64)>,
    /// Traffic by lock caller; the first is for accesses before any lock.
    callers: Vec<(&'static str, Traffic)>,
    /// Which of them each CPU is in.
    calling: Vec<usize>,
    /// Whether traffic counts now.
    pub counting: bool,
}

const NOWHERE: At = At { high: u32::MAX, low: u32::MAX };

impl Memory {
    /// For CPUs at `pins`, which the model must have.
    pub fn new(model: &Model, pins: &[usize]) -> Self {
        let cost = &model.cost;
        let l3 = cost.l3.ps();
        let transfer = [
            cost.hit.ps(),
            cost.smt.ps(),
            l3,
            cost.package.ps(),
            cost.remote.ps(),
            cost.memory.ps(),
        ];
        let apart = [l3, l3, l3, cost.package.ps(), cost.remote.ps(), l3];
        Self {
            homes: Vec::new(),
            extents: Vec::new(),
            recent: [(0, 0, 0); RECENT],
            contentions: Vec::new(),
            places: Places::new(model, pins),
            prices: Prices {
                hit: cost.hit.ps(),
                stay: cost.stay.ps(),
                smt: cost.smt.ps(),
                transfer,
                read_latency: model.shape.read_latency.permille(),
                read_occupancy: apart.map(|ps| ps * model.shape.read_occupancy.permille() / 1000),
            },
            reading: vec![(NOWHERE, 0); pins.len()],
            callers: vec![("before any lock", Traffic::default())],
            calling: vec![0; pins.len()],
            counting: false,
        }
    }

    /// The other threads of the core of CPU `cpu` that take part in the run.
    pub fn mates(&self, cpu: usize) -> &[usize] {
        &self.places.mates[cpu]
    }

    pub fn register(&mut self, extent: &Extent) {
        let region = self.homes.len() as u32;
        let room =
            (extent.bytes as u64) < 1 << OFFSET && u64::from(region) < (1 << (64 - OFFSET)) - 1;
        assert!(room, "{}: a region of 1 TiB, or 16 million regions", extent.name);
        let end = extent.base + extent.bytes;
        let place = self.extents.partition_point(|e| e.0 < extent.base);
        self.extents.insert(place, (extent.base, end, region));
        self.homes.push(Home {
            stride: extent.stride.max(1),
            elements: extent.len,
            name: extent.name,
            fields: extent.fields.clone(),
            field_at: fields_by_byte(extent),
            traffic: vec![Traffic::default(); extent.fields.len() + 1],
            lines: vec![UNTOUCHED; extent.bytes.div_ceil(LINE)],
        });
    }

    /// How many regions there were.
    pub fn regions(&self) -> usize {
        self.homes.len()
    }

    /// The regions from number `first` on that still exist, in the order in which they came.
    pub fn since(&self, first: usize) -> impl Iterator<Item = Extent> {
        let mut extents: Vec<_> = self.extents.iter().filter(|e| e.2 as usize >= first).collect();
        extents.sort_by_key(|extent| extent.2);
        extents.into_iter().map(|&(base, end, region)| {
            let Home { stride, elements: len, name, ref fields, .. } = self.homes[region as usize];
            Extent { base, bytes: end - base, len, stride, name, fields: fields.clone() }
        })
    }

    /// Returns the region's addresses.
    pub fn unregister(&mut self, base: usize) -> Option<(usize, usize)> {
        let place = self.extents.iter().position(|e| e.0 == base)?;
        let (base, end, region) = self.extents.remove(place);
        self.recent = [(0, 0, 0); RECENT];
        self.homes[region as usize].lines = Vec::new();
        Some((base, end))
    }

    /// Finds the line of an address; every shared cell is in a region.
    pub fn locate(&mut self, address: usize) -> At {
        let recent = address / PAGE % RECENT;
        let (base, end, region) = self.recent[recent];
        let (base, region) = if (base..end).contains(&address) {
            (base, region)
        } else {
            let found = self.find(address);
            self.recent[recent] = found;
            (found.0, found.2)
        };
        At::new(region, address - base)
    }

    fn find(&self, address: usize) -> (usize, usize, u32) {
        let after = self.extents.partition_point(|e| e.0 <= address);
        match after.checked_sub(1).map(|n| self.extents[n]) {
            Some(extent) if address < extent.1 => extent,
            _ => panic!(
                "a shared cell outside every Region: a simulated machine knows lines by \
                 region and offset, so allocate it with Region or PerCpu"
            ),
        }
    }

    pub fn name(&self, at: At) -> String {
        let home = &self.homes[at.region()];
        let (element, dot) = match home.elements {
            0 | 1 => (home.name.to_owned(), "->"),
            _ => (format!("{}[{}]", home.name, at.offset() / home.stride), "."),
        };
        match home.fields.get(home.field(at.offset())) {
            Some((field, _)) => format!("{element}{dot}{field}"),
            None => element,
        }
    }

    fn line(&self, at: At) -> &Line {
        &self.homes[at.region()].lines[at.offset() / LINE]
    }

    fn line_mut(&mut self, at: At) -> &mut Line {
        &mut self.homes[at.region()].lines[at.offset() / LINE]
    }

    fn contention(&mut self, at: At) -> &mut Contention {
        let mut index = self.line(at).contention;
        if index == NO_CONTENTION {
            index = self.contentions.len() as u32;
            self.line_mut(at).contention = index;
            let ports = vec![0; self.places.groups];
            let sharers = vec![0; self.places.l3.len().div_ceil(64)];
            self.contentions.push(Contention { ports, sharers, ..Contention::default() });
        }
        &mut self.contentions[index as usize]
    }

    fn contended(&self, line: &Line) -> Option<&Contention> {
        self.contentions.get(line.contention as usize)
    }

    /// Whether a store by CPU `cpu` would hit a line that no other CPU asks for.
    pub fn owns(&self, at: At, cpu: usize, now: u64) -> bool {
        let line = self.line(at);
        line.owner == cpu as u16
            && line.busy <= now
            && self.contended(line).is_none_or(|c| c.queue.is_empty())
    }

    fn shares(&self, line: &Line, core: u16) -> bool {
        match self.contended(line) {
            Some(more) if line.many => more.sharers[core as usize / 64] >> (core % 64) & 1 == 1,
            _ => line.few.contains(&core),
        }
    }

    fn owned_by_core(&self, line: &Line, core: u16) -> bool {
        line.owner != NONE && self.places.core[line.owner as usize] == core
    }

    /// The cores with a copy, the owner's core included.
    fn holders(&self, line: &Line) -> impl Iterator<Item = u16> + use<'_> {
        let owner = (line.owner != NONE).then(|| self.places.core[line.owner as usize]);
        let few = if line.many { [NONE; FEW] } else { line.few };
        let words = match self.contended(line) {
            Some(more) if line.many => &more.sharers[..],
            _ => &[],
        };
        let bits = words.iter().enumerate().flat_map(|(n, &word)| {
            let next = |w: &u64| Some(w & (w - 1)).filter(|&w| w != 0);
            let words = std::iter::successors(Some(word).filter(|&w| w != 0), next);
            words.map(move |w| (n * 64) as u16 + w.trailing_zeros() as u16)
        });
        owner.into_iter().chain(few.into_iter().filter(|&c| c != NONE)).chain(bits)
    }

    /// Asks for a line at `now`; the effect is now or when the request is granted.
    pub fn request(&mut self, at: At, cpu: usize, access: Access, by: By, now: u64) -> Start {
        if let Some(done) = self.hit(at, cpu, access, now) {
            return Start::Done(done);
        }
        let ready = self.ready(at, access);
        let first = self.contended(self.line(at)).is_none_or(|c| c.queue.is_empty());
        if first && ready <= now {
            return Start::Done(self.transfer(at, cpu, access, now, now));
        }
        let more = self.contention(at);
        more.queue.push_back(Request { cpu, access, by, since: now, at });
        let watch = !std::mem::replace(&mut more.watched, true);
        Start::Queued(watch.then_some(ready.max(now)))
    }

    /// When an access is done that this core's own copy serves, or the copy on its way to it. None:
    /// neither can.
    fn hit(&mut self, at: At, cpu: usize, access: Access, now: u64) -> Option<u64> {
        let core = self.places.core[cpu];
        let line = self.line(at);
        let mine = self.owned_by_core(line, core);
        let sibling = if mine && line.owner != cpu as u16 { self.prices.smt } else { 0 };
        match access {
            Access::Read if mine => Some(now.max(line.arrived) + self.prices.hit + sibling),
            Access::Read if self.shares(line, core) => {
                let mates = self.mates(cpu).iter().map(|&mate| self.reading[mate]);
                let same = mates.filter(|(other, _)| other.same_line(&at));
                let coming = same.map(|(_, arrives)| arrives).max().unwrap_or(0);
                Some(now.max(coming) + self.prices.hit)
            }
            Access::Write(keep) => {
                let queued = self.contended(line).is_some_and(|c| !c.queue.is_empty());
                let alone = line.owner == NONE
                    && self.shares(line, core)
                    && self.holders(line).all(|c| c == core);
                // After `leaves`, CPUs that wait come first.
                let rides = mine && (!queued || now <= line.leaves);
                if !(rides || alone && !queued && line.busy <= now) {
                    return None;
                }
                let done = now.max(line.busy) + keep + sibling;
                let line = self.line_mut(at);
                (line.busy, line.owner, line.few, line.many) =
                    (done, cpu as u16, [NONE; FEW], false);
                Some(done)
            }
            Access::Read => None,
        }
    }

    /// When the line could serve `access` next.
    fn ready(&self, at: At, access: Access) -> u64 {
        let line = self.line(at);
        let free = line.busy.max(line.leaves);
        if access == Access::Read { free } else { free.max(line.reads) }
    }

    /// Moves the line; returns when the CPU that asked goes on.
    fn transfer(&mut self, at: At, cpu: usize, access: Access, since: u64, now: u64) -> u64 {
        let core = self.places.core[cpu];
        let line = self.line(at);
        let others = self.holders(line).filter(|&c| c != core);
        let distances = others.map(|c| self.places.between(c, core));
        let (source, lost) = match access {
            Access::Read => (distances.min(), 0),
            Access::Write(_) => distances.fold((None, 0), |(far, n), d| (far.max(Some(d)), n + 1)),
        };
        let source = source.map_or(MEMORY, |d| d as usize);
        let price = self.prices.transfer[source];
        let before = (line.owner, line.contention);
        let done = match access {
            Access::Read => {
                let arrives = now + price * self.prices.read_latency / 1000;
                self.share(at, cpu, before, source, arrives, now)
            }
            Access::Write(keep) => {
                let stay = self.prices.stay;
                let line = self.line_mut(at);
                line.arrived = now + price;
                line.busy = line.arrived + keep;
                line.leaves = line.busy + stay;
                (line.owner, line.few, line.many) = (cpu as u16, [NONE; FEW], false);
                line.busy
            }
        };
        self.line_mut(at).fetched += u32::from(self.counting);
        if self.counting {
            let home = &mut self.homes[at.region()];
            let field = home.field(at.offset());
            for traffic in [&mut home.traffic[field], &mut self.callers[self.calling[cpu]].1] {
                traffic.add(source, access != Access::Read, lost, done - since);
            }
        }
        done
    }

    /// A shared read that arrives at `done`, or later: after earlier reads into its L3 group, and,
    /// if the line comes from another group, after earlier reads between any two groups.
    fn share(
        &mut self,
        at: At,
        cpu: usize,
        (owner, contention): (u16, u32),
        source: usize,
        mut done: u64,
        now: u64,
    ) -> u64 {
        let (core, group) = (self.places.core[cpu], self.places.group_of(cpu));
        let near = self.prices.read_occupancy[Distance::L3 as usize];
        if contention == NO_CONTENTION {
            self.line_mut(at).busy = now + near;
        } else {
            if FAR.contains(&source) {
                let apart = self.prices.read_occupancy[source];
                let home = &mut self.contention(at).home;
                done = done.max(*home + apart);
                *home = done;
            }
            let port = &mut self.contention(at).ports[group];
            done = done.max(*port + near);
            *port = done;
        }
        if owner != NONE {
            let owner = self.places.core[owner as usize];
            let line = self.line_mut(at);
            (line.owner, line.few, line.many) = (NONE, [owner, NONE, NONE, NONE], false);
        }
        self.add_sharer(at, core);
        let line = self.line_mut(at);
        line.reads = line.reads.max(done);
        self.reading[cpu] = (at, done);
        done
    }

    fn add_sharer(&mut self, at: At, core: u16) {
        let line = self.line_mut(at);
        if !line.many {
            if let Some(free) = line.few.iter_mut().find(|c| **c == NONE) {
                *free = core;
                return;
            }
            line.many = true;
            let few = line.few;
            let more = self.contention(at);
            more.sharers.fill(0);
            few.iter().for_each(|&c| more.sharers[c as usize / 64] |= 1 << (c % 64));
        }
        self.contention(at).sharers[core as usize / 64] |= 1 << (core % 64);
    }

    /// The line may be free: which request gets it. `near`: a waiter of the line's own L3 group
    /// goes before older ones.
    pub fn grant(&mut self, at: At, near: bool, now: u64) -> Grant {
        let owner = self.line(at).owner;
        let arriving = self.line(at).arrived > now;
        let index = self.line(at).contention as usize;
        let queue = &self.contentions[index].queue;
        let Some(first) = queue.front() else {
            self.contentions[index].watched = false;
            return Grant::Nobody;
        };
        let first = first.access;
        let core = |cpu: usize| self.places.core[cpu];
        let rides = |r: &Request| core(r.cpu) == core(owner as usize);
        let rider = (arriving && owner != NONE).then(|| queue.iter().position(rides)).flatten();
        let home = (owner != NONE).then(|| self.places.group_of(owner as usize));
        let local = home.filter(|_| near);
        let local = local.and_then(|g| queue.iter().position(|r| self.places.group_of(r.cpu) == g));
        let chosen = rider.or(local).unwrap_or(0);
        let wanted = queue[chosen].access;
        let ready = self.ready(at, wanted);
        if rider.is_none() && ready > now {
            return Grant::Later(ready.min(self.ready(at, first)));
        }
        let request = self.contentions[index].queue.remove(chosen).expect("it was found there");
        let at = request.at;
        let (cpu, access, since) = (request.cpu, request.access, request.since);
        let done = match self.hit(at, cpu, access, now) {
            Some(done) => done,
            None => self.transfer(at, cpu, access, since, now),
        };
        Grant::To(request, done)
    }

    /// CPU `cpu` spins on its copy of the line.
    pub fn park(&mut self, at: At, cpu: usize) {
        self.contention(at).parked.push(cpu as u16);
    }

    /// The CPUs that spun on the line, to be woken by a write.
    pub fn wake(&mut self, at: At) -> Vec<u16> {
        let contention = self.line(at).contention as usize;
        let more = self.contentions.get_mut(contention);
        more.map(|c| std::mem::take(&mut c.parked)).unwrap_or_default()
    }

    /// CPU `cpu` is now in kernel function `function`.
    pub fn enter(&mut self, cpu: usize, function: &'static str) {
        let same = |(name, _): &(&'static str, Traffic)| std::ptr::eq(*name, function);
        self.calling[cpu] = self.callers.iter().position(same).unwrap_or_else(|| {
            self.callers.push((function, Traffic::default()));
            self.callers.len() - 1
        });
    }

    /// Whether the line's region still exists.
    pub fn exists(&self, at: At) -> bool {
        !self.homes[at.region()].lines.is_empty()
    }

    /// Adds the traffic to `account`: by caller, by field and by line.
    pub fn account(&self, account: &mut Account) {
        account.add_callers(&self.callers);
        for home in &self.homes {
            for (n, traffic) in home.traffic.iter().enumerate() {
                let field = home.fields.get(n).map_or("", |f| f.0);
                account.add_field(home.name, field, traffic);
            }
        }
        for (region, home) in self.homes.iter().enumerate() {
            for (n, line) in home.lines.iter().enumerate() {
                account.add_line(line.fetched, || {
                    let offset = home.busiest(n * LINE);
                    self.name(At::new(region as u32, offset))
                });
            }
        }
    }
}

/// By byte of an element, the field that begins there or last before it, or the number of fields.
fn fields_by_byte(extent: &Extent) -> Vec<u16> {
    if extent.fields.is_empty() {
        return Vec::new();
    }
    let field = |within: usize| {
        let before = extent.fields.iter().enumerate().filter(|(_, f)| f.1 <= within);
        before.max_by_key(|(_, f)| f.1).map_or(extent.fields.len(), |(n, _)| n) as u16
    };
    (0..extent.stride.max(1)).map(field).collect()
}

impl Home {
    /// Index of the field at `offset`, or the number of fields if it has no name.
    fn field(&self, offset: usize) -> usize {
        if self.field_at.is_empty() { 0 } else { self.field_at[offset % self.stride].into() }
    }

    /// The offset of the field that moved most on the line that begins at `start`: the line is
    /// named after it.
    fn busiest(&self, start: usize) -> usize {
        let words = (start..start + LINE).step_by(8);
        let moved = |offset: usize| self.traffic[self.field(offset)].misses();
        words.rev().max_by_key(|&offset| moved(offset)).unwrap_or(start)
    }
}
