#include "link/incoming.h"
#include "link/link.h"
#include "link/proof.h"
#include "link/socket.h"
#include "link/watchdog.h"
#include "link/zap.h"
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Memory is measured here, so the address sanitizer may not keep much of what was freed. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4";
}

/* ThreadSanitizer takes several times the memory that some tests look at. */
#ifdef __SANITIZE_THREAD__
static const bool memory_is_ours = false;
#else
static const bool memory_is_ours = true;
#endif

enum { SIDES_MAX = 8, SEEN_MAX = 64, ITEMS_MAX = 1024, PATIENCE_MS = 20000, MB = 1024 * 1024 };

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
		uint64_t patience_end = clock_ms() + PATIENCE_MS;                                                      \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			ck_assert_msg(clock_ms() < patience_end, "never: %s", #condition);                             \
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
	AWAIT(&w, counted(&a).refused_keys >= 3); /* three retries */
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
	ck_assert_uint_eq(counted(&a).refused_keys, 0); /* the proof at the start is nobody's attack */
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

/* A dialled node that restarts is down, and up again by itself. */
START_TEST(test_restarted_server_comes_back)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	char address[64];

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	snprintf(address, sizeof address, "%s", link_endpoint(a.link));
	link_close(a.link);
	a.link = NULL;
	AWAIT(&w, b.n_down == 1);
	ck_assert_str_eq(b.reason, "closed");
	AWAIT(&w, b.n_down == 2);
	ck_assert_str_eq(b.reason, "unreachable");
	ck_assert_int_eq(say(&b, 1, "nobody there"), LINK_GONE);
	w.n = 0;
	w.sides[w.n++] = &b;
	side_open(&w, &a, address, 0);
	allow(&a, &b);
	AWAIT(&w, b.n_up == 2);
	ck_assert_int_eq(say(&b, 1, "back"), 0);
	AWAIT(&w, a.n_frames == 1);
	ck_assert_str_eq(a.text, "back"); /* nothing of the old session */
	ck_assert_uint_eq(b.n_down, 2);
	close_all(&w);
}
END_TEST

/* A port where nobody listens is told once, however often it is tried; when somebody does, the link is up. */
START_TEST(test_dead_port_comes_alive)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	char address[64];
	uint64_t end;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	snprintf(address, sizeof address, "%s", link_endpoint(a.link));
	link_close(a.link);
	a.link = NULL;
	ck_assert_int_eq(link_dial(b.link, 1, address, a.keys.public_key), 0);
	AWAIT(&w, b.n_down == 1);
	for (end = clock_ms() + 1500; clock_ms() < end;) /* two more attempts */
		step(&w);
	ck_assert_uint_eq(b.n_down, 1);
	w.n = 0;
	w.sides[w.n++] = &b;
	side_open(&w, &a, address, 0);
	allow(&a, &b);
	AWAIT(&w, b.n_up == 1);
	close_all(&w);
}
END_TEST

/* A dial goes on by itself when there were no descriptors for its first attempt. */
START_TEST(test_dial_waits_for_descriptors)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	struct rlimit limit, none;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){3, limit.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	dial(&b, 1, &a);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	AWAIT(&w, b.n_up == 1);
	close_all(&w);
}
END_TEST

/* Binding anew ends every session that was dialled in: numbers are over at once, and who is still known comes back under a new one. */
START_TEST(test_rebind_drops_sessions)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	uint32_t number;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	say(&b, 1, "one");
	AWAIT(&w, a.n_frames == 1);
	number = a.from;
	ck_assert_int_eq(link_rebind(a.link), 0);
	ck_assert_uint_eq(a.n_down, 0); /* handed over by a turn only */
	AWAIT(&w, a.n_down == 1 && b.n_down == 1 && b.n_up == 2);
	ck_assert_uint_eq(a.down, number);
	ck_assert_int_eq(say(&a, number, "late"), LINK_GONE);
	say(&b, 1, "two");
	AWAIT(&w, a.n_frames == 2);
	ck_assert_uint_ne(a.from, number);
	ck_assert_uint_eq(counted(&a).rebinds, 1);
	close_all(&w);
}
END_TEST

/* A key taken out of the table is not heard from that moment on, over a session that is still there either, and after binding anew it
 * stays out; others come back. */
START_TEST(test_revoked_key_stays_out)
{
	struct world w = {0};
	struct side a = {0}, b = {0}, c = {0};
	uint8_t both[2 * LINK_PUBLIC_LEN];
	size_t frames;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	side_open(&w, &c, NULL, 0);
	memcpy(both, b.keys.public_key, LINK_PUBLIC_LEN);
	memcpy(both + LINK_PUBLIC_LEN, c.keys.public_key, LINK_PUBLIC_LEN);
	ck_assert_int_eq(link_allow(a.link, both, 2), 0);
	dial(&b, 1, &a);
	dial(&c, 1, &a);
	AWAIT(&w, b.n_up == 1 && c.n_up == 1);
	say(&b, 1, "b");
	AWAIT(&w, a.n_frames == 1);
	allow(&a, &c);
	AWAIT(&w, a.n_down == 1);
	ck_assert_str_eq(a.reason, "revoked");
	say(&b, 1, "b again");
	AWAIT(&w, counted(&a).dropped_frames == 1);
	frames = a.n_frames;
	ck_assert_int_eq(link_rebind(a.link), 0);
	AWAIT(&w, c.n_up == 2 && strcmp(b.reason, "refused") == 0);
	ck_assert_uint_eq(a.n_frames, frames);
	ck_assert_uint_eq(b.n_up, 1);
	close_all(&w);
}
END_TEST

/* What is hung up is silent: no event, no session at the other end; its number can be used again. */
START_TEST(test_hang_up_and_dial_again)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	uint32_t number;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	say(&b, 1, "one");
	AWAIT(&w, a.n_frames == 1);
	number = a.from;
	link_hang_up(b.link, 1);
	link_hang_up(b.link, 1); /* unknown by now */
	ck_assert_int_eq(say(&b, 1, "two"), LINK_GONE);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 2);
	say(&b, 1, "three");
	AWAIT(&w, a.n_frames == 2);
	ck_assert_uint_eq(b.n_down, 0);
	ck_assert_uint_ne(a.from, number);
	/* The other end learns that the first is gone when it sends. */
	AWAIT(&w, say(&a, number, "anybody?") == LINK_GONE);
	AWAIT(&w, a.n_down == 1);
	ck_assert_uint_eq(a.down, number);
	/* An incoming number that is hung up is forgotten; what comes from there is a new one. */
	number = a.from;
	link_hang_up(a.link, number);
	ck_assert_int_eq(say(&a, number, "gone"), LINK_GONE);
	say(&b, 1, "four");
	AWAIT(&w, a.n_frames == 3);
	ck_assert_uint_ne(a.from, number);
	ck_assert_uint_eq(a.n_down, 1);
	close_all(&w);
}
END_TEST

/* Sends frames of `len` bytes until the queue is full; a queue is no storage. */
static size_t fill(struct side *s, uint32_t connection, const uint8_t *data, size_t len)
{
	size_t n = 0;
	int r;

	while ((r = link_send(s->link, connection, bytes_of(data, len))) == 0)
		ck_assert_uint_lt(++n, 2000);
	ck_assert_int_eq(r, LINK_BUSY);
	return n;
}

/* Neither end can be made to hoard: a peer that does not read makes link_send() busy, and when it reads again all of it arrives. */
START_TEST(test_full_queue_is_busy)
{
	struct world w = {0}, stopped = {0};
	struct side a = {0}, b = {0};
	uint8_t *data = calloc(1, FRAME_MAX);
	size_t n;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	n = fill(&b, 1, data, FRAME_MAX);
	ck_assert_uint_ge(n, 16);
	ck_assert_int_eq(link_send(b.link, 1, bytes_str("x")), LINK_BUSY);
	AWAIT(&w, a.n_frames == n);
	AWAIT(&w, link_send(b.link, 1, bytes_str("x")) == 0);
	AWAIT(&w, a.n_frames == n + 1);
	n = fill(&a, a.from, data, FRAME_MAX);
	AWAIT(&w, b.n_frames == n);
	stopped.sides[stopped.n++] = &a;
	AWAIT(&w, link_send(a.link, a.from, bytes_str("x")) == 0);
	AWAIT(&w, b.n_frames == n + 1);
	fill(&a, a.from, data, FRAME_MAX);
	step(&stopped); /* the timer wakes who could not send: there is no event for room in a ROUTER */
	step(&stopped);
	free(data);
	close_all(&w);
}
END_TEST

/* A raw CURVE client with the keys of a side, which does what it likes; it tries for ever. */
static void *raw_connect(
	void *context, const struct side *as, const struct side *to, const char *endpoint, const char *routing_id)
{
	static const int ivl = 50, immediate = 0;
	void *raw;

	ck_assert_int_eq(socket_dealer(&raw, context, &as->keys, to->keys.public_key), 0);
	zmq_setsockopt(raw, ZMQ_RECONNECT_IVL, &ivl, sizeof ivl);
	zmq_setsockopt(raw, ZMQ_IMMEDIATE, &immediate, sizeof immediate);
	if (routing_id != NULL)
		zmq_setsockopt(raw, ZMQ_ROUTING_ID, routing_id, strlen(routing_id));
	ck_assert_int_eq(zmq_connect(raw, endpoint), 0);
	return raw;
}

static void *raw_open(void *context, const struct side *as, const struct side *to, const char *routing_id)
{
	return raw_connect(context, as, to, link_endpoint(to->link), routing_id);
}

/* A message of several parts ends the connection, is counted, and nothing more is heard from there; other peers go on. */
START_TEST(test_multi_part_is_muted)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	void *context = socket_context(), *raw;
	uint32_t number;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	raw = raw_open(context, &b, &a, NULL);
	zmq_send(raw, "fine", 4, 0);
	AWAIT(&w, a.n_frames == 1);
	number = a.from;
	zmq_send(raw, "one", 3, ZMQ_SNDMORE);
	zmq_send(raw, "two", 3, ZMQ_SNDMORE);
	zmq_send(raw, "three", 5, 0);
	AWAIT(&w, a.n_down == 1);
	ck_assert_uint_eq(a.down, number);
	ck_assert_str_eq(a.reason, "multi-part");
	ck_assert_int_eq(say(&a, number, "x"), LINK_GONE);
	zmq_send(raw, "single", 6, 0);
	AWAIT(&w, counted(&a).dropped_frames == 2);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	say(&b, 1, "good");
	AWAIT(&w, a.n_frames == 2);
	ck_assert_str_eq(a.text, "good");
	zmq_close(raw);
	zmq_ctx_term(context);
	close_all(&w);
}
END_TEST

/* A dialled node that sends several parts is dropped and dialled again. */
START_TEST(test_multi_part_from_server_is_dropped)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	void *context = socket_context(), *raw;
	char address[64];
	size_t size = sizeof address;
	zmq_msg_t id;

	side_open(&w, &b, NULL, 0);
	keys_new(&a.keys);
	ck_assert_int_eq(socket_router(&raw, context, &a.keys), 0); /* without ZAP: everybody may */
	ck_assert_int_eq(zmq_bind(raw, "tcp://127.0.0.1:*"), 0);
	zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, address, &size);
	ck_assert_int_eq(link_dial(b.link, 1, address, a.keys.public_key), 0);
	AWAIT(&w, b.n_up == 1);
	say(&b, 1, "hello");
	zmq_msg_init(&id);
	zmq_msg_recv(&id, raw, 0);
	zmq_msg_send(&id, raw, ZMQ_SNDMORE);
	zmq_send(raw, "one", 3, ZMQ_SNDMORE);
	zmq_send(raw, "two", 3, 0);
	AWAIT(&w, b.n_down == 1 && b.n_up == 2);
	ck_assert_str_eq(b.reason, "multi-part");
	ck_assert_uint_eq(b.n_frames, 0);
	zmq_close(raw);
	zmq_ctx_term(context);
	close_all(&w);
}
END_TEST

/* A frame of one byte too many never arrives; it costs the sender its connection and nobody else anything. */
START_TEST(test_frame_over_the_limit)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	void *context = socket_context(), *raw, *monitor;
	uint8_t *data = calloc(1, FRAME_MAX + 1);
	int event = 0;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	raw = raw_open(context, &b, &a, NULL);
	ck_assert_int_eq(socket_monitor(&monitor, context, raw), 0);
	zmq_send(raw, data, FRAME_MAX + 1, 0);
	AWAIT(&w, (event = socket_event(monitor)) == ZMQ_EVENT_DISCONNECTED);
	say(&b, 1, "good");
	AWAIT(&w, a.n_frames == 1);
	ck_assert_str_eq(a.text, "good");
	ck_assert_uint_eq(b.n_down, 0);
	socket_close_monitor(&monitor, raw);
	zmq_close(raw);
	zmq_ctx_term(context);
	free(data);
	close_all(&w);
}
END_TEST

/* A routing id is not a name: who takes another's is not heard while that one is connected, and gets a number of its own after. */
START_TEST(test_routing_id_of_another_gains_nothing)
{
	struct world w = {0};
	struct side a = {0}, b = {0}, c = {0};
	void *context = socket_context(), *honest, *thief;
	uint8_t both[2 * LINK_PUBLIC_LEN];
	uint32_t number;
	char text[8];

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	keys_new(&b.keys);
	keys_new(&c.keys);
	memcpy(both, b.keys.public_key, LINK_PUBLIC_LEN);
	memcpy(both + LINK_PUBLIC_LEN, c.keys.public_key, LINK_PUBLIC_LEN);
	ck_assert_int_eq(link_allow(a.link, both, 2), 0);
	honest = raw_open(context, &b, &a, "ugent.be");
	zmq_send(honest, "one", 3, 0);
	AWAIT(&w, a.n_frames == 1);
	number = a.from;
	thief = raw_open(context, &c, &a, "ugent.be");
	zmq_send(thief, "mine", 4, 0);
	for (int i = 0; i < 20; i++) { /* both get through what they can */
		zmq_send(honest, "two", 3, 0);
		AWAIT(&w, a.n_frames == 2u + (unsigned)i);
		ck_assert_uint_eq(a.from, number);
		ck_assert_mem_eq(a.from_key, b.keys.public_key, LINK_PUBLIC_LEN);
	}
	ck_assert_int_eq(say(&a, number, "answer"), 0);
	AWAIT(&w, zmq_recv(honest, text, sizeof text, ZMQ_DONTWAIT) == 6);
	ck_assert_int_lt(zmq_recv(thief, text, sizeof text, ZMQ_DONTWAIT), 0);
	zmq_close(honest);
	for (int tries = 0; a.n_frames == 21; tries++) { /* until libzmq has seen the honest one leave */
		ck_assert_int_lt(tries, 100);
		zmq_close(thief);
		thief = raw_open(context, &c, &a, "ugent.be");
		zmq_send(thief, "mine", 4, 0);
		for (int i = 0; i < 5; i++)
			step(&w);
	}
	ck_assert_uint_eq(a.n_down, 1);
	ck_assert_uint_eq(a.down, number);
	ck_assert_uint_ne(a.from, number);
	ck_assert_mem_eq(a.from_key, c.keys.public_key, LINK_PUBLIC_LEN);
	zmq_close(thief);
	zmq_ctx_term(context);
	close_all(&w);
}
END_TEST

/* One message of `n_parts` large parts, which all share their bytes: what a flood costs is paid by who receives it. */
static void send_flood(void *raw, size_t n_parts)
{
	static uint8_t part[256 * 1024];
	zmq_msg_t m;

	for (size_t i = 0; i < n_parts; i++) {
		zmq_msg_init_data(&m, part, sizeof part, NULL, NULL);
		if (zmq_msg_send(&m, raw, ZMQ_DONTWAIT | (i + 1 < n_parts ? ZMQ_SNDMORE : 0)) < 0)
			zmq_msg_close(&m);
	}
}

/* A process that floods `to` with messages of a thousand MB, once it has been told an endpoint through `*endpoint_fd`, until it is
 * killed. A process of its own, made before there is any context: a libzmq that is cut off while it closes may abort. */
static pid_t flooder_new(const struct side *as, const struct side *to, int *endpoint_fd)
{
	char endpoint[64] = "";
	int fds[2];
	pid_t pid;
	void *raw;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	*endpoint_fd = fds[1];
	if (pid > 0) {
		close(fds[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(fds[1]);
	if (read(fds[0], endpoint, sizeof endpoint - 1) <= 0)
		_exit(1);
	raw = raw_connect(socket_context(), as, to, endpoint, NULL);
	for (int i = 0; i < 4; i++)
		send_flood(raw, 4000);
	for (;;)
		pause();
}

/* Turns the world until the condition holds, and remembers the most memory seen. */
#define AWAIT_PEAK(w, peak, condition)                                                                                 \
	AWAIT(w, ((peak) = (peak) > watchdog_resident() ? (peak) : watchdog_resident(), (condition)))

/* Parts that never end bypass every limit of libzmq. The watchdog sees the memory and drops all sessions, again and again; honest
 * peers come back each time, and when the flood is over all of the memory is there again. */
START_TEST(test_flood_is_cut_off)
{
	struct world w = {0};
	struct side a = {0}, b = {0}, c = {0};
	uint64_t before = watchdog_resident(), peak = 0;
	uint8_t both[2 * LINK_PUBLIC_LEN];
	int endpoint_fd;
	pid_t flooder;

	keys_new(&a.keys);
	keys_new(&c.keys);
	flooder = flooder_new(&c, &a, &endpoint_fd);
	side_open(&w, &a, "tcp://127.0.0.1:*", before + 64 * MB);
	side_open(&w, &b, NULL, 0);
	memcpy(both, b.keys.public_key, LINK_PUBLIC_LEN);
	memcpy(both + LINK_PUBLIC_LEN, c.keys.public_key, LINK_PUBLIC_LEN);
	ck_assert_int_eq(link_allow(a.link, both, 2), 0);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	ck_assert_int_gt(write(endpoint_fd, link_endpoint(a.link), strlen(link_endpoint(a.link))), 0);
	AWAIT_PEAK(&w, peak, counted(&a).rebinds >= 2);
	kill(flooder, SIGKILL);
	waitpid(flooder, NULL, 0);
	close(endpoint_fd);
	AWAIT_PEAK(&w, peak, watchdog_resident() < before + 64 * MB && b.n_up > b.n_down);
	AWAIT_PEAK(&w, peak, (say(&b, 1, "still here"), a.n_frames > 0)); /* one more drop may take a frame along */
	ck_assert_str_eq(a.text, "still here");
	ck_assert_uint_ge(b.n_down, 1);
	ck_assert_uint_lt(peak, before + 500 * MB);
	close_all(&w);
}
END_TEST

/* A dialled node can flood as well. */
START_TEST(test_flood_from_server_is_cut_off)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	uint64_t before = watchdog_resident(), peak = 0;
	void *context = socket_context(), *raw;
	char address[64];
	size_t size = sizeof address;
	zmq_msg_t id;

	side_open(&w, &b, NULL, before + 64 * MB);
	keys_new(&a.keys);
	ck_assert_int_eq(socket_router(&raw, context, &a.keys), 0);
	ck_assert_int_eq(zmq_bind(raw, "tcp://127.0.0.1:*"), 0);
	zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, address, &size);
	ck_assert_int_eq(link_dial(b.link, 1, address, a.keys.public_key), 0);
	AWAIT(&w, b.n_up == 1);
	say(&b, 1, "hello");
	zmq_msg_init(&id);
	zmq_msg_recv(&id, raw, 0);
	zmq_msg_send(&id, raw, ZMQ_SNDMORE);
	send_flood(raw, 4000);
	AWAIT_PEAK(&w, peak, b.n_down == 1 && b.n_up == 2);
	ck_assert_str_eq(b.reason, "memory");
	AWAIT_PEAK(&w, peak, watchdog_resident() < before + 64 * MB);
	ck_assert_uint_lt(peak, before + 500 * MB);
	zmq_close(raw);
	zmq_ctx_term(context);
	close_all(&w);
}
END_TEST

/* When memory is used for something else, dropping sessions cannot help, and is not repeated until it has grown again. */
START_TEST(test_watchdog_gives_up_on_other_memory)
{
	uint64_t before = watchdog_resident(), now = 1000;
	struct watchdog w;
	size_t len = 64 * MB, more = 48 * MB;
	uint8_t *other, *grown;

	watchdog_init(&w, before + 32 * MB);
	w.limit_bytes = w.threshold_bytes = before + 32 * MB;
	ck_assert(!watchdog_look(&w, now));
	other = malloc(len);
	randombytes_buf(other, len);
	ck_assert(!watchdog_look(&w, now + 100)); /* not every time */
	ck_assert(watchdog_look(&w, now += 200));
	for (int i = 0; i < 10; i++)
		ck_assert(!watchdog_look(&w, now += 1000));
	grown = malloc(more);
	randombytes_buf(grown, more);
	ck_assert(watchdog_look(&w, now += 1000));
	free(grown);
	free(other);
	for (int i = 0; i < 3; i++)
		ck_assert(!watchdog_look(&w, now += 1000));
	ck_assert_uint_eq(w.threshold_bytes, w.limit_bytes);
}
END_TEST

enum { STRANGERS = 400, STRANGER_BYTES = 300 * 1024 };

/* A TCP connection that begins a CURVE handshake with a command as large as it may be. */
static int stranger_open(const char *endpoint)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static const uint8_t greeting[64] = {0xff, [9] = 0x7f, 3, 1, 'C', 'U', 'R', 'V', 'E'}; /* RFC 23 */
	uint8_t command[9] = {
		6, 0, 0, 0, 0, 0, STRANGER_BYTES >> 16, (STRANGER_BYTES >> 8) & 0xff, STRANGER_BYTES & 0xff};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)atoi(strrchr(endpoint, ':') + 1));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	ck_assert_int_eq(send(fd, greeting, sizeof greeting, MSG_NOSIGNAL), sizeof greeting);
	ck_assert_int_eq(send(fd, command, sizeof command, MSG_NOSIGNAL), sizeof command);
	return fd;
}

/* Sends what a stranger can send; all but the last byte, so that the command stays in memory. True: it was cut off. */
static bool stranger_turn(int fd, size_t *sent)
{
	static uint8_t zeros[64 * 1024];
	size_t left = STRANGER_BYTES - 1 - *sent;
	ssize_t n = send(fd, zeros, left < sizeof zeros ? left : sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT);
	uint8_t answer[128];

	if (n > 0)
		*sent += (size_t)n;
	while ((n = recv(fd, answer, sizeof answer, MSG_DONTWAIT)) > 0)
		;
	return n == 0 || (n < 0 && errno != EAGAIN);
}

/* 400 strangers that fill their handshakes as far as they can are cut off within seconds; memory stays within what they may fill and
 * comes back; who is known is served all the time. */
START_TEST(test_strangers_with_large_handshakes)
{
	struct world w = {0};
	struct side a = {0}, b = {0};
	static int fds[STRANGERS];
	static size_t sent[STRANGERS];
	uint64_t before, peak = 0, began;
	size_t n_cut = 0;

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	dial(&b, 1, &a);
	AWAIT(&w, b.n_up == 1);
	before = watchdog_resident();
	for (size_t i = 0; i < STRANGERS; i++)
		fds[i] = stranger_open(link_endpoint(a.link));
	for (began = clock_ms(); n_cut < STRANGERS;) {
		size_t frames = a.n_frames;

		ck_assert_uint_lt(clock_ms(), began + PATIENCE_MS);
		for (size_t i = 0; i < STRANGERS; i++)
			if (fds[i] >= 0 && stranger_turn(fds[i], &sent[i])) {
				close(fds[i]);
				fds[i] = -1;
				n_cut++;
			}
		ck_assert_int_eq(say(&b, 1, "still served"), 0);
		AWAIT_PEAK(&w, peak, a.n_frames == frames + 1);
	}
	ck_assert_uint_eq(b.n_down, 0);
	ck_assert_uint_lt(peak, before + 200 * MB); /* 120 MB are theirs to fill, the sanitizer takes its part */
	AWAIT(&w, watchdog_resident() < before + 50 * MB);
	close_all(&w);
}
END_TEST

/* Three hundred nodes can be dialled at once, and each turn is short. */
START_TEST(test_three_hundred_are_dialled)
{
	enum { N = 300 };
	struct world w = {0};
	struct side a = {0}, b = {0};

	side_open(&w, &a, "tcp://127.0.0.1:*", 0);
	side_open(&w, &b, NULL, 0);
	allow(&a, &b);
	for (uint32_t i = 0; i < N; i++)
		dial(&b, i, &a);
	AWAIT(&w, b.n_up == N);
	for (uint32_t i = 0; i < N; i++)
		ck_assert_int_eq(say(&b, i, "hello"), 0);
	AWAIT(&w, a.n_frames == N);
	/* With one key only so many are kept; the others' numbers are over. */
	ck_assert_uint_eq(a.n_down, N - INCOMING_PER_KEY_MAX);
	close_all(&w);
}
END_TEST

/* Adds a connection whose routing id and key follow from a number. */
static struct incoming *add(struct incoming_table *t, uint32_t id, uint32_t key)
{
	uint8_t bytes[LINK_PUBLIC_LEN] = {0};

	memcpy(bytes, &key, sizeof key);
	return incoming_add(t, bytes_of(&id, sizeof id), bytes, false);
}

/* The table is bounded: a key has its share, whoever is idle longest goes first, numbers go up, and ends are told in order. */
START_TEST(test_incoming_is_bounded)
{
	struct incoming_table *t = incoming_new(LINK_INCOMING);
	struct incoming *e;
	uint32_t id = 1;

	for (id = 0; id < INCOMING_MAX; id++)
		ck_assert_ptr_nonnull(add(t, id, id / INCOMING_PER_KEY_MAX));
	ck_assert(!incoming_has_ended(t));
	id = 0;
	incoming_used(t, incoming_by_id(t, bytes_of(&id, sizeof id)));
	add(t, INCOMING_MAX, 0); /* the second of key 0 is idle longest now */
	add(t, INCOMING_MAX + 1, 1000000);
	for (uint32_t expected = 1; expected <= 2; expected++) {
		e = incoming_take_ended(t);
		ck_assert_uint_eq(e->number, LINK_INCOMING + expected);
		ck_assert_str_eq(e->reason, "too many connections");
		ck_assert_ptr_null(incoming_by_id(t, bytes_of(&expected, sizeof expected)));
		ck_assert_ptr_null(incoming_by_number(t, LINK_INCOMING + expected));
		free(e);
	}
	ck_assert(!incoming_has_ended(t));
	e = incoming_by_number(t, LINK_INCOMING + INCOMING_MAX + 1);
	ck_assert_ptr_nonnull(e);
	incoming_end_where(t, NULL, NULL, "bound anew");
	ck_assert_ptr_null(incoming_by_number(t, LINK_INCOMING));
	incoming_free(t);
}
END_TEST

/* Numbers wrap within their half and pass over those in use. */
START_TEST(test_numbers_wrap)
{
	struct incoming_table *t = incoming_new(UINT32_MAX - 2);

	ck_assert_uint_eq(add(t, 1, 1)->number, UINT32_MAX - 2);
	ck_assert_uint_eq(add(t, 2, 2)->number, UINT32_MAX - 1);
	incoming_end(t, incoming_by_number(t, UINT32_MAX - 1), NULL);
	ck_assert_uint_eq(add(t, 3, 3)->number, UINT32_MAX);
	ck_assert_uint_eq(add(t, 4, 4)->number, UINT32_MAX - 1);
	incoming_free(t);
}
END_TEST

/* A handler that does everything it may at the worst moment. */
static void meddle(void *context, const struct link_event *e)
{
	struct side *s = context;

	note(context, e);
	if (e->kind != LINK_FRAME)
		return;
	if (strcmp(s->text, "hang up") == 0) {
		link_hang_up(s->link, e->connection);
		ck_assert_int_eq(say(s, e->connection, "x"), LINK_GONE);
	} else if (strcmp(s->text, "rebind") == 0) {
		ck_assert_int_eq(link_rebind(s->link), 0);
	} else if (strcmp(s->text, "revoke") == 0) {
		ck_assert_int_eq(link_allow(s->link, NULL, 0), 0);
		ck_assert_int_eq(link_rebind(s->link), 0);
	} else if (strcmp(s->text, "dial again") == 0) {
		link_hang_up(s->link, e->connection);
		for (uint32_t i = 0; i < 40; i++) /* the list of dialled nodes grows meanwhile */
			ck_assert_int_eq(link_dial(s->link, 100 + i, "tcp://127.0.0.1:1", s->keys.public_key), 0);
		for (uint32_t i = 0; i < 40; i++)
			link_hang_up(s->link, 100 + i);
	}
}

/* The handler may call everything but link_close(), at both ends, with more frames behind the one it is told of. */
START_TEST(test_handler_may_meddle)
{
	static const char *const orders[] = {"hang up", "rebind", "revoke"};
	struct world w = {0};
	struct side a = {0}, b = {0};
	struct link_options options = {.listen = "tcp://127.0.0.1:*", .handler = meddle, .context = &a};
	char *why;

	for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
		a = b = (struct side){0};
		w.n = 0;
		keys_new(&a.keys);
		options = (struct link_options){.listen = "tcp://127.0.0.1:*", .handler = meddle, .context = &a};
		options.secret = a.keys.secret;
		options.public_key = a.keys.public_key;
		ck_assert_int_eq(link_open(&a.link, &options, &why), 0);
		w.sides[w.n++] = &a;
		side_open(&w, &b, NULL, 0);
		allow(&a, &b);
		dial(&b, 1, &a);
		AWAIT(&w, b.n_up == 1);
		for (int k = 0; k < 10; k++)
			say(&b, 1, orders[i]);
		AWAIT(&w, a.n_frames >= 1 && (i == 0 || b.n_down >= 1));
		close_all(&w);
	}
	a = b = (struct side){0};
	w.n = 0;
	side_open(&w, &b, "tcp://127.0.0.1:*", 0);
	keys_new(&a.keys);
	options = (struct link_options){.handler = meddle, .context = &a};
	options.secret = a.keys.secret;
	options.public_key = a.keys.public_key;
	ck_assert_int_eq(link_open(&a.link, &options, &why), 0);
	w.sides[w.n++] = &a;
	allow(&b, &a);
	dial(&a, 1, &b);
	AWAIT(&w, a.n_up == 1);
	say(&a, 1, "hello");
	AWAIT(&w, b.n_frames == 1);
	say(&b, b.from, "dial again");
	say(&b, b.from, "dial again");
	AWAIT(&w, a.n_frames == 1);
	step(&w);
	ck_assert_uint_eq(a.n_frames, 1);
	dial(&a, 1, &b);
	AWAIT(&w, a.n_up == 2);
	close_all(&w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tc = tcase_create("link");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_frames_go_both_ways);
	tcase_add_test(tc, test_unknown_key_is_refused);
	tcase_add_test(tc, test_wrong_server_key_fails);
	tcase_add_test(tc, test_proof_needs_zap);
	tcase_add_test(tc, test_bad_addresses_are_errors);
	tcase_add_test(tc, test_restarted_server_comes_back);
	tcase_add_test(tc, test_dead_port_comes_alive);
	tcase_add_test(tc, test_dial_waits_for_descriptors);
	tcase_add_test(tc, test_rebind_drops_sessions);
	tcase_add_test(tc, test_revoked_key_stays_out);
	tcase_add_test(tc, test_hang_up_and_dial_again);
	tcase_add_test(tc, test_multi_part_is_muted);
	tcase_add_test(tc, test_multi_part_from_server_is_dropped);
	tcase_add_test(tc, test_frame_over_the_limit);
	tcase_add_test(tc, test_routing_id_of_another_gains_nothing);
	tcase_add_test(tc, test_flood_is_cut_off);
	tcase_add_test(tc, test_flood_from_server_is_cut_off);
	tcase_add_test(tc, test_watchdog_gives_up_on_other_memory);
	tcase_add_test(tc, test_three_hundred_are_dialled);
	tcase_add_test(tc, test_incoming_is_bounded);
	tcase_add_test(tc, test_numbers_wrap);
	tcase_add_test(tc, test_handler_may_meddle);
	if (memory_is_ours) {
		tcase_add_test(tc, test_largest_frame_passes);
		tcase_add_test(tc, test_full_queue_is_busy);
		tcase_add_test(tc, test_strangers_with_large_handshakes);
	}
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
