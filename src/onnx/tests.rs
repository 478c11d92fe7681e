//! Small models made of the protobuf messages: what each becomes, and that broken ones are refused by name.
use super::proto::*;
use super::*;
use crate::graph::shape_inference::infer_shapes;
use crate::graph::{Binary, ConvWeights, Op, Padding, Reshape, Unary};
use prost::Message;

/// A model under construction.
struct Model {
    opset: i64,
    graph: GraphProto,
}

impl Model {
    fn new(opset: i64) -> Self {
        Self { opset, graph: GraphProto::default() }
    }

    fn value(name: &str, dims: &[Option<i64>]) -> Bytes {
        let dim = dims.iter().map(|&dim_value| DimensionProto { dim_value }).collect();
        let tensor_type = Some(TensorTypeProto { elem_type: TensorProto::FLOAT, shape: Some(TensorShapeProto { dim }) });
        let info = ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) };
        Bytes::from(info.encode_to_vec())
    }

    fn input(mut self, name: &str, dims: &[Option<i64>]) -> Self {
        self.graph.input.push(Self::value(name, dims));
        self
    }

    fn output(mut self, name: &str) -> Self {
        self.graph.output.push(Self::value(name, &[]));
        self
    }

    fn tensor(mut self, tensor: &TensorProto) -> Self {
        self.graph.initializer.push(Bytes::from(tensor.encode_to_vec()));
        self
    }

    fn floats(self, name: &str, dims: &[i64], values: &[f32]) -> Self {
        self.tensor(&raw(name, TensorProto::FLOAT, dims, bytemuck::cast_slice(values)))
    }

    fn ints(self, name: &str, values: &[i64]) -> Self {
        self.tensor(&raw(name, TensorProto::INT64, &[values.len() as i64], bytemuck::cast_slice(values)))
    }

    fn node(mut self, op_type: &str, inputs: &str, outputs: &str, attributes: &[AttributeProto]) -> Self {
        let names = |text: &str| text.split(' ').map(|name| if name == "_" { String::new() } else { name.to_owned() }).collect();
        let node = NodeProto {
            input: names(inputs),
            output: names(outputs),
            op_type: op_type.to_owned(),
            attribute: attributes.to_vec(),
            ..Default::default()
        };
        self.graph.node.push(Bytes::from(node.encode_to_vec()));
        self
    }

    fn encode(self) -> Vec<u8> {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: self.opset }];
        ModelProto { ir_version: 8, graph: Some(self.graph), opset_import }.encode_to_vec()
    }

    fn import(self) -> Result<Graph> {
        import_bytes(&self.encode())
    }
}

fn raw(name: &str, data_type: i32, dims: &[i64], bytes: &[u8]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        data_type,
        dims: dims.to_vec(),
        raw_data: Some(Bytes::copy_from_slice(bytes)),
        ..Default::default()
    }
}

fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.to_owned(), i, r#type: AttributeProto::INT, ..Default::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ints: ints.to_vec(), r#type: AttributeProto::INTS, ..Default::default() }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.to_owned(), f, r#type: AttributeProto::FLOAT, ..Default::default() }
}

fn string(name: &str, text: &str) -> AttributeProto {
    let s = Bytes::copy_from_slice(text.as_bytes());
    AttributeProto { name: name.to_owned(), s, r#type: AttributeProto::STRING, ..Default::default() }
}

const IMAGE: [Option<i64>; 4] = [None, Some(2), Some(6), Some(6)];

/// A model of one node `y = op(x, ...)` on an image `[n, 2, 6, 6]`.
fn one_node(model: Model, op_type: &str, inputs: &str, attributes: &[AttributeProto]) -> Result<Graph> {
    model.input("x", &IMAGE).node(op_type, inputs, "y", attributes).output("y").import()
}

fn refusal(result: Result<Graph>) -> String {
    result.expect_err("the model is refused").to_string()
}

fn floats_of(graph: &Graph, weights: &ConvWeights) -> (Vec<f32>, Option<Vec<f32>>) {
    let ConvWeights::Float { weight, bias } = weights else { panic!("the weights are not floats") };
    let read = |id: &crate::graph::ConstantId| graph.constant(*id).as_f32().unwrap().to_vec();
    (read(weight), bias.as_ref().map(read))
}

/// Convolution, BatchNormalization, Relu, Flatten, Gemm.
fn small_network() -> Model {
    Model::new(13)
        .floats("w", &[2, 2, 1, 1], &[1.0, 2.0, 3.0, 4.0])
        .floats("gamma", &[2], &[2.0, 1.0])
        .floats("zero", &[2], &[0.0, 0.0])
        .floats("one", &[2], &[1.0, 1.0])
        .floats("fc", &[72, 1], &[0.5; 72])
        .input("x", &IMAGE)
        .node("Conv", "x w", "c", &[ints("strides", &[1, 1]), string("auto_pad", "SAME_UPPER")])
        .node("BatchNormalization", "c gamma zero zero one", "b", &[float("epsilon", 0.0), float("momentum", 0.9)])
        .node("Relu", "b", "r", &[])
        .node("Flatten", "r", "f", &[])
        .node("Gemm", "f fc", "y", &[float("alpha", 2.0)])
        .output("y")
}

#[test]
fn a_small_network_becomes_its_operators() {
    let graph = small_network().import().unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|node| (node.name.as_str(), node.op.name())).collect();
    assert_eq!(names, [("c", "Conv"), ("b", "BatchNormalization"), ("r", "Relu"), ("f", "Flatten"), ("y", "Gemm")]);
    let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("not a convolution") };
    assert_eq!((conv.padding, conv.kernel, conv.in_channels), (Padding::SameUpper, [1, 1], 2));
    assert_eq!(floats_of(&graph, &conv.weights), (vec![1.0, 2.0, 3.0, 4.0], None));
    let Op::ChannelAffine { scale, .. } = &graph.nodes[1].op else { panic!("not an affine") };
    assert_eq!(graph.constant(*scale).as_f32().unwrap(), [2.0, 1.0]);
    let Op::Linear(linear) = &graph.nodes[4].op else { panic!("not a linear layer") };
    assert_eq!(floats_of(&graph, &linear.weights).0, [1.0; 72]);
    assert_eq!(graph.value(graph.inputs[0]).declared, [None, Some(2), Some(6), Some(6)]);
    let shapes = infer_shapes(&graph, &[vec![5, 2, 6, 6]]).unwrap();
    assert_eq!(shapes[graph.outputs[0].index()].as_deref(), Some(&[5, 1][..]));
}

#[test]
fn gemm_and_matmul_lay_weights_out_as_rows_of_outputs() {
    let matrix = || Model::new(13).floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).floats("c", &[1, 3], &[1.0, 2.0, 3.0]);
    let import = |model: Model, op: &str, inputs: &str, attributes: &[AttributeProto], k: i64| {
        let graph = model.input("x", &[None, Some(k)]).node(op, inputs, "y", attributes).output("y").import().unwrap();
        let Op::Linear(linear) = &graph.nodes[0].op else { panic!("not a linear layer") };
        floats_of(&graph, &linear.weights)
    };
    let columns = vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
    assert_eq!(import(matrix(), "MatMul", "x w", &[], 2), (columns.clone(), None));
    assert_eq!(import(matrix(), "Gemm", "x w c", &[float("beta", 2.0)], 2), (columns, Some(vec![2.0, 4.0, 6.0])));
    let halves = vec![0.5, 1.0, 1.5, 2.0, 2.5, 3.0];
    assert_eq!(import(matrix(), "Gemm", "x w", &[int("transB", 1), float("alpha", 0.5)], 3), (halves, None));
    let scalar = matrix().floats("s", &[], &[4.0]);
    assert_eq!(import(scalar, "Gemm", "x w s", &[float("beta", 0.5)], 2).1, Some(vec![2.0; 3]));
}

#[test]
fn weights_of_every_float_type_and_encoding_are_read() {
    let values = [1.5_f32, -2.0];
    let halves: Vec<u16> = values.iter().map(|&value| half::f16::from_f32(value).to_bits()).collect();
    let upper: Vec<u16> = values.iter().map(|&value| half::bf16::from_f32(value).to_bits()).collect();
    let doubles: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
    let varints = |bits: &[u16]| {
        let mut bytes = Vec::new();
        bits.iter().for_each(|&bits| prost::encoding::encode_varint(u64::from(bits), &mut bytes));
        vec![Bytes::from(bytes)]
    };
    let typed = |data_type| TensorProto { name: "c".to_owned(), dims: vec![2, 1, 1], data_type, ..Default::default() };
    let tensors = [
        raw("c", TensorProto::FLOAT, &[2, 1, 1], bytemuck::cast_slice(&values)),
        raw("c", TensorProto::FLOAT16, &[2, 1, 1], bytemuck::cast_slice(&halves)),
        raw("c", TensorProto::BFLOAT16, &[2, 1, 1], bytemuck::cast_slice(&upper)),
        raw("c", TensorProto::DOUBLE, &[2, 1, 1], bytemuck::cast_slice(&doubles)),
        TensorProto { float_data: vec![Bytes::copy_from_slice(bytemuck::cast_slice(&values))], ..typed(TensorProto::FLOAT) },
        TensorProto { double_data: vec![Bytes::copy_from_slice(bytemuck::cast_slice(&doubles))], ..typed(TensorProto::DOUBLE) },
        TensorProto { int32_data: varints(&halves), ..typed(TensorProto::FLOAT16) },
        TensorProto { int32_data: varints(&upper), ..typed(TensorProto::BFLOAT16) },
    ];
    for tensor in tensors {
        let model = Model::new(13).tensor(&tensor).node("Cast", "c", "f", &[int("to", 1)]);
        let graph = one_node(model, "Add", "x f", &[]).unwrap();
        assert_eq!(graph.nodes[0].op, Op::Binary(Binary::Add, crate::graph::Bounds::NONE));
        assert_eq!(graph.value_constant(graph.nodes[0].inputs[1]).unwrap().as_f32().unwrap(), values);
        for cut in [TensorProto { dims: vec![3], ..tensor.clone() }, TensorProto { dims: vec![1], ..tensor.clone() }] {
            let error = refusal(one_node(Model::new(13).tensor(&cut), "Add", "x c", &[]));
            assert!(error.contains("'c'") && error.contains("of data, not"), "{error}");
        }
    }
}

#[test]
fn shapes_and_axes_come_from_attributes_or_inputs_by_opset() {
    let op = |graph: Result<Graph>| graph.unwrap().nodes.pop().unwrap().op;
    let shape = Model::new(14).ints("s", &[0, -1]);
    assert_eq!(op(one_node(shape, "Reshape", "x s", &[])), Op::Reshape(Reshape::Dims(vec![0, -1])));
    let mean = Op::ReduceMean { axes: vec![2, 3], keepdims: false };
    assert_eq!(op(one_node(Model::new(13), "ReduceMean", "x", &[ints("axes", &[2, 3]), int("keepdims", 0)])), mean);
    assert_eq!(op(one_node(Model::new(18).ints("a", &[2, 3]), "ReduceMean", "x a", &[int("keepdims", 0)])), mean);
    assert_eq!(op(one_node(Model::new(18), "ReduceMean", "x", &[int("noop_with_empty_axes", 1)])), Op::Identity);
    let unsqueeze = Op::Reshape(Reshape::Unsqueeze(vec![4]));
    assert_eq!(op(one_node(Model::new(11), "Unsqueeze", "x", &[ints("axes", &[4])])), unsqueeze);
    assert_eq!(op(one_node(Model::new(13).ints("a", &[4]), "Unsqueeze", "x a", &[])), unsqueeze);
    assert_eq!(op(one_node(Model::new(13), "Transpose", "x", &[])), Op::Transpose(vec![3, 2, 1, 0]));
    assert_eq!(op(one_node(Model::new(11), "Softmax", "x", &[])), Op::Softmax { axis: 1, flatten: true });
    assert_eq!(op(one_node(Model::new(13), "Softmax", "x", &[])), Op::Softmax { axis: -1, flatten: false });
    let pad = Op::Pad { before: vec![0, 0, 1, 2], after: vec![0, 0, 3, 4], value: 0.5 };
    let pads = [0, 0, 1, 2, 0, 0, 3, 4];
    assert_eq!(op(one_node(Model::new(10), "Pad", "x", &[ints("pads", &pads), float("value", 0.5)])), pad);
    let some = Model::new(18).ints("p", &[2, 1, 4, 3]).ints("a", &[-1, 2]).floats("v", &[], &[0.5]);
    assert_eq!(op(one_node(some, "Pad", "x p v a", &[])), pad);
    let clamp = Op::Unary(Unary::Clamp(crate::graph::Bounds { low: f32::NEG_INFINITY, high: 6.0 }));
    assert_eq!(op(one_node(Model::new(10), "Clip", "x", &[float("max", 6.0)])), clamp);
    assert_eq!(op(one_node(Model::new(12).floats("six", &[], &[6.0]), "Clip", "x _ six", &[])), clamp);
}

#[test]
fn every_unsupported_node_is_listed() {
    let error = Model::new(13)
        .input("x", &IMAGE)
        .node("Scan", "x", "a", &[])
        .node("Relu", "a", "b", &[])
        .node("Pad", "x x", "c", &[string("mode", "reflect")])
        .node("Transpose", "a", "d", &[])
        .node("Gelu", "d", "e", &[])
        .node("MaxPool", "e", "f", &[ints("kernel_shape", &[2])])
        .node("Conv", "f a", "g", &[])
        .output("e")
        .import()
        .unwrap_err();
    let Error::Unsupported(text) = error else { panic!("{error}") };
    assert_eq!(text, "node 'a' (Scan); node 'c' (Pad): mode 'reflect'; node 'e' (Gelu); node 'f' (MaxPool): 1-D pooling");
}

#[test]
fn opsets_domains_and_attributes_that_are_not_supported_are_named() {
    for opset in [0, 6, 22, -1] {
        assert!(refusal(one_node(Model::new(opset), "Relu", "x", &[])).contains(&format!("opset {opset}")));
    }
    let mut model = Model::new(13);
    let node = NodeProto { domain: "com.microsoft".to_owned(), op_type: "Relu".to_owned(), ..Default::default() };
    model.graph.node.push(Bytes::from(NodeProto { input: vec!["x".into()], output: vec!["z".into()], ..node }.encode_to_vec()));
    assert!(refusal(one_node(model, "Relu", "z", &[])).contains("domain 'com.microsoft'"));
    assert!(refusal(one_node(Model::new(13), "Relu", "x", &[int("surprise", 1)])).contains("'surprise'"));
    let conv1d = Model::new(13).floats("w", &[2, 2, 1], &[0.0; 4]);
    assert!(refusal(one_node(conv1d, "Conv", "x w", &[])).contains("1-D convolution"));
    assert!(refusal(one_node(Model::new(13), "MaxPool", "x", &[ints("kernel_shape", &[2])])).contains("1-D pooling"));
    assert!(refusal(one_node(Model::new(13), "Conv", "x x", &[])).contains("'x' is not a constant"));
    let mask = Model::new(13).node("Dropout", "x", "d mask", &[]);
    assert!(refusal(one_node(mask, "Relu", "mask", &[])).contains("'mask'"));
}

#[test]
fn zeros_and_wrong_lists_in_a_convolution_are_refused_by_name() {
    let conv =
        |attributes: &[AttributeProto]| refusal(one_node(Model::new(13).floats("w", &[2, 2, 3, 3], &[0.0; 36]), "Conv", "x w", attributes));
    for attribute in [
        ints("strides", &[0, 1]),
        ints("strides", &[1]),
        ints("dilations", &[1, 0]),
        ints("pads", &[-1, 0, 0, 0]),
        ints("pads", &[1, 1]),
        ints("kernel_shape", &[3, 2]),
        ints("pads", &[i64::MAX, 0, 0, i64::MAX]),
        int("group", 0),
        int("group", -1),
        int("group", 3),
        int("group", i64::MAX),
        float("group", 1.0),
    ] {
        let error = conv(std::slice::from_ref(&attribute));
        assert!(error.contains("node 'y' (Conv)"), "{attribute:?}: {error}");
    }
    let bias = Model::new(13).floats("w", &[2, 2, 3, 3], &[0.0; 36]).floats("b", &[3], &[0.0; 3]);
    assert!(refusal(one_node(bias, "Conv", "x w b", &[])).contains("bias has shape [3]"));
}

#[test]
fn weights_that_are_not_finite_are_named_with_their_index() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let model = Model::new(13).floats("w", &[1, 2, 1, 1], &[1.0, bad]);
        let error = one_node(model, "Conv", "x w", &[]).unwrap_err();
        assert!(matches!(&error, Error::NotFinite(text) if text.contains("'w': element 1") && text.contains("'y' (Conv)")), "{error}");
    }
    let infinite = Model::new(12).floats("inf", &[], &[f32::INFINITY]);
    assert!(one_node(infinite, "Clip", "x _ inf", &[]).is_ok());
    let nan = Model::new(12).floats("nan", &[], &[f32::NAN]);
    assert!(matches!(one_node(nan, "Clip", "x _ nan", &[]), Err(Error::NotFinite(_))));
}

#[test]
fn graphs_that_are_not_well_formed_are_refused() {
    let relu = |input: &str, output: &str| Model::new(13).input("x", &IMAGE).node("Relu", input, output, &[]);
    assert!(refusal(relu("y", "y").output("y").import()).contains("cycle"));
    assert!(refusal(relu("q", "y").output("y").import()).contains("'q'"));
    assert!(refusal(relu("x", "y").node("Relu", "x", "y", &[]).output("y").import()).contains("'y' has two sources"));
    assert!(refusal(relu("x", "y").output("x").import()).contains("'x' is not computed"));
    assert!(refusal(relu("x", "y").output("z").import()).contains("'z' is not computed"));
    assert!(refusal(relu("x", "y").import()).contains("output"));
    assert!(refusal(relu("x", "y").input("x", &IMAGE).output("y").import()).contains("two inputs"));
    let twin = relu("x", "y").floats("w", &[1], &[0.0]).floats("w", &[1], &[0.0]).output("y");
    assert!(refusal(twin.import()).contains("two initializers"));
    for dim in [0, -1, i64::MIN] {
        let model = Model::new(13).input("x", &[None, Some(dim)]).node("Relu", "x", "y", &[]).output("y");
        assert!(refusal(model.import()).contains("axis 1 of input 'x'"));
    }
    let dims = Model::new(13).tensor(&raw("w", TensorProto::FLOAT, &[i64::MAX, i64::MAX], &[]));
    assert!(refusal(one_node(dims, "Add", "x w", &[])).contains("out of range"));
    assert!(refusal(import_bytes(b"")).contains("no graph"));
}

#[test]
fn names_are_unique_and_unsorted_nodes_are_sorted() {
    let mut model = Model::new(13).input("x", &IMAGE);
    for (input, output) in [("b", "c"), ("a", "b"), ("x", "a")] {
        let (input, output) = (vec![input.to_owned()], vec![output.to_owned()]);
        let node = NodeProto { name: "same".to_owned(), op_type: "Relu".to_owned(), input, output, ..Default::default() };
        model.graph.node.push(Bytes::from(node.encode_to_vec()));
    }
    let graph = model.output("c").import().unwrap();
    let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["same", "same_2", "same_3"]);
    assert_eq!(graph.value(graph.nodes[0].output).name, "a");
}

#[test]
fn a_weight_read_by_many_nodes_does_not_multiply() {
    let mut model = Model::new(13).floats("w", &[256, 256], &vec![1.0; 1 << 16]).input("x", &[None, Some(256)]);
    let mut previous = "x".to_owned();
    for index in 0..100 {
        let next = format!("v{index}");
        model = model.node("MatMul", &format!("{previous} w"), &next, &[]);
        previous = next;
    }
    assert!(refusal(model.output("v99").import()).contains("constants would take more"));
}

#[test]
fn every_prefix_and_every_bit_flip_is_imported_or_refused() {
    let model = small_network().encode();
    for len in 0..model.len() {
        let _ = import_bytes(&model[..len]);
    }
    let mut accepted = 0;
    for bit in 0..model.len() * 8 {
        let mut flipped = model.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        accepted += usize::from(import_bytes(&flipped).is_ok());
    }
    // Most bits are weights, and a flipped weight is a weight.
    assert!(accepted > model.len() * 2, "{accepted} of {}", model.len() * 8);
}

/// A GRU of 1 input and 1 hidden element, on `x` `[time, batch, 1]`.
fn small_gru() -> Model {
    let rows = |name: &str| raw(name, TensorProto::FLOAT, &[1, 3, 1], bytemuck::cast_slice(&[1.0f32, 2.0, 3.0]));
    Model::new(14).input("x", &[None, None, Some(1)]).tensor(&rows("w")).tensor(&rows("r"))
}

fn strings(name: &str, texts: &[&str]) -> AttributeProto {
    let strings = texts.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect();
    AttributeProto { name: name.to_owned(), strings, r#type: AttributeProto::STRINGS, ..Default::default() }
}

#[test]
fn a_recurrent_layer_has_one_output_and_slices_of_it() {
    let graph = small_gru().node("GRU", "x w r _ _ _", "y h", &[int("hidden_size", 1)]).output("h").output("y").import().unwrap();
    let shapes = infer_shapes(&graph, &[vec![5, 2, 1]]).unwrap();
    let of = |name: &str| {
        let id = graph.values.iter().position(|value| value.name == name).unwrap();
        shapes[id].clone().unwrap()
    };
    assert_eq!((of("y"), of("h"), of("y/states")), (vec![5, 1, 2, 1], vec![1, 2, 1], vec![6, 1, 2, 1]));
    let Op::Recurrent(layer) = &graph.nodes[0].op else { panic!("the first node is the layer") };
    assert_eq!((layer.weights[0].candidate.is_some(), layer.input_count()), (true, 1));
}

#[test]
fn what_a_recurrent_layer_cannot_do_is_named() {
    let refused = |attributes: &[AttributeProto]| refusal(small_gru().node("GRU", "x w r", "y", attributes).output("y").import());
    assert!(refused(&[strings("activations", &["Sigmoid", "Softsign"])]).contains("'Softsign'"));
    assert!(refused(&[float("clip", 1.0)]).contains("'clip'"));
    assert!(refused(&[int("hidden_size", 2)]).contains("hidden_size is 2"));
    assert!(refused(&[string("direction", "sideways")]).contains("'sideways'"));
    assert!(refused(&[string("direction", "bidirectional")]).contains("in 2 directions"));
    let rank = one_node(Model::new(14).floats("w", &[1, 3, 1], &[1.0; 3]), "GRU", "x w w", &[]);
    assert!(refusal(rank).contains("4 axes"));
    let forget = small_gru().node("LSTM", "x w r", "y", &[int("input_forget", 1)]).output("y");
    assert!(refusal(forget.import()).contains("input_forget"));
    let peepholes = small_gru().floats("p", &[1, 3], &[0.5; 3]).node("LSTM", "x w r _ _ _ _ p", "y", &[]).output("y");
    assert!(refusal(peepholes.import()).contains("peepholes"));
    let mixed = [string("direction", "bidirectional"), strings("activations", &["Tanh", "Relu"])];
    assert!(refusal(small_gru().node("RNN", "x w r", "y", &mixed).output("y").import()).contains("'Relu' in two directions"));
}

#[test]
fn zeros_of_a_computed_shape_are_a_first_state_and_nothing_else() {
    let shape = || {
        small_gru()
            .tensor(&raw("one", TensorProto::INT64, &[], bytemuck::cast_slice(&[1i64])))
            .ints("zero_axis", &[0])
            .ints("directions", &[1])
            .node("Shape", "x", "shape", &[])
            .node("Gather", "shape one", "batch", &[int("axis", 0)])
            .node("Unsqueeze", "batch zero_axis", "batches", &[])
            .node("Concat", "directions batches directions", "state_shape", &[int("axis", 0)])
            .node("ConstantOfShape", "state_shape", "zeros", &[])
    };
    let graph = shape().node("GRU", "x w r _ _ zeros", "y", &[]).output("y").import().unwrap();
    assert!(matches!(&graph.nodes[0].op, Op::Recurrent(layer) if !layer.has_initial_hidden));
    assert!(refusal(shape().node("Add", "x zeros", "y", &[]).output("y").import()).contains("'zeros'"));
    assert!(refusal(shape().node("Relu", "state_shape", "y", &[]).output("y").import()).contains("'state_shape'"));
    assert!(refusal(shape().node("Reshape", "x state_shape", "y", &[]).output("y").import()).contains("'state_shape' is not a constant"));
}

#[test]
fn integer_inputs_are_lengths_and_nothing_else() {
    let lengths = || {
        let mut model = small_gru();
        let tensor_type = Some(TensorTypeProto {
            elem_type: TensorProto::INT64,
            shape: Some(TensorShapeProto { dim: vec![DimensionProto { dim_value: None }] }),
        });
        let info = ValueInfoProto { name: "n".to_owned(), r#type: Some(TypeProto { tensor_type }) };
        model.graph.input.push(Bytes::from(info.encode_to_vec()));
        model.node("Cast", "n", "n32", &[int("to", i64::from(TensorProto::INT32))])
    };
    let graph = lengths().node("GRU", "x w r _ n32", "y", &[]).output("y").import().unwrap();
    assert_eq!(graph.nodes[0].inputs, graph.inputs);
    assert!(refusal(lengths().node("Relu", "n32", "y", &[]).output("y").import()).contains("'n32' holds integers"));
}

#[test]
fn slices_gathers_and_splits_are_parts_of_their_input() {
    let shape_of = |model: Model, op: &str, inputs: &str, attributes: &[AttributeProto]| {
        let graph = one_node(model, op, inputs, attributes).unwrap();
        infer_shapes(&graph, &[vec![3, 2, 6, 6]]).unwrap()[graph.outputs[0].index()].clone().unwrap()
    };
    let bounds = || Model::new(13).ints("s", &[1, -2]).ints("e", &[i64::MAX, -1]).ints("a", &[2, -1]).ints("t", &[2, 1]);
    assert_eq!(shape_of(bounds(), "Slice", "x s e a t", &[]), [3, 2, 3, 1]);
    assert_eq!(shape_of(Model::new(9), "Slice", "x", &[ints("starts", &[0, 1]), ints("ends", &[-1, 9])]), [2, 1, 6, 6]);
    let index = |dims: &[i64], index: i64| Model::new(13).tensor(&raw("i", TensorProto::INT64, dims, bytemuck::cast_slice(&[index])));
    assert_eq!(shape_of(index(&[], -1), "Gather", "x i", &[int("axis", 2)]), [3, 2, 6]);
    assert_eq!(shape_of(index(&[1], 5), "Gather", "x i", &[int("axis", -1)]), [3, 2, 6, 1]);
    let outside = one_node(index(&[], 6), "Gather", "x i", &[int("axis", 2)]).unwrap();
    assert!(matches!(infer_shapes(&outside, &[vec![3, 2, 6, 6]]), Err(Error::ShapeMismatch(_))));
    assert!(refusal(one_node(bounds(), "Gather", "x s", &[])).contains("2 indices"));
    let backwards = Model::new(13).ints("s", &[5]).ints("e", &[0]).ints("a", &[2]).ints("t", &[-1]);
    assert!(refusal(one_node(backwards, "Slice", "x s e a t", &[])).contains("step of -1"));
    let split = Model::new(13).ints("sizes", &[2, 4]).input("x", &IMAGE).node("Split", "x sizes", "p q", &[int("axis", 3)]);
    let graph = split.output("p").output("q").import().unwrap();
    let shapes = infer_shapes(&graph, &[vec![3, 2, 6, 6]]).unwrap();
    let widths: Vec<_> = graph.outputs.iter().map(|id| shapes[id.index()].as_ref().unwrap()[3]).collect();
    assert_eq!(widths, [2, 4]);
}
