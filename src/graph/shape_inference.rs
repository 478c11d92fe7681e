//! Output shapes from input shapes.
