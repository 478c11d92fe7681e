//! What calibration knows of the tensors that are held as bytes, for reports.
use super::Prepared;
use crate::error::Result;
use crate::quantize::observer::ObserverState;
use crate::quantize::{Solved, Target};

/// Tensors that share their qparams, what was observed of them, and what was solved from it.
#[derive(Debug, Clone)]
pub struct CalibratedTensor {
    /// Their names, in the graph's order.
    pub names: Vec<String>,
    /// What they are quantized to.
    pub target: Target,
    /// Their range and qparams.
    pub solved: Solved,
    /// Their statistics: merged, or of each observed tensor where the observer cannot merge.
    pub states: Vec<ObserverState>,
}

impl Prepared {
    /// The tensors that are held as bytes with fixed qparams, set by set.
    ///
    /// # Errors
    /// As [`Prepared::convert`].
    pub fn calibrated_tensors(&self) -> Result<Vec<CalibratedTensor>> {
        let graph = self.graph.graph();
        let placement = self.placed()?;
        let assignment = &placement.assignment;
        let names = |set: usize| {
            let members = graph.values.iter().zip(&assignment.set_of).filter(move |(_, of)| **of == Some(set));
            members.map(|(value, _)| value.name.clone()).collect()
        };
        let tensor = |(set, solved): (usize, Solved)| -> Result<CalibratedTensor> {
            let observed = placement.members[set].iter().map(|&member| &self.statistics.observed[member].state);
            let mut states: Vec<ObserverState> = observed.clone().take(1).cloned().collect();
            for state in observed.skip(1) {
                match states[0].is_mergeable() {
                    true => states[0].merge(state)?,
                    false => states.push(state.clone()),
                }
            }
            Ok(CalibratedTensor { names: names(set), target: assignment.tied[set].activation.target(), solved, states })
        };
        self.solve_all()?.into_iter().enumerate().map(tensor).collect()
    }
}
