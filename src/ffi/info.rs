//! What is told back: info structs with their text inside.
use super::options::InfoStruct;
use super::pointers::bytes_that_fit;
use super::tensors::dtype_number;
use crate::pipeline::TensorInfo;
use std::ffi::c_char;

/// Axes of a tensor at most.
pub const RSQ_MAX_RANK: usize = 8;
/// Bytes of a name or a reason in an info struct, its NUL included.
pub const RSQ_NAME_BYTES: usize = 256;
/// Bytes of an operator's or a kernel's name in an info struct, its NUL included.
pub const RSQ_SHORT_NAME_BYTES: usize = 64;

/// Name, element type and shape of an input or output. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_tensor_info {
    /// `sizeof(rsq_tensor_info)`, set by the caller.
    pub struct_size: u32,
    /// One of `RSQ_DTYPE_`.
    pub dtype: i32,
    /// Number of axes; 0 where the shape depends on that of the inputs: `rsq_session_output_shape` tells it.
    pub rank: u32,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// The shape; -1 for a dimension that the caller chooses. Entries from `rank` on are 0.
    pub dims: [i64; RSQ_MAX_RANK],
    /// Its name in the ONNX file, UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
}

// SAFETY: repr(C), integers alone, no padding (asserted below), `struct_size` first.
unsafe impl InfoStruct for rsq_tensor_info {
    const FIRST_SIZE: usize = 336;
}
const _: () = assert!(size_of::<rsq_tensor_info>() == 336 && align_of::<rsq_tensor_info>() == 8);

impl rsq_tensor_info {
    /// The C form of a description.
    pub(super) fn describe(tensor: &TensorInfo) -> Self {
        let mut dims = [0; RSQ_MAX_RANK];
        let known = |dim: Option<usize>| dim.and_then(|dim| i64::try_from(dim).ok()).unwrap_or(-1);
        tensor.dims.iter().zip(&mut dims).for_each(|(&from, to)| *to = known(from));
        Self {
            struct_size: size_of::<Self>() as u32,
            dtype: dtype_number(tensor.dtype),
            rank: tensor.dims.len().min(RSQ_MAX_RANK) as u32,
            name_length: text_length(&tensor.name),
            dims,
            name: text_array(&tensor.name),
        }
    }
}

/// The text's full length for an info struct.
pub(super) fn text_length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// The text, or what fits of it, with NULs behind it.
pub(super) fn text_array<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    let bytes = bytes_that_fit(text, N);
    bytes.zip(&mut array).for_each(|(from, to)| *to = from as c_char);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DType;

    fn read(array: &[c_char]) -> String {
        let bytes: Vec<u8> = array.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_is_cut_at_a_character_and_always_ends() {
        assert_eq!(read(&text_array::<8>("abc")), "abc");
        assert_eq!(read(&text_array::<8>("abcdefgh")), "abcdefg");
        assert_eq!(read(&text_array::<8>("abcdef\u{e9}")), "abcdef", "half a character is left out");
        assert_eq!(read(&text_array::<8>("a\0b")), "a?b");
    }

    #[test]
    fn a_description_has_the_open_dimensions_as_minus_one() {
        let tensor = TensorInfo { name: "x".repeat(300), dtype: DType::F32, dims: vec![None, Some(3), Some(224), None] };
        let info = rsq_tensor_info::describe(&tensor);
        assert_eq!((info.rank, info.dims), (4, [-1, 3, 224, -1, 0, 0, 0, 0]));
        assert_eq!((info.name_length, read(&info.name).len()), (300, RSQ_NAME_BYTES - 1));
    }
}
