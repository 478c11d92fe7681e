//! Full tiles one after another, AVX512-VNNI, in assembly: the epilogue of one tile stands between the first products of the
//! next.
//!
//! A tile's epilogue cannot begin before its last product, and a processor looks a few hundred instructions ahead: one tile at
//! a time, the multipliers idle for about 100 cycles at each epilogue, which is a third of a tile with `k = 64`. So the 28
//! accumulators are finished four at a time, and each four take up the next tile's products before the next four are finished:
//!
//! ```text
//! tile i          all steps of k, 28 products each
//! boundary        for each pair of pixels:  4 accumulators of tile i to results
//!                                           EARLY_STEPS steps of those 4 for tile i + 1
//! tile i + 1      the other steps, 28 products each
//! ```
//!
//! Tiles have 14 pixels, or the 12 that are left of a row of 54, 26 or 12: what a border of one pixel leaves of 56, 28 and 14.
//!
//! In assembly, because a compiler that keeps but one of the accumulators in memory halves the speed, and whether it does
//! depends on its version and settings.
//!
//! Registers: zmm0..27 (23) are accumulators (pixel by pixel, panel by panel), zmm28 and 29 weights, zmm30 and 31 broadcasts of 4
//! activation bytes. Constants of the epilogue are read from memory.
use super::avx512_vnni_finish::{
    add_floats, add_residual, add_residual_from_0, add_scaled, any_range, finish, if_added, neighbour, scaled, second_run, store_floats,
    whole_range,
};
use super::avx512_vnni_job::{EARLY_STEPS, Epilogue, NARROW_TILE_PIXELS, RunAddresses, TILE_PIXELS, TapWalk, TileJob};
use std::arch::asm;
use std::mem::offset_of;

/// The products of one pixel with both panels.
macro_rules! pixel {
    ($src:literal, $a:literal, $b:literal) => {
        concat!(
            "vpbroadcastd zmm30, dword ptr [",
            $src,
            "]\n",
            "vpdpbusd zmm",
            $a,
            ", zmm30, zmm28\n",
            "vpdpbusd zmm",
            $b,
            ", zmm30, zmm29\n"
        )
    };
}

/// One early step of some pixels.
macro_rules! early_step {
    ($step:literal, $(($src:literal, $a:literal, $b:literal))+) => {
        concat!(
            "vmovdqu64 zmm28, zmmword ptr [{weights} + 64*", $step, "]\n",
            "vmovdqu64 zmm29, zmmword ptr [{weights} + {panel_stride} + 64*", $step, "]\n",
            $(
                "vpbroadcastd zmm30, dword ptr [", $src, " + 4*", $step, "]\n",
                "vpdpbusd zmm", $a, ", zmm30, zmm28\n",
                "vpdpbusd zmm", $b, ", zmm30, zmm29\n",
            )+
        )
    };
}

/// Starting sums and the first [`EARLY_STEPS`] steps of some pixels.
macro_rules! start {
    ($($pixel:tt)+) => {
        concat!(
            starting_sums!($($pixel)+),
            early_step!("0", $($pixel)+),
            early_step!("1", $($pixel)+),
            early_step!("2", $($pixel)+),
            early_step!("3", $($pixel)+),
            early_step!("4", $($pixel)+),
            early_step!("5", $($pixel)+)
        )
    };
}

macro_rules! starting_sums {
    ($(($src:literal, $a:literal, $b:literal))+) => {
        concat!(
            "vmovdqa64 zmm28, zmmword ptr [{job} + {comp}]\n",
            "vmovdqa64 zmm29, zmmword ptr [{job} + {comp} + 64]\n",
            $(
                "vmovdqa64 zmm", $a, ", zmm28\n",
                "vmovdqa64 zmm", $b, ", zmm29\n",
            )+
        )
    };
}

/// Starting sums and early steps of all pixels.
#[rustfmt::skip]
macro_rules! start_tile {
    (wide) => {
        concat!(
            start!(("{first}", "0", "1") ("{first} + {stride}", "2", "3") ("{first} + 2*{stride}", "4", "5") ("{first} + {stride3}", "6", "7")),
            start!(("{first} + 4*{stride}", "8", "9") ("{first} + {stride5}", "10", "11") ("{first} + 2*{stride3}", "12", "13") ("{second}", "14", "15")),
            start!(("{second} + {stride}", "16", "17") ("{second} + 2*{stride}", "18", "19") ("{second} + {stride3}", "20", "21") ("{second} + 4*{stride}", "22", "23")),
            start!(("{second} + {stride5}", "24", "25") ("{second} + 2*{stride3}", "26", "27"))
        )
    };
    (narrow) => {
        concat!(
            start!(("{first}", "0", "1") ("{first} + {stride}", "2", "3") ("{first} + 2*{stride}", "4", "5") ("{first} + {stride3}", "6", "7")),
            start!(("{first} + 4*{stride}", "8", "9") ("{first} + {stride5}", "10", "11") ("{second}", "12", "13") ("{second} + {stride}", "14", "15")),
            start!(("{second} + 2*{stride}", "16", "17") ("{second} + {stride3}", "18", "19") ("{second} + 4*{stride}", "20", "21") ("{second} + {stride5}", "22", "23"))
        )
    };
}

/// A step of all pixels.
#[rustfmt::skip]
macro_rules! step {
    (wide) => {
        concat!(
            pixel!("{first}", "0", "1"),
            pixel!("{first} + {stride}", "2", "3"),
            pixel!("{first} + 2*{stride}", "4", "5"),
            pixel!("{first} + {stride3}", "6", "7"),
            pixel!("{first} + 4*{stride}", "8", "9"),
            pixel!("{first} + {stride5}", "10", "11"),
            pixel!("{first} + 2*{stride3}", "12", "13"),
            pixel!("{second}", "14", "15"),
            pixel!("{second} + {stride}", "16", "17"),
            pixel!("{second} + 2*{stride}", "18", "19"),
            pixel!("{second} + {stride3}", "20", "21"),
            pixel!("{second} + 4*{stride}", "22", "23"),
            pixel!("{second} + {stride5}", "24", "25"),
            pixel!("{second} + 2*{stride3}", "26", "27")
        )
    };
    (narrow) => {
        concat!(
            pixel!("{first}", "0", "1"),
            pixel!("{first} + {stride}", "2", "3"),
            pixel!("{first} + 2*{stride}", "4", "5"),
            pixel!("{first} + {stride3}", "6", "7"),
            pixel!("{first} + 4*{stride}", "8", "9"),
            pixel!("{first} + {stride5}", "10", "11"),
            pixel!("{second}", "12", "13"),
            pixel!("{second} + {stride}", "14", "15"),
            pixel!("{second} + 2*{stride}", "16", "17"),
            pixel!("{second} + {stride3}", "18", "19"),
            pixel!("{second} + 4*{stride}", "20", "21"),
            pixel!("{second} + {stride5}", "22", "23")
        )
    };
}

/// A tile to bytes, and the next one's start between.
#[rustfmt::skip]
macro_rules! finish_and_start {
    (wide, $residual:ident, $range:ident) => {
        concat!(
            finish!($residual, $range, ("0" "1" neighbour "2" "3" neighbour) ("4" "5" neighbour "6" "7" neighbour)),
            start!(("{first}", "0", "1") ("{first} + {stride}", "2", "3") ("{first} + 2*{stride}", "4", "5") ("{first} + {stride3}", "6", "7")),
            finish!($residual, $range, ("8" "9" neighbour "10" "11" neighbour) ("12" "13" second_run "14" "15" neighbour)),
            start!(("{first} + 4*{stride}", "8", "9") ("{first} + {stride5}", "10", "11") ("{first} + 2*{stride3}", "12", "13") ("{second}", "14", "15")),
            finish!($residual, $range, ("16" "17" neighbour "18" "19" neighbour) ("20" "21" neighbour "22" "23" neighbour)),
            start!(("{second} + {stride}", "16", "17") ("{second} + 2*{stride}", "18", "19") ("{second} + {stride3}", "20", "21") ("{second} + 4*{stride}", "22", "23")),
            finish!($residual, $range, ("24" "25" neighbour "26" "27" neighbour)),
            start!(("{second} + {stride5}", "24", "25") ("{second} + 2*{stride3}", "26", "27"))
        )
    };
    (narrow, $residual:ident, $range:ident) => {
        concat!(
            finish!($residual, $range, ("0" "1" neighbour "2" "3" neighbour) ("4" "5" neighbour "6" "7" neighbour)),
            start!(("{first}", "0", "1") ("{first} + {stride}", "2", "3") ("{first} + 2*{stride}", "4", "5") ("{first} + {stride3}", "6", "7")),
            finish!($residual, $range, ("8" "9" neighbour "10" "11" second_run) ("12" "13" neighbour "14" "15" neighbour)),
            start!(("{first} + 4*{stride}", "8", "9") ("{first} + {stride5}", "10", "11") ("{second}", "12", "13") ("{second} + {stride}", "14", "15")),
            finish!($residual, $range, ("16" "17" neighbour "18" "19" neighbour) ("20" "21" neighbour "22" "23" neighbour)),
            start!(("{second} + 2*{stride}", "16", "17") ("{second} + {stride3}", "18", "19") ("{second} + 4*{stride}", "20", "21") ("{second} + {stride5}", "22", "23"))
        )
    };
}

/// The last tile to bytes.
#[rustfmt::skip]
macro_rules! finish_tile {
    (wide, $residual:ident, $range:ident) => {
        concat!(
            finish!($residual, $range, ("0" "1" neighbour "2" "3" neighbour) ("4" "5" neighbour "6" "7" neighbour)),
            finish!($residual, $range, ("8" "9" neighbour "10" "11" neighbour) ("12" "13" second_run "14" "15" neighbour)),
            finish!($residual, $range, ("16" "17" neighbour "18" "19" neighbour) ("20" "21" neighbour "22" "23" neighbour)),
            finish!($residual, $range, ("24" "25" neighbour "26" "27" neighbour))
        )
    };
    (narrow, $residual:ident, $range:ident) => {
        concat!(
            finish!($residual, $range, ("0" "1" neighbour "2" "3" neighbour) ("4" "5" neighbour "6" "7" neighbour)),
            finish!($residual, $range, ("8" "9" neighbour "10" "11" second_run) ("12" "13" neighbour "14" "15" neighbour)),
            finish!($residual, $range, ("16" "17" neighbour "18" "19" neighbour) ("20" "21" neighbour "22" "23" neighbour))
        )
    };
}

/// All tiles.
macro_rules! walk {
    ($tile:ident, $job:ident, $runs:ident, $residual:ident, $range:ident, { $($operands:tt)* }) => {
        asm!(
            "mov {weights}, qword ptr [{job} + {job_weights}]",
            "mov {panel_stride}, qword ptr [{job} + {job_panel_stride}]",
            "mov {stride}, qword ptr [{job} + {src_stride}]",
            "lea {stride3}, [{stride} + 2*{stride}]",
            "lea {stride5}, [{stride} + 4*{stride}]",
            "mov {first}, qword ptr [{tile} + {tile_src}]",
            "mov {second}, qword ptr [{tile} + {tile_src} + 8]",
            start_tile!($tile),
            // The other steps of a tile. `dst` and `residual` count columns and rows of taps.
            "2:",
            "mov {ahead}, qword ptr [{job} + {fetched}]",
            "mov {residual}, qword ptr [{job} + {rows}]",
            "mov {dst}, qword ptr [{job} + {cols}]",
            "mov {count}, qword ptr [{job} + {run}]",
            "add {first}, 4 * {early_steps}",
            "add {second}, 4 * {early_steps}",
            "add {weights}, 64 * {early_steps}",
            "sub {count}, {early_steps}",
            "jz 4f",
            ".p2align 5",
            "3:",
            "vmovdqu64 zmm28, zmmword ptr [{weights}]",
            "vmovdqu64 zmm29, zmmword ptr [{weights} + {panel_stride}]",
            "prefetcht1 byte ptr [{ahead}]",
            "add {ahead}, qword ptr [{job} + {fetch_step}]",
            step!($tile),
            "add {first}, 4",
            "add {second}, 4",
            "add {weights}, 64",
            "dec {count}",
            "jnz 3b",
            // The next tap.
            "4:",
            "mov {count}, qword ptr [{job} + {run}]",
            "dec {dst}",
            "jz 5f",
            "add {first}, qword ptr [{job} + {src_to_next_col}]",
            "add {second}, qword ptr [{job} + {src_to_next_col}]",
            "add {weights}, qword ptr [{job} + {weights_to_next_col}]",
            "jmp 3b",
            "5:",
            "mov {dst}, qword ptr [{job} + {cols}]",
            "add {first}, qword ptr [{job} + {src_to_next_row}]",
            "add {second}, qword ptr [{job} + {src_to_next_row}]",
            "add {weights}, qword ptr [{job} + {weights_to_next_row}]",
            "dec {residual}",
            "jnz 3b",
            // The next tile: of this run, or the next run's first. `ahead` is its run.
            "mov {weights}, qword ptr [{job} + {job_weights}]",
            "mov {dst}, qword ptr [{tile} + {tile_dst}]",
            "mov {residual}, qword ptr [{tile} + {tile_residual}]",
            "mov qword ptr [{job} + {fetched}], {ahead}",
            "mov {ahead}, {tile}",
            "dec qword ptr [{tile} + {tiles}]",
            "jnz 6f",
            "dec {left}",
            "jz 8f",
            "add {ahead}, {run_bytes}",
            "mov {count}, qword ptr [{ahead} + {tile_dst}]",
            "sub {count}, {dst}",
            "jmp 7f",
            "6:",
            "mov {count}, qword ptr [{tile} + {dst_step}]",
            "mov {first}, qword ptr [{tile} + {src_step}]",
            "add qword ptr [{tile} + {tile_src}], {first}",
            "add qword ptr [{tile} + {tile_src} + 8], {first}",
            "7:",
            "mov {first}, qword ptr [{ahead} + {tile_src}]",
            "mov {second}, qword ptr [{ahead} + {tile_src} + 8]",
            finish_and_start!($tile, $residual, $range),
            "mov {dst}, qword ptr [{tile} + {dst_step}]",
            "mov {residual}, qword ptr [{tile} + {residual_step}]",
            "add qword ptr [{tile} + {tile_dst}], {dst}",
            "add qword ptr [{tile} + {tile_dst} + 8], {dst}",
            "add qword ptr [{tile} + {tile_residual}], {residual}",
            "add qword ptr [{tile} + {tile_residual} + 8], {residual}",
            "mov {tile}, {ahead}",
            "jmp 2b",
            "8:",
            "xor {count:e}, {count:e}",
            finish_tile!($tile, $residual, $range),
            job = in(reg) $job,
            tile = inout(reg) $runs.as_mut_ptr() => _,
            left = inout(reg) $runs.len() => _,
            weights = out(reg) _, panel_stride = out(reg) _, ahead = out(reg) _, count = out(reg) _,
            first = out(reg) _, second = out(reg) _, stride = out(reg) _, stride3 = out(reg) _, stride5 = out(reg) _,
            dst = out(reg) _, residual = out(reg) _,
            comp = const offset_of!(TileJob, comp),
            mult = const offset_of!(TileJob, mult),
            bias = const offset_of!(TileJob, bias),
            job_weights = const offset_of!(TileJob, weights),
            job_panel_stride = const offset_of!(TileJob, panel_stride),
            src_stride = const offset_of!(TileJob, src_stride),
            dst_stride = const offset_of!(TileJob, dst_stride),
            residual_stride = const offset_of!(TileJob, residual_stride),
            added = const offset_of!(TileJob, added),
            run = const offset_of!(TileJob, walk) + offset_of!(TapWalk, run),
            rows = const offset_of!(TileJob, walk) + offset_of!(TapWalk, rows),
            cols = const offset_of!(TileJob, walk) + offset_of!(TapWalk, cols),
            src_to_next_col = const offset_of!(TileJob, walk) + offset_of!(TapWalk, src_to_next_col),
            src_to_next_row = const offset_of!(TileJob, walk) + offset_of!(TapWalk, src_to_next_row),
            weights_to_next_col = const offset_of!(TileJob, walk) + offset_of!(TapWalk, weights_to_next_col),
            weights_to_next_row = const offset_of!(TileJob, walk) + offset_of!(TapWalk, weights_to_next_row),
            tile_src = const offset_of!(RunAddresses, src),
            tile_dst = const offset_of!(RunAddresses, dst),
            tile_residual = const offset_of!(RunAddresses, residual),
            fetched = const offset_of!(TileJob, fetched),
            fetch_step = const offset_of!(TileJob, fetch_step),
            src_step = const offset_of!(RunAddresses, src_step),
            dst_step = const offset_of!(RunAddresses, dst_step),
            residual_step = const offset_of!(RunAddresses, residual_step),
            tiles = const offset_of!(RunAddresses, tiles),
            run_bytes = const size_of::<RunAddresses>(),
            early_steps = const EARLY_STEPS,
            $($operands)*
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
            out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _, out("zmm12") _, out("zmm13") _, out("zmm14") _,
            out("zmm15") _, out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _,
            out("zmm22") _, out("zmm23") _, out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _,
            out("zmm29") _, out("zmm30") _, out("zmm31") _,
            options(nostack),
        )
    };
}

/// The tiles, by what the epilogue has to do.
macro_rules! walk_by_epilogue {
    ($tile:ident, $job:ident, $runs:ident, $epilogue:ident) => {
        match $epilogue {
            Epilogue::WholeRange => walk!($tile, $job, $runs, add_residual_from_0, whole_range, {
                order = const offset_of!(TileJob, order),
                residual_ratio = const offset_of!(TileJob, residual_ratio),
            }),
            Epilogue::AnyRange => walk!($tile, $job, $runs, add_residual, any_range, {
                order = const offset_of!(TileJob, order),
                residual_zero_point = const offset_of!(TileJob, residual_zero_point),
                residual_ratio = const offset_of!(TileJob, residual_ratio),
                zero_point = const offset_of!(TileJob, zero_point),
                high = const offset_of!(TileJob, high),
                low = const offset_of!(TileJob, low),
            }),
            Epilogue::Floats => walk!($tile, $job, $runs, add_floats, floats, {
                least = const offset_of!(TileJob, least),
                capped = const offset_of!(TileJob, capped),
                most = const offset_of!(TileJob, most),
            }),
        }
    };
}

/// Computes runs of tiles of `pixels` pixels ([`TILE_PIXELS`] or [`NARROW_TILE_PIXELS`]) into bytes or floats, one after another. The runs are used
/// up, and what is fetched meanwhile has moved on.
///
/// # Safety
/// The CPU has AVX512-VNNI. For every tile and each of its pixels the source is readable at all taps, the output writable and a
/// residual that is added readable for [`TILE_CHANNELS`](super::avx512_vnni_job::TILE_CHANNELS) bytes or floats; the weights are readable at all taps.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn walk(job: &mut TileJob, runs: &mut [RunAddresses], pixels: usize, epilogue: Epilogue) {
    debug_assert!(job.walk.run >= EARLY_STEPS && job.walk.rows > 0 && job.walk.cols > 0);
    debug_assert!(runs.iter().all(|run| run.tiles > 0) && [TILE_PIXELS, NARROW_TILE_PIXELS].contains(&pixels));
    if runs.is_empty() {
        return;
    }
    let job: *mut TileJob = job;
    // SAFETY: the caller's promise: every load and store is one of a tile's, a panel's, the job's or the runs'. The stack is not used.
    unsafe {
        if pixels == TILE_PIXELS { walk_by_epilogue!(wide, job, runs, epilogue) } else { walk_by_epilogue!(narrow, job, runs, epilogue) }
    }
}
