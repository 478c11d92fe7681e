/* Counts and refuses requests for memory: see malloc_shim.c. */
#ifndef CONTRACT_MALLOC_SHIM_H
#define CONTRACT_MALLOC_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Requests that code at these addresses makes are the ones that count; 0, 0: everybody's. */
void malloc_shim_watch(uintptr_t begin, uintptr_t end);

/* Counts from now on, and refuses requests `first` to `last`, counted from 1. */
void malloc_shim_arm(size_t first, size_t last);

/* Refuses nothing more, and gives the number of requests since malloc_shim_arm. */
size_t malloc_shim_disarm(void);

/* Bytes that are allocated now, by everybody. */
long long malloc_shim_live_bytes(void);

#ifdef __cplusplus
}
#endif
#endif
