/* Every allocation of these functions fails once: each time the answer is -ENOMEM, and nothing is lost or left half done.
 * The linker puts the functions below in front of malloc and its kin (meson.build). */
#include "core/act.h"
#include "core/batch.h"
#include "core/receipt.h"
#include "core/session.h"
#include "notes.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static size_t allocations_left; /* the one that brings it to 0 fails; 0: none does */

static bool fails(void)
{
	if (allocations_left == 0 || --allocations_left != 0)
		return false;
	return true;
}

#include "failing_memory.h"

/* Whether everything that failed left nothing behind. Check allocates too, so nothing is asserted while allocations fail. */
static bool clean = true;

static const uint8_t seed[32] = {1};
static struct trust *trust;    /* made once, before anything fails */
static struct trust *disputed; /* the same with next_roster and a rival of it */
static struct digest rival;
static struct node_keys tartu, ghent;
static struct header header;
static struct batch_builder builder;
static struct sealed_batch batch;
static uint8_t batch_key[BATCH_KEY_LEN];
static struct bytes receipt, claim;
static struct buffer first_roster, next_roster, next_card;
static struct entropy entropy;

static const struct receipt good_receipt = {
	.reader = "ugent.be",
	.publisher = "ut.ee",
	.audience = (char *)"ugent.be",
	.incarnation = 1,
	.from = 1,
	.to = 1,
	.key = 1,
};

static struct hello_self self_of(const char *member, const struct node_keys *keys)
{
	return (struct hello_self){trust, member, keys, seed, 0};
}

static void learn(struct buffer *text)
{
	struct problems problems = {0};
	struct trust *next;

	ck_assert_int_eq(trust_with(&next, trust, "card", view(text), &problems), 0);
	trust_unref(trust);
	trust = next;
	buffer_deinit(text);
}

/* A trust with next_roster, and beside it one without ugent.be. */
static void dispute(const struct actor *members)
{
	struct buffer other = roster_text(&first_roster, 2, 1, members + 1, 1);
	struct problems problems = {0};
	struct trust *next;

	for (size_t i = 0; i < 2; i++)
		sign_by(&other, &members[i]);
	digest_plain(&rival, signed_part(&other));
	ck_assert_int_eq(trust_with(&next, trust, "roster", view(&next_roster), &problems), 0);
	ck_assert_int_eq(trust_with(&disputed, next, "roster", view(&other), &problems), TRUST_FORK);
	trust_unref(next);
	buffer_deinit(&other);
}

static void setup(void)
{
	struct actor members[] = {actor_of("ugent.be", 0), actor_of("ut.ee", 0)};
	struct buffer text = roster_text(NULL, 1, 2, members, 2);
	struct hello_self self;
	struct problems problems = {0};
	uint8_t signature[SIGNATURE_LEN];
	struct digest network, leaf;
	struct hello hello;

	digest_plain(&network, signed_part(&text));
	for (size_t i = 0; i < 2; i++)
		sign_by(&text, &members[i]);
	ck_assert_int_eq(trust_new(&trust, &network, "roster", view(&text), &problems), 0);
	first_roster = text;
	next_roster = roster_text(&first_roster, 2, 2, members, 2);
	for (size_t i = 0; i < 2; i++)
		sign_by(&next_roster, &members[i]);
	next_card = card_text(&network, &members[1], 2, 2);
	for (size_t i = 0; i < 2; i++) {
		text = card_text(&network, &members[i], 1, 1);
		learn(&text);
	}
	dispute(members);
	ghent = node_keys_of("ugent.be", 1);
	tartu = node_keys_of("ut.ee", 1);
	entropy_init(&entropy, seed);
	header = (struct header){.publisher = "ut.ee",
		.audience = strdup("ugent.be"),
		.incarnation = 1,
		.first = 1,
		.has_after = true,
		.key = 1};
	ck_assert_int_eq(batch_add(&builder, bytes_str("event"), &leaf), 0);
	ck_assert_int_eq(batch_seal(&batch, batch_key, &header, &builder, &tartu, &entropy), 0);
	ck_assert_int_eq(receipt_sign(&receipt, signature, &good_receipt, &ghent), 0);
	self = self_of("ut.ee", &tartu);
	ck_assert_int_eq(hello_dial(&hello, &self, "ugent.be", ghent.link_public, &entropy, &claim), 0);
}

static void teardown(void)
{
	trust_unref(trust);
	trust_unref(disputed);
	buffer_deinit(&first_roster);
	buffer_deinit(&next_roster);
	buffer_deinit(&next_card);
	header_deinit(&header);
	batch_builder_deinit(&builder);
	sealed_batch_deinit(&batch);
	free((void *)receipt.data);
	free((void *)claim.data);
}

static int do_act(void)
{
	static const struct act act = {.id = "a", .verb = "peers.block", .object = "ut.ee", .reason = "floods us"};
	struct draft draft, copy;
	int r = act_draft(&draft, &act, "ugent.be", 1000);

	if (r != 0)
		return r;
	r = act_draft_copy(&copy, &draft);
	draft_deinit(&draft);
	if (r == 0)
		draft_deinit(&copy);
	return r;
}

static int do_header(void)
{
	struct header h;
	int r = header_decode(&h, batch.header);

	clean &= r == 0 || h.audience == NULL;
	header_deinit(&h);
	return r;
}

static int do_add(void)
{
	struct batch_builder b = {0};
	struct digest leaf;
	int r = 0;

	for (size_t i = 0; i < 20 && r == 0; i++) {
		struct batch_builder before = b;

		r = batch_add(&b, bytes_str("a longer event than the first one"), &leaf);
		clean &= r == 0 || (b.n == before.n && b.body.len == before.body.len && b.body.error == 0);
	}
	batch_builder_deinit(&b);
	return r;
}

static int do_seal(void)
{
	struct sealed_batch sealed;
	uint8_t key[BATCH_KEY_LEN];
	int r = batch_seal(&sealed, key, &header, &builder, &tartu, &entropy);

	clean &= r == 0 || (sealed.header.data == NULL && sealed.body.data == NULL);
	sealed_batch_deinit(&sealed);
	return r;
}

static int do_open(void)
{
	struct slots slots;
	int r = batch_open(&slots, &header, &batch, batch_key);

	clean &= r == 0 || (slots.memory == NULL && slots.items == NULL);
	slots_deinit(&slots);
	return r;
}

static int do_receipt_sign(void)
{
	uint8_t signature[SIGNATURE_LEN];
	struct bytes packed;
	int r = receipt_sign(&packed, signature, &good_receipt, &ghent);

	free((void *)packed.data);
	return r;
}

static int do_receipt_decode(void)
{
	struct receipt got;
	int r = receipt_decode(&got, receipt);

	clean &= r == 0 || got.audience == NULL;
	receipt_deinit(&got);
	return r;
}

static int do_meet(void)
{
	struct hello_self dialler = self_of("ut.ee", &tartu), listener = self_of("ugent.be", &ghent);
	uint8_t signature[SIGNATURE_LEN], back[SIGNATURE_LEN];
	struct bytes d = {0}, l = {0};
	struct hello ours, theirs;
	int r = hello_dial(&ours, &dialler, "ugent.be", ghent.link_public, &entropy, &d);

	if (r == 0)
		r = hello_answer(&theirs, &listener, tartu.link_public, d, &entropy, &l, signature);
	if (r == 0)
		r = hello_finish(&ours, &dialler, l, bytes_of(signature, sizeof signature), back);
	if (r == 0)
		r = hello_accept(&theirs, &listener, bytes_of(back, sizeof back));
	free((void *)d.data);
	free((void *)l.data);
	return r;
}

static int do_roster(void)
{
	struct problems problems = {0};
	struct roster got;
	int r = roster_parse(&got, "roster", view(&first_roster), &problems);

	clean &= r == 0 || (got.note.text == NULL && got.members == NULL);
	roster_deinit(&got);
	problems_deinit(&problems);
	return r;
}

static int do_card(void)
{
	struct problems problems = {0};
	struct card got;
	int r = card_parse(&got, "card", view(&next_card), &problems);

	clean &= r == 0 || (got.note.text == NULL && got.keys == NULL);
	card_deinit(&got);
	problems_deinit(&problems);
	return r;
}

static int do_trust(void)
{
	struct problems problems = {0};
	struct digest network;
	struct trust *got;
	int r;

	digest_plain(&network, signed_part(&first_roster));
	r = trust_new(&got, &network, "roster", view(&first_roster), &problems);
	clean &= r == 0 || got == NULL;
	trust_unref(got);
	problems_deinit(&problems);
	return r;
}

/* The trust with a note more; the one before stays whole whatever happens. */
static int trust_learns(const struct buffer *text)
{
	struct problems problems = {0};
	struct trust *got;
	int r = trust_with(&got, trust, "note", view(text), &problems);

	clean &= (r == 0 || got == NULL) && trust_roster(trust)->number == 1 && trust_card(trust, "ut.ee")->number == 1;
	trust_unref(got);
	problems_deinit(&problems);
	return r;
}

static int do_trust_card(void)
{
	return trust_learns(&next_card);
}

static int do_trust_roster(void)
{
	return trust_learns(&next_roster);
}

static int do_trust_pin(void)
{
	struct trust *got;
	int r = trust_pin(&got, disputed, 2, &rival);

	clean &= (r == 0) == (got != NULL) && trust_roster(disputed)->n_members == 2 && trust_n_rivals(disputed) == 1;
	clean &= got == NULL || (trust_roster(got)->n_members == 1 && trust_n_rivals(got) == 1);
	trust_unref(got);
	return r;
}

static const struct {
	const char *name;
	int (*run)(void);
} cases[] = {
	{"act_draft and its copy", do_act},
	{"header_decode", do_header},
	{"batch_add", do_add},
	{"batch_seal", do_seal},
	{"batch_open", do_open},
	{"receipt_sign", do_receipt_sign},
	{"receipt_decode", do_receipt_decode},
	{"the Hellos", do_meet},
	{"roster_parse", do_roster},
	{"card_parse", do_card},
	{"trust_new", do_trust},
	{"trust_with a card", do_trust_card},
	{"trust_with a roster", do_trust_roster},
	{"trust_pin a rival", do_trust_pin},
};

/* Whichever allocation fails, the function says so and cleans up; with none failing it succeeds. */
START_TEST(test_each_allocation_fails_once)
{
	size_t n = 0;
	bool failed;
	int r;

	do {
		allocations_left = ++n;
		r = cases[_i].run();
		failed = allocations_left == 0;
		allocations_left = 0;
		ck_assert_msg(clean, "%s leaves something behind at allocation %zu", cases[_i].name, n);
		ck_assert_msg(r == (failed ? -ENOMEM : 0), "%s: %d at allocation %zu", cases[_i].name, r, n);
	} while (failed);
	ck_assert_msg(n > 1, "%s allocates nothing", cases[_i].name);
}
END_TEST

static const char *const wrong[] = {
	"enlight roster 1\nnetwork ?\nnumber none\n",
	"enlight roster 2\n",
	"enlight roster 1\nnetwork enlight\nnumber 1\nprevious none\nquorum 7\nmember Nobody EU key name\n",
	"",
};

/* What is wrong is not taken for right when there is no memory to say why. */
START_TEST(test_wrong_stays_wrong)
{
	struct problems problems = {0};
	struct roster got;
	size_t n = 0;
	bool failed;
	int r;

	do {
		allocations_left = ++n;
		r = roster_parse(&got, "roster", bytes_str(wrong[_i]), &problems);
		failed = allocations_left == 0;
		allocations_left = 0;
		roster_deinit(&got);
		problems_deinit(&problems);
		ck_assert_msg(r == ROSTER_BAD || (failed && r == -ENOMEM), "%d at allocation %zu", r, n);
	} while (failed);
	ck_assert_uint_gt(n, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tc = tcase_create("memory");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_each_allocation_fails_once, 0, sizeof cases / sizeof *cases);
	tcase_add_loop_test(tc, test_wrong_stays_wrong, 0, sizeof wrong / sizeof *wrong);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
