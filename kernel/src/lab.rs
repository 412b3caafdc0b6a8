//! The lab: unmodified kernels booted in QEMU. Each one has this same program as its init, which
//! runs the live driver and reports over the console. Guards the claim "before and after": one
//! plan, interleaved boots, and a report that says where emulation ran the guests.

mod acquisitions;
mod apt;
mod cpio;
mod guest;
mod image;
mod packages;
mod qemu;
mod slow_path;
mod steps;
mod tracefs;

pub use guest::{MARK, Message, is_guest, main as guest_main};
pub use packages::{Kernel, cache, fetch, given, tell_apart};
pub use qemu::{Console, find as find_qemu};

use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::topology::Topology;
use results::schema::{MachineId, MachineKind, ProbeCost, Reading, Run, SCHEMA};
use results::store::{Writer, created_now, run_id};

use crate::live::{self, Error};
use image::Image;
use probe::{Roots, environment};
use qemu::Accel;

/// The kernels to boot, the plan of each boot, and the number of boots.
#[derive(Clone, Debug)]
pub struct Plan {
    /// the first is "before", the others "after"
    pub kernels: Vec<Kernel>,
    /// the plan of every guest
    pub args: live::Args,
    /// boots of each kernel, interleaved
    pub boots: u32,
    /// memory of a guest, MiB
    pub memory_mib: u64,
    /// deadline of one boot, from its start to its last message
    pub patience: Duration,
}

/// The results of a lab.
pub struct Outcome {
    /// one run directory per kernel that gave cells, in the plan's order
    pub runs: Vec<PathBuf>,
    /// a sentence for each kernel that gave no cell, with the reason
    pub unmeasured: Vec<String>,
    /// true where KVM ran the guests: only then is time hardware time
    pub hardware: bool,
    /// boots that failed, trials that were refused, and why
    pub notes: Vec<String>,
}

/// Boots the kernels in turn (ABAB) and records one run per kernel below `root`.
///
/// # Errors
/// [`Error::System`] where an image cannot be written or QEMU cannot be started, [`Error::Store`]
/// where a run cannot be written, [`Error::Interrupted`] after a signal. A boot that fails becomes
/// a note, and a kernel without any cell one of [`Outcome::unmeasured`].
pub fn run(
    plan: &Plan,
    root: &Path,
    command: &str,
    progress: impl Fn(&str),
) -> Result<Outcome, Error> {
    live::catch_signals();
    let images = plan.kernels.iter().map(|kernel| Image::build(kernel, &plan.args));
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
            keep_boot(boot, plan, start, keeper)?;
        }
    }
    let outcome = Outcome {
        runs: Vec::new(),
        unmeasured: Vec::new(),
        hardware: accel == Accel::Kvm,
        notes: Vec::new(),
    };
    Ok(plan.kernels.iter().zip(keepers).fold(outcome, settle))
}

/// Adds what one kernel has given.
fn settle(mut outcome: Outcome, (kernel, keeper): (&Kernel, Keeper)) -> Outcome {
    match keeper.writer {
        Some(writer) => {
            outcome.runs.push(writer.dir().to_owned());
            let named = keeper.notes.into_iter().map(|note| format!("{}: {note}", kernel.name));
            outcome.notes.extend(named);
        }
        None => {
            let why = keeper.notes.join("; ");
            outcome.unmeasured.push(format!("{} was not measured: {why}", kernel.name));
        }
    }
    outcome
}

/// The most starts of a kernel for one boot. In QEMU's emulation of two CPUs, one CPU sometimes
/// runs into the int3 of code that the other has just patched (a static key, for example), and the
/// kernel panics before it has an init. Nothing was measured yet, so another start changes no
/// figure.
const STARTS: u32 = 3;

/// One boot, from its start to its last message.
fn keep_boot(
    boot: u32,
    plan: &Plan,
    start: impl Fn() -> Result<qemu::Guest, Error>,
    keeper: &mut Keeper,
) -> Result<(), Error> {
    for left in (0..STARTS).rev() {
        let mut up = false;
        let mut guest = start()?;
        let ended = guest.listen(plan.patience, |message| {
            up = true;
            keeper.keep(message, boot * plan.args.trials)
        });
        let why = match ended {
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

/// Writes the messages of one kernel's guests to disk.
struct Keeper {
    run: Run,
    root: PathBuf,
    writer: Option<Writer>,
    notes: Vec<String>,
}

impl Keeper {
    fn keep(&mut self, message: Message, first_block: u32) -> Result<(), Error> {
        match message {
            Message::Up { release, unsupported } => {
                self.run.machine.name = release;
                self.note(
                    unsupported.map(|why| format!("a probe of the guest does not count: {why}")),
                );
            }
            Message::Cell(mut cell) => {
                cell.key.block += first_block;
                if self.writer.is_none() {
                    self.writer = Some(Writer::create(&self.root, self.run.clone())?);
                }
                self.writer.as_mut().expect("just made").append(&cell)?;
            }
            Message::End { refused, .. } => {
                self.note(refused.into_iter().map(|why| format!("no figure: {why}")));
            }
            Message::Failed(why) => self.note([why]),
        }
        Ok(())
    }

    /// Keeps each note once, since every boot repeats it.
    fn note(&mut self, notes: impl IntoIterator<Item = String>) {
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }
}

/// The run of one kernel. The environment describes the host, apart from the kernel.
fn describe(plan: &Plan, kernel: &Kernel, accel: Accel, command: &str) -> Run {
    let created = created_now();
    let mut environment = match Topology::here() {
        Ok(topology) => environment::read(&Roots::default(), &topology),
        Err(error) => unreachable!("the topology was read to choose CPUs: {error}"),
    };
    probe::commit::record(&mut environment);
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
        in_turns: None,
        events: None,
        machine: MachineId { kind, name: kernel.name.clone(), predicted: false },
        environment,
        probe: ProbeCost { clock_read_ns: unknown(), record_ns: unknown() },
    }
}
