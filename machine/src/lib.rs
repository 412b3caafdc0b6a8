//! The machines that a variant runs on. A swap allocator is written once, generic over [`Machine`],
//! and then measured ([`Native`]), predicted ([`Simulated`]) and model-checked
//! ([`Checked`](checked::Checked)). The machine owns everything that touches shared state: atomics,
//! plain memory, locks, RCU, clock and CPUs.

#![warn(missing_docs)]

pub mod affinity;
pub mod checked;
mod contract;
pub mod fault;
mod frame;
pub mod lock;
pub mod native;
pub mod percpu_ref;
pub mod rcu;
pub mod region;
pub mod simulated;
mod system;
pub mod topology;
mod word;

pub use contract::{Atomic, Cpu, Extent, Failure, Machine, Outcome, Phase, Plain, RawLock, Word};
pub use frame::Frame;
pub use lock::{Guard, Site, SiteStats, SpinLock};
pub use native::Native;
pub use percpu_ref::PercpuRef;
pub use region::{Fields, Kept, PerCpu, Region};
pub use simulated::Simulated;
pub use system::System;
