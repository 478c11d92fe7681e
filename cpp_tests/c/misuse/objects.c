#include "objects.h"

#include <rsquant.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char onnx_path[PATH_BYTES], model_path[PATH_BYTES], calibration_path[PATH_BYTES], recipe_path[PATH_BYTES], scratch_path[PATH_BYTES];
unsigned char *onnx_bytes, *model_bytes;
unsigned char observer_bytes[256];
size_t observer_size;
size_t onnx_size, model_size;
float *images;

static void *living[OBJECT_TYPES], *freed[OBJECT_TYPES];
static float expected[BATCH * CLASSES];

static void require(rsq_status status, const char *what) {
    if (status != RSQ_OK) {
        char message[512];
        rsq_last_error(message, sizeof message);
        fprintf(stderr, "%s: %s: %s\n", what, rsq_status_name(status), message);
        exit(2);
    }
}

static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        *size = (size_t)ftell(file);
        bytes = malloc(*size);
        rewind(file);
        if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    if (bytes == NULL) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    return bytes;
}

static void calibrate(rsq_prepared *prepared) {
    const int64_t dims[] = {BATCH, 3, 20, 20};
    const rsq_tensor_view input = {images, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
    require(rsq_calibrate(prepared, &input, 1), "rsq_calibrate");
}

static rsq_status run(float *logits) {
    const int64_t in_dims[] = {BATCH, 3, 20, 20}, out_dims[] = {BATCH, CLASSES};
    const rsq_tensor_view input = {images, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, in_dims, NULL};
    const rsq_tensor_mut output = {logits, sizeof expected, RSQ_DTYPE_F32, 2, out_dims, NULL};
    return rsq_run(living[OBJECT_SESSION], &input, 1, &output, 1);
}

void *object_new(object_type type) {
    void *object = NULL;
    switch (type) {
        case OBJECT_CONTEXT: {
            rsq_context *context = NULL;
            require(rsq_context_new(NULL, &context), "rsq_context_new");
            object = context;
            break;
        }
        case OBJECT_GRAPH: {
            rsq_graph *graph = NULL;
            require(rsq_graph_from_onnx_file(living[OBJECT_CONTEXT], onnx_path, &graph), "rsq_graph_from_onnx_file");
            object = graph;
            break;
        }
        case OBJECT_QCONFIG: {
            rsq_qconfig *qconfig = NULL;
            require(rsq_qconfig_default_static(&qconfig), "rsq_qconfig_default_static");
            object = qconfig;
            break;
        }
        case OBJECT_PREPARED: {
            rsq_prepared *prepared = NULL;
            require(rsq_prepare(living[OBJECT_CONTEXT], living[OBJECT_GRAPH], living[OBJECT_QCONFIG], NULL, &prepared), "rsq_prepare");
            object = prepared;
            break;
        }
        case OBJECT_RECIPE: {
            rsq_recipe *recipe = NULL;
            require(rsq_prepared_recipe(living[OBJECT_PREPARED], &recipe), "rsq_prepared_recipe");
            object = recipe;
            break;
        }
        case OBJECT_MODEL: {
            rsq_model *model = NULL;
            require(rsq_convert(living[OBJECT_PREPARED], &model), "rsq_convert");
            object = model;
            break;
        }
        case OBJECT_SESSION: {
            rsq_session *session = NULL;
            rsq_session_options options;
            memset(&options, 0, sizeof options);
            options.struct_size = sizeof options;
            options.flags = RSQ_SESSION_PROFILE; /* so that every function has something to tell */
            require(rsq_session_new(living[OBJECT_MODEL], &options, &session), "rsq_session_new");
            object = session;
            break;
        }
        case OBJECT_COMPARISON: {
            const int64_t dims[4] = {BATCH, 3, 20, 20};
            rsq_tensor_view input = {NULL, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, NULL, NULL};
            rsq_comparison *comparison = NULL;
            input.data = images;
            input.dims = dims;
            require(rsq_comparison_new(living[OBJECT_GRAPH], living[OBJECT_MODEL], &comparison), "rsq_comparison_new");
            require(rsq_compare(comparison, &input, 1), "rsq_compare");
            object = comparison;
            break;
        }
        case OBJECT_PACKED: {
            static const float weights[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
            rsq_packed *packed = NULL;
            rsq_weights layer;
            memset(&layer, 0, sizeof layer);
            layer.struct_size = sizeof layer;
            layer.dtype = RSQ_DTYPE_F32;
            layer.data = weights;
            layer.size_bytes = sizeof weights;
            layer.out_channels = 3;
            layer.in_channels = 4;
            require(rsq_pack_weights(living[OBJECT_CONTEXT], &layer, &packed), "rsq_pack_weights");
            object = packed;
            break;
        }
        case OBJECT_OPERATOR: {
            rsq_operator *gemm = NULL;
            rsq_operator_options options;
            memset(&options, 0, sizeof options);
            options.struct_size = sizeof options;
            options.output_dtype = RSQ_DTYPE_U8;
            options.input_scale = options.output_scale = 0.5f;
            require(rsq_gemm_u8s8_new(living[OBJECT_CONTEXT], living[OBJECT_PACKED], &options, &gemm), "rsq_gemm_u8s8_new");
            object = gemm;
            break;
        }
        case OBJECT_OBSERVER: {
            static const float values[4] = {-1, 0, 1, 2};
            rsq_observer *observer = NULL;
            require(rsq_observer_new(RSQ_OBSERVER_MIN_MAX, NULL, &observer), "rsq_observer_new");
            require(rsq_observer_observe(observer, values, 4, 1), "rsq_observer_observe");
            object = observer;
            break;
        }
        case OBJECT_BUILDER: {
            static const int64_t dims[4] = {1, 4, 4, 4};
            rsq_graph_builder *builder = NULL;
            rsq_value x, y;
            require(rsq_graph_builder_new(living[OBJECT_CONTEXT], &builder), "rsq_graph_builder_new");
            require(rsq_graph_builder_input(builder, "x", dims, 4, &x), "rsq_graph_builder_input");
            require(rsq_graph_builder_unary(builder, "y", RSQ_UNARY_RELU, x, 0, 0, &y), "rsq_graph_builder_unary");
            require(rsq_graph_builder_output(builder, y), "rsq_graph_builder_output");
            object = builder;
            break;
        }
        case OBJECT_SENSITIVITY: {
            const int64_t dims[] = {BATCH, 3, 20, 20};
            const rsq_tensor_view input = {images, sizeof(float) * BATCH * IMAGE_FLOATS, RSQ_DTYPE_F32, 4, dims, NULL};
            rsq_sensitivity *sensitivity = NULL;
            require(rsq_sensitivity_new(living[OBJECT_PREPARED], &input, 1, NULL, NULL, &sensitivity), "rsq_sensitivity_new");
            object = sensitivity;
            break;
        }
        case OBJECT_TYPES:
            break;
    }
    return object;
}

void object_free(object_type type, void *object) {
    switch (type) {
        case OBJECT_CONTEXT: rsq_context_free(object); break;
        case OBJECT_GRAPH: rsq_graph_free(object); break;
        case OBJECT_QCONFIG: rsq_qconfig_free(object); break;
        case OBJECT_PREPARED: rsq_prepared_free(object); break;
        case OBJECT_RECIPE: rsq_recipe_free(object); break;
        case OBJECT_MODEL: rsq_model_free(object); break;
        case OBJECT_SESSION: rsq_session_free(object); break;
        case OBJECT_COMPARISON: rsq_comparison_free(object); break;
        case OBJECT_PACKED: rsq_packed_free(object); break;
        case OBJECT_OPERATOR: rsq_operator_free(object); break;
        case OBJECT_OBSERVER: rsq_observer_free(object); break;
        case OBJECT_BUILDER: rsq_graph_builder_free(object); break;
        case OBJECT_SENSITIVITY: rsq_sensitivity_free(object); break;
        case OBJECT_TYPES: break;
    }
}

void *object_living(object_type type) { return living[type]; }

void *object_freed(object_type type) { return freed[type]; }

void objects_setup(const char *networks, const char *folder) {
    int type;
    size_t i;
    sprintf(onnx_path, "%.900s/resnet_like/model.onnx", networks);
    sprintf(model_path, "%.900s/misuse_model.rsq", folder);
    sprintf(calibration_path, "%.900s/misuse_calibration.rsq", folder);
    sprintf(recipe_path, "%.900s/misuse_recipe.json", folder);
    sprintf(scratch_path, "%.900s/misuse_scratch.rsq", folder);
    onnx_bytes = read_file(onnx_path, &onnx_size);
    images = malloc(sizeof(float) * BATCH * IMAGE_FLOATS);
    if (images == NULL) {
        exit(2);
    }
    for (i = 0; i < BATCH * IMAGE_FLOATS; ++i) {
        images[i] = (float)((i * 2654435761u) % 2001u) / 1000.0f - 1.0f;
    }
    for (type = 0; type < OBJECT_TYPES; ++type) {
        living[type] = object_new(type);
        if (type == OBJECT_PREPARED) {
            calibrate(living[type]);
        }
        freed[type] = object_new(type);
        object_free(type, freed[type]);
    }
    require(rsq_model_save(living[OBJECT_MODEL], model_path), "rsq_model_save");
    require(rsq_recipe_save(living[OBJECT_RECIPE], recipe_path), "rsq_recipe_save");
    require(rsq_calibration_save(living[OBJECT_PREPARED], calibration_path), "rsq_calibration_save");
    model_bytes = read_file(model_path, &model_size);
    require(rsq_observer_to_buffer(living[OBJECT_OBSERVER], observer_bytes, sizeof observer_bytes, &observer_size), "rsq_observer_to_buffer");
    require(run(expected), "rsq_run");
}

void objects_teardown(void) {
    int type;
    for (type = 0; type < OBJECT_TYPES; ++type) {
        object_free(type, living[type]);
    }
    free(onnx_bytes);
    free(model_bytes);
    free(images);
    remove(model_path);
    remove(calibration_path);
    remove(recipe_path);
    remove(scratch_path);
}

int objects_work(void) {
    float logits[BATCH * CLASSES];
    size_t length = 0;
    uint64_t samples = 0;
    const rsq_status asked[] = {rsq_qconfig_to_json(living[OBJECT_QCONFIG], NULL, 0, &length),
                                rsq_calibration_samples(living[OBJECT_PREPARED], &samples)};
    rsq_session *session = NULL; /* of a context and a graph that must live */
    const rsq_status made = rsq_float_session_new(living[OBJECT_CONTEXT], living[OBJECT_GRAPH], NULL, &session);
    rsq_session_free(session);
    return asked[0] == RSQ_OK && asked[1] == RSQ_OK && made == RSQ_OK && samples >= BATCH && length > 0 &&
           rsq_graph_node_count(living[OBJECT_GRAPH]) > 0 && rsq_recipe_activation_count(living[OBJECT_RECIPE]) > 0 &&
            rsq_model_layer_count(living[OBJECT_MODEL]) > 0 && run(logits) == RSQ_OK &&
           memcmp(logits, expected, sizeof expected) == 0;
}
