//! Every diagram can be read aloud, step by step, without a contradiction: a read returns the last drawn
//! write or is marked as stale, a lock is taken while it is free, and it is short enough for a mail.

mod common;

use checker::diagram::{Access, Diagram};
use checker::faults::FAULTS;
use checker::{Order, cases};
use common::{catch, for_each};
use machine::checked::Op;
use std::collections::BTreeMap;

/// Most rows of a diagram, and most lines of its text.
const ROWS: usize = 26;
const LINES: usize = 64;

/// Faults whose first failing execution needs a weak memory model.
const WEAK: [&str; 1] = ["inuse-before-cleanup"];

/// What a reader knows of a diagram so far.
#[derive(Default)]
struct Reader {
    memory: BTreeMap<String, String>,
    /// Per lock the lane that holds it.
    holders: BTreeMap<String, usize>,
}

impl Reader {
    /// Reads one access aloud. What is wrong with it?
    fn read(&mut self, lane: usize, access: &Access) -> Result<(), String> {
        let Access { cell, op, found, value, stale } = access;
        let holder = self.holders.get(cell).copied();
        match op {
            Op::Note => return Ok(()),
            Op::Lock if holder.is_some() => return Err(format!("{cell} is held")),
            Op::Lock => drop(self.holders.insert(cell.clone(), lane)),
            Op::Unlock if holder != Some(lane) => return Err(format!("{cell} is not held")),
            Op::Unlock => drop(self.holders.remove(cell)),
            Op::Wait | Op::Missed if holder.is_none_or(|holder| holder == lane) => {
                return Err(format!("{cell} is free"));
            }
            Op::Wait | Op::Missed => (),
            _ if *stale => (),
            _ => {
                let now = self.memory.insert(cell.clone(), value.clone());
                let known = now.filter(|now| now != "?");
                if let (Some(found), Some(now)) = (found, known)
                    && *found != now
                {
                    return Err(format!("{cell} is {now}"));
                }
            }
        }
        Ok(())
    }
}

/// Reads the diagram aloud.
fn read(diagram: &Diagram) -> Result<(), String> {
    let mut reader = Reader::default();
    reader.memory.extend(diagram.initial.iter().cloned());
    for (n, (row, state)) in diagram.rows.iter().zip(diagram.states()).enumerate() {
        for access in &row.accesses {
            let wrong = |why| format!("step {}, {}: {why}", n + 1, row.text);
            reader.read(row.lane, access).map_err(wrong)?;
        }
        for (cell, value) in state {
            assert_eq!(reader.memory.get(&cell), Some(&value), "the state after step {}", n + 1);
        }
    }
    Ok(())
}

/// The names in a text: what must not be cut.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let within = |c: char| !(c.is_ascii_alphanumeric() || "_->[].".contains(c));
    text.split(within).filter(|name| name.len() > 1)
}

fn check(fault: &str, subject: &str, diagram: &Diagram) {
    let ascii = diagram.ascii();
    let about = || format!("{subject} --fault {fault}\n{ascii}");
    if let Err(why) = read(diagram) {
        panic!("{why}: {}", about());
    }
    let stale = diagram.rows.iter().flat_map(|row| &row.accesses).any(|access| access.stale);
    assert_eq!(stale, diagram.order != Order::Sequential, "{}", about());
    assert_eq!(stale, WEAK.contains(&fault), "{}", about());
    assert_eq!(stale, ascii.contains("No order"), "{}", about());
    assert!(ascii.is_ascii() && ascii.lines().all(|line| line.len() <= 72), "{}", about());
    assert!(!diagram.rows.is_empty() && diagram.rows.len() <= ROWS, "{}", about());
    assert!(ascii.lines().count() <= LINES, "too long to read: {}", about());
    for row in &diagram.rows {
        names(&row.text).for_each(|name| assert!(ascii.contains(name), "{name}: {}", about()));
        let [access, ..] = &row.accesses[..] else {
            panic!("a row without an access: {}", about())
        };
        assert!(row.text.contains(access.value.as_str()) || access.op != Op::Load, "{}", about());
    }
}

#[test]
fn every_diagram_reads_as_one_timeline() {
    let wrong = std::sync::Mutex::new(Vec::new());
    for_each(FAULTS, |fault| {
        let cases = cases();
        for subject in fault.subjects {
            let (_, _, diagram) = catch(&cases, subject, fault).expect("it is caught");
            let checked = std::panic::catch_unwind(|| check(fault.name, subject, &diagram));
            if let Err(why) = checked {
                let why = why.downcast_ref::<String>().cloned();
                wrong.lock().unwrap().push(why.unwrap_or_default());
            }
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
