//! A host made of a few files, for the tests of the probes.

use std::fs;

use tempfile::TempDir;

use super::Roots;

pub(super) struct Fixture {
    dir: TempDir,
    pub(super) roots: Roots,
}

impl Fixture {
    /// Files as (`proc/..`, `sys/..` or `etc/..`, text).
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [proc, sys, etc] = ["proc", "sys", "etc"].map(|name| dir.path().join(name));
        let roots = Roots { proc, sys, etc };
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
