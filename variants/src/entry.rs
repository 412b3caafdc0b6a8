//! The names of a slot: by its offset on one device (`Slot`), and by device and offset
//! (`SwpEntry`, the kernel's swp_entry_t). Guards that slot 0, the header page, is never
//! handed out: neither type can hold it.

use std::num::NonZeroU32;

/// A slot's offset on its device, in slots (pages). Never 0, which is the header page, so an
/// `Option<Slot>` takes four bytes and is stored in a shared word as the kernel stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(NonZeroU32);

impl Slot {
    /// The slot at `offset`; `None` at offset 0. Also reads a word that [`Slot::to_word`] wrote.
    #[inline]
    pub fn new(offset: u32) -> Option<Self> {
        NonZeroU32::new(offset).map(Self)
    }

    /// The offset, in slots.
    #[inline]
    pub fn offset(self) -> u32 {
        self.0.get()
    }

    /// As a shared word (SWAP_ENTRY_INVALID): 0 is no slot.
    #[inline]
    pub fn to_word(this: Option<Self>) -> u32 {
        this.map_or(0, Self::offset)
    }
}

/// swp_entry_t: a device and a slot on it. Its bits are never 0, since offset 0 is the header
/// page of every device: a page-table word of 0 is "no entry".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwpEntry(u64);

impl std::fmt::Debug for SwpEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "slot {} of device {}", self.offset(), self.dev())
    }
}

const TYPE_SHIFT: u32 = 58;

impl SwpEntry {
    /// The slot at `offset` of device `dev`.
    pub fn new(dev: usize, offset: u32) -> Self {
        debug_assert!(offset != 0, "slot 0 is the header page");
        Self((dev as u64) << TYPE_SHIFT | u64::from(offset))
    }

    /// swp_type(): the device's index.
    pub fn dev(self) -> usize {
        (self.0 >> TYPE_SHIFT) as usize
    }

    /// swp_offset(), in slots.
    pub fn offset(self) -> u32 {
        self.0 as u32
    }

    /// The entry `n` slots further on, on the same device.
    pub fn plus(self, n: u32) -> Self {
        Self(self.0 + u64::from(n))
    }

    /// As a page-table word; 0 is no entry.
    pub fn to_pte(this: Option<Self>) -> u64 {
        this.map_or(0, |entry| entry.0)
    }

    /// Reads a word that [`SwpEntry::to_pte`] wrote.
    pub fn from_pte(pte: u64) -> Option<Self> {
        (pte != 0).then_some(Self(pte))
    }
}
