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

/* SQLite always has memory: for programs that use it through others, which may not bear that it has none. */
void faults_spare_sqlite(void);

/* The n-th (from 1) call of this kind in this process fails, once. */
void faults_arm(enum fault_kind kind, size_t n);

/* Nothing fails any more. What did: the function's name, or NULL. */
const char *faults_disarm(void);

/* Until faults_learnt(), which says how many there were, calls of this kind are noted and none fails. A program makes the same ones each
 * time: then faults_visits() says how many of those before the n-th were made in the same place, as places are below. */
void faults_learn(enum fault_kind kind);
size_t faults_learnt(void);
size_t faults_visits(size_t n);

/* ---- places ---- */

/* A program that goes on and on fails by places rather than by numbers: a place is a call, and the four that led to it. Which were met,
 * and how often each failed, lies in a file that the program and its test share, whatever becomes of either. */

/* Maps the file (new: empty) for the test, which makes calls fail in the processes that map it as theirs. */
void faults_share(const char *path);
void faults_subject(const char *path);

/* The next call fails whose place has failed fewer times than `each` and is due: each place soon, and again after ever more visits. */
void faults_arm_place(size_t each);

/* As faults_disarm(); the name is valid until the next one. */
const char *faults_disarm_place(void);

/* How often calls of this name failed. */
size_t faults_of(const char *name);

/* The monotonic clock of this process runs so many times as fast, and what waits by it waits so much less. */
void faults_hurry(unsigned times);

/* For functions that a test itself puts in front of others: whether this call is the one. */
bool faults_strike(enum fault_kind kind, const char *name);

/* What the test itself does in this thread, while it is armed, does not fail and is not counted. */
void faults_pause(bool paused);

/* Where that was, as `function:line` from the inside out, when a sanitizer can say; for messages. */
const char *faults_where(void);

#endif
