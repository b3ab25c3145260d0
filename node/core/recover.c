/* recover - a node whose disk went back, or was lost, gets what it published from its readers: each holds it, signed by this node, and shows
 * how far.
 *
 * What goes on where our copy ends is taken in as our own, from whoever has it. While it comes nothing is published, so that no place is
 * used twice; but nobody is waited for who gives nothing. Where this node published something else there meanwhile, it says so and leaves
 * it: people have to look. */
#include "core/node_state.h"

#include "core/handle.h"
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 60000 }; /* so long nothing is published for what nobody gives back */

static bool is_own(const struct node *n, const struct reading *rd)
{
	return strcmp(rd->publisher, n->member) == 0;
}

static bool is_beyond(const struct channel *c, uint32_t incarnation, uint64_t last)
{
	return c == NULL || incarnation > c->row.incarnation ||
	       (incarnation == c->row.incarnation && last > c->row.last);
}

/* Whether we signed it, with a key that nobody else may have. */
static bool is_ours(const struct node *n, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	enum card_key_state state;
	const uint8_t *key = trust_sign_key(n->trust, n->member, h->key, &state);

	return digest_equal(&h->network, trust_network(n->trust)) && trust_knows(n->trust, h->audience) &&
	       key != NULL && state != CARD_KEY_REVOKED && header_verify(packed, signature, key);
}

static struct lost *find_lost(const struct node *n, const char *audience)
{
	for (size_t i = 0; i < n->n_lost; i++)
		if (strcmp(n->lost[i].audience, audience) == 0)
			return &n->lost[i];
	return NULL;
}

/* Remembers how far a channel of ours went. False: out of memory. */
static bool note_lost(struct node *n, const struct header *h)
{
	struct lost *lost = find_lost(n, h->audience), *all;

	if (lost == NULL) {
		all = realloc(n->lost, (n->n_lost + 1) * sizeof *all);
		if (all != NULL)
			n->lost = all;
		if (all == NULL || (all[n->n_lost].audience = strdup(h->audience)) == NULL) {
			n->short_of_memory = true;
			return false;
		}
		lost = &all[n->n_lost++];
		*lost = (struct lost){.audience = lost->audience};
	}
	if (h->incarnation < lost->incarnation || (h->incarnation == lost->incarnation && header_last(h) <= lost->last))
		return true;
	lost->incarnation = h->incarnation;
	lost->last = header_last(h);
	lost->moved_ms = n->now_ms;
	lost->given_up = false;
	return true;
}

void recover_head(
	struct node *n, struct session *s, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	const struct channel *c = node_channel(n, n->member, h->audience);
	struct reading *rd;

	if (!is_beyond(c, h->incarnation, header_last(h)))
		return;
	if (!is_ours(n, h, packed, signature)) { /* our own card may be on its way */
		refuse_head(n, s, "a head in this node's name that it cannot verify");
		return;
	}
	rd = note_lost(n, h) ? reading_of(n, s, n->member, h->audience) : NULL;
	if (rd == NULL)
		return;
	if (rd->announced == 0)
		node_log(n, LOG_LEVEL_ERROR,
			"channel: this node's disk went back: a reader holds more than it reader=%s audience=%s "
			"held=%llu "
			"reader_holds=%llu",
			s->peer->member, h->audience, (unsigned long long)(c == NULL ? 0 : c->row.last),
			(unsigned long long)header_last(h));
	if (rd->announced != header_last(h) || rd->incarnation != h->incarnation)
		rd->retry_ms = 0;
	rd->announced = header_last(h);
	rd->incarnation = h->incarnation;
	if (!rd->open && rd->retry_ms == 0)
		fetch_channel(n, s, rd);
}

bool recover_wants(const struct node *n, const struct reading *rd)
{
	return !is_own(n, rd) || is_beyond(node_channel(n, n->member, rd->audience), rd->incarnation, rd->announced);
}

bool recover_reads(const struct node *n, const struct session *s)
{
	for (size_t i = 0; i < s->n_readings; i++)
		if (is_own(n, &s->readings[i]) && s->readings[i].open)
			return true;
	return false;
}

void recover_accepted(struct node *n, struct reading *rd, enum accept_outcome outcome)
{
	struct lost *lost = is_own(n, rd) ? find_lost(n, rd->audience) : NULL;

	if (lost != NULL && outcome == ACCEPT_OK)
		lost->moved_ms = n->now_ms;
	if (lost == NULL || recover_wants(n, rd))
		return;
	if (rd->open)
		node_log(n, LOG_LEVEL_WARN, "channel: fetched back what this node had published audience=%s last=%llu",
			rd->audience, (unsigned long long)rd->announced);
	rd->open = false;
}

void recover_refused(struct node *n, struct reading *rd)
{
	struct lost *lost = is_own(n, rd) ? find_lost(n, rd->audience) : NULL;

	if (lost == NULL)
		return;
	node_log(n, LOG_LEVEL_ERROR,
		"channel: what a reader holds does not go on where this node's copy ends: it published anew "
		"audience=%s",
		rd->audience);
	lost->given_up = true;
	rd->retry_ms = UINT64_MAX; /* until that reader shows another head */
}

bool node_recovers(const struct node *n)
{
	for (size_t i = 0; i < n->n_lost; i++) {
		const struct lost *lost = &n->lost[i];
		const struct channel *c = node_channel(n, n->member, lost->audience);

		if (!lost->given_up && n->now_ms < lost->moved_ms + PATIENCE_MS &&
			is_beyond(c, lost->incarnation, lost->last))
			return true;
	}
	return false;
}

void recover_free(struct node *n)
{
	for (size_t i = 0; i < n->n_lost; i++)
		free(n->lost[i].audience);
	free(n->lost);
}
