//! 2-D convolution and linear layers, int8 and f32: borders, blocking and the split between threads.
//!
//! A linear layer is a 1x1 convolution over a row of pixels. Padded taps are never computed: the output is cut into
//! regions whose pixels share their valid taps, or, for kernels that read gathered panels, padding is filled with the
//! zero point.
mod apart_rows;
mod bordered_columns;
mod dense_rows;
mod depthwise;
mod f32;
mod gather;
mod geometry;
mod int8;
mod int8_channels;
mod placement;
mod row_pairs;
mod small_image;
mod winograd;

pub use depthwise::{F32DepthwiseStep, Int8DepthwiseStep};
pub use f32::F32ConvStep;
pub use geometry::ConvGeometry;
pub use int8::Int8ConvStep;
pub use int8_channels::{DYNAMIC_ENTRY_BYTES, ImageQParams, Int8Weights, MAX_RANGE_PARTS, OutputScale};
pub use placement::{Int8Result, LayerTensors};
