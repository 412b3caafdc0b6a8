//! The report as JSON: every figure unrounded, for programs.

use super::Format;
use crate::report::Report;

/// The report as JSON.
pub struct Json;

impl Format for Json {
    fn render(&self, report: &Report) -> String {
        // Names are strings and figures finite or null: this cannot fail.
        serde_json::to_string_pretty(report).expect("a report is always JSON") + "\n"
    }
}
