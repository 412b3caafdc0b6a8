//! Whether a run goes on where it began. Guards that the cells of one run are of one machine and of
//! one program: its header, which names both, stands over all of them.

use serde_json::Value;

use crate::schema::Environment;

/// Fields of [`Environment`] that say on which machine a run is, and how that is set up. A field
/// that this version does not write is no difference.
const MACHINE: [&str; 14] = [
    "host",
    "identity",
    "boot_id",
    "cpu_model",
    "microcode",
    "cpus_online",
    "packages",
    "smt",
    "numa_nodes",
    "kernel",
    "virtualized",
    "governor",
    "turbo",
    "thp",
];
/// Those that say which program it is.
const PROGRAM: [&str; 3] = ["commit", "dirty", "rustc"];

/// The differences between two environments, each in words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    /// of the machine and its settings
    pub machine: Vec<String>,
    /// of the program
    pub program: Vec<String>,
}

impl Differences {
    /// Between the environment of a run as it began, and one of now. A reading that is unknown on
    /// either side is no difference.
    pub fn between(then: &Environment, now: &Environment) -> Self {
        let [then, now] =
            [then, now].map(|environment| serde_json::to_value(environment).unwrap_or(Value::Null));
        let known = |environment: &Value, key: &str| match environment.get(key) {
            None | Some(Value::Null | Value::Object(_)) => None,
            Some(value) => Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        };
        let differ = |keys: &[&str]| {
            let pair = |key: &&str| Some((key.to_string(), known(&then, key)?, known(&now, key)?));
            let pairs = keys.iter().filter_map(pair).filter(|(_, then, now)| then != now);
            pairs.map(|(key, then, now)| format!("{key} was '{then}', is '{now}'")).collect()
        };
        Self { machine: differ(&MACHINE), program: differ(&PROGRAM) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use crate::schema::Reading;

    #[test]
    fn each_difference_is_named_and_the_unknown_is_none() {
        let then = example::run().environment;
        assert_eq!(Differences::between(&then, &then), Differences::default());
        let mut now = then.clone();
        now.kernel = Reading::Known("6.14.0".into());
        now.cpus_online = Reading::Known(4);
        now.dirty = Reading::Known(true);
        now.notes.push("a note is no difference".into());
        now.clock_ns = Reading::Known(31.0);
        let found = Differences::between(&then, &now);
        let machine = ["cpus_online was '2', is '4'", "kernel was '6.12.117 #1 SMP', is '6.14.0'"];
        assert_eq!(found.machine, machine);
        assert_eq!(found.program, ["dirty was 'false', is 'true'"]);
        now = then.clone();
        now.cpu_model = Reading::unknown("no /proc");
        now.governor = Reading::Known("known only now".into());
        assert_eq!(Differences::between(&then, &now), Differences::default());
    }
}
