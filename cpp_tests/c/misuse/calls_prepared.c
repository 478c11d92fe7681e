/* Calibration and conversion. */
#include "calls.h"

enum { STATE_BYTES = 1 << 19 };

/* The statistics of the living prepared, as they leave it. */
static unsigned char state[STATE_BYTES];
static size_t state_size;

static int32_t go_on(void *user_data, const rsq_progress *progress) {
    (void)user_data;
    (void)progress;
    return 0;
}

static int64_t call_prepare(void *const *a) { return rsq_prepare(a[0], a[1], a[2], a[3], a[4]); }
static int64_t call_calibrate(void *const *a) { return rsq_calibrate(a[0], a[1], 1); }
static int64_t call_samples(void *const *a) { return rsq_calibration_samples(a[0], a[1]); }
static int64_t call_progress(void *const *a) { return rsq_prepared_set_progress(a[0], go_on, a[1]); }
static int64_t call_save(void *const *a) { return rsq_calibration_save(a[0], a[1]); }
static int64_t call_to_buffer(void *const *a) { return rsq_calibration_to_buffer(a[0], a[1], STATE_BYTES, a[2]); }
static int64_t call_load(void *const *a) { return rsq_calibration_load(a[0], a[1]); }
static int64_t call_from_bytes(void *const *a) { return rsq_calibration_from_bytes(a[0], a[1], state_size); }
static int64_t call_merge(void *const *a) { return rsq_calibration_merge(a[0], a[1]); }
static int64_t call_merge_files(void *const *a) { return rsq_calibration_merge_files(a[0], a[1], 2); }
static int64_t call_merge_bytes(void *const *a) { return rsq_calibration_merge_bytes(a[0], a[1], state_size); }
static int64_t call_convert(void *const *a) { return rsq_convert(a[0], a[1]); }
FREE_CALL(rsq_prepared_free)

#define NEW_PREPARED {"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 0}
#define STATE {"bytes", BYTES, OBJECT_TYPES, STATE_BYTES, state, 0}

const function *prepared_calls(void) {
    static const int64_t dims[] = {BATCH, 3, 20, 20};
    static rsq_tensor_view view = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
    static const char *const paths[] = {calibration_path, calibration_path};
    static function rows[] = {
        {"rsq_prepare", STATUS, call_prepare,
         {CONTEXT_OR_NULL, HANDLE_OF("graph", OBJECT_GRAPH), HANDLE_OF("qconfig", OBJECT_QCONFIG),
          {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_prepare_options), NULL, 1}, NEW_OBJECT(OBJECT_PREPARED)}},
        {"rsq_calibrate", STATUS, call_calibrate,
         {NEW_PREPARED, {"inputs", IN_ARRAY, OBJECT_TYPES, sizeof view, &view, 0}}},
        {"rsq_calibration_samples", STATUS, call_samples,
         {HANDLE_OF("prepared", OBJECT_PREPARED), {"out", OUT_VALUE, OBJECT_TYPES, sizeof(uint64_t), NULL, 0}}},
        {"rsq_prepared_set_progress", STATUS, call_progress, {NEW_PREPARED, {"user_data", BYTES, OBJECT_TYPES, sizeof dims, dims, 1}}},
        {"rsq_calibration_save", STATUS, call_save, {HANDLE_OF("prepared", OBJECT_PREPARED), PATH_AT(scratch_path)}},
        {"rsq_calibration_to_buffer", STATUS, call_to_buffer,
         {HANDLE_OF("prepared", OBJECT_PREPARED), {"buffer", OUT_BUFFER, OBJECT_TYPES, STATE_BYTES, NULL, 1},
          {"out_size", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_calibration_load", STATUS, call_load, {NEW_PREPARED, PATH_AT(calibration_path)}},
        {"rsq_calibration_from_bytes", STATUS, call_from_bytes, {NEW_PREPARED, STATE}},
        {"rsq_calibration_merge", STATUS, call_merge, {NEW_PREPARED, PATH_AT(calibration_path)}},
        {"rsq_calibration_merge_files", STATUS, call_merge_files,
         {NEW_PREPARED, {"utf8_paths", IN_ARRAY, OBJECT_TYPES, sizeof paths, paths, 0}}},
        {"rsq_calibration_merge_bytes", STATUS, call_merge_bytes, {NEW_PREPARED, STATE}},
        {"rsq_convert", STATUS, call_convert, {HANDLE_OF("prepared", OBJECT_PREPARED), NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_prepared_free", NOTHING, call_rsq_prepared_free, {{"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 1}}},
        END_OF_TABLE};
    view.data = images;
    rsq_calibration_to_buffer(object_living(OBJECT_PREPARED), state, sizeof state, &state_size);
    return rows;
}
