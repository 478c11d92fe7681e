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
    assert!(matches!(error, Error::Graph(_) | Error::NotFinite(_)), "{error:?}");
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
        ConvWeights::Float { .. } => panic!("node {node} has float weights"),
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
fn ids_out_of_range_and_wrong_order_are_refused() {
    refuses(&["value 999"], |graph| graph.inputs.push(ValueId(999)));
    refuses(&["value 999"], |graph| graph.outputs.push(ValueId(999)));
    refuses(&["value 999"], |graph| graph.nodes[POOL].inputs[0] = ValueId(999));
    refuses(&["value 999"], |graph| graph.nodes[POOL].output = ValueId(999));
    refuses(&["constant 999"], |graph| graph.values[1].constant = Some(ConstantId(999)));
    refuses(&["lookup", "constant 999"], |graph| graph.nodes[LOOKUP].op = Op::Lookup(ConstantId(999)));
    refuses(&["read before", "static_out"], |graph| graph.nodes.swap(STATIC, GROUPED));
    refuses(&["read before", "linear_out"], |graph| drop(graph.nodes.pop()));
    refuses(&["defined twice", "pool_out"], |graph| graph.nodes[LOOKUP].output = graph.nodes[POOL].output);
    refuses(&["defined twice", "image"], |graph| graph.inputs.push(graph.inputs[0]));
    refuses(&["defined twice", "shift"], |graph| graph.nodes[POOL].output = graph.nodes[4].inputs[1]);
    refuses(&["node", "name \"pool\""], |graph| graph.nodes[LOOKUP].name = "pool".into());
    refuses(&["value", "name \"image\""], |graph| graph.values[3].name = "image".into());
    refuses(&["image", "overflows"], |graph| graph.values[0].declared = vec![Some(usize::MAX), Some(2)]);
}

#[test]
fn qparams_out_of_range_are_refused() {
    for (scale, zero_point) in [(0.0, 0), (-1.0, 0), (f32::NAN, 0), (f32::INFINITY, 0), (1.0, -1), (1.0, 256)] {
        refuses(&["static_out", "zero point"], |graph| graph.values[2].ty = quantized(scale, zero_point));
    }
}

#[test]
fn constants_whose_bytes_do_not_fit_are_refused() {
    for dims in [vec![], vec![0], vec![usize::MAX, 2], vec![1 << 63, 2]] {
        refuses(&["constant 0"], |graph| graph.constants[0].dims = dims);
    }
    refuses(&["shift", "constant"], |graph| graph.values[graph.nodes[4].inputs[1].index()].ty = ValueType::F32);
    refuses(&["lookup", "256 u8"], |graph| {
        let Op::Lookup(table) = graph.nodes[LOOKUP].op else { panic!() };
        replace(graph, table, DType::U8, &[0u8; 255]);
    });
    for node in [STATIC, GROUPED, DEPTHWISE, DYNAMIC] {
        for (index, what) in ["panels", "tap_sums", "multipliers", "bias"].iter().enumerate() {
            let id = weights_of(&mut sample(), node)[index];
            let bytes = sample().constants[id.index()].data.to_vec();
            refuses(&[what], |graph| {
                let dtype = graph.constants[id.index()].dtype;
                replace(graph, id, dtype, &bytes[4..]);
                graph.constants[id.index()].dims = vec![(bytes.len() - 4) / dtype.size_bytes()];
            });
            refuses(&[what], |graph| replace(graph, id, DType::U8, &bytes));
        }
    }
    for index in 0..2 {
        refuses(&["linear", ["weight", "bias"][index]], |graph| {
            let Op::Linear(Linear { weights: ConvWeights::Float { weight, bias }, .. }) = graph.nodes[LINEAR].op else { panic!() };
            replace(graph, [weight, bias.unwrap()][index], DType::F32, &[0.0f32; 3]);
        });
    }
}

#[test]
fn numbers_that_break_the_arithmetic_are_refused() {
    let [_, tap_sums, mult, _] = weights_of(&mut sample(), STATIC);
    for value in [f32::NAN, f32::INFINITY] {
        let mut values = [1.0f32; 32];
        values[5] = value;
        assert!(matches!(refusal(|graph| replace(graph, mult, DType::F32, &values)), Error::NotFinite(text) if text.contains("channel 5")));
    }
    for sum in [i32::MIN, 3 * 128 + 1, -3 * 128 - 1] {
        let mut sums = [0i32; 9 * 32];
        sums[7] = sum;
        refuses(&["static", "sum"], |graph| replace(graph, tap_sums, DType::I32, &sums));
    }
    let mut sums = [0i32; 9 * 32];
    sums[7] = -3 * 128;
    let mut graph = sample();
    replace(&mut graph, tap_sums, DType::I32, &sums);
    validate(&graph).unwrap();
}

#[test]
fn sums_too_long_for_32_bits_are_refused() {
    for (ic, legal) in [(65_793, true), (65_794, false)] {
        let mut graph = Graph::default();
        let input = graph.add_value("x", quantized(1.0, 0));
        graph.inputs.push(input);
        let [panels, tap_sums, mult, bias] = int8_weights(&mut graph, WeightShape { oc: 1, taps: 1, ic }, 1);
        let weights = ConvWeights::Static { panels, tap_sums, mult, bias };
        let linear = Linear { weights, out_features: 1, in_features: ic, bounds: Bounds::NONE };
        add(&mut graph, "long", Op::Linear(linear), &[input], ValueType::F32);
        assert_eq!(validate(&graph).is_ok(), legal);
    }
}

#[test]
fn attributes_that_divide_by_zero_or_overflow_are_refused() {
    type Change = fn(&mut Conv2d);
    let changes: [(&str, Change); 11] = [
        ("strides", |conv| conv.strides[1] = 0),
        ("dilations", |conv| conv.dilations[0] = 0),
        ("dilations", |conv| conv.dilations[0] = 1 << 31),
        ("kernel", |conv| conv.kernel[0] = 0),
        ("kernel", |conv| conv.kernel[0] = usize::MAX),
        ("panels", |conv| conv.kernel[0] = 5),
        ("groups", |conv| conv.groups = 0),
        ("groups", |conv| conv.groups = 3),
        ("channels", |conv| conv.out_channels = 0),
        ("padding", |conv| conv.padding = Padding::Explicit { top: 0, left: usize::MAX, bottom: 0, right: 0 }),
        ("bounds", |conv| conv.bounds = Bounds { low: 1.0, high: f32::NAN }),
    ];
    for (word, change) in changes {
        refuses(&["node \"grouped\" (Conv)", word], |graph| change(conv_of(graph, GROUPED)));
    }
    refuses(&["not exact"], |graph| conv_of(graph, STATIC).kernel = [1 << 17, 1]);
    refuses(&["overflow"], |graph| {
        let conv = conv_of(graph, STATIC);
        (conv.in_channels, conv.kernel) = ((1 << 31) - 1, [1 << 30, 1 << 30]);
    });
    let pool = |change: fn(&mut Pool)| {
        move |graph: &mut Graph| match &mut graph.nodes[POOL].op {
            Op::MaxPool(pool) => change(pool),
            _ => panic!("no pool"),
        }
    };
    refuses(&["pool", "strides"], pool(|pool| pool.strides = [0, 1]));
    refuses(&["pool", "padding"], pool(|pool| pool.padding = Padding::Explicit { top: 2, left: 0, bottom: 0, right: 0 }));
    refuses(&["permutation"], |graph| graph.nodes[POOL].op = Op::Transpose(vec![0, 2, 2]));
    refuses(&["pads"], |graph| graph.nodes[POOL].op = Op::Pad { before: vec![0], after: vec![0, 1], value: 0.0 });
}

#[test]
fn values_that_an_operator_cannot_take_are_refused() {
    refuses(&["static", "F32"], |graph| graph.nodes[STATIC].inputs[0] = ValueId(0));
    refuses(&["grouped", "residual"], |graph| graph.nodes[GROUPED].inputs[1] = ValueId(0));
    refuses(&["grouped", "3 inputs"], |graph| graph.nodes[GROUPED].inputs.push(ValueId(0)));
    refuses(&["pool", "0 inputs"], |graph| graph.nodes[POOL].inputs.clear());
    // A pool moves bytes: it cannot change what they mean.
    refuses(&["pool"], |graph| graph.values[graph.nodes[POOL].output.index()].ty = quantized(0.75, 3));
    refuses(&["dynamic", "Quantized"], |graph| graph.nodes[DYNAMIC].inputs[0] = graph.nodes[LOOKUP].output);
    refuses(&["linear", "DynamicQuantized"], |graph| graph.nodes[LINEAR].inputs[0] = graph.nodes[DYNAMIC - 1].output);
    refuses(&["dynamic_quantize_out", "no qparams"], |graph| graph.outputs.push(graph.nodes[DYNAMIC - 1].output));
    refuses(&["pool"], |graph| graph.nodes[POOL].op = Op::MatMul);
    refuses(&["pool"], |graph| graph.nodes[POOL].op = Op::Softmax { axis: 1, flatten: false });
    refuses(&["pool"], |graph| graph.nodes[POOL].op = Op::Dequantize);
}
