use super::*;
use crate::graph::{Binary, Conv2dAttributes, GraphBuilder, ValueId, ValueType};

fn sound() -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(2), Some(5), Some(5)]).unwrap();
    let conv = builder.conv2d("conv", x, &[0.5; 36], None, Conv2dAttributes::new(2, 2, [3, 3])).unwrap();
    let relu = builder.relu("relu", conv).unwrap();
    let sum = builder.add("sum", relu, relu).unwrap();
    builder.finish(&[sum]).unwrap()
}

/// The error after `change` was made to a sound graph.
fn refusal(change: impl FnOnce(&mut Graph)) -> String {
    let mut graph = sound();
    change(&mut graph);
    validate(&graph).unwrap_err().to_string()
}

fn conv(graph: &mut Graph) -> &mut Conv2d {
    match &mut graph.nodes[0].op {
        Op::Conv2d(conv) => conv,
        _ => panic!("the first node is a convolution"),
    }
}

#[test]
fn zeros_in_a_convolution_are_refused_by_name() {
    for change in [
        (|conv: &mut Conv2d| conv.strides = [0, 1]) as fn(&mut Conv2d),
        |conv| conv.dilations = [1, 0],
        |conv| conv.groups = 0,
        |conv| conv.kernel = [0, 3],
        |conv| conv.groups = 3,
        |conv| conv.out_channels = 4,
        |conv| conv.bounds = Bounds { low: f32::NAN, high: 0.0 },
        |conv| conv.padding = Padding::Explicit { top: usize::MAX, left: 0, bottom: 0, right: 0 },
    ] {
        assert!(refusal(|graph| change(conv(graph))).contains("'conv'"));
    }
}

#[test]
fn wiring_errors_are_refused() {
    assert!(refusal(|graph| graph.nodes.swap(0, 1)).contains("before anything computes it"));
    assert!(refusal(|graph| graph.nodes[0].inputs[0] = ValueId(77)).contains("value 77"));
    assert!(refusal(|graph| graph.nodes[1].output = graph.nodes[0].output).contains("two sources"));
    assert!(refusal(|graph| graph.values[2].name = "x".to_owned()).contains("'x'"));
    assert!(refusal(|graph| graph.nodes[1].name = "conv".to_owned()).contains("'conv'"));
    assert!(refusal(|graph| graph.outputs = vec![ValueId(0)]).contains("'x' is not computed"));
    assert!(refusal(|graph| graph.outputs.clear()).contains("output"));
    assert!(refusal(|graph| graph.outputs.push(graph.outputs[0])).contains("twice"));
    assert!(refusal(|graph| graph.inputs.push(graph.inputs[0])).contains("twice"));
    assert!(refusal(|graph| graph.nodes[2].inputs.truncate(1)).contains("'sum'"));
}

#[test]
fn constants_must_be_whole_and_finite() {
    assert!(refusal(|graph| graph.constants[0].dims = vec![2, 2, 3, 4]).contains("constant 0"));
    assert!(refusal(|graph| graph.constants[0] = Constant::f32(&[0.0; 9], &[1, 1, 3, 3]).unwrap()).contains("weight has shape"));
    let nan = refusal(|graph| graph.constants[0] = Constant::f32(&[f32::NAN; 36], &[2, 2, 3, 3]).unwrap());
    assert!(nan.contains("element 0 is NaN"), "{nan}");
    assert!(refusal(|graph| graph.constants[0].dims = vec![usize::MAX, 2, 3, 3]).contains("constant 0"));
}

#[test]
fn bounds_must_be_in_order() {
    assert!(refusal(|graph| graph.nodes[1].op = Op::Unary(Unary::Clamp(Bounds { low: 1.0, high: 0.0 }))).contains("'relu'"));
    assert!(refusal(|graph| graph.nodes[2].op = Op::Binary(Binary::Add, Bounds { low: f32::NAN, high: 1.0 })).contains("'sum'"));
}

#[test]
fn shapes_are_checked_where_every_dimension_is_declared() {
    let mut graph = sound();
    graph.values[0].declared = vec![Some(1), Some(2), Some(2), Some(5)];
    assert!(matches!(validate(&graph), Err(Error::ShapeMismatch(text)) if text.contains("'conv'")));
    graph.values[0].declared = vec![None, Some(2), Some(2), Some(5)];
    validate(&graph).unwrap();
}

#[test]
fn an_unused_value_without_a_source_is_allowed_but_not_read() {
    let mut graph = sound();
    let orphan = graph.add_value("orphan", ValueType::F32);
    validate(&graph).unwrap();
    graph.nodes[1].inputs = vec![orphan];
    assert!(validate(&graph).unwrap_err().to_string().contains("'orphan'"));
}
