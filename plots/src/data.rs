//! Runs sorted into what one chart shows: a [`Set`] is one workload on one
//! machine, a [`Track`] one variant in it, a [`Group`] the trials at one number of
//! threads. Guards that names and looks, which are given here once, agree everywhere.

use std::collections::{BTreeMap, BTreeSet};

pub use results::aggregate::Group;
use results::aggregate::{self, PER_CPU, groups_by};
use results::compare::Side;
use results::identity::machine_identity;
use results::plural;
use results::schema::{Cell, CellKey, LEAST_OVERLAP, MachineKind};
use results::scheme;
use results::stats::{self, Estimate, Interval, MIN_SAMPLES};
use results::store::Loaded;

use crate::frame::Caption;
use crate::style::{self, Look};

/// What a workload does where nothing else is asked for: a chart does not say it.
const USUAL: [(&str, &str); 3] = [("orders", "0"), ("think-ns", "0"), ("kept", "32")];
const USUAL_PIN: &str = "smt-last";

/// The identity of a set: charts never mix two of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub machine: String,
    pub workload: String,
    pub params: BTreeMap<String, String>,
    pub pin: String,
    pub kind: MachineKind,
    pub predicted: bool,
}

/// One workload with its parameters on one machine.
pub struct Set<'a> {
    /// Fit for a file name.
    pub id: String,
    /// The workload, with those of its parameters that differ between sets.
    pub work: String,
    pub place: Place,
    pub tracks: Vec<Track<'a>>,
    pub runs: Vec<&'a Loaded>,
    /// Cells left out for want of overlap.
    pub refused: usize,
}

/// One variant (under one lock, in one run) at each of its thread counts.
pub struct Track<'a> {
    /// As people see it: release and variant, and what else tells it apart.
    pub name: String,
    pub variant: &'a str,
    pub look: Look,
    /// By rising thread count.
    pub groups: Vec<Group<'a>>,
    /// Of `groups`, the one that charts at a single number of threads show.
    detailed: usize,
}

/// A median and its 95 % interval, in place of which fewer than [`MIN_SAMPLES`] trials have their
/// range, from the least to the largest: see [`Median::is_range`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// trials
    pub n: usize,
    pub lo: f64,
    pub median: f64,
    pub hi: f64,
}

impl Median {
    /// Of one sample per trial; `None` where there is no sample.
    pub fn of(samples: &[f64]) -> Option<Median> {
        let Estimate { n, median, interval, min, max, .. } = Estimate::of(samples)?;
        let (lo, hi) = interval.map_or((min, max), |i| (i.lo, i.hi));
        Some(Median { n, lo, median, hi })
    }

    /// Of all samples of several trials. Those of one trial are no independent witnesses: the interval
    /// is of whole trials, and the range is that of their medians.
    pub fn of_trials(trials: &[Vec<f64>]) -> Option<Median> {
        let medians: Vec<f64> =
            trials.iter().filter(|t| !t.is_empty()).map(|trial| stats::median(trial)).collect();
        let Estimate { n, min, max, .. } = Estimate::of(&medians)?;
        let interval = stats::bootstrap_clusters(trials);
        let (lo, hi) = interval.map_or((min, max), |i| (i.lo, i.hi));
        let median = stats::median(&trials.concat());
        // Of few trials of unequal length the median of all may lie beyond all medians but one.
        Some(Median { n, lo: lo.min(median), median, hi: hi.max(median) })
    }

    /// How many times `base` the `new` samples are; `None` where one has no sample
    /// or a median of zero.
    pub fn of_ratio(base: &[f64], new: &[f64]) -> Option<Median> {
        let (from, to) = (Estimate::of(base)?, Estimate::of(new)?);
        if from.min <= 0.0 || to.min <= 0.0 {
            return None;
        }
        let (median, n) = (to.median / from.median, from.n.min(to.n));
        let ends = match n < MIN_SAMPLES {
            true => Interval { lo: to.min / from.max, hi: to.max / from.min },
            false => stats::bootstrap_ratio(base, new),
        };
        Some(Median { n, lo: ends.lo, median, hi: ends.hi })
    }

    /// Whether `lo` and `hi` are a range of trials and no interval.
    pub fn is_range(&self) -> bool {
        self.n < MIN_SAMPLES
    }
}

/// What the bars and bands of points with these numbers of trials are.
pub fn spread(trials: impl IntoIterator<Item = usize>) -> &'static str {
    let (few, enough): (Vec<usize>, Vec<usize>) =
        trials.into_iter().partition(|n| *n < MIN_SAMPLES);
    match (few.iter().max(), enough.is_empty()) {
        (None, false) => "its 95 % interval",
        (None, true) | (Some(0 | 1), true) => "none, as there is one trial each",
        (Some(_), true) => "range of the trials (fewer than 6: no interval)",
        (Some(_), false) => "its 95 % interval, or the range of fewer than 6 trials",
    }
}

/// Operations a cell finished.
pub fn ops(cell: &Cell) -> f64 {
    cell.per_thread.iter().sum::<u64>() as f64
}

impl<'a> Track<'a> {
    /// The trials at the largest number of threads that all tracks of the set have, so that
    /// like is held against like; at its own largest where they share none.
    pub fn widest(&self) -> &Group<'a> {
        &self.groups[self.detailed]
    }
}

impl Set<'_> {
    /// The words around a chart of this set; `note` says what intervals are shown.
    pub fn caption(&self, title: impl Into<String>, note: &str) -> Caption {
        let mut note = note.to_string();
        if self.refused > 0 {
            let n = plural(self.refused, "cell");
            let least = 100.0 * LEAST_OVERLAP;
            note += &format!(" {n} left out: workers overlapped for less than {least:.0} %.");
        }
        let crowded: BTreeMap<u32, u32> = self
            .groups()
            .map(|(_, g)| (g.threads(), g.per_cpu()))
            .filter(|(_, n)| *n > 1)
            .collect();
        for (threads, per_cpu) in crowded {
            note += &format!(" Oversubscribed: {threads} threads, {per_cpu} on a CPU.");
        }
        Caption {
            title: title.into(),
            subtitle: self.conditions(),
            small_print: small_print(&self.runs, note),
        }
    }

    /// Everything that all its figures have in common.
    pub fn conditions(&self) -> String {
        let locks: BTreeSet<&str> =
            self.groups().flat_map(|(_, g)| &g.cells).map(|cell| cell.key.lock.as_str()).collect();
        match locks.first() {
            Some(lock) if locks.len() == 1 => format!("{}, lock {lock}", self.place.conditions()),
            _ => self.place.conditions(),
        }
    }

    /// A track at all its thread counts as a side of a comparison, so that a verdict on a chart is
    /// the one of the report's tables. `None` where it is of several runs.
    pub fn side<'t>(&'t self, track: &'t Track) -> Option<Side<'t>> {
        let cells: Vec<&Cell> = track.groups.iter().flat_map(|g| &g.cells).copied().collect();
        let within = |run: &Loaded| {
            let range = run.cells.as_ptr_range();
            cells.iter().all(|cell| range.contains(&std::ptr::from_ref(*cell)))
        };
        let loaded = self.runs.iter().find(|run| within(run))?;
        Some(Side { name: track.name.clone(), loaded, cells })
    }

    /// All tracks' groups with the track they belong to.
    pub fn groups(&self) -> impl Iterator<Item = (&Track<'_>, &Group<'_>)> {
        self.tracks.iter().flat_map(|t| t.groups.iter().map(move |g| (t, g)))
    }
}

impl Place {
    /// The words before the machine's name.
    pub fn origin(&self) -> &'static str {
        self.kind.origin()
    }

    /// Why no cell of it has lock sites, where a run left them out.
    pub fn why_no_sites(&self) -> Option<&'static str> {
        self.params.contains_key(aggregate::SITES).then_some(aggregate::WHY_NO_SITES)
    }

    /// Workload, machine, and whether the figures were measured. The pinning where it is not the usual.
    pub fn conditions(&self) -> String {
        let pin = match &*self.pin {
            USUAL_PIN => String::new(),
            pin => format!(", pinned {pin}"),
        };
        format!("{}, {} {}{pin}", self.work_words(), self.origin(), self.machine)
    }

    /// The workload with the parameters that are not the usual ones.
    pub fn work_words(&self) -> String {
        let telling = |(k, v): &(&String, &String)| {
            !USUAL.contains(&(k.as_str(), v.as_str())) && *k != aggregate::SITES
        };
        let params: Vec<String> =
            self.params.iter().filter(telling).map(|(k, v)| format!("{k} {v}")).collect();
        let params =
            if params.is_empty() { String::new() } else { format!(" ({})", params.join(", ")) };
        format!("{}{params}", self.workload)
    }
}

/// The runs that `sets` are from, each once.
pub fn runs_of<'a>(sets: &[&Set<'a>]) -> Vec<&'a Loaded> {
    let mut runs: Vec<&Loaded> = Vec::new();
    for run in sets.iter().flat_map(|s| &s.runs) {
        if !runs.iter().any(|r| std::ptr::eq(*r, *run)) {
            runs.push(run);
        }
    }
    runs
}

/// Where the figures are from, then `note`.
pub fn small_print(runs: &[&Loaded], note: String) -> Vec<String> {
    // "and 1 more run" takes the line that the third would.
    let named = if runs.len() == 3 { 3 } else { 2 };
    let mut lines: Vec<String> = runs.iter().take(named).map(|run| provenance(run)).collect();
    if runs.len() > named {
        lines.push(format!("and {} more runs", runs.len() - named));
    }
    lines.extend((!note.is_empty()).then(|| note.trim().to_string()));
    lines
}

/// One line of small print: which run, which commit, which hardware.
pub fn provenance(loaded: &Loaded) -> String {
    let run = &loaded.run;
    let env = &run.environment;
    let commit = match env.commit.known() {
        Some(commit) => commit.chars().take(12).collect(),
        None => "unknown".to_string(),
    };
    let dirty = if env.dirty.known() == Some(&true) { " (modified)" } else { "" };
    let origin = if run.machine.predicted {
        format!("predicted by the model {}", run.machine.name)
    } else {
        let (origin, cpus) = (run.machine.kind.origin(), &env.cpus_online);
        let kernel = env.kernel.to_string();
        let release = kernel.split_whitespace().next().unwrap_or("unknown");
        format!("{origin} {}, {cpus} CPUs, kernel {release}", env.cpu_model)
    };
    format!("run {} · commit {commit}{dirty} · {origin}", run.id)
}

/// Sorts the cells of `runs` into sets.
pub fn sets(runs: &[Loaded]) -> Vec<Set<'_>> {
    sorted(runs, false)
}

/// The same with a set for each run of a place, so that no run is in the name of a track.
pub fn sets_by_run(runs: &[Loaded]) -> Vec<Set<'_>> {
    sorted(runs, true)
}

fn sorted<'a>(runs: &'a [Loaded], by_run: bool) -> Vec<Set<'a>> {
    let machines = Machines::of(runs);
    let mut places: Vec<(Place, Members<'a>)> = Vec::new();
    for loaded in runs {
        for cell in planned_order(loaded) {
            let place = place(loaded, cell, &machines);
            let same = |(known, members): &&mut (Place, Members)| {
                *known == place && (!by_run || std::ptr::eq(members[0].0, loaded))
            };
            match places.iter_mut().find(same) {
                Some((_, members)) => members.push((loaded, cell)),
                None => places.push((place, vec![(loaded, cell)])),
            }
        }
    }
    let all = (!by_run).then(|| Names::of(runs, &places));
    let gathered = |(place, members): (Place, Members<'a>)| {
        let own = [(place, members)];
        let names = all.is_none().then(|| Names::of(runs, &own));
        let [(place, members)] = own;
        gather(place, members, all.as_ref().or(names.as_ref()).expect("one of the two"))
    };
    let mut sets: Vec<Set> = places.into_iter().map(gathered).collect();
    sets.retain(|s| !s.tracks.is_empty());
    let ids = ids(&sets);
    let works: Vec<String> = sets.iter().map(|s| work(s, &sets)).collect();
    for (set, (id, work)) in sets.iter_mut().zip(ids.into_iter().zip(works)) {
        (set.id, set.work) = (id, work);
    }
    sets
}

/// The cells of a place with their runs.
type Members<'a> = Vec<(&'a Loaded, &'a Cell)>;

/// The cells of a run, workloads, variants and locks in the order the plan names them.
fn planned_order(loaded: &Loaded) -> Vec<&Cell> {
    let planned = |key: &str| -> Vec<&str> {
        let list = loaded.run.plan[key].as_array();
        list.map(|list| list.iter().filter_map(|v| v.as_str()).collect()).unwrap_or_default()
    };
    let all = ["workload", "variant", "lock"].map(planned);
    let place = |list: &[&str], name: &str| {
        list.iter().position(|known| *known == name).unwrap_or(list.len())
    };
    let mut cells: Vec<&Cell> = loaded.cells.iter().collect();
    cells.sort_by_key(|c| {
        let names = [&c.key.workload, &c.key.variant, &c.key.lock];
        let places: [usize; 3] = std::array::from_fn(|n| place(&all[n], names[n]));
        (places, c.order_in_run)
    });
    cells
}

/// The machines that runs were measured on. Guards that figures of two are never pooled: virtual
/// machines often have one host name for all.
struct Machines {
    /// identities, each with its host's name; in the order of the runs
    known: Vec<(String, String)>,
}

impl Machines {
    fn of(runs: &[Loaded]) -> Machines {
        let mut known: Vec<(String, String)> = Vec::new();
        for run in runs.iter().filter(|run| run.run.machine.kind != MachineKind::Simulated) {
            let environment = &run.run.environment;
            let identity = machine_identity(environment);
            if !known.iter().any(|(of, _)| *of == identity) {
                known.push((identity, environment.host.to_string()));
            }
        }
        Machines { known }
    }

    /// What a run's machine is called beside its name: nothing where there is one only, else its host,
    /// with a number where two hosts have one name.
    fn suffix(&self, run: &Loaded) -> String {
        if self.known.len() < 2 || run.run.machine.kind == MachineKind::Simulated {
            return String::new();
        }
        let identity = machine_identity(&run.run.environment);
        let host = run.run.environment.host.to_string();
        let alike: Vec<&String> =
            self.known.iter().filter(|(_, name)| *name == host).map(|(of, _)| of).collect();
        match alike.iter().position(|of| **of == identity) {
            Some(at) if alike.len() > 1 => format!("@{host}#{}", at + 1),
            _ => format!("@{host}"),
        }
    }
}

/// Two hosts that are both "native" are two machines.
fn place(loaded: &Loaded, cell: &Cell, machines: &Machines) -> Place {
    let run = &loaded.run;
    let machine = cell.key.machine.clone() + &machines.suffix(loaded);
    Place {
        machine,
        workload: cell.key.workload.clone(),
        params: own_params(&cell.key),
        pin: cell.key.pin.clone(),
        kind: run.machine.kind,
        predicted: run.machine.predicted,
    }
}

/// Threads that share a CPU are of the same set: it follows from their number.
fn own_params(key: &CellKey) -> BTreeMap<String, String> {
    let mut params = key.params.clone();
    params.remove(PER_CPU);
    params
}

/// Gives one name and one look to one track, in all sets.
struct Names {
    ids: Vec<String>,
    /// Variants of which the kernel's history says nothing, by name.
    strangers: BTreeSet<String>,
    /// Variants that one set has under several locks, or of several runs, by machine: there
    /// the lock or the run belongs to their names.
    locks: BTreeSet<(String, String)>,
    runs: BTreeSet<(String, String)>,
    /// Run ids where labels do not tell the runs apart.
    with_id: bool,
}

impl Names {
    fn of(runs: &[Loaded], places: &[(Place, Members)]) -> Names {
        let several = |of: fn(&Loaded, &Cell) -> String| {
            let mut found = BTreeSet::new();
            for (place, members) in places {
                let mut first: BTreeMap<&str, String> = BTreeMap::new();
                for (run, cell) in members {
                    let value = of(run, cell);
                    if *first.entry(&cell.key.variant).or_insert_with(|| value.clone()) != value {
                        found.insert((place.machine.clone(), cell.key.variant.clone()));
                    }
                }
            }
            found
        };
        let labels: BTreeSet<&str> = runs.iter().map(|r| r.run.label.as_str()).collect();
        Names {
            ids: runs.iter().map(|run| run.run.id.clone()).collect(),
            strangers: runs
                .iter()
                .flat_map(|run| &run.cells)
                .map(|cell| &cell.key.variant)
                .filter(|name| {
                    scheme::place(name).is_none() && scheme::variation_of(name).is_none()
                })
                .cloned()
                .collect(),
            locks: several(|_, cell| cell.key.lock.clone()),
            runs: several(|run, _| run.run.id.clone()),
            with_id: labels.len() < runs.len(),
        }
    }

    fn name(&self, place: &Place, run: &Loaded, cell: &Cell) -> String {
        let key = (place.machine.clone(), cell.key.variant.clone());
        let mut name = scheme::label(&cell.key.variant);
        if self.locks.contains(&key) {
            name += &format!(" / {}", cell.key.lock);
        }
        if self.runs.contains(&key) {
            name += &format!(" [{}]", if self.with_id { &run.run.id } else { &run.run.label });
        }
        name
    }

    fn look(&self, place: &Place, run: &Loaded, cell: &Cell) -> Look {
        let key = (place.machine.clone(), cell.key.variant.clone());
        let lock = self.locks.contains(&key).then_some(cell.key.lock.as_str());
        let of = self.ids.iter().position(|id| *id == run.run.id);
        let nth = of.filter(|_| self.runs.contains(&key)).unwrap_or(0);
        let variant = &cell.key.variant;
        let stranger = self.strangers.iter().position(|name| name == variant).unwrap_or(0);
        style::of_variant(variant, stranger, lock, nth)
    }
}

fn gather<'a>(place: Place, members: Members<'a>, names: &Names) -> Set<'a> {
    let mut runs: Vec<&Loaded> = Vec::new();
    for (run, _) in &members {
        if !runs.iter().any(|r| std::ptr::eq(*r, *run)) {
            runs.push(run);
        }
    }
    let mut refused = 0;
    let mut by_name: Vec<(String, Look, Vec<&Cell>)> = Vec::new();
    for (run, cell) in members {
        if cell.overlap < LEAST_OVERLAP {
            refused += 1;
            continue;
        }
        let name = names.name(&place, run, cell);
        match by_name.iter_mut().find(|(known, ..)| *known == name) {
            Some((.., cells)) => cells.push(cell),
            None => by_name.push((name, names.look(&place, run, cell), vec![cell])),
        }
    }
    let point = |key: &CellKey| CellKey { block: 0, params: own_params(key), ..key.clone() };
    let track = |(name, look, cells): (String, Look, Vec<&'a Cell>)| {
        let variant = cells[0].key.variant.as_str();
        Track { name, variant, look, groups: groups_by(cells, point), detailed: 0 }
    };
    let mut tracks: Vec<Track> = by_name.into_iter().map(track).collect();
    choose_detailed(&mut tracks);
    Set { id: String::new(), work: String::new(), place, tracks, runs, refused }
}

fn choose_detailed(tracks: &mut [Track]) {
    let at = |t: &Track, n: u32| t.groups.iter().position(|g| g.threads() == n);
    let shared = tracks.first().and_then(|first| {
        let counts = first.groups.iter().rev().map(|g| g.threads());
        counts.into_iter().find(|n| tracks.iter().all(|t| at(t, *n).is_some()))
    });
    for track in tracks {
        let shared = shared.and_then(|n| at(track, n));
        track.detailed = shared.unwrap_or(track.groups.len() - 1);
    }
}

fn work(set: &Set, sets: &[Set]) -> String {
    let workload = &set.place.workload;
    let alike = || sets.iter().filter(|s| s.place.workload == *workload);
    let differs =
        |key: &String, value: &String| alike().any(|s| s.place.params.get(key) != Some(value));
    let params: Vec<String> = set
        .place
        .params
        .iter()
        .filter(|(k, v)| differs(k, v))
        .map(|(k, v)| format!("{k} {v}"))
        .collect();
    if params.is_empty() { workload.clone() } else { format!("{workload} ({})", params.join(", ")) }
}

/// A file name for each set: workload and machine, and whatever else tells it apart.
fn ids(sets: &[Set]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for set in sets {
        let place = &set.place;
        let alike = |same: fn(&Place, &Place) -> bool| {
            sets.iter().all(|o| {
                o.place.workload != place.workload
                    || o.place.machine != place.machine
                    || same(&o.place, place)
            })
        };
        let mut id = format!("{}-{}", place.workload, place.machine);
        if !alike(|a, b| a.params == b.params) {
            for (key, value) in &place.params {
                let same = |o: &Set| o.place.params.get(key) == Some(value);
                let here = |o: &&Set| o.place.workload == place.workload;
                if !sets.iter().filter(here).all(same) {
                    id += &format!("-{key}{value}");
                }
            }
        }
        if !alike(|a, b| a.pin == b.pin) {
            id += &format!("-{}", place.pin);
        }
        let id = slug(&id);
        let taken = ids.iter().filter(|i| **i == id).count();
        ids.push(if taken == 0 { id } else { format!("{id}-{}", taken + 1) });
    }
    ids
}

/// The reason why a counter has no value, in words: a reason that does not name its kind gets the
/// general word.
pub fn unsupported(reason: &str) -> String {
    let kinds = ["unsupported", "forbidden", "busy", "not counted"];
    match kinds.iter().any(|kind| reason.starts_with(kind)) {
        true => reason.into(),
        false => format!("unsupported: {reason}"),
    }
}

/// Only what every file system takes.
pub fn slug(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._".contains(c) { c } else { '-' })
        .take(80)
        .collect();
    clean.trim_matches(['-', '.']).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Plan};

    #[test]
    fn a_reason_says_its_kind_once() {
        assert_eq!(unsupported("ENOENT"), "unsupported: ENOENT");
        assert_eq!(unsupported("unsupported: ENOENT"), "unsupported: ENOENT");
        assert_eq!(unsupported("forbidden: EACCES"), "forbidden: EACCES");
    }

    #[test]
    fn a_run_is_named_where_the_variant_alone_is_ambiguous() {
        let run = |id: &str, label: &str, variants: &[&'static str]| {
            let mut run = common::native(&Plan { variants: variants.to_vec(), ..Plan::default() });
            (run.run.id, run.run.label) = (id.into(), label.into());
            run
        };
        let names = |runs: &[Loaded]| -> BTreeSet<String> {
            sets(runs).iter().flat_map(|s| &s.tracks).map(|t| t.name.clone()).collect()
        };
        let two = [run("1", "old", &["a", "b"]), run("2", "new", &["b", "c"])];
        assert_eq!(names(&two).into_iter().collect::<Vec<_>>(), ["a", "b [new]", "b [old]", "c"]);
        let alike = [run("1", "run", &["a"]), run("2", "run", &["a"])];
        assert_eq!(names(&alike).into_iter().collect::<Vec<_>>(), ["a [1]", "a [2]"]);
    }

    /// All virtual machines of one provider may be called "vm".
    #[test]
    fn two_machines_of_one_name_are_not_pooled() {
        let mut runs = [common::native(&Plan::default()), common::native(&Plan::default())];
        for run in &mut runs {
            run.run.environment.identity = results::schema::Reading::unknown("of an older program");
        }
        let machines = |runs: &[Loaded]| -> BTreeSet<String> {
            sets(runs).into_iter().map(|s| s.place.machine).collect()
        };
        assert_eq!(machines(&runs).len(), 1);
        runs[1].run.environment.cpu_model = results::schema::Reading::Known("another".into());
        let two = machines(&runs);
        assert!(two.len() == 2 && two.iter().all(|name| name.contains('#')), "{two:?}");
        runs[1].run.environment.host = results::schema::Reading::Known("lab2".into());
        assert!(machines(&runs).iter().all(|name| name.contains('@') && !name.contains('#')));
    }

    #[test]
    fn few_trials_have_a_range_and_are_called_so() {
        let few = Median::of(&[1.0, 2.0, 9.0]).unwrap();
        assert_eq!((few.lo, few.hi, few.is_range()), (1.0, 9.0, true));
        let ratio = Median::of_ratio(&[1.0, 2.0], &[4.0, 6.0]).unwrap();
        assert_eq!((ratio.lo, ratio.hi, ratio.is_range()), (2.0, 6.0, true));
        assert!(spread([1, 1]).starts_with("none") && spread([3, 4]).starts_with("range"));
        assert_eq!(spread([6, 8]), "its 95 % interval");
        assert!(spread([1, 8]).contains("or the range"));
        // 64 alike swapoffs in each of three trials are three witnesses.
        let trials: Vec<Vec<f64>> = [1.0, 2.0, 9.0].map(|x| vec![x; 64]).into();
        let pooled = Median::of_trials(&trials).unwrap();
        assert_eq!((pooled.n, pooled.lo, pooled.median, pooled.hi), (3, 1.0, 2.0, 9.0));
    }

    #[test]
    fn only_parameters_that_differ_are_named() {
        let sized = |size: &str| {
            let params = [("fill".to_string(), "60".to_string()), ("size".into(), size.into())];
            ("churn", BTreeMap::from(params))
        };
        let plan = |sizes: &[&str]| Plan {
            workloads: sizes.iter().map(|s| sized(s)).collect(),
            ..Plan::default()
        };
        let names = |plan: Plan| {
            let runs = [common::native(&plan)];
            let name = |s: &Set| (s.work.clone(), s.id.clone());
            sets(&runs).iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(plan(&["1GiB"])), [("churn".into(), "churn-native".into())]);
        let two = names(plan(&["1GiB", "2GiB"]));
        assert_eq!(two[1], ("churn (size 2GiB)".into(), "churn-native-size2GiB".into()));
    }

    #[test]
    fn by_run_no_run_is_in_a_name() {
        let run = |id: &str| {
            let mut run = common::native(&Plan::default());
            (run.run.id, run.run.label) = (id.into(), id.into());
            run
        };
        let runs = [run("1"), run("2")];
        let (pooled, apart) = (sets(&runs), sets_by_run(&runs));
        assert_eq!(apart.len(), 2 * pooled.len());
        assert!(apart.iter().all(|set| set.runs.len() == 1));
        assert!(pooled[0].tracks[0].name.contains('['));
        assert!(apart.iter().flat_map(|set| &set.tracks).all(|t| !t.name.contains('[')));
    }

    #[test]
    fn a_name_has_one_look_in_all_sets() {
        let runs = [common::native(&Plan::default()), common::simulated(&Plan::default())];
        let sets = sets(&runs);
        for track in sets.iter().flat_map(|s| &s.tracks) {
            let same = sets.iter().flat_map(|s| &s.tracks).filter(|t| t.name == track.name);
            assert!(same.into_iter().all(|t| t.look == track.look), "{}", track.name);
        }
        assert!(sets[0].tracks.windows(2).all(|t| t[0].look != t[1].look));
    }
}
