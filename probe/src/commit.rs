//! The commit of the program that runs. Guards that a run names what was built, and not what lies
//! in the checkout now: a program may be copied, or started after the checkout has moved on.

use std::path::Path;
use std::sync::OnceLock;

use results::schema::{Environment, Reading};

use crate::checkout::Checkout;

/// What the build script of the program has left, and where it was built.
struct Built {
    commit: Reading<String>,
    dirty: Reading<bool>,
    dir: &'static str,
}

static BUILT: OnceLock<Built> = OnceLock::new();

/// Tells this crate what the program was built from: `SWAPSCALE_COMMIT` and `SWAPSCALE_DIRTY` of
/// its build script, and its directory. Call it once, first thing in `main`.
pub fn built(commit: &str, dirty: &str, dir: &'static str) {
    BUILT.get_or_init(|| Built::parse(commit, dirty, dir));
}

/// The commit that this program was built from, and whether its sources differed from it.
///
/// A program that has not called [`built`] (a bench, a test) takes them from the checkout: cargo
/// builds such a program before it runs it.
pub fn of_this_program() -> (Reading<String>, Reading<bool>) {
    match BUILT.get() {
        Some(built) => (built.commit.clone(), built.dirty.clone()),
        None => readings(Checkout::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))),
    }
}

/// Records the commit of this program; a note says if the checkout that it was built in has changed
/// since.
pub fn record(environment: &mut Environment) {
    (environment.commit, environment.dirty) = of_this_program();
    let note = BUILT.get().and_then(|built| built.moved_on(Checkout::at(Path::new(built.dir))));
    environment.notes.extend(note);
}

impl Built {
    /// A value is `+value`, or `-reason` where there is none.
    fn parse(commit: &str, dirty: &str, dir: &'static str) -> Self {
        let text = |text: &str| match text.split_at_checked(1) {
            Some(("+", value)) => Reading::Known(value.to_owned()),
            Some(("-", why)) => Reading::unknown(format!("at build time: {why}")),
            _ => Reading::unknown("the build script left nothing"),
        };
        let flag = |text: String| text.parse().map_err(|_| format!("'{text}' is no flag"));
        Self { commit: text(commit), dirty: text(dirty).and_then(flag), dir }
    }

    /// How the checkout differs `now`. A checkout that is gone, as on the machine to which a
    /// program was copied, says nothing.
    fn moved_on(&self, now: Checkout) -> Option<String> {
        let built = self.commit.known()?;
        let now_at = now.commit.ok()?;
        if *built != now_at {
            let short: String = now_at.chars().take(12).collect();
            return Some(format!("the checkout is at another commit than was built: {short}"));
        }
        match (self.dirty.known()?, now.dirty.ok()?) {
            (false, true) => Some("the checkout has changes that were not built".into()),
            (true, false) => Some("the checkout no longer has the changes that were built".into()),
            _ => None,
        }
    }
}

fn readings(checkout: Checkout) -> (Reading<String>, Reading<bool>) {
    fn reading<T>(value: Result<T, String>) -> Reading<T> {
        value.map_or_else(Reading::unknown, Reading::Known)
    }
    (reading(checkout.commit), reading(checkout.dirty))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn now(commit: Result<&str, &str>, dirty: Result<bool, &str>) -> Checkout {
        let commit = commit.map(str::to_owned).map_err(str::to_owned);
        Checkout { commit, dirty: dirty.map_err(str::to_owned) }
    }

    #[test]
    fn what_was_built_counts_and_a_checkout_that_moved_on_is_noted() {
        let built = |commit: &str, dirty: &str| Built::parse(commit, dirty, "/");
        let clean = built("+0123456789abcdef", "+false");
        assert_eq!(clean.commit, Reading::Known("0123456789abcdef".into()));
        assert_eq!(clean.dirty, Reading::Known(false));
        let same = || Ok("0123456789abcdef");
        assert_eq!(clean.moved_on(now(same(), Ok(false))), None);
        let other = clean.moved_on(now(Ok("fedcba9876543210"), Ok(false))).unwrap();
        assert!(other.ends_with(": fedcba987654"), "{other}");
        assert!(clean.moved_on(now(same(), Ok(true))).unwrap().contains("were not built"));
        let dirty = built("+0123456789abcdef", "+true");
        assert!(dirty.moved_on(now(same(), Ok(false))).unwrap().contains("no longer"));
        assert_eq!(dirty.moved_on(now(same(), Ok(true))), None);
        assert_eq!(clean.moved_on(now(Err("git: gone"), Err("git: gone"))), None, "copied");
        let none = built("-git: not a repository", "-git: not a repository");
        assert!(none.commit.to_string().contains("at build time: git: not a repository"));
        assert_eq!((none.dirty.known(), none.moved_on(now(same(), Ok(true)))), (None, None));
        assert_eq!(built("", "+perhaps").commit.known(), None);
        assert!(built("+a", "+perhaps").dirty.to_string().contains("'perhaps' is no flag"));
    }

    #[test]
    fn a_checkout_tells_its_commit_and_whether_it_is_dirty() {
        let dir = tempfile::tempdir().unwrap();
        let checkout = |dir: &Path| readings(Checkout::at(dir));
        let (commit, dirty) = checkout(dir.path());
        assert!(commit.to_string().contains("git: "), "{commit}");
        assert_eq!(dirty.known(), None);
        let git = |args: &[&str]| {
            let who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
            let out = Command::new("git").arg("-C").arg(dir.path()).args(who).args(args).output();
            out.is_ok_and(|out| out.status.success())
        };
        std::fs::create_dir(dir.path().join("below")).unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        if !(git(&["init", "-q"]) && git(&["add", "a"]) && git(&["commit", "-qm", "a"])) {
            return; // no git here: the first half is the answer
        }
        let (commit, dirty) = checkout(dir.path());
        assert_eq!(commit.known().map(String::len), Some(40));
        assert_eq!(dirty, Reading::Known(false));
        let (below, _) = checkout(&dir.path().join("below"));
        assert!(below.to_string().contains("another project's"), "{below}");
        std::fs::write(dir.path().join("a.md"), "1").unwrap();
        assert!(git(&["add", "a.md"]));
        assert_eq!(checkout(dir.path()).1, Reading::Known(false), "words about it");
        std::fs::write(dir.path().join("a"), "2").unwrap();
        assert_eq!(checkout(dir.path()).1, Reading::Known(true));
    }
}
