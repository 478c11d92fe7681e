//! What the assembly of `avx512_vnni_walk` is told: sizes of its tiles, the panels and taps, where the tiles lie, what becomes of sums.
/// Pixels of the largest tile.
pub const TILE_PIXELS: usize = 14;
/// Pixels of the smaller tile.
pub const NARROW_TILE_PIXELS: usize = 12;
/// Panels of 16 channels of a tile.
pub const TILE_PANELS: usize = 2;
/// Channels of a tile.
pub const TILE_CHANNELS: usize = 16 * TILE_PANELS;
/// Steps of 4 `k` that a tile is ahead when the one before it is finished: their products take about as long as an epilogue.
pub const EARLY_STEPS: usize = 6;

/// What all tiles share: their two panels, the taps, and what becomes of the sums. Strides and steps in bytes.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct TileJob {
    /// Starting sums.
    pub comp: [i32; TILE_CHANNELS],
    /// Multipliers.
    pub mult: [f32; TILE_CHANNELS],
    /// Biases.
    pub bias: [f32; TILE_CHANNELS],
    /// The output's zero point.
    pub zero_point: [i16; 32],
    /// Upper end of the bytes.
    pub high: [u8; 64],
    /// Lower end of the bytes.
    pub low: [u8; 64],
    /// [`PACKED_ORDER`].
    pub order: [i32; 16],
    /// The residual's zero point.
    pub residual_zero_point: [i32; 16],
    /// The residual's ratio.
    pub residual_ratio: [f32; 16],
    /// Lower end of floats.
    pub least: [f32; 16],
    /// Upper end of floats.
    pub most: [f32; 16],
    /// The first panel's row of the first tap.
    pub weights: *const i8,
    /// From the first panel to the second.
    pub panel_stride: usize,
    /// The weights that are fetched into L2 next. Moves on by `fetch_step` bytes with each step.
    pub fetched: *const i8,
    /// Fractions of a line, so that fetching is spread over all tiles.
    pub fetch_step: usize,
    /// From pixel to pixel of the source.
    pub src_stride: isize,
    /// From pixel to pixel of the output.
    pub dst_stride: isize,
    /// From pixel to pixel of the residual.
    pub residual_stride: isize,
    /// Not 0: a residual is added.
    pub added: usize,
    /// Not 0: floats have an upper end.
    pub capped: usize,
    /// Taps.
    pub walk: TapWalk,
}

/// Rows and columns of taps, and how to get from behind the last step of one to the first of the next.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TapWalk {
    /// Steps of a tap, at least [`EARLY_STEPS`].
    pub run: usize,
    /// Rows of taps, at least 1.
    pub rows: usize,
    /// Taps of a row, at least 1.
    pub cols: usize,
    /// To the next tap of the row.
    pub src_to_next_col: isize,
    /// To the first tap of the next row.
    pub src_to_next_row: isize,
    /// To the next tap of the row.
    pub weights_to_next_col: isize,
    /// To the first tap of the next row.
    pub weights_to_next_row: isize,
}

/// What the epilogue of all tiles has to do. A residual may be added in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// Bytes with a zero point of 0 and the ends 0 and 255, a residual with a zero point of 0 too.
    WholeRange,
    /// Bytes with any zero points and ends.
    AnyRange,
    /// Floats.
    Floats,
}

/// The order that puts dwords right after two levels of packs.
pub const PACKED_ORDER: [i32; 16] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

/// Where tiles lie that are equally far apart. Moved on while they are computed.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct RunAddresses {
    /// The first tap's bytes of the first pixels of a tile's two runs of pixels.
    pub src: [*const u8; 2],
    /// Their output bytes (floats) of the panels.
    pub dst: [*mut u8; 2],
    /// Their residual bytes (floats) of the panels; of no use without residual.
    pub residual: [*const u8; 2],
    /// From a tile to the next.
    pub src_step: isize,
    /// From a tile to the next.
    pub dst_step: isize,
    /// From a tile to the next.
    pub residual_step: isize,
    /// How many, at least 1.
    pub tiles: usize,
}
