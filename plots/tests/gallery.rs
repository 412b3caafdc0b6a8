//! Every picture that the README and the docs show was drawn from a committed run, and
//! says from which.

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

#[test]
fn shown_pictures_are_of_committed_runs() {
    let places = ["results/reference", "results/reference/kernel"];
    let runs = places.iter().flat_map(|place| root().join(place).read_dir().unwrap());
    let runs: Vec<String> =
        runs.map(|run| run.unwrap().file_name().into_string().unwrap()).collect();
    let docs = root().join("docs").read_dir().unwrap().map(|doc| doc.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let pictures: Vec<PathBuf> =
        docs.chain([root().join("README.md")]).flat_map(|doc| shown(&doc)).collect();
    assert!(pictures.len() > 4, "{pictures:?}");
    for picture in pictures {
        assert!(picture.is_file(), "{} is not there: make gallery", picture.display());
        let svg = std::fs::read_to_string(picture.with_extension("svg")).unwrap();
        let of = |run: &String| svg.contains(&format!("run {run}"));
        assert!(runs.iter().any(of), "{} names no committed run", picture.display());
    }
}
