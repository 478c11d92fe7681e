#include "tensors.h"

#include "checks.h"
#include "memory.h"
#include "objects.h"

#include <rsquant.h>

#include <math.h>
#include <string.h>

/* A tensor of a call, in the test's memory: an input of rsq_run or rsq_calibrate, or an output of rsq_run. */
typedef struct tensor {
    unsigned char *data;
    size_t size_bytes;
    int32_t dtype;
    uint32_t rank;
    int64_t *dims;
    int64_t *strides;
} tensor;

/* A call with one input and at most one output: its objects, and how it is made. */
typedef struct target {
    const char *name;
    int is_calibration;
    void *object;
} target;

static tensor input, output;

static tensor make_tensor(const void *elements, size_t size_bytes, uint32_t rank, const int64_t *dims) {
    tensor made;
    made.data = elements == NULL ? memory_take(size_bytes) : memory_copy(elements, size_bytes);
    made.size_bytes = size_bytes;
    made.dtype = RSQ_DTYPE_F32;
    made.rank = rank;
    made.dims = memory_take(sizeof(int64_t) * 9); /* room for wrong ranks */
    memset(made.dims, 0, sizeof(int64_t) * 9);
    memcpy(made.dims, dims, sizeof(int64_t) * rank);
    made.strides = NULL;
    return made;
}

/* Right tensors in fresh memory, with more bytes than they need: what is wrong is never the size alone. */
static void make_tensors(void) {
    static const int64_t image_dims[] = {BATCH, 3, 20, 20}, logit_dims[] = {BATCH, CLASSES};
    static float more_images[2 * BATCH * IMAGE_FLOATS];
    memcpy(more_images, images, sizeof(float) * BATCH * IMAGE_FLOATS);
    memory_reset();
    input = make_tensor(more_images, sizeof more_images, 4, image_dims);
    output = make_tensor(NULL, sizeof(float) * 2 * BATCH * CLASSES, 2, logit_dims);
}

static rsq_status call(const target *target, size_t input_count, size_t output_count) {
    rsq_tensor_view views[2];
    rsq_tensor_mut places[2];
    int i;
    for (i = 0; i < 2; ++i) {
        views[i].data = input.data;
        views[i].size_bytes = input.size_bytes;
        views[i].dtype = input.dtype;
        views[i].rank = input.rank;
        views[i].dims = input.dims;
        views[i].strides = input.strides;
        places[i].data = output.data;
        places[i].size_bytes = output.size_bytes;
        places[i].dtype = output.dtype;
        places[i].rank = output.rank;
        places[i].dims = output.dims;
        places[i].strides = output.strides;
    }
    return target->is_calibration ? rsq_calibrate(target->object, views, input_count)
                                  : rsq_run(target->object, views, input_count, places, output_count);
}

static void set_dims(tensor *tensor, int64_t a, int64_t b, int64_t c, int64_t d) {
    const int64_t dims[] = {a, b, c, d};
    memcpy(tensor->dims, dims, sizeof dims);
}

/* Makes the `index`th thing wrong that is wrong for any tensor; gives the status that it is refused with, or RSQ_OK behind the last. */
static int64_t make_wrong(tensor *tensor, size_t index, const char **what) {
    static int64_t strides[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    switch (index) {
        case 0: *what = "data is NULL"; tensor->data = NULL; return RSQ_NULL_ARGUMENT;
        case 1: *what = "data is off by 1"; tensor->data += 1; return RSQ_INVALID_ARGUMENT;
        case 2: *what = "data is off by 2"; tensor->data += 2; return RSQ_INVALID_ARGUMENT;
        case 3: *what = "size_bytes is 0"; tensor->size_bytes = 0; return RSQ_INVALID_ARGUMENT;
        case 4: *what = "size_bytes is one short"; tensor->size_bytes = tensor->size_bytes / 2 - 1; return RSQ_INVALID_ARGUMENT;
        case 5: *what = "dtype is 0"; tensor->dtype = 0; return RSQ_INVALID_ARGUMENT;
        case 6: *what = "dtype is none"; tensor->dtype = 99; return RSQ_INVALID_ARGUMENT;
        case 7: *what = "dtype is negative"; tensor->dtype = INT32_MIN; return RSQ_INVALID_ARGUMENT;
        case 8: *what = "dtype is u8"; tensor->dtype = RSQ_DTYPE_U8; return RSQ_DTYPE_MISMATCH;
        case 9: *what = "dtype is s8"; tensor->dtype = RSQ_DTYPE_S8; return RSQ_DTYPE_MISMATCH;
        case 10: *what = "dtype is i32"; tensor->dtype = RSQ_DTYPE_I32; return RSQ_DTYPE_MISMATCH;
        case 11: *what = "dtype is i64"; tensor->dtype = RSQ_DTYPE_I64; return RSQ_DTYPE_MISMATCH;
        case 12: *what = "rank is 0"; tensor->rank = 0; return RSQ_SHAPE_MISMATCH;
        case 13: *what = "rank is one less"; tensor->rank -= 1; return RSQ_SHAPE_MISMATCH;
        case 14: *what = "rank is one more"; tensor->dims[tensor->rank++] = 1; return RSQ_SHAPE_MISMATCH;
        case 15: *what = "rank is above the most"; tensor->rank = RSQ_MAX_RANK + 1; return RSQ_INVALID_ARGUMENT;
        case 16: *what = "rank is huge"; tensor->rank = UINT32_MAX; return RSQ_INVALID_ARGUMENT;
        case 17: *what = "dims is NULL"; tensor->dims = NULL; return RSQ_NULL_ARGUMENT;
        case 18: *what = "dims is misaligned"; tensor->dims = (int64_t *)(void *)((char *)tensor->dims + 4); return RSQ_INVALID_ARGUMENT;
        case 19: *what = "a dimension is -1"; tensor->dims[1] = -1; return RSQ_INVALID_ARGUMENT;
        case 20: *what = "a dimension is INT64_MIN"; tensor->dims[0] = INT64_MIN; return RSQ_INVALID_ARGUMENT;
        case 21: *what = "a dimension is INT64_MAX"; tensor->dims[0] = INT64_MAX; return RSQ_INVALID_ARGUMENT;
        case 22:
            *what = "the dimensions overflow";
            tensor->rank = 2;
            set_dims(tensor, (int64_t)1 << 32, (int64_t)1 << 32, 0, 0);
            return RSQ_INVALID_ARGUMENT;
        case 23: *what = "the last dimension is less"; tensor->dims[tensor->rank - 1] -= 1; return RSQ_SHAPE_MISMATCH;
        case 24: *what = "the last dimension is more"; tensor->dims[tensor->rank - 1] += 1; return RSQ_SHAPE_MISMATCH;
        case 25: *what = "the last dimension is 0"; tensor->dims[tensor->rank - 1] = 0; return RSQ_SHAPE_MISMATCH;
        case 26: *what = "strides are not dense"; tensor->strides = strides; return RSQ_UNSUPPORTED;
        case 27: *what = "strides are misaligned"; tensor->strides = (int64_t *)(void *)((char *)strides + 4); return RSQ_INVALID_ARGUMENT;
        default: return RSQ_OK;
    }
}

static uint64_t samples_of(const target *target) {
    uint64_t samples = 0;
    if (target->is_calibration) {
        rsq_calibration_samples(target->object, &samples);
    }
    return samples;
}

static void check_refused(const target *target, size_t input_count, size_t output_count, int64_t expected) {
    const uint64_t samples = samples_of(target);
    memory_remember();
    check_status(call(target, input_count, output_count), expected);
    check(memory_is_as_remembered(), "no byte is written");
    check(samples_of(target) == samples, "the statistics are as they were");
}

static void check_wrong_tensors(const target *target, tensor *tensor, const char *which) {
    size_t index;
    for (index = 0;; ++index) {
        const char *what = "";
        int64_t expected;
        make_tensors();
        expected = make_wrong(tensor, index, &what);
        if (expected == RSQ_OK) {
            return;
        }
        checking(target->name, which, what);
        check_refused(target, 1, 1, expected);
    }
}

static void check_counts(const target *target) {
    checking(target->name, "counts", "are wrong");
    make_tensors();
    check_refused(target, 0, 1, RSQ_INVALID_ARGUMENT);
    check_refused(target, 2, 1, RSQ_INVALID_ARGUMENT);
    if (!target->is_calibration) {
        check_refused(target, 1, 0, RSQ_INVALID_ARGUMENT);
        check_refused(target, 1, 2, RSQ_INVALID_ARGUMENT);
    }
}

static void check_overlap(const target *target) {
    const size_t offsets[] = {0, 4, sizeof(float) * (BATCH * IMAGE_FLOATS - 1)};
    size_t i;
    for (i = 0; i < sizeof offsets / sizeof *offsets; ++i) {
        checking(target->name, "outputs[0]", "overlaps the input");
        make_tensors();
        output.data = input.data + offsets[i];
        check_refused(target, 1, 1, RSQ_INVALID_ARGUMENT);
    }
}

static void check_wrong_output_shapes(const target *target) {
    checking(target->name, "outputs[0]", "has another batch than the input");
    make_tensors();
    output.dims[0] = BATCH + 1;
    check_refused(target, 1, 1, RSQ_SHAPE_MISMATCH);
    output.dims[0] = BATCH - 1;
    check_refused(target, 1, 1, RSQ_SHAPE_MISMATCH);
    output.dims[0] = 0;
    check_refused(target, 1, 1, RSQ_SHAPE_MISMATCH);
}

/* A batch of none is right: it does nothing. */
static void check_empty_batch(const target *target) {
    const uint64_t samples = samples_of(target);
    checking(target->name, "", "a batch of none");
    make_tensors();
    input.dims[0] = 0;
    output.dims[0] = 0;
    memory_remember();
    check_status(call(target, 1, 1), RSQ_OK);
    input.data = NULL;
    input.size_bytes = 0;
    output.data = NULL;
    output.size_bytes = 0;
    check_status(call(target, 1, 1), RSQ_OK);
    check(memory_is_as_remembered(), "no byte is written");
    check(samples_of(target) == samples, "the statistics are as they were");
}

static void check_not_finite(const target *target) {
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    size_t i;
    for (i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        checking(target->name, "inputs[0]", "holds what is not finite");
        make_tensors();
        memcpy(input.data + sizeof(float) * 1234, &wrong[i], sizeof(float));
        check_refused(target, 1, 1, RSQ_NOT_FINITE);
    }
}

static void check_right(const target *target) {
    checking(target->name, "", "right tensors");
    make_tensors();
    check_status(call(target, 1, 1), RSQ_OK);
    check(memory_canaries_live(), "nothing beside the tensors is written");
}

static void check_target(const target *target) {
    check_right(target);
    check_wrong_tensors(target, &input, "inputs[0]");
    if (!target->is_calibration) {
        check_wrong_tensors(target, &output, "outputs[0]");
        check_wrong_output_shapes(target);
        check_overlap(target);
    }
    check_counts(target);
    check_empty_batch(target);
    check_right(target);
}

void check_tensors(void) {
    target run_static = {"rsq_run, static int8", 0, NULL}, run_dynamic = {"rsq_run, dynamic int8", 0, NULL};
    target run_float = {"rsq_run, float", 0, NULL}, calibrate = {"rsq_calibrate", 1, NULL};
    rsq_session *session = NULL;
    rsq_qconfig *qconfig = NULL;
    rsq_prepared *prepared = NULL;
    rsq_model *model = NULL;
    run_static.object = object_living(OBJECT_SESSION);
    check_target(&run_static);
    checking("objects", "", "of a dynamic model");
    check_status(rsq_qconfig_default_dynamic(&qconfig), RSQ_OK);
    check_status(rsq_prepare(NULL, object_living(OBJECT_GRAPH), qconfig, NULL, &prepared), RSQ_OK);
    check_status(rsq_convert(prepared, &model), RSQ_OK);
    check_status(rsq_session_new(model, NULL, &session), RSQ_OK);
    run_dynamic.object = session;
    check_target(&run_dynamic);
    check_not_finite(&run_dynamic);
    check_right(&run_dynamic);
    rsq_session_free(session);
    rsq_model_free(model);
    rsq_prepared_free(prepared);
    rsq_qconfig_free(qconfig);
    checking("rsq_float_session_new", "", "");
    check_status(rsq_float_session_new(NULL, object_living(OBJECT_GRAPH), NULL, &session), RSQ_OK);
    run_float.object = session;
    check_target(&run_float);
    rsq_session_free(session);
    calibrate.object = object_new(OBJECT_PREPARED);
    check_target(&calibrate);
    check_not_finite(&calibrate);
    check_right(&calibrate);
    object_free(OBJECT_PREPARED, calibrate.object);
}
