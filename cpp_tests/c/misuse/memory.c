#include "memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_BYTES = 1 << 20, LINE = 64, MAX_PIECES = 64, CANARY = 0xC5 };

/* The union makes it aligned for every type; the first piece begins at a multiple of LINE. */
static union {
    unsigned char bytes[MEMORY_BYTES];
    int64_t integer;
    double number;
    void *pointer;
} memory;
static unsigned char remembered[MEMORY_BYTES];
static struct {
    size_t begin, end;
} pieces[MAX_PIECES];
static size_t piece_count;
static size_t used;

static size_t next_line(size_t at) {
    const uintptr_t base = (uintptr_t)memory.bytes;
    return (size_t)((base + at + LINE - 1) / LINE * LINE - base);
}

void memory_reset(void) {
    memset(memory.bytes, CANARY, MEMORY_BYTES);
    piece_count = 0;
    used = 0;
}

void *memory_take(size_t size) {
    const size_t begin = next_line(used + LINE);
    if (begin + size + LINE > MEMORY_BYTES || piece_count == MAX_PIECES) {
        fprintf(stderr, "the test's memory is too small\n");
        exit(2);
    }
    pieces[piece_count].begin = begin;
    pieces[piece_count].end = begin + size;
    ++piece_count;
    used = begin + size;
    return memory.bytes + begin;
}

void *memory_copy(const void *bytes, size_t size) {
    void *piece = memory_take(size);
    if (size > 0) { /* Nothing may have no address. */
        memcpy(piece, bytes, size);
    }
    return piece;
}

void memory_remember(void) {
    memcpy(remembered, memory.bytes, MEMORY_BYTES);
}

int memory_is_as_remembered(void) {
    return memcmp(remembered, memory.bytes, MEMORY_BYTES) == 0;
}

int memory_canaries_live(void) {
    size_t at = 0, piece;
    for (piece = 0; piece <= piece_count; ++piece) {
        const size_t end = piece < piece_count ? pieces[piece].begin : MEMORY_BYTES;
        for (; at < end; ++at) {
            if (memory.bytes[at] != CANARY) {
                return 0;
            }
        }
        at = piece < piece_count ? pieces[piece].end : MEMORY_BYTES;
    }
    return 1;
}
