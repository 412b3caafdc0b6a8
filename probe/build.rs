//! Leaves the compiler's version to the program: every result names what built it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().map(|out| out.stdout);
    let version = version.unwrap_or_default();
    println!("cargo:rustc-env=SWAPSCALE_RUSTC={}", String::from_utf8_lossy(&version).trim());
}
