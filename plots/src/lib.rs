//! Charts and the report page, from results alone.
