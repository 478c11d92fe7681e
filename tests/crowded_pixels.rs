//! Layers whose source pixels lie a multiple of 4 KB apart, where kernels read copies: in float the chains of the law, in int8 the bits
//! of the portable kernel, which reads pixels where they lie.
use rsquant::graph::{Conv2dAttributes, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};

const BATCH: usize = 3;

struct Layer {
    channels: usize,
    size: [usize; 2],
    stride: usize,
    groups: usize,
    outputs: usize,
}

/// Small numbers of many sizes whose sums round.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let value = |index: u32| {
        let bits = (index ^ seed).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519);
        (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len as u32).map(value).collect()
}

impl Layer {
    fn output_size(&self) -> [usize; 2] {
        self.size.map(|size| (size - 1) / self.stride + 1)
    }

    /// `acc = fma(a_k, w_k, acc)` in the order of `k`, then the bias.
    fn expected(&self, x: &[f32], weights: &[f32], bias: &[f32]) -> Vec<u32> {
        let ([height, width], [rows, cols]) = (self.size, self.output_size());
        let of_group = self.channels / self.groups;
        let mut out = Vec::new();
        for sample in 0..BATCH {
            for oc in 0..self.outputs {
                let group = oc / (self.outputs / self.groups);
                for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                    let at = |c: usize| ((sample * self.channels + c) * height + row * self.stride) * width + col * self.stride;
                    let chain = (0..of_group).fold(0.0f32, |acc, k| x[at(group * of_group + k)].mul_add(weights[oc * of_group + k], acc));
                    out.push((chain + bias[oc]).to_bits());
                }
            }
        }
        out
    }

    /// The layer as a network, its input for a batch, and what the law says of its float outputs.
    fn network(&self) -> (FloatGraph, Vec<f32>, Vec<u32>) {
        let [height, width] = self.size;
        let of_group = self.channels / self.groups;
        let x = noise(BATCH * self.channels * height * width, 1);
        let (weights, bias) = (noise(self.outputs * of_group, 2), noise(self.outputs, 3));
        let mut builder = GraphBuilder::new();
        let input = builder.input("x", &[None, Some(self.channels), Some(height), Some(width)]).unwrap();
        let attributes = Conv2dAttributes {
            strides: [self.stride; 2],
            groups: self.groups,
            ..Conv2dAttributes::new(self.channels, self.outputs, [1, 1])
        };
        let conv = builder.conv2d("conv", input, &weights, Some(&bias), attributes).unwrap();
        let expected = self.expected(&x, &weights, &bias);
        (FloatGraph::from_graph(builder.finish(&[conv]).unwrap()).unwrap(), x, expected)
    }

    fn run(&self, session: &mut Session, x: &[f32]) -> Vec<u32> {
        let ([height, width], [rows, cols]) = (self.size, self.output_size());
        let mut out = vec![f32::NAN; BATCH * self.outputs * rows * cols];
        let (x_dims, out_dims) = ([BATCH, self.channels, height, width], [BATCH, self.outputs, rows, cols]);
        let output = TensorViewMut::f32(&mut out, &out_dims).unwrap();
        session.run(&[TensorView::f32(x, &x_dims).unwrap()], &mut [output]).unwrap();
        out.into_iter().map(f32::to_bits).collect()
    }

    fn check_float(&self) {
        let (graph, x, expected) = self.network();
        for (context, what) in contexts() {
            let mut session = Session::float(&context, &graph, options()).unwrap();
            assert!(self.run(&mut session, &x) == expected, "{} channels, stride {}, {what}", self.channels, self.stride);
        }
    }

    fn check_int8(&self) {
        let (graph, x, _) = self.network();
        let dims = [BATCH, self.channels, self.size[0], self.size[1]];
        for (mode, qconfig) in [("static", QConfig::default_static()), ("dynamic", QConfig::default_dynamic())] {
            let mut expected: Option<Vec<u32>> = None;
            for (context, what) in contexts() {
                let mut prepared = Prepared::new(&context, &graph, &qconfig, None).unwrap();
                prepared.calibrate(&[TensorView::f32(&x, &dims).unwrap()]).unwrap();
                let mut session = Session::new(&prepared.convert().unwrap(), options()).unwrap();
                let out = self.run(&mut session, &x);
                let expected = expected.get_or_insert_with(|| out.clone());
                assert!(out == *expected, "{mode}, {} channels, stride {}, {what}", self.channels, self.stride);
            }
        }
    }
}

fn options() -> SessionOptions {
    SessionOptions { max_batch: BATCH, ..SessionOptions::default() }
}

/// Every instruction set that is here, the portable one first, on 1, 2 and 5 threads.
fn contexts() -> impl Iterator<Item = (Context, String)> {
    let isas = Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected());
    isas.flat_map(|isa| [1, 2, 5].map(|threads| (isa, threads))).map(|(isa, threads)| {
        let options = ContextOptions { threads, max_isa: Some(isa), ..ContextOptions::default() };
        (Context::new(options).unwrap(), format!("{isa}, {threads} threads"))
    })
}

#[test]
fn float_copies_give_the_chains_of_the_law() {
    // More pixels than a copy holds; a stride that skips rows and columns; groups; rows of 8 KB.
    Layer { channels: 1024, size: [9, 8], stride: 1, groups: 1, outputs: 80 }.check_float();
    Layer { channels: 512, size: [7, 5], stride: 2, groups: 1, outputs: 96 }.check_float();
    Layer { channels: 2048, size: [3, 2], stride: 1, groups: 2, outputs: 160 }.check_float();
    Layer { channels: 2048, size: [5, 7], stride: 1, groups: 1, outputs: 65 }.check_float();
}

#[test]
fn int8_copies_give_the_bits_of_the_portable_kernel() {
    Layer { channels: 4096, size: [9, 8], stride: 1, groups: 1, outputs: 80 }.check_int8();
    Layer { channels: 2048, size: [7, 9], stride: 2, groups: 1, outputs: 96 }.check_int8();
    Layer { channels: 4096, size: [3, 4], stride: 1, groups: 2, outputs: 160 }.check_int8();
    Layer { channels: 4096, size: [2, 2], stride: 1, groups: 1, outputs: 64 }.check_int8();
}

/// An output whose only tap lies in the padding, gigabytes before the source, is the bias: nothing is read.
#[test]
fn pixels_in_the_padding_are_not_copied() {
    const OUTPUTS: usize = 64;
    for channels in [1024, 4096] {
        let (x, bias) = (noise(BATCH * channels * 16, 5), noise(OUTPUTS, 6));
        let mut builder = GraphBuilder::new();
        let input = builder.input("x", &[None, Some(channels), Some(1), Some(16)]).unwrap();
        let padding = Padding::Explicit { top: 100_000, left: 0, bottom: 0, right: 0 };
        let attributes = Conv2dAttributes { strides: [100_001, 1], padding, ..Conv2dAttributes::new(channels, OUTPUTS, [1, 1]) };
        let conv = builder.conv2d("conv", input, &noise(OUTPUTS * channels, 7), Some(&bias), attributes).unwrap();
        let graph = FloatGraph::from_graph(builder.finish(&[conv]).unwrap()).unwrap();
        for (context, what) in contexts() {
            let prepared = Prepared::new(&context, &graph, &QConfig::default_dynamic(), None).unwrap();
            let int8 = Session::new(&prepared.convert().unwrap(), options()).unwrap();
            for mut session in [Session::float(&context, &graph, options()).unwrap(), int8] {
                let (x_dims, out_dims) = ([BATCH, channels, 1, 16], [BATCH, OUTPUTS, 1, 16]);
                let mut out = vec![f32::NAN; out_dims.iter().product()];
                let output = TensorViewMut::f32(&mut out, &out_dims).unwrap();
                session.run(&[TensorView::f32(&x, &x_dims).unwrap()], &mut [output]).unwrap();
                assert!(out.iter().enumerate().all(|(at, &y)| y == bias[at / 16 % OUTPUTS]), "{channels} channels, {what}");
            }
        }
    }
}
