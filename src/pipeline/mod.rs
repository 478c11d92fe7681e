//! The safe Rust facade.
