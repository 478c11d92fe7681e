//! Int8 depthwise kernels on MobileNetV2's shapes, on one thread: the output pixels of one image, all taps valid.
//!
//! Columns: 10^9 multiply-adds a second; the share of what the products alone could do (`vpdpbusd` on zmm with three of its
//! four products used, as a 3x3 kernel leaves them); 10^9 bytes a second read and written, and the share of a copy of as
//! many bytes.
#[path = "support/roofs.rs"]
mod roofs;

use roofs::{copy_gb_per_second, fastest, roof_of};
use rsquant::isa::Isa;
use rsquant::kernels::{DepthwiseBlock, Int8Output, Pixels, Requantize, Taps, depthwise_kernels};
use rsquant::tensor::AlignedBuffer;

/// Output rows and columns, channels, stride.
const SHAPES: [(usize, usize, usize); 10] = [
    (112, 32, 1),
    (56, 96, 2),
    (56, 144, 1),
    (28, 144, 2),
    (28, 192, 1),
    (14, 192, 2),
    (14, 384, 1),
    (14, 576, 1),
    (7, 576, 2),
    (7, 960, 1),
];

fn main() {
    let products = roof_of(Isa::Avx512Vnni);
    if let Some(roof) = products {
        println!("{roof}");
    }
    for kernel in depthwise_kernels(Isa::AmxInt8) {
        for (size, channels, stride) in SHAPES {
            let src_cols = (size - 1) * stride + 3;
            let zeroed = |len: usize| AlignedBuffer::zeroed(len, "bench").expect("memory");
            let src = zeroed(src_cols * src_cols * channels);
            let weights = zeroed(channels.div_ceil(16) * 9 * 16);
            let mut dst = zeroed(size * size * channels);
            let mut scratch = zeroed(kernel.scratch_bytes(9).next_multiple_of(64));
            let comp = vec![0; channels.next_multiple_of(16)];
            let factors = vec![0.001; channels.next_multiple_of(16)];
            let pixel = channels as isize;
            let src_row = (src_cols * channels) as isize;
            let block = DepthwiseBlock {
                src: Pixels { start: src.as_ptr(), row_stride: src_row * stride as isize, col_stride: pixel * stride as isize },
                rows: size,
                cols: size,
                taps: Taps {
                    rows: 3,
                    cols: 3,
                    run: 1,
                    src_row_stride: src_row,
                    src_col_stride: pixel,
                    weight_row_stride: 48,
                    weight_col_stride: 16,
                },
                weights: weights.as_ptr().cast(),
                panel_stride: 9 * 16,
                channels,
                stored_channels: channels,
                comp: comp.as_ptr(),
                mult: factors.as_ptr(),
                bias: factors.as_ptr(),
                output: Int8Output::U8 {
                    dst: Pixels { start: dst.as_mut_ptr(), row_stride: (size * channels) as isize, col_stride: pixel },
                    residual: None,
                    requantize: Requantize { zero_point: 128, low: -128.0, high: 127.0, within_i32: true },
                },
            };
            // SAFETY: the buffers were made for this block.
            let seconds = fastest(|| unsafe { kernel.run(&block, &mut scratch) });
            let gmacs = (size * size * channels * 9) as f64 / seconds / 1e9;
            let bytes = src.len() + dst.len();
            let gb = bytes as f64 / seconds / 1e9;
            print!("{:28} {:13} stride {stride}: {gmacs:6.1} GMAC/s", kernel.name(), format!("{size}x{size}x{channels}"));
            if let Some(roof) = products {
                print!(" ({:3.0} % of the products)", 100.0 * gmacs / (roof.gops / 2.0 * 0.75));
            }
            let copy = copy_gb_per_second(bytes / 2);
            println!(", {gb:6.1} GB/s ({:3.0} % of a copy at {copy:.0})", 100.0 * gb / copy);
        }
    }
}
