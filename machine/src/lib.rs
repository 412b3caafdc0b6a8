//! What a variant runs on.
pub mod topology;
