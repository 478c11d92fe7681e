//! Data sets: a folder or a file as samples of a network's inputs, in the order of the files' paths.
//!
//! Files are `.npy` arrays, pictures, or CIFAR-10's binary files. A network with several inputs has a folder for each, named as
//! the input or `input0`, `input1`, ..., with files of the same names. docs/COMMAND_LINE.md tells all rules.
mod batches;
mod cifar;
mod labels;
mod listing;
mod npy;
mod picture;
mod resize;

use cifar::records;
use clap::Args;
use npy::Npy;
use picture::{Layout, Picture, PictureArguments};
use rsquant::error::{Error, Result};
use rsquant::pipeline::TensorInfo;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Which samples, and how files become them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArguments {
    /// Samples computed at a time, where the network leaves its batch open.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = batch)]
    pub batch: usize,
    /// Take this many samples at most.
    #[arg(long, value_name = "N")]
    pub samples: Option<u64>,
    /// Leave out that many samples at the start: with --samples a shard.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip: u64,
    /// Each .npy file is a batch as it is: for networks whose first axis is no batch axis.
    #[arg(long)]
    pub whole_files: bool,
    #[command(flatten)]
    pub picture: PictureArguments,
}

fn batch(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&batch| batch > 0).ok_or_else(|| format!("{text:?} is no number above 0"))
}

/// What a file is.
#[derive(Debug, Clone)]
enum Kind {
    /// An array; `stacked`: its first axis counts samples.
    Array {
        npy: Npy,
        stacked: bool,
    },
    Cifar,
    Picture,
}

/// A file of one input.
#[derive(Debug, Clone)]
struct Part {
    path: PathBuf,
    kind: Kind,
}

/// A file, or those of the same name for all inputs.
#[derive(Debug, Clone)]
struct Entry {
    parts: Vec<Part>,
    samples: usize,
}

/// What is read of a part: the shape of one sample, all samples' floats, and labels where the file has some.
struct Read {
    dims: Vec<usize>,
    floats: Vec<f32>,
    labels: Option<Vec<u32>>,
}

/// Samples for a network's inputs.
pub struct Dataset {
    inputs: Vec<TensorInfo>,
    arguments: DataArguments,
    root: PathBuf,
    entries: Vec<Entry>,
    /// Of a `--labels` file, one a sample.
    labels: Option<Vec<u32>>,
    /// Infinities pass.
    allow_infinite: bool,
}

impl Dataset {
    /// Finds the files under `root` and looks at their headers.
    ///
    /// # Errors
    /// `Io`, `Parse`, `Corrupt`, `ShapeMismatch` naming the file; `InvalidArgument` for what cannot be meant, `NotFound` for a folder
    /// without data.
    pub fn open(root: &Path, inputs: Vec<TensorInfo>, arguments: &DataArguments) -> Result<Self> {
        arguments.picture.check()?;
        let lists = listing::of_inputs(root, &inputs)?;
        let mut entries = Vec::new();
        for paths in lists {
            let mut parts = Vec::new();
            let mut samples = None;
            for (path, input) in paths.into_iter().zip(&inputs) {
                let (part, count) = look_at(path, input)?;
                match samples {
                    Some(first) if first != count => {
                        let what = format!("it has {count} samples; the first input's file has {first}");
                        return Err(Error::ShapeMismatch(what).in_file(&part.path));
                    }
                    _ => samples = Some(count),
                }
                parts.push(part);
            }
            entries.push(Entry { parts, samples: samples.unwrap_or(0) });
        }
        let data = Self { inputs, arguments: arguments.clone(), root: root.to_owned(), entries, labels: None, allow_infinite: false };
        data.check_size()?;
        Ok(data)
    }

    /// As [`Dataset::open`], with the labels of a file, one a line, for all samples.
    ///
    /// # Errors
    /// Likewise; naming the labels' file.
    pub fn with_labels(mut self, path: Option<&Path>) -> Result<Self> {
        if let Some(path) = path {
            self.labels = Some(labels::read(path, self.all_samples())?);
        }
        Ok(self)
    }

    /// Infinities are the caller's business.
    pub fn allowing_infinite(mut self, allow: bool) -> Self {
        self.allow_infinite = allow;
        self
    }

    /// Samples of all files.
    fn all_samples(&self) -> u64 {
        self.entries.iter().map(|entry| entry.samples as u64).sum()
    }

    /// The samples that are taken, of all.
    fn taken(&self) -> Range<u64> {
        let all = self.all_samples();
        let first = self.arguments.skip.min(all);
        first..self.arguments.samples.map_or(all, |most| all.min(first.saturating_add(most)))
    }

    /// Samples taken.
    pub fn samples(&self) -> u64 {
        let taken = self.taken();
        taken.end - taken.start
    }

    /// Every sample has a label.
    pub fn has_labels(&self) -> bool {
        let all_cifar = self.entries.iter().all(|entry| matches!(entry.parts[0].kind, Kind::Cifar));
        self.labels.is_some() || all_cifar
    }

    /// The folder or file that was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Samples of a batch: what the network declares, or as many as were asked for.
    pub fn batch(&self) -> usize {
        let declared = self.inputs.first().and_then(|input| input.dims.first().copied().flatten());
        declared.filter(|&batch| batch > 0).unwrap_or(self.arguments.batch)
    }

    fn check_size(&self) -> Result<()> {
        let (samples, root) = (self.samples(), self.root.display());
        if samples == 0 {
            let what = format!("{root}: no samples are left of {} after --skip {}", self.all_samples(), self.arguments.skip);
            return Err(Error::InvalidArgument(what));
        }
        let declared = self.inputs.first().and_then(|input| input.dims.first().copied().flatten()).unwrap_or(1);
        if declared > 1 && !self.arguments.whole_files && samples % declared as u64 != 0 {
            let what =
                format!("{root}: {samples} samples are no whole number of the network's batches of {declared}; --samples takes fewer");
            return Err(Error::ShapeMismatch(what));
        }
        Ok(())
    }

    /// Reads samples `range` of an entry's file for input `input`.
    fn read(&self, part: &Part, input: &TensorInfo, range: Range<usize>) -> Result<Read> {
        let Part { path, kind } = part;
        let declared = input.dims.get(1..).unwrap_or_default();
        let pictures = |pictures: Vec<Picture>, labels| {
            let channels = match (declared, self.arguments.picture.layout) {
                ([channels, _, _], Layout::Nchw) | ([_, _, channels], Layout::Nhwc) => channels.unwrap_or(3),
                _ => 3,
            };
            let (mut dims, mut floats) = (Vec::new(), Vec::new());
            for picture in pictures {
                let tensor = self.arguments.picture.tensor(picture, channels);
                dims = tensor.0;
                floats.extend(tensor.1);
            }
            check_picture(&dims, input, self.arguments.picture.layout).map_err(|error| error.in_file(path))?;
            Ok(Read { dims, floats, labels })
        };
        match kind {
            Kind::Picture => pictures(vec![Picture::open(path)?], None),
            Kind::Cifar => {
                let (read, labels) = cifar::read(path, range)?;
                pictures(read, Some(labels))
            }
            Kind::Array { npy, stacked } => {
                let dims = if *stacked { npy.dims[1..].to_vec() } else { npy.dims.clone() };
                let sample: usize = dims.iter().product();
                let floats = npy.read(path, range.start * sample..range.end * sample)?;
                let bad = |x: &f32| x.is_nan() || (x.is_infinite() && !self.allow_infinite);
                if let Some(at) = floats.iter().position(bad) {
                    let (at_sample, element) = (range.start + at / sample, at % sample);
                    let what = format!("sample {at_sample}, element {element} is {}", floats[at]);
                    return Err(Error::NotFinite(what).in_file(path));
                }
                Ok(Read { dims, floats, labels: None })
            }
        }
    }
}

/// What a file is, and how many samples it has.
fn look_at(path: PathBuf, input: &TensorInfo) -> Result<(Part, usize)> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    let (kind, samples) = match extension.as_str() {
        "npy" => {
            let npy = Npy::open(&path)?;
            let (stacked, samples) = check_array(&npy.dims, input).map_err(|error| error.in_file(&path))?;
            (Kind::Array { npy, stacked }, samples)
        }
        "bin" => (Kind::Cifar, records(&path)?),
        "png" | "jpg" | "jpeg" => (Kind::Picture, 1),
        _ => return Err(Error::Unsupported("no data: .npy, .png, .jpg, .jpeg and .bin (CIFAR-10) are".into()).in_file(&path)),
    };
    Ok((Part { path, kind }, samples))
}

fn fits(dims: &[usize], declared: &[Option<usize>]) -> bool {
    dims.len() == declared.len() && dims.iter().zip(declared).all(|(&dim, declared)| declared.is_none_or(|declared| declared == dim))
}

/// Whether an array's first axis counts samples, and how many it has.
fn check_array(dims: &[usize], input: &TensorInfo) -> Result<(bool, usize)> {
    let declared = input.dims.get(1..).unwrap_or_default();
    if dims.len() == input.dims.len() && !dims.is_empty() && fits(&dims[1..], declared) {
        return Ok((true, dims[0]));
    }
    if fits(dims, declared) {
        return Ok((false, 1));
    }
    let what = format!("an array {dims:?}; the input {} takes {}", input.name, crate::table::shape(&input.dims));
    Err(Error::ShapeMismatch(what))
}

fn check_picture(dims: &[usize], input: &TensorInfo, layout: Layout) -> Result<()> {
    if fits(dims, input.dims.get(1..).unwrap_or_default()) {
        return Ok(());
    }
    let mut what = format!("a picture {dims:?}; the input {} takes {}", input.name, crate::table::shape(&input.dims));
    let sides = match (layout, input.dims.as_slice()) {
        (Layout::Nchw, [_, _, Some(height), Some(width)]) | (Layout::Nhwc, [_, Some(height), Some(width), _]) => Some((width, height)),
        _ => None,
    };
    if let Some((width, height)) = sides {
        what.push_str(&format!("; --resize {width}x{height} gives that size"));
    }
    Err(Error::ShapeMismatch(what))
}
