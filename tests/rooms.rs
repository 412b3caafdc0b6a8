//! Which crate may import which: docs/design.md says it, `cargo metadata` says what is so. Guards
//! the layering, and the oldest compiler that `rust-version` promises.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use results::scheme::{HISTORY, variation_of};
use serde_json::Value;
use variants::registry::{VARIANTS, find};

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The rows `| crate | may import |` of docs/design.md.
fn written() -> Imports {
    let design = include_str!("../docs/design.md");
    let rows = design.lines().skip_while(|line| !line.starts_with("| crate | may import |"));
    let names = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(names);
        let (first, imports) = (cells.next()?.pop()?, cells.next()?);
        Some((first, imports.into_iter().collect()))
    };
    rows.skip(2).map_while(row).collect()
}

fn metadata(args: &[&str]) -> Value {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let base = ["metadata", "--format-version", "1", "--locked"];
    let output = Command::new(cargo)
        .args(base)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// What each crate of the workspace imports of the others, tests and benches included.
fn real() -> Imports {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(&name).collect();
    let imports = |package: &Value| {
        let all = package["dependencies"].as_array().expect("dependencies").iter().map(&name);
        (name(package), all.filter(|import| ours.contains(import)).collect())
    };
    packages.iter().map(imports).collect()
}

#[test]
fn crates_import_what_the_design_says() {
    let (written, real) = (written(), real());
    assert!(written.len() > 5, "docs/design.md has no table of imports");
    for (name, imports) in &real {
        let allowed = written.get(name).unwrap_or_else(|| panic!("docs/design.md: no row {name}"));
        assert_eq!(imports, allowed, "`{name}`: its Cargo.toml, and its row in docs/design.md");
    }
    assert_eq!(written.len(), real.len(), "docs/design.md has a row of a crate that is not there");
}

/// A promise that `cargo check` at that version can break, but cargo itself can already refute.
#[test]
fn no_dependency_asks_for_a_newer_compiler() {
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let version = |package: &Value| -> Option<(u32, u32)> {
        let mut numbers = package["rust_version"].as_str()?.split('.').map(|n| n.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    let mine = packages.iter().find(|package| package["name"] == "swapscale").and_then(version);
    let mine = mine.expect("the workspace has a rust-version");
    let newer = packages.iter().filter(|package| version(package) > Some(mine));
    let newer: Vec<String> = newer.map(|p| format!("{} {:?}", p["name"], version(p))).collect();
    assert!(newer.is_empty(), "rust-version is {mine:?}, but {newer:?}");
}

/// Results know the kernel's history by name alone; the registry has the schemes.
#[test]
fn the_history_of_results_is_that_of_the_registry() {
    let released = VARIANTS.iter().filter(|variant| !variant.releases.is_empty());
    let names: Vec<&str> = released.map(|variant| variant.name).collect();
    assert_eq!(HISTORY.map(|(name, _)| name).to_vec(), names);
    for (name, release) in HISTORY {
        assert_eq!(find(release).map(|variant| variant.name), Some(name), "{release}");
    }
    for variant in VARIANTS.iter().filter(|variant| variant.ablation) {
        assert!(variation_of(variant.name).is_some(), "{}", variant.name);
    }
}
