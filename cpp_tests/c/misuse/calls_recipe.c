/* Recipes. */
#include "calls.h"

enum { JSON_BYTES = 1 << 16 };

/* A TensorRT cache that knows the input alone. */
static const char cache[] = "TRT-8601-EntropyCalibration2\nimage: 3c008912\n";

static int64_t call_make(void *const *a) { return rsq_prepared_recipe(a[0], a[1]); }
static int64_t call_from_json(void *const *a) { return rsq_recipe_from_json(a[0], a[1]); }
static int64_t call_load(void *const *a) { return rsq_recipe_load(a[0], a[1]); }
static int64_t call_import(void *const *a) { return rsq_recipe_import(a[0], a[1], RSQ_CALIBRATION_FORMAT_AUTO, a[2], sizeof cache - 1, a[3], a[4]); }
static int64_t call_save(void *const *a) { return rsq_recipe_save(a[0], a[1]); }
static int64_t call_to_json(void *const *a) { return rsq_recipe_to_json(a[0], a[1], JSON_BYTES, a[2]); }
static int64_t call_convert(void *const *a) { return rsq_convert_with_recipe(a[0], a[1], a[2], a[3]); }
COUNT_CALL(rsq_recipe_activation_count)
INFO_CALL(rsq_recipe_activation_info)
FREE_CALL(rsq_recipe_free)

const function *recipe_calls(void) {
    static char json[JSON_BYTES];
    static function rows[] = {
        {"rsq_prepared_recipe", STATUS, call_make, {HANDLE_OF("prepared", OBJECT_PREPARED), NEW_OBJECT(OBJECT_RECIPE)}},
        {"rsq_recipe_from_json", STATUS, call_from_json, {{"utf8_json", TEXT, OBJECT_TYPES, 0, json, 0}, NEW_OBJECT(OBJECT_RECIPE)}},
        {"rsq_recipe_load", STATUS, call_load, {PATH_AT(recipe_path), NEW_OBJECT(OBJECT_RECIPE)}},
        {"rsq_recipe_import", STATUS, call_import,
         {CONTEXT_OR_NULL, HANDLE_OF("graph", OBJECT_GRAPH), {"bytes", BYTES, OBJECT_TYPES, sizeof cache - 1, cache, 0},
          {"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_prepare_options), NULL, 1}, NEW_OBJECT(OBJECT_RECIPE)}},
        {"rsq_recipe_save", STATUS, call_save, {HANDLE_OF("recipe", OBJECT_RECIPE), PATH_AT(scratch_path)}},
        {"rsq_recipe_to_json", STATUS, call_to_json,
         {HANDLE_OF("recipe", OBJECT_RECIPE), {"buffer", OUT_BUFFER, OBJECT_TYPES, JSON_BYTES, NULL, 1},
          {"out_length", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_recipe_activation_count", COUNT, call_rsq_recipe_activation_count, {HANDLE_OF("recipe", OBJECT_RECIPE)}},
        {"rsq_recipe_activation_info", STATUS, call_rsq_recipe_activation_info,
         {HANDLE_OF("recipe", OBJECT_RECIPE), INFO_STRUCT(rsq_recipe_activation)}},
        {"rsq_convert_with_recipe", STATUS, call_convert,
         {CONTEXT_OR_NULL, HANDLE_OF("graph", OBJECT_GRAPH), HANDLE_OF("recipe", OBJECT_RECIPE), NEW_OBJECT(OBJECT_MODEL)}},
        {"rsq_recipe_free", NOTHING, call_rsq_recipe_free, {{"recipe", FRESH_HANDLE, OBJECT_RECIPE, 0, NULL, 1}}},
        END_OF_TABLE};
    size_t length = 0;
    rsq_recipe_to_json(object_living(OBJECT_RECIPE), json, sizeof json, &length);
    return rows;
}
