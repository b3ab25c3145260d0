#include "../unit/unit.h"
#include "core/check.h"
#include "network_state.h"

#include <string.h>

/* Batches that a member's disk changed, in a network that goes on: who has them sends them again. */

enum { N = 3, READER = 1 };

static struct network *w;

static void publish(size_t member, unsigned n)
{
	char course[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(course, sizeof course, "CR/%u", network_random(w, 1000000));
		network_publish(w, member, "network", course);
		network_run(w, 200); /* a batch for each */
	}
}

static void start(void)
{
	w = network_new(17, N);
	for (size_t i = 0; i < N; i++)
		publish(i, 4);
	ck_assert(network_settle(w, 60000));
}

static void end(void)
{
	network_free(w);
}

static struct check_query check(size_t member)
{
	struct check_query q = {0};

	ck_assert_int_eq(
		check_run(&w->members[member].store_keys, &memory_archive_ops, network_ledger(w, member), &q), 0);
	return q;
}

static size_t n_damages(size_t member)
{
	struct check_query q = check(member);
	size_t n = q.n_damages;

	check_deinit(&q);
	return n;
}

struct search {
	size_t publisher;
	unsigned left; /* batches of it to be passed over */
	size_t member;
	bool found;
};

/* Flips a bit in the body of a publisher's batch. */
static int damage_batch(void *context, const struct batch_row *row)
{
	struct search *s = context;
	struct memory_ledger *ledger = network_ledger(w, s->member);
	struct batch_row changed = *row;
	struct header h;
	uint8_t *body, *header;
	bool wanted;

	ck_assert_int_eq(header_decode(&h, row->header), 0);
	wanted = strcmp(h.publisher, network_handle(w, s->publisher)) == 0 && strcmp(h.audience, "network") == 0;
	header_deinit(&h);
	if (!wanted || s->left-- > 0)
		return 0;
	body = bytes_dup(row->body);
	header = bytes_dup(row->header);
	body[row->body.len / 2] ^= 1;
	changed.body.data = body;
	changed.header.data = header;
	memory_ledger_begin(ledger);
	ck_assert_int_eq(memory_ledger_ops.batch_mend(ledger, &changed), 0);
	memory_ledger_commit(ledger);
	free(body);
	free(header);
	s->found = true;
	return 1;
}

static void damage(size_t member, size_t publisher, unsigned which)
{
	struct search s = {.publisher = publisher, .left = which, .member = member};

	memory_archive_ops.batches(network_ledger(w, member), 1, damage_batch, &s);
	ck_assert(s.found);
	ck_assert_uint_eq(n_damages(member), 1);
}

/* The member's operator asks for its damaged batch; `digest`: of what is before it, when that is to be wrong. */
static void ask_for(size_t member, const struct digest *digest)
{
	struct check_query q = check(member);
	struct node_input in = {.kind = NODE_REPAIR, .damage = &q.damages[0]};

	ck_assert_uint_eq(q.n_damages, 1);
	if (digest != NULL)
		q.damages[0].behind.digest = *digest;
	network_step(w, member, &in);
	network_step(w, member, &in); /* twice is once */
	check_deinit(&q);
}

/* How many are asked for still; the first one's `key`, if there is one, is `value`. */
static size_t repairs(size_t member, const char *key, const char *value)
{
	json_t *answer = node_repairs(network_node(w, member));
	const json_t *list = json_object_get(answer, "repairs");
	size_t n = json_array_size(list);
	struct node_counters c;

	node_counters(network_node(w, member), &c);
	ck_assert_uint_eq(c.repairs, n);
	if (n > 0 && key != NULL)
		ck_assert_str_eq(json_string_value(json_object_get(json_array_get(list, 0), key)), value);
	json_decref(answer);
	return n;
}

static void assert_goes_on(void)
{
	for (size_t i = 0; i < N; i++)
		publish(i, 2);
	ck_assert(network_settle(w, 60000));
	ck_assert_ptr_null(network_check_complete(w));
}

/* Batches of another, the first, one in between and the last, come again from their publisher. */
START_TEST(test_of_another)
{
	damage(READER, 0, (unsigned)_i);
	ask_for(READER, NULL);
	ck_assert_uint_eq(repairs(READER, "from", network_handle(w, 0)), 1);
	network_run(w, 5000);
	ck_assert_uint_eq(n_damages(READER), 0);
	ck_assert_uint_eq(repairs(READER, NULL, NULL), 0);
	assert_goes_on();
}
END_TEST

/* A member's own come again from its readers. */
START_TEST(test_own)
{
	damage(READER, READER, (unsigned)_i);
	ask_for(READER, NULL);
	ck_assert_uint_eq(repairs(READER, "from", "any reader"), 1);
	network_run(w, 5000);
	ck_assert_uint_eq(n_damages(READER), 0);
	assert_goes_on();
}
END_TEST

/* A publisher that is away is waited for, while all else goes on; when it is back its batch is mended. */
START_TEST(test_who_is_away)
{
	network_crash(w, 0);
	network_run(w, 5000);
	damage(READER, 0, 1);
	ask_for(READER, NULL);
	network_run(w, 60000);
	ck_assert_uint_eq(repairs(READER, "state", "waiting"), 1);
	ck_assert_uint_eq(n_damages(READER), 1);
	network_start(w, 0);
	network_run(w, 120000);
	ck_assert_uint_eq(n_damages(READER), 0);
	assert_goes_on();
}
END_TEST

/* A connection that breaks under the batch is not the end of it. */
START_TEST(test_broken_link)
{
	damage(READER, 0, 1);
	ask_for(READER, NULL);
	network_drop(w, READER, 0);
	network_run(w, 120000);
	ck_assert_uint_eq(n_damages(READER), 0);
	assert_goes_on();
}
END_TEST

/* Where one reader's copy is damaged as well, whichever it is, the next one's serves at once, and what it sent is taken by nobody. */
START_TEST(test_damaged_twice)
{
	size_t other = _i == 0 ? 0 : 2;

	damage(READER, READER, 1);
	damage(other, READER, 1);
	ask_for(READER, NULL);
	network_run(w, 5000);
	ck_assert_uint_eq(n_damages(READER), 0);
	ask_for(other, NULL);
	network_run(w, 5000);
	ck_assert_uint_eq(n_damages(other), 0);
	assert_goes_on();
}
END_TEST

/* Where nobody has a good copy that is said when all were asked. */
START_TEST(test_damaged_everywhere)
{
	for (size_t i = 0; i < N; i++)
		damage(i, READER, 1);
	ask_for(READER, NULL);
	network_run(w, 5000);
	ck_assert_uint_eq(repairs(READER, "state", "refused"), 1);
	repairs(READER, "reason", "its body does not open");
	ck_assert_uint_eq(n_damages(READER), 1);
}
END_TEST

/* What a member publishes for itself nobody else has; that is said, and nobody is asked. */
START_TEST(test_of_nobody)
{
	struct damage own = {.number = 1, .incarnation = 1, .first = 1, .last = 1};
	struct node_input in = {.kind = NODE_REPAIR, .damage = &own};
	char audience[HANDLE_MAX + 1];

	strcpy(own.publisher, network_handle(w, READER));
	strcpy(audience, own.publisher);
	own.audience = audience;
	network_step(w, READER, &in);
	network_run(w, 5000);
	ck_assert_uint_eq(repairs(READER, "state", "nobody"), 1);
}
END_TEST

/* A place that the publisher does not know is refused, and asked for again much later, or when the operator asks again; the channel
 * goes on. */
START_TEST(test_unknown_place)
{
	struct digest digest = {{1}};

	damage(READER, 0, 2);
	ask_for(READER, &digest);
	network_run(w, 30000);
	ck_assert_uint_eq(repairs(READER, "reason", "it does not have it"), 1);
	repairs(READER, "state", "refused");
	ck_assert_uint_eq(n_damages(READER), 1);
	publish(0, 2);
	ck_assert(network_settle(w, 60000));
	ask_for(READER, NULL);
	network_run(w, 5000);
	ck_assert_uint_eq(n_damages(READER), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mending");
	TCase *tc = tcase_create("mending");

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, start, end);
	tcase_add_loop_test(tc, test_of_another, 0, 4);
	tcase_add_loop_test(tc, test_own, 0, 4);
	tcase_add_test(tc, test_who_is_away);
	tcase_add_test(tc, test_broken_link);
	tcase_add_loop_test(tc, test_damaged_twice, 0, 2);
	tcase_add_test(tc, test_damaged_everywhere);
	tcase_add_test(tc, test_of_nobody);
	tcase_add_test(tc, test_unknown_place);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
