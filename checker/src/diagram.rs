//! A race diagram: the steps of a failing execution that matter, one column per CPU, as they are
//! drawn on the mailing list. Guards that the same history always gives the same diagram.

use super::slice::Slice;
use machine::checked::{Op, Seen, Step, Trace};
use std::fmt::Write;
use variants::device::{SWP_CONTINUED, SWP_SCANNING, SWP_USED, SWP_WRITEOK};
use variants::swap_map::{BAD, COUNT_CONTINUED, HAS_CACHE};

/// Columns of text: the most that survives quoting in a mail.
const WIDTH: usize = 72;

/// One numbered line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The CPU, and so the column.
    pub cpu: usize,
    /// The kernel function, if the CPU was in another one at its line before.
    pub function: Option<String>,
    /// The step, in words.
    pub text: String,
}

/// A diagram, to be drawn as text for a mail or as SVG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
    /// The column titles: what each CPU does.
    pub roles: Vec<String>,
    /// The lines, in the order in which they happened.
    pub rows: Vec<Row>,
    /// The failure's message.
    pub violation: String,
}

impl Diagram {
    /// The diagram of `trace`, with the CPUs' `roles` as column titles.
    pub fn new(trace: &Trace, roles: &[&str]) -> Self {
        let kept = Slice::new(trace).steps();
        let number = |step: usize| kept.iter().position(|&k| k == step).map(|n| n + 1);
        let mut current = vec![""; trace.workers + 1];
        let rows = kept.iter().map(|&n| {
            let step = &trace.steps[n];
            let entered = std::mem::replace(&mut current[step.cpu], step.function);
            Row {
                cpu: step.cpu,
                function: (entered != step.function).then(|| format!("{}()", step.function)),
                text: sentence(step, trace.start, number),
            }
        });
        let rows = rows.collect();
        let roles = (0..trace.workers)
            .map(|cpu| format!("CPU {cpu}: {}", roles.get(cpu).unwrap_or(&"")))
            .collect();
        Self { roles, rows, violation: trace.violation.clone() }
    }

    /// The diagram as ASCII text of at most 72 columns.
    pub fn ascii(&self) -> String {
        let mut out = String::new();
        let column = (WIDTH - 4) / self.roles.len().max(1);
        titles(&mut out, &self.roles, column);
        let mut put = |number: &str, cpu: usize, text: &str, indent: usize| {
            for (n, line) in wrap(text, column - indent - 1).iter().enumerate() {
                let number = if n == 0 { number } else { "" };
                let deeper = indent + if n == 0 { 0 } else { 2 };
                let at = cpu * column + deeper;
                let line = format!("{number:>3} {:at$}{line}", "");
                let _ = writeln!(out, "{}", line.trim_end());
            }
        };
        for (n, row) in self.rows.iter().enumerate() {
            if let Some(function) = &row.function {
                put("", row.cpu, function, 0);
            }
            put(&(n + 1).to_string(), row.cpu, &row.text, 2);
        }
        out.push('\n');
        for line in wrap(&format!("=> {}", self.violation), WIDTH - 4) {
            let _ = writeln!(out, "    {line}");
        }
        out
    }

    /// The diagram as SVG: one lane per CPU, one line per step.
    pub fn svg(&self) -> String {
        const LANE: usize = 300;
        const LINE: usize = 18;
        let lines: usize = self.rows.iter().map(|r| 1 + usize::from(r.function.is_some())).sum();
        let (width, height) = (40 + LANE * self.roles.len(), LINE * (lines + 5));
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             font-family=\"monospace\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        let mut text = |x: usize, y: usize, style: &str, text: &str| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" {style}>{text}</text>");
        };
        for (cpu, role) in self.roles.iter().enumerate() {
            text(40 + cpu * LANE, LINE, "font-weight=\"bold\"", role);
        }
        let mut y = 2 * LINE;
        for (n, row) in self.rows.iter().enumerate() {
            let x = 40 + row.cpu * LANE;
            if let Some(function) = &row.function {
                y += LINE;
                text(x, y, "fill=\"#555\"", function);
            }
            y += LINE;
            text(8, y, "fill=\"#999\"", &(n + 1).to_string());
            text(x + 12, y, "", &row.text);
        }
        text(8, y + 2 * LINE, "fill=\"#b00020\" font-weight=\"bold\"", &self.violation);
        out.push_str("</svg>\n");
        out
    }
}

/// Writes the column titles side by side, underlined.
fn titles(out: &mut String, roles: &[String], column: usize) {
    let cells: Vec<_> = roles.iter().map(|role| wrap(role, column - 2)).collect();
    let lines = cells.iter().map(Vec::len).max().unwrap_or(0);
    let mut line = |cell: &dyn Fn(&Vec<String>) -> String| {
        let text: String = cells.iter().map(|c| format!("{:column$}", cell(c))).collect();
        let _ = writeln!(out, "    {}", text.trim_end());
    };
    for n in 0..lines {
        line(&|cell| cell.get(n).cloned().unwrap_or_default());
    }
    line(&|cell| "-".repeat(cell.iter().map(String::len).max().unwrap_or(0)));
}

/// `text` in lines of at most `width` characters; a longer word is cut. Continuation lines leave
/// room for an indent of two.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        loop {
            let line = lines.last_mut().expect("never empty");
            let space = usize::from(!line.is_empty());
            let room = width - if lines.len() > 1 { 2 } else { 0 };
            let line = lines.last_mut().expect("never empty");
            if line.len() + space + word.len() <= room {
                if space == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                break;
            }
            if line.is_empty() {
                let (head, tail) = word.split_at(room);
                line.push_str(head);
                word = tail;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// A cell's name in the kernel's notation: "si->flags".
fn kernel_name(cell: &str) -> String {
    let cell = cell.strip_prefix("swap.").unwrap_or(cell);
    match cell.split_once('.') {
        Some((owner, field)) if owner == "si" || owner.starts_with("ci[") => {
            format!("{owner}->{field}")
        }
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
fn formatted(cell: &str, value: u64) -> String {
    match cell {
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

/// The step, in words. `numbered` is the line number of a step that is in the diagram.
fn sentence(step: &Step, start: usize, numbered: impl Fn(usize) -> Option<usize>) -> String {
    let (cell, value) = (kernel_name(&step.cell), formatted(&step.cell, step.value));
    let seen = match step.stale {
        None => String::new(),
        Some(Seen::Initial) => " (initial value)".into(),
        Some(Seen::Step(n)) if n < start => " (initial value)".into(),
        Some(Seen::Step(n)) => match numbered(n) {
            Some(n) => format!(", the value of step {n}"),
            None => ", an older value".into(),
        },
    };
    match step.op {
        Op::Load | Op::Get => format!("reads {cell}: {value}{seen}"),
        Op::Store | Op::Set => format!("{cell} = {value}"),
        Op::Rmw { before } => format!("{cell}: {} -> {value}", formatted(&step.cell, before)),
        Op::Lock => format!("lock {cell}"),
        Op::Missed => format!("trylock {cell} fails"),
        Op::Unlock => format!("unlock {cell}"),
        // The value of swapoff's notes is a device; that of the only or first one is left out.
        Op::Note if step.value == 0 => format!("* {cell}"),
        Op::Note => format!("* {cell} (device {value})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::checked::{Config, Loom, last_trace};
    use machine::{Atomic, Cpu, Fields, Machine, Region};

    type M = Loom;
    struct Flag(<M as Machine>::Atomic<u32>);
    impl Fields for Flag {
        fn fields() -> Vec<(&'static str, usize)> {
            vec![("flag", 0)]
        }
    }

    fn store_buffering() -> Diagram {
        let run = M::run(
            &Config::bounded(2, 2),
            |_| Region::<M, Flag>::new("si", 2, |_| Flag(Atomic::new(0))),
            |si, cpu| {
                M::enter(if cpu.id() == 0 { "swapoff" } else { "scan_swap_map_slots" });
                si[cpu.id()].0.store(1);
                let seen = si[1 - cpu.id()].0.load();
                si[cpu.id()].0.store(2 + seen);
            },
            |si, _| assert!(si.iter().any(|f| f.0.peek() == 3), "both CPUs read 0"),
        );
        run.unwrap_err();
        Diagram::new(&last_trace().unwrap(), &["swapoff", "allocator"])
    }

    #[test]
    fn a_stale_read_names_the_step_that_it_saw() {
        let ascii = store_buffering().ascii();
        assert!(ascii.lines().all(|line| line.len() <= WIDTH), "{ascii}");
        assert!(ascii.contains("scan_swap_map_slots()"), "{ascii}");
        assert!(ascii.contains("(initial"), "{ascii}");
        assert!(ascii.trim_end().ends_with("=> both CPUs read 0"), "{ascii}");
    }

    #[test]
    fn the_same_failure_gives_the_same_diagram() {
        assert_eq!(store_buffering(), store_buffering());
        assert_eq!(store_buffering().svg(), store_buffering().svg());
    }

    #[test]
    fn text_is_wrapped_not_lost() {
        let text = "cluster_alloc_range finds map[3] free while swapoff runs";
        for width in [12, 20, 70] {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|line| line.len() <= width), "{lines:?}");
            let joined: String = lines.concat();
            assert_eq!(joined.replace(' ', ""), text.replace(' ', ""));
        }
    }
}
