//! Which locking scheme a kernel contains, from its release: what the series changed and
//! when. A distribution that backports the series makes the number lie; the report shows both.

use std::fs;

/// The running kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// as uname(2) gives it
    pub name: String,
    /// id of the variant that models its allocator
    pub scheme: &'static str,
}

/// The running kernel's release.
pub fn running() -> Release {
    let name = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = name.trim().to_owned();
    Release { scheme: scheme(&name), name }
}

/// The variant that models the allocator of a release such as `6.12.117+deb13-amd64`.
pub fn scheme(release: &str) -> &'static str {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>());
    let mut next = || numbers.next().and_then(Result::ok);
    match (next(), next()) {
        (Some(major), Some(minor)) => match (major, minor) {
            (..=5, _) | (6, ..=11) => "pre-6.12",
            (6, 12 | 13) => "scanning",
            (6, 14) => "percluster",
            (6, 15..=17) => "percpu-free-first",
            _ => "percpu-cluster",
        },
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::scheme;

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
            ("7.3.4", "percpu-cluster"),
            ("later", "unknown"),
        ] {
            assert_eq!(scheme(release), expected, "{release}");
        }
    }
}
