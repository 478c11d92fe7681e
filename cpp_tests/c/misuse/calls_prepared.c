/* Calibration and conversion. */
#include "calls.h"

static int64_t call_prepare(void *const *a) { return rsq_prepare(a[0], a[1], a[2], a[3], a[4]); }
static int64_t call_calibrate(void *const *a) { return rsq_calibrate(a[0], a[1], 1); }
static int64_t call_samples(void *const *a) { return rsq_calibration_samples(a[0], a[1]); }
static int64_t call_save(void *const *a) { return rsq_calibration_save(a[0], a[1]); }
static int64_t call_load(void *const *a) { return rsq_calibration_load(a[0], a[1]); }
static int64_t call_merge(void *const *a) { return rsq_calibration_merge(a[0], a[1]); }
static int64_t call_convert(void *const *a) { return rsq_convert(a[0], a[1]); }
FREE_CALL(rsq_prepared_free)

const function *prepared_calls(void) {
    static const int64_t dims[] = {BATCH, 3, 20, 20};
    static rsq_tensor_view view = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
    static function rows[] = {
        {"rsq_prepare", STATUS, call_prepare,
         {CONTEXT_OR_NULL, HANDLE_OF("graph", OBJECT_GRAPH), HANDLE_OF("qconfig", OBJECT_QCONFIG),
          {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_prepare_options), NULL, 1}, NEW_OBJECT(OBJECT_PREPARED)}},
        {"rsq_calibrate", STATUS, call_calibrate,
         {{"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 0}, {"inputs", IN_ARRAY, OBJECT_TYPES, sizeof view, &view, 0}}},
        {"rsq_calibration_samples", STATUS, call_samples,
         {HANDLE_OF("prepared", OBJECT_PREPARED), {"out", OUT_VALUE, OBJECT_TYPES, sizeof(uint64_t), NULL, 0}}},
        {"rsq_calibration_save", STATUS, call_save, {HANDLE_OF("prepared", OBJECT_PREPARED), PATH_AT(scratch_path)}},
        {"rsq_calibration_load", STATUS, call_load,
         {{"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 0}, PATH_AT(calibration_path)}},
        {"rsq_calibration_merge", STATUS, call_merge,
         {{"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 0}, PATH_AT(calibration_path)}},
        {"rsq_convert", STATUS, call_convert, {HANDLE_OF("prepared", OBJECT_PREPARED), NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_prepared_free", NOTHING, call_rsq_prepared_free, {{"prepared", FRESH_HANDLE, OBJECT_PREPARED, 0, NULL, 1}}},
        END_OF_TABLE};
    view.data = images;
    return rows;
}
