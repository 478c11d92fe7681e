//! A caller's tensors.
use super::info::RSQ_MAX_RANK;
use super::pointers::array;
use super::status::{Failure, Outcome, RSQ_UNSUPPORTED};
use crate::tensor::{DType, TensorView, TensorViewMut, element_count};
use std::ffi::c_void;

/// IEEE binary32.
pub const RSQ_DTYPE_F32: i32 = 1;
/// Unsigned byte.
pub const RSQ_DTYPE_U8: i32 = 2;
/// Signed byte.
pub const RSQ_DTYPE_S8: i32 = 3;
/// 32-bit signed integer.
pub const RSQ_DTYPE_I32: i32 = 4;
/// 64-bit signed integer.
pub const RSQ_DTYPE_I64: i32 = 5;

/// A tensor that a call reads. Borrowed for the call: the library keeps no pointer.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_tensor_view {
    /// The elements, row-major and dense, aligned to 4 bytes (bytes: any address). May be NULL if there are none.
    pub data: *const c_void,
    /// Bytes readable at `data`: at least what shape and `dtype` need. No byte past those is read.
    pub size_bytes: usize,
    /// One of `RSQ_DTYPE_`.
    pub dtype: i32,
    /// Number of axes, at most `RSQ_MAX_RANK`.
    pub rank: u32,
    /// `rank` dimensions, such as n, c, h, w.
    pub dims: *const i64,
    /// NULL, or `rank` strides in elements; other than dense ones are `RSQ_UNSUPPORTED`.
    pub strides: *const i64,
}

/// A tensor that a call writes. Borrowed for the call; written only if it succeeds.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_tensor_mut {
    /// As in `rsq_tensor_view`, for writing. Must not overlap another tensor of the call.
    pub data: *mut c_void,
    /// Bytes writable at `data`: at least what shape and `dtype` need. No byte past those is written.
    pub size_bytes: usize,
    /// One of `RSQ_DTYPE_`.
    pub dtype: i32,
    /// Number of axes, at most `RSQ_MAX_RANK`.
    pub rank: u32,
    /// `rank` dimensions.
    pub dims: *const i64,
    /// As in `rsq_tensor_view`.
    pub strides: *const i64,
}

const _: () = assert!(size_of::<rsq_tensor_view>() == 4 * size_of::<usize>() + 8);
const _: () = assert!(size_of::<rsq_tensor_mut>() == 4 * size_of::<usize>() + 8);

/// The number of an element type.
pub(super) fn dtype_number(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => RSQ_DTYPE_F32,
        DType::U8 => RSQ_DTYPE_U8,
        DType::S8 => RSQ_DTYPE_S8,
        DType::I32 => RSQ_DTYPE_I32,
        DType::I64 => RSQ_DTYPE_I64,
    }
}

fn dtype_from_number(number: i32, name: Name) -> Outcome<DType> {
    let all = [DType::F32, DType::U8, DType::S8, DType::I32, DType::I64];
    let found = all.into_iter().find(|&dtype| dtype_number(dtype) == number);
    found.ok_or_else(|| Failure::invalid(format!("{name} has dtype {number}, which is no element type")))
}

/// What a tensor is called in messages: made into text only when one is written.
#[derive(Debug, Clone, Copy)]
struct Name {
    kind: &'static str,
    index: usize,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}[{}]", self.kind, self.index)
    }
}

/// A dimension as the core counts it.
///
/// # Errors
/// `RSQ_INVALID_ARGUMENT` for a negative one, and for one that the address space cannot hold.
pub(super) fn dim_from_caller(dim: i64, name: impl std::fmt::Display, axis: usize) -> Outcome<usize> {
    let checked = usize::try_from(dim).ok().filter(|&dim| dim <= isize::MAX as usize);
    checked.ok_or_else(|| Failure::invalid(format!("{name} has dimension {dim} on axis {axis}")))
}

/// A checked tensor of a caller: its bytes by address, its shape inline.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    address: usize,
    bytes: usize,
    dtype: DType,
    rank: usize,
    dims: [usize; RSQ_MAX_RANK],
}

impl Checked {
    const EMPTY: Checked = Checked { address: 0, bytes: 0, dtype: DType::U8, rank: 0, dims: [0; RSQ_MAX_RANK] };

    /// # Safety
    /// `view.dims` and `view.strides` are NULL or point to `view.rank` numbers.
    unsafe fn new(view: &rsq_tensor_view, name: Name) -> Outcome<Self> {
        let rank = view.rank as usize;
        if rank > RSQ_MAX_RANK {
            return Err(Failure::invalid(format!("{name} has rank {rank}; {RSQ_MAX_RANK} is the most")));
        }
        if rank > 0 && view.dims.is_null() {
            return Err(Failure::null(&format!("{name}.dims")));
        }
        // SAFETY: the caller's promise.
        let given = unsafe { array(view.dims, rank, "dims") }?;
        let dtype = dtype_from_number(view.dtype, name)?;
        let mut dims = [0; RSQ_MAX_RANK];
        for (axis, (to, &dim)) in dims.iter_mut().zip(given).enumerate() {
            *to = dim_from_caller(dim, name, axis)?;
        }
        let shape = &dims[..rank];
        let bytes = element_count(shape).and_then(|count| count.checked_mul(dtype.size_bytes()));
        let Some(bytes) = bytes.filter(|&bytes| bytes <= isize::MAX as usize) else {
            return Err(Failure::invalid(format!("{name} has shape {shape:?}, more than memory can hold")));
        };
        if view.size_bytes < bytes {
            let message = format!("{name} has {} bytes where {} of shape {shape:?} needs {bytes}", view.size_bytes, dtype.name());
            return Err(Failure::invalid(message));
        }
        if bytes > 0 && view.data.is_null() {
            return Err(Failure::null(&format!("{name}.data")));
        }
        if bytes > 0 && view.data.addr() % dtype.size_bytes().min(4) != 0 {
            return Err(Failure::invalid(format!("{name}.data is not aligned to 4 bytes")));
        }
        // SAFETY: the caller's promise.
        unsafe { check_strides(view.strides, shape, name) }?;
        Ok(Self { address: view.data.addr(), bytes, dtype, rank, dims })
    }

    fn overlaps(&self, other: &Checked) -> bool {
        let end = |tensor: &Checked| tensor.address.saturating_add(tensor.bytes);
        self.bytes > 0 && other.bytes > 0 && self.address < end(other) && other.address < end(self)
    }

    fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

/// Accepts dense strides only: any along an axis of one element, and any where there are no elements.
///
/// # Safety
/// `strides` is NULL or points to as many numbers as there are axes.
unsafe fn check_strides(strides: *const i64, dims: &[usize], name: Name) -> Outcome {
    if strides.is_null() || dims.contains(&0) {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    let strides = unsafe { array(strides, dims.len(), "strides") }?;
    let mut dense = 1usize;
    for (&dim, &stride) in dims.iter().zip(strides).rev() {
        if dim > 1 && usize::try_from(stride) != Ok(dense) {
            let message = format!("{name} has strides {strides:?}; shape {dims:?} must be dense and row-major");
            return Err(Failure::new(RSQ_UNSUPPORTED, message));
        }
        dense *= dim;
    }
    Ok(())
}

/// The most tensors of one call whose description needs no allocation.
const INLINE_TENSORS: usize = 16;

/// As many items as a call has tensors, inline while they are few.
enum Items<T> {
    Inline([T; INLINE_TENSORS], usize),
    Heap(Vec<T>),
}

impl<T> Items<T> {
    fn try_new(count: usize, filler: impl Fn() -> T, mut item: impl FnMut(usize) -> Outcome<T>) -> Outcome<Self> {
        if count > INLINE_TENSORS {
            return (0..count).map(item).collect::<Outcome<_>>().map(Items::Heap);
        }
        let mut items: [T; INLINE_TENSORS] = std::array::from_fn(|_| filler());
        for (index, place) in items.iter_mut().enumerate().take(count) {
            *place = item(index)?;
        }
        Ok(Items::Inline(items, count))
    }

    fn as_slice(&self) -> &[T] {
        match self {
            Items::Inline(items, count) => &items[..*count],
            Items::Heap(items) => items,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        match self {
            Items::Inline(items, count) => &mut items[..*count],
            Items::Heap(items) => items,
        }
    }
}

/// How many tensors a call needs, by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed {
    pub inputs: usize,
    pub outputs: usize,
}

/// Checks the tensors of a call and hands them to `work`. Up to 16 inputs and outputs, nothing is allocated.
///
/// # Errors
/// Wrong counts, NULL pointers, shapes that are illegal or larger than their buffers, misaligned data, strides that are not dense,
/// an output that overlaps another tensor; and whatever `work` returns.
///
/// # Safety
/// `inputs` and `outputs` are NULL or point to as many descriptions as stated; each description's pointers are NULL or
/// point to what it says; nobody writes the inputs or touches the outputs meanwhile.
pub(super) unsafe fn with_tensors(
    needed: Needed,
    inputs: (*const rsq_tensor_view, usize),
    outputs: (*const rsq_tensor_mut, usize),
    work: impl FnOnce(&[TensorView<'_>], &mut [TensorViewMut<'_>]) -> crate::error::Result<()>,
) -> Outcome {
    check_count("inputs", inputs.1, needed.inputs)?;
    check_count("outputs", outputs.1, needed.outputs)?;
    // SAFETY: the caller's promise.
    let (inputs, outputs) = unsafe { (array(inputs.0, inputs.1, "inputs")?, array(outputs.0, outputs.1, "outputs")?) };
    // SAFETY: the caller's promise, for each description.
    let checked_inputs =
        Items::try_new(inputs.len(), || Checked::EMPTY, |index| unsafe { Checked::new(&inputs[index], Name { kind: "inputs", index }) })?;
    let checked_outputs = Items::try_new(
        outputs.len(),
        || Checked::EMPTY,
        |index| {
            let rsq_tensor_mut { data, size_bytes, dtype, rank, dims, strides } = outputs[index];
            let view = rsq_tensor_view { data, size_bytes, dtype, rank, dims, strides };
            // SAFETY: the caller's promise, for each description.
            unsafe { Checked::new(&view, Name { kind: "outputs", index }) }
        },
    )?;
    check_overlaps(checked_inputs.as_slice(), checked_outputs.as_slice())?;
    let input_views = Items::try_new(inputs.len(), empty_view, |index| {
        let checked = &checked_inputs.as_slice()[index];
        // SAFETY: `Checked::new` saw that the data is there; readable by the caller's promise.
        let bytes = unsafe { array(inputs[index].data.cast::<u8>(), checked.bytes, "data") }?;
        Ok(TensorView::new(bytes, checked.dtype, checked.dims())?)
    })?;
    let mut output_views = Items::try_new(outputs.len(), empty_view_mut, |index| {
        let checked = &checked_outputs.as_slice()[index];
        let bytes: &mut [u8] = match checked.bytes {
            0 => &mut [],
            // SAFETY: `Checked::new` saw that the data is there and of a possible size; writable and nobody else's by the
            // caller's promise; no other tensor of the call overlaps it (`check_overlaps`).
            len => unsafe { std::slice::from_raw_parts_mut(outputs[index].data.cast::<u8>(), len) },
        };
        Ok(TensorViewMut::new(bytes, checked.dtype, checked.dims())?)
    })?;
    Ok(work(input_views.as_slice(), output_views.as_mut_slice())?)
}

/// Fills the unused places of [`Items`].
fn empty_view<'a>() -> TensorView<'a> {
    TensorView::new(&[], DType::U8, &[0]).unwrap_or_else(|_| unreachable!("no bytes are a tensor of no elements"))
}

fn empty_view_mut<'a>() -> TensorViewMut<'a> {
    TensorViewMut::new(&mut [], DType::U8, &[0]).unwrap_or_else(|_| unreachable!("no bytes are a tensor of no elements"))
}

fn check_count(what: &str, given: usize, needed: usize) -> Outcome {
    if given != needed {
        return Err(Failure::invalid(format!("{given} {what} where {needed} are needed")));
    }
    Ok(())
}

fn check_overlaps(inputs: &[Checked], outputs: &[Checked]) -> Outcome {
    for (index, output) in outputs.iter().enumerate() {
        if let Some(other) = outputs[..index].iter().position(|other| output.overlaps(other)) {
            return Err(Failure::invalid(format!("outputs[{index}] overlaps outputs[{other}]")));
        }
        if let Some(other) = inputs.iter().position(|other| output.overlaps(other)) {
            return Err(Failure::invalid(format!("outputs[{index}] overlaps inputs[{other}]")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
