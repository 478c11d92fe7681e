//! Statistics that leave a prepared graph and come back: saved, resumed, merged.
use super::Prepared;
use crate::error::{Error, Result};
use crate::memory;
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
        let samples = self.samples.checked_add(theirs.samples);
        let samples = samples.ok_or_else(|| Error::Corrupt(format!("{} says that it saw {} samples", path.display(), theirs.samples)))?;
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
        memory::checkpoint()?;
        self.observed = merged;
        self.samples = samples;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, Unary};
    use crate::pipeline::{Context, FloatGraph};
    use crate::quantize::QConfig;
    use crate::tensor::TensorView;

    #[test]
    fn more_samples_than_can_be_counted_are_corrupt_and_change_nothing() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let y = builder.linear("l", x, &[1.0; 4], None, 2, 2).unwrap();
        let y = builder.unary("u", y, Unary::Sigmoid).unwrap();
        let graph = FloatGraph::from_graph(builder.finish(&[y]).unwrap()).unwrap();
        let mut prepared = Prepared::new(&Context::default_context().unwrap(), &graph, &QConfig::default_static(), None).unwrap();
        prepared.calibrate(&[TensorView::f32(&[1.0, -2.0], &[1, 2]).unwrap()]).unwrap();
        let path = std::env::temp_dir().join(format!("rsquant-samples-{}", std::process::id()));
        let save = |state: &CalibrationState| calibration_file::save(state, &path).unwrap();
        save(&CalibrationState { samples: u64::MAX, ..prepared.state() });
        let before = prepared.state();
        let merged = prepared.merge_calibration(&path);
        assert!(matches!(&merged, Err(Error::Corrupt(message)) if message.contains(&u64::MAX.to_string())), "{merged:?}");
        assert!(prepared.state() == before);
        save(&CalibrationState { samples: u64::MAX - 1, ..before });
        prepared.merge_calibration(&path).unwrap();
        assert_eq!(prepared.samples(), u64::MAX);
        std::fs::remove_file(path).unwrap();
    }
}
