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
//! `y` is known to stay below 2^31, whatever went before. It needs products of s16: a kernel that has to widen bytes to s16 anyway gains
//! all that is saved; one whose products of bytes are twice as wide gains where `m = 4`, which leaves a quarter of the products.
use super::block::Int8Epilogue;
use std::ops::Range;

/// Taps of the kernels that this is for.
pub const WINOGRAD_TAPS: [usize; 2] = [3, 3];

/// Tiles of any run, at most.
pub const MOST_TILES: usize = 128;

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
    /// Panels that are multiplied together: [`WinogradKernel::panels`].
    pub panels: usize,
    /// Tiles that there is room for: a multiple of [`WinogradKernel::tile_multiple`].
    pub tiles: usize,
    /// Tiles whose sums there is room for: likewise. As many are multiplied and finished at a time.
    pub sums_tiles: usize,
}

impl WinogradSizes {
    /// Bytes that keep the positions of a tile from meeting in the same sets of a cache.
    const SHIFT: usize = 64;
    /// Bytes of a pair of channels of a transformed panel at one position. The next panel's follow, then the next pair.
    pub const PAIR_BYTES: usize = 64;
    /// Bytes of a tile's sums of one panel at one position: one i32 for each of 16 channels. The next panel's follow, then the next tile.
    pub const PANEL_SUMS_BYTES: usize = 64;

    /// Bytes of a transformed tile at one position.
    pub fn tile_bytes(&self) -> usize {
        2 * self.channels
    }

    /// Bytes from a position of transformed tiles to the next.
    pub fn tiles_stride(&self) -> usize {
        self.tiles * self.tile_bytes() + Self::SHIFT
    }

    /// Bytes from a position of transformed panels to the next.
    pub fn panel_stride(&self) -> usize {
        self.panel_channels / 2 * self.panels * Self::PAIR_BYTES + Self::SHIFT
    }

    /// Bytes of a tile's sums at one position.
    pub fn sums_bytes(&self) -> usize {
        self.panels * Self::PANEL_SUMS_BYTES
    }

    /// Bytes from a position of sums to the next.
    pub fn sums_stride(&self) -> usize {
        self.sums_tiles * self.sums_bytes() + Self::SHIFT
    }
}

/// What a kernel's runs should fit into, and when they are worth it.
#[derive(Debug, Clone, Copy)]
pub struct WinogradCosts {
    /// Bytes of a run's transformed tiles.
    pub tiles_bytes: usize,
    /// Tiles of a run at least, if there are as many, whatever their bytes: where panels come from beyond the cache.
    pub least_tiles: usize,
    /// Likewise, where panels are not kept: tiles then share their transformation.
    pub shared_tiles: usize,
    /// Bytes of the channels of panels that are transformed at a time.
    pub panel_bytes: usize,
    /// Bytes of transformed panels up to which they stay in the cache beside tiles and sums.
    pub cached_bytes: usize,
    /// Bytes of all panels up to which each is transformed but once, before its first run, and kept.
    pub held_bytes: usize,
    /// What a product costs, as one of a direct convolution's.
    pub of_product: f64,
    /// What transforming a weight costs, as products of it.
    pub of_weights: f64,
    /// What transforming a tile costs, as its products with one output channel.
    pub of_tile: f64,
    /// What turning a tile's sums into results costs, as its products with one input channel.
    pub of_sums: f64,
    /// How much longer all takes where the panels that are multiplied together do not stay in the cache.
    pub beyond_cache: f64,
    /// Part of a direct convolution's costs up to which it is worth it: other tenants of a shared cache cost it more than that one.
    pub worth: f64,
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

    /// Panels of 16 output channels that are multiplied together.
    fn panels(&self) -> usize {
        1
    }

    /// Tiles that are multiplied together, at most: so many share what their panels' way to the registers costs.
    fn tiles_together(&self) -> usize;

    /// What the number of tiles that there is room for must be a multiple of.
    fn tile_multiple(&self) -> usize {
        1
    }

    /// What fits and what pays.
    fn costs(&self) -> WinogradCosts;

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
    /// `panel` is readable for 9 taps of `sizes.channels` channels, `dst`, the panel's place at the first position, writable at all
    /// positions.
    unsafe fn transform_panel(&self, sizes: &WinogradSizes, panel: *const i8, channels: Range<usize>, dst: *mut u8);

    /// Multiplies these channels of `count` transformed tiles with those of the panels that are multiplied together, at every position;
    /// the products are added to the sums unless the channels are the first.
    ///
    /// # Safety
    /// `tiles` and `panels` are readable and `sums` is writable at all positions, `tiles` and `sums` for `count` tiles and as many more
    /// as make it a multiple of [`WinogradKernel::tile_multiple`]. What was not transformed gives sums without a meaning.
    unsafe fn multiply(
        &self,
        sizes: &WinogradSizes,
        count: usize,
        channels: Range<usize>,
        tiles: *const u8,
        panels: *const u8,
        sums: *mut u8,
    );

    /// Turns the sums of consecutive tiles of one image into results of the panel that begins at `channel`. `sums` is the panel's place for
    /// the first tile at the first position, `comp` the panel's starting accumulators.
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
