/* Every wrong argument of every function: a status, no output, and everything works on.
 *
 *     misuse NETWORKS HEADER FOLDER [small_stack]
 */
#define _POSIX_C_SOURCE 200809L
#include "arguments.h"
#include "checks.h"
#include "header_functions.h"
#include "memory.h"
#include "tensors.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FUNCTIONS = 256, SMALL_STACK_BYTES = 128 << 10 };

static const function *functions[MAX_FUNCTIONS];
static size_t function_count;

static void add_rows(const function *rows) {
    for (; rows->name != NULL && function_count < MAX_FUNCTIONS; ++rows) {
        functions[function_count++] = rows;
    }
}

static int outcome_is_good(const function *function, int64_t outcome) {
    return function->result == STATUS ? outcome == RSQ_OK : function->result == COUNT ? outcome > 0 : 1;
}

static void check_right(const function *function) {
    void *arguments[MAX_ARGUMENTS];
    int64_t outcome;
    arguments_make(function, arguments);
    outcome = function->call(arguments);
    if (function->result == STATUS) {
        check_status(outcome, RSQ_OK);
    }
    check(outcome_is_good(function, outcome), "right arguments work");
    check(memory_canaries_live(), "nothing beside the outputs is written");
    arguments_free(function, arguments, outcome_is_good(function, outcome));
}

/* The call with the `wrong`th wrong value of argument `index`; 0 if there are fewer. */
static int check_wrong(const function *function, size_t index, size_t wrong) {
    wrong_argument all[MAX_WRONG];
    void *arguments[MAX_ARGUMENTS];
    void *right;
    size_t count;
    int64_t outcome, expected;
    arguments_make(function, arguments);
    right = arguments[index];
    count = arguments_wrong(&function->arguments[index], right, all);
    if (wrong >= count) {
        arguments_free(function, arguments, 0);
        return 0;
    }
    checking(function->name, function->arguments[index].name, all[wrong].what);
    expected = all[wrong].status;
    arguments[index] = all[wrong].value;
    memory_remember();
    outcome = function->call(arguments);
    if (function->result == STATUS) {
        check_status(outcome, expected);
    } else if (function->result == COUNT && expected != RSQ_OK) {
        check(outcome == 0, "a count of what is not there is 0");
    }
    if (expected != RSQ_OK) {
        check(memory_is_as_remembered(), "no byte is written");
    }
    check(memory_canaries_live(), "nothing beside the outputs is written");
    if (function->arguments[index].kind == FRESH_HANDLE) {
        arguments[index] = right; /* still to be freed */
    }
    arguments_free(function, arguments, expected == RSQ_OK);
    check(objects_work(), "all objects work on");
    return 1;
}

/* A second free of a handle, and a free of what another object took the place of, do nothing. */
static void check_double_free(const function *function) {
    void *arguments[MAX_ARGUMENTS];
    void *next;
    const object_type type = function->arguments[0].type;
    checking(function->name, function->arguments[0].name, "was freed already");
    arguments_make(function, arguments);
    function->call(arguments);
    next = object_new(type);
    function->call(arguments);
    check(next != arguments[0], "a new object has a handle of its own");
    check(objects_work(), "all objects work on");
    object_free(type, next);
}

static void check_function(const function *function) {
    size_t index, wrong;
    checking(function->name, "", "");
    check_right(function);
    for (index = 0; index < MAX_ARGUMENTS; ++index) {
        for (wrong = 0; function->arguments[index].kind != NO_ARGUMENT && check_wrong(function, index, wrong); ++wrong) {
        }
    }
    if (function->arguments[0].kind == FRESH_HANDLE && function->result == NOTHING) {
        check_double_free(function);
    }
}

/* The tables have every function of the header, with the names of its pointers, and no other. */
static void check_complete(const char *header) {
    static header_function declared[MAX_FUNCTIONS];
    const size_t count = read_header_functions(header, declared, MAX_FUNCTIONS);
    size_t i, j, k;
    checking(header, "", "");
    check(count == function_count, "there is a table's row for each function of the header");
    for (i = 0; i < count; ++i) {
        const function *row = NULL;
        for (j = 0; j < function_count; ++j) {
            row = strcmp(functions[j]->name, declared[i].name) == 0 ? functions[j] : row;
        }
        checking(declared[i].name, "", "");
        if (!check(row != NULL, "the tables of misuse/calls_*.c have it")) {
            continue;
        }
        for (k = 0; k < MAX_ARGUMENTS; ++k) {
            const char *name = row->arguments[k].kind == NO_ARGUMENT ? "" : row->arguments[k].name;
            const char *expected = k < declared[i].pointer_count ? declared[i].pointers[k] : "";
            checking(declared[i].name, expected, "");
            check(strcmp(name, expected) == 0, "its pointers are the row's arguments");
        }
    }
}

static int check_all(char **argv) {
    size_t i;
    objects_setup(argv[1], argv[3]);
    add_rows(version_calls());
    add_rows(context_calls());
    add_rows(graph_calls());
    add_rows(qconfig_calls());
    add_rows(prepared_calls());
    add_rows(recipe_calls());
    add_rows(model_calls());
    add_rows(session_calls());
    add_rows(compare_calls());
    add_rows(operator_calls());
    add_rows(observer_calls());
    add_rows(builder_calls());
    check_complete(argv[2]);
    for (i = 0; i < function_count; ++i) {
        check_function(functions[i]);
    }
    check_tensors();
    check_states();
    check(objects_work(), "all objects work on");
    objects_teardown();
    return checks_end();
}

static void *check_all_here(void *argv) {
    static int status;
    status = check_all(argv);
    return &status;
}

/* All of it on the thread with a small stack that a host may call from. */
static int check_all_on_a_small_stack(char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    void *status;
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstacksize(&attributes, SMALL_STACK_BYTES) != 0 ||
        pthread_create(&thread, &attributes, check_all_here, argv) != 0 || pthread_join(thread, &status) != 0) {
        fprintf(stderr, "no thread with a small stack\n");
        return 2;
    }
    return *(int *)status;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[4], "small_stack") == 0) {
        return check_all_on_a_small_stack(argv);
    }
    if (argc != 4) {
        fprintf(stderr, "usage: misuse NETWORKS HEADER FOLDER [small_stack]\n");
        return 2;
    }
    return check_all(argv);
}
