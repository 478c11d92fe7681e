//! Int8 depthwise kernels on MobileNet's 3x3 shapes, in 10^9 multiply-adds a second on one thread: the inner output
//! pixels of one image, all taps valid.
use rsquant::isa::Isa;
use rsquant::kernels::{DepthwiseBlock, Int8Output, Pixels, Requantize, Taps, depthwise_kernels};
use rsquant::tensor::AlignedBuffer;
use std::time::Instant;

/// Output rows and columns, channels, stride.
const SHAPES: [(usize, usize, usize); 5] = [(112, 32, 1), (56, 128, 1), (28, 256, 1), (14, 512, 1), (14, 512, 2)];
/// A measurement is the best of that many.
const REPEATS: usize = 7;

fn main() {
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
                    requantize: Requantize { zero_point: 128, low: -128.0, high: 127.0 },
                },
            };
            let seconds = (0..REPEATS).map(|_| {
                let start = Instant::now();
                // SAFETY: the buffers were made for this block.
                unsafe { kernel.run(&block, &mut scratch) };
                start.elapsed().as_secs_f64()
            });
            let seconds = seconds.fold(f64::INFINITY, f64::min);
            let gmacs = (size * size * channels * 9) as f64 / seconds / 1e9;
            println!("{:24} {size}x{size}x{channels} stride {stride}: {gmacs:5.1}", kernel.name());
        }
    }
}
