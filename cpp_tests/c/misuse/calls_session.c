/* Sessions. */
#include "calls.h"

static const int64_t image_dims[] = {BATCH, 3, 20, 20}, logit_dims[] = {BATCH, CLASSES};
static float logits[BATCH * CLASSES];

static int64_t call_new(void *const *a) { return rsq_session_new(a[0], a[1], a[2]); }
static int64_t call_float_new(void *const *a) { return rsq_float_session_new(a[0], a[1], a[2], a[3]); }
static int64_t call_output_shape(void *const *a) { return rsq_session_output_shape(a[0], a[1], 1, 0, a[2], a[3]); }
static int64_t call_run(void *const *a) { return rsq_run(a[0], a[1], 1, a[2], 1); }
COUNT_CALL(rsq_session_input_count)
COUNT_CALL(rsq_session_output_count)
COUNT_CALL(rsq_session_step_count)
COUNT_CALL(rsq_session_memory_bytes)
INDEX_CALL(rsq_session_input_index)
INDEX_CALL(rsq_session_output_index)
INFO_CALL(rsq_session_input_info)
INFO_CALL(rsq_session_output_info)
INFO_CALL(rsq_session_step_info)
INFO_CALL(rsq_session_step_profile)
static int64_t call_profile(void *const *a) { return rsq_session_profile(a[0], a[1]); }
static int64_t call_profile_reset(void *const *a) { return rsq_session_profile_reset(a[0]); }
static int64_t call_measure_roof(void *const *a) { return rsq_measure_roof(a[0], a[1]); }
FREE_CALL(rsq_session_free)

const function *session_calls(void) {
    static const rsq_shape shape = {image_dims, 4};
    static rsq_tensor_view input = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, image_dims, NULL};
    static const rsq_tensor_mut output = {logits, sizeof logits, RSQ_DTYPE_F32, 2, logit_dims, NULL};
    static const function rows[] = {
        {"rsq_session_new", STATUS, call_new,
         {HANDLE_OF("model", OBJECT_MODEL), {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_session_options), NULL, 1},
          NEW_OBJECT(OBJECT_SESSION)}},
        {"rsq_float_session_new", STATUS, call_float_new,
         {CONTEXT_OR_NULL, HANDLE_OF("graph", OBJECT_GRAPH), {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_session_options), NULL, 1},
          NEW_OBJECT(OBJECT_SESSION)}},
        {"rsq_session_input_count", COUNT, call_rsq_session_input_count, {HANDLE_OF("session", OBJECT_SESSION)}},
        {"rsq_session_output_count", COUNT, call_rsq_session_output_count, {HANDLE_OF("session", OBJECT_SESSION)}},
        {"rsq_session_input_index", STATUS, call_rsq_session_input_index, INDEX_OF("session", OBJECT_SESSION, "image")},
        {"rsq_session_output_index", STATUS, call_rsq_session_output_index, INDEX_OF("session", OBJECT_SESSION, "gemm102")},
        {"rsq_session_input_info", STATUS, call_rsq_session_input_info,
         {HANDLE_OF("session", OBJECT_SESSION), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_session_output_info", STATUS, call_rsq_session_output_info,
         {HANDLE_OF("session", OBJECT_SESSION), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_session_output_shape", STATUS, call_output_shape,
         {HANDLE_OF("session", OBJECT_SESSION), {"input_shapes", IN_ARRAY, OBJECT_TYPES, sizeof shape, &shape, 0},
          {"out_dims", OUT_VALUE, OBJECT_TYPES, sizeof(int64_t) * RSQ_MAX_RANK, NULL, 0},
          {"out_rank", OUT_VALUE, OBJECT_TYPES, sizeof(uint32_t), NULL, 0}}},
        {"rsq_session_step_count", COUNT, call_rsq_session_step_count, {HANDLE_OF("session", OBJECT_SESSION)}},
        {"rsq_session_step_info", STATUS, call_rsq_session_step_info, {HANDLE_OF("session", OBJECT_SESSION), INFO_STRUCT(rsq_step_info)}},
        {"rsq_session_memory_bytes", COUNT, call_rsq_session_memory_bytes, {HANDLE_OF("session", OBJECT_SESSION)}},
        {"rsq_run", STATUS, call_run,
         {HANDLE_OF("session", OBJECT_SESSION), {"inputs", IN_ARRAY, OBJECT_TYPES, sizeof input, &input, 0},
          {"outputs", IN_ARRAY, OBJECT_TYPES, sizeof output, &output, 0}}},
        {"rsq_session_profile", STATUS, call_profile, {HANDLE_OF("session", OBJECT_SESSION), INFO_STRUCT(rsq_profile)}},
        {"rsq_session_step_profile", STATUS, call_rsq_session_step_profile,
         {HANDLE_OF("session", OBJECT_SESSION), INFO_STRUCT(rsq_step_profile)}},
        {"rsq_session_profile_reset", STATUS, call_profile_reset, {HANDLE_OF("session", OBJECT_SESSION)}},
        {"rsq_measure_roof", STATUS, call_measure_roof, {CONTEXT_OR_NULL, INFO_STRUCT(rsq_roof)}},
        {"rsq_session_free", NOTHING, call_rsq_session_free, {{"session", FRESH_HANDLE, OBJECT_SESSION, 0, NULL, 1}}},
        END_OF_TABLE};
    input.data = images;
    return rows;
}
