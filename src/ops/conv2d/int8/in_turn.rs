//! Images with qparams of their own take turns at each block of channels: its weights, read once, serve them all.
use super::super::geometry::{ConvGeometry, PartRanges};
use super::super::int8_channels::ImageTables;
use super::{ImageRun, Int8ConvStep};
use crate::kernels::SourceForm;
use crate::ops::step::Memory;
use std::ops::Range;

/// Images that take turns at most.
const IMAGES_IN_TURN: usize = 8;

impl Int8ConvStep {
    /// How many of `images` images take turns: 1 where they share their tables, all weights stay in the cache anyway, or pixels are copied.
    pub(super) fn images_in_turn(&self, images: usize) -> usize {
        let own_tables = self.tables.is_dynamic() && self.small_image.is_none() && self.apart.is_none();
        let possible = own_tables && self.form == SourceForm::Direct && self.channel_block != usize::MAX;
        if possible { images.clamp(1, IMAGES_IN_TURN) } else { 1 }
    }

    /// Computes some images (at most [`IMAGES_IN_TURN`]), block of channels by block of channels. Scratch for their tables and bordered
    /// images, and the kernel's.
    pub(super) fn run_in_turn(
        &self,
        memory: &Memory<'_>,
        (geometry, ranges): (&ConvGeometry, &PartRanges),
        images: Range<usize>,
        [table_scratch, bordered_scratch, kernel_scratch]: [&mut [u8]; 3],
    ) {
        let mut scratch = table_scratch.chunks_exact_mut(self.tables.scratch_bytes().max(1));
        let tables: [Option<ImageTables<'_>>; IMAGES_IN_TURN] = std::array::from_fn(|index| {
            let image = Some(images.start + index).filter(|image| images.contains(image))?;
            Some(self.tables.of_image(memory, (image, self.tensors.images()), scratch.next()?))
        });
        let (mut geometry, mut regions) = (geometry, &self.regions[..]);
        let bordered_bytes = self.image_bytes();
        if let Some(bordered) = &self.bordered {
            for (tables, (image, to)) in tables.iter().flatten().zip(images.clone().zip(bordered_scratch.chunks_exact_mut(bordered_bytes)))
            {
                let addresses = self.tensors.at(memory, image);
                // SAFETY: an image of the source, which nobody writes during this step.
                let image = unsafe { std::slice::from_raw_parts(addresses.src, self.tensors.src_image_bytes()) };
                bordered.write(image, tables.zero_point as u8, &ranges.rows, to);
            }
            (geometry, regions) = (&bordered.geometry, &bordered.regions);
        }
        let channels_end = ranges.channels.end;
        for start in ranges.channels.clone().step_by(self.channel_block) {
            let ranges = PartRanges { channels: start..channels_end.min(start + self.channel_block), ..ranges.clone() };
            for (index, &tables) in tables.iter().flatten().enumerate() {
                let mut addresses = self.tensors.at(memory, images.start + index);
                if self.bordered.is_some() {
                    addresses.src = bordered_scratch[index * bordered_bytes..].as_ptr();
                }
                let ranges = ranges.clone();
                let image = ImageRun { step: self, geometry, regions, ranges, tables, addresses, images: 1, channels_end };
                image.run_direct(kernel_scratch);
            }
        }
    }
}
