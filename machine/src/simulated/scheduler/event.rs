//! Events in virtual time. Guards that two events at one time have an order, and the same one in
//! every run with the same seed.

use super::super::coherence::At;

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// (CPU, generation): the CPU goes on, unless it was woken since this was scheduled.
    Resume(usize, u32),
    /// The oldest store in a CPU's buffer asks for its line.
    Drain(usize),
    /// A younger store does, ahead of its turn.
    Prefetch(usize, At),
    /// A line may be free for the requests in its queue.
    Free(At),
}

pub(super) struct Event {
    pub time: u64,
    /// Breaks ties of time: random in the high half, the order of creation in the low half.
    pub tie: u64,
    pub what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (self.time, self.tie) == (other.time, other.tie)
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.tie).cmp(&(other.time, other.tie))
    }
}
