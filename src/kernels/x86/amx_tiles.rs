//! The tile instructions of the AMX kernel: configuration, and the loop over k of a block of 1 or 2 by 1 or 2 tiles.
//!
//! Rust has no AMX intrinsics, so the instructions stand in assembly. Tiles cannot be handed from one piece of assembly to
//! another as values: a loop over k with its loads of `comp` and its stores of sums is one piece.
use std::arch::asm;
use std::cell::Cell;

/// Bytes from a pixel's sums to the next pixel's: 32 channels of i32.
pub const SUMS_STRIDE: usize = 128;

/// One step of k: where it lies from a pixel's, and from a panel's, first valid tap.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Step {
    /// Source bytes.
    pub src: isize,
    /// Weight bytes.
    pub weights: usize,
}

/// A block of tiles: sums of `src[i]`'s pixels with `weights[j]`'s channels.
#[derive(Debug)]
pub struct TileJob {
    /// The first pixel of each pixel tile.
    pub src: [*const u8; 2],
    /// Bytes from pixel to pixel.
    pub src_stride: isize,
    /// The first row of each panel.
    pub weights: [*const i8; 2],
    /// 16 starting sums of each panel.
    pub comp: [*const i32; 2],
    /// The steps.
    pub steps: *const Step,
    /// How many there are.
    pub count: usize,
    /// Where the sums go: pixel `p` of tile `i` at `(16 i + p) * SUMS_STRIDE`, panel `j` 64 `j` bytes further.
    pub sums: *mut u8,
}

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

/// One loop over k. Tile 0, the first pixel tile and the first panel are in every form; `$begin` loads `comp` into the
/// other sums, `$step` adds the other products of a step, `$end` stores the other sums.
macro_rules! tile_loop {
    ($job:ident, begin: [$($begin:literal),*], step: [$($step:literal),*], end: [$($end:literal),*]) => {
        asm!(
            "/* {src1} {weights1}: not in every form */",
            "tileloadd tmm0, [{x} + {stride}*1]",
            $($begin,)*
            "mov {stride:e}, 64",
            "test {count}, {count}",
            "jz 3f",
            "2:",
            "mov {x}, qword ptr [{steps}]",
            "mov {y}, qword ptr [{steps} + 8]",
            "add {steps}, 16",
            "lea {first}, [{weights0} + {y}]",
            "tileloadd tmm6, [{first} + {stride}*1]",
            "lea {first}, [{src0} + {x}]",
            "tileloadd tmm4, [{first} + {src_stride}*1]",
            "tdpbusd tmm0, tmm4, tmm6",
            $($step,)*
            "dec {count}",
            "jnz 2b",
            "3:",
            "mov {stride:e}, 128",
            "tilestored [{sums} + {stride}*1], tmm0",
            $($end,)*
            // Where the two `comp` lie, then the step's offsets in source and weights.
            x = inout(reg) $job.comp[0] => _,
            y = inout(reg) $job.comp[1] => _,
            // 0 for `comp`, then the bytes of a weight row, then SUMS_STRIDE.
            stride = inout(reg) 0usize => _,
            steps = inout(reg) $job.steps => _,
            count = inout(reg) $job.count => _,
            first = out(reg) _,
            src0 = in(reg) $job.src[0],
            src1 = in(reg) $job.src[1],
            weights0 = in(reg) $job.weights[0],
            weights1 = in(reg) $job.weights[1],
            src_stride = in(reg) $job.src_stride,
            sums = in(reg) $job.sums,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// Computes a block of `tiles` x `panels`, each 1 or 2.
///
/// # Safety
/// The tiles are configured for a shape; source pixels, weights, `comp` and steps are readable for it, `sums` is writable.
pub unsafe fn multiply(job: &TileJob, tiles: usize, panels: usize) {
    const { assert!(SUMS_STRIDE == 128 && size_of::<Step>() == 16) };
    // SAFETY: the caller's promise: every load and store is one of a configured tile at the job's addresses.
    unsafe {
        match (tiles, panels) {
            (2, 2) => tile_loop!(
                job,
                begin: [
                    "tileloadd tmm1, [{y} + {stride}*1]",
                    "tileloadd tmm2, [{x} + {stride}*1]",
                    "tileloadd tmm3, [{y} + {stride}*1]"
                ],
                step: [
                    "add {y}, {weights1}",
                    "tileloadd tmm7, [{y} + {stride}*1]",
                    "tdpbusd tmm1, tmm4, tmm7",
                    "add {x}, {src1}",
                    "tileloadd tmm5, [{x} + {src_stride}*1]",
                    "tdpbusd tmm2, tmm5, tmm6",
                    "tdpbusd tmm3, tmm5, tmm7"
                ],
                end: [
                    "tilestored [{sums} + {stride}*1 + 64], tmm1",
                    "tilestored [{sums} + {stride}*1 + 2048], tmm2",
                    "tilestored [{sums} + {stride}*1 + 2112], tmm3"
                ]
            ),
            (1, 2) => tile_loop!(
                job,
                begin: ["tileloadd tmm1, [{y} + {stride}*1]"],
                step: [
                    "add {y}, {weights1}",
                    "tileloadd tmm7, [{y} + {stride}*1]",
                    "tdpbusd tmm1, tmm4, tmm7"
                ],
                end: ["tilestored [{sums} + {stride}*1 + 64], tmm1"]
            ),
            (2, _) => tile_loop!(
                job,
                begin: ["tileloadd tmm2, [{x} + {stride}*1]"],
                step: [
                    "add {x}, {src1}",
                    "tileloadd tmm5, [{x} + {src_stride}*1]",
                    "tdpbusd tmm2, tmm5, tmm6"
                ],
                end: ["tilestored [{sums} + {stride}*1 + 2048], tmm2"]
            ),
            _ => tile_loop!(job, begin: [], step: [], end: []),
        }
    }
}
