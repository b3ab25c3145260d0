/* world - members, keys and trust for targets, the same in every run: ugent.be is this node's, ut.ee and rug.nl are members that the
 * fuzzer speaks for, uu.se is nobody. */
#ifndef ENLIGHT_TESTS_FUZZ_WORLD_H
#define ENLIGHT_TESTS_FUZZ_WORLD_H

#include "../unit/notes.h"
#include "core/trust.h"
#include "fuzz.h"

#define OWN "ugent.be"
static const char *const fuzz_members[] = {"rug.nl", OWN, "ut.ee", "uu.se"};
enum { FUZZ_RUG, FUZZ_OWN, FUZZ_UT, FUZZ_NOBODY, FUZZ_MEMBERS = FUZZ_NOBODY };

/* The trust with one more text, which is signed already and released here. */
static inline struct trust *fuzz_learn(struct trust *t, struct buffer *text)
{
	struct problems problems = {0};
	struct trust *next;

	must(trust_with(&next, t, "note", view(text), &problems) == 0);
	problems_deinit(&problems);
	trust_unref(t);
	buffer_deinit(text);
	return next;
}

/* The unsigned first roster. */
static inline struct buffer fuzz_roster(void)
{
	struct actor actors[FUZZ_MEMBERS];

	for (size_t i = 0; i < FUZZ_MEMBERS; i++)
		actors[i] = actor_of(fuzz_members[i], 0);
	return roster_text(NULL, 1, 2, actors, FUZZ_MEMBERS);
}

/* A reference to one value, which never changes: made once, since the signatures take long. */
static inline struct trust *fuzz_trust(void)
{
	static struct trust *made;
	struct problems problems = {0};
	struct buffer text = fuzz_roster();
	struct digest network;
	struct trust *t;

	if (made != NULL) {
		buffer_deinit(&text);
		return trust_ref(made);
	}
	digest_plain(&network, signed_part(&text));
	for (size_t i = 0; i < FUZZ_MEMBERS; i++) {
		struct actor a = actor_of(fuzz_members[i], 0);

		sign_by(&text, &a);
	}
	must(trust_new(&t, &network, "roster", view(&text), &problems) == 0);
	buffer_deinit(&text);
	for (size_t i = 0; i < FUZZ_MEMBERS; i++) {
		struct actor a = actor_of(fuzz_members[i], 0);

		text = card_text(&network, &a, 1, 1);
		t = fuzz_learn(t, &text);
	}
	made = t;
	return trust_ref(made);
}

#endif
