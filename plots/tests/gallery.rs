//! Every picture that the README and the docs show was drawn from a committed run or validation,
//! and says from which. A race is of no run: `swapscale check` draws it, and checker/tests/check.rs
//! holds it against what is drawn now.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The pictures that a document shows.
fn shown(document: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(document).unwrap();
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pictures = targets.filter(|t| [".png", ".svg"].iter().any(|end| t.ends_with(end)));
    pictures.map(|t| document.parent().unwrap().join(t)).collect()
}

/// How a chart of a committed validation names it.
fn validations() -> Vec<String> {
    let places = root().join("results/reference").read_dir().unwrap();
    let files = places.map(|place| place.unwrap().path().join("validation.json"));
    let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
    let commit = |text: String| {
        let (_, rest) = text.split_once("\"commit\": \"")?;
        Some(format!("model: commit {}", &rest[..12]))
    };
    texts.filter_map(commit).collect()
}

#[test]
fn shown_pictures_are_of_committed_runs() {
    let places = ["results/reference", "results/reference/kernel"];
    let runs = places.iter().flat_map(|place| root().join(place).read_dir().unwrap());
    let name = |run: std::io::Result<std::fs::DirEntry>| run.unwrap().file_name();
    let runs = runs.map(|run| format!("run {}", name(run).into_string().unwrap()));
    let sources: Vec<String> = runs.chain(validations()).collect();
    let docs = root().join("docs").read_dir().unwrap().map(|doc| doc.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let pictures: Vec<PathBuf> =
        docs.chain([root().join("README.md")]).flat_map(|doc| shown(&doc)).collect();
    assert!(pictures.len() > 4, "{pictures:?}");
    let is_race = |picture: &PathBuf| {
        picture.file_name().is_some_and(|name| name.to_string_lossy().starts_with("race-"))
    };
    for picture in pictures.into_iter().filter(|picture| !is_race(picture)) {
        assert!(picture.is_file(), "{} is not there: make gallery", picture.display());
        let svg = std::fs::read_to_string(picture.with_extension("svg")).unwrap();
        let of = |source: &String| svg.contains(source);
        assert!(sources.iter().any(of), "{} names no committed run", picture.display());
    }
}
