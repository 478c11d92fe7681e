//! Int8 convolution and linear layers: blocks for the int8 kernels, from pixels where they lie or from gathered panels.
mod by_tiles;
mod in_turn;

use super::apart_rows::ApartRows;
use super::bordered_columns::BorderedColumns;
use super::gather::Gather;
use super::geometry::{ConvGeometry, PartRanges, Region, Split};
use super::int8_channels::{ChannelTables, ImageTables, Int8Weights, OutputScale};
use super::placement::{ImageAddresses, Int8Result, LayerTensors, pixel_bytes, source_pixels, swap, swap_output};
use super::small_image::SmallImage;
use super::winograd::Winograd;
use crate::error::Result;
use crate::kernels::fetch::fetch_into_l2;
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, Pixels, SourceForm, SourceShape, Taps};
use crate::ops::step::{HELP_PARTS, Step, StepInfo, StepRun};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use crate::tensor::round_up;
use crate::threads::Part;
use std::ops::Range;
use std::sync::Arc;

/// Source bytes that one kernel call works on when all weights fit the cache beside them: half of a 32 KB L1.
const SRC_BLOCK_BYTES: usize = 16 << 10;
/// Tiles that a kernel call has at least, if there are as many: what it costs to begin and to end outweighs sources that come from L2.
const LEAST_TILES: usize = 32;
/// Weights that stay in L2 while pixel blocks pass by.
const CACHED_WEIGHT_BYTES: usize = 192 << 10;

/// Channels of a block where the weights do not stay in L2: all regions and images use a panel pair before the next one.
const CHANNEL_BLOCK: usize = 2 * PANEL_CHANNELS;

/// Bytes of a panel that are fetched ahead: what is behind them is asked for while these are worked on.
const FETCHED_PANEL_BYTES: usize = 2 << 10;

/// An int8 convolution or linear layer.
pub struct Int8ConvStep {
    info: StepInfo,
    kernel: Arc<dyn Int8Kernel>,
    geometry: ConvGeometry,
    regions: Vec<(Region, usize)>,
    tables: ChannelTables,
    tensors: LayerTensors,
    result: Int8Result,
    form: SourceForm,
    /// The image is written anew first, and `geometry` is over what comes of it.
    small_image: Option<SmallImage>,
    /// How an image that is computed by itself is read instead, where its rows are short.
    bordered: Option<BorderedColumns>,
    /// Where source pixels would crowd each other out of L1.
    apart: Option<ApartRows>,
    /// How the kernel computes it with fewer products, where it does and images are enough.
    winograd: Option<Winograd>,
    /// Bytes from one source pixel to the next.
    src_pixel: usize,
    /// How parts share it unless pixels divide evenly.
    split: Split,
    block_pixels: usize,
    /// Channels of a block.
    channel_block: usize,
}

impl Int8ConvStep {
    /// Plans the layer. `src` is u8, `dst` u8 or f32 as `result` says; each pixel's channels lie side by side.
    ///
    /// # Errors
    /// A constant that is too short.
    pub fn new(
        info: StepInfo,
        kernel: Arc<dyn Int8Kernel>,
        geometry: ConvGeometry,
        weights: Int8Weights,
        scale: OutputScale,
        tensors: LayerTensors,
        result: Int8Result,
    ) -> Result<Self> {
        let mut info = StepInfo { kernel: kernel.name(), macs: geometry.macs(), ..info };
        let geometry = geometry.collapsed();
        let of_source = |geometry: &ConvGeometry, pixel: usize| {
            let groups = geometry.weight_shape().groups_per_tap();
            let merged = geometry.dilations[1] == 1 && groups * K_GROUP == pixel;
            SourceShape { taps: geometry.kernel, groups, merged, cols: geometry.output[1] }
        };
        let pixel = pixel_bytes(&tensors.src);
        let small_image = SmallImage::new(kernel.small_image_form(&of_source(&geometry, pixel)), &geometry, &weights, pixel)?;
        let (small_image, geometry, weights) = match small_image {
            Some((image, geometry, weights)) => (Some(image), geometry, weights),
            None => (None, geometry, weights),
        };
        let src_pixel = small_image.as_ref().map_or(pixel, SmallImage::pixel_bytes);
        let shape = geometry.weight_shape();
        let k_per_tap = shape.groups_per_tap() * K_GROUP;
        let form = match small_image {
            Some(SmallImage::RowPairs(_)) => SourceForm::Direct,
            _ => kernel.source_form(&of_source(&geometry, src_pixel)),
        };
        let whole = Region {
            rows: 0..geometry.output[0],
            cols: 0..geometry.output[1],
            tap_rows: 0..geometry.kernel[0],
            tap_cols: 0..geometry.kernel[1],
        };
        let regions = if form == SourceForm::Direct { geometry.regions() } else { vec![whole.clone()] };
        let weight_bytes = geometry.groups * shape.panels() * shape.panel_bytes();
        let split = geometry.preferred_split(weight_bytes, tensors.src.layout.held_bytes());
        let tile = kernel.tile_pixels();
        let block_pixels = match form {
            SourceForm::Direct if weight_bytes > CACHED_WEIGHT_BYTES => usize::MAX,
            SourceForm::Direct => {
                let bytes_of_pixel = src_pixel * geometry.strides[0] * geometry.strides[1];
                round_up((SRC_BLOCK_BYTES / bytes_of_pixel.max(1)).max(LEAST_TILES * tile), tile)
            }
            SourceForm::Gathered { bytes_per_value, k_multiple, block_bytes } => {
                let row = round_up(shape.taps * k_per_tap, k_multiple) * bytes_per_value;
                round_up((block_bytes / row.max(1)).clamp(tile, 256), tile)
            }
        };
        let by_channel = matches!(scale, OutputScale::StaticChannels { .. });
        let channel_block = if weight_bytes > CACHED_WEIGHT_BYTES { CHANNEL_BLOCK } else { usize::MAX };
        let tables = ChannelTables::new(&geometry, weights, scale, &regions, weight_bytes)?;
        let bordered = if form == SourceForm::Direct && small_image.is_none() && !by_channel {
            BorderedColumns::new(&geometry, src_pixel, tile, |region| tables.find_class(region))
        } else {
            None
        };
        let apart = match form {
            SourceForm::Direct => ApartRows::new(&geometry, &geometry.regions(), kernel.pixels_read_in_turn(), src_pixel, k_per_tap),
            SourceForm::Gathered { .. } => None,
        };
        let result = tables.bounded(shape.taps * k_per_tap, result);
        // Tiles read padding as zero points: they want the correction of all taps.
        let winograd = match tables.find_class(&whole) {
            Some(class) if !by_channel && small_image.is_none() && apart.is_none() => {
                Winograd::new(kernel.winograd(), &geometry, src_pixel, tables.panel_weights(), class)
            }
            _ => None,
        };
        // What a single sample is computed by.
        if let Some(winograd) = winograd.as_ref().filter(|winograd| winograd.least_images() <= tensors.images()) {
            info.kernel = winograd.kernel_name();
        }
        let regions = regions.into_iter().map(|region| (region.clone(), tables.class_of(&region))).collect();
        Ok(Self {
            info,
            kernel,
            geometry,
            regions,
            tables,
            tensors,
            result,
            form,
            small_image,
            bordered,
            apart,
            winograd,
            src_pixel,
            split,
            block_pixels,
            channel_block,
        })
    }

    /// Images whose pixels lie one after another in every tensor are one longer row, unless qparams are per sample.
    fn merged(&self, images: usize) -> Option<ConvGeometry> {
        let pixels = self.geometry.output_pixels();
        let mergeable = images > 1 && self.geometry.is_row() && !self.tables.is_dynamic() && self.tensors.are_dense_rows(pixels);
        mergeable.then(|| self.geometry.with_row(images * pixels))
    }

    /// How a run of so many images is computed with fewer products, if it is.
    fn winograd(&self, images: usize) -> Option<&Winograd> {
        self.winograd.as_ref().filter(|winograd| images >= winograd.least_images())
    }

    /// How many images a walk over the weights computes. With gathered panels every one, where this part computes whole images
    /// with the same tables and they lie side by side in the outputs; read where they lie, every one with the same tables.
    fn images_together(&self, geometry: &ConvGeometry, ranges: &PartRanges, images: usize) -> usize {
        let whole = ranges.rows == (0..geometry.output[0]) && ranges.cols == (0..geometry.output[1]);
        let possible = self.form == SourceForm::Direct || (whole && self.tensors.has_dense_outputs(geometry.output_pixels()));
        if possible && !self.tables.is_dynamic() && self.small_image.is_none() && self.apart.is_none() { images.max(1) } else { 1 }
    }

    /// What a part computes; images that are one longer row count as one.
    pub fn ranges(&self, part: Part, samples: usize) -> PartRanges {
        if let Some(winograd) = self.winograd(samples * self.tensors.images()) {
            return winograd.ranges(&self.geometry, part);
        }
        let merged = self.merged(samples * self.tensors.images());
        let (geometry, tile) = (merged.as_ref().unwrap_or(&self.geometry), self.kernel.tile_pixels());
        let split = geometry.split_between(part.count, self.split, tile, self.kernel.pixels_of_weight_pass());
        geometry.part_ranges(part, split, tile)
    }

    fn panel_row_values(&self, k_multiple: usize) -> usize {
        let shape = self.geometry.weight_shape();
        round_up(shape.taps * shape.groups_per_tap() * K_GROUP, k_multiple)
    }

    /// Scratch for panels or copies of source pixels, for so many images.
    fn gather_bytes(&self, images: usize) -> usize {
        match self.form {
            _ if self.winograd(images).is_some() => 0,
            SourceForm::Direct => {
                let pixels = images.saturating_mul(self.geometry.output_pixels());
                self.apart.map_or(0, |apart| round_up(apart.bytes(pixels), 64))
            }
            SourceForm::Gathered { bytes_per_value, k_multiple, .. } => {
                // One row more: a run of zero points, the source of padded taps.
                round_up((self.block_pixels + 1) * self.panel_row_values(k_multiple) * bytes_per_value, 64)
            }
        }
    }

    fn image_bytes(&self) -> usize {
        let small_image = self.small_image.as_ref().map_or(0, |image| round_up(image.bytes(), 64));
        small_image.max(self.bordered.as_ref().map_or(0, BorderedColumns::bytes))
    }

    /// What happens to the sums of a whole image, from its first pixel and channel on.
    fn whole_epilogue(&self, addresses: &ImageAddresses, tables: &ImageTables<'_>, ranges: &PartRanges) -> Int8Epilogue {
        let (_, mult, bias) = tables.at(0, 0, 0);
        let last = ranges.channels.end == self.geometry.out_channels;
        let padded = if last && matches!(self.result, Int8Result::U8 { .. }) { self.tensors.dst.layout.inner_padding() } else { 0 };
        let first = Region { rows: 0..1, cols: 0..1, tap_rows: 0..0, tap_cols: 0..0 };
        let output = self.tensors.int8_output(&self.result, addresses, &self.geometry, &first, 0);
        Int8Epilogue { stored_channels: ranges.channels.end + padded, mult, bias, output }
    }

    fn direct_scratch_bytes(&self, images: usize) -> usize {
        let of_images = self.images_in_turn(images) * (self.tables.scratch_bytes() + self.image_bytes());
        of_images + self.kernel_scratch_bytes() + self.gather_bytes(images)
    }

    fn kernel_scratch_bytes(&self) -> usize {
        let shape = self.geometry.weight_shape();
        round_up(self.kernel.scratch_bytes(shape.taps * shape.groups_per_tap() * K_GROUP), 64)
    }
}

/// A part's run on some images: everything that their blocks share.
struct ImageRun<'a> {
    step: &'a Int8ConvStep,
    geometry: &'a ConvGeometry,
    regions: &'a [(Region, usize)],
    ranges: PartRanges,
    tables: ImageTables<'a>,
    /// The first image.
    addresses: ImageAddresses,
    /// Images that the weights pass by together.
    images: usize,
    /// Channels of a group before which there are others of this part, now or in a later run over the same images.
    channels_end: usize,
}

impl ImageRun<'_> {
    /// The block of `region` (with valid taps `taps`) for some channels of `group`, reading pixels from `src`.
    fn block(&self, region: &Region, class: usize, group: usize, wanted: Range<usize>, src: Pixels<*const u8>, taps: Taps) -> Int8Block {
        let (step, geometry) = (self.step, self.geometry);
        let shape = geometry.weight_shape();
        let (channel, channels) = (wanted.start, wanted.len());
        let last = group + 1 == geometry.groups && wanted.end == shape.oc;
        let first_channel = group * shape.oc + channel;
        let padded = if last { step.tensors.dst.layout.inner_padding() } else { 0 };
        let first_tap = region.tap_rows.start * geometry.kernel[1] + region.tap_cols.start;
        let panel = group * shape.panels() + channel / PANEL_CHANNELS;
        let row_offset = first_tap * shape.groups_per_tap() * ROW_BYTES;
        let weights = step.tables.panels().wrapping_add(panel * shape.panel_bytes() + row_offset);
        let (comp, mult, bias) = self.tables.at(class, group, channel);
        let output = step.tensors.int8_output(&step.result, &self.addresses, geometry, region, first_channel);
        let stored_channels = if matches!(step.result, Int8Result::U8 { .. }) { channels + padded } else { channels };
        let (rows, cols) = (region.rows.len(), region.cols.len());
        let panel_stride = shape.panel_bytes();
        // Only a block of all taps reads whole panels.
        let whole = region.tap_rows.len() * region.tap_cols.len() == shape.taps;
        let channels_behind = if whole { (self.channels_end - wanted.end).min(self.step.channel_block) } else { 0 };
        let block = Int8Block {
            src,
            rows,
            cols,
            taps,
            weights,
            panel_stride,
            panels_behind: channels_behind.div_ceil(PANEL_CHANNELS),
            channels,
            stored_channels,
            comp,
            mult,
            bias,
            output,
        };
        if cols == 1 && rows > 1 { transposed(block) } else { block }
    }

    /// The kernel reads pixels of one image, in one region, from copies.
    fn run_apart(&self, apart: ApartRows, copy: &mut [u8], kernel_scratch: &mut [u8]) {
        let (step, geometry) = (self.step, self.geometry);
        let (groups, pixel, (region, class)) = (geometry.weight_shape().groups_per_tap(), step.src_pixel, &self.regions[0]);
        let region = self.whole_row(region);
        for (group, piece) in
            (0..geometry.groups).flat_map(|group| self.ranges.pieces(&region, apart.pixels).map(move |piece| (group, piece)))
        {
            let taps = geometry.taps(&piece, pixel, groups, ROW_BYTES, K_GROUP);
            let src = source_pixels(self.addresses.src, pixel, geometry, &piece, group * geometry.weight_shape().ic);
            // SAFETY: all taps of the piece are valid, so every source pixel lies inside the input.
            let src = unsafe { apart.copy(&src, piece.rows.len(), piece.cols.len(), copy) };
            let block = self.block(&piece, *class, group, self.ranges.channels.clone(), src, taps);
            // SAFETY: the copies hold these pixels; the rest as in `run_direct`.
            unsafe { step.kernel.run(&block, kernel_scratch) };
        }
    }

    /// A region of a merged row is the whole row.
    fn whole_row(&self, region: &Region) -> Region {
        if self.geometry.is_row() { Region { cols: 0..self.geometry.output[1], ..region.clone() } } else { region.clone() }
    }

    /// The kernel reads pixels where they lie.
    fn run_direct(&self, kernel_scratch: &mut [u8]) {
        let (step, geometry) = (self.step, self.geometry);
        let shape = geometry.weight_shape();
        let pixel = step.src_pixel;
        let all = &self.ranges.channels;
        // Pixels that are one block meet each panel once anyway: the kernel walks over the panels.
        let one_block = self.regions.len() == 1 && self.images == 1 && step.block_pixels == usize::MAX;
        let channel_block = if one_block { usize::MAX } else { step.channel_block };
        let blocks = || all.clone().step_by(channel_block.min(all.len()).max(1));
        for (group, start) in (0..geometry.groups).flat_map(|group| blocks().map(move |start| (group, start))) {
            let channels = start..all.end.min(start.saturating_add(channel_block));
            for (region, class) in self.regions {
                for piece in self.ranges.pieces(&self.whole_row(region), step.block_pixels) {
                    let taps = geometry.taps(&piece, pixel, shape.groups_per_tap(), ROW_BYTES, K_GROUP);
                    let src = source_pixels(self.addresses.src, pixel, geometry, &piece, group * shape.ic);
                    let block = self.block(&piece, *class, group, channels.clone(), src, taps);
                    for block in step.tensors.in_images(block, self.images) {
                        // SAFETY: all taps of the piece are valid, so every source pixel lies inside the input; weights,
                        // tables and outputs cover the channels (checked when planned); parts write disjoint places.
                        unsafe { step.kernel.run(&block, kernel_scratch) };
                    }
                }
            }
        }
    }

    /// Pixels are gathered into panels first.
    fn run_gathered(&self, bytes_per_value: usize, k_multiple: usize, panel: &mut [u8], kernel_scratch: &mut [u8]) {
        let (step, geometry) = (self.step, self.geometry);
        let shape = geometry.weight_shape();
        let row_bytes = step.panel_row_values(k_multiple) * bytes_per_value;
        let (padding, panel) = panel.split_at_mut(row_bytes);
        let padding = &mut padding[..Gather::padding_bytes(geometry)];
        padding.fill(self.tables.zero_point as u8);
        let gather = Gather {
            kernel: &*step.kernel,
            geometry,
            src: self.addresses.src,
            image_bytes: step.tensors.src_image_bytes(),
            pixel_bytes: step.src_pixel,
            bytes_per_value,
            padding,
        };
        let taps = Taps {
            rows: 1,
            cols: 1,
            run: row_bytes / bytes_per_value / K_GROUP,
            src_row_stride: 0,
            src_col_stride: 0,
            weight_row_stride: 0,
            weight_col_stride: 0,
        };
        let taps = Taps { run: taps.run.min(shape.taps * shape.groups_per_tap()), ..taps };
        let (region, class) = &self.regions[0];
        // Consecutive output pixels lie side by side across rows (and images), so blocks ignore rows.
        let width = geometry.output[1];
        let first = self.ranges.rows.start * width + self.ranges.cols.start;
        let last = (self.images - 1) * geometry.output_pixels() + (self.ranges.rows.end.max(1) - 1) * width + self.ranges.cols.end;
        for group in 0..geometry.groups {
            for start in (first..last).step_by(step.block_pixels) {
                let end = (start + step.block_pixels).min(last);
                // SAFETY: the step's source, which nobody writes; the arena pads what follows its last pixel.
                unsafe { gather.run(start..end, group, row_bytes, panel) };
                let (row, col) = (start / width, start % width);
                let piece = Region { rows: row..row + 1, cols: col..col + (end - start), ..region.clone() };
                let src = Pixels { start: panel.as_ptr(), row_stride: 0, col_stride: row_bytes as isize };
                let block = self.block(&piece, *class, group, self.ranges.channels.clone(), src, taps);
                // SAFETY: the panel holds these pixels; the rest as in `run_direct`.
                unsafe { step.kernel.run(&block, kernel_scratch) };
            }
        }
    }
}

/// The same block with rows and columns exchanged: a column of pixels becomes a row.
fn transposed(block: Int8Block) -> Int8Block {
    Int8Block { src: swap(block.src), output: swap_output(block.output), rows: block.cols, cols: block.rows, ..block }
}

impl Step for Int8ConvStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let images = run.samples * self.tensors.images();
        let ranges = self.ranges(run.part, run.samples);
        if ranges.rows.is_empty() || ranges.cols.is_empty() || ranges.channels.is_empty() {
            return Ok(());
        }
        if let Some(winograd) = self.winograd(images) {
            self.run_winograd(winograd, run.memory, &ranges, images, run.scratch);
            return Ok(());
        }
        let merged = self.merged(images);
        let geometry = merged.as_ref().unwrap_or(&self.geometry);
        let images = if merged.is_some() { 1 } else { images };
        let in_turn = self.images_in_turn(images);
        let (table_scratch, rest) = run.scratch.split_at_mut(in_turn * self.tables.scratch_bytes());
        let (kernel_scratch, rest) = rest.split_at_mut(self.kernel_scratch_bytes());
        let (panel, rest) = rest.split_at_mut(self.gather_bytes(run.samples * self.tensors.images()));
        let rewritten = &mut rest[..in_turn * self.image_bytes()];
        let together = self.images_together(geometry, &ranges, images);
        self.kernel.enter();
        if in_turn > 1 {
            for first in (0..images).step_by(in_turn) {
                let images = first..images.min(first + in_turn);
                self.run_in_turn(run.memory, (geometry, &ranges), images, [&mut *table_scratch, &mut *rewritten, &mut *kernel_scratch]);
            }
            self.kernel.leave();
            return Ok(());
        }
        for image in (0..images).step_by(together) {
            let tables = self.tables.of_image(run.memory, (image, self.tensors.images()), table_scratch);
            let mut addresses = self.tensors.at(run.memory, image);
            if let Some(small_image) = &self.small_image {
                // SAFETY: an image of the source, which nobody writes during this step.
                let image = unsafe { std::slice::from_raw_parts(addresses.src, self.tensors.src_image_bytes()) };
                small_image.write(geometry, image, tables.zero_point as u8, &ranges.rows, rewritten);
                addresses.src = rewritten.as_ptr();
            }
            let (mut geometry, mut regions) = (geometry, &self.regions[..]);
            if let (Some(bordered), 1) = (&self.bordered, together) {
                // SAFETY: as above.
                let image = unsafe { std::slice::from_raw_parts(addresses.src, self.tensors.src_image_bytes()) };
                bordered.write(image, tables.zero_point as u8, &ranges.rows, rewritten);
                addresses.src = rewritten.as_ptr();
                (geometry, regions) = (&bordered.geometry, &bordered.regions);
            }
            let (ranges, channels_end) = (ranges.clone(), ranges.channels.end);
            let pixels = ranges.rows.len() * ranges.cols.len();
            let image_run = ImageRun { step: self, geometry, regions, ranges, tables, addresses, images: together, channels_end };
            match self.form {
                SourceForm::Direct => match self.apart.filter(|apart| apart.is_for(pixels)) {
                    Some(apart) => image_run.run_apart(apart, panel, kernel_scratch),
                    None => image_run.run_direct(kernel_scratch),
                },
                SourceForm::Gathered { bytes_per_value, k_multiple, .. } => {
                    image_run.run_gathered(bytes_per_value, k_multiple, panel, kernel_scratch);
                }
            }
        }
        self.kernel.leave();
        Ok(())
    }

    fn fetch_constants(&self, part: Part, samples: usize) {
        let (ranges, shape) = (self.ranges(part, samples), self.geometry.weight_shape());
        let first = ranges.channels.start / PANEL_CHANNELS * shape.panel_bytes();
        let panels = shape.panels().min(CHANNEL_BLOCK / PANEL_CHANNELS);
        for panel in 0..panels {
            let start = self.tables.panels().wrapping_add(first + panel * shape.panel_bytes());
            fetch_into_l2(start.cast(), shape.panel_bytes().min(FETCHED_PANEL_BYTES));
        }
        let class = self.regions.first().map_or(0, |(_, class)| *class);
        self.tables.fetch(class, ranges.channels.start, panels * PANEL_CHANNELS);
    }

    fn help_parts(&self) -> usize {
        // Each part gathers, copies or rewrites pixels anew.
        let rewrites = self.form != SourceForm::Direct || self.small_image.is_some() || self.apart.is_some() || self.winograd.is_some();
        if rewrites { 2 } else { HELP_PARTS }
    }

    fn scratch_bytes(&self, samples: usize) -> usize {
        let images = samples.saturating_mul(self.tensors.images());
        match &self.winograd {
            Some(winograd) if images >= winograd.least_images() => {
                // A run of fewer images is computed directly.
                let fewer = winograd.least_images() - 1;
                let direct = if fewer > 0 { self.direct_scratch_bytes(fewer) } else { 0 };
                direct.max(self.winograd_scratch_bytes(winograd, images))
            }
            _ => self.direct_scratch_bytes(images),
        }
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
