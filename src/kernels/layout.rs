//! Moving elements: NCHW to NHWC and back, copies with any strides, the bytes that pad a pixel.
use super::simd::multiversion;
use crate::error::{Error, Result};

/// Side of the square that a transposition moves at once: its lines of both sides fit L1.
const TILE: usize = 16;

multiversion! {
    /// Planes of `pixels` floats, channel `i` at `src[i * plane_stride..]`, into dense `[pixels][c]`.
    pub fn nchw_to_nhwc(src: &[f32], plane_stride: usize, pixels: usize, c: usize, dst: &mut [f32]) {
        assert_eq!(dst.len(), pixels * c);
        for (block, dst) in dst.chunks_mut((TILE * c).max(1)).enumerate() {
            let first = block * TILE;
            for start in (0..c).step_by(TILE) {
                for channel in start..(start + TILE).min(c) {
                    let plane = &src[channel * plane_stride + first..][..dst.len() / c];
                    for (pixel, &x) in dst.chunks_exact_mut(c).zip(plane) {
                        pixel[channel] = x;
                    }
                }
            }
        }
    }

    /// Dense `[pixels][c]` into planes of `pixels` floats, channel `i` at `dst[i * plane_stride..]`.
    pub fn nhwc_to_nchw(src: &[f32], pixels: usize, c: usize, plane_stride: usize, dst: &mut [f32]) {
        assert_eq!(src.len(), pixels * c);
        for (block, src) in src.chunks((TILE * c).max(1)).enumerate() {
            let first = block * TILE;
            for start in (0..c).step_by(TILE) {
                for channel in start..(start + TILE).min(c) {
                    let plane = &mut dst[channel * plane_stride + first..][..src.len() / c];
                    for (x, pixel) in plane.iter_mut().zip(src.chunks_exact(c)) {
                        *x = pixel[channel];
                    }
                }
            }
        }
    }
}

/// Sets the bytes behind channel `c` of every pixel of `[pixels][c_stride]`.
pub fn fill_padding(dst: &mut [u8], c: usize, c_stride: usize, zero_byte: u8) {
    if c < c_stride {
        dst.chunks_exact_mut(c_stride).for_each(|pixel| pixel[c..].fill(zero_byte));
    }
}

/// Axes that a [`StridedCopy`] can have.
pub const MAX_RANK: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Axis {
    dim: usize,
    src_stride: usize,
    dst_stride: usize,
}

/// A planned copy between two strided tensors of one shape: transpose, slice, broadcast (source stride 0), concat, pad.
/// Offsets and strides count elements.
#[derive(Debug, Clone, Copy)]
pub struct StridedCopy {
    axes: [Axis; MAX_RANK],
    rank: usize,
    src_offset: usize,
    dst_offset: usize,
    /// Elements that the source and destination must have at least.
    needed: [usize; 2],
}

impl StridedCopy {
    /// A copy of `dims` elements from `src_offset` on to `dst_offset` on. Axes that lie side by side are merged.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for more than [`MAX_RANK`] axes, [`Error::ShapeMismatch`] if strides are not one an axis
    /// or an offset does not fit `usize`.
    pub fn new(dims: &[usize], src_offset: usize, src_strides: &[usize], dst_offset: usize, dst_strides: &[usize]) -> Result<Self> {
        if dims.len() > MAX_RANK {
            return Err(Error::Unsupported(format!("a copy of {} axes; at most {MAX_RANK}", dims.len())));
        }
        let refused = || Error::ShapeMismatch(format!("a copy of {dims:?} with strides {src_strides:?} and {dst_strides:?}"));
        if src_strides.len() != dims.len() || dst_strides.len() != dims.len() {
            return Err(refused());
        }
        let needed = |offset: usize, strides: &[usize]| {
            let last = dims
                .iter()
                .zip(strides)
                .try_fold(offset, |at, (&dim, &stride)| at.checked_add(dim.saturating_sub(1).checked_mul(stride)?))?;
            if dims.contains(&0) { Some(0) } else { last.checked_add(1) }
        };
        let needed = [needed(src_offset, src_strides).ok_or_else(refused)?, needed(dst_offset, dst_strides).ok_or_else(refused)?];
        let mut copy = Self { axes: [Axis::default(); MAX_RANK], rank: 0, src_offset, dst_offset, needed };
        for ((&dim, &src_stride), &dst_stride) in dims.iter().zip(src_strides).zip(dst_strides) {
            if dim == 1 {
                continue;
            }
            if let Some(outer) = copy.axes[..copy.rank].last_mut()
                && outer.src_stride == dim * src_stride
                && outer.dst_stride == dim * dst_stride
            {
                *outer = Axis { dim: outer.dim * dim, src_stride, dst_stride };
                continue;
            }
            copy.axes[copy.rank] = Axis { dim, src_stride, dst_stride };
            copy.rank += 1;
        }
        Ok(copy)
    }

    /// Copies.
    ///
    /// # Panics
    /// If a slice is too short for the plan.
    pub fn run<T: Copy>(&self, src: &[T], dst: &mut [T]) {
        assert!(src.len() >= self.needed[0] && dst.len() >= self.needed[1], "a strided copy leaves its slices");
        let axes = &self.axes[..self.rank];
        if axes.iter().any(|axis| axis.dim == 0) || self.needed[0] == 0 {
            return;
        }
        let Some((inner, outer)) = axes.split_last() else {
            dst[self.dst_offset] = src[self.src_offset];
            return;
        };
        // A transposition: the source is dense along another axis than the destination. Those two go in tiles.
        let dense = outer.iter().rposition(|axis| axis.src_stride == 1 && inner.src_stride != 1);
        let mut index = [0usize; MAX_RANK];
        loop {
            let at = |start: usize, stride: fn(&Axis) -> usize| outer.iter().zip(index).fold(start, |at, (axis, i)| at + i * stride(axis));
            let (src_at, dst_at) = (at(self.src_offset, |axis| axis.src_stride), at(self.dst_offset, |axis| axis.dst_stride));
            match dense {
                Some(axis) => copy_plane(src, src_at, dst, dst_at, outer[axis], *inner),
                None => copy_line(src, src_at, dst, dst_at, *inner),
            }
            // The next index of the outer axes, the last one fastest, without the one that went in tiles.
            let mut axis = outer.len();
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                if Some(axis) == dense {
                    continue;
                }
                index[axis] += 1;
                if index[axis] < outer[axis].dim {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

/// One line along one axis.
fn copy_line<T: Copy>(src: &[T], src_at: usize, dst: &mut [T], dst_at: usize, axis: Axis) {
    match (axis.src_stride, axis.dst_stride) {
        (1, 1) => dst[dst_at..][..axis.dim].copy_from_slice(&src[src_at..][..axis.dim]),
        (0, 1) => dst[dst_at..][..axis.dim].fill(src[src_at]),
        (from, to) => (0..axis.dim).for_each(|i| dst[dst_at + i * to] = src[src_at + i * from]),
    }
}

/// Two axes in tiles, so that lines of both sides are used whole while they are in L1.
fn copy_plane<T: Copy>(src: &[T], src_at: usize, dst: &mut [T], dst_at: usize, outer: Axis, inner: Axis) {
    for first_outer in (0..outer.dim).step_by(TILE) {
        for first_inner in (0..inner.dim).step_by(TILE) {
            for i in first_outer..(first_outer + TILE).min(outer.dim) {
                for j in first_inner..(first_inner + TILE).min(inner.dim) {
                    let from = src_at + i * outer.src_stride + j * inner.src_stride;
                    dst[dst_at + i * outer.dst_stride + j * inner.dst_stride] = src[from];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::test_floats;

    #[test]
    fn planes_become_pixels_and_come_back() {
        for isa in VectorIsa::tested() {
            for (pixels, c) in [(1, 1), (15, 3), (16, 16), (50, 33), (0, 4)] {
                let plane_stride = pixels + 3;
                let src = test_floats(plane_stride * c, 1);
                let mut nhwc = vec![0.0; pixels * c];
                nchw_to_nhwc(isa, &src, plane_stride, pixels, c, &mut nhwc);
                assert!((0..pixels * c).all(|at| nhwc[at] == src[at % c * plane_stride + at / c]));
                let mut back = vec![7.0; plane_stride * c];
                nhwc_to_nchw(isa, &nhwc, pixels, c, plane_stride, &mut back);
                assert!((0..plane_stride * c).all(|at| back[at] == if at % plane_stride < pixels { src[at] } else { 7.0 }));
            }
        }
    }

    #[test]
    fn only_padding_is_filled() {
        let mut bytes = [1u8; 8];
        fill_padding(&mut bytes, 3, 4, 9);
        assert_eq!(bytes, [1, 1, 1, 9, 1, 1, 1, 9]);
        fill_padding(&mut bytes, 4, 4, 5);
        assert_eq!(bytes[3], 9);
    }

    /// All permutations of the axes of a shape.
    fn permutations(rank: usize) -> Vec<Vec<usize>> {
        if rank == 0 {
            return vec![Vec::new()];
        }
        let shorter = permutations(rank - 1);
        shorter.iter().flat_map(|p| (0..rank).map(move |at| [&p[..at], &[rank - 1], &p[at..]].concat())).collect()
    }

    #[test]
    fn every_permutation_moves_every_element() {
        for dims in [vec![], vec![5], vec![3, 40], vec![2, 17, 1, 5], vec![2, 3, 18, 4, 2]] {
            let count: usize = dims.iter().product();
            let src: Vec<u32> = (0..count as u32).collect();
            let strides_of = |dims: &[usize]| -> Vec<usize> { (0..dims.len()).map(|axis| dims[axis + 1..].iter().product()).collect() };
            let strides = strides_of(&dims);
            for permutation in permutations(dims.len()) {
                let out_dims: Vec<usize> = permutation.iter().map(|&axis| dims[axis]).collect();
                let src_strides: Vec<usize> = permutation.iter().map(|&axis| strides[axis]).collect();
                let out_strides = strides_of(&out_dims);
                let mut dst = vec![u32::MAX; count + 2];
                StridedCopy::new(&out_dims, 0, &src_strides, 2, &out_strides).unwrap().run(&src, &mut dst);
                for at in 0..count {
                    let from: usize = (0..out_dims.len()).map(|axis| at / out_strides[axis] % out_dims[axis] * src_strides[axis]).sum();
                    assert_eq!(dst[at + 2], src[from], "{dims:?} by {permutation:?}");
                }
                assert_eq!(dst[..2], [u32::MAX; 2]);
            }
        }
    }

    #[test]
    fn a_slice_of_a_broadcast_is_copied() {
        // Rows 1.. of a column vector, repeated along the row, into the middle of a wider tensor.
        let (src, mut dst) = ([1u8, 2, 3], [0u8; 10]);
        StridedCopy::new(&[2, 3], 1, &[1, 0], 1, &[5, 1]).unwrap().run(&src, &mut dst);
        assert_eq!(dst, [0, 2, 2, 2, 0, 0, 3, 3, 3, 0]);
        StridedCopy::new(&[2, 0], 1, &[1, 0], 1, &[5, 1]).unwrap().run(&src, &mut dst);
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        assert!(matches!(StridedCopy::new(&[1; 9], 0, &[1; 9], 0, &[1; 9]), Err(Error::Unsupported(_))));
        assert!(matches!(StridedCopy::new(&[2], 0, &[], 0, &[1]), Err(Error::ShapeMismatch(_))));
        assert!(matches!(StridedCopy::new(&[3], 0, &[usize::MAX], 0, &[1]), Err(Error::ShapeMismatch(_))));
    }
}
