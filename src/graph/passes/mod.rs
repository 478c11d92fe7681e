//! Passes over graphs.
