//! What a variant runs on.
