//! Shared memory by the region: aligned to a cache line and named. Guards that the line of a cell
//! is its offset / 64 on every machine, so that layout and false sharing are the same on all. What
//! regions hold at one time can be kept and put back.

use crate::{Extent, Machine};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::ptr::NonNull;

/// Bytes of a cache line.
pub const LINE: usize = 64;

/// Names for the cells of a region's elements.
pub trait Fields {
    /// (name, byte offset within one element) per field, in any order; none: the cells go by the
    /// region's name.
    fn fields() -> Vec<(&'static str, usize)> {
        Vec::new()
    }
}

/// `n` elements on lines of their own, known to the machine by name.
pub struct Region<M: Machine, T> {
    base: NonNull<T>,
    len: usize,
    machine: PhantomData<fn() -> M>,
    owns: PhantomData<T>,
}

// SAFETY: a Region owns its elements as a Box<[T]> does.
#[allow(unsafe_code)]
unsafe impl<M: Machine, T: Send> Send for Region<M, T> {}
// SAFETY: shared access gives out &T only.
#[allow(unsafe_code)]
unsafe impl<M: Machine, T: Sync> Sync for Region<M, T> {}

impl<M: Machine, T> Region<M, T> {
    /// `len` elements made by `init(index)`; `fields` are (name, byte offset) as in [`Fields`].
    ///
    /// # Panics
    ///
    /// If so much memory has no address.
    pub fn named(
        name: &'static str,
        len: usize,
        fields: Vec<(&'static str, usize)>,
        mut init: impl FnMut(usize) -> T,
    ) -> Self {
        const { assert!(size_of::<T>() > 0, "a region of nothing has no address") };
        let base = allocate::<M>(len, Layout::new::<T>(), name, fields).cast::<T>();
        for i in 0..len {
            // SAFETY: i < len elements of freshly allocated memory.
            #[allow(unsafe_code)]
            unsafe {
                base.add(i).write(init(i));
            }
        }
        Self { base, len, machine: PhantomData, owns: PhantomData }
    }
}

/// `len` elements of layout `element`, on lines of their own.
fn layout(len: usize, element: Layout) -> Layout {
    // An element's size is a multiple of its alignment: elements lie side by side.
    let bytes = element.size().checked_mul(len.max(1));
    let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, element.align()).ok());
    let layout = layout.expect("a region fits the address space");
    layout.align_to(LINE).expect("64 is a power of two").pad_to_align()
}

/// Memory that the machine knows by name. Compiled once per machine, not per type of element.
#[inline(never)]
fn allocate<M: Machine>(
    len: usize,
    element: Layout,
    name: &'static str,
    fields: Vec<(&'static str, usize)>,
) -> NonNull<u8> {
    let layout = layout(len, element);
    // SAFETY: the layout has a non-zero size: an element has one, and there is room for one.
    #[allow(unsafe_code)]
    let memory = unsafe { alloc(layout) };
    let memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
    let (base, bytes, stride) = (memory.as_ptr() as usize, layout.size(), element.size());
    M::register(&Extent { base, bytes, len, stride, name, fields });
    memory
}

impl<M: Machine, T: Fields> Region<M, T> {
    /// `len` elements made by `init(index)`.
    pub fn new(name: &'static str, len: usize, init: impl FnMut(usize) -> T) -> Self {
        Self::named(name, len, T::fields(), init)
    }
}

impl<M: Machine, T> Deref for Region<M, T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `len` elements at `base` were initialised and live as long as self.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.base.as_ptr(), self.len)
        }
    }
}

impl<M: Machine, T> Drop for Region<M, T> {
    fn drop(&mut self) {
        M::unregister(self.base.as_ptr() as usize);
        // SAFETY: the elements are dropped once, then the memory they were in is freed
        // with the layout it was allocated with.
        #[allow(unsafe_code)]
        unsafe {
            std::ptr::slice_from_raw_parts_mut(self.base.as_ptr(), self.len).drop_in_place();
            dealloc(self.base.as_ptr().cast(), layout(self.len, Layout::new::<T>()));
        }
    }
}

/// What regions held at one time, to be put back while they still exist.
pub struct Kept(Vec<(Extent, Box<[MaybeUninit<u8>]>)>);

impl Kept {
    /// What `regions` hold now.
    pub(crate) fn of(regions: impl Iterator<Item = Extent>) -> Self {
        let copy = |extent: Extent| {
            let mut bytes = Box::new_uninit_slice(extent.bytes);
            // SAFETY: a registered region is allocated, and no other thread uses it: one host thread
            // runs all of a simulation. Padding between its elements may be copied as it is.
            #[allow(unsafe_code)]
            unsafe {
                let from = extent.base as *const MaybeUninit<u8>;
                std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), extent.bytes);
            }
            (extent, bytes)
        };
        Self(regions.map(copy).collect())
    }

    /// Puts it back and returns the regions in their old order.
    pub(crate) fn put_back(&self) -> impl Iterator<Item = &Extent> {
        self.0.iter().map(|(extent, bytes)| {
            // SAFETY: the caller keeps the regions alive, no other thread uses them, and these bytes
            // were in them before: whatever type they have, it is a value of that type.
            #[allow(unsafe_code)]
            unsafe {
                let to = extent.base as *mut MaybeUninit<u8>;
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, extent.bytes);
            }
            extent
        })
    }
}

/// One `T` per CPU, each on lines of its own.
pub struct PerCpu<M: Machine, T>(Region<M, Padded<T>>);

#[repr(align(64))]
struct Padded<T>(T);

impl<M: Machine, T: Fields> PerCpu<M, T> {
    /// `cpus` copies made by `init(cpu)`; see [`System::cpus`](crate::System::cpus).
    pub fn new(name: &'static str, cpus: usize, mut init: impl FnMut(usize) -> T) -> Self {
        Self(Region::named(name, cpus, T::fields(), |cpu| Padded(init(cpu))))
    }
}

impl<M: Machine, T> PerCpu<M, T> {
    /// The copy of CPU `cpu`.
    #[inline]
    pub fn of(&self, cpu: usize) -> &T {
        &self.0[cpu].0
    }

    /// The copies of all CPUs, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &padded.0)
    }
}
