//! What happens next in virtual time, and the order of what happens at once.

use super::super::coherence::At;

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A CPU goes on, if it is still this generation of its sleep.
    Resume(usize, u32),
    /// The oldest store of a CPU's buffer asks for its line.
    Drain(usize),
    /// A younger one does, ahead of its turn.
    Prefetch(usize, At),
    /// A line may be free for those who queue for it.
    Free(At),
}

pub(super) struct Event {
    pub time: u64,
    /// Random, then in order of creation: breaks ties of time.
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
