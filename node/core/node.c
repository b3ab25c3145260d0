#include "core/node.h"

#include "core/handle.h"
#include "core/node_state.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_CAP = 4 << 20 }; /* what unpacking one frame may allocate */

/* ---- actions ---- */

static struct node_action *act(struct node *n, enum node_action_kind kind)
{
	struct node_update *up = n->update;
	struct node_action *actions;

	actions = realloc(up->actions, (up->n_actions + 1) * sizeof *actions);
	if (actions == NULL) {
		n->short_of_memory = true;
		return NULL;
	}
	up->actions = actions;
	actions[up->n_actions] = (struct node_action){.kind = kind};
	return &actions[up->n_actions++];
}

void node_act_hang_up(struct node *n, uint32_t connection)
{
	struct node_action *a = act(n, NODE_HANG_UP);

	if (a != NULL)
		a->connection = connection;
}

void node_act_simple(struct node *n, enum node_action_kind kind)
{
	act(n, kind);
}

bool node_act_commit(struct node *n, struct job *job)
{
	struct node_action *a = act(n, NODE_COMMIT);

	if (a != NULL)
		a->job = job;
	else
		job_free(job);
	return a != NULL;
}

void node_act_kept(struct node *n, uint64_t tag, bool durable)
{
	struct node_action *a = act(n, NODE_KEPT);

	if (a == NULL)
		return;
	a->tag = tag;
	a->durable = durable;
}

bool node_act_dial(struct node *n, uint32_t connection, const char *endpoint, const uint8_t *key)
{
	char *copy = strdup(endpoint);
	struct node_action *a = copy == NULL ? NULL : act(n, NODE_DIAL);

	if (a == NULL) {
		n->short_of_memory = true;
		free(copy);
		return false;
	}
	a->connection = connection;
	a->endpoint = copy;
	memcpy(a->key, key, sizeof a->key);
	return true;
}

bool node_act_query(struct node *n, struct query *query)
{
	struct node_action *a = act(n, NODE_QUERY);

	if (a != NULL)
		a->query = query;
	else
		query_free(query);
	return a != NULL;
}

void node_log(struct node *n, int level, const char *format, ...)
{
	struct node_action *a = act(n, NODE_LOG);
	va_list args;

	if (a == NULL)
		return;
	a->level = level;
	va_start(args, format);
	if (vasprintf(&a->text, format, args) < 0)
		a->text = NULL;
	va_end(args);
}

void node_update_clear(struct node_update *up)
{
	for (size_t i = 0; i < up->n_actions; i++) {
		struct node_action *a = &up->actions[i];

		free((void *)a->frame.data);
		free(a->endpoint);
		free(a->text);
		job_free(a->job);
		query_free(a->query);
	}
	free(up->actions);
	*up = (struct node_update){0};
}

ProtobufCBinaryData wire_bytes(const void *data, size_t len)
{
	return (ProtobufCBinaryData){len, (uint8_t *)data};
}

size_t node_send(struct node *n, uint32_t connection, struct session *s, Frame *frame)
{
	struct node_action *a;
	uint8_t *packed;
	size_t len;

	if (s != NULL) {
		frame->has_session = true;
		frame->session = wire_bytes(s->id, sizeof s->id);
		frame->has_number = true;
		frame->number =
			++s->n_sent; /* also of one that cannot be sent: the other end must learn that it is missing */
		s->sent_ms = n->now_ms;
	}
	packed = wire_pack(frame, &len);
	if (packed == NULL) {
		n->short_of_memory = true;
		return 0;
	}
	assert(len <= FRAME_MAX);
	a = act(n, NODE_SEND);
	if (a == NULL) {
		free(packed);
		return 0;
	}
	a->connection = connection;
	a->frame = bytes_of(packed, len);
	if (s != NULL)
		s->bytes_out += len;
	return len;
}

void node_refuse(struct node *n, uint32_t connection, struct session *s, enum refuse_code code, const char *reason)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Refuse refuse = ENLIGHT__LINK__V1__REFUSE__INIT;

	refuse.code = code;
	refuse.reason = (char *)reason;
	frame.refuse = &refuse;
	node_send(n, connection, s, &frame);
}

void node_refuse_channel(struct node *n, struct session *s, enum refuse_code code, const char *reason,
	const char *publisher, const char *audience)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Refuse refuse = ENLIGHT__LINK__V1__REFUSE__INIT;
	Enlight__Link__V1__Channel about = ENLIGHT__LINK__V1__CHANNEL__INIT;
	char *parts[AUDIENCE_MAX], *copy = strdup(audience);

	if (copy == NULL) {
		n->short_of_memory = true;
		return;
	}
	about.publisher = (char *)publisher;
	about.n_audience = audience_split(copy, parts);
	about.audience = parts;
	refuse.code = code;
	refuse.reason = (char *)reason;
	refuse.channel = &about;
	frame.refuse = &refuse;
	node_send(n, s->connection, s, &frame);
	free(copy);
}

/* ---- what is held ---- */

static int peer_compare(const void *member, const void *peer)
{
	return strcmp(member, (*(struct peer *const *)peer)->member);
}

struct peer *node_peer(const struct node *n, const char *member)
{
	struct peer **found = NULL;

	if (n->n_peers > 0)
		found = bsearch(member, n->peers, n->n_peers, sizeof(struct peer *), peer_compare);

	return found == NULL ? NULL : *found;
}

/* Adds a peer in its place; the one that is there already otherwise. */
static struct peer *add_peer(struct node *n, const char *member)
{
	struct peer *p = node_peer(n, member), **peers;
	size_t at = 0;

	if (p != NULL)
		return p;
	peers = realloc(n->peers, (n->n_peers + 1) * sizeof(struct peer *));
	if (peers == NULL)
		return NULL;
	n->peers = peers;
	p = calloc(1, sizeof *p);
	if (p == NULL)
		return NULL;
	snprintf(p->member, sizeof p->member, "%s", member);
	while (at < n->n_peers && strcmp(peers[at]->member, member) < 0)
		at++;
	memmove(&peers[at + 1], &peers[at], (n->n_peers - at) * sizeof(struct peer *));
	peers[at] = p;
	n->n_peers++;
	return p;
}

struct channel *node_channel(const struct node *n, const char *publisher, const char *audience)
{
	for (size_t i = 0; i < n->n_channels; i++) {
		struct channel *c = n->channels[i];

		if (strcmp(c->row.publisher, publisher) == 0 && strcmp(c->row.audience, audience) == 0)
			return c;
	}
	return NULL;
}

struct channel *node_channel_id(const struct node *n, uint64_t id)
{
	for (size_t i = 0; i < n->n_channels; i++)
		if (n->channels[i]->row.id == id)
			return n->channels[i];
	return NULL;
}

struct session *node_session(const struct node *n, uint64_t serial)
{
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL && n->peers[i]->session->serial == serial)
			return n->peers[i]->session;
	return NULL;
}

static struct bytes dup_bytes(struct bytes b)
{
	return b.data == NULL ? b : bytes_of(bytes_dup(b), b.len);
}

/* Channels are kept in the order in which people look for them. */
static bool channel_before(const struct channel *c, const struct channel_row *row)
{
	int order = strcmp(c->row.publisher, row->publisher);

	return order < 0 || (order == 0 && strcmp(c->row.audience, row->audience) < 0);
}

/* A channel becomes what `row` says; the header's copies are ours. */
static struct channel *put_channel(
	struct node *n, const struct channel_row *row, struct bytes header, const uint8_t *signature)
{
	struct channel *c = node_channel(n, row->publisher, row->audience), **channels;
	char *audience = strdup(row->audience);
	size_t at = 0;

	if (audience == NULL)
		return NULL;
	if (c == NULL) {
		while (at < n->n_channels && channel_before(n->channels[at], row))
			at++;
		channels = realloc(n->channels, (n->n_channels + 1) * sizeof(struct channel *));
		if (channels != NULL)
			n->channels = channels;
		c = channels == NULL ? NULL : calloc(1, sizeof *c);
		if (c == NULL) {
			free(audience);
			return NULL;
		}
		memmove(&channels[at + 1], &channels[at], (n->n_channels++ - at) * sizeof(struct channel *));
		channels[at] = c;
	}
	channel_row_deinit(&c->row);
	c->row = *row;
	c->row.audience = audience;
	if (row->last == 0 && c->header.data != NULL) { /* all of it was set aside */
		free((void *)c->header.data);
		c->header = (struct bytes){0};
		c->version = ++n->version;
	} else if (header.data != NULL) {
		free((void *)c->header.data);
		c->header = dup_bytes(header);
		memcpy(c->signature, signature, SIGNATURE_LEN);
		if (c->header.data == NULL)
			return NULL;
		c->version = ++n->version;
	}
	return c;
}

int node_load_channel(struct node *n, const struct channel_row *row, struct bytes header, const uint8_t *signature)
{
	return put_channel(n, row, header, signature) == NULL ? -ENOMEM : 0;
}

/* A reader's receipt for one of our channels. */
static int put_receipt(struct channel *c, const struct reader_receipt *receipt)
{
	struct reader_receipt *readers;

	for (size_t i = 0; i < c->n_readers; i++)
		if (strcmp(c->readers[i].reader, receipt->reader) == 0) {
			c->readers[i] = *receipt;
			return 0;
		}
	readers = realloc(c->readers, (c->n_readers + 1) * sizeof *readers);
	if (readers == NULL)
		return -ENOMEM;
	c->readers = readers;
	readers[c->n_readers++] = *receipt;
	return 0;
}

static int keep_own_receipt(struct channel *c, struct bytes receipt, const uint8_t *signature)
{
	struct bytes copy = dup_bytes(receipt);

	if (copy.data == NULL)
		return -ENOMEM;
	free((void *)c->receipt.data);
	c->receipt = copy;
	memcpy(c->receipt_signature, signature, SIGNATURE_LEN);
	return 0;
}

static bool take_header(struct shown_header *out, struct bytes header, const uint8_t *signature)
{
	free((void *)out->header.data);
	out->header = dup_bytes(header);
	memcpy(out->signature, signature, SIGNATURE_LEN);
	return out->header.data != NULL;
}

static uint64_t first_of(struct bytes packed)
{
	struct header h = {0};
	uint64_t first = header_decode(&h, packed) == 0 ? h.first : 0;

	header_deinit(&h);
	return first;
}

bool channel_note_fork(struct channel *c, struct bytes header_a, const uint8_t *signature_a, struct bytes header_b,
	const uint8_t *signature_b)
{
	bool stops = first_of(header_a) == c->row.stopped || first_of(header_b) == c->row.stopped;

	if (!stops && c->fork[0].header.data != NULL)
		return true;
	return take_header(&c->fork[0], header_a, signature_a) && take_header(&c->fork[1], header_b, signature_b);
}

int node_load_fork(struct node *n, const struct fork_row *row)
{
	struct channel *c = node_channel_id(n, row->channel);

	if (c == NULL || c->row.stopped == 0)
		return 0;
	return channel_note_fork(c, row->header_a, row->signature_a.data, row->header_b, row->signature_b.data)
		       ? 0
		       : -ENOMEM;
}

int node_load_receipt(struct node *n, const struct receipt_row *row)
{
	struct channel *c = node_channel_id(n, row->channel);
	struct reader_receipt receipt = {
		.incarnation = row->incarnation, .to = row->to, .uncovered = row->uncovered, .time_ms = row->time_ms};
	struct receipt decoded = {0};
	int r;

	if (c == NULL)
		return 0;
	if (strcmp(row->reader, n->member) == 0)
		return keep_own_receipt(c, row->packed, row->signature);
	snprintf(receipt.reader, sizeof receipt.reader, "%s", row->reader);
	r = receipt_decode(&decoded, row->packed);
	receipt.head = decoded.head;
	receipt_deinit(&decoded);
	return r == 0 ? put_receipt(c, &receipt) : r > 0 ? -EBADMSG : r;
}

int node_load_blocked(struct node *n, const char *member, const char *reason)
{
	struct peer *p = add_peer(n, member);
	char *copy = strdup(reason);

	if (p == NULL || copy == NULL) {
		free(copy);
		return -ENOMEM;
	}
	free(p->block_reason);
	p->block_reason = copy;
	p->blocked = true;
	return 0;
}

/* ---- trust ---- */

/* A peer for every member; those that left stay known, so that what they are told is why. */
static void add_members(struct node *n)
{
	const struct roster *r = trust_roster(n->trust);

	for (size_t i = 0; i < r->n_members; i++)
		if (strcmp(r->members[i].handle, n->member) != 0 && add_peer(n, r->members[i].handle) == NULL)
			n->short_of_memory = true;
}

/* Drops what is no longer in force and dials what is new. Live sessions that were dialled in end with the ROUTER. */
static void enforce(struct node *n)
{
	bool rebind = false;

	node_act_simple(n, NODE_ALLOW);
	for (size_t i = 0; i < n->n_peers; i++) {
		struct peer *p = n->peers[i];

		if (p->session != NULL && !session_is_valid(n, p->session)) {
			rebind |= !p->session->dialled;
			session_drop(
				n, p->session, p->blocked ? "blocked" : "its key or membership is no longer in force");
		}
		meet_dial(n, p);
	}
	if (rebind)
		node_act_simple(n, NODE_REBIND);
}

void node_adopt(struct node *n, struct trust *trust)
{
	trust_unref(n->trust);
	n->trust = trust;
	add_members(n);
	enforce(n);
}

/* ---- frames ---- */

/* Frames of a session: each kind and who deals with it. */
static void take_session_frame(struct node *n, struct session *s, const Frame *f, size_t len)
{
	s->heard_ms = n->now_ms;
	s->n_heard++;
	s->bytes_in += len;
	if (f->heads != NULL)
		read_heads(n, s, f->heads);
	else if (f->deliver != NULL)
		read_deliver(n, s, f->deliver, len);
	else if (f->fetch != NULL)
		serve_fetch(n, s, f->fetch);
	else if (f->receipt != NULL)
		serve_receipt(n, s, f->receipt);
	else if (f->note != NULL)
		gossip_take(n, s, f->note);
	else if (f->refuse != NULL)
		read_refused(n, s, f->refuse);
	/* a Beat, or a message of a later version: hearing it was all */
}

static void take_frame(struct node *n, const struct node_input *in)
{
	struct session *s = session_of_connection(n, in->connection);
	Frame *f = wire_unpack(&enlight__link__v1__frame__descriptor, in->frame, FRAME_CAP);

	if (f == NULL) {
		node_refuse(n, in->connection, s, REFUSE_MALFORMED, "not a frame");
		return;
	}
	if (f->hello != NULL) {
		meet_hello(n, in->connection, in->key, f->hello);
	} else if (s != NULL && f->has_session && f->session.len == SESSION_ID_LEN &&
		   memcmp(f->session.data, s->id, SESSION_ID_LEN) == 0) {
		if (f->has_number && f->number == s->n_heard + 1)
			take_session_frame(n, s, f, in->frame.len);
		else
			meet_lost(n, s);
	} else if (f->refuse != NULL) {
		if (!f->has_session || s == NULL) /* one of an earlier session says nothing about this one */
			meet_refused(n, in->connection, f->refuse->code);
	} else {
		n->counters.no_session++;
		node_refuse(n, in->connection, NULL, REFUSE_NO_SESSION, NULL);
	}
	wire_free(f);
}

/* ---- commits ---- */

static void count_receipt(struct node *n, const struct receipt_job *r)
{
	struct peer *p = node_peer(n, r->peer);

	if (p != NULL)
		p->receipts -= r->packed.len < p->receipts ? r->packed.len : p->receipts;
	if (r->lost)
		serve_lost_receipt(n, r->peer);
	if (r->good)
		n->counters.receipts++;
	else
		node_log(n, LOG_LEVEL_WARN, "receipt: refused peer=%s why=\"%s\"", r->peer, r->why);
}

size_t newly_published(const struct publish_job *p)
{
	size_t count = 0;

	for (size_t i = 0; p->outcome == PUBLISH_OK && i < p->n_drafts; i++)
		count += p->results[i].state == PUBLISH_NEW;
	return count;
}

static void count_job(struct node *n, const struct job *j)
{
	if (j->kind == JOB_CHECKPOINT)
		n->counters.published += j->checkpoint.publish.outcome == PUBLISH_OK;
	if (j->kind == JOB_PUBLISH)
		n->counters.published += newly_published(&j->publish);
	if (j->kind == JOB_REPUBLISH)
		n->counters.published += newly_published(&j->republish.publish);
	if (j->kind == JOB_RECEIPT)
		count_receipt(n, &j->receipt);
}

static void take_changed_channel(struct node *n, const struct changed_channel *changed)
{
	struct channel *c = node_channel(n, changed->row.publisher, changed->row.audience);
	uint64_t before = c == NULL ? 0 : c->row.last;

	c = put_channel(n, &changed->row, changed->header, changed->signature);
	if (c == NULL || (changed->receipt.data != NULL &&
				 keep_own_receipt(c, changed->receipt, changed->receipt_signature) != 0)) {
		n->short_of_memory = true;
		return;
	}
	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL && serve_shows(n, n->peers[i]->session, c))
			n->peers[i]->session->heads_due = true;
	if (strcmp(c->row.publisher, n->member) == 0)
		return;
	if (c->row.last > before)
		n->counters.received += c->row.last - before;
	read_changed(n, changed);
}

static void take_commit(struct node *n, const struct node_input *in)
{
	const struct commit_changes *ch = in->changes;

	for (size_t i = 0; ch != NULL && i < ch->n_channels; i++)
		take_changed_channel(n, &ch->channels[i]);
	for (size_t i = 0; ch != NULL && i < ch->n_receipts; i++) {
		const struct changed_receipt *r = &ch->receipts[i];
		struct channel *c = node_channel(n, r->publisher, r->audience);
		struct reader_receipt receipt = {.incarnation = r->incarnation,
			.to = r->to,
			.uncovered = r->uncovered,
			.time_ms = r->time_ms,
			.head = r->head};

		memcpy(receipt.reader, r->reader, sizeof receipt.reader);
		if (c != NULL && put_receipt(c, &receipt) != 0)
			n->short_of_memory = true;
	}
	if (ch != NULL && ch->last_number > n->last_number)
		n->last_number = ch->last_number;
	if (ch != NULL && ch->n_batches > 0)
		serve_published(n, ch->batches, ch->n_batches);
	for (size_t i = 0; i < in->n_jobs; i++) {
		count_job(n, in->jobs[i]);
		if (in->jobs[i]->kind == JOB_ACCEPT)
			read_accepted(n, in->jobs[i]);
		if (in->jobs[i]->kind == JOB_REPAIR)
			repair_committed(n, in->jobs[i]);
		if (in->jobs[i]->kind == JOB_CHECKPOINT)
			checkpoint_committed(n, in->jobs[i]);
		if (in->jobs[i]->kind == JOB_REPUBLISH)
			republish_committed(n, in->jobs[i]);
		if (in->jobs[i]->kind == JOB_DISOWN)
			disown_committed(n, &in->jobs[i]->disown);
		keep_committed(n, in->jobs[i]);
	}
}

/* ---- operators ---- */

static int take_block(struct node *n, const struct node_input *in)
{
	struct peer *p = node_peer(n, in->member);
	struct job *job;

	if (p == NULL)
		return -ENOENT;
	job = job_new(JOB_SETTING, NULL);
	if (job == NULL)
		return -ENOMEM;
	if (asprintf(&job->setting.name, "blocked %s", in->member) < 0)
		job->setting.name = NULL;
	job->setting.value = in->block ? strdup(in->reason) : NULL;
	if (job->setting.name == NULL || (in->block && job->setting.value == NULL)) {
		job_free(job);
		return -ENOMEM;
	}
	free(p->block_reason);
	p->block_reason = in->block ? strdup(in->reason) : NULL;
	p->blocked = in->block;
	keep(n, job, in->act, in->tag);
	node_log(n, LOG_LEVEL_INFO, "peer: %s member=%s", in->block ? "blocked" : "unblocked", in->member);
	enforce(n);
	return 0;
}

static int take_repair(struct node *n, const struct node_input *in)
{
	int r = repair_begin(n, in->damage);

	if (r == 0 && in->act != NULL)
		keep(n, NULL, in->act, in->tag);
	return r;
}

/* What was done already (NODE_ACT) is recorded however many wait, as far as there is room: keep() says so otherwise. */
static int take_act(struct node *n, const struct node_input *in)
{
	if (in->kind == NODE_BACKUP) {
		keep_time(n, NODE_BACKUP_SETTING, in->tag);
		return 0;
	}
	if (in->kind == NODE_ACT) {
		keep(n, NULL, in->act, in->tag);
		return 0;
	}
	if (in->act != NULL && keep_is_full(n))
		return -EAGAIN;
	if (in->kind == NODE_REPAIR)
		return take_repair(n, in);
	if (in->kind == NODE_BLOCK)
		return take_block(n, in);
	if (in->kind == NODE_PIN)
		return gossip_pin(n, in);
	return gossip_note(n, in->reason, in->frame, in, in->problems);
}

/* ---- steps ---- */

int node_new(struct node **out, const struct node_options *options)
{
	struct node *n = calloc(1, sizeof *n);

	*out = NULL;
	if (n == NULL)
		return -ENOMEM;
	snprintf(n->member, sizeof n->member, "%s", options->member);
	n->keys = *options->keys;
	memcpy(n->boot, options->boot, sizeof n->boot);
	n->trust = trust_ref(options->trust);
	n->quota_bytes = options->quota_bytes;
	n->key_limit_ms = options->key_limit_ms;
	n->keep_anchor = options->keep_anchor;
	n->next_connection = 1;
	n->next_serial = 1;
	add_members(n);
	if (n->short_of_memory) {
		node_free(n);
		return -ENOMEM;
	}
	*out = n;
	return 0;
}

static void peer_free(struct peer *p)
{
	if (p->session != NULL) {
		read_deinit(p->session);
		free(p->session->streams);
		sodium_memzero(p->session, sizeof *p->session);
		free(p->session);
	}
	hello_wipe(&p->dial_hello);
	free(p->dial_endpoint);
	free(p->block_reason);
	free(p);
}

static void channel_free(struct channel *c)
{
	channel_row_deinit(&c->row);
	free((void *)c->header.data);
	free((void *)c->receipt.data);
	free((void *)c->fork[0].header.data);
	free((void *)c->fork[1].header.data);
	free(c->readers);
	free(c);
}

void node_free(struct node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->n_peers; i++)
		peer_free(n->peers[i]);
	for (size_t i = 0; i < n->n_channels; i++)
		channel_free(n->channels[i]);
	keep_free(n);
	recover_free(n);
	repair_free(n);
	free(n->peers);
	free(n->channels);
	trust_unref(n->trust);
	sodium_memzero(n, sizeof *n);
	free(n);
}

static void tick(struct node *n)
{
	if (!n->started) {
		n->started = true;
		node_act_simple(n, NODE_ALLOW);
		if (n->keep_anchor)
			gossip_keep_anchor(n);
	}
	key_age_tick(n);
	keep_tick(n);
	checkpoint_tick(n);
	republish_tick(n);
	repair_tick(n);
	meet_tick(n);
	for (size_t i = 0; i < n->n_peers; i++) {
		if (n->peers[i]->session == NULL)
			continue;
		read_tick(n, n->peers[i]->session);
		serve_tick(n, n->peers[i]->session);
	}
	n->ticked_ms = n->now_ms;
}

/* Ticks are cheap; a steady one while something may be due keeps the timers simple. They are counted from the last one, so that a
 * node which is never idle has them too. */
static uint64_t wake_ms(const struct node *n)
{
	uint64_t wake = n->ticked_ms + 1000;

	for (size_t i = 0; i < n->n_peers; i++)
		if (n->peers[i]->session != NULL && n->peers[i]->session->heads_due)
			wake = n->ticked_ms + 100;
	return wake > n->now_ms ? wake : n->now_ms;
}

static void dispatch(struct node *n, const struct node_input *in)
{
	struct peer *p;

	switch (in->kind) {
	case NODE_TICK:
		tick(n);
		break;
	case NODE_UP:
		for (size_t i = 0; i < n->n_peers; i++)
			if ((p = n->peers[i])->dial == in->connection && p->dial != 0)
				meet_up(n, p);
		break;
	case NODE_DOWN:
		meet_down(n, in->connection, in->reason);
		break;
	case NODE_FRAME:
		take_frame(n, in);
		break;
	case NODE_BUSY:
	case NODE_READY:
		serve_busy(n, in->connection, in->kind == NODE_BUSY);
		break;
	case NODE_STUCK:
		meet_stuck(n, in->connection);
		break;
	case NODE_COMMITTED:
		take_commit(n, in);
		break;
	case NODE_FETCHED:
		serve_fetched(n, in->query);
		break;
	case NODE_NOTE:
	case NODE_BLOCK:
	case NODE_PIN:
	case NODE_ACT:
	case NODE_BACKUP:
	case NODE_REPAIR:
		n->update->result = take_act(n, in);
		break;
	}
}

int node_step(struct node *n, const struct node_input *in, struct node_update *up)
{
	n->now_ms = in->now_ms;
	n->time_ms = in->time_ms;
	entropy_init(&n->entropy, in->entropy);
	n->update = up;
	n->short_of_memory = false;
	dispatch(n, in);
	entropy_wipe(&n->entropy);
	up->wake_ms = wake_ms(n);
	n->update = NULL;
	return n->short_of_memory ? -ENOMEM : 0;
}

bool node_is_saving(const struct node *n)
{
	return n->saving != NULL;
}

struct trust *node_trust(const struct node *n)
{
	return n->trust;
}

uint64_t node_last_number(const struct node *n)
{
	return n->last_number;
}

void node_load_last_number(struct node *n, uint64_t number)
{
	n->last_number = number;
}

uint8_t *node_allowed(const struct node *n, size_t *n_keys)
{
	uint8_t *keys = NULL, *more;

	*n_keys = 0;
	for (size_t i = 0; i < n->n_peers; i++) {
		const struct peer *p = n->peers[i];
		const struct card *card = trust_card(n->trust, p->member);

		if (p->blocked || card == NULL || !trust_is_member(n->trust, p->member))
			continue;
		for (size_t k = 0; k < card->n_keys; k++) {
			if (card->keys[k].state != CARD_KEY_CURRENT)
				continue;
			more = realloc(keys, (*n_keys + 1) * LINK_PUBLIC_LEN);
			if (more == NULL) {
				free(keys);
				*n_keys = SIZE_MAX;
				return NULL;
			}
			keys = more;
			memcpy(keys + *n_keys * LINK_PUBLIC_LEN, card->keys[k].link, LINK_PUBLIC_LEN);
			++*n_keys;
		}
	}
	return keys;
}
