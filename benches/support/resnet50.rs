//! The convolutions of ResNet-50 at 224 x 224, and what the AMX kernel's cost model expects of each.

/// Convolutions of one shape.
#[derive(Debug, Clone, Copy)]
pub struct Layer {
    /// Where it stands.
    pub name: &'static str,
    /// How many there are.
    pub count: usize,
    /// Output pixels.
    pub pixels: usize,
    /// Output pixels of a row that tiles are cut from (all of them for 1 x 1 kernels).
    pub row: usize,
    /// Multiply-adds of an output.
    pub k: usize,
    /// Steps of a block in the AMX kernel.
    pub steps: usize,
    /// Output channels.
    pub channels: usize,
    /// Whether a residual is added.
    pub residual: bool,
}

const fn pointwise(name: &'static str, count: usize, pixels: usize, k: usize, channels: usize, residual: bool) -> Layer {
    Layer { name, count, pixels, row: pixels, k, steps: k.div_ceil(64), channels, residual }
}

const fn three(name: &'static str, count: usize, size: usize, ic: usize, channels: usize) -> Layer {
    let row = if size > 14 { size } else { size * size };
    Layer { name, count, pixels: size * size, row, k: 9 * ic, steps: 9 * ic.div_ceil(64), channels, residual: false }
}

/// Every convolution and the classifier.
pub const LAYERS: [Layer; 24] = [
    Layer { name: "stem 7x7/2", count: 1, pixels: 12544, row: 112, k: 147, steps: 7, channels: 64, residual: false },
    pointwise("L1 reduce", 1, 3136, 64, 64, false),
    pointwise("L1 reduce", 2, 3136, 256, 64, false),
    three("L1 3x3", 3, 56, 64, 64),
    pointwise("L1 expand", 3, 3136, 64, 256, true),
    pointwise("L1 shortcut", 1, 3136, 64, 256, false),
    pointwise("L2 reduce", 1, 3136, 256, 128, false),
    pointwise("L2 reduce", 3, 784, 512, 128, false),
    three("L2 3x3", 4, 28, 128, 128),
    pointwise("L2 expand", 4, 784, 128, 512, true),
    pointwise("L2 shortcut", 1, 784, 256, 512, false),
    pointwise("L3 reduce", 1, 784, 512, 256, false),
    pointwise("L3 reduce", 5, 196, 1024, 256, false),
    three("L3 3x3", 6, 14, 256, 256),
    pointwise("L3 expand", 6, 196, 256, 1024, true),
    pointwise("L3 shortcut", 1, 196, 512, 1024, false),
    pointwise("L4 reduce", 1, 196, 1024, 512, false),
    pointwise("L4 reduce", 2, 49, 2048, 512, false),
    three("L4 3x3", 3, 7, 512, 512),
    pointwise("L4 expand", 3, 49, 512, 2048, true),
    pointwise("L4 shortcut", 1, 49, 1024, 2048, false),
    pointwise("classifier", 1, 1, 2048, 1000, false),
    // Eight images share a pass of the weights.
    pointwise("L4 reduce x 8", 0, 392, 2048, 512, false),
    Layer { name: "L4 3x3 x 8", count: 0, pixels: 392, row: 392, k: 4608, steps: 72, channels: 512, residual: false },
];

impl Layer {
    /// 10^6 operations of one.
    pub fn mop(&self) -> f64 {
        2.0 * (self.pixels * self.k * self.channels) as f64 / 1e6
    }

    /// The share of the tile unit's roof that the table in the AMX kernel's header leaves, caches and the gathering of
    /// panels left out: the largest of what a block asks of each unit, with the rows of a tile that the kernel chooses.
    pub fn expected_amx_share(&self) -> f64 {
        let rows = tile_rows(self.row);
        let blocks = (self.pixels / self.row * self.row.div_ceil(rows)) as f64 / 2.0 * self.channels.div_ceil(32) as f64;
        let share_of_rows = rows as f64 / 16.0;
        let steps = self.steps as f64;
        let products = 64.0 * steps * share_of_rows;
        let loads = (16.0 + 16.0 * share_of_rows) * steps + (32.0 + if self.residual { 64.0 } else { 32.0 }) * share_of_rows;
        let vectors = if self.residual { 312.0 } else { 184.0 } * share_of_rows;
        let cycles = blocks * products.max(loads).max(vectors);
        self.mop() * 1e6 / 2048.0 / cycles
    }
}

/// The rows that the AMX kernel gives the tiles of a row of pixels.
fn tile_rows(cols: usize) -> usize {
    if cols <= 16 { cols } else { (8..=16).rev().min_by_key(|rows| cols.div_ceil(*rows) * (rows + 2)).unwrap_or(16) }
}
