/* The graph builder. Names are made from operators, so that a builder takes every call again. */
#include "calls.h"

/* Value 0 of a builder is [1, 4, 4, 4]. */
static const float weights[4 * 4] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, four[4] = {1, 2, 3, 4};
static const int64_t dims[] = {1, 4, 4, 4}, four_dims[] = {4}, flat_dims[] = {0, -1}, swapped[] = {0, 1, 3, 2}, image_axes[] = {2, 3};
static const rsq_value both[] = {0, 0};

static int64_t call_new(void *const *a) { return rsq_graph_builder_new(a[0], a[1]); }
static int64_t call_input(void *const *a) { return rsq_graph_builder_input(a[0], a[1], a[2], 4, a[3]); }
static int64_t call_constant(void *const *a) { return rsq_graph_builder_constant(a[0], a[1], a[2], 4, a[3], 1, a[4]); }
static int64_t call_conv2d(void *const *a) { return rsq_graph_builder_conv2d(a[0], a[1], 0, a[2], a[3], a[4]); }
static int64_t call_linear(void *const *a) { return rsq_graph_builder_linear(a[0], a[1], 0, a[2], a[3]); }
static int64_t call_batch_norm(void *const *a) { return rsq_graph_builder_batch_norm(a[0], a[1], 0, a[2], a[3]); }
static int64_t call_unary(void *const *a) { return rsq_graph_builder_unary(a[0], a[1], RSQ_UNARY_RELU, 0, 0, 0, a[2]); }
static int64_t call_binary(void *const *a) { return rsq_graph_builder_binary(a[0], a[1], RSQ_BINARY_ADD, 0, 0, a[2]); }
static int64_t call_matmul(void *const *a) { return rsq_graph_builder_matmul(a[0], a[1], 0, 0, a[2]); }
static int64_t call_pool(void *const *a) { return rsq_graph_builder_pool(a[0], a[1], RSQ_POOL_AVERAGE, 0, a[2], a[3]); }
static int64_t call_reduce_mean(void *const *a) { return rsq_graph_builder_reduce_mean(a[0], a[1], 0, a[2], 2, 1, a[3]); }
static int64_t call_softmax(void *const *a) { return rsq_graph_builder_softmax(a[0], a[1], 0, 1, a[2]); }
static int64_t call_flatten(void *const *a) { return rsq_graph_builder_flatten(a[0], a[1], 0, 1, a[2]); }
static int64_t call_reshape(void *const *a) { return rsq_graph_builder_reshape(a[0], a[1], 0, a[2], 2, a[3]); }
static int64_t call_transpose(void *const *a) { return rsq_graph_builder_transpose(a[0], a[1], 0, a[2], 4, a[3]); }
static int64_t call_concat(void *const *a) { return rsq_graph_builder_concat(a[0], a[1], a[2], 2, 1, a[3]); }
static int64_t call_pad(void *const *a) { return rsq_graph_builder_pad(a[0], a[1], 0, a[2], a[3], 4, 0, a[4]); }
static int64_t call_recurrent(void *const *a) { return rsq_graph_builder_recurrent(a[0], a[1], 0, a[2], a[3], a[4], a[5]); }
static int64_t call_output(void *const *a) { return rsq_graph_builder_output(a[0], 1); }
static int64_t call_finish(void *const *a) { return rsq_graph_builder_finish(a[0], a[1]); }
FREE_CALL(rsq_graph_builder_free)

#define BUILDER_AND_NAME HANDLE_OF("builder", OBJECT_BUILDER), {"name", TEXT, OBJECT_TYPES, 0, "", 1}
#define NEW_VALUE {"out", OUT_VALUE, OBJECT_TYPES, sizeof(rsq_value), NULL, 0}
#define FILLED(name, value) {name, IN_ARRAY, OBJECT_TYPES, sizeof value, &value, 0}

const function *builder_calls(void) {
    static const rsq_layer_weights layer = {sizeof layer, 0, weights, 16, NULL, 4, 4, 0};
    static const rsq_batch_norm norm = {sizeof norm, 1, 4, four, four, four, four};
    static const rsq_recurrent_layer recurrent = {
        sizeof recurrent, 0, RSQ_CELL_LSTM, RSQ_DIRECTION_FORWARD, 2, 1, weights, 8, weights, 4, NULL, 0, 0, 0, 0, 0};
    static const function rows[] = {
        {"rsq_graph_builder_new", STATUS, call_new, {CONTEXT_OR_NULL, NEW_OBJECT(OBJECT_BUILDER)}},
        {"rsq_graph_builder_input", STATUS, call_input, {BUILDER_AND_NAME, FILLED("dims", dims), NEW_VALUE}},
        {"rsq_graph_builder_constant", STATUS, call_constant,
         {BUILDER_AND_NAME, FILLED("values", four), FILLED("dims", four_dims), NEW_VALUE}},
        {"rsq_graph_builder_conv2d", STATUS, call_conv2d,
         {BUILDER_AND_NAME, FILLED("layer", layer), {"window", OPTIONS, OBJECT_TYPES, sizeof(rsq_window), NULL, 1}, NEW_VALUE}},
        {"rsq_graph_builder_linear", STATUS, call_linear, {BUILDER_AND_NAME, FILLED("layer", layer), NEW_VALUE}},
        {"rsq_graph_builder_batch_norm", STATUS, call_batch_norm, {BUILDER_AND_NAME, FILLED("parameters", norm), NEW_VALUE}},
        {"rsq_graph_builder_unary", STATUS, call_unary, {BUILDER_AND_NAME, NEW_VALUE}},
        {"rsq_graph_builder_binary", STATUS, call_binary, {BUILDER_AND_NAME, NEW_VALUE}},
        {"rsq_graph_builder_matmul", STATUS, call_matmul, {BUILDER_AND_NAME, NEW_VALUE}},
        {"rsq_graph_builder_pool", STATUS, call_pool,
         {BUILDER_AND_NAME, {"window", OPTIONS, OBJECT_TYPES, sizeof(rsq_window), NULL, 1}, NEW_VALUE}},
        {"rsq_graph_builder_reduce_mean", STATUS, call_reduce_mean, {BUILDER_AND_NAME, FILLED("axes", image_axes), NEW_VALUE}},
        {"rsq_graph_builder_softmax", STATUS, call_softmax, {BUILDER_AND_NAME, NEW_VALUE}},
        {"rsq_graph_builder_flatten", STATUS, call_flatten, {BUILDER_AND_NAME, NEW_VALUE}},
        {"rsq_graph_builder_reshape", STATUS, call_reshape, {BUILDER_AND_NAME, FILLED("dims", flat_dims), NEW_VALUE}},
        {"rsq_graph_builder_transpose", STATUS, call_transpose, {BUILDER_AND_NAME, FILLED("axes", swapped), NEW_VALUE}},
        {"rsq_graph_builder_concat", STATUS, call_concat, {BUILDER_AND_NAME, FILLED("values", both), NEW_VALUE}},
        {"rsq_graph_builder_pad", STATUS, call_pad, {BUILDER_AND_NAME, FILLED("before", dims), FILLED("after", dims), NEW_VALUE}},
        {"rsq_graph_builder_recurrent", STATUS, call_recurrent,
         {{"builder", FRESH_HANDLE, OBJECT_BUILDER, 0, NULL, 0}, {"name", TEXT, OBJECT_TYPES, 0, "", 1}, FILLED("layer", recurrent), {"out_sequence", OUT_VALUE, OBJECT_TYPES, sizeof(rsq_value), NULL, 1},
          {"out_hidden", OUT_VALUE, OBJECT_TYPES, sizeof(rsq_value), NULL, 1}, {"out_cell", OUT_VALUE, OBJECT_TYPES, sizeof(rsq_value), NULL, 1}}},
        {"rsq_graph_builder_output", STATUS, call_output, {{"builder", FRESH_HANDLE, OBJECT_BUILDER, 0, NULL, 0}}},
        {"rsq_graph_builder_finish", STATUS, call_finish, {HANDLE_OF("builder", OBJECT_BUILDER), NEW_OBJECT(OBJECT_GRAPH)}},
        {"rsq_graph_builder_free", NOTHING, call_rsq_graph_builder_free, {{"builder", FRESH_HANDLE, OBJECT_BUILDER, 0, NULL, 1}}},
        END_OF_TABLE};
    return rows;
}
