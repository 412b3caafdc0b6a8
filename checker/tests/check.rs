//! The checks really check: every fault is caught, and escapes once the invariants that catch it
//! are ignored. Every lock is explored. The documentation's diagrams are those that the tool draws.

mod common;
mod documents;

use checker::faults::{FAULTS, named};
use checker::{Case, Effort, Finding, Invariant, barrier_waits, beside, cases, ignore};
use common::{catch, effort, for_each};
use documents::refilled;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_fault_is_caught() {
    for_each(FAULTS, |fault| {
        let cases = cases();
        for subject in fault.subjects {
            let caught = catch(&cases, subject, fault);
            assert!(caught.is_some(), "{}: {subject}", fault.name);
        }
    });
}

/// Ignores the invariant that catches the fault, then the one that catches it after that, until
/// none does: those are the invariants that are registered for it, no more and no fewer.
#[test]
fn a_fault_escapes_when_its_invariants_are_ignored() {
    let wrong = std::sync::Mutex::new(Vec::new());
    for_each(FAULTS, |fault| {
        let cases = cases();
        let (case, first, _) = catch(&cases, fault.subjects[0], fault).expect("it is caught");
        let effort = Effort { executions: 3_000, beyond: 3_000, random: 20, ..effort() };
        let mut ignored = vec![first];
        loop {
            ignore(&ignored);
            match case.check(Some(fault.name), &effort).finding {
                Finding::Broken { invariant, .. } => ignored.push(invariant),
                _ => break,
            }
        }
        ignore(&[]);
        if ignored != fault.invariants {
            wrong.lock().unwrap().push(format!("{}: {ignored:?}", fault.name));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "caught by other invariants than registered:\n{}", wrong.join("\n"));
}

#[test]
fn every_lock_is_explored() {
    let cases = cases();
    let locks = machine::lock::KINDS.map(|(name, _)| name);
    for subject in ["lock", "trylock"] {
        let explored = cases.iter().filter(|c| c.subject == subject && c.bound.is_some());
        let explored: Vec<_> = explored.map(|c| c.scenario).collect();
        assert_eq!(explored, [&["blocking"][..], &locks].concat());
    }
}

/// The first executions of every case; `swapscale check` explores all.
#[test]
fn nothing_breaks() {
    let effort = Effort { executions: 120, beyond: 60, random: 20, ..effort() };
    for_each(&cases(), |case| {
        let finding = case.check(None, &effort).finding;
        let Finding::Broken { diagram, .. } = finding else { return };
        panic!("{}:\n{}", case.id(), diagram.ascii());
    });
}

/// Random schedules alone: the same seed gives the same failure.
#[test]
fn a_seed_replays_a_random_schedule() {
    let drawn = |seed| {
        let own = |case: &Case| case.id() == "percluster/alloc";
        let case = Case { bound: None, ..cases().into_iter().find(own).expect("a case") };
        match case.check(Some("no-barrier"), &Effort { seed, ..effort() }).finding {
            Finding::Broken { diagram, .. } => diagram,
            other => panic!("seed {seed}: {other:?}"),
        }
    };
    assert_eq!(drawn(1), drawn(1));
    assert_eq!(drawn(2), drawn(2));
}

fn documents() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut all = vec![docs.join("swapoff.md"), docs.join("faults.md")];
    let findings = fs::read_dir(docs.join("findings")).expect("docs/findings");
    all.extend(findings.map(|entry| entry.expect("docs/findings").path()));
    all
}

fn table_of_faults() -> String {
    let mut table = "| fault | # | from | shows | in | by |\n| --- ".to_string();
    table += &("| --- ".repeat(5) + "|\n");
    for f in FAULTS {
        let by: Vec<_> = f.invariants.iter().map(Invariant::to_string).collect();
        let (subjects, by) = (f.subjects.join(", "), by.join(", "));
        table += &format!(
            "| `{}` | {} | {} | {} | {subjects} | {by} |\n",
            f.name, f.number, f.origin, f.shows
        );
    }
    table
}

fn table_of_invariants() -> String {
    let row = |i: &Invariant| format!("| {i} | {} |\n", i.about());
    format!("| | |\n| --- | --- |\n{}", Invariant::ALL.iter().map(row).collect::<String>())
}

/// `text` with its tables and the block after each
/// `<!-- swapscale check SUBJECT --fault NAME -->` as they are now.
fn redrawn(text: &str, cases: &[Case]) -> String {
    const MARK: &str = "<!-- swapscale check ";
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (command, rest) = part.split_once(" -->\n```text\n").expect("a block after a mark");
        let (subject, fault) = command.split_once(" --fault ").expect("SUBJECT --fault NAME");
        let (_, after) = rest.split_once("```\n").expect("the block ends");
        let fault = named(fault).expect("a fault there is");
        let (_, _, diagram) = catch(cases, subject, fault).expect("it is caught");
        out += &format!("{MARK}{command} -->\n```text\n{}```\n{after}", diagram.ascii());
    }
    let out = refilled(&out, "faults", &table_of_faults());
    refilled(&out, "invariants", &table_of_invariants())
}

/// Whether the file at `path` is `now`. With `UPDATE_DOCS=1` in the environment it is rewritten instead.
fn hold(path: &Path, now: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(path, now).expect("a document can be written");
    }
    let text = fs::read_to_string(path).expect("a document");
    assert!(now == text, "{}: run with UPDATE_DOCS=1", path.display());
}

#[test]
fn the_documents_are_what_the_tool_draws() {
    let cases = cases();
    let mut marks = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        marks += text.matches("<!-- swapscale check ").count();
        hold(&path, &redrawn(&text, &cases));
    }
    assert!(marks >= 6, "the documents have lost their diagrams");
}

/// docs/swapoff.md shows it; `make gallery` draws it too.
#[test]
fn the_picture_with_and_without_the_barrier_is_what_the_tool_draws() {
    let (cases, fault) = (cases(), named("no-barrier").expect("a fault there is"));
    let (case, _, diagram) = catch(&cases, "percluster", fault).expect("it is caught");
    let picture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../plots/gallery/race-no-barrier.svg");
    let holds = barrier_waits(case).expect("an execution in which the barrier waits");
    hold(&picture, &beside(case, &diagram, &holds));
}
