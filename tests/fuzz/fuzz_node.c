/* Protocol state: a live core node (ugent.be) over a ledger in memory. The input is a program: two members and a stranger say legal
 * messages in any order, over connections that come and go, between commits, reads and acts of an operator. Keys, signatures and
 * seals are real, so what the input chooses is who says what when.
 *
 * Whatever comes, nothing is taken from nobody: a batch or receipt reaches a commit only from a member that finished its Hellos, the
 * ledger only ever holds what its publisher really made for us, and what is under way stays within the credit given. */
#include "core/handle.h"
#include "core/node.h"
#include "core/wire.h"
#include "enlight/link/v1/link.pb-c.h"
#include "memory_ledger.h"
#include "world.h"

typedef Enlight__Link__V1__Frame Frame;

enum {
	STEPS_MAX = 300,
	ACTORS = 3, /* rug.nl, ut.ee, and uu.se, who is nobody */
	NOBODY = 2,
	MADE_MAX = 8,
	MANY = 380,
	BIG = 0x3f,          /* what the input says for a big batch of ut.ee */
	BIG_AT = 5,          /* of its past */
	PADDING = 12032 + 1, /* of a receipt */
	WIRES = 8,
	JOBS_MAX = 2048,
	QUERIES_MAX = 512,
};
static const size_t actor_member[ACTORS] = {FUZZ_RUG, FUZZ_UT, FUZZ_NOBODY};

/* What an actor has published, made once: its history, and behind it another one that begins alike and contradicts it. */
struct past {
	struct commit_changes *changes[MADE_MAX];
	size_t n;
};

/* What never changes: made with the first input. */
struct scene {
	struct trust *trust;
	struct digest network;
	struct node_keys own, keys[ACTORS];
	struct store_keys store_keys;
	struct past past[ACTORS];
	struct buffer card[ACTORS]; /* the next one, and a next roster */
	struct buffer roster;
};

/* One connection between an actor and the node. */
struct wire {
	uint32_t connection; /* 0: none */
	size_t actor;
	bool dialled; /* by the node */
	struct hello hello;
	struct bytes claim; /* of the actor, to be said next; owned */
	uint8_t signature[SIGNATURE_LEN];
	bool is_signed; /* the signature is to be said next */
	bool session;
	uint8_t id[SESSION_ID_LEN], key[32];
	uint64_t n_sent;
};

struct play {
	const struct scene *scene;
	struct node *node;
	struct memory_ledger *ledger;
	struct committer *committer;
	struct querier *querier;
	uint64_t now_ms, n_drawn;
	struct wire wires[WIRES];
	uint32_t n_incoming;
	unsigned sessions[ACTORS]; /* that were ever begun */
	struct job *jobs[JOBS_MAX];
	size_t n_jobs;
	struct query *queries[QUERIES_MAX];
	size_t n_queries;
	struct digest own_head; /* of our last batch */
	uint64_t own_last;
	char own_audience[128];
	unsigned n_published;
};

static const char *handle_of(size_t actor)
{
	return fuzz_members[actor_member[actor]];
}

static size_t actor_of_handle(const char *handle)
{
	for (size_t i = 0; i < ACTORS; i++)
		if (strcmp(handle_of(i), handle) == 0)
			return i;
	fuzz_broken("an actor's handle", __FILE__, __LINE__);
}

/* ---- the scene ---- */

static struct draft draft_of(const char *member, const char *audience, unsigned number)
{
	const struct topic *topic = topic_find("course.offering");
	json_t *data = json_loads(topic->example, 0, NULL), *event;
	struct problems problems = {0};
	char course[32], subject[64], id[32];
	struct draft d;

	snprintf(course, sizeof course, "C%u", number % 4);
	snprintf(subject, sizeof subject, "course/%s", course);
	snprintf(id, sizeof id, "id-%u", number);
	json_object_set_new(data, "courseId", json_string(course));
	json_object_set_new(data, "code", json_string(id));
	event = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "specversion", "1.0", "id", id, "type", topic->type,
		"subject", subject, "time", "2026-11-23T09:30:00Z", "enlightaudience", audience, "data", data);
	must(draft_from_json(&d, event, member, &problems) == 0);
	must(draft_complete(&d, id, "2026-11-23T09:30:00Z", "2026-11-23") == 0);
	json_decref(event);
	return d;
}

static struct job *publish_job(struct trust *trust, const char *member, const char *audience, unsigned number, size_t n)
{
	struct job *job = job_new(JOB_PUBLISH, trust);

	must(job != NULL);
	job->publish.drafts = calloc(n, sizeof *job->publish.drafts);
	must(job->publish.drafts != NULL);
	for (size_t i = 0; i < n; i++)
		job->publish.drafts[i] = draft_of(member, audience, number + (unsigned)i);
	job->publish.n_drafts = n;
	return job;
}

/* Publishes to these audiences one after the other, with numbers from `number`; with a plus in front so much that a few such batches
 * are all that the credit allows. */
static void make_past(struct scene *s, size_t actor, const char *const *audiences, unsigned number)
{
	struct memory_ledger *ledger = memory_ledger_new();
	struct committer *committer = committer_new(handle_of(actor), &s->keys[actor], &s->store_keys);
	struct past *p = &s->past[actor];

	must(ledger != NULL && committer != NULL);
	for (; *audiences != NULL; audiences++, number++) {
		bool many = **audiences == '+';
		struct job *job = publish_job(s->trust, handle_of(actor), *audiences + many, number, many ? MANY : 1);
		const uint8_t seed[32] = {(uint8_t)actor, (uint8_t)number};

		memory_ledger_begin(ledger);
		must(commit_run(committer, &memory_ledger_ops, ledger, &job, 1, 1700000, seed, &p->changes[p->n]) == 0);
		memory_ledger_commit(ledger);
		must(job->publish.outcome == PUBLISH_OK && p->changes[p->n]->n_batches == 1);
		p->n++;
		job_free(job);
	}
	committer_free(committer);
	memory_ledger_free(ledger);
}

static struct buffer next_roster(void)
{
	struct buffer before = fuzz_roster(), text;
	struct actor actors[FUZZ_MEMBERS];

	for (size_t i = 0; i < FUZZ_MEMBERS; i++)
		actors[i] = actor_of(fuzz_members[i], 0);
	text = roster_text(&before, 2, 2, actors + 1, 2); /* rug.nl is no longer there */
	for (size_t i = 0; i < FUZZ_MEMBERS; i++)
		sign_by(&text, &actors[i]);
	buffer_deinit(&before);
	return text;
}

static const struct scene *scene(void)
{
	static const char *const history[] = {"network", "ugent.be", "network", "ugent.be", "ut.ee", "+ugent.be", NULL};
	static const char *const rug_history[] = {"network", "ugent.be", "network", "ugent.be,ut.ee", NULL};
	static const char *const other_history[] = {"network", "network", NULL};
	static struct scene *made;
	const uint8_t secret[32] = {9};
	struct scene *s = made;

	if (s != NULL)
		return s;
	made = s = calloc(1, sizeof *s);
	must(s != NULL);
	s->trust = fuzz_trust();
	s->network = *trust_network(s->trust);
	s->own = node_keys_of(OWN, 1);
	store_keys_derive(&s->store_keys, secret);
	for (size_t i = 0; i < ACTORS; i++)
		s->keys[i] = node_keys_of(handle_of(i), 1);
	make_past(s, 0, rug_history, 0);
	make_past(s, 0, other_history, 100);
	make_past(s, 1, history, 0);
	make_past(s, 1, other_history, 100);
	for (size_t i = 0; i < NOBODY; i++) {
		struct actor a = actor_of(handle_of(i), 0);

		s->card[i] = card_text(&s->network, &a, 2, 2);
	}
	s->roster = next_roster();
	return s;
}

/* ---- steps ---- */

static void fresh(struct play *p, uint8_t seed[32])
{
	memset(seed, 0, 32);
	memcpy(seed, &(uint64_t){++p->n_drawn}, sizeof(uint64_t));
}

static struct hello_self self_of(const struct play *p, size_t actor)
{
	static const uint8_t boot[BOOT_ID_LEN] = {5};

	return (struct hello_self){p->scene->trust, handle_of(actor), &p->scene->keys[actor], boot, p->now_ms};
}

static struct wire *wire_of(struct play *p, uint32_t connection)
{
	for (size_t i = 0; i < WIRES; i++)
		if (p->wires[i].connection == connection && connection != 0)
			return &p->wires[i];
	return NULL;
}

static void wire_clear(struct wire *w)
{
	hello_wipe(&w->hello);
	free((void *)w->claim.data);
	*w = (struct wire){0};
}

static void begin_session(struct play *p, struct wire *w)
{
	must(w->actor != NOBODY);
	p->sessions[w->actor]++;
	w->session = true;
	w->n_sent = 0;
	memcpy(w->id, w->hello.session, sizeof w->id);
	memcpy(w->key, w->hello.session_key, sizeof w->key);
}

/* What the node says in a Hello: the actor finds out what it would say next. */
static void take_hello(struct play *p, struct wire *w, const Enlight__Link__V1__Hello *h)
{
	struct hello_self self = self_of(p, w->actor);
	struct bytes claim = bytes_of(h->claim.data, h->claim.len), answer;
	struct bytes signed_by_node = bytes_of(h->signature.data, h->signature.len);
	uint8_t seed[32];
	struct entropy entropy;

	fresh(p, seed);
	entropy_init(&entropy, seed);
	if (w->dialled && h->has_claim) {
		if (hello_answer(&w->hello, &self, p->scene->own.link_public, claim, &entropy, &answer, w->signature) !=
			0)
			return;
		free((void *)w->claim.data);
		w->claim = answer;
		w->is_signed = true;
	} else if (w->dialled && h->has_signature) {
		if (hello_accept(&w->hello, &self, signed_by_node) == 0)
			begin_session(p, w);
	} else if (h->has_claim && h->has_signature) {
		if (hello_finish(&w->hello, &self, claim, signed_by_node, w->signature) == 0)
			w->is_signed = true;
	}
}

static void take_sent(struct play *p, const struct node_action *a)
{
	struct wire *w = wire_of(p, a->connection);
	Frame *f = wire_unpack(&enlight__link__v1__frame__descriptor, a->frame, 8 << 20);

	must(f != NULL && a->frame.len <= FRAME_MAX);
	must(f->hello != NULL || f->refuse != NULL || f->has_session);
	if (w != NULL && f->hello != NULL)
		take_hello(p, w, f->hello);
	wire_free(f);
}

static void take_job(struct play *p, struct job *job)
{
	const char *peer = job->kind == JOB_ACCEPT    ? job->accept.peer
			   : job->kind == JOB_RECEIPT ? job->receipt.peer
						      : NULL;

	must(job->kind != JOB_PUBLISH && job->kind != JOB_DELIVERY);
	if (peer != NULL)
		must(p->sessions[actor_of_handle(peer)] > 0);
	must(p->n_jobs < JOBS_MAX);
	p->jobs[p->n_jobs++] = job;
}

static void dial(struct play *p, const struct node_action *a)
{
	for (size_t i = 0; i < ACTORS; i++)
		for (size_t k = 0; k < WIRES && memcmp(p->scene->keys[i].link_public, a->key, sizeof a->key) == 0; k++)
			if (p->wires[k].connection == 0) {
				must(i != NOBODY);
				p->wires[k] = (struct wire){.connection = a->connection, .actor = i, .dialled = true};
				return;
			}
}

static void act(struct play *p, struct node_action *a)
{
	struct wire *w = wire_of(p, a->connection);

	switch (a->kind) {
	case NODE_SEND:
		take_sent(p, a);
		break;
	case NODE_HANG_UP:
		if (w != NULL)
			wire_clear(w);
		break;
	case NODE_DIAL:
		dial(p, a);
		break;
	case NODE_COMMIT:
		take_job(p, a->job);
		a->job = NULL;
		break;
	case NODE_QUERY:
		must(p->n_queries < QUERIES_MAX);
		p->queries[p->n_queries++] = a->query;
		a->query = NULL;
		break;
	case NODE_ALLOW:
	case NODE_REBIND:
	case NODE_KEPT:
	case NODE_LOG:
		break;
	}
}

static void feed(struct play *p, struct node_input in)
{
	struct node_update up = {0};

	in.now_ms = p->now_ms;
	in.time_ms = 1700000000000 + p->now_ms;
	fresh(p, in.entropy);
	must(node_step(p->node, &in, &up) == 0);
	must(up.wake_ms > p->now_ms);
	for (size_t i = 0; i < up.n_actions; i++)
		act(p, &up.actions[i]);
	node_update_clear(&up);
}

/* ---- what must hold ---- */

/* The last sequence that a publisher made for an audience. */
static uint64_t made_last(const struct past *p, const char *audience)
{
	uint64_t last = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct own_batch *b = &p->changes[i]->batches[0];

		if (strcmp(b->audience, audience) == 0 && b->last > last)
			last = b->last;
	}
	return last;
}

static int check_channel(void *context, const struct channel_row *row)
{
	struct play *p = context;

	if (strcmp(row->publisher, OWN) == 0)
		return 0;
	must(p->sessions[actor_of_handle(row->publisher)] > 0);
	must(audience_has(row->audience, OWN));
	must(row->last <= made_last(&p->scene->past[actor_of_handle(row->publisher)], row->audience));
	return 0;
}

static void check(struct play *p)
{
	size_t under_way[ACTORS] = {0}, receipts[ACTORS] = {0}, shown[ACTORS] = {0};
	struct node_counters c;

	for (size_t i = 0; i < p->n_jobs; i++) {
		const struct job *j = p->jobs[i];

		if (j->kind == JOB_ACCEPT && j->accept.witness[0] != '\0')
			shown[actor_of_handle(j->accept.witness)]++;
		else if (j->kind == JOB_ACCEPT)
			under_way[actor_of_handle(j->accept.peer)] += j->accept.frame_len;
		else if (j->kind == JOB_RECEIPT)
			receipts[actor_of_handle(j->receipt.peer)] += j->receipt.packed.len;
	}
	for (size_t i = 0; i < ACTORS; i++)
		must(under_way[i] <= CREDIT_WINDOW + FRAME_MAX && receipts[i] <= RECEIPTS_MAX && shown[i] <= 64);
	must(p->n_queries <= 2); /* one for each member */
	node_counters(p->node, &c);
	must(c.live <= 2 && c.members == FUZZ_MEMBERS - (trust_roster(node_trust(p->node))->number == 2));
	memory_archive_ops.channels(p->ledger, check_channel, p);
}

/* ---- what goes on inside the node ---- */

static void commit(struct play *p, bool fails)
{
	struct commit_changes *changes = NULL;
	struct job *jobs[JOBS_MAX];
	size_t n = p->n_jobs;
	uint8_t seed[32];
	int r;

	if (n == 0)
		return;
	memcpy(jobs, p->jobs, n * sizeof(struct job *));
	p->n_jobs = 0;
	fresh(p, seed);
	for (size_t i = p->now_ms % 2; i < n; i += 2) /* as the helper does in a node, of some jobs */
		job_prepare(jobs[i], p->committer);
	memory_ledger_begin(p->ledger);
	if (fails)
		memory_ledger_fail(p->ledger, 0, LEDGER_FULL);
	r = commit_run(p->committer, &memory_ledger_ops, p->ledger, jobs, n, 1700000000000 + p->now_ms, seed, &changes);
	memory_ledger_fail(p->ledger, UINT64_MAX, 0);
	if (r == 0) {
		memory_ledger_commit(p->ledger);
	} else {
		memory_ledger_rollback(p->ledger);
		commit_failed(jobs, n, r);
	}
	for (size_t i = 0; changes != NULL && i < changes->n_batches; i++) {
		p->own_head = changes->batches[i].digest;
		p->own_last = changes->batches[i].last;
		snprintf(p->own_audience, sizeof p->own_audience, "%s", changes->batches[i].audience);
	}
	feed(p, (struct node_input){.kind = NODE_COMMITTED, .jobs = jobs, .n_jobs = n, .changes = changes});
	for (size_t i = 0; i < n; i++)
		job_free(jobs[i]);
	commit_changes_free(changes);
}

static void answer_query(struct play *p)
{
	struct query *q;
	uint8_t seed[32];

	if (p->n_queries == 0)
		return;
	q = p->queries[0];
	memmove(p->queries, p->queries + 1, --p->n_queries * sizeof *p->queries);
	fresh(p, seed);
	query_run(p->querier, &memory_archive_ops, p->ledger, q, seed);
	feed(p, (struct node_input){.kind = NODE_FETCHED, .query = q});
	query_free(q);
}

static void publish(struct play *p, uint8_t how)
{
	static const char *const audiences[] = {"network", "ut.ee", "rug.nl,ut.ee", "ugent.be"};

	must(p->n_jobs < JOBS_MAX);
	p->jobs[p->n_jobs++] = publish_job(p->scene->trust, OWN, audiences[how % 4], 1000 + p->n_published++, 1);
}

static void operate(struct play *p, uint8_t how)
{
	struct problems problems = {0};
	const struct buffer *text = how & 2 ? &p->scene->roster : &p->scene->card[how >> 2 & 1];

	if (how & 1)
		feed(p, (struct node_input){.kind = NODE_BLOCK,
				.member = handle_of(how >> 1 & 1),
				.block = how & 4,
				.reason = "a reason"});
	else
		feed(p, (struct node_input){
				.kind = NODE_NOTE, .frame = view(text), .reason = "operator", .problems = &problems});
	problems_deinit(&problems);
}

/* ---- what actors say ---- */

static void say(struct play *p, const struct wire *w, Frame *f)
{
	size_t len;
	uint8_t *packed = wire_pack(f, &len);

	must(packed != NULL);
	feed(p, (struct node_input){.kind = NODE_FRAME,
			.connection = w->connection,
			.key = p->scene->keys[w->actor].link_public,
			.frame = bytes_of(packed, len)});
	free(packed);
}

/* In the session, with the next number; now and then with another session's id or another number. */
static void say_in_session(struct play *p, struct wire *w, uint8_t how, Frame *f)
{
	const struct wire *other = &p->wires[how % WIRES];

	f->has_session = f->has_number = true;
	f->session = (ProtobufCBinaryData){SESSION_ID_LEN, how == 0xfe ? (uint8_t *)other->id : w->id};
	f->number = ++w->n_sent + (how == 0xff);
	say(p, w, f);
}

static ProtobufCBinaryData binary(const void *data, size_t len)
{
	return (ProtobufCBinaryData){len, (uint8_t *)data};
}

/* Somebody dials in and claims to be who it is, or who it is not. */
static void dial_in(struct play *p, uint8_t how)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	struct hello_self self = self_of(p, how % ACTORS);
	struct entropy entropy;
	struct bytes claim;
	uint8_t seed[32];
	size_t i = 0;

	while (i < WIRES && p->wires[i].connection != 0)
		i++;
	if (i == WIRES)
		return;
	p->wires[i] = (struct wire){.connection = (1u << 31) + ++p->n_incoming, .actor = how % ACTORS};
	if (how & 64)
		self.member = handle_of((how + 1) % ACTORS);
	fresh(p, seed);
	entropy_init(&entropy, seed);
	must(hello_dial(&p->wires[i].hello, &self, OWN, p->scene->own.link_public, &entropy, &claim) == 0);
	hello.has_claim = true;
	hello.claim = binary(claim.data, claim.len);
	f.hello = &hello;
	say(p, &p->wires[i], &f);
	free((void *)claim.data);
}

/* The Hello that is due from the actor; or one that is not. */
static void say_hello(struct play *p, struct wire *w, uint8_t how)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	uint8_t wrong[SIGNATURE_LEN] = {1};
	bool whole = w->is_signed && how < 0xc0;

	hello.has_claim = w->claim.data != NULL;
	hello.claim = binary(w->claim.data, w->claim.len);
	hello.has_signature = how != 0xc1;
	hello.signature = binary(whole ? w->signature : wrong, SIGNATURE_LEN);
	f.hello = &hello;
	if (whole && !w->dialled) {
		begin_session(p, w); /* the node may find that another one stays */
		w->is_signed = false;
	}
	say(p, w, &f);
}

static const struct own_batch *batch_of(const struct play *p, size_t actor, uint8_t which)
{
	const struct past *past = &p->scene->past[actor == NOBODY ? 1 : actor];
	size_t i = which == BIG ? BIG_AT : which % past->n;

	if (i == BIG_AT && which != BIG && past->n > BIG_AT)
		i--; /* it takes long, so it must be meant */
	return &past->changes[i % past->n]->batches[0];
}

static void say_heads(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Heads heads = ENLIGHT__LINK__V1__HEADS__INIT;
	Enlight__Link__V1__Head head[4], *list[4];
	size_t n = choose(c) % 5;

	for (size_t i = 0; i < n; i++) {
		uint8_t which = choose(c);
		const struct own_batch *b = batch_of(p, which & 0x80 ? (w->actor + 1) % 2 : w->actor, which & 0x7f);

		enlight__link__v1__head__init(&head[i]);
		head[i].header = binary(b->batch.header.data, b->batch.header.len);
		head[i].signature = binary(b->batch.signature, SIGNATURE_LEN);
		list[i] = &head[i];
	}
	heads.n_head = n;
	heads.head = list;
	f.heads = &heads;
	say_in_session(p, w, how, &f);
}

static void say_deliver(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Deliver deliver = ENLIGHT__LINK__V1__DELIVER__INIT;
	uint8_t which = choose(c), wrapped[WRAPPED_KEY_LEN], seed[32];
	const struct own_batch *b = batch_of(p, which & 0x80 ? (w->actor + 1) % 2 : w->actor, which & 0x3f);
	struct entropy entropy;

	fresh(p, seed);
	entropy_init(&entropy, seed);
	key_wrap(wrapped, w->key, &b->digest, b->key, &entropy);
	deliver.header = binary(b->batch.header.data, b->batch.header.len);
	deliver.signature = binary(b->batch.signature, SIGNATURE_LEN);
	deliver.has_key = true;
	deliver.key = binary(wrapped, sizeof wrapped);
	deliver.has_body = (which & 0x40) == 0;
	deliver.body = binary(b->batch.body.data, b->batch.body.len);
	f.deliver = &deliver;
	say_in_session(p, w, how, &f);
}

static void say_fetch(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	static char own[] = OWN, network[] = "network", rug[] = "rug.nl", ut[] = "ut.ee";
	static char *const audiences[][2] = {{network}, {ut}, {rug, ut}, {rug}};
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Fetch fetch = ENLIGHT__LINK__V1__FETCH__INIT;
	Enlight__Link__V1__Channel channel = ENLIGHT__LINK__V1__CHANNEL__INIT;
	uint8_t what = choose(c);

	channel.publisher = what & 0x80 ? ut : own;
	channel.audience = (char **)audiences[what & 3];
	channel.n_audience = (what & 3) == 2 ? 2 : 1;
	fetch.channel = what & 4 ? &channel : NULL;
	fetch.has_credit = what & 8;
	fetch.credit = what & 16 ? UINT64_MAX : (uint64_t)choose(c) << 12;
	fetch.has_incarnation = fetch.has_sequence = fetch.has_digest = what & 32;
	fetch.incarnation = 1;
	fetch.sequence = what & 32 ? p->own_last - (choose(c) & 1) : 0;
	fetch.digest = binary(p->own_head.bytes, DIGEST_LEN);
	fetch.has_headers_only = fetch.headers_only = what & 64;
	f.fetch = &fetch;
	say_in_session(p, w, how, &f);
}

static void say_receipt(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__SignedReceipt m = ENLIGHT__LINK__V1__SIGNED_RECEIPT__INIT;
	uint8_t what = choose(c), signature[SIGNATURE_LEN];
	struct receipt r = {.network = p->scene->network,
		.publisher = OWN,
		.audience = p->own_audience[0] != '\0' ? p->own_audience : (char *)"network",
		.incarnation = 1,
		.from = 1,
		.to = p->own_last + (what & 1) + (p->own_last == 0),
		.head = p->own_head,
		.uncovered = what >> 6,
		.time_ms = 1700000000000 + p->now_ms,
		.key = 1};
	struct bytes packed;

	snprintf(r.reader, sizeof r.reader, "%s", handle_of(what & 2 ? (w->actor + 1) % ACTORS : w->actor));
	must(receipt_sign(&packed, signature, &r, &p->scene->keys[w->actor]) == 0);
	if (what & 0x20) { /* fields of a later version, which the signature does not cover */
		uint8_t *longer = calloc(1, packed.len + PADDING);

		must(longer != NULL);
		memcpy(longer, packed.data, packed.len);
		memcpy(longer + packed.len, (const uint8_t[]){0xfa, 0x07, 0xfd, 0x5d}, 4); /* field 127 */
		free((void *)packed.data);
		packed = bytes_of(longer, packed.len + PADDING);
	}
	m.receipt = binary(packed.data, packed.len);
	m.signature = binary(signature, sizeof signature);
	f.receipt = &m;
	say_in_session(p, w, how, &f);
	free((void *)packed.data);
}

static void say_refuse(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	static char own[] = OWN, network[] = "network", *audience[] = {network};
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Refuse refuse = ENLIGHT__LINK__V1__REFUSE__INIT;
	Enlight__Link__V1__Channel channel = ENLIGHT__LINK__V1__CHANNEL__INIT;
	uint8_t what = choose(c);

	channel.publisher = what & 0x20 ? own : (char *)handle_of(w->actor);
	channel.n_audience = 1;
	channel.audience = audience;
	refuse.code = what & 0x1f;
	refuse.reason = (char *)"a reason";
	refuse.channel = what & 0x40 ? &channel : NULL;
	f.refuse = &refuse;
	if (what & 0x80)
		say(p, w, &f);
	else
		say_in_session(p, w, how, &f);
}

static void say_note(struct play *p, struct wire *w, uint8_t how, struct choices *c)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Note note = ENLIGHT__LINK__V1__NOTE__INIT;
	Enlight__Link__V1__Known known = ENLIGHT__LINK__V1__KNOWN__INIT, *list[] = {&known};
	uint8_t what = choose(c);
	ProtobufCBinaryData roster = binary(p->scene->roster.data, p->scene->roster.len), cards[2];

	for (size_t i = 0; i < 2; i++)
		cards[i] = binary(p->scene->card[i].data, p->scene->card[i].len);
	note.n_roster = what & 1;
	note.roster = &roster;
	note.n_card = what >> 1 & 3;
	note.n_card -= note.n_card == 3;
	note.card = cards;
	known.member = (char *)handle_of(what >> 3 & 1);
	known.card = what >> 4 & 3;
	note.n_known = what >> 6 & 1;
	note.known = list;
	note.has_known_roster = what >> 7;
	note.known_roster = 1;
	f.note = &note;
	say_in_session(p, w, how, &f);
}

static void say_nothing(struct play *p, struct wire *w, uint8_t how)
{
	Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Beat beat = ENLIGHT__LINK__V1__BEAT__INIT;

	f.beat = &beat;
	say_in_session(p, w, how, &f);
}

/* Something happens to a connection. */
static void disturb(struct play *p, struct wire *w, uint8_t how)
{
	static const enum node_input_kind kinds[] = {NODE_BUSY, NODE_READY, NODE_STUCK, NODE_DOWN};
	uint32_t connection = w->connection;

	if (how % 4 == 3)
		wire_clear(w);
	feed(p, (struct node_input){.kind = kinds[how % 4], .connection = connection, .reason = "closed"});
}

static void step_of_wire(struct play *p, uint8_t what, struct choices *c)
{
	struct wire *w = &p->wires[what >> 4 & (WIRES - 1)];
	uint8_t how = choose(c);

	if (w->connection == 0)
		return;
	switch (what % 16) {
	case 6:
		say_hello(p, w, how);
		break;
	case 7:
		say_heads(p, w, how, c);
		break;
	case 8:
	case 9:
		say_deliver(p, w, how, c);
		break;
	case 10:
		say_fetch(p, w, how, c);
		break;
	case 11:
		say_receipt(p, w, how, c);
		break;
	case 12:
		say_refuse(p, w, how, c);
		break;
	case 13:
		say_note(p, w, how, c);
		break;
	case 14:
		if (how & 1)
			disturb(p, w, how >> 1);
		else if (w->dialled)
			feed(p, (struct node_input){.kind = NODE_UP,
					.connection = w->connection,
					.key = p->scene->keys[w->actor].link_public});
		break;
	default:
		say_nothing(p, w, how);
	}
}

static void step(struct play *p, struct choices *c)
{
	uint8_t what = choose(c);

	switch (what % 16) {
	case 0:
		p->now_ms += (uint64_t)(what >> 4) * (what >> 4) * 200;
		feed(p, (struct node_input){.kind = NODE_TICK});
		break;
	case 1:
		dial_in(p, choose(c));
		break;
	case 2:
		commit(p, what >> 4 == 15);
		break;
	case 3:
		answer_query(p);
		break;
	case 4:
		publish(p, what >> 4);
		break;
	case 5:
		operate(p, choose(c));
		break;
	default:
		step_of_wire(p, what, c);
	}
	check(p);
}

static void show(const struct play *p)
{
	json_t *shown[] = {node_peers(p->node, p->now_ms), node_channels(p->node), node_not_ready(p->node)};
	size_t n;

	for (size_t i = 0; i < 3; i++) {
		must(shown[i] != NULL);
		json_decref(shown[i]);
	}
	free(node_allowed(p->node, &n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t boot[BOOT_ID_LEN] = {1};
	struct play *p = calloc(1, sizeof *p);
	struct choices c = {data, size};
	struct node_options options = {.member = OWN, .boot = boot, .quota_bytes = choose(&c) & 1 ? 2000 : 0};

	must(p != NULL);
	p->scene = scene();
	p->now_ms = 1000;
	options.keys = &p->scene->own;
	options.trust = p->scene->trust;
	p->ledger = memory_ledger_new();
	p->committer = committer_new(OWN, &p->scene->own, &p->scene->store_keys);
	p->querier = querier_new(&p->scene->store_keys);
	must(p->ledger != NULL && p->committer != NULL && p->querier != NULL);
	must(node_new(&p->node, &options) == 0);
	feed(p, (struct node_input){.kind = NODE_TICK});
	for (size_t i = 0; i < STEPS_MAX && c.left > 0; i++)
		step(p, &c);
	show(p);
	for (size_t i = 0; i < p->n_jobs; i++)
		job_free(p->jobs[i]);
	for (size_t i = 0; i < p->n_queries; i++)
		query_free(p->queries[i]);
	for (size_t i = 0; i < WIRES; i++)
		wire_clear(&p->wires[i]);
	node_free(p->node);
	committer_free(p->committer);
	querier_free(p->querier);
	memory_ledger_free(p->ledger);
	free(p);
	return 0;
}
