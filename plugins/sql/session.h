/* session - a mapping at work on its database: connected when it is needed, given up when it fails. */
#ifndef ENLIGHT_SQL_SESSION_H
#define ENLIGHT_SQL_SESSION_H

#include "database.h"
#include "work.h"

/* The zeroed value but for `mapping` and `owner` is ready; release with session_deinit(). */
struct session {
	struct mapping mapping;
	char *owner;         /* whose applied events are; freed by session_deinit() */
	struct database *db; /* NULL: not connected */
	bool doubtful;       /* it is to connect and look anew */
	struct sql sql;      /* as long as `db` */
	void (*complain)(void *context, bool misfit, const char *text); /* about what does not fit, or is unwise */
	void (*beat)(void *context);                                    /* before each statement: it may take long */
	void *context;
};

/* Connects unless it is, looks whether everything is there, and creates the table of applied events when it is not. So it
 * does again after something failed that this may mend. Call it before what is made ready for the connection. 0, one of
 * database.h's, or -ENOMEM. */
int session_open(struct session *s, struct trouble *trouble);
void session_close(struct session *s);
void session_deinit(struct session *s);

/* All of it in one transaction, or none. */
int session_apply(struct session *s, const struct work *const *work, size_t n, struct trouble *trouble);
int session_erase(struct session *s, const struct work_erasure *e, struct trouble *trouble);

/* What is wrong, in one line: "joint_course: a constraint of the database forbids it (SQLSTATE 23505, code 1;
 * registrar.yaml:7)". */
enum { SESSION_WORDS_MAX = 256 };
void session_words(const struct session *s, const struct trouble *trouble, char out[static SESSION_WORDS_MAX]);

#endif
