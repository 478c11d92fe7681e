//! The tiles of a thread, and what the instructions do to them. Each returns false where a CPU would fault.

/// Rows, and bytes of a row, of the largest tile.
const MAX_ROWS: usize = 16;
const MAX_ROW_BYTES: usize = 64;
/// How many tiles there are.
const TILES: usize = 8;

/// One tile; no rows if it is not configured.
#[derive(Debug, Clone, Copy)]
struct Tile {
    rows: usize,
    row_bytes: usize,
    data: [[u8; MAX_ROW_BYTES]; MAX_ROWS],
}

/// Tile configuration and data of a thread.
#[derive(Debug, Clone)]
pub struct Tiles {
    tiles: [Tile; TILES],
}

impl Tiles {
    /// The initial state: nothing is configured.
    pub const fn released() -> Self {
        let none = Tile { rows: 0, row_bytes: 0, data: [[0; MAX_ROW_BYTES]; MAX_ROWS] };
        Self { tiles: [none; TILES] }
    }

    /// Takes a configuration of palette 1 and zeroes the tiles; palette 0 releases them. A start row, legal on a CPU, is
    /// refused: no code of ours resumes a load.
    pub fn load_config(&mut self, config: &[u8; 64]) -> bool {
        let reserved = [1..16, 32..48, 56..64];
        if config[0] > 1 || reserved.into_iter().any(|range| config[range].iter().any(|&byte| byte != 0)) {
            return false;
        }
        let mut tiles = Self::released();
        for (index, tile) in tiles.tiles.iter_mut().enumerate() {
            tile.row_bytes = usize::from(u16::from_le_bytes([config[16 + 2 * index], config[17 + 2 * index]]));
            tile.rows = usize::from(config[48 + index]);
            let half = (tile.rows == 0) != (tile.row_bytes == 0);
            if tile.rows > MAX_ROWS || tile.row_bytes > MAX_ROW_BYTES || half {
                return false;
            }
        }
        *self = if config[0] == 1 { tiles } else { Self::released() };
        true
    }

    /// The configuration as `sttilecfg` stores it: zeros where nothing is configured.
    pub fn config(&self) -> [u8; 64] {
        let mut config = [0; 64];
        for (index, tile) in self.tiles.iter().enumerate().filter(|(_, tile)| tile.rows > 0) {
            config[0] = 1;
            config[16 + 2 * index] = tile.row_bytes as u8;
            config[48 + index] = tile.rows as u8;
        }
        config
    }

    /// The tile, if there is one of that number and it is configured.
    fn configured(&mut self, tile: usize) -> Option<&mut Tile> {
        self.tiles.get_mut(tile).filter(|tile| tile.rows > 0)
    }

    /// Zeroes a tile.
    pub fn zero(&mut self, tile: usize) -> bool {
        self.configured(tile).map(|tile| tile.data = [[0; MAX_ROW_BYTES]; MAX_ROWS]).is_some()
    }

    /// Loads a tile's rows, `stride` bytes apart; the rest of the tile becomes zero.
    ///
    /// # Safety
    /// The rows are readable.
    pub unsafe fn load(&mut self, tile: usize, from: *const u8, stride: isize) -> bool {
        let Some(tile) = self.configured(tile) else { return false };
        tile.data = [[0; MAX_ROW_BYTES]; MAX_ROWS];
        for row in 0..tile.rows {
            let row_start = from.wrapping_offset(row as isize * stride);
            // SAFETY: the caller's promise; a row has at most 64 bytes.
            unsafe { std::ptr::copy_nonoverlapping(row_start, tile.data[row].as_mut_ptr(), tile.row_bytes) };
        }
        true
    }

    /// Stores a tile's rows, `stride` bytes apart.
    ///
    /// # Safety
    /// The rows are writable.
    pub unsafe fn store(&mut self, tile: usize, to: *mut u8, stride: isize) -> bool {
        let Some(tile) = self.configured(tile) else { return false };
        for row in 0..tile.rows {
            let row_start = to.wrapping_offset(row as isize * stride);
            // SAFETY: the caller's promise; a row has at most 64 bytes.
            unsafe { std::ptr::copy_nonoverlapping(tile.data[row].as_ptr(), row_start, tile.row_bytes) };
        }
        true
    }

    /// `sums[m][n] += sum over k and q of left[m][4 k + q] * right[k][4 n + q]`, wrapping.
    pub fn dot_product(&mut self, [sums, left, right]: [usize; 3], left_signed: bool, right_signed: bool) -> bool {
        if sums == left || sums == right || left == right {
            return false;
        }
        let operands = [left, right].map(|tile| self.configured(tile).copied());
        let [Some(a), Some(b)] = operands else { return false };
        let Some(sums) = self.configured(sums) else { return false };
        let fits = sums.rows == a.rows && sums.row_bytes == b.row_bytes && b.rows * 4 == a.row_bytes;
        if !fits || !sums.row_bytes.is_multiple_of(4) {
            return false;
        }
        let value = |byte: u8, signed: bool| if signed { i32::from(byte as i8) } else { i32::from(byte) };
        for m in 0..sums.rows {
            for n in 0..sums.row_bytes / 4 {
                let place = 4 * n..4 * n + 4;
                let mut sum = i32::from_le_bytes(sums.data[m][place.clone()].try_into().unwrap_or_default());
                for k in 0..b.rows {
                    for q in 0..4 {
                        let product = value(a.data[m][4 * k + q], left_signed) * value(b.data[k][4 * n + q], right_signed);
                        sum = sum.wrapping_add(product);
                    }
                }
                sums.data[m][place].copy_from_slice(&sum.to_le_bytes());
            }
        }
        true
    }
}
