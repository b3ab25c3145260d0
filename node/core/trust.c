#include "core/trust.h"

#include "core/handle.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Rosters and cards are held by every trust made since they were accepted. */
struct held_roster {
	atomic_size_t refs;
	struct roster roster;
};

struct held_card {
	atomic_size_t refs;
	uint8_t identity[SIGN_PUBLIC_LEN]; /* that signed it */
	struct card card;
};

/* A signing key a card ever listed. Pointers go into that card. */
struct known_key {
	const char *member;
	uint32_t number;
	enum card_key_state state; /* by the member's last card; revoked stays */
	bool proven;               /* a card had it in use, so it signed that card: the member holds it */
	const uint8_t *sign;
	const uint8_t *identity; /* the identity key under which a card said so last */
};

struct pin {
	uint32_t number;
	struct digest digest;
};

struct trust {
	atomic_size_t refs;
	struct digest anchor;
	struct held_roster **rosters; /* numbers without a gap */
	size_t n_rosters;
	struct held_roster **rivals; /* each follows a roster that is held, as does another */
	size_t n_rivals;
	struct pin *pins; /* one for each number */
	size_t n_pins;
	struct held_card **cards; /* by member, and of one in the order they came */
	size_t n_cards;
	struct known_key *keys; /* by member and number */
	size_t n_keys;
};

static void held_roster_unref(struct held_roster *h)
{
	if (h == NULL || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	roster_deinit(&h->roster);
	free(h);
}

static void held_card_unref(struct held_card *h)
{
	if (h == NULL || atomic_fetch_sub(&h->refs, 1) != 1)
		return;
	card_deinit(&h->card);
	free(h);
}

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void trust_unref(struct trust *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (size_t i = 0; i < t->n_rosters; i++)
		held_roster_unref(t->rosters[i]);
	for (size_t i = 0; i < t->n_rivals; i++)
		held_roster_unref(t->rivals[i]);
	for (size_t i = 0; i < t->n_cards; i++)
		held_card_unref(t->cards[i]);
	free(t->rosters);
	free(t->rivals);
	free(t->pins);
	free(t->cards);
	free(t->keys);
	free(t);
}

static const struct roster *newest(const struct trust *t)
{
	return &t->rosters[t->n_rosters - 1]->roster;
}

/* The index behind the last card of a member. */
static size_t behind_cards(const struct trust *t, const char *member)
{
	size_t low = 0, high = t->n_cards;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(t->cards[middle]->card.member, member) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The last card of a member that this identity key signed; NULL: none. */
static const struct held_card *last_signed_by(const struct trust *t, const char *member, const uint8_t *identity)
{
	for (size_t i = behind_cards(t, member); i-- > 0 && strcmp(t->cards[i]->card.member, member) == 0;)
		if (memcmp(t->cards[i]->identity, identity, SIGN_PUBLIC_LEN) == 0)
			return t->cards[i];
	return NULL;
}

/* The order of keys: by member, then by number. */
static int compare_known_keys(const void *a, const void *b)
{
	const struct known_key *x = a, *y = b;
	int order = strcmp(x->member, y->member);

	if (order != 0)
		return order;
	return x->number < y->number ? -1 : x->number > y->number;
}

static const struct known_key *find_key(const struct trust *t, const char *member, uint32_t number)
{
	struct known_key wanted = {.member = member, .number = number};

	if (t->n_keys == 0)
		return NULL;
	return bsearch(&wanted, t->keys, t->n_keys, sizeof *t->keys, compare_known_keys);
}

static bool is_by(const struct known_key *k, const uint8_t *identity)
{
	return memcmp(k->identity, identity, SIGN_PUBLIC_LEN) == 0;
}

/* What a card makes of a key that is known. What a former identity key said, a thief of it may have said: so the first card under another one
 * decides about all keys, and does not know those that it leaves out. */
static void learn_key(struct known_key *k, const struct held_card *h)
{
	const struct card_key *now = card_key(&h->card, k->number);
	bool same = is_by(k, h->identity);

	if (now == NULL)
		k->state = same && k->state != CARD_KEY_REVOKED ? CARD_KEY_RETIRED : CARD_KEY_REVOKED;
	else if (!same || k->state != CARD_KEY_REVOKED)
		k->state = now->state;
	k->proven |= now != NULL && now->state == CARD_KEY_CURRENT;
	k->identity = h->identity;
}

/* Brings the keys up to date with a member's new card, for which there is room. */
static void learn_keys(struct trust *t, const struct held_card *h)
{
	const struct card *c = &h->card;
	size_t n = t->n_keys;

	for (size_t i = 0; i < n; i++)
		if (strcmp(t->keys[i].member, c->member) == 0)
			learn_key(&t->keys[i], h);
	for (size_t i = 0; i < c->n_keys; i++) {
		const struct card_key *k = &c->keys[i];
		struct known_key key = {
			c->member, k->number, k->state, k->state == CARD_KEY_CURRENT, k->sign, h->identity};

		if (n == 0 || bsearch(&key, t->keys, n, sizeof key, compare_known_keys) == NULL)
			t->keys[t->n_keys++] = key;
	}
	qsort(t->keys, t->n_keys, sizeof *t->keys, compare_known_keys);
}

/* The newest roster in which the member had this identity key; 0: none that is held. */
static uint32_t last_roster_with(const struct trust *t, const char *member, const uint8_t *identity)
{
	for (size_t i = t->n_rosters; i-- > 0;) {
		const struct roster_member *m = roster_member(&t->rosters[i]->roster, member);

		if (m != NULL && memcmp(m->identity, identity, SIGN_PUBLIC_LEN) == 0)
			return t->rosters[i]->roster.number;
	}
	return 0;
}

static void forget_keys(struct trust *t, const char *member)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_keys; i++)
		if (strcmp(t->keys[i].member, member) != 0)
			t->keys[n++] = t->keys[i];
	t->n_keys = n;
}

/* What all cards of a member say of its keys, there is room for them: those of an earlier identity key first, whenever they came. */
static void judge_keys(struct trust *t, const char *member)
{
	size_t behind = behind_cards(t, member), first = behind;
	uint32_t at = 0, next;

	while (first > 0 && strcmp(t->cards[first - 1]->card.member, member) == 0)
		first--;
	forget_keys(t, member);
	do {
		next = UINT32_MAX;
		for (size_t i = first; i < behind; i++) {
			uint32_t number = last_roster_with(t, member, t->cards[i]->identity);

			if (number == at)
				learn_keys(t, t->cards[i]);
			else if (number > at && number < next)
				next = number;
		}
		at = next;
	} while (next != UINT32_MAX);
}

/* An empty one with room for one roster, rival, pin and card more than `from` has, and for `n_keys` keys more. */
static struct trust *make_room(const struct trust *from, size_t n_keys)
{
	struct trust *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	atomic_init(&t->refs, 1);
	t->anchor = from->anchor;
	t->rosters = calloc(from->n_rosters + 1, sizeof(struct held_roster *));
	t->rivals = calloc(from->n_rivals + 1, sizeof(struct held_roster *));
	t->pins = calloc(from->n_pins + 1, sizeof *t->pins);
	t->cards = calloc(from->n_cards + 1, sizeof(struct held_card *));
	t->keys = calloc(from->n_keys + n_keys + 1, sizeof *t->keys);
	if (t->rosters != NULL && t->rivals != NULL && t->pins != NULL && t->cards != NULL && t->keys != NULL)
		return t;
	trust_unref(t);
	return NULL;
}

/* Takes a roster or card that another trust holds too. */
static struct held_roster *share_roster(struct held_roster *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

static struct held_card *share_card(struct held_card *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

static void copy_pins(struct trust *t, const struct trust *from)
{
	for (size_t i = 0; i < from->n_pins; i++)
		t->pins[t->n_pins++] = from->pins[i];
}

/* A copy that shares all rosters and cards, with room for one of each and `n_keys` keys more. */
static struct trust *copy(const struct trust *from, size_t n_keys)
{
	struct trust *t = make_room(from, n_keys);

	if (t == NULL)
		return NULL;
	while (t->n_rosters < from->n_rosters) {
		t->rosters[t->n_rosters] = share_roster(from->rosters[t->n_rosters]);
		t->n_rosters++;
	}
	while (t->n_rivals < from->n_rivals) {
		t->rivals[t->n_rivals] = share_roster(from->rivals[t->n_rivals]);
		t->n_rivals++;
	}
	while (t->n_cards < from->n_cards) {
		t->cards[t->n_cards] = share_card(from->cards[t->n_cards]);
		t->n_cards++;
	}
	copy_pins(t, from);
	if (from->n_keys != 0)
		memcpy(t->keys, from->keys, from->n_keys * sizeof *t->keys);
	t->n_keys = from->n_keys;
	return t;
}

/* Makes `*out` from `from` with one more roster, the oldest or the newest, which it takes on success. */
static int add_roster(struct trust **out, const struct trust *from, struct held_roster *h)
{
	struct trust *t = copy(from, 0);

	if (t == NULL)
		return -ENOMEM;
	if (t->n_rosters > 0 && h->roster.number < t->rosters[0]->roster.number) {
		memmove(t->rosters + 1, t->rosters, t->n_rosters * sizeof(struct held_roster *));
		t->rosters[0] = h;
	} else {
		t->rosters[t->n_rosters] = h;
	}
	t->n_rosters++;
	*out = t;
	return 0;
}

/* The same with one more rival. */
static int add_rival(struct trust **out, const struct trust *from, struct held_roster *h)
{
	struct trust *t = copy(from, 0);

	if (t == NULL)
		return -ENOMEM;
	t->rivals[t->n_rivals++] = h;
	*out = t;
	return 0;
}

/* Puts a card behind the others of its member; there is room for it and its keys. */
static void put_card(struct trust *t, struct held_card *h)
{
	size_t at = behind_cards(t, h->card.member);

	memmove(t->cards + at + 1, t->cards + at, (t->n_cards - at) * sizeof(struct held_card *));
	t->cards[at] = h;
	t->n_cards++;
	judge_keys(t, h->card.member);
}

/* Makes `*out` from `from` with one more card, which it takes on success. */
static int add_card(struct trust **out, const struct trust *from, struct held_card *h)
{
	struct trust *t = copy(from, h->card.n_keys);

	if (t == NULL)
		return -ENOMEM;
	put_card(t, h);
	*out = t;
	return 0;
}

static int read_roster(struct held_roster **out, const char *name, struct bytes text, struct problems *problems)
{
	struct held_roster *h = calloc(1, sizeof *h);
	int r;

	*out = NULL;
	if (h == NULL)
		return -ENOMEM;
	atomic_init(&h->refs, 1);
	r = roster_parse(&h->roster, name, text, problems);
	if (r != 0) {
		free(h);
		return r == ROSTER_BAD ? TRUST_REFUSED : r;
	}
	*out = h;
	return 0;
}

static int check_anchor(
	const struct roster *r, const struct digest *pinned, const char *name, struct problems *problems)
{
	if (r->first)
		return roster_check_first(r, pinned, name, problems);
	if (digest_equal(&r->note.digest, pinned))
		return 0;
	note_problem_at(
		problems, name, 1, "another digest than the one that is pinned: not the roster that was agreed");
	return ROSTER_BAD;
}

int trust_new(struct trust **out, const struct digest *pinned, const char *name, struct bytes roster,
	struct problems *problems)
{
	struct trust nothing = {.anchor = *pinned};
	struct held_roster *h = NULL;
	int r;

	*out = NULL;
	r = read_roster(&h, name, roster, problems);
	if (r != 0)
		goto out;
	r = check_anchor(&h->roster, pinned, name, problems);
	if (r != 0) {
		r = TRUST_REFUSED;
		goto out;
	}
	r = add_roster(out, &nothing, h);
	if (r == 0)
		h = NULL;
out:
	held_roster_unref(h);
	return r;
}

/* What became of a key number before: it keeps its key, and one that went does not come back under the same identity key. */
static void check_history(const struct trust *t, const struct card *c, const uint8_t *identity, const char *name,
	struct problems *problems)
{
	for (size_t i = 0; i < c->n_keys; i++) {
		const struct card_key *k = &c->keys[i];
		const struct known_key *before = find_key(t, c->member, k->number);

		if (before == NULL)
			continue;
		if (memcmp(before->sign, k->sign, SIGN_PUBLIC_LEN) != 0)
			note_problem_at(problems, name, k->line,
				"number %u belongs to another key of an earlier card: a new key "
				"takes a new number",
				k->number);
		else if (!is_by(before, identity))
			continue;
		else if (k->state == CARD_KEY_CURRENT && before->state != CARD_KEY_CURRENT)
			note_problem_at(problems, name, k->line,
				"key %u was %s by an earlier card and cannot come back", k->number,
				before->state == CARD_KEY_REVOKED ? "revoked" : "retired");
		else if (k->state == CARD_KEY_RETIRED && before->state == CARD_KEY_REVOKED)
			note_problem_at(problems, name, k->line, "key %u was revoked by an earlier card and stays so",
				k->number);
	}
}

static bool holds_rival(const struct trust *t, const struct roster *r)
{
	for (size_t i = 0; i < t->n_rivals; i++)
		if (digest_equal(&t->rivals[i]->roster.note.digest, &r->note.digest))
			return true;
	return false;
}

static bool is_pinned(const struct trust *t, const struct roster *r)
{
	for (size_t i = 0; i < t->n_pins; i++)
		if (digest_equal(&t->pins[i].digest, &r->note.digest))
			return true;
	return false;
}

/* A roster with a number that is held: this one, or a second one whose signatures are as good. */
static int judge_held_roster(const struct trust *t, const struct roster *r, const char *name, struct problems *problems)
{
	const struct roster *held = trust_roster_number(t, r->number), *before = trust_roster_number(t, r->number - 1);

	if (digest_equal(&held->note.digest, &r->note.digest) || holds_rival(t, r))
		return TRUST_KNOWN;
	if (before != NULL)
		return roster_check_next(before, r, name, problems) == 0 ? TRUST_FORK : TRUST_REFUSED;
	note_problem_at(problems, name, 1, "not the roster %u that is pinned", r->number);
	return TRUST_REFUSED;
}

/* Whether a member had this identity key by a roster that is held. */
static bool had_identity(const struct trust *t, const char *member, const uint8_t *identity)
{
	for (size_t i = 0; i < t->n_rosters; i++) {
		const struct roster_member *m = roster_member(&t->rosters[i]->roster, member);

		if (m != NULL && memcmp(m->identity, identity, SIGN_PUBLIC_LEN) == 0)
			return true;
	}
	return false;
}

/* Keeps a roster that is not in force as a rival, when it follows one that is. */
static void share_rival(struct trust *t, struct held_roster *h)
{
	const struct roster *r = &h->roster, *before = trust_roster_number(t, r->number - 1);

	if (before != NULL && digest_equal(&before->note.digest, &r->previous) && t->n_rivals < RIVALS_MAX)
		t->rivals[t->n_rivals++] = share_roster(h);
}

/* Makes `*out` the trust whose chain ends with `h`, which follows a roster of `from` and which it takes on success. */
static int turn_to(struct trust **out, const struct trust *from, struct held_roster *h)
{
	struct trust *t = make_room(from, 0);
	struct problems ignored = {0};

	if (t == NULL)
		return -ENOMEM;
	copy_pins(t, from);
	while (from->rosters[t->n_rosters]->roster.number < h->roster.number) {
		t->rosters[t->n_rosters] = share_roster(from->rosters[t->n_rosters]);
		t->n_rosters++;
	}
	share_rival(t, from->rosters[t->n_rosters]);
	t->rosters[t->n_rosters++] = h;
	for (size_t i = 0; i < from->n_rivals; i++)
		if (from->rivals[i] != h)
			share_rival(t, from->rivals[i]);
	for (size_t i = 0; i < from->n_cards; i++) {
		struct held_card *c = from->cards[i];
		size_t before = ignored.total;

		check_history(t, &c->card, c->identity, "card", &ignored);
		if (ignored.total == before && had_identity(t, c->card.member, c->identity))
			put_card(t, share_card(c));
	}
	problems_deinit(&ignored);
	*out = t;
	return 0;
}

/* What becomes of a roster beside one with its number, which is taken on success. */
static int with_second_roster(
	struct trust **out, const struct trust *t, struct held_roster *h, const char *name, struct problems *problems)
{
	int r = judge_held_roster(t, &h->roster, name, problems);

	if (r != TRUST_FORK)
		return r;
	if (is_pinned(t, &h->roster))
		return turn_to(out, t, h);
	if (t->n_rivals < RIVALS_MAX)
		r = add_rival(out, t, h);
	return r == 0 ? TRUST_FORK : r;
}

/* An older roster than all that are held: the one before is named by its digest, and so is as good as they are. */
static int with_older_roster(struct trust **out, const struct trust *t, struct held_roster *h)
{
	const struct roster *oldest = &t->rosters[0]->roster;

	if (h->roster.number + 1 != oldest->number || !digest_equal(&h->roster.note.digest, &oldest->previous))
		return TRUST_OLDER;
	return add_roster(out, t, h);
}

static int with_roster(
	struct trust **out, const struct trust *t, const char *name, struct bytes text, struct problems *problems)
{
	struct held_roster *h = NULL;
	int r;

	r = read_roster(&h, name, text, problems);
	if (r != 0)
		return r;
	if (h->roster.number < trust_oldest_roster(t))
		r = with_older_roster(out, t, h);
	else if (h->roster.number <= newest(t)->number)
		r = with_second_roster(out, t, h, name, problems);
	else if (roster_check_next(newest(t), &h->roster, name, problems) != 0)
		r = TRUST_REFUSED;
	else
		r = add_roster(out, t, h);
	if (*out == NULL)
		held_roster_unref(h);
	return r;
}

/* A card says of every key of the one before what became of it: who joins later gets the newest card only, and verifies with it what all
 * of them signed. What a former identity key signed may be a thief's, and its keys need not be known to their member. */
static void check_complete(const struct trust *t, const struct card *c, const uint8_t *identity, const char *name,
	struct problems *problems)
{
	const struct held_card *last = last_signed_by(t, c->member, identity);

	for (size_t i = 0; last != NULL && i < last->card.n_keys; i++)
		if (card_key(c, last->card.keys[i].number) == NULL)
			note_problem_at(problems, name, 1,
				"key %u of card %u is left out: list it as retired or revoked",
				last->card.keys[i].number, last->card.number);
}

/* The member whose identity key it is, or that has proved to hold it as a key in use; NULL: nobody. */
static const char *owner_of_key(const struct trust *t, const char *member, const struct card_key *key)
{
	const struct roster *r = newest(t);

	for (size_t i = 0; i < r->n_members; i++)
		if (memcmp(r->members[i].identity, key->sign, SIGN_PUBLIC_LEN) == 0)
			return r->members[i].handle;
	for (size_t i = 0; i < t->n_keys && key->state == CARD_KEY_CURRENT; i++) {
		const struct known_key *k = &t->keys[i];

		if (k->proven && strcmp(k->member, member) != 0 && memcmp(k->sign, key->sign, SIGN_PUBLIC_LEN) == 0)
			return k->member;
	}
	return NULL;
}

/* Public keys are there for everybody to copy, so only what its member has proved to hold keeps a card out. A card proves its keys
 * in use, by their signatures. Lines of retired and revoked keys prove nothing and let nobody in: they neither keep out nor are kept
 * out. Nor do link keys: who holds one is shown at each Hello, which names both link keys and is signed by the signing key. */
static void check_owners(const struct trust *t, const struct card *c, const char *name, struct problems *problems)
{
	for (size_t i = 0; i < c->n_keys; i++) {
		const char *owner = owner_of_key(t, c->member, &c->keys[i]);

		if (owner != NULL)
			note_problem_at(
				problems, name, c->keys[i].line, "key %u is a key of %s", c->keys[i].number, owner);
	}
}

/* Everything about a card that its place among the others does not decide. `*identity` is its member's. */
static int check_card(const struct trust *t, const struct card *c, const uint8_t **identity, const char *name,
	struct problems *problems)
{
	const struct roster_member *m = roster_member(newest(t), c->member);

	if (!digest_equal(&c->network, trust_network(t))) {
		note_problem_at(problems, name, 1, "a card for another network");
		return TRUST_REFUSED;
	}
	if (m == NULL) {
		note_problem_at(problems, name, 1, "%s is no member by roster %u", c->member, newest(t)->number);
		return TRUST_REFUSED;
	}
	*identity = m->identity;
	return card_check(c, m->identity, name, problems) == 0 ? 0 : TRUST_REFUSED;
}

/* Where a good card stands among those its member's identity key signed before: 0 when it is the next one. */
static int judge_number(const struct trust *t, const struct card *c, const uint8_t *identity)
{
	const struct held_card *last = last_signed_by(t, c->member, identity);

	for (size_t i = behind_cards(t, c->member); i-- > 0 && strcmp(t->cards[i]->card.member, c->member) == 0;) {
		const struct held_card *h = t->cards[i];

		if (h->card.number == c->number && memcmp(h->identity, identity, SIGN_PUBLIC_LEN) == 0)
			return digest_equal(&h->card.note.digest, &c->note.digest) ? TRUST_KNOWN : TRUST_FORK;
	}
	return last != NULL && c->number < last->card.number ? TRUST_OLDER : 0;
}

/* Whether this very text is held, under whatever identity key it was accepted. */
static bool holds_card(const struct trust *t, const struct card *c)
{
	for (size_t i = behind_cards(t, c->member); i-- > 0 && strcmp(t->cards[i]->card.member, c->member) == 0;)
		if (digest_equal(&t->cards[i]->card.note.digest, &c->note.digest))
			return true;
	return false;
}

/* The identity key by which a card of this network is good, of the newest roster in which its member had it; NULL: none. */
static const uint8_t *find_signer(const struct trust *t, const struct card *c)
{
	const uint8_t *found = NULL;

	for (size_t i = t->n_rosters; i-- > 0 && found == NULL && digest_equal(&c->network, trust_network(t));) {
		const struct roster_member *m = roster_member(&t->rosters[i]->roster, c->member);
		struct problems ignored = {0};

		if (m != NULL && card_check(c, m->identity, "card", &ignored) == 0)
			found = m->identity;
		problems_deinit(&ignored);
	}
	return found;
}

static int judge_card(
	const struct trust *t, struct held_card *h, bool again, const char *name, struct problems *problems)
{
	const struct card *c = &h->card;
	const uint8_t *identity = again ? find_signer(t, c) : NULL;
	size_t before = problems->total;
	int r = 0;

	if (holds_card(t, c))
		return TRUST_KNOWN;
	if (identity == NULL)
		r = check_card(t, c, &identity, name, problems);
	if (r == 0)
		r = judge_number(t, c, identity);
	if (r != 0)
		return r;
	check_history(t, c, identity, name, problems);
	if (!again) {
		check_complete(t, c, identity, name, problems);
		check_owners(t, c, name, problems);
	}
	memcpy(h->identity, identity, sizeof h->identity);
	return problems->total == before ? 0 : TRUST_REFUSED;
}

static int with_card(struct trust **out, const struct trust *t, bool again, const char *name, struct bytes text,
	struct problems *problems)
{
	struct held_card *h = calloc(1, sizeof *h);
	int r;

	if (h == NULL)
		return -ENOMEM;
	atomic_init(&h->refs, 1);
	r = card_parse(&h->card, name, text, problems);
	if (r == CARD_BAD)
		r = TRUST_REFUSED;
	if (r != 0)
		goto out;
	r = judge_card(t, h, again, name, problems);
	if (r != 0)
		goto out;
	r = add_card(out, t, h);
	if (r == 0)
		h = NULL;
out:
	held_card_unref(h);
	return r;
}

static int with_note(struct trust **out, const struct trust *t, bool again, const char *name, struct bytes text,
	struct problems *problems)
{
	static const char roster[] = "enlight roster ";
	size_t len = strlen(roster);

	*out = NULL;
	if (text.len >= len && memcmp(text.data, roster, len) == 0)
		return with_roster(out, t, name, text, problems);
	return with_card(out, t, again, name, text, problems);
}

int trust_with(struct trust **out, struct trust *t, const char *name, struct bytes text, struct problems *problems)
{
	return with_note(out, t, false, name, text, problems);
}

int trust_again(struct trust **out, struct trust *t, const char *name, struct bytes text, struct problems *problems)
{
	return with_note(out, t, true, name, text, problems);
}

/* The trust with a pin, in place of another for the same number. */
static struct trust *with_pin(const struct trust *t, uint32_t number, const struct digest *digest)
{
	struct trust *next = copy(t, 0);
	size_t i = 0;

	if (next == NULL)
		return NULL;
	while (i < next->n_pins && next->pins[i].number != number)
		i++;
	next->pins[i] = (struct pin){number, *digest};
	next->n_pins += i == next->n_pins;
	return next;
}

int trust_pin(struct trust **out, struct trust *t, uint32_t number, const struct digest *digest)
{
	struct trust *pinned;
	int r = 0;

	*out = NULL;
	for (size_t i = 0; i < t->n_pins; i++)
		if (t->pins[i].number == number && digest_equal(&t->pins[i].digest, digest))
			return TRUST_KNOWN;
	pinned = with_pin(t, number, digest);
	if (pinned == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < pinned->n_rivals && *out == NULL && r == 0; i++)
		if (digest_equal(&pinned->rivals[i]->roster.note.digest, digest)) {
			r = turn_to(out, pinned, share_roster(pinned->rivals[i]));
			if (r != 0)
				held_roster_unref(pinned->rivals[i]);
		}
	if (*out != NULL || r != 0)
		trust_unref(pinned);
	else
		*out = pinned;
	return r;
}

const struct digest *trust_network(const struct trust *t)
{
	return &newest(t)->origin;
}

const struct roster *trust_roster(const struct trust *t)
{
	return newest(t);
}

const struct roster *trust_roster_number(const struct trust *t, uint32_t number)
{
	uint32_t oldest = trust_oldest_roster(t);

	return number < oldest || number - oldest >= t->n_rosters ? NULL : &t->rosters[number - oldest]->roster;
}

uint32_t trust_oldest_roster(const struct trust *t)
{
	return t->rosters[0]->roster.number;
}

const struct digest *trust_anchor(const struct trust *t)
{
	return &t->anchor;
}

size_t trust_n_rivals(const struct trust *t)
{
	return t->n_rivals;
}

const struct roster *trust_rival(const struct trust *t, size_t i)
{
	return &t->rivals[i]->roster;
}

bool trust_settled(const struct trust *t, uint32_t number)
{
	for (size_t i = 0; i < t->n_rosters; i++) {
		const struct roster *r = &t->rosters[i]->roster;

		if (r->number >= number && (is_pinned(t, r) || digest_equal(&r->note.digest, &t->anchor)))
			return true;
	}
	return false;
}

size_t trust_disputes(const struct trust *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n_rivals; i++)
		n += !trust_settled(t, t->rivals[i]->roster.number);
	return n;
}

const struct roster *trust_find_roster(const struct trust *t, const struct digest *digest)
{
	for (size_t i = 0; i < t->n_rosters; i++)
		if (digest_equal(&t->rosters[i]->roster.note.digest, digest))
			return &t->rosters[i]->roster;
	for (size_t i = 0; i < t->n_rivals; i++)
		if (digest_equal(&t->rivals[i]->roster.note.digest, digest))
			return &t->rivals[i]->roster;
	return NULL;
}

const struct card *trust_card(const struct trust *t, const char *member)
{
	const struct roster_member *m = roster_member(newest(t), member);
	const struct held_card *h = m == NULL ? NULL : last_signed_by(t, member, m->identity);

	return h == NULL ? NULL : &h->card;
}

const uint8_t *trust_sign_key(const struct trust *t, const char *member, uint32_t number, enum card_key_state *state)
{
	const struct known_key *k = find_key(t, member, number);

	if (k == NULL)
		return NULL;
	*state = k->state;
	/* A former member's last card still says what its keys were; one whose identity key was changed may be a thief's. */
	if (k->state == CARD_KEY_CURRENT && trust_is_member(t, member) && trust_card(t, member) == NULL)
		*state = CARD_KEY_RETIRED;
	return k->sign;
}

bool trust_is_revoked(const struct trust *t, const char *member, uint32_t number)
{
	const struct known_key *k = find_key(t, member, number);

	return k != NULL && k->state == CARD_KEY_REVOKED;
}

const char *trust_resolve(void *trust, const char *name)
{
	return roster_resolve(newest(trust), name);
}

bool trust_is_member(const struct trust *t, const char *member)
{
	return roster_member(newest(t), member) != NULL;
}

bool trust_was_member(const struct trust *t, const char *member)
{
	for (size_t i = 0; i < t->n_rosters; i++)
		if (roster_member(&t->rosters[i]->roster, member) != NULL)
			return true;
	return false;
}

bool trust_knows(const struct trust *t, const char *audience)
{
	char *parts[AUDIENCE_MAX], *copy;
	bool known = true;
	size_t n;

	if (strcmp(audience, AUDIENCE_NETWORK) == 0)
		return true;
	copy = strdup(audience);
	if (copy == NULL)
		return false;
	n = audience_split(copy, parts);
	for (size_t i = 0; i < n && known; i++)
		known = trust_was_member(t, parts[i]);
	free(copy);
	return known;
}
