//! What an option is where it is not given: one table, which `--help`, a plan and the driver of the
//! live kernel read. Guards that the three cannot disagree.

use std::path::Path;

use super::options::Options;

/// The kinds of machine that have defaults of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This host. In a guest the hypervisor may take a waiter's CPU away. `until` is `--until`,
    /// which makes trials short and many.
    Native { guest: bool, until: bool },
    /// A simulated machine, whose time is virtual: a little of it is enough.
    Model,
    /// The allocator of the running kernel. Its workers swap real pages, and are slow.
    Kernel,
}

/// A default, in the words of a plan file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Is(&'static str),
    /// In a guest, and on bare metal.
    ByHost(&'static str, &'static str),
    /// Something else decides; nothing is filled in.
    Words(&'static str),
    /// There is none. On the live kernel: the option is refused.
    Nothing,
}

use Value::{ByHost, Is, Nothing, Words};

/// The default of one option by kind of machine.
struct Row {
    option: &'static str,
    native: Value,
    model: Value,
    kernel: Value,
    /// On this host with `--until`.
    until: Value,
}

const fn row(option: &'static str, native: Value, model: Value, kernel: Value) -> Row {
    Row { option, native, model, kernel, until: native }
}

impl Row {
    const fn until(self, until: Value) -> Row {
        Row { until, ..self }
    }

    fn on(&self, place: Place) -> Value {
        match place {
            Place::Native { until: false, .. } => self.native,
            Place::Native { until: true, .. } => self.until,
            Place::Model => self.model,
            Place::Kernel => self.kernel,
        }
    }
}

const VARIANTS: Value = Is("global,scanning,percluster");
const WORKLOADS: Value = Is("churn,seq,swapoff");
/// Each workload has its own: `workload::Entry::defaults`.
const OWN: Value = Words("the workload's");
const CLOSED: Value = Words("closed loop");

/// In the order of [`Options`]; what has no row has no default.
const TABLE: [Row; 22] = [
    //  option,     on this host,           on a model,     on the live kernel
    row("variant", VARIANTS, VARIANTS, Nothing),
    row("lock", ByHost("tas", "qspin"), Is("qspin"), Nothing),
    row("workload", WORKLOADS, WORKLOADS, Is("churn,seq,build,swapoff")),
    row("machine", Is("native"), Is("native"), Is("native")),
    row("threads", Is("auto"), Is("auto"), Is("1,2")),
    row("trials", Is("6"), Is("6"), Is("3")).until(Nothing),
    row("seconds", Is("1"), Is("0.005"), Is("0.5")).until(Is("0.2")),
    row("budget", Nothing, Nothing, Nothing).until(Is("4m")),
    row("seed", Is("1"), Is("1"), Is("1")),
    row("pin", Is("smt-last"), Is("smt-last"), Is("compact")),
    row("size", OWN, OWN, Is("1GiB")),
    row("devices", OWN, OWN, Nothing),
    row("fill", OWN, OWN, Is("25")),
    row("orders", OWN, OWN, Nothing),
    row("batch", OWN, OWN, Is("1,16,512")),
    row("kept", OWN, OWN, Nothing),
    row("backing", Is("none"), Is("none"), Nothing),
    row("think-ns", Is("0"), Is("0"), Nothing),
    row("rate", CLOSED, CLOSED, Nothing),
    row("sample", Is("256"), Is("256"), Nothing),
    row("counters", Is("core"), Is("core"), Nothing),
    row("label", Is("run"), Is("run"), Is("kernel")),
];

/// The defaults in `place`, as if they had been given.
pub fn options(place: Place) -> Options {
    let line = |row: &Row| {
        let value = match (row.on(place), place) {
            (Is(value), _) => value,
            (ByHost(guest, _), Place::Native { guest: true, .. }) => guest,
            (ByHost(_, bare), _) => bare,
            (Words(_) | Nothing, _) => return String::new(),
        };
        let number = value.parse::<f64>().is_ok();
        let quote = if number { "" } else { "\"" };
        format!("{} = {quote}{value}{quote}\n", row.option)
    };
    let text: String = TABLE.iter().map(line).collect();
    Options::parse(&text, Path::new("defaults")).expect("the table is as a plan file")
}

/// One operation in this many is timed where nothing else is asked for.
pub fn sample() -> u32 {
    options(Place::Model).sample.expect("the table has it")
}

/// The options that the driver of the live kernel takes.
pub fn taken_by_kernel() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|row| row.kernel != Nothing).map(|row| row.option)
}

/// What `--help` says after an option's text: `[default: 6; live kernel: 3]`. None if the option
/// has no default.
pub fn help(option: &str) -> Option<String> {
    let row = TABLE.iter().find(|row| row.option == option)?;
    let words = |value| match value {
        Is(text) | Words(text) => Some(text.to_owned()),
        ByHost(guest, bare) => Some(format!("{guest} in a guest, {bare} on bare metal")),
        Nothing => None,
    };
    let Some(native) = words(row.native) else {
        return Some(format!("[default with --until: {}]", words(row.until)?));
    };
    let elsewhere =
        [("with --until", row.until), ("model", row.model), ("live kernel", row.kernel)];
    let elsewhere = elsewhere.into_iter().filter(|(_, value)| *value != row.native);
    let elsewhere =
        elsewhere.filter_map(|(place, value)| Some(format!("; {place}: {}", words(value)?)));
    Some(format!("[default: {native}{}]", elsewhere.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload;

    /// A row whose option does not exist, or whose value is none of its values, fails here.
    #[test]
    fn every_place_has_defaults() {
        for guest in [true, false] {
            let here = options(Place::Native { guest, until: false });
            assert_eq!(here.lock, [if guest { "tas" } else { "qspin" }]);
            assert_eq!((here.trials, here.budget), (Some(6), None));
            let until = options(Place::Native { guest, until: true });
            assert_eq!((until.trials, until.budget), (None, "4m".parse().ok()));
        }
        assert_eq!(options(Place::Model).seconds, Some(0.005));
        let kernel = options(Place::Kernel);
        assert_eq!((kernel.batch, kernel.variant.len()), (vec![1, 16, 512], 0));
        assert_eq!(sample(), 256);
    }

    #[test]
    fn help_says_where_a_default_differs() {
        let says = |option: &str| help(option).unwrap();
        assert_eq!(says("sample"), "[default: 256]");
        assert_eq!(says("trials"), "[default: 6; live kernel: 3]");
        assert_eq!(
            says("seconds"),
            "[default: 1; with --until: 0.2; model: 0.005; live kernel: 0.5]"
        );
        assert_eq!(says("budget"), "[default with --until: 4m]");
        assert_eq!(says("lock"), "[default: tas in a guest, qspin on bare metal; model: qspin]");
        assert_eq!(help("strict"), None);
    }

    /// Where the table says "the workload's", a workload has its own; a plan gives all the rest.
    #[test]
    fn a_workload_decides_what_the_table_leaves_to_it() {
        for entry in workload::LIST {
            let own = entry.defaults();
            assert_eq!((own.think_ns, own.rate), (0, None), "{}", entry.id);
        }
    }
}
