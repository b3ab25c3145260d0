/* hosting - what the loop does for the plugins' host: the configuration's rows in its form, jobs and queries on their way, and what
 * the API asks about plugins. */
#include "base/log.h"
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int commit(void *context, struct job *job)
{
	struct loop *l = context;

	if (job->kind == JOB_PUBLISH && node_why_not_ready(l->node) != NULL)
		return -EAGAIN;
	if (job->kind == JOB_PUBLISH)
		job->trust = trust_ref(node_trust(l->node));
	return writer_put(l->writer, job) == 0 ? 0 : -EAGAIN;
}

static int query(void *context, struct query *query)
{
	struct loop *l = context;

	return reader_put(l->reader, query) == 0 ? 0 : -EAGAIN;
}

static uint64_t time_ms(void *context)
{
	(void)context;
	return loop_time_ms();
}

int loop_open_host(struct loop *l)
{
	static const struct host_ops ops = {commit, query, time_ms};
	struct host_options options = {.member = l->config->member,
		.state = l->config->state,
		.file = l->config_path,
		.ops = &ops,
		.context = l};
	int r = host_open(&l->host, &options);

	if (r == 0)
		host_stored(l->host, node_last_number(l->node), loop_monotonic_ms());
	return r;
}

static struct host_plugin plugin_of(const struct config_plugin *c)
{
	return (struct host_plugin){.name = c->name,
		.program = c->program,
		.command = c->command,
		.n_command = c->n_command,
		.environment = c->environment,
		.n_environment = c->n_environment,
		.topics = c->topics,
		.n_topics = c->n_topics,
		.publishes = c->publishes,
		.n_publishes = c->n_publishes,
		.own = c->own,
		.settings = c->settings,
		.deadline_ms = c->deadline_ms,
		.memory_limit_bytes = c->memory_limit_bytes,
		.newest = strcmp(c->from, "now") == 0};
}

/* Reads cursors and held rows by a reader of its own: a few short questions, when the configuration changes. */
int loop_configure_plugins(struct loop *l)
{
	struct host_plugin *plugins = calloc(l->config->n_plugins + 1, sizeof *plugins);
	struct store_reader *archive = NULL;
	int r = plugins == NULL ? -ENOMEM : store_reader_open(&archive, l->store);

	for (size_t i = 0; i < l->config->n_plugins && plugins != NULL; i++)
		plugins[i] = plugin_of(&l->config->plugins[i]);
	if (r == 0)
		r = host_configure(
			l->host, plugins, l->config->n_plugins, &store_archive_ops, archive, loop_monotonic_ms());
	store_reader_close(archive);
	free(plugins);
	if (r != 0)
		log_error("plugin: the configuration could not be taken over whole error=\"%s\"", strerror(-r));
	return r;
}

json_t *loop_plugins(void *context)
{
	return host_plugins(((struct loop *)context)->host);
}

int loop_held(void *context, struct held_page *page)
{
	return host_held(((struct loop *)context)->host, page);
}

json_t *loop_held_row(void *context, const char *plugin, const struct place *place)
{
	return host_row(((struct loop *)context)->host, plugin, place);
}

int loop_held_retry(void *context, const char *plugin, const struct place *place)
{
	return host_retry(((struct loop *)context)->host, plugin, place, loop_monotonic_ms());
}

int loop_held_retry_all(void *context, const char *plugin, const struct held_filter *filter)
{
	return host_retry_all(((struct loop *)context)->host, plugin, filter, loop_monotonic_ms());
}

int loop_held_drop(void *context, const char *plugin, const struct place *place)
{
	return host_drop(((struct loop *)context)->host, plugin, place, loop_monotonic_ms());
}
