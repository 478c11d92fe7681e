/* Right arguments of a function, and each wrong one in turn. */
#ifndef MISUSE_ARGUMENTS_H
#define MISUSE_ARGUMENTS_H

#include "calls.h"

/* Fills `arguments` with right ones, in fresh memory. */
void arguments_make(const function *function, void **arguments);

/* Frees what arguments_make made, and after a call that went well what the function made. */
void arguments_free(const function *function, void **arguments, int went_well);

/* A wrong argument and what it is refused with. */
typedef struct wrong_argument {
    const char *what;
    void *value;
    int64_t status; /* RSQ_OK: it is none after all, as NULL where that is allowed */
} wrong_argument;

enum { MAX_WRONG = 64 };

/* All wrong values of an argument whose right one is `right`; gives their number. */
size_t arguments_wrong(const argument *argument, void *right, wrong_argument *wrong);

#endif
