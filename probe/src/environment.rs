//! The host as a run records it. Guards that two runs can be distinguished by the machine, the
//! kernel, the settings and the commit; a value that cannot be read is recorded with the reason.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use machine::topology::Topology;
use results::schema::{Environment, Reading};

use super::{Roots, clock, commit, identity};

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
    commit::record(&mut environment);
    environment
}

/// The record from the host's files below `roots`; the clock and the commit are left unknown. The
/// governor is that of all usable CPUs.
pub fn read(roots: &Roots, topology: &Topology) -> Environment {
    let online = topology.cpus().len() + topology.forbidden.len();
    let usable: Vec<usize> = topology.cpus().iter().map(|cpu| cpu.id).collect();
    let (identity, lacks) = identity::identity(roots, std::env::var("SLURMD_NODENAME").ok());
    Environment {
        host: roots.proc("sys/kernel/hostname"),
        cpu_model: cpu_model(roots),
        cpus_online: Reading::Known(online as u32),
        packages: Reading::Known(topology.packages() as u32),
        smt: Reading::Known(topology.smt()),
        numa_nodes: Reading::Known(topology.nodes() as u32),
        kernel: kernel(roots),
        governor: governor(roots, &usable),
        turbo: turbo(roots),
        thp: thp(roots),
        virtualized: virtualized(roots),
        mem_total_kib: mem_total(roots),
        rustc: Reading::Known(env!("SWAPSCALE_RUSTC").into()),
        commit: Reading::unknown("not looked up"),
        dirty: Reading::unknown("not looked up"),
        tsc: tsc(roots),
        clock_ns: Reading::unknown("not calibrated"),
        identity,
        boot_id: roots.proc("sys/kernel/random/boot_id"),
        notes: notes(roots, topology).into_iter().chain(lacks).collect(),
    }
}

/// The value of `key` in the first block of `/proc/cpuinfo`.
pub(crate) fn cpuinfo(roots: &Roots, key: &str) -> Reading<String> {
    roots.proc("cpuinfo").and_then(|text| {
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            (name.trim() == key).then(|| value.trim().to_owned())
        };
        text.lines().find_map(field).ok_or_else(|| format!("proc/cpuinfo: no '{key}'"))
    })
}

/// The CPU's name, for which each architecture has its own key: x86, RISC-V, MIPS, POWER. Arm kernels
/// print no name, only the numbers of implementer and part.
pub(crate) fn cpu_model(roots: &Roots) -> Reading<String> {
    match (cpuinfo(roots, "CPU implementer"), cpuinfo(roots, "CPU part")) {
        (Reading::Known(implementer), Reading::Known(part)) => {
            Reading::Known(format!("implementer {implementer} part {part}"))
        }
        _ => {
            let others = ["uarch", "cpu model", "cpu"].map(|key| cpuinfo(roots, key));
            let known = others.into_iter().find(|name| name.known().is_some());
            match cpuinfo(roots, "model name") {
                unknown @ Reading::Unknown { .. } => known.unwrap_or(unknown),
                name => name,
            }
        }
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

/// The cpufreq governor of these CPUs; where they differ, with the number of CPUs of each.
pub fn governor(roots: &Roots, cpus: &[usize]) -> Reading<String> {
    match governors(roots, cpus) {
        (known, unknown) if known.is_empty() => {
            Reading::unknown(unknown.map_or("no CPU".into(), |(why, _)| why))
        }
        (known, None) if known.len() == 1 => known.into_keys().map(Reading::Known).next().unwrap(),
        (known, unknown) => {
            let known = known.into_iter().map(|(name, cpus)| format!("{name} on {cpus} CPUs"));
            let unknown = unknown.map(|(_, cpus)| format!("unknown on {cpus} CPUs"));
            Reading::Known(known.chain(unknown).collect::<Vec<_>>().join(", "))
        }
    }
}

/// How many of these CPUs have each governor; and, if any has none that can be read, a reason and
/// the number of such CPUs.
pub(crate) fn governors(
    roots: &Roots,
    cpus: &[usize],
) -> (BTreeMap<String, usize>, Option<(String, usize)>) {
    let (mut known, mut unknown) = (BTreeMap::new(), None);
    for cpu in cpus {
        match roots.sys(&format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")) {
            Reading::Known(name) => *known.entry(name).or_insert(0) += 1,
            Reading::Unknown { unknown: why } => unknown.get_or_insert((why, 0)).1 += 1,
        }
    }
    (known, unknown)
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

/// The hypervisor's name, `none` on bare metal. x86 shows a CPU flag in a guest. Elsewhere the
/// firmware's tables say so: the device tree, or DMI where ACPI takes its place.
pub fn virtualized(roots: &Roots) -> Reading<String> {
    match cpuinfo(roots, "flags") {
        Reading::Known(flags) if flags.split(' ').any(|f| f == "hypervisor") => {
            let name = firmware_names(roots).join(" ");
            let unnamed = || "unnamed hypervisor".into();
            Reading::Known(if name.is_empty() { unnamed() } else { name })
        }
        Reading::Known(_) => Reading::Known("none".into()),
        Reading::Unknown { unknown } => without_flags(roots, unknown),
    }
}

/// What names the hypervisor, or the maker and the product of bare metal.
fn firmware_names(roots: &Roots) -> Vec<String> {
    let files = ["hypervisor/type", "class/dmi/id/sys_vendor", "class/dmi/id/product_name"];
    files.iter().filter_map(|file| roots.sys(file).known().cloned()).collect()
}

/// Parts of the names that hypervisors and clouds give the makers and products of their virtual
/// machines, in lower case. QEMU calls itself `QEMU`, and with libvirt `KVM Virtual Machine`.
const GUESTS: &[&str] = &[
    "qemu",
    "kvm",
    "virtual machine",
    "vmware",
    "virtualbox",
    "xen",
    "bochs",
    "parallels",
    "bhyve",
    "amazon ec2",
    "google compute engine",
    "openstack",
    "kubevirt",
    "apple virtualization",
    "alibaba cloud",
    "tencent cloud",
    "huaweicloud",
    "digitalocean",
    "hetzner",
    "nutanix",
    "ovirt",
    "firecracker",
    "cloud hypervisor",
    "hyper-v",
    "vultr",
    "scaleway",
    "linode",
    "upcloud",
];

/// [`virtualized`] where `/proc/cpuinfo` has no flags, for the reason `why`: on Arm and RISC-V.
fn without_flags(roots: &Roots, why: String) -> Reading<String> {
    let tree = |file: &str| {
        let text = roots.proc(&format!("device-tree/{file}"));
        text.known().map(|text| text.replace('\0', " ").trim().to_owned())
    };
    if let Some(hypervisor) = tree("hypervisor/compatible") {
        return Reading::Known(hypervisor);
    }
    let names = firmware_names(roots);
    let described = tree("compatible");
    if names.is_empty() && described.is_none() {
        return Reading::unknown(format!("{why}, no DMI, no device tree"));
    }
    let name = names.into_iter().chain(described).collect::<Vec<_>>().join(" ");
    let lower = name.to_lowercase();
    // Clouds rent bare metal under the same maker's name; QEMU's board is `linux,dummy-virt`.
    let metal = lower.contains(".metal") || lower.ends_with("-metal");
    let guest = lower.contains("dummy-virt") || GUESTS.iter().any(|guest| lower.contains(guest));
    Reading::Known(if guest && !metal { name } else { "none".into() })
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
    notes.extend(topology.left_out());
    notes.extend(topology.notes.iter().cloned());
    let kinds = topology.kinds();
    if kinds.len() > 1 {
        let each = kinds.iter().map(|(kind, cpus)| format!("{cpus} {kind}"));
        let each = each.collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "{} types of core ({each} CPUs): threads beyond the first type run on slower cores",
            kinds.len()
        ));
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
            ("sys/devices/system/cpu/isolated", "2-3"),
            ("sys/devices/system/node/node0/cpulist", "0-3"),
            ("sys/devices/cpu_core/cpus", "0"),
            ("sys/devices/cpu_atom/cpus", "1"),
            ("sys/devices/cpu_lowpower/cpus", "2-3"),
            ("sys/class/dmi/id/product_name", "m7a.large"),
            ("proc/sys/kernel/random/boot_id", "5ad0"),
            ("etc/machine-id", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        ]);
        for cpu in 0..4 {
            host.put(&format!("{CPU}/cpu{cpu}/topology/physical_package_id"), "0");
            let core = if cpu < 2 { "0-1" } else { "2-3" };
            host.put(&format!("{CPU}/cpu{cpu}/topology/thread_siblings_list"), core);
            host.put(&format!("{CPU}/cpu{cpu}/cache/index3/level"), "3");
            host.put(&format!("{CPU}/cpu{cpu}/cache/index3/shared_cpu_list"), "0-3");
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
        assert_eq!(text(&e.virtualized), "Amazon EC2 m7a.large");
        assert_eq!((text(&e.boot_id).as_str(), text(&e.identity).len()), ("5ad0", 16));
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
                "CPUs 3 are isolated and left out; --pin 3 or taskset -c uses them",
                "3 types of core (1 performance, 1 efficient, 1 low-power CPUs): threads beyond \
                 the first type run on slower cores",
                "kernel command line: isolcpus=2-3 mitigations=off",
                "the machine's identity is without microcode (proc/cpuinfo: no 'microcode')",
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
        host.put("proc/cpuinfo", "processor : 0\ncpu : POWER9, altivec supported");
        assert_eq!(cpu_model(&host.roots).to_string(), "POWER9, altivec supported");
        host.put("proc/cpuinfo", "processor : 0");
        assert!(cpu_model(&host.roots).to_string().contains("no 'model name'"));
        host.put("proc/device-tree/hypervisor/compatible", "linux,kvm\0");
        assert_eq!(virtualized(&host.roots), Reading::Known("linux,kvm".into()));
    }

    /// An Arm host whose firmware has these files.
    fn arm(files: &[(&str, &str)]) -> Reading<String> {
        let host = Fixture::new(&[("proc/cpuinfo", "Features : fp\nCPU part : 0xd40")]);
        files.iter().for_each(|(file, text)| host.put(file, text));
        virtualized(&host.roots)
    }

    #[test]
    fn the_firmware_of_an_arm_machine_tells_a_guest() {
        let dmi = |vendor: &str, product: &str| {
            arm(&[
                ("sys/class/dmi/id/sys_vendor", vendor),
                ("sys/class/dmi/id/product_name", product),
            ])
        };
        let none = Reading::Known("none".to_owned());
        assert_eq!(dmi("Amazon EC2", "m7g.large").to_string(), "Amazon EC2 m7g.large");
        for (vendor, product) in [
            ("Amazon EC2", "m7g.metal"),
            ("Amazon EC2", "m8g.metal-24xl"),
            ("HPE", "ProLiant RL300 Gen11"),
            ("Supermicro", "ARS-221GL-NR"),
            ("Google", "c4a-highmem-96-metal"),
        ] {
            assert_eq!(dmi(vendor, product), none, "{product}");
        }
        for (vendor, product) in [
            ("QEMU", "KVM Virtual Machine"),
            ("Google", "Google Compute Engine"),
            ("Microsoft Corporation", "Virtual Machine"),
            ("Alibaba Cloud", "Alibaba Cloud ECS"),
            ("Apple Inc.", "Apple Virtualization Generic Platform"),
        ] {
            assert_eq!(dmi(vendor, product), Reading::Known(format!("{vendor} {product}")));
        }
        let xen = arm(&[("sys/hypervisor/type", "xen")]);
        assert_eq!(xen, Reading::Known("xen".into()));
        let tree = |text: &str| arm(&[("proc/device-tree/compatible", text)]);
        assert_eq!(tree("raspberrypi,5-model-b\0brcm,bcm2712\0"), none);
        assert_eq!(tree("linux,dummy-virt\0"), Reading::Known("linux,dummy-virt".into()));
        let unknown = arm(&[]).to_string();
        assert!(unknown.contains("no 'flags', no DMI, no device tree"), "{unknown}");
    }

    #[test]
    fn the_governor_is_that_of_the_cpus_in_use() {
        let host = vm();
        for (cpu, name) in [(0, "powersave"), (1, "performance"), (2, "performance")] {
            host.put(&format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"), name);
        }
        let text = |cpus: &[usize]| governor(&host.roots, cpus).to_string();
        assert_eq!(text(&[1, 2]), "performance");
        assert_eq!(text(&[0]), "powersave");
        assert_eq!(text(&[0, 1, 2]), "performance on 2 CPUs, powersave on 1 CPUs");
        assert_eq!(text(&[1, 3]), "performance on 1 CPUs, unknown on 1 CPUs");
        assert!(text(&[3]).contains("cpu3/cpufreq/scaling_governor: ENOENT"));
        assert_eq!(text(&[]), "unknown (no CPU)");
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
