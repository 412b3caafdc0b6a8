//! Where the CPUs of a run are on the model's machine: cores, L3 groups, packages, and how far
//! apart two cores are.

use super::model::Model;
use crate::topology::Distance;

/// Where the CPUs of a run are. Cores are numbered from 0 over those that the run uses.
pub(super) struct Places {
    /// The core of each CPU.
    pub core: Vec<u16>,
    /// The other threads of each CPU's core.
    pub mates: Vec<Vec<usize>>,
    /// The L3 group of each core.
    pub l3: Vec<u16>,
    /// The package of each core.
    pub package: Vec<u16>,
    /// Number of L3 groups of the whole machine.
    pub groups: usize,
}

impl Places {
    pub fn new(model: &Model, pins: &[usize]) -> Self {
        let topology = model.topology();
        let at = |&pin: &usize| topology.cpu(pin).expect("checked by the caller").clone();
        let cpus: Vec<_> = pins.iter().map(at).collect();
        let mut cores: Vec<usize> = cpus.iter().map(|c| c.core).collect();
        cores.sort_unstable();
        cores.dedup();
        let dense = |core| cores.binary_search(&core).expect("one of them");
        let (mut l3, mut package) = (vec![0; cores.len()], vec![0; cores.len()]);
        for cpu in &cpus {
            l3[dense(cpu.core)] = cpu.l3 as u16;
            package[dense(cpu.core)] = cpu.package as u16;
        }
        let mates = |n: usize| {
            (0..cpus.len()).filter(|&m| m != n && cpus[m].core == cpus[n].core).collect()
        };
        Self {
            core: cpus.iter().map(|c| dense(c.core) as u16).collect(),
            mates: (0..cpus.len()).map(mates).collect(),
            l3,
            package,
            groups: topology.l3_groups(),
        }
    }

    pub fn between(&self, a: u16, b: u16) -> Distance {
        let (a, b) = (a as usize, b as usize);
        if a == b {
            Distance::Smt
        } else if self.l3[a] == self.l3[b] {
            Distance::L3
        } else if self.package[a] == self.package[b] {
            Distance::Package
        } else {
            Distance::Remote
        }
    }

    pub fn group_of(&self, cpu: usize) -> usize {
        self.l3[self.core[cpu] as usize] as usize
    }
}
