//! The integers that a shared word can be, and the std atomic that each is natively.

use crate::Word;

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
