//! Which variants there are, by name. A new one is one file and one line here. Guards that a name
//! or a kernel release means one variant, in every list and on every machine.

use crate::allocator::SwapAllocator;
use machine::Machine;

/// A variant as users see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Its name on the command line and in results.
    pub name: &'static str,
    /// Kernel releases that are this scheme, as further names.
    pub releases: &'static [&'static str],
    /// Whether it is a step between two schemes, by which a gain is attributed to one change.
    pub ablation: bool,
    /// One sentence for `swapscale list`.
    pub about: &'static str,
}

/// Code that is generic over variants; [`visit`] calls it with the one that was named.
pub trait Visitor<M: Machine> {
    /// The type that `visit` returns.
    type Output;
    /// Is called with the variant's type and its row.
    fn visit<A: SwapAllocator<M>>(self, variant: &'static Variant) -> Self::Output;
}

macro_rules! registry {
    ($($name:literal, [$($release:literal),*], $ablation:literal, $type:ident::$Type:ident,
       $about:literal;)*) => {
        /// All variants, in the order of the lists users see.
        pub const VARIANTS: &[Variant] = &[$(Variant {
            name: $name,
            releases: &[$($release),*],
            ablation: $ablation,
            about: $about,
        }),*];

        /// Calls the visitor with the variant called `name`, or of the kernel release `name`;
        /// `None` if there is none.
        pub fn visit<M: Machine, V: Visitor<M>>(name: &str, visitor: V) -> Option<V::Output> {
            let variant = find(name)?;
            match variant.name {
                $($name => Some(visitor.visit::<crate::$type::$Type<M>>(variant)),)*
                _ => None,
            }
        }
    };
}

registry! {
    "global", [], false, scanning::Global,
        "6.12's data structures under one si->lock that is never dropped (a strawman)";
    "scanning", ["6.12", "6.13"], false, scanning::Scanning,
        "si->lock outermost, dropped to reclaim and discard; SCANNING keeps swapoff out";
    "scanning-ref", [], true, scanning::ScanningRef,
        "scanning with percpu_ref instead of SCANNING: commit 9a0ddeb79880 alone";
    "percluster", ["6.14"], false, percluster::PerCluster,
        "ci->lock first, si->lock for list moves, percpu_ref, swapoff takes every ci->lock";
    "percluster-rcu", [], true, percluster::PerClusterRcu,
        "percluster; swapoff's barrier is a grace period (here membarrier(2), not the kernel's RCU)";
    "percluster-second-ref", [], true, percluster::PerClusterSecondRef,
        "percluster; swapoff's barrier is the drain of a second percpu_ref";
    "percpu-free-first", ["6.15", "6.16", "6.17"], false, percpu_cluster::PercpuFreeFirst,
        "one current cluster per CPU for all devices, no slot cache; free clusters before nonfull";
    "percpu-cluster", ["6.18", "6.19"], false, percpu_cluster::PercpuCluster,
        "the same; nonfull clusters before free ones, one fragmented; ci->lock guards the swap cache too";
    "swap-table-early", ["7.0", "7.1"], false, percpu_cluster::SwapTableEarly,
        "the same over a swap table: one word per slot is the only record, a locked folio owns its slots";
    "swap-table", ["7.2", "7.3"], false, percpu_cluster::SwapTable,
        "the same with the cgroup and the zero flag in the table, each written under ci->lock";
    "per-device-table", [], false, per_device_table::PerDeviceTable,
        "swap-table with a current cluster per CPU and device: every allocation walks the avail list (proposed)";
    "vswap", [], false, vswap::Vswap,
        "a layer above swap-table: a slot gets one on a device at writeout, two ci->locks nest (proposed; no zswap)";
}

/// The variant called `name`, or of the kernel release `name`.
pub fn find(name: &str) -> Option<&'static Variant> {
    VARIANTS.iter().find(|v| v.name == name || v.releases.contains(&name))
}

/// The variant that models the allocator of a kernel release such as `6.12.117+deb13-amd64`. The schemes
/// before 6.12 are not modelled, and of a release that is newer than all of [`VARIANTS`] nobody knows
/// whether one of them is its scheme.
pub fn scheme_of(release: &str) -> &'static str {
    let Some(release) = numbers(release) else { return "unknown" };
    let is =
        |variant: &&Variant| variant.releases.iter().any(|name| numbers(name) == Some(release));
    let all = || VARIANTS.iter().flat_map(|variant| variant.releases);
    match VARIANTS.iter().find(is) {
        Some(variant) => variant.name,
        None if all().all(|name| numbers(name) < Some(release)) => "newer than any variant",
        None if all().all(|name| numbers(name) > Some(release)) => "pre-6.12",
        None => "unknown",
    }
}

/// Major and minor number of a release.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_follows_the_release() {
        for (release, expected) in [
            ("5.10.0-30-amd64", "pre-6.12"),
            ("6.11.2", "pre-6.12"),
            ("6.12.117+deb13-cloud-amd64", "scanning"),
            ("6.13.0-rc1", "scanning"),
            ("6.14", "percluster"),
            ("6.16.3+deb13-amd64", "percpu-free-first"),
            ("6.18.15+deb14-amd64", "percpu-cluster"),
            ("6.19.14", "percpu-cluster"),
            ("7.0.13+deb14-amd64", "swap-table-early"),
            ("7.3.4", "swap-table"),
            ("7.4.0-rc1", "newer than any variant"),
            ("6.20", "unknown"),
            ("later", "unknown"),
        ] {
            assert_eq!(scheme_of(release), expected, "{release}");
        }
    }
}
