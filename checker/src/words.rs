//! A step in words, in the kernel's names. Guards that a value is written as its cell is best read.

use machine::checked::{Op, Step};
use variants::device::{SWP_CONTINUED, SWP_SCANNING, SWP_USED, SWP_WRITEOK};
use variants::swap_map::{BAD, COUNT_CONTINUED, HAS_CACHE};

/// A cell's name in the kernel's notation: "si->flags".
pub(crate) fn kernel_name(cell: &str) -> String {
    let cell = cell.strip_prefix("swap.").unwrap_or(cell);
    match cell.split_once('.') {
        Some((owner, field)) if is_si(owner) || owner.starts_with("ci[") => {
            format!("{owner}->{field}")
        }
        _ => cell.into(),
    }
}

fn is_si(owner: &str) -> bool {
    owner == "si" || owner.starts_with("si[")
}

/// The name of a device's cell without the device, of which there may be several.
pub(crate) fn of_device(cell: &str) -> String {
    match cell.split_once('.') {
        Some((owner, field)) if is_si(owner) => format!("si.{field}"),
        Some((owner, field)) if owner.starts_with("users[") => format!("users.{field}"),
        _ => cell.into(),
    }
}

const FLAGS: [(u64, &str); 3] =
    [(SWP_USED, "USED"), (SWP_WRITEOK, "WRITEOK"), (SWP_CONTINUED, "CONTINUED")];
/// SWAP_USAGE_OFFLIST_BIT of inuse_pages: the device is off the avail list.
const OFFLIST: u64 = 1 << 62;

/// The swap_map byte: a count and two flags.
const BYTE: [(u64, &str); 2] = [(HAS_CACHE as u64, "HAS_CACHE"), (COUNT_CONTINUED as u64, "CONT")];
/// The flags in percpu_count_ptr.
const REF: [(u64, &str); 2] = [(1, "ATOMIC"), (2, "DEAD")];
/// PERCPU_COUNT_BIAS: added to the shared count in percpu mode.
const BIAS: u64 = 1 << 63;
/// Names of the values of ci->flags.
const LISTS: [&str; 6] = ["NONE", "FREE", "NONFULL", "FRAG", "FULL", "DISCARD"];

/// The names of the flags that are set, and the other bits as a number.
fn flags(value: u64, names: &[(u64, &str)]) -> String {
    let set = names.iter().filter(|f| value & f.0 != 0);
    let rest = names.iter().fold(value, |rest, f| rest & !f.0);
    let mut words: Vec<String> = set.map(|f| f.1.to_string()).collect();
    if rest > 0 || words.is_empty() {
        words.push(rest.to_string());
    }
    words.join("|")
}

/// Whether the cell is a slot's record.
pub(crate) fn is_record(cell: &str) -> bool {
    cell.starts_with("swap_map[") || cell.starts_with("swap_table[")
}

/// A value as its cell is best read: flags by name, small negative numbers with a sign, other large
/// numbers in hexadecimal.
pub(crate) fn formatted(cell: &str, value: u64) -> String {
    match of_device(cell).as_str() {
        "si.flags" => {
            let (scanning, others) = (value / SWP_SCANNING, value % SWP_SCANNING);
            let word = flags(others, &FLAGS);
            if scanning > 0 { format!("{word}|{scanning} SCANNING") } else { word }
        }
        "si.inuse_pages" if value & OFFLIST != 0 => format!("OFFLIST|{}", value & !OFFLIST),
        "si.swap_map" => if value == 0 { "NULL" } else { "there" }.into(),
        "users.state" if value == 0 => "percpu".into(),
        "users.state" => flags(value, &REF),
        "users.count" if value & BIAS != 0 => format!("BIAS+{}", value & !BIAS),
        _ if is_record(cell) && value == u64::from(BAD) => "BAD".into(),
        _ if is_record(cell) => flags(value, &BYTE),
        _ if cell.starts_with("ci[") && cell.ends_with(".flags") => {
            LISTS.get(value as usize).unwrap_or(&"?").to_string()
        }
        _ if value < 1 << 16 => value.to_string(),
        _ if value > u64::MAX - (1 << 16) => (value as i64).to_string(),
        _ => format!("{value:#x}"),
    }
}

/// The step, in words. `seen`: what a stale read returns.
pub(crate) fn sentence(step: &Step, seen: &str) -> String {
    let (cell, value) = (kernel_name(&step.cell), formatted(&step.cell, step.value));
    match step.op {
        Op::Load | Op::Get => format!("reads {cell}: {value}{seen}"),
        Op::Store | Op::Set => format!("{cell} = {value}"),
        Op::Rmw { before } => format!("{cell}: {} -> {value}", formatted(&step.cell, before)),
        Op::Lock => format!("lock {cell}"),
        Op::Wait => format!("waits for {cell}"),
        Op::Missed => format!("trylock {cell} fails"),
        Op::Unlock => format!("unlock {cell}"),
        Op::Note if cell.ends_with("cluster") => format!("* {cell} {value}"),
        // The value of swapoff's notes is a device; that of the only or first one is left out.
        Op::Note if step.value == 0 => format!("* {cell}"),
        Op::Note => format!("* {cell} (device {value})"),
    }
}
