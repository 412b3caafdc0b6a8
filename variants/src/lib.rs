//! The swap allocators of Linux, one file per locking scheme, each written once over
//! [`machine::Machine`]. `allocator.rs` is the contract; `scanning.rs` (6.12, 6.13) and
//! `cluster.rs` with `percluster.rs` or `percpu_cluster.rs` (6.14 on) are the schemes of releases,
//! `per_device_table.rs` and `vswap.rs` proposed ones; the rest is what the schemes share. CONTRIBUTING.md follows one slot through each.
#![warn(missing_docs)]

pub mod allocator;
pub mod avail;
mod backing;
pub mod cache;
mod cached_in_table;
pub mod cluster;
pub mod cluster_info;
mod count;
pub mod device;
pub mod entry;
mod folio_struct;
mod hibernation;
mod invariants;
mod layer;
pub mod neighbours;
pub mod owners;
pub mod per_device_table;
pub mod percluster;
mod percpu;
pub mod percpu_cluster;
pub mod prices;
pub mod registry;
pub mod scanning;
mod slot_bytes;
mod slot_cache;
pub mod spec;
mod swap;
pub mod swap_map;
pub mod swap_table;
pub mod swapoff;
mod table_life;
pub mod tiers;
mod unuse;
pub mod vswap;
mod xarray;

pub use allocator::{EntrySite, Leaves, Steps, SwapAllocator, SwapoffError};
pub use count::DupError;
pub use device::Stats;
pub use entry::{Slot, SwpEntry};
pub use owners::{Owners, UnuseMeets};
pub use prices::Prices;
pub use spec::{DeviceSpec, FailedTables, SWAPFILE_CLUSTER, SlotCacheSpec, Spec};
pub use swap::{Folio, Swap, SwapInError};
pub use table_life::Churn;
