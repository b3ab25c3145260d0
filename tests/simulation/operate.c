#include "operate.h"

#include "network_state.h"
#include <assert.h>

static struct buffer dup_text(const struct buffer *text)
{
	struct buffer copy = {0};

	buffer_add(&copy, text->data, text->len);
	return copy;
}

static void give(struct network *w, size_t member, const struct buffer *text)
{
	struct buffer copy = dup_text(text);

	network_give_note(w, member, &copy);
}

/* To whom news is brought first: a member that is up, and not this one. */
static size_t anybody(struct network *w, size_t but)
{
	size_t at = network_random(w, (uint32_t)w->n);

	for (size_t i = 0; i < w->n; i++) {
		const struct member *m = &w->members[(at + i) % w->n];

		if (m->up && m->in_roster && (at + i) % w->n != but)
			return (at + i) % w->n;
	}
	return at;
}

/* ---- keys ---- */

/* A new card: its older key in this state, and the newer one. */
static void make_card(struct network *w, size_t member, uint32_t number, enum card_key_state older)
{
	struct member *m = &w->members[member];
	struct card_key keys[64];

	assert(number <= 64);
	for (uint32_t k = 1; k <= number; k++)
		keys[k - 1] = card_key_of(m->handle, k,
			k == number       ? CARD_KEY_CURRENT
			: k + 1 == number ? older
					  : m->key_states[k]);
	if (number > 1)
		m->key_states[number - 1] = older;
	m->key_states[number] = CARD_KEY_CURRENT;
	buffer_deinit(&m->card_text);
	m->card_text = network_card(w, member, ++m->card, keys, number);
}

static void use_key(struct network *w, size_t member, uint32_t number)
{
	struct member *m = &w->members[member];

	network_crash(w, member);
	m->keys = node_keys_of(m->handle, number);
	committer_free(m->committer);
	m->committer = committer_new(m->handle, &m->keys, &m->store_keys);
	assert(m->committer != NULL);
	network_start(w, member);
	give(w, member, &m->card_text);
	give(w, anybody(w, member), &m->card_text);
}

static bool may_renew(const struct member *m)
{
	return m->up && m->in_roster && !m->renewing && m->keys.number < 60;
}

/* The import was answered: its own node has the card, whatever happens now. */
static void import_card(struct member *m)
{
	int r;

	memory_ledger_fail(m->ledger, 0, 0);
	memory_ledger_begin(m->ledger);
	r = memory_ledger_ops.note_put(m->ledger, "card", m->handle, m->card, view(&m->card_text));
	assert(r == 0);
	memory_ledger_commit(m->ledger);
}

bool operate_renew(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (!may_renew(m))
		return false;
	m->renewing = true;
	make_card(w, member, m->keys.number + 1, CARD_KEY_CURRENT);
	give(w, member, &m->card_text);
	return true;
}

void operate_retire(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	make_card(w, member, m->keys.number + 1, CARD_KEY_RETIRED);
	use_key(w, member, m->keys.number + 1);
	m->renewing = false;
}

bool operate_may_revoke(const struct network *w, size_t member)
{
	const struct member *m = &w->members[member];

	return may_renew(m) && !m->went_back; /* readers may hold what it lacks, under this key */
}

void operate_revoke(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	make_card(w, member, m->keys.number + 1, CARD_KEY_REVOKED);
	network_crash(w, member);
	import_card(m);
	use_key(w, member, m->keys.number + 1);
}

/* ---- disks ---- */

bool operate_keep_old(struct network *w, size_t member)
{
	struct member *m = &w->members[member];

	if (m->old != NULL)
		return false;
	m->old = memory_ledger_copy(m->ledger);
	assert(m->old != NULL);
	return true;
}

void operate_go_back(struct network *w, size_t member, bool known)
{
	struct member *m = &w->members[member];
	struct memory_ledger *old = m->old;

	if (old == NULL)
		return;
	m->old = NULL;
	network_trace(w, "%s goes back%s", m->handle, known ? ", by its operator" : "");
	if (known)
		network_restore(w, member, old);
	else
		network_go_back(w, member, old);
}

/* ---- members ---- */

static void give_rosters(struct network *w, size_t member)
{
	for (size_t i = 0; i < w->n_rosters; i++)
		give(w, member, &w->rosters[i]);
}

/* The next roster, of those who are in it now; signed by them and by who was before. */
static void make_roster(struct network *w, size_t leaver)
{
	struct actor *actors = calloc(w->n, sizeof *actors);
	struct buffer text;
	size_t n = 0;

	assert(actors != NULL);
	for (size_t i = 0; i < w->n; i++)
		if (w->members[i].in_roster)
			actors[n++] = actor_of(w->members[i].handle, 0);
	text = roster_text(&w->roster, ++w->roster_number, (unsigned)(n / 2 + 1), actors, n);
	for (size_t i = 0; i < n; i++)
		sign_by(&text, &actors[i]);
	if (leaver < w->n) {
		struct actor actor = actor_of(w->members[leaver].handle, 0);

		sign_by(&text, &actor);
	}
	free(actors);
	buffer_deinit(&w->roster);
	w->roster = dup_text(&text);
	w->rosters = realloc(w->rosters, (w->n_rosters + 1) * sizeof *w->rosters);
	assert(w->rosters != NULL);
	w->rosters[w->n_rosters++] = text;
}

bool operate_join(struct network *w)
{
	size_t i = 0, host = anybody(w, w->n);
	struct member *m;

	while (i < w->n && w->members[i].joined)
		i++;
	if (i == w->n)
		return false;
	m = &w->members[i];
	m->joined = m->in_roster = true;
	make_roster(w, w->n);
	make_card(w, i, 1, CARD_KEY_RETIRED);
	network_start(w, i);
	give_rosters(w, i);
	for (size_t k = 0; k < w->n; k++)
		if (w->members[k].card_text.len > 0)
			give(w, i, &w->members[k].card_text);
	give_rosters(w, host);
	give(w, host, &m->card_text);
	return true;
}

bool operate_leave(struct network *w, size_t member)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n; i++)
		n += w->members[i].in_roster;
	if (n <= 2 * w->n / 3 || !w->members[member].in_roster || w->members[member].renewing)
		return false;
	w->members[member].in_roster = false;
	network_count_lost(w);
	make_roster(w, member);
	give_rosters(w, anybody(w, member));
	return true;
}

bool operate_minority(struct network *w, size_t member)
{
	struct actor *actors = calloc(w->n, sizeof *actors);
	struct buffer text;
	size_t n = 0;

	assert(actors != NULL);
	for (size_t i = 0; i < w->n; i++)
		if (w->members[i].in_roster && i != member)
			actors[n++] = actor_of(w->members[i].handle, 0);
	text = roster_text(&w->roster, w->roster_number + 1, (unsigned)(n / 2 + 1), actors, n);
	for (size_t i = 0; i < (n + w->members[member].in_roster) / 2; i++)
		sign_by(&text, &actors[i]);
	free(actors);
	network_give_note(w, anybody(w, member), &text);
	return true;
}

/* Whether one node would let the other's present key in. */
static bool knows(const struct network *w, size_t a, size_t b)
{
	const struct card *card = trust_card(node_trust(w->members[a].node), w->members[b].handle);
	bool found = false;

	for (size_t i = 0; card != NULL && i < card->n_keys; i++)
		found |= card->keys[i].state == CARD_KEY_CURRENT &&
			 memcmp(card->keys[i].link, w->members[b].keys.link_public, LINK_PUBLIC_LEN) == 0;
	return found;
}

static bool counts(const struct member *m)
{
	return m->up && m->in_roster;
}

/* Marks all that news can reach from here by itself. */
static void reach(const struct network *w, size_t from, bool *reached)
{
	reached[from] = true;
	for (size_t i = 0; i < w->n; i++)
		if (counts(&w->members[i]) && !reached[i] && knows(w, from, i) && knows(w, i, from))
			reach(w, i, reached);
}

void operate_again(struct network *w)
{
	bool *reached = calloc(w->n, sizeof *reached);

	assert(reached != NULL);
	for (size_t i = 0; i < w->n; i++) {
		if (w->members[i].card_text.len == 0 || !w->members[i].in_roster)
			continue;
		give_rosters(w, i);
		give(w, i, &w->members[i].card_text);
	}
	for (size_t i = 0; i < w->n; i++) {
		if (reached[i] || !counts(&w->members[i]))
			continue;
		reach(w, i, reached);
		give_rosters(w, i);
		for (size_t k = 0; k < w->n; k++)
			if (w->members[k].card_text.len > 0 && w->members[k].in_roster)
				give(w, i, &w->members[k].card_text);
	}
	free(reached);
}
