//! Sliding windows of convolution and pooling: padding and output sizes, as the ONNX operator documents define them.
use super::ops::{Conv2d, Padding, Pool};
use crate::error::{Error, Result};

/// Where the windows of a convolution or pooling lie on one image; all pairs are `[vertical, horizontal]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Padding pixels above and to the left.
    pub begin: [usize; 2],
    /// Padding pixels below and to the right.
    pub end: [usize; 2],
    /// Output pixels.
    pub output: [usize; 2],
}

fn refuse(text: String) -> Error {
    Error::ShapeMismatch(text)
}

fn overflow() -> Error {
    refuse("a window's size is out of range".to_owned())
}

/// Pixels from the first to the last tap, `(kernel - 1) * dilation + 1`.
///
/// # Errors
/// [`Error::ShapeMismatch`] for a kernel or dilation of 0 and on overflow.
pub fn window_extent(kernel: usize, dilation: usize) -> Result<usize> {
    if kernel == 0 || dilation == 0 {
        return Err(refuse("kernel and dilation must be at least 1".to_owned()));
    }
    (kernel - 1).checked_mul(dilation).and_then(|reach| reach.checked_add(1)).ok_or_else(overflow)
}

/// The padding in pixels, `(begin, end)`, on an image of `input` `[h, w]` pixels.
///
/// `SAME_*` (ONNX `auto_pad`): the output has `ceil(input / stride)` pixels, and the padding is what that takes.
///
/// # Errors
/// [`Error::ShapeMismatch`] for a kernel, stride or dilation of 0 and on overflow.
pub fn resolve_padding(
    padding: Padding,
    input: [usize; 2],
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
) -> Result<([usize; 2], [usize; 2])> {
    let extra_at_end = match padding {
        Padding::Explicit { top, left, bottom, right } => return Ok(([top, left], [bottom, right])),
        Padding::SameUpper => true,
        Padding::SameLower => false,
    };
    let (mut begin, mut end) = ([0; 2], [0; 2]);
    for axis in 0..2 {
        let extent = window_extent(kernel[axis], dilations[axis])?;
        if strides[axis] == 0 {
            return Err(refuse("a stride must be at least 1".to_owned()));
        }
        let steps = input[axis].div_ceil(strides[axis]).saturating_sub(1);
        let covered = steps.checked_mul(strides[axis]).and_then(|last| last.checked_add(extent)).ok_or_else(overflow)?;
        let total = covered.saturating_sub(input[axis]);
        let (small, large) = (total / 2, total - total / 2);
        (begin[axis], end[axis]) = if extra_at_end { (small, large) } else { (large, small) };
    }
    Ok((begin, end))
}

/// Output pixels along one axis: `floor((begin + input + end - extent) / stride) + 1`, or with the quotient rounded up
/// in `ceil_mode`, where a last window that would start behind the image and its leading padding is dropped.
///
/// # Errors
/// [`Error::ShapeMismatch`] if the window does not fit, for a kernel, stride or dilation of 0 and on overflow.
pub fn output_size(
    input: usize,
    begin: usize,
    end: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
    ceil_mode: bool,
) -> Result<usize> {
    let extent = window_extent(kernel, dilation)?;
    if stride == 0 {
        return Err(refuse("a stride must be at least 1".to_owned()));
    }
    let padded = input.checked_add(begin).and_then(|sum| sum.checked_add(end)).ok_or_else(overflow)?;
    let Some(room) = padded.checked_sub(extent) else {
        return Err(refuse(format!("a window of {extent} pixels does not fit {padded} padded pixels")));
    };
    if !ceil_mode {
        return Ok(room / stride + 1);
    }
    let steps = room.div_ceil(stride);
    let starts_behind = steps.checked_mul(stride).is_none_or(|start| start >= input + begin);
    Ok(if starts_behind { steps } else { steps + 1 })
}

/// The windows of a convolution on an image of `input` `[h, w]` pixels.
///
/// # Errors
/// As [`output_size`].
pub fn conv_window(conv: &Conv2d, input: [usize; 2]) -> Result<Window> {
    let (begin, end) = resolve_padding(conv.padding, input, conv.kernel, conv.strides, conv.dilations)?;
    let mut output = [0; 2];
    for axis in 0..2 {
        output[axis] =
            output_size(input[axis], begin[axis], end[axis], conv.kernel[axis], conv.strides[axis], conv.dilations[axis], false)?;
    }
    Ok(Window { begin, end, output })
}

/// The windows of a pooling on an image of `input` `[h, w]` pixels; each holds at least one pixel of the image.
///
/// # Errors
/// As [`output_size`], and [`Error::ShapeMismatch`] if a window could lie wholly in the padding.
pub fn pool_window(pool: &Pool, input: [usize; 2]) -> Result<Window> {
    let (begin, end) = resolve_padding(pool.padding, input, pool.kernel, pool.strides, pool.dilations)?;
    let ceil_mode = pool.ceil_mode && matches!(pool.padding, Padding::Explicit { .. });
    let mut output = [0; 2];
    for axis in 0..2 {
        let (size, stride, dilation) = (input[axis], pool.strides[axis], pool.dilations[axis]);
        output[axis] = output_size(size, begin[axis], end[axis], pool.kernel[axis], stride, dilation, ceil_mode)?;
        let reach = window_extent(pool.kernel[axis], dilation)? - 1;
        let last_start = output[axis].saturating_sub(1).checked_mul(stride).ok_or_else(overflow)?;
        let first_is_inside = begin[axis] == 0 || (begin[axis] <= reach && size >= dilation);
        let last_is_inside = last_start < size.checked_add(begin[axis]).ok_or_else(overflow)?;
        if !first_is_inside || !last_is_inside {
            return Err(refuse("a pooling window would hold nothing but padding".to_owned()));
        }
    }
    Ok(Window { begin, end, output })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(kernel: usize, stride: usize, padding: Padding, ceil_mode: bool) -> Pool {
        Pool { kernel: [kernel; 2], strides: [stride; 2], dilations: [1; 2], padding, ceil_mode, count_include_pad: false }
    }

    fn around(pixels: usize) -> Padding {
        Padding::Explicit { top: pixels, left: pixels, bottom: pixels, right: pixels }
    }

    #[test]
    fn same_padding_gives_ceil_of_input_over_stride_and_splits_the_odd_pixel() {
        for input in 1..20 {
            for (kernel, stride, dilation) in [(3, 2, 1), (2, 1, 1), (5, 3, 2), (1, 4, 1)] {
                for padding in [Padding::SameUpper, Padding::SameLower] {
                    let (begin, end) = resolve_padding(padding, [input; 2], [kernel; 2], [stride; 2], [dilation; 2]).unwrap();
                    let output = output_size(input, begin[0], end[0], kernel, stride, dilation, false).unwrap();
                    assert_eq!(output, input.div_ceil(stride));
                    let (small, large) = if padding == Padding::SameUpper { (begin[0], end[0]) } else { (end[0], begin[0]) };
                    assert!(large == small || large == small + 1);
                }
            }
        }
    }

    #[test]
    fn output_sizes_round_down_or_up() {
        assert_eq!(output_size(224, 3, 3, 7, 2, 1, false).unwrap(), 112);
        assert_eq!(output_size(20, 0, 0, 3, 2, 1, false).unwrap(), 9);
        assert_eq!(output_size(20, 0, 0, 3, 2, 1, true).unwrap(), 10);
        // Rounded up there would be 4 windows, but the last would start behind the image.
        assert_eq!(output_size(5, 1, 1, 2, 2, 1, true).unwrap(), 3);
        assert_eq!(output_size(9, 0, 0, 3, 1, 4, false).unwrap(), 1);
    }

    #[test]
    fn windows_that_do_not_fit_or_have_a_zero_are_refused() {
        assert!(output_size(4, 0, 0, 5, 1, 1, false).is_err());
        assert!(output_size(4, 0, 0, 0, 1, 1, false).is_err());
        assert!(output_size(4, 0, 0, 1, 0, 1, false).is_err());
        assert!(output_size(4, 0, 0, 2, 1, 0, false).is_err());
        assert!(output_size(usize::MAX, 1, 0, 1, 1, 1, true).is_err());
        assert!(output_size(4, 0, 0, usize::MAX, 1, 3, false).is_err());
    }

    #[test]
    fn pooling_windows_always_hold_a_pixel() {
        assert!(pool_window(&pool(2, 2, around(2), false), [8, 8]).is_err());
        assert!(pool_window(&pool(3, 2, around(2), false), [8, 8]).is_ok());
        assert_eq!(pool_window(&pool(3, 2, around(1), true), [12, 14]).unwrap().output, [7, 8]);
        let dilated = Pool { dilations: [4; 2], ..pool(2, 1, around(1), false) };
        assert!(pool_window(&dilated, [3, 3]).is_err());
    }
}
