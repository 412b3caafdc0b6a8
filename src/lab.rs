//! `swapscale lab`: kernels before and after, booted in QEMU, side by side.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use kernel::lab::{self, Kernel, Plan, Task, hunt};
use kernel::live::{self, Error, Workload};
use plots::{Drawn, Wanted};
use results::kernel::HUNT;
use results::schema::MachineKind;
use results::store::Loaded;
use results::tables::document::Document;

#[derive(clap::Args)]
pub struct Args {
    /// Kernel before: a series (6.12) or a release (6.12.117) that Debian packages
    #[arg(long)]
    before: Option<String>,
    /// Kernels after
    #[arg(long, value_delimiter = ',')]
    after: Vec<String>,
    /// A kernel you have built (bzImage), after the packaged ones; may be repeated
    #[arg(long)]
    kernel: Vec<PathBuf>,
    /// Modules of the kernels given by --kernel, in their order, or one for all: what
    /// `make modules_install` made
    #[arg(long)]
    modules: Vec<PathBuf>,
    /// CPUs of a guest, 2 to 8
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=8))]
    smp: u8,
    /// Boots of each kernel, interleaved
    #[arg(long, default_value_t = 3)]
    boots: u32,
    /// churn, seq, build, mthp, memhog, swapoff; or mthp-swapoff, alone: swapoffs that lock a CPU up
    /// in kernels whose allocator does not see that the swap is going away
    #[arg(long, value_delimiter = ',', default_value = "churn,build,swapoff")]
    workload: Vec<String>,
    /// Numbers of worker processes; by default 1 and as many as the guest has CPUs
    #[arg(long, value_delimiter = ',')]
    threads: Vec<u32>,
    /// Measured seconds of one trial
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// In mthp-swapoff: swapoffs of one boot, in turns with folios of 64 KiB in swap and without
    /// [default: 20]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    swapoffs: Option<u32>,
    /// Seconds one boot may take
    #[arg(long, default_value_t = 180)]
    patience: u64,
    /// MiB of memory of a guest [default: 1024; mthp-swapoff: 1536]
    #[arg(long)]
    memory_mib: Option<u64>,
    /// Where the runs and the report are put
    #[arg(long, default_value = "results/local")]
    out: PathBuf,
}

/// True in a guest of the lab, where this program is process 1.
pub fn is_guest() -> bool {
    lab::is_guest()
}

/// A guest's whole life.
pub fn guest() -> ! {
    lab::guest_main()
}

pub fn run(args: &Args) -> crate::Answer {
    let plan = resolve(args)?;
    let command = crate::command_line();
    let outcome = lab::run(&plan, &args.out, &command, |line| crate::say(line))?;
    let runs = results::store::load_all(&outcome.runs)?;
    let unmeasured = outcome.unmeasured.join("; ");
    if runs.is_empty() {
        return Err(format!("no guest gave a figure: {unmeasured}").into());
    }
    let dir = args.out.join(format!("{}-report", runs[0].run.id));
    let mut report = results::lab::report(&runs, &outcome.notes);
    if !unmeasured.is_empty() {
        report.title = format!("{unmeasured}. {}", report.title);
    }
    let mail = write_report(&runs, &report, &dir)?;
    let paths = outcome.runs.iter().chain([&dir]).map(|path| format!("{}\n", path.display()));
    crate::print(&(mail + &paths.collect::<String>()))?;
    if unmeasured.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(unmeasured.into()) }
}

/// Writes the report of the lab's `runs` and its charts into `dir`. Returns the report's mail.
pub fn write_report(
    runs: &[Loaded],
    report: &Document,
    dir: &Path,
) -> Result<String, Box<dyn std::error::Error>> {
    // Charts of rates under emulation would say what the report must not.
    let hardware = runs.iter().all(|run| run.run.machine.kind == MachineKind::Kernel);
    let charts = if hardware { Vec::new() } else { vec!["swapoff".into()] };
    let drawn = plots::draw_only(runs, dir, &Wanted { charts, all: false, slides: false })?;
    let mut pictures = Vec::new();
    for svg in drawn.iter().flat_map(pictured) {
        pictures.push(fs::read_to_string(svg).map_err(|e| format!("{}: {e}", svg.display()))?);
    }
    let mail = report.mail();
    for (name, text) in
        [("lab.html", &report.page(&pictures)), ("lab.md", &report.markdown()), ("lab.txt", &mail)]
    {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(mail)
}

/// The files of a chart that go on the page.
fn pictured(drawn: &Drawn) -> impl Iterator<Item = &PathBuf> {
    let files = match drawn {
        Drawn::Files { files, .. } => &files[..],
        Drawn::Absent { .. } => &[],
    };
    let wanted = |file: &&PathBuf| {
        let name = file.to_string_lossy();
        name.ends_with(".svg")
    };
    files.iter().filter(wanted)
}

fn resolve(args: &Args) -> Result<Plan, Error> {
    if args.before.is_none() && args.after.is_empty() && args.kernel.is_empty() {
        return Err(Error::Refused("give --before and --after, or --kernel".into()));
    }
    let task = task(args)?;
    lab::find_qemu()?;
    let cache = lab::cache();
    let versions = args.before.iter().chain(&args.after);
    let fetched = versions.map(|version| lab::fetch(version, &cache));
    let modules = |index: usize| match &args.modules[..] {
        [all] => Some(all.as_path()),
        each => each.get(index).map(PathBuf::as_path),
    };
    let given = args.kernel.iter().enumerate();
    let given = given.map(|(index, image)| lab::given(image, modules(index)));
    let mut kernels = fetched.chain(given).collect::<Result<Vec<Kernel>, _>>()?;
    lab::tell_apart(&mut kernels);
    let memory_mib = args.memory_mib.unwrap_or(match task {
        Task::Trials(_) => 1024,
        Task::Hunt(_) => 1536,
    });
    Ok(Plan {
        kernels,
        task,
        boots: args.boots.max(1),
        memory_mib,
        patience: Duration::from_secs(args.patience),
    })
}

/// What the guests do: trials, or the hunt, which runs alone since it can leave a guest locked up.
fn task(args: &Args) -> Result<Task, Error> {
    let hunts = args.workload.iter().any(|name| name == HUNT);
    if hunts && (args.workload.len() > 1 || !args.threads.is_empty()) {
        return Err(Error::Refused(format!("--workload {HUNT}: it runs alone, without --threads")));
    }
    if hunts {
        return Ok(Task::Hunt(hunt::Args {
            swapoffs: args.swapoffs.unwrap_or(20),
            cpus: args.smp.into(),
            seed: 1,
        }));
    }
    if args.swapoffs.is_some() {
        return Err(Error::Refused(format!("--swapoffs: an option of --workload {HUNT}")));
    }
    let workload = |name: &String| {
        let known = Workload::ALL.into_iter().find(|workload| workload.id() == name);
        known.ok_or_else(|| {
            let names = Workload::ALL.map(Workload::id).join(", ");
            Error::Refused(format!("--workload {name}: expected {names}, or {HUNT} alone"))
        })
    };
    let all = u32::from(args.smp);
    Ok(Task::Trials(live::Args {
        workloads: args.workload.iter().map(workload).collect::<Result<_, _>>()?,
        threads: if args.threads.is_empty() { vec![1, all] } else { args.threads.clone() },
        batches: vec![16],
        trials: 1,
        interval: Duration::from_secs_f64(args.seconds.clamp(0.1, 60.0)),
        seed: 1,
        cpus: (0..usize::from(args.smp)).collect(),
        pin: "compact".into(),
        size: 256 << 20,
        fill: 25,
        trace: false,
        swap_device: None,
    }))
}
