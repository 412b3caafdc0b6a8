//! Every parser of what a user or another program wrote, as a function of bytes that must end
//! well whatever they are; and for each some valid input to begin with. Shared by the fuzzing
//! targets here and by `tests/fuzz.rs`, which runs the same for a moment on a stable compiler.

use std::path::Path;
use std::sync::Arc;

use bench_harness::plan::{Host, Options, Plan};
use bench_harness::units::{Budget, Orders, Preempt, Rate, Size, Threads, Width};
use kernel::lab;
use machine::simulated::Model;
use machine::topology::{Pin, Topology};
use probe::{Roots, counters::events};
use results::{example, hlog, store};
use studies::validate::{Data, Hosts};

/// (name, what is done with the bytes, valid inputs)
pub type Parser = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

pub const PARSERS: [Parser; 12] = [
    ("plan", plan, || texts(&["variant = '6.14'\nthreads = [1, 2]\nsize = '4MiB'\n", PLAN])),
    ("cells", cells, || vec![json(&example::cell(), "\n").repeat(1)]),
    ("run", run, || vec![json(&example::run(), "")]),
    ("hlog", histograms, || vec![hlog::encode(&[]).unwrap().into(), log()]),
    ("cpus", cpus, || texts(&["0-3,8", "compact", "0,2,4-7\n"])),
    ("units", units, || texts(&["10GiB", "90s", "0:.7,4:.3", "200k", "1%", "2ms:500us", "auto"])),
    ("model", model, || texts(&[include_str!("../machine/src/simulated/models/vm-32.toml")])),
    ("topology", topology, || texts(&["0-3\n0-3\n0\n0-1\n3\n0-3\n0-3\n", "1\n1\n-1\n1\n1\n1\n1"])),
    ("lockhammer", lockhammer, || texts(&[LOCKHAMMER])),
    ("hosts", hosts, || texts(&["[host.x]\nmodel = 'vm-32'\npins = [0, 1]\n"])),
    ("console", console, || texts(&["[ 0.1] boot\n@swapscale {\"failed\":\"why\"}\n"])),
    ("events", counted, || texts(&["[[event]]\nname = 'l2'\nraw = 0x64\ngroup = 'a'\n"])),
];

const PLAN: &str = "workload = 'churn,mthp'\nrate = '100k'\npin = 'spread'\norders = '0:.7,4:.3'\n";
const LOCKHAMMER: &str = "# comment\nhost,lock,critical,parallel,threads,median_ns_per_op\n\
                          x,ticket_spinlock,200ns,1000ns,4,57.5\n";

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn json(value: &impl serde::Serialize, end: &str) -> Vec<u8> {
    (serde_json::to_string(value).unwrap() + end).into_bytes()
}

fn log() -> Vec<u8> {
    let mut histogram = hdrhistogram::Histogram::new(2).unwrap();
    histogram.record_n(100, 9).unwrap();
    let (tag, start_ns, duration_ns) = ("alloc".into(), 5, 1_000);
    hlog::encode(&[hlog::Interval { tag, start_ns, duration_ns, histogram }]).unwrap().into()
}

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

fn plan(data: &[u8]) {
    let Ok(options) = Options::parse(&text(data), Path::new("plan.toml")) else { return };
    let command = options.command();
    assert!(command.starts_with("swapscale run"));
    // A file named in the plan is not the plan's parser.
    let options = Options { events: None, ..options };
    let model = Model::load("vm-32").unwrap();
    let (topology, model) = (model.topology(), Arc::new(model));
    for model in [None, Some(model)] {
        let host = Host { topology: &topology, guest: true, model };
        let _ = Plan::new(options.clone(), &host);
    }
}

fn cells(data: &[u8]) {
    if let Ok((cells, _)) = store::parse_cells(data, Path::new("cells.jsonl")) {
        for cell in cells {
            let _ = serde_json::to_string(&cell);
        }
    }
}

fn run(data: &[u8]) {
    let _ = store::parse_run(data, Path::new("run.json"));
}

fn histograms(data: &[u8]) {
    let _ = hlog::decode(data, Path::new("0.hlog"));
}

fn cpus(data: &[u8]) {
    if let Ok(pin) = text(data).parse::<Pin>() {
        let topology = Model::load("vm-32").unwrap().topology();
        if let Ok(order) = pin.order(&topology) {
            assert_eq!(pin.to_string().parse::<Pin>().unwrap().order(&topology).unwrap(), order);
        }
    }
}

/// What parses is shown so that it parses back to itself.
fn round_trip<T: std::str::FromStr<Err: std::fmt::Debug> + ToString + PartialEq>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert!(value.to_string().parse::<T>().unwrap() == value, "{text}: {}", value.to_string());
    }
}

fn units(data: &[u8]) {
    let text = &text(data);
    round_trip::<Size>(text);
    round_trip::<Threads>(text);
    round_trip::<Preempt>(text);
    let _ = (text.parse::<Budget>(), text.parse::<Orders>());
    let _ = (text.parse::<Rate>(), text.parse::<Width>());
}

fn model(data: &[u8]) {
    if let Ok(model) = Model::parse("fuzzed", "fuzzed.toml", &text(data)) {
        assert!(model.topology().cpus().len() == model.cpus());
    }
}

/// A sysfs tree whose files hold the lines of `data`.
fn topology(data: &[u8]) {
    const FILES: [&str; 7] = [
        "devices/system/cpu/online",
        "devices/system/cpu/present",
        "devices/system/cpu/cpu0/topology/physical_package_id",
        "devices/system/cpu/cpu0/topology/thread_siblings_list",
        "devices/system/cpu/cpu0/cache/index3/level",
        "devices/system/cpu/cpu0/cache/index3/shared_cpu_list",
        "devices/system/node/node0/cpulist",
    ];
    let dir = tempfile::tempdir().unwrap();
    for (file, line) in FILES.iter().zip(data.split(|byte| *byte == b'\n')) {
        let path = dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, line).unwrap();
    }
    if let Ok(topology) = Topology::read(dir.path(), None) {
        for pin in [Pin::Compact, Pin::Spread, Pin::SmtLast] {
            assert_eq!(pin.order(&topology).unwrap().len(), topology.cpus().len());
        }
    }
}

fn lockhammer(data: &[u8]) {
    let _ = Data::parse("data.csv", &text(data)).map(|data| data.hosts());
}

fn hosts(data: &[u8]) {
    let rows = Data::parse("data.csv", LOCKHAMMER).unwrap();
    // Files that the text names are not its parser's.
    let text = text(data);
    if !text.contains(".toml")
        && let Ok(hosts) = Hosts::parse("hosts.toml", &text)
    {
        let _ = hosts.host("hosts.toml", "x", &rows);
    }
}

fn console(data: &[u8]) {
    let mut console = lab::Console::default();
    for chunk in data.chunks(7) {
        console.receive(chunk);
        while let Ok(Some(_)) = console.message() {}
    }
}

fn counted(data: &[u8]) {
    let _ = events::parse(
        &text(data),
        &Roots { proc: "/none".into(), sys: "/none".into(), etc: "/none".into() },
    );
}
