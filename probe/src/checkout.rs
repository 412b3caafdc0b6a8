//! The commit of a checkout, and whether its sources differ from that commit. The build script of
//! `swapscale` includes this file, so that what is built in and what is compared with it later are
//! found in the same way; it needs the standard library alone.

use std::path::Path;
use std::process::Command;

/// The files that can change the program: not the documents, and not the committed runs.
pub const SOURCES: &[&str] =
    &[":/", ":(top,exclude)*.md", ":(top,exclude)results/reference", ":(top,exclude)plots/gallery"];

/// What git says of the checkout whose top directory is `dir`; an error is the reason why it says
/// nothing.
pub struct Checkout {
    /// hash of HEAD
    pub commit: Result<String, String>,
    /// whether a tracked source differs from it
    pub dirty: Result<bool, String>,
}

impl Checkout {
    /// Asks git. Sources that were unpacked below another project's checkout have no commit.
    pub fn at(dir: &Path) -> Self {
        let top = git(dir, &["rev-parse", "--show-toplevel"]).and_then(|top| {
            let same = Path::new(&top).canonicalize().ok() == dir.canonicalize().ok();
            if same { Ok(()) } else { Err("git: the checkout is another project's".into()) }
        });
        if let Err(why) = top {
            return Self { commit: Err(why.clone()), dirty: Err(why) };
        }
        let changes = ["status", "--porcelain", "--untracked-files=no", "--"];
        Self {
            commit: git(dir, &["rev-parse", "--verify", "HEAD"]),
            dirty: git(dir, &[&changes, SOURCES].concat()).map(|changes| !changes.is_empty()),
        }
    }
}

/// The output of a git command in `dir`, or the first line of its complaint.
pub fn git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let mut git = Command::new("git");
    // Set inside hooks, where they name another repository.
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let out = git.arg("--no-optional-locks").arg("-C").arg(dir).args(args).output();
    let out = out.map_err(|error| format!("git: {error}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).trim_end().to_owned());
    }
    let message = String::from_utf8_lossy(&out.stderr);
    Err(format!("git: {}", message.lines().next().unwrap_or("failed")))
}
