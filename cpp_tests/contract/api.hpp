// The functions of the library that a whole job uses, linked or found in a library that was opened.
#pragma once

#include <rsquant.h>

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#define CONTRACT_FUNCTIONS(ONE)                                                                                             \
    ONE(rsq_last_error) ONE(rsq_status_name) ONE(rsq_context_new) ONE(rsq_context_free) ONE(rsq_graph_from_onnx_bytes)      \
    ONE(rsq_graph_free) ONE(rsq_qconfig_default_static) ONE(rsq_qconfig_default_dynamic) ONE(rsq_qconfig_set)               \
    ONE(rsq_qconfig_free) ONE(rsq_prepare) ONE(rsq_calibrate) ONE(rsq_calibration_save) ONE(rsq_calibration_merge)          \
    ONE(rsq_prepared_free) ONE(rsq_convert) ONE(rsq_model_save) ONE(rsq_model_load) ONE(rsq_model_load_copied)              \
    ONE(rsq_model_to_buffer) ONE(rsq_model_free) ONE(rsq_session_new) ONE(rsq_float_session_new) ONE(rsq_session_memory_bytes) \
    ONE(rsq_run) ONE(rsq_session_free)

struct Api {
#define CONTRACT_MEMBER(name) decltype(&::name) name;
    CONTRACT_FUNCTIONS(CONTRACT_MEMBER)
#undef CONTRACT_MEMBER
};

// The functions that this program is linked to.
inline Api linked_api() {
    Api api;
#define CONTRACT_LINKED(name) api.name = &::name;
    CONTRACT_FUNCTIONS(CONTRACT_LINKED)
#undef CONTRACT_LINKED
    return api;
}

// The functions of a library that dlopen has opened. Ends the program if one is missing.
inline Api api_of(void* library) {
    Api api;
#define CONTRACT_FOUND(name)                                                    \
    api.name = reinterpret_cast<decltype(&::name)>(dlsym(library, #name));      \
    if (api.name == nullptr) {                                                  \
        std::fprintf(stderr, "the library has no %s\n", #name);                 \
        std::exit(1);                                                           \
    }
    CONTRACT_FUNCTIONS(CONTRACT_FOUND)
#undef CONTRACT_FOUND
    return api;
}
