//! Memory plan and executor.
