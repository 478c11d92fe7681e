#include "arguments.h"

#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_struct_size(void *place, uint32_t size) { memcpy(place, &size, sizeof size); }

static void *make_struct(size_t size) {
    void *place = memory_take(size);
    memset(place, 0, size);
    set_struct_size(place, (uint32_t)size);
    return place;
}

static void *make(const argument *argument) {
    switch (argument->kind) {
        case HANDLE: return object_living(argument->type);
        case FRESH_HANDLE: return object_new(argument->type);
        case OUT_HANDLE: return memory_take(sizeof(void *));
        case OUT_VALUE: return memory_take(argument->size);
        case OUT_BUFFER: return memory_take(argument->size);
        case INFO: return make_struct(argument->size);
        case OPTIONS: return make_struct(argument->size);
        case IN_ARRAY: return memory_copy(argument->value, argument->size);
        case BYTES: return memory_copy(argument->value, argument->size);
        case TEXT: return memory_copy(argument->value, strlen(argument->value) + 1);
        case FILE_PATH: return memory_copy(argument->value, strlen(argument->value) + 1);
        case NO_ARGUMENT: break;
    }
    return NULL;
}

void arguments_make(const function *function, void **arguments) {
    size_t i;
    memory_reset();
    for (i = 0; i < MAX_ARGUMENTS; ++i) {
        arguments[i] = make(&function->arguments[i]);
    }
}

void arguments_free(const function *function, void **arguments, int went_well) {
    size_t i;
    for (i = 0; i < MAX_ARGUMENTS; ++i) {
        const argument *argument = &function->arguments[i];
        if (argument->kind == FRESH_HANDLE) {
            object_free(argument->type, arguments[i]);
        } else if (argument->kind == OUT_HANDLE && went_well) {
            void *made;
            memcpy(&made, arguments[i], sizeof made);
            object_free(argument->type, made);
        }
    }
}

static size_t add(wrong_argument *wrong, size_t count, const char *what, void *value, int64_t status) {
    if (count == MAX_WRONG) {
        fprintf(stderr, "more wrong arguments than this test has room for\n");
        exit(2);
    }
    wrong[count].what = what;
    wrong[count].value = value;
    wrong[count].status = status;
    return count + 1;
}

static size_t add_handles(const argument *argument, wrong_argument *wrong, size_t count) {
    static int local;
    uint64_t bits = 88172645463325252u;
    int type, i;
    count = add(wrong, count, "was freed", object_freed(argument->type), RSQ_INVALID_HANDLE);
    for (type = 0; type < OBJECT_TYPES; ++type) {
        if (type != (int)argument->type) {
            count = add(wrong, count, "is of another type", object_living(type), RSQ_INVALID_HANDLE);
            count = add(wrong, count, "is of another type and was freed", object_freed(type), RSQ_INVALID_HANDLE);
        }
    }
    count = add(wrong, count, "is an address", &local, RSQ_INVALID_HANDLE);
    count = add(wrong, count, "is 1", (void *)(uintptr_t)1, RSQ_INVALID_HANDLE);
    count = add(wrong, count, "has all bits", (void *)UINTPTR_MAX, RSQ_INVALID_HANDLE);
    for (i = 0; i < 16; ++i) {
        bits ^= bits << 13; /* xorshift64 */
        bits ^= bits >> 7;
        bits ^= bits << 17;
        count = add(wrong, count, "is a random number", (void *)(uintptr_t)bits, RSQ_INVALID_HANDLE);
        /* A living one with a bit turned over. */
        count = add(wrong, count, "is off by a bit", (void *)((uintptr_t)object_living(argument->type) ^ ((uintptr_t)1 << (bits % 64))),
                    RSQ_INVALID_HANDLE);
    }
    return count;
}

/* A struct of `size` bytes that says it has `stated`; `tail` fills what is behind the known part. */
static void *sized_struct(size_t size, uint32_t stated, size_t known, unsigned char tail) {
    unsigned char *place = memory_take(size);
    memset(place, 0, size);
    if (size > known) {
        memset(place + known, tail, size - known);
    }
    set_struct_size(place, stated);
    return place;
}

static size_t add_struct_sizes(const argument *argument, wrong_argument *wrong, size_t count) {
    const size_t size = argument->size;
    const uint32_t never[] = {0, 1, 3, 4097, UINT32_MAX};
    size_t i;
    for (i = 0; i < sizeof never / sizeof *never; ++i) {
        count = add(wrong, count, "has a size of no version", sized_struct(size, never[i], size, 0), RSQ_BAD_STRUCT_SIZE);
    }
    if (argument->kind == INFO) {
        count = add(wrong, count, "is smaller than any version's", sized_struct(size, 8, size, 0), RSQ_BAD_STRUCT_SIZE);
        return add(wrong, count, "is of a later version", sized_struct(size + 16, (uint32_t)size + 16, size, 7), RSQ_OK);
    }
    count = add(wrong, count, "has an odd size", sized_struct(size, 5, size, 0), RSQ_BAD_STRUCT_SIZE);
    count = add(wrong, count, "has a tail that this version does not know", sized_struct(size + 16, (uint32_t)size + 16, size, 7),
                RSQ_BAD_STRUCT_SIZE);
    return add(wrong, count, "is of a later version", sized_struct(size + 16, (uint32_t)size + 16, size, 0), RSQ_OK);
}

size_t arguments_wrong(const argument *argument, void *right, wrong_argument *wrong) {
    size_t count = add(wrong, 0, "is NULL", NULL, argument->nullable ? RSQ_OK : RSQ_NULL_ARGUMENT);
    void *misaligned = (unsigned char *)right + 1;
    switch (argument->kind) {
        case HANDLE:
        case FRESH_HANDLE: return add_handles(argument, wrong, count);
        case OUT_HANDLE:
        case OUT_VALUE:
        case IN_ARRAY: return add(wrong, count, "is misaligned", misaligned, RSQ_INVALID_ARGUMENT);
        case INFO:
        case OPTIONS:
            count = add(wrong, count, "is misaligned", misaligned, RSQ_INVALID_ARGUMENT);
            return add_struct_sizes(argument, wrong, count);
        case TEXT:
        case FILE_PATH:
            if (argument->kind == FILE_PATH) {
                count = add(wrong, count, "is empty", memory_copy("", 1), RSQ_INVALID_ARGUMENT);
            }
            count = add(wrong, count, "ends within a character", memory_copy("a\xC3", 3), RSQ_INVALID_ARGUMENT);
            return add(wrong, count, "is not UTF-8", memory_copy("\xFF\xFE", 3), RSQ_INVALID_ARGUMENT);
        case OUT_BUFFER:
        case BYTES:
        case NO_ARGUMENT: break;
    }
    return count;
}
