/* int8 models. */
#include "calls.h"

#include <stdlib.h>
#include <string.h>

static int64_t call_save(void *const *a) { return rsq_model_save(a[0], a[1]); }
static int64_t call_to_buffer(void *const *a) { return rsq_model_to_buffer(a[0], a[1], model_size, a[2]); }
static int64_t call_load(void *const *a) { return rsq_model_load(a[0], a[1], a[2]); }
static int64_t call_load_copied(void *const *a) { return rsq_model_load_copied(a[0], a[1], a[2]); }
/* The model's bytes on a 64-byte boundary, which models that run in place refer to for good. */
static const void *aligned_model(void) {
    static unsigned char *room = NULL;
    unsigned char *place;
    if (room == NULL) {
        room = malloc(model_size + 64);
    }
    place = room + (64 - (uintptr_t)room % 64) % 64;
    memcpy(place, model_bytes, model_size);
    return place;
}
static int64_t call_from_static(void *const *a) { return rsq_model_from_static(a[0], a[1] == NULL ? NULL : aligned_model(), model_size, a[2]); }
static int64_t call_from_bytes(void *const *a) { return rsq_model_from_bytes(a[0], a[1], model_size, a[2]); }
COUNT_CALL(rsq_model_input_count)
COUNT_CALL(rsq_model_output_count)
COUNT_CALL(rsq_model_layer_count)
INDEX_CALL(rsq_model_input_index)
INDEX_CALL(rsq_model_output_index)
INFO_CALL(rsq_model_input_info)
INFO_CALL(rsq_model_output_info)
INFO_CALL(rsq_model_layer_info)
FREE_CALL(rsq_model_free)

const function *model_calls(void) {
    static function rows[] = {
        {"rsq_model_to_buffer", STATUS, call_to_buffer,
         {HANDLE_OF("model", OBJECT_MODEL), {"buffer", OUT_BUFFER, OBJECT_TYPES, 0, NULL, 1},
          {"out_size", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_model_from_bytes", STATUS, call_from_bytes,
         {CONTEXT_OR_NULL, {"bytes", BYTES, OBJECT_TYPES, 0, NULL, 0}, NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_model_from_static", STATUS, call_from_static,
         {CONTEXT_OR_NULL, {"bytes", BYTES, OBJECT_TYPES, 0, NULL, 0}, NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_model_save", STATUS, call_save, {HANDLE_OF("model", OBJECT_MODEL), PATH_AT(scratch_path)}},
        {"rsq_model_load", STATUS, call_load, {CONTEXT_OR_NULL, PATH_AT(model_path), NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_model_load_copied", STATUS, call_load_copied, {CONTEXT_OR_NULL, PATH_AT(model_path), NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_model_input_count", COUNT, call_rsq_model_input_count, {HANDLE_OF("model", OBJECT_MODEL)}},
        {"rsq_model_output_count", COUNT, call_rsq_model_output_count, {HANDLE_OF("model", OBJECT_MODEL)}},
        {"rsq_model_input_index", STATUS, call_rsq_model_input_index, INDEX_OF("model", OBJECT_MODEL, "image")},
        {"rsq_model_output_index", STATUS, call_rsq_model_output_index, INDEX_OF("model", OBJECT_MODEL, "gemm102")},
        {"rsq_model_input_info", STATUS, call_rsq_model_input_info, {HANDLE_OF("model", OBJECT_MODEL), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_model_output_info", STATUS, call_rsq_model_output_info, {HANDLE_OF("model", OBJECT_MODEL), INFO_STRUCT(rsq_tensor_info)}},
        {"rsq_model_layer_count", COUNT, call_rsq_model_layer_count, {HANDLE_OF("model", OBJECT_MODEL)}},
        {"rsq_model_layer_info", STATUS, call_rsq_model_layer_info, {HANDLE_OF("model", OBJECT_MODEL), INFO_STRUCT(rsq_layer_info)}},
        {"rsq_model_free", NOTHING, call_rsq_model_free, {{"model", FRESH_HANDLE, OBJECT_MODEL, 0, NULL, 1}}},
        END_OF_TABLE};
    rows[0].arguments[1].size = model_size;
    rows[1].arguments[1].value = model_bytes;
    rows[1].arguments[1].size = model_size;
    return rows;
}
