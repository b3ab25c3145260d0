/* view - what operators see of a node: peers, channels, readiness, counts. Names no person and no event. */
#include "core/node_state.h"

#include "core/handle.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *peer_state(const struct node *n, const struct peer *p)
{
	if (p->blocked)
		return "blocked";
	if (!trust_is_member(n->trust, p->member))
		return "not a member";
	if (p->session != NULL)
		return "live";
	if (trust_card(n->trust, p->member) == NULL)
		return "no card";
	return p->dial != 0 ? "dialling" : "waiting";
}

/* Events of ours that this reader has not acknowledged. */
static uint64_t peer_behind(const struct node *n, const char *member)
{
	uint64_t behind = 0;

	for (size_t i = 0; i < n->n_channels; i++) {
		const struct channel *c = n->channels[i];
		uint64_t to = 0;

		if (strcmp(c->row.publisher, n->member) != 0 || !audience_has(c->row.audience, member))
			continue;
		for (size_t k = 0; k < c->n_readers; k++)
			if (strcmp(c->readers[k].reader, member) == 0)
				to = c->readers[k].to;
		behind += c->row.last > to ? c->row.last - to : 0;
	}
	return behind;
}

static json_t *peer_json(const struct node *n, const struct peer *p, uint64_t now_ms)
{
	const struct roster_member *m = roster_member(trust_roster(n->trust), p->member);
	const struct card *card = trust_card(n->trust, p->member);
	const struct session *s = p->session;
	const char *error = p->blocked ? p->block_reason : s == NULL ? p->last_error : s->problem;

	if (p->boots.returned && !p->blocked)
		error = "two nodes run with the same keys";

	return json_pack("{s:s, s:s, s:s, s:I, s:b, s:s?, s:I, s:I, s:s, s:I, s:I, s:I}", "member", p->member, "name",
		m == NULL ? p->member : m->name, "state", peer_state(n, p), "seconds",
		(json_int_t)(s == NULL ? 0 : (now_ms - s->began_ms) / 1000), "dialled", s != NULL && s->dialled,
		"endpoint", card == NULL ? NULL : card->endpoint, "key",
		(json_int_t)(card == NULL ? 0 : card_newest_key(card)->number), "card",
		(json_int_t)(card == NULL ? 0 : card->number), "last_error", error == NULL ? "" : error, "bytes_in",
		(json_int_t)(p->bytes_in + (s == NULL ? 0 : s->bytes_in)), "bytes_out",
		(json_int_t)(p->bytes_out + (s == NULL ? 0 : s->bytes_out)), "behind",
		(json_int_t)peer_behind(n, p->member));
}

json_t *node_peers(const struct node *n, uint64_t now_ms)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n->n_peers && array != NULL; i++)
		json_array_append_new(array, peer_json(n, n->peers[i], now_ms));
	return array == NULL ? NULL : json_pack("{s:o}", "peers", array);
}

/* Why a channel of others does not move, or NULL. */
static const char *channel_trouble(const struct node *n, const struct channel *c)
{
	const struct peer *p = node_peer(n, c->row.publisher);
	const struct reading *rd;

	if (c->row.stopped != 0)
		return "fork: two histories were shown";
	if (p == NULL || p->session == NULL)
		return NULL;
	rd = find_reading(p->session, c->row.publisher, c->row.audience);
	return rd == NULL ? NULL : rd->why;
}

static json_t *receipts_json(const struct channel *c)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n_readers && array != NULL; i++) {
		const struct reader_receipt *r = &c->readers[i];

		json_array_append_new(array, json_pack("{s:s, s:I, s:I, s:I, s:I}", "reader", r->reader, "incarnation",
						     (json_int_t)r->incarnation, "to", (json_int_t)r->to, "time_ms",
						     (json_int_t)r->time_ms, "uncovered", (json_int_t)r->uncovered));
	}
	return array;
}

/* What this node signed for another's channel; null: nothing yet, or the channel is its own. */
static json_t *own_receipt_json(const struct channel *c)
{
	struct receipt r = {0};
	json_t *json = json_null();

	if (c->receipt.data != NULL && receipt_decode(&r, c->receipt) == 0)
		json = json_pack("{s:I, s:I, s:I, s:I}", "incarnation", (json_int_t)r.incarnation, "to",
			(json_int_t)r.to, "time_ms", (json_int_t)r.time_ms, "uncovered", (json_int_t)r.uncovered);
	receipt_deinit(&r);
	return json;
}

static json_t *channel_json(const struct node *n, const struct channel *c)
{
	char digest[2 * DIGEST_LEN + 1];
	const char *trouble = channel_trouble(n, c);

	hex_encode(digest, c->row.head.bytes, DIGEST_LEN);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:s, s:s?, s:o, s:o}", "publisher",
		c->row.publisher, "audience", c->row.audience, "incarnation", (json_int_t)c->row.incarnation, "first",
		(json_int_t)c->row.first, "last", (json_int_t)c->row.last, "digest", digest, "events",
		(json_int_t)(c->row.last == 0 ? 0 : c->row.last - c->row.first + 1), "bytes", (json_int_t)c->row.bytes,
		"uncovered", (json_int_t)c->row.uncovered, "state",
		c->row.stopped != 0 ? "stopped" : (trouble != NULL ? "refused" : "live"), "reason", trouble, "receipts",
		receipts_json(c), "own_receipt", own_receipt_json(c));
}

json_t *node_channels(const struct node *n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n->n_channels && array != NULL; i++)
		if (n->channels[i]->row.last > 0 || n->channels[i]->row.stopped != 0)
			json_array_append_new(array, channel_json(n, n->channels[i]));
	return array == NULL ? NULL : json_pack("{s:o}", "channels", array);
}

const char *node_why_not_ready(const struct node *n)
{
	const struct card *card = trust_card(n->trust, n->member);
	const struct card_key *key = card == NULL ? NULL : card_key(card, n->keys.number);

	if (!trust_is_member(n->trust, n->member))
		return "this member is not in the roster: it waits for one that lists it, which the others send, or "
		       "enlight roster import";
	if (card == NULL)
		return "there is no card of this member: make one (enlight card new) and import it (enlight card "
		       "import)";
	if (key == NULL || key->state != CARD_KEY_CURRENT)
		return "this member's card does not list the node key in use as current";
	if (sodium_memcmp(key->sign, n->keys.sign_public, SIGN_PUBLIC_LEN) != 0 ||
		sodium_memcmp(key->link, n->keys.link_public, LINK_PUBLIC_LEN) != 0)
		return "this member's card lists another key under the number in use";
	if (node_recovers(n))
		return "this node's disk went back: what it had published is being fetched from its readers";
	return NULL;
}

json_t *node_not_ready(const struct node *n)
{
	const char *why = node_why_not_ready(n);
	json_t *reasons = json_array();

	if (why != NULL && reasons != NULL)
		json_array_append_new(reasons, json_string(why));
	return reasons;
}

json_t *node_invite(const struct node *n)
{
	const struct roster *r = trust_roster(n->trust);
	json_t *cards = json_array();
	char digest[2 * DIGEST_LEN + 1];

	for (size_t i = 0; i < r->n_members && cards != NULL; i++) {
		const struct card *card = trust_card(n->trust, r->members[i].handle);

		if (card != NULL)
			json_array_append_new(cards, json_pack("{s:s, s:s?, s:s}", "member", card->member, "endpoint",
							     card->endpoint, "text", card->note.text));
	}
	hex_encode(digest, r->note.digest.bytes, DIGEST_LEN);
	return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "from", n->member, "network", r->network, "number",
		(json_int_t)r->number, "digest", digest, "roster", r->note.text, "cards", cards);
}

static json_t *roster_row(const struct roster *r, const char *state)
{
	char digest[2 * DIGEST_LEN + 1];
	json_t *signers = json_array();

	hex_encode(digest, r->note.digest.bytes, DIGEST_LEN);
	for (size_t i = 0; i < r->note.n_signatures && signers != NULL; i++)
		json_array_append_new(signers, json_string(r->note.signatures[i].name));
	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:o}", "number", (json_int_t)r->number, "digest", digest, "state",
		state, "members", (json_int_t)r->n_members, "quorum", (json_int_t)r->quorum, "signedBy", signers);
}

json_t *node_rosters(const struct node *n)
{
	const struct trust *t = n->trust;
	json_t *array = json_array();

	for (uint32_t i = trust_oldest_roster(t); i <= trust_roster(t)->number && array != NULL; i++)
		json_array_append_new(array,
			roster_row(trust_roster_number(t, i), i == trust_roster(t)->number ? "in force" : "followed"));
	for (size_t i = 0; i < trust_n_rivals(t) && array != NULL; i++) {
		const struct roster *r = trust_rival(t, i);

		json_array_append_new(array, roster_row(r, trust_settled(t, r->number) ? "set aside" : "rival"));
	}
	return array == NULL ? NULL : json_pack("{s:o}", "rosters", array);
}

void node_counters(const struct node *n, struct node_counters *out)
{
	*out = n->counters;
	out->members = trust_roster(n->trust)->n_members;
	out->repairs = repair_count(n);
	out->disputes = trust_disputes(n->trust);
	for (size_t i = 0; i < n->n_peers; i++) {
		out->live += n->peers[i]->session != NULL;
		if (trust_is_member(n->trust, n->peers[i]->member))
			out->behind += peer_behind(n, n->peers[i]->member);
	}
	for (size_t i = 0; i < n->n_channels; i++) {
		out->channels += n->channels[i]->row.last > 0;
		out->stopped += n->channels[i]->row.stopped != 0;
		out->withheld += n->channels[i]->row.uncovered > 0;
	}
}
