//! Statistics that leave a prepared graph and come back: saved, resumed, merged.
use super::Prepared;
use super::statistics::Statistics;
use crate::error::{Error, Result};
use crate::memory;
use crate::pipeline::LogLevel;
use crate::pipeline::calibration_file::{self, CalibrationState, Fingerprint};
use std::path::Path;

/// What messages call statistics that come from memory.
const FROM_MEMORY: &str = "the calibration state";

impl Prepared {
    fn fingerprint(&self) -> Fingerprint {
        *self.fingerprint.get_or_init(|| Fingerprint::new(self.graph.graph(), &self.qconfig))
    }

    fn state(&self) -> Result<CalibrationState> {
        let graph = self.graph.graph();
        let statistics = &self.statistics;
        let mut tensors = memory::reserved(statistics.observed.len(), "statistics")?;
        for observed in &statistics.observed {
            tensors.push((graph.value(observed.value).name.clone(), observed.state.clone()));
            memory::checkpoint()?;
        }
        Ok(CalibrationState {
            fingerprint: self.fingerprint(),
            samples: statistics.samples,
            dims: statistics.placement.as_ref().map(|placement| placement.dims.clone()),
            tensors,
        })
    }

    /// Writes the statistics to a file, atomically: whenever the process ends, the path holds the old bytes or the new ones.
    ///
    /// # Errors
    /// `Io`, `OutOfMemory`.
    pub fn save_calibration(&self, path: &Path) -> Result<()> {
        calibration_file::save(&self.state()?, path)
    }

    /// The bytes of the calibration file: the same for the same data, whatever its order, its split into batches and shards, the number of
    /// threads and the instruction set (observers that depend on the order of batches aside).
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn calibration_bytes(&self) -> Result<Vec<u8>> {
        calibration_file::to_bytes(&self.state()?)
    }

    /// Takes over the statistics of a file, so that calibration goes on where it was saved. Settings that change nothing about what is
    /// observed, such as the solver, may differ: trying another one needs no data.
    ///
    /// # Errors
    /// `WrongState` if something was observed already; `Io`, `Corrupt`, `Version`; `Mismatch` for another graph or other observers. On an
    /// error nothing changes.
    pub fn load_calibration(&mut self, path: &Path) -> Result<()> {
        self.check_fresh()?;
        let context = self.context.clone();
        context.memory().within(|| self.take_over(&calibration_file::load(path)?, &path.display().to_string()))
    }

    /// As [`Prepared::load_calibration`], from memory.
    ///
    /// # Errors
    /// Likewise, but for `Io`.
    pub fn load_calibration_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_fresh()?;
        let context = self.context.clone();
        context.memory().within(|| self.take_over(&calibration_file::parse(bytes)?, FROM_MEMORY))
    }

    fn check_fresh(&self) -> Result<()> {
        match self.samples() {
            0 => Ok(()),
            seen => Err(Error::WrongState(format!("{seen} samples have been observed already; merge adds to them"))),
        }
    }

    fn take_over(&mut self, state: &CalibrationState, what: &str) -> Result<()> {
        self.check_graph(state, what)?;
        let mut statistics = self.statistics.copy()?;
        statistics.add(self.graph.graph(), &self.qconfig, state, what)?;
        statistics.count_memory()?;
        memory::checkpoint()?;
        self.statistics = statistics;
        let samples = self.samples();
        self.context.log(LogLevel::Info, || format!("calibration goes on after the {samples} samples of {what}"));
        Ok(())
    }

    /// Adds the statistics of a file that was saved for the same graph and qconfig: the bits are those of one pass over
    /// both data sets. On an error nothing changes.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Version`; `Mismatch` for another graph or qconfig; `Unsupported` for observers that depend on the order of
    /// batches, unless one side has seen nothing.
    pub fn merge_calibration(&mut self, path: &Path) -> Result<()> {
        self.merge_calibrations(&[path])
    }

    /// Adds the statistics of several files: all of them, or on an error none.
    ///
    /// # Errors
    /// As [`Prepared::merge_calibration`].
    pub fn merge_calibrations<P: AsRef<Path>>(&mut self, paths: &[P]) -> Result<()> {
        let context = self.context.clone();
        let statistics = context.memory().within(|| -> Result<Statistics> {
            let mut statistics = self.statistics.copy()?;
            for path in paths {
                let (path, state) = (path.as_ref(), calibration_file::load(path.as_ref())?);
                self.add(&mut statistics, &state, &path.display().to_string())?;
            }
            Ok(statistics)
        })?;
        memory::checkpoint()?;
        self.statistics = statistics;
        Ok(())
    }

    /// As [`Prepared::merge_calibration`], from memory.
    ///
    /// # Errors
    /// Likewise, but for `Io`.
    pub fn merge_calibration_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let context = self.context.clone();
        let statistics = context.memory().within(|| -> Result<Statistics> {
            let mut statistics = self.statistics.copy()?;
            self.add(&mut statistics, &calibration_file::parse(bytes)?, FROM_MEMORY)?;
            Ok(statistics)
        })?;
        memory::checkpoint()?;
        self.statistics = statistics;
        Ok(())
    }

    fn add(&self, statistics: &mut Statistics, theirs: &CalibrationState, what: &str) -> Result<()> {
        self.check_graph(theirs, what)?;
        let (mine, theirs_of) = (self.fingerprint().qconfig, theirs.fingerprint.qconfig);
        if mine != theirs_of {
            return Err(Error::Mismatch(format!("{what} was saved for another qconfig ({theirs_of:08x}, here {mine:08x})")));
        }
        statistics.add(self.graph.graph(), &self.qconfig, theirs, what)?;
        statistics.count_memory()
    }

    fn check_graph(&self, theirs: &CalibrationState, what: &str) -> Result<()> {
        let (mine, theirs) = (self.fingerprint().graph, theirs.fingerprint.graph);
        match mine == theirs {
            true => Ok(()),
            false => Err(Error::Mismatch(format!("{what} was saved for another model ({theirs:08x}, here {mine:08x})"))),
        }
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
        save(&CalibrationState { samples: u64::MAX, ..prepared.state().unwrap() });
        let before = prepared.state().unwrap();
        let merged = prepared.merge_calibration(&path);
        assert!(matches!(&merged, Err(Error::Corrupt(message)) if message.contains(&u64::MAX.to_string())), "{merged:?}");
        assert!(prepared.state().unwrap() == before);
        save(&CalibrationState { samples: u64::MAX - 1, ..before });
        prepared.merge_calibration(&path).unwrap();
        assert_eq!(prepared.samples(), u64::MAX);
        std::fs::remove_file(path).unwrap();
    }
}
