/* recover - a node whose disk went back, or was lost, gets what it published from its readers: each holds it, signed by this node, and shows
 * how far.
 *
 * What goes on where our copy ends is taken in as our own. While it comes nothing is published, so that no place is used twice; but nobody is
 * waited for who gives nothing. Where
 * this node published something else there meanwhile, it says so and leaves it: people have to look. */
#include "core/node_state.h"

#include "core/handle.h"
#include <string.h>

enum { PATIENCE_MS = 60000 }; /* so long nothing is published for a reader that gives nothing back */

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

void recover_head(
	struct node *n, struct session *s, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	const struct channel *c = node_channel(n, n->member, h->audience);
	struct reading *rd;

	if (!is_beyond(c, h->incarnation, header_last(h)) || !is_ours(n, h, packed, signature))
		return;
	rd = reading_of(n, s, n->member, h->audience);
	if (rd == NULL)
		return;
	if (rd->announced == 0)
		node_log(n, LOG_LEVEL_ERROR,
			"channel: this node's disk went back: a reader holds more than it reader=%s audience=%s "
			"held=%llu "
			"reader_holds=%llu",
			s->peer->member, h->audience, (unsigned long long)(c == NULL ? 0 : c->row.last),
			(unsigned long long)header_last(h));
	rd->announced = header_last(h);
	rd->incarnation = h->incarnation;
	if (rd->open || rd->retry_ms != 0)
		return;
	rd->moved_ms = n->now_ms;
	fetch_channel(n, s, rd);
}

void recover_accepted(struct node *n, struct reading *rd)
{
	const struct channel *c = node_channel(n, n->member, rd->audience);

	if (!is_own(n, rd))
		return;
	rd->moved_ms = n->now_ms;
	if (is_beyond(c, rd->incarnation, rd->announced))
		return;
	if (rd->open)
		node_log(n, LOG_LEVEL_WARN, "channel: fetched back what this node had published audience=%s last=%llu",
			rd->audience, (unsigned long long)c->row.last);
	rd->open = false;
}

bool node_recovers(const struct node *n)
{
	for (size_t i = 0; i < n->n_peers; i++) {
		const struct session *s = n->peers[i]->session;

		for (size_t k = 0; s != NULL && k < s->n_readings; k++)
			if (is_own(n, &s->readings[k]) && s->readings[k].open &&
				n->now_ms < s->readings[k].moved_ms + PATIENCE_MS)
				return true;
	}
	return false;
}
