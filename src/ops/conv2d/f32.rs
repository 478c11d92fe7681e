//! f32 convolution and linear layers by the law of NUMERICS section 8: blocks for the f32 kernels.
use super::apart_rows::ApartRows;
use super::geometry::{ConvGeometry, Region, Split};
use super::placement::{ImageAddresses, LayerTensors, pixel_bytes, source_pixels, swap};
use crate::error::{Error, Result};
use crate::graph::Bounds;
use crate::kernels::{F32Block, F32Kernel, Pixels};
use crate::ops::step::{HELP_PARTS, Step, StepInfo, StepRun};
use crate::packed::PANEL_CHANNELS;
use crate::tensor::{SharedBytes, round_up};
use std::sync::Arc;

/// Weights that stay in L2 while pixel blocks pass by; above it one panel sweeps all pixels.
const CACHED_WEIGHT_BYTES: usize = 192 << 10;
/// Channels of a block where the weights do not stay in L2: all regions and images use a panel pair before the next one.
const CHANNEL_BLOCK: usize = 2 * PANEL_CHANNELS;
/// Source bytes of a pixel block: half of a 32 KB L1.
const SRC_BLOCK_BYTES: usize = 16 << 10;

/// An f32 convolution or linear layer.
pub struct F32ConvStep {
    info: StepInfo,
    kernel: Arc<dyn F32Kernel>,
    geometry: ConvGeometry,
    regions: Vec<Region>,
    panels: SharedBytes,
    bias: Option<SharedBytes>,
    tensors: LayerTensors,
    bounds: Bounds,
    split: Split,
    block_pixels: usize,
    /// Channels of a block.
    channel_block: usize,
    /// Where source pixels would crowd each other out of L1.
    apart: Option<ApartRows>,
}

impl F32ConvStep {
    /// Plans the layer. `panels` is packed as `crate::packed` says, `bias` is `[groups][oc padded]`.
    ///
    /// # Errors
    /// [`Error::Graph`] if a constant is too short.
    pub fn new(
        info: StepInfo,
        kernel: Arc<dyn F32Kernel>,
        geometry: ConvGeometry,
        panels: SharedBytes,
        bias: Option<SharedBytes>,
        tensors: LayerTensors,
        bounds: Bounds,
    ) -> Result<Self> {
        let geometry = geometry.collapsed();
        let shape = geometry.weight_shape();
        let weight_bytes = geometry.groups * shape.panels() * shape.panel_floats() * size_of::<f32>();
        let bias_bytes = geometry.groups * round_up(shape.oc, PANEL_CHANNELS) * size_of::<f32>();
        if panels.len() < weight_bytes || bias.as_ref().is_some_and(|bias| bias.len() < bias_bytes) {
            return Err(Error::Graph(format!("node {}: packed weights are too short", info.name)));
        }
        let split = geometry.preferred_split(weight_bytes, tensors.src.layout.held_bytes());
        let block_pixels = if weight_bytes > CACHED_WEIGHT_BYTES {
            usize::MAX
        } else {
            let tile = kernel.tile_pixels();
            let bytes_of_pixel = pixel_bytes(&tensors.src) * geometry.strides[0] * geometry.strides[1];
            round_up((SRC_BLOCK_BYTES / bytes_of_pixel.max(1)).max(4 * tile), tile)
        };
        let channel_block = if weight_bytes > CACHED_WEIGHT_BYTES { CHANNEL_BLOCK } else { usize::MAX };
        let regions = geometry.regions();
        let row_bytes = shape.ic * size_of::<f32>();
        let apart = ApartRows::new(&geometry, &regions, kernel.tile_pixels(), pixel_bytes(&tensors.src), row_bytes);
        let info = StepInfo { kernel: kernel.name(), macs: geometry.macs(), ..info };
        Ok(Self { info, kernel, geometry, regions, panels, bias, tensors, bounds, split, block_pixels, channel_block, apart })
    }

    /// Images whose pixels lie one after another in every tensor are one longer row.
    fn merged(&self, images: usize) -> Option<ConvGeometry> {
        let pixels = self.geometry.output_pixels();
        let mergeable = images > 1 && self.geometry.is_row() && self.tensors.are_dense_rows(pixels);
        mergeable.then(|| self.geometry.with_row(images * pixels))
    }

    /// The source pixels of a piece of a region for one group.
    fn source(&self, geometry: &ConvGeometry, piece: &Region, group: usize, image: &ImageAddresses) -> Pixels<*const u8> {
        let group_bytes = geometry.weight_shape().ic * size_of::<f32>();
        source_pixels(image.src, pixel_bytes(&self.tensors.src), geometry, piece, group * group_bytes)
    }

    /// The block of a piece of a region, whose source pixels are `src`, for some channels of one group.
    fn block(
        &self,
        geometry: &ConvGeometry,
        piece: &Region,
        group: usize,
        channels: std::ops::Range<usize>,
        image: &ImageAddresses,
        src: Pixels<*const u8>,
    ) -> F32Block {
        let shape = geometry.weight_shape();
        let pixel = pixel_bytes(&self.tensors.src);
        let taps = geometry.taps(piece, pixel, shape.ic, PANEL_CHANNELS * size_of::<f32>(), size_of::<f32>());
        let first_channel = group * shape.oc + channels.start;
        let residual = self.tensors.residual_pixels(image, geometry, piece, first_channel);
        let dst = self.tensors.dst_pixels(image, geometry, piece, first_channel);
        let panel = group * shape.panels() + channels.start / PANEL_CHANNELS;
        let first_tap = piece.tap_rows.start * geometry.kernel[1] + piece.tap_cols.start;
        let weight_offset = panel * shape.panel_floats() + first_tap * shape.ic * PANEL_CHANNELS;
        let bias_offset = group * round_up(shape.oc, PANEL_CHANNELS) + channels.start;
        let block = F32Block {
            src,
            rows: piece.rows.len(),
            cols: piece.cols.len(),
            taps,
            weights: self.panels.as_ptr().cast::<f32>().wrapping_add(weight_offset),
            panel_stride: shape.panel_floats() * size_of::<f32>(),
            channels: channels.len(),
            bias: self.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr().cast::<f32>().wrapping_add(bias_offset)),
            residual,
            low: self.bounds.low,
            high: self.bounds.high,
            dst,
        };
        if block.cols == 1 && block.rows > 1 { transposed(block) } else { block }
    }
}

/// The same block with rows and columns exchanged.
fn transposed(block: F32Block) -> F32Block {
    F32Block { src: swap(block.src), dst: swap(block.dst), residual: block.residual.map(swap), rows: block.cols, cols: block.rows, ..block }
}

impl Step for F32ConvStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let images = run.samples * self.tensors.images();
        let merged = self.merged(images);
        let geometry = merged.as_ref().unwrap_or(&self.geometry);
        let images = if merged.is_some() { 1 } else { images };
        let ranges = geometry.part_ranges(run.part, self.split, self.kernel.tile_pixels());
        if ranges.channels.is_empty() {
            return Ok(());
        }
        // A region of a merged row is the whole row.
        let whole_row = |region: &Region| match geometry.is_row() {
            true => Region { cols: 0..geometry.output[1], ..region.clone() },
            false => region.clone(),
        };
        let all = &ranges.channels;
        let blocks = || all.clone().step_by(self.channel_block.min(all.len()).max(1));
        let block_from = |start: usize| start..all.end.min(start.saturating_add(self.channel_block));
        // SAFETY (of both calls): all taps of the piece are valid, so every source pixel lies inside the input; weights and bias cover the
        // channels (checked when planned); parts write disjoint places.
        let run_block = |block: F32Block| unsafe { self.kernel.run(&block) };
        if let Some(apart) = self.apart.filter(|apart| apart.is_for(ranges.rows.len() * ranges.cols.len())) {
            let region = whole_row(&self.regions[0]);
            for (image, group) in (0..images).flat_map(|image| (0..geometry.groups).map(move |group| (image, group))) {
                let addresses = self.tensors.at(run.memory, image);
                for piece in ranges.pieces(&region, apart.pixels) {
                    let src = self.source(geometry, &piece, group, &addresses);
                    // SAFETY: as above.
                    let src = unsafe { apart.copy(&src, piece.rows.len(), piece.cols.len(), run.scratch) };
                    blocks().for_each(|start| run_block(self.block(geometry, &piece, group, block_from(start), &addresses, src)));
                }
            }
            return Ok(());
        }
        for (group, start) in (0..geometry.groups).flat_map(|group| blocks().map(move |start| (group, start))) {
            for region in self.regions.iter().map(whole_row) {
                for image in 0..images {
                    let addresses = self.tensors.at(run.memory, image);
                    for piece in ranges.pieces(&region, self.block_pixels) {
                        let src = self.source(geometry, &piece, group, &addresses);
                        run_block(self.block(geometry, &piece, group, block_from(start), &addresses, src));
                    }
                }
            }
        }
        Ok(())
    }

    fn help_parts(&self) -> usize {
        // Each part copies pixels anew.
        if self.apart.is_some() { 2 } else { HELP_PARTS }
    }

    fn scratch_bytes(&self, samples: usize) -> usize {
        let pixels = samples.saturating_mul(self.tensors.images()).saturating_mul(self.geometry.output_pixels());
        self.apart.map_or(0, |apart| apart.bytes(pixels))
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
