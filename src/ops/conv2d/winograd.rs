//! 3 x 3 convolutions by a kernel's Winograd form: tiles of all images of a part, a run of them at a time.
//!
//! A run's tiles are transformed once; then each panel of weights is transformed, multiplied with all of them and finished. What a
//! transformed panel costs is shared by the tiles of a run, and nothing but the model's own panels is kept between runs.
use super::geometry::{ConvGeometry, PartRanges, Split};
use super::int8_channels::ImageTables;
use super::placement::ImageAddresses;
use crate::kernels::Int8Epilogue;
use crate::kernels::winograd::{TilePlace, WINOGRAD_TAPS, WinogradKernel, WinogradSizes};
use crate::packed::{PANEL_CHANNELS, WeightShape};
use crate::tensor::round_up;
use crate::threads::Part;
use std::ops::Range;

/// Bytes of a run's transformed tiles: most of an L2.
const TILES_BYTES: usize = 384 << 10;
/// Tiles of a run at least, if there are as many, that share what a panel's transformation costs: then tiles pass from L3.
const LEAST_TILES: usize = 32;
/// Tiles of a run at most.
const MOST_TILES: usize = 128;
/// Bytes of the channels of a panel that are transformed at a time: they stay in L2 until they are multiplied.
const PANEL_BYTES: usize = 160 << 10;
/// Source pixels of a tile's side, at most.
const MOST_SIDE: usize = 6;
/// Source pixels of a tile, at most.
const MOST_POSITIONS: usize = MOST_SIDE * MOST_SIDE;
/// Products that it must at least save: 3 of 4 stay, or fewer.
const WORTH: (usize, usize) = (3, 4);
/// What a transformation costs for each product of one tile and one weight: of weights, of source pixels.
const TRANSFORM_COSTS: [f64; 2] = [2.5, 2.0];

/// A convolution's cut into tiles.
pub struct Winograd {
    kernel: Box<dyn WinogradKernel>,
    /// Side of a tile of outputs.
    side: usize,
    /// Rows and columns of tiles.
    tiles: [usize; 2],
    sizes: WinogradSizes,
    shape: WeightShape,
}

/// What the images of a run share, and where each one's results go.
pub struct WinogradRun<'a, Image> {
    /// The convolution.
    pub geometry: &'a ConvGeometry,
    /// Packed panels.
    pub panels: *const i8,
    /// The images' tables.
    pub tables: ImageTables<'a>,
    /// The tap class of pixels whose taps are all there, which padded ones are too: their source is the zero point.
    pub class: usize,
    /// What this part computes.
    pub ranges: &'a PartRanges,
    /// Images.
    pub images: usize,
    /// Addresses and epilogue of each image.
    pub image: Image,
}

impl Winograd {
    /// The cut of a convolution over pixels of `pixel_bytes` bytes for the kernel that leaves the fewest products; `None` where none is
    /// exact for the packed weights, or saves enough.
    pub fn new(kernels: Vec<Box<dyn WinogradKernel>>, geometry: &ConvGeometry, pixel_bytes: usize, panels: &[i8]) -> Option<Self> {
        let shape = geometry.weight_shape();
        let fits = geometry.kernel == WINOGRAD_TAPS && geometry.strides == [1, 1] && geometry.dilations == [1, 1] && geometry.groups == 1;
        if !fits || shape.ic != pixel_bytes || shape.oc < PANEL_CHANNELS {
            return None;
        }
        let panels = panels.get(..shape.panels() * shape.panel_bytes())?;
        let direct = geometry.output_pixels() * shape.taps;
        let tiles = |side: usize| geometry.output.map(|size| size.div_ceil(side));
        let products = |kernel: &dyn WinogradKernel| {
            let side = kernel.tile_side();
            tiles(side).iter().product::<usize>() * (side + 2) * (side + 2)
        };
        let possible = kernels.into_iter().filter(|kernel| {
            let products = products(&**kernel);
            let serves = shape.ic > 0 && shape.ic.is_multiple_of(kernel.channel_multiple()) && kernel.tile_side() + 2 <= MOST_SIDE;
            serves && products > 0 && products * WORTH.1 <= direct * WORTH.0 && kernel.is_exact(panels, shape.panel_bytes())
        });
        let kernel = possible.min_by_key(|kernel| products(&**kernel))?;
        let side = kernel.tile_side();
        let positions = (side + 2) * (side + 2);
        let panel_channels = (PANEL_BYTES / (positions * 32)) / kernel.channel_multiple() * kernel.channel_multiple();
        let panel_channels = panel_channels.clamp(kernel.channel_multiple(), shape.ic);
        let sizes = WinogradSizes { positions, channels: shape.ic, panel_channels, tiles: 0 };
        Some(Self { side, tiles: tiles(side), kernel, sizes, shape })
    }

    /// Sizes for a run of up to `tiles` tiles: runs of equal length.
    fn sizes(&self, tiles: usize) -> WinogradSizes {
        WinogradSizes { tiles: tiles.div_ceil(tiles.div_ceil(self.most_tiles()).max(1)), ..self.sizes }
    }

    /// Tiles of a run, at most.
    fn most_tiles(&self) -> usize {
        (TILES_BYTES / (self.sizes.positions * self.sizes.tile_bytes())).clamp(LEAST_TILES, MOST_TILES)
    }

    /// The kernel's name.
    pub fn kernel_name(&self) -> &'static str {
        self.kernel.name()
    }

    /// How a part of the work is cut: rows of tiles, or channels, whichever leaves the largest part the least to do.
    pub fn ranges(&self, geometry: &ConvGeometry, part: Part) -> PartRanges {
        let largest = |units: usize| units.div_ceil(part.count) as f64 / units.max(1) as f64;
        let panels = self.shape.panels();
        // What parts do more than once: all of them the weights, or all of them the source pixels.
        let again = part.count as f64 - 1.0;
        let by_rows = largest(self.tiles[0]) * (1.0 + again * TRANSFORM_COSTS[0] / (self.tiles[0] * self.tiles[1]) as f64);
        let by_channels = largest(panels) * (1.0 + again * TRANSFORM_COSTS[1] / (panels * PANEL_CHANNELS) as f64);
        let split = if by_rows <= by_channels { Split::Pixels } else { Split::Channels };
        let whole = geometry.part_ranges(Part::WHOLE, split, 1);
        match split {
            Split::Pixels => {
                let rows = part.range(self.tiles[0]);
                let pixels = |tile: usize| (tile * self.side).min(geometry.output[0]);
                PartRanges { rows: pixels(rows.start)..pixels(rows.end), ..whole }
            }
            Split::Channels => PartRanges { channels: part.range_aligned(self.shape.oc, PANEL_CHANNELS), ..whole },
        }
    }

    /// Bytes of transformed tiles, of a transformed panel, of sums and of padding.
    fn scratch_parts(sizes: &WinogradSizes) -> [usize; 4] {
        let positions = |stride: usize| round_up(sizes.positions * stride, 64);
        [positions(sizes.tiles_stride()), positions(sizes.panel_stride()), positions(sizes.sums_stride()), round_up(sizes.channels, 64)]
    }

    /// Scratch bytes of a part that computes up to so many images.
    pub fn scratch_bytes(&self, images: usize) -> usize {
        // Runs of equal length are longest where there are just as many tiles as a run may have, or fewer.
        let tiles = images.saturating_mul(self.tiles[0] * self.tiles[1]).min(self.most_tiles());
        Self::scratch_parts(&self.sizes(tiles)).iter().sum()
    }

    /// Computes a part's tiles. `scratch` is 64-byte aligned.
    ///
    /// # Safety
    /// Every image's addresses are valid for the convolution, nobody writes what it reads, and nobody else what it stores.
    pub unsafe fn run<Image>(&self, run: &WinogradRun<'_, Image>, scratch: &mut [u8])
    where
        Image: Fn(usize) -> (ImageAddresses, Int8Epilogue),
    {
        let rows = run.ranges.rows.start / self.side..run.ranges.rows.end.div_ceil(self.side);
        let of_image = rows.len() * self.tiles[1];
        let sizes = &self.sizes(run.images * of_image);
        let [tiles_bytes, panel_bytes, sums_bytes, _] = Self::scratch_parts(sizes);
        let (transformed, rest) = scratch.split_at_mut(tiles_bytes);
        let (panel, rest) = rest.split_at_mut(panel_bytes);
        let (sums, rest) = rest.split_at_mut(sums_bytes);
        let padding = &mut rest[..sizes.channels];
        padding.fill(run.tables.zero_point as u8);
        for first in (0..run.images * of_image).step_by(sizes.tiles.max(1)) {
            let tiles = first..(first + sizes.tiles).min(run.images * of_image);
            for (slot, tile) in tiles.clone().enumerate() {
                let src = (run.image)(tile / of_image).0.src;
                let place = self.place(run.geometry, &rows, tile % of_image);
                let pixels = self.pixels(run.geometry, src, padding, place);
                let to = transformed[slot * sizes.tile_bytes()..].as_mut_ptr();
                // SAFETY: the pixels lie in the image or are padding; the tile has its place at every position.
                unsafe { self.kernel.transform_tile(sizes, &pixels[..sizes.positions], to) };
            }
            for channel in run.ranges.channels.clone().step_by(PANEL_CHANNELS) {
                let weights = run.panels.wrapping_add(channel / PANEL_CHANNELS * self.shape.panel_bytes());
                for start in (0..sizes.channels).step_by(sizes.panel_channels) {
                    let channels = start..(start + sizes.panel_channels).min(sizes.channels);
                    // SAFETY: the weights hold the panel (checked when planned); the scratch was cut for a run's tiles and a panel.
                    unsafe {
                        self.kernel.transform_panel(sizes, weights, channels.clone(), panel.as_mut_ptr());
                        let (tiles_at, panel, sums) = (transformed.as_ptr(), panel.as_ptr(), sums.as_mut_ptr());
                        self.kernel.multiply(sizes, tiles.len(), channels, tiles_at, panel, sums);
                    }
                }
                self.finish(run, sizes, &rows, tiles.clone(), channel, sums);
            }
        }
    }

    /// The results of a run's tiles for one panel.
    fn finish<Image>(
        &self,
        run: &WinogradRun<'_, Image>,
        sizes: &WinogradSizes,
        rows: &Range<usize>,
        tiles: Range<usize>,
        channel: usize,
        sums: &[u8],
    ) where
        Image: Fn(usize) -> (ImageAddresses, Int8Epilogue),
    {
        let of_image = rows.len() * self.tiles[1];
        let (comp, ..) = run.tables.at(run.class, 0, channel);
        let mut next = tiles.start;
        while next < tiles.end {
            let image = next / of_image;
            let epilogue = (run.image)(image).1;
            let mut places = [TilePlace { row: 0, col: 0, rows: 0, cols: 0 }; MOST_TILES];
            let count = (tiles.end - next).min((image + 1) * of_image - next);
            for (index, place) in places[..count].iter_mut().enumerate() {
                *place = self.place(run.geometry, rows, (next + index) % of_image);
            }
            let sums = sums[(next - tiles.start) * WinogradSizes::SUMS_BYTES..].as_ptr();
            // SAFETY: the sums are those of these tiles, whose outputs belong to this part.
            unsafe { self.kernel.finish(sizes, sums, &places[..count], &epilogue, channel, comp) };
            next += count;
        }
    }

    /// Where tile `index` of a part's rows of tiles lies.
    fn place(&self, geometry: &ConvGeometry, rows: &Range<usize>, index: usize) -> TilePlace {
        let (row, col) = ((rows.start + index / self.tiles[1]) * self.side, index % self.tiles[1] * self.side);
        TilePlace { row, col, rows: (geometry.output[0] - row).min(self.side), cols: (geometry.output[1] - col).min(self.side) }
    }

    /// Addresses of the source pixels of a tile, in row order; padding where there is none.
    fn pixels(&self, geometry: &ConvGeometry, src: *const u8, padding: &[u8], place: TilePlace) -> [*const u8; MOST_POSITIONS] {
        let mut pixels = [padding.as_ptr(); MOST_POSITIONS];
        let side = self.side + 2;
        let inside = |axis: usize, at: usize| at.checked_sub(geometry.pad_begin[axis]).filter(|&at| at < geometry.input[axis]);
        for row in 0..side {
            let Some(src_row) = inside(0, place.row + row) else { continue };
            let src = src.wrapping_add(src_row * geometry.input[1] * self.shape.ic);
            for col in 0..side {
                if let Some(src_col) = inside(1, place.col + col) {
                    pixels[row * side + col] = src.wrapping_add(src_col * self.shape.ic);
                }
            }
        }
        pixels
    }
}
