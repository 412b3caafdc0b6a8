//! Predictions are held against measurements as the rules say: what may be fitted, in
//! which columns, and what is wrong with a file in one line.

use bench_harness::validate::{Data, Hosts, PUBLISHED, PUBLISHED_HOSTS, report};

#[test]
fn the_published_small_end_is_predicted() {
    let data = Data::parse("published.csv", PUBLISHED).unwrap();
    let hosts = Hosts::parse("published.toml", PUBLISHED_HOSTS).unwrap();
    assert_eq!(data.hosts(), ["x86-1", "x86-2"]);
    let host = hosts.host("published.toml", "x86-2", &data).unwrap();
    let text = report(&host.judge(6).unwrap());
    assert!(text.contains("x86-2 200 ns ticket_spinlock"), "{text}");
    let unlike = report(&host.judge(1).unwrap());
    assert!(!unlike.contains("all locks pooled"), "one thread is no contention: {unlike}");
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    let error = |text: &str| Data::parse("mine.csv", text).err().unwrap();
    assert!(error("host,lock\n").contains("mine.csv: no column 'critical'"));
    let row = PUBLISHED.lines().find(|l| l.starts_with("host,")).unwrap();
    let line = error(&format!("{row}\nme,ticket_spinlock,200ns,1000ns,none,5\n"));
    assert!(line.contains("mine.csv:2: threads is 'none', expected"), "{line}");
    let line = error(&format!("{row}\nme,fast_lock,200ns,1000ns,1,5\n"));
    assert!(line.contains("lock is 'fast_lock', expected empty"), "{line}");
    let hosts = Hosts::parse("mine.toml", "[host.x]\nmodel = \"x86-2\"\npins = [0, 99]\n").unwrap();
    let data = Data::parse("published.csv", PUBLISHED).unwrap();
    let error = hosts.host("mine.toml", "x", &data).err().unwrap();
    assert!(error.contains("mine.toml: host.x.pins: pin list: CPU 99"), "{error}");
    assert!(Hosts::parse("mine.toml", "[host.x]\nmodle = 1\n").unwrap_err().contains("modle"));
}
