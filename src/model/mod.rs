//! The model file: a lowered graph, its constants where they are run, and free text about it.
//!
//! All numbers are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `RSQMODEL` |
//! | 8 | 4 | format version, 1 to [`FORMAT_VERSION`] |
//! | 12 | 4 | endianness mark `0x01020304` |
//! | 16 | 8 | length of the file |
//! | 24 | 4 | number of sections |
//! | 28 | 4 | CRC-32 of bytes 0..28 and the section table |
//! | 32 | 24 each | section table: kind u32, CRC-32 u32, offset u64, length u64 |
//!
//! Two sections follow, each at the next multiple of 64 after what stands before it, with zeros between:
//!
//! | kind | name | holds |
//! |---|---|---|
//! | 1 | graph | JSON: library version, inputs, outputs, values, nodes, constants (dtype, dims, offset in the data section, length), metadata |
//! | 2 | data | the constants' bytes, in order, each at a multiple of 64, then zeros to a multiple of 64, then 1 KB of zeros |
//!
//! So every constant is 64-byte aligned in a mapped file and is run where it lies, and a kernel may read
//! [`crate::packed::SLACK_BYTES`] past the end of any of them. The same graph, metadata and library version give the
//! same bytes. Reading verifies every checksum and every gap, so no flipped bit passes, and refuses what [`validate`]
//! refuses.
mod atomic_file;
mod document;
mod layout;
mod read;
mod validate;
mod validate_weights;
mod write;

pub use atomic_file::replace_file;
pub use layout::FORMAT_VERSION;
pub use read::{Model, from_bytes, from_static, load_copied, load_mapped};
pub use validate::validate;
pub use write::{save, to_bytes, write_to};

/// Free text about a model, by name: reports, recipes, labels. Sorted, so that files are reproducible.
pub type Metadata = std::collections::BTreeMap<String, String>;

#[cfg(test)]
mod tests;
