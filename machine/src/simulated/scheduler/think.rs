//! Think time: jittered, and slowed down while other threads of the core think too.

use super::Sim;

/// Think time in progress, for CPUs whose siblings run too.
pub(super) struct Work {
    /// Picoseconds that it takes alone from `since` on.
    left: u64,
    since: u64,
    /// Its slowdown now, in thousandths.
    pace: u64,
}

impl Sim {
    pub(super) fn jittered(&mut self, length: u64) -> u64 {
        let spread = length / 1000 * self.times.jitter;
        length - spread + self.rng.u64(0..=2 * spread)
    }

    /// True: no sibling thread takes part in this run, and the time is charged.
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

    /// The slowdown of think time of `cpu` now, in thousandths: by how many threads of its core
    /// think.
    pub(super) fn pace(&self, cpu: usize) -> u64 {
        let busy = self.memory.mates(cpu).iter().filter(|&&m| self.cpus[m].work.is_some());
        let others = self.times.threads_per_core.saturating_sub(1).max(1);
        1000 + (self.times.smt_slowdown - 1000) * busy.count() as u64 / others
    }

    /// The running CPU has begun or ended its think time: that of its core's other threads changes
    /// pace.
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
