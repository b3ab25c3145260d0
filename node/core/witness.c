/* witness - what the readers of a channel show each other. Each sees the heads that the others hold; two of them that contradict each
 * other prove that their publisher showed two histories, whoever was shown which.
 *
 * A head is compared by whoever holds the more of the channel: it finds the place in its copy. What contradicts is kept as evidence, and
 * both headers go on to all readers, so that each of them finds the same. A head without a good signature says nothing about anybody. */
#include "core/node_state.h"

#include "core/handle.h"
#include <stdlib.h>
#include <string.h>

/* Whether what the head says of the channel can be found in our copy. */
static bool comparable(const struct channel *c, const struct header *h)
{
	return h->incarnation <= c->row.incarnation && h->first <= c->row.last;
}

/* Where the peer stood in a stopped channel when our head was shown to it last. NULL: out of memory. */
static struct digest *told(struct node *n, struct session *s, uint64_t channel)
{
	struct told *all;

	for (size_t i = 0; i < s->n_told; i++)
		if (s->told[i].channel == channel)
			return &s->told[i].head;
	all = realloc(s->told, (s->n_told + 1) * sizeof *all);
	if (all == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	s->told = all;
	all[s->n_told] = (struct told){.channel = channel};
	return &all[s->n_told++].head;
}

/* The channel is stopped here; the peer may not know why: a reader that came to it since the others learnt of the fork, or a publisher whose
 * disk went back behind it. A head that does not change any more is answered once: it may be of one that has stopped as well. */
void witness_stopped(struct node *n, struct session *s, const struct channel *c, struct bytes packed)
{
	struct digest *last = told(n, s, c->row.id), head;

	digest_header(&head, packed);
	if (last == NULL || digest_equal(last, &head))
		return;
	*last = head;
	if (strcmp(c->row.publisher, s->peer->member) != 0) {
		serve_head(n, s, c->header, c->signature);
		return;
	}
	for (size_t i = 0; i < sizeof c->fork / sizeof *c->fork; i++)
		if (c->fork[i].header.data != NULL)
			serve_head(n, s, c->fork[i].header, c->fork[i].signature);
}

void witness_head(
	struct node *n, struct session *s, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	const struct channel *c = node_channel(n, h->publisher, h->audience);

	if (c == NULL || !serve_shows(n, s, c) || bytes_equal(c->header, packed))
		return;
	if (c->row.stopped != 0)
		witness_stopped(n, s, c, packed);
	if (comparable(c, h) &&
		(c->row.stopped == 0 ||
			h->first < c->row.stopped)) /* who holds more than we do finds out when it sees ours */
		judge_head(n, s, h->publisher, packed, signature);
}

void witness_judged(struct node *n, struct session *s, const struct accept_job *a)
{
	if (a->outcome != ACCEPT_FORGED || s == NULL || n->now_ms < s->heads_retry_ms)
		return;
	s->heads_retry_ms = n->now_ms + RETRY_MS;
	node_log(n, LOG_LEVEL_WARN, "channel: a head that proves nothing publisher=%s shown_by=%s why=\"%s\"", a->peer,
		a->witness, a->why);
}

void witness_tell(struct node *n, const struct accept_job *a, const struct header *h)
{
	struct channel *c = node_channel(n, h->publisher, h->audience);
	bool own = strcmp(h->publisher, n->member) == 0;
	const char *what = own ? "this node published anew in place of what it had lost"
			       : (c != NULL && c->row.stopped != 0 ? "stopped" : "its publisher went back behind both");

	if (c != NULL && !own &&
		!channel_note_fork(c, a->contradicted, a->contradicted_signature, a->batch.header, a->batch.signature))
		n->short_of_memory = true;
	node_log(n, LOG_LEVEL_ERROR,
		"channel: fork publisher=%s audience=%s shown_by=%s what=\"%s, both headers are kept\"", h->publisher,
		h->audience, a->witness[0] == '\0' ? a->peer : a->witness, what);
	for (size_t i = 0; c != NULL && i < n->n_peers; i++) {
		struct session *s = n->peers[i]->session;

		if (s == NULL || !serve_shows(n, s, c))
			continue;
		serve_head(n, s, a->contradicted, a->contradicted_signature);
		serve_head(n, s, a->batch.header, a->batch.signature);
	}
}
