//! Inputs that a caller gives as images: u8 `[n, h, w, c]` instead of f32 `[n, c, h, w]`, with their normalization.
use super::float_graph::{TensorInfo, describe};
use super::session::check_declared;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::isa::FloatControl;
use crate::kernels::image::image_plane;
use crate::memory;
use crate::quantize::{ByteValues, ImageNormalization};
use crate::tensor::{DType, TensorView};
use std::sync::Arc;

/// Which input of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKey {
    /// By its place in the graph's order.
    Index(usize),
    /// By its name.
    Name(String),
}

/// An input that is given as image bytes, u8 `[n, h, w, c]`. Its results are the bits that the floats
/// `(byte / divisor - mean[c]) / std[c]` give as f32 `[n, c, h, w]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageInput {
    /// The input, whose shape is `[n, c, h, w]` in the graph.
    pub input: InputKey,
    /// What a byte stands for.
    pub normalization: ImageNormalization,
}

/// Axes of an image.
const RANK: usize = 4;

/// The images among a graph's inputs.
#[derive(Debug, Clone, Default)]
pub(super) struct ImageSet {
    /// One for each input of the graph; empty where there are none.
    values: Vec<Option<Arc<[ByteValues]>>>,
}

/// A shape in the graph's order of axes.
pub(super) enum GraphDims<'a> {
    /// As it was given.
    Given(&'a [usize]),
    /// Of an image.
    Image([usize; RANK]),
}

impl std::ops::Deref for GraphDims<'_> {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        match self {
            GraphDims::Given(dims) => dims,
            GraphDims::Image(dims) => dims,
        }
    }
}

fn find(graph: &Graph, key: &InputKey) -> Result<usize> {
    let count = graph.inputs.len();
    match key {
        InputKey::Index(index) if *index < count => Ok(*index),
        InputKey::Index(index) => Err(Error::NotFound(format!("image input {index} of {count}"))),
        InputKey::Name(name) => {
            let found = graph.inputs.iter().position(|&input| graph.value(input).name == *name);
            found.ok_or_else(|| Error::NotFound(format!("image input {name}: the graph has no input of that name")))
        }
    }
}

impl ImageSet {
    /// Checks `inputs` against what the graph declares.
    ///
    /// # Errors
    /// `NotFound` for an input that is not there; `ShapeMismatch` for one that has not four axes or another number of channels;
    /// `InvalidArgument` for a normalization that is none, and an input that comes twice.
    pub fn new(graph: &Graph, inputs: &[ImageInput]) -> Result<Self> {
        if inputs.is_empty() {
            return Ok(Self::default());
        }
        let _float_control = FloatControl::set_default();
        let mut values = vec![None; graph.inputs.len()];
        for image in inputs {
            let index = find(graph, &image.input)?;
            let value = graph.value(graph.inputs[index]);
            let (name, channels) = (&value.name, image.normalization.channels());
            let [_, declared, _, _] = value.declared.as_slice() else {
                let rank = value.declared.len();
                return Err(Error::ShapeMismatch(format!("input {index} ({name}) has rank {rank}; an image has 4 axes: n, c, h, w")));
            };
            if declared.is_some_and(|declared| declared != channels) {
                let declared = declared.unwrap_or(0);
                let message = format!("input {index} ({name}) has {declared} channels; the image's normalization has {channels}");
                return Err(Error::ShapeMismatch(message));
            }
            if values[index].is_some() {
                return Err(Error::InvalidArgument(format!("input {index} ({name}) is an image twice")));
            }
            let of_bytes = image.normalization.values().map_err(|error| match error {
                Error::InvalidArgument(why) => Error::InvalidArgument(format!("input {index} ({name}): {why}")),
                other => other,
            })?;
            values[index] = Some(Arc::from(of_bytes));
        }
        memory::checkpoint()?;
        Ok(Self { values })
    }

    /// The float of each byte, one list an input; empty where no input is an image.
    pub fn values(&self) -> &[Option<Arc<[ByteValues]>>] {
        &self.values
    }

    fn is_image(&self, index: usize) -> bool {
        matches!(self.values.get(index), Some(Some(_)))
    }

    /// Whether no input is an image.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The element type that input `index` is given in.
    pub fn dtype(&self, index: usize) -> DType {
        if self.is_image(index) { DType::U8 } else { DType::F32 }
    }

    /// What a caller gives as `dims` for input `index`, in the graph's order. Allocates nothing.
    pub fn graph_dims<'a>(&self, index: usize, dims: &'a [usize]) -> GraphDims<'a> {
        match *dims {
            [n, h, w, c] if self.is_image(index) => GraphDims::Image([n, c, h, w]),
            _ => GraphDims::Given(dims),
        }
    }

    /// Shapes of all inputs as a caller gives them, in the graph's order.
    pub fn all_graph_dims(&self, dims: &[Vec<usize>]) -> Vec<Vec<usize>> {
        dims.iter().enumerate().map(|(index, dims)| self.graph_dims(index, dims).to_vec()).collect()
    }

    /// The inputs as a caller gives them.
    pub fn describe(&self, graph: &Graph) -> Vec<TensorInfo> {
        let mut inputs = describe(graph, &graph.inputs);
        for (index, input) in inputs.iter_mut().enumerate().filter(|(index, _)| self.is_image(*index)) {
            input.dtype = self.dtype(index);
            if let [n, c, h, w] = *input.dims.as_slice() {
                input.dims = vec![n, h, w, c];
            }
        }
        inputs
    }

    /// Checks the element type of input `index`.
    ///
    /// # Errors
    /// `DTypeMismatch`.
    pub fn check_dtype(&self, graph: &Graph, index: usize, given: DType) -> Result<()> {
        let needed = self.dtype(index);
        if given == needed {
            return Ok(());
        }
        let name = &graph.value(graph.inputs[index]).name;
        Err(Error::DTypeMismatch(format!("input {index} ({name}) holds {}; {} is needed", given.name(), needed.name())))
    }

    /// Hands `work` the inputs of one batch as f32 in the graph's order of axes: images are turned into the floats that they stand for.
    ///
    /// # Errors
    /// `DTypeMismatch`, `ShapeMismatch` against what the graph declares, `InvalidArgument` for another number of inputs,
    /// `OutOfMemory`; whatever `work` returns.
    pub fn with_floats<R>(&self, graph: &Graph, inputs: &[TensorView<'_>], work: impl FnOnce(&[TensorView<'_>]) -> Result<R>) -> Result<R> {
        for (index, view) in inputs.iter().enumerate().take(graph.inputs.len()) {
            self.check_dtype(graph, index, view.dtype())?;
        }
        let dims = inputs.iter().enumerate().map(|(index, view)| self.graph_dims(index, view.dims()).to_vec());
        let dims: Vec<Vec<usize>> = dims.collect();
        check_declared(graph, &dims)?;
        if self.is_empty() {
            return work(inputs);
        }
        let floats = self.floats(inputs)?;
        let mut views = Vec::with_capacity(inputs.len());
        for ((floats, view), dims) in floats.iter().zip(inputs).zip(&dims) {
            views.push(match floats {
                Some(floats) => TensorView::f32(floats, dims)?,
                None => *view,
            });
        }
        work(&views)
    }

    /// The floats of the images among `inputs`, in the graph's order of axes; `None` for the other inputs.
    ///
    /// # Errors
    /// `OutOfMemory`.
    fn floats(&self, inputs: &[TensorView<'_>]) -> Result<Vec<Option<Vec<f32>>>> {
        let of_input = |(index, view): (usize, &TensorView<'_>)| -> Result<Option<Vec<f32>>> {
            let Some(Some(values)) = self.values.get(index) else { return Ok(None) };
            let &[_, height, width, channels] = view.dims() else { return Ok(None) };
            let mut floats = memory::filled(view.bytes().len(), 0.0, "an image's floats")?;
            let (pixels, planes) = (height * width, values.len());
            if pixels > 0 && channels == planes {
                for (src, dst) in view.bytes().chunks_exact(pixels * planes).zip(floats.chunks_exact_mut(pixels * planes)) {
                    for (channel, (values, plane)) in values.iter().zip(dst.chunks_exact_mut(pixels)).enumerate() {
                        image_plane(src, channel, planes, values, plane);
                    }
                }
            }
            Ok(Some(floats))
        };
        inputs.iter().enumerate().map(of_input).collect()
    }
}
