#include "core/session.h"
#include "enlight/link/v1/link.pb-c.h"
#include "notes.h"
#include "unit.h"

#include <string.h>

/* Three members know each other: Tartu dials, Ghent listens, Groningen is somewhere. */
enum { N_MEMBERS = 3, NOW_MS = 1700000000 };
static const char *const handles[N_MEMBERS] = {"rug.nl", "ugent.be", "ut.ee"};

static struct trust *learn(struct trust *t, struct buffer *text)
{
	struct problems problems = {0};
	struct trust *next;

	ck_assert_int_eq(trust_with(&next, t, "note", bytes_of(text->data, text->len), &problems), 0);
	trust_unref(t);
	buffer_deinit(text);
	return next;
}

static struct trust *everybody(void)
{
	struct actor members[N_MEMBERS];
	struct problems problems = {0};
	struct digest network;
	struct buffer text;
	struct trust *t;

	for (size_t i = 0; i < N_MEMBERS; i++)
		members[i] = actor_of(handles[i], 0);
	text = roster_text(NULL, 1, 2, members, N_MEMBERS);
	digest_plain(&network, signed_part(&text));
	for (size_t i = 0; i < N_MEMBERS; i++)
		sign_by(&text, &members[i]);
	ck_assert_int_eq(trust_new(&t, &network, "roster", bytes_of(text.data, text.len), &problems), 0);
	buffer_deinit(&text);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		text = card_text(&network, &members[i], 1, 1);
		t = learn(t, &text);
	}
	return t;
}

/* One end of a link. */
struct end {
	struct node_keys keys;
	uint8_t boot[BOOT_ID_LEN];
	struct hello_self self;
	struct entropy entropy;
	struct hello hello;
	struct bytes claim;
	uint8_t signature[SIGNATURE_LEN];
};

static void end_init(struct end *e, struct trust *t, const char *handle)
{
	uint8_t seed[32] = {(uint8_t)handle[0], (uint8_t)handle[1]};

	*e = (struct end){.keys = node_keys_of(handle, 1)};
	memset(e->boot, handle[0], sizeof e->boot);
	e->self = (struct hello_self){t, handle, &e->keys, e->boot, NOW_MS};
	entropy_init(&e->entropy, seed);
}

static void end_deinit(struct end *e)
{
	free((void *)e->claim.data);
	hello_wipe(&e->hello);
}

struct pair {
	struct trust *trust;
	struct end dialler, listener;
};

static void pair_init(struct pair *p)
{
	p->trust = everybody();
	end_init(&p->dialler, p->trust, "ut.ee");
	end_init(&p->listener, p->trust, "ugent.be");
	ck_assert_int_eq(hello_dial(&p->dialler.hello, &p->dialler.self, "ugent.be", p->listener.keys.link_public,
				 &p->dialler.entropy, &p->dialler.claim),
		0);
}

static int answer(struct pair *p)
{
	struct end *l = &p->listener;

	free((void *)l->claim.data);
	return hello_answer(&l->hello, &l->self, p->dialler.keys.link_public, p->dialler.claim, &l->entropy, &l->claim,
		l->signature);
}

static int finish(struct pair *p)
{
	return hello_finish(&p->dialler.hello, &p->dialler.self, p->listener.claim,
		bytes_of(p->listener.signature, SIGNATURE_LEN), p->dialler.signature);
}

static int accept_with(struct pair *p, const uint8_t *signature)
{
	return hello_accept(&p->listener.hello, &p->listener.self, bytes_of(signature, SIGNATURE_LEN));
}

static void pair_deinit(struct pair *p)
{
	end_deinit(&p->dialler);
	end_deinit(&p->listener);
	trust_unref(p->trust);
}

/* After three Hellos both ends have the same session and key, and know of each other what the claims said. */
START_TEST(test_both_ends_agree)
{
	static const uint8_t zeros[32];
	struct pair p;

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(finish(&p), 0);
	ck_assert_int_eq(accept_with(&p, p.dialler.signature), 0);
	ck_assert_mem_eq(p.dialler.hello.session, p.listener.hello.session, SESSION_ID_LEN);
	ck_assert_mem_eq(p.dialler.hello.session_key, p.listener.hello.session_key, 32);
	ck_assert_mem_ne(p.dialler.hello.session_key, zeros, 32);
	ck_assert_mem_eq(p.dialler.hello.ephemeral_secret, zeros, 32);
	ck_assert_mem_eq(p.listener.hello.ephemeral_secret, zeros, 32);
	ck_assert_str_eq(p.listener.hello.peer, "ut.ee");
	ck_assert_mem_eq(p.listener.hello.peer_boot, p.dialler.boot, BOOT_ID_LEN);
	ck_assert_mem_eq(p.dialler.hello.peer_boot, p.listener.boot, BOOT_ID_LEN);
	ck_assert_uint_eq(p.listener.hello.peer_time_ms, NOW_MS);
	ck_assert_uint_eq(p.listener.hello.peer_key, 1);
	ck_assert_uint_eq(p.dialler.hello.peer_roster, 1);
	ck_assert_uint_eq(p.dialler.hello.version, LINK_VERSION);
	pair_deinit(&p);
}
END_TEST

/* Another nonce gives another session. */
START_TEST(test_sessions_differ)
{
	uint8_t session[SESSION_ID_LEN], key[32];
	struct pair p;

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	memcpy(session, p.listener.hello.session, sizeof session);
	memcpy(key, p.listener.hello.session_key, sizeof key);
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_mem_ne(session, p.listener.hello.session, sizeof session);
	ck_assert_mem_ne(key, p.listener.hello.session_key, sizeof key);
	pair_deinit(&p);
}
END_TEST

typedef Enlight__Link__V1__Claim claim;

static uint8_t some[64]; /* bytes of no meaning: all zero */

static ProtobufCBinaryData zeros_of(size_t len)
{
	return (ProtobufCBinaryData){len, some};
}

static void set_text(char **field, const char *text)
{
	free(*field);
	*field = strdup(text);
}

static void set_bytes(ProtobufCBinaryData *field, ProtobufCBinaryData value)
{
	free(field->data);
	field->data = malloc(value.len);
	field->len = value.len;
	memcpy(field->data, value.data, value.len);
}

static void nothing(claim *c)
{
	(void)c;
}

static void later_version(claim *c)
{
	c->version = 7;
}

static void only_later_versions(claim *c)
{
	c->version = c->oldest = LINK_VERSION + 1;
}

static void oldest_0(claim *c)
{
	c->oldest = 0;
}

static void oldest_above_version(claim *c)
{
	c->oldest = c->version + 1;
}

static void another_network(claim *c)
{
	c->network.data[0] ^= 1;
}

static void short_network(claim *c)
{
	c->network.len--;
}

static void to_another(claim *c)
{
	set_text(&c->to, "rug.nl");
}

static void from_the_other_end(claim *c)
{
	set_text(&c->from, c->to);
}

static void from_another_member(claim *c)
{
	set_text(&c->from, "rug.nl");
}

static void from_a_stranger(claim *c)
{
	set_text(&c->from, "example.org");
}

static void from_no_handle(claim *c)
{
	set_text(&c->from, "UT.ee");
}

static void another_from_link(claim *c)
{
	c->from_link.data[3] ^= 1;
}

static void another_to_link(claim *c)
{
	c->to_link.data[31] ^= 1;
}

static void another_key_number(claim *c)
{
	c->key = 2;
}

static void weak_ephemeral(claim *c)
{
	set_bytes(&c->ephemeral, zeros_of(32));
}

static void short_ephemeral(claim *c)
{
	c->ephemeral.len = 31;
}

static void long_nonce(claim *c)
{
	set_bytes(&c->nonce, zeros_of(33));
}

static void short_boot(claim *c)
{
	c->boot.len--;
}

/* What a claim may not say, and how it is refused. The first two are good. */
static const struct {
	void (*change)(claim *c);
	int listener, dialler; /* what each end says to it */
} claims[] = {
	{nothing, 0, 0},
	{later_version, 0, REFUSE_KEY}, /* not what was signed */
	{only_later_versions, REFUSE_VERSION, REFUSE_VERSION},
	{oldest_0, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{oldest_above_version, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{another_network, REFUSE_NETWORK, REFUSE_NETWORK},
	{short_network, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{to_another, REFUSE_STRANGER, REFUSE_STRANGER},
	{from_the_other_end, REFUSE_STRANGER, REFUSE_STRANGER},
	{from_another_member, REFUSE_KEY, REFUSE_STRANGER},
	{from_a_stranger, REFUSE_STRANGER, REFUSE_STRANGER},
	{from_no_handle, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{another_from_link, REFUSE_KEY, REFUSE_KEY},
	{another_to_link, REFUSE_KEY, REFUSE_KEY},
	{another_key_number, REFUSE_KEY, REFUSE_KEY},
	{weak_ephemeral, REFUSE_KEY, REFUSE_KEY},
	{short_ephemeral, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{long_nonce, REFUSE_MALFORMED, REFUSE_MALFORMED},
	{short_boot, REFUSE_MALFORMED, REFUSE_MALFORMED},
};

static void change_claim(struct bytes *packed, void (*change)(claim *c))
{
	claim *c = enlight__link__v1__claim__unpack(NULL, packed->len, packed->data);
	uint8_t *out;

	ck_assert_ptr_nonnull(c);
	change(c);
	packed->len = enlight__link__v1__claim__get_packed_size(c);
	out = malloc(packed->len);
	enlight__link__v1__claim__pack(c, out);
	free((void *)packed->data);
	packed->data = out;
	enlight__link__v1__claim__free_unpacked(c, NULL);
}

/* After a refusal nothing is left that could be taken for a session. */
static void assert_forgotten(const struct hello *h)
{
	static const uint8_t zeros[32];

	ck_assert_mem_eq(h->session, zeros, SESSION_ID_LEN);
	ck_assert_mem_eq(h->session_key, zeros, 32);
	ck_assert_mem_eq(h->ephemeral_secret, zeros, 32);
}

START_TEST(test_claims_at_the_listener)
{
	struct pair p;
	int r;

	pair_init(&p);
	change_claim(&p.dialler.claim, claims[_i].change);
	r = answer(&p);
	ck_assert_int_eq(r, claims[_i].listener);
	if (r != 0) {
		assert_forgotten(&p.listener.hello);
		ck_assert_ptr_null(p.listener.claim.data);
	} else {
		ck_assert_uint_eq(p.listener.hello.version, LINK_VERSION);
	}
	pair_deinit(&p);
}
END_TEST

START_TEST(test_claims_at_the_dialler)
{
	struct pair p;

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	change_claim(&p.listener.claim, claims[_i].change);
	ck_assert_int_eq(finish(&p), claims[_i].dialler);
	if (claims[_i].dialler != 0)
		assert_forgotten(&p.dialler.hello);
	pair_deinit(&p);
}
END_TEST

/* Torn bytes are no claim. */
START_TEST(test_torn_claims)
{
	struct pair p;
	size_t whole;

	pair_init(&p);
	whole = p.dialler.claim.len;
	for (p.dialler.claim.len = 0; p.dialler.claim.len < whole; p.dialler.claim.len++)
		ck_assert_int_eq(answer(&p), REFUSE_MALFORMED);
	pair_deinit(&p);
}
END_TEST

/* A node that meets its own keys says so: somebody runs a second one with them. */
START_TEST(test_own_keys)
{
	struct end twin;
	struct pair p;

	pair_init(&p);
	end_init(&twin, p.trust, "ugent.be");
	ck_assert_int_eq(hello_dial(&twin.hello, &twin.self, "ugent.be", p.listener.keys.link_public, &twin.entropy,
				 &twin.claim),
		0);
	ck_assert_int_eq(hello_answer(&p.listener.hello, &p.listener.self, twin.keys.link_public, twin.claim,
				 &p.listener.entropy, &p.listener.claim, p.listener.signature),
		REFUSE_SAME_KEYS);
	end_deinit(&twin);
	pair_deinit(&p);
}
END_TEST

/* The signatures hold for one side and these claims: none can be bent, reflected or kept for later. */
START_TEST(test_signatures)
{
	uint8_t old[SIGNATURE_LEN];
	struct pair p;

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(finish(&p), 0);
	memcpy(old, p.dialler.signature, sizeof old);
	ck_assert_int_eq(accept_with(&p, p.listener.signature), REFUSE_KEY); /* reflected */
	assert_forgotten(&p.listener.hello);

	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(accept_with(&p, old), REFUSE_KEY); /* of an earlier session */

	ck_assert_int_eq(answer(&p), 0);
	p.listener.signature[9] ^= 1;
	pair_deinit(&p);

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	p.listener.signature[9] ^= 1;
	ck_assert_int_eq(finish(&p), REFUSE_KEY);
	assert_forgotten(&p.dialler.hello);
	pair_deinit(&p);

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(hello_accept(&p.listener.hello, &p.listener.self, bytes_of(old, 63)), REFUSE_MALFORMED);
	pair_deinit(&p);
}
END_TEST

/* A card that retires the key between claim and signature ends the meeting; so does one that takes it from another member. */
START_TEST(test_key_retired_meanwhile)
{
	struct actor tartu = actor_of("ut.ee", 0);
	struct card_key keys[2] = {
		card_key_of("ut.ee", 1, CARD_KEY_RETIRED), card_key_of("ut.ee", 2, CARD_KEY_CURRENT)};
	struct buffer text = {0};
	struct pair p;

	pair_init(&p);
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(finish(&p), 0);
	card_write(&text, trust_network(p.trust), "ut.ee", 2, NULL, keys, 2, NULL, 0);
	sign_by(&text, &tartu);
	sign_by_node(&text, "ut.ee", 2);
	p.trust = learn(p.trust, &text);
	p.dialler.self.trust = p.listener.self.trust = p.trust;
	ck_assert_int_eq(accept_with(&p, p.dialler.signature), REFUSE_KEY);
	ck_assert_int_eq(answer(&p), REFUSE_KEY);
	pair_deinit(&p);
}
END_TEST

/* A card that lists another's link key keeps that one out of nothing, and who dials by it meets the key's holder, who is another. */
START_TEST(test_copied_link_key)
{
	struct actor groningen = actor_of("rug.nl", 0);
	struct card_key keys[2] = {
		card_key_of("rug.nl", 1, CARD_KEY_RETIRED), card_key_of("rug.nl", 2, CARD_KEY_CURRENT)};
	struct buffer text = {0};
	struct pair p;

	pair_init(&p);
	memcpy(keys[1].link, p.listener.keys.link_public, LINK_PUBLIC_LEN);
	card_write(&text, trust_network(p.trust), "rug.nl", 2, NULL, keys, 2, NULL, 0);
	sign_by(&text, &groningen);
	sign_by_node(&text, "rug.nl", 2);
	p.trust = learn(p.trust, &text);
	p.dialler.self.trust = p.listener.self.trust = p.trust;
	ck_assert_int_eq(answer(&p), 0);
	ck_assert_int_eq(finish(&p), 0);
	ck_assert_int_eq(accept_with(&p, p.dialler.signature), 0);
	ck_assert_str_eq(p.dialler.hello.peer, "ugent.be");

	free((void *)p.dialler.claim.data);
	ck_assert_int_eq(hello_dial(&p.dialler.hello, &p.dialler.self, "rug.nl", p.listener.keys.link_public,
				 &p.dialler.entropy, &p.dialler.claim),
		0);
	ck_assert_int_eq(answer(&p), REFUSE_STRANGER);
	pair_deinit(&p);
}
END_TEST

/* Every code has its words. */
START_TEST(test_codes_have_words)
{
	for (int code = REFUSE_NO_SESSION; code <= REFUSE_ORDER; code++)
		ck_assert_str_ne(refuse_text((enum refuse_code)code), "unknown");
	ck_assert_str_eq(refuse_text((enum refuse_code)0), "unknown");
	ck_assert_str_eq(refuse_text((enum refuse_code)999), "unknown");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_add_test(tc, test_both_ends_agree);
	tcase_add_test(tc, test_sessions_differ);
	tcase_add_loop_test(tc, test_claims_at_the_listener, 0, sizeof claims / sizeof *claims);
	tcase_add_loop_test(tc, test_claims_at_the_dialler, 0, sizeof claims / sizeof *claims);
	tcase_add_test(tc, test_torn_claims);
	tcase_add_test(tc, test_own_keys);
	tcase_add_test(tc, test_signatures);
	tcase_add_test(tc, test_key_retired_meanwhile);
	tcase_add_test(tc, test_copied_link_key);
	tcase_add_test(tc, test_codes_have_words);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
