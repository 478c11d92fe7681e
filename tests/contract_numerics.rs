//! Contract lines 7, 8 and 9: an object that calibrates is busy for everybody else; sums that could leave 32 bits are not computed in
//! int8; and scales near the ends of f32 make no layer wrong.
#[path = "support/c_api.rs"]
mod c_api;
#[path = "support/networks.rs"]
mod networks;

use c_api::*;
use rsquant::ffi::*;
use rsquant::graph::GraphBuilder;
use rsquant::pipeline::{self, FloatGraph, LayerPrecision};
use rsquant::tensor::{TensorView, TensorViewMut};
use std::ffi::c_void;
use std::ptr::{null, null_mut};

/// What the callback of [`line_7_a_second_calibrate_on_a_busy_prepared_is_busy`] finds.
struct Second<'a> {
    prepared: &'a Prepared,
    inputs: &'a [Floats],
    statuses: Vec<rsq_status>,
}

unsafe extern "C" fn use_what_is_busy(second: *mut c_void, _: *const rsq_progress) -> i32 {
    // SAFETY: the test's, which waits for the call that calls this.
    let second = unsafe { &mut *second.cast::<Second>() };
    let mut samples = 7;
    // SAFETY: the output lives for the call.
    let counted = unsafe { rsq_calibration_samples(second.prepared.0, &mut samples) };
    assert_eq!(samples, 7, "a refused call wrote its output");
    let calibrated = second.prepared.calibrate(second.inputs).err().unwrap_or(RSQ_OK);
    let elsewhere = std::thread::scope(|scope| {
        let prepared = second.prepared;
        scope.spawn(move || prepared.convert().err().unwrap_or(RSQ_OK)).join().unwrap()
    });
    second.statuses.extend([counted, calibrated, elsewhere]);
    0
}

#[test]
fn line_7_a_second_calibrate_on_a_busy_prepared_is_busy() {
    let network = networks::all().into_iter().find(|network| network.name == "mlp").unwrap();
    let graph = Graph::from_bytes(None, &std::fs::read(network.model()).unwrap()).unwrap();
    let inputs = vec![Floats::new(&network.inputs[0].shape, network.floats("input", 0))];
    let prepared = Prepared::new(None, &graph, &QConfig::new_static().unwrap()).unwrap();
    let mut second = Second { prepared: &prepared, inputs: &inputs, statuses: Vec::new() };
    // SAFETY: the callback and what it is handed outlive the calibration.
    let set = unsafe { rsq_prepared_set_progress(prepared.0, Some(use_what_is_busy), (&raw mut second).cast()) };
    assert_eq!(set, RSQ_OK);
    prepared.calibrate(&inputs).unwrap();
    let statuses = std::mem::take(&mut second.statuses);
    assert!(statuses.len() >= 3 && statuses.iter().all(|&status| status == RSQ_BUSY), "{statuses:?}");
    // SAFETY: nobody is told any more.
    assert_eq!(unsafe { rsq_prepared_set_progress(prepared.0, None, null_mut()) }, RSQ_OK);
    assert_eq!(prepared.samples(), inputs[0].dims[0] as u64, "only the first batch was taken in");
    prepared.calibrate(&inputs).unwrap();
}

/// The status of packing a GEMM of one column with weights of -128, and what it makes of bytes of 255.
fn deepest_sum(depth: usize) -> Outcome<f32> {
    let (weights, scale) = (vec![-128i8; depth], 1.0f32);
    // SAFETY: structs of numbers and pointers, for which zero bytes are a value; all that they point to lives for the calls.
    unsafe {
        let mut given: rsq_weights = std::mem::zeroed();
        given.struct_size = size_of::<rsq_weights>() as u32;
        (given.dtype, given.data, given.size_bytes) = (RSQ_DTYPE_S8, weights.as_ptr().cast(), depth);
        (given.out_channels, given.in_channels, given.scales, given.scale_count) = (1, depth, &scale, 1);
        let mut options: rsq_operator_options = std::mem::zeroed();
        options.struct_size = size_of::<rsq_operator_options>() as u32;
        (options.output_dtype, options.input_scale) = (RSQ_DTYPE_F32, 1.0);
        let (mut packed, mut operator) = (null_mut(), null_mut());
        let status = rsq_pack_weights(null(), &given, &mut packed);
        let status = if status == RSQ_OK { rsq_gemm_u8s8_new(null(), packed, &options, &mut operator) } else { status };
        rsq_packed_free(packed);
        if status != RSQ_OK {
            return Err(status);
        }
        let (source, mut result) = (vec![255u8; depth], 0f32);
        let mut tensors: rsq_operator_tensors = std::mem::zeroed();
        tensors.struct_size = size_of::<rsq_operator_tensors>() as u32;
        (tensors.src, tensors.src_bytes) = (source.as_ptr().cast(), depth);
        (tensors.dst, tensors.dst_bytes) = ((&raw mut result).cast(), 4);
        let status = rsq_gemm_u8s8(operator, 1, &tensors);
        rsq_operator_free(operator);
        if status == RSQ_OK { Ok(result) } else { Err(status) }
    }
}

/// A graph of one linear layer.
fn linear(weights: &[f32], bias: Option<&[f32]>, inputs: usize) -> FloatGraph {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(inputs)]).unwrap();
    let y = builder.linear("layer", x, weights, bias, weights.len() / inputs, inputs).unwrap();
    FloatGraph::from_graph(builder.finish(&[y]).unwrap()).unwrap()
}

#[test]
fn line_8_sums_of_65793_products_are_exact_and_deeper_layers_stay_float_and_say_so() {
    // As many as fit: -2147483520, which f32 holds.
    assert_eq!(deepest_sum(65_793), Ok((65_793i64 * 255 * -128) as f32));
    let refused = deepest_sum(65_794).unwrap_err();
    assert!(refused == RSQ_INVALID_ARGUMENT || refused == RSQ_UNSUPPORTED, "{refused}, {}", message());
    assert!(message().contains("65793") || message().contains("65794"), "{}", message());
    let context = pipeline::Context::default_context().unwrap();
    for (depth, precision) in [(65_793, LayerPrecision::Int8Dynamic), (65_794, LayerPrecision::Float)] {
        let graph = linear(&vec![0.5; depth], None, depth);
        let prepared = pipeline::Prepared::new(&context, &graph, &rsquant::quantize::QConfig::default_dynamic(), None).unwrap();
        let model = prepared.convert().unwrap();
        let layer = model.layers().iter().find(|layer| layer.name == "layer").unwrap();
        assert_eq!(layer.precision, precision, "{depth}");
        assert!(precision != LayerPrecision::Float || layer.reason.contains("65793"), "{}", layer.reason);
    }
}

#[test]
fn line_9_tiny_and_huge_scales_leave_every_output_as_close_as_its_float() {
    let context = pipeline::Context::default_context().unwrap();
    let (x, dims) = ([1.0f32, -0.5, 0.25, 2.0], [1usize, 4]);
    // A bias as an integer of the sums' scale would need more than 32 bits in the first case and vanish in the last.
    for size in [1e-30f32, 1e-12, 1.0, 1e12, 1e30] {
        let weights: Vec<f32> = [1.0, -1.0, 0.5, 0.25, 0.125, 1.0, -0.75, 0.5].iter().map(|w| w * size).collect();
        let bias = [5.0, -3.0 * size];
        let graph = linear(&weights, Some(&bias), 4);
        for qconfig in [rsquant::quantize::QConfig::default_static(), rsquant::quantize::QConfig::default_dynamic()] {
            let mut prepared = pipeline::Prepared::new(&context, &graph, &qconfig, None).unwrap();
            prepared.calibrate(&[TensorView::f32(&x, &dims).unwrap()]).unwrap();
            let mut session = pipeline::Session::new(&prepared.convert().unwrap(), Default::default()).unwrap();
            let mut found = [f32::NAN; 2];
            session.run(&[TensorView::f32(&x, &dims).unwrap()], &mut [TensorViewMut::f32(&mut found, &[1, 2]).unwrap()]).unwrap();
            let exact = |row: usize| weights[row * 4..][..4].iter().zip(&x).map(|(w, x)| w * x).sum::<f32>() + bias[row];
            let expected = [exact(0), exact(1)];
            let largest = expected.iter().fold(0f32, |most, y| most.max(y.abs()));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() <= 0.02 * largest, "weights of {size:e}: {found:?} where float is {expected:?}");
            }
        }
    }
}
