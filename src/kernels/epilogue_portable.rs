//! From i32 accumulators to stored results, 16 channels a pixel, in plain Rust: shared by the portable kernels.
use super::{Int8Epilogue, Int8Output, Position, Requantize};
use crate::packed::PANEL_CHANNELS;

/// `1.5 * 2^23`: adding it to a float of magnitude below 2^22 rounds that to a whole number, half to even, and leaves
/// the number in the low bits. It stands for `round_ties_even`, which is a call per value on the x86-64 baseline.
const ROUNDING_SHIFT: f32 = 12_582_912.0;

/// Finishes a pixel of the panel whose first channel is `channel`.
///
/// # Safety
/// `mult` and `bias` are readable for 16 channels from `channel`, destination and residual for `stored_channels` at the position.
pub unsafe fn store_pixel(epilogue: &Int8Epilogue, channel: usize, at: Position, acc: &[i32; PANEL_CHANNELS]) {
    let stored = epilogue.stored_channels.saturating_sub(channel).min(PANEL_CHANNELS);
    // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
    unsafe {
        match &epilogue.output {
            Int8Output::U8 { dst, residual, requantize } => {
                let mut f = scaled(epilogue, channel, acc);
                if let Some(residual) = residual {
                    let src = residual.src.at(at.row, at.col).add(channel);
                    for (c, f) in f.iter_mut().enumerate().take(stored) {
                        let r = i32::from(*src.add(c)) - residual.zero_point;
                        *f = (r as f32).mul_add(residual.ratio, *f);
                    }
                }
                let bytes = f.map(|f| requantize_value(f, requantize));
                std::ptr::copy_nonoverlapping(bytes.as_ptr(), dst.at(at.row, at.col).add(channel), stored);
            }
            Int8Output::F32 { dst, residual, low, high } => {
                let mut f = scaled(epilogue, channel, acc);
                if let Some(residual) = residual {
                    let src = residual.at(at.row, at.col).add(channel * 4).cast::<f32>();
                    for (c, f) in f.iter_mut().enumerate().take(stored) {
                        *f += src.add(c).read_unaligned();
                    }
                }
                let clamped = f.map(|f| clamp(f, *low, *high));
                let dst = dst.at(at.row, at.col).add(channel * 4);
                std::ptr::copy_nonoverlapping(clamped.as_ptr().cast(), dst, stored * 4);
            }
            Int8Output::I32 { dst } => {
                let dst = dst.at(at.row, at.col).add(channel * 4);
                std::ptr::copy_nonoverlapping(acc.as_ptr().cast(), dst, stored * 4);
            }
        }
    }
}

/// `fma(f32(acc), mult, bias)`.
///
/// # Safety
/// As for [`store_pixel`].
unsafe fn scaled(epilogue: &Int8Epilogue, channel: usize, acc: &[i32; PANEL_CHANNELS]) -> [f32; PANEL_CHANNELS] {
    // SAFETY: 16 multipliers and biases from `channel` on are readable: the caller's promise.
    std::array::from_fn(|c| unsafe { (acc[c] as f32).mul_add(*epilogue.mult.add(channel + c), *epilogue.bias.add(channel + c)) })
}

/// `rne(clamp(f, low, high)) + z`, NUMERICS section 5.
fn requantize_value(f: f32, requantize: &Requantize) -> u8 {
    let shifted = clamp(f, requantize.low, requantize.high) + ROUNDING_SHIFT;
    let rounded = shifted.to_bits() as i32 - ROUNDING_SHIFT.to_bits() as i32;
    (rounded + requantize.zero_point) as u8
}

/// Comparisons with NaN are false, so NaN passes.
fn clamp(f: f32, low: f32, high: f32) -> f32 {
    let f = if f < low { low } else { f };
    if f > high { high } else { f }
}
