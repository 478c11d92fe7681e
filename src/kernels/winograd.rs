//! 3 x 3 convolutions with fewer products, exactly: Winograd's minimal filtering F(m x m, 3 x 3) in integers.
//!
//! A tile of `m x m` outputs reads `n x n` source pixels, `n = m + 2`. Both sides are transformed once, multiplied position by
//! position (a sum over the input channels each), and the `n x n` sums are transformed back (Lavin and Gray 2015, section 4.1):
//!
//! ```text
//! y = A^T [ (G w G^T) * (B^T d B) ] A          n^2 products in place of 9 m^2: 16 for 36 where m = 2
//! ```
//!
//! `G` and, from `m = 4` on, what takes its place, hold fractions. Multiples of them make whole numbers of everything, and a known
//! multiple of `y`, which the last transformation divides by. All sums are taken modulo 2^32: the result is exact where that multiple of
//! `y` is known to stay below 2^31, whatever went before. It needs products of s16, and so it pays where a kernel has to widen bytes
//! to s16 anyway; a kernel with byte products loses as much as it gains.
use super::block::Int8Epilogue;
use std::ops::Range;

/// Taps of the kernels that this is for.
pub const WINOGRAD_TAPS: [usize; 2] = [3, 3];

/// What of a tile's outputs is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePlace {
    /// Output row of its first pixel.
    pub row: usize,
    /// Output column of its first pixel.
    pub col: usize,
    /// Rows that are outputs: 1 to [`WinogradKernel::tile_side`].
    pub rows: usize,
    /// Columns that are outputs.
    pub cols: usize,
}

/// Sizes of a run of tiles whose products are computed together, and where their parts lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WinogradSizes {
    /// Positions of a tile: `n * n`, 16 or 36.
    pub positions: usize,
    /// Input channels: a multiple of [`WinogradKernel::channel_multiple`].
    pub channels: usize,
    /// Input channels of a panel that are transformed at a time: likewise.
    pub panel_channels: usize,
    /// Tiles that there is room for.
    pub tiles: usize,
}

impl WinogradSizes {
    /// Bytes that keep the positions of a tile from meeting in the same sets of a cache.
    const SHIFT: usize = 64;

    /// Bytes of a transformed tile at one position.
    pub fn tile_bytes(&self) -> usize {
        2 * self.channels
    }

    /// Bytes from a position of transformed tiles to the next.
    pub fn tiles_stride(&self) -> usize {
        self.tiles * self.tile_bytes() + Self::SHIFT
    }

    /// Bytes from a position of a transformed panel to the next.
    pub fn panel_stride(&self) -> usize {
        self.panel_channels * 32 + Self::SHIFT
    }

    /// Bytes of a tile's sums at one position: one i32 for each of a panel's 16 channels.
    pub const SUMS_BYTES: usize = 64;

    /// Bytes from a position of sums to the next.
    pub fn sums_stride(&self) -> usize {
        self.tiles * Self::SUMS_BYTES + Self::SHIFT
    }
}

/// A kernel for 3 x 3 convolutions with unit strides and dilations: u8 activations, s8 weights, exact i32 sums, the epilogue of NUMERICS
/// section 5. Transformed tiles and panels are laid out as [`WinogradSizes`] says; what they hold is the kernel's own business.
///
/// # Safety
/// Implementors promise that each function touches only the memory that it is given, and that what `finish` stores are the bits that
/// [`super::Int8Kernel::run`] stores for the same convolution.
pub unsafe trait WinogradKernel: Send + Sync {
    /// Name in reports, such as `u8s8s32-winograd4-6x16-avx2`.
    fn name(&self) -> &'static str;

    /// Side of a tile of outputs: the `m` of F(m x m, 3 x 3).
    fn tile_side(&self) -> usize;

    /// What the number of a layer's input channels must be a multiple of.
    fn channel_multiple(&self) -> usize;

    /// Whether the results are exact for these packed weights, each of whose panels has `panel_bytes` bytes and 9 taps.
    fn is_exact(&self, panels: &[i8], panel_bytes: usize) -> bool;

    /// Transforms a tile, given by the addresses of its source pixels in row order.
    ///
    /// # Safety
    /// Each of `sizes.positions` pixels is readable for `sizes.channels` bytes; `dst`, the tile's place at the first position, is
    /// writable at all positions.
    unsafe fn transform_tile(&self, sizes: &WinogradSizes, pixels: &[*const u8], dst: *mut u8);

    /// Transforms some input channels of a panel of packed weights: up to `sizes.panel_channels`, from a multiple of
    /// [`WinogradKernel::channel_multiple`] on.
    ///
    /// # Safety
    /// `panel` is readable for 9 taps of `sizes.channels` channels, `dst` writable at all positions.
    unsafe fn transform_panel(&self, sizes: &WinogradSizes, panel: *const i8, channels: Range<usize>, dst: *mut u8);

    /// Multiplies these channels of `count` transformed tiles with those of a panel, at every position; the products are added to the sums
    /// unless the channels are the first.
    ///
    /// # Safety
    /// `tiles` and `panel` hold what the transformations left, `sums` is writable for `count` tiles at all positions.
    unsafe fn multiply(
        &self,
        sizes: &WinogradSizes,
        count: usize,
        channels: Range<usize>,
        tiles: *const u8,
        panel: *const u8,
        sums: *mut u8,
    );

    /// Turns the sums of consecutive tiles of one image into results of the panel that begins at `channel`. `sums` is the place of the
    /// first tile at the first position, `comp` the panel's starting accumulators.
    ///
    /// # Safety
    /// As for [`super::Int8Kernel::run`], for each tile's outputs.
    unsafe fn finish(
        &self,
        sizes: &WinogradSizes,
        sums: *const u8,
        places: &[TilePlace],
        epilogue: &Int8Epilogue,
        channel: usize,
        comp: *const i32,
    );
}
