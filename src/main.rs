//! The `swapscale` command.

fn main() {}
