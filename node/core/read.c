/* read - what this node fetches from its peers: streams of the channels that a peer publishes and this node may read.
 *
 * Credit is what bounds everything: a peer may send what was granted, and more is granted as deliveries become durable. So what is
 * in flight, queued and being verified is at most CREDIT_WINDOW for each peer, however often it says Hello. */
#include "core/node_state.h"

#include "core/handle.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The channel as it was asked for in this session; NULL: it was not. */
struct reading *find_reading(const struct session *s, const char *publisher, const char *audience)
{
	for (size_t i = 0; i < s->n_readings; i++)
		if (strcmp(s->readings[i].audience, audience) == 0 && strcmp(s->readings[i].publisher, publisher) == 0)
			return &s->readings[i];
	return NULL;
}

/* Whether one more channel of the publisher is too many: of those that are held, and of those asked for in this session. */
static bool too_many(const struct node *n, const struct session *s)
{
	size_t held = 0;

	for (size_t i = 0; i < n->n_channels; i++)
		held += strcmp(n->channels[i]->row.publisher, s->peer->member) == 0;
	return held >= CHANNELS_MAX || s->n_readings >= CHANNELS_MAX;
}

struct reading *reading_of(struct node *n, struct session *s, const char *publisher, const char *audience)
{
	struct reading *readings = find_reading(s, publisher, audience);

	if (readings != NULL)
		return readings;
	readings = realloc(s->readings, (s->n_readings + 1) * sizeof *readings);
	if (readings == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	s->readings = readings;
	readings[s->n_readings] = (struct reading){.audience = strdup(audience)};
	if (readings[s->n_readings].audience == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	snprintf(readings[s->n_readings].publisher, sizeof readings->publisher, "%s", publisher);
	return &readings[s->n_readings++];
}

void read_deinit(struct session *s)
{
	for (size_t i = 0; i < s->n_readings; i++)
		free(s->readings[i].audience);
	free(s->readings);
	free(s->told);
}

/* What one publisher's batches take here. */
static bool over_quota(const struct node *n, const char *publisher)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n->n_channels; i++)
		if (strcmp(n->channels[i]->row.publisher, publisher) == 0)
			bytes += n->channels[i]->row.bytes;
	return n->quota_bytes != 0 && bytes >= n->quota_bytes;
}

/* How much more the peer may send now: up to the window, less what is under way. */
static uint64_t credit_due(struct node *n, struct session *s)
{
	int64_t due = CREDIT_WINDOW - s->granted - (int64_t)s->peer->unfinished;

	if (s->paused_ms > n->now_ms || due < CREDIT_WINDOW / 2 ||
		(over_quota(n, s->peer->member) && !recover_reads(n, s)))
		return 0;
	return (uint64_t)due;
}

static void grant(struct node *n, struct session *s)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Fetch fetch = ENLIGHT__LINK__V1__FETCH__INIT;
	uint64_t due = credit_due(n, s);

	if (due == 0)
		return;
	fetch.has_credit = true;
	fetch.credit = due;
	frame.fetch = &fetch;
	s->granted += (int64_t)due;
	node_send(n, s->connection, s, &frame);
}

/* Opens a channel's stream, or opens it anew. */
void fetch_behind(struct node *n, struct session *s, struct reading *rd, const struct behind *behind)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Fetch fetch = ENLIGHT__LINK__V1__FETCH__INIT;
	Enlight__Link__V1__Channel channel = ENLIGHT__LINK__V1__CHANNEL__INIT;
	char *parts[AUDIENCE_MAX], *copy = strdup(rd->audience);

	if (copy == NULL) {
		n->short_of_memory = true;
		return;
	}
	channel.publisher = rd->publisher;
	channel.n_audience = audience_split(copy, parts);
	channel.audience = parts;
	fetch.channel = &channel;
	if (behind->sequence > 0) {
		fetch.has_incarnation = fetch.has_sequence = fetch.has_digest = true;
		fetch.incarnation = behind->incarnation;
		fetch.sequence = behind->sequence;
		fetch.digest = wire_bytes(behind->digest.bytes, DIGEST_LEN);
	}
	fetch.credit = credit_due(n, s);
	fetch.has_credit = fetch.credit > 0;
	s->granted += (int64_t)fetch.credit;
	frame.fetch = &fetch;
	node_send(n, s->connection, s, &frame);
	rd->open = true;
	rd->retry_ms = 0;
	rd->why = NULL;
	free(copy);
}

/* Behind what is held. */
void fetch_channel(struct node *n, struct session *s, struct reading *rd)
{
	const struct channel *c = node_channel(n, rd->publisher, rd->audience);
	struct behind behind = {0};

	rd->from_start = recover_from_start(n, s, rd) || c == NULL || c->row.last == 0;
	if (!rd->from_start)
		behind = (struct behind){c->row.incarnation, c->row.last, c->row.head};
	fetch_behind(n, s, rd, &behind);
}

void read_begin(struct node *n, struct session *s)
{
	gossip_ask(n, s);
	grant(n, s);
}

/* A head that is not good says nothing of the channel: the publisher is asked to show its heads again, but not for each of them. */
void refuse_head(struct node *n, struct session *s, const char *why)
{
	if (n->now_ms < s->heads_retry_ms)
		return;
	s->heads_retry_ms = n->now_ms + RETRY_MS;
	node_log(n, LOG_LEVEL_WARN, "channel: refused a head publisher=%s why=\"%s\"", s->peer->member, why);
	node_refuse(n, s->connection, s, REFUSE_BATCH, why);
}

/* Credit does not bound heads. */
void judge_head(struct node *n, struct session *s, const char *publisher, struct bytes packed, const uint8_t *signature)
{
	struct job *job;

	if (s->peer->heads + packed.len > HEADS_MAX) {
		refuse_head(n, s, "more heads than can be judged now");
		return;
	}
	job = job_new(JOB_ACCEPT, n->trust);
	if (job != NULL)
		job->accept.batch.header = bytes_of(bytes_dup(packed), packed.len);
	if (job == NULL || job->accept.batch.header.data == NULL) {
		job_free(job);
		n->short_of_memory = true;
		return;
	}
	memcpy(job->accept.batch.signature, signature, SIGNATURE_LEN);
	snprintf(job->accept.peer, sizeof job->accept.peer, "%s", publisher);
	if (strcmp(publisher, s->peer->member) != 0)
		memcpy(job->accept.witness, s->peer->member, sizeof job->accept.witness);
	if (node_act_commit(n, job)) /* tag 0: nothing was delivered for it */
		s->peer->heads += packed.len;
}

static bool contradicts(const struct channel *c, const struct header *h, struct bytes packed)
{
	struct digest digest;

	if (c == NULL || h->incarnation != c->row.incarnation || h->first > c->row.last)
		return false;
	digest_header(&digest, packed);
	return header_last(h) != c->row.last || !digest_equal(&digest, &c->row.head);
}

/* This node cannot read it before its update; operators see it at the peer. */
static void later_format(struct node *n, struct session *s)
{
	static const char problem[] = "it publishes in a format of a later version";

	if (s->problem != problem)
		node_log(n, LOG_LEVEL_ERROR, "channel: a format of a later version publisher=%s", s->peer->member);
	s->problem = problem;
}

/* A receipt that was signed with a key that is no longer used: when that one was revoked, nobody takes it. */
static bool receipt_outlived_key(const struct node *n, const struct channel *c)
{
	struct receipt receipt = {0};
	bool outlived =
		c->receipt.data != NULL && receipt_decode(&receipt, c->receipt) == 0 && receipt.key != n->keys.number;

	receipt_deinit(&receipt);
	return outlived;
}

/* A publisher that showed two histories can go on in a later incarnation alone. */
static bool stays_stopped(const struct channel *c, uint32_t incarnation)
{
	return c->row.stopped != 0 && incarnation <= c->row.incarnation;
}

/* When the copy ends under a revoked key the publisher will not know our place, and that says whose it is. */
static void contradicted(
	struct node *n, struct session *s, const struct channel *c, struct bytes packed, const uint8_t *signature)
{
	if (!disown_due(n, c))
		judge_head(n, s, s->peer->member, packed, signature);
}

static void take_head(struct node *n, struct session *s, const Enlight__Link__V1__Head *head)
{
	struct bytes packed = bytes_of(head->header.data, head->header.len);
	const char *publisher = s->peer->member;
	enum card_key_state state;
	struct channel *c;
	struct header h = {0};
	struct reading *rd;
	const uint8_t *key;
	int r = header_decode(&h, packed);

	if (r == BATCH_UNKNOWN_FORMAT) {
		later_format(n, s);
		return;
	}
	if (head->signature.len != SIGNATURE_LEN || r != 0) {
		refuse_head(n, s, "not a head");
		header_deinit(&h);
		return;
	}
	if (strcmp(h.publisher, publisher) != 0) {
		if (strcmp(h.publisher, n->member) == 0)
			recover_head(n, s, &h, packed, head->signature.data);
		else
			witness_head(n, s, &h, packed, head->signature.data);
		goto out;
	}
	key = trust_sign_key(n->trust, publisher, h.key, &state);
	if (!digest_equal(&h.network, trust_network(n->trust)) || !audience_has(h.audience, n->member) ||
		!trust_knows(n->trust, h.audience) || key == NULL ||
		!header_verify(packed, head->signature.data, key)) {
		refuse_head(n, s, "a head that is not the publisher's, or not for this node");
		goto out;
	}
	c = node_channel(n, publisher, h.audience);
	rd = find_reading(s, publisher, h.audience);
	if (rd == NULL && c == NULL && too_many(n, s)) {
		refuse_head(n, s, "more channels than a publisher may have");
		goto out;
	}
	if (rd == NULL)
		rd = reading_of(n, s, publisher, h.audience);
	if (rd == NULL)
		goto out;
	if (rd->announced != header_last(&h) || rd->incarnation != h.incarnation)
		rd->retry_ms = 0; /* what was refused may be mended */
	rd->announced = header_last(&h);
	rd->incarnation = h.incarnation;
	if (c != NULL && h.incarnation <= c->row.incarnation && header_last(&h) < c->row.last)
		node_log(n, LOG_LEVEL_ERROR,
			"channel: the publisher shows less than it gave us publisher=%s audience=%s", publisher,
			h.audience);
	if (c != NULL && c->row.stopped != 0)
		disown(n, s, publisher, h.audience);
	if (c != NULL && stays_stopped(c, h.incarnation)) {
		witness_stopped(n, s, c, packed);
		goto out;
	}
	if (contradicts(c, &h, packed))
		contradicted(n, s, c, packed, head->signature.data);
	else if (c != NULL && c->row.incarnation == h.incarnation && c->row.last == header_last(&h) &&
		 receipt_outlived_key(n, c))
		judge_head(n, s, publisher, packed, head->signature.data); /* what is held already gets a new one */
	else if (c != NULL && c->row.incarnation == h.incarnation && c->row.last == header_last(&h))
		send_receipt(n, s, c); /* the one before may have been lost */
	if (!rd->open && rd->retry_ms == 0)
		fetch_channel(n, s, rd);
out:
	header_deinit(&h);
}

void read_heads(struct node *n, struct session *s, const Enlight__Link__V1__Heads *heads)
{
	for (size_t i = 0; i < heads->n_head; i++)
		take_head(n, s, heads->head[i]);
}

/* Something was delivered that does not say what it was: every channel is asked for again, a little later. */
static void ask_again(struct node *n, struct session *s)
{
	for (size_t i = 0; i < s->n_readings; i++)
		if (s->readings[i].open) {
			s->readings[i].open = false;
			s->readings[i].retry_ms = n->now_ms + RETRY_MS;
		}
}

void read_deliver(struct node *n, struct session *s, const Enlight__Link__V1__Deliver *deliver, size_t frame_len)
{
	struct accept_job *a;
	struct header h = {0};
	struct reading *rd = NULL;
	struct job *job;
	int r;

	if (s->granted <= 0) {
		node_log(n, LOG_LEVEL_WARN, "link: beyond credit peer=%s", s->peer->member);
		node_refuse(n, s->connection, s, REFUSE_LIMIT, "beyond credit");
		session_drop(n, s, "sent beyond its credit");
		return;
	}
	s->granted -= (int64_t)frame_len;
	r = header_decode(&h, bytes_of(deliver->header.data, deliver->header.len));
	if (r == BATCH_UNKNOWN_FORMAT)
		later_format(n, s);
	if (deliver->signature.len != SIGNATURE_LEN || !deliver->has_body || !deliver->has_key ||
		deliver->key.len != WRAPPED_KEY_LEN || r != 0) {
		node_refuse(n, s->connection, s, REFUSE_MALFORMED, "not a batch");
		ask_again(n, s);
		grant(n, s);
		header_deinit(&h);
		return;
	}
	if (repair_takes(n, s, &h, deliver)) {
		header_deinit(&h);
		grant(n, s);
		return;
	}
	rd = find_reading(s, h.publisher, h.audience);
	header_deinit(&h);
	if (rd == NULL) { /* perhaps one that was, before a bit of it changed */
		node_refuse(n, s->connection, s, REFUSE_ORDER, "a batch of a channel that was not asked for");
		ask_again(n, s);
		grant(n, s);
		return;
	}
	job = job_new(JOB_ACCEPT, n->trust);
	if (job == NULL) {
		n->short_of_memory = true;
		ask_again(n, s);
		return;
	}
	a = &job->accept;
	job->tag = s->serial;
	memcpy(a->peer, s->peer->member, sizeof a->peer);
	memcpy(a->session_key, s->key, sizeof a->session_key);
	a->announced = rd->announced;
	a->batch.header = bytes_of(bytes_dup(bytes_of(deliver->header.data, deliver->header.len)), deliver->header.len);
	a->batch.body = bytes_of(bytes_dup(bytes_of(deliver->body.data, deliver->body.len)), deliver->body.len);
	memcpy(a->batch.signature, deliver->signature.data, SIGNATURE_LEN);
	memcpy(a->wrapped, deliver->key.data, WRAPPED_KEY_LEN);
	a->frame_len = frame_len;
	if (a->batch.header.data == NULL || a->batch.body.data == NULL) {
		job_free(job);
		n->short_of_memory = true;
		ask_again(n, s);
		return;
	}
	if (node_act_commit(n, job))
		s->peer->unfinished += frame_len;
	else
		ask_again(n, s);
}

/* Nothing more is taken from this channel for a while; the peer is told, once. */
static void refuse_batch(struct node *n, struct session *s, struct reading *rd, const struct accept_job *a)
{
	if (rd->retry_ms != 0)
		return;
	rd->open = false;
	rd->retry_ms = n->now_ms + RETRY_MS;
	rd->why = a->why;
	node_log(n, LOG_LEVEL_ERROR, "channel: refused a batch peer=%s publisher=%s audience=%s why=\"%s\"", a->peer,
		rd->publisher, rd->audience, a->why);
	node_refuse_channel(n, s, REFUSE_BATCH, a->why, rd->publisher, rd->audience);
}

static void accept_failed(struct node *n, struct session *s, struct reading *rd, const struct accept_job *a)
{
	const struct channel *c = node_channel(n, rd->publisher, rd->audience);
	uint64_t last = c == NULL ? 0 : c->row.last;

	switch (a->outcome) {
	case ACCEPT_OK:
	case ACCEPT_HELD:
	case ACCEPT_ASIDE:
	case ACCEPT_SURPLUS:
		break;
	case ACCEPT_GAP:
		n->counters.gaps++;
		if (rd->reopened && rd->reopened_at == last)
			break; /* asked again from here already: what was still under way comes first */
		rd->reopened = true;
		rd->reopened_at = last;
		fetch_channel(n, s, rd);
		break;
	case ACCEPT_FULL:
	case ACCEPT_FAILED:
		if (s->paused_ms <= n->now_ms)
			node_log(n, LOG_LEVEL_ERROR, "store: cannot take in peer=%s why=\"%s\"", a->peer, a->why);
		s->paused_ms = n->now_ms + RETRY_MS;
		rd->open = false;
		rd->retry_ms = s->paused_ms;
		rd->why = a->why;
		break;
	case ACCEPT_FORK:
		refuse_batch(n, s, rd, a);
		break;
	case ACCEPT_STOPPED: /* its publisher went on behind the two headers: it may not have seen them */
		if (c != NULL)
			witness_stopped(n, s, c, a->batch.header);
		refuse_batch(n, s, rd, a);
		break;
	default:
		if (a->elsewhere)
			disown(n, s, rd->publisher, rd->audience);
		n->counters.forged++;
		refuse_batch(n, s, rd, a);
		break;
	}
}

static void note_accepted(struct node *n, const struct accept_job *a, const struct header *h)
{
	n->counters.refused += a->n_refused;
	n->counters.stale += a->n_stale;
	if (a->n_refused > 0)
		node_log(n, LOG_LEVEL_WARN, "channel: events refused publisher=%s audience=%s count=%u", h->publisher,
			h->audience, a->n_refused);
	if (!a->raised || strcmp(h->publisher, n->member) == 0)
		return;
	n->counters.raised++;
	node_log(n, LOG_LEVEL_ERROR, "channel: incarnation raised publisher=%s audience=%s set_aside=%llu",
		h->publisher, h->audience, (unsigned long long)a->set_aside);
}

void read_accepted(struct node *n, struct job *job)
{
	struct accept_job *a = &job->accept;
	struct session *s = node_session(n, job->tag);
	struct peer *p = node_peer(n, a->witness[0] == '\0' ? a->peer : a->witness); /* who sent it */
	struct header h = {0};
	struct reading *rd = NULL;

	if (p != NULL)
		p->unfinished -= a->frame_len < p->unfinished ? a->frame_len : p->unfinished;
	if (p != NULL && job->tag == 0)
		p->heads -= a->batch.header.len < p->heads ? a->batch.header.len : p->heads;
	if (header_decode(&h, a->batch.header) != 0)
		return;
	if (a->outcome == ACCEPT_OK)
		note_accepted(n, a, &h);
	if (a->outcome == ACCEPT_FORK) {
		n->counters.forks++;
		witness_tell(n, a, &h);
	}
	if (a->witness[0] != '\0')
		witness_judged(n, p == NULL ? NULL : p->session, a);
	recover_committed(n, a, &h);
	if (job->tag == 0 && p != NULL && p->session != NULL &&
		(a->outcome == ACCEPT_FULL || a->outcome == ACCEPT_FAILED || a->outcome == ACCEPT_GAP))
		p->session->heads_again_ms = n->now_ms + RETRY_MS;
	if (s != NULL)
		rd = find_reading(s, h.publisher, h.audience);
	if (rd != NULL) {
		accept_failed(n, s, rd, a);
		recover_accepted(n, s, rd, a, &h);
	}
	if (p != NULL && p->session != NULL)
		grant(n, p->session);
	header_deinit(&h);
}

void send_receipt(struct node *n, struct session *s, const struct channel *c)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__SignedReceipt receipt = ENLIGHT__LINK__V1__SIGNED_RECEIPT__INIT;

	if (c->receipt.data == NULL)
		return;
	receipt.receipt = wire_bytes(c->receipt.data, c->receipt.len);
	receipt.signature = wire_bytes(c->receipt_signature, SIGNATURE_LEN);
	frame.receipt = &receipt;
	node_send(n, s->connection, s, &frame);
}

/* A channel of others has grown durably: its publisher gets the receipt. */
void read_changed(struct node *n, const struct changed_channel *changed)
{
	const struct channel *c = node_channel(n, changed->row.publisher, changed->row.audience);
	struct peer *p = node_peer(n, changed->row.publisher);

	if (changed->receipt.data != NULL && p != NULL && p->session != NULL)
		send_receipt(n, p->session, c);
}

/* A reader does not accept what we published: somebody must look. */
static void batch_refused(struct node *n, struct session *s, const char *audience)
{
	n->counters.refused_by_readers++;
	node_log(n, LOG_LEVEL_ERROR, "channel: a reader refused a batch of ours reader=%s audience=%s", s->peer->member,
		audience == NULL ? "" : audience);
	s->problem = "it refused a batch of ours";
	serve_heads_again(s, s->heads_ms); /* it may have been a head that was spoilt on its way */
}

void read_refused(struct node *n, struct session *s, const Enlight__Link__V1__Refuse *refuse)
{
	struct reading *rd = NULL;
	char *audience = NULL;

	node_log(n, LOG_LEVEL_WARN, "link: refused peer=%s code=%u reason=\"%s\"", s->peer->member, refuse->code,
		refuse_text((enum refuse_code)refuse->code));
	if (refuse->channel != NULL)
		audience = audience_join(refuse->channel->audience, refuse->channel->n_audience);
	if (refuse->code == REFUSE_BATCH)
		batch_refused(n, s, audience);
	if (audience != NULL) {
		rd = find_reading(s, refuse->channel->publisher, audience);
		repair_refused(n, s, refuse->channel->publisher, audience);
	}
	if (audience != NULL && refuse->code == REFUSE_POSITION)
		disown(n, s, refuse->channel->publisher, audience);
	free(audience);
	if (rd == NULL)
		return;
	rd->open = false;
	rd->retry_ms = refuse->code == REFUSE_ENTITLEMENT ? UINT64_MAX : n->now_ms + RETRY_MS;
	rd->why = refuse_text((enum refuse_code)refuse->code);
	if (refuse->code == REFUSE_POSITION)
		recover_refused(n, s, rd);
}

void read_tick(struct node *n, struct session *s)
{
	grant(n, s);
	if (s->heads_again_ms != 0 && n->now_ms >= s->heads_again_ms && n->now_ms >= s->heads_retry_ms) {
		s->heads_again_ms = 0;
		refuse_head(n, s, "a head that could not be judged in time");
	}
	for (size_t i = 0; i < s->n_readings; i++) {
		struct reading *rd = &s->readings[i];
		const struct channel *c = node_channel(n, rd->publisher, rd->audience);

		if (c != NULL && stays_stopped(c, rd->incarnation))
			continue;
		if (!rd->open && rd->retry_ms != 0 && n->now_ms >= rd->retry_ms && recover_wants(n, s, rd))
			fetch_channel(n, s, rd);
	}
}
