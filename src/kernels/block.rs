//! What a kernel is asked to do: plain addresses, strides and counts.
//!
//! A block is a `rows x cols` rectangle of output pixels whose taps are all valid (or whose source is a gathered
//! panel), times `channels` output channels that start at a panel boundary.

/// A rectangle of pixels: `row_stride` and `col_stride` in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<P> {
    /// The first pixel's first channel.
    pub start: P,
    /// Bytes from one row of the rectangle to the next.
    pub row_stride: isize,
    /// Bytes from one pixel of a row to the next.
    pub col_stride: isize,
}

impl Pixels<*const u8> {
    /// The address of a pixel.
    ///
    /// # Safety
    /// The pixel lies inside the memory that the rectangle describes.
    #[inline(always)]
    pub unsafe fn at(&self, row: usize, col: usize) -> *const u8 {
        // SAFETY: the caller's promise.
        unsafe { self.start.offset(row as isize * self.row_stride + col as isize * self.col_stride) }
    }
}

impl Pixels<*mut u8> {
    /// The address of a pixel.
    ///
    /// # Safety
    /// The pixel lies inside the memory that the rectangle describes.
    #[inline(always)]
    pub unsafe fn at(&self, row: usize, col: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.start.offset(row as isize * self.row_stride + col as isize * self.col_stride) }
    }
}

/// The taps of a block: `rows x cols` runs of `run` consecutive `k`.
///
/// For int8 `run` counts 4-byte groups (rows of a weight panel), for f32 single floats. Where taps of a row lie side by
/// side in source and weights the driver merges them: `cols` is 1 and `run` covers them all.
#[derive(Debug, Clone, Copy)]
pub struct Taps {
    /// Valid kernel rows.
    pub rows: usize,
    /// Valid kernel columns.
    pub cols: usize,
    /// Consecutive `k` steps of one tap.
    pub run: usize,
    /// Source bytes from one kernel row to the next.
    pub src_row_stride: isize,
    /// Source bytes from one kernel column to the next.
    pub src_col_stride: isize,
    /// Weight panel bytes from one kernel row to the next.
    pub weight_row_stride: usize,
    /// Weight panel bytes from one kernel column to the next.
    pub weight_col_stride: usize,
}

/// A fused residual: `f = fma(f32(r - zero_point), ratio, f)`.
#[derive(Debug, Clone, Copy)]
pub struct Residual {
    /// Residual pixels, u8.
    pub src: Pixels<*const u8>,
    /// Zero point of the residual.
    pub zero_point: i32,
    /// `s_r / s_y`.
    pub ratio: f32,
}

/// From `f` to a byte: `q = rne(clamp(f, low, high)) + zero_point`.
///
/// `low <= high` are whole numbers, so a kernel may clamp after rounding as well as before.
#[derive(Debug, Clone, Copy)]
pub struct Requantize {
    /// Zero point of the output.
    pub zero_point: i32,
    /// `lo - zero_point`: the fused activation's and the type's lower end.
    pub low: f32,
    /// `hi - zero_point`.
    pub high: f32,
    /// Whether every `f` of the block, whatever its source bytes, is known to stay below 2^31 in size: a kernel may then
    /// convert first and clamp afterwards.
    pub within_i32: bool,
}

impl Requantize {
    /// What [`Requantize::within_i32`] may say of `k` products a value: whether `|acc| |mult| + |bias| + 255 |ratio|` stays below
    /// 2^30 in every channel, with twice the largest sum of products for `|acc|`, so that the correction has room too.
    pub fn floats_within_i32(k: usize, mult: &[f32], bias: &[f32], ratio: f32) -> bool {
        let acc = 2.0 * 255.0 * 128.0 * (k as f64 + 1.0);
        let largest = |(mult, bias): (&f32, &f32)| acc * f64::from(mult.abs()) + f64::from(bias.abs()) + 255.0 * f64::from(ratio.abs());
        mult.iter().zip(bias).all(|channel| largest(channel) < f64::from(1 << 30))
    }
}

/// Where an int8 block's results go. `f = fma(f32(acc), mult[oc], bias[oc])` in the first two.
#[derive(Debug, Clone, Copy)]
pub enum Int8Output {
    /// Bytes: `f`, the residual, then [`Requantize`].
    U8 {
        /// Output pixels. `stored_channels` bytes are written for each.
        dst: Pixels<*mut u8>,
        /// The added tensor, if any.
        residual: Option<Residual>,
        /// Zero point and clamp.
        requantize: Requantize,
    },
    /// Floats: `f`, plus the residual float, then `clamp(., low, high)` where NaN passes.
    F32 {
        /// Output pixels.
        dst: Pixels<*mut u8>,
        /// Residual pixels (f32), if any.
        residual: Option<Pixels<*const u8>>,
        /// Lower end of the fused activation, or -inf.
        low: f32,
        /// Upper end of the fused activation, or inf.
        high: f32,
    },
    /// The raw accumulators (`comp` included), i32.
    I32 {
        /// Output pixels.
        dst: Pixels<*mut u8>,
    },
}

/// One int8 job.
#[derive(Debug, Clone, Copy)]
pub struct Int8Block {
    /// Source pixels at the first valid tap: u8, or the kernel's panel form. A panel is one run: `taps.rows` and
    /// `taps.cols` are 1 and `taps.run` is `k / 4` before the row's padding.
    pub src: Pixels<*const u8>,
    /// Rows of output pixels.
    pub rows: usize,
    /// Output pixels of a row.
    pub cols: usize,
    /// The valid taps.
    pub taps: Taps,
    /// The first panel at the first valid tap.
    pub weights: *const i8,
    /// Bytes from a panel to the next.
    pub panel_stride: usize,
    /// Panels behind the block's that the next block will read: a kernel may fetch them into the cache meanwhile.
    pub panels_behind: usize,
    /// Output channels to compute, from the first panel's first.
    pub channels: usize,
    /// Channels to store: `channels`, or up to 3 more that pad a u8 pixel to a multiple of 4 (they get the epilogue of
    /// zero weights). Never more than `channels` rounded up to 16.
    pub stored_channels: usize,
    /// Starting accumulators, `-z_a * sum of the valid taps' weights`; one a channel, padded to 16.
    pub comp: *const i32,
    /// Multipliers; one a channel, padded to 16.
    pub mult: *const f32,
    /// Biases; one a channel, padded to 16.
    pub bias: *const f32,
    /// Where results go.
    pub output: Int8Output,
}

impl Int8Block {
    /// What happens to the accumulators.
    #[inline(always)]
    pub fn epilogue(&self) -> Int8Epilogue {
        Int8Epilogue { stored_channels: self.stored_channels, mult: self.mult, bias: self.bias, output: self.output }
    }
}

/// One int8 depthwise job: output channel `c` sees source channel `c` alone.
///
/// Source pixels are read for `channels` bytes, not for more. Weights are packed `[c/16][taps][16]`.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseBlock {
    /// Source pixels (u8) at the first valid tap; strides are those from output pixel to output pixel.
    pub src: Pixels<*const u8>,
    /// Rows of output pixels.
    pub rows: usize,
    /// Output pixels of a row.
    pub cols: usize,
    /// The valid taps; `run` is 1, and the weight strides are in bytes (16 a tap).
    pub taps: Taps,
    /// The first panel at the first valid tap.
    pub weights: *const i8,
    /// Bytes from a panel to the next.
    pub panel_stride: usize,
    /// Channels to compute, from the first panel's first.
    pub channels: usize,
    /// Channels to store, as in [`Int8Block`].
    pub stored_channels: usize,
    /// Starting accumulators, `-z_a * sum of the valid taps' weights`; one a channel, padded to 16.
    pub comp: *const i32,
    /// Multipliers; one a channel, padded to 16.
    pub mult: *const f32,
    /// Biases; one a channel, padded to 16.
    pub bias: *const f32,
    /// Where results go.
    pub output: Int8Output,
}

impl DepthwiseBlock {
    /// What happens to the accumulators.
    #[inline(always)]
    pub fn epilogue(&self) -> Int8Epilogue {
        Int8Epilogue { stored_channels: self.stored_channels, mult: self.mult, bias: self.bias, output: self.output }
    }
}

/// The part of an int8 block that turns accumulators into results.
#[derive(Debug, Clone, Copy)]
pub struct Int8Epilogue {
    /// Channels of a pixel that are stored; a residual is read for as many.
    pub stored_channels: usize,
    /// Multipliers; one a channel, padded to 16.
    pub mult: *const f32,
    /// Biases; one a channel, padded to 16.
    pub bias: *const f32,
    /// Where results go.
    pub output: Int8Output,
}

/// Where an output pixel lies in its block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Position {
    /// Row of the block.
    pub row: usize,
    /// Pixel of the row.
    pub col: usize,
}

impl Position {
    /// The next pixel in row order, in a block of `cols` pixels a row.
    #[inline(always)]
    pub fn next(self, cols: usize) -> Self {
        if self.col + 1 < cols { Self { row: self.row, col: self.col + 1 } } else { Self { row: self.row + 1, col: 0 } }
    }

    /// This pixel and those that follow it in row order.
    #[inline(always)]
    pub fn run<const P: usize>(self, cols: usize) -> [Self; P] {
        let mut positions = [self; P];
        for p in 1..P {
            positions[p] = positions[p - 1].next(cols);
        }
        positions
    }
}

/// One f32 job: `clamp(((chain + bias) + residual), low, high)`, where NaN passes the clamp.
#[derive(Debug, Clone, Copy)]
pub struct F32Block {
    /// Source pixels at the first valid tap, f32.
    pub src: Pixels<*const u8>,
    /// Rows of output pixels.
    pub rows: usize,
    /// Output pixels of a row.
    pub cols: usize,
    /// The valid taps; weight strides in bytes.
    pub taps: Taps,
    /// The first panel at the first valid tap.
    pub weights: *const f32,
    /// Bytes from a panel to the next.
    pub panel_stride: usize,
    /// Output channels to compute and store.
    pub channels: usize,
    /// Biases, padded to 16; null: zero bias is not added.
    pub bias: *const f32,
    /// Residual pixels (f32), if any.
    pub residual: Option<Pixels<*const u8>>,
    /// Lower end of the fused activation, or -inf.
    pub low: f32,
    /// Upper end of the fused activation, or inf.
    pub high: f32,
    /// Output pixels, f32.
    pub dst: Pixels<*mut u8>,
}
