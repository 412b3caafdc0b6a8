//! A host made of a few files, for the tests of the probes.

use std::fs;

use tempfile::TempDir;

use super::Roots;

pub(super) struct Fixture {
    dir: TempDir,
    pub(super) roots: Roots,
}

impl Fixture {
    /// Files as (`proc/..` or `sys/..`, text).
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().join("proc"), sys: dir.path().join("sys") };
        let fixture = Self { dir, roots };
        files.iter().for_each(|(path, text)| fixture.put(path, text));
        fixture
    }

    pub(super) fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
}
