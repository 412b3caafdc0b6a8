//! Figures that no committed run gives: limits and definitions of this project, figures of others
//! with their source beside them, and measurements that were not kept. Guards that every other figure
//! of a document is computed: one that is typed fails here until it is a claim or stands in this list.

use std::fs;

use super::fill::{literal, place};
use super::reference::{root, text};
use super::{Document, documents};

/// What makes a number a figure that somebody must have measured, counted or chosen.
const UNITS: [&str; 12] =
    ["%", "ns", "us", "ms", "s", "k", "M", "Mops/s", "times", "minutes", "instructions", "GB"];

/// Pages of definitions and made-up examples; docs/design.md names the two commits that it compares.
const WITHOUT_RUNS: [&str; 4] =
    ["docs/catalogue.md", "docs/design.md", "docs/reading-a-report.md", "docs/results-schema.md"];

/// Fragments with such figures: the document, where they are from, and the words.
const GIVEN: &[(&str, &str, &[&str])] = &[
    ("README.md", "chosen", &["by less than 95 %", "kills a run 50 times"]),
    ("README.md", "settings of the run", &["75 % full"]),
    (
        "README.md",
        "judged once, at commit 46cf0f2",
        &["lock curves was 11.7 % over", "predicted to 11.7 % (median)"],
    ),
    ("docs/results.md", "the README's sentence on that", &["with a median error of 11.7 %"]),
    ("docs/results.md", "as all intervals", &["the 95 % interval of a"]),
    ("docs/costs.md", "settings of the run", &["75 % full", "At 98 %", "with 95 % intervals"]),
    ("docs/costs.md", "kept-predicted as committed until 7968bb0", &["same plan had 12 %"]),
    ("docs/costs.md", "published, cited there", &["system time 5527.9 to 5538.3 s"]),
    (
        "docs/predictions.md",
        "`make predict` from a fresh clone of 7968bb0; the committed runs were put together since",
        &["20.5 and 8.7 minutes on two vCPUs"],
    ),
    ("docs/faults.md", "the command below it", &["and 0.2 s for each way"]),
    ("docs/findings/swapoff-enomem.md", "0 of 68: 1 - 0.05^(1/68) is 4.3 %", &["exclude 5 %"]),
    (
        "docs/findings/steal-loop.md",
        "chosen: results::kernel::STUCK_NS, and the threshold in kernel/src/lab/hunt.rs",
        &[
            "took more than 0.25 s",
            "rate's 95 % interval",
            "a report comes after 2 s",
            "the guest, 80 s after it",
        ],
    ),
    (
        "docs/findings/steal-loop.md",
        "runs of a program that was not kept, as the page says",
        &[
            "on a disk of 5 ms a request",
            "a call of 27 s in a swapoff of 32 s of 24 MiB",
            "had begun 0.3 to 6 ms before",
        ],
    ),
    (
        "docs/kernel.md",
        "chosen: results::kernel::STUCK_NS, SILENCE in kernel/src/lab.rs",
        &["is stuck after 250 ms", "says nothing for 80 s after"],
    ),
    (
        "docs/holder-preempted.md",
        "settings of the runs",
        &[
            "in 95 % of the window",
            "away for 1 ms, every 10 ms on average",
            "So 10 % of the time is gone",
            "more than 90 %",
        ],
    ),
    (
        "docs/kernel.md",
        "chosen",
        &["more than 1.25 times what", "that have 1 % or more", "at least 95 % of the pages"],
    ),
    ("docs/kernel.md", "chosen", &["should be within 30 %"]),
    (
        "docs/kernel.md",
        "the committed run before this one, ab71fb5",
        &["had 3 of 4 within 30 %", "of churn at 1.36 times"],
    ),
    (
        "docs/simulator.md",
        "the published figures above: 129.26 s of 3 s of 64 jobs; lock wait of jobs times real time",
        &[
            "each caller waited: 34,948 times",
            "wait for si->lock 67 % of their time",
            "they wait 33 % (-j48) and 37 % (-j96)",
        ],
    ),
    (
        "docs/simulator.md",
        "a run that was not kept, and the committed run before this one, 0b1c0ec",
        &[
            "59 % too long a wait at -j48",
            "70 % at -j96 were predicted, of 1.7 times as many",
            "had 0.5 % of the waits then",
            "at -j96 was 377 % too long",
        ],
    ),
    (
        "docs/simulator.md",
        "QUANTILES of build.rs: 1.63, of 16 processes 12 alive and 4 half built",
        &["filled the device to 108 % where 75 %", "is 1.6 times as large as"],
    ),
    ("docs/simulator.md", "chosen", &["The device is 40 % full"]),
    ("docs/kernel.md", "on the author's machine, not kept", &["take about 90 s"]),
    (
        "docs/measuring.md",
        "published, see the table there",
        &["divan: 1.85 ns at 2 threads", "stored baseline: 56 %", "a 30 % change shown as"],
    ),
    (
        "docs/measuring.md",
        "chosen",
        &[
            "at most 5 % of simulated families",
            "a slowdown of 5 % at one point of 60 is found in 95 %",
            "differ by 2 %",
            "within 20 % are one type",
            "with 95 % bootstrap intervals",
            "more than 1 % of the interval",
            "the tick of 10 ms",
            "by more than 2 %",
            "The 1 % is of",
            "within 1 % of its median",
            "of the 5 %;",
            "whole 5 %",
        ],
    ),
    (
        "docs/predictions.md",
        "chosen",
        &[
            "with their 95 % intervals",
            "knows its own throughput to 2 %",
            "and the 95 % interval is narrow",
            "more than 5 % of a window",
            "each time 2 to 8 times as long",
            "with 60 % and 90 % in use",
        ],
    ),
    (
        "docs/simulator.md",
        "chosen",
        &[
            "away for 2 ms, at random times 10 ms apart",
            "240 ns | chosen with sight",
            "by more than 10 % is right",
            "errors, or 1 % where no spread",
            "takes more than 25 % longer than that",
            "differ by 10 % at least",
            "The 1 %, and the loads of the rows",
            "(the goal was 25 %)",
            "that differ by more than 10 % was right",
            "test-and-set with 1000 ns held loses",
            "is 90 %; x86-2",
            "less than 3 % or",
            "a hit of 1.2 ns",
        ],
    ),
    (
        "docs/simulator.md",
        "judged once, at commit 46cf0f2",
        &["error was 11.7 % over", "loses 29 % of the best throughput on x86-3 and 12 % on x86-4"],
    ),
    (
        "docs/simulator.md",
        "published curves that no run repeats",
        &["48 ns at 12 threads, where the model has 72", "41 ns there; the model says 10"],
    ),
    (
        "docs/simulator.md",
        "trials with other constants, not kept",
        &[
            "211 ns between L3 groups and `stay` 6 or 7 ns, 195 and 198",
            "(197 are 90 %)",
            "is 15.3 %",
            "6 ns between siblings",
            "`l3` 23 ns where 25",
            "211 ns between all groups",
            "then costs 52 ns",
            "517 ns, and 202 pairs",
            "take 10, 27 or 110 ns",
            "(before the last change 24 %, +163 %)",
            "8 ns (32 of 32 within 30 %",
            "2 ns, and no point was within 30 % (-48..-68 %)",
            "29 of 31 points were within 30 %",
        ],
    ),
];

/// `text` with spaces where no figure is looked for: code, tables from runs, claims, and `given`.
fn rest(text: &str, document: Option<&Document>, given: &[&str]) -> Result<String, String> {
    let mut left = text.as_bytes().to_vec();
    let mut hide = |range: std::ops::Range<usize>| left[range].fill(b' ');
    let (mut at, mut fenced, mut block) = (0, false, false);
    for line in text.split_inclusive('\n') {
        let fence = line.starts_with("```");
        block |= line.starts_with("<!-- from: ");
        if fenced || fence || block || line.starts_with("    ") {
            hide(at..at + line.len());
        }
        fenced ^= fence;
        block &= !line.starts_with("<!-- end -->");
        at += line.len();
    }
    for claim in document.iter().flat_map(|document| &document.sentences) {
        hide(place(text, claim.sentence)?.whole);
    }
    for given in given {
        let mut from = 0;
        while let Some(range) = literal(text, given, from) {
            from = range.end;
            hide(range);
        }
        if from == 0 {
            return Err(format!("it no longer says {given:?}"));
        }
    }
    String::from_utf8(left).map_err(|error| error.to_string())
}

/// Every number with one of [`UNITS`] behind it, with the words around it.
fn figures(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| {
        word.trim_start_matches(['(', '-', '+', '~']).starts_with(|c: char| c.is_ascii_digit())
    };
    let unit = |word: &str| UNITS.contains(&word.trim_end_matches(|c: char| ",.;:)*".contains(c)));
    let found = words.windows(2).enumerate().filter(|(_, pair)| number(pair[0]) && unit(pair[1]));
    found.map(|(at, _)| words[at.saturating_sub(5)..words.len().min(at + 5)].join(" ")).collect()
}

#[test]
fn no_figure_is_typed() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return; // the documents are being written
    }
    let documents = documents();
    let pages = fs::read_dir(root().join("docs")).expect("docs").flatten();
    let pages = pages.map(|page| format!("docs/{}", page.file_name().to_string_lossy()));
    let findings = fs::read_dir(root().join("docs/findings")).expect("docs/findings").flatten();
    let findings =
        findings.map(|page| format!("docs/findings/{}", page.file_name().to_string_lossy()));
    let pages = pages.chain(findings).chain(["README.md".to_owned()]);
    let mut typed = String::new();
    for path in pages.filter(|path| path.ends_with(".md")) {
        if WITHOUT_RUNS.contains(&&*path) {
            continue;
        }
        let document = documents.iter().find(|document| document.path == path);
        let given = GIVEN.iter().filter(|(document, ..)| *document == path);
        let given: Vec<&str> = given.flat_map(|(_, _, words)| words.iter().copied()).collect();
        let left = rest(&text(&root().join(&path)), document, &given);
        let left = left.unwrap_or_else(|why| panic!("{path}: {why}"));
        typed.extend(figures(&left).iter().map(|figure| format!("{path}: .. {figure} ..\n")));
    }
    assert!(typed.is_empty(), "make it a claim, or say in given.rs where it is from:\n{typed}");
}

#[test]
fn a_typed_figure_is_found() {
    let page =
        "It takes 7 ns.\n\n    code 8 ns\n\n<!-- from: x -->\n| 9 ns |\n<!-- end -->\nUp to 5 %.";
    let left = rest(page, None, &["to 5 %"]).unwrap();
    assert_eq!(figures(&left), ["It takes 7 ns. Up ."]);
    assert!(rest(page, None, &["to 6 %"]).is_err());
}
