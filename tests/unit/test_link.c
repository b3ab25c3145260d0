#include "link/link.h"
#include "link/proof.h"
#include "link/socket.h"
#include "link/zap.h"
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { SIDES_MAX = 8, SEEN_MAX = 64, ITEMS_MAX = 256, PATIENCE_MS = 20000 };

/* One end under test, and what its handler was told. */
struct side {
	struct link *link;
	struct socket_keys keys;
	size_t n_up, n_down, n_frames;
	uint32_t up, down, from; /* the last of each */
	char reason[40];
	uint8_t from_key[LINK_PUBLIC_LEN];
	char text[SEEN_MAX]; /* of the last frame, cut */
	size_t text_len;     /* of the last frame, whole */
};

/* All ends of one test; each is turned by step(). */
struct world {
	struct side *sides[SIDES_MAX];
	size_t n;
};

static uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void note(void *context, const struct link_event *e)
{
	struct side *s = context;

	switch (e->kind) {
	case LINK_UP:
		s->n_up++;
		s->up = e->connection;
		break;
	case LINK_DOWN:
		s->n_down++;
		s->down = e->connection;
		snprintf(s->reason, sizeof s->reason, "%s", e->reason);
		break;
	case LINK_FRAME:
		s->n_frames++;
		s->from = e->connection;
		memcpy(s->from_key, e->key, sizeof s->from_key);
		snprintf(s->text, sizeof s->text, "%.*s", (int)(e->frame.len < SEEN_MAX ? e->frame.len : SEEN_MAX),
			(const char *)e->frame.data);
		s->text_len = e->frame.len;
		break;
	}
}

static void keys_new(struct socket_keys *k)
{
	randombytes_buf(k->secret, sizeof k->secret);
	crypto_scalarmult_base(k->public_key, k->secret);
}

/* Opens an end with keys of its own (or those it has) and puts it into the world. */
static void side_open(struct world *w, struct side *s, const char *listen, uint64_t rss_limit_bytes)
{
	struct link_options options = {
		.listen = listen, .rss_limit_bytes = rss_limit_bytes, .handler = note, .context = s};
	char *why;

	if (sodium_is_zero(s->keys.secret, sizeof s->keys.secret))
		keys_new(&s->keys);
	options.secret = s->keys.secret;
	options.public_key = s->keys.public_key;
	ck_assert_int_eq(link_open(&s->link, &options, &why), 0);
	w->sides[w->n++] = s;
}

static void allow(struct side *s, const struct side *who)
{
	ck_assert_int_eq(link_allow(s->link, who->keys.public_key, 1), 0);
}

static void dial(struct side *from, uint32_t connection, const struct side *to)
{
	ck_assert_int_eq(link_dial(from->link, connection, link_endpoint(to->link), to->keys.public_key), 0);
}

static void step(struct world *w)
{
	zmq_pollitem_t items[ITEMS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		if (w->sides[i]->link != NULL)
			n += link_poll_items(w->sides[i]->link, items + n, ITEMS_MAX - n);
	ck_assert_uint_le(n, ITEMS_MAX);
	zmq_poll(items, (int)n, 100);
	for (size_t i = 0; i < w->n; i++)
		if (w->sides[i]->link != NULL)
			link_turn(w->sides[i]->link, clock_ms());
}

/* Turns the world until the condition holds. */
#define AWAIT(w, condition)                                                                                            \
	do {                                                                                                           \
		uint64_t end = clock_ms() + PATIENCE_MS;                                                               \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			ck_assert_msg(clock_ms() < end, "never: %s", #condition);                                      \
			step(w);                                                                                       \
		}                                                                                                      \
	} while (0)

static void close_all(struct world *w)
{
	for (size_t i = 0; i < w->n; i++)
		link_close(w->sides[i]->link);
}

static int say(struct side *s, uint32_t connection, const char *text)
{
	return link_send(s->link, connection, bytes_str(text));
}

static struct link_counters counted(const struct side *s)
{
	struct link_counters c;

	link_counters(s->link, &c);
	return c;
}

/* Two nodes exchange frames both ways; each knows the other's key; the number of who dialled in begins at LINK_INCOMING. */
START_TEST(test_frames_go_both_ways)
{
	struct world w = {0};
	struct side a = {0}, b = {0};

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	ck_assert_str_eq(link_endpoint(b.link), "");
	allow(&a, &b);
	dial(&b, 7, &a);
	ck_assert_int_eq(say(&b, 7, "too early"), LINK_GONE);
	AWAIT(&w, b.n_up == 1);
	ck_assert_uint_eq(b.up, 7);
	ck_assert_int_eq(say(&b, 7, "question"), 0);
	AWAIT(&w, a.n_frames == 1);
	ck_assert_str_eq(a.text, "question");
	ck_assert_mem_eq(a.from_key, b.keys.public_key, LINK_PUBLIC_LEN);
	ck_assert_uint_ge(a.from, LINK_INCOMING);
	ck_assert_int_eq(say(&a, a.from, "answer"), 0);
	AWAIT(&w, b.n_frames == 1);
	ck_assert_str_eq(b.text, "answer");
	ck_assert_uint_eq(b.from, 7);
	ck_assert_mem_eq(b.from_key, a.keys.public_key, LINK_PUBLIC_LEN);
	ck_assert_uint_eq(counted(&a).bytes_in, 8);
	ck_assert_uint_eq(counted(&a).frames_out, 1);
	ck_assert_int_eq(say(&a, a.from + 1, "nobody"), LINK_GONE);
	close_all(&w);
}
END_TEST

/* A frame of exactly FRAME_MAX bytes passes. */
START_TEST(test_largest_frame_passes)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	uint8_t *data = calloc(1, FRAME_MAX);

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	ck_assert_int_eq(link_send(b.link, 1, bytes_of(data, FRAME_MAX)), 0);
	AWAIT(&w, a.n_frames == 1);
	ck_assert_uint_eq(a.text_len, FRAME_MAX);
	ck_assert_int_eq(link_send(a.link, a.from, bytes_of(data, FRAME_MAX)), 0);
	AWAIT(&w, b.n_frames == 1);
	ck_assert_uint_eq(b.text_len, FRAME_MAX);
	free(data);
	close_all(&w);
}
END_TEST

/* A key that is not in the table is refused; the dialling end is told so once, and gets in when the table changes. */
START_TEST(test_unknown_key_is_refused)
{
	struct world w = {0};
	struct side a = {0}, b = {0};

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	dial(&b, 1, &a);
	AWAIT(&w, counted(&a).refused_keys >= 4); /* three retries: the proof at the start is one too */
	ck_assert_uint_eq(b.n_up, 0);
	ck_assert_uint_eq(b.n_down, 1);
	ck_assert_str_eq(b.reason, "refused");
	allow(&a, &b);
	AWAIT(&w, b.n_up == 1);
	close_all(&w);
}
END_TEST

/* Whoever expects another key behind an address gets no session. */
START_TEST(test_wrong_server_key_fails)
{
	struct world w = {0};
	struct side a = {0}, b = {0};

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	ck_assert_int_eq(link_dial(b.link, 1, link_endpoint(a.link), b.keys.public_key), 0);
	AWAIT(&w, b.n_down == 1);
	ck_assert_uint_eq(b.n_up, 0);
	ck_assert_uint_eq(counted(&a).refused_keys, 1);
	close_all(&w);
}
END_TEST

/* Without a ZAP handler libzmq lets a stranger in, and the proof says so; with one it is content. */
START_TEST(test_proof_needs_zap)
{
	void *context = socket_context();
	struct socket_keys keys;
	struct zap *zap;

	keys_new(&keys);
	ck_assert_int_eq(proof_stranger_is_refused(context, &keys), -EPERM);
	ck_assert_int_eq(zap_start(&zap, context), 0);
	ck_assert_int_eq(proof_stranger_is_refused(context, &keys), 0);
	zmq_ctx_shutdown(context);
	zap_stop(zap);
	zmq_ctx_term(context);
}
END_TEST

/* An address that is taken, or none at all, is an error with words for it. */
START_TEST(test_bad_addresses_are_errors)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	struct link_options options = {.handler = note};
	struct link *l;
	char *why;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	options.secret = a.keys.secret;
	options.public_key = a.keys.public_key;
	options.listen = link_endpoint(a.link);
	ck_assert_int_eq(link_open(&l, &options, &why), -EADDRINUSE);
	ck_assert_ptr_null(l);
	ck_assert_ptr_nonnull(strstr(why, link_endpoint(a.link)));
	free(why);
	ck_assert_int_lt(link_dial(b.link, 1, "nonsense", a.keys.public_key), 0);
	dial(&b, 1, &a); /* the number is free */
	close_all(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("link");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_frames_go_both_ways);
	tcase_add_test(tc, test_largest_frame_passes);
	tcase_add_test(tc, test_unknown_key_is_refused);
	tcase_add_test(tc, test_wrong_server_key_fails);
	tcase_add_test(tc, test_proof_needs_zap);
	tcase_add_test(tc, test_bad_addresses_are_errors);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
