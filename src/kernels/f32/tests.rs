//! Every f32 kernel against chains written out one by one, bit for bit.
use super::lanes::Lanes;
use super::portable::Array16;
use super::tile::{SweepShape, sweep, tile};
use super::*;
use crate::kernels::{F32Block, Pixels, Taps};
use crate::packed::{WeightShape, pack_depthwise, pack_f32};

/// The tile shape of `f32-14x32-avx512` on arrays, so that its segments and panels are tested on every machine.
struct WideShapeOnArrays;

// SAFETY: as for the portable kernel.
unsafe impl F32Kernel for WideShapeOnArrays {
    fn name(&self) -> &'static str {
        "14x32 shape on arrays"
    }
    fn isa(&self) -> Isa {
        Isa::Portable
    }
    fn tile_pixels(&self) -> usize {
        14
    }
    unsafe fn run(&self, block: &F32Block) {
        macro_rules! tiles {
            ($job:ident, $($run:literal),+) => {
                match ($job.segments, $job.run, $job.vectors) {
                    $(
                        (2, $run, 2) => tile::<Array16, 2, $run, 2>($job),
                        (2, $run, 1) => tile::<Array16, 2, $run, 1>($job),
                        (1, $run, 2) => tile::<Array16, 1, $run, 2>($job),
                        (1, $run, 1) => tile::<Array16, 1, $run, 1>($job),
                    )+
                    other => unreachable!("{other:?}"),
                }
            };
        }
        let shape = SweepShape { segments: 2, run: 7, vectors: 2, lanes: Array16::LANES };
        // SAFETY: the caller's promise.
        unsafe { sweep(block, shape, |job| tiles!(job, 1, 2, 3, 4, 5, 6, 7)) }
    }
}

fn random(seed: &mut u64) -> f32 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    ((*seed >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * if *seed & 7 == 0 { 100.0 } else { 1.0 }
}

fn randoms(count: usize, seed: &mut u64) -> Vec<f32> {
    (0..count).map(|_| random(seed)).collect()
}

/// A convolution without padding over a source of `rows + kh - 1` by `cols + kw - 1` pixels.
#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    cols: usize,
    ic: usize,
    oc: usize,
    kernel: [usize; 2],
    residual: bool,
    bias: bool,
    bounds: [f32; 2],
}

struct Data {
    src: Vec<f32>,
    /// `[oc][ic or 1][taps]`.
    weights: Vec<f32>,
    packed: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
}

const OPEN: [f32; 2] = [f32::NEG_INFINITY, f32::INFINITY];

impl Case {
    fn data(&self, depthwise: bool) -> Data {
        let mut seed = (self.rows * 131 + self.cols * 17 + self.ic * 7 + self.oc) as u64;
        let taps = self.kernel[0] * self.kernel[1];
        let width = self.cols + self.kernel[1] - 1;
        let src = randoms((self.rows + self.kernel[0] - 1) * width * self.ic, &mut seed);
        let ic = if depthwise { 1 } else { self.ic };
        let weights = randoms(self.oc * ic * taps, &mut seed);
        let shape = WeightShape { oc: self.oc, taps, ic };
        let mut packed = vec![0.0; shape.panels() * shape.panel_floats()];
        if depthwise {
            pack_depthwise(&weights, self.oc, taps, &mut packed);
        } else {
            pack_f32(&weights, shape, &mut packed);
        }
        let mut bias = randoms(self.oc, &mut seed);
        bias.resize(self.oc.div_ceil(16) * 16, 0.0);
        Data { src, weights, packed, bias, residual: randoms(self.rows * self.cols * self.oc, &mut seed) }
    }

    /// `[rows][cols][oc]`, from the formula.
    fn expected(&self, data: &Data, depthwise: bool) -> Vec<f32> {
        let [kh, kw] = self.kernel;
        let width = self.cols + kw - 1;
        let mut out = Vec::new();
        for pixel in 0..self.rows * self.cols {
            for oc in 0..self.oc {
                let mut acc = 0.0f32;
                for tap in 0..kh * kw {
                    let at = (pixel / self.cols + tap / kw) * width + pixel % self.cols + tap % kw;
                    if depthwise {
                        acc = data.src[at * self.ic + oc].mul_add(data.weights[oc * kh * kw + tap], acc);
                        continue;
                    }
                    for ic in 0..self.ic {
                        acc = data.src[at * self.ic + ic].mul_add(data.weights[(oc * self.ic + ic) * kh * kw + tap], acc);
                    }
                }
                if self.bias {
                    acc += data.bias[oc];
                }
                if self.residual {
                    acc += data.residual[pixel * self.oc + oc];
                }
                let [low, high] = self.bounds;
                out.push(if acc < low {
                    low
                } else if acc > high {
                    high
                } else {
                    acc
                });
            }
        }
        out
    }

    /// Runs a kernel; the residual is the destination's old content, and floats around it must stay as they are.
    fn run(&self, data: &Data, depthwise: bool, run: impl Fn(&F32Block)) -> Vec<f32> {
        const GUARD: f32 = 12345.0;
        let [kh, kw] = self.kernel;
        let (width, taps) = (self.cols + kw - 1, kh * kw);
        let pitch = self.oc + 3;
        let mut dst = vec![GUARD; self.rows * self.cols * pitch];
        for (pixel, residual) in dst.chunks_exact_mut(pitch).zip(data.residual.chunks_exact(self.oc)) {
            pixel[..self.oc].copy_from_slice(residual);
        }
        let (k_floats, merged) = if depthwise { (1, false) } else { (self.ic, true) };
        let floats = |count: usize| (count * 4) as isize;
        let start = dst.as_mut_ptr().cast::<u8>();
        let pixels = |start| Pixels { start, row_stride: floats(self.cols * pitch), col_stride: floats(pitch) };
        let block = F32Block {
            src: Pixels { start: data.src.as_ptr().cast(), row_stride: floats(width * self.ic), col_stride: floats(self.ic) },
            rows: self.rows,
            cols: self.cols,
            taps: Taps {
                rows: kh,
                cols: if merged { 1 } else { kw },
                run: if merged { kw * self.ic } else { 1 },
                src_row_stride: floats(width * self.ic),
                src_col_stride: floats(self.ic),
                weight_row_stride: kw * k_floats * 64,
                weight_col_stride: k_floats * 64,
            },
            weights: data.packed.as_ptr(),
            panel_stride: taps * k_floats * 64,
            channels: self.oc,
            bias: if self.bias { data.bias.as_ptr() } else { std::ptr::null() },
            residual: self.residual.then(|| pixels(start.cast_const())),
            low: self.bounds[0],
            high: self.bounds[1],
            dst: Pixels { start, row_stride: floats(self.cols * pitch), col_stride: floats(pitch) },
        };
        run(&block);
        assert!(dst.chunks_exact(pitch).all(|pixel| pixel[self.oc..].iter().all(|&x| x == GUARD)), "wrote past the channels: {self:?}");
        dst.chunks_exact(pitch).flat_map(|pixel| pixel[..self.oc].to_vec()).collect()
    }

    fn check(&self, data: &Data, depthwise: bool, name: &str, run: impl Fn(&F32Block)) {
        let (got, expected) = (self.run(data, depthwise, run), self.expected(data, depthwise));
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let same = got.to_bits() == expected.to_bits() || (got.is_nan() && expected.is_nan());
            assert!(same, "{name}: {self:?} at {index}: {got} is not {expected}");
        }
    }
}

fn cases() -> Vec<Case> {
    let plain = Case { rows: 1, cols: 1, ic: 5, oc: 16, kernel: [1, 1], residual: false, bias: true, bounds: OPEN };
    let mut cases = Vec::new();
    for cols in [1, 2, 5, 6, 7, 8, 13, 14, 15, 29] {
        for oc in [1, 7, 8, 9, 16, 17, 31, 33, 40] {
            cases.push(Case { cols, oc, rows: 1 + cols % 3, bounds: [0.0, 1.5], residual: oc % 2 == 1, ..plain });
        }
    }
    for rows in [1, 2, 3, 5] {
        cases.push(Case { rows, cols: 7, ic: 12, oc: 24, kernel: [3, 3], residual: true, ..plain });
        cases.push(Case { rows, cols: 9, ic: 3, oc: 18, kernel: [2, 5], bias: false, bounds: [0.0, f32::INFINITY], ..plain });
    }
    // Deep enough that the source is swept in parts: many rows, and a row too long by itself.
    cases.push(Case { rows: 9, cols: 20, ic: 600, oc: 17, ..plain });
    cases.push(Case { cols: 40, ic: 3000, oc: 17, ..plain });
    cases.push(Case { rows: 0, ..plain });
    cases
}

fn report(kernels: &[&str]) {
    for expected in ["avx512", "avx2", "portable"] {
        if !kernels.iter().any(|name| name.ends_with(expected)) {
            println!("SKIPPED: no {expected} on this machine");
        }
    }
    println!("ran: {}", kernels.join(", "));
    assert!(!kernels.is_empty());
}

#[test]
fn every_kernel_computes_the_chains_of_the_law() {
    let mut kernels = f32_kernels(Isa::AmxInt8);
    report(&kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>());
    kernels.push(Box::new(WideShapeOnArrays));
    for case in cases() {
        let data = case.data(false);
        for kernel in &kernels {
            // SAFETY: the block describes live slices.
            case.check(&data, false, kernel.name(), |block| unsafe { kernel.run(block) });
        }
    }
}

#[test]
fn every_depthwise_kernel_computes_the_chains_of_the_law() {
    let kernels = f32_depthwise_kernels(Isa::AmxInt8);
    report(&kernels.iter().map(|kernel| kernel.name()).collect::<Vec<_>>());
    for case in cases() {
        let case = Case { ic: case.oc, kernel: [3, 3], ..case };
        let data = case.data(true);
        for kernel in &kernels {
            // SAFETY: the block describes live slices.
            case.check(&data, true, kernel.name(), |block| unsafe { kernel.run(block) });
        }
    }
}

#[test]
fn nan_and_negative_zero_pass_the_clamp_of_every_kernel() {
    let case = Case { rows: 1, cols: 2, ic: 1, oc: 33, kernel: [1, 1], residual: false, bias: false, bounds: [0.0, 6.0] };
    let mut data = case.data(false);
    data.src = vec![f32::NAN, 2.0];
    let mut signed = case;
    signed.residual = true;
    let mut zeros = case.data(false);
    zeros.packed.fill(0.0);
    zeros.weights.fill(0.0);
    zeros.bias.fill(-0.0);
    zeros.residual.fill(-0.0);
    let mut kernels = f32_kernels(Isa::AmxInt8);
    kernels.push(Box::new(WideShapeOnArrays));
    for kernel in kernels {
        // SAFETY: the block describes live slices.
        let run = |block: &F32Block| unsafe { kernel.run(block) };
        case.check(&data, false, kernel.name(), run);
        assert!(case.run(&data, false, run)[..33].iter().all(|x| x.is_nan()));
        signed.check(&zeros, false, kernel.name(), run);
    }
}

#[test]
fn a_cap_leaves_out_better_kernels() {
    assert_eq!(f32_kernels(Isa::Portable).len(), 1);
    assert_eq!(f32_depthwise_kernels(Isa::Portable)[0].name(), "f32-depthwise-4x16-portable");
    assert!(f32_kernels(Isa::AvxVnni).iter().all(|kernel| kernel.isa() <= Isa::Avx2));
    assert_eq!(f32_kernels(Isa::Avx512Vnni).last().unwrap().name(), "f32-4x16-portable");
}
