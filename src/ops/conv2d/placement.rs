//! Where the pixels of a block lie in a layer's tensors, and what the epilogue makes of them.
use super::geometry::{ConvGeometry, Region};
use crate::graph::Bounds;
use crate::kernels::{Int8Block, Int8Output, Pixels, Requantize, Residual};
use crate::ops::step::Tensor;

/// What becomes of an int8 layer's `f`.
#[derive(Debug, Clone)]
pub enum Int8Result {
    /// Bytes, with the residual's zero point and ratio `s_r / s_y` where there is one.
    U8 {
        /// Zero point and clamp.
        requantize: Requantize,
        /// `(z_r, s_r / s_y)`.
        residual: (i32, f32),
    },
    /// Floats.
    F32(Bounds),
    /// The accumulators themselves, as i32.
    Accumulators,
}

/// Bytes from one pixel (or row of a matrix) to the next.
pub fn pixel_bytes(tensor: &Tensor) -> usize {
    tensor.layout.inner_stride() * tensor.layout.element.size_bytes()
}

/// The rectangle with rows and columns exchanged.
pub fn swap<P>(pixels: Pixels<P>) -> Pixels<P> {
    Pixels { start: pixels.start, row_stride: pixels.col_stride, col_stride: pixels.row_stride }
}

/// An int8 output with rows and columns exchanged.
pub fn swap_output(output: Int8Output) -> Int8Output {
    match output {
        Int8Output::U8 { dst, residual, requantize } => {
            Int8Output::U8 { dst: swap(dst), residual: residual.map(|r| Residual { src: swap(r.src), ..r }), requantize }
        }
        Int8Output::F32 { dst, residual, low, high } => Int8Output::F32 { dst: swap(dst), residual: residual.map(swap), low, high },
        Int8Output::I32 { dst } => Int8Output::I32 { dst: swap(dst) },
    }
}

/// Byte offset of a piece's first pixel at `channel`, and the strides of its rows and pixels.
pub fn output_place(tensor: &Tensor, geometry: &ConvGeometry, piece: &Region, channel: usize) -> (usize, isize, isize) {
    let pixel = pixel_bytes(tensor);
    let first = (piece.rows.start * geometry.output[1] + piece.cols.start) * pixel;
    (first + channel * tensor.layout.element.size_bytes(), (geometry.output[1] * pixel) as isize, pixel as isize)
}

/// Source pixels of a piece at its first valid tap, `channel_bytes` into each pixel. With no valid tap nothing is read
/// and the address does not matter.
pub fn source_pixels(start: *const u8, pixel: usize, geometry: &ConvGeometry, piece: &Region, channel_bytes: usize) -> Pixels<*const u8> {
    let first = geometry.src_pixel(piece.rows.start, piece.cols.start, piece.tap_rows.start, piece.tap_cols.start);
    Pixels {
        start: start.wrapping_offset(first * pixel as isize + channel_bytes as isize),
        row_stride: (geometry.strides[0] * geometry.input[1] * pixel) as isize,
        col_stride: (geometry.strides[1] * pixel) as isize,
    }
}

/// Addresses of one image's tensors.
#[derive(Debug, Clone, Copy)]
pub struct ImageAddresses {
    /// Source.
    pub src: *const u8,
    /// Fused residual.
    pub residual: Option<*const u8>,
    /// Destination.
    pub dst: *mut u8,
}

/// Shows `change` the row and pixel strides of a block's source, residual and destination, each with its own number.
fn each_pixels(block: &mut Int8Block, [src, residual, dst]: [isize; 3], change: impl Fn(&mut isize, &mut isize, isize)) {
    change(&mut block.src.row_stride, &mut block.src.col_stride, src);
    match &mut block.output {
        Int8Output::U8 { dst: to, residual: added, .. } => {
            change(&mut to.row_stride, &mut to.col_stride, dst);
            if let Some(added) = added {
                change(&mut added.src.row_stride, &mut added.src.col_stride, residual);
            }
        }
        Int8Output::F32 { dst: to, residual: added, .. } => {
            change(&mut to.row_stride, &mut to.col_stride, dst);
            if let Some(added) = added {
                change(&mut added.row_stride, &mut added.col_stride, residual);
            }
        }
        Int8Output::I32 { dst: to } => change(&mut to.row_stride, &mut to.col_stride, dst),
    }
}

/// Moves an output `image` images on.
fn move_output(output: &mut Int8Output, image: isize, [_, residual, dst]: [isize; 3]) {
    match output {
        Int8Output::U8 { dst: to, residual: added, .. } => {
            to.start = to.start.wrapping_offset(image * dst);
            if let Some(added) = added {
                added.src.start = added.src.start.wrapping_offset(image * residual);
            }
        }
        Int8Output::F32 { dst: to, residual: added, .. } => {
            to.start = to.start.wrapping_offset(image * dst);
            if let Some(added) = added {
                added.start = added.start.wrapping_offset(image * residual);
            }
        }
        Int8Output::I32 { dst: to } => to.start = to.start.wrapping_offset(image * dst),
    }
}

/// The tensors of a convolution or linear layer.
#[derive(Debug, Clone)]
pub struct LayerTensors {
    /// Source.
    pub src: Tensor,
    /// Fused residual, of the destination's shape.
    pub residual: Option<Tensor>,
    /// Destination.
    pub dst: Tensor,
}

impl LayerTensors {
    /// Indices along axis 0 in one sample: 1, unless the plan is for whole batches.
    pub fn images(&self) -> usize {
        self.src.layout.dims.first().copied().unwrap_or(1)
    }

    /// Addresses of image `image` of the chunk: images of all its samples, counted on.
    pub fn at(&self, memory: &crate::ops::Memory<'_>, image: usize) -> ImageAddresses {
        let images = self.images().max(1);
        let at = |tensor: &Tensor| memory.src(tensor).wrapping_add(image * (tensor.sample_bytes / images));
        ImageAddresses {
            src: at(&self.src),
            residual: self.residual.as_ref().map(at),
            dst: memory.dst(&self.dst).wrapping_add(image * (self.dst.sample_bytes / images)),
        }
    }

    /// Whether the images of every tensor lie one after another as rows of `pixels` pixels.
    pub fn are_dense_rows(&self, pixels: usize) -> bool {
        self.src.sample_bytes == self.images() * pixels * pixel_bytes(&self.src) && self.has_dense_outputs(pixels)
    }

    /// Whether the images of destination and residual lie one after another as rows of `pixels` pixels.
    pub fn has_dense_outputs(&self, pixels: usize) -> bool {
        let dense = |tensor: &Tensor| tensor.sample_bytes == self.images() * pixels * pixel_bytes(tensor);
        dense(&self.dst) && self.residual.as_ref().is_none_or(dense)
    }

    /// The same block in each of `images` images. A block of one row becomes one block of all images: a row of pixels is a row
    /// of each, a single pixel makes a row across the images. So the few pixels of a border fill a kernel's tiles.
    pub fn in_images(&self, block: Int8Block, images: usize) -> impl Iterator<Item = Int8Block> {
        let stride = |tensor: &Tensor| (tensor.sample_bytes / self.images().max(1)) as isize;
        let strides = [stride(&self.src), self.residual.as_ref().map_or(0, stride), stride(&self.dst)];
        let mut block = block;
        let blocks = if images > 1 && block.rows == 1 {
            if block.cols == 1 {
                block.cols = images;
                each_pixels(&mut block, strides, |_, col_stride, stride| *col_stride = stride);
            } else {
                block.rows = images;
                each_pixels(&mut block, strides, |row_stride, _, stride| *row_stride = stride);
            }
            1
        } else {
            images
        };
        (0..blocks).map(move |image| {
            let mut block = block;
            block.src.start = block.src.start.wrapping_offset(image as isize * strides[0]);
            move_output(&mut block.output, image as isize, strides);
            block
        })
    }

    /// Bytes from one image of the source to the next.
    pub fn src_image_bytes(&self) -> usize {
        self.src.sample_bytes / self.images().max(1)
    }

    /// Destination pixels of a piece from `channel` on.
    pub fn dst_pixels(&self, image: &ImageAddresses, geometry: &ConvGeometry, piece: &Region, channel: usize) -> Pixels<*mut u8> {
        let (offset, row_stride, col_stride) = output_place(&self.dst, geometry, piece, channel);
        Pixels { start: image.dst.wrapping_add(offset), row_stride, col_stride }
    }

    /// Residual pixels of a piece from `channel` on.
    pub fn residual_pixels(
        &self,
        image: &ImageAddresses,
        geometry: &ConvGeometry,
        piece: &Region,
        channel: usize,
    ) -> Option<Pixels<*const u8>> {
        image.residual.zip(self.residual.as_ref()).map(|(start, tensor)| {
            let (offset, row_stride, col_stride) = output_place(tensor, geometry, piece, channel);
            Pixels { start: start.wrapping_add(offset), row_stride, col_stride }
        })
    }

    /// The epilogue of a piece from `channel` on.
    pub fn int8_output(
        &self,
        result: &Int8Result,
        image: &ImageAddresses,
        geometry: &ConvGeometry,
        piece: &Region,
        channel: usize,
    ) -> Int8Output {
        let dst = self.dst_pixels(image, geometry, piece, channel);
        let residual = self.residual_pixels(image, geometry, piece, channel);
        match result {
            Int8Result::U8 { requantize, residual: (zero_point, ratio) } => {
                let residual = residual.map(|src| Residual { src, zero_point: *zero_point, ratio: *ratio });
                Int8Output::U8 { dst, residual, requantize: *requantize }
            }
            Int8Result::F32(bounds) => Int8Output::F32 { dst, residual, low: bounds.low, high: bounds.high },
            Int8Result::Accumulators => Int8Output::I32 { dst },
        }
    }
}
