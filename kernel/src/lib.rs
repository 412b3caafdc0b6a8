//! Measurements of a real kernel's own swap allocator: of the running kernel by the live driver, of
//! other kernels in QEMU by the lab. Guards the rest of the project from root and from system calls
//! that only Linux has.
#![cfg(target_os = "linux")]

pub mod lab;
pub mod live;
pub mod prices;
