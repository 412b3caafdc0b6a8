//! The integers a shared word can be, and the std atomic each one is natively.

use crate::Atomic;
use std::fmt::{Debug, Display};

/// A value that fits one shared word.
pub trait Word: Copy + Eq + Ord + Debug + Display + Default + Send + Sync + 'static {
    /// The std atomic of this size: what the native machine's cells are.
    type Native: Atomic<Self>;
    /// Width in bytes.
    const BYTES: usize;
    fn to_bits(self) -> u64;
    /// Truncates.
    fn from_bits(bits: u64) -> Self;
}

macro_rules! words {
    ($($word:ty => $atomic:ty),*) => {$(
        impl Word for $word {
            type Native = $atomic;
            const BYTES: usize = size_of::<$word>();
            #[inline]
            fn to_bits(self) -> u64 {
                self.into()
            }
            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as $word
            }
        }
    )*};
}

words!(
    u8 => std::sync::atomic::AtomicU8,
    u16 => std::sync::atomic::AtomicU16,
    u32 => std::sync::atomic::AtomicU32,
    u64 => std::sync::atomic::AtomicU64
);
