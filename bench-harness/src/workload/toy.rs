//! The smallest workload, for tests alone: each worker swaps one page out and in. Guards that a
//! workload takes one file and one line in the list, and is then found everywhere.

use std::marker::PhantomData;

use machine::{Cpu, Machine};
use variants::{Folio, SwapAllocator};

use super::{Params, Stage, Workload};
use crate::meter::{Kind, Meter};
use crate::units::Size;

pub(super) fn defaults() -> Params {
    Params { size: Size::mib(6), ..Params::default() }
}

pub struct Toy<M>(PhantomData<fn() -> M>);

impl<M: Machine> Workload<M> for Toy<M> {
    type Worker = ();

    fn new<A: SwapAllocator<M>>(_stage: &Stage<M, A>, _cpu: &M::Cpu) -> Self {
        Self(PhantomData)
    }

    fn worker<A: SwapAllocator<M>>(&self, _stage: &Stage<M, A>, _cpu: &M::Cpu) {}

    fn step<A: SwapAllocator<M>>(
        &self,
        stage: &Stage<M, A>,
        cpu: &M::Cpu,
        _worker: &mut (),
        meter: &mut Meter,
    ) {
        let (swap, owner) = (&stage.swap, cpu.id());
        meter.op(cpu, Kind::Alloc, || swap.swap_out(cpu, owner, 0, 0, Folio::Drop));
        meter.op(cpu, Kind::Free, || swap.swap_in(cpu, owner, 0, Folio::Drop));
    }
}

mod tests {
    use std::sync::Arc;

    use machine::simulated::Model;
    use machine::topology::Topology;
    use results::store::{self, Writer};

    use crate::engine;
    use crate::plan::{Host, Options, Plan};
    use crate::units::Threads;
    use crate::workload;

    /// The cells of a plan of all default values but a short window.
    fn cells(host: &Host, seconds: f64) -> Vec<results::schema::Cell> {
        let options = Options {
            variant: vec!["percluster".into()],
            workload: vec!["toy".into()],
            threads: vec![Threads::Count(1)],
            // A busy machine refuses some.
            trials: Some(6),
            seconds: Some(seconds),
            ..Options::default()
        };
        let plan = Plan::new(options, host).unwrap();
        let run = engine::describe(&plan, host.topology, "a test".into());
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(dir.path(), run).unwrap();
        engine::run(&plan, &mut writer, &[], |_| {}).unwrap();
        store::load(writer.dir()).unwrap().cells
    }

    #[test]
    fn a_workload_of_one_file_and_one_line_is_found_everywhere() {
        let entry = workload::find("toy").expect("the list has it");
        assert!(workload::LIST.iter().any(|known| known.about == entry.about));
        let here = Topology::here().unwrap();
        let model = Model::load("vm-32").unwrap();
        let topology = model.topology();
        let simulated = Host { topology: &topology, guest: false, model: Some(Arc::new(model)) };
        for (host, seconds) in [(&Host::here(&here), 0.05), (&simulated, 0.001)] {
            let cells = cells(host, seconds);
            assert!(!cells.is_empty());
            assert_eq!(cells[0].key.workload, "toy");
            assert_eq!(cells[0].key.params["size"], "6MiB", "its own default");
            assert!(cells[0].kinds["alloc"].count > 0, "{:?}", cells[0].kinds);
        }
    }
}
