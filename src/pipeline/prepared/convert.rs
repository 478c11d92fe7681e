//! From statistics to an int8 model: solve the qparams of every tied set, quantize the weights, lower.
use super::Prepared;
use super::placement::Placement;
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::passes::by_channel::ChannelTensor;
use crate::graph::passes::lower_to_int8::{self, ChannelQParams, SolvedTypes};
use crate::graph::{Graph, QuantizedType, ValueId};
use crate::isa::FloatControl;
use crate::kernels::VectorIsa;
use crate::memory;
use crate::ops::unary_function;
use crate::pipeline::model::{LayerInfo, LayerPrecision, Model};
use crate::pipeline::progress::{ProgressSink, Stage};
use crate::quantize::observer::ObserverState;
use crate::quantize::{QuantizedWeights, Solved, choose_qparams, solve_tied};
use crate::threads::parallel_map;

/// Sets of tensors that are solved, by all threads, before the caller is told again.
const SETS_BETWEEN_REPORTS: usize = 16;

impl Prepared {
    /// Solves qparams from the statistics and makes the int8 model. The prepared graph stays usable.
    ///
    /// # Errors
    /// `NotCalibrated` naming the first tensor that has seen nothing; `NotFinite` for weights or multipliers; what the progress
    /// callback returns.
    pub fn convert(&self) -> Result<Model> {
        let model = self.context.memory().within(|| self.convert_within())?;
        model.log_float_layers();
        Ok(model)
    }

    fn convert_within(&self) -> Result<Model> {
        let _float_control = FloatControl::set_default();
        let placement = self.placed()?;
        let total = placement.members.len() as u64 + 1;
        let solved = self.solve_telling(&self.progress, total)?;
        self.progress.report(Stage::Convert, total - 1, total)?;
        let weights = lower_to_int8::quantize_all_weights(self.graph.graph(), &placement.assignment)?;
        let types = types_of(&placement.assignment, &solved, self.solve_channels()?);
        let model = self.lower(&types, &weights)?;
        self.progress.report(Stage::Convert, total, total)?;
        Ok(model)
    }

    /// What depends on the input shapes.
    ///
    /// # Errors
    /// `NotCalibrated` if they are open still.
    pub(in crate::pipeline) fn placed(&self) -> Result<&Placement> {
        self.statistics.placement.as_deref().ok_or_else(|| Error::NotCalibrated("no batch was seen and the input shapes are open".into()))
    }

    /// The solved qparams of each tied set.
    ///
    /// # Errors
    /// `NotCalibrated` naming the first tensor that has seen nothing.
    pub(in crate::pipeline) fn solve_all(&self) -> Result<Vec<Solved>> {
        self.solve_telling(&ProgressSink::default(), 0)
    }

    /// The qparams of each tensor that has them channel by channel.
    ///
    /// # Errors
    /// `NotCalibrated` naming the tensor and the channel that has seen nothing.
    pub(in crate::pipeline) fn solve_channels(&self) -> Result<Vec<ChannelQParams>> {
        let placement = self.placed()?;
        let tensors = placement.assignment.by_channel.iter().zip(&placement.channel_members);
        let solve = |(tensor, &member): (&ChannelTensor, &usize)| {
            let name = &self.graph.graph().value(tensor.value).name;
            let ObserverState::ChannelMinMax(state) = &self.statistics.observed[member].state else {
                return Err(Error::Graph(format!("tensor {name} is not observed channel by channel")));
            };
            let mut solved = ChannelQParams { scales: Vec::new(), zero_points: Vec::new() };
            for (channel, range) in state.ranges().into_iter().enumerate() {
                let (low, high) =
                    range.ok_or_else(|| Error::NotCalibrated(format!("tensor {name}: channel {channel} has seen no values")))?;
                let qparams = choose_qparams(low, high, tensor.activation.target())?;
                solved.scales.push(qparams.scale);
                solved.zero_points.push(qparams.zero_point);
            }
            Ok(solved)
        };
        tensors.map(solve).collect()
    }

    /// As [`Prepared::solve_all`]; tells how many sets of `total` steps are done.
    fn solve_telling(&self, progress: &ProgressSink, total: u64) -> Result<Vec<Solved>> {
        let graph = self.graph.graph();
        let placement = self.placed()?;
        let solve = |index: usize| -> Result<Solved> {
            let set = &placement.assignment.tied[index];
            let states: Vec<&ObserverState> =
                placement.members[index].iter().map(|&member| &self.statistics.observed[member].state).collect();
            let name = || set.observed.first().map_or("?", |&value| graph.value(value).name.as_str());
            let target = set.activation.target();
            let solved = solve_tied(&states, set.activation.solver(), target).map_err(|error| naming_tensor(error, name()))?;
            memory::checkpoint()?;
            Ok(solved)
        };
        let count = placement.members.len();
        let mut solved: Vec<Solved> = memory::reserved(count, "solved ranges")?;
        while solved.len() < count {
            progress.report(Stage::Convert, solved.len() as u64, total)?;
            let group = solved.len()..count.min(solved.len() + SETS_BETWEEN_REPORTS);
            solved.extend(parallel_map(group, solve).into_iter().collect::<Result<Vec<_>>>()?);
            memory::checkpoint()?;
        }
        Ok(solved)
    }

    /// The model with these types of the tied sets and these weights.
    ///
    /// # Errors
    /// `NotFinite` for multipliers.
    pub(in crate::pipeline) fn lower(&self, types: &SolvedTypes, weights: &[Option<QuantizedWeights>]) -> Result<Model> {
        let (lowered, layers) = self.lower_as(&self.placed()?.assignment, types, weights)?;
        Model::from_lowered(self.context.clone(), lowered, layers)
    }

    /// The lowered graph with this assignment, and what becomes of each layer.
    ///
    /// # Errors
    /// As [`Prepared::lower`].
    pub(in crate::pipeline) fn lower_as(
        &self,
        assignment: &Assignment,
        types: &SolvedTypes,
        weights: &[Option<QuantizedWeights>],
    ) -> Result<(Graph, Vec<LayerInfo>)> {
        let graph = self.graph.graph();
        let isa = VectorIsa::best(self.context.max_isa());
        let unary = move |unary, points: &[f32]| unary_function(isa, unary, points);
        let lowered = lower_to_int8::run(graph, assignment, types, weights, &unary)?;
        Ok((lowered, layer_infos(graph, assignment, types)))
    }
}

/// What was solved for an assignment, as types.
pub(in crate::pipeline) fn types_of(assignment: &Assignment, solved: &[Solved], by_channel: Vec<ChannelQParams>) -> SolvedTypes {
    let tied = assignment.tied.iter().zip(solved);
    SolvedTypes { tied: tied.map(|(set, solved)| QuantizedType::new(solved.qparams, set.activation.target())).collect(), by_channel }
}

/// The error with the tensor's name.
fn naming_tensor(error: Error, name: &str) -> Error {
    match error {
        Error::OutOfMemory { .. } | Error::MemoryLimit { .. } => error,
        Error::NotCalibrated(text) => Error::NotCalibrated(format!("tensor {name}: {text}")),
        Error::NotFinite(text) => Error::NotFinite(format!("tensor {name}: {text}")),
        other => Error::InvalidArgument(format!("tensor {name}: {other}")),
    }
}

fn layer_infos(graph: &Graph, assignment: &Assignment, types: &SolvedTypes) -> Vec<LayerInfo> {
    let qparams = |value: ValueId| assignment.set_of[value.index()].map(|set| types.tied[set].qparams);
    graph
        .nodes
        .iter()
        .zip(assignment.nodes.iter().zip(&assignment.notes))
        .map(|(node, (precision, note))| {
            let (precision, reason) = match precision {
                NodePrecision::Static => (LayerPrecision::Int8Static, note.clone()),
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
