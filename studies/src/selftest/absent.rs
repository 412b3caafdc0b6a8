//! A counter that is not to be had never becomes a zero, from the worker that could not open it to
//! the metric that a table prints.

use std::collections::BTreeMap;
use std::time::Duration;

use results::example;
use results::metric::Metric;
use results::schema::{Cell, Counter};

use variants::percluster::PerCluster;

use super::{Finding, M, config, setting};
use bench_harness::trial::{self, Setting};
use bench_harness::workload::churn::Churn;
use probe::counters::{self, Set};

/// A worker that ran has some of these, if they are counted at all.
const NEVER_ZERO: [&str; 2] = ["cycles", "instructions"];

/// The counters of a real trial, by the sets of counters that can be asked for.
pub(super) fn read(cpus: &[usize]) -> Result<BTreeMap<String, Counter>, String> {
    let mut all = BTreeMap::new();
    for set in [Set::Core, Set::Cache] {
        let setting = Setting { host: Some(set.groups()), ..setting(1) };
        let config = config(&cpus[..1], Duration::from_millis(10));
        let logs = trial::run::<M, PerCluster<M>, Churn<M>>(&config, &setting);
        let logs = logs.map_err(|failure| failure.to_string())?;
        let hosts = logs.iter().filter_map(|log| log.host.as_ref());
        let counted: Vec<_> = hosts.map(|host| host.counters.clone()).collect();
        all.extend(counters::sum(&counted));
    }
    Ok(all)
}

pub(super) fn check(read: Result<BTreeMap<String, Counter>, String>) -> Finding {
    const CHECK: &str = "counters";
    let counters = match read {
        Ok(counters) => counters,
        Err(why) => return Finding::new(CHECK, false, why),
    };
    let mut wrong = Vec::new();
    for (name, counter) in &counters {
        let metric = Metric::Counter(name.clone());
        let cell = Cell { counters: counters.clone(), ..example::cell() };
        let text = serde_json::to_string(&cell).expect("a cell is plain data");
        let stored: Cell = serde_json::from_str(&text).expect("and reads back");
        let kept = stored.counters.get(name) == Some(counter);
        let event = name.split(':').next().unwrap_or_default();
        match (counter, metric.of(&stored)) {
            (Counter::Unsupported { unsupported }, value)
                if unsupported.is_empty() || value.is_some() || !kept =>
            {
                wrong.push(format!("{name} is absent and reads {value:?}"));
            }
            (Counter::Value { value: 0, .. }, _) if NEVER_ZERO.contains(&event) => {
                wrong.push(format!("{name} is 0 although a worker ran"));
            }
            _ => {}
        }
    }
    let absent = |c: &&Counter| matches!(c, Counter::Unsupported { .. });
    let absent = counters.values().filter(absent).count();
    let figure = match wrong.is_empty() {
        true => format!("{absent} of {} are absent here, each with its reason", counters.len()),
        false => wrong.join("; "),
    };
    Finding::new(CHECK, wrong.is_empty() && !counters.is_empty(), figure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::topology::Topology;

    fn of(counter: Counter) -> Finding {
        check(Ok(BTreeMap::from([("cycles".to_string(), counter)])))
    }

    #[test]
    fn absent_counters_have_reasons_and_no_values() {
        let cpus: Vec<usize> = Topology::here().unwrap().cpus().iter().map(|c| c.id).collect();
        let finding = check(read(&cpus));
        assert_eq!(finding.held, Some(true), "{finding}");
        assert!(!of(Counter::Value { value: 5, scaled: 1.0 }).broken());
        assert!(!of(Counter::Unsupported { unsupported: "ENOENT".into() }).broken());
    }

    #[test]
    fn an_absent_counter_dressed_as_zero_is_found_out() {
        assert!(of(Counter::Value { value: 0, scaled: 1.0 }).broken());
        assert!(of(Counter::Unsupported { unsupported: String::new() }).broken(), "no reason");
        assert!(check(Ok(BTreeMap::new())).broken(), "no counter at all is no answer");
    }
}
