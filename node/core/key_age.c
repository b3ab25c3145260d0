/* key_age - how long the node key in use has been that, and when its operator wants it renewed.
 *
 * A key's age begins when a node first runs with it; that is kept as a setting. Alarms rise 60, 30 and 7 days before the limit, and at it:
 * the key goes on working, since a node that stopped by itself would be worse. */
#include "core/node_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS ((uint64_t)86400000)

static const struct {
	uint64_t days_before;
	int level;
} alarms[] = {{60, LOG_LEVEL_WARN}, {30, LOG_LEVEL_WARN}, {7, LOG_LEVEL_ERROR}, {0, LOG_LEVEL_ERROR}};

void node_load_key_since(struct node *n, const char *name, const char *value)
{
	uint32_t number;

	if (note_number(&number, name + strlen(NODE_KEY_SETTING), KEY_NUMBERS_MAX) && number == n->keys.number)
		n->key_since_ms = strtoull(value, NULL, 10);
}

static void keep_since(struct node *n)
{
	char name[sizeof NODE_KEY_SETTING + 12];

	snprintf(name, sizeof name, NODE_KEY_SETTING "%u", n->keys.number);
	n->key_since_ms = n->time_ms;
	if (!keep_time(n, name, 0))
		n->key_since_ms = 0; /* the next tick tries again */
}

static uint64_t age_ms(const struct node *n, uint64_t time_ms)
{
	return n->key_since_ms == 0 || time_ms < n->key_since_ms ? 0 : time_ms - n->key_since_ms;
}

/* How many of the alarms are due. */
static size_t alarms_due(const struct node *n, uint64_t time_ms)
{
	size_t due = 0;

	while (n->key_limit_ms != 0 && due < sizeof alarms / sizeof *alarms &&
		age_ms(n, time_ms) + alarms[due].days_before * DAY_MS >= n->key_limit_ms)
		due++;
	return due;
}

void key_age_tick(struct node *n)
{
	size_t due;

	if (n->key_limit_ms == 0)
		return;
	if (n->key_since_ms == 0)
		keep_since(n);
	due = alarms_due(n, n->time_ms);
	if (due > n->key_alarms)
		node_log(n, alarms[due - 1].level, "key: to be renewed number=%u age_days=%llu limit_days=%llu",
			n->keys.number, (unsigned long long)(age_ms(n, n->time_ms) / DAY_MS),
			(unsigned long long)(n->key_limit_ms / DAY_MS));
	n->key_alarms = due;
}

void node_key(const struct node *n, uint64_t time_ms, struct node_key_view *out)
{
	const struct card *card = trust_card(n->trust, n->member);
	uint64_t age = age_ms(n, time_ms);
	bool due = alarms_due(n, time_ms) > 0;

	*out = (struct node_key_view){.number = n->keys.number, .age_ms = age, .limit_ms = n->key_limit_ms};
	if (due && age < n->key_limit_ms)
		out->due_days = (n->key_limit_ms - age + DAY_MS - 1) / DAY_MS;
	else if (due)
		out->overdue_days = (age - n->key_limit_ms) / DAY_MS + 1;
	if (card != NULL && card_newest_key(card)->number > n->keys.number)
		out->newer = card_newest_key(card)->number;
}
