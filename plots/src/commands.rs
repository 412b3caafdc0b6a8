//! `commands.txt` beside pictures: for each picture its words and how to repeat it. Guards that a
//! picture's small print can be short, and that a directory that is drawn in several calls has one
//! complete file.

use std::collections::BTreeMap;
use std::path::Path;

use results::store::Loaded;

use crate::PlotError;
use crate::scene::Scene;

/// The file's name.
pub const FILE: &str = "commands.txt";

const HEAD: &str =
    "The pictures of this directory: their words, and the commands that repeat them.\n";

/// What is said of one picture.
#[derive(Clone)]
pub struct Entry {
    /// Its file name without the ending.
    pub stem: String,
    lines: Vec<String>,
}

impl Entry {
    pub fn new(stem: &str, scene: &Scene) -> Entry {
        let lines = scene.words.iter().flat_map(|words| words.lines());
        let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        Entry { stem: stem.into(), lines: vec![format!("alt: {}", words.join(". "))] }
    }

    /// The runs that are shown, and the command that draws the picture from them.
    pub fn of_runs(mut self, runs: &[&Loaded]) -> Entry {
        for run in runs {
            self.lines.push(format!("run {}: {}", run.run.id, run.run.command));
        }
        let dirs: Vec<String> = runs.iter().map(|run| run.dir.display().to_string()).collect();
        if !dirs.is_empty() {
            self.lines.push(format!(
                "draw: swapscale plot {} --only {}",
                dirs.join(" "),
                self.stem
            ));
        }
        self
    }

    pub fn of_command(mut self, command: &str) -> Entry {
        self.lines.push(format!("run: {command}"));
        self
    }
}

/// Writes `entries` into the file of `dir`, in place of those of the same pictures. Entries of pictures
/// that are gone leave it.
pub fn write(dir: &Path, entries: Vec<Entry>) -> Result<(), PlotError> {
    let path = dir.join(FILE);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut all: BTreeMap<String, String> = read(&before);
    all.retain(|stem, _| dir.join(format!("{stem}.svg")).is_file());
    for Entry { stem, lines } in entries {
        // A control character of a hostile name must not begin an entry of its own.
        let line = |text: &String| format!("  {}\n", text.replace(char::is_control, " "));
        all.insert(stem, lines.iter().map(line).collect());
    }
    let blocks = all.iter().map(|(stem, text)| format!("\n{stem}\n{text}"));
    let text = HEAD.to_owned() + &blocks.collect::<String>();
    std::fs::write(&path, text).map_err(|e| PlotError::write(&path, e))
}

/// The entries of a file by picture.
fn read(text: &str) -> BTreeMap<String, String> {
    let blocks = text.split("\n\n").skip(1);
    let block = |block: &str| {
        let (stem, lines) = block.split_once('\n')?;
        Some((stem.to_owned(), format!("{}\n", lines.trim_end())))
    };
    blocks.filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::README;

    #[test]
    fn a_second_call_adds_to_the_first_and_forgets_what_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |stem: &str, title: &str| {
            let mut scene = Scene::new(README);
            scene.words = [title.to_owned(), "two CPUs".into()];
            std::fs::write(dir.path().join(format!("{stem}.svg")), "").unwrap();
            Entry::new(stem, &scene).of_command("swapscale validate")
        };
        let text = || std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        write(dir.path(), vec![entry("b", "old"), entry("c", "other")]).unwrap();
        write(dir.path(), vec![entry("a", "first"), entry("b", "new\n\nbroken")]).unwrap();
        let blocks = "\na\n  alt: first. two CPUs\n  run: swapscale validate\n\
                      \nb\n  alt: new. broken. two CPUs\n  run: swapscale validate\n\
                      \nc\n  alt: other. two CPUs\n  run: swapscale validate\n";
        assert_eq!(text(), HEAD.to_owned() + blocks);
        std::fs::remove_file(dir.path().join("c.svg")).unwrap();
        write(dir.path(), Vec::new()).unwrap();
        assert!(!text().contains("other") && text().contains("first"));
    }
}
