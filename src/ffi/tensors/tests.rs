use super::super::status::{RSQ_DTYPE_MISMATCH, RSQ_INVALID_ARGUMENT, RSQ_NULL_ARGUMENT, RSQ_OK};
use super::*;
use crate::error::Error;
use std::ptr::{null, null_mut};

const DIMS: [i64; 4] = [1, 2, 1, 3];

fn view(data: &[f32]) -> rsq_tensor_view {
    rsq_tensor_view {
        data: data.as_ptr().cast(),
        size_bytes: size_of_val(data),
        dtype: RSQ_DTYPE_F32,
        rank: 4,
        dims: DIMS.as_ptr(),
        strides: null(),
    }
}

fn view_mut(data: &mut [f32]) -> rsq_tensor_mut {
    rsq_tensor_mut {
        data: data.as_mut_ptr().cast(),
        size_bytes: size_of_val(data),
        dtype: RSQ_DTYPE_F32,
        rank: 4,
        dims: DIMS.as_ptr(),
        strides: null(),
    }
}

/// Copies each input to the output with its index.
fn copy(inputs: &[rsq_tensor_view], outputs: &[rsq_tensor_mut]) -> Outcome {
    let needed = Needed { inputs: inputs.len(), outputs: outputs.len() };
    let work = |inputs: &[TensorView<'_>], outputs: &mut [TensorViewMut<'_>]| {
        for (input, output) in inputs.iter().zip(outputs) {
            assert_eq!((input.dtype(), input.dims()), (output.dtype(), output.dims()));
            output.bytes().copy_from_slice(input.bytes());
        }
        Ok(())
    };
    // SAFETY: the arrays have their lengths; each test's descriptions are true or to be refused before the data are read.
    unsafe { with_tensors(needed, (inputs.as_ptr(), inputs.len()), (outputs.as_ptr(), outputs.len()), work) }
}

#[test]
fn tensors_reach_the_work_few_or_many() {
    for count in [0, 1, INLINE_TENSORS, INLINE_TENSORS + 1, 40] {
        let from: Vec<[f32; 6]> = (0..count).map(|i| std::array::from_fn(|j| (i * 6 + j) as f32)).collect();
        let mut to = vec![[0f32; 6]; count];
        let inputs: Vec<_> = from.iter().map(|data| view(data)).collect();
        let outputs: Vec<_> = to.iter_mut().map(|data| view_mut(data)).collect();
        assert_eq!(copy(&inputs, &outputs), Ok(()));
        assert_eq!(from, to);
    }
}

/// The failure of copying `broken`, which must name it, and the same for an output.
fn refused(broken: rsq_tensor_view) -> Failure {
    let (good_from, mut to) = ([0f32; 6], [7f32; 6]);
    let failure = copy(&[view(&good_from), broken], &[]).unwrap_err();
    assert!(failure.message.contains("inputs[1]"), "{}", failure.message);
    let rsq_tensor_view { data, size_bytes, dtype, rank, dims, strides } = broken;
    let output = rsq_tensor_mut { data: data.cast_mut(), size_bytes, dtype, rank, dims, strides };
    let of_output = copy(&[], &[view_mut(&mut to), output]).unwrap_err();
    assert!(of_output.message.contains("outputs[1]"), "{}", of_output.message);
    assert_eq!((failure.status, to), (of_output.status, [7.0; 6]));
    failure
}

#[test]
fn descriptions_that_cannot_be_true_are_refused_by_name() {
    let data = [0f32; 7];
    let good = view(&data[..6]);
    let status = |broken| refused(broken).status;
    assert_eq!(status(rsq_tensor_view { data: null(), ..good }), RSQ_NULL_ARGUMENT);
    assert_eq!(status(rsq_tensor_view { dims: null(), ..good }), RSQ_NULL_ARGUMENT);
    assert_eq!(status(rsq_tensor_view { size_bytes: 23, ..good }), RSQ_INVALID_ARGUMENT);
    assert_eq!(status(rsq_tensor_view { data: good.data.wrapping_byte_add(2), ..good }), RSQ_INVALID_ARGUMENT);
    for rank in [9, u32::MAX] {
        assert_eq!(status(rsq_tensor_view { rank, ..good }), RSQ_INVALID_ARGUMENT);
    }
    for dtype in [0, 6, -1, i32::MAX] {
        assert_eq!(status(rsq_tensor_view { dtype, ..good }), RSQ_INVALID_ARGUMENT);
    }
    let huge = 1 << 31;
    for dims in
        [[-1i64, 1, 1, 1], [i64::MAX, 1, 1, 1], [i64::MIN, 0, 1, 1], [huge, huge, 1, 1], [i64::MAX / 4, 1, 1, 1], [huge, huge, huge, 0]]
    {
        let broken = rsq_tensor_view { dims: dims.as_ptr(), size_bytes: usize::MAX, ..good };
        assert_eq!(status(broken), RSQ_INVALID_ARGUMENT, "{dims:?}");
    }
}

#[test]
fn bytes_may_lie_anywhere_and_buffers_may_be_larger() {
    let from = [1u8, 2, 3, 4, 5, 6, 7, 8];
    let mut to = [9u8; 8];
    let input = rsq_tensor_view { data: from[1..].as_ptr().cast(), size_bytes: 7, dtype: RSQ_DTYPE_U8, ..view(&[]) };
    let output = rsq_tensor_mut { data: to[1..].as_mut_ptr().cast(), size_bytes: 7, dtype: RSQ_DTYPE_U8, ..view_mut(&mut []) };
    assert_eq!(copy(&[input], &[output]), Ok(()));
    assert_eq!(to, [9, 2, 3, 4, 5, 6, 7, 9], "nothing behind the tensor is touched");
}

#[test]
fn empty_tensors_and_scalars_are_tensors() {
    let dims = [0i64, 3];
    let empty = rsq_tensor_view { data: null(), size_bytes: 0, rank: 2, dims: dims.as_ptr(), ..view(&[]) };
    let empty_out = rsq_tensor_mut { data: null_mut(), size_bytes: 0, rank: 2, dims: dims.as_ptr(), ..view_mut(&mut []) };
    assert_eq!(copy(&[empty], &[empty_out]), Ok(()));
    let (from, mut to) = ([5f32], [0f32]);
    let scalar = rsq_tensor_view { rank: 0, dims: null(), ..view(&from) };
    assert_eq!(copy(&[scalar], &[rsq_tensor_mut { rank: 0, dims: null(), ..view_mut(&mut to) }]), Ok(()));
    assert_eq!(to, [5.0]);
}

#[test]
fn strides_may_only_say_dense() {
    let from = [1f32; 6];
    for dense in [[6i64, 3, 3, 1], [-5, 3, 77, 1]] {
        let mut to = [0f32; 6];
        assert_eq!(copy(&[rsq_tensor_view { strides: dense.as_ptr(), ..view(&from) }], &[view_mut(&mut to)]), Ok(()));
        assert_eq!(to, from);
    }
    for other in [[6i64, 1, 3, 2], [6, 3, 3, 0], [6, -3, 3, 1], [6, 3, 3, i64::MIN]] {
        assert_eq!(refused(rsq_tensor_view { strides: other.as_ptr(), ..view(&from) }).status, RSQ_UNSUPPORTED, "{other:?}");
    }
}

#[test]
fn outputs_overlap_nothing() {
    let mut data = [0f32; 18];
    let base = data.as_mut_ptr();
    let out_at = |offset: usize| rsq_tensor_mut { data: base.wrapping_add(offset).cast(), size_bytes: 24, ..view_mut(&mut []) };
    let in_at = |offset: usize| rsq_tensor_view { data: base.wrapping_add(offset).cast(), size_bytes: 24, ..view(&[]) };
    let overlap = |inputs: &[rsq_tensor_view], outputs: &[rsq_tensor_mut]| copy(inputs, outputs).unwrap_err().message;
    assert_eq!(overlap(&[], &[out_at(0), out_at(6), out_at(5)]), "outputs[2] overlaps outputs[0]");
    assert_eq!(overlap(&[in_at(1), in_at(7)], &[out_at(12), out_at(0)]), "outputs[0] overlaps inputs[1]");
    assert_eq!(copy(&[in_at(0), in_at(0)], &[out_at(6), out_at(12)]), Ok(()), "inputs may");
}

#[test]
fn counts_are_checked_before_any_description_is_read() {
    // SAFETY: refused before anything is read.
    let call = |inputs, outputs| unsafe {
        let unreadable = std::ptr::without_provenance(16);
        with_tensors(Needed { inputs: 1, outputs: 1 }, (unreadable, inputs), (unreadable.cast(), outputs), |_, _| Ok(()))
    };
    for (inputs, outputs) in [(0, 1), (2, 1), (1, 0), (1, usize::MAX), (usize::MAX, 1)] {
        assert_eq!(call(inputs, outputs).unwrap_err().status, RSQ_INVALID_ARGUMENT);
    }
}

#[test]
fn what_the_work_returns_is_returned() {
    let data = [0f32; 6];
    let (input, needed) = (view(&data), Needed { inputs: 1, outputs: 0 });
    let run = |result: crate::error::Result<()>| {
        // SAFETY: one true description.
        unsafe { with_tensors(needed, (&raw const input, 1), (null(), 0), |_, _| result) }
    };
    assert_eq!(run(Ok(())).map_or_else(|failure| failure.status, |()| RSQ_OK), RSQ_OK);
    assert_eq!(run(Err(Error::DTypeMismatch("x".into()))).unwrap_err().status, RSQ_DTYPE_MISMATCH);
}
