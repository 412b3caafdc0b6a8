//! A real kernel's own swap allocator, measured: the running one by the live driver, others
//! booted in QEMU by the lab. Guards the rest of the project from libc and root: Linux only.
#![cfg(target_os = "linux")]

pub mod lab;
pub mod live;
