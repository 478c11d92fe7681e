//! A convolution by Winograd's tiles: images and their tables for `winograd`.
use super::super::geometry::PartRanges;
use super::super::int8_channels::ImageTables;
use super::super::winograd::{Winograd, WinogradImage, WinogradRun};
use super::Int8ConvStep;
use crate::ops::step::Memory;
use std::ops::Range;

/// Images with tables of their own that share a run's transformed weights, at most.
const IMAGES_WITH_TABLES: usize = 8;

impl Int8ConvStep {
    /// Images with tables of their own of which a run is made; one table is enough for images that share theirs.
    fn tables_of_run(&self, images: usize) -> usize {
        if self.tables.is_dynamic() { images.clamp(1, IMAGES_WITH_TABLES) } else { 1 }
    }

    /// Scratch of [`Int8ConvStep::run_winograd`] for up to so many images.
    pub(super) fn winograd_scratch_bytes(&self, winograd: &Winograd, images: usize) -> usize {
        self.tables_of_run(images) * self.tables.scratch_bytes() + winograd.scratch_bytes(images)
    }

    /// Computes a part of all images.
    pub(super) fn run_winograd(&self, winograd: &Winograd, memory: &Memory<'_>, ranges: &PartRanges, images: usize, scratch: &mut [u8]) {
        let (table_scratch, scratch) = scratch.split_at_mut(self.tables_of_run(images) * self.tables.scratch_bytes());
        let together = if self.tables.is_dynamic() { IMAGES_WITH_TABLES } else { images };
        for first in (0..images).step_by(together) {
            self.run_tiles(winograd, memory, ranges, first..images.min(first + together), [&mut *table_scratch, &mut *scratch]);
        }
    }

    /// Computes a part of images whose tables there is room for.
    fn run_tiles(
        &self,
        winograd: &Winograd,
        memory: &Memory<'_>,
        ranges: &PartRanges,
        images: Range<usize>,
        [table_scratch, scratch]: [&mut [u8]; 2],
    ) {
        let of_sample = self.tensors.images();
        let mut table_scratch = table_scratch.chunks_exact_mut(self.tables.scratch_bytes().max(1));
        let mut tables: [Option<ImageTables<'_>>; IMAGES_WITH_TABLES] = [None; IMAGES_WITH_TABLES];
        for (tables, image) in tables.iter_mut().zip(images.clone()).take(self.tables_of_run(images.len())) {
            *tables = Some(self.tables.of_image(memory, (image, of_sample), table_scratch.next().unwrap_or_default()));
        }
        let own = self.tables.is_dynamic();
        let image = |index: usize| {
            let tables = tables[if own { index } else { 0 }].expect("as many tables as images");
            let addresses = self.tensors.at(memory, images.start + index);
            WinogradImage { addresses, epilogue: self.whole_epilogue(&addresses, &tables, ranges), tables }
        };
        let run = WinogradRun { geometry: &self.geometry, panels: self.tables.panels(), ranges, images: images.len(), image };
        // SAFETY: the step's tensors: parts write disjoint places, and nobody writes the source.
        unsafe { winograd.run(&run, scratch) };
    }
}
