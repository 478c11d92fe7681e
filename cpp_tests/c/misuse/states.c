/* Calls that do not fit an object's state, values that no function takes, and indices behind the end. */
#include "checks.h"
#include "memory.h"
#include "objects.h"
#include "tensors.h"

#include <rsquant.h>

#include <string.h>

static const int64_t image_dims[] = {BATCH, 3, 20, 20}, logit_dims[] = {BATCH, CLASSES};
static float logits[BATCH * CLASSES];

static rsq_status calibrate(rsq_prepared *prepared) {
    const rsq_tensor_view view = {images, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, image_dims, NULL};
    return rsq_calibrate(prepared, &view, 1);
}

static rsq_status run(rsq_session *session) {
    const rsq_tensor_view view = {images, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, image_dims, NULL};
    const rsq_tensor_mut place = {logits, sizeof logits, RSQ_DTYPE_F32, 2, logit_dims, NULL};
    return rsq_run(session, &view, 1, &place, 1);
}

/* `asked`'s status with a place that must stay as it is. */
#define CHECK_REFUSED(type, expected, asked)                     \
    do {                                                         \
        type *out = memory_take(sizeof(type));                   \
        uint32_t size = (uint32_t)sizeof(type);                  \
        memcpy(out, &size, sizeof size);                         \
        memory_remember();                                       \
        check_status(asked, expected);                           \
        check(memory_is_as_remembered(), "no byte is written");  \
    } while (0)

#define CHECK_INDEX(function, type, Object, count)                                  \
    do {                                                                            \
        checking(#function, "index", "is behind the end");                          \
        memory_reset();                                                             \
        CHECK_REFUSED(type, RSQ_NOT_FOUND, function(object_living(Object), count, out));    \
        CHECK_REFUSED(type, RSQ_NOT_FOUND, function(object_living(Object), SIZE_MAX, out)); \
    } while (0)

static void check_indices(void) {
    CHECK_INDEX(rsq_graph_input_info, rsq_tensor_info, OBJECT_GRAPH, 1);
    CHECK_INDEX(rsq_graph_output_info, rsq_tensor_info, OBJECT_GRAPH, 1);
    CHECK_INDEX(rsq_graph_node_info, rsq_node_info, OBJECT_GRAPH, rsq_graph_node_count(object_living(OBJECT_GRAPH)));
    CHECK_INDEX(rsq_model_input_info, rsq_tensor_info, OBJECT_MODEL, 1);
    CHECK_INDEX(rsq_model_output_info, rsq_tensor_info, OBJECT_MODEL, 1);
    CHECK_INDEX(rsq_model_layer_info, rsq_layer_info, OBJECT_MODEL, rsq_model_layer_count(object_living(OBJECT_MODEL)));
    CHECK_INDEX(rsq_session_input_info, rsq_tensor_info, OBJECT_SESSION, 1);
    CHECK_INDEX(rsq_session_output_info, rsq_tensor_info, OBJECT_SESSION, 1);
    CHECK_INDEX(rsq_session_step_info, rsq_step_info, OBJECT_SESSION, rsq_session_step_count(object_living(OBJECT_SESSION)));
    CHECK_INDEX(rsq_session_step_profile, rsq_step_profile, OBJECT_SESSION, rsq_session_step_count(object_living(OBJECT_SESSION)));
}

static void check_calibration_states(void) {
    rsq_prepared *fresh = object_new(OBJECT_PREPARED), *other = NULL;
    rsq_qconfig *averages = NULL;
    rsq_layer_qconfig layer;
    memory_reset();
    checking("rsq_convert", "prepared", "has seen nothing");
    CHECK_REFUSED(rsq_model *, RSQ_NOT_CALIBRATED, rsq_convert(fresh, out));
    checking("rsq_calibration_load", "prepared", "has statistics already");
    check_status(rsq_calibration_load(object_living(OBJECT_PREPARED), calibration_path), RSQ_WRONG_STATE);
    checking("rsq_calibration_load", "utf8_path", "is a model");
    check_status(rsq_calibration_load(fresh, model_path), RSQ_CORRUPT);
    checking("rsq_model_load", "utf8_path", "is a calibration");
    CHECK_REFUSED(rsq_model *, RSQ_PARSE, rsq_model_load(NULL, calibration_path, out));
    checking("rsq_calibration_merge", "utf8_path", "is of another qconfig");
    memset(&layer, 0, sizeof layer);
    layer.struct_size = sizeof layer;
    layer.activation_observer = RSQ_OBSERVER_MOVING_AVERAGE;
    check_status(rsq_qconfig_default_static(&averages), RSQ_OK);
    check_status(rsq_qconfig_set(averages, "*", &layer), RSQ_OK);
    check_status(rsq_prepare(NULL, object_living(OBJECT_GRAPH), averages, NULL, &other), RSQ_OK);
    check_status(rsq_calibration_merge(other, calibration_path), RSQ_MISMATCH);
    checking("rsq_calibration_merge", "prepared", "depends on the order");
    check_status(calibrate(other), RSQ_OK);
    check_status(rsq_calibration_save(other, scratch_path), RSQ_OK);
    check_status(rsq_calibration_merge(other, scratch_path), RSQ_UNSUPPORTED);
    checking("rsq_calibration_save", "utf8_path", "is in no folder");
    check_status(rsq_calibration_save(other, "/no/such/folder/file"), RSQ_IO);
    checking("rsq_calibration_load", "prepared", "was refused wrong files");
    check_status(rsq_calibration_load(fresh, calibration_path), RSQ_OK);
    rsq_prepared_free(other);
    rsq_prepared_free(fresh);
    rsq_qconfig_free(averages);
}

static void check_values(void) {
    rsq_context_options context;
    rsq_prepare_options prepare;
    rsq_session_options session;
    rsq_shape shapes[2];
    const void *model = object_living(OBJECT_MODEL);
    memory_reset();
    memset(&context, 0, sizeof context);
    memset(&prepare, 0, sizeof prepare);
    memset(&session, 0, sizeof session);
    context.struct_size = sizeof context;
    prepare.struct_size = sizeof prepare;
    session.struct_size = sizeof session;
    shapes[0].dims = shapes[1].dims = image_dims;
    shapes[0].rank = shapes[1].rank = 4;
    checking("rsq_context_new", "options", "with max_isa 99");
    context.max_isa = 99;
    CHECK_REFUSED(rsq_context *, RSQ_INVALID_ARGUMENT, rsq_context_new(&context, out));
    checking("rsq_prepare", "options", "with flags");
    prepare.flags = 1;
    CHECK_REFUSED(rsq_prepared *, RSQ_INVALID_ARGUMENT,
                  rsq_prepare(NULL, object_living(OBJECT_GRAPH), object_living(OBJECT_QCONFIG), &prepare, out));
    checking("rsq_session_new", "options", "with flags");
    session.flags = 0x80;
    CHECK_REFUSED(rsq_session *, RSQ_INVALID_ARGUMENT, rsq_session_new(model, &session, out));
    session.flags = 0;
    checking("rsq_session_new", "input_shapes", "is NULL with a count");
    session.input_shape_count = 1;
    CHECK_REFUSED(rsq_session *, RSQ_NULL_ARGUMENT, rsq_session_new(model, &session, out));
    checking("rsq_session_new", "input_shapes", "has two shapes for one input");
    session.input_shapes = shapes;
    session.input_shape_count = 2;
    CHECK_REFUSED(rsq_session *, RSQ_INVALID_ARGUMENT, rsq_session_new(model, &session, out));
    checking("rsq_session_new", "input_shapes", "has a rank above the most");
    shapes[0].rank = RSQ_MAX_RANK + 1;
    session.input_shape_count = 1;
    CHECK_REFUSED(rsq_session *, RSQ_INVALID_ARGUMENT, rsq_session_new(model, &session, out));
    checking("rsq_session_new", "input_shapes", "has another rank");
    shapes[0].rank = 3;
    CHECK_REFUSED(rsq_session *, RSQ_SHAPE_MISMATCH, rsq_session_new(model, &session, out));
}

static void check_settings(void) {
    const char *const scopes[] = {"", "conv", "op:", "name:", ":Conv"};
    void *qconfig = object_living(OBJECT_QCONFIG);
    rsq_layer_qconfig layer;
    size_t i, field;
    memset(&layer, 0, sizeof layer);
    layer.struct_size = sizeof layer;
    for (i = 0; i < sizeof scopes / sizeof *scopes; ++i) {
        checking("rsq_qconfig_set", "scope", scopes[i]);
        check_status(rsq_qconfig_set(qconfig, scopes[i], &layer), RSQ_INVALID_ARGUMENT);
    }
    /* Each setting but the percentile, which is no choice. */
    for (field = sizeof(uint32_t); field < sizeof layer; field += sizeof(int32_t)) {
        const int32_t never[] = {-1, 99, INT32_MAX};
        if (field >= offsetof(rsq_layer_qconfig, percentile) && field < offsetof(rsq_layer_qconfig, activation_granularity)) {
            continue;
        }
        for (i = 0; i < sizeof never / sizeof *never; ++i) {
            rsq_layer_qconfig wrong = layer;
            memcpy((char *)&wrong + field, &never[i], sizeof *never);
            checking("rsq_qconfig_set", "layer", "with a setting that is none");
            check_status(rsq_qconfig_set(qconfig, "*", &wrong), RSQ_INVALID_ARGUMENT);
        }
    }
    layer.percentile = 101;
    checking("rsq_qconfig_set", "layer", "with a percentile above 100");
    check_status(rsq_qconfig_set(qconfig, "*", &layer), RSQ_INVALID_ARGUMENT);
    memory_reset();
    checking("rsq_qconfig_from_json", "utf8_json", "is no JSON");
    CHECK_REFUSED(rsq_qconfig *, RSQ_PARSE, rsq_qconfig_from_json("{", out));
    CHECK_REFUSED(rsq_qconfig *, RSQ_PARSE, rsq_qconfig_from_json("{\"no_such_field\": 1}", out));
}

static void check_bytes(void) {
    const void *model = object_living(OBJECT_MODEL);
    unsigned char *buffer;
    memory_reset();
    checking("rsq_graph_from_onnx_bytes", "bytes", "are cut");
    CHECK_REFUSED(rsq_graph *, RSQ_PARSE, rsq_graph_from_onnx_bytes(NULL, onnx_bytes, onnx_size / 2, out));
    checking("rsq_graph_from_onnx_file", "utf8_path", "is not there");
    CHECK_REFUSED(rsq_graph *, RSQ_IO, rsq_graph_from_onnx_file(NULL, "/no/such/file.onnx", out));
    checking("rsq_graph_from_onnx_bytes", "size", "is 0");
    CHECK_REFUSED(rsq_graph *, RSQ_PARSE, rsq_graph_from_onnx_bytes(NULL, NULL, 0, out));
    checking("rsq_model_from_bytes", "bytes", "are cut");
    CHECK_REFUSED(rsq_model *, RSQ_CORRUPT, rsq_model_from_bytes(NULL, model_bytes, model_size - 1, out));
    checking("rsq_model_from_bytes", "size", "is 0");
    CHECK_REFUSED(rsq_model *, RSQ_PARSE, rsq_model_from_bytes(NULL, NULL, 0, out));
    checking("rsq_model_to_buffer", "capacity", "is one short");
    buffer = memory_take(model_size);
    CHECK_REFUSED(size_t, RSQ_INVALID_ARGUMENT, rsq_model_to_buffer(model, buffer, model_size - 1, out));
    checking("rsq_qconfig_to_json", "capacity", "is too small");
    CHECK_REFUSED(size_t, RSQ_INVALID_ARGUMENT, rsq_qconfig_to_json(object_living(OBJECT_QCONFIG), (char *)buffer, 3, out));
}

/* What a caller's pool does: calls the session that runs already, then the tasks. */
typedef struct pool {
    rsq_session *session;
    unsigned calls;
} pool;

static void parallel_for(void *data, size_t count, rsq_task_fn task, void *task_data) {
    pool *caller = data;
    size_t i;
    rsq_step_info step;
    if (caller->session != NULL && caller->calls == 0) {
        checking("rsq_run", "session", "runs already");
        check_status(run(caller->session), RSQ_BUSY);
        step.struct_size = sizeof step;
        checking("rsq_session_step_info", "session", "runs already");
        check_status(rsq_session_step_info(caller->session, 0, &step), RSQ_BUSY);
        check(rsq_session_step_count(caller->session) == 0, "a count of what is busy is 0");
    }
    ++caller->calls;
    for (i = 0; i < count; ++i) {
        task(task_data, i);
    }
}

static void check_busy(void) {
    pool caller = {NULL, 0};
    rsq_context_options options;
    rsq_context *context = NULL;
    rsq_session *session = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.pool_threads = 2;
    options.parallel_for = parallel_for;
    options.pool = &caller;
    checking("rsq_context_new", "options", "with a pool");
    check_status(rsq_context_new(&options, &context), RSQ_OK);
    check_status(rsq_float_session_new(context, object_living(OBJECT_GRAPH), NULL, &session), RSQ_OK);
    caller.session = session;
    check_status(run(session), RSQ_OK);
    checking("rsq_run", "", "");
    check(caller.calls > 0, "the pool is used");
    caller.session = NULL;
    check_status(run(session), RSQ_OK);
    rsq_session_free(session);
    rsq_context_free(context);
}

void check_states(void) {
    check_indices();
    check_calibration_states();
    check_values();
    check_settings();
    check_bytes();
    check_busy();
}
