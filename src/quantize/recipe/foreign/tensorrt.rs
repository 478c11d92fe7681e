//! TensorRT calibration caches: text, a header `TRT-<version>-<calibrator>`, then a line `name: scale` for each tensor.
//!
//! The scale is an f32's bits in hexadecimal; the type is s8, symmetric, -127..=127, one scale a tensor. Names may hold colons and
//! blanks, so the last colon parts them from the scale.
use super::{ForeignCalibration, ForeignFormat, ForeignTensor, Known, RESTRICTED, RESTRICTED_WEIGHTS};
use crate::error::{Error, Result};

pub(super) fn parse(text: &str) -> Result<ForeignCalibration> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim());
    if !header.starts_with("TRT-") {
        return Err(Error::Parse(format!("TensorRT cache: the first line is {header:?}, not TRT-<version>-<calibrator>")));
    }
    let mut calibration = ForeignCalibration::new(ForeignFormat::TensorRt, RESTRICTED, RESTRICTED_WEIGHTS);
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let refused = |what: &str| Error::Parse(format!("TensorRT cache: line {}: {what}", index + 1));
        let (name, hex) = line.rsplit_once(':').ok_or_else(|| refused("no colon"))?;
        let bits = u32::from_str_radix(hex.trim(), 16).map_err(|_| refused(&format!("{:?} is no hexadecimal scale", hex.trim())))?;
        let tensor = ForeignTensor { known: Known::QParams { scale: f32::from_bits(bits), zero_point: 0 }, target: RESTRICTED };
        let tensor = tensor.check(&format!("TensorRT cache: line {}", index + 1))?;
        if calibration.tensors.insert(name.trim().to_owned(), tensor).is_some() {
            return Err(refused(&format!("{:?} for the second time", name.trim())));
        }
    }
    Ok(calibration)
}
