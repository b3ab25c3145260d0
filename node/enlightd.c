/* enlightd - the node. Reads who it is and whom it believes, opens store, link and API, and runs the loop.
 *
 * To follow one event: POST /v1/events arrives in api/, becomes a job of drafts; the commit worker (store/writer.h) runs it through
 * core/publish.c, which judges, packs, signs, seals and stores; core/serve.c sends the batch to the readers that are live; at a
 * reader core/read.c takes the delivery, core/accept.c verifies, opens and stores it and signs the receipt; api/ shows it. */
#include "base/log.h"
#include "loop.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

const char *argp_program_version = "enlightd " ENLIGHT_VERSION;

struct arguments {
	const char *config;
	bool check;
};

static const struct argp_option argument_rows[] = {
	{"config", 'c', "FILE", 0, "Configuration (default: $ENLIGHT_CONFIG, else " CONFIG_FILE ")", 0},
	{"check-config", 'n', NULL, 0, "Say everything that is wrong with the configuration and end: 0, or 78", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'c':
		a->config = arg;
		return 0;
	case 'n':
		a->check = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp arguments_parser = {
	.options = argument_rows,
	.parser = parse,
	.doc = "The ENLIGHT node: publishes and reads end-to-end encrypted events between universities.\v"
	       "Runs in the foreground and logs to the journal or stderr. SIGHUP reads the configuration again, "
	       "SIGTERM ends it after "
	       "everything accepted is on disk. Exit status: 0; 64 usage; 70 fault; 74 disk; 77 permission; 78 "
	       "configuration.",
};

/* What start-up opens, in order; closed the other way round. */
struct daemon {
	struct arguments arguments;
	struct loop loop;
	struct config_keys *keys;
	struct trust *trust;
	const struct node_keys *own; /* of `keys`: the one that is used */
	bool has_anchor;             /* the store has the pinned roster */
	struct store_reader *archive;
};

static void print_problems(struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		fprintf(stderr, "%s: error: %s\n", problems->items[i].place, problems->items[i].rule);
	if (problems->total > problems->n)
		fprintf(stderr, "and %zu more\n", problems->total - problems->n);
	problems_deinit(problems);
}

/* Logs why start-up ends, with the exit status that fits. Takes `why`, which may be NULL. */
static int failed(const char *what, int error, char *why)
{
	log_error("node: cannot start: %s: %s", what, why != NULL ? why : strerror(-error));
	free(why);
	switch (error) {
	case -EACCES:
	case -EPERM:
		return EX_NOPERM;
	case -EINVAL:
	case -ENOENT:
	case -EINPROGRESS: /* a restore was interrupted */
		return EX_CONFIG;
	case -EIO:
	case -ENOSPC:
	case -EBADMSG:
	case -EROFS:
		return EX_IOERR;
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return EX_OSERR;
	case -EBUSY:
	case -EADDRINUSE:
		return EX_TEMPFAIL;
	default:
		return EX_SOFTWARE;
	}
}

static int load_config(struct daemon *d, struct problems *problems)
{
	int r = config_load(&d->loop.config, d->arguments.config, problems);

	if (r == 0)
		r = config_keys_load(&d->keys, d->loop.config, problems);
	return r == 0 ? config_roster_load(&d->trust, d->loop.config, problems) : r;
}

/* Who stops at one mistake tells all there are, as --check-config does. */
static int read_config(struct daemon *d)
{
	struct problems first = {0}, problems = {0};
	int r = d->arguments.check ? CONFIG_BAD : load_config(d, &first);

	if (r == CONFIG_BAD) {
		r = config_check(d->arguments.config, &problems);
		if (r == 0 && !d->arguments.check) {
			r = CONFIG_BAD; /* it passed: the next start finds it good */
			problems_move(&problems, "", &first);
		}
	}
	if (r < 0)
		r = failed(d->arguments.config, r, NULL);
	else if (r > 0)
		r = EX_CONFIG;
	print_problems(&problems);
	problems_deinit(&first);
	return r;
}

/* ---- what the store remembers ---- */

static void trust_next(struct daemon *d, struct trust *next)
{
	if (next == NULL)
		return;
	trust_unref(d->trust);
	d->trust = next;
}

/* A roster or card that was taken in at an earlier time: it was judged then, and is again. */
static int remember_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct daemon *d = context;
	struct problems problems = {0};
	struct trust *next;
	int r = trust_again(&next, d->trust, kind, text, &problems);

	trust_next(d, next);
	if (r == TRUST_REFUSED && strcmp(kind, "roster") == 0) {
		log_info("trust: a stored roster does not follow from the pinned one number=%u", (unsigned)number);
	} else if (r == TRUST_REFUSED) {
		log_warn("trust: a stored note is not good any more kind=%s member=%s number=%u rule=\"%s\"", kind,
			member, (unsigned)number, problems.n > 0 ? problems.items[0].rule : "");
	}
	problems_deinit(&problems);
	return r < 0 ? r : 0;
}

/* The roster before the oldest one held; and whether the pinned one is stored. */
static int remember_older(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct daemon *d = context;
	const struct roster *anchor = trust_find_roster(d->trust, trust_anchor(d->trust));
	uint32_t oldest = trust_oldest_roster(d->trust);

	if (strcmp(kind, "roster") != 0)
		return 0;
	d->has_anchor |= bytes_equal(text, bytes_of(anchor->note.text, anchor->note.text_len));
	return number + 1 == oldest ? remember_note(d, kind, member, number, text) : 0;
}

/* Rosters and cards. Older rosters than the pinned one come first: cards of those who were members then are good by them. */
static int remember_notes(struct daemon *d)
{
	const struct archive_ops *ops = &store_archive_ops;
	uint32_t oldest;
	int r;

	do {
		oldest = trust_oldest_roster(d->trust);
		r = ops->notes(d->archive, remember_older, d);
	} while (r == 0 && trust_oldest_roster(d->trust) < oldest);
	return r == 0 ? ops->notes(d->archive, remember_note, d) : r;
}

static int remember_pin(void *context, const char *name, const char *value)
{
	struct daemon *d = context;
	struct trust *next = NULL;
	int r = 0;

	if (strncmp(name, NODE_PIN_SETTING, strlen(NODE_PIN_SETTING)) == 0)
		r = node_remember_pin(&next, d->trust, name, value);
	trust_next(d, next);
	return r < 0 ? r : 0;
}

struct channel_head {
	struct daemon *d;
	const struct channel_row *row;
};

static int remember_head(void *context, const struct batch_row *batch)
{
	const struct channel_head *h = context;

	return node_load_channel(h->d->loop.node, h->row, batch->header, batch->signature.data);
}

static int remember_channel(void *context, const struct channel_row *row)
{
	struct channel_head h = {context, row};
	int r;

	if (row->last == 0)
		return node_load_channel(h.d->loop.node, row, (struct bytes){0}, NULL);
	r = store_archive_ops.batch_ending(h.d->archive, row->id, row->last, remember_head, &h);
	return r == LEDGER_NONE ? -EBADMSG : r;
}

static int remember_receipt(void *context, const struct receipt_row *row)
{
	return node_load_receipt(((struct daemon *)context)->loop.node, row);
}

static int remember_fork(void *context, const struct fork_row *row)
{
	return node_load_fork(((struct daemon *)context)->loop.node, row);
}

static int remember_setting(void *context, const char *name, const char *value)
{
	struct node *n = ((struct daemon *)context)->loop.node;

	if (strcmp(name, NODE_BACKUP_SETTING) == 0)
		((struct daemon *)context)->loop.backup.last_ms = strtoull(value, NULL, 10);
	if (strcmp(name, CHECKPOINT_SETTING) == 0)
		return node_load_checkpoint(n, value);
	if (strncmp(name, NODE_KEY_SETTING, strlen(NODE_KEY_SETTING)) == 0)
		node_load_key_since(n, name, value);
	if (strncmp(name, "blocked ", 8) != 0)
		return 0;
	return node_load_blocked(n, name + 8, value);
}

/* The key that this member's newest card lists, whether the store knows that card or only the folder. */
static int choose_key(struct daemon *d)
{
	struct problems ignored = {0};
	struct trust *t = trust_ref(d->trust);
	int r = config_cards_load(&t, d->loop.config, &ignored);

	if (r >= 0)
		d->own = config_key_in_use(d->keys, trust_card(t, d->loop.config->member));
	problems_deinit(&ignored);
	trust_unref(t);
	return r < 0 ? r : 0;
}

static int remember(struct daemon *d)
{
	const struct archive_ops *ops = &store_archive_ops;
	const struct config *c = d->loop.config;
	struct node_options options = {
		.quota_bytes = c->peers.quota_bytes, .key_limit_ms = c->trust.key_age_days * 86400000};
	uint8_t boot[BOOT_ID_LEN];
	int r;

	randombytes_buf(boot, sizeof boot);
	options.boot = boot;
	r = ops->settings(d->archive, remember_pin, d);
	if (r == 0)
		r = remember_notes(d);
	if (r == 0)
		r = config_resolve(d->loop.config, trust_roster(d->trust));
	if (r == 0)
		r = choose_key(d);
	options.member = c->member;
	options.keys = d->own;
	options.trust = d->trust;
	options.keep_anchor = !d->has_anchor;
	if (r == 0)
		r = node_new(&d->loop.node, &options);
	if (r == 0)
		r = ops->channels(d->archive, remember_channel, d);
	if (r == 0)
		r = ops->receipts(d->archive, remember_receipt, d);
	if (r == 0)
		r = ops->forks(d->archive, remember_fork, d);
	if (r == 0)
		r = ops->settings(d->archive, remember_setting, d);
	for (size_t i = 0; i < c->peers.n_blocked && r == 0; i++)
		r = node_load_blocked(d->loop.node, c->peers.blocked[i], "by the configuration");
	if (r == 0) {
		r = ops->aside_pends(d->archive);
		if (r == 0)
			node_load_again(d->loop.node);
		r = r == LEDGER_NONE ? 0 : r;
	}
	if (r == 0)
		node_load_last_number(d->loop.node, ops->last_number(d->archive));
	return r == 0 ? 0 : failed("what the store remembers", r, NULL);
}

/* ---- opening ---- */

static int open_store(struct daemon *d)
{
	const struct config *c = d->loop.config;
	struct store_options options = {.folder = c->state,
		.disk_limit_bytes = c->store.disk_limit_bytes,
		.reserve_bytes = c->store.reserve_bytes};
	char *why = NULL;
	int r;

	if (mkdir(c->state, 0700) < 0 && errno != EEXIST)
		return failed(c->state, -errno, NULL);
	r = store_open(&d->loop.store, c->store.url, &options, &why);
	if (r != 0)
		return failed("store", r, why);
	r = store_reader_open(&d->archive, d->loop.store);
	return r == 0 ? 0 : failed(c->store.url, r, NULL);
}

static int remember_restored(void *context, const char *name, const char *value)
{
	struct daemon *d = context;

	return strcmp(name, RESTORED_SETTING) == 0 ? committer_restored(d->loop.committer, value) : 0;
}

static int start_workers(struct daemon *d)
{
	struct loop *l = &d->loop;
	struct writer_options writer = {.run = loop_writer_run,
		.prepare = loop_writer_prepare,
		.done = loop_writer_done,
		.context = l,
		.max_jobs = 512,
		.max_queue = 16384};
	struct reader_options reader = {.run = loop_reader_run, .context = l, .max_queue = 4096};
	int r;

	l->committer = committer_new(l->config->member, d->own, &d->keys->store);
	l->querier = querier_new(&d->keys->store);
	if (l->committer == NULL || l->querier == NULL)
		return failed("workers", -ENOMEM, NULL);
	r = store_archive_ops.settings(d->archive, remember_restored, d);
	if (r != 0)
		return failed("what the store remembers", r, NULL);
	r = writer_open(&l->writer, l->store, &writer);
	if (r != 0)
		return failed("commit worker", r, NULL);
	r = reader_open(&l->reader, d->archive, &reader);
	if (r == 0)
		d->archive = NULL; /* the worker's now */
	return r == 0 ? 0 : failed("read worker", r, NULL);
}

static int open_link(struct daemon *d)
{
	const struct node_keys *keys = d->own;
	struct link_options options = {.listen = d->loop.config->link.listen,
		.secret = keys->link_secret,
		.public_key = keys->link_public,
		.rss_limit_bytes = d->loop.config->link.memory_limit_bytes,
		.handler = loop_link_event,
		.context = &d->loop};
	char *why = NULL;
	int r = link_open(&d->loop.link, &options, &why);

	return r == 0 ? 0 : failed("link", r, why);
}

static int open_api(struct daemon *d)
{
	struct loop *l = &d->loop;
	struct api_options options = {.socket = l->config->api.socket,
		.loopback = l->config->api.loopback,
		.member = l->config->member,
		.n_access = l->config->n_access,
		.ops = &loop_api_ops,
		.context = l};
	char *why = NULL;
	int r;

	l->access = loop_access(l->config);
	if (l->access == NULL)
		return failed("api", -ENOMEM, NULL);
	options.access = l->access;
	r = api_open(&l->api, &options, &why);
	return r == 0 ? 0 : failed("api", r, why);
}

static int open_host(struct daemon *d)
{
	int r = loop_open_host(&d->loop);

	if (r == 0)
		r = loop_configure_plugins(&d->loop);
	return r == 0 ? 0 : failed("plugins", r, NULL);
}

/* Signals are read from a descriptor; blocked before any thread starts. */
static int open_signals(struct loop *l)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	l->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return l->signals < 0 ? failed("signals", -errno, NULL) : 0;
}

static int start(struct daemon *d)
{
	static int (*const steps[])(struct daemon *) = {
		open_store, remember, start_workers, open_link, open_api, open_host};
	int r = open_signals(&d->loop);

	for (size_t i = 0; i < sizeof steps / sizeof *steps && r == 0; i++)
		r = steps[i](d);
	if (r == 0)
		loop_import_cards(&d->loop);
	return r;
}

static void stop(struct daemon *d)
{
	struct loop *l = &d->loop;

	host_close(l->host);
	api_close(l->api);
	link_close(l->link);
	reader_close(l->reader);
	store_reader_close(d->archive);
	if (l->writer != NULL)
		writer_close(l->writer); /* and the store */
	else
		store_close(l->store);
	loop_backup_close(l);
	loop_drop_waiting(l);
	commit_changes_free(l->changes);
	committer_free(l->committer);
	querier_free(l->querier);
	node_free(l->node);
	trust_unref(d->trust);
	config_keys_free(d->keys);
	config_free(l->config);
	free(l->access);
	if (l->signals > 0)
		close(l->signals);
}

int main(int argc, char **argv)
{
	const char *from_environment = getenv("ENLIGHT_CONFIG");
	struct daemon d = {.arguments.config = from_environment != NULL ? from_environment : CONFIG_FILE};
	struct rlimit no_core = {0, 0};
	int r;

	argp_err_exit_status = EX_USAGE;
	argp_parse(&arguments_parser, argc, argv, 0, NULL, &d.arguments);
	log_open();
	setrlimit(RLIMIT_CORE, &no_core); /* memory holds keys and persons */
	umask(0077);
	if (sodium_init() < 0)
		return EX_SOFTWARE;
	d.loop.config_path = d.arguments.config;
	d.loop.started_ms = loop_monotonic_ms();
	r = read_config(&d);
	if (r == 0 && !d.arguments.check)
		r = start(&d);
	if (r == 0 && !d.arguments.check) {
		log_info("node: started member=%s version=" ENLIGHT_VERSION, d.loop.config->member);
		if (loop_run(&d.loop) != 0)
			r = EX_SOFTWARE;
		log_info("node: stopped member=%s", d.loop.config->member);
	}
	stop(&d);
	return r;
}
