//! Int8 kernels on ResNet-50's GEMM shapes, in 10^9 multiply-adds a second on one thread, beside the roof of the
//! AVX2 kernel (a loop of `vpmaddwd` and `vpaddd` alone) measured in the same run.
//!
//! Columns: `kernel` runs on panels that are there already; `with widening` gathers each block of pixels first, as the
//! convolution driver does for a 1x1 kernel. `cargo bench --bench int8_kernels avx2 layer` runs the kernels and shapes
//! whose names hold those words.
use rsquant::isa::Isa;
use rsquant::kernels::{Int8Block, Int8Kernel, Int8Output, Pixels, Requantize, SourceForm, SourceShape, Taps, int8_kernels};
use rsquant::tensor::AlignedBuffer;
use std::time::Instant;

/// Name, pixels, k, output channels.
const SHAPES: [(&str, usize, usize, usize); 6] = [
    ("1x1 layer 1", 3136, 64, 256),
    ("1x1 layer 3", 196, 1024, 256),
    ("3x3 layer 2", 784, 1152, 128),
    ("3x3 layer 4", 49, 4608, 512),
    ("1x1 layer 4", 49, 2048, 512),
    ("classifier", 1, 2048, 1000),
];
/// Pixels of a block.
const BLOCK_PIXELS: [usize; 4] = [24, 48, 96, 256];
/// A measurement is the best of that many.
const REPEATS: usize = 7;

fn main() {
    for kernel in int8_kernels(Isa::AmxInt8) {
        for (name, pixels, k, channels) in SHAPES {
            let words = std::env::args().skip(1).filter(|word| !word.starts_with("--"));
            if !words.into_iter().all(|word| name.contains(&word) || kernel.name().contains(&word)) {
                continue;
            }
            print!("{:24} {name:12} m={pixels:<5} k={k:<5} n={channels:<5} roof {:5.1}", kernel.name(), roof());
            for block_pixels in BLOCK_PIXELS {
                let mut gemm = Gemm::new(kernel.as_ref(), pixels, k, channels, block_pixels.min(pixels));
                let alone = gemm.gmacs(false);
                let widening = gemm.gmacs(true);
                print!("  | block {block_pixels:3}: kernel {alone:5.1}, with widening {widening:5.1}");
                if block_pixels >= pixels {
                    break;
                }
            }
            println!();
        }
    }
}

/// The seconds of the fastest of [`REPEATS`] runs.
fn fastest(mut run: impl FnMut()) -> f64 {
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

struct Gemm<'a> {
    kernel: &'a dyn Int8Kernel,
    pixels: usize,
    k: usize,
    channels: usize,
    block_pixels: usize,
    src: AlignedBuffer,
    panel: AlignedBuffer,
    weights: AlignedBuffer,
    comp: Vec<i32>,
    factors: Vec<f32>,
    dst: AlignedBuffer,
    scratch: AlignedBuffer,
}

impl<'a> Gemm<'a> {
    fn new(kernel: &'a dyn Int8Kernel, pixels: usize, k: usize, channels: usize, block_pixels: usize) -> Self {
        let panels = channels.div_ceil(16);
        let zeroed = |len: usize| AlignedBuffer::zeroed(len, "bench").expect("memory");
        let random = |len: usize| {
            let bytes: Vec<u8> = (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            AlignedBuffer::from_bytes(&bytes, "bench").expect("memory")
        };
        Self {
            kernel,
            pixels,
            k,
            channels,
            block_pixels,
            src: random(pixels * k),
            panel: zeroed(2 * pixels * k + 4096),
            weights: random(panels * k * 16 + 4096),
            comp: vec![0; panels * 16],
            factors: vec![0.001; panels * 16],
            dst: zeroed(pixels * channels),
            scratch: zeroed(kernel.scratch_bytes(k).next_multiple_of(64)),
        }
    }

    /// Times all pixels block by block; `widening` gathers each block's panel inside the measured time.
    fn gmacs(&mut self, widening: bool) -> f64 {
        let form = self.kernel.source_form(&SourceShape { taps: [1, 1], groups: self.k / 4, merged: true, cols: self.pixels });
        self.kernel.enter();
        self.run(form, true);
        let seconds = fastest(|| self.run(form, widening));
        self.kernel.leave();
        (self.pixels * self.k * self.channels) as f64 / seconds / 1e9
    }

    fn run(&mut self, form: SourceForm, widening: bool) {
        for start in (0..self.pixels).step_by(self.block_pixels) {
            let cols = self.block_pixels.min(self.pixels - start);
            // SAFETY: the buffers were made for `pixels` pixels and `channels` channels; a block's pixels are some of them.
            unsafe {
                let (src, pixel_bytes) = match form {
                    SourceForm::Direct => (self.src.as_ptr().add(start * self.k), self.k),
                    SourceForm::Gathered { bytes_per_value, k_multiple, .. } => {
                        let row = self.k.next_multiple_of(k_multiple) * bytes_per_value;
                        // With widening a block's panel is reused, as the driver does.
                        let panel = self.panel.as_mut_ptr().add(if widening { 0 } else { start * row });
                        for pixel in 0..if widening { cols } else { 0 } {
                            self.kernel.widen(self.src.as_ptr().add((start + pixel) * self.k), panel.add(pixel * row), self.k);
                        }
                        (panel.cast_const(), row)
                    }
                };
                let dst = self.dst.as_mut_ptr().add(start * self.channels);
                let block = Int8Block {
                    src: Pixels { start: src, row_stride: 0, col_stride: pixel_bytes as isize },
                    rows: 1,
                    cols,
                    taps: Taps {
                        rows: 1,
                        cols: 1,
                        run: self.k / 4,
                        src_row_stride: 0,
                        src_col_stride: 0,
                        weight_row_stride: 0,
                        weight_col_stride: 0,
                    },
                    weights: self.weights.as_ptr().cast(),
                    panel_stride: self.k * 16,
                    panels_behind: 0,
                    channels: self.channels,
                    stored_channels: self.channels,
                    comp: self.comp.as_ptr(),
                    mult: self.factors.as_ptr(),
                    bias: self.factors.as_ptr(),
                    output: Int8Output::U8 {
                        dst: Pixels { start: dst, row_stride: 0, col_stride: self.channels as isize },
                        residual: None,
                        requantize: Requantize { zero_point: 128, low: -128.0, high: 127.0 },
                    },
                };
                self.kernel.run(&block, &mut self.scratch);
            }
        }
    }
}

/// The AVX2 roof in 10^9 multiply-adds a second: 12 chains of `vpmaddwd` and `vpaddd` on registers.
#[cfg(target_arch = "x86_64")]
fn roof() -> f64 {
    if !std::arch::is_x86_feature_detected!("avx2") {
        return f64::NAN;
    }
    const ROUNDS: usize = 200_000;
    let seconds = fastest(|| {
        // SAFETY: the CPU has AVX2; the loop touches registers only.
        unsafe {
            std::arch::asm!(
                "2:",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm0, ymm0, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm1, ymm1, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm2, ymm2, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm3, ymm3, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm4, ymm4, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm5, ymm5, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm6, ymm6, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm7, ymm7, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm8, ymm8, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm9, ymm9, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15", "vpaddd ymm10, ymm10, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15", "vpaddd ymm11, ymm11, ymm13",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) ROUNDS => _,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _, out("ymm6") _,
                out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _, out("ymm12") _, out("ymm13") _,
                options(nostack, nomem)
            );
        }
    });
    (ROUNDS * 12 * 16) as f64 / seconds / 1e9
}

#[cfg(not(target_arch = "x86_64"))]
fn roof() -> f64 {
    f64::NAN
}
