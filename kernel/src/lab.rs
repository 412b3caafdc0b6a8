//! The lab: unmodified kernels booted in QEMU. Each one has this same program as its init, which
//! runs the live driver and reports over the console. Guards the claim "before and after": one
//! plan, interleaved boots, and a report that says where emulation ran the guests.

mod acquisitions;
mod apt;
mod cpio;
mod guest;
pub mod hunt;
mod image;
mod packages;
mod qemu;
mod slow_path;
mod steps;
mod stuck;
mod tally;
mod tracefs;

pub use guest::{MARK, Message, is_guest, main as guest_main};
pub use packages::{Kernel, cache, fetch, given, tell_apart};
pub use qemu::{Console, find as find_qemu};

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use machine::topology::Topology;
use results::schema::{MachineId, MachineKind, ProbeCost, Reading, Run, SCHEMA};
use results::store::{Writer, created_now, run_id};
use serde::{Deserialize, Serialize};

use crate::live::{self, Error};
use image::Image;
use probe::{Roots, environment};
use qemu::Accel;
use tally::Tally;

/// The kernels to boot, the plan of each boot, and the number of boots.
#[derive(Clone, Debug)]
pub struct Plan {
    /// the first is "before", the others "after"
    pub kernels: Vec<Kernel>,
    /// the plan of every guest
    pub task: Task,
    /// boots of each kernel, interleaved
    pub boots: u32,
    /// memory of a guest, MiB
    pub memory_mib: u64,
    /// deadline of one boot, from its start to its last message
    pub patience: Duration,
}

/// The plan of a guest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// trials of the live driver
    Trials(live::Args),
    /// swapoffs that can lock the guest up
    Hunt(hunt::Args),
}

impl Task {
    fn cpus(&self) -> usize {
        match self {
            Task::Trials(args) => args.cpus.len(),
            Task::Hunt(args) => args.cpus as usize,
        }
    }

    /// Trials of one boot.
    fn trials(&self) -> u32 {
        match self {
            Task::Trials(args) => args.trials,
            Task::Hunt(_) => 1,
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let json = match self {
            Task::Trials(args) => serde_json::to_value(args),
            Task::Hunt(args) => serde_json::to_value(args),
        };
        json.expect("plain data")
    }

    /// A guest that says nothing for so long has locked up. Only a hunt makes one that does.
    fn silence(&self) -> Duration {
        match self {
            Task::Trials(_) => Duration::MAX / 4,
            Task::Hunt(_) => SILENCE,
        }
    }
}

/// Longer than any swapoff of a hunt takes; the watchdog reports long before.
const SILENCE: Duration = Duration::from_secs(80);

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
    let images = plan.kernels.iter().map(|kernel| Image::build(kernel, &plan.task));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let cpus = plan.task.cpus();
    let accel = qemu::probe(&plan.kernels[0], &images[0], plan.memory_mib, cpus, plan.patience);
    progress(&format!("guests run by {}", accel.describe()));
    let start = |kernel: &Kernel| Keeper {
        run: describe(plan, kernel, accel, command),
        root: root.to_owned(),
        writer: None,
        notes: Vec::new(),
        tally: Tally::default(),
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
        let ended = guest.listen(plan.patience, plan.task.silence(), |message| {
            up = true;
            keeper.keep(message, boot * plan.task.trials())
        });
        let lost = guest.silent() && keeper.tally.silent(plan.task.silence());
        if let Task::Hunt(args) = &plan.task {
            keeper.settle(args, boot, guest.report())?;
        }
        let why = match ended {
            Ok(()) => break,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(why) => why,
        };
        let again = !up && guest.panicked() && left > 0;
        let then = match (again, lost) {
            (true, _) => "; started again",
            (_, true) => "; counted as a lockup",
            _ => "",
        };
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
    /// the swapoffs of this boot, in a hunt
    tally: Tally,
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
                self.writer()?.append(&cell)?;
            }
            Message::Begun(begun) => self.tally.begin(begun),
            Message::Ended(ended) => self.tally.end(ended),
            Message::Lockup => self.tally.lockup(),
            Message::End { refused, .. } => {
                self.note(refused.into_iter().map(|why| format!("no figure: {why}")));
            }
            Message::Failed(why) => self.note([why]),
        }
        Ok(())
    }

    /// The run's directory is made with its first cell.
    fn writer(&mut self) -> Result<&mut Writer, Error> {
        if self.writer.is_none() {
            self.writer = Some(Writer::create(&self.root, self.run.clone())?);
        }
        Ok(self.writer.as_mut().expect("just made"))
    }

    /// Writes what the swapoffs of a boot have given, and the kernel's `report` of a lockup.
    fn settle(&mut self, args: &hunt::Args, boot: u32, report: &[String]) -> Result<(), Error> {
        let release = self.run.machine.name.clone();
        let cells = std::mem::take(&mut self.tally).cells(args, &release, boot);
        for cell in &cells {
            self.writer()?.append(cell)?;
        }
        let Some(writer) = self.writer.as_ref().filter(|_| !report.is_empty()) else {
            return Ok(());
        };
        let path = writer.dir().join(format!("lockup-{}.txt", boot + 1));
        let failed = Error::system(format!("cannot write {}", path.display()));
        fs::write(&path, report.join("\n") + "\n").map_err(failed)
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
    let (memory, cpus) = (plan.memory_mib, plan.task.cpus());
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
        plan: plan.task.to_json(),
        in_turns: None,
        events: None,
        machine: MachineId { kind, name: kernel.name.clone(), predicted: false },
        environment,
        probe: ProbeCost { clock_read_ns: unknown(), record_ns: unknown() },
    }
}
