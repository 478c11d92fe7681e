/* The observer door. */
#include "calls.h"

enum { VALUES = 4 };

static const float values[VALUES] = {-1, 0, 1, 2};

static int64_t call_new(void *const *a) { return rsq_observer_new(RSQ_OBSERVER_MIN_MAX, a[0], a[1]); }
static int64_t call_observe(void *const *a) { return rsq_observer_observe(a[0], a[1], VALUES, 1); }
static int64_t call_merge(void *const *a) { return rsq_observer_merge(a[0], a[1]); }
static int64_t call_solve(void *const *a) { return rsq_observer_solve(a[0], a[1], 1, a[2], a[3], a[4], a[5]); }
static int64_t call_range(void *const *a) { return rsq_qparams_of_range(-1, 1, a[0], a[1], a[2]); }
static int64_t call_info(void *const *a) { return rsq_observer_get_info(a[0], a[1]); }
static int64_t call_to_buffer(void *const *a) { return rsq_observer_to_buffer(a[0], a[1], observer_size, a[2]); }
static int64_t call_from_bytes(void *const *a) { return rsq_observer_from_bytes(a[0], observer_size, a[1]); }
FREE_CALL(rsq_observer_free)

const function *observer_calls(void) {
    static function rows[] = {
        {"rsq_observer_new", STATUS, call_new,
         {{"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_observer_options), NULL, 1}, NEW_OBJECT(OBJECT_OBSERVER)}},
        {"rsq_observer_observe", STATUS, call_observe,
         {HANDLE_OF("observer", OBJECT_OBSERVER), {"values", IN_ARRAY, OBJECT_TYPES, sizeof values, values, 0}}},
        {"rsq_observer_merge", STATUS, call_merge,
         {{"observer", FRESH_HANDLE, OBJECT_OBSERVER, 0, NULL, 0}, HANDLE_OF("other", OBJECT_OBSERVER)}},
        {"rsq_observer_solve", STATUS, call_solve,
         {HANDLE_OF("observer", OBJECT_OBSERVER), {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_solve_options), NULL, 1},
          {"scales", OUT_VALUE, OBJECT_TYPES, sizeof(float), NULL, 0}, {"zero_points", OUT_VALUE, OBJECT_TYPES, sizeof(int32_t), NULL, 0},
          {"ranges", OUT_VALUE, OBJECT_TYPES, 2 * sizeof(float), NULL, 1},
          {"predicted_sqnr_db", OUT_VALUE, OBJECT_TYPES, sizeof(double), NULL, 1}}},
        {"rsq_qparams_of_range", STATUS, call_range,
         {{"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_solve_options), NULL, 1},
          {"out_scale", OUT_VALUE, OBJECT_TYPES, sizeof(float), NULL, 0},
          {"out_zero_point", OUT_VALUE, OBJECT_TYPES, sizeof(int32_t), NULL, 0}}},
        {"rsq_observer_get_info", STATUS, call_info, {HANDLE_OF("observer", OBJECT_OBSERVER), INFO_STRUCT(rsq_observer_info)}},
        {"rsq_observer_to_buffer", STATUS, call_to_buffer,
         {HANDLE_OF("observer", OBJECT_OBSERVER), {"buffer", OUT_BUFFER, OBJECT_TYPES, sizeof observer_bytes, NULL, 1},
          {"out_size", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_observer_from_bytes", STATUS, call_from_bytes,
         {{"bytes", BYTES, OBJECT_TYPES, sizeof observer_bytes, observer_bytes, 0}, NEW_OBJECT(OBJECT_OBSERVER)}},
        {"rsq_observer_free", NOTHING, call_rsq_observer_free, {{"observer", FRESH_HANDLE, OBJECT_OBSERVER, 0, NULL, 1}}},
        END_OF_TABLE};
    return rows;
}
