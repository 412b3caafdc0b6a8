//! `swapscale run --baseline BINARY`: two builds of this program measured in turns. Guards that what
//! the machine does meanwhile meets both builds alike: each trial is a process of its own, the two
//! trials of a pair have the same point, seed and options and follow each other at once, and which
//! build goes first changes from pair to pair.

use std::error::Error;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use bench_harness::plan::{Options, Plan};
use bench_harness::schedule::interleaved;
use results::compare::gate_needs;
use results::metric::Metric;
use results::report::{Report, pair};
use results::schema::{CellKey, Run};
use results::store::{self, Loaded, Writer};

use crate::progress::point;
use crate::report::FormatArgs;
use crate::run::{after_refusals, each};
use crate::{Answer, print, say};

pub fn run(mut plan: Plan, baseline: &Path, out: &Path, format: &FormatArgs) -> Answer {
    if plan.until.is_some() {
        return Err("--baseline: expected a number of trials, not --until".into());
    }
    if plan.options.budget.is_some() {
        // It is for both builds.
        plan.measure /= 2;
    }
    std::fs::create_dir_all(out).map_err(|e| format!("{}: {e}", out.display()))?;
    let trials = tempfile::Builder::new().prefix(".trials-").tempdir_in(out)?;
    let here = std::env::current_exe()?;
    let mut builds = [
        Build::new("base", baseline, format!("{}-base", plan.label)),
        Build::new("new", &here, plan.label.clone()),
    ];
    let slots = interleaved(plan.points.len(), plan.trials, plan.seed);
    let (all, each) = (slots.len(), each(&plan));
    say(format_args!("{all} pairs of trials {each}, into {}", out.display()));
    say(gate_needs(plan.points.len(), plan.trials as usize));
    let command = format!("{} --baseline {}", plan.options.command(), baseline.display());
    let (mut in_turns, mut refused) = (None, 0);
    for (at, slot) in slots.iter().enumerate() {
        let options = plan.alone(&plan.points[slot.point], slot.block);
        let base_first = (slot.block as usize + slot.point).is_multiple_of(2);
        for side in if base_first { [0, 1] } else { [1, 0] } {
            let build = &mut builds[side];
            let measured = build.measure(&options, trials.path())?;
            build.begin(&plan, &command, &measured.trial, out, &mut in_turns)?;
            let said = match build.keep(&measured, slot.block, at as u64)? {
                Kept::Cell(key, rate) => format!("{}: {:.3} Mops/s", point(&key), rate / 1e6),
                Kept::Refused(line) => {
                    refused += 1;
                    line
                }
                Kept::Wrong(why) => {
                    say(format_args!("swapscale: {}: {why}", build.binary.display()));
                    return Ok(ExitCode::from(1));
                }
            };
            say(format_args!("[{}/{all}] {}: {said}", at + 1, build.side));
        }
    }
    tell(&builds, format)?;
    after_refusals(&plan, refused)
}

/// The comparison of the two runs, and where they are.
fn tell(builds: &[Build; 2], format: &FormatArgs) -> Result<(), Box<dyn Error>> {
    let mut runs = Vec::new();
    for build in builds {
        let writer = build.writer.as_ref().ok_or("there was no trial")?;
        runs.push(store::load(writer.dir())?);
        if runs.last().is_some_and(|run| run.cells.is_empty()) {
            return Err(format!("all cells of {} were refused", build.binary.display()).into());
        }
    }
    let report = Report::new(&pair(&runs[0], &runs[1], &[])?, &Metric::Throughput)?;
    print(&format.chosen().render(&report))?;
    say(format_args!("{}\n{}", runs[0].dir.display(), runs[1].dir.display()));
    Ok(())
}

/// One of the two builds, and its run.
struct Build {
    side: &'static str,
    binary: PathBuf,
    label: String,
    /// none before its first trial, of which it takes the environment
    writer: Option<Writer>,
}

/// What a build's process has left behind.
struct Measured {
    trial: Loaded,
    output: Output,
}

enum Kept {
    /// with its throughput, operations/s
    Cell(CellKey, f64),
    /// a line that says which trial, and why
    Refused(String),
    /// the build breaks an invariant
    Wrong(String),
}

impl Build {
    fn new(side: &'static str, binary: &Path, label: String) -> Build {
        Build { side, binary: binary.to_owned(), label, writer: None }
    }

    /// Runs one trial.
    fn measure(&self, options: &Options, trials: &Path) -> Result<Measured, String> {
        let options = Options { label: Some(self.label.clone()), ..options.clone() };
        let plan = toml::to_string(&options).expect("options are plain data");
        let dir = trials.join("trial");
        let mut child = Command::new(&self.binary)
            .args(["run", "--plan", "-", "--out"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| self.failed(&e))?;
        // Whoever does not read it says by its exit code why.
        let _ = child.stdin.take().expect("piped").write_all(plan.as_bytes());
        let output = child.wait_with_output().map_err(|e| self.failed(&e))?;
        let mut runs = store::load_all(&[&dir]).map_err(|_| self.failed(&last_line(&output)))?;
        let trial = runs.pop().expect("never empty");
        Ok(Measured { trial, output })
    }

    /// Makes the build's run where there is none yet: in the environment of its first trial, and
    /// with a mark that both builds' runs have.
    fn begin(
        &mut self,
        plan: &Plan,
        command: &str,
        trial: &Loaded,
        out: &Path,
        in_turns: &mut Option<String>,
    ) -> Result<(), results::Error> {
        if self.writer.is_some() {
            return Ok(());
        }
        let run = Run {
            command: command.to_owned(),
            plan: serde_json::to_value(&plan.options).expect("options are plain data"),
            in_turns: Some(in_turns.get_or_insert_with(|| trial.run.id.clone()).clone()),
            ..trial.run.clone()
        };
        self.writer = Some(Writer::create(out, run)?);
        Ok(())
    }

    /// Puts the trial into the build's run, as trial `block` of its point and the `at`th of the run.
    fn keep(
        &mut self,
        Measured { trial, output }: &Measured,
        block: u32,
        at: u64,
    ) -> Result<Kept, Box<dyn Error>> {
        let writer = self.writer.as_mut().expect("begun before");
        let kept = match trial.cells.first() {
            Some(cell) => {
                let mut cell = cell.clone();
                let histograms = trial.histograms(&cell)?;
                (cell.key.block, cell.order_in_run) = (block, at);
                if !histograms.is_empty() {
                    writer.attach(&mut cell, &histograms)?;
                }
                writer.append(&cell)?;
                Kept::Cell(cell.key.clone(), cell.ops_per_s)
            }
            None if output.status.code() == Some(1) => Kept::Wrong(last_line(output)),
            None => Kept::Refused(refusal(output).ok_or_else(|| self.failed(&last_line(output)))?),
        };
        std::fs::remove_dir_all(&trial.dir)?;
        Ok(kept)
    }

    /// Whatever else ends a build's process: it is no build, was killed, or has no disk.
    fn failed(&self, why: &dyn Display) -> String {
        let binary = self.binary.display();
        format!("{binary}: expected a build of swapscale that can measure this plan: {why}")
    }
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    match text.trim().lines().last() {
        Some(line) => line.trim_start_matches("swapscale: ").to_owned(),
        None => format!("it said nothing, {}", output.status),
    }
}

/// The line that names the trial and says why it was refused, without its number.
fn refusal(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains(": refused: "))?;
    Some(line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned())
}
