//! Float graphs without an ONNX file.
use super::context::{context_or_default, rsq_context};
use super::handles::Exclusive;
use super::options::{OptionStruct, read};
use super::pointers::{Out, array, text};
use super::qconfig::named_choice;
use super::status::{Failure, Outcome, rsq_status};
use super::{guard, handles};
use crate::pipeline::{BatchNorm, Binary, Bounds, Conv2dAttributes, FloatGraphBuilder, LayerFloats, Op, Padding, Pool, Unary, ValueId};
use crate::tensor::SharedBytes;
use std::ffi::c_char;
use std::sync::Arc;

/// Exclusive. A float graph under construction. Every function that adds a node takes its name (unique; empty or NULL: made
/// from the operator), which scopes of a qconfig match, and tells the value that the node computes. Arrays are copied (but see
/// `RSQ_WEIGHTS_BORROWED`).
/// A call that fails adds nothing; its message names the node.
pub struct rsq_graph_builder {
    _private: [u8; 0],
}

impl handles::Handle for rsq_graph_builder {
    type Object = Exclusive<FloatGraphBuilder>;
    const TAG: usize = 12;
    const NAME: &'static str = "builder";
}

/// A value of a graph under construction, as a builder told it.
pub type rsq_value = u32;

/// `max(x, 0)`.
pub const RSQ_UNARY_RELU: i32 = 1;
/// `min(max(x, alpha), beta)`.
pub const RSQ_UNARY_CLIP: i32 = 2;
/// `x < 0 ? alpha * x : x`.
pub const RSQ_UNARY_LEAKY_RELU: i32 = 3;
/// `1 / (1 + exp(-x))`.
pub const RSQ_UNARY_SIGMOID: i32 = 4;
/// `min(max(alpha * x + beta, 0), 1)`.
pub const RSQ_UNARY_HARD_SIGMOID: i32 = 5;
/// `x * min(max(x / 6 + 0.5, 0), 1)`.
pub const RSQ_UNARY_HARD_SWISH: i32 = 6;

/// `a + b`, with broadcasting.
pub const RSQ_BINARY_ADD: i32 = 1;
/// `a - b`, with broadcasting.
pub const RSQ_BINARY_SUB: i32 = 2;
/// `a * b`, with broadcasting.
pub const RSQ_BINARY_MUL: i32 = 3;

/// The largest value of a window.
pub const RSQ_POOL_MAX: i32 = 1;
/// The mean of a window.
pub const RSQ_POOL_AVERAGE: i32 = 2;
/// Output sizes are rounded up.
pub const RSQ_POOL_CEIL_MODE: u32 = 1;
/// A mean counts padding.
pub const RSQ_POOL_COUNT_INCLUDE_PAD: u32 = 2;

/// A window that slides over an image: of a convolution or pooling.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_window {
    /// `sizeof(rsq_window)`.
    pub struct_size: u32,
    /// Of a pooling: 0, or of `RSQ_POOL_`.
    pub flags: u32,
    /// Rows of the kernel; 0: 1.
    pub kernel_height: usize,
    /// Columns of the kernel; 0: 1.
    pub kernel_width: usize,
    /// Rows between neighbouring outputs; 0: 1.
    pub stride_height: usize,
    /// Columns between neighbouring outputs; 0: 1.
    pub stride_width: usize,
    /// Rows between neighbouring taps; 0: 1.
    pub dilation_height: usize,
    /// Columns between neighbouring taps; 0: 1.
    pub dilation_width: usize,
    /// Rows of padding above.
    pub pad_top: usize,
    /// Columns of padding to the left.
    pub pad_left: usize,
    /// Rows of padding below.
    pub pad_bottom: usize,
    /// Columns of padding to the right.
    pub pad_right: usize,
}

// SAFETY: repr(C), size first, integers, none larger than the alignment.
unsafe impl OptionStruct for rsq_window {}
const _: () = assert!(size_of::<rsq_window>() == 8 + 10 * size_of::<usize>());

/// The floats at `weights` are not copied: they must stay as they are until the builder, its graphs and everything made with those
/// are freed. They do not count to the context's `memory_limit`.
pub const RSQ_WEIGHTS_BORROWED: u32 = 1;

/// Weights and bias of a convolution or linear layer, f32.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_weights {
    /// `sizeof(rsq_layer_weights)`.
    pub struct_size: u32,
    /// 0, or `RSQ_WEIGHTS_BORROWED`.
    pub flags: u32,
    /// `[out_channels, in_channels / groups, kernel_height, kernel_width]`, or `[out_channels, in_channels]` of a linear layer.
    pub weights: *const f32,
    /// Number of floats at `weights`.
    pub weight_count: usize,
    /// `out_channels` floats; NULL: no bias.
    pub bias: *const f32,
    /// Output channels (features) in all.
    pub out_channels: usize,
    /// Input channels (features) in all.
    pub in_channels: usize,
    /// Groups of a convolution; 0: 1. `in_channels` for a depthwise one.
    pub groups: usize,
}

// SAFETY: repr(C), size first, integers and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_layer_weights {}
const _: () = assert!(size_of::<rsq_layer_weights>() == 8 + 6 * size_of::<usize>());

/// Parameters of a batch normalization with running statistics, on axis 1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_batch_norm {
    /// `sizeof(rsq_batch_norm)`.
    pub struct_size: u32,
    /// Added to the variance.
    pub epsilon: f32,
    /// Number of channels: of floats in each array.
    pub channels: usize,
    /// Scale.
    pub gamma: *const f32,
    /// Offset.
    pub beta: *const f32,
    /// Running mean.
    pub mean: *const f32,
    /// Running variance.
    pub variance: *const f32,
}

// SAFETY: repr(C), size first, integers, a float and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_batch_norm {}
const _: () = assert!(size_of::<rsq_batch_norm>() == 8 + 5 * size_of::<usize>());

impl rsq_window {
    fn kernel(&self) -> [usize; 2] {
        [self.kernel_height.max(1), self.kernel_width.max(1)]
    }

    fn strides(&self) -> [usize; 2] {
        [self.stride_height.max(1), self.stride_width.max(1)]
    }

    fn dilations(&self) -> [usize; 2] {
        [self.dilation_height.max(1), self.dilation_width.max(1)]
    }

    fn padding(&self) -> Padding {
        Padding::Explicit { top: self.pad_top, left: self.pad_left, bottom: self.pad_bottom, right: self.pad_right }
    }
}

/// A node's name: empty for NULL.
///
/// # Safety
/// `name` is NULL or a C string that outlives `'a`.
pub(super) unsafe fn name_or_empty<'a>(name: *const c_char) -> Outcome<&'a str> {
    // SAFETY: the caller's promise.
    if name.is_null() { Ok("") } else { unsafe { text(name, "name") } }
}

/// Adds a node: checks the pointers that all of them have, and writes the value that `add` made.
///
/// # Safety
/// `name` is NULL or a C string, `out` NULL or valid for a write.
pub(super) unsafe fn add(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    out: *mut rsq_value,
    add: impl FnOnce(&mut FloatGraphBuilder, &str) -> Outcome<ValueId>,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, name) = unsafe { (Out::new(out, "out")?, name_or_empty(name)?) };
        let builder = handles::get(builder.cast_const())?;
        let mut builder = builder.write()?;
        out.write(add(&mut builder, name)?.0);
        Ok(())
    })
}

/// Adds a node of an operator without constants.
///
/// # Safety
/// As [`add`].
pub(super) unsafe fn add_op(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    inputs: &[rsq_value],
    out: *mut rsq_value,
    op: impl FnOnce() -> Outcome<Op>,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let inputs: Vec<ValueId> = inputs.iter().map(|&value| ValueId(value)).collect();
            Ok(builder.node(name, op()?, &inputs)?)
        })
    }
}

/// Makes an empty builder. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_new(context: *const rsq_context, out: *mut *mut rsq_graph_builder) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let context = context_or_default(context)?;
        out.write(handles::make(Exclusive::new(FloatGraphBuilder::within(&context), "builder"))?);
        Ok(())
    })
}

/// Adds an input of `rank` dimensions, such as n, c, h, w; -1 for one that is chosen at run time.
///
/// Statuses of all functions that add: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT`, `BUSY`, `GRAPH`
/// (a name that is taken, a value that is not there), `SHAPE_MISMATCH` (a wrong number of floats), `NOT_FINITE` (naming the
/// index), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_input(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    dims: *const i64,
    rank: usize,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let open = |&dim: &i64| if dim == -1 { Ok(None) } else { usize::try_from(dim).map(Some) };
            let dims: Result<Vec<Option<usize>>, _> = array(dims, rank, "dims")?.iter().map(open).collect();
            let dims = dims.map_err(|_| Failure::invalid(format!("input '{name}' has a negative dimension other than -1")))?;
            Ok(builder.add(name, "Input", |builder| builder.input(name, &dims))?)
        })
    }
}

/// Adds a constant of `count` floats with `rank` dimensions, as an operand of other nodes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_constant(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    values: *const f32,
    count: usize,
    dims: *const i64,
    rank: usize,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let values = array(values, count, "values")?;
            let dims: Result<Vec<usize>, _> = array(dims, rank, "dims")?.iter().map(|&dim| usize::try_from(dim)).collect();
            let dims = dims.map_err(|_| Failure::invalid(format!("constant '{name}' has a negative dimension")))?;
            Ok(builder.add(name, "Constant", |builder| builder.constant(name, values, &dims))?)
        })
    }
}

/// Floats and bias of a layer.
///
/// # Safety
/// `layer` is NULL or points to as many bytes as its first word says; its arrays are as the header says.
unsafe fn layer_weights<'a>(layer: *const rsq_layer_weights) -> Outcome<(rsq_layer_weights, LayerFloats<'a>, Option<&'a [f32]>)> {
    // SAFETY: the caller's promises.
    unsafe {
        let layer = read(layer, "rsq_layer_weights")?.ok_or_else(|| Failure::null("layer"))?;
        if layer.flags & !RSQ_WEIGHTS_BORROWED != 0 {
            return Err(Failure::invalid(format!("rsq_layer_weights.flags is {:#x}; this version knows 1", layer.flags)));
        }
        let weights = array(layer.weights, layer.weight_count, "rsq_layer_weights.weights")?;
        let weights = match layer.flags {
            // SAFETY: the header demands that they stay as they are as long as anything made of them lives.
            RSQ_WEIGHTS_BORROWED => LayerFloats::Shared(SharedBytes::from_owner(Arc::new(StaticFloats(extended(weights))))),
            _ => LayerFloats::Copied(weights),
        };
        let bias = match layer.bias.is_null() {
            true => None,
            false => Some(array(layer.bias, layer.out_channels, "rsq_layer_weights.bias")?),
        };
        Ok((layer, weights, bias))
    }
}

/// A caller's floats that stay where they are.
struct StaticFloats(&'static [f32]);

impl AsRef<[u8]> for StaticFloats {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(self.0)
    }
}

/// The same floats for as long as the caller keeps them.
///
/// # Safety
/// They stay as they are as long as the result is used.
unsafe fn extended(floats: &[f32]) -> &'static [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(floats.as_ptr(), floats.len()) }
}

/// Adds a convolution of `[n, c, h, w]`. `window` may be NULL: a 1x1 kernel. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_conv2d(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    layer: *const rsq_layer_weights,
    window: *const rsq_window,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let ((layer, weights, bias), window) = (layer_weights(layer)?, read(window, "rsq_window")?);
            let mut attributes = Conv2dAttributes::new(layer.in_channels, layer.out_channels, [1, 1]);
            attributes.groups = layer.groups.max(1);
            if let Some(window) = window {
                if window.flags != 0 {
                    return Err(Failure::invalid("rsq_window.flags are for a pooling"));
                }
                attributes = Conv2dAttributes {
                    kernel: window.kernel(),
                    strides: window.strides(),
                    dilations: window.dilations(),
                    padding: window.padding(),
                    ..attributes
                };
            }
            Ok(builder.add(name, "Conv", |builder| builder.conv2d(name, ValueId(x), weights, bias, attributes))?)
        })
    }
}

/// Adds a linear layer, `y = x * weights^T + bias`, over the last axis. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_linear(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    layer: *const rsq_layer_weights,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let (layer, weights, bias) = layer_weights(layer)?;
            let (n, k) = (layer.out_channels, layer.in_channels);
            Ok(builder.add(name, "Gemm", |builder| builder.linear(name, ValueId(x), weights, bias, n, k))?)
        })
    }
}

/// Adds a batch normalization. Statuses as `rsq_graph_builder_input`; `NOT_FINITE` names the channel.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_batch_norm(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    parameters: *const rsq_batch_norm,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let given = read(parameters, "rsq_batch_norm")?.ok_or_else(|| Failure::null("parameters"))?;
            let floats = |first, what| array(first, given.channels, what);
            let (gamma, beta) = (floats(given.gamma, "rsq_batch_norm.gamma")?, floats(given.beta, "rsq_batch_norm.beta")?);
            let (mean, variance) = (floats(given.mean, "rsq_batch_norm.mean")?, floats(given.variance, "rsq_batch_norm.variance")?);
            let parameters = BatchNorm { gamma, beta, mean, variance, epsilon: given.epsilon };
            Ok(builder.add(name, "BatchNormalization", |builder| builder.batch_norm(name, ValueId(x), &parameters))?)
        })
    }
}

/// Adds an operator of one tensor, `kind` one of `RSQ_UNARY_`; `alpha` and `beta` are used as those say. Statuses as
/// `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_unary(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    kind: i32,
    x: rsq_value,
    alpha: f32,
    beta: f32,
    out: *mut rsq_value,
) -> rsq_status {
    let unaries = [
        Unary::Clamp(Bounds::RELU),
        Unary::Clamp(Bounds { low: alpha, high: beta }),
        Unary::LeakyRelu { alpha },
        Unary::Sigmoid,
        Unary::HardSigmoid { alpha, beta },
        Unary::HardSwish,
    ];
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, || Ok(Op::Unary(chosen(kind, &unaries)?))) }
}

/// The choice of a kind that must be given.
fn chosen<T: Copy>(kind: i32, choices: &[T]) -> Outcome<T> {
    named_choice(kind, "kind", choices)?.ok_or_else(|| Failure::invalid(format!("kind is 0; this version knows 1 to {}", choices.len())))
}

/// Adds an operator of two tensors, `kind` one of `RSQ_BINARY_`. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_binary(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    kind: i32,
    a: rsq_value,
    b: rsq_value,
    out: *mut rsq_value,
) -> rsq_status {
    let op = || Ok(Op::Binary(chosen(kind, &[Binary::Add, Binary::Sub, Binary::Mul])?, Bounds::NONE));
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[a, b], out, op) }
}

/// Adds a product of matrices `[.., m, k]` and `[.., k, n]`. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_matmul(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    a: rsq_value,
    b: rsq_value,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[a, b], out, || Ok(Op::MatMul)) }
}

/// Adds a pooling of `[n, c, h, w]`, `kind` one of `RSQ_POOL_MAX` and `RSQ_POOL_AVERAGE`; `window` NULL: the mean of each whole
/// plane, `RSQ_POOL_AVERAGE` only. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_pool(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    kind: i32,
    x: rsq_value,
    window: *const rsq_window,
    out: *mut rsq_value,
) -> rsq_status {
    let op = || {
        let maximum = chosen(kind, &[true, false])?;
        // SAFETY: the caller's promise.
        let Some(window) = (unsafe { read(window, "rsq_window") })? else {
            return if maximum { Err(Failure::null("window")) } else { Ok(Op::GlobalAveragePool) };
        };
        if window.flags & !(RSQ_POOL_CEIL_MODE | RSQ_POOL_COUNT_INCLUDE_PAD) != 0 {
            return Err(Failure::invalid(format!("rsq_window.flags is {:#x}; this version knows 3", window.flags)));
        }
        let pool = Pool {
            kernel: window.kernel(),
            strides: window.strides(),
            dilations: window.dilations(),
            padding: window.padding(),
            ceil_mode: window.flags & RSQ_POOL_CEIL_MODE != 0,
            count_include_pad: window.flags & RSQ_POOL_COUNT_INCLUDE_PAD != 0,
        };
        Ok(if maximum { Op::MaxPool(pool) } else { Op::AveragePool(pool) })
    };
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, op) }
}
