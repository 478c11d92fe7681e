/* What the header declares, read from its text. */
#ifndef MISUSE_HEADER_FUNCTIONS_H
#define MISUSE_HEADER_FUNCTIONS_H

#include <stddef.h>

enum { MAX_POINTERS = 8, NAME_BYTES = 64 };

typedef struct header_function {
    char name[NAME_BYTES];
    char pointers[MAX_POINTERS][NAME_BYTES]; /* names of the parameters that are pointers, in order */
    size_t pointer_count;
} header_function;

/* Reads the functions of the header at `path` into `functions`, at most `capacity`; gives their number. Ends the program if the
 * header cannot be read or holds more. */
size_t read_header_functions(const char *path, header_function *functions, size_t capacity);

#endif
