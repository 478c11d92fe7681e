//! What a context tells its host in words, instead of printing.
use std::sync::Arc;

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Something that was asked for is not what there is: threads that were refused, an instruction set that the environment caps.
    Warning,
    /// What was decided: a layer that stays float and why, statistics that were resumed, a plan that gave way to another.
    Info,
}

/// What a message is told to, on the thread of the call that it is about, before that call returns. It must not use the objects of
/// that call.
pub type LogCallback = dyn Fn(LogLevel, &str) + Send + Sync;

/// A callback, and what is told to it.
#[derive(Clone)]
pub struct Log {
    /// The least important level that is told.
    pub level: LogLevel,
    /// Whom.
    pub callback: Arc<LogCallback>,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Log({:?})", self.level)
    }
}

impl Log {
    /// Tells `message`, which is made only if `level` is told.
    pub(super) fn tell(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if level <= self.level {
            (self.callback)(level, &message());
        }
    }
}
