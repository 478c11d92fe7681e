//! Inputs that the caller gives as image bytes, dense NHWC: what reads them gets bytes or floats made of them.
use super::super::orders::orders;
use super::{Draft, PlaceKind, Planner, Work};
use crate::error::{Error, Result};
use crate::graph::{Op, ValueId, ValueType};
use crate::ops::{Element, ImageFloatsStep, Kernels, Order, QuantizeImageStep, Slot, Step, StepInfo, Tensor, TensorLayout};
use crate::quantize::ByteValues;
use std::sync::Arc;

/// For each input of a graph: nothing, or the float of each byte, channel by channel, where the caller gives image bytes
/// `[n, h, w, c]`. An empty list: no input is an image.
pub type ImageInputs = [Option<Arc<[ByteValues]>>];

impl Planner<'_> {
    /// The float of each byte of the image that lies at `place`, and the input's index; `None` for any other tensor.
    fn image_at(&self, place: usize) -> Option<(usize, &Arc<[ByteValues]>)> {
        let PlaceKind::Bound(Slot::Input(index)) = self.places[place].kind else { return None };
        self.images.get(index)?.as_ref().map(|values| (index, values))
    }

    /// How input `index` lies in the caller's memory, where it is an image.
    ///
    /// # Errors
    /// `ShapeMismatch` for a shape that is none of such an image.
    pub(super) fn image_layout(&self, index: usize, value: ValueId) -> Result<Option<TensorLayout>> {
        let Some(Some(values)) = self.images.get(index) else { return Ok(None) };
        let dims = self.shapes[value.index()].as_deref().unwrap_or_default();
        if dims.len() != 4 || dims[1] != values.len() {
            let name = &self.graph.value(value).name;
            return Err(Error::ShapeMismatch(format!("image input {index} ({name}) has {} channels; its shape is {dims:?}", values.len())));
        }
        Ok(Some(TensorLayout::new(dims, Element::U8, Order::ChannelsLast).with_own_stride(values.len())))
    }

    /// Whether node `index` quantizes the image at `place` with fixed qparams, which a table does as well.
    pub(super) fn quantizes_image(&self, index: usize, place: usize) -> bool {
        let node = &self.graph.nodes[index];
        matches!(node.op, Op::Quantize)
            && self.image_at(place).is_some()
            && matches!(self.graph.value(node.output).ty, ValueType::Quantized(_))
    }

    /// Floats in place of the images among `places`, inputs of `op`, in the order that it wants; `output` tells of its output.
    pub(super) fn images_as_floats(&mut self, op: &Op, places: &mut [usize], output: &TensorLayout) {
        for at in 0..places.len() {
            if self.image_at(places[at]).is_some() {
                let layout = TensorLayout::new(&self.places[places[at]].layout.dims, Element::F32, Order::RowMajor);
                let wanted = orders(op, &[&layout], output.dims.len(), output.element);
                places[at] = self.image_as_floats(places[at], wanted.inputs.unwrap_or(Order::RowMajor));
            }
        }
    }

    /// The floats of the image at `place` in `order`, made once; `place` itself for any other tensor.
    pub(super) fn image_as_floats(&mut self, place: usize, order: Order) -> usize {
        if self.image_at(place).is_none() {
            return place;
        }
        // The image itself lies channels last too, and is in no map of converted tensors under that order.
        if let Some(&done) = self.converted.get(&(place, order)) {
            return done;
        }
        let layout = TensorLayout::new(&self.places[place].layout.dims, Element::F32, order);
        let output = self.add_place(layout, PlaceKind::Arena);
        self.drafts.push(Draft { work: Work::Image(None), inputs: vec![place], qparams: None, output, value: None });
        self.converted.insert((place, order), output);
        output
    }

    /// The step that reads an image: for the quantizing node `node`, or to floats.
    pub(super) fn image_step(
        &self,
        kernels: &Kernels,
        place: usize,
        node: Option<usize>,
        [src, dst]: [Tensor; 2],
    ) -> Result<Box<dyn Step>> {
        let missing = || Error::Graph("a step reads an image that is none".into());
        let (input, values) = self.image_at(place).ok_or_else(missing)?;
        let activation_bytes = (src.layout.held_bytes() + dst.layout.held_bytes()) as u64;
        let info = StepInfo { operator: "Image", activation_bytes, ..StepInfo::default() };
        let Some(node) = node.map(|node| &self.graph.nodes[node]) else {
            let name = self.graph.value(self.graph.inputs[input]).name.clone();
            return Ok(Box::new(ImageFloatsStep::new(StepInfo { name, ..info }, Arc::clone(values), src, dst)));
        };
        let ValueType::Quantized(ty) = self.graph.value(node.output).ty else { return Err(missing()) };
        let info = StepInfo { name: node.name.clone(), operator: node.op.name(), ..info };
        Ok(Box::new(QuantizeImageStep::new(info, kernels.vector(), values, ty, [src, dst])))
    }
}
