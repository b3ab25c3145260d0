/* filter - what a request asks to see: its parameters as a query's filter and cursor, within what the access table lets it read. */
#ifndef ENLIGHT_API_FILTER_H
#define ENLIGHT_API_FILTER_H

#include "api/request.h"

/* No batch has a slot with a higher index, so a place with this one is behind the whole batch. */
enum { PLACE_INDEX_MAX = BATCH_EVENTS_MAX - 1 };

/* A cursor's two numbers. False: not NUMBER.INDEX. */
bool place_parse(struct place *out, const char *text);

/* The parameter `limit`: 1 to `max`; 100 when it is not given, or wrong, which goes to `problems`. */
enum { LIMIT_USUAL = 100, LIMIT_MAX = 1000 };
unsigned limit_parse(const struct request *rq, unsigned long max, struct problems *problems);

/* Whether a place is beyond everything that is stored: then it is of another store, or of one that was lost, and who waits behind it
 * would miss what comes. Answers 409 then. place_given() notes what a client was told: the read worker may see a commit earlier than
 * the loop hears of it. */
bool place_beyond(struct request *rq, const char *name, const struct place *place);
void place_given(struct api *a, const struct place *place);

/* Fills in `out` from source, topic, subject and audience, and from what the peer may read. All that is wrong goes to
 * `problems`, whose places are names of parameters. 0 or -ENOMEM; free with the query either way. */
int filter_of_request(struct event_filter *out, const struct request *rq, struct problems *problems);

/* What is wrong with an audience that is none. */
#define FILTER_AUDIENCE_RULE "`network`, or handles of members with commas between"

/* The source and topic of a request, checked. */
void filter_check(const struct request *rq, struct problems *problems);

#endif
