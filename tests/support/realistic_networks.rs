//! Networks with weights as training leaves them: He-initialised, normalized, a few channels far larger than the others. And data for them.
use rsquant::graph::{BatchNorm, Conv2dAttributes, Graph, GraphBuilder, Padding, Unary, ValueId};

/// Numbers that are the same for the same seed.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f32 {
        let (radius, angle) = ((-2.0 * self.uniform().ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        (radius * angle.cos()) as f32
    }

    /// Normal numbers of the deviation `sqrt(gain / inputs)`.
    fn weights(&mut self, count: usize, inputs: usize, gain: f32) -> Vec<f32> {
        let deviation = (gain / inputs as f32).sqrt();
        (0..count).map(|_| self.normal() * deviation).collect()
    }

    /// A normalization's scales: about 1, one channel in sixteen some times that.
    fn scales(&mut self, channels: usize) -> Vec<f32> {
        let outlier = |index: usize| if index % 16 == 7 { 4.0 } else { 1.0 };
        (0..channels).map(|index| outlier(index) * (1.0 + 0.3 * self.normal()).abs().max(0.1)).collect()
    }

    /// Images of the shape `[c, h, w]` whose pixels resemble their neighbours.
    pub fn images(&mut self, count: usize, shape: &[usize]) -> Vec<f32> {
        let [channels, height, width] = [shape[0], shape[1], shape[2]];
        let mut floats = Vec::new();
        for _ in 0..count * channels {
            let waves: Vec<[f32; 4]> =
                (0..4).map(|_| [0.5 * self.normal(), 0.4 * self.normal(), 0.4 * self.normal(), self.normal()]).collect();
            for at in 0..height * width {
                let (y, x) = ((at / width) as f32, (at % width) as f32);
                let smooth: f32 = waves.iter().map(|[height, down, along, phase]| height * (down * y + along * x + phase).sin()).sum();
                floats.push((smooth + 0.1 * self.normal()).clamp(-2.0, 2.0));
            }
        }
        floats
    }

    /// Embedded tokens, [`TOKENS`] a sample, two features of which are far larger than the others.
    pub fn tokens(&mut self, count: usize) -> Vec<f32> {
        let large = |feature: usize| if feature == 5 || feature == 40 { 5.0 } else { 1.0 };
        (0..count * TOKENS * WIDTH).map(|index| self.normal() * large(index % WIDTH)).collect()
    }
}

/// A convolution and its normalization.
fn conv(b: &mut GraphBuilder, numbers: &mut Numbers, name: &str, x: ValueId, attributes: Conv2dAttributes) -> ValueId {
    let inputs = attributes.in_channels / attributes.groups * attributes.kernel[0] * attributes.kernel[1];
    let weights = numbers.weights(attributes.out_channels * inputs, inputs, 2.0);
    let channels = attributes.out_channels;
    let x = b.conv2d(&format!("{name}/conv"), x, &weights, None, attributes).unwrap();
    let shifts: Vec<f32> = (0..channels).map(|_| 0.3 * numbers.normal()).collect();
    let variances: Vec<f32> = (0..channels).map(|_| (1.0 + 0.3 * numbers.normal()).abs().max(0.2)).collect();
    let means: Vec<f32> = (0..channels).map(|_| 0.2 * numbers.normal()).collect();
    let norm = BatchNorm { gamma: &numbers.scales(channels), beta: &shifts, mean: &means, variance: &variances, epsilon: 1e-5 };
    b.batch_norm(&format!("{name}/norm"), x, &norm).unwrap()
}

/// As torchvision's: expanded by a 1 x 1 convolution, filtered by a depthwise one, gated, narrowed, added.
fn inverted_residual(b: &mut GraphBuilder, numbers: &mut Numbers, name: &str, x: ValueId, channels: [usize; 2], stride: usize) -> ValueId {
    let [from, to] = channels;
    let wide = 4 * from;
    let y = conv(b, numbers, &format!("{name}/expand"), x, Conv2dAttributes::new(from, wide, [1, 1]));
    let y = b.clip(&format!("{name}/expand/relu6"), y, 0.0, 6.0).unwrap();
    let padding = Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 };
    let depthwise = Conv2dAttributes { strides: [stride; 2], padding, groups: wide, ..Conv2dAttributes::new(wide, wide, [3, 3]) };
    let y = conv(b, numbers, &format!("{name}/depthwise"), y, depthwise);
    let y = b.clip(&format!("{name}/depthwise/relu6"), y, 0.0, 6.0).unwrap();
    let gate = b.global_average_pool(&format!("{name}/squeeze"), y).unwrap();
    let weights = numbers.weights(wide * wide / 4, wide, 2.0);
    let gate = b.conv2d(&format!("{name}/reduce"), gate, &weights, None, Conv2dAttributes::new(wide, wide / 4, [1, 1])).unwrap();
    let gate = b.relu(&format!("{name}/reduce/relu"), gate).unwrap();
    let weights = numbers.weights(wide * wide / 4, wide / 4, 2.0);
    let gate = b.conv2d(&format!("{name}/excite"), gate, &weights, None, Conv2dAttributes::new(wide / 4, wide, [1, 1])).unwrap();
    let gate = b.unary(&format!("{name}/gate"), gate, Unary::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 }).unwrap();
    let y = b.binary(&format!("{name}/scaled"), rsquant::graph::Binary::Mul, y, gate).unwrap();
    let y = conv(b, numbers, &format!("{name}/project"), y, Conv2dAttributes::new(wide, to, [1, 1]));
    if from == to && stride == 1 { b.add(&format!("{name}/add"), y, x).unwrap() } else { y }
}

/// A network like MobileNet: images `[n, 3, 32, 32]` to 10 logits.
pub fn depthwise_network(numbers: &mut Numbers) -> Graph {
    let mut builder = GraphBuilder::new();
    let b = &mut builder;
    let x = b.input("image", &[None, Some(3), Some(32), Some(32)]).unwrap();
    let padding = Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 };
    let mut x = conv(b, numbers, "stem", x, Conv2dAttributes { strides: [2; 2], padding, ..Conv2dAttributes::new(3, 16, [3, 3]) });
    x = b.clip("stem/relu6", x, 0.0, 6.0).unwrap();
    for (index, (channels, stride)) in [([16, 16], 1), ([16, 24], 2), ([24, 24], 1), ([24, 32], 2), ([32, 32], 1)].into_iter().enumerate() {
        x = inverted_residual(b, numbers, &format!("block{index}"), x, channels, stride);
    }
    x = b.global_average_pool("pool", x).unwrap();
    x = b.flatten("flatten", x, 1).unwrap();
    let y = b.linear("logits", x, &numbers.weights(10 * 32, 32, 1.0), None, 10, 32).unwrap();
    builder.finish(&[y]).unwrap()
}

/// Rows of a sample of the attention network, and their length.
pub const TOKENS: usize = 12;
pub const WIDTH: usize = 64;

/// Two blocks of attention and a perceptron: tokens `[n, 12, 64]` to 10 logits.
pub fn attention_network(numbers: &mut Numbers) -> Graph {
    let mut builder = GraphBuilder::new();
    let b = &mut builder;
    let mut x = b.input("tokens", &[None, Some(TOKENS), Some(WIDTH)]).unwrap();
    for block in 0..2 {
        let mut dense = |b: &mut GraphBuilder, part: &str, x: ValueId, from: usize, to: usize, gain: f32| {
            let mut weights = numbers.weights(from * to, from, gain);
            weights.chunks_exact_mut(from).skip(3).step_by(16).flatten().for_each(|weight| *weight *= 3.0);
            let bias: Vec<f32> = (0..to).map(|_| 0.1 * numbers.normal()).collect();
            b.linear(&format!("block{block}/{part}"), x, &weights, Some(&bias), to, from).unwrap()
        };
        let name = |part: &str| format!("block{block}/{part}");
        let (query, key, value) =
            (dense(b, "query", x, WIDTH, WIDTH, 0.1), dense(b, "key", x, WIDTH, WIDTH, 0.1), dense(b, "value", x, WIDTH, WIDTH, 0.5));
        let keys = b.transpose(&name("keys"), key, &[0, 2, 1]).unwrap();
        let scores = b.matmul(&name("scores"), query, keys).unwrap();
        let shares = b.softmax(&name("shares"), scores, -1).unwrap();
        let mixed = b.matmul(&name("mixed"), shares, value).unwrap();
        let mixed = dense(b, "out", mixed, WIDTH, WIDTH, 0.5);
        x = b.add(&name("attended"), x, mixed).unwrap();
        let hidden = dense(b, "hidden", x, WIDTH, 2 * WIDTH, 0.3);
        let hidden = b.unary(&name("activation"), hidden, Unary::HardSwish).unwrap();
        let narrowed = dense(b, "narrow", hidden, 2 * WIDTH, WIDTH, 0.5);
        x = b.add(&name("sum"), x, narrowed).unwrap();
    }
    let x = b.reduce_mean("mean", x, &[1], false).unwrap();
    let y = b.linear("logits", x, &numbers.weights(10 * WIDTH, WIDTH, 1.0), None, 10, WIDTH).unwrap();
    builder.finish(&[y]).unwrap()
}
