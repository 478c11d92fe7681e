//! 3 x 3 convolutions by a kernel's Winograd form: tiles of all images of a part, a run of them at a time.
//!
//! A run's tiles are transformed once; then each panel of weights is transformed, multiplied with all of them and finished. What a
//! transformed panel costs is shared by the tiles of a run; panels that are small enough are transformed before the first run and kept for
//! the others of the step. The model keeps its own panels: nothing lasts from step to step.
use super::geometry::{ConvGeometry, PartRanges, Split};
use super::int8_channels::ImageTables;
use super::placement::ImageAddresses;
use crate::kernels::Int8Epilogue;
use crate::kernels::winograd::{MOST_TILES, TilePlace, WINOGRAD_TAPS, WinogradCosts, WinogradKernel, WinogradSizes};
use crate::packed::{PANEL_CHANNELS, WeightShape};
use crate::tensor::round_up;
use crate::threads::Part;
use std::ops::Range;

/// Source pixels of a tile's side, at most.
const MOST_SIDE: usize = 6;
/// Source pixels of a tile, at most.
const MOST_POSITIONS: usize = MOST_SIDE * MOST_SIDE;
/// Bytes of a run's transformed tiles, unless the fewest that are worth it have more.
const MOST_TILES_BYTES: usize = 5 << 18;
/// Images of a run within which it must pay.
const MOST_LEAST_IMAGES: usize = 8;
/// Panels are kept where more runs than these read them.
const RUNS_OF_ONE_USE: usize = 2;

/// A convolution's cut into tiles.
pub struct Winograd {
    kernel: Box<dyn WinogradKernel>,
    /// Side of a tile of outputs.
    side: usize,
    /// Rows and columns of tiles.
    tiles: [usize; 2],
    sizes: WinogradSizes,
    shape: WeightShape,
    costs: WinogradCosts,
    /// The tap class of pixels whose taps are all there, which padded ones are too: their source is the zero point.
    class: usize,
    /// Images of a run from which on it pays.
    least_images: usize,
}

/// An image of a run.
pub struct WinogradImage<'a> {
    /// Addresses of its pixels.
    pub addresses: ImageAddresses,
    /// What happens to its sums.
    pub epilogue: Int8Epilogue,
    /// Its tables.
    pub tables: ImageTables<'a>,
}

/// What the images of a run share, and where each one's results go.
pub struct WinogradRun<'a, Image> {
    /// The convolution.
    pub geometry: &'a ConvGeometry,
    /// Packed panels.
    pub panels: *const i8,
    /// What this part computes.
    pub ranges: &'a PartRanges,
    /// Images.
    pub images: usize,
    /// Each image.
    pub image: Image,
}

impl Winograd {
    /// The cut of a convolution over pixels of `pixel_bytes` bytes for the kernel that leaves the fewest products; `None` where none is
    /// exact for the packed weights, or saves enough. `class` is the tap class of pixels whose taps are all there.
    pub fn new(
        kernels: Vec<Box<dyn WinogradKernel>>,
        geometry: &ConvGeometry,
        pixel_bytes: usize,
        panels: &[i8],
        class: usize,
    ) -> Option<Self> {
        let shape = geometry.weight_shape();
        let fits = geometry.kernel == WINOGRAD_TAPS && geometry.strides == [1, 1] && geometry.dilations == [1, 1] && geometry.groups == 1;
        if !fits || shape.ic != pixel_bytes || shape.oc < PANEL_CHANNELS {
            return None;
        }
        let panels = panels.get(..shape.panels() * shape.panel_bytes())?;
        let possible = kernels.into_iter().filter(|kernel| {
            let serves = shape.ic > 0 && shape.ic.is_multiple_of(kernel.channel_multiple()) && kernel.tile_side() + 2 <= MOST_SIDE;
            serves && kernel.is_exact(panels, shape.panel_bytes())
        });
        let cuts = possible.filter_map(|kernel| Self::of_kernel(kernel, geometry, shape, class));
        cuts.min_by_key(|cut| cut.tiles[0] * cut.tiles[1] * cut.sizes.positions)
    }

    /// The cut for one kernel, unless it never pays.
    fn of_kernel(kernel: Box<dyn WinogradKernel>, geometry: &ConvGeometry, shape: WeightShape, class: usize) -> Option<Self> {
        let (side, costs, panels) = (kernel.tile_side(), kernel.costs(), kernel.panels());
        let tiles = geometry.output.map(|size| size.div_ceil(side));
        let positions = (side + 2) * (side + 2);
        let channel_bytes = positions * panels * WinogradSizes::PAIR_BYTES / 2;
        let panel_channels = (costs.panel_bytes / channel_bytes) / kernel.channel_multiple() * kernel.channel_multiple();
        let panel_channels = panel_channels.clamp(kernel.channel_multiple(), shape.ic);
        let sizes = WinogradSizes { positions, channels: shape.ic, panel_channels, panels, tiles: 0, sums_tiles: 0 };
        let mut cut = Self { side, tiles, kernel, sizes, shape, costs, class, least_images: 1 };
        let direct = geometry.output_pixels() * shape.taps;
        cut.least_images = (1..=MOST_LEAST_IMAGES).find(|&images| cut.products(images) <= costs.worth * (images * direct) as f64)?;
        Some(cut)
    }

    /// What some images cost, as products of a direct convolution for each weight of a tap.
    fn products(&self, images: usize) -> f64 {
        let (costs, shape) = (&self.costs, &self.shape);
        let tiles = images * self.tiles[0] * self.tiles[1];
        let (sizes, held) = self.sizes(tiles);
        let transformed = if held { 1 } else { tiles.div_ceil(sizes.tiles.max(1)) };
        let tiles = tiles as f64 + costs.of_weights * transformed as f64;
        let others = 1.0 + costs.of_tile / shape.oc as f64 + costs.of_sums / shape.ic as f64;
        let beyond = if self.group_bytes() > costs.cached_bytes { costs.beyond_cache } else { 1.0 };
        self.sizes.positions as f64 * tiles * costs.of_product * others * beyond
    }

    /// Images of a run from which on it pays: fewer are better computed directly.
    pub fn least_images(&self) -> usize {
        self.least_images
    }

    /// Sizes for runs of up to `tiles` tiles in all, of equal length; whether all panels are kept from run to run.
    fn sizes(&self, tiles: usize) -> (WinogradSizes, bool) {
        let held = self.held_bytes() <= self.costs.held_bytes && tiles > RUNS_OF_ONE_USE * self.fitting_tiles();
        let most = if held { self.fitting_tiles() } else { self.shared_tiles() };
        let equal = round_up(tiles.div_ceil(tiles.div_ceil(most).max(1)), self.kernel.tile_multiple());
        // Panels that come from the cache are met by few tiles at a time, whose sums stay there too. Sums that are added to are all kept.
        let in_cache = self.group_bytes() <= self.costs.cached_bytes && self.sizes.panel_channels == self.sizes.channels;
        let sums_tiles = if in_cache { equal.min(self.kernel.tiles_together()) } else { equal };
        (WinogradSizes { tiles: equal, sums_tiles, ..self.sizes }, held)
    }

    /// Tiles of a run that fit into the cache, or make up for panels that do not.
    fn fitting_tiles(&self) -> usize {
        let least = if self.held_bytes() <= self.costs.cached_bytes { 1 } else { self.costs.least_tiles };
        (self.costs.tiles_bytes / (self.sizes.positions * self.sizes.tile_bytes())).clamp(least, MOST_TILES)
    }

    /// Tiles of a run that share what transforming the panels costs, where they are not kept.
    fn shared_tiles(&self) -> usize {
        let fitting = self.fitting_tiles();
        let most = MOST_TILES_BYTES / (self.sizes.positions * self.sizes.tile_bytes());
        self.costs.shared_tiles.min(most).max(fitting)
    }

    /// Bytes of all transformed panels.
    fn held_bytes(&self) -> usize {
        let whole = self.sizes.panel_channels == self.sizes.channels;
        if whole { self.groups(self.shape.oc) * self.group_bytes() } else { usize::MAX }
    }

    /// Bytes of the transformed panels that are multiplied together.
    fn group_bytes(&self) -> usize {
        round_up(self.sizes.positions * self.sizes.panel_stride(), 64)
    }

    /// Channels of the panels that are multiplied together.
    fn group_channels(&self) -> usize {
        self.sizes.panels * PANEL_CHANNELS
    }

    /// How often panels are multiplied together for so many channels.
    fn groups(&self, channels: usize) -> usize {
        channels.div_ceil(self.group_channels())
    }

    /// The kernel's name.
    pub fn kernel_name(&self) -> &'static str {
        self.kernel.name()
    }

    /// How a part of the work is cut: rows of tiles, or channels, whichever leaves the largest part the least to do.
    pub fn ranges(&self, geometry: &ConvGeometry, part: Part) -> PartRanges {
        let largest = |units: usize| units.div_ceil(part.count) as f64 / units.max(1) as f64;
        let groups = self.groups(self.shape.oc);
        // What parts do more than once: all of them the weights, or all of them the source pixels.
        let again = part.count as f64 - 1.0;
        let by_rows = largest(self.tiles[0]) * (1.0 + again * self.costs.of_weights / (self.tiles[0] * self.tiles[1]) as f64);
        let by_channels = largest(groups) * (1.0 + again * self.costs.of_tile / (groups * self.group_channels()) as f64);
        let split = if by_rows <= by_channels { Split::Pixels } else { Split::Channels };
        let whole = geometry.part_ranges(Part::WHOLE, split, 1);
        match split {
            Split::Pixels => {
                let rows = part.range(self.tiles[0]);
                let pixels = |tile: usize| (tile * self.side).min(geometry.output[0]);
                PartRanges { rows: pixels(rows.start)..pixels(rows.end), ..whole }
            }
            Split::Channels => PartRanges { channels: part.range_aligned(self.shape.oc, self.group_channels()), ..whole },
        }
    }

    /// Bytes of transformed tiles, of transformed panels, of sums and of padding.
    fn scratch_parts(&self, (sizes, held): (WinogradSizes, bool)) -> [usize; 4] {
        let positions = |stride: usize| round_up(sizes.positions * stride, 64);
        let panels = if held { self.held_bytes() } else { self.group_bytes() };
        [positions(sizes.tiles_stride()), panels, positions(sizes.sums_stride()), round_up(sizes.channels, 64)]
    }

    /// Scratch bytes of a part that computes up to so many images.
    pub fn scratch_bytes(&self, images: usize) -> usize {
        let tiles = images.saturating_mul(self.tiles[0] * self.tiles[1]);
        // Runs of equal length are longest where there are just as many tiles as a run may have, or fewer.
        let longest = [self.fitting_tiles(), RUNS_OF_ONE_USE * self.fitting_tiles(), self.shared_tiles(), tiles];
        let parts = longest.map(|longest| self.scratch_parts(self.sizes(longest.min(tiles))));
        (0..parts[0].len()).map(|part| parts.iter().map(|parts| parts[part]).max().unwrap_or(0)).sum()
    }

    /// Computes a part's tiles. `scratch` is 64-byte aligned.
    ///
    /// # Safety
    /// Every image's addresses are valid for the convolution, nobody writes what it reads, and nobody else what it stores.
    pub unsafe fn run<'a, Image>(&self, run: &WinogradRun<'_, Image>, scratch: &mut [u8])
    where
        Image: Fn(usize) -> WinogradImage<'a>,
    {
        let rows = run.ranges.rows.start / self.side..run.ranges.rows.end.div_ceil(self.side);
        let of_image = rows.len() * self.tiles[1];
        let (sizes, held) = &self.sizes(run.images * of_image);
        let [tiles_bytes, panel_bytes, sums_bytes, _] = self.scratch_parts((*sizes, *held));
        let (transformed, rest) = scratch.split_at_mut(tiles_bytes);
        let (panels, rest) = rest.split_at_mut(panel_bytes);
        let (sums, rest) = rest.split_at_mut(sums_bytes);
        let padding = &mut rest[..sizes.channels];
        for first in (0..run.images * of_image).step_by(sizes.tiles.max(1)) {
            let tiles = first..(first + sizes.tiles).min(run.images * of_image);
            for image in tiles.start / of_image..tiles.end.div_ceil(of_image) {
                let WinogradImage { addresses, tables, .. } = (run.image)(image);
                padding.fill(tables.zero_point as u8);
                for tile in tiles.start.max(image * of_image)..tiles.end.min((image + 1) * of_image) {
                    let place = self.place(run.geometry, &rows, tile % of_image);
                    let pixels = self.pixels(run.geometry, addresses.src, padding, place);
                    let to = transformed[(tile - tiles.start) * sizes.tile_bytes()..].as_mut_ptr();
                    // SAFETY: the pixels lie in the image or are padding; the tile has its place at every position.
                    unsafe { self.kernel.transform_tile(sizes, &pixels[..sizes.positions], to) };
                }
            }
            let all = &run.ranges.channels;
            for (group, channel) in all.clone().step_by(self.group_channels()).enumerate() {
                let together = channel..all.end.min(channel + self.group_channels());
                let (panels, is_new) = if *held { (&mut panels[group * self.group_bytes()..], first == 0) } else { (&mut *panels, true) };
                for some in tiles.clone().step_by(sizes.sums_tiles.max(1)) {
                    let some = some..tiles.end.min(some + sizes.sums_tiles);
                    for start in (0..sizes.channels).step_by(sizes.panel_channels) {
                        let channels = start..(start + sizes.panel_channels).min(sizes.channels);
                        if is_new && some.start == tiles.start {
                            self.transform_panels(run.panels, sizes, together.clone(), channels.clone(), panels);
                        }
                        let tiles_at = transformed[(some.start - tiles.start) * sizes.tile_bytes()..].as_ptr();
                        // SAFETY: the scratch was cut for a run's tiles, these panels and the sums of some tiles.
                        unsafe { self.kernel.multiply(sizes, some.len(), channels, tiles_at, panels.as_ptr(), sums.as_mut_ptr()) };
                    }
                    self.finish(run, sizes, &rows, some, together.clone(), sums);
                }
            }
        }
    }

    /// Transforms input channels of the panels of some output channels.
    fn transform_panels(&self, packed: *const i8, sizes: &WinogradSizes, together: Range<usize>, channels: Range<usize>, to: &mut [u8]) {
        for (index, channel) in together.step_by(PANEL_CHANNELS).enumerate() {
            let weights = packed.wrapping_add(channel / PANEL_CHANNELS * self.shape.panel_bytes());
            let to = to[index * WinogradSizes::PAIR_BYTES..].as_mut_ptr();
            // SAFETY: the weights hold the panel (checked when planned), and the scratch was cut for panels that are multiplied together.
            unsafe { self.kernel.transform_panel(sizes, weights, channels.clone(), to) };
        }
    }

    /// The results of some tiles for the panels that are multiplied together.
    fn finish<'a, Image>(
        &self,
        run: &WinogradRun<'_, Image>,
        sizes: &WinogradSizes,
        rows: &Range<usize>,
        tiles: Range<usize>,
        together: Range<usize>,
        sums: &[u8],
    ) where
        Image: Fn(usize) -> WinogradImage<'a>,
    {
        let of_image = rows.len() * self.tiles[1];
        let mut next = tiles.start;
        while next < tiles.end {
            let image = next / of_image;
            let WinogradImage { epilogue, tables, .. } = (run.image)(image);
            let mut places = [TilePlace { row: 0, col: 0, rows: 0, cols: 0 }; MOST_TILES];
            let count = (tiles.end - next).min((image + 1) * of_image - next);
            for (index, place) in places[..count].iter_mut().enumerate() {
                *place = self.place(run.geometry, rows, (next + index) % of_image);
            }
            for (index, channel) in together.clone().step_by(PANEL_CHANNELS).enumerate() {
                let (comp, ..) = tables.at(self.class, 0, channel);
                let sums = &sums[(next - tiles.start) * sizes.sums_bytes() + index * WinogradSizes::PANEL_SUMS_BYTES..];
                // SAFETY: the sums are those of these tiles, whose outputs belong to this part.
                unsafe { self.kernel.finish(sizes, sums.as_ptr(), &places[..count], &epilogue, channel, comp) };
            }
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
