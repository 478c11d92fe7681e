/* Versions and contexts. */
#include "calls.h"

static int64_t call_version_number(void *const *a) {
    (void)a;
    return rsq_version_number();
}
static int64_t call_version_string(void *const *a) {
    (void)a;
    return rsq_version_string()[0] != '\0';
}
static int64_t call_abi_version(void *const *a) {
    (void)a;
    return rsq_abi_version();
}
static int64_t call_status_name(void *const *a) {
    (void)a;
    return rsq_status_name(-1)[0] == 'U' && rsq_status_name(INT32_MIN)[0] == 'U' && rsq_status_name(INT32_MAX)[0] == 'U';
}
static int64_t call_last_error(void *const *a) {
    return (int64_t)rsq_last_error(a[0], 24) + 1; /* there may be none yet */
}
static int64_t call_isa_detected(void *const *a) {
    (void)a;
    return rsq_isa_detected();
}
static int64_t call_isa_name(void *const *a) {
    (void)a;
    return rsq_isa_name(RSQ_ISA_NONE)[0] == 'u' && rsq_isa_name(UINT32_MAX)[0] == 'u';
}

const function *version_calls(void) {
    static const function rows[] = {
        {"rsq_version_number", COUNT, call_version_number, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        {"rsq_version_string", COUNT, call_version_string, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        {"rsq_abi_version", COUNT, call_abi_version, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        {"rsq_status_name", COUNT, call_status_name, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        {"rsq_last_error", COUNT, call_last_error, {{"buffer", OUT_BUFFER, OBJECT_TYPES, 24, NULL, 1}}},
        {"rsq_isa_detected", COUNT, call_isa_detected, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        {"rsq_isa_name", COUNT, call_isa_name, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}},
        END_OF_TABLE};
    return rows;
}

static int64_t call_context_new(void *const *a) { return rsq_context_new(a[0], a[1]); }
static int64_t call_memory_bytes(void *const *a) { return rsq_context_memory_bytes(a[0], a[1]); }
FREE_CALL(rsq_context_free)

const function *context_calls(void) {
    static const function rows[] = {
        {"rsq_context_new", STATUS, call_context_new,
         {{"options", OPTIONS, OBJECT_TYPES, sizeof(rsq_context_options), NULL, 1}, NEW_OBJECT(OBJECT_CONTEXT)}},
        {"rsq_context_memory_bytes", STATUS, call_memory_bytes,
         {CONTEXT_OR_NULL, {"out", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}},
        {"rsq_context_free", NOTHING, call_rsq_context_free, {{"context", FRESH_HANDLE, OBJECT_CONTEXT, 0, NULL, 1}}},
        END_OF_TABLE};
    return rows;
}
