//! The events to come. Guards that they come out in the order of their times, and of their ties
//! where times are equal, as from a binary heap.
//!
//! Nearly all events lie within half a microsecond, an event or less per bucket of 128 ps, so a
//! calendar of such buckets finds the next one by its bitmap in a few instructions. What lies beyond
//! its year, and the rare event before its first day, waits in a heap.

use super::event::What;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A bucket is 2^this picoseconds.
const DAY: u32 = 7;
const DAYS: usize = 4096;
const WORDS: usize = DAYS / u64::BITS as usize;
const NOBODY: u32 = u32::MAX;

/// An event, or a free place for one. Events stay where they are and go by their index: to copy one
/// that has just been written is slow, since the host cannot forward several stores to one load.
pub(super) struct Event {
    pub time: u64,
    /// Breaks ties of time: random in the high half, the order of creation in the low half.
    tie: u64,
    pub what: What,
    /// The next one of its bucket, or the next free place.
    next: u32,
}

impl Event {
    fn key(&self) -> (u64, u64) {
        (self.time, self.tie)
    }
}

pub(super) struct Queue {
    events: Vec<Event>,
    /// The first free place of `events`.
    free: u32,
    /// The earliest event, once it was looked for.
    aside: u32,
    /// The first event of each bucket, in no order within it.
    days: Box<[u32; DAYS]>,
    /// One bit per bucket that has an event, and one per word of these that has a bit.
    busy: [u64; WORDS],
    busy_words: u64,
    /// The number of the bucket that the calendar begins with: none of its events is earlier.
    today: u64,
    elsewhere: BinaryHeap<Reverse<(u64, u64, u32)>>,
}

impl Queue {
    pub fn new() -> Self {
        Self {
            events: Vec::new(),
            free: NOBODY,
            aside: NOBODY,
            days: Box::new([NOBODY; DAYS]),
            busy: [0; WORDS],
            busy_words: 0,
            today: 0,
            elsewhere: BinaryHeap::new(),
        }
    }

    #[inline(always)]
    pub fn push(&mut self, time: u64, tie: u64, what: What) {
        let event = Event { time, tie, what, next: NOBODY };
        let index = match self.events.get_mut(self.free as usize) {
            Some(place) => {
                let next = place.next;
                *place = event;
                std::mem::replace(&mut self.free, next)
            }
            None => {
                self.events.push(event);
                self.events.len() as u32 - 1
            }
        };
        match self.events.get(self.aside as usize) {
            Some(first) if (time, tie) < first.key() => {
                let later = std::mem::replace(&mut self.aside, index);
                self.link(later);
            }
            _ => self.link(index),
        }
    }

    /// The earliest event, which stays.
    #[inline]
    pub fn peek(&mut self) -> Option<&Event> {
        if self.aside == NOBODY {
            self.aside = self.take();
        }
        self.events.get(self.aside as usize)
    }

    /// The time of the earliest event and what happens then.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, What)> {
        let index = match std::mem::replace(&mut self.aside, NOBODY) {
            NOBODY => self.take(),
            index => index,
        };
        let event = self.events.get_mut(index as usize)?;
        event.next = std::mem::replace(&mut self.free, index);
        Some((event.time, event.what))
    }

    /// Puts an event where it is found again.
    #[inline(never)]
    fn link(&mut self, index: u32) {
        let event = &mut self.events[index as usize];
        let day = event.time >> DAY;
        if day.wrapping_sub(self.today) >= DAYS as u64 {
            let (time, tie) = event.key();
            return self.elsewhere.push(Reverse((time, tie, index)));
        }
        let day = day as usize % DAYS;
        event.next = std::mem::replace(&mut self.days[day], index);
        self.busy[day / 64] |= 1 << (day % 64);
        self.busy_words |= 1 << (day / 64);
    }

    /// Removes the earliest event but the one aside; it keeps its place.
    fn take(&mut self) -> u32 {
        let here = self.next_day().map(|day| (day, self.earliest(day)));
        let key = |index: u32| self.events[index as usize].key();
        let elsewhere = self.elsewhere.peek().map(|Reverse((time, tie, _))| (*time, *tie));
        let index = match (here, elsewhere) {
            (Some((day, (before, index))), elsewhere)
                if elsewhere.is_none_or(|other| key(index) < other) =>
            {
                self.unlink(day, before, index);
                index
            }
            (_, Some(_)) => self.elsewhere.pop().map_or(NOBODY, |Reverse((_, _, index))| index),
            (_, None) => return NOBODY,
        };
        self.today = self.today.max(self.events[index as usize].time >> DAY);
        index
    }

    /// The first bucket with an event, from today on.
    fn next_day(&self) -> Option<usize> {
        let today = self.today as usize % DAYS;
        let word = today / 64;
        let rest_of_word = self.busy[word] & (u64::MAX << (today % 64));
        if rest_of_word != 0 {
            return Some(word * 64 + rest_of_word.trailing_zeros() as usize);
        }
        // From the word after this one on, and round to this one's first days.
        let words = self.busy_words.rotate_right(word as u32 + 1);
        let word = (word + 1 + words.trailing_zeros() as usize) % WORDS;
        (words != 0).then(|| word * 64 + self.busy[word].trailing_zeros() as usize)
    }

    /// The earliest event of a bucket, after the one before it in its list.
    fn earliest(&self, day: usize) -> (u32, u32) {
        let mut found = (NOBODY, self.days[day]);
        let mut before = found.1;
        loop {
            let next = self.events[before as usize].next;
            if next == NOBODY {
                return found;
            }
            if self.events[next as usize].key() < self.events[found.1 as usize].key() {
                found = (before, next);
            }
            before = next;
        }
    }

    fn unlink(&mut self, day: usize, before: u32, index: u32) {
        let next = self.events[index as usize].next;
        if before != NOBODY {
            self.events[before as usize].next = next;
            return;
        }
        self.days[day] = next;
        if next == NOBODY {
            let word = &mut self.busy[day / 64];
            *word &= !(1 << (day % 64));
            self.busy_words &= !(u64::from(*word == 0) << (day / 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes and pops at random, near and far, with equal times, and before events already looked
    /// at: what comes out is what a heap gives.
    #[test]
    fn comes_out_as_from_a_heap() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut queue, mut heap) = (Queue::new(), BinaryHeap::new());
        let mut now = 0;
        for tie in 0..200_000 {
            let ahead = match rng.u32(..10) {
                0 => rng.u64(..1_000_000_000),
                1 => 0,
                2..6 => rng.u64(..2_000),
                _ => rng.u64(..1 << 20),
            };
            let tie = u64::from(rng.u32(..4)) << 32 | tie;
            queue.push(now + ahead, tie, What::Drain(tie as u16));
            heap.push(Reverse((now + ahead, tie)));
            assert_eq!(queue.peek().map(Event::key), heap.peek().map(|r| r.0));
            // The clock may lag behind what was looked at.
            while heap.len() > rng.usize(1..600) {
                let Some(Reverse((time, tie))) = heap.pop() else { break };
                assert_eq!(queue.pop(), Some((time, What::Drain(tie as u16))));
                now = time;
            }
        }
        while let Some(Reverse((time, tie))) = heap.pop() {
            assert_eq!(queue.pop(), Some((time, What::Drain(tie as u16))));
        }
        assert_eq!(queue.pop(), None);
    }
}
