//! What happens in virtual time.

use super::super::coherence::At;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// (CPU, generation): the CPU goes on, unless it was woken since this was scheduled.
    Resume(u16, u32),
    /// The oldest store in a CPU's buffer asks for its line.
    Drain(u16),
    /// A younger store does, ahead of its turn.
    Prefetch(u16, At),
    /// A line may be free for the requests in its queue.
    Free(At),
}
