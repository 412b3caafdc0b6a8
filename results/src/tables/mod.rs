//! Reports as text: one file per format, all behind one trait. A format rounds figures and
//! computes nothing else; every figure it prints is in the [`Report`].

pub mod brief;
mod contention;
mod counters;
pub mod csv;
pub mod document;
pub mod grid;
pub mod json;
pub mod lkp;
pub mod mail;
pub mod markdown;
mod rows;
mod swap_tables;
pub mod terminal;
pub mod text;

pub use brief::Brief;
pub use csv::Csv;
pub use json::Json;
pub use lkp::Lkp;
pub use mail::Mail;
pub use markdown::Markdown;
pub use terminal::Terminal;

use crate::report::Report;

/// A way to write a report.
pub trait Format {
    /// The whole text, with a newline at its end.
    fn render(&self, report: &Report) -> String;
}
