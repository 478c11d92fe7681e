//! The attributes that convolution and pooling share: strides, dilations and padding of a 2-D window.
use crate::error::{Error, Result};
use crate::graph::Padding;
use crate::onnx::attributes::Attributes;

/// Strides, dilations and padding.
pub struct WindowAttributes {
    /// `[vertical, horizontal]`.
    pub strides: [usize; 2],
    /// `[vertical, horizontal]`.
    pub dilations: [usize; 2],
    /// Pixels around the image.
    pub padding: Padding,
}

impl WindowAttributes {
    /// Reads `strides`, `dilations`, `pads` and `auto_pad`.
    ///
    /// # Errors
    /// [`Error::Graph`] for a stride or dilation below 1, a negative pad and lists that are not 2-D,
    /// [`Error::Unsupported`] for an unknown `auto_pad`.
    pub fn read(attributes: &mut Attributes) -> Result<Self> {
        let strides = pair(attributes, "strides")?.unwrap_or([1; 2]);
        let dilations = pair(attributes, "dilations")?.unwrap_or([1; 2]);
        let auto_pad = attributes.string("auto_pad", "NOTSET")?;
        // Some writers give pads beside an auto_pad, which then decides.
        let pads = attributes.ints("pads")?;
        let padding = match auto_pad.as_str() {
            "NOTSET" | "" => explicit(pads)?,
            "VALID" => Padding::NONE,
            "SAME_UPPER" => Padding::SameUpper,
            "SAME_LOWER" => Padding::SameLower,
            other => return Err(Error::Unsupported(format!("auto_pad '{other}'"))),
        };
        Ok(Self { strides, dilations, padding })
    }
}

/// A list of two positive integers.
///
/// # Errors
/// [`Error::Graph`].
pub fn pair(attributes: &mut Attributes, name: &str) -> Result<Option<[usize; 2]>> {
    let Some(list) = attributes.ints(name)? else {
        return Ok(None);
    };
    match list.as_slice() {
        &[vertical, horizontal] if vertical > 0 && horizontal > 0 => Ok(Some([vertical as usize, horizontal as usize])),
        _ => Err(Error::Graph(format!("{name} {list:?}: two numbers above 0 are needed"))),
    }
}

fn explicit(pads: Option<Vec<i64>>) -> Result<Padding> {
    let pads = pads.unwrap_or_else(|| vec![0; 4]);
    let positive: Vec<usize> = pads.iter().filter_map(|&pad| usize::try_from(pad).ok()).collect();
    match positive.as_slice() {
        &[top, left, bottom, right] if pads.len() == 4 => Ok(Padding::Explicit { top, left, bottom, right }),
        _ => Err(Error::Graph(format!("pads {pads:?}: four numbers of 0 or more are needed"))),
    }
}
