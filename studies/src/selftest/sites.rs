//! Lock-site accounting that is off leaves nothing behind: a lock pair with a site compiles to
//! the instructions of the bare lock. They are read from this program's own memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};
use machine::lock::{LockKind, RawLock, Tas};
use machine::{Machine, Native, Site, SpinLock};

use super::Finding;

type Off = Native<Tas, false>;
type On = Native<Tas, true>;
type Bare = <Tas as LockKind>::Lock<Off>;
static PAIR: Site = Site::new("lock", "selftest");

#[inline(never)]
fn bare(lock: &Bare, cpu: &<Off as Machine>::Cpu) {
    lock.lock(cpu, || {});
    RawLock::<Off>::unlock(lock, cpu, ());
}

#[inline(never)]
fn off(lock: &SpinLock<Off>, cpu: &<Off as Machine>::Cpu) {
    let guard = lock.lock(cpu, &PAIR);
    lock.unlock(cpu, guard);
}

#[inline(never)]
fn on(lock: &SpinLock<On>, cpu: &<On as Machine>::Cpu) {
    let guard = lock.lock(cpu, &PAIR);
    lock.unlock(cpu, guard);
}

const CHECK: &str = "sites off";
/// The instructions of a lock pair.
type Code = Vec<Instruction>;

/// The bare pair, and the pair with accounting off and on.
pub(super) fn pairs() -> io::Result<[Code; 3]> {
    let [bare, off, on] =
        [bare as *const () as u64, off as *const () as u64, on as *const () as u64];
    Ok([code(bare)?, code(off)?, code(on)?])
}

/// Longer than any of the functions.
const MOST: usize = 4096;

/// The function at `start`, its jumps counted from there: up to where it neither goes on nor
/// has jumped to.
fn code(start: u64) -> io::Result<Code> {
    let mut bytes = [0; MOST];
    let read = File::open("/proc/self/mem")?.read_at(&mut bytes, start)?;
    let mut code = Code::new();
    let mut farthest = start;
    for mut instruction in Decoder::with_ip(64, &bytes[..read], start, DecoderOptions::NONE) {
        let target = instruction.near_branch_target();
        if (start..start + MOST as u64).contains(&target) && !instruction.is_call_near() {
            farthest = farthest.max(target);
            instruction.set_near_branch64(target - start);
        }
        code.push(instruction);
        let goes_on = matches!(
            instruction.flow_control(),
            FlowControl::Next
                | FlowControl::Call
                | FlowControl::IndirectCall
                | FlowControl::ConditionalBranch
        );
        if !goes_on && instruction.next_ip() > farthest {
            break;
        }
    }
    Ok(code)
}

/// `off` and `on` are held against the bare pair.
pub(super) fn check(pairs: io::Result<[Code; 3]>) -> Finding {
    if cfg!(debug_assertions) {
        return Finding::undecided(CHECK, "a debug build checks the order of locks at each");
    }
    if cfg!(not(target_arch = "x86_64")) {
        return Finding::undecided(CHECK, "it reads the instructions of x86-64 only");
    }
    match pairs {
        Ok(pairs) => compare(&pairs),
        Err(e) => Finding::undecided(CHECK, &format!("/proc/self/mem: {e}")),
    }
}

fn compare([bare, off, on]: &[Code; 3]) -> Finding {
    let figure = format!(
        "a lock pair is {} instructions without accounting, {} with it off ({}), {} with it on",
        bare.len(),
        off.len(),
        if bare == off { "the same" } else { "others" },
        if bare == on { "the same: it accounts nothing" } else { "others" },
    );
    Finding::new(CHECK, bare == off && bare != on, figure)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// In a debug build the pairs differ anyway: the comparison is what is tested there.
    #[test]
    fn code_that_stays_is_found_out() {
        let [bare, off, on] = pairs().unwrap();
        let again = pairs().unwrap()[0].clone();
        assert!(compare(&[bare.clone(), on.clone(), on.clone()]).broken(), "stays when off");
        assert!(compare(&[bare.clone(), off.clone(), bare.clone()]).broken(), "is never on");
        assert!(!compare(&[bare.clone(), again, on.clone()]).broken());
        assert!(!check(Ok([bare, off, on])).broken());
    }
}
