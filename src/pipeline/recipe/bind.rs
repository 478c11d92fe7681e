//! Entries of another system's calibration and what they stand for in a graph: layers by their weight's name, their scope or
//! their own name; tensors by name, or by following the flow from layer to layer.
use crate::graph::{Binary, Bounds, Graph, Node, Op, Reshape, Unary, ValueId};
use crate::quantize::recipe::foreign::{FlowKind, ForeignCalibration, ForeignLayer, ForeignTensor};
use crate::quantize::recipe::{Bound, Unbound};
use std::collections::HashMap;

/// What a file says of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Knowledge {
    pub tensor: ForeignTensor,
    /// The file's system held it as bytes; otherwise it was observed only.
    pub quantized: bool,
    /// Which entry.
    pub origin: String,
}

/// A file on a graph.
pub(super) struct Bindings {
    /// For each node the index of its layer in the file.
    pub layer_of: Vec<Option<usize>>,
    /// For each value.
    pub known: Vec<Option<Knowledge>>,
    pub bound: Vec<Bound>,
    pub unused: Vec<Unbound>,
}

/// Binds layers and tensors.
pub(super) fn bind(graph: &Graph, calibration: &ForeignCalibration) -> Bindings {
    let mut bindings =
        Bindings { layer_of: vec![None; graph.nodes.len()], known: vec![None; graph.values.len()], bound: Vec::new(), unused: Vec::new() };
    bind_layers(graph, calibration, &mut bindings);
    bind_tensors(graph, calibration, &mut bindings);
    if !calibration.flow.is_empty() {
        follow_flow(graph, calibration, &mut bindings);
    }
    bindings
}

fn bind_layers(graph: &Graph, calibration: &ForeignCalibration, bindings: &mut Bindings) {
    let weighted = |index: &usize| matches!(graph.nodes[*index].op, Op::Conv2d(_) | Op::Linear(_));
    type Key = fn(&Graph, &Node) -> Option<String>;
    let keys: [(&str, Key); 3] = [
        ("initializer", |graph, node| graph.weight_names.get(&node.name)?.strip_suffix(".weight").map(str::to_owned)),
        ("scope", |_, node| module_of_scope(&node.name)),
        ("name", |_, node| Some(node.name.clone())),
    ];
    let tables = keys.map(|(by, key)| {
        let mut nodes: HashMap<String, Vec<usize>> = HashMap::new();
        for index in (0..graph.nodes.len()).filter(weighted) {
            if let Some(key) = key(graph, &graph.nodes[index]) {
                nodes.entry(key).or_default().push(index);
            }
        }
        (by, nodes)
    });
    for (at, layer) in calibration.layers.iter().enumerate() {
        // A module that is applied twice has two entries and two nodes, in the same order.
        let free = |index: &&usize| bindings.layer_of[**index].is_none() && is_of_kind(&graph.nodes[**index].op, &layer.kind);
        let found = tables.iter().find_map(|(by, nodes)| Some((*by, *nodes.get(&layer.name)?.iter().find(free)?)));
        let Some((by, node)) = found else {
            bindings.unused.push(Unbound { name: layer.name.clone(), reason: unused_reason(layer) });
            continue;
        };
        bindings.layer_of[node] = Some(at);
        let to = graph.nodes[node].name.clone();
        bindings.bound.push(Bound { entry: layer.name.clone(), to, by: by.to_owned() });
        if let Some(tensor) = layer.input {
            let origin = format!("input of {}", layer.name);
            bindings.known[graph.nodes[node].inputs[0].index()].get_or_insert(Knowledge { tensor, quantized: true, origin });
        }
    }
}

fn is_of_kind(op: &Op, kind: &str) -> bool {
    match op {
        Op::Conv2d(_) => kind.is_empty() || kind.starts_with("Conv"),
        _ => kind.is_empty() || kind == "Linear",
    }
}

fn unused_reason(layer: &ForeignLayer) -> String {
    if layer.kind.is_empty() || layer.kind.starts_with("Conv") || layer.kind == "Linear" {
        format!("no layer has the weight \"{0}.weight\", the scope or the name {0}", layer.name)
    } else {
        format!("a {} has no static int8 form here", layer.kind)
    }
}

/// The module of a node that PyTorch exported: `layer1.0.downsample.0` for `/layer1/layer1.0/downsample/downsample.0/Conv`.
/// A part repeats the module before it where that is a container.
fn module_of_scope(name: &str) -> Option<String> {
    let mut parts = name.strip_prefix('/')?.split('/').collect::<Vec<_>>();
    parts.pop()?;
    let (mut path, mut before) = (String::new(), "");
    for part in parts {
        match part.strip_prefix(before).filter(|rest| !before.is_empty() && rest.starts_with('.')) {
            Some(rest) => path.push_str(rest),
            None if path.is_empty() => path.push_str(part),
            None => {
                path.push('.');
                path.push_str(part);
            }
        }
        before = part;
    }
    Some(path).filter(|path| !path.is_empty())
}

fn bind_tensors(graph: &Graph, calibration: &ForeignCalibration, bindings: &mut Bindings) {
    let value_of: HashMap<&str, usize> = graph.values.iter().enumerate().map(|(index, value)| (value.name.as_str(), index)).collect();
    for (name, &tensor) in &calibration.tensors {
        match value_of.get(name.as_str()) {
            Some(&value) if graph.values[value].constant.is_none() => {
                bindings.known[value] = Some(Knowledge { tensor, quantized: true, origin: name.clone() });
                bindings.bound.push(Bound { entry: name.clone(), to: name.clone(), by: "name".to_owned() });
            }
            _ => {
                let reason = "no tensor of the optimized graph has this name".to_owned();
                bindings.unused.push(Unbound { name: name.clone(), reason });
            }
        }
    }
}

/// Who reads each tensor of the flow.
struct Flow<'a> {
    calibration: &'a ForeignCalibration,
    readers: HashMap<i64, Vec<usize>>,
}

impl Flow<'_> {
    /// The step of one of `kinds` that reads `id`: its other input, and what it makes.
    fn step(&self, id: i64, kinds: &[&str]) -> Option<(Option<i64>, i64)> {
        let steps = self.readers.get(&id)?.iter().map(|&step| &self.calibration.flow[step]);
        let mut fitting = steps.filter(|step| matches!(&step.kind, FlowKind::Other(kind) if kinds.contains(&kind.trim_matches('_'))));
        let step = fitting.next()?;
        Some((step.inputs.iter().copied().find(|&input| input != id), *step.outputs.first()?))
    }

    /// What the clamp behind `id` makes, if `bounds` are one.
    fn clamped(&self, id: i64, bounds: Bounds) -> Option<i64> {
        if bounds == Bounds::NONE { Some(id) } else { self.step(id, &CLAMPS).map(|(_, made)| made) }
    }
}

const CLAMPS: [&str; 6] = ["relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min"];

/// Names in a trace of an operator that is no layer.
fn kinds_of(op: &Op) -> &'static [&'static str] {
    match op {
        Op::MaxPool(_) => &["maxpool2d", "max_pool2d"],
        Op::GlobalAveragePool | Op::AveragePool(_) | Op::ReduceMean { .. } => {
            &["adaptiveavgpool2d", "adaptive_avg_pool2d", "avgpool2d", "avg_pool2d", "mean"]
        }
        Op::Reshape(Reshape::Flatten(_)) => &["flatten", "view", "reshape"],
        Op::Reshape(_) => &["view", "reshape", "flatten", "squeeze", "unsqueeze"],
        Op::Transpose(_) => &["permute", "transpose"],
        Op::Concat { .. } => &["cat", "concat"],
        Op::Unary(Unary::Clamp(_)) => &CLAMPS,
        Op::Unary(Unary::Sigmoid) => &["sigmoid"],
        Op::Unary(Unary::HardSwish) => &["hardswish"],
        Op::Unary(Unary::HardSigmoid { .. }) => &["hardsigmoid"],
        Op::Unary(Unary::LeakyRelu { .. }) => &["leakyrelu", "leaky_relu"],
        Op::Binary(Binary::Add, _) => &["add", "iadd"],
        Op::Binary(Binary::Mul, _) => &["mul", "imul"],
        _ => &[],
    }
}

/// Walks the graph and the flow side by side from the layers that are bound.
fn follow_flow(graph: &Graph, calibration: &ForeignCalibration, bindings: &mut Bindings) {
    let mut flow = Flow { calibration, readers: HashMap::new() };
    let mut step_of = vec![None; calibration.layers.len()];
    for (index, step) in calibration.flow.iter().enumerate() {
        step.inputs.iter().for_each(|&id| flow.readers.entry(id).or_default().push(index));
        if let FlowKind::Layer(layer) = step.kind {
            step_of[layer] = Some(step);
        }
    }
    let mut ids: Vec<Option<i64>> = vec![None; graph.values.len()];
    let see = |ids: &mut Vec<Option<i64>>, value: ValueId, id: i64| *ids[value.index()].get_or_insert(id);
    for (index, node) in graph.nodes.iter().enumerate() {
        let made = match bindings.layer_of[index].and_then(|layer| step_of[layer]) {
            Some(step) => step.inputs.first().zip(step.outputs.first()).and_then(|(&input, &output)| {
                see(&mut ids, node.inputs[0], input);
                let bounds = match &node.op {
                    Op::Conv2d(conv) => conv.bounds,
                    Op::Linear(linear) => linear.bounds,
                    _ => Bounds::NONE,
                };
                let summed = match node.inputs.get(1) {
                    Some(&residual) => {
                        let (other, sum) = flow.step(output, kinds_of(&Op::Binary(Binary::Add, Bounds::NONE)))?;
                        other.map(|other| see(&mut ids, residual, other));
                        sum
                    }
                    None => output,
                };
                flow.clamped(summed, bounds)
            }),
            None => node.inputs.first().and_then(|input| ids[input.index()]).and_then(|id| {
                let (other, made) = flow.step(id, kinds_of(&node.op))?;
                if let (Op::Binary(..), [_, second], Some(other)) = (&node.op, node.inputs.as_slice(), other) {
                    see(&mut ids, *second, other);
                }
                flow.clamped(made, if let Op::Binary(_, bounds) = node.op { bounds } else { Bounds::NONE })
            }),
        };
        if let Some(id) = made {
            see(&mut ids, node.output, id);
        }
    }
    for (known, id) in bindings.known.iter_mut().zip(ids) {
        let (Some(id), None) = (id, &known) else { continue };
        let tables = [(&calibration.quantized, true), (&calibration.observed, false)];
        let found = tables.into_iter().find_map(|(table, quantized)| table.get(&id).map(|&tensor| (tensor, quantized)));
        *known = found.map(|(tensor, quantized)| Knowledge { tensor, quantized, origin: format!("tensor {id}") });
    }
}

#[cfg(test)]
mod tests {
    use super::module_of_scope;

    #[test]
    fn scopes_name_their_module() {
        for (scope, module) in [
            ("/conv1/Conv", Some("conv1")),
            ("/layer1/layer1.0/conv1/Conv", Some("layer1.0.conv1")),
            ("/layer1/layer1.0/downsample/downsample.0/Conv", Some("layer1.0.downsample.0")),
            ("/features/features.10/conv/conv.0/conv.0.0/Conv", Some("features.10.conv.0.0")),
            ("/Conv", None),
            ("Conv_7", None),
        ] {
            assert_eq!(module_of_scope(scope).as_deref(), module, "{scope}");
        }
    }
}
