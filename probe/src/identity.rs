//! Which machine this is. Guards that figures of two machines are never taken for trials of one:
//! virtual machines of a cloud often all have the same host name, and a shared home directory shows
//! the same runs to every node.

use results::schema::Reading;

use crate::{Roots, environment};

/// A digest of what tells one machine from another and stays the same over a reboot: the machine-id
/// of machine-id(5), the CPU's model and microcode, the DMI product, and the node's name in Slurm.
/// Parts that are not to be had are left out of it, and named with the reason in the second value.
/// Unknown where nothing names this machine rather than its make.
pub fn identity(roots: &Roots, slurm_node: Option<String>) -> (Reading<String>, Option<String>) {
    let named = |text: String| match text.trim() {
        "" | "uninitialized" => Err(format!("etc/machine-id: '{text}'")),
        id => Ok(id.to_owned()),
    };
    let no_slurm = || Reading::unknown("no SLURMD_NODENAME");
    let machine = roots.etc("machine-id").and_then(named);
    let node = slurm_node.filter(|name| !name.is_empty()).map_or_else(no_slurm, Reading::Known);
    let parts = [
        ("machine-id", &machine),
        ("CPU model", &environment::cpu_model(roots)),
        ("microcode", &environment::cpuinfo(roots, "microcode")),
        ("DMI product", &roots.sys("class/dmi/id/product_name")),
        ("Slurm node", &node),
    ];
    let mut digest = Digest::default();
    let mut lacks = Vec::new();
    for (name, part) in parts {
        match part {
            Reading::Known(value) => digest.add(&format!("{name}={value}\n")),
            // A machine without Slurm lacks nothing.
            Reading::Unknown { .. } if name == "Slurm node" => {}
            Reading::Unknown { unknown } => lacks.push(format!("{name} ({unknown})")),
        }
    }
    if let (Reading::Unknown { unknown }, None) = (&machine, node.known()) {
        let why = format!("nothing names this machine: {unknown}; no SLURMD_NODENAME");
        return (Reading::unknown(why), None);
    }
    let lacks = lacks.join(", ");
    let note = (!lacks.is_empty()).then(|| format!("the machine's identity is without {lacks}"));
    (Reading::Known(format!("{:016x}", digest.0)), note)
}

/// FNV-1a of 64 bits: the same on every machine and in every version of the program. It tells
/// machines apart, and is no secret.
struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const CPUINFO: &str = "model name\t: EPYC 9R14\nmicrocode\t: 0xa101148\nflags\t: fpu";
    const MACHINE: &str = "etc/machine-id";
    const PRODUCT: &str = "sys/class/dmi/id/product_name";

    fn host() -> Fixture {
        let id = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        Fixture::new(&[("proc/cpuinfo", CPUINFO), (MACHINE, id), (PRODUCT, "m7a.large")])
    }

    fn id(host: &Fixture, node: Option<&str>) -> String {
        let (identity, _) = identity(&host.roots, node.map(str::to_owned));
        identity.known().unwrap_or_else(|| panic!("{identity}")).clone()
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        // The test vectors of the draft draft-eastlake-fnv.
        for (text, digest) in [("", 0xcbf2_9ce4_8422_2325), ("foobar", 0x8594_4171_f739_67e8_u64)] {
            let mut d = Digest::default();
            d.add(text);
            assert_eq!(d.0, digest);
        }
    }

    #[test]
    fn each_part_tells_two_machines_apart() {
        let host = host();
        let first = id(&host, None);
        assert_eq!(first.len(), 16);
        assert_eq!(id(&host, Some("")), first);
        let mut seen = vec![first.clone(), id(&host, Some("node7"))];
        for (file, text) in [
            (MACHINE, "ffffffffffffffffffffffffffffffff"),
            (PRODUCT, "m7a.xlarge"),
            ("proc/cpuinfo", "model name\t: Xeon\nmicrocode\t: 0xa101148"),
            ("proc/cpuinfo", "model name\t: EPYC 9R14\nmicrocode\t: 0xa101149"),
        ] {
            let other = self::host();
            other.put(file, text);
            seen.push(id(&other, None));
        }
        let different: std::collections::BTreeSet<_> = seen.iter().collect();
        assert_eq!(different.len(), seen.len(), "{seen:?}");
        host.put("proc/sys/kernel/hostname", "renamed");
        assert_eq!(id(&host, None), first, "a name is no identity");
    }

    #[test]
    fn a_part_that_is_not_to_be_had_is_named() {
        let host = host();
        assert_eq!(identity(&host.roots, None).1, None);
        host.put("proc/cpuinfo", "CPU implementer : 0x41\nCPU part : 0xd40");
        let (arm, note) = identity(&host.roots, None);
        let note = note.unwrap();
        assert!(arm.known().is_some() && note.contains("microcode (proc/cpuinfo: no"), "{note}");
        for text in ["", "uninitialized"] {
            host.put(MACHINE, text);
            let (none, _) = identity(&host.roots, None);
            assert!(none.to_string().contains("nothing names this machine: etc/machine-id"));
            assert!(id(&host, Some("node7")).len() == 16, "Slurm names it");
        }
    }
}
