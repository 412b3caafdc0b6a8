//! Mutation testing of the net: `make mutants` puts every mutant of checker/mutants.toml into a copy of the
//! tree, as a condition like those of the faults, so that one build has them all, and runs each layer of the
//! net over each; SWAPSCALE_MUTANTS=NAME,NAME in the environment runs these alone, and keeps
//! nothing. Guards that the list fits the code as it is, and that docs/faults.md says what the last
//! run found, with a reason for each survivor.

#[path = "../../variants/tests/common/mod.rs"]
mod common;
mod documents;

use checker::faults::FAULTS;
use checker::{Case, Effort, Finding, cases};
use common::shaken::{self, Shaken, Way};
use common::{Tested, oracle, stress};
use documents::refilled;
use machine::fault;
use machine::lock::Tas;
use rayon::prelude::*;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use variants::SwapAllocator;
use variants::registry::{VARIANTS, Variant, Visitor, visit};

/// One mutant; checker/mutants.toml says what the keys mean.
#[derive(Deserialize)]
struct Mutant {
    name: String,
    kind: String,
    file: String,
    breaks: String,
    at: Option<String>,
    before: String,
    after: String,
    survives: Option<String>,
}

#[derive(Deserialize)]
struct List {
    mutant: Vec<Mutant>,
}

/// What the last run of all found: results/reference/mutants.json.
#[derive(Serialize, Deserialize)]
struct Found {
    /// The command that repeats it.
    command: String,
    /// The commit of the tree, as git describes it.
    commit: String,
    /// The effort of `check`.
    effort: String,
    /// By mutant and layer: what the layer said; nothing if it found nothing.
    mutants: BTreeMap<String, BTreeMap<String, Option<String>>>,
    /// By fault and subject: whether the exhaustive search finds it, and whether random schedules do.
    faults: BTreeMap<String, [bool; 2]>,
}

/// The layers of the net, the cheapest first, and the CPU time after which one does not end.
const LAYERS: [(&str, u64); 3] = [("oracle", 60), ("stress", 120), ("check", 1_200)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn list() -> Vec<Mutant> {
    let text = fs::read_to_string(root().join("checker/mutants.toml")).expect("the list");
    toml::from_str::<List>(&text).expect("checker/mutants.toml").mutant
}

impl Mutant {
    /// Where it is in the text of its file.
    fn place(&self, text: &str) -> Result<Range<usize>, String> {
        let once = |text: &str, part: &str| match text.matches(part).count() {
            1 => Ok(text.find(part).expect("it is there")),
            n => Err(format!("{}: {n} times in {}: {part}", self.name, self.file)),
        };
        let begin = match &self.at {
            Some(at) => once(text, at)? + once(at, &self.before)?,
            None => once(text, &self.before)?,
        };
        Ok(begin..begin + self.before.len())
    }

    /// The choice between it and the code as it is.
    fn choice(&self, code: &str) -> String {
        let path = if self.file.starts_with("machine/") { "crate" } else { "machine" };
        let Self { name, before, after, .. } = self;
        let choice =
            format!("if {path}::fault!(M, \"mutant {name}\") {{ {after} }} else {{ {code} }}");
        let statement = before.ends_with([';', '}']);
        if statement { choice } else { format!("({choice})") }
    }
}

/// The part of `text` with all of `mutants`, which lie in it, as conditions: one inside another one is in
/// its unchanged code.
fn mutated(text: &str, part: Range<usize>, mutants: &[(Range<usize>, &Mutant)]) -> String {
    let first = mutants.iter().min_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
    let Some((place, mutant)) = first else { return text[part].to_string() };
    let others = || mutants.iter().filter(|other| !std::ptr::eq(other.1, *mutant)).cloned();
    let (inner, behind): (Vec<_>, Vec<_>) = others().partition(|other| other.0.start < place.end);
    let crossing = inner.iter().find(|other| other.0.end > place.end);
    assert!(crossing.is_none(), "{} is partly inside another mutant", mutant.name);
    let code = mutated(text, place.clone(), &inner);
    let rest = mutated(text, place.end..part.end, &behind);
    format!("{}{}{rest}", &text[part.start..place.start], mutant.choice(&code))
}

/// Every file that has mutants, with all of them.
fn mutated_files(list: &[Mutant]) -> Result<BTreeMap<&str, String>, String> {
    let files: BTreeSet<&str> = list.iter().map(|mutant| mutant.file.as_str()).collect();
    let of = |file: &str| -> Result<String, String> {
        let text = fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
        let own = list.iter().filter(|mutant| mutant.file == file);
        let placed: Result<Vec<_>, String> = own.map(|m| Ok((m.place(&text)?, m))).collect();
        Ok(mutated(&text, 0..text.len(), &placed?))
    };
    files.into_iter().map(|file| Ok((file, of(file)?))).collect()
}

#[test]
fn every_mutant_fits_the_code() {
    let list = list();
    mutated_files(&list).unwrap_or_else(|why| panic!("{why}"));
    for mutant in &list {
        assert!(mutant.before != mutant.after, "{} changes nothing", mutant.name);
    }
    let mut names: Vec<_> = list.iter().map(|mutant| &mutant.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), list.len(), "two mutants have one name");
}

// ---- what docs/faults.md says of the last run ----

fn kept() -> PathBuf {
    root().join("results/reference/mutants.json")
}

fn last_run() -> Found {
    let text = fs::read_to_string(kept()).expect("results/reference/mutants.json");
    serde_json::from_str(&text).expect("results/reference/mutants.json")
}

/// Kills by layer, and the survivors with their reasons.
fn table(list: &[Mutant], found: &Found) -> String {
    let killed = |mutant: &Mutant, layer: &str| found.mutants[&mutant.name][layer].is_some();
    let by = |layer: &str| list.iter().filter(|mutant| killed(mutant, layer)).count();
    let any = |mutant: &&Mutant| LAYERS.iter().any(|(layer, _)| killed(mutant, layer));
    let alone = |layer: &str| {
        let others = |m: &Mutant| LAYERS.iter().any(|(l, _)| *l != layer && killed(m, l));
        list.iter().filter(|m| killed(m, layer) && !others(m)).count()
    };
    let n = list.len();
    let mut text = format!("`{}`, commit {}; `{}`.\n\n", found.command, found.commit, found.effort);
    text += &format!("| layer | kills of {n} | by no other layer |\n| --- | ---: | ---: |\n");
    for (layer, _) in LAYERS {
        let _ = writeln!(text, "| {layer} | {} | {} |", by(layer), alone(layer));
    }
    let _ = writeln!(text, "| any | {} | |\n", list.iter().filter(any).count());
    text += "| survivor | kind | breaks | why it lives |\n| --- | --- | --- | --- |\n";
    for mutant in list.iter().filter(|mutant| !any(mutant)) {
        let why = mutant.survives.as_deref().unwrap_or("not known: a hole");
        let Mutant { name, kind, breaks, .. } = mutant;
        let _ = writeln!(text, "| `{name}` | {kind} | {breaks} | {why} |");
    }
    text
}

/// The faults that one of the two searches alone finds, in any variant that has them.
fn searches(found: &Found) -> String {
    let only = |wanted: [bool; 2]| -> String {
        let names = found.faults.iter().filter(|(_, by)| **by == wanted);
        let names: Vec<_> = names.map(|(name, _)| format!("`{name}`")).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    };
    let both = found.faults.values().filter(|by| **by == [true, true]).count();
    format!(
        "| of {} pairs of fault and variant | |\n| --- | --- |\n\
         | found by either search | {both} |\n\
         | by the exhaustive one alone | {} |\n| by random schedules alone | {} |\n",
        found.faults.len(),
        only([true, false]),
        only([false, true])
    )
}

/// With `UPDATE_DOCS=1` in the environment the document is rewritten instead.
#[test]
fn the_document_says_what_the_last_run_found() {
    let (list, found) = (list(), last_run());
    for mutant in &list {
        let layers = found.mutants.get(&mutant.name);
        let layers = layers.unwrap_or_else(|| panic!("{}: run `make mutants`", mutant.name));
        let killed = layers.values().any(Option::is_some);
        let argued = mutant.survives.is_some();
        assert!(killed != argued, "{}: killed {killed}, argued to live {argued}", mutant.name);
    }
    assert_eq!(found.mutants.len(), list.len(), "a mutant that is gone: run `make mutants`");
    let path = root().join("docs/faults.md");
    let text = fs::read_to_string(&path).expect("docs/faults.md");
    let now = refilled(&text, "mutants", &table(&list, &found));
    let now = refilled(&now, "searches", &searches(&found));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, now).expect("docs/faults.md can be written");
    } else {
        assert!(now == text, "docs/faults.md: run with UPDATE_DOCS=1");
    }
}

// ---- the run ----

/// Builds the copy with all mutants in it: the path of this test in it.
fn built() -> PathBuf {
    let (tree, target) = (root().join("target/mutants/tree"), root().join("target/mutants/build"));
    let _ = fs::remove_dir_all(&tree);
    for part in ["machine", "variants", "checker"] {
        copy(&root().join(part), &tree.join(part));
    }
    fs::copy(root().join("Cargo.lock"), tree.join("Cargo.lock")).expect("Cargo.lock");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut manifest: toml::Table = toml::from_str(&manifest).expect("Cargo.toml");
    manifest.retain(|key, _| key == "workspace");
    let workspace = manifest["workspace"].as_table_mut().expect("the workspace");
    workspace.retain(|key, _| !matches!(key, "default-members" | "exclude"));
    workspace.insert("members".into(), ["machine", "variants", "checker"].to_vec().into());
    fs::write(tree.join("Cargo.toml"), manifest.to_string()).expect("a manifest");
    for (file, text) in mutated_files(&list()).unwrap_or_else(|why| panic!("{why}")) {
        fs::write(tree.join(file), text).expect("the copy can be written");
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "test",
        "-p",
        "checker",
        "--test",
        "mutants",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    cargo.current_dir(&tree).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    cargo.envs([("CARGO_PROFILE_DEV_OPT_LEVEL", "2"), ("CARGO_PROFILE_DEV_DEBUG", "0")]);
    let output = cargo.output().expect("cargo");
    assert!(output.status.success(), "the mutants do not compile together");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "mutants").then_some(())?;
        message["executable"].as_str().map(PathBuf::from)
    };
    lines.lines().find_map(executable).expect("the test's path")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory of the tree") {
        let entry = entry.expect("a directory of the tree");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a file of the tree").is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).expect("the copy can be written"),
        }
    }
}

/// What a layer says of a mutant, in a process of its own: None if it finds nothing.
fn said(program: &Path, what: &str, layer: &str) -> Option<String> {
    let mut child = Command::new(program);
    child.args(["--exact", "one_layer", "--ignored", "--nocapture"]);
    child.env("SWAPSCALE_MUTANT", what).env("SWAPSCALE_LAYER", layer);
    let output = child.stderr(Stdio::null()).output().expect("the child starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |begins: &str| text.lines().find_map(|line| line.split_once(begins));
    match line("FOUND: ") {
        Some((_, found)) => Some(found.to_string()),
        None if line("FOUND NOTHING").is_some() => None,
        None if output.status.signal() == Some(Signal::XCPU.as_raw()) => {
            Some("does not end".into())
        }
        None => panic!("{what}, {layer}: the child ended by itself: {}", output.status),
    }
}

/// What `made` says of each of `jobs`, one per CPU at a time.
fn each<T: Send>(jobs: &[String], made: impl Fn(&str) -> T + Sync) -> BTreeMap<String, T> {
    jobs.par_iter().map(|job| (job.clone(), made(job))).collect()
}

fn commit() -> String {
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(root());
    let said = git.output().ok().filter(|output| output.status.success());
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    said.unwrap_or_else(|| "unknown: git does not say".into())
}

#[test]
#[ignore = "a measurement: make mutants"]
fn all_layers_over_all_mutants() {
    let commit = commit();
    let program = built();
    let wanted = std::env::var("SWAPSCALE_MUTANTS").ok();
    let is_wanted = |name: &String| {
        wanted.as_ref().is_none_or(|names| names.split(',').any(|wanted| wanted == name))
    };
    let names: Vec<String> = list().into_iter().map(|mutant| mutant.name).collect();
    let names: Vec<String> = names.into_iter().filter(is_wanted).collect();
    let mutants = each(&names, |name| {
        let of = |(layer, _): (&str, u64)| {
            (layer.to_string(), said(&program, &format!("mutant {name}"), layer))
        };
        let row: BTreeMap<_, _> = LAYERS.map(of).into_iter().collect();
        let words =
            row.iter().map(|(layer, said)| format!("{layer}: {}", said.as_deref().unwrap_or("-")));
        println!("{name:32} {}", words.collect::<Vec<_>>().join(" | "));
        row
    });
    if wanted.is_some() {
        return;
    }
    let pairs = FAULTS.iter().flat_map(|f| f.subjects.iter().map(|s| format!("{} in {s}", f.name)));
    let faults = each(&pairs.collect::<Vec<_>>(), |pair| {
        ["loom", "random"].map(|search| said(&program, pair, search).is_some())
    });
    let effort = format!("{:?}", Effort::quick(1));
    let command = "make mutants".into();
    let found = Found { command, commit, effort, mutants, faults };
    let text = serde_json::to_string_pretty(&found).expect("plain data") + "\n";
    fs::write(kept(), text).expect("results/reference can be written");
}

// ---- one layer, in a child ----

type M = Shaken<Tas, true>;

/// One thread, followed by the oracle.
struct Oracle;

impl Visitor<M> for Oracle {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        oracle::shrunk::<M, A>(0)
    }
}

/// Three woven workers, as in variants/tests/stress.rs.
struct Stress;

impl Visitor<M> for Stress {
    type Output = Result<(), String>;
    fn visit<A: SwapAllocator<M>>(self, _: &'static Variant) -> Self::Output {
        stress::slots::<Tas, A, true>(&stress::Effort::USUAL)?;
        stress::pages::<Tas, A, true>(&stress::Effort::USUAL)
    }
}

impl Tested for M {
    fn config(workers: usize) -> shaken::Config {
        shaken::Config { workers, way: Way::Woven, seed: 1, every: 1 << 60 }
    }
}

/// The first variant of which `visitor` says something.
fn in_variants<V: Visitor<M, Output = Result<(), String>>>(
    visitor: impl Fn() -> V,
) -> Option<String> {
    VARIANTS.iter().find_map(|variant| {
        let said = visit::<M, _>(variant.name, visitor()).expect("a registered variant");
        said.err().map(|why| format!("{} ({})", first_words(&why), variant.name))
    })
}

fn first_words(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(80).collect()
}

/// The first of `cases` that breaks with `what` on.
fn broken(
    cases: impl Iterator<Item = Case>,
    what: &'static str,
    effort: &Effort,
) -> Option<String> {
    let broken = |case: Case| match case.check(Some(what), effort).finding {
        Finding::Broken { invariant, .. } => Some(format!("{invariant} in {}", case.id())),
        _ => None,
    };
    { cases }.find_map(broken)
}

/// Whether a case of `subject` runs the file of a mutant: no other can find it.
fn reaches(mutant: &str, subject: &str) -> bool {
    let named = |m: &Mutant| mutant.strip_prefix("mutant ") == Some(&m.name);
    let file = list().into_iter().find(named).expect("a mutant of the list").file;
    let variant = VARIANTS.iter().any(|variant| variant.name == subject);
    let one_of = |beginnings: &[&str]| beginnings.iter().any(|b| subject.starts_with(b));
    match Path::new(&file).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default() {
        "tas" | "ticket" | "mcs" | "qspin" => one_of(&["lock", "trylock"]),
        "rcu" | "percpu_ref" => !one_of(&["lock", "trylock"]),
        "scanning" => one_of(&["global", "scanning"]),
        "slot_cache" | "percpu" => one_of(&["global", "scanning", "percluster", "vswap"]),
        "percluster" => one_of(&["percluster"]),
        "percpu_cluster" => one_of(&["percpu", "swap-table", "per-device", "vswap"]),
        "swap_table" | "table_life" => one_of(&["swap-table", "per-device", "vswap"]),
        "layer" | "backing" => one_of(&["vswap"]),
        "cluster" => variant && !one_of(&["global", "scanning"]),
        _ => variant,
    }
}

/// The cases of `fault in subject`, by one search alone.
fn of_fault(pair: &str, random: bool) -> Option<String> {
    let (name, subject) = pair.split_once(" in ").expect("FAULT in SUBJECT");
    let fault = checker::faults::named(name).expect("a fault there is");
    let own = |case: &Case| case.subject == subject && fault.scenarios.contains(&case.scenario);
    let one = |case: Case| {
        if random { Case { bound: None, ..case } } else { Case { shuttle: None, ..case } }
    };
    broken(cases().into_iter().filter(own).map(one), fault.name, &Effort::quick(1))
}

#[test]
#[ignore = "a child of the measurement"]
fn one_layer() {
    let [what, layer] =
        ["SWAPSCALE_MUTANT", "SWAPSCALE_LAYER"].map(|name| std::env::var(name).expect(name));
    let what: &'static str = what.leak();
    let seconds = LAYERS.iter().find(|l| l.0 == layer).map_or(600, |l| l.1);
    let limit = rustix::process::Rlimit { current: Some(seconds), maximum: Some(seconds + 5) };
    rustix::process::setrlimit(rustix::process::Resource::Cpu, limit).expect("a limit");
    let _on = fault::with(Some(what));
    let found = match layer.as_str() {
        "oracle" => in_variants(|| Oracle),
        "stress" => in_variants(|| Stress),
        "check" => {
            let own = |case: &Case| reaches(what, case.subject);
            broken(cases().into_iter().filter(own), what, &Effort::quick(1))
        }
        search => of_fault(what, search == "random"),
    };
    match found {
        Some(found) => println!("\nFOUND: {found}"),
        None => println!("\nFOUND NOTHING"),
    }
}
