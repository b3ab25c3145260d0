/* report - what the node says of itself: /v1/status and the metrics of everything but HTTP. */
#include "api/metrics.h"
#include "loop.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Resident memory in bytes; 0: unknown. */
static uint64_t resident_bytes(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct plugin_sums {
	json_int_t n, ready, retrying, dead, unreadable;
};

static void add_plugin(void *context, const char *plugin, const struct delivery_counters *c)
{
	struct plugin_sums *sums = context;

	(void)plugin;
	sums->n++;
	sums->ready += c->ready;
	sums->retrying += (json_int_t)c->retrying;
	sums->dead += (json_int_t)c->dead;
	sums->unreadable += c->unreadable != 0;
}

static json_t *key_json(const struct loop *l)
{
	struct node_key_view k;

	node_key(l->node, loop_time_ms(), &k);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "number", (json_int_t)k.number, "age_days",
		(json_int_t)(k.age_ms / 86400000), "limit_days", (json_int_t)(k.limit_ms / 86400000), "due_days",
		(json_int_t)k.due_days, "overdue_days", (json_int_t)k.overdue_days, "newer", (json_int_t)k.newer);
}

/* `age_days` -1: there never was one. */
static json_t *backup_json(const struct loop *l)
{
	uint64_t now_ms = loop_time_ms(), last_ms = l->backup.last_ms, limit = l->config->store.backup_age_days;
	uint64_t age = last_ms == 0 || last_ms > now_ms ? 0 : (now_ms - last_ms) / 86400000;

	return json_pack("{s:I, s:I, s:I}", "age_days", last_ms == 0 ? (json_int_t)-1 : (json_int_t)age, "limit_days",
		(json_int_t)limit, "overdue_days", (json_int_t)(limit != 0 && age > limit ? age - limit : 0));
}

json_t *loop_status(void *context)
{
	const struct loop *l = context;
	const struct trust *trust = node_trust(l->node);
	const struct card *card = trust_card(trust, l->config->member);
	char network[2 * DIGEST_LEN + 1], digest[2 * DIGEST_LEN + 1];
	struct plugin_sums plugins = {0};
	struct node_counters c;

	node_counters(l->node, &c);
	host_counters(l->host, add_plugin, &plugins);
	hex_encode(network, trust_network(trust)->bytes, DIGEST_LEN);
	hex_encode(digest, trust_roster(trust)->note.digest.bytes, DIGEST_LEN);
	return json_pack("{s:s, s:s, s:s, s:{s:I, s:s, s:I}, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I}, "
			 "s:{s:I, s:I}, "
			 "s:{s:I, s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:I}",
		"member", l->config->member, "network", network, "network_name", trust_roster(trust)->network, "roster",
		"number", (json_int_t)trust_roster(trust)->number, "digest", digest, "disputed", (json_int_t)c.disputes,
		"card", (json_int_t)(card == NULL ? 0 : card->number), "uptime_seconds",
		(json_int_t)((loop_monotonic_ms() - l->started_ms) / 1000), "events", "published",
		(json_int_t)c.published, "received", (json_int_t)c.received, "refused", (json_int_t)c.refused, "behind",
		(json_int_t)c.behind, "disowned", (json_int_t)c.disowned, "store", "bytes",
		(json_int_t)store_bytes(l->store), "limit_bytes", (json_int_t)l->config->store.disk_limit_bytes,
		"repairs", (json_int_t)c.repairs, "links", "live", (json_int_t)c.live, "members", (json_int_t)c.members,
		"channels", "held", (json_int_t)c.channels, "stopped", (json_int_t)c.stopped, "withheld",
		(json_int_t)c.withheld, "forks", (json_int_t)c.forks, "raised", (json_int_t)c.raised, "republished",
		(json_int_t)c.republished, "plugins", "configured", plugins.n, "ready", plugins.ready, "retrying",
		plugins.retrying, "dead", plugins.dead, "unreadable", plugins.unreadable, "key", key_json(l), "backup",
		backup_json(l), "second_cards", (json_int_t)c.second_cards);
}

static double resident(const struct loop *l)
{
	(void)l;
	return (double)resident_bytes();
}

static double stored(const struct loop *l)
{
	return (double)store_bytes(l->store);
}

static double store_limit(const struct loop *l)
{
	return (double)l->config->store.disk_limit_bytes;
}

static double full(const struct loop *l)
{
	return l->full != NULL;
}

static double backup_time(const struct loop *l)
{
	return (double)l->backup.last_ms / 1000.0;
}

static double backup_limit(const struct loop *l)
{
	return (double)l->config->store.backup_age_days * 86400.0;
}

static double key_age(const struct loop *l)
{
	struct node_key_view k;

	node_key(l->node, loop_time_ms(), &k);
	return (double)k.age_ms / 1000.0;
}

static double key_limit(const struct loop *l)
{
	return (double)l->config->trust.key_age_days * 86400.0;
}

static double started(const struct loop *l)
{
	return (double)(loop_time_ms() - (loop_monotonic_ms() - l->started_ms)) / 1000.0;
}

/* What is asked of the process. */
static const struct {
	struct metric metric;
	double (*value)(const struct loop *l);
} gauges[] = {
	{{"enlight_backup_age_limit_seconds", METRIC_GAUGE, "seconds",
		 "How old the last backup may get (store.backup_age); 0: nobody watches"},
		backup_limit},
	{{"enlight_backup_time_seconds", METRIC_GAUGE, "seconds", "When a backup was kept last, since 1970; 0: never"},
		backup_time},
	{{"enlight_key_age_limit_seconds", METRIC_GAUGE, "seconds", "How old a node key may get; 0: no limit"},
		key_limit},
	{{"enlight_key_age_seconds", METRIC_GAUGE, "seconds", "How long the node key has been in use"}, key_age},
	{{"enlight_resident_memory_bytes", METRIC_GAUGE, "bytes", "Resident memory of the node"}, resident},
	{{"enlight_start_time_seconds", METRIC_GAUGE, "seconds", "When the node started, since 1970"}, started},
	{{"enlight_store_bytes", METRIC_GAUGE, "bytes", "Store on disk, database and write-ahead log"}, stored},
	{{"enlight_store_full", METRIC_GAUGE, "", "1: the last batch was refused for want of space"}, full},
	{{"enlight_store_limit_bytes", METRIC_GAUGE, "bytes", "Limit of the store; 0: none"}, store_limit},
};

/* What is counted in core, by its place in struct node_counters. */
#define COUNT(field) offsetof(struct node_counters, field), sizeof(((struct node_counters *)0)->field)
static const struct {
	struct metric metric;
	size_t offset, size;
} counts[] = {
	{{"enlight_events_published_total", METRIC_COUNTER, "", "Events that this node published since it started"},
		COUNT(published)},
	{{"enlight_events_received_total", METRIC_COUNTER, "", "Events taken in from others since the node started"},
		COUNT(received)},
	{{"enlight_events_refused_total", METRIC_COUNTER, "", "Events taken in that break a rule of their topic"},
		COUNT(refused)},
	{{"enlight_events_stale_total", METRIC_COUNTER, "", "Decisions taken in that judge an older revision"},
		COUNT(stale)},
	{{"enlight_events_behind", METRIC_GAUGE, "", "Events of ours without a receipt, summed over readers"},
		COUNT(behind)},
	{{"enlight_receipts_total", METRIC_COUNTER, "", "Good receipts of readers"}, COUNT(receipts)},
	{{"enlight_batches_refused_total", METRIC_COUNTER, "", "Batches of others that were not good"}, COUNT(forged)},
	{{"enlight_gaps_total", METRIC_COUNTER, "", "Batches that came out of order and were asked for again"},
		COUNT(gaps)},
	{{"enlight_forks_total", METRIC_COUNTER, "", "Publishers found to show two histories"}, COUNT(forks)},
	{{"enlight_incarnations_raised_total", METRIC_COUNTER, "",
		 "Channels of others that went back: their publisher's disk was an older copy"},
		COUNT(raised)},
	{{"enlight_events_disowned_total", METRIC_COUNTER, "",
		 "Events taken in under a revoked key that are not their publisher's: a thief published them"},
		COUNT(disowned)},
	{{"enlight_events_republished_total", METRIC_COUNTER, "",
		 "Events of ours that were published again since this node's disk went back"},
		COUNT(republished)},
	{{"enlight_channels", METRIC_GAUGE, "", "Channels held"}, COUNT(channels)},
	{{"enlight_channels_stopped", METRIC_GAUGE, "", "Channels stopped by a fork"}, COUNT(stopped)},
	{{"enlight_channels_withheld", METRIC_GAUGE, "", "Channels with empty slots that no erasure lists"},
		COUNT(withheld)},
	{{"enlight_links_live", METRIC_GAUGE, "", "Peers with a live session"}, COUNT(live)},
	{{"enlight_members", METRIC_GAUGE, "", "Members of the roster in force"}, COUNT(members)},
	{{"enlight_batches_damaged", METRIC_GAUGE, "", "Batches that the disk changed and that are asked for again"},
		COUNT(repairs)},
	{{"enlight_rosters_disputed", METRIC_GAUGE, "",
		 "Rosters that compete with one in force, of which no operator has said yet which counts"},
		COUNT(disputes)},
	{{"enlight_second_cards_total", METRIC_COUNTER, "",
		 "Cards that came with the number of another one of their member, signed as well"},
		COUNT(second_cards)},
	{{"enlight_frames_without_session_total", METRIC_COUNTER, "", "Frames of a session that was not ours"},
		COUNT(no_session)},
	{{"enlight_batches_refused_by_readers_total", METRIC_COUNTER, "",
		 "Batches of ours that a reader did not accept"},
		COUNT(refused_by_readers)},
	{{"enlight_sessions_lost_total", METRIC_COUNTER, "", "Sessions that ended since a frame of theirs was lost"},
		COUNT(lost)},
	{{"enlight_same_keys_total", METRIC_COUNTER, "", "Sessions of a member with whose keys two nodes run"},
		COUNT(same_keys)},
};

/* What link counts, all of the same type. */
static const struct {
	struct metric metric;
	size_t offset;
} link_counts[] = {
	{{"enlight_link_received_bytes_total", METRIC_COUNTER, "bytes", "Bytes of frames received"},
		offsetof(struct link_counters, bytes_in)},
	{{"enlight_link_sent_bytes_total", METRIC_COUNTER, "bytes", "Bytes of frames sent"},
		offsetof(struct link_counters, bytes_out)},
	{{"enlight_link_frames_received_total", METRIC_COUNTER, "", "Frames received"},
		offsetof(struct link_counters, frames_in)},
	{{"enlight_link_frames_sent_total", METRIC_COUNTER, "", "Frames sent"},
		offsetof(struct link_counters, frames_out)},
	{{"enlight_link_frames_dropped_total", METRIC_COUNTER, "", "Frames dropped: several parts, too large"},
		offsetof(struct link_counters, dropped_frames)},
	{{"enlight_link_keys_refused_total", METRIC_COUNTER, "", "Handshakes with a key that nobody has"},
		offsetof(struct link_counters, refused_keys)},
	{{"enlight_link_rebinds_total", METRIC_COUNTER, "", "Times the port was bound anew"},
		offsetof(struct link_counters, rebinds)},
};

/* What is counted for each plugin, by its place in struct delivery_counters. */
#define DELIVERY(field) offsetof(struct delivery_counters, field), sizeof(((struct delivery_counters *)0)->field)
static const struct {
	struct metric metric;
	size_t offset, size;
} plugin_counts[] = {
	{{"enlight_plugin_done_total", METRIC_COUNTER, "", "Events that the plugin has done since the node started"},
		DELIVERY(done)},
	{{"enlight_plugin_retried_total", METRIC_COUNTER, "", "Results that asked for the event again, and deaths"},
		DELIVERY(retried)},
	{{"enlight_plugin_rejected_total", METRIC_COUNTER, "", "Events that became dead letters"}, DELIVERY(rejected)},
	{{"enlight_plugin_erasures_total", METRIC_COUNTER, "", "Erasures that the plugin has carried out"},
		DELIVERY(erased)},
	{{"enlight_plugin_published_total", METRIC_COUNTER, "", "Events that it has published"}, DELIVERY(published)},
	{{"enlight_plugin_restarts_total", METRIC_COUNTER, "", "Times it was started again"}, DELIVERY(restarts)},
	{{"enlight_plugin_lines_left_out_total", METRIC_COUNTER, "", "Lines it said that were too many for the log"},
		DELIVERY(dropped_lines)},
	{{"enlight_plugin_behind_batches", METRIC_GAUGE, "", "Batches stored that its cursor has not passed"},
		DELIVERY(behind)},
	{{"enlight_plugin_open_events", METRIC_GAUGE, "", "Events it has now"}, DELIVERY(open)},
	{{"enlight_plugin_retrying_events", METRIC_GAUGE, "", "Events that it gets again later"}, DELIVERY(retrying)},
	{{"enlight_plugin_dead_letters", METRIC_GAUGE, "", "Events that wait for an operator"}, DELIVERY(dead)},
	{{"enlight_plugin_unreadable_batch", METRIC_GAUGE, "",
		 "Number of the damaged batch that it waits for; 0: none"},
		DELIVERY(unreadable)},
	{{"enlight_plugin_parked_events", METRIC_GAUGE, "", "Events that wait for an earlier one of the same object"},
		DELIVERY(parked)},
};
static const struct metric plugin_ready = {"enlight_plugin_ready", METRIC_GAUGE, "", "1: it runs and takes events"};
static const struct metric plugin_age = {"enlight_plugin_oldest_seconds", METRIC_GAUGE, "seconds",
	"How long the oldest event waits that it has not done and that is not dead; 0: none"};

static double number_at(const void *base, size_t offset, size_t size)
{
	uint64_t u64;
	size_t s;

	if (size == sizeof u64) {
		memcpy(&u64, (const char *)base + offset, sizeof u64);
		return (double)u64;
	}
	memcpy(&s, (const char *)base + offset, sizeof s);
	return (double)s;
}

/* One metric of all plugins. */
struct plugin_metric {
	struct buffer *out;
	const struct metric *metric;
	size_t offset, size; /* 0: it is computed */
	uint64_t time_ms;
};

static void plugin_sample(void *context, const char *plugin, const struct delivery_counters *c)
{
	const struct plugin_metric *m = context;
	struct metric_label label = {"plugin", plugin};
	double value;

	if (m->metric == &plugin_ready)
		value = c->ready;
	else if (m->metric == &plugin_age)
		value = c->oldest_ms == 0 || c->oldest_ms > m->time_ms ? 0
								       : (double)(m->time_ms - c->oldest_ms) / 1000.0;
	else
		value = number_at(c, m->offset, m->size);
	metric_sample(m->out, m->metric, &label, 1, value);
}

static void plugin_metrics(const struct loop *l, struct buffer *out)
{
	struct plugin_metric m = {.out = out, .time_ms = loop_time_ms()};

	for (size_t i = 0; i < sizeof plugin_counts / sizeof *plugin_counts; i++) {
		m.metric = &plugin_counts[i].metric;
		m.offset = plugin_counts[i].offset;
		m.size = plugin_counts[i].size;
		metric_begin(out, m.metric);
		host_counters(l->host, plugin_sample, &m);
	}
	m.metric = &plugin_ready;
	metric_begin(out, m.metric);
	host_counters(l->host, plugin_sample, &m);
	m.metric = &plugin_age;
	metric_begin(out, m.metric);
	host_counters(l->host, plugin_sample, &m);
}

void loop_metrics(void *context, struct buffer *out)
{
	const struct loop *l = context;
	struct node_counters c;
	struct link_counters lc;

	node_counters(l->node, &c);
	link_counters(l->link, &lc);
	for (size_t i = 0; i < sizeof gauges / sizeof *gauges; i++)
		metric_single(out, &gauges[i].metric, gauges[i].value(l));
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		metric_single(out, &counts[i].metric, number_at(&c, counts[i].offset, counts[i].size));
	for (size_t i = 0; i < sizeof link_counts / sizeof *link_counts; i++)
		metric_single(out, &link_counts[i].metric, number_at(&lc, link_counts[i].offset, sizeof(uint64_t)));
	plugin_metrics(l, out);
}
