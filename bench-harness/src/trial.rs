//! One trial on any machine: set up, warm up, measure, keep the load on until the last worker has
//! stopped counting, then check the allocator. Guards that what is counted happened while every
//! worker was at work, and that a wrong allocator has no figures.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use machine::{Cpu, Failure, Machine, Phase, SiteStats};
use results::schema::Counter;
use variants::{Swap, SwapAllocator, SwpEntry};

use crate::meter::Meter;
use crate::probe::Roots;
use crate::probe::counters::{Counters, Set};
use crate::probe::noise::{Worker as NoiseWorker, WorkerNoise};
use crate::workload::{Params, Stage, Workload};

/// What a trial needs to know beside its machine's own configuration.
#[derive(Clone, Debug)]
pub struct Setting {
    pub params: Params,
    pub threads: usize,
    pub seed: u64,
    /// One operation in so many is timed.
    pub sample: u32,
    /// The host's counters and noise, where the machine's CPUs are the host's.
    pub host: Option<Set>,
}

/// What one worker brings back.
pub struct Log {
    /// On the machine's clock.
    pub opened: u64,
    pub closed: u64,
    /// Its window is as long as its steps: it does not bound the interval.
    pub control: bool,
    pub meter: Meter,
    pub sites: Vec<SiteStats>,
    pub host: Option<HostLog>,
}

/// What the host says of one worker's window.
pub struct HostLog {
    pub counters: BTreeMap<String, Counter>,
    pub noise: WorkerNoise,
}

/// Runs one trial; the logs are in the order of the CPUs.
pub fn run<M, A, W>(config: &M::Config, setting: &Setting) -> Result<Vec<Log>, Failure>
where
    M: Machine,
    A: SwapAllocator<M>,
    W: Workload<M>,
{
    let (setup, work) = (setting.clone(), setting.clone());
    let outcome = M::run(
        config,
        move |cpu| Trial::<M, A, W>::new(&setup, cpu),
        move |trial, cpu| trial.work(cpu, &work),
        |trial, cpu| trial.verify(cpu),
    )?;
    Ok(outcome.workers)
}

struct Trial<M: Machine, A: SwapAllocator<M>, W> {
    stage: Stage<M, A>,
    workload: W,
    machine: PhantomData<fn() -> M>,
}

impl<M: Machine, A: SwapAllocator<M>, W: Workload<M>> Trial<M, A, W> {
    fn new(setting: &Setting, cpu: &M::Cpu) -> Self {
        let Setting { params, threads, seed, .. } = setting.clone();
        let spec = W::spec(&params, threads);
        let stage = Stage { swap: Swap::new(&spec, cpu), params, threads, seed };
        for dev in 0..spec.devices.len() {
            assert!(stage.swap.swapon(cpu, dev), "a fresh device can be switched on");
        }
        let workload = W::new(&stage, cpu);
        Self { stage, workload, machine: PhantomData }
    }

    fn work(&self, cpu: &M::Cpu, setting: &Setting) -> Log {
        let mut worker = self.workload.worker(&self.stage, cpu);
        let mut meter = Meter::new(setting.sample);
        let mut counters = setting.host.map(Counters::open);
        self.load(cpu, &mut worker, &mut meter, |phase| phase == Phase::Warm);

        meter.reset();
        cpu.local().reset_sites();
        let roots = Roots::default();
        let noise = setting.host.map(|_| NoiseWorker::start(&roots));
        counters.iter_mut().for_each(Counters::start);
        let opened = cpu.now();
        self.load(cpu, &mut worker, &mut meter, |phase| phase == Phase::Measure);
        let closed = cpu.now();
        let counted = counters.as_mut().map(Counters::stop);
        let (sites, control) = (cpu.local().sites(), W::is_control(setting.threads, cpu.id()));
        let mut mine = std::mem::replace(&mut meter, Meter::new(setting.sample));
        let host = noise.zip(counted).map(|(mut noise, counters)| {
            noise.gaps = std::mem::take(&mut mine.gaps);
            HostLog { counters, noise: noise.finish(&roots) }
        });
        let log = Log { opened, closed, control, meter: mine, sites, host };
        cpu.window_closed();
        self.load(cpu, &mut worker, &mut meter, |phase| phase != Phase::Stop);
        log
    }

    #[inline]
    fn load(
        &self,
        cpu: &M::Cpu,
        worker: &mut W::Worker,
        meter: &mut Meter,
        go_on: impl Fn(Phase) -> bool,
    ) {
        let think_ns = self.stage.params.think_ns;
        while go_on(cpu.phase()) {
            self.workload.step(&self.stage, cpu, worker, meter);
            if think_ns > 0 {
                cpu.work(think_ns);
            }
        }
    }

    /// A fast wrong allocator fails here.
    fn verify(&self, cpu: &M::Cpu) {
        let swap = &self.stage.swap;
        swap.alloc.run_work(cpu);
        if let Err(broken) = swap.alloc.validate().and_then(|()| users_match(swap)) {
            panic!("{broken}");
        }
    }
}

/// I1: every slot has as many users as page-table entries name it: none was handed out twice, and
/// none was freed under its user.
fn users_match<M: Machine, A: SwapAllocator<M>>(swap: &Swap<M, A>) -> Result<(), String> {
    let owners = &swap.owners;
    let of = |owner| (0..owners.pages()).filter_map(move |page| owners.peek(owner, page));
    let mut named: Vec<SwpEntry> = (0..owners.count()).flat_map(of).collect();
    named.sort_unstable();
    for same in named.chunk_by(|a, b| a == b) {
        let (slot, wanted) = (same[0], same.len());
        let (users, _) = swap.alloc.usage(slot);
        if users as usize != wanted {
            let (dev, offset) = (slot.dev(), slot.offset());
            return Err(format!(
                "I1: slot {offset} of device {dev} has {users} users, page tables name it {wanted} \
                 times"
            ));
        }
    }
    Ok(())
}
