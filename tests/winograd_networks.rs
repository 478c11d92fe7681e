//! Networks of 3 x 3 layers, where kernels multiply transformed tiles: batches of all lengths, shared and own qparams, against the
//! portable kernel, which takes each product as it is.
use rsquant::graph::{Conv2dAttributes, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use std::collections::HashMap;

const BATCHES: [usize; 5] = [1, 2, 3, 9, 19];
const MOST: usize = 19;

/// Numbers between -1 and 1, most of them small: sums of their products stay far from the largest.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let value = |index: u32| {
        let bits = (index ^ seed).wrapping_mul(2_654_435_761).rotate_left(13).wrapping_mul(2_246_822_519);
        ((bits >> 8) as f32 / (1 << 23) as f32 - 1.0).powi(3)
    };
    (0..len as u32).map(value).collect()
}

/// Two 3 x 3 layers: bytes without a residual (static) or floats; the last one adds the first one's input.
struct Network {
    channels: usize,
    middle: usize,
    size: [usize; 2],
    /// A second input, one for all samples, adds to the first: the batch is then planned as a whole.
    shifted: bool,
}

impl Network {
    fn graph(&self) -> FloatGraph {
        let [height, width] = self.size;
        let mut builder = GraphBuilder::new();
        let input = builder.input("x", &[None, Some(self.channels), Some(height), Some(width)]).unwrap();
        let source = if self.shifted {
            let shift = builder.input("shift", &[None, Some(self.channels), Some(1), Some(1)]).unwrap();
            builder.add("shifted", input, shift).unwrap()
        } else {
            input
        };
        let padding = Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 };
        let mut layer = |name: &str, from, [ic, oc]: [usize; 2], seed| {
            let attributes = Conv2dAttributes { padding, ..Conv2dAttributes::new(ic, oc, [3, 3]) };
            builder.conv2d(name, from, &noise(9 * ic * oc, seed), Some(&noise(oc, seed + 1)), attributes).unwrap()
        };
        let first = layer("first", source, [self.channels, self.middle], 11);
        let second = layer("second", first, [self.middle, self.channels], 21);
        let sum = builder.add("sum", second, input).unwrap();
        let output = builder.relu("output", sum).unwrap();
        FloatGraph::from_graph(builder.finish(&[output]).unwrap()).unwrap()
    }

    /// `MOST` samples, each of a size of its own, so that no two have the same qparams.
    fn samples(&self) -> Vec<f32> {
        let sample = self.channels * self.size[0] * self.size[1];
        noise(MOST * sample, 3).into_iter().enumerate().map(|(at, value)| value * (1.0 + (at / sample) as f32)).collect()
    }

    fn check(&self, qconfig: &QConfig) {
        let (graph, x) = (self.graph(), self.samples());
        let (sample, shift) = (x.len() / MOST, if self.shifted { noise(self.channels, 7) } else { Vec::new() });
        let dims = |batch| [[batch, self.channels, self.size[0], self.size[1]], [1, self.channels, 1, 1]];
        let mut expected: HashMap<usize, Vec<u32>> = HashMap::new();
        for (context, what) in contexts() {
            let mut prepared = Prepared::new(&context, &graph, qconfig, None).unwrap();
            let all = dims(MOST);
            prepared.calibrate(&inputs(&x, &all, &shift)).unwrap();
            let options = SessionOptions { max_batch: MOST, ..SessionOptions::default() };
            let mut session = Session::new(&prepared.convert().unwrap(), options).unwrap();
            for batch in BATCHES {
                let dims = dims(batch);
                let mut out = vec![f32::NAN; batch * sample];
                let output = TensorViewMut::f32(&mut out, &dims[0]).unwrap();
                session.run(&inputs(&x[..batch * sample], &dims, &shift), &mut [output]).unwrap();
                let got: Vec<u32> = out.into_iter().map(f32::to_bits).collect();
                let expected = expected.entry(batch).or_insert_with(|| got.clone());
                let wrong = got.iter().zip(&expected[..]).position(|(got, expected)| got != expected);
                assert_eq!(wrong, None, "{} channels of {:?}, batch {batch}, {what}", self.channels, self.size);
            }
        }
    }
}

/// The samples, and the shift where there is one.
fn inputs<'a>(x: &'a [f32], dims: &'a [[usize; 4]; 2], shift: &'a [f32]) -> Vec<TensorView<'a>> {
    let mut inputs = vec![TensorView::f32(x, &dims[0]).unwrap()];
    if !shift.is_empty() {
        inputs.push(TensorView::f32(shift, &dims[1]).unwrap());
    }
    inputs
}

/// The portable kernels on one thread; every other instruction set that is here on 1, 2 and 5.
fn contexts() -> Vec<(Context, String)> {
    let isas = Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected());
    let all = isas.flat_map(|isa| [1, 2, 5].map(|threads| (isa, threads)));
    let wanted = all.filter(|&(isa, threads)| isa != Isa::Portable || threads == 1);
    let context = |(isa, threads)| {
        let options = ContextOptions { threads, max_isa: Some(isa), ..ContextOptions::default() };
        (Context::new(options).unwrap(), format!("{isa}, {threads} threads"))
    };
    wanted.map(context).collect()
}

/// Layers of 1 to 20 tiles an image, of which some take a few images to pay, some keep their transformed weights for all runs;
/// one takes a whole batch as one sample's images.
const NETWORKS: [Network; 5] = [
    Network { channels: 64, middle: 64, size: [13, 18], shifted: false },
    Network { channels: 32, middle: 96, size: [8, 8], shifted: false },
    Network { channels: 64, middle: 128, size: [12, 16], shifted: false },
    Network { channels: 32, middle: 256, size: [12, 12], shifted: false },
    Network { channels: 64, middle: 160, size: [8, 11], shifted: true },
];

#[test]
fn static_layers_have_the_bits_of_the_portable_kernel() {
    NETWORKS.iter().for_each(|network| network.check(&QConfig::default_static()));
}

#[test]
fn dynamic_layers_have_the_bits_of_the_portable_kernel() {
    NETWORKS.iter().for_each(|network| network.check(&QConfig::default_dynamic()));
}
