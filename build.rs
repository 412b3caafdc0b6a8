//! Leaves the commit that is built to the program. It is the build script of this crate, since no
//! other crate depends on it: a commit rebuilds a few files of `src/`, and not the engine.

use std::path::Path;

#[path = "probe/src/checkout.rs"]
mod checkout;

fn main() {
    let dir = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let dir = Path::new(&dir);
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=probe/src/checkout.rs");
    let now = checkout::Checkout::at(dir);
    if now.commit.is_ok() {
        watch(dir);
    }
    let text = |value: Result<String, String>| match value {
        Ok(value) => format!("+{value}"),
        Err(why) => format!("-{}", why.replace(['\n', '\r'], " ")),
    };
    println!("cargo:rustc-env=SWAPSCALE_COMMIT={}", text(now.commit));
    println!("cargo:rustc-env=SWAPSCALE_DIRTY={}", text(now.dirty.map(|dirty| dirty.to_string())));
}

/// Runs this script again after a commit, a checkout, or a change of any tracked source. Without
/// the sources a program that is built again after an edit would still call itself clean.
fn watch(dir: &Path) {
    let git = |args: &[&str]| checkout::git(dir, args).unwrap_or_default();
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for file in ["HEAD", "index", "packed-refs", &branch] {
        let path = dir.join(git(&["rev-parse", "--git-path", file]));
        if !file.is_empty() && path.exists() {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
    let sources = git(&[&["ls-files", "-z", "--"], checkout::SOURCES].concat());
    for source in sources.split('\0').filter(|source| !source.is_empty()) {
        println!("cargo:rerun-if-changed={source}");
    }
}
