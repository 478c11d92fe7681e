/* Comparisons, rankings, tuning and reports. */
#include "calls.h"

enum { REPORT_BYTES = 1 << 19 };

static int64_t call_new(void *const *a) { return rsq_comparison_new(a[0], a[1], a[2]); }
/* The living comparison takes floats: the images are taken back. */
static int64_t call_set_images(void *const *a) {
    const int64_t status = rsq_comparison_set_images(a[0], a[1], 1);
    return status == RSQ_OK ? rsq_comparison_set_images(a[0], NULL, 0) : status;
}
static int64_t call_compare(void *const *a) { return rsq_compare(a[0], a[1], 1); }
static int64_t call_samples(void *const *a) { return rsq_comparison_samples(a[0], a[1]); }
static int64_t call_sensitivity(void *const *a) { return rsq_sensitivity_new(a[0], a[1], 1, NULL, a[2], a[3]); }
static int64_t call_tune(void *const *a) { return rsq_tune(a[0], a[1], 1, a[2], a[3], a[4], a[5]); }
static int64_t call_report(void *const *a) {
    return rsq_report_to_buffer(a[0], a[1], a[2], a[3], RSQ_REPORT_HTML, a[4], REPORT_BYTES, a[5]);
}
static int64_t call_save(void *const *a) { return rsq_report_save(a[0], a[1], a[2], a[3], RSQ_REPORT_JSON, a[4]); }
COUNT_CALL(rsq_comparison_layer_count)
COUNT_CALL(rsq_comparison_output_count)
COUNT_CALL(rsq_sensitivity_layer_count)
INFO_CALL(rsq_comparison_layer_info)
INFO_CALL(rsq_comparison_output_info)
INFO_CALL(rsq_sensitivity_layer_info)
FREE_CALL(rsq_comparison_free)
FREE_CALL(rsq_sensitivity_free)

#define INPUTS {"inputs", IN_ARRAY, OBJECT_TYPES, sizeof input, &input, 0}
#define MEASURES {"comparison", HANDLE, OBJECT_COMPARISON, 0, NULL, 1}, {"sensitivity", HANDLE, OBJECT_SENSITIVITY, 0, NULL, 1}

const function *compare_calls(void) {
    static const int64_t dims[] = {BATCH, 3, 20, 20};
    static rsq_tensor_view input = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
    static rsq_tune_options tuning;
    static const float three[] = {0.5f, 0.5f, 0.5f};
    static rsq_image_input as_image;
    static const function rows[] = {
        {"rsq_comparison_new", STATUS, call_new,
         {HANDLE_OF("graph", OBJECT_GRAPH), HANDLE_OF("model", OBJECT_MODEL), NEW_OBJECT(OBJECT_COMPARISON)}},
        {"rsq_comparison_set_images", STATUS, call_set_images,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), {"images", IN_ARRAY, OBJECT_TYPES, sizeof as_image, &as_image, 0}}},
        {"rsq_compare", STATUS, call_compare, {HANDLE_OF("comparison", OBJECT_COMPARISON), INPUTS}},
        {"rsq_comparison_samples", STATUS, call_samples,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), {"out", OUT_VALUE, OBJECT_TYPES, sizeof(uint64_t), NULL, 0}}},
        {"rsq_comparison_layer_count", COUNT, call_rsq_comparison_layer_count, {HANDLE_OF("comparison", OBJECT_COMPARISON)}},
        {"rsq_comparison_output_count", COUNT, call_rsq_comparison_output_count, {HANDLE_OF("comparison", OBJECT_COMPARISON)}},
        {"rsq_comparison_layer_info", STATUS, call_rsq_comparison_layer_info,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), INFO_STRUCT(rsq_layer_comparison)}},
        {"rsq_comparison_output_info", STATUS, call_rsq_comparison_output_info,
         {HANDLE_OF("comparison", OBJECT_COMPARISON), INFO_STRUCT(rsq_output_comparison)}},
        {"rsq_comparison_free", NOTHING, call_rsq_comparison_free, {{"comparison", FRESH_HANDLE, OBJECT_COMPARISON, 0, NULL, 1}}},
        {"rsq_sensitivity_new", STATUS, call_sensitivity,
         {HANDLE_OF("prepared", OBJECT_PREPARED), INPUTS, {"user_data", BYTES, OBJECT_TYPES, sizeof dims, dims, 1},
          NEW_OBJECT(OBJECT_SENSITIVITY)}},
        {"rsq_sensitivity_layer_count", COUNT, call_rsq_sensitivity_layer_count, {HANDLE_OF("sensitivity", OBJECT_SENSITIVITY)}},
        {"rsq_sensitivity_layer_info", STATUS, call_rsq_sensitivity_layer_info,
         {HANDLE_OF("sensitivity", OBJECT_SENSITIVITY), INFO_STRUCT(rsq_layer_sensitivity)}},
        {"rsq_sensitivity_free", NOTHING, call_rsq_sensitivity_free, {{"sensitivity", FRESH_HANDLE, OBJECT_SENSITIVITY, 0, NULL, 1}}},
        {"rsq_tune", STATUS, call_tune,
         {HANDLE_OF("prepared", OBJECT_PREPARED), INPUTS, {"options", IN_ARRAY, OBJECT_TYPES, sizeof tuning, &tuning, 0},
          INFO_STRUCT(rsq_tune_result), {"out_recipe", OUT_HANDLE, OBJECT_RECIPE, 0, NULL, 0},
          {"out_model", OUT_HANDLE, OBJECT_MODEL, 0, NULL, 0}}},
        {"rsq_report_to_buffer", STATUS, call_report,
         {HANDLE_OF("prepared", OBJECT_PREPARED), HANDLE_OF("model", OBJECT_MODEL), MEASURES,
          {"buffer", OUT_BUFFER, OBJECT_TYPES, REPORT_BYTES, NULL, 1}, {"out_length", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_report_save", STATUS, call_save,
         {HANDLE_OF("prepared", OBJECT_PREPARED), HANDLE_OF("model", OBJECT_MODEL), MEASURES, PATH_AT(scratch_path)}},
        END_OF_TABLE};
    input.data = images;
    as_image.mean = as_image.std = three;
    as_image.channels = 3;
    as_image.divisor = 255.0f;
    tuning.struct_size = sizeof tuning;
    tuning.max_float_layers = 1;
    return rows;
}
