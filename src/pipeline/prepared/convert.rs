//! From statistics to an int8 model.
use super::Prepared;
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::passes::lower_to_int8;
use crate::graph::{Graph, QuantizedType, ValueId};
use crate::isa::FloatControl;
use crate::kernels::VectorIsa;
use crate::ops::unary_function;
use crate::pipeline::model::{LayerInfo, LayerPrecision, Model};
use crate::quantize::observer::ObserverState;
use crate::quantize::solve_tied;
use rayon::prelude::*;

impl Prepared {
    /// Solves qparams from the statistics and makes the int8 model. The prepared graph stays usable.
    ///
    /// # Errors
    /// `NotCalibrated` naming the first tensor that has seen nothing; `NotFinite` for weights or multipliers.
    pub fn convert(&self) -> Result<Model> {
        let _float_control = FloatControl::set_default();
        let graph = self.graph.graph();
        let placement =
            self.placement.as_ref().ok_or_else(|| Error::NotCalibrated("no batch was seen and the input shapes are open".into()))?;
        let types: Vec<QuantizedType> = placement
            .assignment
            .tied
            .par_iter()
            .zip(&placement.members)
            .map(|(set, members)| {
                let states: Vec<&ObserverState> = members.iter().map(|&member| &self.observed[member].state).collect();
                let name = || set.observed.first().map_or("?", |&value| graph.value(value).name.as_str());
                let target = set.activation.target();
                let solved = solve_tied(&states, set.activation.solver(), target).map_err(|error| naming_tensor(error, name()))?;
                let (low, high) = target.held_range();
                Ok(QuantizedType { qparams: solved.qparams, low: low as u8, high: high as u8 })
            })
            .collect::<Result<_>>()?;
        let isa = VectorIsa::best(self.context.max_isa());
        let unary = move |unary, points: &[f32]| unary_function(isa, unary, points);
        let lowered = lower_to_int8::run(graph, &placement.assignment, &types, &unary)?;
        let layers = layer_infos(graph, &placement.assignment, &types);
        Model::from_lowered(self.context.clone(), lowered, layers)
    }
}

/// The error with the tensor's name.
fn naming_tensor(error: Error, name: &str) -> Error {
    match error {
        Error::NotCalibrated(text) => Error::NotCalibrated(format!("tensor {name}: {text}")),
        Error::NotFinite(text) => Error::NotFinite(format!("tensor {name}: {text}")),
        other => Error::InvalidArgument(format!("tensor {name}: {other}")),
    }
}

fn layer_infos(graph: &Graph, assignment: &Assignment, types: &[QuantizedType]) -> Vec<LayerInfo> {
    let qparams = |value: ValueId| assignment.set_of[value.index()].map(|set| types[set].qparams);
    graph
        .nodes
        .iter()
        .zip(&assignment.nodes)
        .map(|(node, precision)| {
            let (precision, reason) = match precision {
                NodePrecision::Static => (LayerPrecision::Int8Static, String::new()),
                NodePrecision::Dynamic => (LayerPrecision::Int8Dynamic, String::new()),
                NodePrecision::Float(reason) => (LayerPrecision::Float, reason.clone()),
            };
            let fixed = precision == LayerPrecision::Int8Static;
            LayerInfo {
                name: node.name.clone(),
                operator: node.op.name().to_owned(),
                precision,
                reason,
                input: node.inputs.first().and_then(|&input| qparams(input)).filter(|_| fixed),
                output: qparams(node.output).filter(|_| fixed),
            }
        })
        .collect()
}
