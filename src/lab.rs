//! `swapscale lab`: kernels before and after, booted in QEMU, side by side.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bench_harness::lab::{self, Kernel, Plan, Report, Text};
use bench_harness::live::{self, Error, Workload};

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
    /// Modules of the kernels given by --kernel: what `make modules_install` made
    #[arg(long)]
    modules: Option<PathBuf>,
    /// CPUs of a guest, 2 to 8
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=8))]
    smp: u8,
    /// Boots of each kernel, interleaved
    #[arg(long, default_value_t = 3)]
    boots: u32,
    /// churn, seq, build, mthp, swapoff
    #[arg(long, value_delimiter = ',', default_value = "churn,build,swapoff")]
    workload: Vec<String>,
    /// Numbers of worker processes; by default 1 and as many as the guest has CPUs
    #[arg(long, value_delimiter = ',')]
    threads: Vec<u32>,
    /// Measured seconds of one trial
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Seconds one boot may take
    #[arg(long, default_value_t = 180)]
    patience: u64,
    /// MiB of memory of a guest
    #[arg(long, default_value_t = 1024)]
    memory_mib: u64,
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
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let outcome = lab::run(&plan, &args.out, &command, |line| eprintln!("{line}"))?;
    let runs = results::store::load_all(&outcome.runs)?;
    if runs.is_empty() {
        let why = outcome.notes.join("; ");
        return Err(format!("no guest gave a figure: {why}").into());
    }
    let report = Report::new(&runs, &outcome.notes);
    let dir = args.out.join(format!("{}-report", runs[0].run.id));
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    fs::write(dir.join("lab.md"), report.write(Text::Markdown)).map_err(failed)?;
    fs::write(dir.join("lab.txt"), report.write(Text::Mail)).map_err(failed)?;
    plots::draw(&runs, &dir)?;
    let mut said = report.write(Text::Mail);
    for path in outcome.runs.iter().chain([&dir]) {
        said.push_str(&format!("{}\n", path.display()));
    }
    crate::print(&said)?;
    Ok(ExitCode::SUCCESS)
}

fn resolve(args: &Args) -> Result<Plan, Error> {
    let cache = lab::cache();
    let versions = args.before.iter().chain(&args.after);
    let fetched = versions.map(|version| lab::fetch(version, &cache));
    let given = args.kernel.iter().map(|image| lab::given(image, args.modules.as_deref()));
    let kernels = fetched.chain(given).collect::<Result<Vec<Kernel>, _>>()?;
    if kernels.is_empty() {
        return Err(Error::Refused("give --before and --after, or --kernel".into()));
    }
    let workload = |name: &String| {
        let known = Workload::ALL.into_iter().find(|workload| workload.id() == name);
        known.ok_or_else(|| {
            let names = Workload::ALL.map(Workload::id).join(", ");
            Error::Refused(format!("--workload {name}: expected {names}"))
        })
    };
    let all = u32::from(args.smp);
    Ok(Plan {
        kernels,
        args: live::Args {
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
        },
        boots: args.boots.max(1),
        memory_mib: args.memory_mib,
        patience: Duration::from_secs(args.patience),
    })
}
