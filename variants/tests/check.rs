//! The checks really check: every fault is caught, and escapes once the invariants
//! that catch it are ignored; the documentation's diagrams are what the tool draws.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use variants::check::diagram::Diagram;
use variants::check::{Case, Effort, Finding, cases, ignore};
use variants::faults::{FAULTS, Fault, named};

fn effort() -> Effort {
    Effort { random: 4_000, ..Effort::quick(1) }
}

/// The first case of `subject` that catches `fault`, and its diagram.
fn catch<'a>(cases: &'a [Case], subject: &str, fault: &Fault) -> Option<(&'a Case, Diagram)> {
    fault.scenarios.iter().find_map(|scenario| {
        let own = |case: &&Case| case.subject == subject && case.scenario == *scenario;
        let case = cases.iter().find(own).expect("the registry names a scenario there is");
        match case.check(Some(fault.name), &effort()).finding {
            Finding::Broken { diagram, .. } => Some((case, diagram)),
            _ => None,
        }
    })
}

/// Explorations are independent: two threads take every other fault.
fn for_every_fault(body: impl Fn(&'static Fault) + Sync) {
    std::thread::scope(|scope| {
        for odd in [0, 1] {
            let body = &body;
            scope.spawn(move || FAULTS.iter().skip(odd).step_by(2).for_each(body));
        }
    });
}

#[test]
fn every_fault_is_caught() {
    for_every_fault(|fault| {
        let cases = cases();
        for subject in fault.subjects {
            let caught = catch(&cases, subject, fault);
            let (_, diagram) = caught.unwrap_or_else(|| panic!("{}: {subject}", fault.name));
            let ascii = diagram.ascii();
            assert!(ascii.is_ascii() && ascii.lines().all(|l| l.len() <= 72), "{ascii}");
            assert!(!diagram.rows.is_empty(), "{}: an empty diagram", fault.name);
        }
    });
}

#[test]
fn a_fault_escapes_when_its_invariants_are_ignored() {
    for_every_fault(|fault| {
        let cases = cases();
        let (case, _) = catch(&cases, fault.subjects[0], fault).expect("it is caught");
        ignore(fault.invariants);
        let effort = Effort { time: Duration::from_millis(300), random: 100, ..effort() };
        let finding = case.check(Some(fault.name), &effort).finding;
        ignore(&[]);
        if let Finding::Broken { invariant, diagram } = finding {
            panic!("{}: still caught by {invariant}: {}", fault.name, diagram.violation);
        }
    });
}

#[test]
fn no_variant_breaks_in_the_quick_scenarios() {
    let effort = Effort { time: Duration::from_millis(300), random: 100, ..effort() };
    for case in cases().iter().filter(|case| ["alloc", "off-on"].contains(&case.scenario)) {
        let finding = case.check(None, &effort).finding;
        assert!(!matches!(finding, Finding::Broken { .. }), "{}: {finding:?}", case.id());
    }
}

fn documents() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut all = vec![docs.join("swapoff.md")];
    let findings = fs::read_dir(docs.join("findings")).expect("docs/findings");
    all.extend(findings.map(|entry| entry.expect("docs/findings").path()));
    all
}

/// `text` with the block after each `<!-- swapscale check SUBJECT --fault NAME -->`
/// as it is drawn now.
fn redrawn(text: &str, cases: &[Case]) -> String {
    const MARK: &str = "<!-- swapscale check ";
    let mut parts = text.split(MARK);
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (command, rest) = part.split_once(" -->\n```text\n").expect("a block after a mark");
        let (subject, fault) = command.split_once(" --fault ").expect("SUBJECT --fault NAME");
        let (_, after) = rest.split_once("```\n").expect("the block ends");
        let fault = named(fault).expect("a fault there is");
        let (_, diagram) = catch(cases, subject, fault).expect("it is caught");
        out += &format!("{MARK}{command} -->\n```text\n{}```\n{after}", diagram.ascii());
    }
    out
}

/// With `UPDATE_DOCS=1` in the environment they are rewritten instead.
#[test]
fn the_documented_diagrams_are_what_the_tool_draws() {
    let cases = cases();
    let mut marks = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).expect("a document");
        marks += text.matches("<!-- swapscale check ").count();
        let now = redrawn(&text, &cases);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, now).expect("a document can be written");
            continue;
        }
        assert!(now == text, "{}: run with UPDATE_DOCS=1", path.display());
    }
    assert!(marks >= 4, "the documents have lost their diagrams");
}
