//! Operators that move elements: changes of memory order, transpose, concatenation, padding, slices.
use super::layout::{Element, Order, TensorLayout};
use super::step::{Memory, Step, StepInfo, StepRun, Tensor};
use crate::error::Result;
use crate::graph::Slice;
use crate::graph::shape_inference::MAX_RANK;

/// One axis of a move: how many elements, and elements between them on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Axis {
    size: usize,
    src: usize,
    dst: usize,
}

/// A box of elements that moves from one strided place to another. Copied in each run, so it owns no memory.
#[derive(Debug, Clone, Copy)]
struct Move {
    input: usize,
    src_start: usize,
    dst_start: usize,
    /// Outermost first; merged where both sides step as one.
    axes: [Axis; MAX_RANK],
    rank: usize,
}

impl Move {
    /// Sorts axes so that the destination is walked in memory order, and merges what steps as one.
    fn new(input: usize, src_start: usize, dst_start: usize, mut axes: Vec<Axis>) -> Self {
        axes.retain(|axis| axis.size != 1);
        axes.sort_by_key(|axis| std::cmp::Reverse(axis.dst));
        let (mut merged, mut rank) = ([Axis::default(); MAX_RANK], 0);
        for axis in axes {
            match merged[..rank].last_mut() {
                Some(outer) if outer.src == axis.size * axis.src && outer.dst == axis.size * axis.dst => {
                    *outer = Axis { size: outer.size * axis.size, ..axis };
                }
                _ => {
                    merged[rank] = axis;
                    rank += 1;
                }
            }
        }
        Self { input, src_start, dst_start, axes: merged, rank }
    }

    fn axes(&self) -> &[Axis] {
        &self.axes[..self.rank]
    }

    /// The moves of one part: a share of the outermost axis.
    fn part(&self, part: crate::threads::Part) -> Option<Move> {
        let Some(first) = self.axes().first().copied() else { return (part.index == 0).then_some(*self) };
        let range = part.range(first.size);
        if range.is_empty() {
            return None;
        }
        let mut share = *self;
        share.src_start += range.start * first.src;
        share.dst_start += range.start * first.dst;
        share.axes[0].size = range.len();
        Some(share)
    }
}

/// Moves boxes of elements, after filling the destination where the boxes leave gaps.
pub struct MoveStep {
    info: StepInfo,
    inputs: Vec<Tensor>,
    dst: Tensor,
    moves: Vec<Move>,
    /// Bytes of one element that fill the destination first.
    fill: Option<[u8; 4]>,
}

fn axes(dims: &[usize], src: &[usize], dst: &[usize]) -> Vec<Axis> {
    (0..dims.len()).map(|axis| Axis { size: dims[axis], src: src[axis], dst: dst[axis] }).collect()
}

fn moved_info(info: StepInfo) -> StepInfo {
    StepInfo { kernel: "move", ..info }
}

impl MoveStep {
    /// The same elements in the order of their shapes: a change of memory order (equal shapes) or a reshape (both sides
    /// row-major).
    pub fn reorder(info: StepInfo, src: Tensor, dst: Tensor) -> Self {
        let is_dense = |layout: &TensorLayout| layout.held_len() == layout.len();
        let moves = if src.layout.dims == dst.layout.dims {
            vec![Move::new(0, 0, 0, axes(&dst.layout.dims, &src.layout.strides(), &dst.layout.strides()))]
        } else if is_dense(&src.layout) {
            vec![Move::new(0, 0, 0, axes(&dst.layout.dims, &dense_strides(&dst.layout.dims), &dst.layout.strides()))]
        } else if is_dense(&dst.layout) {
            vec![Move::new(0, 0, 0, axes(&src.layout.dims, &src.layout.strides(), &dense_strides(&src.layout.dims)))]
        } else {
            runs_between_padded(&src.layout, &dst.layout)
        };
        Self { info: moved_info(info), moves, inputs: vec![src], dst, fill: None }
    }

    /// Output axis `i` is input axis `perm[i]`.
    pub fn transpose(info: StepInfo, src: Tensor, dst: Tensor, perm: &[usize]) -> Self {
        let strides = src.layout.strides();
        let src_strides: Vec<usize> = perm.iter().map(|&axis| strides[axis]).collect();
        let axes = axes(&dst.layout.dims, &src_strides, &dst.layout.strides());
        Self { info: moved_info(info), moves: vec![Move::new(0, 0, 0, axes)], inputs: vec![src], dst, fill: None }
    }

    /// Inputs one after another along `axis`.
    pub fn concat(info: StepInfo, inputs: Vec<Tensor>, dst: Tensor, axis: usize) -> Self {
        let strides = dst.layout.strides();
        let mut start = 0;
        let moves = inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let made = Move::new(index, 0, start, axes(&input.layout.dims, &input.layout.strides(), &strides));
                start += input.layout.dims[axis] * strides[axis];
                made
            })
            .collect();
        Self { info: moved_info(info), inputs, dst, moves, fill: None }
    }

    /// `before[axis]` elements of `fill` in front of each axis (negative: cropped), and behind up to the output's shape.
    pub fn pad(info: StepInfo, src: Tensor, dst: Tensor, before: &[i64], fill: [u8; 4]) -> Self {
        let (src_strides, dst_strides) = (src.layout.strides(), dst.layout.strides());
        let (mut src_start, mut dst_start) = (0, 0);
        let mut dims = Vec::new();
        for (axis, &before) in before.iter().enumerate() {
            let (crop, pad) = (before.min(0).unsigned_abs() as usize, before.max(0) as usize);
            src_start += crop * src_strides[axis];
            dst_start += pad * dst_strides[axis];
            let left = src.layout.dims[axis].saturating_sub(crop);
            dims.push(left.min(dst.layout.dims[axis].saturating_sub(pad)));
        }
        let moves = vec![Move::new(0, src_start, dst_start, axes(&dims, &src_strides, &dst_strides))];
        Self { info: moved_info(info), moves, inputs: vec![src], dst, fill: Some(fill) }
    }

    /// Every `slice.step`-th element along `axis` from `slice.start` on.
    pub fn slice(info: StepInfo, src: Tensor, dst: Tensor, axis: usize, slice: Slice) -> Self {
        let mut strides = src.layout.strides();
        let start = slice.range(src.layout.dims[axis]).0 * strides[axis];
        // A step that leaves the axis has one element at most, whose stride nobody follows.
        strides[axis] = strides[axis].saturating_mul(usize::try_from(slice.step).unwrap_or(1));
        let moves = vec![Move::new(0, start, 0, axes(&dst.layout.dims, &strides, &dst.layout.strides()))];
        Self { info: moved_info(info), moves, inputs: vec![src], dst, fill: None }
    }

    fn run_elements<T: bytemuck::Pod>(&self, memory: &Memory<'_>, sample: usize, share: &Move) {
        if share.axes().iter().any(|axis| axis.size == 0) {
            return;
        }
        let input = &self.inputs[share.input];
        let reach = |side: fn(&Axis) -> usize| share.axes().iter().map(|axis| (axis.size - 1) * side(axis)).sum::<usize>() + 1;
        // SAFETY: nobody writes the input during this step.
        let src = unsafe { memory.read::<T>(input, sample, share.src_start, reach(|axis| axis.src)) };
        let dst = memory.dst(&self.dst).wrapping_add(sample * self.dst.sample_bytes).cast::<T>().wrapping_add(share.dst_start);
        let inner = share.axes().last().copied().unwrap_or(Axis { size: 1, src: 1, dst: 1 });
        let outer = &share.axes[..share.rank.saturating_sub(1)];
        let mut counters = [0usize; MAX_RANK];
        let (mut from, mut to) = (0, 0);
        loop {
            // SAFETY: the box lies inside the destination, and boxes of different parts and inputs do not overlap.
            unsafe {
                if inner.src == 1 && inner.dst == 1 {
                    std::ptr::copy_nonoverlapping(src[from..from + inner.size].as_ptr(), dst.add(to), inner.size);
                } else {
                    for index in 0..inner.size {
                        *dst.add(to + index * inner.dst) = src[from + index * inner.src];
                    }
                }
            }
            // The next place of the outer axes, like an odometer.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                counters[axis] += 1;
                from += outer[axis].src;
                to += outer[axis].dst;
                if counters[axis] < outer[axis].size {
                    break;
                }
                from -= counters[axis] * outer[axis].src;
                to -= counters[axis] * outer[axis].dst;
                counters[axis] = 0;
            }
        }
    }
}

/// Strides of a dense row-major tensor.
fn dense_strides(dims: &[usize]) -> Vec<usize> {
    TensorLayout::new(dims, Element::F32, Order::RowMajor).strides()
}

/// A reshape between two tensors whose rows are padded: one move for each run that lies in one row of both.
fn runs_between_padded(src: &TensorLayout, dst: &TensorLayout) -> Vec<Move> {
    let (src_row, dst_row) = (src.inner(), dst.inner());
    let place = |layout: &TensorLayout, element: usize| element / layout.inner() * layout.inner_stride() + element % layout.inner();
    let mut moves = Vec::new();
    let mut element = 0;
    while element < src.len() {
        let size = (src_row - element % src_row).min(dst_row - element % dst_row);
        moves.push(Move::new(0, place(src, element), place(dst, element), vec![Axis { size, src: 1, dst: 1 }]));
        element += size;
    }
    moves
}

impl Step for MoveStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        for sample in 0..run.samples {
            if let Some(fill) = self.fill {
                // The box's part may lie in another part's share of the fill, so one part does all of it.
                if run.part.index != 0 {
                    continue;
                }
                let size = self.dst.layout.element.size_bytes();
                // SAFETY: this part alone writes the destination.
                let bytes = unsafe { run.memory.write::<u8>(&self.dst, sample, 0, self.dst.layout.held_bytes()) };
                bytes.chunks_exact_mut(size).for_each(|element| element.copy_from_slice(&fill[..size]));
            }
            let part = if self.fill.is_some() { crate::threads::Part::WHOLE } else { run.part };
            for share in self.moves.iter().filter_map(|made| made.part(part)) {
                match self.dst.layout.element {
                    Element::F32 => self.run_elements::<f32>(run.memory, sample, &share),
                    Element::U8 => self.run_elements::<u8>(run.memory, sample, &share),
                }
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::step::{BoundTensors, Slot};
    use crate::threads::Part;

    /// Runs a step in `parts` parts over one input and one output.
    fn run_parts(step: &MoveStep, input: &[u8], output_bytes: usize, parts: usize) -> Vec<u8> {
        let mut output = vec![0xaa; output_bytes];
        let bound = BoundTensors { inputs: vec![(input.as_ptr(), 0)], outputs: vec![(output.as_mut_ptr(), 0)] };
        // SAFETY: the bound tensors are the step's own, and no arena is used.
        let memory = unsafe { Memory::new(std::ptr::null_mut(), &bound, 0) };
        for index in 0..parts {
            let part = Part { index, count: parts };
            step.run(&mut StepRun { memory: &memory, samples: 1, first_sample: 0, part, scratch: &mut [] }).unwrap();
        }
        output
    }

    fn tensor(slot: Slot, dims: &[usize], element: Element, order: Order) -> Tensor {
        let layout = TensorLayout::new(dims, element, order);
        Tensor { slot, sample_bytes: layout.held_bytes(), layout }
    }

    /// Checks that the element at each logical index of `dst` is that at `source_index` of `src`.
    fn check(step: MoveStep, src: Tensor, dst: Tensor, source_index: impl Fn(&[usize]) -> Vec<usize>) {
        let input: Vec<u8> = (0..src.layout.held_len()).map(|index| index as u8).collect();
        for parts in [1, 2, 3, 8] {
            let output = run_parts(&step, &input, dst.layout.held_bytes(), parts);
            let place =
                |layout: &TensorLayout, index: &[usize]| index.iter().zip(layout.strides()).map(|(i, stride)| i * stride).sum::<usize>();
            for linear in 0..dst.layout.len() {
                let index = unravel(linear, &dst.layout.dims);
                let expected = input[place(&src.layout, &source_index(&index))];
                assert_eq!(output[place(&dst.layout, &index)], expected, "{index:?} in {parts} parts");
            }
        }
    }

    fn unravel(mut linear: usize, dims: &[usize]) -> Vec<usize> {
        let mut index = vec![0; dims.len()];
        for axis in (0..dims.len()).rev() {
            index[axis] = linear % dims[axis];
            linear /= dims[axis];
        }
        index
    }

    fn bytes(dims: &[usize], order: Order) -> (Tensor, Tensor) {
        (tensor(Slot::Input(0), dims, Element::U8, order), tensor(Slot::Output(0), dims, Element::U8, order))
    }

    #[test]
    fn a_change_of_order_keeps_logical_places() {
        let (src, _) = bytes(&[1, 5, 3, 4], Order::RowMajor);
        let (_, dst) = bytes(&[1, 5, 3, 4], Order::ChannelsLast);
        check(MoveStep::reorder(StepInfo::default(), src.clone(), dst.clone()), src, dst, <[usize]>::to_vec);
    }

    #[test]
    fn a_reshape_keeps_row_major_places_also_between_padded_rows() {
        for (from, to) in [(vec![2, 6], vec![4, 3]), (vec![3, 4], vec![12]), (vec![5, 3], vec![15]), (vec![9, 2], vec![3, 6])] {
            let (src, _) = bytes(&from, Order::RowMajor);
            let (_, dst) = bytes(&to, Order::RowMajor);
            let step = MoveStep::reorder(StepInfo::default(), src.clone(), dst.clone());
            check(step, src, dst, |index| unravel(index.iter().zip(dense_strides(&to)).map(|(i, stride)| i * stride).sum(), &from));
        }
    }

    #[test]
    fn a_transpose_permutes() {
        let (src, _) = bytes(&[2, 3, 4], Order::RowMajor);
        let (_, dst) = bytes(&[4, 2, 3], Order::RowMajor);
        let step = MoveStep::transpose(StepInfo::default(), src.clone(), dst.clone(), &[2, 0, 1]);
        check(step, src, dst, |index| vec![index[1], index[2], index[0]]);
    }

    #[test]
    fn padding_fills_and_crops() {
        let (src, _) = bytes(&[1, 2, 3, 3], Order::ChannelsLast);
        let (_, dst) = bytes(&[1, 2, 3, 5], Order::ChannelsLast);
        let step = MoveStep::pad(StepInfo::default(), src.clone(), dst.clone(), &[0, 0, -1, 2], [77; 4]);
        let input: Vec<u8> = (0..src.layout.held_len()).map(|index| index as u8).collect();
        let output = run_parts(&step, &input, dst.layout.held_bytes(), 2);
        let strides = dst.layout.strides();
        let at = |c: usize, y: usize, x: usize| output[c * strides[1] + y * strides[2] + x * strides[3]];
        let from = src.layout.strides();
        assert_eq!(at(1, 0, 2), input[from[1] + from[2]]);
        assert_eq!((at(0, 0, 1), at(1, 2, 4)), (77, 77));
        assert_eq!(at(0, 1, 4), input[2 * from[2] + 2 * from[3]]);
    }

    #[test]
    fn a_slice_takes_every_step_th_element() {
        let (src, _) = bytes(&[2, 3, 9, 4], Order::RowMajor);
        let (_, dst) = bytes(&[2, 3, 3, 4], Order::RowMajor);
        let slice = Slice { axis: 2, start: -8, end: 8, step: 3 };
        let step = MoveStep::slice(StepInfo::default(), src.clone(), dst.clone(), 2, slice);
        check(step, src, dst, |index| vec![index[0], index[1], 1 + 3 * index[2], index[3]]);
    }

    #[test]
    fn concat_puts_inputs_side_by_side() {
        let src = tensor(Slot::Input(0), &[1, 2, 1, 2], Element::U8, Order::ChannelsLast);
        let dst = tensor(Slot::Output(0), &[1, 4, 1, 2], Element::U8, Order::ChannelsLast);
        let step = MoveStep::concat(StepInfo::default(), vec![src.clone(), src.clone()], dst.clone(), 1);
        check(step, src, dst, |index| vec![0, index[1] % 2, 0, index[3]]);
    }
}
