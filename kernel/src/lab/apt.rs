//! Debian's kernel packages, by apt with lists, sources and state of its own. Guards the host's
//! packages: the host's configuration is neither read nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::live::{self, Error};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where the archive keeps packages that its index no longer lists.
const POOL: &str = "https://deb.debian.org/debian/pool/main/l/linux";

/// apt with its own directory.
pub struct Apt {
    options: Vec<String>,
    /// where the tools run, so where packages are put
    work: PathBuf,
}

impl Apt {
    /// Makes the configuration below `cache`, and reads the mirror's index. Packages will be put
    /// into `work`, which must be there.
    ///
    /// # Errors
    /// As [`Apt::run`], and [`Error::System`] where a file cannot be written.
    pub fn new(cache: &Path, work: &Path) -> Result<Apt, Error> {
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
        let apt = Apt { options, work: work.into() };
        apt.run("apt-get", &["update", "-q"])?;
        Ok(apt)
    }

    /// The names of the packages that match `pattern`.
    ///
    /// # Errors
    /// As [`Apt::run`].
    pub fn names(&self, pattern: &str) -> Result<Vec<String>, Error> {
        let found = self.run("apt-cache", &["search", "--names-only", pattern])?;
        Ok(found.lines().filter_map(|line| line.split(' ').next()).map(Into::into).collect())
    }

    /// Downloads `package` and those of `parts` that it depends on.
    ///
    /// # Errors
    /// As [`Apt::run`].
    pub fn download(&self, package: &str, parts: &[String]) -> Result<(), Error> {
        let about = self.run("apt-cache", &["show", "--no-all-versions", package])?;
        self.run("apt-get", &["download", package])?;
        let listed = self.run("apt-cache", &["pkgnames", "linux-"])?;
        for (part, version) in needed(&about, parts) {
            if listed.lines().any(|name| name == part) {
                self.run("apt-get", &["download", part])?;
            } else {
                // Debian's index drops the modules of a kernel when a newer one comes, and keeps
                // the kernel. The file stays in the pool for longer. Its hash is in no index, so
                // it comes by HTTPS.
                let file = format!("{part}_{version}_amd64.deb");
                let (from, to) = (format!("{POOL}/{file}"), self.work.join(file));
                let to = to.display().to_string();
                self.run("/usr/lib/apt/apt-helper", &["download-file", &from, &to])?;
            }
        }
        Ok(())
    }

    /// Runs one of the tools and returns what it printed.
    ///
    /// # Errors
    /// [`Error::Refused`] with the tool's last line where it fails, [`Error::System`] where it
    /// cannot be run, [`Error::Interrupted`] after a signal.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(program);
        if program.contains("apt") {
            command.args(&self.options);
        }
        live::die_with_us(&mut command);
        let output = command.args(args).current_dir(&self.work).output();
        live::check_stop()?;
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

/// Those of `parts` that the package of this record depends on, each with the version it asks for:
/// `Depends: linux-modules-7.0.13+deb13-cloud-amd64 (= 7.0.13-1~bpo13+1), ..`.
fn needed<'a>(record: &'a str, parts: &[String]) -> Vec<(&'a str, &'a str)> {
    let depends = record.lines().find_map(|line| line.strip_prefix("Depends: "));
    let each = depends.unwrap_or_default().split(", ").filter_map(|one| one.split_once(" (= "));
    let each = each.map(|(name, version)| (name, version.trim_end_matches(')')));
    each.filter(|(name, _)| parts.iter().any(|part| part == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::needed;

    /// From `apt-cache show`, in November 2026.
    const SPLIT: &str = "Package: linux-image-7.0.13+deb13-cloud-amd64\n\
        Version: 7.0.13-1~bpo13+1\n\
        Depends: dracut | linux-initramfs-tool, linux-base-7.0.13+deb13-cloud-amd64 \
        (= 7.0.13-1~bpo13+1), linux-binary-7.0.13+deb13-cloud-amd64 (= 7.0.13-1~bpo13+1), \
        linux-modules-7.0.13+deb13-cloud-amd64 (= 7.0.13-1~bpo13+1)\nSize: 1920\n";

    #[test]
    fn parts_are_those_that_the_image_depends_on() {
        let part = |name: &str| format!("{name}-7.0.13+deb13-cloud-amd64");
        let (binary, modules) = (part("linux-binary"), part("linux-modules"));
        let version = "7.0.13-1~bpo13+1";
        assert_eq!(
            needed(SPLIT, &[modules.clone(), binary.clone()]),
            [(binary.as_str(), version), (modules.as_str(), version)]
        );
        let whole = "Package: linux-image-6.16.12+deb13-cloud-amd64\nDepends: kmod\n";
        assert_eq!(needed(whole, &[modules, binary]), []);
    }
}
