//! The dynamic GEMM against the formulas, on every instruction set, with any threads and rows.
use super::*;
use crate::isa::Isa;
use crate::kernels::conformance::{GuardedBuffer, Placement};
use crate::pipeline::{ContextOptions, OperatorTensors};
use crate::quantize::{DynamicQuantization, DynamicRule, Grain, quantize_value};

const N: usize = 37;
const SCALES: [f32; 2] = [0.01, 0.003];

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let value = |index: u32| ((index ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0;
    (0..len as u32).map(|index| value(index) * (1.0 + (index % 7) as f32)).collect()
}

struct Case {
    k: usize,
    rows: usize,
    options: DynamicGemmOptions,
    weights: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    src: Vec<f32>,
    residual: Vec<f32>,
}

impl Case {
    fn new(k: usize, rows: usize, options: DynamicGemmOptions) -> Self {
        let [src_stride, residual_stride] = [(options.strides[0], k), (options.strides[1], N)].map(|(own, dense)| own.max(dense));
        Self {
            k,
            rows,
            options,
            weights: noise(N * k, 7).iter().map(|x| (x * 18.0) as i8).collect(),
            scales: (0..N).map(|channel| SCALES[channel % 2]).collect(),
            bias: noise(N, 3),
            src: noise(rows * src_stride, 11),
            residual: noise(rows * residual_stride, 5),
        }
    }

    fn packed(&self) -> PackedWeights {
        let sizes = WeightSizes { out_channels: N, in_channels: self.k, groups: 1, kernel: [1, 1] };
        PackedWeights::new(sizes, WeightValues::S8(&self.weights, &self.scales), Some(&self.bias)).unwrap()
    }

    fn row(&self, row: usize) -> &[f32] {
        let stride = self.options.strides[0].max(self.k);
        &self.src[row * stride..][..self.k]
    }

    /// NUMERICS sections 2, 5 and 6, written down.
    fn expected(&self) -> Vec<f32> {
        let DynamicGemmOptions { quantization, residual, bounds, strides } = self.options;
        let range = |values: &mut dyn Iterator<Item = f32>| values.fold((0f32, 0f32), |(min, max), x| (min.min(x), max.max(x)));
        let of_all = range(&mut (0..self.rows).flat_map(|row| self.row(row).iter().copied()));
        let mut out = Vec::new();
        for row in 0..self.rows {
            let (min, max) = if quantization.grain == Grain::PerTensor { of_all } else { range(&mut self.row(row).iter().copied()) };
            let qparams = quantization.qparams(min, max).unwrap();
            let byte = |x: f32| match quantization.rule {
                DynamicRule::Native => quantize_value(x, 1.0 / qparams.scale, qparams.zero_point, 0, i32::from(quantization.high())),
                DynamicRule::Torch => {
                    let steps = x * (1.0 / qparams.scale) + qparams.zero_point as f32;
                    steps.round_ties_even().clamp(0.0, f32::from(quantization.high())) as i32
                }
            };
            let bytes: Vec<i32> = self.row(row).iter().map(|&x| byte(x)).collect();
            for channel in 0..N {
                let weights = &self.weights[channel * self.k..][..self.k];
                let acc: i32 = bytes.iter().zip(weights).map(|(&a, &w)| (a - qparams.zero_point) * i32::from(w)).sum();
                let mult = (f64::from(qparams.scale) * f64::from(self.scales[channel])) as f32;
                let mut y = (acc as f32).mul_add(mult, self.bias[channel]);
                if residual {
                    y += self.residual[row * strides[1].max(N) + channel];
                }
                out.push(y.max(bounds.low).min(bounds.high));
            }
        }
        out
    }

    fn run(&self, context: &Context, placement: Placement) -> Vec<f32> {
        let operator = Operator::dynamic_gemm(context, &self.packed(), self.options).unwrap();
        let [src, dst, residual] = operator.spans(self.rows).unwrap();
        let src = GuardedBuffer::new(&bytemuck::cast_slice(&self.src)[..src], 4, placement);
        let residual = GuardedBuffer::new(&bytemuck::cast_slice(&self.residual)[..residual], 4, placement);
        let mut dst = GuardedBuffer::new(&vec![0; dst], 4, placement);
        let mut scratch = GuardedBuffer::new(&vec![0xa5; operator.info().scratch_bytes], 1, placement);
        let residual = self.options.residual.then(|| residual.bytes());
        let tensors = OperatorTensors { src: src.bytes(), residual, dst: dst.bytes_mut() };
        operator.run(self.rows, tensors, Some(scratch.bytes_mut())).unwrap();
        dst.bytes().chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
    }
}

fn options(grain: Grain, rule: DynamicRule, reduce_range: bool) -> DynamicGemmOptions {
    let quantization = DynamicQuantization { grain, rule, reduce_range };
    DynamicGemmOptions { quantization, residual: false, bounds: Bounds::NONE, strides: [0; 2] }
}

fn contexts() -> Vec<Context> {
    let isas = Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected());
    let of = |(max_isa, threads)| Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap();
    isas.flat_map(|isa| [(isa, 1), (isa, 3)]).map(of).collect()
}

#[test]
fn products_are_those_of_the_formulas_on_every_instruction_set_with_any_threads() {
    let contexts = contexts();
    let native = options(Grain::PerRow, DynamicRule::Native, false);
    let torch = options(Grain::PerTensor, DynamicRule::Torch, true);
    let all = [
        native,
        options(Grain::PerTensor, DynamicRule::Native, false),
        torch,
        DynamicGemmOptions { residual: true, bounds: Bounds::RELU, strides: [150, N + 3], ..native },
        DynamicGemmOptions { residual: true, bounds: Bounds { low: -1.0, high: 6.0 }, ..torch },
    ];
    for options in all {
        for (k, rows) in [(1, 3), (64, 1), (130, 40), (67, 300), (150, 0)] {
            let case = Case::new(k, rows, options);
            let expected = case.expected();
            for context in &contexts {
                for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
                    let found = case.run(context, placement);
                    let same = found.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits()));
                    assert!(same, "{options:?}, k {k}, {rows} rows, {} threads, {}", context.threads().threads(), context.max_isa());
                }
            }
        }
    }
}

#[test]
fn a_row_of_its_own_qparams_gives_what_it_gives_alone() {
    let context = Context::new(ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
    let case = Case::new(64, 300, options(Grain::PerRow, DynamicRule::Native, false));
    let operator = Operator::dynamic_gemm(&context, &case.packed(), case.options).unwrap();
    let run = |src: &[f32]| {
        let mut dst = vec![0f32; src.len() / 64 * N];
        let tensors = OperatorTensors { src: bytemuck::cast_slice(src), residual: None, dst: bytemuck::cast_slice_mut(&mut dst) };
        operator.run(src.len() / 64, tensors, None).unwrap();
        dst
    };
    let alone: Vec<f32> = case.src.chunks(64).flat_map(run).collect();
    assert_eq!(run(&case.src), alone);
}

#[test]
fn a_nan_or_an_infinity_is_named_and_nothing_is_written() {
    let context = Context::new(ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
    for (grain, rows, at) in [(Grain::PerRow, 5, 4), (Grain::PerRow, 300, 299), (Grain::PerTensor, 300, 2)] {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut case = Case::new(64, rows, options(grain, DynamicRule::Native, false));
            case.src[at * 64 + 9] = value;
            let operator = Operator::dynamic_gemm(&context, &case.packed(), case.options).unwrap();
            let mut dst = vec![7f32; rows * N];
            let tensors = OperatorTensors { src: bytemuck::cast_slice(&case.src), residual: None, dst: bytemuck::cast_slice_mut(&mut dst) };
            let error = operator.run(rows, tensors, None).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::NotFinite(_)) && text.contains(&format!("sample {at}, element 9 is {value}")), "{text}");
            assert!(dst.iter().all(|&y| y == 7.0), "written: {grain:?}, {rows} rows");
        }
    }
}

#[test]
fn what_makes_no_dynamic_gemm_is_refused() {
    let context = Context::new(ContextOptions { threads: 1, ..ContextOptions::default() }).unwrap();
    let native = options(Grain::PerRow, DynamicRule::Native, false);
    let case = Case::new(8, 2, native);
    let packed = case.packed();
    for (wrong, part) in [
        (options(Grain::PerSample, DynamicRule::Native, false), "per row"),
        (DynamicGemmOptions { bounds: Bounds { low: 1.0, high: 0.0 }, ..native }, "bounds"),
        (DynamicGemmOptions { strides: [7, 0], ..native }, "stride"),
    ] {
        let error = Operator::dynamic_gemm(&context, &packed, wrong).map(drop).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let operator = Operator::dynamic_gemm(&context, &packed, native).unwrap();
    let (src, mut dst, mut scratch) = (vec![0u8; 64], vec![0u8; 2 * N * 4], vec![0u8; operator.info().scratch_bytes]);
    let mut run = |src: &[u8], residual: Option<&[u8]>, scratch: &mut [u8]| {
        operator.run(2, OperatorTensors { src, residual, dst: &mut dst }, Some(scratch))
    };
    assert!(matches!(run(&src[..60], None, &mut scratch), Err(Error::ShapeMismatch(_))));
    assert!(matches!(run(&src, Some(&src), &mut scratch), Err(Error::InvalidArgument(_))));
    assert!(matches!(run(&src, None, &mut scratch[1..]), Err(Error::InvalidArgument(_))));
    run(&src, None, &mut scratch).unwrap();
}
