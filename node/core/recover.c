/* recover - a node whose disk went back, or was lost, gets what it published from its readers: each holds it, signed by this node, and shows
 * how far.
 *
 * What goes on where our copy ends is taken in as our own, from whoever has it. Where this node published something else there meanwhile,
 * what readers hold is fetched all the same, kept apart, and published again (republish.c). While something comes nothing is
 * published, so that no place is used twice; but nobody is waited for who gives nothing, and who comes back later is asked then. */
#include "core/node_state.h"

#include "core/handle.h"
#include <stdlib.h>
#include <string.h>

enum {
	PATIENCE_MS = 60000, /* so long nothing is published for what nobody gives back */
	SHOWN_MAX = 8,       /* headers of one channel that a reader showed and we lack */
	GONE_BACK_MAX = 16,  /* times that a channel goes back until the next start */
};

static bool is_own(const struct node *n, const char *publisher)
{
	return strcmp(publisher, n->member) == 0;
}

/* Whether it is signed with a key of ours. */
static bool is_ours(const struct node *n, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	enum card_key_state state;
	const uint8_t *key = trust_sign_key(n->trust, n->member, h->key, &state);

	return digest_equal(&h->network, trust_network(n->trust)) && trust_knows(n->trust, h->audience) &&
	       key != NULL && header_verify(packed, signature, key);
}

/* ---- what is lost ---- */

static bool is_of(const struct lost *lost, const char *reader, const char *audience)
{
	return strcmp(lost->reader, reader) == 0 && strcmp(lost->audience, audience) == 0;
}

/* The first of what this reader showed of the channel. */
static struct lost *find_lost(const struct node *n, const char *reader, const char *audience)
{
	for (size_t i = 0; i < n->n_lost; i++)
		if (is_of(&n->lost[i], reader, audience))
			return &n->lost[i];
	return NULL;
}

/* Room for one more. NULL: the reader showed too many, or out of memory. */
static struct lost *add_lost(struct node *n, const char *reader, const char *audience)
{
	struct lost *all;
	size_t shown = 0;

	for (size_t i = 0; i < n->n_lost; i++)
		shown += is_of(&n->lost[i], reader, audience);
	if (shown >= SHOWN_MAX)
		return NULL;
	all = realloc(n->lost, (n->n_lost + 1) * sizeof *all);
	if (all != NULL)
		n->lost = all;
	if (all == NULL || (all[n->n_lost].audience = strdup(audience)) == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	all[n->n_lost] = (struct lost){.audience = all[n->n_lost].audience};
	memcpy(all[n->n_lost].reader, reader, strlen(reader) + 1);
	return &all[n->n_lost++];
}

static struct lost *note_lost(struct node *n, const char *reader, const struct header *h, const struct digest *head)
{
	struct lost *lost;

	for (size_t i = 0; i < n->n_lost; i++)
		if (is_of(&n->lost[i], reader, h->audience) && digest_equal(&n->lost[i].head, head))
			return &n->lost[i];
	lost = add_lost(n, reader, h->audience);
	if (lost == NULL)
		return NULL;
	lost->head = *head;
	lost->incarnation = h->incarnation;
	lost->first = h->first;
	lost->moved_ms = n->now_ms;
	return lost;
}

static void forget(struct node *n, struct lost *lost)
{
	free(lost->audience);
	*lost = n->lost[--n->n_lost];
}

/* It is here now, from whomever it came. */
static void found(struct node *n, const char *audience, const struct digest *head)
{
	for (size_t i = n->n_lost; i-- > 0;) {
		struct lost *lost = &n->lost[i];

		if (strcmp(lost->audience, audience) != 0 || !digest_equal(&lost->head, head))
			continue;
		node_log(n, LOG_LEVEL_WARN, "channel: fetched back what this node had published reader=%s audience=%s",
			lost->reader, audience);
		forget(n, lost);
	}
}

/* A reader that gives the same again and again is not waited for. */
static bool is_further(const struct lost *lost, const struct header *h)
{
	return h->incarnation > lost->at_incarnation ||
	       (h->incarnation == lost->at_incarnation && header_last(h) > lost->at);
}

/* What this reader gives has come behind the place, and was something else: it has the header alone, as proof of a fork. */
static void passed(struct node *n, const char *reader, const struct header *h)
{
	for (size_t i = n->n_lost; i-- > 0;) {
		struct lost *lost = &n->lost[i];

		if (is_of(lost, reader, h->audience) && h->incarnation >= lost->incarnation &&
			header_last(h) >= lost->first)
			forget(n, lost);
		else if (is_of(lost, reader, h->audience) && is_further(lost, h)) {
			lost->at_incarnation = h->incarnation;
			lost->at = header_last(h);
			lost->moved_ms = n->now_ms;
		}
	}
}

/* NULL: it is not one of our channels, or nothing of it is wanted from this reader. */
static const struct lost *lost_of(const struct node *n, const struct session *s, const struct reading *rd)
{
	return is_own(n, rd->publisher) ? find_lost(n, s->peer->member, rd->audience) : NULL;
}

bool recover_from_start(const struct node *n, const struct session *s, const struct reading *rd)
{
	for (size_t i = 0; is_own(n, rd->publisher) && i < n->n_lost; i++)
		if (n->lost[i].from_start && is_of(&n->lost[i], s->peer->member, rd->audience))
			return true;
	return false;
}

static bool waits_for(const struct node *n, const struct lost *lost)
{
	return !lost->given_up && n->now_ms < lost->moved_ms + PATIENCE_MS;
}

/* ---- heads ---- */

/* Asks the reader for what it showed. */
static void ask(struct node *n, struct session *s, const struct header *h, const struct digest *head, bool from_start)
{
	struct lost *lost = note_lost(n, s->peer->member, h, head);
	struct reading *rd = lost == NULL ? NULL : reading_of(n, s, n->member, h->audience);
	const struct channel *c = node_channel(n, n->member, h->audience);

	if (rd == NULL)
		return;
	lost->from_start |= from_start;
	if (rd->announced == 0)
		node_log(n, LOG_LEVEL_ERROR,
			"channel: this node's disk went back: a reader holds what it does not reader=%s audience=%s "
			"held=%llu reader_holds=%llu",
			s->peer->member, h->audience, (unsigned long long)(c == NULL ? 0 : c->row.last),
			(unsigned long long)header_last(h));
	if (rd->announced != header_last(h) || rd->incarnation != h->incarnation)
		rd->retry_ms = 0;
	rd->announced = header_last(h);
	rd->incarnation = h->incarnation;
	if (!rd->open && rd->retry_ms == 0)
		fetch_channel(n, s, rd);
}

static bool is_beyond(const struct channel *c, const struct header *h)
{
	return c == NULL || h->incarnation > c->row.incarnation ||
	       (h->incarnation == c->row.incarnation && header_last(h) > c->row.last);
}

/* Whether the reader acknowledged this very head in the present incarnation: then it stands in our history. Receipts of what left it are of
 * an earlier one, or of more than there is. */
static bool is_acknowledged(
	const struct channel *c, const char *reader, const struct header *h, const struct digest *head)
{
	for (size_t i = 0; i < c->n_readers; i++)
		if (strcmp(c->readers[i].reader, reader) == 0)
			return h->incarnation == c->row.incarnation && c->readers[i].incarnation == h->incarnation &&
			       c->readers[i].to <= c->row.last && digest_equal(&c->readers[i].head, head);
	return false;
}

/* What is under a revoked key may be a thief's, and its reader gives it up when its place is not known here (disown.c). It does not ask where
 * there is nothing to fetch. */
static void tell_unknown(struct node *n, struct session *s, const struct channel *c, const char *audience)
{
	if (c == NULL || c->row.last == 0)
		node_refuse_channel(n, s, REFUSE_POSITION, "not published by this node", n->member, audience);
}

void recover_head(
	struct node *n, struct session *s, const struct header *h, struct bytes packed, const uint8_t *signature)
{
	const struct channel *c = node_channel(n, n->member, h->audience);
	struct digest head;

	if (c != NULL && c->gone_back >= GONE_BACK_MAX)
		return;
	digest_header(&head, packed);
	if (!is_beyond(c, h) && (bytes_equal(c->header, packed) || is_acknowledged(c, s->peer->member, h, &head)))
		return;
	if (!is_ours(n, h, packed, signature)) /* our own card may be on its way */
		refuse_head(n, s, "a head in this node's name that it cannot verify");
	else if (trust_is_revoked(n->trust, n->member, h->key))
		tell_unknown(n, s, c, h->audience);
	else if (is_beyond(c, h))
		ask(n, s, h, &head, false);
	else
		judge_head(n, s, n->member, packed, signature); /* it may be of another history */
}

static void judged(struct node *n, const struct accept_job *a, const struct header *h)
{
	const struct peer *p = node_peer(n, a->witness);
	struct digest head;

	digest_header(&head, a->batch.header);
	if (a->outcome == ACCEPT_HELD)
		found(n, h->audience, &head);
	if ((a->outcome == ACCEPT_FORK || a->outcome == ACCEPT_SURPLUS) && p != NULL && p->session != NULL)
		ask(n, p->session, h, &head, true);
}

/* A disk goes back once in a while. Who finds something new of its own again and again is not alone with its keys, and would answer the
 * other for ever. */
static void count_gone_back(struct node *n, struct channel *c)
{
	if (c == NULL || ++c->gone_back != GONE_BACK_MAX)
		return;
	n->counters.same_keys++;
	node_log(n, LOG_LEVEL_ERROR,
		"channel: another node seems to publish with this node's keys, it goes back no more before its next "
		"start "
		"audience=%s times=%u",
		c->row.audience, c->gone_back);
}

void recover_committed(struct node *n, const struct accept_job *a, const struct header *h)
{
	if (!is_own(n, h->publisher))
		return;
	if (a->set_aside > 0)
		node_log(n, LOG_LEVEL_ERROR,
			"channel: this node published anew in place of what it had lost: it goes back, and publishes "
			"both again audience=%s events=%llu",
			h->audience, (unsigned long long)a->set_aside);
	if (a->set_aside > 0)
		count_gone_back(n, node_channel(n, n->member, h->audience));
	if (a->set_aside > 0 || a->outcome == ACCEPT_ASIDE)
		republish_due(n);
	if (a->witness[0] != '\0')
		judged(n, a, h);
}

/* ---- what comes back ---- */

bool recover_wants(const struct node *n, const struct session *s, const struct reading *rd)
{
	return !is_own(n, rd->publisher) || lost_of(n, s, rd) != NULL;
}

bool recover_reads(const struct node *n, const struct session *s)
{
	for (size_t i = 0; i < s->n_readings; i++)
		if (is_own(n, s->readings[i].publisher) && s->readings[i].open)
			return true;
	return false;
}

/* Until that reader shows another head. */
static void give_up(struct node *n, struct session *s, struct reading *rd)
{
	if (lost_of(n, s, rd) == NULL)
		return;
	for (size_t i = 0; i < n->n_lost; i++)
		if (is_of(&n->lost[i], s->peer->member, rd->audience))
			n->lost[i].given_up = true;
	node_log(n, LOG_LEVEL_ERROR,
		"channel: a reader does not give back what this node published reader=%s audience=%s", s->peer->member,
		rd->audience);
	rd->open = false;
	rd->retry_ms = UINT64_MAX;
}

void recover_accepted(
	struct node *n, struct session *s, struct reading *rd, const struct accept_job *a, const struct header *h)
{
	bool here = a->outcome == ACCEPT_OK || a->outcome == ACCEPT_HELD || a->outcome == ACCEPT_ASIDE;
	struct digest head;

	if (is_own(n, rd->publisher) && a->outcome == ACCEPT_FORGED)
		give_up(n, s, rd);
	if (!is_own(n, rd->publisher) || !here)
		return;
	digest_header(&head, a->batch.header);
	found(n, rd->audience, &head);
	passed(n, s->peer->member, h);
	if (!recover_wants(n, s, rd))
		rd->open = false;
}

/* Our place is not in the reader's history: from its beginning then. */
void recover_refused(struct node *n, struct session *s, struct reading *rd)
{
	if (lost_of(n, s, rd) == NULL)
		return;
	if (rd->from_start) {
		give_up(n, s, rd);
		return;
	}
	for (size_t i = 0; i < n->n_lost; i++)
		if (is_of(&n->lost[i], s->peer->member, rd->audience))
			n->lost[i].from_start = true;
	fetch_channel(n, s, rd);
}

bool recover_waits(const struct node *n)
{
	for (size_t i = 0; i < n->n_lost; i++)
		if (waits_for(n, &n->lost[i]))
			return true;
	return false;
}

bool recover_gave_up(const struct node *n, const struct session *s, const char *audience)
{
	for (size_t i = 0; i < n->n_lost; i++)
		if (is_of(&n->lost[i], s->peer->member, audience) && waits_for(n, &n->lost[i]))
			return false;
	return find_lost(n, s->peer->member, audience) != NULL || n->now_ms >= s->began_ms + PATIENCE_MS;
}

bool node_recovers(const struct node *n)
{
	return recover_waits(n) || republish_pends(n);
}

void recover_free(struct node *n)
{
	for (size_t i = 0; i < n->n_lost; i++)
		free(n->lost[i].audience);
	free(n->lost);
}
