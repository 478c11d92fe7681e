/* Counted checks: a failed one is told with what it was about, and the test goes on. */
#ifndef MISUSE_CHECKS_H
#define MISUSE_CHECKS_H

#include <stdint.h>

/* What checks are about from now on, such as a function and what is wrong with its argument. */
void checking(const char *function, const char *argument, const char *wrong);

/* `holds` or the line is told, with `claim`. Gives `holds`. */
int check(int holds, const char *claim);

/* The status is the expected one, and unless that is RSQ_OK this thread's message is not empty. */
int check_status(int64_t status, int64_t expected);

/* Tells how many checks there were, and gives the program's exit status. */
int checks_end(void);

#endif
