/* checkpoint - once a day the node tells the network salted digests of its channels' heads: node.checkpoint.
 *
 * On the first tick of a day (UTC) at which a head is another than at the checkpoint before; so a quiet node says nothing. A node that does
 * not know when its last one was begins with what was published on an earlier day. Its id is made from the day, and an id names one event
 * for ever: two on one day there cannot be, whatever a crash or a clock does. What was anchored last is a setting of the ledger, written in the
 * checkpoint's own transaction.
 *
 * None is published in the first minutes of a node: one that was restored from an old copy would put it where its readers hold something
 * else.
 *
 * The channel for the network has no anchor: the checkpoint stands in that one itself, and its header is chained to all before it. */
#include "core/node_state.h"
#include "core/work.h"

#include "base/stamp.h"
#include "core/evidence.h"
#include "core/handle.h"
#include "core/wire.h"
#include "enlight/event/v1/node.pb-c.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ANCHORS_MAX = 5000, /* what fits into one event */
	AGAIN_MS = 60000,   /* after a checkpoint that could not be written */
	SETTLE_MS =
		600000, /* after the start: a node whose disk went back must hear so from its readers before it says anything */
};
static const uint64_t DAY_MS = 86400000;

/* ---- the commit worker's side ---- */

static int compare_digests(const void *a, const void *b)
{
	return memcmp(a, b, DIGEST_LEN);
}

/* The packed data of a checkpoint: sorted, so that the order tells nothing either. */
static int pack_anchors(
	struct bytes *out, const struct committer *c, const char *time, const struct checkpoint_job *job)
{
	Enlight__Event__V1__Checkpoint m = ENLIGHT__EVENT__V1__CHECKPOINT__INIT;
	struct digest *anchors = calloc(job->n_heads + 1, sizeof *anchors);
	ProtobufCBinaryData *views = calloc(job->n_heads + 1, sizeof *views);
	uint8_t salt[SALT_LEN];

	*out = (struct bytes){0};
	if (anchors != NULL && views != NULL) {
		for (size_t i = 0; i < job->n_heads; i++) {
			checkpoint_salt(salt, &c->store_keys, time, &job->heads[i]);
			checkpoint_anchor(&anchors[i], salt, &job->heads[i]);
		}
		qsort(anchors, job->n_heads, sizeof *anchors, compare_digests);
		for (size_t i = 0; i < job->n_heads; i++)
			views[i] = (ProtobufCBinaryData){DIGEST_LEN, anchors[i].bytes};
		m.node = (char *)c->member;
		m.time = (char *)time;
		m.n_anchors = job->n_heads;
		m.anchors = views;
		out->data = wire_pack(&m, &out->len);
	}
	free(anchors);
	free(views);
	return out->data == NULL ? -ENOMEM : 0;
}

/* The attributes of the event, by name. */
struct attributes {
	const char *id, *type, *subject, *time;
};

static const char *attribute(void *context, const char *name)
{
	const struct attributes *a = context;
	const struct {
		const char *name, *value;
	} values[] = {{"specversion", "1.0"}, {"id", a->id}, {"type", a->type}, {"subject", a->subject},
		{"time", a->time}, {"enlightaudience", AUDIENCE_NETWORK}, {"datacontenttype", "application/protobuf"}};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (strcmp(values[i].name, name) == 0)
			return values[i].value;
	return NULL;
}

static int make_draft(struct draft *out, const struct committer *c, const struct checkpoint_job *job)
{
	char id[CHECKPOINT_ID_SIZE], subject[sizeof "node/" + HANDLE_MAX], time[STAMP_TIME], today[STAMP_DAY];
	struct attributes a = {id, topic_find("node.checkpoint")->type, subject, time};
	struct draft_source in = {.attribute = attribute, .context = &a, .packed = true};
	struct problems problems = {0};
	int r;

	checkpoint_id(id, job->time_ms / DAY_MS);
	snprintf(subject, sizeof subject, "node/%s", c->member);
	stamp_time(time, job->time_ms);
	stamp_day(today, job->time_ms);
	r = pack_anchors(&in.data, c, time, job);
	if (r == 0)
		r = draft_from_parts(out, &in, c->member, &problems);
	if (r == 0)
		r = draft_complete(out, id, time, today);
	problems_deinit(&problems);
	free((void *)in.data.data);
	return r > 0 ? -EINVAL : r;
}

/* What the checkpoint anchors, and on which day, for checkpoint_load(). */
static int remember(struct work *w, const struct checkpoint_job *job)
{
	char value[96], digest[2 * DIGEST_LEN + 1];

	hex_encode(digest, job->digest.bytes, DIGEST_LEN);
	snprintf(value, sizeof value, "%llu %s", (unsigned long long)(job->time_ms / DAY_MS), digest);
	return w->ops->setting_put(w->ledger, CHECKPOINT_SETTING, value);
}

int work_checkpoint(struct work *w, struct checkpoint_job *job)
{
	int r;

	job->publish.drafts = calloc(1, sizeof *job->publish.drafts);
	if (job->publish.drafts == NULL)
		return -ENOMEM;
	r = make_draft(job->publish.drafts, w->c, job);
	if (r != 0)
		return r;
	job->publish.n_drafts = 1;
	r = work_publish(w, &job->publish);
	if (r == 0 && (job->publish.outcome == PUBLISH_OK || job->publish.outcome == PUBLISH_CONFLICT))
		r = remember(w, job);
	return r;
}

/* ---- the node's side ---- */

int node_load_checkpoint(struct node *n, const char *value)
{
	char *end;
	uint64_t day = strtoull(value, &end, 10);

	if (end == value || *end != ' ' || !hex_decode(n->checkpoint.heads.bytes, DIGEST_LEN, end + 1))
		return -EBADMSG;
	n->checkpoint.day = day;
	n->checkpoint.known = true;
	return 0;
}

static bool is_anchored(const struct node *n, const struct channel *c)
{
	return c->row.last > 0 && strcmp(c->row.publisher, n->member) == 0 &&
	       strcmp(c->row.audience, AUDIENCE_NETWORK) != 0;
}

/* Whether a channel's head was signed before today. */
static bool is_of_earlier_day(const struct channel *c, uint64_t today)
{
	struct header h;
	bool earlier = header_decode(&h, c->header) == 0 && h.time_ms / DAY_MS < today;

	header_deinit(&h);
	return earlier;
}

/* The heads to anchor, sorted; memory the caller frees. NULL: out of memory. `*old` when one is of an earlier day. */
static struct digest *collect_heads(struct node *n, size_t *n_heads, bool *old, uint64_t today)
{
	struct digest *heads = calloc(n->n_channels + 1, sizeof *heads);

	*n_heads = 0;
	*old = false;
	for (size_t i = 0; heads != NULL && i < n->n_channels; i++) {
		if (!is_anchored(n, n->channels[i]))
			continue;
		heads[(*n_heads)++] = n->channels[i]->row.head;
		*old = *old || is_of_earlier_day(n->channels[i], today);
	}
	if (heads == NULL)
		return NULL;
	qsort(heads, *n_heads, sizeof *heads, compare_digests);
	if (*n_heads > ANCHORS_MAX) {
		node_log(n, LOG_LEVEL_WARN, "checkpoint: only %d of %zu channels fit", ANCHORS_MAX, *n_heads);
		*n_heads = ANCHORS_MAX;
	}
	return heads;
}

/* Takes the heads. */
static void begin(struct node *n, struct digest *heads, size_t n_heads, const struct digest *digest)
{
	struct job *job = job_new(JOB_CHECKPOINT, n->trust);

	if (job == NULL) {
		n->short_of_memory = true;
		free(heads);
		return;
	}
	job->checkpoint =
		(struct checkpoint_job){.time_ms = n->time_ms, .heads = heads, .n_heads = n_heads, .digest = *digest};
	n->checkpoint.running = node_act_commit(n, job);
}

void checkpoint_tick(struct node *n)
{
	uint64_t today = n->time_ms / DAY_MS;
	struct digest *heads, digest;
	size_t n_heads;
	bool old;

	if (n->checkpoint.retry_ms == 0)
		n->checkpoint.retry_ms = n->now_ms + SETTLE_MS;
	if (n->checkpoint.running || (n->checkpoint.known && n->checkpoint.day == today) ||
		n->now_ms < n->checkpoint.retry_ms)
		return;
	heads = collect_heads(n, &n_heads, &old, today);
	if (heads == NULL) {
		n->short_of_memory = true;
		return;
	}
	digest_plain(&digest, bytes_of(heads, n_heads * sizeof *heads));
	if (n_heads == 0 || digest_equal(&digest, &n->checkpoint.heads) || (!n->checkpoint.known && !old)) {
		n->checkpoint.day = today;
		n->checkpoint.known = true;
	} else if (node_why_not_ready(n) == NULL) {
		begin(n, heads, n_heads, &digest);
		return;
	}
	free(heads);
}

void checkpoint_committed(struct node *n, const struct job *job)
{
	const struct checkpoint_job *c = &job->checkpoint;
	enum publish_outcome outcome = c->publish.outcome;

	n->checkpoint.running = false;
	if (outcome != PUBLISH_OK && outcome != PUBLISH_CONFLICT) {
		n->checkpoint.retry_ms = n->now_ms + AGAIN_MS;
		node_log(n, LOG_LEVEL_WARN, "checkpoint: not written, trying again");
		return;
	}
	n->checkpoint.day = c->time_ms / DAY_MS;
	n->checkpoint.heads = c->digest;
	n->checkpoint.known = true;
	if (outcome == PUBLISH_CONFLICT)
		node_log(n, LOG_LEVEL_ERROR, "checkpoint: not written, another event has its id");
	if (outcome == PUBLISH_OK)
		node_log(n, LOG_LEVEL_INFO, "checkpoint: published channels=%zu", c->n_heads);
}
