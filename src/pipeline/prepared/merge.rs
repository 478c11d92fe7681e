//! Statistics that leave a prepared graph and come back: saved, resumed, merged.
use super::Prepared;
use crate::error::{Error, Result};
use crate::pipeline::calibration_file::{self, CalibrationState};
use std::path::Path;

impl Prepared {
    fn state(&self) -> CalibrationState {
        let graph = self.graph.graph();
        CalibrationState {
            fingerprint: calibration_file::fingerprint(graph, &self.qconfig),
            samples: self.samples,
            dims: self.placement.as_ref().map(|placement| placement.dims.clone()),
            tensors: self.observed.iter().map(|observed| (graph.value(observed.value).name.clone(), observed.state.clone())).collect(),
        }
    }

    /// Writes the statistics to a file, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save_calibration(&self, path: &Path) -> Result<()> {
        calibration_file::save(&self.state(), path)
    }

    /// Adds the statistics of a file that was saved for the same graph and qconfig: the bits are those of one pass over
    /// both data sets. On an error nothing changes.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Version`; `Mismatch` for another graph or qconfig; `Unsupported` for observers that depend on the order of
    /// batches, unless nothing was seen yet (then the file's state is taken over: a resume).
    pub fn merge_calibration(&mut self, path: &Path) -> Result<()> {
        let theirs = calibration_file::load(path)?;
        let mine = calibration_file::fingerprint(self.graph.graph(), &self.qconfig);
        if theirs.fingerprint != mine {
            let message =
                format!("{} was saved for another model or qconfig ({:08x}, here {mine:08x})", path.display(), theirs.fingerprint);
            return Err(Error::Mismatch(message));
        }
        if let (None, Some(dims)) = (&self.placement, &theirs.dims) {
            self.place(dims)?;
        }
        let graph = self.graph.graph();
        let mut merged = self.observed.clone();
        for (index, (name, state)) in theirs.tensors.iter().enumerate() {
            let observed =
                merged.get_mut(index).filter(|observed| graph.value(observed.value).name == *name && observed.state.kind() == state.kind());
            let observed = observed
                .ok_or_else(|| Error::Mismatch(format!("tensor {index} of {} is {name}, which is not observed here", path.display())))?;
            if observed.state.is_empty() {
                observed.state = state.clone();
            } else {
                observed.state.merge(state)?;
            }
        }
        self.observed = merged;
        self.samples += theirs.samples;
        Ok(())
    }
}
