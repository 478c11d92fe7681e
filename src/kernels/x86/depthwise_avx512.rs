//! `u8s8s32-dw-1x64-avx512_vnni`: depthwise convolution, four taps a `vpdpbusd`, 64 channels of a pixel at a time.
//!
//! `vpdpbusd` adds four neighbouring products, so four taps of a channel must lie side by side. Byte and word unpacks of
//! four vectors of 64 channels do that, and leave the channels in an order that the epilogue's packs undo:
//!
//! ```text
//! taps a b c d            zmm of 64 channels each, lane L holds channels 16 L .. 16 L + 16
//! unpack bytes, words     quarter q: lane L holds (a b c d) of channels 16 L + 4 q .. 16 L + 4 q + 4
//! acc[q] += quarter[q] . weights[q]          comp, weights, mult and bias are brought into that order once a block
//! cvt, fma, min, cvt      4 quarters
//! packs_epi32, packus     lane L: channels 16 L .. 16 L + 16, in order
//! ```
//!
//! 3 x 3 taps take a column a group (the fourth row is zero), so that a column that is once unpacked serves three
//! neighbouring outputs (stride 1; two at stride 2): 3 loads, 8 unpacks, 12 products and 25 operations of the epilogue for
//! 64 outputs. Other kernels, and borders, take their taps four by four. Nothing is copied.
//!
//! The last channels: 33 to 64 fill a vector more or less; up to 32 share it between two rows of output pixels, up to 16
//! between four, each in lanes of its own.
//!
//! Scratch: the tables in quarter order, the weights of each group, the source offset of each tap.
//!
//! Tails: loads are masked to the channels that are there, stores to those that are stored. Residuals, and outputs other
//! than bytes, go through memory to `epilogue_avx512`. Overflow: none in i32; the convert step bounds the number of taps.
use super::depthwise_lanes::{GROUP_TAPS, LANES, from_lanes, interleave, load, low_bits, store, store_masked};
use super::epilogue_avx512::{Panels, store_rows};
use crate::isa::{Avx512Vnni, Isa};
use crate::kernels::{DepthwiseBlock, DepthwiseKernel, Int8Epilogue, Int8Output, Position, Requantize};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Channels of a vector of bytes.
const VECTOR_CHANNELS: usize = LANES * PANEL_CHANNELS;
/// Rows and columns of the kernels that reuse unpacked columns.
const ROWS: usize = 3;
const COLUMNS: usize = 3;

/// Tables of the channels of a vector, in quarter order.
#[repr(C)]
struct Tables {
    comp: [__m512i; 4],
    mult: [__m512; 4],
    bias: [__m512; 4],
}

/// Weights of a group of taps, in quarter order.
type GroupWeights = [__m512i; 4];

/// The AVX-512 VNNI depthwise kernel; it holds the proof that this CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseAvx512 {
    _proof: Avx512Vnni,
}

impl DepthwiseAvx512 {
    /// The kernel, on a CPU with AVX-512 VNNI.
    pub fn new(proof: Avx512Vnni) -> Self {
        Self { _proof: proof }
    }
}

// SAFETY: `run` reads and writes what the block describes: rows, pixels and taps are walked in order, and masks keep loads
// and stores to the channels that are there.
unsafe impl DepthwiseKernel for DepthwiseAvx512 {
    fn name(&self) -> &'static str {
        "u8s8s32-dw-1x64-avx512_vnni"
    }

    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }

    fn scratch_bytes(&self, taps: usize) -> usize {
        size_of::<Tables>() + group_bound(taps) * (size_of::<GroupWeights>() + GROUP_TAPS * size_of::<isize>())
    }

    unsafe fn run(&self, block: &DepthwiseBlock, scratch: &mut [u8]) {
        let taps = block.taps.rows * block.taps.cols;
        assert!(scratch.len() >= self.scratch_bytes(taps), "scratch is smaller than scratch_bytes");
        let tables = scratch.as_mut_ptr().cast::<Tables>();
        let epilogue = block.epilogue();
        for channel in (0..block.stored_channels).step_by(VECTOR_CHANNELS) {
            let stored = (block.stored_channels - channel).min(VECTOR_CHANNELS);
            let present = block.channels.saturating_sub(channel).min(VECTOR_CHANNELS);
            // SAFETY: the scratch is 64-byte aligned and has room for the tables, `group_bound` groups of weights and
            // their offsets behind one another.
            let job = unsafe {
                let weights = tables.add(1).cast::<GroupWeights>();
                let offsets = weights.add(group_bound(taps)).cast::<isize>();
                Job { block, epilogue: &epilogue, channel, stored, present, tables, weights, offsets }
            };
            // SAFETY: the token proves the instructions; the channels are the block's.
            unsafe {
                match stored.div_ceil(PANEL_CHANNELS) {
                    1 => job.run::<4>(),
                    2 => job.run::<2>(),
                    _ => job.run::<1>(),
                }
            }
        }
    }
}

/// The largest number of groups that so many taps make.
fn group_bound(taps: usize) -> usize {
    taps.div_ceil(GROUP_TAPS).max(COLUMNS)
}

/// One vector of channels of a block.
struct Job<'a> {
    block: &'a DepthwiseBlock,
    epilogue: &'a Int8Epilogue,
    /// The first channel.
    channel: usize,
    /// Channels to store, and to read.
    stored: usize,
    present: usize,
    tables: *mut Tables,
    weights: *mut GroupWeights,
    offsets: *mut isize,
}

impl Job<'_> {
    /// All pixels, `S` rows of them at a time, each in `LANES / S` lanes.
    ///
    /// # Safety
    /// As for [`DepthwiseKernel::run`], on a CPU with AVX-512 VNNI; the scratch has room for what is written here, and
    /// the channels are at most `LANES / S` panels.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn run<const S: usize>(&self) {
        let (block, taps) = (self.block, &self.block.taps);
        let bytes = matches!(self.epilogue.output, Int8Output::U8 { residual: None, requantize: Requantize { within_i32: true, .. }, .. });
        let stride = [1, 2].into_iter().find(|stride| stride * taps.src_col_stride == block.src.col_stride);
        let columns = bytes && stride.is_some() && taps.rows == ROWS && taps.cols == COLUMNS;
        // SAFETY: the caller's promise, for every row and the taps of the block.
        unsafe {
            self.write_tables::<S>();
            self.write_weights::<S>(columns);
            for row in (0..block.rows).step_by(S) {
                let rows = (block.rows - row).min(S);
                match (columns, bytes, stride) {
                    (true, _, Some(1)) => self.row_of_columns::<S, 1>(row, rows),
                    (true, ..) => self.row_of_columns::<S, 2>(row, rows),
                    (false, true, _) => self.row_of_groups::<S, true>(row, rows),
                    (false, false, _) => self.row_of_groups::<S, false>(row, rows),
                }
            }
        }
    }

    /// The panel that lane `lane` of a vector holds: the lanes of each row hold all of them; a lane too many repeats one.
    fn panel<const S: usize>(&self, lane: usize) -> usize {
        let panels = self.stored.div_ceil(PANEL_CHANNELS);
        self.channel / PANEL_CHANNELS + (lane % (LANES / S)).min(panels - 1)
    }

    /// Writes `comp`, `mult` and `bias` in quarter order.
    ///
    /// # Safety
    /// As for [`Job::run`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn write_tables<const S: usize>(&self) {
        for lane in 0..LANES {
            let first = self.panel::<S>(lane) * PANEL_CHANNELS;
            for quarter in 0..4 {
                let from = first + quarter * 4;
                // SAFETY: 16 entries of a panel are readable; each lane of a quarter is 4 entries of the table.
                unsafe {
                    let lane_of = |table: *mut __m512i| table.add(quarter).cast::<__m128i>().add(lane);
                    let load = |table: *const u8| _mm_loadu_si128(table.add(from * 4).cast());
                    _mm_store_si128(lane_of((&raw mut (*self.tables).comp).cast()), load(self.block.comp.cast()));
                    _mm_store_si128(lane_of((&raw mut (*self.tables).mult).cast()), load(self.block.mult.cast()));
                    _mm_store_si128(lane_of((&raw mut (*self.tables).bias).cast()), load(self.block.bias.cast()));
                }
            }
        }
    }

    /// Writes the weights of each group, a column of taps or four of them in a row, and the offset of each tap of the
    /// latter; what a group lacks has zero weights and the last tap's offset.
    ///
    /// # Safety
    /// As for [`Job::run`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn write_weights<const S: usize>(&self, columns: bool) {
        let taps = &self.block.taps;
        let count = taps.rows * taps.cols;
        let groups = if columns { COLUMNS } else { count.div_ceil(GROUP_TAPS) };
        for group in 0..groups {
            let mut rows = [_mm512_setzero_si512(); GROUP_TAPS];
            for (slot, vector) in rows.iter_mut().enumerate() {
                let tap = group * GROUP_TAPS + slot;
                let (row, col) = if columns { (slot, group) } else { (tap / taps.cols, tap % taps.cols) };
                if !columns {
                    let last = count - 1;
                    let (row, col) = if tap < count { (row, col) } else { (last / taps.cols, last % taps.cols) };
                    let offset = row as isize * taps.src_row_stride + col as isize * taps.src_col_stride;
                    // SAFETY: a group has an offset for each tap.
                    unsafe { self.offsets.add(tap).write(offset) };
                }
                if row >= taps.rows {
                    continue;
                }
                let mut lanes = [_mm_setzero_si128(); LANES];
                for (lane, weights) in lanes.iter_mut().enumerate() {
                    let at = self.panel::<S>(lane) * self.block.panel_stride + row * taps.weight_row_stride + col * taps.weight_col_stride;
                    // SAFETY: the tap is the block's, and a panel has 16 weights of it.
                    *weights = unsafe { _mm_loadu_si128(self.block.weights.add(at).cast()) };
                }
                *vector = from_lanes(lanes);
            }
            // SAFETY: the scratch has room for the group.
            unsafe { self.weights.add(group).write(interleave(rows)) };
        }
    }

    /// The source addresses of `S` rows from `row` on at pixel 0; a row that is not there repeats the last.
    ///
    /// # Safety
    /// As for [`Job::run`]; `rows` rows from `row` on are the block's.
    #[inline(always)]
    unsafe fn sources<const S: usize>(&self, row: usize, rows: usize) -> [*const u8; S] {
        // SAFETY: the caller's promise.
        std::array::from_fn(|s| unsafe { self.block.src.at(row + s.min(rows - 1), 0).add(self.channel) })
    }

    /// A row (or `S` of them) of bytes, whose outputs share unpacked columns of 3 taps.
    ///
    /// # Safety
    /// As for [`Job::run`]: `rows` rows from `row` on are the block's; columns of the source lie `src_col_stride` apart,
    /// outputs `STRIDE` of them; the output is bytes without a residual.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn row_of_columns<const S: usize, const STRIDE: usize>(&self, row: usize, rows: usize) {
        let taps = &self.block.taps;
        let cols = self.block.cols;
        if cols == 0 {
            return;
        }
        let (row_stride, col_stride) = (taps.src_row_stride, taps.src_col_stride);
        // SAFETY: the caller's promise.
        let mut src = unsafe { self.sources::<S>(row, rows) };
        let mask = low_bits(self.present);
        let mut column = || {
            // SAFETY: the taps are the block's; the mask keeps to its channels.
            let taps = unsafe {
                let second = src.map(|src| src.offset(row_stride));
                let third = src.map(|src| src.offset(2 * row_stride));
                [load::<S>(src, mask), load::<S>(second, mask), load::<S>(third, mask), _mm512_setzero_si512()]
            };
            src = src.map(|src| src.wrapping_offset(col_stride));
            interleave(taps)
        };
        // SAFETY: written by `write_tables` and `write_weights`.
        let (tables, weights) = unsafe { (&*self.tables, &*self.weights.cast::<[GroupWeights; COLUMNS]>()) };
        let Some(bytes) = self.bytes(row, rows) else { return };
        if STRIDE == 2 {
            let mut first = column();
            for col in 0..cols {
                let acc = add_products(tables.comp, first, &weights[0]);
                let acc = add_products(acc, column(), &weights[1]);
                first = column();
                let acc = add_products(acc, first, &weights[2]);
                // SAFETY: the pixel is the block's.
                unsafe { self.store_bytes::<S>(&bytes, col, acc) };
            }
        } else {
            // An output's sums begin with one column and end two columns later.
            let mut ending = add_products(tables.comp, column(), &weights[0]);
            let second = column();
            ending = add_products(ending, second, &weights[1]);
            let mut going = add_products(tables.comp, second, &weights[0]);
            for col in 0..cols {
                let taps = column();
                let acc = add_products(ending, taps, &weights[2]);
                ending = add_products(going, taps, &weights[1]);
                going = add_products(tables.comp, taps, &weights[0]);
                // SAFETY: the pixel is the block's.
                unsafe { self.store_bytes::<S>(&bytes, col, acc) };
            }
        }
    }

    /// A row (or `S` of them) of any kernel, four taps by four. BYTES: the output is bytes without a residual.
    ///
    /// # Safety
    /// As for [`Job::run`]: `rows` rows from `row` on are the block's.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn row_of_groups<const S: usize, const BYTES: bool>(&self, row: usize, rows: usize) {
        let groups = (self.block.taps.rows * self.block.taps.cols).div_ceil(GROUP_TAPS);
        // SAFETY: the caller's promise.
        let mut src = unsafe { self.sources::<S>(row, rows) };
        let mask = low_bits(self.present);
        let bytes = if BYTES { self.bytes(row, rows) } else { None };
        for col in 0..self.block.cols {
            // SAFETY: tables, weights and offsets were written for these taps; taps and pixel are the block's.
            unsafe {
                let mut acc = (*self.tables).comp;
                for group in 0..groups {
                    let offsets = self.offsets.add(group * GROUP_TAPS);
                    let tap = |slot: usize| load::<S>(src.map(|src| src.offset(*offsets.add(slot))), mask);
                    acc = add_products(acc, interleave([tap(0), tap(1), tap(2), tap(3)]), &*self.weights.add(group));
                }
                match &bytes {
                    Some(bytes) => self.store_bytes::<S>(bytes, col, acc),
                    None => self.store_in_memory_order::<S>(row, rows, col, acc),
                }
            }
            src = src.map(|src| src.wrapping_offset(self.block.src.col_stride));
        }
    }

    /// Where and how `rows` rows from `row` on are stored, if they are bytes without a residual.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    fn bytes(&self, row: usize, rows: usize) -> Option<Bytes> {
        let Int8Output::U8 { dst, residual: None, requantize } = &self.epilogue.output else { return None };
        let Requantize { zero_point, low, high, within_i32: true } = *requantize else { return None };
        Some(Bytes {
            start: dst.start.wrapping_offset(row as isize * dst.row_stride + self.channel as isize),
            row_stride: dst.row_stride,
            col_stride: dst.col_stride,
            rows,
            zero_point: _mm512_set1_epi16(zero_point as i16),
            lowest: _mm512_set1_epi8((low as i32 + zero_point) as u8 as i8),
            highest: _mm512_set1_epi8((high as i32 + zero_point) as u8 as i8),
        })
    }

    /// Finishes pixel `col` of rows of bytes.
    ///
    /// # Safety
    /// As for [`Job::run`]; the pixel is the block's, and the tables are written.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn store_bytes<const S: usize>(&self, to: &Bytes, col: usize, acc: [__m512i; 4]) {
        // SAFETY: `write_tables` has been there.
        let tables = unsafe { &*self.tables };
        let word = |q: usize| {
            // It stays within i32, so both clamps may stand behind the packs.
            _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[q]), tables.mult[q], tables.bias[q]))
        };
        let first = _mm512_adds_epi16(_mm512_packs_epi32(word(0), word(1)), to.zero_point);
        let second = _mm512_adds_epi16(_mm512_packs_epi32(word(2), word(3)), to.zero_point);
        let bytes = _mm512_max_epu8(_mm512_min_epu8(_mm512_packus_epi16(first, second), to.highest), to.lowest);
        let dst = to.start.wrapping_offset(col as isize * to.col_stride);
        // SAFETY: the pixels are the block's; the whole of them is stored only where all its channels are.
        unsafe {
            if self.stored == VECTOR_CHANNELS / S {
                store::<S>(dst, to.row_stride, to.rows, bytes);
            } else {
                store_masked::<S>(dst, to.row_stride, to.rows, bytes, low_bits(self.stored));
            }
        }
    }

    /// Finishes pixel `col` of `rows` rows from `row` on for every output: brings the sums into order first.
    ///
    /// # Safety
    /// As for [`Job::store_bytes`].
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
    unsafe fn store_in_memory_order<const S: usize>(&self, row: usize, rows: usize, col: usize, acc: [__m512i; 4]) {
        let mut lanes = [[0i32; PANEL_CHANNELS]; LANES];
        for (q, acc) in acc.into_iter().enumerate() {
            let mut quarter = [0i32; PANEL_CHANNELS];
            // SAFETY: 16 entries of our own.
            unsafe { _mm512_storeu_si512(quarter.as_mut_ptr().cast(), acc) };
            for (lane, four) in quarter.chunks_exact(4).enumerate() {
                lanes[lane][4 * q..4 * q + 4].copy_from_slice(four);
            }
        }
        for s in 0..S.min(rows) {
            for panel in 0..self.stored.div_ceil(PANEL_CHANNELS) {
                let panels = Panels::<1> { epilogue: self.epilogue, channel: self.channel + panel * PANEL_CHANNELS };
                let sums = lanes[s * (LANES / S) + panel].as_ptr().cast();
                // SAFETY: the sums are one pixel's and panel's; the pixel is the block's.
                unsafe { store_rows(panels, sums, 0, Position { row: row + s, col }, 1) };
            }
        }
    }
}

/// Rows of output pixels that are computed together, as bytes without a residual.
struct Bytes {
    /// The first row's first pixel at the first channel.
    start: *mut u8,
    row_stride: isize,
    col_stride: isize,
    rows: usize,
    zero_point: __m512i,
    lowest: __m512i,
    highest: __m512i,
}

/// `acc + taps . weights`, quarter by quarter.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn add_products(acc: [__m512i; 4], taps: [__m512i; 4], weights: &GroupWeights) -> [__m512i; 4] {
    [
        _mm512_dpbusd_epi32(acc[0], taps[0], weights[0]),
        _mm512_dpbusd_epi32(acc[1], taps[1], weights[1]),
        _mm512_dpbusd_epi32(acc[2], taps[2], weights[2]),
        _mm512_dpbusd_epi32(acc[3], taps[3], weights[3]),
    ]
}
