use super::*;
use crate::graph::{Binary, Bounds, Conv2dAttributes, GraphBuilder, Padding, Pool};

fn shape(op: &Op, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    operator_shape(&Graph::default(), op, inputs)
}

fn reshape(dims: &[i64]) -> Op {
    Op::Reshape(Reshape::Dims(dims.to_vec()))
}

#[test]
fn a_small_network_has_the_shapes_of_its_layers() {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(3), Some(9), Some(11)]).unwrap();
    let padding = Padding::Explicit { top: 1, left: 0, bottom: 1, right: 2 };
    let attributes = Conv2dAttributes { strides: [2, 1], padding, ..Conv2dAttributes::new(3, 4, [3, 3]) };
    let conv = builder.conv2d("conv", x, &[0.0; 108], None, attributes).unwrap();
    let pool =
        Pool { kernel: [2, 3], strides: [2, 2], dilations: [1, 1], padding: Padding::NONE, ceil_mode: false, count_include_pad: false };
    let pooled = builder.max_pool("pool", conv, pool).unwrap();
    let flat = builder.flatten("flat", pooled, 1).unwrap();
    let y = builder.linear("fc", flat, &[0.0; 7 * 40], None, 7, 40).unwrap();
    let graph = builder.finish(&[y]).unwrap();
    let shapes = infer_shapes(&graph, &[vec![6, 3, 9, 11]]).unwrap();
    let of = |id: crate::graph::ValueId| shapes[id.index()].clone().unwrap();
    assert_eq!(of(conv), [6, 4, 5, 11]);
    assert_eq!(of(pooled), [6, 4, 2, 5]);
    assert_eq!(of(flat), [6, 40]);
    assert_eq!(of(y), [6, 7]);
    let error = infer_shapes(&graph, &[vec![6, 3, 9, 12]]).unwrap_err().to_string();
    assert!(error.contains("'x'") && error.contains("[?, 3, 9, 11]"), "{error}");
    assert!(infer_shapes(&graph, &[]).is_err());
    let known = infer_as_far_as_possible(&graph, &[vec![6, 3, 9, 20]]).unwrap();
    assert!(known[flat.index()].is_some() && known[y.index()].is_none());
}

#[test]
fn shapes_broadcast_as_in_numpy() {
    let add = Op::Binary(Binary::Add, Bounds::NONE);
    assert_eq!(shape(&add, &[&[2, 1, 4], &[3, 1]]).unwrap(), [2, 3, 4]);
    assert_eq!(shape(&add, &[&[], &[5]]).unwrap(), [5]);
    assert_eq!(shape(&add, &[&[0, 3], &[1, 3]]).unwrap(), [0, 3]);
    assert!(shape(&add, &[&[2, 3], &[2]]).is_err());
    assert_eq!(shape(&Op::MatMul, &[&[5, 1, 2, 3], &[4, 3, 7]]).unwrap(), [5, 4, 2, 7]);
    assert!(shape(&Op::MatMul, &[&[2, 3], &[4, 7]]).is_err());
    assert!(shape(&Op::MatMul, &[&[3], &[3, 7]]).is_err());
}

#[test]
fn reshapes_keep_the_number_of_elements() {
    assert_eq!(shape(&reshape(&[0, -1, 2]), &[&[3, 4, 5]]).unwrap(), [3, 10, 2]);
    assert_eq!(shape(&reshape(&[]), &[&[1, 1]]).unwrap(), [0_usize; 0]);
    for dims in [&[7, -1][..], &[-1, -1], &[0, 0, 0, 0], &[-2, 30], &[i64::MAX, i64::MAX], &[59], &[0, -1, 0, 1, 0]] {
        assert!(shape(&reshape(dims), &[&[3, 4, 5]]).is_err(), "{dims:?}");
    }
    assert_eq!(shape(&Op::Reshape(Reshape::Flatten(-1)), &[&[2, 3, 4]]).unwrap(), [6, 4]);
    assert_eq!(shape(&Op::Reshape(Reshape::Flatten(3)), &[&[2, 3, 4]]).unwrap(), [24, 1]);
    assert!(shape(&Op::Reshape(Reshape::Flatten(4)), &[&[2, 3, 4]]).is_err());
    assert_eq!(shape(&Op::Reshape(Reshape::Squeeze(vec![-1, 0])), &[&[1, 3, 1]]).unwrap(), [3]);
    assert_eq!(shape(&Op::Reshape(Reshape::Squeeze(vec![])), &[&[1, 3, 1]]).unwrap(), [3]);
    assert!(shape(&Op::Reshape(Reshape::Squeeze(vec![1])), &[&[1, 3, 1]]).is_err());
    assert_eq!(shape(&Op::Reshape(Reshape::Unsqueeze(vec![-1, 1])), &[&[2, 3]]).unwrap(), [2, 1, 3, 1]);
    assert!(shape(&Op::Reshape(Reshape::Unsqueeze(vec![1, 1])), &[&[2, 3]]).is_err());
    assert!(shape(&Op::Reshape(Reshape::Unsqueeze(vec![0; MAX_RANK])), &[&[2, 3]]).is_err());
}

#[test]
fn reductions_joins_and_pads_follow_their_axes() {
    let mean = |axes: &[i64], keepdims| Op::ReduceMean { axes: axes.to_vec(), keepdims };
    assert_eq!(shape(&mean(&[-1, 1], true), &[&[2, 3, 4]]).unwrap(), [2, 1, 1]);
    assert_eq!(shape(&mean(&[1], false), &[&[2, 3, 4]]).unwrap(), [2, 4]);
    assert_eq!(shape(&mean(&[], false), &[&[2, 3, 4]]).unwrap(), [0_usize; 0]);
    assert!(shape(&mean(&[1, -2], false), &[&[2, 3, 4]]).is_err());
    assert!(shape(&mean(&[1], false), &[&[2, 0, 4]]).is_err());
    assert_eq!(shape(&Op::Concat { axis: -1 }, &[&[2, 3], &[2, 5]]).unwrap(), [2, 8]);
    assert!(shape(&Op::Concat { axis: 0 }, &[&[2, 3], &[2, 5]]).is_err());
    assert!(shape(&Op::Concat { axis: 1 }, &[&[2, 3], &[2, 5, 1]]).is_err());
    assert!(shape(&Op::Softmax { axis: 2, flatten: false }, &[&[2, 3]]).is_err());
    assert_eq!(shape(&Op::Transpose(vec![2, 0, 1]), &[&[2, 3, 4]]).unwrap(), [4, 2, 3]);
    assert!(shape(&Op::Transpose(vec![0, 0, 1]), &[&[2, 3, 4]]).is_err());
    let pad = |before: &[i64], after: &[i64]| Op::Pad { before: before.to_vec(), after: after.to_vec(), value: 0.0 };
    assert_eq!(shape(&pad(&[0, -1], &[2, 0]), &[&[2, 3]]).unwrap(), [4, 2]);
    assert!(shape(&pad(&[0, -2], &[0, -1]), &[&[2, 3]]).is_err());
    assert!(shape(&pad(&[0, i64::MAX], &[0, i64::MAX]), &[&[2, 3]]).is_err());
    assert!(shape(&pad(&[0], &[0]), &[&[2, 3]]).is_err());
}

#[test]
fn tensors_beyond_the_address_space_are_refused() {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, None]).unwrap();
    let y = builder.concat("y", &[x, x], 1).unwrap();
    let graph = builder.finish(&[y]).unwrap();
    assert!(infer_shapes(&graph, &[vec![1 << 40, 1 << 20]]).unwrap_err().to_string().contains("'y'"));
    assert!(infer_shapes(&graph, &[vec![1 << 40, 1 << 40]]).unwrap_err().to_string().contains("'x'"));
    assert!(infer_shapes(&graph, &[vec![1 << 10, 1 << 10]]).is_ok());
}

#[test]
fn a_residual_must_have_the_output_shape() {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(2), Some(4), Some(4)]).unwrap();
    let conv = builder.conv2d("conv", x, &[0.0; 4], None, Conv2dAttributes::new(2, 2, [1, 1])).unwrap();
    let mut graph = builder.finish(&[conv]).unwrap();
    let op = graph.nodes.remove(0).op;
    assert_eq!(operator_shape(&graph, &op, &[&[5, 2, 4, 4], &[5, 2, 4, 4]]).unwrap(), [5, 2, 4, 4]);
    assert!(operator_shape(&graph, &op, &[&[5, 2, 4, 4], &[5, 2, 1, 1]]).is_err());
}
