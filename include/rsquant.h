/* rsquant: quantizes float neural networks to int8 after training and runs them.
 *
 * Written by cbindgen from src/ffi: do not edit.
 *
 * The way of a model:
 *
 *     rsq_graph_from_onnx_file -> rsq_prepare (with an rsq_qconfig) -> rsq_calibrate ... -> rsq_convert
 *         -> rsq_model_save / rsq_model_load -> rsq_session_new -> rsq_run
 *
 * Errors. A function that can fail returns an rsq_status; rsq_last_error has this thread's message. Outputs are written
 * only on success, and handles stay usable after a failure. The functions never print, abort or throw. Besides the
 * statuses listed with each function, any may return RSQ_PANIC, which is a defect of the library.
 *
 * Handles. The opaque types are handles: values that are never followed as addresses. NULL, freed and mistaken ones are
 * a status. The caller frees each object once, in any order: objects keep what they need. A free while another thread's call
 * uses the object lets that call finish.
 *
 * Threads. A const T * may be used by any number of threads at once. A T * is for one call at a time: a second one, or
 * a const one meanwhile, is RSQ_BUSY. Any function may be called on any thread.
 *
 * Structs. Those that begin with struct_size have it set by the caller to their sizeof. Option structs: fill the rest with
 * zeros, which are the defaults, then set what should differ. Pointers in structs and arguments are borrowed for the call
 * unless it says otherwise.
 *
 * Text is UTF-8. Activations held as bytes are u8: real = (byte - zero_point) * scale.
 */

#ifndef RSQUANT_H
#define RSQUANT_H

#include <stddef.h>
#include <stdint.h>

/// The first number of this header's version; `rsq_version_number` has the library's.
#define RSQ_VERSION_MAJOR 0
/// The second.
#define RSQ_VERSION_MINOR 1
/// The third.
#define RSQ_VERSION_PATCH 0
/// All three, as `rsq_version_number` has them.
#define RSQ_VERSION_NUMBER (RSQ_VERSION_MAJOR * 10000 + RSQ_VERSION_MINOR * 100 + RSQ_VERSION_PATCH)
/// The version as text.
#define RSQ_VERSION_STRING "0.1.0"
/// The version of the binary interface: part of the shared library's name.
#define RSQ_ABI_VERSION 1

/// No instruction set: no cap in options.
#define RSQ_ISA_NONE 0

/// Plain code.
#define RSQ_ISA_PORTABLE 1

/// AVX2 and FMA.
#define RSQ_ISA_AVX2 2

/// 256-bit int8 dot products.
#define RSQ_ISA_AVX_VNNI 3

/// 512-bit int8 dot products.
#define RSQ_ISA_AVX512_VNNI 4

/// AMX int8 tiles.
#define RSQ_ISA_AMX_INT8 5

/// Axes of a tensor at most.
#define RSQ_MAX_RANK 8

/// Bytes of a name or a reason in an info struct, its NUL included.
#define RSQ_NAME_BYTES 256

/// Bytes of an operator's or a kernel's name in an info struct, its NUL included.
#define RSQ_SHORT_NAME_BYTES 64

/// IEEE binary32.
#define RSQ_DTYPE_F32 1

/// Unsigned byte.
#define RSQ_DTYPE_U8 2

/// Signed byte.
#define RSQ_DTYPE_S8 3

/// 32-bit signed integer.
#define RSQ_DTYPE_I32 4

/// 64-bit signed integer.
#define RSQ_DTYPE_I64 5

/// Something that was asked for is not what there is: threads that were refused, an instruction set that `RSQ_MAX_ISA` caps.
#define RSQ_LOG_WARNING 1

/// What was decided: a layer that stays float and why, statistics that were resumed, a plan that gave way to another.
#define RSQ_LOG_INFO 2

/// int8 with activation qparams from calibration.
#define RSQ_PRECISION_INT8_STATIC 1

/// int8 with activation qparams from each run's values: needs no calibration. Convolutions, linear layers, LSTM, GRU, RNN.
#define RSQ_PRECISION_INT8_DYNAMIC 2

/// f32.
#define RSQ_PRECISION_FLOAT 3

/// The whole range, any zero point.
#define RSQ_SCHEME_AFFINE 1

/// A range symmetric about zero; `a / 127.5` for s8.
#define RSQ_SCHEME_SYMMETRIC 2

/// Symmetric with `a / 127` and the smallest integer -127, as TensorRT and ncnn have it; s8 only.
#define RSQ_SCHEME_RESTRICTED_SYMMETRIC 3

/// The range.
#define RSQ_OBSERVER_MIN_MAX 1

/// A moving average of batch ranges; depends on the order of batches, does not merge.
#define RSQ_OBSERVER_MOVING_AVERAGE 2

/// Counts on a dyadic grid; merges to the bits of one pass. The default.
#define RSQ_OBSERVER_HISTOGRAM 3

/// Torch's HistogramObserver; depends on the order of batches, does not merge.
#define RSQ_OBSERVER_TORCH_HISTOGRAM 4

/// The observed range.
#define RSQ_SOLVER_MIN_MAX 1

/// The range with the least expected squared error. The default.
#define RSQ_SOLVER_L2 2

/// Cuts off the outermost values: see `percentile`.
#define RSQ_SOLVER_PERCENTILE 3

/// The range with the least Kullback-Leibler divergence.
#define RSQ_SOLVER_ENTROPY 4

/// The range with the least squared error of the histogram's bin centres, quantized and back.
#define RSQ_SOLVER_MSE 5

/// Of all, the one with the least squared error.
#define RSQ_SOLVER_AUTO 6

/// One set of weight qparams a tensor.
#define RSQ_GRANULARITY_PER_TENSOR 1

/// One set of weight qparams an output channel. The default.
#define RSQ_GRANULARITY_PER_CHANNEL 2

/// Dynamic activations: one set of qparams a sample, that is, an index of axis 0, or a sequence of a recurrent layer (whose
/// state has one a step). The default.
#define RSQ_GRAIN_PER_SAMPLE 1

/// Dynamic activations: one set of qparams a row (token) of a linear layer, a step of each sequence of a recurrent layer;
/// convolutions have no such thing.
#define RSQ_GRAIN_PER_ROW 2

/// Dynamic activations: one set of qparams a tensor, so that results depend on batch mates, as torch's do.
#define RSQ_GRAIN_PER_TENSOR 3

/// Dynamic activations by this library's formula: the zero point is added after rounding. The default.
#define RSQ_RULE_NATIVE 1

/// Dynamic activations by torch's formula: the zero point is added before rounding, scales are at least 6.1e-5.
#define RSQ_RULE_TORCH 2

/// No.
#define RSQ_OFF 1

/// Yes.
#define RSQ_ON 2

/// A batch is observed; a step is a sample (observers that look twice at a batch count it twice).
#define RSQ_STAGE_CALIBRATE 1

/// Qparams are solved and the int8 model is made; a step is a set of tensors that share qparams, and at last all layers.
#define RSQ_STAGE_CONVERT 2

/// Layers are ranked by what they cost; a step is a layer that alone is int8.
#define RSQ_STAGE_RANK 3

/// Layers to leave in float are looked for; a step is a layer that is ranked, or a model that is measured.
#define RSQ_STAGE_TUNE 4

/// The bytes tell the format.
#define RSQ_CALIBRATION_FORMAT_AUTO 0

/// What Intel Extension for PyTorch's `save_qconf_summary` writes.
#define RSQ_CALIBRATION_FORMAT_IPEX 1

/// A TensorRT calibration cache.
#define RSQ_CALIBRATION_FORMAT_TENSORRT 2

/// ONNX Runtime's `calibration.json` or `calibration.cache`.
#define RSQ_CALIBRATION_FORMAT_ONNXRUNTIME 3

/// An ncnn `.table`.
#define RSQ_CALIBRATION_FORMAT_NCNN 4

/// Other input sizes than the planned ones (the batch aside) are `RSQ_SHAPE_MISMATCH` instead of planned anew.
#define RSQ_SESSION_FIXED_SIZES 1

/// Count what each step costs: `rsq_session_profile`. Takes two readings of the clock a step.
#define RSQ_SESSION_PROFILE 2

/// JSON: every figure, for programs.
#define RSQ_REPORT_JSON 1

/// One HTML page without scripts that needs nothing else, for people.
#define RSQ_REPORT_HTML 2

/// f32 weights get one scale for all output channels, instead of one each.
#define RSQ_WEIGHTS_PER_TENSOR 1

/// f32 weights are quantized to -64..63.
#define RSQ_WEIGHTS_REDUCE_RANGE 2

/// Weights of a GEMM lie as `[k, n]`, that is `[in_channels, out_channels]`.
#define RSQ_WEIGHTS_TRANSPOSED 4

/// Adds a tensor of the output's shape and element type, before the bounds.
#define RSQ_OPERATOR_RESIDUAL 1

/// Rows are quantized to 0..127, as torch's dynamic layers do.
#define RSQ_OPERATOR_REDUCE_RANGE 2

/// Infinities are dropped and counted instead of refused; NaN is refused always.
#define RSQ_OBSERVER_DROP_INF 1

/// `max(x, 0)`.
#define RSQ_UNARY_RELU 1

/// `min(max(x, alpha), beta)`.
#define RSQ_UNARY_CLIP 2

/// `x < 0 ? alpha * x : x`.
#define RSQ_UNARY_LEAKY_RELU 3

/// `1 / (1 + exp(-x))`.
#define RSQ_UNARY_SIGMOID 4

/// `min(max(alpha * x + beta, 0), 1)`.
#define RSQ_UNARY_HARD_SIGMOID 5

/// `x * min(max(x / 6 + 0.5, 0), 1)`.
#define RSQ_UNARY_HARD_SWISH 6

/// `a + b`, with broadcasting.
#define RSQ_BINARY_ADD 1

/// `a - b`, with broadcasting.
#define RSQ_BINARY_SUB 2

/// `a * b`, with broadcasting.
#define RSQ_BINARY_MUL 3

/// The largest value of a window.
#define RSQ_POOL_MAX 1

/// The mean of a window.
#define RSQ_POOL_AVERAGE 2

/// Output sizes are rounded up.
#define RSQ_POOL_CEIL_MODE 1

/// A mean counts padding.
#define RSQ_POOL_COUNT_INCLUDE_PAD 2

/// The floats at `weights` are not copied: they must stay as they are until the builder, its graphs and everything made with those
/// are freed. They do not count to the context's `memory_limit`.
#define RSQ_WEIGHTS_BORROWED 1

/// Long short-term memory; gates i, o, f, c.
#define RSQ_CELL_LSTM 1

/// Gated recurrent unit; gates z, r, h. The reset gate applies to the state.
#define RSQ_CELL_GRU 2

/// The same whose reset gate applies to the product with the state, as torch has it.
#define RSQ_CELL_GRU_LINEAR_BEFORE_RESET 3

/// One gate, tanh.
#define RSQ_CELL_RNN_TANH 4

/// One gate, `max(x, 0)`.
#define RSQ_CELL_RNN_RELU 5

/// First step first.
#define RSQ_DIRECTION_FORWARD 1

/// Last step first; a sequence that is shorter than the tensor starts at its own end.
#define RSQ_DIRECTION_REVERSE 2

/// Both, each with its own weights.
#define RSQ_DIRECTION_BIDIRECTIONAL 3

/// x is `[batch, time, input]`; states and outputs have the batch first likewise.
#define RSQ_RECURRENT_BATCH_FIRST 1

/// `lengths` is a value: `[batch]` whole numbers as floats, how many steps each sequence has.
#define RSQ_RECURRENT_HAS_LENGTHS 2

/// `initial_hidden` is a value, `[directions, batch, hidden]`; zeros otherwise.
#define RSQ_RECURRENT_HAS_INITIAL_HIDDEN 4

/// `initial_cell` is a value, likewise; of an LSTM.
#define RSQ_RECURRENT_HAS_INITIAL_CELL 8

/// Exclusive. How close a model is to the float graph that it was made of, over the batches compared so far.
typedef struct rsq_comparison rsq_comparison;

/// Shared. Who computes, and on which instruction set. NULL stands for the default one: as many threads as the process
/// may use, the best instruction set. Objects keep the context they were made with.
typedef struct rsq_context rsq_context;

/// Shared. An immutable float graph: batch normalization is folded, activations and additions are fused into the
/// convolutions before them.
typedef struct rsq_graph rsq_graph;

/// Exclusive. A float graph under construction. Every function that adds a node takes its name (unique; empty or NULL: made
/// from the operator), which scopes of a qconfig match, and tells the value that the node computes. Arrays are copied (but see
/// `RSQ_WEIGHTS_BORROWED`).
/// A call that fails adds nothing; its message names the node.
typedef struct rsq_graph_builder rsq_graph_builder;

/// Shared. An immutable int8 model: one for any number of sessions on any threads.
typedef struct rsq_model rsq_model;

/// Exclusive. Statistics of a tensor, or of each of its channels: observed once, solved for any target.
typedef struct rsq_observer rsq_observer;

/// Shared. A convolution or GEMM planned for its sizes: run it any number of times, nothing is allocated any more.
typedef struct rsq_operator rsq_operator;

/// Shared. Weights and bias of a convolution or GEMM in the layout that kernels read, for any number of operators.
typedef struct rsq_packed rsq_packed;

/// Exclusive. A graph with observers in place: collects statistics of activations, and converts to int8.
typedef struct rsq_prepared rsq_prepared;

/// Exclusive. What is to be quantized, and how: defaults, then settings by scope.
typedef struct rsq_qconfig rsq_qconfig;

/// Shared. An immutable recipe: a qconfig and the qparams that a calibration came to, without any data. docs/RECIPE.md has
/// its JSON.
typedef struct rsq_recipe rsq_recipe;

/// Shared. The layers of a calibrated graph, ranked by what each costs where it alone is int8.
typedef struct rsq_sensitivity rsq_sensitivity;

/// Exclusive. The memory of one run at a time. For N threads make N sessions of one model.
typedef struct rsq_session rsq_session;

/// What became of a call: `RSQ_OK` (0) or why it failed. An integer, so that a later version's statuses stay legal;
/// numbers are never reused. `rsq_status_name` has the names, `rsq_last_error` the message.
typedef int32_t rsq_status;

/// One task of a parallel loop: does task `index`. It does not throw.
typedef void (*rsq_task_fn)(void *task_data, size_t index);

/// A caller's parallel loop: calls `task(task_data, i)` once for each `i` in `0..count`, and returns when all calls have
/// returned; no call may come later. It is called from any thread that runs a session, from several at once, and must not throw.
///
/// Tasks may run on any threads, at the same time, or one after another, in any order, on fewer threads than there are tasks: the
/// results are the same. A run is one loop, whose tasks do the steps of the network together: the first to come starts, those that come
/// later help, and a task waits (for a short time awake, then asleep) for nothing but work that another task has begun and not
/// finished. So a task that has begun must be let go on: a pool must not hold back the thread of one until another task returns. The
/// library never calls the pool from inside a task. A task that is called twice, or not at all, changes no result.
typedef void (*rsq_parallel_for_fn)(void *pool, size_t count, rsq_task_fn task, void *task_data);

/// Is told a message of a level, one of `RSQ_LOG_`, on the thread of the call that it is about, before that call returns; from
/// several threads at once where calls are made at once. `message` is UTF-8 with a NUL at its end, valid until the callback
/// returns. The callback must not throw, and must not use the objects of the call (they would be BUSY). The library itself prints
/// nothing. Runs tell nothing unless they plan anew.
typedef void (*rsq_log_fn)(void *user_data, uint32_t level, const char *message);

/// What a context is made with. All zero but `struct_size`: the default.
typedef struct rsq_context_options {
    /// `sizeof(rsq_context_options)`.
    uint32_t struct_size;
    /// The best instruction set to use, one of `RSQ_ISA_`; 0: the best there is. A cap above the CPU's best is no error.
    uint32_t max_isa;
    /// Threads of the context's own team, 1: the calling thread alone; 0: as many as the process may use. Not used
    /// with `parallel_for`.
    uint32_t threads;
    /// With `parallel_for`: how many threads the pool has; a run has as many tasks, a step as many parts. At least 1; 1: the calling
    /// thread alone.
    uint32_t pool_threads;
    /// The caller's thread pool instead of a team of our own; NULL: none.
    rsq_parallel_for_fn parallel_for;
    /// Handed to `parallel_for`. Must live as long as the context and whatever was made with it.
    void *pool;
    /// Bytes that the objects made with the context may hold together; 0: no limit. Going over it is `RSQ_OUT_OF_MEMORY`, with a
    /// message that names the limit, what is in use and what was asked for; objects stay usable, and what is freed is
    /// given back. Counted is what follows the size of a model, a batch or an image: weights and their copies, statistics,
    /// arenas, scratch, an imported file while it is read. Mapped model files, observers, packed weights and small
    /// objects are not.
    size_t memory_limit;
    /// Whom messages are told; NULL: nobody.
    rsq_log_fn log;
    /// Handed to `log`. Must live as long as the context and whatever was made with it.
    void *log_data;
    /// The least important level that is told, one of `RSQ_LOG_`; 0: all.
    uint32_t log_level;
    /// 0.
    uint32_t reserved;
} rsq_context_options;

/// Name, element type and shape of an input or output. Set `struct_size` before the call.
typedef struct rsq_tensor_info {
    /// `sizeof(rsq_tensor_info)`, set by the caller.
    uint32_t struct_size;
    /// One of `RSQ_DTYPE_`.
    int32_t dtype;
    /// Number of axes; 0 where the shape depends on that of the inputs: `rsq_session_output_shape` tells it.
    uint32_t rank;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// The shape; -1 for a dimension that the caller chooses. Entries from `rank` on are 0.
    int64_t dims[RSQ_MAX_RANK];
    /// Its name in the ONNX file, UTF-8.
    char name[RSQ_NAME_BYTES];
} rsq_tensor_info;

/// One operator of a graph. Set `struct_size` before the call.
typedef struct rsq_node_info {
    /// `sizeof(rsq_node_info)`, set by the caller.
    uint32_t struct_size;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// Tensors that it reads, constants counted, weights and bias of a layer not.
    uint32_t input_count;
    /// 0.
    uint32_t reserved;
    /// Its name in the ONNX file, UTF-8; scopes of a qconfig match it.
    char name[RSQ_NAME_BYTES];
    /// The operator as ONNX calls it, such as "Conv"; scopes of a qconfig match it.
    char op_type[RSQ_SHORT_NAME_BYTES];
} rsq_node_info;

/// Settings of the layers in a scope. A field that is 0 leaves what less specific scopes and the defaults say.
typedef struct rsq_layer_qconfig {
    /// `sizeof(rsq_layer_qconfig)`.
    uint32_t struct_size;
    /// One of `RSQ_PRECISION_`; `RSQ_PRECISION_FLOAT` skips the layers.
    int32_t precision;
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`.
    int32_t activation_dtype;
    /// One of `RSQ_SCHEME_`.
    int32_t activation_scheme;
    /// `RSQ_ON` leaves one bit of activations unused: 0..127 or -64..63; `RSQ_OFF`.
    int32_t activation_reduce_range;
    /// One of `RSQ_OBSERVER_`.
    int32_t activation_observer;
    /// One of `RSQ_SOLVER_`. An observer that is set without a solver brings its own default.
    int32_t activation_solver;
    /// One of `RSQ_GRAIN_`.
    int32_t activation_grain;
    /// One of `RSQ_GRANULARITY_`.
    int32_t weight_granularity;
    /// `RSQ_SCHEME_SYMMETRIC` or `RSQ_SCHEME_RESTRICTED_SYMMETRIC`; weights are s8.
    int32_t weight_scheme;
    /// `RSQ_ON` keeps weights in -64..63; `RSQ_OFF`.
    int32_t weight_reduce_range;
    /// One of `RSQ_RULE_`: how qparams and bytes of dynamic activations are computed.
    int32_t activation_rule;
    /// With `RSQ_SOLVER_PERCENTILE`: the share of values to keep, above 0, up to 100; 0: 99.99.
    double percentile;
    /// `RSQ_GRANULARITY_PER_CHANNEL`: depthwise convolutions have fixed activation qparams of each channel; needs
    /// `RSQ_OBSERVER_MIN_MAX`. A layer that cannot have them has one set for the tensor, and `rsq_model_layer_info` tells why; with
    /// strict that is an error. `RSQ_GRANULARITY_PER_TENSOR`: the default.
    int32_t activation_granularity;
    /// 0.
    int32_t reserved;
} rsq_layer_qconfig;

/// The shape of a tensor.
typedef struct rsq_shape {
    /// `rank` dimensions; may be NULL if `rank` is 0.
    const int64_t *dims;
    /// Number of axes, at most `RSQ_MAX_RANK`.
    size_t rank;
} rsq_shape;

/// An input that is given as image bytes, `RSQ_DTYPE_U8` of shape n, h, w, c, where the graph has f32 of n, c, h, w. Results are
/// the very bits that the floats `(byte / divisor - mean[c]) / std[c]` give, each operation rounded to f32 in that order.
/// Wherever a session or a prepared with such an input takes or tells its shape, it is n, h, w, c.
typedef struct rsq_image_input {
    /// The input's name, UTF-8; NULL: `index` says which.
    const char *name;
    /// The input's place in the graph's order; not used with `name`.
    size_t index;
    /// `channels` means. Copied.
    const float *mean;
    /// `channels` standard deviations, finite and above 0. Copied.
    const float *std;
    /// Channels of the image, as many as the graph's input has.
    size_t channels;
    /// What bytes are divided by first; 0: 255, for a mean and deviation of values in 0..=1. 1 for ones of bytes.
    float divisor;
    /// 0.
    uint32_t reserved;
} rsq_image_input;

/// How to prepare. All zero but `struct_size`: the default.
typedef struct rsq_prepare_options {
    /// `sizeof(rsq_prepare_options)`.
    uint32_t struct_size;
    /// 0.
    uint32_t flags;
    /// Shapes of all inputs as batches have them, for a graph that leaves more than the batch open; NULL: taken from the first batch.
    const struct rsq_shape *input_shapes;
    /// Number of `input_shapes`: the graph's number of inputs, or 0.
    size_t input_shape_count;
    /// Inputs that `rsq_calibrate` gets as image bytes; may be NULL if there are none. For `rsq_prepare` alone.
    const struct rsq_image_input *images;
    /// Number of `images`.
    size_t image_count;
} rsq_prepare_options;

/// A tensor that a call reads. Borrowed for the call: the library keeps no pointer.
typedef struct rsq_tensor_view {
    /// The elements, row-major and dense, aligned to 4 bytes (bytes: any address). May be NULL if there are none.
    const void *data;
    /// Bytes readable at `data`: at least what shape and `dtype` need. No byte past those is read.
    size_t size_bytes;
    /// One of `RSQ_DTYPE_`.
    int32_t dtype;
    /// Number of axes, at most `RSQ_MAX_RANK`.
    uint32_t rank;
    /// `rank` dimensions, such as n, c, h, w.
    const int64_t *dims;
    /// NULL, or `rank` strides in elements; other than dense ones are `RSQ_UNSUPPORTED`.
    const int64_t *strides;
} rsq_tensor_view;

/// How far long work is.
typedef struct rsq_progress {
    /// `sizeof(rsq_progress)` of the library: a later version may have more behind what is known here.
    uint32_t struct_size;
    /// What is being done: one of `RSQ_STAGE_`.
    int32_t stage;
    /// Steps done, never fewer than before within one call.
    uint64_t done;
    /// Steps in all; `done` reaches it in the last report of a call that succeeds.
    uint64_t total;
} rsq_progress;

/// Is told how far long work is, on the thread that made the call, and says whether to go on: 0, or any other number to stop. The call
/// then returns `RSQ_CANCELLED` and has changed nothing. `progress` is valid until the callback returns. It must not throw, and must
/// not use the object that it is told about (it would be BUSY).
typedef int32_t (*rsq_progress_fn)(void *user_data, const struct rsq_progress *progress);

/// QParams of a tensor, or of several that share them. Set `struct_size` before the call.
typedef struct rsq_recipe_activation {
    /// `sizeof(rsq_recipe_activation)`, set by the caller.
    uint32_t struct_size;
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`.
    int32_t dtype;
    /// 1 if `scale` and `zero_point` are stated; otherwise they follow from the range.
    int32_t has_qparams;
    /// The integer that stands for 0.0, in the numbers of `dtype`.
    int32_t zero_point;
    /// Real units of an integer step.
    float scale;
    /// 1 if `low` and `high` are stated.
    int32_t has_range;
    /// Lower end of the solved range.
    float low;
    /// Upper end.
    float high;
    /// The `RSQ_SOLVER_` that won; 0 where none is stated.
    int32_t solver;
    /// Tensors that share the qparams.
    uint32_t tensor_count;
    /// The signal-to-noise ratio that the solver predicts, in dB; 0 where none is stated.
    double predicted_sqnr_db;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// 0.
    uint32_t reserved;
    /// The first tensor's name, UTF-8.
    char name[RSQ_NAME_BYTES];
} rsq_recipe_activation;

/// One layer of the float graph, and what became of it; `rsq_session_step_info` has the kernels, which are a session's. Set
/// `struct_size` before the call.
typedef struct rsq_layer_info {
    /// `sizeof(rsq_layer_info)`, set by the caller.
    uint32_t struct_size;
    /// One of `RSQ_PRECISION_`.
    int32_t precision;
    /// 1 if the input is held as u8 with fixed qparams: `real = (byte - zero_point) * scale`.
    int32_t has_input_qparams;
    /// The input's zero point; s8 activations are held, and told here, as u8: plus 128.
    int32_t input_zero_point;
    /// The input's scale, above zero; 0 without qparams.
    float input_scale;
    /// 1 if the output is held as u8 with fixed qparams.
    int32_t has_output_qparams;
    /// As `input_zero_point`, of the output.
    int32_t output_zero_point;
    /// As `input_scale`, of the output.
    float output_scale;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// Bytes of the full reason, likewise.
    uint32_t reason_length;
    /// The node's name, UTF-8.
    char name[RSQ_NAME_BYTES];
    /// The operator as ONNX calls it, such as "Conv".
    char op_type[RSQ_SHORT_NAME_BYTES];
    /// Why the layer stays float, or has one set of activation qparams where one a channel was asked for; empty for other int8 layers.
    char reason[RSQ_NAME_BYTES];
} rsq_layer_info;

/// What a session is made with. All zero but `struct_size`: the default.
typedef struct rsq_session_options {
    /// `sizeof(rsq_session_options)`.
    uint32_t struct_size;
    /// 0, or the sum of some of `RSQ_SESSION_FIXED_SIZES` and `RSQ_SESSION_PROFILE`.
    uint32_t flags;
    /// The largest batch that memory is held for; 0: 1.
    size_t max_batch;
    /// Shapes of all inputs as runs get them, for a graph that leaves more than the batch open; NULL: taken from the first run.
    const struct rsq_shape *input_shapes;
    /// Number of `input_shapes`: the graph's number of inputs, or 0.
    size_t input_shape_count;
    /// Inputs that runs get as image bytes; may be NULL if there are none.
    const struct rsq_image_input *images;
    /// Number of `images`.
    size_t image_count;
    /// Plans for input sizes met before that are kept; 0: 4. All lie in one memory of the size of the largest, and a run of such
    /// a size allocates nothing. The plan whose last use is longest ago goes first.
    size_t kept_plans;
} rsq_session_options;

/// One operation of a session's plan. Which kernel runs a layer is known here and not by the model: it depends on the
/// session's instruction set and sizes. Set `struct_size` before the call.
typedef struct rsq_step_info {
    /// `sizeof(rsq_step_info)`, set by the caller.
    uint32_t struct_size;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// Multiply-accumulates of one sample, padded taps counted.
    uint64_t macs;
    /// Bytes of one sample's tensors that it reads and writes, each once.
    uint64_t activation_bytes;
    /// Bytes of its weights and constants, each once.
    uint64_t weight_bytes;
    /// The node's name, UTF-8, as `rsq_layer_info` has it. It comes twice where a layer takes two operations; quantizing
    /// and dequantizing between layers have names of their own.
    char name[RSQ_NAME_BYTES];
    /// The operator as ONNX calls it, such as "Conv".
    char op_type[RSQ_SHORT_NAME_BYTES];
    /// The kernel that runs it, such as "u8s8s32-4x16-avx2".
    char kernel[RSQ_SHORT_NAME_BYTES];
} rsq_step_info;

/// A tensor that a call writes. Borrowed for the call; written only if it succeeds.
typedef struct rsq_tensor_mut {
    /// As in `rsq_tensor_view`, for writing. Must not overlap another tensor of the call.
    void *data;
    /// Bytes writable at `data`: at least what shape and `dtype` need. No byte past those is written.
    size_t size_bytes;
    /// One of `RSQ_DTYPE_`.
    int32_t dtype;
    /// Number of axes, at most `RSQ_MAX_RANK`.
    uint32_t rank;
    /// `rank` dimensions.
    const int64_t *dims;
    /// As in `rsq_tensor_view`.
    const int64_t *strides;
} rsq_tensor_mut;

/// What a context's threads can do at most: 10^9 operations a second (2 for each multiply-accumulate) of multiply
/// instructions on registers alone; 0 for portable code. Set `struct_size` before the call.
typedef struct rsq_roof {
    /// `sizeof(rsq_roof)`, set by the caller.
    uint32_t struct_size;
    /// The instruction set, one of `RSQ_ISA_`.
    uint32_t isa;
    /// Threads of the context.
    uint32_t threads;
    /// 0.
    uint32_t reserved;
    /// int8 on one thread.
    double int8_gops_one_thread;
    /// int8 on all threads at once.
    double int8_gops;
    /// f32 on one thread.
    double f32_gops_one_thread;
    /// f32 on all threads at once.
    double f32_gops;
    /// int8 operations a clock cycle of one thread.
    double int8_ops_per_cycle;
} rsq_roof;

/// What runs cost, all steps together. Set `struct_size` before the call.
typedef struct rsq_profile {
    /// `sizeof(rsq_profile)`, set by the caller.
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// Runs.
    uint64_t runs;
    /// Time of the runs as the caller sees it, in nanoseconds.
    uint64_t wall_ns;
    /// Each run's time times its threads, in nanoseconds: what the steps' `thread_ns` add up to, but for waiting.
    uint64_t thread_ns;
} rsq_profile;

/// What one operation of the plan cost. Set `struct_size` before the call.
typedef struct rsq_step_profile {
    /// `sizeof(rsq_step_profile)`, set by the caller.
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// Calls: one for each group of samples that a thread computes alone, one for each part where several threads share it.
    uint64_t calls;
    /// Samples computed.
    uint64_t samples;
    /// Time that threads spent in it, added up over threads, in nanoseconds.
    uint64_t thread_ns;
} rsq_step_profile;

/// How close a layer's output is to the float one, on the same inputs of the network. Set `struct_size` before the call.
typedef struct rsq_layer_comparison {
    /// `sizeof(rsq_layer_comparison)`, set by the caller.
    uint32_t struct_size;
    /// How the layer runs in the model, one of `RSQ_PRECISION_`.
    int32_t precision;
    /// Values compared.
    uint64_t values;
    /// `20 log10(|x| / |x - x_q|)`, in dB; infinite where both are the same.
    double sqnr_db;
    /// Cosine of the angle between both.
    double cosine;
    /// Share, 0 to 1, of the float values that lie below the range in which the tensor is held as bytes; 0 where it is not.
    double clip_low;
    /// Share of those above it.
    double clip_high;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// 0.
    uint32_t reserved;
    /// The node's name, of an input its own; UTF-8.
    char name[RSQ_NAME_BYTES];
    /// The operator as ONNX calls it, such as "Conv"; "Input" for an input.
    char op_type[RSQ_SHORT_NAME_BYTES];
} rsq_layer_comparison;

/// How close an output is to the float one, end to end. Set `struct_size` before the call.
typedef struct rsq_output_comparison {
    /// `sizeof(rsq_output_comparison)`, set by the caller.
    uint32_t struct_size;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// As in `rsq_layer_comparison`.
    double sqnr_db;
    /// As in `rsq_layer_comparison`.
    double cosine;
    /// Share, 0 to 1, of the samples whose largest element is the same one; -1 for an output that is not `[n, classes]`.
    double top1_agreement;
    /// Its name, UTF-8.
    char name[RSQ_NAME_BYTES];
} rsq_output_comparison;

/// What a layer costs where it alone is int8: its input and weights are quantized, everything else is float. Set `struct_size`
/// before the call.
typedef struct rsq_layer_sensitivity {
    /// `sizeof(rsq_layer_sensitivity)`, set by the caller.
    uint32_t struct_size;
    /// Its int8 precision, one of `RSQ_PRECISION_`.
    int32_t precision;
    /// Multiply-accumulates of one sample.
    uint64_t macs;
    /// `20 log10(|x| / |x - x_q|)` of all outputs together, in dB; infinite where nothing is lost.
    double sqnr_db;
    /// Cosine of the angle between the outputs and the float ones.
    double cosine;
    /// Its share, 0 to 1, of the error energies of all layers.
    double error_share;
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    uint32_t name_length;
    /// 0.
    uint32_t reserved;
    /// The node's name, UTF-8.
    char name[RSQ_NAME_BYTES];
    /// The operator as ONNX calls it, such as "Conv".
    char op_type[RSQ_SHORT_NAME_BYTES];
} rsq_layer_sensitivity;

/// A caller's measure of a model: writes it to `out_metric`, larger is better, and returns 0; any other number ends the call with
/// `RSQ_CALLBACK`. `model` is freed after the callback. It is called on the thread that made the call, may use any function of
/// the library, and must not throw.
typedef int32_t (*rsq_metric_fn)(void *user_data, const struct rsq_model *model, double *out_metric);

/// What is to be reached and what it may cost. At least one of `target`, `max_float_layers` and `max_float_macs` is given.
typedef struct rsq_tune_options {
    /// `sizeof(rsq_tune_options)`.
    uint32_t struct_size;
    /// Layers to leave in float at most; 0: any number.
    uint32_t max_float_layers;
    /// The metric that is enough; 0: as much as the budget allows.
    double target;
    /// Share, up to 1, of the multiply-accumulates that may run in float; 0: all.
    double max_float_macs;
    /// The measure of a model; NULL: the outputs' SQNR in dB on the inputs of the call, for which no labels are needed.
    rsq_metric_fn metric;
    /// Handed to `metric`.
    void *metric_data;
    /// Is told how far the work is; NULL: nobody.
    rsq_progress_fn progress;
    /// Handed to `progress`.
    void *progress_data;
} rsq_tune_options;

/// What was found. Set `struct_size` before the call.
typedef struct rsq_tune_result {
    /// `sizeof(rsq_tune_result)`, set by the caller.
    uint32_t struct_size;
    /// 1 if the target is reached, or there is none.
    int32_t reached;
    /// Layers left in float.
    uint32_t float_layers;
    /// Models that were measured.
    uint32_t trials;
    /// The metric of the model that was found.
    double metric;
    /// The metric with every layer int8.
    double int8_metric;
    /// Share, 0 to 1, of the multiply-accumulates that run in float.
    double float_macs;
} rsq_tune_result;

/// Weights of a convolution, `[out_channels, in_channels / groups, kernel_height, kernel_width]`, or of a GEMM, `[n, k]`. All is
/// copied.
typedef struct rsq_weights {
    /// `sizeof(rsq_weights)`.
    uint32_t struct_size;
    /// `RSQ_DTYPE_S8` with `scales`, or `RSQ_DTYPE_F32`, quantized here: symmetric, by the range of each output channel.
    int32_t dtype;
    /// For f32: `RSQ_SCHEME_SYMMETRIC` (0: the same) or `RSQ_SCHEME_RESTRICTED_SYMMETRIC`.
    int32_t scheme;
    /// 0, or of `RSQ_WEIGHTS_`.
    uint32_t flags;
    /// The values, dense.
    const void *data;
    /// Bytes readable at `data`: as many as the sizes need.
    size_t size_bytes;
    /// Output channels of all groups; `n` of a GEMM.
    size_t out_channels;
    /// Input channels of all groups; `k` of a GEMM.
    size_t in_channels;
    /// Groups; 0: 1. As many as channels for a depthwise convolution.
    size_t groups;
    /// Rows of the kernel; 0: 1.
    size_t kernel_height;
    /// Columns of the kernel; 0: 1.
    size_t kernel_width;
    /// For s8: real weight = value * scale.
    const float *scales;
    /// Number of `scales`: `out_channels`, or 1 for all of them; 0 for f32.
    size_t scale_count;
    /// `out_channels` floats in real units, or NULL: zeros.
    const float *bias;
} rsq_weights;

/// What an operator computes besides the sums. Activations are u8: real = (byte - zero_point) * scale. Zero what is not needed.
typedef struct rsq_operator_options {
    /// `sizeof(rsq_operator_options)`.
    uint32_t struct_size;
    /// 0, or `RSQ_OPERATOR_RESIDUAL`.
    uint32_t flags;
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_F32`.
    int32_t output_dtype;
    /// Of the source, 0..255.
    int32_t input_zero_point;
    /// Of the source, above zero.
    float input_scale;
    /// Of a u8 output, 0..255.
    int32_t output_zero_point;
    /// Of a u8 output, above zero.
    float output_scale;
    /// Of a u8 residual, 0..255.
    int32_t residual_zero_point;
    /// Of a u8 residual, above zero.
    float residual_scale;
    /// Smallest byte of a u8 output.
    int32_t output_min;
    /// Largest byte of a u8 output; both 0: 0..255.
    int32_t output_max;
    /// Fused activation in real units: 0 for ReLU and ReLU6.
    float low;
    /// INFINITY for ReLU, 6 for ReLU6; both 0: none.
    float high;
    /// 0.
    uint32_t reserved;
    /// Bytes from one pixel (of a GEMM: row) of the source to the next; 0: side by side.
    size_t src_stride;
    /// Elements from one pixel or row of the destination to the next; 0: side by side. What lies between is not written.
    size_t dst_stride;
    /// Elements from one pixel or row of the residual to the next; 0: side by side.
    size_t residual_stride;
} rsq_operator_options;

/// Sizes of a convolution. Images lie as n, h, w, c (channels last), rows of pixels one after another.
typedef struct rsq_conv2d_sizes {
    /// `sizeof(rsq_conv2d_sizes)`.
    uint32_t struct_size;
    /// 0.
    uint32_t flags;
    /// Rows of the input.
    size_t height;
    /// Columns of the input.
    size_t width;
    /// Input rows between neighbouring outputs; 0: 1.
    size_t stride_height;
    /// Input columns between neighbouring outputs; 0: 1.
    size_t stride_width;
    /// Input rows between neighbouring taps; 0: 1.
    size_t dilation_height;
    /// Input columns between neighbouring taps; 0: 1.
    size_t dilation_width;
    /// Rows of padding above; padding stands for 0.0.
    size_t pad_top;
    /// Columns of padding to the left.
    size_t pad_left;
    /// Rows of padding below.
    size_t pad_bottom;
    /// Columns of padding to the right.
    size_t pad_right;
} rsq_conv2d_sizes;

/// Sizes of an operator's tensors. Set `struct_size` before the call. A batch of `n` needs `(n - 1) * sample_bytes + bytes`.
typedef struct rsq_operator_info {
    /// `sizeof(rsq_operator_info)`, set by the caller.
    uint32_t struct_size;
    /// 0.
    uint32_t reserved;
    /// Rows of the output; 1 of a GEMM.
    uint64_t output_height;
    /// Columns of the output; 1 of a GEMM.
    uint64_t output_width;
    /// Bytes of one source image or row.
    uint64_t src_bytes;
    /// Bytes of one output image or row.
    uint64_t dst_bytes;
    /// Bytes of one residual image or row; 0 without one.
    uint64_t residual_bytes;
    /// Bytes from one source image or row to the next.
    uint64_t src_sample_bytes;
    /// Bytes from one output image or row to the next.
    uint64_t dst_sample_bytes;
    /// Bytes from one residual image or row to the next.
    uint64_t residual_sample_bytes;
    /// Bytes that a run's scratch needs, whatever the batch.
    uint64_t scratch_bytes;
    /// The kernel that runs it.
    char kernel[RSQ_SHORT_NAME_BYTES];
} rsq_operator_info;

/// The memory of one run, borrowed for the call. Sizes are those of the whole batch; nothing past them is read or written.
typedef struct rsq_operator_tensors {
    /// `sizeof(rsq_operator_tensors)`.
    uint32_t struct_size;
    /// 0.
    uint32_t flags;
    /// u8: `[n, h, w, c]`, or `[m, k]`; f32 for `rsq_gemm_f32s8`.
    const void *src;
    /// Bytes readable at `src`.
    size_t src_bytes;
    /// The residual, of the output's shape and type; NULL without `RSQ_OPERATOR_RESIDUAL`.
    const void *residual;
    /// Bytes readable at `residual`.
    size_t residual_bytes;
    /// The output: `[n, oh, ow, oc]`, or `[m, n]`. Must not overlap the others.
    void *dst;
    /// Bytes writable at `dst`.
    size_t dst_bytes;
    /// At least `rsq_operator_info.scratch_bytes`, at any address, for this call alone; NULL: the operator's own.
    void *scratch;
    /// Bytes at `scratch`.
    size_t scratch_bytes;
} rsq_operator_tensors;

/// What a dynamic GEMM computes besides the sums. Source, residual and output are f32. Zero what is not needed.
typedef struct rsq_dynamic_gemm_options {
    /// `sizeof(rsq_dynamic_gemm_options)`.
    uint32_t struct_size;
    /// 0, or of `RSQ_OPERATOR_RESIDUAL` and `RSQ_OPERATOR_REDUCE_RANGE`.
    uint32_t flags;
    /// `RSQ_GRAIN_PER_ROW` (0: the same): a row gives what it gives alone; or `RSQ_GRAIN_PER_TENSOR`: qparams of the range of all
    /// rows of a run.
    int32_t grain;
    /// `RSQ_RULE_NATIVE` (0: the same) or `RSQ_RULE_TORCH`.
    int32_t rule;
    /// Fused activation: 0 for ReLU and ReLU6.
    float low;
    /// INFINITY for ReLU, 6 for ReLU6; both 0: none.
    float high;
    /// Floats from one row of the source to the next; 0: side by side.
    size_t src_stride;
    /// Floats from one row of the residual to the next; 0: side by side. Rows of the output lie side by side.
    size_t residual_stride;
} rsq_dynamic_gemm_options;

/// How an array is quantized: `q = clamp(zero_point + round_half_even(x * (1.0f / scale)), qmin, qmax)`. Element `i` belongs to
/// channel `i / inner % channels`: `inner` 1 for channels last, h * w for n, c, h, w.
typedef struct rsq_quantization {
    /// `sizeof(rsq_quantization)`.
    uint32_t struct_size;
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`; zero points are in its own numbers.
    int32_t dtype;
    /// Not 0: one bit is left unused, 0..127 or -64..63.
    uint32_t reduce_range;
    /// 0.
    uint32_t reserved;
    /// `channels` scales, each above zero.
    const float *scales;
    /// `channels` zero points; NULL: zeros.
    const int32_t *zero_points;
    /// Number of channels; 0: 1.
    size_t channels;
    /// Neighbouring elements of one channel; 0: 1. Not used with one channel.
    size_t inner;
} rsq_quantization;

/// What an observer is made with. All zero but `struct_size`: of a whole tensor.
typedef struct rsq_observer_options {
    /// `sizeof(rsq_observer_options)`.
    uint32_t struct_size;
    /// 0, or `RSQ_OBSERVER_DROP_INF`.
    uint32_t flags;
    /// Number of channels with statistics of their own; 0: 1.
    size_t channels;
} rsq_observer_options;

/// What a range is solved for. All zero but `struct_size`: u8, affine, the full range, the observer's default solver.
typedef struct rsq_solve_options {
    /// `sizeof(rsq_solve_options)`.
    uint32_t struct_size;
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`; 0: u8.
    int32_t dtype;
    /// One of `RSQ_SCHEME_`; 0: affine.
    int32_t scheme;
    /// Not 0: one bit is left unused, 0..127 or -64..63.
    uint32_t reduce_range;
    /// One of `RSQ_SOLVER_`; 0: min/max for min/max and moving averages, l2 for histograms.
    int32_t solver;
    /// 0.
    uint32_t reserved;
    /// With `RSQ_SOLVER_PERCENTILE`: the share of values to keep, above 0, up to 100; 0: 99.99.
    double percentile;
} rsq_solve_options;

/// What an observer has seen. Set `struct_size` before the call.
typedef struct rsq_observer_info {
    /// `sizeof(rsq_observer_info)`, set by the caller.
    uint32_t struct_size;
    /// One of `RSQ_OBSERVER_`.
    int32_t kind;
    /// 1 if states of this kind merge.
    uint32_t mergeable;
    /// 1 if every channel has seen a value, so that it can be solved.
    uint32_t solvable;
    /// Number of channels.
    uint64_t channels;
    /// Infinities dropped.
    uint64_t dropped;
} rsq_observer_info;

/// A value of a graph under construction, as a builder told it.
typedef uint32_t rsq_value;

/// Weights and bias of a convolution or linear layer, f32.
typedef struct rsq_layer_weights {
    /// `sizeof(rsq_layer_weights)`.
    uint32_t struct_size;
    /// 0, or `RSQ_WEIGHTS_BORROWED`.
    uint32_t flags;
    /// `[out_channels, in_channels / groups, kernel_height, kernel_width]`, or `[out_channels, in_channels]` of a linear layer.
    const float *weights;
    /// Number of floats at `weights`.
    size_t weight_count;
    /// `out_channels` floats; NULL: no bias.
    const float *bias;
    /// Output channels (features) in all.
    size_t out_channels;
    /// Input channels (features) in all.
    size_t in_channels;
    /// Groups of a convolution; 0: 1. `in_channels` for a depthwise one.
    size_t groups;
} rsq_layer_weights;

/// A window that slides over an image: of a convolution or pooling.
typedef struct rsq_window {
    /// `sizeof(rsq_window)`.
    uint32_t struct_size;
    /// Of a pooling: 0, or of `RSQ_POOL_`.
    uint32_t flags;
    /// Rows of the kernel; 0: 1.
    size_t kernel_height;
    /// Columns of the kernel; 0: 1.
    size_t kernel_width;
    /// Rows between neighbouring outputs; 0: 1.
    size_t stride_height;
    /// Columns between neighbouring outputs; 0: 1.
    size_t stride_width;
    /// Rows between neighbouring taps; 0: 1.
    size_t dilation_height;
    /// Columns between neighbouring taps; 0: 1.
    size_t dilation_width;
    /// Rows of padding above.
    size_t pad_top;
    /// Columns of padding to the left.
    size_t pad_left;
    /// Rows of padding below.
    size_t pad_bottom;
    /// Columns of padding to the right.
    size_t pad_right;
} rsq_window;

/// Parameters of a batch normalization with running statistics, on axis 1.
typedef struct rsq_batch_norm {
    /// `sizeof(rsq_batch_norm)`.
    uint32_t struct_size;
    /// Added to the variance.
    float epsilon;
    /// Number of channels: of floats in each array.
    size_t channels;
    /// Scale.
    const float *gamma;
    /// Offset.
    const float *beta;
    /// Running mean.
    const float *mean;
    /// Running variance.
    const float *variance;
} rsq_batch_norm;

/// A recurrent layer as ONNX has it: sizes, weights with the gates in ONNX's order, inputs beside x.
typedef struct rsq_recurrent_layer {
    /// `sizeof(rsq_recurrent_layer)`.
    uint32_t struct_size;
    /// The sum of some of `RSQ_RECURRENT_`.
    uint32_t flags;
    /// One of `RSQ_CELL_`.
    int32_t cell;
    /// One of `RSQ_DIRECTION_`; 0: forward.
    int32_t direction;
    /// Elements of x at a step.
    size_t input_size;
    /// Elements of the state.
    size_t hidden_size;
    /// `[directions, gates * hidden_size, input_size]`. Copied.
    const float *input_weights;
    /// Number of floats at `input_weights`.
    size_t input_weight_count;
    /// `[directions, gates * hidden_size, hidden_size]`. Copied.
    const float *recurrent_weights;
    /// Number of floats at `recurrent_weights`.
    size_t recurrent_weight_count;
    /// `[directions, 2 * gates * hidden_size]`, of the input weights and then of the recurrent ones; NULL: zeros. Copied.
    const float *bias;
    /// Number of floats at `bias`.
    size_t bias_count;
    /// See `RSQ_RECURRENT_HAS_LENGTHS`.
    rsq_value lengths;
    /// See `RSQ_RECURRENT_HAS_INITIAL_HIDDEN`.
    rsq_value initial_hidden;
    /// See `RSQ_RECURRENT_HAS_INITIAL_CELL`.
    rsq_value initial_cell;
    /// 0.
    uint32_t reserved;
} rsq_recurrent_layer;

/// The call did what it says. Every other status: no output was written, and handles stay usable.
#define RSQ_OK 0

/// A pointer is NULL that must not be.
#define RSQ_NULL_ARGUMENT 1

/// An argument has a value that is never legal.
#define RSQ_INVALID_ARGUMENT 2

/// A handle was freed, is of another type, or never was one.
#define RSQ_INVALID_HANDLE 3

/// A struct's `struct_size` is not that of any version, or a larger option struct's unknown tail is not zero.
#define RSQ_BAD_STRUCT_SIZE 4

/// An allocation was refused.
#define RSQ_OUT_OF_MEMORY 5

/// Reading or writing a file failed.
#define RSQ_IO 6

/// Bytes are not what their format says.
#define RSQ_PARSE 7

/// A graph is not well formed.
#define RSQ_GRAPH 8

/// An operator, attribute or setting that is not supported.
#define RSQ_UNSUPPORTED 9

/// A tensor's shape is not the one expected.
#define RSQ_SHAPE_MISMATCH 10

/// A tensor's element type is not the one expected.
#define RSQ_DTYPE_MISMATCH 11

/// A NaN or an infinity where numbers are needed.
#define RSQ_NOT_FINITE 12

/// Convert before calibrate, or a tensor that no batch has reached.
#define RSQ_NOT_CALIBRATED 13

/// A recipe or a calibration state that belongs to another model or another qconfig.
#define RSQ_MISMATCH 14

/// Truncated or damaged bytes.
#define RSQ_CORRUPT 15

/// A file written by an incompatible version.
#define RSQ_VERSION 16

/// The instruction set asked for is not there.
#define RSQ_UNSUPPORTED_ISA 17

/// An exclusive handle is in use by another call.
#define RSQ_BUSY 18

/// A callback asked to stop.
#define RSQ_CANCELLED 19

/// A callback failed.
#define RSQ_CALLBACK 20

/// A defect of this library, caught at its boundary. The process is sound; please report the message.
#define RSQ_PANIC 21

/// The call does not fit the object's state.
#define RSQ_WRONG_STATE 22

/// Nothing has that name or index.
#define RSQ_NOT_FOUND 23

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The library's version: `major * 10000 + minor * 100 + patch`, as `RSQ_VERSION_NUMBER` was when the caller was compiled.
uint32_t rsq_version_number(void);

/// The library's version as text, such as "0.1.0". Never freed.
const char *rsq_version_string(void);

/// The version of the binary interface. The library serves callers that were compiled with the same `RSQ_ABI_VERSION`.
uint32_t rsq_abi_version(void);

/// A status' name, such as "SHAPE_MISMATCH"; "UNKNOWN" for a number that this version does not have. Never freed.
const char *rsq_status_name(rsq_status status);

/// The message of this thread's last failed call: which file, node, tensor or index was refused, and why. UTF-8, empty
/// before the first failure, replaced by the next; calls that succeed keep it.
///
/// Copies what fits of it, and a NUL, to `buffer` of `capacity` bytes (NULL or 0: nothing). Returns its full length
/// without the NUL.
size_t rsq_last_error(char *buffer, size_t capacity);

/// The best instruction set of this CPU, one of `RSQ_ISA_`. Contexts may be capped lower: by their options and by the
/// environment variable `RSQ_MAX_ISA`, which holds a name as `rsq_isa_name` gives it.
uint32_t rsq_isa_detected(void);

/// An instruction set's name: "portable", "avx2", "avx_vnni", "avx512_vnni", "amx_int8"; "unknown" for other numbers.
/// Never freed.
const char *rsq_isa_name(uint32_t isa);

/// Makes a context. `options` may be NULL: the defaults. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (unknown `max_isa` or `log_level`, or the variable `RSQ_MAX_ISA` holds
/// an unknown name), `OUT_OF_MEMORY`.
rsq_status rsq_context_new(const struct rsq_context_options *options,
                           struct rsq_context **out);

/// Writes the bytes that count to the context's `memory_limit` now, which is also told where there is no limit. `context` may
/// be NULL.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`.
rsq_status rsq_context_memory_bytes(const struct rsq_context *context,
                                    size_t *out);

/// Frees a context. NULL and stale handles are ignored; what was made with it stays usable.
void rsq_context_free(struct rsq_context *context);

/// Reads an ONNX file; tensors in files beside it are found, inside its folder only. `context` may be NULL. The caller
/// frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `PARSE`, `GRAPH`, `UNSUPPORTED` (the message lists every node that is
/// not supported), `NOT_FINITE` (a weight), `OUT_OF_MEMORY`.
rsq_status rsq_graph_from_onnx_file(const struct rsq_context *context,
                                    const char *utf8_path,
                                    struct rsq_graph **out);

/// Reads an ONNX model of `size` bytes from memory, which is not needed afterwards. Tensors in other files are refused.
/// `context` may be NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_graph_from_onnx_file`.
rsq_status rsq_graph_from_onnx_bytes(const struct rsq_context *context,
                                     const void *bytes,
                                     size_t size,
                                     struct rsq_graph **out);

/// Number of inputs, in the order of the ONNX file. 0 for a bad handle.
size_t rsq_graph_input_count(const struct rsq_graph *graph);

/// Number of outputs, in the order of the ONNX file. 0 for a bad handle.
size_t rsq_graph_output_count(const struct rsq_graph *graph);

/// Name, element type and shape of an input. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
rsq_status rsq_graph_input_info(const struct rsq_graph *graph, size_t index, struct rsq_tensor_info *out);

/// Name, element type and shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_graph_input_info`.
rsq_status rsq_graph_output_info(const struct rsq_graph *graph, size_t index, struct rsq_tensor_info *out);

/// Number of nodes after folding and fusing, in execution order. 0 for a bad handle.
size_t rsq_graph_node_count(const struct rsq_graph *graph);

/// Name and operator of a node. Set `out->struct_size` before.
///
/// Statuses: as `rsq_graph_input_info`.
rsq_status rsq_graph_node_info(const struct rsq_graph *graph, size_t index, struct rsq_node_info *out);

/// Frees a graph. NULL and stale handles are ignored; what was made from it stays usable.
void rsq_graph_free(struct rsq_graph *graph);

/// Makes a qconfig for static quantization: activations u8, per tensor, affine, histogram and l2; weights s8, per output
/// channel, symmetric. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
rsq_status rsq_qconfig_default_static(struct rsq_qconfig **out);

/// Makes a qconfig for dynamic quantization: weights as above, activations by the range of each sample at run time. The
/// caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
rsq_status rsq_qconfig_default_dynamic(struct rsq_qconfig **out);

/// Makes a qconfig that does what torch's dynamic quantization does, for linear layers, LSTM, GRU and RNN: weights s8 and
/// activations u8 in 0..127, each per tensor, by torch's formula; one scale for a whole sequence and one a step for the
/// state. Results depend on batch mates, as torch's do; `rsq_qconfig_default_dynamic` is closer to float. The caller frees
/// `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
rsq_status rsq_qconfig_torch_dynamic(struct rsq_qconfig **out);

/// Reads a qconfig from JSON, a C string in UTF-8, as `rsq_qconfig_to_json` writes it. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `PARSE` (also for an unknown field), `INVALID_ARGUMENT`, `OUT_OF_MEMORY`.
rsq_status rsq_qconfig_from_json(const char *utf8_json, struct rsq_qconfig **out);

/// Sets what the layers in a scope are to be: "*" for all, "op:Conv" for those of an ONNX operator, "name:layer4.*" for
/// those whose whole name matches ("*" stands for any text, "?" for one character). A name goes before an operator before
/// "*"; of two that match, the later. Scopes and combinations are checked against the graph by `rsq_prepare`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (no scope, or a field; the
/// message names it).
rsq_status rsq_qconfig_set(struct rsq_qconfig *qconfig,
                           const char *scope,
                           const struct rsq_layer_qconfig *layer);

/// With `strict` other than 0, a layer that is to be int8 and cannot be, and a scope that no layer is in, are errors of
/// `rsq_prepare`; otherwise such a layer stays float and `rsq_model_layer_info` tells why.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
rsq_status rsq_qconfig_set_strict(struct rsq_qconfig *qconfig, int32_t strict);

/// With `drop_inf` other than 0, calibration drops infinities and counts them; otherwise it refuses a batch that has one.
/// NaNs are always refused.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
rsq_status rsq_qconfig_set_drop_inf(struct rsq_qconfig *qconfig,
                                    int32_t drop_inf);

/// Writes a qconfig as JSON in UTF-8: first call with `buffer` NULL, which tells the length without the NUL, then with a
/// buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT` (`out_length`), `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the buffer is too small).
rsq_status rsq_qconfig_to_json(const struct rsq_qconfig *qconfig,
                               char *buffer,
                               size_t capacity,
                               size_t *out_length);

/// Frees a qconfig. NULL and stale handles are ignored; what was prepared with it stays usable.
void rsq_qconfig_free(struct rsq_qconfig *qconfig);

/// Puts observers into a graph, as `qconfig` says; neither is changed, nor needed afterwards. `context` and `options`
/// may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY` (the qconfig is being changed), `INVALID_ARGUMENT`
/// (settings that contradict each other; with a strict qconfig a scope that no node is in), `UNSUPPORTED` (a strict qconfig, and
/// a layer that would stay float), `SHAPE_MISMATCH`, `NOT_FOUND` (an image input that the graph has not), `OUT_OF_MEMORY`.
rsq_status rsq_prepare(const struct rsq_context *context,
                       const struct rsq_graph *graph,
                       const struct rsq_qconfig *qconfig,
                       const struct rsq_prepare_options *options,
                       struct rsq_prepared **out);

/// Observes one batch: one tensor for each input of the graph, in its order, f32 (`RSQ_DTYPE_U8` for an image input). Any
/// batch size.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT`, `BUSY` (another call uses the prepared), `UNSUPPORTED`
/// (strides), `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `NOT_FINITE` (a NaN or an infinity; the message names tensor and index),
/// `CANCELLED` (by the callback of `rsq_prepared_set_progress`), `OUT_OF_MEMORY`. A batch that is refused leaves the statistics as they
/// were.
rsq_status rsq_calibrate(struct rsq_prepared *prepared,
                         const struct rsq_tensor_view *inputs,
                         size_t input_count);

/// How many samples the statistics hold (for a graph without a batch axis: batches).
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
rsq_status rsq_calibration_samples(const struct rsq_prepared *prepared, uint64_t *out);

/// Sets whom `rsq_calibrate` and `rsq_convert` tell how far they are; NULL: nobody. `user_data` is handed to `progress` and must be valid
/// until another callback is set or the prepared is freed.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
rsq_status rsq_prepared_set_progress(struct rsq_prepared *prepared,
                                     rsq_progress_fn progress,
                                     void *user_data);

/// Writes the statistics to a file, which is replaced at once or stays as it was: as a checkpoint it survives the end of the process at any
/// moment.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `IO`, `OUT_OF_MEMORY`.
rsq_status rsq_calibration_save(const struct rsq_prepared *prepared,
                                const char *utf8_path);

/// Writes the statistics to memory, as `rsq_calibration_save` writes them to a file: first call with `buffer` NULL, which tells the size,
/// then with a buffer of `capacity` bytes, at least that many. The same data give the same bytes, whatever their order, batches, shards,
/// threads and instruction set (observers that depend on the order of batches aside).
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small), `BUSY`, `OUT_OF_MEMORY`.
rsq_status rsq_calibration_to_buffer(const struct rsq_prepared *prepared,
                                     void *buffer,
                                     size_t capacity,
                                     size_t *out_size);

/// Takes over the statistics of a file, in a prepared that has seen nothing yet. So calibration goes on where it was saved,
/// whatever the observers. Settings that change nothing about what is observed (the solver, for one) may differ from those it was saved
/// with: another solver needs no data.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `WRONG_STATE` (there are statistics already), `IO`, `CORRUPT`,
/// `VERSION`, `MISMATCH` (of another graph, or other observers), `OUT_OF_MEMORY`. Nothing changes unless `OK`.
rsq_status rsq_calibration_load(struct rsq_prepared *prepared,
                                const char *utf8_path);

/// Takes over statistics of `size` bytes from memory, as `rsq_calibration_load` does from a file.
///
/// Statuses: as `rsq_calibration_load`, but for `IO`. Nothing changes unless `OK`.
rsq_status rsq_calibration_from_bytes(struct rsq_prepared *prepared, const void *bytes, size_t size);

/// Adds the statistics in a file: the result is, to the bit, that of one prepared that saw both parts, whatever the
/// order.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `IO`, `CORRUPT`, `VERSION`, `MISMATCH` (of another graph or qconfig),
/// `UNSUPPORTED` (observers that depend on the order, if both parts have seen something), `OUT_OF_MEMORY`. Nothing changes
/// unless `OK`.
rsq_status rsq_calibration_merge(struct rsq_prepared *prepared,
                                 const char *utf8_path);

/// Adds the statistics in `count` files: all of them, or none.
///
/// Statuses: as `rsq_calibration_merge`. Nothing changes unless `OK`.
rsq_status rsq_calibration_merge_files(struct rsq_prepared *prepared, const char *const *utf8_paths, size_t count);

/// Adds statistics of `size` bytes from memory, as `rsq_calibration_merge` does from a file.
///
/// Statuses: as `rsq_calibration_merge`, but for `IO`. Nothing changes unless `OK`.
rsq_status rsq_calibration_merge_bytes(struct rsq_prepared *prepared, const void *bytes, size_t size);

/// Makes an int8 model of the graph and its statistics. The prepared stays usable: calibrate on, and convert again. The
/// caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_CALIBRATED` (the message names the tensor), `NOT_FINITE`
/// (weights), `CANCELLED` (by the callback of `rsq_prepared_set_progress`), `OUT_OF_MEMORY`.
rsq_status rsq_convert(const struct rsq_prepared *prepared, struct rsq_model **out);

/// Frees a prepared. NULL and stale handles are ignored; models made of it stay usable.
void rsq_prepared_free(struct rsq_prepared *prepared);

/// Solves all qparams of a calibrated graph and writes them down: what `rsq_convert` would use. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_CALIBRATED` (the message names the tensor), `NOT_FINITE`
/// (weights), `OUT_OF_MEMORY`.
rsq_status rsq_prepared_recipe(const struct rsq_prepared *prepared,
                               struct rsq_recipe **out);

/// Reads a recipe from JSON, a C string in UTF-8. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `PARSE` (also for an unknown key) and `INVALID_ARGUMENT` (a contradiction; the messages name
/// the path in the JSON), `VERSION` (of a newer format), `OUT_OF_MEMORY`.
rsq_status rsq_recipe_from_json(const char *utf8_json,
                                struct rsq_recipe **out);

/// Reads a recipe file. The caller frees `*out`.
///
/// Statuses: `IO`, and as `rsq_recipe_from_json`.
rsq_status rsq_recipe_load(const char *utf8_path, struct rsq_recipe **out);

/// Makes a recipe for a graph of another system's calibration of `size` bytes in memory. Its entries hold as they stand; what it
/// leaves open is derived or float, by the rules in docs/RECIPE.md, and the recipe's JSON tells what was bound and what was not.
/// `format` is one of `RSQ_CALIBRATION_FORMAT_`; `context` and `options` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT`, `PARSE` (the message names line or
/// key), `UNSUPPORTED` (what a recipe cannot say, such as SmoothQuant), `MISMATCH` (nothing fits the graph), `SHAPE_MISMATCH`,
/// `OUT_OF_MEMORY`.
rsq_status rsq_recipe_import(const struct rsq_context *context,
                             const struct rsq_graph *graph,
                             int32_t format,
                             const void *bytes,
                             size_t size,
                             const struct rsq_prepare_options *options,
                             struct rsq_recipe **out);

/// Writes a recipe to a file, which is replaced at once or stays as it was.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`.
rsq_status rsq_recipe_save(const struct rsq_recipe *recipe, const char *utf8_path);

/// Writes a recipe as JSON in UTF-8: first call with `buffer` NULL, which tells the length without the NUL, then with a
/// buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT` (`out_length`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small).
rsq_status rsq_recipe_to_json(const struct rsq_recipe *recipe, char *buffer, size_t capacity, size_t *out_length);

/// Number of entries for activations. 0 for a bad handle.
size_t rsq_recipe_activation_count(const struct rsq_recipe *recipe);

/// One entry for activations. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
rsq_status rsq_recipe_activation_info(const struct rsq_recipe *recipe, size_t index, struct rsq_recipe_activation *out);

/// Makes an int8 model of a graph with a recipe, without calibration data. From the recipe of a calibration, the model has
/// the bytes that `rsq_convert` gives. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `MISMATCH` (the recipe is for another model; the message names the first
/// difference), `INVALID_ARGUMENT` (the recipe contradicts itself; the message names the path in its JSON), `UNSUPPORTED` (a
/// strict qconfig, and a layer that would stay float), `NOT_FINITE`, `OUT_OF_MEMORY`.
rsq_status rsq_convert_with_recipe(const struct rsq_context *context,
                                   const struct rsq_graph *graph,
                                   const struct rsq_recipe *recipe,
                                   struct rsq_model **out);

/// Frees a recipe. NULL and stale handles are ignored; models made of it stay usable.
void rsq_recipe_free(struct rsq_recipe *recipe);

/// Writes a model to a file, which is replaced at once or stays as it was.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `OUT_OF_MEMORY`.
rsq_status rsq_model_save(const struct rsq_model *model, const char *utf8_path);

/// Writes a model to memory: first call with `buffer` NULL, which tells the size, then with a buffer of `capacity` bytes,
/// at least that many. The same model gives the same bytes.
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small), `OUT_OF_MEMORY`.
rsq_status rsq_model_to_buffer(const struct rsq_model *model,
                               void *buffer,
                               size_t capacity,
                               size_t *out_size);

/// Maps a model file and verifies it; weights are run where they lie. `context` may be NULL. The caller frees `*out`.
///
/// The file must not be changed in place while the model or a session of it lives: a process that truncates it ends
/// this one with SIGBUS. Replacing or deleting the file does no harm; `rsq_model_load_copied` needs no such care.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `PARSE` (no model file), `CORRUPT`, `VERSION`, `GRAPH`, `OUT_OF_MEMORY`.
rsq_status rsq_model_load(const struct rsq_context *context,
                          const char *utf8_path,
                          struct rsq_model **out);

/// Reads a model file into memory and verifies it. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_model_load`.
rsq_status rsq_model_load_copied(const struct rsq_context *context, const char *utf8_path, struct rsq_model **out);

/// Copies a model of `size` bytes from memory, at any address, and verifies it. `context` may be NULL. The caller frees
/// `*out`.
///
/// Statuses: as `rsq_model_load`, but for `IO`.
rsq_status rsq_model_from_bytes(const struct rsq_context *context,
                                const void *bytes,
                                size_t size,
                                struct rsq_model **out);

/// Runs a model of `size` bytes where they lie, and verifies it: nothing is copied but tables. They begin on a 64-byte boundary and stay
/// unchanged as long as the model, or a session of it, lives; in read-only memory processes share them. `context` may be NULL. The
/// caller frees `*out`.
///
/// Statuses: as `rsq_model_from_bytes`, and `INVALID_ARGUMENT` (another address).
rsq_status rsq_model_from_static(const struct rsq_context *context,
                                 const void *bytes,
                                 size_t size,
                                 struct rsq_model **out);

/// Number of inputs, in the order of the ONNX file. 0 for a bad handle.
size_t rsq_model_input_count(const struct rsq_model *model);

/// Number of outputs, in the order of the ONNX file. 0 for a bad handle.
size_t rsq_model_output_count(const struct rsq_model *model);

/// Name, element type and shape of an input. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
rsq_status rsq_model_input_info(const struct rsq_model *model, size_t index, struct rsq_tensor_info *out);

/// Name, element type and shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_model_input_info`.
rsq_status rsq_model_output_info(const struct rsq_model *model, size_t index, struct rsq_tensor_info *out);

/// Number of layers, in execution order. 0 for a bad handle.
size_t rsq_model_layer_count(const struct rsq_model *model);

/// How a layer runs: int8 or float and why, and its qparams. Set `out->struct_size` before.
///
/// Statuses: as `rsq_model_input_info`.
rsq_status rsq_model_layer_info(const struct rsq_model *model, size_t index, struct rsq_layer_info *out);

/// Frees a model. NULL and stale handles are ignored; sessions made of it stay usable.
void rsq_model_free(struct rsq_model *model);

/// Makes a session of an int8 model, with the model's context. `options` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (also a normalization that gives no finite
/// number), `SHAPE_MISMATCH` (also an image input that has not four axes, or another number of channels), `NOT_FOUND` (an image
/// input that the graph has not), `OUT_OF_MEMORY`.
rsq_status rsq_session_new(const struct rsq_model *model,
                           const struct rsq_session_options *options,
                           struct rsq_session **out);

/// Makes a session that runs a float graph: the ground truth that int8 is compared with. `context` and `options` may be
/// NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_session_new`.
rsq_status rsq_float_session_new(const struct rsq_context *context,
                                 const struct rsq_graph *graph,
                                 const struct rsq_session_options *options,
                                 struct rsq_session **out);

/// Number of inputs of a run. 0 for a bad handle.
size_t rsq_session_input_count(const struct rsq_session *session);

/// Number of outputs of a run. 0 for a bad handle.
size_t rsq_session_output_count(const struct rsq_session *session);

/// Name, element type and declared shape of an input, as runs get it. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `NOT_FOUND` (no such index).
rsq_status rsq_session_input_info(const struct rsq_session *session, size_t index, struct rsq_tensor_info *out);

/// Name, element type and declared shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_session_input_info`.
rsq_status rsq_session_output_info(const struct rsq_session *session, size_t index, struct rsq_tensor_info *out);

/// The shape of output `index` for inputs of the given shapes, one for each input, batch included. Writes the number of
/// axes to `out_rank` and `RSQ_MAX_RANK` dimensions to `out_dims`, 0 from the rank on.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT`, `BUSY`, `SHAPE_MISMATCH`, `NOT_FOUND` (no such output).
rsq_status rsq_session_output_shape(const struct rsq_session *session,
                                    const struct rsq_shape *input_shapes,
                                    size_t input_count,
                                    size_t index,
                                    int64_t *out_dims,
                                    uint32_t *out_rank);

/// Number of operations of the plan; 0 before there is one, that is before the first run where the graph leaves more than
/// the batch open and the options gave no shapes; 0 for a bad handle.
size_t rsq_session_step_count(const struct rsq_session *session);

/// Name, operator and kernel of an operation of the plan. Set `out->struct_size` before.
///
/// Statuses: as `rsq_session_input_info`.
rsq_status rsq_session_step_info(const struct rsq_session *session, size_t index, struct rsq_step_info *out);

/// Bytes of memory that the session holds for runs, weights not counted. 0 before there is a plan and for a bad handle.
size_t rsq_session_memory_bytes(const struct rsq_session *session);

/// Runs one batch of any size: one tensor for each input and each output, in order, f32 (`RSQ_DTYPE_U8` for
/// an image input), dense. Allocates nothing, unless the input sizes are those of no plan that is kept, or the batch is above
/// the largest.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (counts, dimensions, a buffer that is too small, misaligned
/// or overlaps an output), `BUSY` (another call uses the session), `UNSUPPORTED` (strides), `SHAPE_MISMATCH`,
/// `DTYPE_MISMATCH`, `NOT_FINITE` (a dynamic layer met a NaN or an infinity; the message names tensor and index), `CALLBACK`,
/// `OUT_OF_MEMORY`.
rsq_status rsq_run(struct rsq_session *session,
                   const struct rsq_tensor_view *inputs,
                   size_t input_count,
                   const struct rsq_tensor_mut *outputs,
                   size_t output_count);

/// Frees a session. NULL and stale handles are ignored; a run under way on another thread finishes first.
void rsq_session_free(struct rsq_session *session);

/// Measures what this machine can do at most below the context's cap; NULL stands for the default context. Takes about
/// 0.1 s of all threads. Clocks change with load, so compare speeds with what was measured just before or after.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `CALLBACK`.
rsq_status rsq_measure_roof(const struct rsq_context *context, struct rsq_roof *out);

/// What runs of the plan of the last run have cost since it was made or `rsq_session_profile_reset`. The session must have been
/// made with `RSQ_SESSION_PROFILE`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `WRONG_STATE` (not profiled, or no plan yet).
rsq_status rsq_session_profile(const struct rsq_session *session,
                               struct rsq_profile *out);

/// What operation `index` of the plan (as `rsq_session_step_info` counts them) has cost.
///
/// Statuses: as `rsq_session_profile`, and `NOT_FOUND` (no such index).
rsq_status rsq_session_step_profile(const struct rsq_session *session, size_t index, struct rsq_step_profile *out);

/// Counts from zero again.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `WRONG_STATE` (the session was made without `RSQ_SESSION_PROFILE`).
rsq_status rsq_session_profile_reset(struct rsq_session *session);

/// Makes a comparison of `model` with `graph`, of which it was made; it runs with the model's context. The caller frees
/// `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `MISMATCH` (the model was made of another graph; the message names the first
/// difference), `OUT_OF_MEMORY`.
rsq_status rsq_comparison_new(const struct rsq_graph *graph,
                              const struct rsq_model *model,
                              struct rsq_comparison **out);

/// From now on these inputs are given as images, u8 `[n, h, w, c]`, as `rsq_prepare_options.images` says; the others as f32.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_FOUND` (no such input), `SHAPE_MISMATCH` (not `[n, c, h, w]`, another number
/// of channels), `INVALID_ARGUMENT` (a normalization that is none, an input that comes twice), `OUT_OF_MEMORY`.
rsq_status rsq_comparison_set_images(struct rsq_comparison *comparison,
                                     const struct rsq_image_input *images,
                                     size_t image_count);

/// Compares on one batch: one tensor for each input of the graph, in its order, f32, or u8 for images. Any batch size; the results are those
/// of all batches together, to the bit the same however they are cut. Tensors are looked at one by one: memory does not grow
/// with the batch.
///
/// Statuses: as `rsq_calibrate`. A batch that is refused changes nothing.
rsq_status rsq_compare(struct rsq_comparison *comparison,
                       const struct rsq_tensor_view *inputs,
                       size_t input_count);

/// How many samples were compared (for a graph without a batch axis: batches).
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
rsq_status rsq_comparison_samples(const struct rsq_comparison *comparison, uint64_t *out);

/// Number of layers compared: the inputs that the model holds as bytes, then the layers in execution order. Those that only
/// give a tensor another shape are left out. 0 before the first batch and for a bad handle.
size_t rsq_comparison_layer_count(const struct rsq_comparison *comparison);

/// How close a layer is to the float one. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `NOT_FOUND` (no such index).
rsq_status rsq_comparison_layer_info(const struct rsq_comparison *comparison,
                                     size_t index,
                                     struct rsq_layer_comparison *out);

/// Number of outputs. 0 for a bad handle.
size_t rsq_comparison_output_count(const struct rsq_comparison *comparison);

/// How close an output is to the float one, end to end. Set `out->struct_size` before.
///
/// Statuses: as `rsq_comparison_layer_info`.
rsq_status rsq_comparison_output_info(const struct rsq_comparison *comparison,
                                      size_t index,
                                      struct rsq_output_comparison *out);

/// Frees a comparison. NULL and stale handles are ignored.
void rsq_comparison_free(struct rsq_comparison *comparison);

/// Quantizes each layer alone and ranks the layers by what that costs the outputs; the prepared stays as it is. `inputs` are one
/// batch of any size as `rsq_calibrate` takes it, no labels needed; the outputs for it are held in memory. `progress` may be NULL; `user_data` is handed to
/// it. The caller frees `*out`.
///
/// Statuses: as `rsq_convert` and `rsq_compare`, and `CANCELLED` (by `progress`).
rsq_status rsq_sensitivity_new(const struct rsq_prepared *prepared,
                               const struct rsq_tensor_view *inputs,
                               size_t input_count,
                               rsq_progress_fn progress,
                               void *user_data,
                               struct rsq_sensitivity **out);

/// Number of layers ranked. 0 for a bad handle.
size_t rsq_sensitivity_layer_count(const struct rsq_sensitivity *sensitivity);

/// What a layer costs; index 0 is the most harmful. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
rsq_status rsq_sensitivity_layer_info(const struct rsq_sensitivity *sensitivity,
                                      size_t index,
                                      struct rsq_layer_sensitivity *out);

/// Frees a ranking. NULL and stale handles are ignored.
void rsq_sensitivity_free(struct rsq_sensitivity *sensitivity);

/// Finds the layers to leave in float: the fewest of the most harmful ones with which the metric reaches the target, within the
/// budget. The prepared stays as it is. `inputs`, one batch of any size, rank the layers. Gives a recipe (the qconfig with those
/// layers in float, and all qparams) and its model, which the caller frees. With a target out of reach of the budget the best that
/// the budget gives is found, and `reached` is 0.
///
/// Statuses: as `rsq_sensitivity_new`; `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (no target and no budget, or a number that is none),
/// `CALLBACK` (the metric failed or is NaN), `CANCELLED` (by `progress`).
rsq_status rsq_tune(const struct rsq_prepared *prepared,
                    const struct rsq_tensor_view *inputs,
                    size_t input_count,
                    const struct rsq_tune_options *options,
                    struct rsq_tune_result *out,
                    struct rsq_recipe **out_recipe,
                    struct rsq_model **out_model);

/// Writes the report of a quantization to memory, UTF-8: the layers with what they cost and why some are float, the tensors with
/// their distributions and the ranges chosen. `model` was converted from `prepared`; `comparison` and `sensitivity` may be NULL, and
/// what they would tell is left out then. `format` is one of `RSQ_REPORT_`. First call with `buffer` NULL, which tells the length
/// without the NUL, then with a buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the format; the buffer is too small),
/// `NOT_CALIBRATED`, `MISMATCH` (comparison or sensitivity are of another model), `OUT_OF_MEMORY`.
rsq_status rsq_report_to_buffer(const struct rsq_prepared *prepared,
                                const struct rsq_model *model,
                                const struct rsq_comparison *comparison,
                                const struct rsq_sensitivity *sensitivity,
                                int32_t format,
                                char *buffer,
                                size_t capacity,
                                size_t *out_length);

/// Writes the same to a file, which is replaced at once or stays as it was.
///
/// Statuses: as `rsq_report_to_buffer`, and `IO`.
rsq_status rsq_report_save(const struct rsq_prepared *prepared,
                           const struct rsq_model *model,
                           const struct rsq_comparison *comparison,
                           const struct rsq_sensitivity *sensitivity,
                           int32_t format,
                           const char *utf8_path);

/// Packs the weights of a convolution or GEMM. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (sizes of no layer, scales not above zero,
/// flags), `SHAPE_MISMATCH` (another number of values, scales or biases), `NOT_FINITE` (naming the index), `UNSUPPORTED` (more than
/// 65793 products in a sum), `OUT_OF_MEMORY`.
rsq_status rsq_pack_weights(const struct rsq_context *context,
                            const struct rsq_weights *weights,
                            struct rsq_packed **out);

/// The scale of each output channel: first call with `buffer` NULL, which tells the number, then with room for that many floats.
///
/// Statuses: `NULL_ARGUMENT` (`out_count`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small).
rsq_status rsq_packed_scales(const struct rsq_packed *packed,
                             float *buffer,
                             size_t capacity,
                             size_t *out_count);

/// Frees packed weights. NULL and stale handles are ignored; operators made of them stay usable.
void rsq_packed_free(struct rsq_packed *packed);

/// Plans a GEMM, `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]` for any `m`: u8 times s8, exact sums, then the epilogue.
/// `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (qparams, bounds, strides, weights of a
/// convolution), `NOT_FINITE` (a multiplier or bias over the output's scale), `OUT_OF_MEMORY`.
rsq_status rsq_gemm_u8s8_new(const struct rsq_context *context,
                             const struct rsq_packed *packed,
                             const struct rsq_operator_options *options,
                             struct rsq_operator **out);

/// Plans a 2-D convolution for images of one size and any batch: u8 times s8, exact sums, then the epilogue. `context` may be
/// NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_gemm_u8s8_new`, and `SHAPE_MISMATCH` (a kernel that does not fit the padded image).
rsq_status rsq_conv2d_u8s8_new(const struct rsq_context *context,
                               const struct rsq_packed *packed,
                               const struct rsq_operator_options *options,
                               const struct rsq_conv2d_sizes *sizes,
                               struct rsq_operator **out);

/// Sizes, scratch and kernel of an operator. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`.
rsq_status rsq_operator_get_info(const struct rsq_operator *op, struct rsq_operator_info *out);

/// Runs a GEMM on `rows` rows. Allocates nothing. With scratch of its own for each call, any number of threads may run one
/// operator at once. The bits are those of a model, on every instruction set and number of threads.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (an operator of another kind, tensors that
/// overlap or are misaligned, scratch that is too small, a residual that is missing or not wanted), `SHAPE_MISMATCH` (a tensor that
/// is too small), `BUSY` (without scratch: another call uses the operator's own), `CALLBACK`.
rsq_status rsq_gemm_u8s8(const struct rsq_operator *op,
                         size_t rows,
                         const struct rsq_operator_tensors *tensors);

/// Runs a convolution on `batch` images. Otherwise, and statuses: as `rsq_gemm_u8s8`.
rsq_status rsq_conv2d_u8s8(const struct rsq_operator *op, size_t batch, const struct rsq_operator_tensors *tensors);

/// Frees an operator. NULL and stale handles are ignored; runs under way on other threads finish first.
void rsq_operator_free(struct rsq_operator *op);

/// Plans a GEMM of floats, `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]` for any `m`, whose rows each run quantizes to u8 by
/// their own range (or by that of all of them): u8 times s8, exact sums, then floats. No calibration is needed. The bits are those
/// of a model's dynamic linear layer. `context` may be NULL. The caller frees `*out` by `rsq_operator_free`; `rsq_operator_get_info`
/// tells its sizes and scratch.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (flags, grain per sample, bounds, strides,
/// weights of a convolution), `OUT_OF_MEMORY`.
rsq_status rsq_gemm_f32s8_new(const struct rsq_context *context,
                              const struct rsq_packed *packed,
                              const struct rsq_dynamic_gemm_options *options,
                              struct rsq_operator **out);

/// Runs a GEMM of `rsq_gemm_f32s8_new` on `rows` rows of floats. Allocates nothing. With scratch of its own for each call, any
/// number of threads may run one operator at once. The bits do not depend on instruction set, threads or (per row) other rows.
///
/// Statuses: as `rsq_gemm_u8s8`, and `NOT_FINITE` naming row and element of the source; the output is then as it was.
rsq_status rsq_gemm_f32s8(const struct rsq_operator *op,
                          size_t rows,
                          const struct rsq_operator_tensors *tensors);

/// Quantizes `count` floats to bytes. NaN gives the zero point, the infinities the ends. `context` may be NULL. Allocates nothing
/// with up to 1024 channels or with zero points.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (a scale that is not above zero, a zero point
/// outside the range, overlap), `SHAPE_MISMATCH` (a count that the channels do not divide, a `dst` that is too small).
rsq_status rsq_quantize(const struct rsq_context *context,
                        const struct rsq_quantization *quantization,
                        const float *src,
                        size_t count,
                        void *dst,
                        size_t dst_bytes);

/// Floats of `count` integers: `(q - zero_point) * scale`. `context` may be NULL. Allocates nothing, as `rsq_quantize`.
///
/// Statuses: as `rsq_quantize`; `SHAPE_MISMATCH` also for a `src` that is too small.
rsq_status rsq_dequantize(const struct rsq_context *context,
                          const struct rsq_quantization *quantization,
                          const void *src,
                          size_t src_bytes,
                          float *dst,
                          size_t count);

/// Makes an observer of one of `RSQ_OBSERVER_MIN_MAX`, `_MOVING_AVERAGE`, `_HISTOGRAM`, `_TORCH_HISTOGRAM`. `options` may be NULL.
/// The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (kind, flags, more than 2^20 channels), `OUT_OF_MEMORY`.
rsq_status rsq_observer_new(int32_t kind,
                            const struct rsq_observer_options *options,
                            struct rsq_observer **out);

/// Takes in one batch of `count` floats. Element `i` belongs to channel `i / inner % channels`: `inner` 1 for channels last,
/// h * w for n, c, h, w; it does not matter for one channel.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (misaligned), `BUSY`, `NOT_FINITE` (a NaN or an infinity; the
/// message names its index), `SHAPE_MISMATCH` (a count that the channels do not divide), `OUT_OF_MEMORY`. A batch that is refused
/// leaves the statistics as they were.
rsq_status rsq_observer_observe(struct rsq_observer *observer,
                                const float *values,
                                size_t count,
                                size_t inner);

/// Takes in what `other` has seen: to the bit, the statistics of one observer that saw both.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY` (also for an observer with itself), `MISMATCH` (another kind or number of
/// channels), `UNSUPPORTED` (moving averages and torch histograms depend on the order), `INVALID_ARGUMENT` (counts overflow), `OUT_OF_MEMORY`.
/// Nothing changes unless `OK`.
rsq_status rsq_observer_merge(struct rsq_observer *observer,
                              const struct rsq_observer *other);

/// Scale and zero point of each channel. `channels` is the observer's number of channels, for the arrays: `scales` and
/// `zero_points` (in the type's own numbers) have as many elements, `ranges` two for each, low and high,
/// `predicted_sqnr_db` one: `10 log10(signal / error)` of the observed values, infinite where nothing is lost, NaN where the
/// observer knows a range only. `options`, `ranges` and `predicted_sqnr_db` may be NULL.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `INVALID_ARGUMENT` (another number of channels, a solver
/// that the observer cannot serve, a percentile out of range, a target without meaning), `NOT_CALIBRATED` (naming the channel that has
/// seen nothing), `OUT_OF_MEMORY`.
rsq_status rsq_observer_solve(const struct rsq_observer *observer,
                              const struct rsq_solve_options *options,
                              size_t channels,
                              float *scales,
                              int32_t *zero_points,
                              float *ranges,
                              double *predicted_sqnr_db);

/// Scale and zero point (in the type's own numbers) of the range `low..high`, which is widened to hold 0. `options` may be NULL; its
/// solver does not matter.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (`low` above `high`, a target without meaning), `NOT_FINITE`.
rsq_status rsq_qparams_of_range(float low,
                                float high,
                                const struct rsq_solve_options *options,
                                float *out_scale,
                                int32_t *out_zero_point);

/// What an observer is and has seen. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`.
rsq_status rsq_observer_get_info(const struct rsq_observer *observer, struct rsq_observer_info *out);

/// Writes an observer to memory: first call with `buffer` NULL, which tells the size, then with a buffer of `capacity` bytes, at
/// least that many.
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the buffer is too small), `OUT_OF_MEMORY`.
rsq_status rsq_observer_to_buffer(const struct rsq_observer *observer,
                                  void *buffer,
                                  size_t capacity,
                                  size_t *out_size);

/// Reads an observer from `size` bytes that `rsq_observer_to_buffer` wrote, on any machine. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `CORRUPT`, `VERSION`, `OUT_OF_MEMORY`.
rsq_status rsq_observer_from_bytes(const void *bytes, size_t size, struct rsq_observer **out);

/// Frees an observer. NULL and stale handles are ignored.
void rsq_observer_free(struct rsq_observer *observer);

/// Makes an empty builder. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `OUT_OF_MEMORY`.
rsq_status rsq_graph_builder_new(const struct rsq_context *context, struct rsq_graph_builder **out);

/// Adds an input of `rank` dimensions, such as n, c, h, w; -1 for one that is chosen at run time.
///
/// Statuses of all functions that add: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT`, `BUSY`, `GRAPH`
/// (a name that is taken, a value that is not there), `SHAPE_MISMATCH` (a wrong number of floats), `NOT_FINITE` (naming the
/// index), `OUT_OF_MEMORY`.
rsq_status rsq_graph_builder_input(struct rsq_graph_builder *builder,
                                   const char *name,
                                   const int64_t *dims,
                                   size_t rank,
                                   rsq_value *out);

/// Adds a constant of `count` floats with `rank` dimensions, as an operand of other nodes.
rsq_status rsq_graph_builder_constant(struct rsq_graph_builder *builder,
                                      const char *name,
                                      const float *values,
                                      size_t count,
                                      const int64_t *dims,
                                      size_t rank,
                                      rsq_value *out);

/// Adds a convolution of `[n, c, h, w]`. `window` may be NULL: a 1x1 kernel. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_conv2d(struct rsq_graph_builder *builder,
                                    const char *name,
                                    rsq_value x,
                                    const struct rsq_layer_weights *layer,
                                    const struct rsq_window *window,
                                    rsq_value *out);

/// Adds a linear layer, `y = x * weights^T + bias`, over the last axis. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_linear(struct rsq_graph_builder *builder,
                                    const char *name,
                                    rsq_value x,
                                    const struct rsq_layer_weights *layer,
                                    rsq_value *out);

/// Adds a batch normalization. Statuses as `rsq_graph_builder_input`; `NOT_FINITE` names the channel.
rsq_status rsq_graph_builder_batch_norm(struct rsq_graph_builder *builder,
                                        const char *name,
                                        rsq_value x,
                                        const struct rsq_batch_norm *parameters,
                                        rsq_value *out);

/// Adds an operator of one tensor, `kind` one of `RSQ_UNARY_`; `alpha` and `beta` are used as those say. Statuses as
/// `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_unary(struct rsq_graph_builder *builder,
                                   const char *name,
                                   int32_t kind,
                                   rsq_value x,
                                   float alpha,
                                   float beta,
                                   rsq_value *out);

/// Adds an operator of two tensors, `kind` one of `RSQ_BINARY_`. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_binary(struct rsq_graph_builder *builder,
                                    const char *name,
                                    int32_t kind,
                                    rsq_value a,
                                    rsq_value b,
                                    rsq_value *out);

/// Adds a product of matrices `[.., m, k]` and `[.., k, n]`. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_matmul(struct rsq_graph_builder *builder,
                                    const char *name,
                                    rsq_value a,
                                    rsq_value b,
                                    rsq_value *out);

/// Adds a pooling of `[n, c, h, w]`, `kind` one of `RSQ_POOL_MAX` and `RSQ_POOL_AVERAGE`; `window` NULL: the mean of each whole
/// plane, `RSQ_POOL_AVERAGE` only. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_pool(struct rsq_graph_builder *builder,
                                  const char *name,
                                  int32_t kind,
                                  rsq_value x,
                                  const struct rsq_window *window,
                                  rsq_value *out);

/// Adds a mean over the `count` axes, negative ones counted from the end; `keepdims` not 0 keeps them with size 1. No axes: over
/// all. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_reduce_mean(struct rsq_graph_builder *builder,
                                         const char *name,
                                         rsq_value x,
                                         const int64_t *axes,
                                         size_t count,
                                         int32_t keepdims,
                                         rsq_value *out);

/// Adds a softmax over one axis, a negative one counted from the end. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_softmax(struct rsq_graph_builder *builder,
                                     const char *name,
                                     rsq_value x,
                                     int64_t axis,
                                     rsq_value *out);

/// Adds a change of shape to two axes: those before `axis`, and the rest. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_flatten(struct rsq_graph_builder *builder,
                                     const char *name,
                                     rsq_value x,
                                     int64_t axis,
                                     rsq_value *out);

/// Adds a change of shape: 0 copies the input's dimension, -1 takes what is left. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_reshape(struct rsq_graph_builder *builder,
                                     const char *name,
                                     rsq_value x,
                                     const int64_t *dims,
                                     size_t rank,
                                     rsq_value *out);

/// Adds a transposition: output axis `i` is input axis `axes[i]`. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_transpose(struct rsq_graph_builder *builder,
                                       const char *name,
                                       rsq_value x,
                                       const int64_t *axes,
                                       size_t rank,
                                       rsq_value *out);

/// Adds a join of `count` values on an axis, a negative one counted from the end. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_concat(struct rsq_graph_builder *builder,
                                    const char *name,
                                    const rsq_value *values,
                                    size_t count,
                                    int64_t axis,
                                    rsq_value *out);

/// Adds padding with `value`: `before` and `after` have one number for each of the `rank` axes, negative ones crop. Statuses as
/// `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_pad(struct rsq_graph_builder *builder,
                                 const char *name,
                                 rsq_value x,
                                 const int64_t *before,
                                 const int64_t *after,
                                 size_t rank,
                                 float value,
                                 rsq_value *out);

/// Makes a value the next output. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_output(struct rsq_graph_builder *builder, rsq_value value);

/// Makes a graph of what was added so far: checked, folded and fused as one of an ONNX file is, and equal to one with the same
/// nodes. The builder stays usable. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, and naming the node `GRAPH`, `SHAPE_MISMATCH`, `NOT_FINITE`,
/// `INVALID_ARGUMENT`, `UNSUPPORTED`; `GRAPH` also for a graph without input or output; `OUT_OF_MEMORY`.
rsq_status rsq_graph_builder_finish(const struct rsq_graph_builder *builder,
                                    struct rsq_graph **out);

/// Frees a builder. NULL and stale handles are ignored; graphs made of it stay usable.
void rsq_graph_builder_free(struct rsq_graph_builder *builder);

/// Adds a recurrent layer over x, `[time, batch, input]`. Its outputs, of which at least one place is given and NULL means not
/// wanted: the hidden state of every step, `[time, directions, batch, hidden]` (batch first: `[batch, time, directions, hidden]`); the
/// last hidden state and, of an LSTM, the last cell state, `[directions, batch, hidden]` (`[batch, directions, hidden]`). What
/// nobody reads is not computed. Statuses as `rsq_graph_builder_input`.
rsq_status rsq_graph_builder_recurrent(struct rsq_graph_builder *builder,
                                       const char *name,
                                       rsq_value x,
                                       const struct rsq_recurrent_layer *layer,
                                       rsq_value *out_sequence,
                                       rsq_value *out_hidden,
                                       rsq_value *out_cell);

/// The index of the input with that name.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (not UTF-8), `NOT_FOUND` (the message lists the names).
rsq_status rsq_graph_input_index(const struct rsq_graph *graph,
                                 const char *utf8_name,
                                 size_t *out_index);

/// The index of the output with that name. Statuses: as `rsq_graph_input_index`.
rsq_status rsq_graph_output_index(const struct rsq_graph *graph, const char *utf8_name, size_t *out_index);

/// The index of the input with that name. Statuses: as `rsq_graph_input_index`.
rsq_status rsq_model_input_index(const struct rsq_model *model, const char *utf8_name, size_t *out_index);

/// The index of the output with that name. Statuses: as `rsq_graph_input_index`.
rsq_status rsq_model_output_index(const struct rsq_model *model, const char *utf8_name, size_t *out_index);

/// The index of the input with that name: its place among the inputs of a run. Statuses: as `rsq_graph_input_index`, and `BUSY`.
rsq_status rsq_session_input_index(const struct rsq_session *session,
                                   const char *utf8_name,
                                   size_t *out_index);

/// The index of the output with that name: its place among the outputs of a run. Statuses: as `rsq_session_input_index`.
rsq_status rsq_session_output_index(const struct rsq_session *session,
                                    const char *utf8_name,
                                    size_t *out_index);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* RSQUANT_H */
