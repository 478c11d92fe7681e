//! What calibration has collected so far. Work that may fail changes a copy, which then takes the place of the original.
use super::placement::{ObserverPlace, Placement};
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::memory;
use crate::pipeline::calibration_file::CalibrationState;
use crate::quantize::QConfig;
use crate::quantize::observer::ObserverState;
use std::sync::Arc;

/// A tensor that is observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// The value whose elements are seen: reshapes show their input.
    pub(super) value: ValueId,
    pub(super) state: ObserverState,
}

/// Where the observers are and what they have seen: a function of the data alone, whatever its order and split.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    /// `None` until input shapes are known.
    pub(super) placement: Option<Arc<Placement>>,
    pub(super) observed: Vec<Observed>,
    pub(super) samples: u64,
    /// Counts what the observers hold.
    charge: memory::Charge,
}

impl Statistics {
    /// A copy for work that may fail.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(super) fn copy(&self) -> Result<Self> {
        let mut observed = memory::reserved(self.observed.len(), "statistics")?;
        for tensor in &self.observed {
            observed.push(tensor.clone());
            memory::checkpoint()?;
        }
        let mut copy = Self { placement: self.placement.clone(), observed, samples: self.samples, charge: memory::Charge::default() };
        copy.count_memory()?;
        Ok(copy)
    }

    /// Counts what the observers hold by now to the budget that this thread works within.
    ///
    /// # Errors
    /// `MemoryLimit`; then nothing of these statistics is counted.
    pub(super) fn count_memory(&mut self) -> Result<()> {
        drop(std::mem::take(&mut self.charge));
        let bytes = self.observed.iter().map(|observed| size_of::<Observed>() + observed.state.held_bytes()).sum();
        self.charge = memory::charge(bytes, "statistics")?;
        Ok(())
    }

    /// Sees to it that observers are placed for inputs of these shapes. Sizes may differ from batch to batch where they need the
    /// same observers; the placement kept is the one of the smallest, so that the order of batches does not matter.
    ///
    /// # Errors
    /// As [`Placement::new`]; `ShapeMismatch` for sizes that need other observers than those that have seen something.
    pub(super) fn place(&mut self, graph: &Graph, qconfig: &QConfig, dims: &[Vec<usize>]) -> Result<()> {
        let dims = Placement::dims_of_a_sample(graph, dims)?;
        match &self.placement {
            Some(placement) if placement.dims == dims => return Ok(()),
            _ => {}
        }
        let placement = Placement::new(graph, qconfig, dims)?;
        match &self.placement {
            Some(current) if self.samples > 0 && !current.observes_alike(&placement) => {
                let message = format!("inputs of shapes {:?} need other observers than those of shapes {:?}", placement.dims, current.dims);
                return Err(Error::ShapeMismatch(message));
            }
            Some(current) if current.observes_alike(&placement) && current.dims < placement.dims => return Ok(()),
            Some(current) if current.observes_alike(&placement) => {}
            _ => {
                let fresh = |&ObserverPlace { value, kind, channels }: &ObserverPlace| Observed {
                    value,
                    state: ObserverState::with_channels(kind, channels),
                };
                self.observed = placement.observers.iter().map(fresh).collect();
            }
        }
        self.placement = Some(Arc::new(placement));
        Ok(())
    }

    /// Adds what another calibration of the same graph has collected. `what` names it in messages.
    ///
    /// # Errors
    /// `Mismatch` for other observers; `Unsupported` for observers that depend on the order of batches, if both sides have seen something.
    pub(super) fn add(&mut self, graph: &Graph, qconfig: &QConfig, theirs: &CalibrationState, what: &str) -> Result<()> {
        let misfit = |text: String| Error::Mismatch(format!("{what}: {text}"));
        if let Some(dims) = &theirs.dims {
            self.place(graph, qconfig, dims).map_err(|error| match error {
                error if error.is_out_of_memory() => error,
                other => misfit(other.to_string()),
            })?;
        }
        if theirs.tensors.len() != self.observed.len() && (theirs.dims.is_some() || !theirs.tensors.is_empty()) {
            return Err(misfit(format!("it observes {} tensors, here are {}", theirs.tensors.len(), self.observed.len())));
        }
        for (index, (observed, (name, state))) in self.observed.iter_mut().zip(&theirs.tensors).enumerate() {
            let (here, kind) = (&graph.value(observed.value).name, observed.state.kind());
            if observed.state.channels() != state.channels() {
                let channels =
                    |channels: Option<usize>| channels.map_or("as a whole".to_owned(), |channels| format!("by {channels} channels"));
                let (theirs, mine) = (channels(state.channels()), channels(observed.state.channels()));
                return Err(misfit(format!("its tensor {index}, {name}, is observed {theirs}; here {here} is, {mine}")));
            }
            if here != name || kind != state.kind() {
                return Err(misfit(format!(
                    "its tensor {index} is {name}, observed by {}; here it is {here}, by {}",
                    state.kind().name(),
                    kind.name()
                )));
            }
            if self.samples == 0 {
                observed.state = state.clone();
            } else if theirs.samples > 0 {
                observed.state.merge(state)?;
            }
            memory::checkpoint()?;
        }
        let samples = self.samples.checked_add(theirs.samples);
        self.samples = samples.ok_or_else(|| Error::Corrupt(format!("{what} says that it saw {} samples", theirs.samples)))?;
        Ok(())
    }
}
