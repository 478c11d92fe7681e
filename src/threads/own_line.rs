//! Values that threads write while others read their neighbours.

/// A cache line (two, as CPUs prefetch pairs) of its own, so that who writes it does not disturb those who watch another.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct OwnLine<T>(pub T);
