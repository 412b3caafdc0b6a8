//! `swapscale check`: explores every case in a child process of its own, with a
//! limit on its CPU time, and says what was explored and what was found. Exit 0 when what
//! should hold holds and every fault asked for is caught, 1 when not, 2 on bad input.

use crate::timeline;
use checker::faults::{self, FAULTS, Fault};
use checker::{Case, Effort, Finding, Verdict};
use rayon::prelude::*;
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

#[derive(clap::Args)]
pub struct Args {
    /// Variants, or parts of the machine (lock, rcu, percpu_ref); none means all
    #[arg(value_name = "VARIANT")]
    subjects: Vec<String>,
    /// Put a historical bug back: it must be caught
    #[arg(long, value_name = "NAME", conflicts_with = "all_faults")]
    fault: Option<String>,
    /// Put back every fault in turn
    #[arg(long)]
    all_faults: bool,
    /// Higher bounds and longer random runs
    #[arg(long)]
    deep: bool,
    /// Seed of the random schedules
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the results as a JSON array, which `swapscale plot --race` puts on the report page
    #[arg(long)]
    json: bool,
    /// Write each race diagram into this directory, as text and as SVG
    #[arg(long, value_name = "DIR")]
    diagrams: Option<std::path::PathBuf>,
    /// One case in this process, its result as JSON
    #[arg(long, hide = true, value_name = "SUBJECT/SCENARIO")]
    child: Option<String>,
}

/// The fault that is drawn beside its counterpart, in which the barrier waits.
const NO_BARRIER: &str = "no-barrier";

/// The subject of one line of the answer.
struct Job {
    subject: String,
    fault: Option<&'static Fault>,
    /// Tried in turn; a fault is caught by the first that breaks.
    cases: Vec<String>,
}

pub fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            crate::say(format_args!("swapscale check: {message}"));
            ExitCode::from(2)
        }
    }
}

fn answer(args: &Args) -> Result<bool, String> {
    if let Some(id) = &args.child {
        return child(id, args);
    }
    let jobs = jobs(args)?;
    if let Some(dir) = &args.diagrams {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    // Explorations are single-threaded and independent: one per core.
    let results: Vec<Value> = jobs
        .par_iter()
        .map(|job| {
            let result = explore(job, args);
            if !args.json {
                say(&text(&result));
            }
            result
        })
        .collect();
    if let Some(dir) = &args.diagrams {
        write_diagrams(dir, &results)?;
    }
    let good = results.iter().filter(|result| result["well"] == true).count();
    if args.json {
        say(&(serde_json::to_string_pretty(&results).expect("plain data") + "\n"));
    } else {
        let (all, schedules) = (results.len(), effort(args).random_schedules());
        say(&crate::narrow(&format!("{good} of {all} as they should be ({schedules})")));
        next_step(args, &results);
    }
    Ok(good == results.len())
}

/// Where a race can be seen as a picture.
fn next_step(args: &Args, results: &[Value]) {
    let broken = results.iter().any(|result| result["verdict"] == "broken");
    match &args.diagrams {
        Some(dir) if broken => crate::say(format_args!("the races are drawn in {}", dir.display())),
        None if broken => crate::say("to draw the races: the same with --diagrams DIR"),
        _ if args.fault.is_none() && !args.all_faults => {
            crate::say("to see what it would catch: the same with --all-faults");
        }
        _ => {}
    }
}

/// A reader that has seen enough (`| head`) is no error.
fn say(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn jobs(args: &Args) -> Result<Vec<Job>, String> {
    let cases = checker::cases();
    let known = |s: &str| cases.iter().any(|case| case.subject == s);
    if let Some(unknown) = args.subjects.iter().find(|s| !known(canonical(s))) {
        let mut subjects: Vec<_> = cases.iter().map(|case| case.subject).collect();
        subjects.dedup();
        return Err(format!("VARIANT: '{unknown}' is none of {}", subjects.join(", ")));
    }
    let wanted =
        |s: &str| args.subjects.is_empty() || args.subjects.iter().any(|w| canonical(w) == s);
    let faults: Vec<&Fault> = match &args.fault {
        _ if args.all_faults => FAULTS.iter().collect(),
        Some(name) => vec![faults::named(name).ok_or_else(|| unknown_fault(name))?],
        None => vec![],
    };
    if args.fault.is_none() && !args.all_faults {
        let one =
            |case: &Case| Job { subject: case.subject.into(), fault: None, cases: vec![case.id()] };
        return Ok(cases.iter().filter(|case| wanted(case.subject)).map(one).collect());
    }
    let mut jobs = Vec::new();
    for fault in faults {
        for &subject in fault.subjects.iter().filter(|s| wanted(s)) {
            let cases = fault.scenarios.iter().map(|s| format!("{subject}/{s}")).collect();
            jobs.push(Job { subject: subject.into(), fault: Some(fault), cases });
        }
    }
    match (jobs.is_empty(), &args.fault) {
        (true, Some(name)) => {
            let has = faults::named(name).map_or(vec![], |fault| fault.subjects.to_vec());
            let asked = args.subjects.join(", ");
            Err(format!("--fault {name}: not in {asked}, but in {}", has.join(", ")))
        }
        _ => Ok(jobs),
    }
}

/// A kernel release is another name of the variant that it is.
fn canonical(name: &str) -> &str {
    variants::registry::find(name).map_or(name, |variant| variant.name)
}

fn unknown_fault(name: &str) -> String {
    let names: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
    format!("--fault: '{name}' is none of {}", names.join(", "))
}

/// Runs the job's cases in children until one breaks.
fn explore(job: &Job, args: &Args) -> Value {
    let mut last = Value::Null;
    for case in &job.cases {
        last = in_child(case, job.fault, args);
        if last["verdict"] == "broken" {
            break;
        }
    }
    let broken = last["verdict"] == "broken";
    match job.fault {
        Some(fault) => {
            last["fault"] = json!(fault.name);
            last["title"] = json!(fault.title());
            last["origin"] = json!(fault.origin);
            last["shows"] = json!(fault.shows);
            last["caught"] = json!(broken);
            last["well"] = json!(broken);
        }
        None => last["well"] = json!(last["verdict"] == "holds"),
    }
    last["subject"] = json!(job.subject);
    last["seed"] = json!(args.seed);
    last
}

/// CPU time after which a child does not end by its own limits, which are counts. It is no time on the
/// clock: on a busy machine a verdict comes later, and is the same.
fn cpu_seconds(args: &Args) -> u64 {
    if args.deep { 3600 } else { 240 }
}

fn in_child(case: &str, fault: Option<&Fault>, args: &Args) -> Value {
    let scenario = case.split('/').nth(1).unwrap_or_default();
    let lost = |why: String| {
        json!({"scenario": scenario, "verdict": "inconclusive", "why": why, "executions": 0,
               "random": 0, "seconds": 0.0})
    };
    match spawn(case, fault, args).and_then(|child| wait(child, cpu_seconds(args))) {
        Ok(output) => serde_json::from_slice(&output)
            .unwrap_or_else(|_| lost("the child ended without a result".into())),
        Err(why) => lost(why),
    }
}

fn spawn(case: &str, fault: Option<&Fault>, args: &Args) -> Result<std::process::Child, String> {
    let program = std::env::current_exe().map_err(|e| format!("own program: {e}"))?;
    let mut command = Command::new(program);
    command.args(["check", "--child", case, "--seed", &args.seed.to_string()]);
    command.args(args.deep.then_some("--deep"));
    if let Some(fault) = fault {
        command.args(["--fault", fault.name]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().map_err(|e| format!("a child process: {e}"))
}

/// The child's output, or why there is none.
fn wait(child: std::process::Child, seconds: u64) -> Result<Vec<u8>, String> {
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    match output.status.signal() {
        Some(signal) if signal == Signal::XCPU.as_raw() => {
            Err(format!("no result in {seconds} s of CPU time"))
        }
        _ => Ok(output.stdout),
    }
}

fn effort(args: &Args) -> Effort {
    if args.deep { Effort::deep(args.seed) } else { Effort::quick(args.seed) }
}

/// The limit that `wait` speaks of, for this process.
fn limit_cpu_time(args: &Args) -> Result<(), String> {
    let seconds = cpu_seconds(args);
    let limit = Rlimit { current: Some(seconds), maximum: Some(seconds + 5) };
    setrlimit(Resource::Cpu, limit).map_err(|e| format!("a limit on CPU time: {e}"))
}

/// The child's side: one case, its verdict on standard output.
fn child(id: &str, args: &Args) -> Result<bool, String> {
    limit_cpu_time(args)?;
    let cases = checker::cases();
    let case = cases.iter().find(|case| case.id() == id);
    let case = case.ok_or_else(|| format!("--child: no case '{id}'"))?;
    let fault = match &args.fault {
        Some(name) => Some(faults::named(name).ok_or_else(|| unknown_fault(name))?.name),
        None => None,
    };
    let verdict = case.check(fault, &effort(args));
    let mut result = as_json(case, &verdict);
    if let (Some(NO_BARRIER), Finding::Broken { diagram, .. }) = (fault, &verdict.finding) {
        let holds = checker::barrier_waits(case);
        result["beside"] = json!(holds.as_ref().map(|holds| checker::beside(case, diagram, holds)));
        result["counterpart"] = json!(holds.as_ref().map(timeline::json));
    }
    say(&result.to_string());
    Ok(true)
}

fn as_json(case: &Case, verdict: &Verdict) -> Value {
    let mut value = json!({
        "subject": case.subject,
        "scenario": case.scenario,
        "cpus": case.roles,
        "bound": verdict.bound,
        "beyond": verdict.beyond,
        "executions": verdict.executions,
        "random": verdict.random,
        "depth": verdict.depth,
        "seconds": verdict.took.as_secs_f64(),
    });
    match &verdict.finding {
        Finding::Holds => value["verdict"] = json!("holds"),
        Finding::Inconclusive(why) => {
            value["verdict"] = json!("inconclusive");
            value["why"] = json!(why);
        }
        Finding::Broken { invariant, diagram } => {
            value["verdict"] = json!("broken");
            value["invariant"] = json!(invariant.to_string());
            value["violation"] = json!(diagram.violation);
            value["diagram"] = json!(diagram.ascii());
            value["svg"] = json!(diagram.svg(&case.id()));
            value["timeline"] = timeline::json(diagram);
        }
    }
    value
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The lines a person reads about one result.
fn text(result: &Value) -> String {
    let (found, looked) = (found(result), explored(result));
    match string(result, "verdict") {
        // A diagram is as wide as its lanes.
        "broken" => {
            crate::narrow(&format!("{found} {looked}")) + "\n" + string(result, "diagram") + "\n"
        }
        "inconclusive" => {
            crate::narrow(&format!("{found}: inconclusive {looked}; {}", string(result, "why")))
        }
        _ => crate::narrow(&format!("{found}: no violation {looked}")),
    }
}

/// The finding and its place, without the cost of the search.
fn found(result: &Value) -> String {
    let what = format!("{}/{}", string(result, "subject"), string(result, "scenario"));
    let broken = result["verdict"] == "broken";
    let (origin, invariant) = (string(result, "origin"), string(result, "invariant"));
    match result["title"].as_str() {
        Some(fault) if broken => format!("{fault}, {origin}: caught by {invariant} in {what}"),
        Some(fault) => format!("{fault}, {origin}: ESCAPED {what}"),
        None if broken => format!("{what}: BROKEN {invariant}"),
        None => what,
    }
}

/// "within bound 2: 1234 executions, 2000 random, 0.5 s", or where the search ended.
fn explored(result: &Value) -> String {
    let (executions, random) = (result["executions"].as_u64(), result["random"].as_u64());
    let bound = match (result["bound"].as_u64(), string(result, "verdict")) {
        (Some(bound), "holds") => format!("within bound {bound}: "),
        (None, "holds") => String::new(),
        _ if random > Some(0) => random_search(result),
        (below, _) => format!("at bound {}: ", below.map_or(0, |below| below + 1)),
    };
    let some = |n: Option<u64>, what: &str| n.filter(|&n| n > 0).map(|n| format!("{n} {what}"));
    let searched = some(executions, "executions");
    let seconds = format!("{:.1} s", result["seconds"].as_f64().unwrap_or_default());
    let parts: Vec<_> =
        [searched, some(random, "random"), Some(seconds)].into_iter().flatten().collect();
    let beyond = result["beyond"].as_str().map_or(String::new(), |why| format!(" ({why})"));
    bound + &parts.join(", ") + &beyond
}

/// Which random search found it: what repeats it.
fn random_search(result: &Value) -> String {
    let seed = &result["seed"];
    match result["depth"].as_u64() {
        Some(depth) => format!("in a PCT schedule of depth {depth} of seed {seed}: "),
        None => format!("in a uniformly random schedule of seed {seed}: "),
    }
}

/// SUBJECT-FAULT.txt and .svg, or SUBJECT-SCENARIO where no fault was asked for; and -beside.svg with
/// the counterpart that holds, if there is one.
fn write_diagrams(dir: &std::path::Path, results: &[Value]) -> Result<(), String> {
    for result in results.iter().filter(|result| result["verdict"] == "broken") {
        let name = result["fault"].as_str().unwrap_or_else(|| string(result, "scenario"));
        let stem = format!("{}-{name}", string(result, "subject"));
        let text = format!("{}\n\n{}", found(result), string(result, "diagram"));
        let drawn = [".svg", "-beside.svg"].into_iter().zip(["svg", "beside"]);
        let drawn = drawn.filter_map(|(ending, key)| Some((ending, result[key].as_str()?)));
        for (ending, content) in [(".txt", text.as_str())].into_iter().chain(drawn) {
            let path = dir.join(format!("{stem}{ending}"));
            std::fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))?;
        }
    }
    Ok(())
}
