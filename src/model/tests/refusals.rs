//! What checksums cannot say: files with right checksums and wrong contents.
use super::*;

/// The error for a sample that `change` has made wrong. Written with its checksums right, it must not load either.
fn refusal(change: impl FnOnce(&mut Graph)) -> Error {
    let mut graph = sample();
    change(&mut graph);
    let error = validate(&graph).unwrap_err();
    assert_eq!(to_bytes(&graph, &Metadata::new()).unwrap_err(), error);
    error
}

#[track_caller]
fn refuses(words: &[&str], change: impl FnOnce(&mut Graph)) {
    let error = refusal(change);
    assert!(matches!(error, Error::Graph(_)), "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "\"{error}\" does not say \"{word}\"");
    }
}

fn conv_of(graph: &mut Graph, node: usize) -> &mut Conv2d {
    match &mut graph.nodes[node].op {
        Op::Conv2d(conv) => conv,
        _ => panic!("node {node} is no convolution"),
    }
}

/// The constants of a convolution: panels, sums, multipliers, biases.
fn weights_of(graph: &mut Graph, node: usize) -> [ConstantId; 4] {
    match conv_of(graph, node).weights {
        ConvWeights::Static { panels, tap_sums, mult, bias } => [panels, tap_sums, mult, bias],
        ConvWeights::Dynamic { panels, tap_sums, scale, bias } => [panels, tap_sums, scale, bias],
        _ => panic!("node {node} has float weights"),
    }
}

fn replace<T: bytemuck::NoUninit>(graph: &mut Graph, id: ConstantId, dtype: DType, values: &[T]) {
    graph.constants[id.index()] = Constant { dtype, dims: vec![values.len()], data: SharedBytes::copy_of(values).unwrap() };
}

#[test]
fn the_sample_is_valid() {
    validate(&sample()).unwrap();
}

#[test]
fn what_is_wrong_in_any_graph_is_refused() {
    refuses(&["value 999"], |graph| graph.nodes[POOL].inputs[0] = ValueId(999));
    refuses(&["static_out", "before"], |graph| graph.nodes.swap(STATIC, GROUPED));
    refuses(&["static"], |graph| conv_of(graph, STATIC).strides[1] = 0);
    refuses(&["constant 999"], |graph| match &mut graph.nodes[PACKED].op {
        Op::Linear(Linear { weights: ConvWeights::PackedFloat { panels, .. }, .. }) => *panels = ConstantId(999),
        _ => panic!("no packed weights"),
    });
    let [_, _, mult, _] = weights_of(&mut sample(), STATIC);
    assert!(matches!(refusal(|graph| replace(graph, mult, DType::F32, &[f32::NAN; 32])), Error::NotFinite(_)));
}

#[test]
fn qparams_out_of_range_are_refused() {
    for (scale, zero_point) in [(0.0, 0), (-1.0, 0), (f32::NAN, 0), (f32::INFINITY, 0), (1.0, -1), (1.0, 256)] {
        refuses(&["static_out", "zero point"], |graph| graph.values[2].ty = quantized(scale, zero_point));
    }
    for (low, high) in [(4, 255), (0, 2), (200, 100)] {
        refuses(&["static_out", "zero point 3"], |graph| {
            graph.values[2].ty = ValueType::Quantized(QuantizedType { qparams: QParams { scale: 0.5, zero_point: 3 }, low, high });
        });
    }
}

#[test]
fn constants_that_do_not_fit_their_layer_are_refused() {
    for node in [STATIC, GROUPED, DEPTHWISE, DYNAMIC] {
        for (index, what) in ["panels", "tap sums", "scales", "bias"].iter().enumerate() {
            let id = weights_of(&mut sample(), node)[index];
            let bytes = sample().constants[id.index()].data.to_vec();
            refuses(&[what], |graph| {
                let dtype = graph.constants[id.index()].dtype;
                replace(graph, id, dtype, &bytes[4..]);
                graph.constants[id.index()].dims = vec![(bytes.len() - 4) / dtype.size_bytes()];
            });
            let error = refusal(|graph| replace(graph, id, DType::U8, &bytes));
            assert!(matches!(error, Error::Graph(_) | Error::DTypeMismatch(_)), "{error:?}");
        }
    }
    let Op::Linear(Linear { weights: ConvWeights::PackedFloat { panels, bias }, .. }) = sample().nodes[PACKED].op else { panic!() };
    refuses(&["packed", "panels"], |graph| replace(graph, panels, DType::F32, &[0.0f32; 16 * 127]));
    refuses(&["packed", "bias"], |graph| replace(graph, bias.unwrap(), DType::F32, &[0.0f32; 10]));
    refuses(&["panels"], |graph| conv_of(graph, GROUPED).kernel[0] = 3);
    refuses(&["shift", "constant"], |graph| graph.values[graph.nodes[4].inputs[1].index()].ty = ValueType::F32);
    refuses(&["constant 0"], |graph| graph.constants[0].dims = vec![usize::MAX, 2]);
    refuses(&["overflow"], |graph| {
        let conv = conv_of(graph, STATIC);
        (conv.in_channels, conv.kernel) = ((1 << 31) - 1, [1 << 30, 1 << 30]);
    });
}

#[test]
fn sums_that_leave_32_bits_are_refused() {
    let [_, tap_sums, ..] = weights_of(&mut sample(), STATIC);
    let with = |sum: i32| {
        let mut graph = sample();
        let mut sums = [0i32; 9 * 32];
        sums[7] = sum;
        replace(&mut graph, tap_sums, DType::I32, &sums);
        validate(&graph)
    };
    assert_eq!((with(3 * 128), with(-3 * 128)), (Ok(()), Ok(())));
    for sum in [i32::MIN, 3 * 128 + 1, -3 * 128 - 1] {
        assert!(with(sum).unwrap_err().to_string().contains(&sum.to_string()));
    }
    for (ic, legal) in [(65_793, true), (65_794, false)] {
        let mut graph = Graph::default();
        let input = graph.add_value("x", quantized(1.0, 0));
        graph.values[input.index()].declared = vec![None, Some(ic)];
        graph.inputs.push(input);
        let [panels, tap_sums, mult, bias] = int8_weights(&mut graph, WeightShape { oc: 1, taps: 1, ic }, 1);
        let weights = ConvWeights::Static { panels, tap_sums, mult, bias };
        let linear = Linear { weights, out_features: 1, in_features: ic, bounds: Bounds::NONE };
        let output = add(&mut graph, "long", Op::Linear(linear), &[input], ValueType::F32);
        graph.outputs.push(output);
        assert_eq!(validate(&graph).is_ok(), legal);
    }
}

#[test]
fn values_that_an_operator_cannot_take_are_refused() {
    refuses(&["static", "F32"], |graph| graph.nodes[STATIC].inputs[0] = ValueId(0));
    refuses(&["grouped", "F32"], |graph| graph.nodes[GROUPED].inputs[1] = ValueId(0));
    // A pool moves bytes: it cannot change what they mean.
    refuses(&["pool"], |graph| graph.values[graph.nodes[POOL].output.index()].ty = quantized(0.75, 3));
    refuses(&["dynamic", "Quantized"], |graph| graph.nodes[DYNAMIC].inputs[0] = graph.nodes[LOOKUP].output);
    refuses(&["packed", "DynamicQuantized"], |graph| graph.nodes[PACKED].inputs[0] = graph.nodes[DYNAMIC - 1].output);
    refuses(&["linear", "Quantized"], |graph| graph.nodes[LINEAR].inputs[0] = graph.nodes[LOOKUP].output);
    refuses(&["dynamic_quantize_out", "no qparams"], |graph| graph.outputs.push(graph.nodes[DYNAMIC - 1].output));
    refuses(&["pool"], |graph| graph.nodes[POOL].op = Op::Softmax { axis: 1, flatten: false });
    refuses(&["pool"], |graph| graph.nodes[POOL].op = Op::Dequantize);
    refuses(&["add"], |graph| graph.nodes[4].op = Op::MatMul);
}

/// The sample with qparams of each channel before its depthwise convolution; the type of that value.
fn sample_by_channel() -> (Graph, ValueId, ChannelQuantizedType) {
    let mut graph = sample();
    let (source, channels) = (graph.nodes[DEPTHWISE].inputs[0], conv_of(&mut graph, DEPTHWISE).in_channels);
    let scales: Vec<f32> = (0..channels).map(|channel| 0.25 + channel as f32).collect();
    let zero_points: Vec<i32> = (0..channels as i32).collect();
    let (scales, zero_points) = (constant(&mut graph, DType::F32, &scales), constant(&mut graph, DType::I32, &zero_points));
    let ty = ChannelQuantizedType { scales, zero_points, low: 0, high: 255 };
    let floats = graph.add_value("floats", ValueType::F32);
    let bytes = graph.add_value("bytes", ValueType::QuantizedByChannel(ty));
    let node = |name: &str, op: Op, input: ValueId, output: ValueId| Node { name: name.into(), op, inputs: vec![input], output };
    let before = [node("to_floats", Op::Dequantize, source, floats), node("to_bytes", Op::Quantize, floats, bytes)];
    graph.nodes.splice(DEPTHWISE..DEPTHWISE, before);
    graph.nodes[DEPTHWISE + 2].inputs[0] = bytes;
    (graph, bytes, ty)
}

#[test]
fn qparams_of_each_channel_fit_their_depthwise_convolution_and_nothing_else() {
    let (graph, ..) = sample_by_channel();
    validate(&graph).unwrap();
    let loaded = from_bytes(&to_bytes(&graph, &Metadata::new()).unwrap()).unwrap();
    assert_eq!(picture(&loaded.graph), picture(&graph));
    let refuses = |words: &[&str], change: &dyn Fn(&mut Graph, ValueId, ChannelQuantizedType)| {
        let (mut graph, value, ty) = sample_by_channel();
        change(&mut graph, value, ty);
        let error = validate(&graph).unwrap_err();
        assert!(matches!(error, Error::Graph(_)) && words.iter().all(|word| error.to_string().contains(word)), "{words:?}: {error}");
    };
    refuses(&["bytes", "scale 0"], &|graph, _, ty| {
        let count = graph.constant(ty.scales).dims[0];
        replace(graph, ty.scales, DType::F32, &vec![0f32; count]);
    });
    refuses(&["bytes", "zero point 256"], &|graph, _, ty| {
        let count = graph.constant(ty.scales).dims[0];
        replace(graph, ty.zero_points, DType::I32, &vec![256i32; count]);
    });
    refuses(&["bytes", "zero points"], &|graph, _, ty| replace(graph, ty.zero_points, DType::I32, &[1i32]));
    refuses(&["bytes", "u8"], &|graph, _, ty| replace(graph, ty.zero_points, DType::U8, &[1u8; 4]));
    refuses(&["constant 999"], &|graph, value, ty| {
        graph.values[value.index()].ty = ValueType::QuantizedByChannel(ChannelQuantizedType { scales: ConstantId(999), ..ty });
    });
    refuses(&["2 channels"], &|graph, _, ty| {
        replace(graph, ty.scales, DType::F32, &[1f32; 2]);
        replace(graph, ty.zero_points, DType::I32, &[1i32; 2]);
    });
    refuses(&["static weights"], &|graph, _, _| conv_of(graph, DEPTHWISE + 2).groups = 1);
    refuses(&["no qparams of its own"], &|graph, value, _| graph.outputs[0] = value);
    refuses(&["pool"], &|graph, value, _| graph.nodes[POOL + 2].inputs[0] = value);
}
