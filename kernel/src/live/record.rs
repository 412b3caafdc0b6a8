//! A live run on disk, in the same directory layout, schema and histograms as any other run.

use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use machine::topology::Topology;
use results::schema::{Cell, MachineId, MachineKind, ProbeCost, Reading, Run, SCHEMA};
use results::store::{Writer, created_now, run_id};

use super::{Args, Error, Summary, sys};
use probe::{Roots, clock, environment};

/// Runs all trials and writes the cells to a new directory below `root`, which is made with the
/// first cell. After each cell is on disk, `seen` gets the number of planned trials and the cell.
/// Returns the directory, or none where every trial was refused.
///
/// # Errors
/// That of [`run`](super::run), or [`Error::Store`] where the run cannot be written.
pub fn record(
    args: &Args,
    root: &Path,
    label: &str,
    command: &str,
    mut seen: impl FnMut(usize, &Cell),
) -> Result<(Option<PathBuf>, Summary), Error> {
    let topology = Topology::here().map_err(|error| Error::Refused(error.to_string()))?;
    let mut writer = None;
    let summary = super::run(args, &(), |summary, mut cell, histograms| {
        let writer = match &mut writer {
            Some(writer) => writer,
            None => {
                let run = describe(args, &topology, summary, label, command);
                writer.insert(Writer::create(root, run)?)
            }
        };
        writer.attach(&mut cell, &histograms)?;
        writer.append(&cell)?;
        seen(summary.planned, &cell);
        Ok(())
    })?;
    Ok((writer.map(|writer| writer.dir().to_owned()), summary))
}

fn describe(
    args: &Args,
    topology: &Topology,
    summary: &Summary,
    label: &str,
    command: &str,
) -> Run {
    let created = created_now();
    let mut environment = environment::here(topology, sys::now_ns);
    let most = args.threads.iter().map(|threads| *threads as usize).max().unwrap_or_default();
    let used = &args.cpus[..most.min(args.cpus.len())];
    environment.governor = environment::governor(&Roots::default(), used);
    environment.notes.extend(summary.notes.iter().cloned());
    let host = environment.host.known().cloned().unwrap_or_else(|| "unknown".into());
    let mut record = Histogram::<u64>::new(3).expect("3 digits are allowed");
    Run {
        schema: SCHEMA,
        id: run_id(created, &host, label),
        created_utc: created.to_string(),
        label: label.into(),
        command: command.into(),
        plan: serde_json::to_value(args).expect("plain data"),
        in_turns: None,
        events: None,
        machine: MachineId {
            kind: MachineKind::Kernel,
            name: summary.release.name.clone(),
            predicted: false,
        },
        environment,
        probe: ProbeCost {
            clock_read_ns: Reading::Known(clock::clock_read(sys::now_ns).median),
            record_ns: Reading::Known(clock::record(|ns| record.saturating_record(ns)).median),
        },
    }
}
