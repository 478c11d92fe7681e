//! Int8 kernels on ResNet-50's shapes as GEMMs, on one thread, in 10^9 operations a second (two a multiply-add), beside the
//! roof of each kernel's products (a loop of them alone) measured in the same run, and the operations a clock cycle of both.
//!
//! Columns: `kernel` runs on panels that are there already; `gathered`, for kernels that want them, gathers each block of
//! pixels first, as the convolution driver does. Behind them what the AMX kernel's cost model expects of the layer on a CPU
//! that has AMX, as a share of its roof. `cargo bench --bench int8_kernels avx2 L3` runs the kernels and shapes whose names
//! hold those words.
#[path = "support/resnet50.rs"]
mod resnet50;
#[path = "support/roofs.rs"]
mod roofs;

use resnet50::{LAYERS, Layer};
use roofs::{clock_hz, fastest, roof_of};
use rsquant::isa::Isa;
use rsquant::kernels::{
    Int8Block, Int8Kernel, Int8Output, Pixels, Requantize, Residual, SourceForm, SourceRuns, SourceShape, Taps, int8_kernels,
};
use rsquant::tensor::AlignedBuffer;

/// Pixels of a block at most: as many whole tiles as fit.
const BLOCK_PIXELS: usize = 256;

fn main() {
    println!("clock {:.2} GHz", clock_hz() / 1e9);
    for isa in Isa::ALL {
        match roof_of(isa) {
            Some(roof) => println!("roof of {isa}: {roof}"),
            None => println!("roof of {isa}: not on this CPU"),
        }
    }
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wanted = |kernel: &str, layer: &str| words.iter().all(|word| layer.contains(word.as_str()) || kernel.contains(word.as_str()));
    for kernel in int8_kernels(Isa::AmxInt8) {
        let (mut mop, mut seconds, mut roof_seconds) = (0.0, 0.0, 0.0);
        for layer in LAYERS.iter().filter(|layer| wanted(kernel.name(), layer.name)) {
            let roof = roof_of(kernel.isa());
            let mut gemm = Gemm::new(kernel.as_ref(), layer);
            let alone = gemm.gops(false);
            let Layer { name, pixels, k, channels, residual, .. } = *layer;
            print!("{:26} {name:13} m={pixels:<5} k={k:<4} n={channels:<4}{}", kernel.name(), if residual { " +" } else { "  " });
            print!(" kernel {alone:7.1}");
            if let Some(roof) = roof {
                print!(
                    " ({:3.0} % of {:.0} GOPS, {:3.0} op a cycle)",
                    100.0 * alone / roof.gops,
                    roof.gops,
                    alone / roof.gops * roof.per_cycle
                );
                roof_seconds += layer.count as f64 * layer.mop() / roof.gops / 1e3;
            }
            if gemm.form() != SourceForm::Direct {
                print!(", gathered {:7.1}", gemm.gops(true));
            }
            println!(", on AMX {:3.0} %", 100.0 * layer.expected_amx_share());
            mop += layer.count as f64 * layer.mop();
            seconds += layer.count as f64 * layer.mop() / alone / 1e3;
        }
        if seconds > 0.0 {
            let share = if roof_seconds > 0.0 { format!(", {:.0} % of its roof", 100.0 * roof_seconds / seconds) } else { String::new() };
            println!("{:26} all layers   {:.0} MOP in {:.2} ms: {:.0} GOPS{share}", kernel.name(), mop, 1e3 * seconds, mop / seconds / 1e3);
        }
    }
    let (mop, at_share): (f64, f64) = LAYERS.iter().fold((0.0, 0.0), |(mop, cycles), layer| {
        let layers = layer.count as f64 * layer.mop();
        (mop + layers, cycles + layers / layer.expected_amx_share())
    });
    println!("expected of the AMX kernel over the network: {:.0} % of its roof", 100.0 * mop / at_share);
}

struct Gemm<'a> {
    kernel: &'a dyn Int8Kernel,
    pixels: usize,
    k: usize,
    channels: usize,
    residual: bool,
    mop: f64,
    src: AlignedBuffer,
    panel: AlignedBuffer,
    weights: AlignedBuffer,
    comp: Vec<i32>,
    factors: Vec<f32>,
    dst: AlignedBuffer,
    added: AlignedBuffer,
    scratch: AlignedBuffer,
}

impl<'a> Gemm<'a> {
    fn new(kernel: &'a dyn Int8Kernel, layer: &Layer) -> Self {
        // As packed: `ic` padded to 4 (the stem has 49 taps of 3 channels).
        let (pixels, k, channels) = (layer.pixels, if layer.k == 147 { 196 } else { layer.k }, layer.channels);
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
            residual: layer.residual,
            mop: layer.mop(),
            src: random(pixels * k),
            panel: zeroed(2 * pixels * k + 4096),
            weights: random(panels * k * 16 + 4096),
            comp: vec![0; panels * 16],
            factors: vec![0.001; panels * 16],
            dst: zeroed(pixels * channels),
            added: random(pixels * channels),
            scratch: zeroed(kernel.scratch_bytes(k).next_multiple_of(64)),
        }
    }

    fn form(&self) -> SourceForm {
        self.kernel.source_form(&SourceShape { taps: [1, 1], groups: self.k / 4, merged: true, cols: self.pixels })
    }

    /// Times all pixels block by block; `widening` gathers each block's panel inside the measured time.
    fn gops(&mut self, widening: bool) -> f64 {
        let form = self.form();
        self.kernel.enter();
        self.run(form, true);
        let seconds = fastest(|| self.run(form, widening));
        self.kernel.leave();
        // Of the layer: padding is not counted.
        self.mop / seconds / 1e3
    }

    fn run(&mut self, form: SourceForm, widening: bool) {
        let tile = self.kernel.tile_pixels();
        let block_pixels = BLOCK_PIXELS / tile * tile;
        for start in (0..self.pixels).step_by(block_pixels) {
            let cols = block_pixels.min(self.pixels - start);
            // SAFETY: the buffers were made for `pixels` pixels and `channels` channels; a block's pixels are some of them.
            unsafe {
                let (src, pixel_bytes) = match form {
                    SourceForm::Direct => (self.src.as_ptr().add(start * self.k), self.k),
                    SourceForm::Gathered { bytes_per_value, k_multiple, .. } => {
                        let row = self.k.next_multiple_of(k_multiple) * bytes_per_value;
                        // With widening a block's panel is reused, as the driver does.
                        let panel = self.panel.as_mut_ptr().add(if widening { 0 } else { start * row });
                        for pixel in 0..if widening { cols } else { 0 } {
                            let src = self.src.as_ptr().add((start + pixel) * self.k);
                            self.kernel.widen(src, SourceRuns::one(self.k), panel.add(pixel * row));
                        }
                        (panel.cast_const(), row)
                    }
                };
                let dst = self.dst.as_mut_ptr().add(start * self.channels);
                let added = self.added.as_ptr().add(start * self.channels);
                let added = Pixels { start: added, row_stride: 0, col_stride: self.channels as isize };
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
                        residual: self.residual.then_some(Residual { src: added, zero_point: 100, ratio: 0.5 }),
                        requantize: Requantize { zero_point: 128, low: -128.0, high: 127.0, within_i32: true },
                    },
                };
                self.kernel.run(&block, &mut self.scratch);
            }
        }
    }
}
