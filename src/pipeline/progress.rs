//! How long work tells its caller where it is, and how the caller stops it.
use crate::error::Result;
use std::sync::Arc;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A batch is observed; steps are samples, times the passes that the observers need (two for `torch_histogram`).
    Calibrate,
    /// Qparams are solved and the int8 model is made; a step is a set of tensors that share their qparams, and at last all layers.
    Convert,
}

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Steps done, never fewer than before within one call.
    pub done: u64,
    /// Steps in all: `done` reaches it in the last report of a call that succeeds.
    pub total: u64,
}

/// What a caller is told with: an error of it ends the work, which then returns that error and has changed nothing.
pub type ProgressCallback = dyn Fn(&Progress) -> Result<()> + Send + Sync;

/// A caller's callback, or none.
#[derive(Clone, Default)]
pub(super) struct ProgressSink(Option<Arc<ProgressCallback>>);

impl ProgressSink {
    pub fn new(callback: Option<Arc<ProgressCallback>>) -> Self {
        Self(callback)
    }

    /// Whether there is a callback.
    pub fn is_listening(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the caller.
    ///
    /// # Errors
    /// The callback's.
    pub fn report(&self, stage: Stage, done: u64, total: u64) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |callback| callback(&Progress { stage, done, total }))
    }
}
