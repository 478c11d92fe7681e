//! Float layers whose source pixels lie a multiple of 4 KB apart, where kernels read copies: the chains of the law, to the bit.
use rsquant::graph::{Conv2dAttributes, GraphBuilder};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraphBuilder, Session, SessionOptions};
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

    fn check(&self) {
        let of_group = self.channels / self.groups;
        let ([height, width], [rows, cols]) = (self.size, self.output_size());
        let x = noise(BATCH * self.channels * height * width, 1);
        let (weights, bias) = (noise(self.outputs * of_group, 2), noise(self.outputs, 3));
        let mut builder = FloatGraphBuilder::new();
        let dims = [None, Some(self.channels), Some(height), Some(width)];
        let input = builder.add("x", "Input", |builder| builder.input("x", &dims)).unwrap();
        let attributes = Conv2dAttributes {
            strides: [self.stride; 2],
            groups: self.groups,
            ..Conv2dAttributes::new(self.channels, self.outputs, [1, 1])
        };
        let conv = |builder: &mut GraphBuilder| builder.conv2d("conv", input, &weights, Some(&bias), attributes);
        let conv = builder.add("conv", "Conv", conv).unwrap();
        builder.output(conv).unwrap();
        let graph = builder.finish().unwrap();
        let expected = self.expected(&x, &weights, &bias);
        for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
            for threads in [1, 2, 5] {
                let context = Context::new(ContextOptions { threads, max_isa: Some(isa), ..ContextOptions::default() }).unwrap();
                let options = SessionOptions { max_batch: BATCH, ..SessionOptions::default() };
                let mut session = Session::float(&context, &graph, options).unwrap();
                let mut out = vec![f32::NAN; expected.len()];
                let (x_dims, out_dims) = ([BATCH, self.channels, height, width], [BATCH, self.outputs, rows, cols]);
                session.run(&[TensorView::f32(&x, &x_dims).unwrap()], &mut [TensorViewMut::f32(&mut out, &out_dims).unwrap()]).unwrap();
                let out: Vec<u32> = out.iter().map(|value| value.to_bits()).collect();
                let channels = self.channels;
                assert!(out == expected, "{channels} channels, stride {}, {isa}, {threads} threads", self.stride);
            }
        }
    }
}

#[test]
fn copies_of_crowded_pixels_give_the_chains_of_the_law() {
    // More pixels than a copy holds; a stride that skips rows and columns; groups; rows of 8 KB.
    Layer { channels: 1024, size: [9, 8], stride: 1, groups: 1, outputs: 80 }.check();
    Layer { channels: 512, size: [7, 5], stride: 2, groups: 1, outputs: 96 }.check();
    Layer { channels: 2048, size: [3, 2], stride: 1, groups: 2, outputs: 160 }.check();
    Layer { channels: 2048, size: [5, 7], stride: 1, groups: 1, outputs: 65 }.check();
}
