//! Lock sites: the places in the code that take a lock, by lock class and kernel function, as in
//! the rows of a contention table. Guards that a site has one number in the whole process, small
//! enough to index every CPU's table.

use super::posted;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};

/// One place in the code that takes a lock. Always a `static`: its address lives as long as the
/// process, and its number is given out once.
#[derive(Debug)]
pub struct Site {
    /// The lock's class, as the kernel names it: "si->lock", "ci->lock".
    pub lock: &'static str,
    /// The kernel function that takes it here.
    pub caller: &'static str,
    /// Whether interrupts are off while it is held.
    pub irqs_off: bool,
    /// 0 until first used; then its [`Key`].
    key: AtomicU32,
}

/// All sites used so far, in the order of their numbers.
static SITES: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());

/// One more than the most sites that a process may have: index 0 in a table is no site's.
pub(super) const MAX_SITES: usize = 128;

/// Low 16 bits: index in every CPU's table. Above: where locks of this class are posted.
#[derive(Clone, Copy, Default)]
pub(super) struct Key(pub(super) u32);

impl Key {
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize % MAX_SITES
    }

    #[inline]
    pub(super) fn place(self) -> usize {
        self.0 as usize >> 16
    }
}

impl Site {
    /// The place where kernel function `caller` takes a lock of class `lock`.
    pub const fn new(lock: &'static str, caller: &'static str) -> Self {
        Self { lock, caller, irqs_off: false, key: AtomicU32::new(0) }
    }

    /// The same for spin_lock_irq() and spin_lock_irqsave().
    pub const fn irqs_off(lock: &'static str, caller: &'static str) -> Self {
        Self { irqs_off: true, ..Self::new(lock, caller) }
    }

    /// Its key, or that of no site before the first [`Site::key`].
    #[inline]
    pub(super) fn key_so_far(&'static self) -> Key {
        Key(self.key.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn key(&'static self) -> Key {
        match self.key_so_far() {
            Key(0) => self.enroll(),
            key => key,
        }
    }

    #[cold]
    fn enroll(&'static self) -> Key {
        let mut sites = SITES.lock().unwrap();
        if self.key.load(Ordering::Relaxed) == 0 {
            let mut classes: Vec<&str> = Vec::new();
            for site in sites.iter().copied().chain([self]) {
                if !classes.contains(&site.lock) {
                    classes.push(site.lock);
                }
            }
            let class = classes.iter().position(|class| *class == self.lock);
            sites.push(self);
            assert!(sites.len() < MAX_SITES, "more than {} lock sites", MAX_SITES - 1);
            let place = posted::place(class.expect("it is among them"));
            let key = sites.len() | place << 16;
            self.key.store(key as u32, Ordering::Relaxed);
        }
        self.key_so_far()
    }
}

/// The sites used so far; the first has index 1.
pub(super) fn known() -> MutexGuard<'static, Vec<&'static Site>> {
    SITES.lock().unwrap()
}
