//! The lab: unmodified kernels booted in QEMU, each with this very program as its init, which
//! runs the live driver and reports over the console. Guards the claim "before and after": one
//! plan, interleaved boots, and no figure presented as more than emulation can give.

mod cpio;
mod guest;
mod image;
mod packages;
mod qemu;
mod slow_path;
mod steps;
mod tracefs;

pub use guest::{Said, is_guest, main as guest_main};
pub use packages::{Kernel, cache, fetch, given, tell_apart};
pub use qemu::{Console, find as find_qemu};

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use machine::topology::Topology;
use results::schema::{MachineId, MachineKind, ProbeCost, Reading, Run, SCHEMA};
use results::store::{Writer, run_id};

use crate::live::{self, Error};
use probe::{Roots, environment};
use qemu::Accel;

/// What to boot, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// the first is "before", the others "after"
    pub kernels: Vec<Kernel>,
    /// what runs in every guest
    pub args: live::Args,
    /// boots of each kernel, interleaved
    pub boots: u32,
    /// MiB of memory of a guest
    pub memory_mib: u64,
    /// one boot may take this long
    pub patience: Duration,
}

/// What came of it.
pub struct Outcome {
    /// one run directory for each kernel that gave cells, in the plan's order
    pub runs: Vec<PathBuf>,
    /// true where KVM ran the guests: only then is time hardware time
    pub hardware: bool,
    /// boots that failed, trials that were refused, and why
    pub notes: Vec<String>,
}

/// Boots everything in ABAB order and records one run for each kernel below `root`.
pub fn run(
    plan: &Plan,
    root: &Path,
    command: &str,
    progress: impl Fn(&str),
) -> Result<Outcome, Error> {
    live::catch_signals();
    let work = tempfile::tempdir().map_err(Error::system("cannot make a work directory"))?;
    let images = plan.kernels.iter().map(|kernel| image::build(kernel, &plan.args, work.path()));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let cpus = plan.args.cpus.len();
    let accel = qemu::probe(&plan.kernels[0], &images[0], plan.memory_mib, cpus, plan.patience);
    progress(&format!("guests run by {}", accel.describe()));
    let start = |kernel: &Kernel| Keeper {
        run: describe(plan, kernel, accel, command),
        root: root.to_owned(),
        writer: None,
        notes: Vec::new(),
    };
    let mut keepers: Vec<Keeper> = plan.kernels.iter().map(start).collect();
    for boot in 0..plan.boots {
        for ((kernel, image), keeper) in plan.kernels.iter().zip(&images).zip(&mut keepers) {
            progress(&format!("boot {} of {}: {}", boot + 1, plan.boots, kernel.name));
            let start = || qemu::Guest::boot(kernel, image, accel, plan.memory_mib, cpus);
            hear_out(boot, plan, start, keeper)?;
        }
    }
    let mut outcome =
        Outcome { runs: Vec::new(), hardware: accel == Accel::Kvm, notes: Vec::new() };
    for (kernel, keeper) in plan.kernels.iter().zip(keepers) {
        let named = keeper.notes.into_iter().map(|note| format!("{}: {note}", kernel.name));
        outcome.notes.extend(named);
        outcome.runs.extend(keeper.writer.map(|writer| writer.dir().to_owned()));
    }
    Ok(outcome)
}

/// How often a kernel is started for one boot. QEMU's emulation of two CPUs at times lets one run
/// into the int3 of code that the other has just patched (a static key, say), and the kernel
/// panics before it has an init: nothing was measured yet, so another start changes no figure.
const STARTS: u32 = 3;

/// One boot, from its start to its last word.
fn hear_out(
    boot: u32,
    plan: &Plan,
    start: impl Fn() -> Result<qemu::Guest, Error>,
    keeper: &mut Keeper,
) -> Result<(), Error> {
    for left in (0..STARTS).rev() {
        let mut up = false;
        let mut guest = start()?;
        let heard = guest.listen(plan.patience, |said| {
            up = true;
            keeper.keep(said, boot * plan.args.trials)
        });
        let why = match heard {
            Ok(()) => break,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(why) => why,
        };
        let again = !up && guest.panicked() && left > 0;
        let then = if again { "; started again" } else { "" };
        keeper.notes.push(format!("boot {}: {why}{then}", boot + 1));
        if !again {
            break;
        }
    }
    Ok(())
}

/// Puts what one kernel's guests say on disk.
struct Keeper {
    run: Run,
    root: PathBuf,
    writer: Option<Writer>,
    notes: Vec<String>,
}

impl Keeper {
    fn keep(&mut self, said: Said, first_block: u32) -> Result<(), Error> {
        match said {
            Said::Up { release, unsupported } => {
                self.run.machine.name = release;
                self.note(
                    unsupported.map(|why| format!("a probe of the guest does not count: {why}")),
                );
            }
            Said::Cell(mut cell) => {
                cell.key.block += first_block;
                if self.writer.is_none() {
                    self.writer = Some(Writer::create(&self.root, self.run.clone())?);
                }
                self.writer.as_mut().expect("just made").append(&cell)?;
            }
            Said::End { refused, .. } => {
                self.note(refused.into_iter().map(|why| format!("no figure: {why}")));
            }
            Said::Failed(why) => self.note([why]),
        }
        Ok(())
    }

    /// Every boot says the same again: once is enough.
    fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// The run of one kernel. The environment is the host's: a guest has none of its own worth
/// recording but its kernel.
fn describe(plan: &Plan, kernel: &Kernel, accel: Accel, command: &str) -> Run {
    let created = Timestamp::now();
    let mut environment = match Topology::here() {
        Ok(topology) => environment::read(&Roots::default(), &topology),
        Err(error) => unreachable!("the topology was read to choose CPUs: {error}"),
    };
    (environment.commit, environment.dirty) = environment::commit();
    environment.kernel = Reading::Known(kernel.name.clone());
    let (memory, cpus) = (plan.memory_mib, plan.args.cpus.len());
    environment.notes.push(format!(
        "a guest of QEMU with {cpus} CPUs and {memory} MiB, run by {}; the rest describes the host",
        accel.describe()
    ));
    let host = environment.host.known().cloned().unwrap_or_else(|| "unknown".into());
    let kind = if accel == Accel::Kvm { MachineKind::Kernel } else { MachineKind::Emulated };
    let unknown = || Reading::unknown("not calibrated in the guest");
    Run {
        schema: SCHEMA,
        id: run_id(created, &host, &format!("lab-{}", kernel.name)),
        created_utc: created.to_string(),
        label: format!("lab-{}", kernel.name),
        command: command.into(),
        plan: serde_json::to_value(&plan.args).expect("plain data"),
        machine: MachineId { kind, name: kernel.name.clone(), predicted: false },
        environment,
        probe: ProbeCost { clock_read_ns: unknown(), record_ns: unknown() },
    }
}
