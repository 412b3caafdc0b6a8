//! The checker: explores variants, and the machine's own locks and references, in small scenarios,
//! holds every execution against the invariants, and draws a failure as a race diagram.
//! docs/catalogue.md has the numbers of invariants and bugs (I1, #11) with their sources.

mod case;
mod cases;
mod columns;
pub mod diagram;
mod example;
pub mod faults;
mod invariant;
mod machinery;
mod picture;
pub mod scenario;
mod scenarios;
mod slice;
mod timeline;
mod words;

pub use case::{Case, Effort, Explore, Finding, Verdict};
pub use cases::cases;
pub use example::{barrier_waits, beside};
pub use invariant::{Invariant, hold, ignore};
pub use scenarios::SCENARIOS;
pub use timeline::Order;
