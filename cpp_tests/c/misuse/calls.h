/* Every function of the header with its pointer arguments: what a right one is, and so which ones are wrong. A function that is
 * not in a table here, or whose pointer arguments are not those of the header, fails the test. */
#ifndef MISUSE_CALLS_H
#define MISUSE_CALLS_H

#include "objects.h"

#include <rsquant.h>

#include <stddef.h>
#include <stdint.h>

typedef enum argument_kind {
    NO_ARGUMENT,
    HANDLE,       /* a living object of `type` */
    FRESH_HANDLE, /* one of its own for each call; freed after */
    OUT_HANDLE,   /* a place for a new object of `type`; freed after */
    OUT_VALUE,    /* a place for `size` bytes that is aligned as its words are */
    OUT_BUFFER,   /* `size` bytes that the library may fill; NULL asks for the size */
    INFO,         /* an info struct of `size` bytes */
    OPTIONS,      /* an option struct of `size` bytes that is all zero but for struct_size */
    IN_ARRAY,     /* `size` bytes at `value` that hold structs */
    BYTES,        /* `size` bytes at `value`, of any alignment */
    TEXT,         /* the text at `value` */
    FILE_PATH     /* likewise; must not be empty */
} argument_kind;

typedef struct argument {
    const char *name; /* as the header calls it */
    argument_kind kind;
    object_type type;
    size_t size;
    const void *value;
    int nullable;
} argument;

/* What a function tells that nothing is wrong by: RSQ_OK, a number above 0, or nothing at all. */
typedef enum result_kind { STATUS, COUNT, NOTHING } result_kind;

enum { MAX_ARGUMENTS = 6 };

typedef struct function {
    const char *name;
    result_kind result;
    int64_t (*call)(void *const *arguments); /* with pointers in the order of `arguments` and right values else */
    argument arguments[MAX_ARGUMENTS];
} function;

/* A table's rows, ended by one without a name. */
const function *version_calls(void);
const function *context_calls(void);
const function *graph_calls(void);
const function *qconfig_calls(void);
const function *prepared_calls(void);
const function *recipe_calls(void);
const function *model_calls(void);
const function *session_calls(void);
const function *compare_calls(void);
const function *operator_calls(void);
const function *observer_calls(void);
const function *builder_calls(void);

/* Rows of the arguments that many functions have. */
#define HANDLE_OF(name, type) {name, HANDLE, type, 0, NULL, 0}
#define CONTEXT_OR_NULL {"context", HANDLE, OBJECT_CONTEXT, 0, NULL, 1}
#define NEW_OBJECT(type) {"out", OUT_HANDLE, type, 0, NULL, 0}
#define INFO_STRUCT(type) {"out", INFO, OBJECT_TYPES, sizeof(type), NULL, 0}
#define PATH_AT(place) {"utf8_path", FILE_PATH, OBJECT_TYPES, 0, place, 0}
#define END_OF_TABLE {NULL, NOTHING, NULL, {{NULL, NO_ARGUMENT, OBJECT_TYPES, 0, NULL, 0}}}

/* `function` of one handle that returns a count. */
#define COUNT_CALL(function) \
    static int64_t call_##function(void *const *a) { return (int64_t)function(a[0]); }
/* `function` of a handle and a name that tells an index. */
#define INDEX_CALL(function) \
    static int64_t call_##function(void *const *a) { return function(a[0], a[1], a[2]); }
#define INDEX_OF(handle, type, tensor) \
    {HANDLE_OF(handle, type), {"utf8_name", TEXT, OBJECT_TYPES, 0, tensor, 0}, {"out_index", OUT_VALUE, OBJECT_TYPES, sizeof(size_t), NULL, 0}}
/* `function` of a handle, an index and an info struct. */
#define INFO_CALL(function) \
    static int64_t call_##function(void *const *a) { return function(a[0], 0, a[1]); }
/* `function` of a handle that frees it. */
#define FREE_CALL(function)                           \
    static int64_t call_##function(void *const *a) { \
        function(a[0]);                               \
        return 0;                                     \
    }

#endif
