//! The memory that this process may still take. Guards against the kernel's out-of-memory killer,
//! which ends a run without a word.

use std::path::Path;

use results::schema::Reading;

use super::Roots;

/// Bytes that can be taken without swapping and without an out-of-memory kill: MemAvailable of the
/// host, or less where a control group of this process has a limit (v1 and v2, each on the path to
/// the root), or its address space has one. Page cache does not count as taken, since the kernel gives it up first.
pub fn available(roots: &Roots) -> Reading<u64> {
    let host = roots.proc("meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| "proc/meminfo: no MemAvailable in kB".into())
    });
    let limit = groups(roots).chain(address_space(roots)).min();
    match (host, limit) {
        (Reading::Known(host), Some(limit)) => Reading::Known(host.min(limit)),
        (Reading::Unknown { .. }, Some(limit)) => Reading::Known(limit),
        (host, None) => host,
    }
}

/// Bytes left below the limit on address space (`ulimit -v`); none without a limit.
fn address_space(roots: &Roots) -> Option<u64> {
    let text = |file| roots.proc(file).known().cloned();
    let (limits, status) = (text("self/limits")?, text("self/status")?);
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = limit.split_whitespace().next()?.parse().ok()?;
    let taken = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let taken: u64 = taken.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(limit.saturating_sub(taken << 10))
}

/// Bytes left in each control group of this process that has a limit.
fn groups(roots: &Roots) -> impl Iterator<Item = u64> {
    let lines = roots.proc("self/cgroup").known().cloned().unwrap_or_default();
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    lines.into_iter().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or("-"), fields.next().unwrap_or("/"));
        let mounts = match controllers {
            "" => vec!["fs/cgroup", "fs/cgroup/unified"],
            list if list.split(',').any(|c| c == "memory") => vec!["fs/cgroup/memory"],
            _ => Vec::new(),
        };
        let up = Path::new(path).ancestors().map(|dir| dir.strip_prefix("/").unwrap_or(dir));
        let dirs: Vec<String> = mounts
            .iter()
            .flat_map(|mount| up.clone().map(move |dir| format!("{mount}/{}", dir.display())))
            .collect();
        dirs.into_iter().filter_map(|dir| left(roots, &dir)).collect::<Vec<_>>()
    })
}

/// Bytes left below the limit of one control group; none if it has no limit.
fn left(roots: &Roots, dir: &str) -> Option<u64> {
    let read = |name: &str| roots.sys(&format!("{dir}/{name}")).known().cloned();
    let number = |name: &str| read(name)?.parse::<u64>().ok();
    let v2 = number("memory.max").zip(number("memory.current"));
    let v1 = || number("memory.limit_in_bytes").zip(number("memory.usage_in_bytes"));
    let (limit, used) = v2.or_else(v1)?;
    let stat = read("memory.stat").unwrap_or_default();
    let cache = |names: [&str; 2]| -> Option<u64> {
        let of = |name| {
            stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
        };
        names.into_iter().map(of).sum()
    };
    // v1 counts the groups below in fields of their own.
    let cache = cache(["total_inactive_file ", "total_active_file "])
        .or_else(|| cache(["inactive_file ", "active_file "]))
        .unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const MEMINFO: &str = "MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:    4000 kB\n";
    const KIB: u64 = 1 << 10;

    #[test]
    fn a_host_without_limits_has_what_is_available() {
        let host = Fixture::new(&[("proc/meminfo", MEMINFO)]);
        assert_eq!(available(&host.roots), Reading::Known(4000 * KIB));
        let none = available(&Fixture::new(&[("proc/meminfo", "MemTotal: 8 kB")]).roots);
        assert!(none.to_string().contains("no MemAvailable"), "{none}");
    }

    #[test]
    fn the_tightest_group_of_v2_counts_and_its_cache_does_not() {
        let host = Fixture::new(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", "0::/ci/job")]);
        host.put("sys/fs/cgroup/ci/job/memory.max", "max");
        host.put("sys/fs/cgroup/ci/job/memory.current", "900000");
        assert_eq!(available(&host.roots), Reading::Known(4000 * KIB), "no limit");
        host.put("sys/fs/cgroup/ci/memory.max", "1000000");
        host.put("sys/fs/cgroup/ci/memory.current", "900000");
        assert_eq!(available(&host.roots), Reading::Known(100_000));
        let stat = "anon 1\nactive_file 200000\ninactive_file 300000";
        host.put("sys/fs/cgroup/ci/memory.stat", stat);
        assert_eq!(available(&host.roots), Reading::Known(600_000));
        host.put("sys/fs/cgroup/ci/job/memory.max", "800000");
        assert_eq!(available(&host.roots), Reading::Known(0), "over its limit");
    }

    #[test]
    fn a_group_of_v1_counts_with_those_below_it() {
        let groups = "9:cpu:/x\n4:hugetlb,memory:/docker/1\n0::/";
        let host = Fixture::new(&[("proc/meminfo", MEMINFO), ("proc/self/cgroup", groups)]);
        // In a container the path is the host's, and the files are at the mount's root.
        host.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000");
        host.put("sys/fs/cgroup/memory/memory.usage_in_bytes", "900000");
        let stat = "inactive_file 1\nactive_file 1\n\
                    total_inactive_file 100000\ntotal_active_file 50000";
        host.put("sys/fs/cgroup/memory/memory.stat", stat);
        assert_eq!(available(&host.roots), Reading::Known(250_000));
        host.put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(available(&host.roots), Reading::Known(4000 * KIB), "no limit");
    }

    #[test]
    fn a_limit_on_address_space_counts() {
        let host = Fixture::new(&[("proc/meminfo", MEMINFO)]);
        host.put("proc/self/status", "Name:\tx\nVmSize:\t    1000 kB\n");
        let limits = |soft: &str| format!("Max address space         {soft}    unlimited   bytes");
        host.put("proc/self/limits", &limits("unlimited"));
        assert_eq!(available(&host.roots), Reading::Known(4000 * KIB));
        host.put("proc/self/limits", &limits("2048000"));
        assert_eq!(available(&host.roots), Reading::Known(1000 * KIB));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available(&Roots::default()).known().is_none_or(|bytes| *bytes > 0));
    }
}
