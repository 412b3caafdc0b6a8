//! Properties of this machine that spoil measurements, their effect on results, and how to set
//! them. Guards users who measure before they read a manual.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use machine::topology::Topology;
use results::schema::{Counter, Reading};
use serde::Serialize;

use super::counters::{Counters, Set};
use super::{Roots, environment, noise};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// good for measurements
    Ok,
    /// to be known by a reader of the figures
    Note,
    /// distorts the figures
    Warn,
}

/// One property of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// its name
    pub id: &'static str,
    /// how much it matters
    pub severity: Severity,
    /// its value on this machine
    pub here: String,
    /// its effect on results
    pub effect: &'static str,
    /// how to set it
    pub fix: &'static str,
}

/// The findings that need a short run: a thread that only reads the clock.
pub struct Trial {
    /// the core set, counted meanwhile
    pub counters: BTreeMap<String, Counter>,
    /// length of the run
    pub time: Duration,
    /// gaps in the thread's time
    pub gaps: u64,
    /// the longest gap, ns
    pub gap_max_ns: u64,
    /// time stolen from the usable CPUs meanwhile
    pub steal_ns: Reading<u64>,
}

impl Trial {
    /// Runs for a quarter of a second on this machine.
    pub fn here(topology: &Topology) -> Self {
        let time = Duration::from_millis(250);
        let cpus: Vec<usize> = topology.cpus().iter().map(|c| c.id).collect();
        let watch = noise::Watch::start(&Roots::default(), &cpus);
        let mut counters = Counters::open(&Set::Core.groups());
        counters.start();
        let spin = noise::quiet_spin(time);
        let counters = counters.stop();
        let noise = watch.finish(&[]);
        let (gaps, gap_max_ns) = (spin.count, spin.max_ns);
        Self { counters, time, gaps, gap_max_ns, steal_ns: noise.steal_ns }
    }
}

/// All findings, the most severe first.
pub fn examine(roots: &Roots, topology: &Topology, trial: &Trial) -> Vec<Finding> {
    let mut findings = vec![
        virtualized(roots),
        steal(trial),
        gaps(trial),
        load(roots),
        governor(roots, topology),
        turbo(roots),
        smt(topology),
        cpu_limit(roots, topology),
        affinity(topology),
        sysfs(topology),
        isolated(roots, topology),
        clocksource(roots),
        thp(roots),
        pmu(trial),
        paranoid(roots, trial),
    ];
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    findings
}

/// The findings as text, at most 80 columns.
pub struct Text<'a>(pub &'a [Finding]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.0 {
            let severity = match finding.severity {
                Severity::Ok => "ok",
                Severity::Note => "note",
                Severity::Warn => "WARN",
            };
            write!(f, "{severity:<5} {:<12} ", finding.id)?;
            paragraph(f, &finding.here)?;
            let set = if finding.severity > Severity::Ok { "Set it" } else { "If it were not" };
            for text in [finding.effect, &format!("{set}: {}", finding.fix)] {
                write!(f, "{:INDENT$}", "")?;
                paragraph(f, text)?;
            }
        }
        let count = |s| self.0.iter().filter(|f| f.severity == s).count();
        let (warn, note) = (count(Severity::Warn), count(Severity::Note));
        writeln!(f, "\n{warn} to set right, {note} to keep in mind, {} ok", count(Severity::Ok))
    }
}

const INDENT: usize = 19;

/// Writes `text` wrapped at spaces. The first line is already indented.
fn paragraph(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut column = INDENT;
    for word in text.split(' ') {
        if column > INDENT && column + 1 + word.len() > 80 {
            write!(f, "\n{:INDENT$}", "")?;
            column = INDENT;
        } else if column > INDENT {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += word.len();
    }
    writeln!(f)
}

fn virtualized(roots: &Roots) -> Finding {
    let (severity, here) = match environment::virtualized(roots) {
        Reading::Known(name) if name == "none" => (Severity::Ok, "bare metal".into()),
        Reading::Known(name) => (Severity::Warn, format!("virtual machine: {name}")),
        unknown => (Severity::Note, unknown.to_string()),
    };
    Finding {
        id: "virtualized",
        severity,
        here,
        effect: "The host may stop a virtual CPU while it holds a lock. Locks that hand over in \
                 order (ticket, mcs, qspin) then wait for a CPU that does not run: on two \
                 virtual CPUs a ticket lock took 1 us where tas took 10 ns. Topology and \
                 frequency may be invented.",
        fix: "measure on bare metal or on dedicated cores; here use --lock tas, and the \
              simulator for scaling",
    }
}

fn steal(trial: &Trial) -> Finding {
    let (severity, here) = match &trial.steal_ns {
        Reading::Known(0) => (Severity::Ok, format!("none in {:?}", trial.time)),
        Reading::Known(ns) => {
            (Severity::Warn, format!("{} ms taken in {:?}", ns / 1_000_000, trial.time))
        }
        unknown => (Severity::Note, unknown.to_string()),
    };
    Finding {
        id: "steal",
        severity,
        here,
        effect: "The hypervisor ran something else on these CPUs. Throughput falls, and tail \
                 latencies are those of the host.",
        fix: "move to a quieter host or one with dedicated cores",
    }
}

fn gaps(trial: &Trial) -> Finding {
    let severity = match trial.gap_max_ns {
        0 => Severity::Ok,
        1..100_000 => Severity::Note,
        _ => Severity::Warn,
    };
    let here = match trial.gaps {
        0 => format!("none in {:?} of spinning", trial.time),
        n => {
            let longest = trial.gap_max_ns / 1000;
            format!("{n} above 10 us in {:?} of spinning, the longest {longest} us", trial.time)
        }
    };
    Finding {
        id: "gaps",
        severity,
        here,
        effect: "Even a thread that only reads the clock is stopped this long. Latency \
                 percentiles of this size and above come from the machine, not from the \
                 allocator.",
        fix: "isolate the CPUs (isolcpus, nohz_full), stop other load, move interrupts away",
    }
}

fn load(roots: &Roots) -> Finding {
    let parsed = roots.proc("loadavg").and_then(|text| {
        let mut fields = text.split(' ');
        let average = fields.next().and_then(|f| f.parse::<f64>().ok());
        let running = fields.nth(2).and_then(|f| f.split('/').next()?.parse::<u32>().ok());
        // One of the running tasks is the reader itself.
        let load = average.zip(running.map(|n| n.saturating_sub(1)));
        load.ok_or_else(|| format!("proc/loadavg: '{text}': expected '0.00 0.00 0.00 1/99 1'"))
    });
    let (severity, here) = match parsed {
        Reading::Known((average, others)) => {
            let busy = average >= 0.5 || others > 0;
            let here = format!("load average {average:.2}, {others} other tasks running now");
            (if busy { Severity::Warn } else { Severity::Ok }, here)
        }
        Reading::Unknown { unknown } => (Severity::Note, unknown),
    };
    Finding {
        id: "load",
        severity,
        here,
        effect: "Other tasks preempt pinned workers. One preempted lock holder stops all workers.",
        fix: "stop the other tasks (ps -eo pcpu,comm --sort=-pcpu | head) and wait a minute",
    }
}

fn governor(roots: &Roots, topology: &Topology) -> Finding {
    let cpus: Vec<usize> = topology.cpus().iter().map(|cpu| cpu.id).collect();
    let (governors, unknown) = environment::governors(roots, &cpus);
    let names = governors.iter().map(|(name, cpus)| format!("{name} on {cpus} CPUs"));
    let names = names.collect::<Vec<_>>().join(", ");
    let (severity, here) = match unknown {
        Some((reason, _)) => (Severity::Note, format!("unknown ({reason})")),
        None if governors.keys().all(|g| g == "performance") => (Severity::Ok, names),
        None => (Severity::Warn, names),
    };
    Finding {
        id: "governor",
        severity,
        here,
        effect: "The CPU frequency follows the load: short trials and few threads run slower, \
                 and the result depends on the order of trials.",
        fix: "cpupower frequency-set -g performance (in a VM, on the host)",
    }
}

fn turbo(roots: &Roots) -> Finding {
    let (severity, here) = match environment::turbo(roots) {
        Reading::Known(true) => (Severity::Warn, "on".into()),
        Reading::Known(false) => (Severity::Ok, "off".into()),
        Reading::Unknown { unknown } => (Severity::Note, format!("unknown ({unknown})")),
    };
    Finding {
        id: "turbo",
        severity,
        here,
        effect: "Few active cores run faster than many: one thread looks too fast, and scaling \
                 looks worse than it is.",
        fix: "echo 1 > /sys/devices/system/cpu/intel_pstate/no_turbo, or \
              echo 0 > /sys/devices/system/cpu/cpufreq/boost",
    }
}

fn smt(topology: &Topology) -> Finding {
    let (cpus, cores) = (topology.cpus().len(), topology.cores());
    let (severity, here) = if topology.smt() {
        (Severity::Note, format!("{cpus} CPUs on {cores} cores"))
    } else {
        (Severity::Ok, format!("one CPU per core ({cores})"))
    };
    Finding {
        id: "smt",
        severity,
        here,
        effect: "Two threads of a core share its units and caches. A step in a curve where the \
                 second threads begin does not come from the lock.",
        fix: "--pin smt-last, or echo off > /sys/devices/system/cpu/smt/control",
    }
}

fn cpu_limit(roots: &Roots, topology: &Topology) -> Finding {
    let (severity, here) = match environment::cpu_limit(roots) {
        None => (Severity::Ok, "none".into()),
        Some(limit) if limit < topology.cpus().len() as f64 => {
            (Severity::Warn, format!("{limit:.2} of {} CPUs", topology.cpus().len()))
        }
        Some(limit) => (Severity::Note, format!("{limit:.2} CPUs, which is all of them")),
    };
    Finding {
        id: "cpu-limit",
        severity,
        here,
        effect: "When the quota of the control group is used up, all workers stop until the \
                 next period, usually 100 ms. Throughput is then that of the quota.",
        fix: "run outside the container, or raise cpu.max (Docker: no --cpus)",
    }
}

fn affinity(topology: &Topology) -> Finding {
    let (usable, forbidden) = (topology.cpus().len(), topology.forbidden.len());
    let offline = topology.offline.len();
    let all = forbidden + offline == 0;
    Finding {
        id: "affinity",
        severity: if all { Severity::Ok } else { Severity::Note },
        here: format!("{usable} CPUs usable, {forbidden} forbidden, {offline} offline"),
        effect: "Curves end at the usable CPUs, which may be fewer than the machine has.",
        fix: "taskset -c, the cpuset of the control group, or \
              echo 1 > /sys/devices/system/cpu/cpuN/online",
    }
}

fn sysfs(topology: &Topology) -> Finding {
    let (severity, here) = match topology.notes.as_slice() {
        [] => (Severity::Ok, "says where each CPU sits".into()),
        notes => (Severity::Warn, notes.join(". ")),
    };
    Finding {
        id: "sysfs",
        severity,
        here,
        effect: "Where CPUs sit is partly assumed: --pin compact and spread may place workers \
                 otherwise than they say, and the record of the machine is incomplete.",
        fix: "mount /sys into the container or sandbox, or name the CPUs: --pin LIST",
    }
}

fn isolated(roots: &Roots, topology: &Topology) -> Finding {
    let (severity, here) = match roots.sys("devices/system/cpu/isolated") {
        _ if topology.left_out().is_some() => {
            (Severity::Note, topology.left_out().unwrap_or_default())
        }
        Reading::Known(list) if list.is_empty() => (Severity::Note, "no CPU is isolated".into()),
        Reading::Known(list) => (Severity::Ok, format!("CPUs {list}")),
        Reading::Unknown { unknown } => (Severity::Note, format!("unknown ({unknown})")),
    };
    Finding {
        id: "isolated",
        severity,
        here,
        effect: "The scheduler may put other tasks, and the kernel its timers, on the workers' \
                 CPUs.",
        fix: "boot with isolcpus=LIST nohz_full=LIST, start as taskset -c LIST swapscale ..",
    }
}

fn clocksource(roots: &Roots) -> Finding {
    let current = "devices/system/clocksource/clocksource0/current_clocksource";
    let (severity, here) = match roots.sys(current) {
        Reading::Known(name) => match name.as_str() {
            "tsc" | "arch_sys_counter" => (Severity::Ok, name),
            "kvm-clock" | "hyperv_clocksource_tsc_page" => (Severity::Note, name),
            _ => (Severity::Warn, name),
        },
        Reading::Unknown { unknown } => (Severity::Note, format!("unknown ({unknown})")),
    };
    Finding {
        id: "clocksource",
        severity,
        here,
        effect: "A clock that the kernel reads from a device (hpet, acpi_pm, xen) costs a \
                 microsecond per read. The kernel uses one because it does not trust the TSC.",
        fix: "boot with tsc=reliable if the hardware is sound; see dmesg | grep -i clocksource",
    }
}

fn thp(roots: &Roots) -> Finding {
    let (severity, here) = match environment::thp(roots) {
        Reading::Known(mode) if mode == "always" => (Severity::Note, mode),
        Reading::Known(mode) => (Severity::Ok, mode),
        Reading::Unknown { unknown } => (Severity::Note, format!("unknown ({unknown})")),
    };
    Finding {
        id: "thp",
        severity,
        here,
        effect: "Whether the slot map is on huge pages depends on the memory that was free, so \
                 TLB misses differ from run to run.",
        fix: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
    }
}

fn pmu(trial: &Trial) -> Finding {
    let counter = |name: &str| trial.counters.get(name);
    let (severity, here) = match (counter("cycles"), counter("cycles:u")) {
        (Some(Counter::Value { scaled, .. }), _) if *scaled <= 1.01 => {
            (Severity::Ok, "cycles are counted".into())
        }
        (Some(Counter::Value { .. }), _) => {
            (Severity::Note, "cycles are counted part of the time and scaled".into())
        }
        (_, Some(Counter::Value { .. })) => {
            (Severity::Note, "cycles are counted outside the kernel only".into())
        }
        (Some(Counter::Unsupported { unsupported }), _)
        | (_, Some(Counter::Unsupported { unsupported })) => (Severity::Note, unsupported.clone()),
        (None, None) => (Severity::Note, "not tried".into()),
    };
    Finding {
        id: "pmu",
        severity,
        here,
        effect: "Without hardware counters, cycles, cache misses and branch misses are recorded \
                 as unsupported. Throughput and latency are not affected.",
        fix: "bare metal, or a VM with a virtual PMU (QEMU: -cpu host,pmu=on; metal instances)",
    }
}

/// The trial's context switches show whether the kernel may be counted: they occur only there.
fn paranoid(roots: &Roots, trial: &Trial) -> Finding {
    let value = roots.proc("sys/kernel/perf_event_paranoid").to_string();
    let (severity, here) = match trial.counters.get("context-switches") {
        Some(Counter::Value { .. }) => {
            (Severity::Ok, format!("{value}, and the kernel may be counted"))
        }
        Some(Counter::Unsupported { unsupported }) => {
            (Severity::Note, format!("{value}; {unsupported}"))
        }
        None => (Severity::Note, value),
    };
    Finding {
        id: "paranoid",
        severity,
        here,
        effect: "Counters do not include the kernel, and context switches and migrations cannot \
                 be counted at all.",
        fix: "sysctl kernel.perf_event_paranoid=1, or give CAP_PERFMON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const CPU: &str = "sys/devices/system/cpu";

    fn host(cpus: usize, threads: usize) -> Fixture {
        let last = cpus - 1;
        let host = Fixture::new(&[
            ("proc/cpuinfo", "flags : fpu tsc constant_tsc"),
            ("proc/loadavg", "0.03 0.20 0.30 1/99 4711"),
            ("proc/sys/kernel/perf_event_paranoid", "1"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
            ("sys/devices/system/cpu/isolated", "1"),
            ("sys/devices/system/cpu/cpufreq/boost", "0"),
            ("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc"),
            ("sys/devices/system/cpu/online", &format!("0-{last}")),
            ("sys/devices/system/cpu/present", &format!("0-{last}")),
            ("sys/devices/system/node/node0/cpulist", &format!("0-{last}")),
        ]);
        for cpu in 0..cpus {
            let first = cpu / threads * threads;
            let core = format!("{first}-{}", first + threads - 1);
            host.put(&format!("{CPU}/cpu{cpu}/topology/physical_package_id"), "0");
            host.put(&format!("{CPU}/cpu{cpu}/topology/thread_siblings_list"), &core);
            host.put(&format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"), "performance");
            host.put(&format!("{CPU}/cpu{cpu}/cache/index3/level"), "3");
            host.put(&format!("{CPU}/cpu{cpu}/cache/index3/shared_cpu_list"), "0-3");
        }
        host
    }

    fn quiet() -> Trial {
        let value = Counter::Value { value: 7, scaled: 1.0 };
        let names = ["cycles", "context-switches"].map(|name| (name.to_owned(), value.clone()));
        Trial {
            counters: names.into(),
            time: Duration::from_millis(250),
            gaps: 0,
            gap_max_ns: 0,
            steal_ns: Reading::Known(0),
        }
    }

    fn look(host: &Fixture, trial: &Trial) -> Vec<Finding> {
        examine(&host.roots, &Topology::read(&host.roots.sys, None).unwrap(), trial)
    }

    /// Severity of one finding, and what it says.
    fn of(findings: &[Finding], id: &str) -> (Severity, String) {
        let found = findings.iter().find(|f| f.id == id).unwrap();
        (found.severity, found.here.clone())
    }

    #[test]
    fn a_prepared_machine_has_nothing_to_set() {
        let findings = look(&host(4, 1), &quiet());
        assert_eq!(findings.len(), 15);
        for finding in findings {
            assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
        }
    }

    /// One thing is spoiled at a time, and only the finding it belongs to changes.
    #[test]
    fn each_fault_is_found_alone() {
        use Severity::{Note, Warn};
        let boost = "sys/devices/system/cpu/cpufreq/boost";
        let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
        let governor = "sys/devices/system/cpu/cpu2/cpufreq/scaling_governor";
        let thp = "sys/kernel/mm/transparent_hugepage/enabled";
        for (file, text, id, severity, here) in [
            ("proc/cpuinfo", "flags : tsc hypervisor", "virtualized", Warn, "unnamed"),
            ("proc/cpuinfo", "no such thing", "virtualized", Note, "no 'flags'"),
            ("proc/loadavg", "0.90 0.20 0.30 1/99 1", "load", Warn, "load average 0.90"),
            ("proc/loadavg", "0.00 0.20 0.30 3/99 1", "load", Warn, "2 other tasks"),
            ("proc/loadavg", "busy", "load", Note, "'busy': expected"),
            (governor, "powersave", "governor", Warn, "performance on 3 CPUs, powersave on 1"),
            (boost, "1", "turbo", Warn, "on"),
            (boost, "?", "turbo", Note, "unknown"),
            ("sys/devices/system/cpu/isolated", "", "isolated", Note, "no CPU is isolated"),
            ("sys/devices/system/cpu/present", "0-7", "affinity", Note, "4 offline"),
            (clock, "hpet", "clocksource", Warn, "hpet"),
            (clock, "kvm-clock", "clocksource", Note, "kvm-clock"),
            (thp, "[always] madvise never", "thp", Note, "always"),
            ("proc/self/cgroup", "0::/job", "cpu-limit", Warn, "1.50 of 4 CPUs"),
            ("sys/devices/system/node/node0/cpulist", "?", "sysfs", Warn, "node0/cpulist: '?'"),
        ] {
            let host = host(4, 1);
            host.put("sys/fs/cgroup/job/cpu.max", "150000 100000");
            host.put(file, text);
            let findings = look(&host, &quiet());
            let (found, says) = of(&findings, id);
            assert!(found == severity && says.contains(here), "{id}: {found:?} {says}");
            assert_eq!(findings[0].id, id, "the worst comes first");
            let rest = findings.iter().filter(|f| f.id != id);
            assert!(rest.clone().all(|f| f.severity == Severity::Ok), "{id}");
        }
    }

    #[test]
    fn what_the_trial_saw() {
        let unsupported = |name: &str, why: &str| {
            let why = Counter::Unsupported { unsupported: why.into() };
            BTreeMap::from([(name.to_owned(), why)])
        };
        let host = host(4, 1);
        let with = |change: &dyn Fn(&mut Trial), id: &str| {
            let mut trial = quiet();
            change(&mut trial);
            of(&look(&host, &trial), id)
        };
        let steal = with(&|t| t.steal_ns = Reading::Known(30_000_000), "steal");
        assert_eq!(steal, (Severity::Warn, "30 ms taken in 250ms".into()));
        let steal = with(&|t| t.steal_ns = Reading::unknown("gone"), "steal");
        assert_eq!(steal, (Severity::Note, "unknown (gone)".into()));
        for (longest, severity) in [(50_000, Severity::Note), (312_000, Severity::Warn)] {
            let gaps = with(&|t| (t.gaps, t.gap_max_ns) = (3, longest), "gaps");
            assert!(gaps.0 == severity && gaps.1.contains("3 above 10 us"), "{gaps:?}");
        }
        let none = "unsupported: ENOENT (no PMU here)";
        let pmu = with(&|t| t.counters = unsupported("cycles", none), "pmu");
        assert_eq!(pmu, (Severity::Note, none.into()));
        let no = "forbidden: EACCES";
        let paranoid = with(&|t| t.counters = unsupported("context-switches", no), "paranoid");
        assert_eq!(paranoid, (Severity::Note, "1; forbidden: EACCES".into()));
    }

    #[test]
    fn smt_and_a_missing_cpufreq_are_notes() {
        let host = host(4, 2);
        let cpufreq = host.roots.sys.join("devices/system/cpu/cpu3/cpufreq/scaling_governor");
        std::fs::remove_file(cpufreq).unwrap();
        let findings = look(&host, &quiet());
        assert_eq!(of(&findings, "smt"), (Severity::Note, "4 CPUs on 2 cores".into()));
        let (severity, here) = of(&findings, "governor");
        assert!(severity == Severity::Note && here.contains("cpu3/cpufreq"), "{here}");
    }

    #[test]
    fn nothing_is_needed_to_examine_a_machine() {
        let host = Fixture::new(&[]);
        let topology = Topology::read(&host.roots.sys, Some(&[0, 1])).unwrap();
        let findings = examine(&host.roots, &topology, &quiet());
        assert_eq!(findings.len(), 15);
        let (severity, here) = of(&findings, "sysfs");
        assert!(severity == Severity::Warn && here.contains("online: no such file"), "{here}");
        assert_eq!(of(&findings, "isolated").0, Severity::Note);
        let environment = environment::read(&host.roots, &topology);
        assert!(environment.notes.iter().any(|note| note.contains("online: no such file")));
    }

    #[test]
    fn isolated_cpus_that_are_left_out_are_named() {
        let host = host(4, 1);
        let topology = Topology::read(&host.roots.sys, Some(&[0, 2, 3])).unwrap();
        let (severity, here) = of(&examine(&host.roots, &topology, &quiet()), "isolated");
        assert!(severity == Severity::Note && here.contains("CPUs 1 are isolated and left out"));
    }

    #[test]
    fn the_text_is_narrow_and_says_what_to_do() {
        let host = host(2, 2);
        host.put("proc/cpuinfo", "flags : hypervisor");
        let findings = look(&host, &quiet());
        let text = Text(&findings).to_string();
        assert!(text.lines().all(|l| l.len() <= 80), "{text}");
        assert!(text.starts_with("WARN  virtualized  virtual machine"), "{text}");
        assert!(text.contains("Set it: --pin smt-last"), "{text}");
        assert!(text.ends_with("1 to set right, 1 to keep in mind, 13 ok\n"), "{text}");
        let json = serde_json::to_value(&findings[0]).unwrap();
        assert_eq!((&json["id"], &json["severity"]), (&"virtualized".into(), &"warn".into()));
    }
}
