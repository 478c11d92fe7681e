/* One living object of each type, one that was freed, and makers of more: of the network resnet_like, [n, 3, 20, 20] to [n, 10]. */
#ifndef MISUSE_OBJECTS_H
#define MISUSE_OBJECTS_H

#include <stddef.h>

typedef enum object_type {
    OBJECT_CONTEXT,
    OBJECT_GRAPH,
    OBJECT_QCONFIG,
    OBJECT_PREPARED, /* calibrated */
    OBJECT_RECIPE,   /* of the prepared */
    OBJECT_MODEL,    /* static int8 */
    OBJECT_SESSION,  /* of the model */
    OBJECT_COMPARISON, /* of the model with the graph, over the images */
    OBJECT_PACKED,   /* of a GEMM, 4 to 3 */
    OBJECT_OPERATOR, /* the GEMM */
    OBJECT_OBSERVER, /* that has seen values */
    OBJECT_BUILDER,  /* with an input [1, 4, 4, 4], which is value 0, and an output */
    OBJECT_SENSITIVITY, /* of the prepared */
    OBJECT_TYPES
} object_type;

enum {
    BATCH = 2,
    IMAGE_FLOATS = 3 * 20 * 20,
    CLASSES = 10,
    PATH_BYTES = 1024
};

/* Files of the test: an ONNX file, and of the objects' making a model, a calibration and a recipe; a place to write to. */
extern char onnx_path[PATH_BYTES], model_path[PATH_BYTES], calibration_path[PATH_BYTES], recipe_path[PATH_BYTES], scratch_path[PATH_BYTES];
/* The same ONNX file and model in memory. */
extern unsigned char *onnx_bytes, *model_bytes;
extern size_t onnx_size, model_size;
/* The bytes of the observer. */
extern unsigned char observer_bytes[256];
extern size_t observer_size;
/* A batch of images. */
extern float *images;

/* Makes objects and files. `networks` is the folder of the test networks, `folder` one to write to. Ends the program on failure. */
void objects_setup(const char *networks, const char *folder);

/* Frees what objects_setup made. */
void objects_teardown(void);

/* A new object that the caller frees. A prepared has seen nothing. */
void *object_new(object_type type);

void object_free(object_type type, void *object);

void *object_living(object_type type);

/* A handle whose object was freed. */
void *object_freed(object_type type);

/* Whether each living object still works. */
int objects_work(void);

#endif
