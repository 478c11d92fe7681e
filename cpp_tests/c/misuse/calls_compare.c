/* Comparisons. */
#include "calls.h"

static const int64_t image_dims[] = {BATCH, 3, 20, 20};

static int64_t call_new(void *const *a) { return rsq_comparison_new(a[0], a[1], a[2]); }
static int64_t call_compare(void *const *a) { return rsq_compare(a[0], a[1], 1); }
static int64_t call_samples(void *const *a) { return rsq_comparison_samples(a[0], a[1]); }
COUNT_CALL(rsq_comparison_layer_count)
COUNT_CALL(rsq_comparison_output_count)
INFO_CALL(rsq_comparison_layer_info)
INFO_CALL(rsq_comparison_output_info)
FREE_CALL(rsq_comparison_free)

const function *compare_calls(void) {
    static rsq_tensor_view input = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, image_dims, NULL};
    static const function rows[] = {
        {"rsq_comparison_new", STATUS, call_new,
         {HANDLE_OF("graph", OBJECT_GRAPH), HANDLE_OF("model", OBJECT_MODEL), NEW_OBJECT(OBJECT_COMPARISON)}},
        {"rsq_compare", STATUS, call_compare,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), {"inputs", IN_ARRAY, OBJECT_TYPES, sizeof input, &input, 0}}},
        {"rsq_comparison_samples", STATUS, call_samples,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), {"out", OUT_VALUE, OBJECT_TYPES, sizeof(uint64_t), NULL, 0}}},
        {"rsq_comparison_layer_count", COUNT, call_rsq_comparison_layer_count, {HANDLE_OF("comparison", OBJECT_COMPARISON)}},
        {"rsq_comparison_layer_info", STATUS, call_rsq_comparison_layer_info,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), INFO_STRUCT(rsq_layer_comparison)}},
        {"rsq_comparison_output_count", COUNT, call_rsq_comparison_output_count, {HANDLE_OF("comparison", OBJECT_COMPARISON)}},
        {"rsq_comparison_output_info", STATUS, call_rsq_comparison_output_info,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), INFO_STRUCT(rsq_output_comparison)}},
        {"rsq_comparison_free", NOTHING, call_rsq_comparison_free, {{"comparison", FRESH_HANDLE, OBJECT_COMPARISON, 0, NULL, 1}}},
        END_OF_TABLE};
    input.data = images;
    return rows;
}
