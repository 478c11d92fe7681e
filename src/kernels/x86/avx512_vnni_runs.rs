//! What the assembly of `avx512_vnni_walk` is told of a block: its taps, its results, and the runs of tiles.
use super::avx512_vnni_job::{EARLY_STEPS, Epilogue, NARROW_TILE_PIXELS, PACKED_ORDER, RunAddresses, TILE_PIXELS, TapWalk, TileJob};
use super::avx512_vnni_walk::walk;
use super::pixel_tiles::{PixelTile, TileRun};
use super::weights_ahead::WeightsAhead;
use crate::kernels::{Int8Block, Int8Output, Pixels, Position};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};

/// Runs of tiles that are handed to the assembly together.
const WALKED_RUNS: usize = 16;

/// Tiles of 14 and 12 pixels of whole panels that become bytes or floats: most of most layers.
pub struct WalkedTiles {
    job: TileJob,
    epilogue: Epilogue,
    dst: Pixels<*mut u8>,
    residual: Option<Pixels<*const u8>>,
    /// Bytes of a result.
    element_bytes: usize,
}

impl WalkedTiles {
    /// For a block whose taps are long enough, and whose floats stay within i32 where they become bytes.
    pub fn of(block: &Int8Block) -> Option<Self> {
        let taps = &block.taps;
        let run_bytes = (taps.run * K_GROUP) as isize;
        let walk = TapWalk {
            run: taps.run,
            rows: taps.rows,
            cols: taps.cols,
            src_to_next_col: taps.src_col_stride - run_bytes,
            src_to_next_row: taps.src_row_stride - (taps.cols as isize - 1) * taps.src_col_stride - run_bytes,
            weights_to_next_col: taps.weight_col_stride as isize - (taps.run * ROW_BYTES) as isize,
            weights_to_next_row: taps.weight_row_stride as isize
                - (taps.cols as isize - 1) * taps.weight_col_stride as isize
                - (taps.run * ROW_BYTES) as isize,
        };
        if taps.run < EARLY_STEPS || taps.rows == 0 || taps.cols == 0 {
            return None;
        }
        let mut job = TileJob { walk, ..EMPTY_JOB };
        (job.weights, job.panel_stride, job.fetched, job.src_stride) =
            (block.weights, block.panel_stride, block.weights, block.src.col_stride);
        let (dst, residual, epilogue) = match &block.output {
            Int8Output::U8 { dst, residual, requantize } if requantize.within_i32 => {
                let end = |end: f32| [(end as i32 + requantize.zero_point) as u8; 64];
                (job.low, job.high) = (end(requantize.low), end(requantize.high));
                job.zero_point = [requantize.zero_point as i16; 32];
                job.residual_zero_point = [residual.map_or(0, |residual| residual.zero_point); 16];
                job.residual_ratio = [residual.map_or(0.0, |residual| residual.ratio); 16];
                let from_0 = requantize.zero_point == 0 && residual.is_none_or(|residual| residual.zero_point == 0);
                let whole_range = from_0 && requantize.low <= 0.0 && requantize.high >= 255.0;
                let epilogue = if whole_range { Epilogue::WholeRange } else { Epilogue::AnyRange };
                (*dst, residual.map(|residual| residual.src), epilogue)
            }
            Int8Output::F32 { dst, residual, low, high } => {
                (job.least, job.most) = ([*low; 16], [*high; 16]);
                job.capped = usize::from(*high != f32::INFINITY);
                (*dst, *residual, Epilogue::Floats)
            }
            _ => return None,
        };
        job.added = usize::from(residual.is_some());
        job.dst_stride = dst.col_stride;
        job.residual_stride = residual.map_or(0, |residual| residual.col_stride);
        let element_bytes = if epilogue == Epilogue::Floats { size_of::<f32>() } else { 1 };
        Some(Self { job, epilogue, dst, residual, element_bytes })
    }

    /// The tiles of two panels; those that the assembly has no code for by `one_by_one`.
    ///
    /// # Safety
    /// The CPU has AVX512-VNNI; the tiles are the block's, of whose panels two from `panel` on are stored.
    pub unsafe fn run(
        &mut self,
        block: &Int8Block,
        panel: usize,
        runs: impl Iterator<Item = TileRun>,
        coming: &WeightsAhead,
        one_by_one: impl Fn(PixelTile),
    ) {
        let channel = panel * PANEL_CHANNELS;
        let job = &mut self.job;
        job.weights = block.weights.wrapping_add(panel * block.panel_stride);
        // SAFETY: `comp`, `mult` and `bias` have entries for whole panels.
        unsafe {
            job.comp = block.comp.add(channel).cast::<[i32; 32]>().read_unaligned();
            job.mult = block.mult.add(channel).cast::<[f32; 32]>().read_unaligned();
            job.bias = block.bias.add(channel).cast::<[f32; 32]>().read_unaligned();
        }
        job.fetch_step = coming.step();
        let mut gathered = [NOWHERE; WALKED_RUNS];
        let (mut count, mut pixels) = (0, TILE_PIXELS);
        for run in runs {
            if ![TILE_PIXELS, NARROW_TILE_PIXELS].contains(&run.tile.pixels) {
                run.each().for_each(&one_by_one);
                continue;
            }
            if count == WALKED_RUNS || pixels != run.tile.pixels {
                // SAFETY: the caller's promise: the pixels, taps and panels are the block's.
                unsafe { self.walk(&mut gathered[..count], pixels, coming) };
                (count, pixels) = (0, run.tile.pixels);
            }
            // SAFETY: the pixels are the block's.
            gathered[count] = unsafe { self.addresses(block, channel, run) };
            count += 1;
        }
        // SAFETY: as above.
        unsafe { self.walk(&mut gathered[..count], pixels, coming) };
    }

    /// # Safety
    /// As [`walk`].
    unsafe fn walk(&mut self, runs: &mut [RunAddresses], pixels: usize, coming: &WeightsAhead) {
        self.job.fetched = coming.fetching().at;
        // SAFETY: the caller's promise.
        unsafe { walk(&mut self.job, runs, pixels, self.epilogue) };
        coming.went_on(self.job.fetched);
    }

    /// Where a run of tiles lies, from `channel` on.
    ///
    /// # Safety
    /// The tiles are the block's.
    unsafe fn addresses(&self, block: &Int8Block, channel: usize, run: TileRun) -> RunAddresses {
        let both = [run.tile.first, run.tile.second];
        let mut addresses = RunAddresses {
            src: both.map(|at| pixel_address(&block.src, at)),
            // SAFETY: the caller's promise.
            dst: both.map(|at| unsafe { self.dst.at(at.row, at.col).add(channel * self.element_bytes) }),
            src_step: distance(&block.src, run.to_next),
            dst_step: distance(&self.dst, run.to_next),
            tiles: run.tiles,
            ..NOWHERE
        };
        if let Some(residual) = &self.residual {
            // SAFETY: the residual has the block's pixels too.
            addresses.residual = both.map(|at| unsafe { residual.at(at.row, at.col).add(channel * self.element_bytes) });
            addresses.residual_step = distance(residual, run.to_next);
        }
        addresses
    }
}

/// No tiles.
const NOWHERE: RunAddresses = RunAddresses {
    src: [std::ptr::null(); 2],
    dst: [std::ptr::null_mut(); 2],
    residual: [std::ptr::null(); 2],
    src_step: 0,
    dst_step: 0,
    residual_step: 0,
    tiles: 0,
};

/// A job of which nothing is known yet.
const EMPTY_JOB: TileJob = TileJob {
    comp: [0; 32],
    mult: [0.0; 32],
    bias: [0.0; 32],
    zero_point: [0; 32],
    high: [0; 64],
    low: [0; 64],
    order: PACKED_ORDER,
    residual_zero_point: [0; 16],
    residual_ratio: [0.0; 16],
    least: [0.0; 16],
    most: [0.0; 16],
    weights: std::ptr::null(),
    panel_stride: 0,
    fetched: std::ptr::null(),
    fetch_step: 0,
    src_stride: 0,
    dst_stride: 0,
    residual_stride: 0,
    added: 0,
    capped: 0,
    walk: TapWalk { run: 0, rows: 0, cols: 0, src_to_next_col: 0, src_to_next_row: 0, weights_to_next_col: 0, weights_to_next_row: 0 },
};

/// Bytes from a pixel to another.
#[inline(always)]
pub fn distance<P>(pixels: &Pixels<P>, to: Position) -> isize {
    to.row as isize * pixels.row_stride + to.col as isize * pixels.col_stride
}

/// The address of a pixel of a block.
#[inline(always)]
pub fn pixel_address(src: &Pixels<*const u8>, at: Position) -> *const u8 {
    src.start.wrapping_offset(distance(src, at))
}
