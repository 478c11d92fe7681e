/* Wrong tensors and wrong states. */
#ifndef MISUSE_TENSORS_H
#define MISUSE_TENSORS_H

/* rsq_run of int8 and float sessions and rsq_calibrate refuse each wrong tensor; a batch of none is right. */
void check_tensors(void);

/* Calls that do not fit the object's state. */
void check_states(void);

#endif
