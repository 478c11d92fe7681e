//! How a tensor lies in memory: element, order of axes, padding of the innermost axis.
use crate::tensor::round_up;

/// The element types that steps work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// f32.
    F32,
    /// u8.
    U8,
}

impl Element {
    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::U8 => 1,
        }
    }
}

/// The order of axes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// As the shape says, last axis innermost.
    RowMajor,
    /// `[n, c, h, w]` held as `n, h, w, c`.
    ChannelsLast,
}

/// Bytes to which the innermost axis of a u8 tensor is padded: one `k` group of the packed weights.
pub const U8_INNER_MULTIPLE: usize = 4;

/// Shape, element and memory order of a tensor. f32 is dense; the innermost axis of u8 is padded to a multiple of 4.
/// A caller's own tensor may say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorLayout {
    /// The logical shape; for a plan that computes samples one by one `dims[0]` is 1.
    pub dims: Vec<usize>,
    /// Element type.
    pub element: Element,
    /// Order of axes.
    pub order: Order,
    /// Elements from one innermost run to the next in a caller's own tensor, which has nothing of ours between them.
    pub own_stride: Option<usize>,
}

impl TensorLayout {
    /// A layout; `ChannelsLast` needs rank 4.
    pub fn new(dims: &[usize], element: Element, order: Order) -> Self {
        debug_assert!(order == Order::RowMajor || dims.len() == 4);
        Self { dims: dims.to_vec(), element, order, own_stride: None }
    }

    /// The same with innermost runs `stride` elements apart, at least as far as they are long.
    pub fn with_own_stride(self, stride: usize) -> Self {
        debug_assert!(stride >= self.inner());
        Self { own_stride: Some(stride), ..self }
    }

    /// The order that image tensors get: channels last for rank 4.
    pub fn preferred_order(rank: usize) -> Order {
        if rank == 4 { Order::ChannelsLast } else { Order::RowMajor }
    }

    /// Axes from outermost to innermost.
    fn axes(&self) -> Vec<usize> {
        match self.order {
            Order::RowMajor => (0..self.dims.len()).collect(),
            Order::ChannelsLast => vec![0, 2, 3, 1],
        }
    }

    /// Size of the innermost axis. Asked for in runs, so it allocates nothing.
    pub fn inner(&self) -> usize {
        match self.order {
            Order::RowMajor => self.dims.last().copied().unwrap_or(1),
            Order::ChannelsLast => self.dims[1],
        }
    }

    /// Elements from one innermost run to the next.
    pub fn inner_stride(&self) -> usize {
        match (self.own_stride, self.element) {
            (Some(stride), _) => stride,
            (None, Element::F32) => self.inner(),
            (None, Element::U8) => round_up(self.inner(), U8_INNER_MULTIPLE),
        }
    }

    /// Elements behind each innermost run that are written with it.
    pub fn inner_padding(&self) -> usize {
        if self.own_stride.is_some() { 0 } else { self.inner_stride() - self.inner() }
    }

    /// Elements of the tensor, logical.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements that the tensor takes in memory, padding included.
    pub fn held_len(&self) -> usize {
        let inner = self.inner();
        if inner == 0 { 0 } else { self.len() / inner * self.inner_stride() }
    }

    /// Bytes that the tensor takes in memory.
    pub fn held_bytes(&self) -> usize {
        self.held_len() * self.element.size_bytes()
    }

    /// Elements between neighbours along each logical axis.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![0; self.dims.len()];
        let mut stride = 1;
        for (depth, &axis) in self.axes().iter().rev().enumerate() {
            strides[axis] = stride;
            stride = if depth == 0 { self.inner_stride() } else { stride * self.dims[axis] };
        }
        strides
    }

    /// Whether element number `i` (row-major) lies at the same place in both, so that a reshape moves nothing.
    pub fn same_places(&self, other: &TensorLayout) -> bool {
        self.element == other.element
            && self.held_bytes() == other.held_bytes()
            && merged_runs(&self.dims, &self.strides()) == merged_runs(&other.dims, &other.strides())
    }
}

/// `(size, stride)` of the axes with size-1 axes dropped and axes merged that step through memory as one.
fn merged_runs(dims: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (&dim, &stride) in dims.iter().zip(strides).filter(|(dim, _)| **dim != 1) {
        match runs.last_mut() {
            Some((size, last)) if *last == dim * stride => (*size, *last) = (*size * dim, stride),
            _ => runs.push((dim, stride)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dims: &[usize], element: Element, order: Order) -> TensorLayout {
        TensorLayout::new(dims, element, order)
    }

    #[test]
    fn strides_follow_order_and_padding() {
        let image = layout(&[1, 3, 4, 5], Element::U8, Order::ChannelsLast);
        assert_eq!(image.strides(), [80, 1, 20, 4]);
        assert_eq!(image.held_bytes(), 80);
        let rows = layout(&[2, 6], Element::U8, Order::RowMajor);
        assert_eq!((rows.strides(), rows.held_bytes()), (vec![8, 1], 16));
        let floats = layout(&[1, 3, 4, 5], Element::F32, Order::ChannelsLast);
        assert_eq!((floats.strides(), floats.held_bytes()), (vec![60, 1, 15, 3], 240));
    }

    #[test]
    fn a_flatten_of_single_pixels_moves_nothing_and_one_of_images_does() {
        let pixel = layout(&[1, 2048, 1, 1], Element::U8, Order::ChannelsLast);
        assert!(pixel.same_places(&layout(&[1, 2048], Element::U8, Order::RowMajor)));
        let image = layout(&[1, 8, 2, 2], Element::F32, Order::ChannelsLast);
        assert!(!image.same_places(&layout(&[1, 32], Element::F32, Order::RowMajor)));
        let rows = layout(&[1, 8, 4], Element::F32, Order::RowMajor);
        assert!(rows.same_places(&layout(&[1, 32], Element::F32, Order::RowMajor)));
        let padded = layout(&[1, 8, 3], Element::U8, Order::RowMajor);
        assert!(!padded.same_places(&layout(&[1, 24], Element::U8, Order::RowMajor)));
    }
}
