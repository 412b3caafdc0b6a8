//! `swapscale completions SHELL`: the script that completes the command's words.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::{Answer, command, print};

#[derive(clap::Args)]
pub struct Args {
    shell: Shell,
}

pub fn run(args: &Args) -> Answer {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "swapscale", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(ExitCode::SUCCESS)
}
