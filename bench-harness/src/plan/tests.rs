//! A plan is what its options say, or one message that names the key.

use super::window::{BESIDE_WINDOW, SHORTEST_WINDOW};
use super::*;
use crate::units::{Fill, Size, Threads};
use machine::topology::Pin;
use std::fs;

/// Options of a valid plan; a test makes one of them invalid.
fn good() -> Options {
    Options { variant: vec!["percluster".into()], ..Options::default() }
}

fn plan(options: Options) -> Result<Plan, String> {
    let topology = Topology::here().unwrap();
    Plan::new(options, &Host { topology: &topology, guest: true, model: None })
        .map_err(|e| e.to_string())
}

fn from_file(text: &str) -> Result<Options, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plan.toml");
    fs::write(&path, text).unwrap();
    let dir = format!("{}/", dir.path().display());
    Options::read(&path).map_err(|e| e.to_string().replace(&dir, ""))
}

#[test]
fn a_file_and_flags_say_the_same() {
    let text = "variant = \"global,6.14\"\nthreads = [1, \"auto\"]\nfill = 60\n\
                size = \"64MiB\"\nseconds = 0.5\npin = [0]\norders = \"0:.7,4:.3\"\n";
    let file = from_file(text).unwrap();
    let json = serde_json::to_string(&file).unwrap();
    assert_eq!(serde_json::from_str::<Options>(&json).unwrap(), file, "as in run.json");
    assert_eq!(
        file.command(),
        "swapscale run --fill 60 --orders 0:0.7,4:0.3 --pin 0 --seconds 0.5 --size 64MiB \
         --threads 1,auto --variant global,6.14"
    );
}

/// A plan file, its options in `run.json` and the command that repeats it: every option, spelt as
/// in the files that exist.
#[test]
fn the_text_of_options_does_not_change() {
    let file = r#"
        variant = "global, 6.14"
        lock = ["tas", "mcs"]
        machine = "native"
        threads = [1, "auto"]
        trials = 1
        until = 50
        seconds = 0.001
        budget = "1m"
        pin = "compact"
        oversubscribe = true
        size = "64MiB,1g"
        fill = [60, "32MiB"]
        orders = "0:.7,4:.3"
        batch = [1, 64]
        think-ns = 50
        rate = "200k"
        sample = 1
        no-sites = true
        counters = "cache"
        strict = true
        events = "my events.toml"
        preempt = ["none", "2ms:500us"]
        label = "it's a run"
    "#;
    let options = from_file(file).unwrap();
    let json = serde_json::to_value(&options).unwrap().to_string();
    let expected = r#"{"batch":[1,64],"budget":"60s","counters":"cache","events":"my events.toml",
        "fill":["60","32MiB"],"label":"it's a run","lock":["tas","mcs"],"machine":"native",
        "no-sites":true,"orders":"0:0.7,4:0.3","oversubscribe":true,"pin":"compact","preempt":["none","2ms:500us"],
        "rate":["200000"],"sample":1,"seconds":0.001,"size":["64MiB","1GiB"],"strict":true,
        "think-ns":50,"threads":["1","auto"],"trials":1,"until":"50%","variant":["global","6.14"]}"#;
    assert_eq!(json, expected.replace("\n        ", ""));
    assert_eq!(
        options.command(),
        "swapscale run --batch 1,64 --budget 60s --counters cache --events 'my events.toml' \
         --fill 60,32MiB --label 'it'\\''s a run' --lock tas,mcs --machine native --no-sites \
         --orders 0:0.7,4:0.3 \
         --oversubscribe --pin compact --preempt none,2ms:500us --rate 200000 --sample 1 \
         --seconds 0.001 --size 64MiB,1GiB --strict --think-ns 50 --threads 1,auto --trials 1 \
         --until '50%' --variant global,6.14"
    );
    assert_eq!(serde_json::to_string(&Options::default()).unwrap(), "{}", "nothing is given");
}

/// What `run.json` has of a plan of which one option was given.
#[test]
fn defaults_are_written_out_where_no_cell_shows_them() {
    let plan = plan(good()).unwrap();
    assert_eq!(
        serde_json::to_value(&plan.options).unwrap().to_string(),
        r#"{"counters":"core","lock":["tas"],"pin":"smt-last","sample":256,"seed":1,"#.to_owned()
            + r#""threads":["auto"],"trials":6,"variant":["percluster"],"#
            + r#""workload":["churn","seq","swapoff"]}"#
    );
    assert_eq!((plan.measure, &plan.label[..]), (Duration::from_secs(1), "run"));
}

#[test]
fn flags_win_over_the_file() {
    let file = from_file("trials = 9\nseconds = 2.0\nfill = [60, 90]\n").unwrap();
    let flags =
        Options { trials: Some(2), budget: Some("90s".parse().unwrap()), ..Options::default() };
    let both = flags.over(file);
    assert_eq!((both.trials, both.seconds), (Some(2), None), "a budget replaces the seconds");
    assert_eq!(both.fill, [Fill::Percent(60), Fill::Percent(90)]);
}

#[test]
fn a_malformed_file_is_one_line_with_file_line_and_key() {
    let message = |text| from_file(text).unwrap_err();
    let unknown = message("trials = 3\n\npim = \"compact\"\n");
    assert!(unknown.starts_with("plan.toml:3:1: unknown field `pim`, expected"), "{unknown}");
    let value = message("threads = \"1,0\"\n");
    assert!(value.starts_with("plan.toml:1:11: '0': expected numbers of threads"), "{value}");
    for text in ["trials = -1", "seconds = \"soon\"", "fill = {}", "x", "[", "size = \"3MiB\""] {
        let message = message(text);
        assert!(message.starts_with("plan.toml:1:") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn every_bad_value_names_its_key() {
    let bad = |change: fn(&mut Options)| {
        let mut options = good();
        change(&mut options);
        plan(options).unwrap_err()
    };
    let message = bad(|o| o.variant = vec!["globl".into()]);
    assert!(message.starts_with("variant 'globl': expected one of ") && message.contains("6.14"));
    assert!(bad(|o| o.lock = vec!["spin".into()]).starts_with("lock 'spin': expected one of tas"));
    assert!(bad(|o| o.workload = vec!["x".into()]).starts_with("workload 'x': expected one of"));
    let message = bad(|o| o.threads = vec![Threads::Count(5000)]);
    assert!(message.contains("threads '5000'") && message.contains("--oversubscribe"), "{message}");
    assert!(bad(|o| o.trials = Some(0)).starts_with("trials '0'"));
    assert!(bad(|o| o.sample = Some(0)).starts_with("sample '0'"));
    assert!(bad(|o| o.seconds = Some(f64::NAN)).starts_with("seconds 'NaN'"));
    assert!(bad(|o| o.seconds = Some(0.0)).starts_with("seconds '0'"));
    assert!(bad(|o| o.fill = vec![Fill::Fixed(Size::mib(2048))]).starts_with("fill '2GiB'"));
    let until = bad(|o| (o.until, o.trials) = ("1%".parse().ok(), Some(6)));
    assert!(until.starts_with("trials '6': expected no number"), "{until}");
    let short = bad(|o| (o.until, o.budget) = ("1%".parse().ok(), "2s".parse().ok()));
    assert!(short.starts_with("budget '2s': expected at least") && short.contains("first look"));
    let both = bad(|o| (o.seconds, o.budget) = (Some(1.0), "90s".parse().ok()));
    assert!(both.starts_with("seconds '1': expected not both"), "{both}");
    assert!(bad(|o| o.batch = vec![513]).starts_with("batch '513'"));
    let message = bad(|o| (o.batch, o.workload) = (vec![64], vec!["churn".into()]));
    assert!(message.starts_with("batch '64'") && message.contains("seq"), "{message}");
    let message = bad(|o| (o.orders, o.workload) = ("4".parse().ok(), vec!["build".into()]));
    assert!(message.starts_with("orders '4'") && message.contains("mthp"), "{message}");
    assert!(bad(|o| o.budget = "1s".parse().ok()).starts_with("budget '1s': expected at least"));
    assert!(bad(|o| o.pin = Some(Pin::List(vec![60_000]))).contains("60000"));
}

#[test]
fn lock_sites_can_be_left_uncounted() {
    let options = Options { no_sites: true, ..good() };
    assert!(plan(options).unwrap().points.iter().all(|point| !point.sites));
    assert!(plan(good()).unwrap().points.iter().all(|point| point.sites));
}

#[test]
fn points_are_the_product_and_no_value_counts_twice() {
    let words = |text: &str| text.split(',').map(str::to_owned).collect();
    let options = Options {
        variant: words("percluster,percluster-rcu,6.14"),
        lock: words("tas,mcs"),
        workload: words("churn"),
        threads: vec![Threads::Count(1), Threads::Count(1)],
        fill: [60, 90, 60].map(Fill::Percent).into(),
        ..Options::default()
    };
    let plan = plan(options).unwrap();
    assert_eq!(plan.points.len(), 2 * 2 * 2);
    assert_eq!(plan.trials, 6);
}

#[test]
fn what_a_workload_has_no_use_for_is_no_axis_of_it() {
    let words = |text: &str| text.split(',').map(str::to_owned).collect();
    let options = Options { workload: words("churn,seq"), batch: vec![1, 64], ..good() };
    let plan = plan(options).unwrap();
    let batches = |workload| {
        let points = plan.points.iter().filter(move |p| p.params.workload == workload);
        points.map(|p| p.params.batch).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(batches("churn"), [None].into());
    assert_eq!(batches("seq"), [Some(1), Some(64)].into());
    let kept = Options { kept: vec![0, 64], workload: words("churn,seq"), ..good() };
    let kept: Vec<_> = self::plan(kept).unwrap().points.iter().map(|p| p.params.kept).collect();
    assert!([None, Some(0), Some(64)].iter().all(|each| kept.contains(each)), "{kept:?}");
    let devices = || vec!["8".parse().unwrap()];
    let full = Options { devices: devices(), fill: vec!["514MiB".parse().unwrap()], ..good() };
    let full = Options { size: vec!["64MiB".parse().unwrap()], workload: words("seq"), ..full };
    let refused = self::plan(full).unwrap_err();
    assert_eq!(refused, "fill '514MiB': expected at most the size of all 8 devices of 64MiB");
    let masked = || vec!["1+1:turns".parse().unwrap()];
    let deaf = Options { devices: masked(), variant: words("swap-table,6.14"), ..good() };
    let refused = self::plan(deaf).unwrap_err();
    assert!(
        refused.starts_with("devices '1+1:turns': expected no masks, or variants"),
        "{refused}"
    );
    assert!(refused.contains(": percpu-free-first, percpu-cluster, swap-table-early"), "{refused}");
    let keeps = Options { devices: masked(), variant: words("swap-table,7.0"), ..good() };
    assert!(self::plan(keeps).is_ok());
    let useless = Options { devices: devices(), workload: words("swapoff"), ..good() };
    assert!(self::plan(useless).unwrap_err().starts_with("devices '8'"));
    let useless = Options { kept: vec![64], workload: words("seq"), ..good() };
    assert!(self::plan(useless).unwrap_err().starts_with("kept '64'"));
}

#[test]
fn precision_is_for_models_and_takes_the_place_of_seconds() {
    let model = machine::simulated::Model::load("vm-32").unwrap();
    let topology = model.topology();
    let host = Host { topology: &topology, guest: false, model: Some(Arc::new(model)) };
    let plan = |options| Plan::new(options, &host).map_err(|error| error.to_string());
    let workload = vec!["churn".into()];
    let asked = Options { precision: "2%".parse().ok(), workload, ..good() };
    let ours = plan(asked.clone()).unwrap();
    let precision = ours.precision.unwrap();
    assert_eq!((precision.width, precision.most_events.0.get()), (0.02, 20_000_000));
    let written = ours.options.command();
    assert!(written.contains("--precision '2%'") && written.contains("--most-events 20000000"));
    assert!(!written.contains("--seconds"), "{written}");
    let over = Options { precision: "2%".parse().ok(), ..Options::default() };
    assert_eq!(over.over(good()).seconds, None, "precision replaces the file's seconds");
    let both = Options { seconds: Some(0.01), ..asked.clone() };
    assert!(plan(both).unwrap_err().starts_with("seconds '0.01': expected not both"));
    let alone = Options { most_events: "1M".parse().ok(), ..good() };
    assert!(plan(alone).unwrap_err().starts_with("most-events '1000000': expected precision"));
    let rare = Options { workload: vec!["churn".into(), "swapoff".into()], ..asked.clone() };
    assert!(plan(rare).unwrap_err().starts_with("precision '2%': expected seconds for swapoff"));
    assert!(self::plan(asked).unwrap_err().starts_with("precision '2%': expected a model"));
}

/// An older build does not know the option: it is named where it is needed, and not else.
#[test]
fn a_trial_alone_names_its_backing_unless_it_is_the_default() {
    let both = Options { backing: vec!["none".into(), "zram".into()], ..good() };
    let plan = plan(both).unwrap();
    for point in &plan.points {
        let named: &[&str] = if point.params.backing.name == "none" { &[] } else { &["zram"] };
        assert_eq!(plan.alone(point, 0).backing, named);
    }
}

#[test]
fn a_budget_is_kept() {
    let options = Options { budget: "4m".parse().ok(), ..good() };
    let plan = plan(options).unwrap();
    let cells = (plan.points.len() as u32) * plan.trials;
    assert!((plan.measure + BESIDE_WINDOW) * cells <= Duration::from_secs(240));
    assert!(plan.measure >= SHORTEST_WINDOW && plan.warm < plan.measure);
}

#[test]
fn until_is_always_bounded_in_time() {
    let flags = Options { until: "1%".parse().ok(), ..Options::default() };
    let options = flags.over(Options { trials: Some(3), ..good() });
    assert_eq!(options.trials, None, "until replaces the file's trials");
    let plan = plan(options).unwrap();
    let until = plan.until.unwrap();
    assert_eq!((until.width, until.budget), (0.01, Duration::from_secs(240)));
    assert_eq!(plan.options.budget, "4m".parse().ok(), "and run.json says so");
    assert_eq!(plan.measure, Duration::from_millis(200));
}

#[test]
fn more_threads_than_cpus_when_asked() {
    let options =
        Options { threads: vec![Threads::Count(100)], oversubscribe: true, ..Options::default() };
    assert!(plan(options).unwrap().points.iter().all(|p| p.threads == 100));
}
