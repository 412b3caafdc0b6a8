//! A lock that does not exclude is rejected, as locktorture's `lock_busted` must be: workers add
//! to a plain word under it, and in the end the word must hold all they added. Natively, and
//! on a simulated machine, where nothing is left to chance.

use std::sync::Arc;
use std::time::Duration;

use machine::lock::{KINDS, LockKind, RawLock};
use machine::simulated::{self, Model};
use machine::topology::Pin;
use machine::{
    Atomic, Cpu, Failure, Machine, Native, Plain, Region, Simulated, Site, SpinLock, with_lock,
};
use variants::SwapAllocator;

use super::{Finding, config, setting};
use crate::null::Null;
use bench_harness::meter::{Kind, Meter};
use bench_harness::trial;
use bench_harness::workload::{Stage, Workload};

/// Lets everybody in.
pub(super) struct Busted;

impl LockKind for Busted {
    type Lock<M: Machine> = BustedLock;
}

/// The byte is there because a region of locks needs elements with a size.
pub(super) struct BustedLock(#[allow(dead_code)] u8);

impl<M: Machine> RawLock<M> for BustedLock {
    type Token = ();
    fn new() -> Self {
        Self(0)
    }
    fn lock(&self, _cpu: &M::Cpu, _contended: impl FnOnce()) {}
    fn try_lock(&self, _cpu: &M::Cpu) -> Option<()> {
        Some(())
    }
    fn unlock(&self, _cpu: &M::Cpu, _token: ()) {}
    fn peek_locked(&self) -> bool {
        false
    }
}

static ADD: Site = Site::new("lock", "selftest");

struct Adders<M: Machine> {
    sum: Region<M, Sum<M>>,
    /// What each worker has added.
    own: Region<M, M::Atomic<u64>>,
}

struct Sum<M: Machine> {
    lock: SpinLock<M>,
    value: M::Plain<u64>,
}

impl<M: Machine> Workload<M> for Adders<M> {
    type Worker = ();

    fn new<A: SwapAllocator<M>>(stage: &Stage<M, A>, _: &M::Cpu) -> Self {
        let sum = |_| Sum { lock: SpinLock::new(), value: M::Plain::new(0) };
        let none = |_| M::Atomic::new(0);
        Self {
            sum: Region::named("sum", 1, Vec::new(), sum),
            own: Region::named("own", stage.threads, Vec::new(), none),
        }
    }

    fn worker<A: SwapAllocator<M>>(&self, _: &Stage<M, A>, _: &M::Cpu) {}

    fn step<A: SwapAllocator<M>>(
        &self,
        _: &Stage<M, A>,
        cpu: &M::Cpu,
        _: &mut (),
        meter: &mut Meter,
    ) {
        meter.op(cpu, Kind::Get, || {
            let Sum { lock, value } = &self.sum[0];
            let guard = lock.lock(cpu, &ADD);
            value.set(value.get() + 1);
            lock.unlock(cpu, guard);
            true
        });
        let own = &self.own[cpu.id()];
        own.store(own.load() + 1);
    }

    fn validate(&self) -> Result<(), String> {
        let added: u64 = self.own.iter().map(Atomic::peek).sum();
        match added - self.sum[0].value.peek().min(added) {
            0 => Ok(()),
            lost => Err(format!("{lost} of {added} additions under the lock were lost")),
        }
    }
}

fn natively<K: LockKind>(cpus: &[usize]) -> Result<(), Failure> {
    let (config, setting) = (config(&cpus[..2], Duration::from_millis(20)), setting(2));
    trial::run::<Native<K, true>, Null<_>, Adders<_>>(&config, &setting).map(drop)
}

fn simulated<K: LockKind>() -> Result<(), Failure> {
    let model = Model::load("xeon-2s").map_err(|why| Failure::Unsupported(why.to_string()))?;
    let pins = Pin::Compact.take(&model.topology(), 2).expect("a model has two CPUs");
    let (warm_ns, measure_ns) = (1_000, 20_000);
    let model = Arc::new(model);
    let config = simulated::Config {
        model,
        pins,
        warm_ns,
        measure_ns,
        seed: 1,
        preemption: None,
        precision: None,
        sites: true,
    };
    trial::run::<Simulated<K>, Null<_>, Adders<_>>(&config, &setting(2)).map(drop)
}

/// `Bad` must be rejected, and every lock in the list must not.
pub(super) fn check<Bad: LockKind>(cpus: &[usize]) -> Finding {
    let native = cpus.len() > 1;
    let mut said = Vec::new();
    let mut held = true;
    // These runs are expected to panic: no message.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut bad = vec![("simulated", simulated::<Bad>())];
    if native {
        bad.push(("native", natively::<Bad>(cpus)));
    }
    std::panic::set_hook(hook);
    for (machine, result) in bad {
        held &= matches!(result, Err(Failure::Panicked(_)));
        let why = result.err().map_or("not rejected".into(), |failure| failure.to_string());
        said.push(format!("busted on {machine}: {why}"));
    }
    for (name, _) in KINDS {
        let results = with_lock!(name, K => {
            [simulated::<K>(), if native { natively::<K>(cpus) } else { Ok(()) }]
        });
        for failure in results.into_iter().flatten().filter_map(Result::err) {
            held = false;
            said.push(format!("{name}: {failure}"));
        }
    }
    said.push(format!("{} locks pass", KINDS.len()));
    Finding::new("broken lock", held, said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::lock::Tas;

    #[test]
    fn a_busted_lock_is_rejected() {
        let finding = check::<Busted>(&[]);
        assert_eq!(finding.held, Some(true), "{finding}");
    }

    #[test]
    fn a_check_that_rejects_nothing_is_found_out() {
        let finding = check::<Tas>(&[]);
        assert!(finding.broken() && finding.figure.contains("not rejected"), "{finding}");
    }
}
