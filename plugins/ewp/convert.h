/* convert - a document of Erasmus Without Paper becomes events.
 *
 * A document is taken whole or not at all. Everything that is wrong is found in one go, but for what hides the rest: XML that is
 * not well-formed, and breaches of the official schema. Each event passes core's own checks, so a node accepts what comes out,
 * as far as that can be known without the node. */
#ifndef ENLIGHT_EWP_CONVERT_H
#define ENLIGHT_EWP_CONVERT_H

#include "base/bytes.h"
#include "ewp/fields.h"
#include "ewp/remarks.h"
#include <jansson.h>
#include <libxml/tree.h>

struct ewp_request {
	struct bytes text;    /* the document, at most DOCUMENT_MAX bytes (document.h) */
	const char *member;   /* whose document it is: a valid handle */
	const char *audience; /* in its one form (handle.h); NULL: not given */
	const char *schemas;  /* folder of official schemas; NULL: they are not asked */
};

/* Outcomes beside 0 and -ENOMEM. */
enum {
	EWP_REFUSED = 1,   /* `refused` says why */
	EWP_NO_SCHEMA,     /* there is no usable schema for the document in the folder */
	EWP_WHOSE_AUDIENCE /* documents of this kind do not say who may read them, and the request does not either */
};

/* The zeroed value is empty; release with ewp_result_deinit(). */
struct ewp_result {
	struct buffer events; /* CloudEvents JSON, one a line; empty unless 0 was returned */
	struct remarks refused;
	struct remarks left_out; /* what events cannot carry, also when something was refused */
};

/* Converts one document. Events have no id: the node gives each its own. What a document says is the state of its objects, and the
 * node answers `unchanged` where that is what it published last: a run that broke off can simply be repeated, and an object that
 * changes and then changes back is news both times. An id made of what is said could not tell the two apart: it names one event
 * for ever. */
int ewp_convert(struct ewp_result *out, const struct ewp_request *in);
void ewp_result_deinit(struct ewp_result *r);

/* ---- For the tables: what is done to an object when all of it was read ---- */

/* An object of the data under construction. */
struct place {
	json_t *object;
	const char *pointer; /* JSON pointer to it: /data/student */
	const xmlNode *node; /* the element it comes from */
};

/* Makes `names` out of `given` and `family`: in the documents given and family names stand apart, each in several languages, in
 * events together. Those of one language belong together; what is left over pairs up in order when either has no language. */
void pair_names(struct conversion *c, const struct place *student);

/* Says at the course what all its runs say alike: credits. The standard knows them of runs alone, readers look at the course. */
void lift_credits(struct conversion *c, const struct place *course);

#endif
