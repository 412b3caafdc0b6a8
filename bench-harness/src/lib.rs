//! Runs a plan and records what happened.
