//! The model against the kernel: one scheme under one workload, on every machine that ran it.
//! Guards against a flattering comparison: a call site or step that only one side has gets a row
//! too, and nothing is averaged over machines.

use std::collections::{BTreeMap, BTreeSet};

use crate::lab::{emptied, ratio, short, step_shares};
use crate::schema::{Cell, MachineKind};
use crate::steps::{BARRIER, BARRIER_AND_UNUSE, UNUSE};
use crate::store::Loaded;
use crate::tables::document::Document;
use crate::tables::grid::{Grid, Row};
use crate::{in_order_of_events, plural};

mod sites;

/// Below this share a call site's place in the order is chance.
const TELLING: f64 = 0.01;
/// With fewer contended acquisitions than this, every place in the order is chance.
const FEW: u64 = 100;
/// A step of swapoff with a smaller share of its time has no row.
const SHORT: f64 = 0.001;

/// One scheme under one workload.
pub struct Against {
    /// variant that models the kernels
    pub scheme: String,
    /// workload, with the pages per call where the kernels have them
    pub workload: String,
    /// the model's machines, then the kernels
    pub columns: Vec<Column>,
    /// call sites: first the last kernel's, by falling share, then what others have
    pub sites: Vec<String>,
    /// steps of swapoff, in their order
    pub steps: Vec<String>,
}

/// One machine.
pub struct Column {
    /// machine and lock, or the kernel's release
    pub name: String,
    /// kind of machine
    pub kind: MachineKind,
    /// contended acquisitions at each call site of the swap allocator's locks
    pub shares: BTreeMap<String, Share>,
    /// how many they are together, and how many were seen at other locks
    pub contended: u64,
    elsewhere: u64,
    /// of the time of all swapoffs, the share of each step
    pub steps: Vec<(String, f64)>,
    workers: u32,
    trials: usize,
    against_one: String,
    conditions: String,
}

/// A share of all trials' counts together, with its least and largest among the trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// share of the sums over all trials, 0..1
    pub all: f64,
    /// smallest share of a trial, 0..1
    pub least: f64,
    /// largest share of a trial, 0..1
    pub most: f64,
}

/// Every scheme under every workload that the runs allow to be compared.
///
/// # Errors
/// The runs allow no comparison; the text says what is missing.
pub fn against(runs: &[Loaded]) -> Result<Vec<Against>, String> {
    let mut found: Vec<Against> = Vec::new();
    let keys: BTreeSet<(&str, &str)> = all(runs)
        .map(|(_, cell)| (cell.key.variant.as_str(), cell.key.workload.as_str()))
        .collect();
    for (scheme, workload) in keys {
        let cells = || {
            let wanted = |(_, cell): &(MachineKind, &Cell)| {
                cell.key.variant == scheme && cell.key.workload == workload
            };
            all(runs).filter(wanted)
        };
        let batches: BTreeSet<Option<&String>> = cells()
            .filter(|(kind, _)| real(*kind))
            .map(|(_, c)| c.key.params.get("batch"))
            .collect();
        for batch in batches {
            // A side without a batch is compared with every batch of the other side.
            let same = |cell: &Cell| {
                let own = cell.key.params.get("batch");
                batch.is_none() || own.is_none() || own == batch
            };
            let cells: Vec<_> = cells().filter(|(_, cell)| same(cell)).collect();
            found.extend(compare(scheme, workload, batch.map(String::as_str), &cells));
        }
    }
    if found.is_empty() {
        return Err("nothing to compare: expected runs of a kernel, and native or simulated runs \
                    of the variant that models it with the same workload, batch and number of \
                    workers"
            .into());
    }
    Ok(found)
}

fn all(runs: &[Loaded]) -> impl Iterator<Item = (MachineKind, &Cell)> {
    runs.iter().flat_map(|run| run.cells.iter().map(|cell| (run.run.machine.kind, cell)))
}

fn real(kind: MachineKind) -> bool {
    matches!(kind, MachineKind::Kernel | MachineKind::Emulated)
}

/// Processes or threads that take the allocator's locks: the live workload counts its swapper
/// beside the workers, the model among them.
fn actors(kind: MachineKind, cell: &Cell) -> u32 {
    cell.key.threads + u32::from(real(kind) && cell.key.workload == "swapoff")
}

/// The source of a column: a machine, and the lock that a model ran with.
type Place<'a> = (MachineKind, &'a str, &'a str);

fn compare<'a>(
    scheme: &str,
    workload: &str,
    batch: Option<&str>,
    cells: &[(MachineKind, &'a Cell)],
) -> Option<Against> {
    let machine = |kind: MachineKind, cell: &'a Cell| (kind, &*cell.key.machine, &*cell.key.lock);
    let machines: BTreeSet<Place> = cells.iter().map(|(kind, cell)| machine(*kind, cell)).collect();
    let of = |place: Place| -> Vec<&Cell> {
        let here = cells.iter().filter(|(kind, cell)| machine(*kind, cell) == place);
        here.map(|(_, cell)| *cell).collect()
    };
    let counts = |place: &Place| -> BTreeSet<u32> {
        of(*place).into_iter().map(|cell| actors(place.0, cell)).collect()
    };
    // As many machines as possible, then as many actors.
    let having = |most: u32| -> Vec<Place<'a>> {
        machines.iter().copied().filter(|place| counts(place).contains(&most)).collect()
    };
    let both = |places: &[Place]| {
        let models = places.iter().filter(|(kind, ..)| !real(*kind)).count();
        models > 0 && models < places.len()
    };
    let all: BTreeSet<u32> = machines.iter().flat_map(&counts).collect();
    let candidates = all.into_iter().map(|most| (having(most), most));
    let (machines, most) =
        candidates.filter(|(places, _)| both(places)).max_by_key(|(p, most)| (p.len(), *most))?;
    let columns: Vec<Column> =
        machines.iter().map(|place| Column::of(*place, most, &of(*place))).collect();
    let batch = batch.map_or(String::new(), |batch| format!(", {batch} pages a call"));
    Some(Against {
        scheme: scheme.into(),
        workload: format!("{workload}{batch}"),
        sites: site_order(&columns),
        steps: step_order(&columns),
        columns,
    })
}

impl Column {
    fn of((kind, machine, lock): Place, most: u32, cells: &[&Cell]) -> Column {
        let name = match kind {
            MachineKind::Native => format!("native/{lock}"),
            MachineKind::Simulated => format!("{machine}/{lock}, simulated"),
            MachineKind::Kernel => format!("kernel {}", short(machine)),
            MachineKind::Emulated => format!("{}, emulated", short(machine)),
        };
        let at = |actors_wanted: u32| {
            cells.iter().copied().filter(move |cell| actors(kind, cell) == actors_wanted)
        };
        let counts: Vec<_> = at(most).filter_map(sites::contended).collect();
        let mut column = Column {
            name,
            kind,
            shares: shares(&counts),
            contended: counts.iter().map(|count| count.here.values().sum::<u64>()).sum(),
            elsewhere: counts.iter().map(|count| count.elsewhere).sum(),
            steps: step_shares(at(most).flat_map(|cell| &cell.swapoff).filter(|off| emptied(off))),
            workers: at(most).next().map_or(most, |cell| cell.key.threads),
            trials: counts.len(),
            against_one: String::new(),
            conditions: at(most).next().map_or(String::new(), conditions),
        };
        let rates = |cells: &mut dyn Iterator<Item = &Cell>| -> Vec<f64> {
            let plain = cells.filter(|cell| !cell.key.params.contains_key("trace"));
            plain.map(|cell| cell.ops_per_s).collect()
        };
        let swaps = cells.iter().any(|cell| !cell.swapoff.is_empty());
        column.against_one = if swaps {
            "no rate: the swap is off part of the time".into()
        } else {
            let decides = kind != MachineKind::Emulated;
            ratio(&rates(&mut at(1)), &rates(&mut at(most)), decides)
        };
        column
    }

    /// Its call sites that say something, the most contended first.
    fn order(&self) -> Vec<&str> {
        let telling = self.shares.iter().filter(|(_, share)| share.all >= TELLING);
        let mut sites: Vec<_> = telling.map(|(site, share)| (site.as_str(), share.all)).collect();
        sites.sort_by(|a, b| b.1.total_cmp(&a.1));
        sites.into_iter().map(|(site, _)| site).collect()
    }

    fn share(&self, site: &str) -> f64 {
        self.shares.get(site).map_or(0.0, |share| share.all)
    }
}

fn conditions(cell: &Cell) -> String {
    let params = cell.key.params.iter().filter(|(name, _)| name.as_str() != "trace");
    let params: Vec<String> = params.map(|(name, value)| format!("{name} {value}")).collect();
    params.join(", ")
}

fn shares(counts: &[sites::Contended]) -> BTreeMap<String, Share> {
    let share = |count: &sites::Contended, site: &str| -> Option<f64> {
        let all: u64 = count.here.values().sum();
        (all > 0).then(|| count.here.get(site).copied().unwrap_or(0) as f64 / all as f64)
    };
    let mut together = sites::Contended::default();
    for (site, count) in counts.iter().flat_map(|count| &count.here) {
        *together.here.entry(site.clone()).or_insert(0) += count;
    }
    let one = |site: &String| {
        let trials: Vec<f64> = counts.iter().filter_map(|count| share(count, site)).collect();
        let least = trials.iter().copied().fold(f64::INFINITY, f64::min);
        let most = trials.iter().copied().fold(0.0, f64::max);
        Some((site.clone(), Share { all: share(&together, site)?, least, most }))
    };
    together.here.keys().filter_map(one).collect()
}

fn site_order(columns: &[Column]) -> Vec<String> {
    let mut sites: Vec<String> = Vec::new();
    for site in columns.iter().rev().flat_map(Column::order) {
        if !sites.iter().any(|known| known == site) {
            sites.push(site.into());
        }
    }
    sites
}

/// The steps in order, without those that take next to nothing everywhere. Where a kernel's
/// barrier cannot be told from its unuse, every column's are put together.
fn step_order<'a>(columns: &'a [Column]) -> Vec<String> {
    let mut all = columns.iter().flat_map(|column| &column.steps);
    let hidden = all.any(|(name, _)| name == BARRIER_AND_UNUSE);
    let name = |name: &'a str| match name {
        BARRIER | UNUSE if hidden => BARRIER_AND_UNUSE,
        _ => name,
    };
    let long = |column: &'a Column| column.steps.iter().filter(|(_, share)| *share >= SHORT);
    let steps =
        in_order_of_events(columns.iter().map(|column| long(column).map(|(step, _)| name(step))));
    steps.into_iter().map(String::from).collect()
}

impl Against {
    /// The share of one of `steps` in a column, or the word that stands for it: where swapoff
    /// was not cut into steps, and where this one has no such step.
    ///
    /// # Errors
    /// The word.
    pub fn step(&self, column: &Column, step: &str) -> Result<f64, &'static str> {
        let parts: &[&str] =
            if step == BARRIER_AND_UNUSE { &[BARRIER, UNUSE, BARRIER_AND_UNUSE] } else { &[step] };
        if column.steps.is_empty() {
            return Err("not cut");
        }
        let mine = column.steps.iter().filter(|(name, _)| parts.contains(&name.as_str()));
        mine.map(|(_, share)| *share).reduce(|sum, share| sum + share).ok_or("none")
    }

    /// The beginning of its files' names.
    pub fn stem(&self) -> String {
        format!("against-{}-{}", self.scheme, self.workload).replace(", ", "-").replace(' ', "-")
    }

    /// The comparison in words and one table.
    pub fn document(&self) -> Document {
        let mut table = Grid {
            title: format!("{} of {}", self.scheme, self.workload),
            caption:
                "Call sites: share of the contended acquisitions of the swap allocator's locks \
                     (least..most of the trials), and the place in the order. Steps: share of the \
                     time of all swapoffs."
                    .into(),
            header: vec![String::new()],
            left: 1,
            rows: Vec::new(),
        };
        table.header.extend(self.columns.iter().map(|column| column.name.clone()));
        let mut row = |name: String, value: &dyn Fn(&Column) -> String| {
            let values = self.columns.iter().map(value);
            table.rows.push(Row::plain(std::iter::once(name).chain(values).collect()));
        };
        for site in &self.sites {
            row(site.clone(), &|column| site_words(column, site));
        }
        row("contended, in all".into(), &|column| column.contended.to_string());
        row("  at other locks".into(), &|column| column.elsewhere.to_string());
        for kernel in self.columns.iter().filter(|column| real(column.kind)) {
            row(format!("order as {}", kernel.name), &|column| agreement(column, kernel));
        }
        for step in &self.steps {
            row(format!("swapoff: {step}"), &|column| {
                let share = self.step(column, step).map(|share| format!("{:.1}", 100.0 * share));
                share.unwrap_or_else(str::to_owned)
            });
        }
        row("workers".into(), &|column| column.workers.to_string());
        Document {
            title: format!("Model against kernel: {} of {}", self.scheme, self.workload),
            remarks: self.remarks(),
            tables: vec![table],
        }
    }

    /// Reasons for care, and the conditions under which each machine ran.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = vec![
            "The compiler inlines: a model's call site counts under the function that holds it in \
             the packaged kernels. A contended acquisition is one that did not get its lock at \
             once (model), an entry to the spinlock's slow path (kernel in the lab), or a wait \
             that lock:contention_begin reports (running kernel)."
                .into(),
        ];
        if self.columns.iter().any(|column| column.kind == MachineKind::Emulated) {
            remarks
                .push("emulated: not hardware timing; who meets whom is QEMU's scheduling.".into());
        }
        let conditions = self.columns.iter().map(|column| {
            let Column { name, conditions, trials, .. } = column;
            format!("{name}: {}, {conditions}", plural(*trials, "trial"))
        });
        remarks.push(format!("{}.", conditions.collect::<Vec<_>>().join("; ")));
        let rates = self.columns.iter().map(|column| {
            let Column { name, workers, against_one, .. } = column;
            format!("{name}: {against_one} ({})", plural(*workers as usize, "worker"))
        });
        let rates = rates.collect::<Vec<_>>().join("; ");
        remarks.push(format!(
            "Rate against 1 worker, with its 95 % interval [..], or the range (..) of fewer than 6 \
             trials: {rates}."
        ));
        remarks
    }
}

fn site_words(column: &Column, site: &str) -> String {
    if column.trials == 0 {
        return "not counted".into();
    }
    let Some(share) = column.shares.get(site) else { return "none".into() };
    let [all, least, most] = [share.all, share.least, share.most].map(|share| 100.0 * share);
    let range = if column.trials > 1 { format!(" ({least:.1}..{most:.1})") } else { String::new() };
    let place = column.order().iter().position(|name| *name == site);
    let place = place.filter(|_| column.contended >= FEW);
    let place = place.map_or(String::new(), |place| format!("#{} ", place + 1));
    format!("{place}{all:.1}{range}")
}

/// The number of pairs of call sites that both columns have in the same order, of all pairs with a
/// telling share in either.
fn agreement(column: &Column, kernel: &Column) -> String {
    if std::ptr::eq(column, kernel) {
        return "-".into();
    }
    if column.contended < FEW || kernel.contended < FEW {
        return "too few".into();
    }
    let sites: BTreeSet<&str> = column.order().into_iter().chain(kernel.order()).collect();
    let sites: Vec<&str> = sites.into_iter().collect();
    let (mut same, mut all) = (0, 0);
    for (i, a) in sites.iter().enumerate() {
        for b in &sites[i + 1..] {
            all += 1;
            let order = |c: &Column| c.share(a).total_cmp(&c.share(b));
            same += u32::from(order(column) == order(kernel));
        }
    }
    format!("{same} of {all} pairs")
}

#[cfg(test)]
mod tests {
    use crate::schema::Step;

    use super::*;

    /// A run of `swapoff` by `threads` threads, with one swapoff of these steps.
    fn run(kind: MachineKind, machine: &str, threads: u32, steps: &[(&str, u64)]) -> Loaded {
        let (mut run, mut cell) = (crate::example::run(), crate::example::cell());
        run.machine.kind = kind;
        (cell.key.machine, cell.key.variant) = (machine.into(), "percpu-cluster".into());
        (cell.key.workload, cell.key.threads) = ("swapoff".into(), threads);
        cell.key.params.clear();
        let off = &mut cell.swapoff[0];
        (off.result, off.used_slots) = ("ok".into(), 10);
        off.steps = steps.iter().map(|&(name, ns)| Step { name: name.into(), ns }).collect();
        cell.swapoff.truncate(1);
        Loaded { dir: "".into(), run, cells: vec![cell], notes: Vec::new() }
    }

    const MODEL: [(&str, u64); 4] = [("barrier", 10), ("unuse", 60), ("users", 30), ("free", 0)];

    #[test]
    fn a_model_without_batches_is_held_against_each_batch_of_the_kernel() {
        let mut runs = [
            run(MachineKind::Native, "native", 2, &MODEL),
            run(MachineKind::Emulated, "6.18.15", 1, &MODEL),
        ];
        let mut with = |run: usize, batch: &str| {
            runs[run].cells[0].key.params.insert("batch".into(), batch.into());
            against(&runs).map(|found| found[0].columns.len()).ok()
        };
        assert_eq!(with(1, "16"), Some(2));
        assert_eq!(with(0, "16"), Some(2));
        assert_eq!(with(0, "1"), None, "another batch");
    }

    #[test]
    fn a_kernel_that_hides_its_barrier_is_held_against_both_steps() {
        let kernel = [(BARRIER_AND_UNUSE, 90), ("users", 10)];
        let runs = [
            run(MachineKind::Native, "native", 2, &MODEL),
            run(MachineKind::Emulated, "6.18.15", 1, &kernel),
        ];
        let mut found = against(&runs).unwrap();
        assert_eq!(found.len(), 1, "one scheme, one workload");
        let mut against = found.remove(0);
        assert_eq!(against.steps, [BARRIER_AND_UNUSE, "users"]);
        let shares = against.columns.iter().map(|c| against.step(c, BARRIER_AND_UNUSE));
        assert_eq!(shares.collect::<Vec<_>>(), [Ok(0.7), Ok(0.9)]);
        assert_eq!(against.step(&against.columns[1], "free"), Err("none"), "no such step");
        against.columns[1].steps.clear();
        assert_eq!(against.step(&against.columns[1], "users"), Err("not cut"));
    }

    #[test]
    fn the_swapper_counts_among_the_models_workers() {
        let model = run(MachineKind::Native, "native", 2, &MODEL);
        let same = [model.clone(), run(MachineKind::Emulated, "6.18.15", 1, &MODEL)];
        assert!(against(&same).is_ok());
        let other = [model, run(MachineKind::Emulated, "6.18.15", 2, &MODEL)];
        assert!(against(&other).err().unwrap().contains("number of workers"));
    }
}
