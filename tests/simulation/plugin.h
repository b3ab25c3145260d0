/* plugin - a played plugin of a simulated member, behind core's real delivery.
 *
 * It acts once by id, as the contract wants: what it has applied lies in a table of its own, which outlives its process and its node.
 * What it is given is judged as it comes: nothing below `settled` comes again, an id has one content, the revisions of an object
 * are applied one after the other. What a fault makes of it stands in `mood`. */
#ifndef ENLIGHT_TESTS_PLUGIN_H
#define ENLIGHT_TESTS_PLUGIN_H

#include "core/delivery.h"
#include "network.h"

struct event;
struct plugin;

/* The object that it publishes: an answer to some events. What it is about is not answered again. */
#define PLUGIN_COURSE "answers"

struct plugin *plugin_new(struct network *w, size_t member);
void plugin_free(struct plugin *p); /* NULL is a no-op */

/* With its node: from what the ledger remembers, and gone without a word. */
void plugin_begin(struct plugin *p);
void plugin_end(struct plugin *p);

/* What it asked for, and what is due. */
void plugin_committed(struct plugin *p, struct job *job);
void plugin_read(struct plugin *p, struct query *query);
void plugin_stored(struct plugin *p, uint64_t last_number);
/* What became of what it wanted published; `result` NULL: it will not be. */
void plugin_published(struct plugin *p, uint64_t run, uint64_t number, const char *id, const char *audience,
	const struct published *result);
void plugin_happens(struct plugin *p, unsigned run, uint64_t number);

/* How it fails. */
struct plugin_mood {
	unsigned crashes; /* of a thousand events, before or after their effect */
	bool hangs;       /* it says nothing any more, until it is killed */
	bool rejects;     /* the events of one object in eight */
	bool retries;     /* asks to get those later */
	bool dies;        /* of those */
	unsigned fails;   /* of a thousand events it asks to get one later */
	unsigned objects; /* which eighth */
};
struct plugin_mood *plugin_mood(struct plugin *p);
void plugin_mend(struct plugin *p);             /* an operator lets it have what is dead once more */
void plugin_restored(struct plugin *p);         /* its node has lost what it knew: it may be given all again */
bool plugin_is_settled(const struct plugin *p); /* nothing is open, held or still to be read */
void plugin_say(const struct plugin *p, char *out, size_t size); /* why not */
void plugin_check_bounds(const struct plugin *p);                /* what its node keeps for it in memory */
/* What the event says that it applied last of an object; 0: none. And what an event says. */
uint64_t plugin_state(const struct plugin *p, const char *source, const char *subject);
uint64_t plugin_content(const struct event *e);
bool plugin_has(const struct plugin *p, const char *source, const char *id);

#endif
