#include "base/log.h"
#include "commit_world.h"
#include "core/node.h"
#include "enlight/link/v1/link.pb-c.h"

typedef Enlight__Link__V1__Frame Frame;

/* One node (ugent.be) and whoever dials it in the name of ut.ee. */
struct meeting_world {
	struct world w;
	struct node *node;
	uint64_t now_ms;
	uint32_t connection;
	unsigned alarms;
	struct bytes claim; /* of the node's last Hello; owned */
	uint8_t signature[SIGNATURE_LEN];
	uint8_t session[SESSION_ID_LEN]; /* the last one's */
	uint64_t n_said;                 /* frames in it */
	struct job **jobs;               /* that wait for a commit; owned */
	size_t n_jobs;
};

static void take_hello(struct meeting_world *m, struct bytes packed)
{
	Frame *f = enlight__link__v1__frame__unpack(NULL, packed.len, packed.data);

	ck_assert_ptr_nonnull(f);
	if (f->hello != NULL && f->hello->has_claim) {
		struct bytes claim = bytes_of(f->hello->claim.data, f->hello->claim.len);

		free((void *)m->claim.data);
		m->claim = bytes_of(bytes_dup(claim), claim.len);
		memcpy(m->signature, f->hello->signature.data, SIGNATURE_LEN);
	}
	enlight__link__v1__frame__free_unpacked(f, NULL);
}

static void keep_job(struct meeting_world *m, struct node_action *a)
{
	m->jobs = realloc(m->jobs, (m->n_jobs + 1) * sizeof(struct job *));
	ck_assert_ptr_nonnull(m->jobs);
	m->jobs[m->n_jobs++] = a->job;
	a->job = NULL;
}

static void feed(struct meeting_world *m, struct node_input in)
{
	struct node_update up = {0};

	in.now_ms = in.time_ms = ++m->now_ms;
	in.entropy[0] = (uint8_t)m->now_ms;
	ck_assert_int_eq(node_step(m->node, &in, &up), 0);
	for (size_t i = 0; i < up.n_actions; i++) {
		if (up.actions[i].kind == NODE_SEND)
			take_hello(m, up.actions[i].frame);
		if (up.actions[i].kind == NODE_COMMIT)
			keep_job(m, &up.actions[i]);
		m->alarms += up.actions[i].kind == NODE_LOG && up.actions[i].level == LOG_LEVEL_ERROR;
	}
	node_update_clear(&up);
}

static void say(struct meeting_world *m, const struct node_keys *keys, struct bytes claim, const uint8_t *signature)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Hello hello = ENLIGHT__LINK__V1__HELLO__INIT;
	uint8_t packed[2048];
	size_t len;

	hello.has_claim = claim.data != NULL;
	hello.claim = (ProtobufCBinaryData){claim.len, (uint8_t *)claim.data};
	hello.has_signature = signature != NULL;
	hello.signature = (ProtobufCBinaryData){SIGNATURE_LEN, (uint8_t *)signature};
	frame.hello = &hello;
	ck_assert_uint_le(enlight__link__v1__frame__get_packed_size(&frame), sizeof packed);
	len = enlight__link__v1__frame__pack(&frame, packed);
	feed(m, (struct node_input){.kind = NODE_FRAME,
			.connection = m->connection,
			.key = keys->link_public,
			.frame = bytes_of(packed, len)});
}

/* A node of ut.ee with this boot id and key dials, and a session begins. */
static void meet(struct meeting_world *m, uint8_t boot, uint32_t key)
{
	struct node_keys keys = node_keys_of(PUBLISHER, key);
	uint8_t id[BOOT_ID_LEN] = {boot}, seed[32] = {boot}, signature[SIGNATURE_LEN];
	struct hello_self self = {m->w.trust, PUBLISHER, &keys, id, m->now_ms};
	struct entropy entropy;
	struct bytes claim;
	struct hello h;

	m->connection++;
	entropy_init(&entropy, seed);
	ck_assert_int_eq(hello_dial(&h, &self, READER, m->w.reader_keys.link_public, &entropy, &claim), 0);
	say(m, &keys, claim, NULL);
	ck_assert_int_eq(hello_finish(&h, &self, m->claim, bytes_of(m->signature, SIGNATURE_LEN), signature), 0);
	say(m, &keys, (struct bytes){0}, signature);
	memcpy(m->session, h.session, SESSION_ID_LEN);
	m->n_said = 0;
	free((void *)claim.data);
}

static void open_world(struct meeting_world *m)
{
	static const uint8_t boot[BOOT_ID_LEN];
	struct node_options options = {.member = READER, .boot = boot};

	*m = (struct meeting_world){.now_ms = 1000, .connection = 0x80000000u}; /* as link.h numbers who dials in */
	world_init(&m->w);
	options.keys = &m->w.reader_keys;
	options.trust = m->w.trust;
	ck_assert_int_eq(node_new(&m->node, &options), 0);
	feed(m, (struct node_input){.kind = NODE_TICK});
}

static void close_world(struct meeting_world *m)
{
	free((void *)m->claim.data);
	for (size_t i = 0; i < m->n_jobs; i++)
		job_free(m->jobs[i]);
	free(m->jobs);
	node_free(m->node);
	world_deinit(&m->w);
}

static void expect_peer(struct meeting_world *m, const char *error, uint64_t same_keys)
{
	json_t *all = node_peers(m->node, m->now_ms), *peer;
	struct node_counters c;
	size_t i;

	json_array_foreach(json_object_get(all, "peers"), i, peer)
	{
		if (strcmp(json_string_value(json_object_get(peer, "member")), PUBLISHER) != 0)
			continue;
		ck_assert_str_eq(json_string_value(json_object_get(peer, "state")), "live");
		ck_assert_str_eq(json_string_value(json_object_get(peer, "last_error")), error);
	}
	json_decref(all);
	node_counters(m->node, &c);
	ck_assert_uint_eq(c.same_keys, same_keys);
}

/* A member that starts anew, however often, is no alarm. */
START_TEST(test_new_starts)
{
	struct meeting_world m;

	open_world(&m);
	for (uint8_t boot = 1; boot < 10; boot++) {
		meet(&m, boot, 1);
		meet(&m, boot, 1);
	}
	ck_assert_uint_eq(m.alarms, 0);
	expect_peer(&m, "", 0);
	close_world(&m);
}
END_TEST

/* A boot id that comes again after another shows two nodes with the same keys: an alarm, until a new key is used. */
START_TEST(test_two_nodes_with_one_key)
{
	struct actor member = actor_of(PUBLISHER, 0);
	struct problems problems = {0};
	struct meeting_world m;
	struct buffer text;

	open_world(&m);
	meet(&m, 1, 1);
	meet(&m, 2, 1);
	ck_assert_uint_eq(m.alarms, 0);
	meet(&m, 1, 1);
	ck_assert_uint_eq(m.alarms, 1);
	expect_peer(&m, "two nodes run with the same keys", 1);
	meet(&m, 2, 1);
	ck_assert_uint_eq(m.alarms, 1); /* said once, counted each time */
	expect_peer(&m, "two nodes run with the same keys", 2);

	text = card_text(trust_network(m.w.trust), &member, 2, 2);
	feed(&m, (struct node_input){
			 .kind = NODE_NOTE, .frame = view(&text), .reason = "operator", .problems = &problems});
	m.w.trust = world_learn(m.w.trust, &text);
	meet(&m, 1, 2);
	expect_peer(&m, "", 2);
	close_world(&m);
}
END_TEST

/* A head of a channel to the other one, that its publisher signs, at this sequence. */
static void make_head(struct sealed_batch *out, const struct meeting_world *m, const char *publisher,
	const struct node_keys *keys, uint64_t sequence)
{
	char reader[] = READER, other[] = PUBLISHER;
	struct header h = {.audience = strcmp(publisher, READER) == 0 ? other : reader,
		.network = *trust_network(m->w.trust),
		.incarnation = 1,
		.first = sequence,
		.previous = {{1}},
		.key = 1};
	struct batch_builder b = {0};
	struct digest leaf = {{2}};
	struct entropy entropy;
	uint8_t seed[32] = {3}, key[BATCH_KEY_LEN];

	strcpy(h.publisher, publisher);
	entropy_init(&entropy, seed);
	ck_assert_int_eq(batch_add_leaf(&b, &leaf), 0);
	ck_assert_int_eq(batch_seal(out, key, &h, &b, keys, &entropy), 0);
	batch_builder_deinit(&b);
}

static void show_head(struct meeting_world *m, const struct sealed_batch *head)
{
	Frame frame = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Heads heads = ENLIGHT__LINK__V1__HEADS__INIT;
	Enlight__Link__V1__Head one = ENLIGHT__LINK__V1__HEAD__INIT, *list = &one;
	uint8_t packed[4096];
	size_t len;

	one.header = (ProtobufCBinaryData){head->header.len, (uint8_t *)head->header.data};
	one.signature = (ProtobufCBinaryData){SIGNATURE_LEN, (uint8_t *)head->signature};
	heads.n_head = 1;
	heads.head = &list;
	frame.heads = &heads;
	frame.has_session = frame.has_number = true;
	frame.session = (ProtobufCBinaryData){SESSION_ID_LEN, m->session};
	frame.number = ++m->n_said;
	ck_assert_uint_le(enlight__link__v1__frame__get_packed_size(&frame), sizeof packed);
	len = enlight__link__v1__frame__pack(&frame, packed);
	feed(m, (struct node_input){.kind = NODE_FRAME,
			.connection = m->connection,
			.key = m->w.publisher_keys.link_public,
			.frame = bytes_of(packed, len)});
}

static void finish_jobs(struct meeting_world *m)
{
	struct job **jobs = m->jobs;
	size_t n = m->n_jobs;

	m->jobs = NULL;
	m->n_jobs = 0;
	commit_failed(jobs, n, -ENOMEM);
	feed(m, (struct node_input){.kind = NODE_COMMITTED, .jobs = jobs, .n_jobs = n});
	for (size_t i = 0; i < n; i++)
		job_free(jobs[i]);
	free(jobs);
}

/* Heads that do not fit what is held are judged, but however many a publisher shows, those that wait to be judged are bounded; later ones
 * are judged when there is room again. */
START_TEST(test_heads_without_end)
{
	char audience[] = READER;
	struct channel_row row = {.id = 1, .audience = audience, .incarnation = 1, .first = 1, .last = 9};
	struct sealed_batch head = {0};
	struct meeting_world m;
	size_t most;

	open_world(&m);
	make_head(&head, &m, PUBLISHER, &m.w.publisher_keys, 2);
	strcpy(row.publisher, PUBLISHER);
	ck_assert_int_eq(node_load_channel(m.node, &row, head.header, head.signature), 0);
	meet(&m, 1, 1);
	most = HEADS_MAX / head.header.len;
	for (size_t i = 0; i < most + 10; i++)
		show_head(&m, &head);
	ck_assert_uint_eq(m.n_jobs, most);
	finish_jobs(&m);
	show_head(&m, &head);
	ck_assert_uint_eq(m.n_jobs, 1);
	sealed_batch_deinit(&head);
	close_world(&m);
}
END_TEST

/* A reader that shows more of our channel than we hold is asked for it, and nothing is published meanwhile; but who gives nothing does not
 * stop the node for longer than a minute. */
START_TEST(test_nothing_given_back)
{
	struct sealed_batch head = {0};
	struct meeting_world m;

	open_world(&m);
	make_head(&head, &m, READER, &m.w.reader_keys, 2);
	meet(&m, 1, 1);
	ck_assert(!node_recovers(m.node));
	for (int i = 0; i < 3; i++) {
		show_head(&m, &head);
		ck_assert(node_recovers(m.node));
		m.now_ms += 20000;
	}
	show_head(&m, &head);
	ck_assert(!node_recovers(m.node));
	sealed_batch_deinit(&head);
	close_world(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("meet");
	TCase *tc = tcase_create("meet");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_new_starts);
	tcase_add_test(tc, test_two_nodes_with_one_key);
	tcase_add_test(tc, test_heads_without_end);
	tcase_add_test(tc, test_nothing_given_back);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
