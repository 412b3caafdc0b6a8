//! What a run is: schema, store, statistics, tables.
