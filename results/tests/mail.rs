//! The mail that is pasted, of every committed run. Guards that it is short enough to be read, and that
//! its figures are those of the cells and its verdicts those of `compare`, computed here once more.
//!
//! To accept a change: `UPDATE_GOLDEN=1 cargo test -p results --test mail`, then read the diff.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use results::compare::{self, Outcome, Side};
use results::metric::Metric;
use results::report::{Report, one_pair, sides};
use results::store::{self, Loaded};
use results::tables::{Brief, Format, Lkp};
use serde_json::Value;

/// Every run that is committed.
fn reference() -> Vec<Loaded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference");
    let mut runs: Vec<PathBuf> = [root.clone(), root.join("kernel")]
        .iter()
        .flat_map(|dir| std::fs::read_dir(dir).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run.json").exists())
        .collect();
    runs.sort();
    assert!(runs.len() > 20, "{runs:?}");
    runs.iter().map(|dir| store::load(dir).unwrap()).collect()
}

fn report(run: &Loaded) -> (Report, Vec<Side<'_>>) {
    let (pair, others) = one_pair(sides(std::slice::from_ref(run), None).unwrap(), false);
    let report = Report::new(&pair, &Metric::Throughput).unwrap();
    (Report { others, ..report }, pair)
}

fn mail(run: &Loaded) -> String {
    Brief.render(&report(run).0)
}

#[test]
fn the_mails_of_the_reference_are_as_they_were() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mails-of-the-reference.txt");
    let id = |run: &Loaded| run.dir.file_name().unwrap().to_string_lossy().into_owned();
    let runs = reference();
    let mails: String = runs.iter().map(|run| format!("== {}\n{}\n", id(run), mail(run))).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &mails).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(mails == expected, "the mails have changed; see the head of this file");
}

#[test]
fn a_mail_has_25_lines_of_72_columns_of_ascii() {
    for run in reference() {
        for text in [mail(&run), Lkp.render(&report(&run).0)] {
            for line in text.lines() {
                assert!(line.len() <= 72, "{line}");
                assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line}");
                assert!(!line.starts_with('#') && !line.starts_with("---"), "{line}");
            }
        }
        let mail = mail(&run);
        assert!(mail.lines().count() <= 25, "{mail}");
        assert!(!mail.lines().any(|line| line.ends_with("..")), "a line is cut:\n{mail}");
    }
}

/// The samples of one variant's points, by the words that name the point in the table.
fn samples(run: &Loaded, variant: &str, axes: &[&str]) -> BTreeMap<Vec<String>, Vec<f64>> {
    let text = std::fs::read_to_string(run.dir.join("cells.jsonl")).unwrap();
    let mut points: BTreeMap<Vec<String>, Vec<f64>> = BTreeMap::new();
    for cell in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let key = &cell["key"];
        if key["variant"] != variant {
            continue;
        }
        let word = |axis: &&str| match [&key[*axis], &key["params"][*axis]] {
            [Value::String(word), _] | [_, Value::String(word)] => word.clone(),
            [Value::Number(number), _] => number.to_string(),
            _ => "-".to_owned(),
        };
        let ops_per_s = cell["ops_per_s"].as_f64().unwrap();
        points.entry(axes.iter().map(word).collect()).or_default().push(ops_per_s);
    }
    points
}

fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Figures of the table's unit, ops/s.
fn unit(mail: &str) -> f64 {
    let units = [("Mops/s: ", 1e6), ("kops/s: ", 1e3), ("ops/s: ", 1.0)];
    let found = units.iter().find(|(unit, _)| mail.lines().any(|line| line.starts_with(unit)));
    found.unwrap_or_else(|| panic!("no unit in\n{mail}")).1
}

/// Holds every row of the run's mail against its cells and against `compare`; how many rows there were.
fn recompute(run: &Loaded) -> usize {
    let (report, pair) = report(run);
    let [base, new] = pair.as_slice() else { return 0 };
    let mail = Brief.render(&report);
    let comparison = compare::compare(base, new, &Metric::Throughput).unwrap();
    let header = mail.lines().find(|line| line.contains("verdict")).unwrap();
    let header: Vec<&str> = header.split_whitespace().collect();
    let names = header.iter().position(|name| *name == "Before").unwrap();
    let [before, after] = [base, new].map(|side| samples(run, &side.name, &header[..names]));
    let rows = mail.lines().skip_while(|line| !line.contains("verdict")).skip(1);
    let rows = rows.take_while(|line| line.starts_with(' '));
    let mut shown = 0;
    for line in rows {
        let words: Vec<&str> = line.split_whitespace().collect();
        let point: Vec<String> = words[..names].iter().map(|word| (*word).to_owned()).collect();
        let (a, b) = (&before[&point], &after[&point]);
        let figures: Vec<f64> =
            [names, names + 2].iter().map(|at| words[*at].parse::<f64>().unwrap()).collect();
        for (printed, samples) in figures.iter().zip([a, b]) {
            let expected = median(samples) / unit(&mail);
            assert!((printed - expected).abs() <= 0.0051, "{expected} in {line}");
        }
        let change = median(b) / median(a) - 1.0;
        assert_eq!(words[names + 4], format!("{:+.1}%", 100.0 * change), "{line}");
        let n = if a.len() == b.len() { format!("{}", a.len()) } else { "+".into() };
        assert!(words[names + 6].contains(&n), "{n} in {line}");
        // The same point in the comparison: its medians are those of the cells.
        let same = |row: &&compare::Row| {
            row.base.median == median(a) && row.new.median == median(b) && row.base.n == a.len()
        };
        let row = comparison.rows.iter().find(same).unwrap_or_else(|| panic!("no row is {line}"));
        let verdict = match row.outcome {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::NotSignificant => "~",
            Outcome::TooFew => "n<6",
        };
        assert_eq!(words[names + 5].trim_end_matches('*'), verdict, "{line}");
        shown += 1;
    }
    says_what_it_hides(&mail, &comparison, shown);
    shown
}

/// Left-out points are counted, and the mean is over all points and has an interval or the reason.
fn says_what_it_hides(mail: &str, comparison: &compare::Comparison, shown: usize) {
    let all = comparison.rows.len();
    let left_out = format!("Left out: {} of {all} point", all - shown);
    assert_eq!(mail.contains("Left out: "), shown < all, "{mail}");
    assert!(shown == all || mail.contains(&left_out), "{left_out} in\n{mail}");
    let logs: f64 = comparison.rows.iter().map(|row| row.ratio.ln()).sum();
    let mean = 100.0 * ((logs / all as f64).exp() - 1.0);
    let flat = mail.split_whitespace().collect::<Vec<_>>().join(" ");
    let points = if all == 1 { "point" } else { "points" };
    let said = format!("Geometric mean of {all} {points}: {mean:+.1}% (");
    assert!(flat.contains(&said), "{said} in\n{mail}");
    let few = comparison.count(Outcome::TooFew) > 0;
    let interval = if few { "(no interval: n<6 at " } else { "(95% interval " };
    assert!(flat.contains(interval), "{interval} in\n{mail}");
}

#[test]
fn the_figures_of_a_mail_are_those_of_compare() {
    assert!(reference().iter().map(recompute).sum::<usize>() > 100);
}

/// The strawman is the plan's first variant, and no base.
#[test]
fn the_base_is_the_predecessor_in_the_kernels_history() {
    let of = |name: &str| {
        let runs = reference();
        let found = |run: &&Loaded| run.dir.to_string_lossy().ends_with(name);
        mail(runs.iter().find(found).unwrap())
    };
    let schemes = of("vm-three-schemes");
    assert!(schemes.contains("Before 6.12 scanning, After 6.14 percluster"), "{schemes}");
    assert!(schemes.contains("Not shown: global\n"), "{schemes}");
    assert!(schemes.contains("worse*") && schemes.contains("*: does not stand"), "{schemes}");
    assert!(schemes.contains("  swapscale run --counters"), "the command, whole:\n{schemes}");
    let heat = of("vm-heat-predicted");
    assert!(heat.contains("Before 6.18 percpu-cluster, After 7.3 swap-table"), "{heat}");
}

/// LKP prints no deviation below 2 %, and the change of a percentage in points.
#[test]
fn the_form_of_lkp() {
    let runs = reference();
    let run = runs.iter().find(|run| run.dir.to_string_lossy().ends_with("vm-three-schemes"));
    let text = Lkp.render(&report(run.unwrap()).0);
    assert!(text.contains("\ncommit:\n  6.12 scanning\n  6.14 percluster\n"), "{text}");
    let line = |name: &str| text.lines().find(|line| line.ends_with(name)).unwrap();
    let [throughput, contended] = ["churn.1.throughput", "churn.2.contended%"].map(line);
    let words: Vec<&str> = throughput.split_whitespace().collect();
    assert!(
        words[3].ends_with('%') && words.len() == 6,
        "new has a deviation below 2 %: {words:?}"
    );
    assert!(contended.matches('%').count() == 3, "two deviations, and no percent: {contended}");
    for line in text.lines().filter(|line| line.contains("+-")) {
        let deviations =
            line.split("+-").skip(1).map(|rest| rest.split('%').next().unwrap().trim());
        assert!(deviations.into_iter().all(|n| n.parse::<f64>().unwrap() >= 2.0), "{line}");
    }
}
