//! The AMX int8 kernel against the reference: on a CPU with AMX as it is, elsewhere with a handler that executes its tile
//! instructions. Each test says which.
#![cfg(all(target_arch = "x86_64", target_os = "linux", feature = "x86"))]
#[path = "support/amx_trap/mod.rs"]
mod amx_trap;

use amx_trap::TilesBy;
use rsquant::isa::{AmxInt8, Avx2, Avx512};
use rsquant::kernels::conformance::cases::{Case, Scaling, Values};
use rsquant::kernels::conformance::{check_golden, check_int8, check_int8_case};
use rsquant::kernels::{
    AmxEpilogue, Int8Amx, Int8Block, Int8Kernel, Int8Output, Pixels, Requantize, Residual, SourceForm, SourceShape, Taps, reference,
};
use rsquant::packed::{ROW_BYTES, SLACK_BYTES};
use rsquant::tensor::AlignedBuffer;
use std::arch::asm;

/// The kernel with every epilogue that this CPU can run; none on a CPU without AVX2.
fn kernels() -> (TilesBy, Vec<Int8Amx>) {
    let by = amx_trap::install();
    // SAFETY: tile instructions are executable from here on.
    let proof = unsafe { AmxInt8::assume() };
    let epilogues = [Avx512::detect().map(AmxEpilogue::Avx512), Avx2::detect().map(AmxEpilogue::Avx2)];
    (by, epilogues.into_iter().flatten().map(|epilogue| Int8Amx::new(proof, epilogue)).collect())
}

/// Runs `check` on every kernel, says how, and makes sure that something ran where it was said to run.
fn with_every_kernel(check: impl Fn(&dyn Int8Kernel) -> usize) {
    let (by, kernels) = kernels();
    if kernels.is_empty() {
        println!("SKIPPED: u8s8s32-32x32-amx_int8 (this CPU has no AVX2 for its epilogue)");
    }
    for kernel in &kernels {
        let before = amx_trap::executed();
        let cases = check(kernel);
        println!("RAN: {} ({cases} cases, {by})", kernel.name());
        assert_eq!(by == TilesBy::Trap, amx_trap::executed() > before, "{by}");
    }
}

#[test]
fn the_amx_kernel_equals_the_reference_byte_for_byte() {
    with_every_kernel(check_int8);
}

#[test]
fn the_amx_kernel_gives_the_golden_bytes() {
    with_every_kernel(check_golden);
}

/// A 3x3 convolution with taps read where they lie, its residual added in place: what a driver may do with deep layers.
/// Rows of 16 to 40 pixels end with a tile that overlaps its neighbour, and a pixel finished twice would add its residual
/// twice.
#[test]
fn direct_taps_and_a_residual_in_place_are_the_reference_s() {
    with_every_kernel(|kernel| {
        let shapes = [(1, 16), (2, 17), (1, 31), (3, 33), (1, 40), (5, 5), (20, 3), (2, 9)];
        let depths = [1, 4, 16, 17, 20, 27, 32];
        let mut cases = 0;
        for (rows, cols) in shapes {
            for channels in [16, 32, 36, 52] {
                check_in_place(kernel, rows, cols, depths[cases % depths.len()], channels);
                cases += 1;
            }
        }
        cases
    });
}

/// One case of `groups` 4-byte groups a tap.
fn check_in_place(kernel: &dyn Int8Kernel, rows: usize, cols: usize, groups: usize, channels: usize) {
    let (pixel, src_cols) = (groups * 4, cols + 2);
    let (panels, panel_stride) = (channels.div_ceil(16), 9 * groups * ROW_BYTES);
    let mut seed = 1u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let src: Vec<u8> = (0..(rows + 2) * src_cols * pixel).map(|_| random()).collect();
    let weights: Vec<i8> = (0..panels * panel_stride + SLACK_BYTES).map(|_| random() as i8).collect();
    let dst: Vec<u8> = (0..rows * cols * channels).map(|_| random()).collect();
    let comp: Vec<i32> = (0..panels * 16).map(|_| i32::from(random()) * 100).collect();
    let mult: Vec<f32> = (0..panels * 16).map(|_| f32::from(random()) * 1e-5).collect();
    let bias: Vec<f32> = (0..panels * 16).map(|_| f32::from(random()) - 128.0).collect();
    let mut scratch = AlignedBuffer::zeroed(kernel.scratch_bytes(9 * groups * 4), "scratch").expect("scratch");

    let run = |by: &mut dyn FnMut(&Int8Block)| {
        let mut dst = dst.clone();
        let image = |start, pixel: usize, cols: usize| Pixels { start, row_stride: (cols * pixel) as isize, col_stride: pixel as isize };
        let dst_start = dst.as_mut_ptr();
        let residual = Pixels { start: dst_start.cast_const(), row_stride: (cols * channels) as isize, col_stride: channels as isize };
        by(&Int8Block {
            src: image(src.as_ptr(), pixel, src_cols),
            rows,
            cols,
            taps: Taps {
                rows: 3,
                cols: 3,
                run: groups,
                src_row_stride: (src_cols * pixel) as isize,
                src_col_stride: pixel as isize,
                weight_row_stride: 3 * groups * ROW_BYTES,
                weight_col_stride: groups * ROW_BYTES,
            },
            weights: weights.as_ptr(),
            panel_stride,
            panels_behind: 0,
            channels,
            stored_channels: channels,
            comp: comp.as_ptr(),
            mult: mult.as_ptr(),
            bias: bias.as_ptr(),
            output: Int8Output::U8 {
                dst: Pixels { start: dst_start, row_stride: residual.row_stride, col_stride: residual.col_stride },
                residual: Some(Residual { src: residual, zero_point: 100, ratio: 0.75 }),
                requantize: Requantize { zero_point: 20, low: -20.0, high: 235.0, within_i32: false },
            },
        });
        dst
    };
    // SAFETY: the vectors hold what the block describes, and the reference reads each residual before it writes there.
    let expected = run(&mut |block| unsafe { reference::int8(block) });
    let got = run(&mut |block| {
        kernel.enter();
        // SAFETY: as above; the scratch has the size that the kernel named.
        unsafe { kernel.run(block, &mut scratch) };
        kernel.leave();
    });
    assert_ne!(expected, dst, "the case must change something");
    assert!(expected == got, "{} differs: {rows} x {cols}, {groups} groups, {channels} channels", kernel.name());
}

/// Blocks of bytes with whole panels, whose epilogue stands between the products of the next block: few and many steps,
/// tiles of odd and even rows, a last tile that overlaps by all lengths, one or two panels in the last pair.
#[test]
fn an_epilogue_between_products_gives_the_reference_s_bytes() {
    with_every_kernel(|kernel| {
        let mut cases = 0;
        for residual in [false, true] {
            for cols in [1, 2, 3, 16, 17, 18, 27, 31, 33, 40, 49, 54, 65] {
                for groups in [1, 16, 32, 64] {
                    let channels = [64, 80, 96, 36][cases % 4];
                    let (values, scaling) =
                        [(Values::Any, Scaling::Spread), (Values::Small, Scaling::Ties), (Values::Any, Scaling::Huge)][cases % 3];
                    let ends = [(128, 0, 255), (7, 7, 101), (200, 50, 50)][cases % 3];
                    let rows = 1 + cases % 2;
                    let case = Case { rows, cols, groups, channels, residual, values, scaling, ends, seed: cases as u64, ..Case::plain() };
                    check_int8_case(kernel, &case);
                    cases += 1;
                }
            }
        }
        cases
    });
}

/// Wide rows under a 3x3 kernel are read where they lie.
#[test]
fn a_wide_convolution_reads_pixels_where_they_lie() {
    with_every_kernel(|kernel| {
        let shape = SourceShape { taps: [3, 3], groups: 16, merged: false, cols: 20 };
        assert_eq!(kernel.source_form(&shape), SourceForm::Direct);
        let mut cases = 0;
        for (groups, stride, src_gap) in [(16, 1, 0), (16, 2, 0), (12, 1, 16), (32, 1, 4)] {
            for (tap_rows, tap_cols, skipped_taps) in [(3, 3, 0), (2, 3, 1), (3, 2, 1)] {
                let taps = Case { tap_rows, tap_cols, skipped_taps, ..Case::plain() };
                check_int8_case(kernel, &Case { rows: 2, cols: 20, groups, stride, src_gap, channels: 40, residual: true, ..taps });
                cases += 1;
            }
        }
        cases
    });
}

/// The host may use tiles too: what it configured is not ours, and ours does not stay.
#[test]
fn a_region_takes_its_own_tiles_and_leaves_none() {
    with_every_kernel(|kernel| {
        for host_rows in [1u8, 16] {
            let mut config = [0u8; 64];
            config[0] = 1;
            for tile in 0..8 {
                config[16 + 2 * tile] = 64;
                config[48 + tile] = host_rows;
            }
            check_in_place(kernel, 2, 17, 4, 32);
            // SAFETY: tile instructions are executable, and this is a legal configuration.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
            check_in_place(kernel, 2, 17, 4, 32);
            let mut left = [1u8; 64];
            // SAFETY: stores the 64 bytes of the configuration; all zero says that nothing is configured.
            unsafe { asm!("sttilecfg [{}]", in(reg) &mut left, options(nostack)) };
            assert_eq!(left, [0; 64], "tiles are configured behind the region");
        }
        2
    });
}
