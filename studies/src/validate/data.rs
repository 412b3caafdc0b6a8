//! Measurements in lockhammer's columns. Guards that a row that cannot be used is named
//! by file and line, and that rows of unknown locks are skipped in the open.

use super::hammer::Lock;
use std::collections::BTreeMap;

/// Published medians and what is known of their hosts: each a file's name and text.
pub struct Curves {
    pub data: (&'static str, &'static str),
    pub hosts: (&'static str, &'static str),
}

impl Curves {
    /// The hosts that the model's structure was chosen with.
    pub const SEEN: Self = Self {
        data: ("lockhammer-x86.csv", include_str!("lockhammer-x86.csv")),
        hosts: ("lockhammer-x86.toml", include_str!("lockhammer-x86.toml")),
    };
    /// The hosts that nobody who wrote the model had seen until commit 46cf0f2 was judged by them.
    pub const BLIND: Self = Self {
        data: ("lockhammer-x86-blind.csv", include_str!("lockhammer-x86-blind.csv")),
        hosts: ("lockhammer-x86-blind.toml", include_str!("lockhammer-x86-blind.toml")),
    };
}

/// One measured row.
#[derive(Clone, Debug)]
pub struct Row {
    pub host: String,
    pub lock: Lock,
    pub held: u64,
    pub apart: u64,
    pub threads: usize,
    /// Wall time over operations of all threads, nanoseconds.
    pub ns: f64,
}

/// Measured rows, from a file in lockhammer's columns.
pub struct Data {
    pub rows: Vec<Row>,
    /// Rows by a lock that is not simulated: its name, how many.
    pub skipped: BTreeMap<String, usize>,
}

const COLUMNS: [&str; 6] = ["host", "lock", "critical", "parallel", "threads", "median_ns_per_op"];

impl Data {
    /// Reads rows; `file` is for messages. Lines that begin with # are comments. Columns may be in
    /// any order, unknown ones are ignored.
    ///
    /// # Errors
    ///
    /// A line that names the file, and the line and column of a value that cannot be used; also
    /// where a column is missing or no row is of a simulated lock.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let text = text.trim_start_matches('\u{feff}');
        let used = |l: &str| !l.starts_with('#') && !l.trim().is_empty();
        let mut lines = text.lines().enumerate().filter(|(_, l)| used(l));
        let header = lines.next().map_or("", |(_, l)| l);
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let mut at = [0; COLUMNS.len()];
        for (place, column) in at.iter_mut().zip(COLUMNS) {
            let found = names.iter().position(|n| *n == column);
            *place = found.ok_or(format!(
                "{file}: no column '{column}' in its first line, expected {}",
                COLUMNS.join(", ")
            ))?;
        }
        let mut data = Self { rows: Vec::new(), skipped: BTreeMap::new() };
        for (n, line) in lines {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let cell = |column: usize| cells.get(at[column]).copied().unwrap_or("");
            data.take(cell).map_err(|(column, expected)| {
                let (line, column, found) = (n + 1, COLUMNS[column], cell(column));
                format!("{file}:{line}: {column} is '{found}', expected {expected}")
            })?;
        }
        if data.rows.is_empty() {
            return Err(format!("{file}: no row of a lock that is simulated: {}", Lock::list()));
        }
        Ok(data)
    }

    fn take<'a>(&mut self, cell: impl Fn(usize) -> &'a str) -> Result<(), (usize, &'static str)> {
        let time = |n| {
            let text = cell(n).strip_suffix("ns").unwrap_or(cell(n));
            text.trim().parse().map_err(|_| (n, "whole nanoseconds, as 200ns"))
        };
        let (held, apart) = (time(2)?, time(3)?);
        let threads = cell(4).parse().ok().filter(|n| *n > 0).ok_or((4, "a number of threads"))?;
        let ns = cell(5).parse().ok().filter(|ns: &f64| *ns > 0.0 && ns.is_finite());
        let ns = ns.ok_or((5, "nanoseconds above 0"))?;
        if cell(0).is_empty() {
            return Err((0, "a name"));
        }
        match Lock::named(cell(1)) {
            Some(lock) => {
                self.rows.push(Row { host: cell(0).to_owned(), lock, held, apart, threads, ns });
            }
            None => *self.skipped.entry(cell(1).to_owned()).or_default() += 1,
        }
        Ok(())
    }

    /// In the order of the file.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts: Vec<String> = Vec::new();
        for row in &self.rows {
            if !hosts.contains(&row.host) {
                hosts.push(row.host.clone());
            }
        }
        hosts
    }

    /// The rows that were skipped, one line per lock.
    pub fn notes(&self) -> String {
        let note = |(lock, n): (&String, &usize)| {
            format!("skipped: {n} rows of '{lock}', which is not simulated\n")
        };
        self.skipped.iter().map(note).collect()
    }
}
