//! The guest's initramfs: this program as init, the shared libraries that it has mapped right now,
//! the modules that a zram device needs, and the plan. Guards that the guest needs no other file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::Task;
use super::cpio::Archive;
use super::guest::{MODULES, PLAN};
use super::packages::Kernel;
use crate::live::Error;

/// zram and the modules that it may depend on in any configuration. The guest finds their order.
const WANTED: [&str; 8] = [
    "lz4_compress",
    "lz4hc_compress",
    "842_compress",
    "842_decompress",
    "lzo_compress",
    "zstd_compress",
    "zsmalloc",
    "zram",
];

/// An initramfs in a file without a name, so that nothing is left of it whatever ends this process.
pub struct Image(File);

impl Image {
    /// Writes the image of `kernel`, with the plan `task`.
    ///
    /// # Errors
    /// [`Error::System`] where a file cannot be read or the image not be written.
    pub fn build(kernel: &Kernel, task: &Task) -> Result<Image, Error> {
        let mut archive = Archive::default();
        for name in ["dev", "proc", "sys", "run", "lib", "lib64", "modules"] {
            archive.directory(name);
        }
        archive.device("dev/console", 5, 1);
        archive.program("init", &read(Path::new("/proc/self/exe"))?);
        for library in libraries()? {
            let name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let content = read(&library)?;
            archive.program(&format!("lib64/{name}"), &content);
            // The path of the loader is fixed in the program: lib64 on x86-64, lib on arm64.
            if name.starts_with("ld-") {
                archive.program(&format!("lib/{name}"), &content);
            }
        }
        for module in kernel.modules.iter().flat_map(|tree| modules(tree)) {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            archive.file(&format!("{}/{name}", &MODULES[1..]), &read(&module)?);
        }
        archive.file(&PLAN[1..], &serde_json::to_vec(task).expect("plain data"));
        let failed = Error::system(format!("cannot write the image of {}", kernel.name));
        let mut file = tempfile::tempfile().map_err(&failed)?;
        file.write_all(&archive.finish()).map_err(&failed)?;
        Ok(Image(file))
    }

    /// Where another process can open it, as long as this one lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(Error::system(format!("cannot read {}", path.display())))
}

/// The shared objects that this process has mapped: none in a static build.
fn libraries() -> Result<BTreeSet<PathBuf>, Error> {
    let maps = fs::read_to_string("/proc/self/maps");
    Ok(mapped(&maps.map_err(Error::system("cannot read /proc/self/maps"))?))
}

fn mapped(maps: &str) -> BTreeSet<PathBuf> {
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let objects = paths.filter(|path| path.contains(".so") && !path.contains(".cache"));
    objects.map(PathBuf::from).collect()
}

/// The wanted modules in a tree of modules, compressed or not.
fn modules(tree: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![tree.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().replace('-', "_");
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            } else if name.split_once(".ko").is_some_and(|(stem, _)| WANTED.contains(&stem)) {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_libraries_are_found_once_each() {
        let maps = "7f00-7f01 r--p 00000000 08:01 12 /usr/lib/libc.so.6\n\
                    7f01-7f02 r-xp 00001000 08:01 12 /usr/lib/libc.so.6\n\
                    7f02-7f03 r--p 00000000 08:01 13 /usr/lib/gconv-modules.cache\n\
                    7f03-7f04 rw-p 00000000 00:00 0 [heap]\n\
                    7f04-7f05 r-xp 00000000 08:01 14 /lib/ld-linux-x86-64.so.2\n";
        let names: Vec<_> = mapped(maps).into_iter().collect();
        assert_eq!(
            names,
            [PathBuf::from("/lib/ld-linux-x86-64.so.2"), PathBuf::from("/usr/lib/libc.so.6")]
        );
    }

    #[test]
    fn modules_are_found_compressed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("kernel/drivers/block/zram");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("zram.ko.xz"), "").unwrap();
        fs::write(deep.join("zsmalloc.ko.zst"), "").unwrap();
        fs::write(deep.join("brd.ko"), "").unwrap();
        fs::write(dir.path().join("lz4-compress.ko"), "").unwrap();
        let mut names: Vec<_> =
            modules(dir.path()).iter().map(|p| p.file_name().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(names, ["lz4-compress.ko", "zram.ko.xz", "zsmalloc.ko.zst"]);
    }
}
