#include "bounded.h"

#include "core/node_state.h"
#include "network_state.h"
#include "plugin.h"

enum {
	EVERY = 16,                                  /* so many steps between two looks at what costs time */
	FRAMES_MAX = 10000,                          /* on their way in one connection, of both ends */
	BYTES_MAX = 2 * (CREDIT_WINDOW + (1 << 20)), /* of them: what credit allows each way, and what needs none */
	HELD_MAX = DELIVERY_HELD_MAX +
		   DELIVERY_WINDOW_MAX, /* held rows of a plugin: the limit, and what was out when it was reached */
	JOBS_BYTES_MAX = CREDIT_WINDOW + FRAME_MAX + RECEIPTS_MAX, /* of one peer, that wait for a commit */
	JOBS_FEW = 64,                                             /* so many are not counted */
	UNSAVED_MAX = 2000,                                        /* rosters, cards and blocks that are not durable */
};

/* ---- what waits for a commit ---- */

static size_t bytes_of_job(const struct job *job, const char **peer)
{
	*peer = job->kind == JOB_ACCEPT ? job->accept.peer : job->receipt.peer;
	return job->kind == JOB_ACCEPT ? job->accept.batch.header.len + job->accept.batch.body.len
				       : job->receipt.packed.len;
}

/* What one peer sent and is not committed is bounded, however it was sent; counted here, not by the node. */
static void check_jobs(struct network *w, const struct member *m)
{
	size_t bytes[NETWORK_MAX] = {0};

	if (m->n_jobs > NETWORK_JOBS_MAX)
		network_break(w, "jobs pile up: member %s, %zu", m->handle, m->n_jobs);
	if (m->n_jobs < JOBS_FEW || w->steps % EVERY != 0)
		return;
	for (size_t i = 0; i < m->n_jobs; i++) {
		const char *peer;
		size_t from, len;

		if (m->jobs[i]->kind != JOB_ACCEPT && m->jobs[i]->kind != JOB_RECEIPT)
			continue;
		len = bytes_of_job(m->jobs[i], &peer);
		from = network_member_of(w, peer);
		if (from < w->n && (bytes[from] += len) > JOBS_BYTES_MAX)
			network_break(w, "what a peer sent piles up: member %s, peer %s, %zu bytes", m->handle, peer,
				bytes[from]);
	}
}

/* ---- the node ---- */

/* By the rosters and cards that the node has. */
static bool session_is_in_force(const struct member *m, const struct peer *peer, const struct session *s)
{
	const struct trust *trust = node_trust(m->node);
	const struct card *card = trust_card(trust, peer->member);
	const struct card_key *key = card == NULL ? NULL : card_key(card, s->peer_key);

	return key != NULL && key->state == CARD_KEY_CURRENT && trust_is_member(trust, peer->member);
}

static void check_session(struct network *w, const struct member *m, const struct peer *peer, const struct session *s)
{
	const struct member *other = NULL;

	if (s->granted + (int64_t)peer->unfinished > CREDIT_WINDOW)
		network_break(w,
			"more is under way than the credit window: member %s, peer %s, granted %lld, unfinished %zu",
			m->handle, peer->member, (long long)s->granted, peer->unfinished);
	if (s->n_streams > m->node->n_channels || s->n_readings > CHANNELS_MAX)
		network_break(w, "streams pile up: member %s, peer %s, %zu written, %zu read", m->handle, peer->member,
			s->n_streams, s->n_readings);
	for (size_t i = 0; i < m->n_pipes; i++) {
		const struct pipe *p = m->pipes[i];

		if (&w->members[p->dialler] == m && p->dialled == s->connection)
			other = &w->members[p->listener];
		if (&w->members[p->listener] == m && p->incoming == s->connection)
			other = &w->members[p->dialler];
	}
	if (!session_is_in_force(m, peer, s))
		network_break(w, "a session under a key that is not in force: member %s, peer %s, key %u", m->handle,
			peer->member, (unsigned)s->peer_key);
	if (other != NULL && strcmp(other->handle, peer->member) != 0)
		network_break(w, "a session with another than it says: member %s, peer %s, really %s", m->handle,
			peer->member, other->handle);
}

static void check_node(struct network *w, const struct member *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->node->n_peers; i++) {
		const struct peer *peer = m->node->peers[i];

		if (peer->receipts > RECEIPTS_MAX)
			network_break(w, "receipts pile up: member %s, peer %s, %zu bytes", m->handle, peer->member,
				peer->receipts);
		if (peer->session != NULL)
			check_session(w, m, peer, peer->session);
	}
	for (const struct unsaved *u = m->node->unsaved; u != NULL; u = u->next)
		n++;
	if (n > UNSAVED_MAX)
		network_break(w, "notes that are not durable pile up: member %s, %zu", m->handle, n);
}

/* What a liar puts on its own connections is bounded by nobody until it is read. */
static void check_pipe(struct network *w, const struct member *m, const struct pipe *p)
{
	if (w->members[p->dialler].liar || w->members[p->listener].liar)
		return;
	if (p->in_flight > FRAMES_MAX || p->bytes_in_flight > BYTES_MAX)
		network_break(w, "frames pile up: member %s, %zu frames, %zu bytes", m->handle, p->in_flight,
			p->bytes_in_flight);
}

void check_step(struct network *w, size_t member)
{
	const struct member *m = &w->members[member];

	if (!m->up || w->broken[0] != '\0')
		return;
	check_jobs(w, m);
	if (w->steps % EVERY != 0)
		return;
	for (size_t i = 0; i < m->n_pipes; i++)
		check_pipe(w, m, m->pipes[i]);
	check_node(w, m);
	if (m->plugin != NULL)
		plugin_check_bounds(m->plugin);
	if (memory_ledger_held(m->ledger) > HELD_MAX)
		network_break(w, "held rows pile up: member %s, %zu", m->handle, memory_ledger_held(m->ledger));
}

/* ---- at rest ---- */

static bool is_quiet(const struct network *w, const struct member *m, uint32_t connection)
{
	for (size_t i = 0; i < m->n_pipes; i++) {
		const struct pipe *p = m->pipes[i];
		bool own = (&w->members[p->dialler] == m && p->dialled == connection) ||
			   (&w->members[p->listener] == m && p->incoming == connection);

		if (own)
			return p->in_flight == 0;
	}
	return false;
}

/* The other end of a session, unless it has another one by now. */
static const struct session *other_end(const struct network *w, const struct member *m, const struct session *s)
{
	size_t other = network_member_of(w, s->peer->member);
	const struct peer *back = other == w->n || !w->members[other].up || w->members[other].liar
					  ? NULL
					  : node_peer(w->members[other].node, m->handle);

	if (back == NULL || back->session == NULL || memcmp(back->session->id, s->id, SESSION_ID_LEN) != 0)
		return NULL;
	return back->session;
}

static void check_credit(struct network *w, const struct member *m, const struct session *s)
{
	const struct session *other = other_end(w, m, s);

	if (s->peer->unfinished != 0)
		network_break(w, "credit that never returns: member %s, peer %s, unfinished %zu", m->handle,
			s->peer->member, s->peer->unfinished);
	if (other == NULL || !is_quiet(w, m, s->connection))
		return;
	if (other->credit != s->granted)
		network_break(w,
			"a publisher has other credit than it was given: reader %s, publisher %s, %lld of %lld",
			m->handle, s->peer->member, (long long)other->credit, (long long)s->granted);
	if (s->granted <= CREDIT_WINDOW / 2 && s->paused_ms <= m->node->now_ms)
		network_break(w, "credit is not given again: reader %s, publisher %s, %lld", m->handle, s->peer->member,
			(long long)s->granted);
}

void check_at_rest(struct network *w)
{
	for (size_t i = 0; i < w->n && w->broken[0] == '\0'; i++) {
		const struct member *m = &w->members[i];

		if (!m->up || m->liar || m->n_jobs > 0)
			continue;
		for (size_t k = 0; k < m->node->n_peers; k++)
			if (m->node->peers[k]->session != NULL)
				check_credit(w, m, m->node->peers[k]->session);
	}
}
