//! Kernels to boot: fetched as packages, or given by path. Guards the cache: a kernel is in it with
//! its modules, or not at all, also after a lab that was killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use variants::registry::scheme_of;

use super::apt::Apt;
use crate::live::{self, Error};

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
/// [`Error::Refused`] where the mirror has no such kernel, a tool fails, or kernel or modules are
/// in none of the known places; [`Error::System`] where a tool cannot be run;
/// [`Error::Interrupted`] after a signal.
pub fn fetch(version: &str, cache: &Path) -> Result<Kernel, Error> {
    live::catch_signals();
    let failed = Error::system(format!("cannot write to {}", cache.display()));
    fs::create_dir_all(cache).map_err(&failed)?;
    let lock = File::create(cache.join("lock")).map_err(&failed)?;
    let locked = lock.lock();
    live::check_stop()?;
    locked.map_err(&failed)?;
    if let Some(kernel) = unpacked(version, cache) {
        return Ok(kernel);
    }
    // Under the lock only a killed lab can have left it.
    let scratch = cache.join("unpacking");
    let clear = || match fs::remove_dir_all(&scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    };
    clear()?;
    fs::create_dir(&scratch).map_err(&failed)?;
    let release = download(version, cache, &scratch);
    let kept = release.and_then(|release| keep(&release, &scratch.join("root"), cache));
    clear()?;
    kept
}

const PREFIX: &str = "linux-image-";

/// Downloads the packages of the newest kernel of `version` and unpacks them to `root` in
/// `scratch`. Returns its release.
fn download(version: &str, cache: &Path, scratch: &Path) -> Result<String, Error> {
    let apt = Apt::new(cache, scratch)?;
    let names = apt.names("^linux-image-[0-9].*cloud-amd64$")?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let package = newest(&names, version).ok_or_else(|| {
        Error::Refused(format!(
            "{version}: the package mirror has no such cloud kernel; it has {}",
            series(&names)
        ))
    })?;
    let release = &package[PREFIX.len()..];
    // From 6.19 on the image is an empty package that depends on its parts.
    let parts = ["linux-binary", "linux-modules"].map(|part| format!("{part}-{release}"));
    apt.download(package, &parts)?;
    for file in files(scratch).filter(|file| file.extension().is_some_and(|end| end == "deb")) {
        apt.run("dpkg-deb", &["-x", &file.to_string_lossy(), "root"])?;
    }
    Ok(release.to_owned())
}

/// Moves the unpacked packages at `root` into the cache, if a guest can be made of them.
fn keep(release: &str, root: &Path, cache: &Path) -> Result<Kernel, Error> {
    located(release, root).map_err(Error::Refused)?;
    let target = cache.join(release);
    // What stands there has no modules, or it would have been used.
    let _ = fs::remove_dir_all(&target);
    fs::rename(root, &target)
        .map_err(Error::system(format!("cannot make {}", target.display())))?;
    located(release, &target).map_err(Error::Refused)
}

fn unpacked(version: &str, cache: &Path) -> Option<Kernel> {
    let complete = files(cache).filter_map(|root| {
        let release = root.file_name()?.to_str()?.to_owned();
        located(&release, &root).is_ok().then(|| format!("{PREFIX}{release}"))
    });
    let names: Vec<String> = complete.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let release = &newest(&names, version)?[PREFIX.len()..];
    located(release, &cache.join(release)).ok()
}

/// The kernel and its modules in packages that were unpacked at `root`. Debian has the kernel in
/// `boot` up to 7.1 and beside its modules from 7.2 on, and the modules in `lib/modules` before
/// the merge of /usr and in `usr/lib/modules` after it.
///
/// # Errors
/// Says which of the two is missing, and where it was looked for.
fn located(release: &str, root: &Path) -> Result<Kernel, String> {
    let first = |what: &str, places: &[String], there: fn(&Path) -> bool| {
        let found = places.iter().map(|place| root.join(place)).find(|path| there(path));
        found.ok_or_else(|| {
            format!("{release}: no {what} in the package; looked for {}", places.join(", "))
        })
    };
    let trees = ["usr/lib/modules", "lib/modules"].map(|dir| format!("{dir}/{release}"));
    let mut images = vec![format!("boot/vmlinuz-{release}")];
    images.extend(trees.iter().map(|tree| format!("{tree}/vmlinuz")));
    let image = first("kernel", &images, |path| path.is_file())?;
    // The tree of the kernel's own file can be there without any module.
    let modules = first("modules", &trees, |path| path.join("kernel").is_dir())?;
    Ok(Kernel { name: release.into(), image, modules: Some(modules) })
}

/// The entries of `dir`.
fn files(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
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

    const RELEASE: &str = "6.12.117+deb13-cloud-amd64";

    /// A cache that holds `files` of one release.
    fn cached(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(RELEASE).join(file.replace('*', RELEASE));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn kernel_and_modules_are_found_in_each_layout() {
        const ZRAM: &str = "modules/*/kernel/drivers/block/zram/zram.ko";
        let (old, merged) = (format!("lib/{ZRAM}"), format!("usr/lib/{ZRAM}.xz"));
        for (image, modules) in [
            ("boot/vmlinuz-*", &old),
            ("boot/vmlinuz-*", &merged),
            ("usr/lib/modules/*/vmlinuz", &merged),
            ("usr/lib/modules/*/vmlinuz", &old),
            ("lib/modules/*/vmlinuz", &old),
        ] {
            let dir = cached(&[image, modules]);
            let kernel = unpacked("6.12", dir.path()).expect(image);
            assert_eq!(fetch("6.12", dir.path()).unwrap(), kernel, "without the mirror");
            let root = dir.path().join(RELEASE);
            assert_eq!((kernel.name.as_str(), kernel.scheme()), (RELEASE, "scanning"));
            assert_eq!(kernel.image, root.join(image.replace('*', RELEASE)));
            let tree = modules.split_once("/kernel").unwrap().0.replace('*', RELEASE);
            assert_eq!(kernel.modules, Some(root.join(tree)));
        }
    }

    #[test]
    fn a_kernel_without_modules_is_not_in_the_cache() {
        let only = "usr/lib/modules/*/vmlinuz";
        let dir = cached(&[only, "usr/lib/modules/*/modules.order"]);
        let why = located(RELEASE, &dir.path().join(RELEASE)).unwrap_err();
        assert!(why.starts_with("6.12.117+deb13-cloud-amd64: no modules in the package"), "{why}");
        assert_eq!(unpacked("6.12", dir.path()), None);
        // The complete one takes its place.
        let new = cached(&[only, "usr/lib/modules/*/kernel/zram.ko"]);
        let kernel = keep(RELEASE, &new.path().join(RELEASE), dir.path()).unwrap();
        assert_eq!(unpacked("6.12", dir.path()), Some(kernel));
        let why = keep(RELEASE, &new.path().join("boot"), dir.path()).unwrap_err().to_string();
        assert!(why.contains("no kernel in the package; looked for boot/vmlinuz-6.12"), "{why}");
    }
}
