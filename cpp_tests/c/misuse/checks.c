#include "checks.h"

#include <rsquant.h>

#include <stdio.h>

static const char *about[3] = {"", "", ""};
static unsigned long done, failed;

void checking(const char *function, const char *argument, const char *wrong) {
    about[0] = function;
    about[1] = argument;
    about[2] = wrong;
}

int check(int holds, const char *claim) {
    ++done;
    if (!holds) {
        ++failed;
        fprintf(stderr, "%s, %s %s: not so: %s\n", about[0], about[1], about[2], claim);
    }
    return holds;
}

int check_status(int64_t status, int64_t expected) {
    char message[256] = "";
    const size_t length = rsq_last_error(message, sizeof message);
    int holds = check(status == expected, rsq_status_name((rsq_status)expected));
    if (!holds) {
        fprintf(stderr, "    but %s: %s\n", rsq_status_name((rsq_status)status), message);
    }
    if (expected != RSQ_OK) {
        holds &= check(length > 0, "there is a message");
    }
    return holds;
}

int checks_end(void) {
    printf("%lu checks, %lu failed\n", done, failed);
    return failed != 0 || done == 0;
}
