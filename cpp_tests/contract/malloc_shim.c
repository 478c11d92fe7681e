/* A memory allocator in front of the C library's: it counts the requests of all threads, and refuses those that it is told to.
 * Linked before the C library, or preloaded, it takes its place for the whole process.
 *
 * What counts as a request is told by who asks: all of the process, or the library alone (an address range), whose callers
 * such as thread creation have failures of their own. */
#define _GNU_SOURCE
#include "malloc_shim.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static atomic_int armed;
static atomic_size_t requests, first_refused, last_refused;
static atomic_llong live_bytes;
static atomic_uintptr_t range_begin, range_end;

void malloc_shim_watch(uintptr_t begin, uintptr_t end) {
    atomic_store(&range_begin, begin);
    atomic_store(&range_end, end);
}

void malloc_shim_arm(size_t first, size_t last) {
    atomic_store(&requests, 0);
    atomic_store(&first_refused, first);
    atomic_store(&last_refused, last);
    atomic_store(&armed, 1);
}

size_t malloc_shim_disarm(void) {
    atomic_store(&armed, 0);
    return atomic_load(&requests);
}

long long malloc_shim_live_bytes(void) { return atomic_load(&live_bytes); }

/* Whether the request of `caller` fails. */
static int refused(const void *caller) {
    const uintptr_t begin = atomic_load(&range_begin), end = atomic_load(&range_end), at = (uintptr_t)caller;
    size_t number;
    if (!atomic_load(&armed) || (end != 0 && (at < begin || at >= end))) {
        return 0;
    }
    number = atomic_fetch_add(&requests, 1) + 1;
    return number >= atomic_load(&first_refused) && number <= atomic_load(&last_refused);
}

static void *gained(void *memory) {
    atomic_fetch_add(&live_bytes, (long long)malloc_usable_size(memory));
    return memory;
}

static void lost(void *memory) { atomic_fetch_sub(&live_bytes, (long long)malloc_usable_size(memory)); }

static void *none(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) { return refused(__builtin_return_address(0)) ? none() : gained(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return refused(__builtin_return_address(0)) ? none() : gained(__libc_calloc(count, size)); }

void *realloc(void *old, size_t size) {
    void *moved;
    const long long before = (long long)malloc_usable_size(old);
    if (refused(__builtin_return_address(0))) {
        return none();
    }
    moved = __libc_realloc(old, size);
    if (moved != NULL || size == 0) {
        atomic_fetch_sub(&live_bytes, before);
        gained(moved);
    }
    return moved;
}

void *memalign(size_t alignment, size_t size) {
    return refused(__builtin_return_address(0)) ? none() : gained(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    return refused(__builtin_return_address(0)) ? none() : gained(__libc_memalign(alignment, size));
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    void *memory;
    if (refused(__builtin_return_address(0))) {
        return ENOMEM;
    }
    memory = __libc_memalign(alignment, size);
    if (memory == NULL) {
        return ENOMEM;
    }
    *out = gained(memory);
    return 0;
}

void free(void *memory) {
    lost(memory);
    __libc_free(memory);
}
