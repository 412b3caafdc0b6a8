//! `swapscale calibrate`: measures this machine and writes a model of it.

use std::path::PathBuf;
use std::process::ExitCode;

use machine::simulated::Model;
use machine::topology::Topology;
use studies::calibrate::calibrate;

use crate::{Answer, print};

/// Best on an idle machine: see `swapscale doctor`
#[derive(clap::Args)]
pub struct Args {
    /// Where to write the model; standard output if not given
    #[arg(long)]
    out: Option<PathBuf>,
    /// The model whose figures stand for what cannot be measured here
    #[arg(long, default_value = "xeon-2s")]
    base: String,
}

pub fn run(args: &Args) -> Answer {
    let model = calibrate(&Topology::here()?, Model::load(&args.base)?)?;
    let text = toml::to_string(&model)?;
    match &args.out {
        Some(path) => std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?,
        None => print(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}
