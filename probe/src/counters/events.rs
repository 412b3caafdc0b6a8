//! The events to count: named sets, or a user's own events from a TOML file. Guards ratios of
//! counts: events that are divided by one another are in one group, which the PMU counts at the
//! same time or not at all, and no group needs more registers than every PMU has free.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use perf_event::events::{Cache, CacheOp, CacheResult, Hardware, Software, WhichCache};
use results::schema::Reading;
use serde::Deserialize;

use crate::Roots;

/// A named choice of events; software events are in every set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// cycles, instructions, last-level cache references and misses, branch misses
    Core,
    /// cycles, instructions, load misses of the L1, the last level and the data TLB
    Cache,
}

impl FromStr for Set {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "core" => Ok(Set::Core),
            "cache" => Ok(Set::Cache),
            _ => Err(format!("counter set '{text}': expected core or cache")),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Set::Core => "core",
            Set::Cache => "cache",
        })
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// perf's name, so that `perf stat -e` counts the same
    pub name: String,
    /// the event for the kernel, or the reason why it cannot be opened
    pub kind: Result<Kind, String>,
    /// count it in the kernel too, if that is allowed
    pub kernel: bool,
    /// it occurs only in the kernel: without the kernel the count would be 0
    pub kernel_only: bool,
}

/// An event in the terms of perf_event_open(2).
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// an event with a name in the kernel's ABI
    Named(perf_event::events::Event),
    /// config and config1 of PERF_TYPE_RAW, from the processor's manual
    Raw(u64, u64),
    /// a tracepoint, by its id in tracefs
    Tracepoint(u64),
}

fn event(name: &str, kind: impl Into<perf_event::events::Event>) -> Event {
    let kind = kind.into();
    let kernel_only = [Software::CONTEXT_SWITCHES, Software::CPU_MIGRATIONS]
        .map(perf_event::events::Event::Software)
        .contains(&kind);
    Event { name: name.into(), kind: Ok(Kind::Named(kind)), kernel: true, kernel_only }
}

/// Events in their groups.
pub type Groups = Arc<[Vec<Event>]>;

impl Set {
    /// The events of the set in their groups.
    pub fn groups(self) -> Groups {
        let load = |which| Cache { which, operation: CacheOp::READ, result: CacheResult::MISS };
        let mut groups = match self {
            Set::Core => vec![
                vec![
                    event("cycles", Hardware::CPU_CYCLES),
                    event("instructions", Hardware::INSTRUCTIONS),
                    event("branch-misses", Hardware::BRANCH_MISSES),
                ],
                vec![
                    event("cache-references", Hardware::CACHE_REFERENCES),
                    event("cache-misses", Hardware::CACHE_MISSES),
                ],
            ],
            Set::Cache => vec![
                vec![
                    event("cycles", Hardware::CPU_CYCLES),
                    event("instructions", Hardware::INSTRUCTIONS),
                ],
                vec![
                    event("L1-dcache-load-misses", load(WhichCache::L1D)),
                    event("LLC-load-misses", load(WhichCache::LL)),
                ],
                vec![event("dTLB-load-misses", load(WhichCache::DTLB))],
            ],
        };
        groups.push(software());
        groups.into()
    }
}

/// The software events, which need no register and work in any VM.
fn software() -> Vec<Event> {
    vec![
        event("context-switches", Software::CONTEXT_SWITCHES),
        event("cpu-migrations", Software::CPU_MIGRATIONS),
        event("page-faults", Software::PAGE_FAULTS),
    ]
}

/// A user's file: a list of `[[event]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    event: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    raw: Option<u64>,
    raw1: Option<u64>,
    tracepoint: Option<String>,
    /// events of one group are counted at the same time
    group: Option<String>,
    #[serde(default = "yes")]
    kernel: bool,
}

fn yes() -> bool {
    true
}

/// The most events of a file: with more, each one would be on the PMU for too short a time.
const MOST: usize = 64;

/// The groups that `text` names, and the software events. The ids of tracepoints are read below
/// `roots`.
///
/// # Errors
/// The line or the event that is wrong, and what was expected.
pub fn parse(text: &str, roots: &Roots) -> Result<Groups, String> {
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        format!("line {line}: {}", error.message().replace('\n', "; "))
    })?;
    if file.event.is_empty() || file.event.len() > MOST {
        return Err(format!("{} events: expected 1 to {MOST} of [[event]]", file.event.len()));
    }
    let mut groups: Vec<(Option<String>, Vec<Event>)> = Vec::new();
    for (number, entry) in file.event.into_iter().enumerate() {
        let group = entry.group.clone();
        let event = entry.event(roots).map_err(|why| format!("event {}: {why}", number + 1))?;
        if groups.iter().flat_map(|(_, events)| events).any(|other| other.name == event.name) {
            return Err(format!("event {}: name '{}' is taken", number + 1, event.name));
        }
        match groups.iter_mut().find(|(name, _)| group.is_some() && *name == group) {
            Some((_, events)) => events.push(event),
            None => groups.push((group, vec![event])),
        }
    }
    let taken = |event: &Event| groups.iter().flat_map(|g| &g.1).any(|e| e.name == event.name);
    let software: Vec<Event> = software().into_iter().filter(|event| !taken(event)).collect();
    Ok(groups.into_iter().map(|(_, events)| events).chain([software]).collect())
}

/// Reads a user's file.
///
/// # Errors
/// Those of reading it and of [`parse`], after the file's name.
pub fn read(path: &Path, roots: &Roots) -> Result<Groups, String> {
    let named = |why: String| format!("{}: {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
    parse(&text, roots).map_err(named)
}

impl Entry {
    fn event(self, roots: &Roots) -> Result<Event, String> {
        let Entry { name, raw, raw1, tracepoint, kernel, .. } = self;
        let (name, kind, kernel_only) = match (raw, tracepoint) {
            (Some(raw), None) => {
                let name = name.ok_or("a raw event needs a name")?;
                (name, Ok(Kind::Raw(raw, raw1.unwrap_or(0))), false)
            }
            (None, Some(tracepoint)) if raw1.is_none() => {
                let kind = tracepoint_id(&tracepoint, roots)?;
                (name.unwrap_or(tracepoint), kind, true)
            }
            _ => return Err("expected raw (and raw1), or tracepoint".into()),
        };
        let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != ',';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(format!("name {name:?}: expected a word of at most 64 letters"));
        }
        Ok(Event { name, kind, kernel: kernel || kernel_only, kernel_only })
    }
}

/// The crate looks below debugfs, which is not mounted everywhere and not for everybody.
fn tracepoint_id(name: &str, roots: &Roots) -> Result<Result<Kind, String>, String> {
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
    };
    let Some((system, event)) = name.split_once(':').filter(|(a, b)| word(a) && word(b)) else {
        return Err(format!("tracepoint '{name}': expected SYSTEM:EVENT, as sched:sched_switch"));
    };
    let id = roots.sys(&format!("kernel/tracing/events/{system}/{event}/id"));
    Ok(match id {
        Reading::Known(id) => {
            id.parse().map(Kind::Tracepoint).map_err(|_| format!("unsupported: its id is '{id}'"))
        }
        Reading::Unknown { unknown } => Err(format!("unsupported: {unknown}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    fn refused(text: &str) -> String {
        parse(text, &Roots::default()).unwrap_err()
    }

    #[test]
    fn sets_parse_and_no_group_is_larger_than_what_any_pmu_has_free() {
        for set in [Set::Core, Set::Cache] {
            assert_eq!(set.to_string().parse(), Ok(set));
            assert!(set.groups().iter().all(|group| group.len() <= 3));
        }
        assert!("caches".parse::<Set>().unwrap_err().contains("expected core or cache"));
    }

    #[test]
    fn a_file_gives_raw_events_and_tracepoints_in_groups() {
        let fixture = Fixture::new(&[("sys/kernel/tracing/events/sched/sched_switch/id", "318")]);
        let text = "[[event]]\nname = 'l2'\nraw = 0x0164\ngroup = 'a'\n\
                    [[event]]\ntracepoint = 'sched:sched_switch'\n\
                    [[event]]\nname = 'off'\nraw = 0x1b7\nraw1 = 2\ngroup = 'a'\nkernel = false\n\
                    [[event]]\ntracepoint = 'no:such'\n";
        let groups = parse(text, &fixture.roots).unwrap();
        let names: Vec<Vec<&str>> =
            groups.iter().map(|g| g.iter().map(|e| &*e.name).collect()).collect();
        assert_eq!(names[..3], [vec!["l2", "off"], vec!["sched:sched_switch"], vec!["no:such"]]);
        assert_eq!(groups[0][1].kind, Ok(Kind::Raw(0x1b7, 2)));
        assert!(groups[0][0].kernel && !groups[0][1].kernel);
        assert_eq!(groups[1][0].kind, Ok(Kind::Tracepoint(318)));
        assert!(groups[2][0].kind.as_ref().unwrap_err().contains("ENOENT"));
        assert_eq!(groups[3].len(), 3, "the software events are always there");
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        for (text, words) in [
            ("", "event"),
            ("event = []", "1 to 64"),
            ("[[event]]\nraw = 1", "event 1: a raw event needs a name"),
            ("[[event]]\nname = 'a'\nraw = 1\n[[event]]\nname = 'a'\nraw = 2", "event 2: name 'a'"),
            ("[[event]]\nname = 'a'", "expected raw"),
            ("[[event]]\nname = 'a'\nraw = 1\ntracepoint = 'a:b'", "expected raw"),
            ("[[event]]\ntracepoint = '../x:id'", "SYSTEM:EVENT"),
            ("[[event]]\nname = 'a b'\nraw = 1", "a word"),
            ("[[event]]\nname = 'a'\nrow = 1", "line 3"),
            ("[[event]]\nname = 'a'\nraw = -1", "line 3"),
        ] {
            let why = refused(text);
            assert!(why.contains(words), "{text}: {why}");
        }
    }
}
