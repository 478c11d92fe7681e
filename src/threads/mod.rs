//! Own team, caller parallel_for, or one thread.
