/* serve - what this node sends: heads, and batches to those who fetch them, within the credit they gave.
 *
 * A reader that is at the end of a channel gets a new batch from memory as soon as it is durable. One that is behind gets it from the
 * store, page by page: one query at a time for each peer, however often it says Hello. One that takes nothing gets nothing more: what waits for it is at most a page. */
#include "core/node_state.h"

#include "core/handle.h"
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 4096, PAGE_BYTES = 512 << 10, CREDIT_MAX = 64 << 20 };

/* ---- heads ---- */

static bool is_publisher(const struct session *s, const struct channel *c)
{
	return strcmp(c->row.publisher, s->peer->member) == 0;
}

static bool may_read(const struct node *n, const struct session *s, const struct channel *c)
{
	return (audience_has(c->row.audience, s->peer->member) || is_publisher(s, c)) &&
	       trust_is_member(n->trust, s->peer->member);
}

/* What is shown are our own channels, and those that we read: to their other readers, and to their publisher. */
bool serve_shows(const struct node *n, const struct session *s, const struct channel *c)
{
	return c->header.data != NULL && may_read(n, s, c);
}

/* Heads that were not shown in this session since they changed, as many frames as it takes to stay below the limit. */
static void send_heads(struct node *n, struct session *s)
{
	enum { PER_FRAME = 64 };
	Enlight__Link__V1__Head heads[PER_FRAME], *pointers[PER_FRAME];
	size_t i = 0;

	s->heads_due = false;
	while (i < n->n_channels) {
		Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
		Enlight__Link__V1__Heads message = ENLIGHT__LINK__V1__HEADS__INIT;
		size_t bytes = 0;

		for (; i < n->n_channels && message.n_head < PER_FRAME && bytes < FRAME_MAX / 2; i++) {
			const struct channel *c = n->channels[i];

			if (c->version <= s->heads_version || !serve_shows(n, s, c))
				continue;
			enlight__link__v1__head__init(&heads[message.n_head]);
			heads[message.n_head].header = wire_bytes(c->header.data, c->header.len);
			heads[message.n_head].signature = wire_bytes(c->signature, SIGNATURE_LEN);
			pointers[message.n_head] = &heads[message.n_head];
			message.n_head++;
			bytes += c->header.len + SIGNATURE_LEN;
		}
		message.head = pointers;
		frame.heads = &message;
		if (message.n_head == 0)
			continue;
		s->heads_ms = n->now_ms; /* who had nothing to show may show its first channel at once */
		node_send(n, s->connection, s, &frame);
	}
	s->heads_version = n->version;
}

void serve_head(struct node *n, struct session *s, struct bytes header, const uint8_t *signature)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Heads message = ENLIGHT__LINK__V1__HEADS__INIT;
	Enlight__Link__V1__Head head = ENLIGHT__LINK__V1__HEAD__INIT, *pointer = &head;

	head.header = wire_bytes(header.data, header.len);
	head.signature = wire_bytes(signature, SIGNATURE_LEN);
	message.n_head = 1;
	message.head = &pointer;
	frame.heads = &message;
	node_send(n, s->connection, s, &frame);
}

void serve_heads_again(struct session *s, uint64_t now_ms)
{
	s->heads_due = true;
	s->heads_version = 0;
	s->heads_ms = now_ms;
}

void serve_begin(struct node *n, struct session *s)
{
	send_heads(n, s);
}

/* ---- streams ---- */

static void deliver(struct node *n, struct session *s, struct stream *st, struct bytes header, const uint8_t *signature,
	const uint8_t *wrapped, struct bytes body)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Deliver message = ENLIGHT__LINK__V1__DELIVER__INIT;

	message.header = wire_bytes(header.data, header.len);
	message.signature = wire_bytes(signature, SIGNATURE_LEN);
	if (!st->headers_only) {
		message.has_key = message.has_body = true;
		message.key = wire_bytes(wrapped, WRAPPED_KEY_LEN);
		message.body = wire_bytes(body.data, body.len);
	}
	frame.deliver = &message;
	s->credit -= (int64_t)node_send(n, s->connection, s, &frame);
}

/* A place that was not looked up yet counts as well: a reader may hold more than we do, after a restore of ours. */
static bool behind(const struct node *n, const struct stream *st)
{
	const struct channel *c = node_channel_id(n, st->channel);

	return c != NULL && (!st->checked || st->sequence < c->row.last || st->incarnation < c->row.incarnation);
}

/* A reader that was at the end in this session and has missed little since. */
static bool live(const struct node *n, const struct stream *st)
{
	const struct channel *c = node_channel_id(n, st->channel);

	return st->live && c != NULL && c->row.last >= st->sequence && c->row.last - st->sequence <= BATCH_EVENTS_MAX;
}

/* The stream whose turn it is among those that are behind: live ones come before those that catch up. */
static struct stream *next_behind(struct node *n, struct session *s)
{
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < s->n_streams; i++) {
			struct stream *st = &s->streams[(s->next_stream + i) % s->n_streams];

			if (!behind(n, st) || (round == 0 && !live(n, st)))
				continue;
			s->next_stream = (s->next_stream + i + 1) % s->n_streams;
			return st;
		}
	return NULL;
}

/* Asks the store for the next page of a stream that is behind. */
static void pump(struct node *n, struct session *s)
{
	const struct channel *c;
	struct stream *st;
	struct query *q;

	if (s->credit <= 0 || s->peer->querying != 0 || s->busy)
		return;
	st = next_behind(n, s);
	if (st == NULL)
		return;
	q = query_new(QUERY_FETCH);
	if (q == NULL) {
		n->short_of_memory = true;
		return;
	}
	q->tag = s->serial;
	q->connection = s->connection;
	q->fetch.channel = st->channel;
	q->fetch.incarnation = st->incarnation;
	q->fetch.sequence = st->sequence;
	q->fetch.digest = st->digest;
	q->fetch.headers_only = st->headers_only;
	q->fetch.max_bytes = s->credit < PAGE_BYTES ? (size_t)s->credit : PAGE_BYTES;
	c = node_channel_id(n, st->channel);
	q->fetch.own = strcmp(c->row.publisher, n->member) == 0 && !recover_gave_up(n, s, c->row.audience);
	memcpy(q->fetch.session_key, s->key, sizeof q->fetch.session_key);
	if (!node_act_query(n, q))
		return; /* the next tick asks again */
	s->peer->querying = s->serial;
	st->asked = true;
}

/* The reader has been sent everything up to here. */
static void move_on(
	const struct node *n, struct stream *st, uint32_t incarnation, uint64_t last, const struct digest *digest)
{
	const struct channel *c = node_channel_id(n, st->channel);

	st->incarnation = incarnation;
	st->sequence = last;
	st->digest = *digest;
	st->live |= c != NULL && last >= c->row.last;
}

static struct stream *stream_of(struct node *n, struct session *s, uint64_t channel)
{
	struct stream *streams;

	for (size_t i = 0; i < s->n_streams; i++)
		if (s->streams[i].channel == channel)
			return &s->streams[i];
	if (s->n_streams == STREAMS_MAX)
		return NULL;
	streams = realloc(s->streams, (s->n_streams + 1) * sizeof *streams);
	if (streams == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	s->streams = streams;
	streams[s->n_streams] = (struct stream){.channel = channel};
	return &streams[s->n_streams++];
}

static void open_stream(struct node *n, struct session *s, const Enlight__Link__V1__Fetch *fetch)
{
	char *audience = audience_join(fetch->channel->audience, fetch->channel->n_audience);
	const struct channel *c = audience == NULL ? NULL : node_channel(n, fetch->channel->publisher, audience);
	struct stream *st;

	if (c == NULL || !may_read(n, s, c)) { /* one answer for both: who may not read does not learn what there is */
		if (audience != NULL && handle_valid(fetch->channel->publisher))
			node_refuse_channel(n, s, REFUSE_ENTITLEMENT, "no such channel for this reader",
				fetch->channel->publisher, audience);
		else
			node_refuse(n, s->connection, s, REFUSE_ENTITLEMENT, "no such channel for this reader");
		free(audience);
		return;
	}
	free(audience);
	st = stream_of(n, s, c->row.id);
	if (st == NULL) {
		node_refuse_channel(n, s, REFUSE_LIMIT, "too many streams", c->row.publisher, c->row.audience);
		return;
	}
	st->incarnation = fetch->has_incarnation ? fetch->incarnation : 0;
	st->sequence = fetch->has_sequence ? fetch->sequence : 0;
	st->headers_only = fetch->has_headers_only && fetch->headers_only;
	st->asked = false; /* an answer to what was asked before is out of date */
	st->checked = st->sequence == 0;
	st->live = st->sequence > 0 && st->sequence == c->row.last;
	if (!fetch->has_digest || !digest_from(&st->digest, bytes_of(fetch->digest.data, fetch->digest.len)))
		st->digest = digest_zero;
}

void serve_fetch(struct node *n, struct session *s, const Enlight__Link__V1__Fetch *fetch)
{
	if (fetch->has_credit) {
		if (fetch->credit > CREDIT_MAX || s->credit + (int64_t)fetch->credit > CREDIT_MAX) {
			node_refuse(n, s->connection, s, REFUSE_LIMIT, "more credit than a session may have");
			session_drop(n, s, "gave more credit than a session may have");
			return;
		}
		s->credit += (int64_t)fetch->credit;
	}
	if (fetch->channel != NULL)
		open_stream(n, s, fetch);
	pump(n, s);
}

static void remove_stream(struct session *s, struct stream *st)
{
	*st = s->streams[--s->n_streams];
	s->next_stream = 0;
}

/* Whose query has been answered may ask again; a session that began meanwhile has waited for that. */
static void query_ended(struct node *n, uint64_t serial)
{
	for (size_t i = 0; i < n->n_peers; i++) {
		struct peer *p = n->peers[i];

		if (p->querying != serial)
			continue;
		p->querying = 0;
		if (p->session != NULL && p->session->serial != serial)
			pump(n, p->session);
	}
}

/* A publisher that fetched its own channel has all of it that we hold; what comes now it publishes itself. */
static bool given_back(const struct node *n, const struct session *s, const struct stream *st)
{
	const struct channel *c = node_channel_id(n, st->channel);

	return c != NULL && is_publisher(s, c) && !behind(n, st);
}

void serve_fetched(struct node *n, struct query *query)
{
	struct session *s = node_session(n, query->tag);
	const struct fetch_query *f = &query->fetch;
	struct stream *st = NULL;

	query_ended(n, query->tag);
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_streams; i++)
		if (s->streams[i].channel == f->channel && s->streams[i].asked)
			st = &s->streams[i];
	if (st != NULL && query->result != 0) {
		node_log(
			n, LOG_LEVEL_ERROR, "store: cannot read for peer=%s error=%d", s->peer->member, -query->result);
		st->asked = false;
		return; /* the next tick asks again */
	}
	if (st != NULL && s->busy) {
		st->asked = false;
		return; /* asked again when the connection is ready */
	}
	if (st != NULL && f->no_such_place) {
		const struct channel *c = node_channel_id(n, st->channel);

		node_log(n, LOG_LEVEL_ERROR,
			"channel: the reader holds what is not in our history reader=%s audience=%s", s->peer->member,
			c->row.audience);
		node_refuse_channel(
			n, s, REFUSE_POSITION, "not in this channel's history", c->row.publisher, c->row.audience);
		remove_stream(s, st);
		st = NULL;
	}
	for (size_t i = 0; st != NULL && i < f->n_batches; i++) {
		const struct fetched *b = &f->batches[i];

		deliver(n, s, st, b->header, b->signature, b->wrapped, b->body);
		move_on(n, st, b->incarnation, b->last, &b->digest);
	}
	if (st != NULL) {
		st->asked = false;
		st->checked = true;
		if (given_back(n, s, st))
			remove_stream(s, st);
	}
	pump(n, s);
}

/* A new batch goes straight to a reader that has everything before it. */
static void push(struct node *n, struct session *s, const struct channel *c, const struct own_batch *b)
{
	uint8_t wrapped[WRAPPED_KEY_LEN];

	for (size_t i = 0; i < s->n_streams; i++) {
		struct stream *st = &s->streams[i];

		if (st->channel != c->row.id || st->asked || !st->checked || s->credit <= 0 || s->busy ||
			st->sequence + 1 != b->first || (st->sequence != 0 && st->incarnation != b->incarnation))
			continue;
		key_wrap(wrapped, s->key, &b->digest, b->key, &n->entropy);
		deliver(n, s, st, b->batch.header, b->batch.signature, wrapped, b->batch.body);
		move_on(n, st, b->incarnation, b->last, &b->digest);
	}
}

void serve_published(struct node *n, const struct own_batch *batches, size_t n_batches)
{
	for (size_t p = 0; p < n->n_peers; p++) {
		struct session *s = n->peers[p]->session;

		for (size_t i = 0; s != NULL && i < n_batches; i++) {
			const struct channel *c = node_channel(n, n->member, batches[i].audience);

			if (c != NULL && may_read(n, s, c))
				push(n, s, c, &batches[i]);
		}
		if (s != NULL)
			pump(n, s);
	}
}

void serve_receipt(struct node *n, struct session *s, const Enlight__Link__V1__SignedReceipt *receipt)
{
	struct job *job;

	if (receipt->signature.len != SIGNATURE_LEN || receipt->receipt.len > HEADER_MAX) {
		node_refuse(n, s->connection, s, REFUSE_MALFORMED, "not a receipt");
		return;
	}
	if (s->peer->receipts + receipt->receipt.len > RECEIPTS_MAX) {
		serve_lost_receipt(n, s->peer->member);
		return;
	}
	job = job_new(JOB_RECEIPT, n->trust);
	if (job != NULL)
		job->receipt.packed = bytes_of(
			bytes_dup(bytes_of(receipt->receipt.data, receipt->receipt.len)), receipt->receipt.len);
	if (job == NULL || job->receipt.packed.data == NULL) {
		job_free(job);
		n->short_of_memory = true;
		return;
	}
	memcpy(job->receipt.signature, receipt->signature.data, SIGNATURE_LEN);
	memcpy(job->receipt.peer, s->peer->member, sizeof job->receipt.peer);
	if (node_act_commit(n, job))
		s->peer->receipts += receipt->receipt.len;
}

/* A reader gives its receipt again when it is shown a head that it holds. */
void serve_lost_receipt(struct node *n, const char *reader)
{
	struct peer *p = node_peer(n, reader);

	if (p == NULL || p->session == NULL)
		return;
	serve_heads_again(p->session, n->now_ms + RETRY_MS);
}

void serve_busy(struct node *n, uint32_t connection, bool busy)
{
	struct session *s = session_of_connection(n, connection);

	if (s == NULL)
		return;
	s->busy = busy;
	pump(n, s);
}

void serve_tick(struct node *n, struct session *s)
{
	if (s->heads_due && !s->busy && n->now_ms >= s->heads_ms + HEADS_MS)
		send_heads(n, s);
	pump(n, s);
}
