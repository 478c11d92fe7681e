/* All memory that a call under test may see: outputs, buffers, structs, texts. It is compared as a whole, so a byte that is
 * written where none may be is found wherever it lies. */
#ifndef MISUSE_MEMORY_H
#define MISUSE_MEMORY_H

#include <stddef.h>

/* Takes back all that was given, and fills everything with the canary. */
void memory_reset(void);

/* `size` bytes that hold the canary, aligned to 64 bytes, with canaries before and behind. Ends the program if there is no room. */
void *memory_take(size_t size);

/* As memory_take, with a copy of `size` bytes at `bytes`. */
void *memory_copy(const void *bytes, size_t size);

/* Keeps a picture of the memory. */
void memory_remember(void);

/* Whether every byte is as it was remembered. */
int memory_is_as_remembered(void);

/* Whether every byte that was not given to anyone holds the canary. */
int memory_canaries_live(void);

#endif
