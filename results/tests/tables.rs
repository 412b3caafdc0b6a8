//! The formats against golden files, and what must hold of every mail.
//!
//! To accept a change of a format: `UPDATE_GOLDEN=1 cargo test -p results --test
//! tables`, then read the diff.

mod common;

use std::path::Path;

use proptest::prelude::*;
use results::metric::Metric;
use results::report::{Report, pair, sides};
use results::stats;
use results::store::Loaded;
use results::tables::{Csv, Format, Json, Mail, Markdown, Terminal};

fn report(runs: &[Loaded]) -> Report {
    Report::new(&sides(runs, None).unwrap(), &Metric::Throughput).unwrap()
}

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{name} has changed; see the head of this file");
}

#[test]
fn mail_of_two_variants() {
    golden("mail.txt", &Mail.render(&report(&[common::run(8)])));
}

/// Too few trials, and an environment that is not the same.
#[test]
fn mail_of_two_runs_that_differ() {
    let (base, mut new) = (common::run(3), common::run(3));
    new.run.label = "new kernel".into();
    new.run.environment.kernel = results::schema::Reading::Known("6.14.0 #1 SMP".into());
    new.run.command = "swapscale run --plan 'my plan.toml' --label 'new kernel'".into();
    golden("mail-two-runs.txt", &Mail.render(&report(&[base, new])));
}

#[test]
fn mail_of_one_variant() {
    let mut run = common::run(6);
    run.cells.retain(|cell| cell.key.variant == "percluster");
    golden("mail-one-variant.txt", &Mail.render(&report(&[run])));
}

#[test]
fn markdown() {
    golden("report.md", &Markdown.render(&report(&[common::run(8)])));
}

#[test]
fn json() {
    golden("report.json", &Json.render(&report(&[common::run(8)])));
}

#[test]
fn csv() {
    golden("report.csv", &Csv.render(&report(&[common::run(8)])));
    let mut run = common::run(6);
    run.cells.retain(|cell| cell.key.variant == "percluster");
    golden("summary.csv", &Csv.render(&report(&[run])));
}

#[test]
fn terminal_plain_and_coloured() {
    let mut report = report(&[common::run(8)]);
    let plain = Terminal::default().render(&report);
    assert!(plain.is_ascii() && !plain.contains('\x1b'));
    golden("terminal.txt", &plain);
    report.summary.iter_mut().for_each(|row| row.shape = vec![0, 1, 900, 450, 10]);
    golden("terminal-colour.txt", &Terminal { colour: true }.render(&report));
}

#[test]
fn every_table_tells_its_base() {
    let runs = [common::run(8)];
    let named = sides(&runs, Some("percluster")).unwrap();
    assert_eq!(named[0].name, "percluster");
    assert!(sides(&runs, Some("none")).unwrap_err().to_string().contains("it has"));
}

#[test]
fn a_pair_is_two_runs_or_two_variants() {
    let (base, mut new) = (common::run(6), common::run(6));
    new.run.id = "later".into();
    let names = |variants: &[&str]| -> Vec<String> {
        let variants: Vec<String> = variants.iter().map(|name| (*name).into()).collect();
        let sides = pair(&base, &new, &variants).unwrap();
        sides.into_iter().map(|side| side.name).collect()
    };
    assert_eq!(names(&["scanning", "percluster"]), ["scanning", "percluster"]);
    let ids = [base.run.id.as_str(), "later"];
    assert_eq!(names(&[]), ids, "one label for both tells nothing");
    assert_eq!(names(&["scanning"]), ids);
    assert!(pair(&base, &new, &["none".into()]).is_err());
}

/// Throughputs as they stand in cells.jsonl, read as plain JSON, by nobody's code
/// but this function's.
fn raw(run: &Loaded, variant: &str, threads: u64) -> Vec<f64> {
    let mut samples = Vec::new();
    for cell in &run.cells {
        let line = serde_json::to_string(cell).unwrap();
        let cell: serde_json::Value = serde_json::from_str(&line).unwrap();
        if cell["key"]["variant"] == variant && cell["key"]["threads"] == threads {
            samples.push(cell["ops_per_s"].as_f64().unwrap());
        }
    }
    samples.sort_by(f64::total_cmp);
    samples
}

fn middle(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Every percentage of the mail's table is what its cells give.
#[test]
fn percentages_are_computed_from_the_cells() {
    let root = tempfile::tempdir().unwrap();
    let run = stored(root.path(), &common::run(8));
    let mail = Mail.render(&report(std::slice::from_ref(&run)));
    for threads in [1, 2] {
        let row = mail
            .lines()
            .find(|line| {
                line.trim_start().starts_with(&format!("{threads} ")) && line.contains("..")
            })
            .unwrap_or_else(|| panic!("no row of {threads} threads in\n{mail}"));
        let words: Vec<&str> = row.split_whitespace().collect();
        let (base, new) = (raw(&run, "scanning", threads), raw(&run, "percluster", threads));
        assert_eq!(words[1], format!("{:.3}", middle(&base) / 1e6), "{row}");
        assert_eq!(words[3], format!("{:.3}", middle(&new) / 1e6), "{row}");
        assert_eq!(words[5], format!("{:+.1}%", (middle(&new) / middle(&base) - 1.0) * 100.0));
        for (printed, samples) in [(words[2], &base), (words[4], &new)] {
            let interval = stats::bootstrap_median(samples);
            let half = (interval.hi - interval.lo) / 2.0 / middle(samples) * 100.0;
            assert_eq!(printed, format!("{half:.0}%"), "{row}");
        }
        let interval = stats::bootstrap_ratio(&base, &new);
        let ends = [interval.lo, interval.hi].map(|x| format!("{:+.1}%", (x - 1.0) * 100.0));
        assert!(words.contains(&ends.join("..").as_str()), "{row}: {ends:?}");
    }
    let steal = run.cells.iter().map(|cell| 0.01 / f64::from(cell.key.threads));
    let mut steal: Vec<f64> = steal.collect();
    steal.sort_by(f64::total_cmp);
    let worst = steal[steal.len() - 1] * 100.0;
    let noise = format!("steal {:.2}% (worst cell {worst:.2}%)", middle(&steal) * 100.0);
    assert!(mail.contains(&noise), "{noise} is not in\n{mail}");
}

fn stored(root: &Path, run: &Loaded) -> Loaded {
    let mut writer = results::store::Writer::create(root, run.run.clone()).unwrap();
    run.cells.iter().for_each(|cell| writer.append(cell).unwrap());
    results::store::load(writer.dir()).unwrap()
}

fn hold_the_rules_of_mail(mail: &str) {
    for line in mail.lines() {
        assert!(line.len() <= 72, "{} columns: {line:?}", line.len());
        assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line:?}");
        assert!(!line.starts_with("---") && !line.starts_with('#'), "{line:?}");
        assert_eq!(line.trim_end(), line, "white space at the end");
    }
}

#[test]
fn the_golden_mails_hold_the_rules() {
    hold_the_rules_of_mail(&Mail.render(&report(&[common::run(8)])));
    hold_the_rules_of_mail(&Mail.render(&report(&[common::run(3), common::run(3)])));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever stands in the names, a mail stays a mail.
    #[test]
    fn hostile_names_do_not_break_a_mail(
        name in "(#|---|\t|é|\n|From |<b>|[a-z ]{0,40}){0,6}",
        words in prop::collection::vec("(#|---|[a-z\"' \\\\]{0,120})", 1..4),
        faster in 1e-3f64..1e6,
    ) {
        let mut run = common::run(2);
        run.run.machine.predicted = true;
        run.run.command = words.join(" ");
        run.run.environment.cpu_model = results::schema::Reading::Known(name.clone());
        for cell in &mut run.cells {
            cell.key.workload = name.clone();
            if cell.key.variant == "percluster" {
                cell.key.variant = format!("#{name}");
                cell.ops_per_s *= faster;
            }
            cell.sites.iter_mut().for_each(|site| site.caller = name.clone());
            cell.kinds = std::mem::take(&mut cell.kinds)
                .into_iter()
                .map(|(kind, figures)| (format!("{name}{kind}"), figures))
                .collect();
        }
        hold_the_rules_of_mail(&Mail.render(&report(&[run])));
    }
}
