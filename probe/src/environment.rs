//! The host as a run records it. Guards that two runs can be distinguished by the machine, the
//! kernel, the settings and the commit; a value that cannot be read is recorded with the reason.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use machine::topology::Topology;
use results::schema::{Environment, Reading};

use super::{Roots, clock};

/// The whole record of this host. `now` is the clock that times the operations, ns.
pub fn here(topology: &Topology, now: impl FnMut() -> u64) -> Environment {
    let mut environment = read(&Roots::default(), topology);
    let clock = quanta::Clock::new();
    let rate = clock::rate(|| clock.raw(), Duration::from_millis(20));
    if let Reading::Known(tsc) = &mut environment.tsc {
        tsc.push_str(&format!(", {:.3} GHz", rate / 1e9));
    }
    environment.clock_ns = match clock::smallest_step(now) {
        Some(step) => Reading::Known(step as f64),
        None => Reading::unknown("the clock stands still"),
    };
    (environment.commit, environment.dirty) = commit();
    environment
}

/// The commit of the checkout in which this program was built, and whether its sources differ from
/// the commit.
pub fn commit() -> (Reading<String>, Reading<bool>) {
    checkout(Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The record from the kernel's files below `roots`; the clock and the commit are left unknown.
pub fn read(roots: &Roots, topology: &Topology) -> Environment {
    let online = topology.cpus().len() + topology.forbidden.len();
    Environment {
        host: roots.proc("sys/kernel/hostname"),
        cpu_model: cpu_model(roots),
        cpus_online: Reading::Known(online as u32),
        packages: Reading::Known(topology.packages() as u32),
        smt: Reading::Known(topology.smt()),
        numa_nodes: Reading::Known(topology.nodes() as u32),
        kernel: kernel(roots),
        governor: roots.sys("devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        turbo: turbo(roots),
        thp: thp(roots),
        virtualized: virtualized(roots),
        mem_total_kib: mem_total(roots),
        rustc: Reading::Known(env!("SWAPSCALE_RUSTC").into()),
        commit: Reading::unknown("not looked up"),
        dirty: Reading::unknown("not looked up"),
        tsc: tsc(roots),
        clock_ns: Reading::unknown("not calibrated"),
        notes: notes(roots, topology),
    }
}

/// The value of `key` in the first block of `/proc/cpuinfo`.
fn cpuinfo(roots: &Roots, key: &str) -> Reading<String> {
    roots.proc("cpuinfo").and_then(|text| {
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        text.lines().find_map(field).ok_or_else(|| format!("proc/cpuinfo: no '{key}'"))
    })
}

/// The CPU's name; Arm kernels print no name, only the numbers of implementer and part.
fn cpu_model(roots: &Roots) -> Reading<String> {
    match (cpuinfo(roots, "CPU implementer"), cpuinfo(roots, "CPU part")) {
        (Reading::Known(implementer), Reading::Known(part)) => {
            Reading::Known(format!("implementer {implementer} part {part}"))
        }
        _ => cpuinfo(roots, "model name"),
    }
}

fn kernel(roots: &Roots) -> Reading<String> {
    let version = roots.proc("sys/kernel/version");
    roots.proc("sys/kernel/osrelease").and_then(|release| {
        Ok(match version {
            Reading::Known(version) => format!("{release} {version}"),
            Reading::Unknown { .. } => release,
        })
    })
}

/// True where the clock may boost above its nominal rate.
pub fn turbo(roots: &Roots) -> Reading<bool> {
    let cpu = "devices/system/cpu";
    let flag = |text: String, on: &str| match text.as_str() {
        "0" | "1" => Ok(text == on),
        _ => Err(format!("'{text}': expected 0 or 1")),
    };
    match roots.sys(&format!("{cpu}/intel_pstate/no_turbo")) {
        Reading::Known(text) => Reading::Known(text).and_then(|text| flag(text, "0")),
        _ => roots.sys(&format!("{cpu}/cpufreq/boost")).and_then(|text| flag(text, "1")),
    }
}

/// Transparent huge pages: always, madvise or never.
pub fn thp(roots: &Roots) -> Reading<String> {
    roots.sys("kernel/mm/transparent_hugepage/enabled").and_then(|text| {
        let chosen = text.split(['[', ']']).nth(1).map(str::to_owned);
        chosen.ok_or_else(|| format!("'{text}': expected one value in brackets"))
    })
}

/// The hypervisor's name, `none` on bare metal. x86 shows a CPU flag in a guest, Arm an entry in
/// the device tree.
pub fn virtualized(roots: &Roots) -> Reading<String> {
    let name = || {
        let parts = [
            roots.sys("hypervisor/type"),
            roots.sys("class/dmi/id/sys_vendor"),
            roots.sys("class/dmi/id/product_name"),
        ];
        let parts: Vec<&str> = parts.iter().filter_map(|p| p.known().map(String::as_str)).collect();
        if parts.is_empty() { "unnamed hypervisor".into() } else { parts.join(" ") }
    };
    match cpuinfo(roots, "flags") {
        Reading::Known(flags) if flags.split(' ').any(|f| f == "hypervisor") => {
            Reading::Known(name())
        }
        Reading::Known(_) => Reading::Known("none".into()),
        Reading::Unknown { unknown } => match roots.proc("device-tree/hypervisor/compatible") {
            Reading::Known(text) => Reading::Known(text.trim_end_matches('\0').to_owned()),
            Reading::Unknown { .. } => Reading::unknown(unknown),
        },
    }
}

fn mem_total(roots: &Roots) -> Reading<u64> {
    roots.proc("meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
        kib.ok_or_else(|| "proc/meminfo: no MemTotal in kB".into())
    })
}

/// The flags of the time stamp counter; [`here`] adds its rate.
fn tsc(roots: &Roots) -> Reading<String> {
    cpuinfo(roots, "flags").and_then(|flags| {
        let tsc = ["tsc", "constant_tsc", "nonstop_tsc", "tsc_known_freq"];
        let has: Vec<&str> = flags.split(' ').filter(|flag| tsc.contains(flag)).collect();
        if has.is_empty() { Err("proc/cpuinfo: no tsc flag".into()) } else { Ok(has.join(" ")) }
    })
}

/// CPU time that the control groups of this process allow, in CPUs; `None` for no limit. The
/// tightest limit on the path to the root counts.
pub fn cpu_limit(roots: &Roots) -> Option<f64> {
    let groups = roots.proc("self/cgroup").known()?.clone();
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let mounts = match controllers {
            "" => vec!["fs/cgroup".to_owned(), "fs/cgroup/unified".to_owned()],
            list if list.split(',').any(|c| c == "cpu") => {
                vec![format!("fs/cgroup/{list}"), "fs/cgroup/cpu".to_owned()]
            }
            _ => return None,
        };
        let up = Path::new(path).ancestors().map(|dir| dir.strip_prefix("/").unwrap_or(dir));
        let dirs = mounts
            .iter()
            .flat_map(|mount| up.clone().map(move |dir| format!("{mount}/{}", dir.display())));
        dirs.filter_map(|dir| quota(roots, &dir)).min_by(f64::total_cmp)
    });
    limits.min_by(f64::total_cmp)
}

/// The limit of one control group, in CPUs: in `cpu.max` for cgroup v2, in two files for v1.
fn quota(roots: &Roots, dir: &str) -> Option<f64> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| *n > 0.0);
    if let Reading::Known(max) = roots.sys(&format!("{dir}/cpu.max")) {
        let (quota, period) = max.split_once(' ')?;
        return Some(number(quota)? / number(period)?);
    }
    let file = |name: &str| number(roots.sys(&format!("{dir}/{name}")).known()?);
    Some(file("cpu.cfs_quota_us")? / file("cpu.cfs_period_us")?)
}

fn notes(roots: &Roots, topology: &Topology) -> Vec<String> {
    let mut notes = Vec::new();
    if !topology.offline.is_empty() {
        notes.push(format!("{} CPUs are offline", topology.offline.len()));
    }
    if !topology.forbidden.is_empty() {
        let (may, not) = (topology.cpus().len(), topology.forbidden.len());
        notes.push(format!("affinity or cpuset allows {may} of {} online CPUs", may + not));
    }
    if topology.hybrid() {
        notes.push("two types of core: threads beyond the first type run on slower cores".into());
    }
    if let Some(limit) = cpu_limit(roots) {
        notes.push(format!("control group limits CPU time to {limit:.2} CPUs"));
    }
    let keys = ["isolcpus=", "nohz_full=", "mitigations=", "preempt=", "idle=", "processor.max_"];
    if let Reading::Known(line) = roots.proc("cmdline") {
        let words = line.split_whitespace();
        let words: Vec<_> = words.filter(|w| keys.iter().any(|key| w.starts_with(key))).collect();
        if !words.is_empty() {
            notes.push(format!("kernel command line: {}", words.join(" ")));
        }
    }
    notes
}

/// The files that can change the program: not the documents, and not the committed runs.
const SOURCES: &[&str] =
    &[":/", ":(top,exclude)*.md", ":(top,exclude)results/reference", ":(top,exclude)plots/gallery"];

/// Commit and dirty flag of the checkout at `dir`, in which the program was built: `cargo` builds
/// before it runs, so the sources that are there now are those of the program.
fn checkout(dir: &Path) -> (Reading<String>, Reading<bool>) {
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        // Set inside hooks, where they name another repository.
        git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
        let out = git.arg("--no-optional-locks").arg("-C").arg(dir).args(args).output();
        let out = match out {
            Ok(out) => out,
            Err(error) => return Reading::unknown(format!("git: {}", super::reason(&error))),
        };
        if out.status.success() {
            return Reading::Known(String::from_utf8_lossy(&out.stdout).trim_end().to_owned());
        }
        let message = String::from_utf8_lossy(&out.stderr);
        Reading::unknown(format!("git: {}", message.lines().next().unwrap_or("failed")))
    };
    let commit = git(&["rev-parse", "--verify", "HEAD"]);
    let changes =
        git(&[&["status", "--porcelain", "--untracked-files=no", "--"], SOURCES].concat());
    (commit, changes.and_then(|changes| Ok(!changes.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const CPU: &str = "sys/devices/system/cpu";

    fn vm() -> Fixture {
        let host = Fixture::new(&[
            ("proc/sys/kernel/hostname", "bench7"),
            ("proc/sys/kernel/osrelease", "6.12.9"),
            ("proc/sys/kernel/version", "#1 SMP PREEMPT_DYNAMIC"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: EPYC 9R14\nflags\t\t: fpu tsc constant_tsc hypervisor\n",
            ),
            ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB"),
            ("proc/cmdline", "quiet isolcpus=2-3 mitigations=off"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
            ("sys/class/dmi/id/sys_vendor", "Amazon EC2"),
            ("sys/devices/system/cpu/online", "0-3"),
            ("sys/devices/system/cpu/present", "0-7"),
        ]);
        for cpu in 0..4 {
            host.put(&format!("{CPU}/cpu{cpu}/topology/physical_package_id"), "0");
            let core = if cpu < 2 { "0-1" } else { "2-3" };
            host.put(&format!("{CPU}/cpu{cpu}/topology/thread_siblings_list"), core);
        }
        host
    }

    fn topology(host: &Fixture) -> Topology {
        Topology::read(&host.roots.sys, Some(&[0, 1, 2])).unwrap()
    }

    #[test]
    fn a_vm_is_recorded() {
        let host = vm();
        let e = read(&host.roots, &topology(&host));
        let text = |r: &Reading<String>| r.to_string();
        assert_eq!(text(&e.host), "bench7");
        assert_eq!(text(&e.cpu_model), "EPYC 9R14");
        assert_eq!(text(&e.kernel), "6.12.9 #1 SMP PREEMPT_DYNAMIC");
        assert_eq!(text(&e.thp), "madvise");
        assert_eq!(text(&e.virtualized), "Amazon EC2");
        assert_eq!(text(&e.tsc), "tsc constant_tsc");
        assert_eq!((e.cpus_online, e.smt), (Reading::Known(4), Reading::Known(true)));
        assert_eq!(e.mem_total_kib, Reading::Known(16384));
        assert!(text(&e.governor).contains("scaling_governor: ENOENT"), "{}", e.governor);
        assert!(text(&e.rustc).starts_with("rustc 1."), "{}", e.rustc);
        assert_eq!(
            e.notes,
            [
                "4 CPUs are offline",
                "affinity or cpuset allows 3 of 4 online CPUs",
                "kernel command line: isolcpus=2-3 mitigations=off",
            ]
        );
    }

    #[test]
    fn bare_metal_and_arm() {
        let host = vm();
        host.put("proc/cpuinfo", "model name : Xeon\nflags : fpu tsc");
        assert_eq!(virtualized(&host.roots), Reading::Known("none".into()));
        host.put("proc/cpuinfo", "CPU implementer : 0x41\nCPU part : 0xd40");
        assert_eq!(cpu_model(&host.roots).to_string(), "implementer 0x41 part 0xd40");
        assert!(virtualized(&host.roots).to_string().contains("no 'flags'"));
        host.put("proc/device-tree/hypervisor/compatible", "linux,kvm\0");
        assert_eq!(virtualized(&host.roots).known().unwrap().trim(), "linux,kvm");
    }

    #[test]
    fn turbo_by_either_driver() {
        let host = vm();
        assert!(turbo(&host.roots).known().is_none());
        for (text, on) in [("0", false), ("1", true)] {
            host.put(&format!("{CPU}/cpufreq/boost"), text);
            assert_eq!(turbo(&host.roots), Reading::Known(on));
        }
        for (text, on) in [("0", true), ("1", false)] {
            host.put(&format!("{CPU}/intel_pstate/no_turbo"), text);
            assert_eq!(turbo(&host.roots), Reading::Known(on));
        }
        host.put(&format!("{CPU}/intel_pstate/no_turbo"), "maybe");
        assert!(turbo(&host.roots).to_string().contains("expected 0 or 1"));
    }

    #[test]
    fn the_tightest_cpu_limit_counts() {
        let host = vm();
        assert_eq!(cpu_limit(&host.roots), None);
        host.put("proc/self/cgroup", "0::/ci/job1");
        host.put("sys/fs/cgroup/ci/job1/cpu.max", "max 100000");
        assert_eq!(cpu_limit(&host.roots), None);
        host.put("sys/fs/cgroup/ci/cpu.max", "150000 100000");
        assert_eq!(cpu_limit(&host.roots), Some(1.5));
        host.put("sys/fs/cgroup/ci/job1/cpu.max", "300000 100000");
        assert_eq!(cpu_limit(&host.roots), Some(1.5));
        host.put("proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/job\n0::/");
        host.put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000");
        host.put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1");
        assert_eq!(cpu_limit(&host.roots), None);
        host.put("sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000");
        assert_eq!(cpu_limit(&host.roots), Some(0.5));
    }

    #[test]
    fn a_checkout_tells_its_commit_and_whether_it_is_dirty() {
        let dir = tempfile::tempdir().unwrap();
        let (commit, dirty) = checkout(dir.path());
        assert!(commit.to_string().contains("git: "), "{commit}");
        assert_eq!(dirty.known(), None);
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
            let out = Command::new("git").arg("-C").arg(dir.path()).args(who).args(args).output();
            out.is_ok_and(|out| out.status.success())
        };
        std::fs::write(dir.path().join("a"), "1").unwrap();
        if !(git(&["init", "-q"]) && git(&["add", "a"]) && git(&["commit", "-qm", "a"])) {
            return; // no git here: the first half is the answer
        }
        let (commit, dirty) = checkout(dir.path());
        assert_eq!(commit.known().map(String::len), Some(40));
        assert_eq!(dirty, Reading::Known(false));
        std::fs::write(dir.path().join("a.md"), "1").unwrap();
        assert!(git(&["add", "a.md"]));
        assert_eq!(checkout(dir.path()).1, Reading::Known(false), "words about it");
        std::fs::write(dir.path().join("a"), "2").unwrap();
        assert_eq!(checkout(dir.path()).1, Reading::Known(true));
    }

    #[test]
    fn this_host_reads() {
        let mut time = 0;
        let now = || {
            time += 7;
            time
        };
        let environment = here(&Topology::here().unwrap(), now);
        assert_eq!(environment.clock_ns, Reading::Known(7.0));
        assert!(environment.kernel.known().is_some() && environment.host.known().is_some());
    }
}
