//! Inputs that a caller gives as image bytes.
use super::pointers::{array, text};
use super::status::{Failure, Outcome};
use crate::pipeline::{ImageInput, ImageNormalization, InputKey};
use crate::quantize::BYTE_DIVISOR;
use std::ffi::c_char;

/// An input that is given as image bytes, `RSQ_DTYPE_U8` of shape n, h, w, c, where the graph has f32 of n, c, h, w. Results are
/// the very bits that the floats `(byte / divisor - mean[c]) / std[c]` give, each operation rounded to f32 in that order.
/// Wherever a session or a prepared with such an input takes or tells its shape, it is n, h, w, c.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_image_input {
    /// The input's name, UTF-8; NULL: `index` says which.
    pub name: *const c_char,
    /// The input's place in the graph's order; not used with `name`.
    pub index: usize,
    /// `channels` means. Copied.
    pub mean: *const f32,
    /// `channels` standard deviations, finite and above 0. Copied.
    pub std: *const f32,
    /// Channels of the image, as many as the graph's input has.
    pub channels: usize,
    /// What bytes are divided by first; 0: 255, for a mean and deviation of values in 0..=1. 1 for ones of bytes.
    pub divisor: f32,
    /// 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<rsq_image_input>() == 5 * size_of::<usize>() + 8);

/// The images that a caller gives.
///
/// # Errors
/// NULL pointers, a name that is not UTF-8, `reserved` other than 0.
///
/// # Safety
/// `images` is NULL or points to `count` descriptions, whose pointers are NULL or point to what they say.
pub(super) unsafe fn images(images: *const rsq_image_input, count: usize) -> Outcome<Vec<ImageInput>> {
    // SAFETY: the caller's promise.
    let images = unsafe { array(images, count, "images") }?;
    let read_image = |(place, image): (usize, &rsq_image_input)| -> Outcome<ImageInput> {
        if image.reserved != 0 {
            return Err(Failure::invalid(format!("images[{place}].reserved is {}; this version knows 0", image.reserved)));
        }
        let input = if image.name.is_null() {
            InputKey::Index(image.index)
        } else {
            // SAFETY: the caller's promise.
            InputKey::Name(unsafe { text(image.name, &format!("images[{place}].name")) }?.to_owned())
        };
        // SAFETY: the caller's promises.
        let (mean, std) = unsafe {
            (
                array(image.mean, image.channels, &format!("images[{place}].mean"))?.to_vec(),
                array(image.std, image.channels, &format!("images[{place}].std"))?.to_vec(),
            )
        };
        let divisor = if image.divisor == 0.0 { BYTE_DIVISOR } else { image.divisor };
        Ok(ImageInput { input, normalization: ImageNormalization { divisor, mean, std } })
    };
    images.iter().enumerate().map(read_image).collect()
}
