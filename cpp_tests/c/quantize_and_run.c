/* The whole way of a model in C99: read, calibrate, convert, save, load, run; the int8 results are close to the float ones.
 *
 *     quantize_and_run FOLDER      (with model.onnx, input0.f32 [2, 3, 20, 20], output0.f32 [2, 10])
 */
#include <rsquant.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2, INPUT_FLOATS = BATCH * 3 * 20 * 20, LOGITS = BATCH * 10 };

static void require(rsq_status status, const char *what) {
    if (status != RSQ_OK) {
        char message[512];
        rsq_last_error(message, sizeof message);
        fprintf(stderr, "%s: %s: %s\n", what, rsq_status_name(status), message);
        exit(1);
    }
}

static void read_floats(const char *folder, const char *name, float *values, size_t count) {
    char path[1024];
    FILE *file;
    sprintf(path, "%.900s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL || fread(values, sizeof *values, count, file) != count) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
}

static void run(rsq_session *session, const float *images, float *logits) {
    const int64_t in_dims[] = {BATCH, 3, 20, 20}, out_dims[] = {BATCH, 10};
    const rsq_tensor_view input = {images, sizeof(float) * INPUT_FLOATS, RSQ_DTYPE_F32, 4, in_dims, NULL};
    const rsq_tensor_mut output = {logits, sizeof(float) * LOGITS, RSQ_DTYPE_F32, 2, out_dims, NULL};
    require(rsq_run(session, &input, 1, &output, 1), "rsq_run");
}

/* The largest difference over the largest expected magnitude. */
static double relative_error(const float *got, const float *expected) {
    double difference = 0, magnitude = 0;
    int i;
    for (i = 0; i < LOGITS; ++i) {
        difference = fmax(difference, fabs((double)got[i] - expected[i]));
        magnitude = fmax(magnitude, fabs((double)expected[i]));
    }
    return difference / magnitude;
}

static rsq_model *quantize(const rsq_graph *graph, int is_static, const float *images) {
    const int64_t dims[] = {BATCH, 3, 20, 20};
    const rsq_tensor_view input = {images, sizeof(float) * INPUT_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
    rsq_qconfig *qconfig = NULL;
    rsq_prepared *prepared = NULL;
    rsq_model *model = NULL;
    require(is_static ? rsq_qconfig_default_static(&qconfig) : rsq_qconfig_default_dynamic(&qconfig), "rsq_qconfig_default");
    require(rsq_prepare(NULL, graph, qconfig, NULL, &prepared), "rsq_prepare");
    if (is_static) {
        require(rsq_calibrate(prepared, &input, 1), "rsq_calibrate");
    }
    require(rsq_convert(prepared, &model), "rsq_convert");
    rsq_qconfig_free(qconfig);
    rsq_prepared_free(prepared);
    return model;
}

/* Runs the model, and what is loaded of its bytes; both give the same. */
static void run_model(const rsq_model *model, const float *images, float *logits) {
    float again[LOGITS];
    size_t size = 0;
    void *bytes;
    rsq_model *loaded = NULL;
    rsq_session *session = NULL;
    require(rsq_session_new(model, NULL, &session), "rsq_session_new");
    run(session, images, logits);
    rsq_session_free(session);
    require(rsq_model_to_buffer(model, NULL, 0, &size), "rsq_model_to_buffer");
    bytes = malloc(size);
    require(rsq_model_to_buffer(model, bytes, size, &size), "rsq_model_to_buffer");
    require(rsq_model_from_bytes(NULL, bytes, size, &loaded), "rsq_model_from_bytes");
    free(bytes);
    require(rsq_session_new(loaded, NULL, &session), "rsq_session_new");
    run(session, images, again);
    rsq_session_free(session);
    rsq_model_free(loaded);
    if (memcmp(logits, again, sizeof again) != 0) {
        fprintf(stderr, "a loaded model gives other results\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    static float images[INPUT_FLOATS], expected[LOGITS], logits[LOGITS];
    char path[1024];
    rsq_graph *graph = NULL;
    rsq_session *session = NULL;
    double error;
    int is_static, failed = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: quantize_and_run FOLDER\n");
        return 2;
    }
    read_floats(argv[1], "input0.f32", images, INPUT_FLOATS);
    read_floats(argv[1], "output0.f32", expected, LOGITS);
    sprintf(path, "%.900s/model.onnx", argv[1]);
    require(rsq_graph_from_onnx_file(NULL, path, &graph), "rsq_graph_from_onnx_file");
    require(rsq_float_session_new(NULL, graph, NULL, &session), "rsq_float_session_new");
    run(session, images, logits);
    rsq_session_free(session);
    error = relative_error(logits, expected);
    printf("float: error %.2g\n", error);
    failed |= !(error < 1e-4);
    for (is_static = 0; is_static <= 1; ++is_static) {
        rsq_model *model = quantize(graph, is_static, images);
        run_model(model, images, logits);
        rsq_model_free(model);
        error = relative_error(logits, expected);
        printf("%s int8: error %.2g\n", is_static ? "static" : "dynamic", error);
        failed |= !(error > 0 && error < 0.1);
    }
    rsq_graph_free(graph);
    return failed;
}
