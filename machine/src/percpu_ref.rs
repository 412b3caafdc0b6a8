//! The kernel's percpu_ref: a reference count that is one counter per CPU while alive, and one
//! shared counter after `kill` and a grace period. Guards that nothing is freed under a holder of a
//! reference. Layout and order are those of lib/percpu-refcount.c (Linux 6.14).

use crate::{Atomic, Cpu, Fields, Machine, PerCpu, Region, fault, vm_bug_on};

/// In percpu mode the shared count carries this, so that it cannot reach 0.
const BIAS: u64 = 1 << 63;
const ATOMIC: u32 = 1;
const DEAD: u32 = 2;

/// The count (`users` of a swap device).
pub struct PercpuRef<M: Machine> {
    percpu: PerCpu<M, Shard<M>>,
    shared: Region<M, Shared<M>>,
}

struct Shard<M: Machine> {
    /// Gets minus puts made on this CPU, modulo 2^64. Written by its CPU alone, and by `resurrect`.
    count: M::Atomic<u64>,
}

struct Shared<M: Machine> {
    /// percpu_count_ptr's flags: ATOMIC, DEAD.
    state: M::Atomic<u32>,
    /// complete(&si->comp): set by the put that brings `count` to 0.
    released: M::Atomic<u32>,
    count: M::Atomic<u64>,
}

impl<M: Machine> Fields for Shard<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![("count", 0)]
    }
}

impl<M: Machine> Fields for Shared<M> {
    fn fields() -> Vec<(&'static str, usize)> {
        vec![
            ("state", std::mem::offset_of!(Self, state)),
            ("released", std::mem::offset_of!(Self, released)),
            ("count", std::mem::offset_of!(Self, count)),
        ]
    }
}

impl<M: Machine> PercpuRef<M> {
    /// A dead count, as a swap device's is before its first swapon, for `cpus` CPUs
    /// ([`System::cpus`](crate::System::cpus)).
    pub fn new(cpus: usize) -> Self {
        let percpu = PerCpu::new("users.percpu", cpus, |_| Shard { count: M::Atomic::new(0) });
        let shared = Region::new("users", 1, |_| Shared {
            state: M::Atomic::new(ATOMIC | DEAD),
            released: M::Atomic::new(1),
            count: M::Atomic::new(0),
        });
        Self { percpu, shared }
    }

    /// this_cpu_add(): a plain load and store, since only this CPU writes here.
    #[inline]
    fn bump(&self, cpu: &M::Cpu, by: u64) {
        let count = &self.percpu.of(cpu.id()).count;
        count.store(count.load().wrapping_add(by));
    }

    /// percpu_ref_tryget_live(): takes a reference. False: this CPU has seen that the count is
    /// killed.
    #[inline]
    pub fn tryget_live(&self, cpu: &M::Cpu) -> bool {
        let shared = &self.shared[0];
        if fault!(M, "ref-checked-before-bump") {
            let percpu = shared.state.load() & ATOMIC == 0;
            if percpu {
                self.bump(cpu, 1);
            }
            return percpu;
        }
        cpu.system().rcu.read(cpu, || {
            let state = shared.state.load_acquire();
            if state & ATOMIC == 0 {
                self.bump(cpu, 1);
                return true;
            }
            state & DEAD == 0 && self.inc_not_zero()
        })
    }

    fn inc_not_zero(&self) -> bool {
        let count = &self.shared[0].count;
        let mut seen = count.load();
        while seen != 0 {
            match count.cmpxchg(seen, seen + 1) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// percpu_ref_put(): gives a reference back, on any CPU.
    #[inline]
    pub fn put(&self, cpu: &M::Cpu) {
        cpu.system().rcu.read(cpu, || {
            if self.shared[0].state.load() & ATOMIC == 0 {
                self.bump(cpu, 1u64.wrapping_neg());
            } else {
                self.put_shared(1);
            }
        });
    }

    fn put_shared(&self, refs: u64) {
        let shared = &self.shared[0];
        if shared.count.fetch_sub(refs) == refs {
            shared.released.store_release(1);
        }
    }

    /// percpu_ref_kill() without its callback: the initial reference is gone, and once every CPU
    /// has seen the flags no new percpu-mode reference is taken.
    ///
    /// # Panics
    ///
    /// On machines with [`Machine::ASSERTS`]: if the count is dead already.
    pub fn kill(&self) {
        let shared = &self.shared[0];
        let before = shared.state.fetch_or(ATOMIC | DEAD);
        vm_bug_on!(M, before & DEAD != 0, "percpu_ref is killed twice");
        if fault!(M, "ref-no-bias") {
            shared.count.fetch_sub(BIAS);
        }
        self.put_shared(1);
    }

    /// The kernel's RCU callback after `kill` and one grace period, for which the caller has
    /// waited. It sums the CPUs' counters first and then adds once, since a get and its put may be
    /// counted on different CPUs.
    pub fn switch_to_atomic(&self) {
        let shared = &self.shared[0];
        if fault!(M, "ref-no-bias") {
            for shard in self.percpu.iter() {
                shared.count.fetch_add(shard.count.load());
            }
        } else if fault!(M, "ref-shard-by-shard") {
            shared.count.fetch_sub(BIAS);
            for shard in self.percpu.iter() {
                self.put_shared(shard.count.load().wrapping_neg());
            }
        } else {
            let sum = self.percpu.iter().fold(0u64, |sum, c| sum.wrapping_add(c.count.load()));
            shared.count.fetch_add(sum.wrapping_add(1).wrapping_sub(BIAS));
            self.put_shared(1);
        }
    }

    /// wait_for_completion(&si->comp): waits until all references are put.
    pub fn wait_released(&self) {
        self.shared[0].released.spin_until(|released| released == 1);
    }

    /// How swapoff ends the count: kill, grace period, callback, and the wait for the last put.
    pub fn drain(&self, cpu: &M::Cpu) {
        self.kill();
        self.wait_drained(cpu);
    }

    /// The rest of it, after `kill`.
    pub fn wait_drained(&self, cpu: &M::Cpu) {
        if !fault!(M, "ref-sum-without-gp") {
            cpu.system().rcu.synchronize(cpu);
        }
        self.switch_to_atomic();
        self.wait_released();
    }

    /// percpu_ref_resurrect() at swapon: percpu mode again, with one initial reference. No other
    /// CPU may hold or take a reference meanwhile; that holds for a new count and after `drain`.
    pub fn resurrect(&self) {
        let shared = &self.shared[0];
        for shard in self.percpu.iter() {
            shard.count.store(0);
        }
        shared.released.store(0);
        shared.count.store(BIAS + 1);
        shared.state.store_release(0);
    }

    /// References now, the initial one included, outside the machine's accounting: exact only at
    /// rest.
    pub fn peek(&self) -> u64 {
        let shared = &self.shared[0];
        if shared.state.peek() & ATOMIC != 0 {
            return shared.count.peek();
        }
        let base = shared.count.peek().wrapping_sub(BIAS);
        self.percpu.iter().fold(base, |sum, shard| sum.wrapping_add(shard.count.peek()))
    }
}
