//! Kernels to boot: fetched with the distribution's own tools, or given by path. Guards the host's
//! packages: apt's configuration is private to the cache directory, and the host's is neither read
//! nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use variants::registry::scheme_of;

use crate::live::Error;

/// A kernel to boot.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// its release, or the name of the file
    pub name: String,
    /// bzImage or vmlinuz
    pub image: PathBuf,
    /// directory of its modules; none where zram is built in
    pub modules: Option<PathBuf>,
}

impl Kernel {
    /// The id of the variant that models its allocator.
    pub fn scheme(&self) -> &'static str {
        scheme_of(&self.name)
    }
}

/// A kernel that the user has built.
///
/// # Errors
/// [`Error::Refused`] where `image` is no file.
pub fn given(image: &Path, modules: Option<&Path>) -> Result<Kernel, Error> {
    let name = image.file_name().map(|name| name.to_string_lossy().into_owned());
    match name {
        Some(name) if image.is_file() => {
            Ok(Kernel { name, image: image.into(), modules: modules.map(Into::into) })
        }
        _ => Err(Error::Refused(format!("--kernel {}: not a file", image.display()))),
    }
}

/// Makes the names unique, since they are file names too: two kernels called bzImage become
/// bzImage-1 and bzImage-2.
pub fn tell_apart(kernels: &mut [Kernel]) {
    let names: Vec<String> = kernels.iter().map(|kernel| kernel.name.clone()).collect();
    for (index, kernel) in kernels.iter_mut().enumerate() {
        if names.iter().filter(|name| **name == kernel.name).count() > 1 {
            let before = names[..=index].iter().filter(|name| **name == names[index]).count();
            kernel.name = format!("{}-{before}", kernel.name);
        }
    }
}

/// The directory of the downloaded and unpacked packages.
pub fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(|| "/tmp".into()).join("swapscale/lab")
}

/// The newest packaged kernel of a series such as `6.12`, or the release `6.18.15`. One that is in
/// `cache` already is used without asking the mirror.
///
/// # Errors
/// [`Error::Refused`] where the mirror has no such kernel or a tool fails, [`Error::System`] where
/// a tool cannot be run.
pub fn fetch(version: &str, cache: &Path) -> Result<Kernel, Error> {
    if let Some(kernel) = unpacked(version, cache) {
        return Ok(kernel);
    }
    let apt = Apt::new(cache)?;
    let names =
        apt.run("apt-cache", &["search", "--names-only", "^linux-image-[0-9].*cloud-amd64$"])?;
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    let package = newest(&names, version).ok_or_else(|| {
        Error::Refused(format!(
            "{version}: the package mirror has no such cloud kernel; it has {}",
            series(&names)
        ))
    })?;
    let release = &package[PREFIX.len()..];
    // From 7.x on, some packages are split; all parts that exist are fetched.
    let known = apt.run("apt-cache", &["pkgnames", "linux-"])?;
    for part in ["linux-image", "linux-binary", "linux-modules"] {
        let part = format!("{part}-{release}");
        if known.lines().any(|name| name == part) {
            apt.run("apt-get", &["download", &part])?;
        }
    }
    let target = cache.join(release);
    for file in files(cache, &format!("{release}_"), ".deb") {
        apt.run("dpkg-deb", &["-x", &file.to_string_lossy(), &target.to_string_lossy()])?;
        let _ = fs::remove_file(file);
    }
    kernel(release, cache)
        .ok_or_else(|| Error::Refused(format!("{package}: no kernel in {}", target.display())))
}

const PREFIX: &str = "linux-image-";

fn unpacked(version: &str, cache: &Path) -> Option<Kernel> {
    let names = files(cache, "", "").into_iter().filter(|path| path.join("boot").is_dir());
    let names: Vec<String> =
        names.filter_map(|path| Some(format!("{PREFIX}{}", path.file_name()?.to_str()?))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    kernel(&newest(&names, version)?[PREFIX.len()..], cache)
}

fn kernel(release: &str, cache: &Path) -> Option<Kernel> {
    let root = cache.join(release);
    let image = root.join(format!("boot/vmlinuz-{release}"));
    let trees = ["usr/lib/modules", "lib/modules"].map(|dir| root.join(dir).join(release));
    let modules = trees.into_iter().find(|tree| tree.is_dir());
    image.is_file().then(|| Kernel { name: release.into(), image, modules })
}

/// Entries of `dir` whose names contain `part` and end with `end`.
fn files(dir: &Path, part: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains(part) && name.ends_with(end)
    };
    entries.map(|entry| entry.path()).filter(named).collect()
}

/// The package of the highest release that begins with `version`.
fn newest<'a>(names: &[&'a str], version: &str) -> Option<&'a str> {
    let wanted = |name: &&&str| {
        let release = name.strip_prefix(PREFIX)?;
        let rest = release.strip_prefix(version)?;
        rest.starts_with(['.', '+', '-']).then_some(())
    };
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    let found = names.iter().filter(|name| wanted(name).is_some());
    found.max_by_key(|name| numbers(name)).copied()
}

/// The series among the packages, as `6.12, 6.16, ...`.
fn series(names: &[&str]) -> String {
    let mut series: Vec<(u64, u64)> = names
        .iter()
        .filter_map(|name| {
            let mut numbers = name.strip_prefix(PREFIX)?.split('.');
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
        .collect();
    series.sort_unstable();
    series.dedup();
    series.iter().map(|(a, b)| format!("{a}.{b}")).collect::<Vec<_>>().join(", ")
}

/// apt with its own lists, sources and state.
struct Apt {
    cache: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(cache: &Path) -> Result<Apt, Error> {
        let apt = cache.join("apt");
        let failed = Error::system(format!("cannot make {}", apt.display()));
        for dir in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.join(dir)).map_err(&failed)?;
        }
        let sources = apt.join("sources.list");
        let lines = [
            ("debian", "trixie"),
            ("debian", "trixie-backports"),
            ("debian-security", "trixie-security"),
        ]
        .map(|(archive, suite)| {
            format!("deb [signed-by={KEYRING}] http://deb.debian.org/{archive} {suite} main\n")
        });
        fs::write(&sources, lines.concat()).map_err(failed)?;
        let path = |name: &str| apt.join(name).display().to_string();
        let options = [
            format!("Dir::State::Lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=/dev/null".into(),
            "Dir::Etc::PreferencesParts=/dev/null".into(),
            "Dir::State::Status=/dev/null".into(),
            "APT::Sandbox::User=root".into(),
        ];
        let options = options.into_iter().flat_map(|o| ["-o".into(), o]).collect();
        let apt = Apt { cache: cache.into(), options };
        apt.run("apt-get", &["update", "-q"])?;
        Ok(apt)
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(program);
        if program.starts_with("apt") {
            command.args(&self.options);
        }
        let output = command.args(args).current_dir(&self.cache).output();
        let output = output.map_err(Error::system(format!(
            "cannot run {program}; without a Debian's tools give --kernel"
        )))?;
        if !output.status.success() {
            let messages = String::from_utf8_lossy(&output.stderr);
            let last = messages.lines().last().unwrap_or_default();
            return Err(Error::Refused(format!("{program} {}: {last}", args.join(" "))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = [
        "linux-image-6.12.90+deb13-cloud-amd64",
        "linux-image-6.12.117+deb13-cloud-amd64",
        "linux-image-6.16.3+deb13-cloud-amd64",
        "linux-image-6.1.3+deb12-cloud-amd64",
        "linux-image-7.2.11+deb13-cloud-amd64",
    ];

    #[test]
    fn the_newest_of_a_series_is_chosen_by_number() {
        assert_eq!(newest(&NAMES, "6.12"), Some(NAMES[1]));
        assert_eq!(newest(&NAMES, "6.12.90"), Some(NAMES[0]));
        assert_eq!(newest(&NAMES, "6.1"), Some(NAMES[3]));
        assert_eq!(newest(&NAMES, "6.14"), None);
        assert_eq!(series(&NAMES), "6.1, 6.12, 6.16, 7.2");
    }

    #[test]
    fn kernels_of_one_name_are_told_apart() {
        let kernel = |name: &str| Kernel { name: name.into(), image: "".into(), modules: None };
        let mut kernels = ["6.12.1", "bzImage", "bzImage"].map(kernel);
        tell_apart(&mut kernels);
        assert_eq!(kernels.map(|kernel| kernel.name), ["6.12.1", "bzImage-1", "bzImage-2"]);
    }

    #[test]
    fn what_was_unpacked_needs_no_mirror() {
        let dir = tempfile::tempdir().unwrap();
        let release = "6.12.117+deb13-cloud-amd64";
        let boot = dir.path().join(release).join("boot");
        fs::create_dir_all(&boot).unwrap();
        fs::write(boot.join(format!("vmlinuz-{release}")), "").unwrap();
        let kernel = fetch("6.12", dir.path()).unwrap();
        assert_eq!((kernel.name.as_str(), kernel.scheme()), (release, "scanning"));
        assert_eq!(kernel.modules, None);
    }
}
