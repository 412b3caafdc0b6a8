//! Blocks of pages: 2^order of them, the largest order of the workload's mix, go out together as
//! folios of an order drawn from the mix, each falling back to single pages where no such run of
//! slots is free. With order 0 alone a block is a page. Guards that no page goes out twice, also
//! while swapoff brings pages back and other workers look for a block to take.

use machine::Machine;
use variants::SwapAllocator;

use super::{Params, RECLAIM_BATCH, Stage};
use crate::meter::{Kind, Meter};
use crate::units::Orders;

/// The kinds that allocations of single pages and of large folios are counted as.
pub(super) const ALLOC: [Kind; 2] = [Kind::Alloc, Kind::AllocLarge];

/// The order of a block.
pub(crate) fn order(mix: &Option<Orders>) -> usize {
    let orders = mix.iter().flat_map(Orders::shares).map(|(order, _)| usize::from(order));
    orders.max().unwrap_or(0)
}

/// `pages` rounded down to whole blocks, at least one block.
pub(super) fn whole(params: &Params, pages: usize) -> usize {
    let block = 1 << order(&params.orders);
    (pages / block).max(1) * block
}

/// Refaults of each block while a device ages. With one already, throughput no longer depends on
/// how long it is measured (`percpu-cluster`, 1 GiB: 197 ns with none, 140 with 1, 2, 4 or 8).
const AGE: usize = 2;

impl<M: Machine, A: SwapAllocator<M>> Stage<M, A> {
    /// Blocks of an owner.
    #[inline]
    pub(super) fn blocks(&self) -> usize {
        self.swap.owners.pages() >> self.block_order
    }

    /// Swaps all pages of all owners out, a batch of each in turn, as reclaim does.
    pub(super) fn swap_all_out(&self, cpu: &M::Cpu) {
        self.swap_first_out(cpu, |_| self.blocks());
    }

    /// Refaults random blocks. A device just filled has all free slots in empty clusters, one that
    /// was in use for long has them everywhere, and what an allocation costs differs by half.
    pub(super) fn age(&self, cpu: &M::Cpu) {
        let (mut rng, mut meter) = (self.rng(usize::MAX - 1), Meter::new(u32::MAX));
        let (owners, blocks) = (self.swap.owners.count(), self.blocks());
        for _ in 0..AGE * owners * blocks {
            let (owner, block) = (rng.usize(..owners), rng.usize(..blocks));
            self.block_in(cpu, owner, block, &mut meter);
            self.block_out(cpu, owner, block, ALLOC, &mut rng, &mut meter);
        }
    }

    /// Swaps out the first `blocks(owner)` blocks of each owner, a batch of each in turn.
    pub(super) fn swap_first_out(&self, cpu: &M::Cpu, blocks: impl Fn(usize) -> usize) {
        let (mut rng, mut meter) = (self.rng(usize::MAX - 1), Meter::new(u32::MAX));
        let batch = (RECLAIM_BATCH >> self.block_order).max(1);
        for first in (0..self.blocks()).step_by(batch) {
            for owner in 0..self.swap.owners.count() {
                for block in first..(first + batch).min(blocks(owner)) {
                    self.block_out(cpu, owner, block, ALLOC, &mut rng, &mut meter);
                }
            }
        }
    }

    /// Brings the pages of a block in that are out.
    #[inline]
    pub(super) fn block_in(&self, cpu: &M::Cpu, owner: usize, block: usize, meter: &mut Meter) {
        if self.block_order == 0 {
            return self.page_in(cpu, owner, block, meter);
        }
        self.pages_in(cpu, owner, block << self.block_order, meter)
    }

    /// Out of line, as is its counterpart: a mix of orders must not weigh on single pages.
    #[inline(never)]
    fn pages_in(&self, cpu: &M::Cpu, owner: usize, first: usize, meter: &mut Meter) {
        for page in first..first + (1 << self.block_order) {
            self.page_in(cpu, owner, page, meter);
        }
    }

    #[inline]
    fn page_in(&self, cpu: &M::Cpu, owner: usize, page: usize, meter: &mut Meter) {
        if self.swap.owners.get(owner, page).is_some() {
            meter.op(cpu, Kind::Free, || self.swap.swap_in(cpu, owner, page, false));
        }
    }

    /// Swaps the pages of a block out that are in, its first page last; false if one found no slot.
    #[inline]
    pub(super) fn block_out(
        &self,
        cpu: &M::Cpu,
        owner: usize,
        block: usize,
        kinds: [Kind; 2],
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) -> bool {
        if self.block_order == 0 {
            return self.page_out(cpu, owner, block, kinds[0], meter);
        }
        self.folios_out(cpu, owner, block << self.block_order, kinds, rng, meter)
    }

    #[inline(never)]
    fn folios_out(
        &self,
        cpu: &M::Cpu,
        owner: usize,
        first: usize,
        kinds: [Kind; 2],
        rng: &mut fastrand::Rng,
        meter: &mut Meter,
    ) -> bool {
        let (order, mut all) = (self.draw(rng), true);
        for page in (first..first + (1 << self.block_order)).step_by(1 << order).rev() {
            all &= self.folio_out(cpu, owner, (page, order), kinds, meter);
        }
        all
    }

    #[inline]
    fn page_out(
        &self,
        cpu: &M::Cpu,
        owner: usize,
        page: usize,
        kind: Kind,
        meter: &mut Meter,
    ) -> bool {
        let out = self.swap.owners.get(owner, page).is_some();
        out || meter.op(cpu, kind, || self.swap.swap_out(cpu, owner, page, 0, false))
    }

    pub(super) fn folio_out(
        &self,
        cpu: &M::Cpu,
        owner: usize,
        (page, order): (usize, usize),
        [small, large]: [Kind; 2],
        meter: &mut Meter,
    ) -> bool {
        let pages = page..page + (1 << order);
        if order > 0 && pages.clone().all(|page| self.swap.owners.get(owner, page).is_none()) {
            if meter.op(cpu, large, || self.swap.swap_out(cpu, owner, page, order, false)) {
                return true;
            }
            meter.add("fallback", 1);
        }
        let mut all = true;
        for page in pages.rev() {
            all &= self.page_out(cpu, owner, page, small, meter);
        }
        all
    }

    /// An order from the mix.
    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> usize {
        let (mut at, mut last) = (rng.f64(), 0);
        for (order, share) in self.params.orders.iter().flat_map(Orders::shares) {
            last = usize::from(order);
            at -= share;
            if at < 0.0 {
                break;
            }
        }
        last
    }
}
