//! Locks: the list of kinds, each written once over [`Machine`](crate::Machine) in a file of its
//! own, and what surrounds every acquisition of any kind: order check and site accounting. Guards
//! that a lock in the list is everywhere: on every machine, in every command, in every test of
//! locks. All lock words are four bytes, so that what they protect has the same layout under each.

mod accounting;
mod intervals;
mod local;
mod nodes;
mod order;
mod posted;
mod sites;
mod spin;

pub use crate::contract::{LockKind, RawLock, Token};
pub use accounting::SiteStats;
pub use intervals::Intervals;
pub use local::{Local, NESTING};
pub use nodes::Nodes;
pub use order::Order;
pub use posted::Posted;
pub use sites::Site;
pub use spin::{Guard, SpinLock};

/// Makes a list of locks from rows `file::Type, "what it is";`: declares the files as modules, and
/// exports the types, `KINDS` and `with_lock!`. A lock's name is that of its file. A crate has at
/// most one such list, in its module `lock`: this one has it below, a test has one with a toy.
///
/// ```text
/// locks! {
///     in crate::lock:
///     tas::Tas, "test-and-test-and-set";
/// }
/// assert_eq!(KINDS, [("tas", "test-and-test-and-set")]);
/// let name = with_lock!("tas", K => std::any::type_name::<K>());    // Some
/// ```
#[macro_export]
macro_rules! locks {
    (in $root:tt::lock: $($file:ident::$Type:ident, $about:literal;)+) => {
        $crate::locks! { @ ($) $root $($file::$Type, $about;)+ }
    };
    // `$d` is a `$` for the macro inside this macro.
    (@ ($d:tt) $root:tt $($file:ident::$Type:ident, $about:literal;)+) => {
        $(
            mod $file;
            pub use $file::$Type;
        )+

        /// (name, what it is) of every lock, in the order of the lists that users see.
        pub const KINDS: [(&str, &str); [$($about),+].len()] =
            [$((stringify!($file), $about)),+];

        /// `with_lock!(name, K => body)`: evaluates `body` with the type `K` bound to the lock
        /// of that name. Some(its value), or None if there is no such lock.
        #[macro_export]
        macro_rules! with_lock {
            ($d name:expr, $d Kind:ident => $d body:expr) => {
                match $d name {
                    $(
                        stringify!($file) => {
                            type $d Kind = $d $root::lock::$Type;
                            Some($d body)
                        }
                    )+
                    _ => None,
                }
            };
        }
    };
}

locks! {
    in crate::lock:
    tas::Tas, "test-and-test-and-set; what a guest without PV spinlocks gets";
    ticket::Ticket, "FIFO by ticket (Linux x86 2.6.25 .. 4.1)";
    mcs::Mcs, "FIFO queue, each waiter spins on its own node (Mellor-Crummey, Scott 1991)";
    qspin::Qspin, "queued spinlock: a pending waiter, then an MCS queue (Linux 4.2 on)";
}

// Behind the list, whose macro it uses.
pub(crate) mod any;
pub use any::Any;
