/* meet - who is there: dialling, the three Hellos, and the one session that stays between two members.
 *
 * Whoever knows an endpoint dials. Of two sessions between the same members the one dialled by the smaller handle stays, unless the
 * other node has started anew meanwhile. While a session that the peer dialled is live, we do not dial. */
#include "core/node_state.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_FIRST_MS = 1000, RETRY_MAX_MS = 60000 };

static struct hello_self self_of(const struct node *n)
{
	return (struct hello_self){n->trust, n->member, &n->keys, n->boot, n->time_ms};
}

struct session *session_of_connection(const struct node *n, uint32_t connection)
{
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL && n->peers[i]->session->connection == connection)
			return n->peers[i]->session;
	return NULL;
}

static struct peer *peer_of_dial(const struct node *n, uint32_t connection)
{
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->dial == connection && connection != 0)
			return n->peers[i];
	return NULL;
}

bool session_is_valid(const struct node *n, const struct session *s)
{
	const struct card *card = trust_card(n->trust, s->peer->member);
	const struct card_key *key = card == NULL ? NULL : card_key(card, s->peer_key);

	return !s->peer->blocked && trust_is_member(n->trust, s->peer->member) && key != NULL &&
	       key->state == CARD_KEY_CURRENT;
}

/* ---- dialling ---- */

static void stop_dialling(struct node *n, struct peer *p)
{
	if (p->dial == 0)
		return;
	node_act_hang_up(n, p->dial);
	p->dial = 0;
	p->dial_up = false;
	p->hello_ms = 0;
	free(p->dial_endpoint);
	p->dial_endpoint = NULL;
	hello_wipe(&p->dial_hello);
}

static void start_dialling(struct node *n, struct peer *p, const char *endpoint, const uint8_t *key)
{
	free(p->dial_endpoint);
	p->dial_endpoint = strdup(endpoint);
	if (p->dial_endpoint == NULL) {
		n->short_of_memory = true;
		return;
	}
	if (!node_act_dial(n, n->next_connection, endpoint, key))
		return;
	p->dial = n->next_connection++;
	memcpy(p->dial_key, key, sizeof p->dial_key);
}

void meet_dial(struct node *n, struct peer *p)
{
	const struct card *card = trust_card(n->trust, p->member);
	const struct card_key *key = card == NULL ? NULL : card_newest_key(card);
	bool wanted = !p->blocked && key != NULL && card->endpoint != NULL && trust_is_member(n->trust, p->member) &&
		      /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): session_drop() clears p->session */
		      (p->session == NULL || p->session->dialled);

	if (p->dial != 0 && (!wanted || strcmp(p->dial_endpoint, card->endpoint) != 0 ||
				    memcmp(p->dial_key, key->link, sizeof p->dial_key) != 0)) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
		if (p->session != NULL && p->session->dialled)
			session_drop(n, p->session, "dialled anew");
		stop_dialling(n, p);
	}
	if (wanted && p->dial == 0)
		start_dialling(n, p, card->endpoint, key->link);
}

/* The next try comes later each time. */
static void hello_failed(struct node *n, struct peer *p, const char *why)
{
	uint64_t wait = RETRY_FIRST_MS;

	for (unsigned i = 0; i < p->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	p->failures++;
	p->hello_ms = 0;
	p->retry_ms = n->now_ms + (wait > RETRY_MAX_MS ? RETRY_MAX_MS : wait);
	if (strcmp(p->last_error, why) != 0)
		node_log(n, LOG_LEVEL_WARN, "link: no session peer=%s reason=\"%s\"", p->member, why);
	snprintf(p->last_error, sizeof p->last_error, "%s", why);
	hello_wipe(&p->dial_hello);
}

/* First Hello of a connection that we dialled. */
static void say_hello(struct node *n, struct peer *p)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	struct hello_self self = self_of(n);
	struct bytes claim;

	if (hello_dial(&p->dial_hello, &self, p->member, p->dial_key, &n->entropy, &claim) != 0) {
		n->short_of_memory = true;
		return;
	}
	hello.has_claim = true;
	hello.claim = wire_bytes(claim.data, claim.len);
	frame.hello = &hello;
	node_send(n, p->dial, NULL, &frame);
	free((void *)claim.data);
	p->hello_ms = n->now_ms;
}

void meet_up(struct node *n, struct peer *p)
{
	p->dial_up = true;
	p->retry_ms = 0;
	if (p->session == NULL)
		say_hello(n, p);
}

/* ---- sessions ---- */

/* Ends a session; its connection stays as it is. */
static void end(struct node *n, struct session *s, const char *reason)
{
	struct peer *p = s->peer;

	node_log(n, LOG_LEVEL_INFO, "link: closed peer=%s reason=\"%s\"", p->member, reason);
	snprintf(p->last_error, sizeof p->last_error, "%s", reason);
	p->session = NULL;
	p->bytes_in += s->bytes_in;
	p->bytes_out += s->bytes_out;
	read_deinit(s);
	free(s->streams);
	sodium_memzero(s, sizeof *s);
	free(s);
}

void session_drop(struct node *n, struct session *s, const char *reason)
{
	if (!s->dialled)
		node_act_hang_up(n, s->connection);
	end(n, s, reason);
}

void meet_down(struct node *n, uint32_t connection, const char *reason)
{
	struct session *s = session_of_connection(n, connection);
	struct peer *p = peer_of_dial(n, connection);

	if (s != NULL)
		session_drop(n, s, reason);
	if (p != NULL) {
		p->dial_up = false;
		p->hello_ms = 0;
		snprintf(p->last_error, sizeof p->last_error, "%s", reason);
		hello_wipe(&p->dial_hello);
	}
	for (size_t i = 0; i < MEETINGS_MAX; i++)
		if (n->meetings[i].connection == connection) {
			hello_wipe(&n->meetings[i].hello);
			n->meetings[i].connection = 0;
		}
}

/* Whether a new session takes the place of the old one. */
static bool replaces(const struct node *n, const struct session *old, bool dialled, const struct hello *h)
{
	bool ours_is_smaller = strcmp(n->member, h->peer) < 0;

	if (old == NULL || old->dialled == dialled)
		return true; /* the same side dialled again: it has lost the old one */
	if (memcmp(old->boot, h->peer_boot, BOOT_ID_LEN) != 0)
		return true; /* the other node has started anew */
	return dialled == ours_is_smaller;
}

/* A node draws its boot id when it starts, so one that was there before another never comes back, unless two nodes run. A new key
 * ends what is known of the old one: it is how the member gets rid of the other node. */
static void remember_boot(struct node *n, struct peer *p, const struct hello *h)
{
	struct boots *b = &p->boots;
	size_t at = 0;

	if (b->key != h->peer_key)
		*b = (struct boots){.key = h->peer_key};
	while (at < b->n && memcmp(b->ids[at], h->peer_boot, BOOT_ID_LEN) != 0)
		at++;
	if (at < b->n && at > 0) {
		n->counters.same_keys++;
		if (!b->returned)
			node_log(n, LOG_LEVEL_ERROR, "link: two nodes run with the same keys peer=%s key=%u", p->member,
				(unsigned)b->key);
		b->returned = true;
	}
	if (at == b->n && b->n < BOOTS_KEPT)
		b->n++;
	if (at == BOOTS_KEPT)
		at--;
	memmove(b->ids[1], b->ids[0], at * BOOT_ID_LEN);
	memcpy(b->ids[0], h->peer_boot, BOOT_ID_LEN);
}

static void begin(struct node *n, struct peer *p, uint32_t connection, bool dialled, const struct hello *h)
{
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL) {
		n->short_of_memory = true;
		return;
	}
	if (p->session != NULL)
		session_drop(n, p->session, "another session of the same members stays");
	s->peer = p;
	s->connection = connection;
	s->dialled = dialled;
	s->serial = n->next_serial++;
	memcpy(s->id, h->session, sizeof s->id);
	memcpy(s->key, h->session_key, sizeof s->key);
	memcpy(s->boot, h->peer_boot, sizeof s->boot);
	s->peer_key = h->peer_key;
	s->began_ms = s->heard_ms = s->sent_ms = n->now_ms;
	p->session = s;
	remember_boot(n, p, h);
	p->failures = 0;
	p->last_error[0] = '\0';
	node_log(n, LOG_LEVEL_INFO, "link: open peer=%s dialled_by=%s", p->member, dialled ? n->member : p->member);
	if (!dialled)
		stop_dialling(n, p);
	serve_begin(n, s);
	read_begin(n, s);
}

/* ---- Hellos ---- */

/* Room for one more Hello of others: a free place, or the oldest, which gives way. */
static struct meeting *meeting_for(struct node *n, uint32_t connection)
{
	struct meeting *oldest = &n->meetings[0];

	for (size_t i = 0; i < MEETINGS_MAX; i++) {
		struct meeting *m = &n->meetings[i];

		if (m->connection == connection)
			return m;
		if (oldest->connection != 0 && (m->connection == 0 || m->began_ms < oldest->began_ms))
			oldest = m;
	}
	return oldest;
}

/* Somebody who dialled in claims to be a member. */
static void answer_claim(struct node *n, uint32_t connection, const uint8_t *key, const ProtobufCBinaryData *peer_claim)
{
	struct meeting *m = meeting_for(n, connection);
	struct hello_self self = self_of(n);
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	uint8_t signature[SIGNATURE_LEN];
	struct session *old = session_of_connection(n, connection);
	struct bytes claim;
	struct peer *p;
	int r;

	if (old != NULL)
		end(n, old, "the peer says Hello again"); /* over the same connection, where the answer goes */
	hello_wipe(&m->hello);
	m->connection = 0;
	r = hello_answer(
		&m->hello, &self, key, bytes_of(peer_claim->data, peer_claim->len), &n->entropy, &claim, signature);
	if (r < 0) {
		n->short_of_memory = true;
		return;
	}
	p = r == 0 ? node_peer(n, m->hello.peer) : NULL;
	if (r == 0 && (p == NULL || p->blocked)) {
		free((void *)claim.data);
		r = REFUSE_STRANGER;
	}
	if (r > 0) {
		node_log(n, LOG_LEVEL_WARN, "link: refused a Hello reason=\"%s\"", refuse_text((enum refuse_code)r));
		node_refuse(n, connection, NULL, (enum refuse_code)r, refuse_text((enum refuse_code)r));
		hello_wipe(&m->hello);
		return;
	}
	m->connection = connection;
	m->began_ms = n->now_ms;
	hello.has_claim = hello.has_signature = true;
	hello.claim = wire_bytes(claim.data, claim.len);
	hello.signature = wire_bytes(signature, sizeof signature);
	frame.hello = &hello;
	node_send(n, connection, NULL, &frame);
	free((void *)claim.data);
}

/* The third message: a session begins at the node that was dialled. */
static void accept_hello(struct node *n, uint32_t connection, const ProtobufCBinaryData *signature)
{
	struct hello_self self = self_of(n);
	struct meeting *m = NULL;
	struct peer *p;
	int r;

	for (size_t i = 0; i < MEETINGS_MAX; i++)
		if (n->meetings[i].connection == connection)
			m = &n->meetings[i];
	if (m == NULL) {
		node_refuse(n, connection, NULL, REFUSE_ORDER, "no Hello came before");
		return;
	}
	r = hello_accept(&m->hello, &self, bytes_of(signature->data, signature->len));
	p = node_peer(n, m->hello.peer);
	if (r == 0 && (p == NULL || p->blocked))
		r = REFUSE_STRANGER;
	if (r == 0 && !replaces(n, p->session, false, &m->hello))
		r = REFUSE_SECOND;
	if (r == 0)
		begin(n, p, connection, false, &m->hello);
	else
		node_refuse(n, connection, NULL, (enum refuse_code)r, refuse_text((enum refuse_code)r));
	hello_wipe(&m->hello);
	m->connection = 0;
}

/* The answer to our claim. */
static void finish_hello(struct node *n, struct peer *p, const Enlight__Link__V1__Hello *in)
{
	struct hello_self self = self_of(n);
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	uint8_t signature[SIGNATURE_LEN];
	int r;

	if (p->hello_ms == 0)
		return; /* an answer to a Hello that was given up */
	r = hello_finish(&p->dial_hello, &self, bytes_of(in->claim.data, in->claim.len),
		bytes_of(in->signature.data, in->signature.len), signature);
	if (r != 0) {
		hello_failed(n, p, r < 0 ? "out of memory" : refuse_text((enum refuse_code)r));
		return;
	}
	hello.has_signature = true;
	hello.signature = wire_bytes(signature, sizeof signature);
	frame.hello = &hello;
	p->hello_ms = 0;
	if (replaces(n, p->session, true, &p->dial_hello)) {
		node_send(n, p->dial, NULL, &frame);
		begin(n, p, p->dial, true, &p->dial_hello);
	} else {
		stop_dialling(n, p);
	}
	hello_wipe(&p->dial_hello);
}

void meet_hello(struct node *n, uint32_t connection, const uint8_t *key, const Enlight__Link__V1__Hello *hello)
{
	struct peer *p = peer_of_dial(n, connection);

	if (p != NULL && hello->has_claim && hello->has_signature)
		finish_hello(n, p, hello);
	else if (p == NULL && hello->has_claim && !hello->has_signature)
		answer_claim(n, connection, key, &hello->claim);
	else if (p == NULL && hello->has_signature && !hello->has_claim)
		accept_hello(n, connection, &hello->signature);
	else
		node_refuse(n, connection, NULL, REFUSE_ORDER, "not the Hello that is due");
}

/* Refused outside a session: our Hello, or a session that the other end has forgotten. */
void meet_refused(struct node *n, uint32_t connection, uint32_t code)
{
	struct session *s = session_of_connection(n, connection);
	struct peer *p = peer_of_dial(n, connection);

	if (s != NULL)
		session_drop(n, s, refuse_text((enum refuse_code)code));
	if (p == NULL)
		return;
	if (code == REFUSE_NO_SESSION && p->hello_ms == 0)
		p->retry_ms = 0; /* it has started anew: at once */
	else
		hello_failed(n, p, refuse_text((enum refuse_code)code));
}

/* The other end does not take what it is sent: it gets no more of our memory than that. */
void meet_stuck(struct node *n, uint32_t connection)
{
	struct session *s = session_of_connection(n, connection);
	struct peer *p = peer_of_dial(n, connection);

	node_log(n, LOG_LEVEL_WARN, "link: the other end takes nothing peer=%s",
		s != NULL ? s->peer->member : (p != NULL ? p->member : ""));
	if (s != NULL)
		session_drop(n, s, "the other end takes nothing");
	if (p != NULL)
		stop_dialling(n, p); /* the next tick dials anew */
}

/* What was asked for, granted or delivered is no longer the same at both ends: only a new session makes it so. The other end is
 * told, and whoever dialled says Hello. */
void meet_lost(struct node *n, struct session *s)
{
	n->counters.lost++;
	node_refuse(n, s->connection, NULL, REFUSE_NO_SESSION, "a frame was lost");
	session_drop(n, s, "a frame was lost");
}

static void session_tick(struct node *n, struct session *s)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Beat beat = ENLIGHT__LINK__V1__BEAT__INIT;

	if (n->now_ms - s->heard_ms > SILENCE_MS) {
		session_drop(n, s, "silent");
		return;
	}
	if (n->now_ms - s->sent_ms < BEAT_MS)
		return;
	frame.beat = &beat;
	node_send(n, s->connection, s, &frame);
}

void meet_tick(struct node *n)
{
	for (size_t i = 0; i < n->n_peers; i++) {
		struct peer *p = n->peers[i];

		if (p->session != NULL)
			session_tick(n, p->session);
		meet_dial(n, p);
		if (p->hello_ms != 0 && n->now_ms - p->hello_ms > HELLO_MS)
			hello_failed(n, p, "no answer to Hello");
		if (p->session == NULL && p->dial_up && p->hello_ms == 0 && n->now_ms >= p->retry_ms)
			say_hello(n, p);
	}
	for (size_t i = 0; i < MEETINGS_MAX; i++)
		if (n->meetings[i].connection != 0 && n->now_ms - n->meetings[i].began_ms > HELLO_MS) {
			node_act_hang_up(n, n->meetings[i].connection);
			hello_wipe(&n->meetings[i].hello);
			n->meetings[i].connection = 0;
		}
}
