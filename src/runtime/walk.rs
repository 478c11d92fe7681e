//! A run on one thread that stops after each tensor, so that the runs of two plans can be looked at side by side.
use super::executor::Executor;
use super::plan::{Plan, PlannedTensor};
use crate::error::{Error, Result};
use crate::graph::ValueId;
use crate::isa::FloatControl;
use crate::ops::{BoundTensors, Element, Memory, StepRun, TensorLayout};
use crate::quantize::QParams;
use crate::tensor::AlignedBuffer;
use crate::threads::Part;
use std::sync::{MutexGuard, PoisonError};

/// The run of one sample (of a whole batch where the plan is for whole batches), as far as it has come.
pub struct Walk<'a> {
    plan: &'a Plan,
    bound: &'a BoundTensors,
    staging: &'a [AlignedBuffer],
    arena: MutexGuard<'a, AlignedBuffer>,
    scratch: MutexGuard<'a, AlignedBuffer>,
    outputs: Vec<&'a mut [u8]>,
    /// The step that runs next.
    next: usize,
    /// What the last step made.
    current: Option<&'a PlannedTensor>,
}

impl Executor {
    /// Starts a run of one sample (a whole batch where the plan is for whole batches): dense f32 bytes in the graph's order.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] for bytes that do not fit, [`Error::InvalidArgument`] for a wrong number of tensors.
    pub fn walk<'a>(&'a mut self, inputs: &[&'a [u8]], mut outputs: Vec<&'a mut [u8]>) -> Result<Walk<'a>> {
        self.bind(1, inputs, &mut outputs)?;
        let this: &'a Executor = self;
        let member = &this.members[0];
        Ok(Walk {
            plan: &this.plan,
            bound: &this.bound,
            staging: &this.staging,
            arena: member.arena.lock().unwrap_or_else(PoisonError::into_inner),
            scratch: member.scratch.lock().unwrap_or_else(PoisonError::into_inner),
            outputs,
            next: 0,
            current: None,
        })
    }
}

impl<'a> Walk<'a> {
    /// Runs on to the next tensor that is a value of the graph (copies between orders are none); `None` at the end.
    ///
    /// # Errors
    /// What the step returns: [`Error::NotFinite`] from a dynamic layer.
    pub fn advance(&mut self) -> Result<Option<&'a PlannedTensor>> {
        let _float_control = FloatControl::set_default();
        self.current = None;
        while let Some(planned) = self.plan.steps.get(self.next) {
            // SAFETY: the arena is locked by this walk and has the plan's size; `bind` checked the tensors, which are
            // borrowed for the walk; it is the only run of this executor, as that is borrowed too.
            let memory = unsafe { Memory::new(self.arena.as_mut_ptr(), self.bound, 0) };
            planned.step.run(&mut StepRun {
                memory: &memory,
                samples: 1,
                first_sample: 0,
                part: Part::WHOLE,
                scratch: &mut self.scratch,
            })?;
            self.next += 1;
            if let Some(made) = &planned.makes {
                self.current = Some(made);
                break;
            }
        }
        Ok(self.current)
    }

    /// The value that [`Walk::advance`] has just made.
    pub fn value(&self) -> Option<ValueId> {
        self.current.map(|made| made.value)
    }

    /// The elements of the tensor that [`Walk::advance`] has just made, in the order of its shape, as real numbers: bytes
    /// by `qparams`, which floats do not need.
    ///
    /// # Errors
    /// [`Error::WrongState`] where there is no such tensor, or bytes without qparams.
    pub fn read(&mut self, qparams: Option<QParams>, out: &mut Vec<f32>) -> Result<()> {
        let made = self.current.ok_or_else(|| Error::WrongState("no tensor has just been made".into()))?;
        let (tensor, layout) = (&made.tensor, &made.tensor.layout);
        // SAFETY: as in `advance`.
        let memory = unsafe { Memory::new(self.arena.as_mut_ptr(), self.bound, 0) };
        out.clear();
        match layout.element {
            Element::F32 => {
                // SAFETY: the step that made the tensor has finished and no other runs.
                let held: &[f32] = unsafe { memory.read(tensor, 0, 0, layout.held_len()) };
                for_each_element(held, layout, |value| out.push(value));
            }
            Element::U8 => {
                let qparams = qparams.ok_or_else(|| Error::WrongState("bytes without qparams".into()))?;
                let real: [f32; 256] = std::array::from_fn(|byte| qparams.dequantize(byte as i32));
                // SAFETY: as above.
                let held: &[u8] = unsafe { memory.read(tensor, 0, 0, layout.held_len()) };
                for_each_element(held, layout, |byte| out.push(real[usize::from(byte)]));
            }
        }
        Ok(())
    }

    /// Ends the run, with the outputs written.
    ///
    /// # Errors
    /// As [`Walk::advance`], for the steps that are left.
    pub fn finish(mut self) -> Result<()> {
        while self.advance()?.is_some() {}
        for (output, staged) in self.outputs.iter_mut().zip(self.staging) {
            output.copy_from_slice(&staged[..output.len()]);
        }
        Ok(())
    }
}

/// Shows the elements of a tensor in row-major order of its shape.
fn for_each_element<T: Copy>(held: &[T], layout: &TensorLayout, mut show: impl FnMut(T)) {
    let Some((&inner, outer)) = layout.dims.split_last() else { return held.iter().for_each(|&value| show(value)) };
    let strides = layout.strides();
    let inner_stride = strides[outer.len()];
    let mut index = vec![0; outer.len()];
    for _ in 0..outer.iter().product() {
        let start: usize = index.iter().zip(&strides).map(|(index, stride)| index * stride).sum();
        (0..inner).for_each(|position| show(held[start + position * inner_stride]));
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            if index[axis] < outer[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2dAttributes, GraphBuilder, passes};
    use crate::isa::Isa;
    use crate::ops::Order;
    use crate::runtime::PlanOptions;
    use std::sync::Arc;

    #[test]
    fn elements_come_in_the_order_of_the_shape() {
        let layout = TensorLayout::new(&[1, 2, 2, 3], Element::U8, Order::ChannelsLast);
        let held: Vec<u8> = (0..layout.held_len() as u8).collect();
        let mut seen = Vec::new();
        for_each_element(&held, &layout, |value| seen.push(value));
        assert_eq!(seen, [0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21]);
        let mut scalar = Vec::new();
        for_each_element(&[7.5f32], &TensorLayout::new(&[], Element::F32, Order::RowMajor), |value| scalar.push(value));
        assert_eq!(scalar, [7.5]);
    }

    #[test]
    fn a_walk_shows_every_tensor_and_ends_with_the_outputs() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), Some(1), Some(2)]).unwrap();
        let conv = builder.conv2d("conv", x, &[1.0, 0.0, 0.0, 2.0], None, Conv2dAttributes::new(2, 2, [1, 1])).unwrap();
        let pooled = builder.global_average_pool("pool", conv).unwrap();
        let mut graph = builder.finish(&[pooled]).unwrap();
        passes::optimize(&mut graph).unwrap();
        passes::pack_float::run(&mut graph).unwrap();
        let plan = Arc::new(Plan::new(&graph, &[vec![1, 2, 1, 2]], PlanOptions { max_isa: Isa::Portable }).unwrap());
        let mut executor = Executor::new(plan, 1, 1).unwrap();
        let input = [1.0f32, 2.0, 3.0, 4.0];
        let mut output = [0f32; 2];
        let mut walk = executor.walk(&[bytemuck::cast_slice(&input)], vec![bytemuck::cast_slice_mut(&mut output)]).unwrap();
        let mut values = Vec::new();
        assert!(walk.read(None, &mut values).is_err(), "nothing is made yet");
        assert_eq!(walk.advance().unwrap().map(|made| made.value), Some(conv));
        walk.read(None, &mut values).unwrap();
        assert_eq!(values, [1.0, 2.0, 6.0, 8.0]);
        walk.finish().unwrap();
        assert_eq!(output, [1.5, 7.0]);
        assert!(executor.walk(&[], Vec::new()).is_err());
    }
}
