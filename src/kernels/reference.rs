//! The reference: plain loops written from NUMERICS section 5, against which every kernel is compared byte for byte.
use super::{DepthwiseBlock, Int8Block, Int8Epilogue, Int8Output, Position, Requantize};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};

/// Computes an int8 block whose source is u8 pixels ([`super::SourceForm::Direct`]).
///
/// # Safety
/// As for [`super::Int8Kernel::run`].
pub unsafe fn int8(block: &Int8Block) {
    for row in 0..block.rows {
        for col in 0..block.cols {
            for channel in 0..block.stored_channels {
                // SAFETY: the caller's promise: pixel, panel and parameters of this channel are valid.
                unsafe {
                    let acc = *block.comp.add(channel) + int8_sum(block, row, col, channel);
                    finish(&block.epilogue(), Position { row, col }, channel, acc);
                }
            }
        }
    }
}

/// `sum a * w` of one output value.
///
/// # Safety
/// As for [`int8`]; the value lies in the block.
unsafe fn int8_sum(block: &Int8Block, row: usize, col: usize, channel: usize) -> i32 {
    let taps = &block.taps;
    let mut sum = 0;
    for tap_row in 0..taps.rows {
        for tap_col in 0..taps.cols {
            for k in 0..taps.run * K_GROUP {
                let weight = channel / PANEL_CHANNELS * block.panel_stride
                    + tap_row * taps.weight_row_stride
                    + tap_col * taps.weight_col_stride
                    + k / K_GROUP * ROW_BYTES
                    + channel % PANEL_CHANNELS * K_GROUP
                    + k % K_GROUP;
                let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
                // SAFETY: the caller's promise.
                unsafe {
                    let a = *block.src.at(row, col).offset(tap).add(k);
                    let w = *block.weights.add(weight);
                    sum += i32::from(a) * i32::from(w);
                }
            }
        }
    }
    sum
}

/// Computes a depthwise block.
///
/// # Safety
/// As for [`super::DepthwiseKernel::run`].
pub unsafe fn depthwise(block: &DepthwiseBlock) {
    for row in 0..block.rows {
        for col in 0..block.cols {
            for channel in 0..block.stored_channels {
                // SAFETY: the caller's promise; channels from `channels` on have no source and zero weights.
                unsafe {
                    let sum = if channel < block.channels { depthwise_sum(block, row, col, channel) } else { 0 };
                    let acc = *block.comp.add(channel) + sum;
                    finish(&block.epilogue(), Position { row, col }, channel, acc);
                }
            }
        }
    }
}

/// `sum a * w` of one output value.
///
/// # Safety
/// As for [`depthwise`]; the value lies in the block.
unsafe fn depthwise_sum(block: &DepthwiseBlock, row: usize, col: usize, channel: usize) -> i32 {
    let taps = &block.taps;
    let mut sum = 0;
    for tap_row in 0..taps.rows {
        for tap_col in 0..taps.cols {
            let weight = channel / PANEL_CHANNELS * block.panel_stride
                + tap_row * taps.weight_row_stride
                + tap_col * taps.weight_col_stride
                + channel % PANEL_CHANNELS;
            let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
            // SAFETY: the caller's promise.
            unsafe {
                let a = *block.src.at(row, col).offset(tap).add(channel);
                let w = *block.weights.add(weight);
                sum += i32::from(a) * i32::from(w);
            }
        }
    }
    sum
}

/// The epilogue of one value.
///
/// # Safety
/// The channel is one of `stored_channels`, the position one of the block's.
unsafe fn finish(epilogue: &Int8Epilogue, at: Position, channel: usize, acc: i32) {
    // SAFETY: the caller's promise: parameters, residual and destination of this value are valid.
    unsafe {
        let mult = *epilogue.mult.add(channel);
        let bias = *epilogue.bias.add(channel);
        match &epilogue.output {
            Int8Output::U8 { dst, residual, requantize } => {
                let mut f = (acc as f32).mul_add(mult, bias);
                if let Some(residual) = residual {
                    let r = i32::from(*residual.src.at(at.row, at.col).add(channel));
                    f = ((r - residual.zero_point) as f32).mul_add(residual.ratio, f);
                }
                *dst.at(at.row, at.col).add(channel) = requantize_value(f, requantize);
            }
            Int8Output::F32 { dst, residual, low, high } => {
                let mut f = (acc as f32).mul_add(mult, bias);
                if let Some(residual) = residual {
                    f += residual.at(at.row, at.col).cast::<f32>().add(channel).read_unaligned();
                }
                dst.at(at.row, at.col).cast::<f32>().add(channel).write_unaligned(clamp(f, *low, *high));
            }
            Int8Output::I32 { dst } => dst.at(at.row, at.col).cast::<i32>().add(channel).write_unaligned(acc),
        }
    }
}

/// `rne(clamp(f, low, high)) + z`.
fn requantize_value(f: f32, requantize: &Requantize) -> u8 {
    (clamp(f, requantize.low, requantize.high).round_ties_even() as i32 + requantize.zero_point) as u8
}

/// The clamp of a float output: NaN passes.
fn clamp(f: f32, low: f32, high: f32) -> f32 {
    if f < low {
        low
    } else if f > high {
        high
    } else {
        f
    }
}
