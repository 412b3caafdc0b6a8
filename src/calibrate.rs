//! `swapscale calibrate`: measures this machine and writes a model of it, or, with `--kernel`, the
//! prices of pages around its kernel's swap allocator.

use std::path::PathBuf;
use std::process::ExitCode;

use machine::simulated::Model;
use machine::topology::Topology;
use studies::calibrate::calibrate;

use crate::{Answer, print};

/// Best on an idle machine: see `swapscale doctor`
#[derive(clap::Args)]
pub struct Args {
    /// Where to write the file; standard output if not given
    #[arg(long)]
    out: Option<PathBuf>,
    /// The model whose figures stand for what cannot be measured here
    #[arg(long, default_value = "xeon-2s", conflicts_with = "kernel")]
    base: String,
    /// Measure what the running kernel takes per page swapped out, in and freed, on a zram device
    /// that is made for it; needs root
    #[arg(long)]
    kernel: bool,
    /// With --kernel: what stands in the pages
    #[arg(long, requires = "kernel", value_enum, default_value = "compressible")]
    content: Content,
    /// With --kernel: runs per point, of which the median counts
    #[arg(long, requires = "kernel", default_value = "9")]
    runs: u32,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Content {
    /// One word all over a page
    SameFilled,
    /// Zeros but for one word, as the workloads of --machine kernel write them
    OneWord,
    /// About half under lzo-rle
    Compressible,
    /// Random
    Incompressible,
}

pub fn run(args: &Args) -> Answer {
    let text = if args.kernel {
        prices(args)?
    } else {
        toml::to_string(&calibrate(&Topology::here()?, Model::load(&args.base)?)?)?
    };
    match &args.out {
        Some(path) => std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(target_os = "linux")]
fn prices(args: &Args) -> Result<String, Box<dyn std::error::Error>> {
    use kernel::live;
    let topology = Topology::here()?;
    let measured = live::calibrate::Args {
        content: match args.content {
            Content::SameFilled => live::Content::SameFilled,
            Content::OneWord => live::Content::OneWord,
            Content::Compressible => live::Content::Compressible,
            Content::Incompressible => live::Content::Incompressible,
        },
        runs: args.runs,
        pages: live::calibrate::PAGES,
        cpus: topology.cpus().iter().map(|cpu| cpu.id).collect(),
        command: crate::command_line(),
    };
    let prices = live::calibrate::calibrate(&measured, |run, of| {
        crate::say(format_args!("run {run} of {of}"));
    })?;
    Ok(toml::to_string(&prices)?)
}

#[cfg(not(target_os = "linux"))]
fn prices(args: &Args) -> Result<String, Box<dyn std::error::Error>> {
    let (content, runs) = (args.content, args.runs);
    let here = std::env::consts::OS;
    Err(format!("calibrate --kernel ({content:?}, {runs} runs): expected Linux; this is {here}")
        .into())
}
