//! Depthwise convolutions: output channel `c` sees input channel `c` alone. Weights are packed `[c/16][taps][16]`.
use super::geometry::{ConvGeometry, PartRanges, Region, Split};
use super::int8_channels::{ChannelTables, Int8Weights, OutputScale};
use super::placement::{Int8Result, LayerTensors, pixel_bytes, source_pixels};
use crate::error::{Error, Result};
use crate::graph::Bounds;
use crate::kernels::{DepthwiseBlock, DepthwiseKernel, F32Block, F32DepthwiseKernel, Taps};
use crate::ops::step::{Step, StepInfo, StepRun};
use crate::packed::PANEL_CHANNELS;
use crate::tensor::{SharedBytes, round_up};
use std::sync::Arc;

/// What both element types share: sizes, regions, and the taps of a piece.
struct Depthwise {
    /// As one group of `out_channels` channels with one input channel each.
    geometry: ConvGeometry,
    regions: Vec<Region>,
    /// Bytes of one weight.
    weight_bytes: usize,
}

impl Depthwise {
    fn new(geometry: ConvGeometry, weight_bytes: usize) -> Self {
        let geometry = ConvGeometry { groups: 1, in_channels: 1, ..geometry };
        Self { regions: geometry.regions(), geometry, weight_bytes }
    }

    fn ranges(&self, run: &StepRun<'_>) -> PartRanges {
        let split = if self.geometry.output[0] >= run.part.count { Split::Pixels } else { Split::Channels };
        self.geometry.part_ranges(run.part, split, 1)
    }

    fn taps_len(&self) -> usize {
        self.geometry.kernel[0] * self.geometry.kernel[1]
    }

    /// Taps are not merged: each is one value a channel.
    fn taps(&self, piece: &Region, pixel: usize) -> Taps {
        let row = PANEL_CHANNELS * self.weight_bytes;
        Taps {
            rows: piece.tap_rows.len(),
            cols: piece.tap_cols.len(),
            run: 1,
            src_row_stride: (self.geometry.dilations[0] * self.geometry.input[1] * pixel) as isize,
            src_col_stride: (self.geometry.dilations[1] * pixel) as isize,
            weight_row_stride: self.geometry.kernel[1] * row,
            weight_col_stride: row,
        }
    }

    /// Index of the first weight of a piece for channels from `channel` on.
    fn first_weight(&self, piece: &Region, channel: usize) -> usize {
        let tap = piece.tap_rows.start * self.geometry.kernel[1] + piece.tap_cols.start;
        (channel / PANEL_CHANNELS * self.taps_len() + tap) * PANEL_CHANNELS
    }

    fn panel_stride(&self) -> usize {
        self.taps_len() * PANEL_CHANNELS * self.weight_bytes
    }
}

/// An int8 depthwise convolution.
pub struct Int8DepthwiseStep {
    info: StepInfo,
    kernel: Arc<dyn DepthwiseKernel>,
    depthwise: Depthwise,
    tables: ChannelTables,
    tensors: LayerTensors,
    result: Int8Result,
}

impl Int8DepthwiseStep {
    /// Plans the layer; `weights.tap_sums` is `[taps][c padded]`.
    ///
    /// # Errors
    /// A constant that is too short.
    pub fn new(
        info: StepInfo,
        kernel: Arc<dyn DepthwiseKernel>,
        geometry: ConvGeometry,
        weights: Int8Weights,
        scale: OutputScale,
        tensors: LayerTensors,
        result: Int8Result,
    ) -> Result<Self> {
        let info = StepInfo { kernel: kernel.name(), macs: geometry.macs(), ..info };
        let depthwise = Depthwise::new(geometry, size_of::<i8>());
        let panel_bytes = round_up(depthwise.geometry.out_channels, PANEL_CHANNELS) * depthwise.taps_len();
        let tables = ChannelTables::new(&depthwise.geometry, weights, scale, &depthwise.regions, panel_bytes)?;
        let result = tables.bounded(depthwise.taps_len(), result);
        Ok(Self { info, kernel, depthwise, tables, tensors, result })
    }
}

impl Step for Int8DepthwiseStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (depthwise, geometry) = (&self.depthwise, &self.depthwise.geometry);
        let ranges = depthwise.ranges(run);
        if ranges.channels.is_empty() {
            return Ok(());
        }
        let pixel = pixel_bytes(&self.tensors.src);
        let (channel, channels) = (ranges.channels.start, ranges.channels.len());
        let all = geometry.out_channels;
        let padded = if ranges.channels.end == all { self.tensors.dst.layout.inner_padding() } else { 0 };
        let stored_channels = if matches!(self.result, Int8Result::U8 { .. }) { channels + padded } else { channels };
        let (table_scratch, kernel_scratch) = run.scratch.split_at_mut(self.tables.scratch_bytes());
        for image in 0..run.samples * self.tensors.images() {
            let tables = self.tables.of_image(run.memory, (image, self.tensors.images()), table_scratch);
            let addresses = self.tensors.at(run.memory, image);
            for piece in depthwise.regions.iter().flat_map(|region| ranges.pieces(region, usize::MAX)) {
                let (comp, mult, bias) = tables.at(self.tables.class_of(&piece), 0, channel);
                let block = DepthwiseBlock {
                    src: source_pixels(addresses.src, pixel, geometry, &piece, channel),
                    rows: piece.rows.len(),
                    cols: piece.cols.len(),
                    taps: depthwise.taps(&piece, pixel),
                    weights: self.tables.panels().wrapping_add(depthwise.first_weight(&piece, channel)),
                    panel_stride: depthwise.panel_stride(),
                    channels,
                    stored_channels,
                    comp,
                    mult,
                    bias,
                    output: self.tensors.int8_output(&self.result, &addresses, geometry, &piece, channel),
                };
                // SAFETY: all taps of the piece are valid, so every source pixel lies inside the input; weights and tables
                // cover the channels (checked when planned); parts write disjoint places.
                unsafe { self.kernel.run(&block, kernel_scratch) };
            }
        }
        Ok(())
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        self.tables.scratch_bytes() + self.kernel.scratch_bytes(self.depthwise.taps_len())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// An f32 depthwise convolution.
pub struct F32DepthwiseStep {
    info: StepInfo,
    kernel: Arc<dyn F32DepthwiseKernel>,
    depthwise: Depthwise,
    panels: SharedBytes,
    bias: Option<SharedBytes>,
    tensors: LayerTensors,
    bounds: Bounds,
}

impl F32DepthwiseStep {
    /// Plans the layer; `bias` is `[c padded]`.
    ///
    /// # Errors
    /// A constant that is too short.
    pub fn new(
        info: StepInfo,
        kernel: Arc<dyn F32DepthwiseKernel>,
        geometry: ConvGeometry,
        panels: SharedBytes,
        bias: Option<SharedBytes>,
        tensors: LayerTensors,
        bounds: Bounds,
    ) -> Result<Self> {
        let info = StepInfo { kernel: kernel.name(), macs: geometry.macs(), ..info };
        let depthwise = Depthwise::new(geometry, size_of::<f32>());
        let table_bytes = round_up(depthwise.geometry.out_channels, PANEL_CHANNELS) * size_of::<f32>();
        if panels.len() < table_bytes * depthwise.taps_len() || bias.as_ref().is_some_and(|bias| bias.len() < table_bytes) {
            return Err(Error::Graph(format!("node {}: packed weights are too short", info.name)));
        }
        Ok(Self { info, kernel, depthwise, panels, bias, tensors, bounds })
    }
}

impl Step for F32DepthwiseStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (depthwise, geometry) = (&self.depthwise, &self.depthwise.geometry);
        let ranges = depthwise.ranges(run);
        if ranges.channels.is_empty() {
            return Ok(());
        }
        let pixel = pixel_bytes(&self.tensors.src);
        let channel = ranges.channels.start;
        for image in 0..run.samples * self.tensors.images() {
            let addresses = self.tensors.at(run.memory, image);
            for piece in depthwise.regions.iter().flat_map(|region| ranges.pieces(region, usize::MAX)) {
                let weights = self.panels.as_ptr().cast::<f32>().wrapping_add(depthwise.first_weight(&piece, channel));
                let bias = self.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr().cast::<f32>().wrapping_add(channel));
                let block = F32Block {
                    src: source_pixels(addresses.src, pixel, geometry, &piece, channel * size_of::<f32>()),
                    rows: piece.rows.len(),
                    cols: piece.cols.len(),
                    taps: depthwise.taps(&piece, pixel),
                    weights,
                    panel_stride: depthwise.panel_stride(),
                    channels: ranges.channels.len(),
                    bias,
                    residual: self.tensors.residual_pixels(&addresses, geometry, &piece, channel),
                    low: self.bounds.low,
                    high: self.bounds.high,
                    dst: self.tensors.dst_pixels(&addresses, geometry, &piece, channel),
                };
                // SAFETY: as for the int8 step.
                unsafe { self.kernel.run(&block) };
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
