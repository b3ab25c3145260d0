/* Rosters and cards, and what stands in front of a backup. The first byte says how the text is taken: as it is, or signed here by everybody whose keys there are, so that
 * what is behind the signatures is reached too. */
#include "world.h"

#include "core/backup_head.h"

static void take(struct bytes text)
{
	struct problems problems = {0};
	struct trust *t = fuzz_trust(), *next, *again;
	int r = trust_with(&next, t, "note", text, &problems);

	must(r == TRUST_FORK || (r == 0) == (next != NULL));
	must((r == TRUST_REFUSED) == (problems.total > 0));
	if (next != NULL) /* once taken it is known */
		must(trust_with(&again, next, "note", text, &problems) == TRUST_KNOWN && again == NULL);
	problems_deinit(&problems);
	trust_unref(next);
	trust_unref(t);
}

static void parse(struct bytes text)
{
	struct problems problems = {0};
	struct roster roster;
	struct backup_head head;
	struct card card;
	int r = roster_parse(&roster, "roster", text, &problems);

	if (r == 0) {
		must(roster.n_members > 0 && roster.quorum * 2 > roster.n_members);
		must(roster_member(&roster, roster.members[0].handle) != NULL);
	}
	roster_deinit(&roster);
	r = card_parse(&card, "card", text, &problems);
	if (r == 0) {
		must(card_newest_key(&card) != NULL);
		card_check(&card, card.keys[0].sign, "card", &problems);
	}
	card_deinit(&card);
	r = backup_head_parse(&head, "backup", text, &problems);
	must(r == 0 ? head.len > 0 && head.len <= text.len : problems.total > 0);
	problems_deinit(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choices c = {data, size};
	uint8_t signers = choose(&c);
	struct buffer text = {0};

	buffer_add(&text, c.at, c.left);
	for (size_t i = 0; i < 2 * (size_t)FUZZ_MEMBERS && text.len > 0; i++) {
		struct actor a = actor_of(fuzz_members[i / 2], 0);

		if ((signers >> i & 1) == 0)
			continue;
		if (i % 2 == 0)
			sign_by(&text, &a);
		else
			sign_by_node(&text, a.handle, 1);
	}
	parse(view(&text));
	take(view(&text));
	buffer_deinit(&text);
	return 0;
}
