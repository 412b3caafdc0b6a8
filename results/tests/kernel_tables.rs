//! The committed tables of kernels, `plots/gallery/kernel`, are what the committed runs in
//! `reference/kernel` give.
//!
//! To write them anew: `UPDATE_GOLDEN=1 cargo test -p results --test kernel_tables`.

use std::path::{Path, PathBuf};

use results::against::against;
use results::lab;
use results::store::{self, Loaded};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn runs() -> Vec<Loaded> {
    store::load_all(&[here("reference/kernel")]).unwrap()
}

fn committed(name: &str, text: &str) {
    let path = here("../plots/gallery/kernel").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "{name} has changed; see the head of this file\n{text}");
}

#[test]
fn the_labs_report_is_that_of_its_runs() {
    let runs = lab::runs(runs());
    assert_eq!(runs.len(), 3);
    let mail = lab::report(&runs, &[]).mail();
    // The step that kprobes cannot cut stands where it happens, not at the end.
    let steps: Vec<&str> =
        mail.lines().filter_map(|line| line.trim().strip_prefix("step ")).collect();
    let at = |name: &str| steps.iter().position(|line| line.starts_with(name)).unwrap();
    assert!(at("block") < at("barrier, unuse") && at("barrier, unuse") < at("grace period"));
    committed("lab.txt", &mail);
}

#[test]
fn model_against_kernel_is_that_of_its_runs() {
    let all = against(&runs()).unwrap();
    assert!(all.len() > 3);
    for against in all {
        let document = against.document();
        committed(&format!("{}.txt", against.stem()), &document.mail());
        committed(&format!("{}.md", against.stem()), &document.markdown());
    }
}
