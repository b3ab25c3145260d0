/* faults - makes one call fail that the code under test makes: the n-th from now on, of memory or of the system. A test walks n
 * upwards until none failed, and so goes down every path that leaves early.
 *
 * Memory: what our own code, jansson and SQLite allocate. System: the calls of `failing_calls` (meson.build), which the linker puts
 * functions of ours in front of, those of libzmq and those of SQLite's file system among them. State at file scope, as there is one
 * malloc() in a process; safe in threads. Nothing else may be allocated while it is armed that a test cannot do without. */
#ifndef ENLIGHT_TESTS_FAULTS_H
#define ENLIGHT_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum fault_kind { FAULT_MEMORY = 1, FAULT_CALL = 2 };

/* Puts itself below jansson and SQLite; once, before either is used. */
void faults_init(void);

/* The n-th (from 1) call of this kind in this process fails, once. */
void faults_arm(enum fault_kind kind, size_t n);

/* Nothing fails any more. What did: the function's name, or NULL. */
const char *faults_disarm(void);

/* Where that was, as `function:line` from the inside out, when a sanitizer can say; for messages. */
const char *faults_where(void);

#endif
