//! The cases that kernels are tried on: what varies, and the lists.

/// A generator of reproducible numbers (splitmix64, Steele et al. 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// A float in `low..high`.
    pub fn float(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() >> 40) as f32 / (1u64 << 24) as f32)
    }
}

/// What activations and weights hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Any byte.
    Any,
    /// {0, 1, 127, 128, 255} times {-128, -127, -1, 0, 1, 127}.
    Ends,
    /// 255 times -128: the largest accumulators, and the sums that saturate s16.
    Largest,
    /// {0, 1, 2} times {-1, 0, 1}: small accumulators, so that ties come up.
    Small,
}

/// What multipliers and biases hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Results spread over the bytes and somewhat beyond.
    Spread,
    /// Halves and quarters: ties of the rounding.
    Ties,
    /// Results beyond i32, beyond f32, and around 2^31.
    Huge,
}

/// Which output a case writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// [`crate::kernels::Int8Output::U8`].
    U8,
    /// [`crate::kernels::Int8Output::F32`].
    F32,
    /// [`crate::kernels::Int8Output::I32`].
    I32,
}

/// One case: a block's shape, and what its buffers hold.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Rows of output pixels.
    pub rows: usize,
    /// Output pixels of a row.
    pub cols: usize,
    /// Valid kernel rows.
    pub tap_rows: usize,
    /// Valid kernel columns.
    pub tap_cols: usize,
    /// Kernel rows and columns that are there but not valid.
    pub skipped_taps: usize,
    /// 4-byte groups of a tap (not used by depthwise cases).
    pub groups: usize,
    /// Stride of the convolution, both ways.
    pub stride: usize,
    /// Source bytes between pixels that belong to no tap.
    pub src_gap: usize,
    /// Output channels.
    pub channels: usize,
    /// Padding channels that are stored as well (as far as the panel goes).
    pub extra_stored: usize,
    /// What is written.
    pub output: OutputKind,
    /// Whether a residual is added (not with I32).
    pub residual: bool,
    /// Activations and weights.
    pub values: Values,
    /// Multipliers and biases.
    pub scaling: Scaling,
    /// Zero point of the output, and the ends of the fused activation in bytes.
    pub ends: (i32, i32, i32),
    /// Seed of everything random.
    pub seed: u64,
}

impl Case {
    /// A small case that the lists vary.
    pub const fn plain() -> Self {
        Self {
            rows: 1,
            cols: 7,
            tap_rows: 1,
            tap_cols: 1,
            skipped_taps: 0,
            groups: 5,
            stride: 1,
            src_gap: 0,
            channels: 24,
            extra_stored: 0,
            output: OutputKind::U8,
            residual: false,
            values: Values::Any,
            scaling: Scaling::Spread,
            ends: (128, 0, 255),
            seed: 1,
        }
    }
}

const OUTPUTS: [(OutputKind, bool); 5] =
    [(OutputKind::U8, false), (OutputKind::U8, true), (OutputKind::F32, false), (OutputKind::F32, true), (OutputKind::I32, false)];
const ALL_VALUES: [Values; 4] = [Values::Any, Values::Ends, Values::Largest, Values::Small];
const ALL_ENDS: [(i32, i32, i32); 6] = [(128, 0, 255), (0, 0, 255), (255, 0, 255), (7, 7, 255), (7, 7, 101), (200, 50, 50)];

/// The cases for a kernel with tiles of `tile` pixels.
pub fn cases(tile: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes = [0, 1, tile - 1, tile, tile + 1, 2 * tile - 1, 3 * tile + 1];
    for (output, residual) in OUTPUTS {
        for (rows, cols) in sizes.map(|cols| (1, cols)).into_iter().chain([(2, 7), (7, 2), (3, 5), (tile, 1), (2, tile)]) {
            cases.push(Case { rows, cols, output, residual, ..Case::plain() });
        }
        for channels in 1..=40 {
            for extra_stored in [0, 3] {
                cases.push(Case { channels, extra_stored, output, residual, src_gap: 4, ..Case::plain() });
            }
        }
        for values in ALL_VALUES {
            for scaling in [Scaling::Spread, Scaling::Ties, Scaling::Huge] {
                for ends in ALL_ENDS {
                    cases.push(Case { values, scaling, ends, output, residual, channels: 33, ..Case::plain() });
                }
            }
        }
    }
    for values in ALL_VALUES {
        for groups in [1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65] {
            cases.push(Case { groups, values, channels: 17, ..Case::plain() });
        }
        for (tap_rows, tap_cols, skipped_taps) in [(3, 3, 0), (2, 3, 1), (3, 2, 1), (1, 7, 0), (7, 1, 2), (0, 0, 3)] {
            for (stride, src_gap) in [(1, 0), (2, 0), (1, 12), (3, 5)] {
                let taps = Case { tap_rows, tap_cols, skipped_taps, ..Case::plain() };
                cases.push(Case { stride, src_gap, values, rows: 2, cols: 5, groups: 4, residual: true, ..taps });
            }
        }
        // k = 4608: the deepest of ResNet-50.
        let deep = Case { groups: 128, tap_rows: 3, tap_cols: 3, channels: 20, ..Case::plain() };
        cases.push(Case { values, output: OutputKind::I32, ..deep });
        cases.push(Case { values, rows: 2, ..deep });
        cases.push(Case { values, groups: 1152, tap_rows: 1, tap_cols: 1, cols: tile + 1, ..deep });
        // More pixels than a kernel may keep something for at a time.
        cases.push(Case { values, rows: 2, cols: 261, groups: 3, channels: 40, ..Case::plain() });
    }
    // Many full tiles one after another, of one row and of two, with taps that are longer and shorter than a tile's early steps.
    for (rows, cols) in [(9, 4 * tile), (2 * tile + 2, 7), (3, tile + 3)] {
        for (groups, tap_rows, tap_cols) in [(5, 1, 1), (6, 1, 1), (7, 7, 1), (9, 3, 3), (16, 1, 2)] {
            let many = Case { rows, cols, groups, tap_rows, tap_cols, channels: 64, src_gap: 4, ..Case::plain() };
            let added = Case { residual: true, stride: 2, skipped_taps: 1, ends: (7, 7, 101), ..many };
            let floats = |case| Case { output: OutputKind::F32, ..case };
            cases.extend([many, added, floats(many), floats(added)]);
        }
    }
    // The same with what epilogues have code of their own for: zero points of 0 and whole ranges, and rows that leave narrower tiles.
    for (rows, cols) in [(3, 4 * tile), (5, tile.saturating_sub(2)), (3, (2 * tile).saturating_sub(2))] {
        for (seed, ends) in (1..=8).flat_map(|seed| [(0, 0, 255), (0, 0, 101), (7, 7, 255)].map(|ends| (seed, ends))) {
            let (groups, taps) = if seed % 2 == 0 { (16, 1) } else { (7, 2) };
            let case = Case { rows, cols, groups, tap_rows: taps, tap_cols: taps, channels: 64, ends, seed, ..Case::plain() };
            cases.extend([case, Case { residual: true, ..case }]);
            cases.extend([false, true].map(|residual| Case { residual, output: OutputKind::F32, ..case }));
        }
    }
    let mut random = Random::new(2024);
    for seed in 0..150 {
        cases.push(random_case(&mut random, seed));
    }
    cases
}

fn random_case(random: &mut Random, seed: u64) -> Case {
    let (output, residual) = random.pick(&OUTPUTS);
    Case {
        rows: 1 + random.below(4),
        cols: 1 + random.below(20),
        tap_rows: 1 + random.below(3),
        tap_cols: 1 + random.below(3),
        skipped_taps: random.below(2),
        groups: 1 + random.below(40),
        stride: 1 + random.below(2),
        src_gap: random.below(20),
        channels: 1 + random.below(70),
        extra_stored: random.below(4),
        output,
        residual,
        values: random.pick(&ALL_VALUES),
        scaling: random.pick(&[Scaling::Spread, Scaling::Ties, Scaling::Huge]),
        ends: random.pick(&ALL_ENDS),
        seed,
    }
}
