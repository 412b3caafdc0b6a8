//! Think time: jittered, and stretched while other threads of the core think too.

use super::Sim;

/// Think time in progress, for CPUs whose siblings run too.
pub(super) struct Work {
    left: u64,
    since: u64,
    /// Thousandths that it takes now.
    pace: u64,
}

impl Sim {
    pub(super) fn jittered(&mut self, length: u64) -> u64 {
        let spread = length / 1000 * self.times.jitter;
        length - spread + self.rng.u64(0..=2 * spread)
    }

    /// True: no sibling thread takes part in this run, the time is charged already.
    pub(super) fn works_alone(&mut self, length: u64) -> bool {
        let alone = self.memory.mates(self.me).is_empty() || self.times.smt_slowdown == 1000;
        if alone {
            self.me().clock += length;
        }
        alone
    }

    pub(super) fn begin_work(&mut self, length: u64) {
        let (me, now) = (self.me, self.now);
        let pace = self.pace(me);
        self.cpus[me].work = Some(Work { left: length, since: now, pace });
        self.sleep_for_work(me);
        self.repace_mates();
    }

    pub(super) fn end_work(&mut self) {
        self.me().work = None;
        self.repace_mates();
    }

    /// Thousandths that think time of `cpu` takes while those of its core think who do.
    pub(super) fn pace(&self, cpu: usize) -> u64 {
        let busy = self.memory.mates(cpu).iter().filter(|&&m| self.cpus[m].work.is_some());
        let others = self.times.threads_a_core.saturating_sub(1).max(1);
        1000 + (self.times.smt_slowdown - 1000) * busy.count() as u64 / others
    }

    /// The running CPU works, or no longer: what its core's other threads have left takes
    /// another time from now on.
    pub(super) fn repace_mates(&mut self) {
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

    pub(super) fn sleep_for_work(&mut self, cpu: usize) {
        let work = self.cpus[cpu].work.as_ref().expect("it works");
        let takes = work.left * work.pace / 1000;
        self.resume_at(self.now + takes, cpu);
    }
}
