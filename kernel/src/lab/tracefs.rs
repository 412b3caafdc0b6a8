//! The guest's tracefs: probes, triggers and histograms by its control files. Guards the counts of
//! a cell: a histogram that could not be emptied gives no counts, since they would be the next
//! cell's too.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Where the guest mounts it.
pub const TRACING: &str = "/sys/kernel/tracing";

/// Writes without truncating: opening a trigger file with O_TRUNC removes its triggers.
///
/// # Errors
/// In words, after the line that was written.
pub fn append(path: &Path, line: &str) -> Result<(), String> {
    let mut file = File::options().append(true).open(path).map_err(|e| e.to_string())?;
    file.write_all(line.as_bytes()).map_err(|error| format!("{line}: {error}"))
}

/// A control file of a kprobe event.
fn event(name: &str, file: &str) -> PathBuf {
    Path::new(TRACING).join("events/kprobes").join(name).join(file)
}

/// Defines `probe` as the event `name` and gives it a trigger.
///
/// # Errors
/// That of [`append`], such as a function that this kernel lacks.
pub fn add(probe: &str, name: &str, trigger: &str) -> Result<(), String> {
    append(&Path::new(TRACING).join("kprobe_events"), probe)?;
    set(name, trigger)
}

/// Gives the event another trigger: one of its own with `:pause`, `:cont` or `:clear` at its end.
pub fn set(name: &str, trigger: &str) -> Result<(), String> {
    append(&event(name, "trigger"), trigger)
}

/// The histogram of an event, as text.
pub fn hist(name: &str) -> String {
    fs::read_to_string(event(name, "hist")).unwrap_or_default()
}

/// The histogram of an event since the last call, as text; the histogram is then empty.
pub fn drain(name: &str, trigger: &str) -> String {
    let counts = hist(name);
    match set(name, &format!("{trigger}:clear")) {
        Ok(()) => counts,
        Err(_) => String::new(),
    }
}
