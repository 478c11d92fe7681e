use super::*;
use crate::isa::Isa;
use crate::kernels::conformance::{GuardedBuffer, Placement};
use crate::pipeline::{ContextOptions, OperatorTensors};

const QPARAMS: QParams = QParams { scale: 0.1, zero_point: 3 };

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn options(output: OperatorOutput) -> OperatorOptions {
    OperatorOptions { input: QPARAMS, output, residual: Some(QPARAMS), bounds: Bounds::NONE, strides: [0; 3] }
}

fn packed(sizes: WeightSizes) -> PackedWeights {
    let count = sizes.out_channels * sizes.in_channels / sizes.groups * sizes.kernel[0] * sizes.kernel[1];
    let values: Vec<i8> = pattern(count).into_iter().map(|byte| byte as i8).collect();
    PackedWeights::new(sizes, WeightValues::S8(&values, &[0.01]), None).unwrap()
}

/// The output bytes with every tensor at that end of its pages, a page that faults beside it.
fn run_guarded(operator: &Operator, samples: usize, placement: Placement) -> Vec<u8> {
    let [src, dst, residual] = operator.spans(samples).unwrap();
    let [src, residual] = [src, residual].map(|len| GuardedBuffer::new(&pattern(len), operator.element_bytes(), placement));
    let mut dst = GuardedBuffer::new(&vec![0; dst], operator.element_bytes(), placement);
    let mut scratch = GuardedBuffer::new(&vec![0; operator.info().scratch_bytes], 1, placement);
    let tensors = OperatorTensors { src: src.bytes(), residual: Some(residual.bytes()), dst: dst.bytes_mut() };
    operator.run(samples, tensors, Some(scratch.bytes_mut())).unwrap();
    dst.bytes().to_vec()
}

#[test]
fn no_byte_outside_a_callers_tensors_is_touched_on_any_instruction_set() {
    let shapes = [(3, 20, 1, 3), (16, 33, 1, 1), (10, 6, 2, 2), (21, 21, 21, 3), (5, 5, 1, 5), (64, 16, 1, 1)];
    let bytes = OperatorOutput::U8(QuantizedType { qparams: QPARAMS, low: 0, high: 255 });
    for (in_channels, out_channels, groups, kernel) in shapes {
        let weights = packed(WeightSizes { out_channels, in_channels, groups, kernel: [kernel; 2] });
        let sizes = ConvSizes { input: [6, 7], strides: [1; 2], dilations: [1; 2], padding: [kernel / 2; 4] };
        for output in [bytes, OperatorOutput::F32] {
            let mut first: Option<Vec<u8>> = None;
            for max_isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
                let context = Context::new(ContextOptions { threads: 2, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap();
                let operator = Operator::conv2d(&context, &weights, options(output), sizes).unwrap();
                for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
                    let result = run_guarded(&operator, 2, placement);
                    assert_eq!(*first.get_or_insert_with(|| result.clone()), result, "{max_isa} {in_channels}x{out_channels}");
                }
            }
        }
    }
}

/// A convolution's result for two samples with `threads` threads below `max_isa`, and the kernel's name.
fn convolved(weights: &PackedWeights, sizes: ConvSizes, threads: usize, max_isa: Isa) -> (Vec<u8>, &'static str) {
    let context = Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap();
    let bytes = OperatorOutput::U8(QuantizedType { qparams: QParams { scale: 9.0, zero_point: 101 }, low: 0, high: 255 });
    let operator = Operator::conv2d(&context, weights, options(bytes), sizes).unwrap();
    let [src, dst, residual] = operator.spans(2).unwrap();
    let (src, residual, mut dst) = (pattern(src), pattern(residual), vec![0; dst]);
    operator.run(2, OperatorTensors { src: &src, residual: Some(&residual), dst: &mut dst }, None).unwrap();
    (dst, operator.info().kernel)
}

#[test]
fn convolutions_of_all_shapes_have_the_bits_of_portable_code() {
    let plain = ConvSizes { input: [9, 8], strides: [1; 2], dilations: [1; 2], padding: [1; 4] };
    let mut shapes = Vec::new();
    // By tiles of 4 x 4 or 2 x 2 outputs, with every rest; parts of rows, of channels, of both; runs of several tiles.
    for (in_channels, out_channels) in [(32, 16), (32, 40), (160, 33), (96, 100)] {
        for input in [[4, 4], [5, 9], [8, 7], [7, 23], [2, 2], [1, 30], [3, 5], [2, 30]] {
            shapes.push((in_channels, out_channels, 1, [3, 3], ConvSizes { input, ..plain }));
        }
        shapes.push((in_channels, out_channels, 1, [3, 3], ConvSizes { padding: [0, 1, 2, 0], ..plain }));
        shapes.push((in_channels, out_channels, 1, [3, 3], ConvSizes { padding: [3, 0, 0, 4], ..plain }));
    }
    // Transformed weights that are kept for many runs, that are not kept, and that are transformed some channels at a time.
    for (in_channels, out_channels, input) in [(32, 16, [40, 41]), (64, 48, [40, 41]), (128, 128, [30, 30]), (288, 48, [20, 22])] {
        shapes.push((in_channels, out_channels, 1, [3, 3], ConvSizes { input, ..plain }));
    }
    // By gathered panels and where pixels lie: strides, dilations, groups, few channels, kernels of other sizes.
    for (in_channels, out_channels, groups) in [(32, 32, 1), (3, 20, 1), (1, 5, 1), (24, 18, 3), (5, 7, 1)] {
        for kernel in [[1, 1], [3, 3], [2, 5], [7, 7]] {
            for (strides, dilations) in [([1, 1], [2, 2]), ([2, 2], [1, 1]), ([2, 1], [1, 3])] {
                shapes.push((
                    in_channels,
                    out_channels,
                    groups,
                    kernel,
                    ConvSizes { strides, dilations, padding: [3, 2, 1, 4], input: [15, 18] },
                ));
            }
        }
    }
    // One row of outputs as long as the source's, but not made of the pixels in their places.
    for (strides, padding) in [([2, 1], [1, 0, 0, 0]), ([1, 2], [0, 1, 0, 1]), ([3, 2], [0, 1, 0, 1])] {
        shapes.push((32, 40, 1, [1, 1], ConvSizes { input: [1, 3], strides, padding, ..plain }));
        shapes.push((4, 5, 1, [1, 1], ConvSizes { input: [1, 3], strides, padding, ..plain }));
    }
    let mut kernels = std::collections::BTreeSet::new();
    for (in_channels, out_channels, groups, kernel, sizes) in shapes {
        let weights = packed(WeightSizes { out_channels, in_channels, groups, kernel });
        let (expected, _) = convolved(&weights, sizes, 1, Isa::Portable);
        for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
            for threads in [1, 2, 3] {
                let (got, name) = convolved(&weights, sizes, threads, isa);
                assert!(
                    got == expected,
                    "{isa}, {threads} threads, {in_channels} to {out_channels} by {groups}, {kernel:?}, {sizes:?}: {name}"
                );
                kernels.insert(name);
            }
        }
    }
    println!("RAN: {kernels:?}");
    if Isa::detected() >= Isa::Avx512Vnni {
        assert!(kernels.contains("u8s8s32-winograd4-14x32-avx512_vnni"), "{kernels:?}");
    }
    if Isa::detected() >= Isa::Avx2 {
        for side in ["winograd2", "winograd4"] {
            assert!(kernels.iter().any(|name| name.contains(side)), "no layer by {side}: {kernels:?}");
        }
    }
}

#[test]
fn sizes_beyond_the_values_are_refused_before_memory_is_asked_for() {
    for out_channels in [1 << 40, 1 << 55, usize::MAX / 64] {
        let sizes = WeightSizes { out_channels, in_channels: 1, groups: 1, kernel: [1, 1] };
        for values in [WeightValues::S8(&[1, 2], &[0.5]), WeightValues::F32(&[1.0, 2.0], WeightQConfig::default())] {
            let refused = PackedWeights::new(sizes, values, None).err();
            assert!(matches!(refused, Some(Error::ShapeMismatch(_) | Error::InvalidArgument(_))), "{out_channels}: {refused:?}");
        }
    }
}

#[test]
fn any_number_of_rows_gives_the_rows_that_each_gives_alone() {
    let context = Context::new(ContextOptions { threads: 3, ..ContextOptions::default() }).unwrap();
    for k in [7, 16, 130] {
        let weights = packed(WeightSizes { out_channels: 70, in_channels: k, groups: 1, kernel: [1, 1] });
        let bytes = OperatorOutput::U8(QuantizedType { qparams: QPARAMS, low: 0, high: 255 });
        let operator = Operator::gemm(&context, &weights, OperatorOptions { residual: None, ..options(bytes) }).unwrap();
        let src = pattern(k * 40);
        let run = |src: &[u8]| {
            let mut dst = vec![0; src.len() / k * 70];
            operator.run(src.len() / k, OperatorTensors { src, residual: None, dst: &mut dst }, None).unwrap();
            dst
        };
        let alone: Vec<u8> = src.chunks(k).flat_map(run).collect();
        assert_eq!(run(&src), alone);
    }
}

#[test]
fn runs_that_share_an_operators_own_scratch_are_refused_not_mixed() {
    let context = Context::new(ContextOptions { threads: 1, ..ContextOptions::default() }).unwrap();
    let weights = packed(WeightSizes { out_channels: 4, in_channels: 4, groups: 1, kernel: [1, 1] });
    let operator = Operator::gemm(&context, &weights, OperatorOptions { residual: None, ..options(OperatorOutput::F32) }).unwrap();
    let held = operator.own.try_lock().unwrap();
    let (src, mut dst) = (pattern(4), vec![0; 16]);
    let refused = operator.run(1, OperatorTensors { src: &src, residual: None, dst: &mut dst }, None);
    assert!(matches!(refused, Err(Error::Busy(_))));
    let mut scratch = vec![0; operator.info().scratch_bytes];
    operator.run(1, OperatorTensors { src: &src, residual: None, dst: &mut dst }, Some(&mut scratch)).unwrap();
    drop(held);
    operator.run(1, OperatorTensors { src: &src, residual: None, dst: &mut dst }, None).unwrap();
    let short = operator.run(1, OperatorTensors { src: &src, residual: None, dst: &mut dst }, Some(&mut scratch[1..]));
    assert!(matches!(short, Err(Error::InvalidArgument(_))));
}
