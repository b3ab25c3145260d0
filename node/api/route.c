#include "api/route.h"

#include "api/access.h"
#include "api/cloudevents.h"
#include "api/handlers.h"
#include "core/limits.h"
#include "core/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILTERS                                                                                                        \
	{"source", "only events that this member published"}, {"topic", "only this topic, or pattern (`course.*`)"},   \
		{"subject", "only events about this object"},                                                          \
	{                                                                                                              \
		"audience", "only events to this audience (`network`, or members with commas between)"                 \
	}
#define REASON                                                                                                         \
	{                                                                                                              \
		"reason", "why, for the audit trail"                                                                   \
	}
#define DATA                                                                                                           \
	{                                                                                                              \
		"data", "`true`: with payloads; that an operator reads them is noted in the audit trail"               \
	}

/* By path; of one path GET first. */
const struct route routes[] = {
	{"GET", "/", ACCESS_ANYONE, true, 0, handle_index, {{0}}, "This list"},
	{"GET", "/livez", ACCESS_ANYONE, true, 0, handle_live, {{0}}, "200 while the loop turns"},
	{"GET", "/metrics", ACCESS_ANYONE, true, 0, handle_metrics, {{0}}, "Metrics and counts, as Prometheus text"},
	{"GET", "/readyz", ACCESS_ANYONE, true, 0, handle_ready, {{0}},
		"200 when events can be published, else 503 with reasons"},
	{"GET", "/v1/backup", ACCESS_OPERATOR, false, 0, handle_backup, {{0}},
		"The copy of the store that is being made: `state` copying, ready (with the `head` of the backup's "
		"file) or "
		"failed; given up when nobody asks for a minute"},
	{"POST", "/v1/backup", ACCESS_OPERATOR, false, 0, handle_backup_begin, {REASON},
		"Begins a copy of the store; noted in the audit trail, of which the copy has that note"},
	{"DELETE", "/v1/backup", ACCESS_OPERATOR, false, 0, handle_backup_end,
		{{"kept", "`true`: it is where it is to stay; the node notes when"}}, "Done with the copy"},
	{"GET", "/v1/backup/database", ACCESS_OPERATOR, false, 0, handle_backup_database, {{0}},
		"The copy that is ready (application/octet-stream): what follows the head in the backup's file"},
	{"POST", "/v1/cards", ACCESS_OPERATOR, false, NOTE_MAX, handle_card, {REASON},
		"Takes in a member's card (text/plain)"},
	{"GET", "/v1/channels", ACCESS_OPERATOR, false, 0, handle_channels,
		{{"source", "only channels of this member"}, {"audience", "only channels for this audience"}},
		"Channels, their heads and receipts"},
	{"GET", "/v1/channels/{source}/{audience}/fork", ACCESS_OPERATOR, false, 0, handle_fork_get, {{0}},
		"A file that proves that the publisher showed two histories (application/octet-stream), for `enlight "
		"verify`"},
	{"GET", "/v1/dead-letters", ACCESS_OPERATOR, false, 0, handle_held,
		{{"plugin", "only this plugin's"},
			{"state", "`dead`, `retrying` or `parked`; without it the first two"},
			{"after", "cursor: those behind this one, as in an answer's `next`"},
			{"limit", "1 to 1000; 100 when not given"}},
		"A page of the events that plugins have not done: plugin by plugin, oldest first"},
	{"GET", "/v1/dead-letters/{plugin}/{place}", ACCESS_OPERATOR, false, 0, handle_held_row, {{0}},
		"One of them, with the places parked behind it"},
	{"DELETE", "/v1/dead-letters/{plugin}/{place}", ACCESS_OPERATOR, false, 4096, handle_held_drop, {{0}},
		"The plugin will never get it; body `{\"reason\": \"...\"}`"},
	{"POST", "/v1/dead-letters/{plugin}/{place}/retry", ACCESS_OPERATOR, false, 4096, handle_held_retry, {REASON},
		"The plugin gets it again now"},
	{"POST", "/v1/dead-letters/{plugin}/retry", ACCESS_OPERATOR, false, 4096, handle_held_retry_all,
		{{"source", "only events that this member published"},
			{"topic", "only this topic, or pattern (`course.*`)"}, REASON},
		"The plugin gets again now all that are not parked"},
	{"GET", "/v1/events", ACCESS_READER, false, 0, handle_events_get,
		{FILTERS, {"after", "cursor: events behind this place"},
			{"limit", "1 to 1000, with data to 200; 100 when not given"}, DATA},
		"A page of events, oldest first"},
	{"POST", "/v1/events", ACCESS_PUBLISHER, false, EVENTS_BODY_MAX, handle_events_post, {{0}},
		"Publishes CloudEvents: all of a request or none"},
	{"GET", "/v1/events/stream", ACCESS_READER, false, 0, handle_events_stream,
		{FILTERS,
			{"after", "cursor (`0.0`: the beginning); without it, and without Last-Event-ID, only what "
				  "comes"},
			DATA},
		"Events as they come, as server-sent events; Last-Event-ID resumes"},
	{"GET", "/v1/events/{source}/{id}", ACCESS_READER, false, 0, handle_event_get, {DATA}, "One event"},
	{"GET", "/v1/events/{source}/{id}/evidence", ACCESS_READER, false, 0, handle_evidence_get, {{0}},
		"A file that proves it (application/octet-stream), for `enlight verify`; noted in the audit trail"},
	{"GET", "/v1/invite", ACCESS_OPERATOR, false, 0, handle_invite, {{0}},
		"What a new member begins with: the roster in force and the cards under it"},
	{"GET", "/v1/peers", ACCESS_OPERATOR, false, 0, handle_peers, {{0}}, "Members and the links to their nodes"},
	{"POST", "/v1/peers/{member}/block", ACCESS_OPERATOR, false, 4096, handle_peer_block, {{0}},
		"Ends the link to a member; body `{\"reason\": \"...\"}`"},
	{"DELETE", "/v1/peers/{member}/block", ACCESS_OPERATOR, false, 0, handle_peer_unblock, {REASON},
		"Lets it connect again"},
	{"GET", "/v1/plugins", ACCESS_OPERATOR, false, 0, handle_plugins, {{0}}, "Plugins and how far they have come"},
	{"GET", "/v1/rosters", ACCESS_OPERATOR, false, 0, handle_rosters, {{0}},
		"Rosters held, those that compete with another of their number among them"},
	{"POST", "/v1/rosters", ACCESS_OPERATOR, false, NOTE_MAX, handle_roster, {REASON},
		"Takes in the next roster (text/plain)"},
	{"GET", "/v1/rosters/{digest}", ACCESS_OPERATOR, false, 0, handle_roster_text, {{0}},
		"One of them: its `text`, as it was signed"},
	{"POST", "/v1/rosters/{digest}/pin", ACCESS_OPERATOR, false, 0, handle_roster_pin, {REASON},
		"Of all rosters with its number this one counts, at this node"},
	{"GET", "/v1/status", ACCESS_READER | ACCESS_PUBLISHER, false, 0, handle_status, {{0}}, "The node in one view"},
	{"GET", "/v1/store/check", ACCESS_OPERATOR, false, 0, handle_store_check,
		{{"after", "the number of a batch: those stored behind it; without it from the beginning"}},
		"Looks through a page of stored batches: digest, chain, signature, seal and root of each; `damages` "
		"are those "
		"that the disk changed"},
	{"GET", "/v1/store/repair", ACCESS_OPERATOR, false, 0, handle_store_repairs, {{0}},
		"Batches that are asked for again, from whom, and their `state`: `asked`, `queued`, `waiting` for who "
		"is away, `refused` by all who are there (`reason`), or `nobody` has it"},
	{"POST", "/v1/store/repair", ACCESS_OPERATOR, false, 0, handle_store_repair,
		{{"number", "of the batch"}, REASON},
		"Asks for a damaged batch again, from who has it; 202 when it is one, 200 when it is whole, 404 when "
		"there is no such batch"},
	{"GET", "/v1/topics", ACCESS_ANYONE, false, 0, handle_topics, {{0}}, "Kinds of event there are"},
	{"GET", "/v1/topics/{topic}", ACCESS_ANYONE, false, 0, handle_topic, {{0}},
		"One of them, with an example of an event"},
};
const size_t n_routes = sizeof routes / sizeof *routes;

/* Cuts the first part off a path: what is between the first slash and the next. */
static struct bytes next_part(const char **path)
{
	const char *begin = *path + (**path == '/');
	size_t len = strcspn(begin, "/");

	*path = begin + len;
	return bytes_of(begin, len);
}

static bool is_variable(struct bytes part)
{
	return part.len > 2 && part.data[0] == '{';
}

static bool path_matches(const char *row, const char *path)
{
	do {
		struct bytes want = next_part(&row), have = next_part(&path);

		if (is_variable(want) ? have.len == 0 : !bytes_equal(want, have))
			return false;
		if ((*row == '\0') != (*path == '\0'))
			return false;
	} while (*row != '\0');
	return true;
}

static bool method_matches(const char *row, const char *method)
{
	return strcmp(row, method) == 0 || (strcmp(row, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* Rows without a variable part go before those with one: /v1/events/stream has three parts, an event's path four. */
const struct route *route_find(const char *method, const char *path, bool loopback, char allow[static ROUTE_ALLOW_MAX])
{
	allow[0] = '\0';
	if (path[0] != '/')
		return NULL;
	for (size_t i = 0; i < n_routes; i++) {
		if ((loopback && !routes[i].loopback) || !path_matches(routes[i].path, path))
			continue;
		if (method_matches(routes[i].method, method)) {
			allow[0] = '\0';
			return &routes[i];
		}
		strcat(allow, allow[0] == '\0' ? "" : ", ");
		strcat(allow, strcmp(routes[i].method, "GET") == 0 ? "GET, HEAD" : routes[i].method);
	}
	return NULL;
}

int route_parts(const struct route *route, const char *path,
	int (*part)(void *context, struct bytes name, struct bytes value), void *context)
{
	const char *row = route->path;
	int r = 0;

	while (r == 0 && *row != '\0') {
		struct bytes want = next_part(&row), have = next_part(&path);

		if (is_variable(want))
			r = part(context, bytes_of(want.data + 1, want.len - 2), have);
	}
	return r;
}

char *percent_decode(struct bytes text)
{
	char *out = malloc(text.len + 1);
	size_t n = 0;

	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < text.len; i++) {
		char hex[3] = {0};

		if (text.data[i] != '%') {
			out[n++] = (char)text.data[i];
			continue;
		}
		if (text.len - i < 3)
			goto bad;
		memcpy(hex, text.data + i + 1, 2);
		if (!hex_decode((uint8_t *)out + n++, 1, hex))
			goto bad;
		i += 2;
	}
	out[n] = '\0';
	if (utf8_valid((const uint8_t *)out, n))
		return out;
bad:
	free(out);
	errno = EINVAL;
	return NULL;
}
