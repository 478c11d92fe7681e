use super::*;
use crate::quantize::QType;

fn parse(format: ForeignFormat, text: &str) -> Result<ForeignCalibration> {
    assert_eq!(ForeignFormat::detect(text), format, "{text}");
    ForeignCalibration::parse(format, text)
}

fn refusal(format: ForeignFormat, text: &str) -> String {
    ForeignCalibration::parse(format, text).unwrap_err().to_string()
}

#[test]
fn a_tensorrt_cache_holds_bits_of_scales_and_names_with_colons() {
    let text = "TRT-7000-EntropyCalibration2\ndata: 3c008912\n(Unnamed Layer* 50) [Shuffle]_output: 3f800000\na:b: 1\n";
    let calibration = parse(ForeignFormat::TensorRt, text).unwrap();
    let scale = |name: &str| match calibration.tensors[name].known {
        Known::QParams { scale, zero_point: 0 } => scale,
        other => panic!("{other:?}"),
    };
    assert_eq!(scale("data").to_bits(), 0x3c00_8912);
    assert_eq!(scale("(Unnamed Layer* 50) [Shuffle]_output"), 1.0);
    assert_eq!(scale("a:b").to_bits(), 1);
    assert_eq!(calibration.tensors["(Unnamed Layer* 50) [Shuffle]_output"].range(), (-127.0, 127.0));
    assert_eq!((calibration.activation.qtype, calibration.activation.scheme), (QType::S8, Scheme::RestrictedSymmetric));
    for (text, part) in [
        ("data: 3c008912\n", "first line"),
        ("TRT-1-x\ndata 3c008912\n", "line 2"),
        ("TRT-1-x\ndata: 3c00891z\n", "3c00891z"),
        ("TRT-1-x\ndata: 7f800000\n", "line 2"),
        ("TRT-1-x\ndata: 0\n", "line 2"),
        ("TRT-1-x\na: 3f800000\na: 3f800000\n", "line 3"),
    ] {
        assert!(refusal(ForeignFormat::TensorRt, text).contains(part), "{text}");
    }
}

#[test]
fn an_ncnn_table_holds_reciprocals() {
    let text = "conv1_param_0 151.2 0.000000 98.7\nfc_param_0 2\nconv1 121.3\n";
    let calibration = parse(ForeignFormat::Ncnn, text).unwrap();
    assert_eq!(calibration.layers.len(), 2);
    let conv = &calibration.layers[0];
    assert_eq!(conv.name, "conv1");
    assert_eq!(conv.input.unwrap().known, Known::QParams { scale: 1.0 / 121.3, zero_point: 0 });
    assert_eq!(conv.weights.as_ref().unwrap().scales, [1.0 / 151.2, f32::EPSILON, 1.0 / 98.7]);
    assert_eq!((calibration.layers[1].input, calibration.layers[1].weights.as_ref().unwrap().scales.len()), (None, 1));
    for (text, part) in [
        ("c_param_0 1 x\n", "line 1"),
        ("c_param_0 1\nc 0\n", "line 2"),
        ("c_param_0 1\nc 1 2\n", "2 scales"),
        ("c_param_0 1\nc 1\nc 1\n", "line 3"),
        ("c_param_0\n", "line 1"),
    ] {
        assert!(refusal(ForeignFormat::Ncnn, text).contains(part), "{text}");
    }
}

#[test]
fn onnx_runtime_tables_hold_ranges_or_bounds() {
    let json = r#"{"CLS": "TensorsData", "data": {
        "x": {"lowest": {"data": [-1.5], "dtype": "float32", "CLS": "numpy.array"}, "highest": {"data": 3.0, "CLS": "numpy.array"}, "CLS": "TensorData"},
        "y": {"lowest": 0.25, "highest": 2}}, "calibration_method": {}}"#;
    let calibration = parse(ForeignFormat::OnnxRuntime, json).unwrap();
    assert_eq!(calibration.tensors["x"].known, Known::Range { low: -1.5, high: 3.0 });
    assert_eq!(calibration.tensors["y"].known, Known::Range { low: 0.25, high: 2.0 });
    assert_eq!(calibration.activation, Target::U8_AFFINE);
    let old = parse(ForeignFormat::OnnxRuntime, r#"{"x": [-1, 2.5]}"#).unwrap();
    assert_eq!(old.tensors["x"].known, Known::Range { low: -1.0, high: 2.5 });
    let cache = parse(ForeignFormat::OnnxRuntime, "conv1 2.008338\na b 1\n").unwrap();
    assert_eq!(cache.tensors["conv1"].range(), (-2.008338, 2.008338));
    assert!(cache.tensors.contains_key("a b") && cache.activation == RESTRICTED);
    for (text, part) in
        [("{\"x\": [1]}", "x"), ("{\"x\": {\"lowest\": 1}}", "x"), ("{", "ONNX Runtime"), ("conv1\n", "line 1"), ("a x\n", "line 1")]
    {
        assert!(refusal(ForeignFormat::OnnxRuntime, text).contains(part), "{text}");
    }
}

/// A summary of one convolution with a fused ReLU; `{..}` stand for what a case changes.
fn summary(tensor: &str, observer: &str, weight: &str) -> String {
    format!(
        r#"{{" ": {{"q_op_infos": {{
            "0": {{"op_type": "<class 'torch.nn.modules.conv.Conv2d'>", "op_type_is_module": true, "fqn": "a.conv",
                "input_tensor_infos": [{{"id": 0, "orig_dtype": "torch.float32", "inf_dtype": "torch.quint8", {tensor}}}],
                "weight_tensor_infos": [{{"orig_dtype": "torch.float32", "inf_dtype": "torch.qint8", {weight}}}],
                "output_tensor_infos": [{{"id": 1, "inf_dtype": "torch.float32", "scale": [0.5], "zero_point": [129]}}],
                "activation_observer": {{{observer}}},
                "weight_observer": {{"name": "PerChannelMinMaxObserver", "qscheme": "torch.per_channel_symmetric", "quant_min": -128, "quant_max": 127}}}},
            "1": {{"op_type": "<built-in method relu of type object at 0x7f01>", "fqn": "",
                "input_tensor_infos": [{{"id": 1, "force_dtype": "torch.float32", "scale": [0.5], "zero_point": [129]}}, {{}}],
                "output_tensor_infos": [{{"id": 2, "inf_dtype": "torch.quint8", "scale": [0.25], "zero_point": [0]}}]}}}}}}}}"#
    )
}

const TENSOR: &str = r#""force_dtype": "torch.quint8", "scale": [0.1], "zero_point": [3]"#;
const OBSERVER: &str = r#""name": "HistogramObserver", "qscheme": "torch.per_tensor_affine", "quant_min": 0, "quant_max": 255"#;
const WEIGHT: &str = r#""scale": [0.01, 0.02], "zero_point": [0, 0]"#;

#[test]
fn an_ipex_summary_tells_layers_and_the_flow() {
    let calibration = parse(ForeignFormat::Ipex, &summary(TENSOR, OBSERVER, WEIGHT)).unwrap();
    let layer = &calibration.layers[0];
    assert_eq!((layer.name.as_str(), layer.kind.as_str()), ("a.conv", "Conv2d"));
    assert_eq!(layer.input.unwrap().known, Known::QParams { scale: 0.1, zero_point: 3 });
    assert_eq!(layer.weights.as_ref().unwrap().scales, [0.01, 0.02]);
    assert_eq!(calibration.flow[0], FlowStep { kind: FlowKind::Layer(0), inputs: vec![0], outputs: vec![1] });
    assert_eq!(calibration.flow[1], FlowStep { kind: FlowKind::Other("relu".into()), inputs: vec![1], outputs: vec![2] });
    assert_eq!(calibration.quantized.keys().copied().collect::<Vec<_>>(), [0], "an input that stays float is not quantized");
    assert_eq!(calibration.observed.keys().copied().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn force_dtype_decides_and_ranges_of_integers_are_kept() {
    let float = TENSOR.replace("torch.quint8", "torch.float32");
    assert_eq!(parse(ForeignFormat::Ipex, &summary(&float, OBSERVER, WEIGHT)).unwrap().layers[0].input, None);
    let reduced = OBSERVER.replace("255", "127");
    let target = |tensor: &str, observer: &str| {
        parse(ForeignFormat::Ipex, &summary(tensor, observer, WEIGHT).replace("[129]", "[12]")).unwrap().layers[0].input.unwrap().target
    };
    assert_eq!(target(TENSOR, &reduced), Target { reduce_range: true, ..Target::U8_AFFINE });
    let signed = OBSERVER.replace("affine", "symmetric").replace(": 0,", ": -128,").replace("255", "127");
    let tensor = TENSOR.replace("quint8", "qint8").replace("[3]", "[0]");
    assert_eq!(target(&tensor, &signed), Target::S8_SYMMETRIC);
}

#[test]
fn what_an_ipex_summary_holds_and_a_recipe_cannot_is_refused_by_name() {
    let smooth = format!(r#"{TENSOR}, "smooth_quant_scaling_factor": {{"0_0": [1.0]}}"#);
    let by_pair = r#""force_dtype": "torch.quint8", "scale": {"0_0": [0.1]}, "zero_point": {"0_0": [3]}"#;
    let enabled = format!(r#"{OBSERVER}, "smooth_quant_enabled": true"#);
    for (text, parts) in [
        (summary(&smooth, OBSERVER, WEIGHT), ["SmoothQuant", "a.conv"]),
        (summary(by_pair, OBSERVER, WEIGHT), ["SmoothQuant", "a.conv"]),
        (summary(TENSOR, &enabled, WEIGHT), ["SmoothQuant", "a.conv"]),
        (summary(TENSOR, &OBSERVER.replace("255", "100"), WEIGHT), ["0 to 100", "a.conv"]),
        (summary(TENSOR, OBSERVER, &WEIGHT.replace("[0, 0]", "[0, 1]")), ["zero points", "a.conv"]),
        (summary(&TENSOR.replace("[0.1]", "[0.1, 0.2]"), OBSERVER, WEIGHT), ["more than one scale", "a.conv"]),
    ] {
        let error = ForeignCalibration::parse(ForeignFormat::Ipex, &text).unwrap_err();
        assert!(matches!(&error, Error::Unsupported(text) if parts.iter().all(|part| text.contains(part))), "{error}");
    }
    assert!(refusal(ForeignFormat::Ipex, &summary(&TENSOR.replace("0.1", "-0.1"), OBSERVER, WEIGHT)).contains("a.conv"));
    assert!(refusal(ForeignFormat::Ipex, "{\" \": {\"q_op_infos\": {\"x\": {\"op_type\": \"\"}}}}").contains("\"x\""));
}

#[test]
fn formats_have_names() {
    for format in [ForeignFormat::Ipex, ForeignFormat::TensorRt, ForeignFormat::OnnxRuntime, ForeignFormat::Ncnn] {
        assert_eq!(ForeignFormat::from_name(format.name()).unwrap(), format);
    }
    assert!(ForeignFormat::from_name("caffe").unwrap_err().to_string().contains("caffe"));
}
