#include "header_functions.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *path, const char *why) {
    fprintf(stderr, "%s: %s\n", path, why);
    exit(2);
}

/* The file's text without comments and preprocessor lines. */
static char *read_declarations(const char *path) {
    enum { MOST = 1 << 22 };
    FILE *file = fopen(path, "rb");
    char *text = malloc(MOST), *from, *to;
    size_t size;
    if (file == NULL || text == NULL) {
        fail(path, "cannot be read");
        return NULL;
    }
    size = fread(text, 1, MOST - 1, file);
    fclose(file);
    text[size] = '\0';
    from = to = text;
    while (*from != '\0') {
        if (from[0] == '/' && from[1] == '*') {
            char *end = strstr(from + 2, "*/");
            from = end == NULL ? from + strlen(from) : end + 2;
        } else if ((from[0] == '/' && from[1] == '/') || from[0] == '#') {
            from += strcspn(from, "\n");
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
    return text;
}

static int is_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

/* Copies the last word of [begin, end). */
static void last_word(const char *begin, const char *end, char *word) {
    const char *start;
    while (end > begin && !is_word(end[-1])) {
        --end;
    }
    for (start = end; start > begin && is_word(start[-1]);) {
        --start;
    }
    sprintf(word, "%.*s", (int)(end - start) < NAME_BYTES ? (int)(end - start) : NAME_BYTES - 1, start);
}

/* Reads `function` of a declaration whose parameters are [begin, end). */
static void read_parameters(const char *path, const char *begin, const char *end, header_function *function) {
    while (begin < end) {
        const char *comma = memchr(begin, ',', (size_t)(end - begin));
        const char *stop = comma == NULL ? end : comma;
        if (memchr(begin, '*', (size_t)(stop - begin)) != NULL) {
            if (function->pointer_count == MAX_POINTERS) {
                fail(path, "a function with more pointers than this test has room for");
            }
            last_word(begin, stop, function->pointers[function->pointer_count++]);
        }
        begin = stop + 1;
    }
}

size_t read_header_functions(const char *path, header_function *functions, size_t capacity) {
    char *text = read_declarations(path), *statement = text;
    size_t count = 0;
    while (statement != NULL && *statement != '\0') {
        char *end = statement + strcspn(statement, ";{}"), *open = memchr(statement, '(', (size_t)(end - statement));
        /* A typedef's "(*name)" and what a struct holds are no functions. */
        if (*end == ';' && open != NULL && open[1] != '*' && strstr(statement, "typedef") != statement + strspn(statement, " \n\t")) {
            header_function *function = &functions[count];
            if (count == capacity) {
                fail(path, "more functions than this test has room for");
            }
            memset(function, 0, sizeof *function);
            last_word(statement, open, function->name);
            read_parameters(path, open + 1, end, function);
            ++count;
        }
        statement = *end == '\0' ? NULL : end + 1;
    }
    free(text);
    return count;
}
