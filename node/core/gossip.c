/* gossip - rosters and cards: judged whoever brings them, kept, passed on, and which of two rosters counts.
 *
 * What two nodes hold comes together when they meet: each says the numbers of what it has, and the newest roster's digest, since two
 * rosters can have one number. Both then go to everybody, so that the dispute shows everywhere; a pin is the operator's of one node. */
#include "core/node_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_roster(struct bytes text)
{
	return text.len > 15 && memcmp(text.data, "enlight roster ", 15) == 0;
}

/* ---- durable ---- */

/* Fills in what the ledger files a text under. */
static int describe(struct note_job *note)
{
	struct problems problems = {0};
	struct roster roster = {0};
	struct card card = {0};
	int r;

	if (is_roster(note->text)) {
		r = roster_parse(&roster, "roster", note->text, &problems);
		note->kind = "roster";
		note->number = roster.number;
	} else {
		r = card_parse(&card, "card", note->text, &problems);
		note->kind = "card";
		note->number = card.number;
		snprintf(note->member, sizeof note->member, "%s", r == 0 ? card.member : "");
	}
	problems_deinit(&problems);
	roster_deinit(&roster);
	card_deinit(&card);
	return r;
}

static void keep_note(struct node *n, struct bytes text, const struct act *act, uint64_t tag)
{
	struct job *job = job_new(JOB_NOTE, NULL);

	if (job != NULL)
		job->note.text = bytes_of(bytes_dup(text), text.len);
	if (job != NULL && job->note.text.data != NULL && describe(&job->note) == 0) {
		keep(n, job, act, tag);
		return;
	}
	job_free(job);
	keep_nothing(n, tag);
}

/* The act of whoever brought a note by hand: it says whose it is, and its number. */
static struct act act_of_note(const struct node_input *in, int r, struct buffer *object)
{
	struct note_job note = {.text = in->frame};
	struct act act = *in->act;

	if (describe(&note) == 0)
		buffer_printf(object, "%s%s%u", note.member, note.member[0] == '\0' ? "" : " ", (unsigned)note.number);
	act.object = buffer_cstr(object);
	act.result = r == TRUST_KNOWN ? "known" : r == TRUST_FORK ? "refused" : NULL;
	return act;
}

/* Makes durable what an operator (`in`) or a peer brought. Of a rival roster nobody is told: the operator knows already that it is not in
 * force. */
static void keep_taken(struct node *n, struct bytes text, const struct node_input *in, int r)
{
	uint64_t tag = in == NULL || r == TRUST_FORK ? 0 : in->tag;
	struct buffer object = {0};
	struct act act;

	if (in != NULL && in->act != NULL)
		act = act_of_note(in, r, &object);
	if (r != TRUST_KNOWN)
		keep_note(n, text, in != NULL && in->act != NULL ? &act : NULL, tag);
	else if (in != NULL && in->act != NULL)
		keep(n, NULL, &act, tag);
	buffer_deinit(&object);
}

void gossip_keep_anchor(struct node *n)
{
	const struct roster *anchor = trust_find_roster(n->trust, trust_anchor(n->trust));

	if (anchor != NULL)
		keep_note(n, bytes_of(anchor->note.text, anchor->note.text_len), NULL, 0);
}

/* ---- to others ---- */

/* Sends one roster or card. */
static void send_note(struct node *n, struct session *s, struct bytes text)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Note note = ENLIGHT__LINK__V1__NOTE__INIT;
	ProtobufCBinaryData one = wire_bytes(text.data, text.len);

	note.n_roster = is_roster(text);
	note.roster = &one;
	note.n_card = !is_roster(text);
	note.card = &one;
	frame.note = &note;
	node_send(n, s->connection, s, &frame);
}

/* Tells every live peer. */
static void pass_on(struct node *n, struct bytes text)
{
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL)
			send_note(n, n->peers[i]->session, text);
}

void gossip_ask(struct node *n, struct session *s)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Note note = ENLIGHT__LINK__V1__NOTE__INIT;
	const struct roster *roster = trust_roster(n->trust);
	Enlight__Link__V1__Known *known = calloc(roster->n_members + 1, sizeof *known);
	Enlight__Link__V1__Known **pointers = calloc(roster->n_members + 1, sizeof(Enlight__Link__V1__Known *));

	for (size_t i = 0; i < roster->n_members && known != NULL && pointers != NULL; i++) {
		const struct card *card = trust_card(n->trust, roster->members[i].handle);

		enlight__link__v1__known__init(&known[i]);
		known[i].member = (char *)roster->members[i].handle;
		known[i].card = card == NULL ? 0 : card->number;
		pointers[note.n_known++] = &known[i];
	}
	note.known = pointers;
	note.has_known_roster = note.has_known_digest = true;
	note.known_roster = roster->number;
	note.known_digest = wire_bytes(roster->note.digest.bytes, DIGEST_LEN);
	frame.note = &note;
	if (known != NULL && pointers != NULL)
		node_send(n, s->connection, s, &frame);
	else
		n->short_of_memory = true;
	free(known);
	free(pointers);
}

/* The highest number up to which the peer has our rosters, as far as it says. When its newest is not ours, nobody knows where the two
 * chains part. */
static uint32_t common_roster(const struct node *n, const Enlight__Link__V1__Note *in)
{
	const struct roster *ours = trust_roster_number(n->trust, in->known_roster);

	if (!in->has_known_roster)
		return trust_roster(n->trust)->number;
	if (ours == NULL || !in->has_known_digest || in->known_digest.len != DIGEST_LEN ||
		memcmp(in->known_digest.data, ours->note.digest.bytes, DIGEST_LEN) == 0)
		return in->known_roster;
	return trust_oldest_roster(n->trust) - 1;
}

/* The number of the member's card that the peer says it has; 0: none. Peers list members as rosters do, so it is looked for from the last
 * place. */
static uint32_t known_card(const Enlight__Link__V1__Note *in, const char *member, size_t *at)
{
	for (size_t i = 0; i < in->n_known; i++) {
		const Enlight__Link__V1__Known *known = in->known[(*at + i) % in->n_known];

		if (strcmp(known->member, member) != 0)
			continue;
		*at += i + 1;
		return known->card;
	}
	return 0;
}

/* What the peer says it has: answers with what is newer here. */
static void answer_known(struct node *n, struct session *s, const Enlight__Link__V1__Note *in)
{
	const struct roster *newest = trust_roster(n->trust);
	size_t at = 0;

	for (uint32_t number = common_roster(n, in) + 1; number <= newest->number; number++) {
		const struct roster *r = trust_roster_number(n->trust, number);

		if (r != NULL)
			send_note(n, s, bytes_of(r->note.text, r->note.text_len));
	}
	for (size_t i = 0; i < newest->n_members; i++) {
		const struct card *card = trust_card(n->trust, newest->members[i].handle);

		if (card != NULL && card->number > known_card(in, card->member, &at))
			send_note(n, s, bytes_of(card->note.text, card->note.text_len));
	}
}

/* ---- from others ---- */

/* A second roster with a number that is held. */
static void take_rival(
	struct node *n, const char *name, struct trust *next, struct bytes text, const struct node_input *in)
{
	const struct roster *rival = trust_rival(next, trust_n_rivals(next) - 1);
	bool settled = trust_settled(next, rival->number);
	char digests[2][2 * DIGEST_LEN + 1];

	hex_encode(digests[0], trust_roster_number(next, rival->number)->note.digest.bytes, DIGEST_LEN);
	hex_encode(digests[1], rival->note.digest.bytes, DIGEST_LEN);
	trust_unref(n->trust);
	n->trust = next;
	keep_taken(n, text, in, TRUST_FORK);
	pass_on(n, text);
	node_log(n, settled ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR,
		"trust: two rosters have one number by=%s number=%u in_force=%s rival=%s settled=%s", name,
		rival->number, digests[0], digests[1], settled ? "yes" : "no");
}

/* What is told of it this node's key signs before it is in force, since it may be what takes the key away; when the key is good for
 * nothing yet, after it. */
static void take_newer(
	struct node *n, const char *name, struct trust *next, struct bytes text, const struct node_input *in)
{
	bool ready = node_why_not_ready(n) == NULL;

	if (ready)
		keep_taken(n, text, in, 0);
	node_adopt(n, next);
	if (!ready)
		keep_taken(n, text, in, 0);
	pass_on(n, text);
	node_log(n, LOG_LEVEL_INFO, "trust: changed by=%s", name);
}

/* A second text with a number that is held, signed as well: of a roster one too many to keep, or of a card. A card is not kept:
 * nobody has to choose between two of them, since the next one puts an end to both. */
static void tell_second(struct node *n, const char *name, struct bytes text)
{
	struct note_job note = {.text = text};

	if (describe(&note) != 0)
		return;
	n->counters.second_cards += note.member[0] != '\0';
	node_log(n, LOG_LEVEL_ERROR, "trust: another text with a number that is held by=%s kind=%s member=%s number=%u",
		name, note.kind, note.member, note.number);
}

int gossip_note(
	struct node *n, const char *name, struct bytes text, const struct node_input *in, struct problems *problems)
{
	struct trust *next;
	int r = trust_with(&next, n->trust, name, text, problems);

	if (r == 0) {
		take_newer(n, name, next, text, in);
	} else if (r == TRUST_KNOWN) {
		keep_taken(n, text, in, r);
	} else if (r == TRUST_FORK && next != NULL) {
		take_rival(n, name, next, text, in);
	} else if (r == TRUST_FORK) {
		tell_second(n, name, text);
	}
	return r;
}

/* Rosters and cards from a peer: whoever brings them, they are judged by their signatures. */
void gossip_take(struct node *n, struct session *s, const Enlight__Link__V1__Note *note)
{
	char from[HANDLE_MAX + 1];
	uint64_t serial = s->serial;

	snprintf(from, sizeof from, "%s", s->peer->member);
	if (note->n_known > 0 || note->has_known_roster)
		answer_known(n, s, note);
	for (size_t i = 0; i < note->n_roster + note->n_card; i++) {
		const ProtobufCBinaryData *text =
			i < note->n_roster ? &note->roster[i] : &note->card[i - note->n_roster];
		struct problems problems = {0};
		int r = gossip_note(n, from, bytes_of(text->data, text->len), NULL, &problems);

		if (r == TRUST_REFUSED)
			node_log(n, LOG_LEVEL_WARN, "trust: refused peer=%s place=%s rule=\"%s\"", from,
				problems.n > 0 ? problems.items[0].place : "",
				problems.n > 0 ? problems.items[0].rule : "");
		problems_deinit(&problems);
		if (node_session(n, serial) == NULL)
			return; /* the note ended this very session */
	}
}

/* ---- pins ---- */

static void keep_pin(struct node *n, uint32_t number, const struct node_input *in)
{
	struct job *job = job_new(JOB_SETTING, NULL);
	char chosen[2 * DIGEST_LEN + 1], anchor[2 * DIGEST_LEN + 1];

	hex_encode(chosen, in->digest->bytes, DIGEST_LEN);
	hex_encode(anchor, trust_anchor(n->trust)->bytes, DIGEST_LEN);
	if (job != NULL && asprintf(&job->setting.name, NODE_PIN_SETTING "%u", number) < 0)
		job->setting.name = NULL;
	if (job != NULL && asprintf(&job->setting.value, "%s %s", chosen, anchor) < 0)
		job->setting.value = NULL;
	if (job != NULL && job->setting.name != NULL && job->setting.value != NULL) {
		keep(n, job, in->act, in->tag);
		return;
	}
	job_free(job);
	keep_nothing(n, in->tag);
}

/* A pin that is there already: only that somebody set it again is told. */
static void tell_known_pin(struct node *n, const struct node_input *in)
{
	struct act act;

	if (in->act == NULL)
		return;
	act = *in->act;
	act.result = "known";
	keep(n, NULL, &act, in->tag);
}

int node_remember_pin(struct trust **out, struct trust *t, const char *name, const char *value)
{
	struct digest chosen, anchor;
	char first[2 * DIGEST_LEN + 1];
	uint32_t number;

	*out = NULL;
	snprintf(first, sizeof first, "%s", value);
	if (!note_number(&number, name + strlen(NODE_PIN_SETTING), UINT32_MAX) ||
		strlen(value) != 2 * sizeof first - 1 || !hex_decode(chosen.bytes, DIGEST_LEN, first) ||
		!hex_decode(anchor.bytes, DIGEST_LEN, value + sizeof first) || !digest_equal(&anchor, trust_anchor(t)))
		return TRUST_KNOWN;
	return trust_pin(out, t, number, &chosen);
}

int gossip_pin(struct node *n, const struct node_input *in)
{
	const struct roster *r = trust_find_roster(n->trust, in->digest);
	uint32_t number = r == NULL ? 0 : r->number;
	struct trust *next;
	char hex[2 * DIGEST_LEN + 1];
	int outcome;

	if (r == NULL)
		return -ENOENT;
	hex_encode(hex, in->digest->bytes, DIGEST_LEN);
	outcome = trust_pin(&next, n->trust, number, in->digest);
	if (outcome == TRUST_KNOWN) {
		tell_known_pin(n, in);
		return 1;
	}
	if (outcome != 0)
		return outcome;
	keep_pin(n, number, in); /* before its own card may go with the other roster */
	node_adopt(n, next);
	node_log(n, LOG_LEVEL_INFO, "trust: pinned number=%u roster=%s", number, hex);
	for (size_t i = 0; i < n->n_peers; i++) /* what follows it was refused before */
		if (n->peers[i]->session != NULL)
			gossip_ask(n, n->peers[i]->session);
	return 0;
}
