//! Predictions are held against measurements as the rules say: what may be fitted, in
//! which columns, on hosts of any shape, and what is wrong with a file in one line.

use studies::validate::{Curves, Data, Hosts, report};

const PUBLISHED: &str = Curves::SEEN.data.1;
const PUBLISHED_HOSTS: &str = Curves::SEEN.hosts.1;

#[test]
fn the_published_small_end_is_predicted() {
    let data = Data::parse("published.csv", PUBLISHED).unwrap();
    let hosts = Hosts::parse("published.toml", PUBLISHED_HOSTS).unwrap();
    assert_eq!(data.hosts(), ["x86-1", "x86-2"]);
    let mut host = hosts.host("published.toml", "x86-2", &data).unwrap();
    host.fit().unwrap();
    let verdicts = host.judge(6, |_, _| ()).unwrap();
    let text = report(&verdicts);
    assert!(text.contains("x86-2 200/1000 ns ticket_spinlock"), "{text}");
    assert!(text.contains("PASS held         queued_spinlock  x86-2"), "{text}");
    assert!(text.contains("convergence: "), "{text}");
    let wrong: Vec<_> = verdicts
        .iter()
        .map(|v| studies::validate::Verdict { predicted: 3.0 * v.predicted, ..v.clone() })
        .collect();
    let text = report(&wrong);
    assert!(text.contains("MISS held         queued_spinlock  x86-2"), "{text}");
    assert!(!text.contains("PASS held"), "{text}");
    let unlike = report(&host.judge(1, |_, _| ()).unwrap());
    assert!(!unlike.contains("hosts pooled"), "one thread is no contention: {unlike}");
}

/// The hosts that came after the model, with four threads at most: both are fitted and judged, and the report
/// has the target that is missed where a prediction is wrong.
#[test]
fn the_hosts_that_came_later_are_judged_by_the_same_targets() {
    let data = Data::parse(Curves::BLIND.data.0, Curves::BLIND.data.1).unwrap();
    let hosts = Hosts::parse(Curves::BLIND.hosts.0, Curves::BLIND.hosts.1).unwrap();
    assert_eq!(data.hosts(), ["x86-3", "x86-4"]);
    let mut verdicts = Vec::new();
    for name in data.hosts() {
        let mut host = hosts.host(Curves::BLIND.hosts.0, &name, &data).unwrap();
        host.fit().unwrap();
        verdicts.extend(host.judge(4, |_, _| ()).unwrap());
    }
    let loads: std::collections::BTreeSet<_> =
        verdicts.iter().map(|v| (v.host.clone(), v.held, v.apart)).collect();
    assert_eq!(loads.len(), 8, "{loads:?}");
    let text = report(&verdicts);
    assert!(text.contains("PASS held         all locks, hosts pooled"), "{text}");
    verdicts.iter_mut().for_each(|v| v.predicted *= 2.0);
    let text = report(&verdicts);
    assert!(text.contains("MISS held         all locks, hosts pooled"), "{text}");
}

/// Columns in another order, an unknown lock, other delays, few rows, no SMT.
#[test]
fn any_hosts_measurements_are_taken() {
    let csv = "\u{feff}threads,lock,host,parallel,critical,median_ns_per_op,who\r
1,ticket_spinlock,arm,500ns,100ns,620,me\r
8,ticket_spinlock,arm,500,100,300,me\r
8,clh_lock,arm,500,100,300,me\r
8,queued_spinlock,arm,500,100,250,me\r
4,incdec_refcount,arm,0,0,60,me\r
";
    let data = Data::parse("mine.csv", csv).unwrap();
    assert_eq!(data.notes(), "skipped: 1 rows of 'clh_lock', which is not simulated\n");
    let shape = "packages = 2\ncores = 48\nsmt = 4\nsiblings = \"adjacent\"";
    let text = format!("[host.arm]\n[host.arm.topology]\n{shape}\n");
    let hosts = Hosts::parse("mine.toml", &text).unwrap();
    let mut host = hosts.host("mine.toml", "arm", &data).unwrap();
    host.fit().unwrap();
    let said = host.constants.join("\n");
    // Four threads of one core do not show what a transfer costs.
    assert!(said.contains("arm: l3 = 51.00, not fitted"), "{said}");
    assert_eq!(host.judge(8, |_, _| ()).unwrap().len(), 3);
    let text = text.replace("smt = 4", "smt = 1");
    let hosts = Hosts::parse("mine.toml", &text).unwrap();
    let mut host = hosts.host("mine.toml", "arm", &data).unwrap();
    host.fit().unwrap();
    let said = host.constants.join("\n");
    assert!(said.contains("fitted: incdec_refcount, 2 cores and more within one L3"), "{said}");
    assert!(said.contains("arm: remote = ") && said.contains("not identified"), "{said}");
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let error = |text: &str| Data::parse("mine.csv", text).err().unwrap();
    assert!(error("host,lock\n").contains("mine.csv: no column 'critical'"));
    let row = PUBLISHED.lines().find(|l| l.starts_with("host,")).unwrap();
    let line = error(&format!("{row}\nme,ticket_spinlock,200ns,1000ns,none,5\n"));
    assert!(line.contains("mine.csv:2: threads is 'none', expected"), "{line}");
    let none = error(&format!("{row}\nme,fast_lock,200ns,1000ns,1,5\n"));
    assert!(none.contains("mine.csv: no row of a lock that is simulated: empty"), "{none}");
    let infinite = error(&format!("{row}\nme,empty,0ns,0ns,1,inf\n"));
    assert!(infinite.contains("mine.csv:2: median_ns_per_op is 'inf'"), "{infinite}");
    let hosts = Hosts::parse("mine.toml", "[host.x]\nmodel = \"x86-2\"\npins = [0, 99]\n").unwrap();
    let data = Data::parse("published.csv", PUBLISHED).unwrap();
    let error = hosts.host("mine.toml", "x", &data).err().unwrap();
    assert!(error.contains("mine.toml: host.x.pins: pin list: CPU 99"), "{error}");
    assert!(Hosts::parse("mine.toml", "[host.x]\nmodle = 1\n").unwrap_err().contains("modle"));
    let wrong = |text: &str| {
        Hosts::parse("mine.toml", text).unwrap().host("mine.toml", "x86-2", &data).err().unwrap()
    };
    assert!(wrong("[host.x]\n").contains("expected a table [host.x86-2]"));
    assert!(wrong("[host.x86-2]\n").contains("mine.toml: host.x86-2: expected topology"));
    let few = wrong("[host.x86-2]\ntopology = { packages = 1, cores = 8 }\n");
    assert!(few.contains("host.x86-2.pins: expected a CPU for each of the 48 threads"), "{few}");
    let none = wrong("[host.x86-2]\ntopology = { packages = 0, cores = 8 }\n");
    assert!(none.contains("host.x86-2.topology.packages: expected 1 to"), "{none}");
}
