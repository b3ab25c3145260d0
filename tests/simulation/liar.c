#include "liar.h"

#include "core/event.h"
#include "core/handle.h"
#include "core/node_state.h"
#include "network_state.h"
#include "plugin.h"
#include <assert.h>

/* What a liar is about to send, and where. */
struct lying {
	struct network *w;
	struct member *m;
	size_t from, to;
	struct pipe *pipe;
	bool is_dialler;
	struct session *s; /* NULL: none */
	Frame *f;
	uint64_t number; /* of the frame, by the node */
	uint8_t *claim;  /* in its Hello, when that is a lie; owned */
};

/* ---- frames ---- */

static uint64_t *extra_of(struct lying *l)
{
	return &l->pipe->extra[l->is_dialler];
}

/* Frames that the node did not make push the numbers of those that follow. A new session begins anew. */
static void count_session(struct lying *l)
{
	uint8_t *last = l->pipe->extra_session[l->is_dialler];

	if (memcmp(last, l->s->id, SESSION_ID_LEN) == 0)
		return;
	memcpy(last, l->s->id, SESSION_ID_LEN);
	*extra_of(l) = 0;
}

/* Packed as the next frame of the session; the frame stays as it is. */
static struct bytes pack(struct lying *l, Frame *f)
{
	Frame numbered = *f;
	uint8_t *packed;
	size_t len;

	if (l->s != NULL && f->hello == NULL) {
		numbered.has_session = numbered.has_number = true;
		numbered.session = wire_bytes(l->s->id, sizeof l->s->id);
		numbered.number = l->number + *extra_of(l);
	}
	packed = wire_pack(&numbered, &len);
	assert(packed != NULL);
	return bytes_of(packed, len);
}

/* Goes out before the frame at hand. */
static void send_extra(struct lying *l, Frame *f)
{
	if (l->s == NULL)
		return;
	network_put_frame(l->w, l->pipe, !l->is_dialler, pack(l, f));
	++*extra_of(l);
	l->w->n_lies++;
}

/* ---- batches ---- */

/* A batch of the liar's own, in the clear. */
struct clear {
	struct header header;
	struct sealed_batch sealed;
	struct slots slots;
	uint8_t key[BATCH_KEY_LEN];
	bool good;
};

static struct bytes copy_of(ProtobufCBinaryData b)
{
	struct bytes view = bytes_of(b.data, b.len);

	return bytes_of(bytes_dup(view), view.len);
}

static void clear_open(struct clear *c, const struct lying *l, const Enlight__Link__V1__Deliver *d)
{
	struct digest digest;

	*c = (struct clear){0};
	c->sealed.header = copy_of(d->header);
	c->sealed.body = copy_of(d->body);
	memcpy(c->sealed.signature, d->signature.data, SIGNATURE_LEN);
	digest_header(&digest, c->sealed.header);
	c->good = header_decode(&c->header, c->sealed.header) == 0 && l->s != NULL && d->has_body &&
		  key_unwrap(c->key, l->s->key, &digest, bytes_of(d->key.data, d->key.len)) &&
		  batch_open(&c->slots, &c->header, &c->sealed, c->key) == 0;
}

static void clear_deinit(struct clear *c)
{
	slots_deinit(&c->slots);
	header_deinit(&c->header);
	sealed_batch_deinit(&c->sealed);
}

/* Its slots in a builder; the one of this index without its event. */
static struct batch_builder build(const struct clear *c, size_t without)
{
	struct batch_builder b = {0};
	struct digest leaf;
	int r = 0;

	for (size_t i = 0; i < c->slots.n && r == 0; i++)
		r = i == without || c->slots.items[i].event.data == NULL
			    ? batch_add_leaf(&b, &c->slots.items[i].leaf)
			    : batch_add(&b, c->slots.items[i].event, &leaf);
	assert(r == 0);
	return b;
}

static struct entropy fresh(struct network *w)
{
	struct entropy e;
	uint8_t seed[32];

	network_draw_seed(w, seed);
	entropy_init(&e, seed);
	return e;
}

/* A Deliver of a batch, wrapped for the session at hand; its memory is the caller's as long as the frame is used. */
struct parcel {
	Frame frame;
	Enlight__Link__V1__Deliver deliver;
	uint8_t wrapped[WRAPPED_KEY_LEN];
};

static void wrap(struct parcel *p, struct lying *l, const struct sealed_batch *b, const uint8_t *key)
{
	struct entropy e = fresh(l->w);
	struct digest digest;

	enlight__link__v1__frame__init(&p->frame);
	enlight__link__v1__deliver__init(&p->deliver);
	digest_header(&digest, b->header);
	key_wrap(p->wrapped, l->s->key, &digest, key, &e);
	p->deliver.header = wire_bytes(b->header.data, b->header.len);
	p->deliver.signature = wire_bytes(b->signature, SIGNATURE_LEN);
	p->deliver.has_key = p->deliver.has_body = true;
	p->deliver.key = wire_bytes(p->wrapped, sizeof p->wrapped);
	p->deliver.body = wire_bytes(b->body.data, b->body.len);
	p->frame.deliver = &p->deliver;
}

/* ---- lies ---- */

/* As if the publisher had lost this batch: a later incarnation that begins here. */
static void begin_again(struct header *h)
{
	h->incarnation++;
	h->has_after = true;
	h->after_sequence = h->first - 1;
	h->after_digest = h->previous;
}

/* The batch under another header, signed as well. */
static void lie_header(struct lying *l, struct clear *c, enum lie lie)
{
	struct batch_builder b = build(c, SIZE_MAX);
	struct entropy e = fresh(l->w);
	struct sealed_batch other = {0};
	struct node_keys keys = l->m->keys;
	uint8_t key[BATCH_KEY_LEN];
	struct parcel parcel;
	int r;

	if (lie == LIE_NETWORK)
		c->header.network.bytes[0] ^= 1;
	else if (lie == LIE_RAISE)
		begin_again(&c->header);
	else
		c->header.time_ms++;
	if (lie == LIE_OLD_KEY && keys.number > 1)
		keys = node_keys_of(l->m->handle, keys.number - 1);
	if (lie == LIE_FORGE)
		keys.sign_secret[SIGN_SECRET_LEN - 1] ^= 1;
	c->header.key = keys.number;
	r = batch_seal(&other, key, &c->header, &b, &keys, &e);
	assert(r == 0);
	wrap(&parcel, l, &other, key);
	send_extra(l, &parcel.frame);
	sealed_batch_deinit(&other);
	batch_builder_deinit(&b);
}

/* Says of one slot that it was erased. */
static bool lie_withhold(struct lying *l, struct clear *c)
{
	struct batch_builder b = build(c, network_random(l->w, (uint32_t)c->slots.n));
	struct entropy e = fresh(l->w);
	struct parcel parcel;
	int r = batch_reseal(&c->sealed, c->key, &b, &e);

	assert(r == 0);
	wrap(&parcel, l, &c->sealed, c->key);
	send_extra(l, &parcel.frame);
	batch_builder_deinit(&b);
	return true;
}

/* The batch that went to somebody else last, and this one for the next. */
static void lie_audience(struct lying *l, const struct clear *c)
{
	struct sealed_batch *kept = &l->m->kept_batch;
	struct parcel parcel;

	if (kept->header.data != NULL) {
		wrap(&parcel, l, kept, l->m->kept_key);
		send_extra(l, &parcel.frame);
	}
	if (strcmp(c->header.audience, "network") == 0)
		return;
	sealed_batch_deinit(kept);
	kept->header = bytes_of(bytes_dup(c->sealed.header), c->sealed.header.len);
	kept->body = bytes_of(bytes_dup(c->sealed.body), c->sealed.body.len);
	memcpy(kept->signature, c->sealed.signature, SIGNATURE_LEN);
	memcpy(l->m->kept_key, c->key, BATCH_KEY_LEN);
}

/* Lies that go out before the true batch or instead of it; of several the first. */
enum { INSTEAD = LIE_EQUIVOCATE | LIE_FORGE | LIE_OLD_KEY };

/* False: the frame itself does not go out. */
static bool lie_about_batch(struct lying *l, unsigned lies)
{
	struct clear c;
	bool goes = true;

	clear_open(&c, l, l->f->deliver);
	if (c.good && (lies & LIE_AUDIENCE) != 0)
		lie_audience(l, &c);
	if (c.good && (lies & LIE_NETWORK) != 0)
		lie_header(l, &c, LIE_NETWORK);
	else if (c.good && (lies & LIE_RAISE) != 0)
		lie_header(l, &c, LIE_RAISE);
	else if (c.good && (lies & LIE_WITHHOLD) != 0)
		goes = !lie_withhold(l, &c);
	else if (c.good && (lies & INSTEAD) != 0) {
		lie_header(l, &c, (enum lie)(lies & INSTEAD & -(lies & INSTEAD)));
		goes = network_random(l->w, 2) == 0;
	}
	clear_deinit(&c);
	return goes;
}

static void lie_claim(struct lying *l)
{
	Enlight__Link__V1__Claim *claim = wire_unpack(&enlight__link__v1__claim__descriptor,
		bytes_of(l->f->hello->claim.data, l->f->hello->claim.len), 1 << 20);
	const char *other = l->w->members[network_random(l->w, (uint32_t)l->w->n)].handle;
	char *honest;
	size_t len;

	assert(claim != NULL);
	honest = claim->from;
	claim->from = (char *)other;
	l->claim = wire_pack(claim, &len);
	l->f->hello->claim = wire_bytes(l->claim, len);
	claim->from = honest;
	wire_free(claim);
	l->w->n_lies++;
}

static void lie_flood(struct lying *l)
{
	Frame beat = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Beat b = ENLIGHT__LINK__V1__BEAT__INIT;

	beat.beat = &b;
	for (int i = 0; i < 20; i++)
		send_extra(l, i % 4 == 0 ? &beat : l->f);
}

/* One of the frames that were sent before, to whomever. */
static void lie_order(struct lying *l, struct bytes frame)
{
	struct bytes *slot = &l->m->kept_frames[network_random(l->w, KEPT_FRAMES)];
	Frame *f;

	if (slot->data != NULL) {
		f = wire_unpack(&enlight__link__v1__frame__descriptor, *slot, 4 << 20);
		assert(f != NULL);
		if (f->hello == NULL)
			send_extra(l, f);
		else
			network_put_frame(l->w, l->pipe, !l->is_dialler, pack(l, f));
		wire_free(f);
	}
	free((void *)slot->data);
	*slot = bytes_of(bytes_dup(frame), frame.len);
}

/* A head of what the victim publishes to the network, of its present incarnation, that contradicts all there is but the first. */
static bool make_stolen(struct lying *l, struct sealed_batch *out)
{
	const struct member *victim = &l->w->members[l->to];
	struct node_keys keys = node_keys_of(victim->handle, 1);
	struct header h = {.network = l->w->anchor, .audience = (char *)"network", .first = 2, .count = 1, .key = 1};
	struct channel_row row = {0};
	int r;

	if (victim->key_states[1] != CARD_KEY_REVOKED ||
		memory_ledger_ops.channel_find(l->m->ledger, victim->handle, "network", &row) != 0)
		return false;
	strcpy(h.publisher, victim->handle);
	h.incarnation = row.incarnation;
	channel_row_deinit(&row);
	network_draw_seed(l->w, h.previous.bytes);
	r = header_encode(&out->header, &h);
	assert(r == 0);
	domain_sign(out->signature, "enlight header 1", out->header, keys.sign_secret);
	return true;
}

static void lie_stolen(struct lying *l)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Heads heads = ENLIGHT__LINK__V1__HEADS__INIT;
	Enlight__Link__V1__Head head = ENLIGHT__LINK__V1__HEAD__INIT, *only = &head;
	struct sealed_batch stolen = {0};

	if (!make_stolen(l, &stolen))
		return;
	head.header = wire_bytes(stolen.header.data, stolen.header.len);
	head.signature = wire_bytes(stolen.signature, SIGNATURE_LEN);
	heads.n_head = 1;
	heads.head = &only;
	frame.heads = &heads;
	send_extra(l, &frame);
	sealed_batch_deinit(&stolen);
}

/* The true one follows: nobody asks again for a receipt that its reader spoilt. */
static void lie_receipt(struct lying *l)
{
	l->f->receipt->signature.data[0] ^= 1;
	send_extra(l, l->f);
	l->f->receipt->signature.data[0] ^= 1;
}

static void lie(struct network *w, size_t from, size_t to, struct pipe *p, bool is_dialler, struct bytes *frame)
{
	struct lying l = {.w = w, .m = &w->members[from], .from = from, .to = to, .pipe = p, .is_dialler = is_dialler};
	unsigned lies = l.m->lying;
	bool goes = true;

	l.f = wire_unpack(&enlight__link__v1__frame__descriptor, *frame, 4 << 20);
	assert(l.f != NULL);
	l.s = session_of_connection(l.m->node, is_dialler ? p->dialled : p->incoming);
	if (l.s != NULL && (!l.f->has_session || memcmp(l.f->session.data, l.s->id, SESSION_ID_LEN) != 0))
		l.s = NULL; /* of a session that is over */
	if (l.s != NULL) {
		count_session(&l);
		l.number = l.f->number;
	}
	if (network_random(w, 4) != 0)
		lies = 0;
	if (l.s != NULL && (lies & LIE_ORDER) != 0)
		lie_order(&l, *frame);
	if (l.s != NULL && (lies & LIE_STOLEN) != 0)
		lie_stolen(&l);
	if (l.s != NULL && (lies & LIE_FLOOD) != 0)
		lie_flood(&l);
	if (l.s != NULL && l.f->deliver != NULL && lies != 0)
		goes = lie_about_batch(&l, lies);
	if (l.f->receipt != NULL && (lies & LIE_FORGE) != 0)
		lie_receipt(&l);
	if (l.f->hello != NULL && l.f->hello->has_claim && (lies & LIE_CLAIM) != 0)
		lie_claim(&l);
	free((void *)frame->data);
	if (!goes)
		--*extra_of(&l); /* what was sent in its place has its number */
	*frame = goes ? pack(&l, l.f) : (struct bytes){0};
	wire_free(l.f);
	free(l.claim);
}

/* ---- life ---- */

static bool may_lie(struct network *w, size_t member)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->members[i].liar;
	if (!w->members[member].liar && n >= w->n / 3)
		return false;
	w->members[member].liar = true;
	network_count_lost(w);
	w->lie = lie;
	return true;
}

bool liar_begin(struct network *w, size_t member, enum lie what)
{
	if (!may_lie(w, member))
		return false;
	w->members[member].lying |= what;
	return true;
}

void liar_end(struct network *w, size_t member, enum lie what)
{
	w->members[member].lying &= ~(unsigned)what;
}

bool liar_publish(struct network *w, size_t member)
{
	struct member *m = &w->members[member];
	const struct topic *topic = topic_find("mobility.transcript");
	struct problems problems = {0};
	json_t *event = topic == NULL ? NULL : event_example(topic);
	const char *source = json_string_value(json_object_get(event, "source"));
	struct job *job;
	char id[64];

	if (event == NULL || source == NULL || !m->up || !may_lie(w, member)) {
		json_decref(event);
		return false;
	}
	snprintf(id, sizeof id, "lie-%zu-%llx", member, (unsigned long long)network_draw(w));
	json_object_set_new(event, "id", json_string(id));
	job = job_new(JOB_PUBLISH, node_trust(m->node));
	assert(job != NULL);
	job->tag = m->n_wishes; /* nobody's */
	job->publish.drafts = calloc(1, sizeof *job->publish.drafts);
	assert(job->publish.drafts != NULL);
	if (draft_from_json(job->publish.drafts, event, source, &problems) == 0) {
		struct draft *d = job->publish.drafts;

		job->publish.n_drafts = 1;
		free(d->source);
		free(d->audience);
		d->source = strdup(m->handle);
		d->audience = strdup("network");
		draft_complete(d, id, "2026-11-23T09:30:00Z", "2026-11-23");
		network_add_job(w, member, job);
		w->n_lies++;
	} else {
		job_free(job);
	}
	problems_deinit(&problems);
	json_decref(event);
	return true;
}

/* A card that lists the signing key of another as a key in use: with a signature in its name, or without. */
bool liar_claim_key(struct network *w, size_t member, size_t victim)
{
	struct member *m = &w->members[member];
	struct actor actor = actor_of(m->handle, 0);
	struct card_key keys[2] = {card_key_of(m->handle, m->keys.number, CARD_KEY_RETIRED),
		card_key_of(w->members[victim].handle, w->members[victim].keys.number, CARD_KEY_CURRENT)};
	struct buffer text = {0};

	if (m->keys.number != 1 || m->renewing || !may_lie(w, member))
		return false;
	keys[1].number = 2;
	card_write(&text, &w->anchor, m->handle, m->card + 1, NULL, keys, 2, NULL, 0);
	sign_by(&text, &actor);
	if (network_random(w, 2) == 0)
		sign_by_node(&text, m->handle, 2);
	network_give_note(w, network_random(w, (uint32_t)w->n), &text);
	w->n_lies++;
	return true;
}
