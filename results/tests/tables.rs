//! The formats against golden files, and what must hold of every mail.
//!
//! To accept a change of a format: `UPDATE_GOLDEN=1 cargo test -p results --test
//! tables`, then read the diff.

mod common;

use std::path::Path;

use proptest::prelude::*;
use results::compare::Row;
use results::metric::Metric;
use results::report::{Report, pair, sides};
use results::stats;
use results::store::Loaded;
use results::tables::{Brief, Csv, Format, Json, Lkp, Mail, Markdown, Terminal};
use serde_json::Value;

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

/// What each variant adds to the one before it, and its part in the whole.
#[test]
fn mail_of_steps() {
    let mut run = common::run(8);
    let last = run.cells.iter().filter(|cell| cell.key.variant == "percluster").cloned();
    let slower = last.map(|mut cell| {
        cell.key.variant = "later".into();
        cell.ops_per_s *= 0.9;
        cell
    });
    run.cells.extend(slower.collect::<Vec<_>>());
    let runs = [run];
    let steps = Report::stepwise(&sides(&runs, None).unwrap(), &Metric::Throughput).unwrap();
    golden("mail-steps.txt", &Mail.render(&steps));
    let two = [common::run(8)];
    let two = Report::stepwise(&sides(&two, None).unwrap(), &Metric::Throughput);
    assert!(two.unwrap_err().to_string().contains("three variants"));
}

/// Too few trials, and an environment that is not the same.
#[test]
fn mail_of_two_runs_that_differ() {
    let (base, mut new) = (common::run(3), common::run(3));
    new.run.label = "new kernel".into();
    new.dir = "new".into();
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

/// A scheme with swap tables, and one without.
#[test]
fn swap_tables_are_told_per_side() {
    let mut run = common::run(8);
    let percluster = |cell: &&mut results::schema::Cell| cell.key.variant == "percluster";
    for cell in run.cells.iter_mut().filter(percluster) {
        let tables = [("tables_born", 1000), ("tables_freed", 990), ("tables_most", 42)];
        cell.counts.extend(tables.map(|(name, count)| (name.to_owned(), count)));
        cell.duration_ns = 500_000_000;
    }
    let mail = Mail.render(&report(&[run]));
    let row = |name: &str| {
        let line = mail.lines().find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {mail}"));
        line.trim_start()[name.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("born per second"), ["-", "2000"]);
    assert_eq!(row("freed per second"), ["-", "1980"]);
    assert_eq!(row("at most, pages"), ["-", "42.0"]);
    let without = Mail.render(&report(&[common::run(8)]));
    assert!(!without.contains("swap tables"), "{without}");
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
    let report = report(&[common::run(8)]);
    let plain = Terminal::default().render(&report);
    assert!(plain.is_ascii() && !plain.contains('\x1b'));
    golden("terminal.txt", &plain);
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
fn a_run_without_cells_says_so() {
    let error = sides(&[common::run(0)], None).unwrap_err().to_string();
    assert_eq!(error, "run: the run has no cells");
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

/// The cells as raw JSON, read by nobody's code but this function's.
fn raw_cells(run: &Loaded) -> Vec<Value> {
    let text = std::fs::read_to_string(run.dir.join("cells.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every number at `field` of the cells that `wanted` picks, sorted.
fn raw(cells: &[Value], field: &str, wanted: impl Fn(&Value) -> bool) -> Vec<f64> {
    let picked = cells.iter().filter(|cell| wanted(cell));
    let mut values: Vec<f64> =
        picked.filter_map(|cell| cell.pointer(field).unwrap().as_f64()).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Hold each percentage of the run's mail against what its cells give; how many
/// rows there were.
fn recompute(run: &Loaded) -> usize {
    let report = report(std::slice::from_ref(run));
    let mail = Mail.render(&report);
    hold_the_rules_of_mail(&mail);
    let cells = raw_cells(run);
    // The rows are the lines with an interval of percentages; those that end with a verdict
    // are of the trials that were not hit.
    let verdict = |line: &&str| line.ends_with(char::is_alphabetic);
    let interval = |line: &&str| line.contains("%..+") || line.contains("%..-");
    // The legend ends the tables of comparisons.
    let tables = mail.lines().take_while(|line| !line.starts_with("+-: half"));
    let mut printed = tables.filter(|line| interval(line) && !verdict(line));
    let mut rows = 0;
    for comparison in &report.comparisons {
        for row in &comparison.rows {
            let line = printed.next().unwrap_or_else(|| panic!("a row is missing in\n{mail}"));
            check_row(&cells, line, row, [&comparison.base, &comparison.new]);
            rows += 1;
        }
    }
    assert_eq!(printed.next(), None, "a row too many");
    let steal = raw(&cells, "/noise/steal_ns", |_| true);
    let time = raw(&cells, "/duration_ns", |_| true);
    // Only where all cells are alike is a sorted pair the pair of one cell.
    if steal.len() == time.len() && steal.first() == steal.last() && time.first() == time.last() {
        let threads = raw(&cells, "/key/threads", |_| true);
        let mut shares: Vec<f64> = threads.iter().map(|n| steal[0] / time[0] / n).collect();
        shares.sort_by(f64::total_cmp);
        let (typical, worst) = (middle(&shares) * 100.0, shares[shares.len() - 1] * 100.0);
        let noise = format!("steal {typical:.2}% (worst cell {worst:.2}%)");
        assert!(mail.contains(&noise), "{noise} is not in\n{mail}");
    }
    rows
}

fn check_row(cells: &[Value], line: &str, row: &Row, sides: [&String; 2]) {
    let key = serde_json::to_value(&row.key).unwrap();
    let of_row = |cell: &Value, variant: &str| {
        let same = |axis: &str| key[axis] == "" || cell["key"][axis] == key[axis];
        cell["key"]["variant"] == variant
            && ["machine", "lock", "workload", "params", "threads", "pin"].into_iter().all(same)
    };
    let of = |variant: &str| raw(cells, "/ops_per_s", |cell| of_row(cell, variant));
    let [base, new] = sides.map(|side| of(side));
    let words: Vec<&str> = line.split_whitespace().collect();
    let delta = format!("{:+.1}%", (middle(&new) / middle(&base) - 1.0) * 100.0);
    // One run: its variants took turns, and are held against each other block by block.
    let by_block = |variant: &str| -> Vec<f64> {
        let mut found: Vec<(u64, f64)> = Vec::new();
        for cell in cells.iter().filter(|cell| of_row(cell, variant)) {
            found.push((
                cell["key"]["block"].as_u64().unwrap(),
                cell["ops_per_s"].as_f64().unwrap(),
            ));
        }
        found.sort_by_key(|(block, _)| *block);
        found.into_iter().map(|(_, ops_per_s)| ops_per_s).collect()
    };
    let interval = stats::bootstrap_ratio_paired(&by_block(sides[0]), &by_block(sides[1]));
    let ends = [interval.lo, interval.hi].map(|x| format!("{:+.1}%", (x - 1.0) * 100.0));
    for expected in [&delta, &ends.join(".."), &format!("{}+{}", base.len(), new.len())] {
        assert!(words.contains(&expected.as_str()), "{expected} is not in {line}");
    }
    // A narrow table has no column for the spread.
    let spreads: Vec<&&str> =
        words.iter().filter(|word| word.ends_with('%') && !word.starts_with(['+', '-'])).collect();
    for (printed, samples) in spreads.into_iter().zip([&base, &new]) {
        let interval = stats::bootstrap_median(samples);
        let half = (interval.hi - interval.lo) / 2.0 / middle(samples) * 100.0;
        assert_eq!(*printed, format!("{half:.0}%"), "{line}");
    }
}

/// Every percentage of the mail is what its cells give.
#[test]
fn percentages_are_computed_from_the_cells() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(recompute(&stored(root.path(), &common::run(8))), 2);
}

/// The same of the committed runs that have trials enough for intervals.
#[test]
fn percentages_of_the_reference_are_computed_from_its_cells() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference");
    let runs = results::store::load_all(&[reference]).unwrap();
    let enough = |run: &&Loaded| run.run.plan["trials"].as_u64().is_some_and(|n| n >= 6);
    assert!(runs.iter().filter(enough).map(recompute).sum::<usize>() > 0);
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
        let report = report(&[run]);
        hold_the_rules_of_mail(&Mail.render(&report));
        hold_the_rules_of_mail(&Lkp.render(&report));
        let brief = Brief.render(&report);
        hold_the_rules_of_mail(&brief);
        prop_assert!(brief.lines().count() <= 25, "{}", brief);
    }
}

/// A gap of half the interval in one of eight trials, which is slow for it.
#[test]
fn the_verdict_stands_beside_the_one_without_trials_that_were_hit() {
    let mut run = common::run(8);
    let calm = report(std::slice::from_ref(&run));
    assert!(calm.undisturbed.is_empty() && !calm.notes[0].contains("hit"), "{:?}", calm.notes);
    let struck = |cell: &&mut results::schema::Cell| {
        cell.key.variant == "percluster" && cell.key.threads == 2 && cell.key.block % 5 == 1
    };
    for cell in run.cells.iter_mut().filter(struck) {
        cell.noise.gap_total_ns = results::schema::Reading::Known(cell.duration_ns / 2);
        cell.ops_per_s /= 2.0;
    }
    let report = report(&[run]);
    let [again] = report.undisturbed.as_slice() else { panic!("one comparison was hit") };
    let [row] = again.rows.as_slice() else { panic!("at one point: {again:?}") };
    let left = row.without.as_ref().unwrap();
    assert_eq!((row.hit, left.base.n, left.new.n, row.stands()), ([0, 2], 8, 6, true));
    assert!(report.notes[0].contains("2 of 32 trials were hit"), "{:?}", report.notes);
    for text in [Mail.render(&report), Terminal::default().render(&report)] {
        assert!(text.contains("trials left that were not hit") && text.contains("0+2"), "{text}");
        assert!(text.contains("+179.") || text.contains("+18"), "{text}");
    }
}

/// A run that was stopped in its first block: each figure is shown, and what has no partner has no
/// delta.
#[test]
fn a_run_that_stopped_early_shows_the_figures_it_has() {
    let mut run = common::run(8);
    let alone = |cell: &results::schema::Cell| {
        let threads = if cell.key.variant == "scanning" { 1 } else { 2 };
        cell.key.block == 0 && cell.key.threads == threads
    };
    run.cells.retain(alone);
    let report = report(&[run.clone()]);
    assert!(report.partial && report.comparisons.is_empty());
    for format in [&Mail as &dyn Format, &Markdown, &Terminal::default()] {
        let text = format.render(&report).split_whitespace().collect::<Vec<_>>().join(" ");
        for word in ["scanning", "percluster", "nothing to compare", "most frequent operation"] {
            assert!(text.contains(word), "no {word} in\n{text}");
        }
    }
    assert_eq!(Csv.render(&report).lines().count(), 3);
    // One variant has a point that the other was refused.
    let mut half = common::run(8);
    half.cells.retain(|cell| cell.key.variant == "scanning" || cell.key.threads == 2);
    let report = self::report(&[half]);
    assert_eq!((report.comparisons[0].rows.len(), report.comparisons[0].missing.len()), (1, 1));
    assert!(Mail.render(&report).contains("latency of the most frequent operation"));
    // No figure of the metric at all is still an error.
    let metric: Metric = "p99:nonesuch".parse().unwrap();
    assert!(Report::new(&sides(&[run], None).unwrap(), &metric).is_err());
}

/// Two runs of one label and id (one is a copy) are told apart by their directories.
#[test]
fn copies_of_a_run_are_named_by_their_directories() {
    let (base, mut new) = (common::run(6), common::run(6));
    new.dir = "copy".into();
    let names: Vec<String> =
        pair(&base, &new, &[]).unwrap().into_iter().map(|side| side.name).collect();
    assert_eq!(names, ["run", "copy"]);
}

/// The conditions of two runs are said of each where they are not the same, and so are the options
/// that move figures.
#[test]
fn conditions_of_two_runs_are_not_mixed() {
    let (base, mut new) = (common::run(6), common::run(8));
    new.run.label = "longer".into();
    new.dir = "longer".into();
    new.run.plan["seconds"] = 2.0.into();
    new.run.plan["sample"] = 1.into();
    new.cells.iter_mut().for_each(|cell| cell.duration_ns *= 2);
    let report = report(&[base, new]);
    let conditions = "Conditions: example: 6 trials of 1 s; longer: 8 trials of 2 s, tas churn";
    assert!(report.setting[2].starts_with(conditions), "{:?}", report.setting);
    let told: Vec<&str> =
        report.comparisons[0].differences.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(told, ["seconds", "sample"]);
}

/// The maximum of a sample is not the longest operation, and is not called so.
#[test]
fn the_maximum_of_a_sample_is_called_so() {
    let mut run = common::run(6);
    assert!(Mail.render(&report(std::slice::from_ref(&run))).contains("max of timed"));
    for kind in run.cells.iter_mut().flat_map(|cell| cell.kinds.values_mut()) {
        kind.sampled_every = 1;
    }
    let mail = Mail.render(&report(&[run]));
    assert!(!mail.contains("max of timed") && mail.contains(" max\n"), "{mail}");
}

/// A verdict that rests on trials which were hit says so.
#[test]
fn a_verdict_that_does_not_stand_is_named() {
    let mut run = common::run(6);
    let struck = |cell: &&mut results::schema::Cell| cell.key.threads == 2 && cell.key.block == 0;
    for cell in run.cells.iter_mut().filter(struck) {
        cell.noise.throttled = results::schema::Reading::Known(1);
    }
    let report = report(&[run]);
    let said = "does not stand without the trials hit from outside at native tas churn";
    let note = report.notes.iter().find(|note| note.contains(said));
    assert!(note.is_some_and(|note| note.contains("(better, without them too-few)")), "{note:?}");
}

/// Where every trial was hit there is no verdict left, and none is made up.
#[test]
fn no_trial_left_is_no_verdict() {
    let mut run = common::run(6);
    run.cells.iter_mut().for_each(|cell| {
        cell.noise.throttled = results::schema::Reading::Known(1);
    });
    let report = report(&[run]);
    let rows = &report.undisturbed[0].rows;
    assert!(rows.iter().all(|row| row.hit == [6, 6] && row.without.is_none() && !row.stands()));
    assert!(Mail.render(&report).contains("none"));
}

/// A run that went on until it was narrow shows the intervals that hold over its looks.
#[test]
fn a_run_with_until_shows_what_it_reached() {
    let mut run = common::run(8);
    assert!(report(std::slice::from_ref(&run)).narrow.is_empty());
    run.run.plan["until"] = "1%".into();
    let report = report(&[run]);
    assert_eq!(report.narrow.len(), 4);
    assert!(report.narrow.iter().all(|row| row.trials == 8 && row.interval.is_some()));
    for row in &report.narrow {
        let interval = row.interval.unwrap();
        let within = interval.hi <= row.median * 1.01 && interval.lo >= row.median * 0.99;
        assert_eq!(row.reached, within, "{row:?}");
    }
    let mail = Mail.render(&report);
    hold_the_rules_of_mail(&mail);
    assert!(mail.contains("until +-1%") && mail.contains("reached"), "{mail}");
}
