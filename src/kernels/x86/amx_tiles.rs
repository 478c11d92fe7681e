//! Configuration of the tiles: which shapes they have, for how long, and that they are given back.
//!
//! A thread's configuration stays while it computes the blocks of a region ([`configure`] loads another one only where the
//! shape changes) and ends with [`release`]: the host may use tiles as well.
use std::arch::asm;
use std::cell::Cell;

/// What the tiles are configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileShape {
    /// Pixels of a pixel tile, 1 to 16.
    pub rows: usize,
    /// 4-byte groups of k in a step, 1 to 16.
    pub groups: usize,
}

/// The memory form that `ldtilecfg` reads (Intel SDM, volume 1, section 18.2).
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles that accumulate: `2 i + j` for pixel tile `i` and panel `j`.
const SUM_TILES: std::ops::Range<usize> = 0..4;
/// Tiles of activations.
const SRC_TILES: std::ops::Range<usize> = 4..6;
/// Tiles of weights.
const WEIGHT_TILES: std::ops::Range<usize> = 6..8;
/// Bytes of a full tile row: 16 sums, or a row of a weight panel.
const FULL_ROW_BYTES: u16 = 64;

thread_local! {
    /// What this thread's tiles are configured for, as far as the kernel did it.
    static CONFIGURED: Cell<Option<TileShape>> = const { Cell::new(None) };
}

/// Forgets the configuration: another user of tiles may have changed it.
pub fn forget() {
    CONFIGURED.set(None);
}

/// Configures this thread's tiles, unless they are so already. Zeroes them.
///
/// # Safety
/// Tile instructions can be executed; rows and groups are 1 to 16.
pub unsafe fn configure(shape: TileShape) {
    if CONFIGURED.get() == Some(shape) {
        return;
    }
    let mut config = TileConfig { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    let row_bytes = (4 * shape.groups) as u16;
    for (tiles, rows, row_bytes) in
        [(SUM_TILES, shape.rows, FULL_ROW_BYTES), (SRC_TILES, shape.rows, row_bytes), (WEIGHT_TILES, shape.groups, FULL_ROW_BYTES)]
    {
        for tile in tiles {
            config.rows[tile] = rows as u8;
            config.row_bytes[tile] = row_bytes;
        }
    }
    // SAFETY: the instruction reads the 64 bytes of `config`, which is a legal configuration.
    unsafe {
        asm!(
            "ldtilecfg [{config}]",
            config = in(reg) &config,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly, preserves_flags),
        );
    }
    CONFIGURED.set(Some(shape));
}

/// Gives the tiles back, so that the system need not save them.
///
/// # Safety
/// Tile instructions can be executed.
pub unsafe fn release() {
    // SAFETY: touches tile state only.
    unsafe {
        asm!(
            "tilerelease",
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, nomem, preserves_flags),
        );
    }
    forget();
}
