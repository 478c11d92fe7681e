/* Qconfigs. */
#include "calls.h"

static int64_t call_default_static(void *const *a) { return rsq_qconfig_default_static(a[0]); }
static int64_t call_default_dynamic(void *const *a) { return rsq_qconfig_default_dynamic(a[0]); }
static int64_t call_torch_dynamic(void *const *a) { return rsq_qconfig_torch_dynamic(a[0]); }
static int64_t call_from_json(void *const *a) { return rsq_qconfig_from_json(a[0], a[1]); }
static int64_t call_set(void *const *a) { return rsq_qconfig_set(a[0], a[1], a[2]); }
static int64_t call_set_strict(void *const *a) { return rsq_qconfig_set_strict(a[0], 0); }
static int64_t call_set_drop_inf(void *const *a) { return rsq_qconfig_set_drop_inf(a[0], 0); }
static int64_t call_to_json(void *const *a) { return rsq_qconfig_to_json(a[0], a[1], 4096, a[2]); }
FREE_CALL(rsq_qconfig_free)

const function *qconfig_calls(void) {
    static char json[4096];
    static function rows[] = {
        {"rsq_qconfig_default_static", STATUS, call_default_static, {NEW_OBJECT(OBJECT_QCONFIG)}},
        {"rsq_qconfig_default_dynamic", STATUS, call_default_dynamic, {NEW_OBJECT(OBJECT_QCONFIG)}},
        {"rsq_qconfig_torch_dynamic", STATUS, call_torch_dynamic, {NEW_OBJECT(OBJECT_QCONFIG)}},
        {"rsq_qconfig_from_json", STATUS, call_from_json, {{"utf8_json", TEXT, OBJECT_TYPES, 0, json, 0}, NEW_OBJECT(OBJECT_QCONFIG)}},
        {"rsq_qconfig_set", STATUS, call_set,
         {{"qconfig", FRESH_HANDLE, OBJECT_QCONFIG, 0, NULL, 0}, {"scope", TEXT, OBJECT_TYPES, 0, "op:Conv", 0},
          {"layer", OPTIONS, OBJECT_TYPES, sizeof(rsq_layer_qconfig), NULL, 0}}},
        {"rsq_qconfig_set_strict", STATUS, call_set_strict, {HANDLE_OF("qconfig", OBJECT_QCONFIG)}},
        {"rsq_qconfig_set_drop_inf", STATUS, call_set_drop_inf, {HANDLE_OF("qconfig", OBJECT_QCONFIG)}},
        {"rsq_qconfig_to_json", STATUS, call_to_json,
         {HANDLE_OF("qconfig", OBJECT_QCONFIG), {"buffer", OUT_BUFFER, OBJECT_TYPES, 4096, NULL, 1},
          {"out_length", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_qconfig_free", NOTHING, call_rsq_qconfig_free, {{"qconfig", FRESH_HANDLE, OBJECT_QCONFIG, 0, NULL, 1}}},
        END_OF_TABLE};
    size_t length = 0;
    rsq_qconfig_to_json(object_living(OBJECT_QCONFIG), json, sizeof json, &length);
    return rows;
}
