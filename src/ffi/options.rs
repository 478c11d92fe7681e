//! The rule of `struct_size`: structs grow at their end, and old and new callers and libraries go together.
use super::pointers::array;
use super::status::{Failure, Outcome, RSQ_BAD_STRUCT_SIZE};
use super::tensors::dim_from_caller;

/// The largest struct that any version may have; a size above is uninitialized memory.
const MAX_STRUCT_BYTES: usize = 4096;

/// The shape of a tensor.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_shape {
    /// `rank` dimensions; may be NULL if `rank` is 0.
    pub dims: *const i64,
    /// Number of axes, at most `RSQ_MAX_RANK`.
    pub rank: usize,
}

/// A struct that the caller fills: absent tails count as zero, and zero means the default.
///
/// # Safety
/// The type is `repr(C)`, starts with a `u32` that holds its size, and any bytes are a value of it (a function pointer in an `Option` aside:
/// the caller's bytes are one). No field is larger than the type's alignment, so a cut at a multiple of it cuts no field.
pub(super) unsafe trait OptionStruct: Copy {}

/// A struct that the library fills.
///
/// # Safety
/// The type is `repr(C)`, starts with a `u32` that holds its size, and holds integers and floats alone, without padding.
pub(super) unsafe trait InfoStruct: Copy {
    /// Its size in the version that introduced it: no caller has a smaller one.
    const FIRST_SIZE: usize;
}

fn bad_size(message: String) -> Failure {
    Failure::new(RSQ_BAD_STRUCT_SIZE, message)
}

/// Reads the caller's struct; `None` for NULL.
///
/// # Errors
/// `RSQ_BAD_STRUCT_SIZE` if the size is none that a version can have or a tail unknown here is not zero,
/// `RSQ_INVALID_ARGUMENT` if it is misaligned.
///
/// # Safety
/// `given` is NULL or points to as many readable bytes as its first word says.
pub(super) unsafe fn read<T: OptionStruct>(given: *const T, name: &str) -> Outcome<Option<T>> {
    if given.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise, at least for the first word.
    let bytes = unsafe { stated_bytes(given, name) }?;
    if bytes % align_of::<T>() != 0 {
        return Err(bad_size(format!("{name}.struct_size is {bytes}, which no version has")));
    }
    // SAFETY: readable by the caller's promise.
    let given = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), bytes) };
    let (known, tail) = given.split_at(bytes.min(size_of::<T>()));
    if tail.iter().any(|&byte| byte != 0) {
        return Err(bad_size(format!("{name} has {bytes} bytes, of which this version knows {}; the others must be zero", known.len())));
    }
    let mut options = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: `known` is no longer than a T; what is not copied is zero, and any bytes are a T (OptionStruct's promise).
    unsafe {
        options.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(known.as_ptr(), known.len());
        Ok(Some(options.assume_init()))
    }
}

/// The checked `struct_size` of a struct that is not NULL.
///
/// # Safety
/// As [`read`], for its first word.
unsafe fn stated_bytes<T>(given: *const T, name: &str) -> Outcome<usize> {
    if !given.is_aligned() {
        return Err(Failure::invalid(format!("{name} is not aligned to {} bytes", align_of::<T>())));
    }
    // SAFETY: aligned for T and so for its first word, readable by the caller's promise.
    let bytes = unsafe { given.cast::<u32>().read() } as usize;
    if bytes < size_of::<u32>() || bytes > MAX_STRUCT_BYTES {
        return Err(bad_size(format!("{name}.struct_size is {bytes}: set it to sizeof before the call")));
    }
    Ok(bytes)
}

/// A place for an info struct, checked, written once the call has succeeded.
pub(super) struct InfoOut<T> {
    place: *mut T,
    bytes: usize,
}

impl<T: InfoStruct> InfoOut<T> {
    /// Refuses NULL, misaligned places and sizes that no version has.
    ///
    /// # Safety
    /// Otherwise `place` points to as many writable bytes as its first word says, until [`InfoOut::write`].
    pub unsafe fn new(place: *mut T, name: &str) -> Outcome<Self> {
        if place.is_null() {
            return Err(Failure::null(name));
        }
        // SAFETY: the caller's promise.
        let bytes = unsafe { stated_bytes(place.cast_const(), name) }?;
        if bytes < T::FIRST_SIZE {
            return Err(bad_size(format!("{name}.struct_size is {bytes}, which no version has")));
        }
        Ok(Self { place, bytes })
    }

    /// Writes what the caller's version knows of `info`, and zeros where it knows more. `struct_size` stays.
    pub fn write(self, info: &T) {
        let known = self.bytes.min(size_of::<T>());
        let head = size_of::<u32>();
        let place = self.place.cast::<u8>();
        // SAFETY: `bytes` bytes are writable by the promise in `new`; `known` is at most that and at most the size of a
        // T, which has no padding; the caller's struct is not ours.
        unsafe {
            place.add(head).copy_from_nonoverlapping(std::ptr::from_ref(info).cast::<u8>().add(head), known - head);
            place.add(known).write_bytes(0, self.bytes - known);
        }
    }
}

/// The shapes that a caller gives; `None` if there are none.
///
/// # Errors
/// NULL pointers, ranks above `RSQ_MAX_RANK`, negative dimensions.
///
/// # Safety
/// `shapes` is NULL or points to `count` shapes, whose `dims` are NULL or point to `rank` dimensions.
pub(super) unsafe fn shapes(shapes: *const rsq_shape, count: usize, what: &str) -> Outcome<Option<Vec<Vec<usize>>>> {
    if count == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let shapes = unsafe { array(shapes, count, what) }?;
    let read_shape = |(index, shape): (usize, &rsq_shape)| -> Outcome<Vec<usize>> {
        let name = format!("{what}[{index}]");
        if shape.rank > super::RSQ_MAX_RANK {
            return Err(Failure::invalid(format!("{name} has rank {}; {} is the most", shape.rank, super::RSQ_MAX_RANK)));
        }
        // SAFETY: the caller's promise.
        let dims = unsafe { array(shape.dims, shape.rank, &format!("{name}.dims")) }?;
        dims.iter().enumerate().map(|(axis, &dim)| dim_from_caller(dim, &name, axis)).collect()
    };
    shapes.iter().enumerate().map(read_shape).collect::<Outcome<_>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::status::{RSQ_INVALID_ARGUMENT, RSQ_NULL_ARGUMENT};
    use super::*;

    #[repr(C, align(8))]
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Settings {
        struct_size: u32,
        threads: u32,
        limit: u64,
    }
    // SAFETY: repr(C), size first, integers alone, none larger than 8 bytes.
    unsafe impl OptionStruct for Settings {}
    // SAFETY: repr(C), size first, integers alone, no padding.
    unsafe impl InfoStruct for Settings {
        const FIRST_SIZE: usize = 8;
    }

    /// A caller's struct with room for a later version's fields.
    #[repr(C)]
    struct Given {
        settings: Settings,
        tail: [u8; 16],
    }

    fn given(struct_size: u32) -> Given {
        Given { settings: Settings { struct_size, threads: 3, limit: 9 }, tail: [0; 16] }
    }

    fn read_given(given: &Given) -> Outcome<Option<Settings>> {
        // SAFETY: sizes that are accepted lie within `given`.
        unsafe { read(std::ptr::from_ref(given).cast(), "settings") }
    }

    #[test]
    fn a_smaller_struct_takes_defaults_and_a_larger_one_must_end_in_zeros() {
        assert_eq!(read_given(&given(16)).unwrap(), Some(Settings { struct_size: 16, threads: 3, limit: 9 }));
        assert_eq!(read_given(&given(8)).unwrap(), Some(Settings { struct_size: 8, threads: 3, limit: 0 }));
        let mut larger = given(32);
        assert_eq!(read_given(&larger).unwrap().unwrap().limit, 9);
        larger.tail[15] = 1;
        assert_eq!(read_given(&larger).unwrap_err().status, RSQ_BAD_STRUCT_SIZE);
        for never in [0, 1, 3, 4, 12, 17, 4104, u32::MAX] {
            assert_eq!(read_given(&given(never)).unwrap_err().status, RSQ_BAD_STRUCT_SIZE, "{never}");
        }
        // SAFETY: NULL, or refused before it is read.
        unsafe {
            assert_eq!(read::<Settings>(std::ptr::null(), "settings"), Ok(None));
            let misaligned = (&raw const larger).byte_add(4).cast::<Settings>();
            assert_eq!(read(misaligned, "settings").unwrap_err().status, RSQ_INVALID_ARGUMENT);
        }
    }

    fn write_given(given: &mut Given) -> Outcome {
        // SAFETY: sizes that are accepted lie within `given`.
        let out = unsafe { InfoOut::<Settings>::new(std::ptr::from_mut(given).cast(), "settings") }?;
        out.write(&Settings { struct_size: 0, threads: 5, limit: 6 });
        Ok(())
    }

    #[test]
    fn an_info_is_written_as_far_as_the_caller_knows_it() {
        let mut old = given(8);
        write_given(&mut old).unwrap();
        assert_eq!(old.settings, Settings { struct_size: 8, threads: 5, limit: 9 });
        let mut newer = Given { tail: [7; 16], ..given(24) };
        write_given(&mut newer).unwrap();
        assert_eq!(newer.settings, Settings { struct_size: 24, threads: 5, limit: 6 });
        assert_eq!((&newer.tail[..8], &newer.tail[8..]), ([0; 8].as_slice(), [7; 8].as_slice()));
        assert_eq!(write_given(&mut given(4)).unwrap_err().status, RSQ_BAD_STRUCT_SIZE);
        // SAFETY: NULL.
        let null = unsafe { InfoOut::<Settings>::new(std::ptr::null_mut(), "settings") };
        assert_eq!(null.err().unwrap().status, RSQ_NULL_ARGUMENT);
    }

    #[test]
    fn shapes_are_copied_and_refused_with_their_place() {
        let dims = [1i64, 3, -5];
        let read_shapes = |list: &[rsq_shape]| {
            // SAFETY: an array with its length; dims point to at least `rank` numbers or are refused.
            unsafe { shapes(list.as_ptr(), list.len(), "input_shapes") }
        };
        let shape = |rank| rsq_shape { dims: dims.as_ptr(), rank };
        assert_eq!(read_shapes(&[]), Ok(None));
        assert_eq!(read_shapes(&[shape(2), shape(0)]), Ok(Some(vec![vec![1, 3], vec![]])));
        let negative = read_shapes(&[shape(1), shape(3)]).unwrap_err();
        assert_eq!((negative.status, negative.message.contains("input_shapes[1]")), (RSQ_INVALID_ARGUMENT, true), "{}", negative.message);
        assert_eq!(read_shapes(&[shape(9)]).unwrap_err().status, RSQ_INVALID_ARGUMENT);
        assert_eq!(read_shapes(&[rsq_shape { dims: std::ptr::null(), rank: 1 }]).unwrap_err().status, RSQ_NULL_ARGUMENT);
    }
}
