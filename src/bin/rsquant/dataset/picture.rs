//! Pictures: decoded from PNG and JPEG, resized, turned into tensors.
use super::resize::resize;
use clap::{Args, ValueEnum};
use rsquant::error::{Error, Result};
use std::io::Cursor;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";
/// Weights of red, green and blue in a grey value, of 2^16: ITU-R BT.601.
const LUMA: [u32; 3] = [19595, 38470, 7471];

/// Bytes `[height, width, channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// 1 or 3.
    pub channels: usize,
    pub pixels: Vec<u8>,
}

/// Where the channels of a tensor stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// [n, c, h, w].
    Nchw,
    /// [n, h, w, c].
    Nhwc,
}

/// How pictures become tensors.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pictures (PNG, JPEG, CIFAR-10)")]
pub struct PictureArguments {
    /// Resize to this size (bilinear, as in Pillow); otherwise pictures must have the network's.
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub resize: Option<(usize, usize)>,
    /// Subtracted from each channel of [0, 1]; one number or one a channel.
    #[arg(long, value_name = "M[,M,M]", value_delimiter = ',', default_value = "0", allow_negative_numbers = true)]
    pub mean: Vec<f32>,
    /// Divides each channel after that.
    #[arg(long, value_name = "S[,S,S]", value_delimiter = ',', default_value = "1")]
    pub std: Vec<f32>,
    /// Where the network's input has its channels.
    #[arg(long, value_enum, value_name = "LAYOUT", default_value = "nchw")]
    pub layout: Layout,
}

fn size(text: &str) -> std::result::Result<(usize, usize), String> {
    let parse = |number: &str| number.parse::<usize>().ok().filter(|&number| (1..=1 << 15).contains(&number));
    let (width, height) = text.split_once('x').ok_or_else(|| format!("{text:?} is no size such as 224x224"))?;
    parse(width).zip(parse(height)).ok_or_else(|| format!("{text:?} is no size such as 224x224"))
}

impl PictureArguments {
    /// Looks for numbers that no picture can be normalized with.
    ///
    /// # Errors
    /// `InvalidArgument`.
    pub fn check(&self) -> Result<()> {
        for (name, values) in [("--mean", &self.mean), ("--std", &self.std)] {
            if ![1, 3].contains(&values.len()) || values.iter().any(|value| !value.is_finite()) {
                return Err(Error::InvalidArgument(format!("{name} takes one finite number or three, not {values:?}")));
            }
        }
        match self.std.contains(&0.0) {
            true => Err(Error::InvalidArgument("--std holds 0".into())),
            false => Ok(()),
        }
    }

    /// The tensor of a picture, as many `channels` as the network takes: its shape and `(byte / 255 - mean) / std`.
    pub fn tensor(&self, picture: Picture, channels: usize) -> (Vec<usize>, Vec<f32>) {
        let picture = picture.with_channels(channels);
        let picture = match self.resize {
            Some((width, height)) => resize(&picture, width, height),
            None => picture,
        };
        let Picture { width, height, channels, pixels } = picture;
        let of = |values: &[f32], channel: usize| values[channel.min(values.len() - 1)];
        let of_byte = |channel: usize, byte: u8| (f32::from(byte) / 255.0 - of(&self.mean, channel)) / of(&self.std, channel);
        let floats: Vec<[f32; 256]> =
            (0..channels).map(|channel| std::array::from_fn(|byte| of_byte(channel, u8::try_from(byte).unwrap_or(u8::MAX)))).collect();
        let at = |channel: usize, pixel: usize| floats[channel][usize::from(pixels[pixel * channels + channel])];
        let plane = width * height;
        match self.layout {
            Layout::Nchw => {
                let floats = (0..channels).flat_map(|channel| (0..plane).map(move |pixel| (channel, pixel)));
                (vec![channels, height, width], floats.map(|(channel, pixel)| at(channel, pixel)).collect())
            }
            Layout::Nhwc => {
                let floats = (0..plane).flat_map(|pixel| (0..channels).map(move |channel| (channel, pixel)));
                (vec![height, width, channels], floats.map(|(channel, pixel)| at(channel, pixel)).collect())
            }
        }
    }
}

impl Picture {
    /// Decodes a file by what it begins with.
    ///
    /// # Errors
    /// `Io`; `Parse` naming the file.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
        let decoded = match () {
            () if bytes.starts_with(PNG) => decode_png(&bytes),
            () if bytes.starts_with(JPEG) => decode_jpeg(&bytes),
            () => Err("neither PNG nor JPEG".into()),
        };
        decoded.map_err(|what| Error::Parse(what).in_file(path))
    }

    /// Grey for one channel, colours for three.
    fn with_channels(self, channels: usize) -> Self {
        let pixels: Vec<u8> = match (self.channels, channels) {
            (1, 3) => self.pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
            (3, 1) => {
                let grey = |rgb: &[u8]| rgb.iter().zip(LUMA).map(|(&colour, weight)| u32::from(colour) * weight).sum::<u32>() + (1 << 15);
                self.pixels.chunks_exact(3).map(|rgb| u8::try_from(grey(rgb) >> 16).unwrap_or(u8::MAX)).collect()
            }
            _ => return self,
        };
        Self { channels, pixels, ..self }
    }
}

/// 8 bits a channel; palettes are resolved and transparency is left out.
fn decode_png(bytes: &[u8]) -> std::result::Result<Picture, String> {
    let told = |error: png::DecodingError| error.to_string();
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(told)?;
    let mut buffer = vec![0; reader.output_buffer_size().ok_or("too large")?];
    let frame = reader.next_frame(&mut buffer).map_err(told)?;
    buffer.truncate(frame.buffer_size());
    let (samples, channels) = (frame.color_type.samples(), if frame.color_type.samples() < 3 { 1 } else { 3 });
    let pixels = buffer.chunks_exact(samples).flat_map(|pixel| &pixel[..channels]).copied().collect();
    Ok(Picture { width: frame.width as usize, height: frame.height as usize, channels, pixels })
}

fn decode_jpeg(bytes: &[u8]) -> std::result::Result<Picture, String> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB).set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|error| format!("{error:?}"))?;
    let info = decoder.info().ok_or("no size")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    match pixels.len() == 3 * width * height {
        true => Ok(Picture { width, height, channels: 3, pixels }),
        false => Err(format!("{} bytes for {width} x {height} pixels", pixels.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(mean: &[f32], std: &[f32], layout: Layout) -> PictureArguments {
        PictureArguments { resize: None, mean: mean.to_vec(), std: std.to_vec(), layout }
    }

    #[test]
    fn tensors_are_normalized_channel_by_channel_in_either_layout() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![0, 51, 102, 255, 204, 153] };
        let planes = arguments(&[0.0, 0.2, 0.0], &[1.0, 1.0, 2.0], Layout::Nchw).tensor(picture.clone(), 3);
        let close =
            |got: &[f32], expected: &[f32]| got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert_eq!(planes.0, [3, 1, 2]);
        assert!(close(&planes.1, &[0.0, 1.0, 0.0, 0.6, 0.2, 0.3]), "{planes:?}");
        let pixels = arguments(&[0.5], &[0.5], Layout::Nhwc).tensor(picture, 3);
        assert_eq!(pixels.0, [1, 2, 3]);
        assert!(close(&pixels.1, &[-1.0, -0.6, -0.2, 1.0, 0.6, 0.2]), "{pixels:?}");
    }

    #[test]
    fn jpegs_are_decoded_as_pillow_decodes_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pictures");
        // Decoders may round differently; colours at a quarter of the size they may also interpolate differently.
        for (name, most) in [("colours", 3), ("progressive", 12), ("subsampled", 12), ("grey", 2)] {
            let open = |extension: &str| Picture::open(&folder.join(name).with_extension(extension)).unwrap().with_channels(3);
            let (jpeg, png) = (open("jpg"), open("png"));
            assert_eq!((jpeg.width, jpeg.height), (56, 40));
            let worst = jpeg.pixels.iter().zip(&png.pixels).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(jpeg.pixels.len() == png.pixels.len() && worst <= Some(most), "{name}: {worst:?}");
        }
    }

    #[test]
    fn grey_and_colours_become_each_other() {
        let grey = Picture { width: 1, height: 2, channels: 1, pixels: vec![7, 200] };
        assert_eq!(grey.clone().with_channels(3).pixels, [7, 7, 7, 200, 200, 200]);
        assert_eq!(grey.clone().with_channels(3).with_channels(1), grey);
    }

    #[test]
    fn sizes_and_numbers_that_mean_nothing_are_refused() {
        assert_eq!(size("640x480"), Ok((640, 480)));
        for bad in ["640", "0x4", "4x", "x", "-1x2"] {
            assert!(size(bad).unwrap_err().contains(bad), "{bad}");
        }
        assert!(arguments(&[0.0], &[0.0], Layout::Nchw).check().is_err());
        assert!(arguments(&[0.0, 1.0], &[1.0], Layout::Nchw).check().is_err());
        assert!(arguments(&[f32::NAN], &[1.0], Layout::Nchw).check().is_err());
    }
}
