//! Winograd kernels against the reference.
use super::buffers::scratch;
use super::cases::{Case, OutputKind, Scaling, Values};
use super::guarded::{GuardedBuffer, Placement};
use super::int8::{Packed, Problem};
use crate::kernels::Int8Epilogue;
use crate::kernels::winograd::{TilePlace, WinogradKernel, WinogradSizes};
use crate::packed::{K_GROUP, PANEL_CHANNELS};

/// Input channels of the cases, as multiples of the kernel's.
const CHANNEL_UNITS: [usize; 3] = [1, 2, 3];

/// Tries every case; returns how many there were.
///
/// # Panics
/// At the first case whose bytes differ from the reference's.
pub fn check_winograd(kernel: &dyn WinogradKernel) -> usize {
    let cases = cases(kernel);
    for (case, panel_units) in &cases {
        let problem = Problem::new(case);
        let expected = problem.run_reference();
        for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
            let got = run(&problem, kernel, *panel_units * kernel.channel_multiple(), placement);
            if !problem.parameters.same(&expected, &got) {
                let at = expected.iter().zip(&got).position(|(e, g)| e != g);
                panic!("{} differs from the reference at byte {at:?} of {case:?}", kernel.name());
            }
        }
    }
    cases.len()
}

/// Cases, each with the channels of a panel that are transformed at a time, as a multiple of the kernel's.
fn cases(kernel: &dyn WinogradKernel) -> Vec<(Case, usize)> {
    let (side, unit) = (kernel.tile_side(), kernel.channel_multiple() / K_GROUP);
    let plain = Case { tap_rows: 3, tap_cols: 3, groups: unit, channels: 24, ..Case::plain() };
    let outputs =
        [(OutputKind::U8, false), (OutputKind::U8, true), (OutputKind::F32, false), (OutputKind::F32, true), (OutputKind::I32, false)];
    let mut cases = Vec::new();
    for (rows, cols) in (1..=2 * side + 1).flat_map(|rows| [1, side - 1, side, side + 1, 3 * side].map(|cols| (rows, cols))) {
        cases.push((Case { rows, cols, ..plain }, 1));
    }
    // As many tiles and panels as a kernel multiplies together, fewer and more.
    for tiles in 1..=33 {
        let case = Case { rows: side, cols: tiles * side - tiles % 3, groups: unit * 3, output: OutputKind::I32, ..plain };
        cases.extend([8, 16, 40].map(|channels| (Case { channels, ..case }, 2)));
    }
    for (output, residual) in outputs {
        for values in [Values::Any, Values::Ends, Values::Largest, Values::Small] {
            for ends in [(128, 0, 255), (0, 0, 255), (7, 7, 101)] {
                let case = Case { rows: side, cols: 7 * side - 1, output, residual, values, ends, ..plain };
                cases.extend([(case, 1), (Case { channels: 33, extra_stored: 3, scaling: Scaling::Ties, ..case }, 1)]);
            }
        }
    }
    for units in CHANNEL_UNITS {
        for panel_units in 1..=units {
            for values in [Values::Any, Values::Largest] {
                let case = Case { rows: 5, cols: 9, groups: unit * units, values, output: OutputKind::I32, ..plain };
                cases.push((case, panel_units));
            }
        }
    }
    cases
}

/// The destination as the kernel leaves it; where tiles reach beyond the outputs they read rubbish.
fn run(problem: &Problem, kernel: &dyn WinogradKernel, panel_channels: usize, placement: Placement) -> Vec<u8> {
    let side = kernel.tile_side();
    let channels = problem.groups * K_GROUP;
    let tiles = [problem.rows.div_ceil(side), problem.cols.div_ceil(side)];
    let count = tiles[0] * tiles[1];
    let (positions, panels) = ((side + 2) * (side + 2), kernel.panels());
    let room = count.next_multiple_of(kernel.tile_multiple());
    let sizes = WinogradSizes { positions, channels, panel_channels, panels, tiles: room, sums_tiles: room };
    let packed = Packed::new(problem, 0, 0);
    let weights = GuardedBuffer::new(bytemuck::cast_slice(&packed.bytes), 64, placement);
    let src = GuardedBuffer::new(&problem.src, 1, placement);
    let rubbish = GuardedBuffer::new(&vec![0xa5; channels], 1, placement);
    let mut parameters = problem.parameters.guarded(placement);
    let places: Vec<TilePlace> = (0..count)
        .map(|tile| {
            let (row, col) = (tile / tiles[1] * side, tile % tiles[1] * side);
            TilePlace { row, col, rows: (problem.rows - row).min(side), cols: (problem.cols - col).min(side) }
        })
        .collect();
    let mut parts = [sizes.tiles_stride(), sizes.panel_stride(), sizes.sums_stride()]
        .map(|stride| scratch((sizes.positions * stride).next_multiple_of(64)));
    let [transformed, panel, sums] = parts.each_mut().map(|part| part.bytes_mut().as_mut_ptr());
    for (tile, place) in places.iter().enumerate() {
        let pixel = |at: usize| {
            let (row, col) = (place.row + at / (side + 2), place.col + at % (side + 2));
            let inside = row < problem.rows + 2 && col < problem.src_cols;
            if inside { src.as_ptr().wrapping_add((row * problem.src_cols + col) * problem.src_pixel) } else { rubbish.as_ptr() }
        };
        let pixels: Vec<*const u8> = (0..sizes.positions).map(pixel).collect();
        // SAFETY: source pixels, or rubbish of the same length; the buffers have the sizes of the run.
        unsafe { kernel.transform_tile(&sizes, &pixels, transformed.add(tile * sizes.tile_bytes())) };
    }
    let residual = parameters.residual.as_ptr();
    let epilogue = Int8Epilogue {
        stored_channels: problem.parameters.stored_channels,
        mult: parameters.mult.as_ptr().cast(),
        bias: parameters.bias.as_ptr().cast(),
        output: problem.parameters.output(parameters.dst.as_mut_ptr(), residual),
    };
    let stored = problem.parameters.stored_channels;
    for first in (0..stored).step_by(PANEL_CHANNELS * panels) {
        let together = || (first..stored.min(first + PANEL_CHANNELS * panels)).step_by(PANEL_CHANNELS).enumerate();
        // SAFETY: the panels are packed ones, the buffers have the sizes of the run, and the destination holds the tiles' outputs.
        unsafe {
            for start in (0..channels).step_by(panel_channels) {
                let some = start..(start + panel_channels).min(channels);
                for (index, channel) in together() {
                    let weights = weights.as_ptr().cast::<i8>().add(channel / PANEL_CHANNELS * packed.panel_stride);
                    kernel.transform_panel(&sizes, weights, some.clone(), panel.add(index * WinogradSizes::PAIR_BYTES));
                }
                kernel.multiply(&sizes, count, some, transformed, panel, sums);
            }
            for (index, channel) in together() {
                let comp = parameters.comp.as_ptr().cast::<i32>().add(channel);
                kernel.finish(&sizes, sums.add(index * WinogradSizes::PANEL_SUMS_BYTES), &places, &epilogue, channel, comp);
            }
        }
    }
    parameters.dst.bytes().to_vec()
}
