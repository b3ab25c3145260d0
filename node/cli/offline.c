#include "cli/offline.h"

#include "cli/http.h"
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSPHRASE_MAX = 1024 };

int offline_read(struct draft_file *out, const char *path)
{
	bool input = strcmp(path, "-") == 0;
	void *data;
	size_t len;
	int r = file_read(&data, &len, input ? "/dev/stdin" : path, NOTE_MAX + 1);

	*out = (struct draft_file){.name = path};
	if (r < 0) {
		cli_error("%s: cannot be read: %s", path, strerror(-r));
		return r == -ENOMEM ? EX_OSERR : EX_NOINPUT;
	}
	out->text = bytes_of(data, len);
	return EX_OK;
}

void offline_release(struct draft_file *f)
{
	if (f->text.data != NULL)
		sodium_memzero((void *)f->text.data, f->text.len);
	free((void *)f->text.data);
	*f = (struct draft_file){0};
}

int offline_write(const struct cli *c, const char *path, struct bytes text, unsigned mode)
{
	int r;

	if (path == NULL || strcmp(path, "-") == 0)
		return fwrite(text.data, 1, text.len, stdout) == text.len ? EX_OK : EX_IOERR;
	if (c->dry_run) {
		cli_note(c, "would write %s", path);
		return EX_OK;
	}
	r = file_write(path, text.data, text.len, mode);
	if (r == 0)
		return EX_OK;
	cli_error("%s: cannot be written: %s", path, strerror(-r));
	return EX_CANTCREAT;
}

int offline_result(int r, struct problems *problems)
{
	cli_problems(problems);
	return r == 0 ? EX_OK : r < 0 ? EX_OSERR : EX_DATAERR;
}

int offline_roster(struct roster *out, const char *path)
{
	struct problems problems = {0};
	struct draft_file f;
	int r;

	*out = (struct roster){0};
	r = offline_read(&f, path);
	if (r != EX_OK)
		return r;
	r = roster_parse(out, path, f.text, &problems);
	offline_release(&f);
	return offline_result(r, &problems);
}

int offline_card(struct card *out, const char *path)
{
	struct problems problems = {0};
	struct draft_file f;
	int r;

	*out = (struct card){0};
	r = offline_read(&f, path);
	if (r != EX_OK)
		return r;
	r = card_parse(out, path, f.text, &problems);
	offline_release(&f);
	return offline_result(r, &problems);
}

int offline_passphrase(struct buffer *out, const struct cli *c)
{
	const char *path = cli_value(c, "passphrase-file");
	void *data;
	size_t len;
	int r;

	*out = (struct buffer){0};
	if (path == NULL)
		return EX_OK;
	r = file_read(&data, &len, path, PASSPHRASE_MAX);
	if (r < 0) {
		cli_error("%s: cannot be read: %s", path, strerror(-r));
		return EX_NOINPUT;
	}
	buffer_add(out, data, len);
	sodium_memzero(data, len);
	free(data);
	if (out->len > 0 && out->data[out->len - 1] == '\n')
		out->len--;
	if (out->len > 0 && out->error == 0)
		return EX_OK;
	cli_error("%s: holds no passphrase", path);
	buffer_deinit(out);
	return EX_DATAERR;
}

/* A stick with a FAT file system knows no modes, so this is no error. */
static void warn_of_readers(const struct cli *c, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		cli_note(c, "%s: can be read by others than its owner", path);
}

int offline_identity(struct identity *out, const struct cli *c, const char *path)
{
	const char *given = cli_value(c, "identity");
	struct problems problems = {0};
	struct buffer passphrase = {0};
	struct draft_file f = {0};
	int r;

	*out = (struct identity){0};
	if (given != NULL)
		path = given;
	warn_of_readers(c, path);
	r = offline_passphrase(&passphrase, c);
	if (r == EX_OK)
		r = offline_read(&f, path);
	if (r != EX_OK)
		goto out;
	r = offline_result(
		identity_parse(out, path, f.text, bytes_of(passphrase.data, passphrase.len), &problems), &problems);
	if (r == EX_OK && out->sealed) {
		cli_error("%s: is under a passphrase: give --passphrase-file FILE (/dev/stdin to type it)", path);
		r = EX_USAGE;
	}
out:
	offline_release(&f);
	buffer_deinit(&passphrase);
	return r;
}

/* The node calls what an operator brings it "operator"; here it is a file. */
static int refused_note(const struct http_reply *reply, const char *file)
{
	static const char its_name[] = "operator:";
	const json_t *errors = json_object_get(reply->json, "errors"), *error;
	struct http_reply title = {.status = reply->status};
	const char *place;
	size_t i;
	int r;

	json_array_foreach(errors, i, error)
	{
		place = cli_text(error, "pointer");
		place += strncmp(place, its_name, strlen(its_name)) == 0 ? strlen(its_name) - 1 : 0;
		fprintf(stderr, "%s%s%s: error: %s\n", file, *place == ':' || *place == '\0' ? "" : ": ", place,
			cli_text(error, "rule"));
	}
	title.json = json_pack("{ss}", "title", cli_text(reply->json, "title"));
	r = http_problem(&title);
	http_reply_deinit(&title);
	return r;
}

int offline_import(const struct cli *c, const char *file, const char *route, const char *what)
{
	struct http *http = NULL;
	struct http_reply reply = {0};
	struct draft_file f = {0};
	struct buffer path = {0};
	int r = offline_read(&f, file);

	buffer_str(&path, route);
	http_query(&path, "reason", cli_value(c, "reason"));
	if (r == EX_OK && c->dry_run) {
		cli_note(c, "would give %s to the node", what);
		goto out;
	}
	if (r == EX_OK)
		r = http_open(&http, c);
	if (r == EX_OK && buffer_cstr(&path) == NULL)
		r = EX_OSERR;
	if (r == EX_OK)
		r = http_ask(http, &reply, "POST", buffer_cstr(&path), "text/plain", f.text);
	if (r == EX_OK && reply.status / 100 != 2)
		r = refused_note(&reply, file);
	else if (r == EX_OK)
		cli_note(c, "%s: %s", what,
			strcmp(cli_text(reply.json, "state"), "known") == 0 ? "the node has it already"
									    : "the node has it now and passes it on");
out:
	http_reply_deinit(&reply);
	http_close(http);
	buffer_deinit(&path);
	offline_release(&f);
	return r;
}

int offline_list(const char ***out, size_t *n, char **memory, const char *value)
{
	size_t commas = 0, i = 0;
	char *save = NULL;

	*n = 0;
	for (const char *p = value; p != NULL && *p != '\0'; p++)
		commas += *p == ',';
	*memory = strdup(value == NULL ? "" : value);
	*out = calloc(commas + 1, sizeof **out);
	if (*memory == NULL || *out == NULL)
		return EX_OSERR;
	for (char *p = strtok_r(*memory, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save))
		(*out)[i++] = p;
	*n = i;
	return EX_OK;
}

char *offline_path(const char *folder, const char *format, ...)
{
	struct buffer path = {0};
	char *name = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&name, format, args) < 0)
		name = NULL;
	va_end(args);
	buffer_printf(&path, "%s/%s", folder, name == NULL ? "" : name);
	if (name == NULL || path.error != 0)
		buffer_deinit(&path);
	free(name);
	return path.data == NULL ? NULL : buffer_take(&path, NULL);
}

bool offline_exists(const char *path)
{
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

void offline_newer_roster(char out[static 160], const struct roster *file, const json_t *status)
{
	json_int_t number = json_integer_value(cli_get(status, "roster.number"));
	char network[2 * DIGEST_LEN + 1];

	out[0] = '\0';
	hex_encode(network, file->origin.bytes, DIGEST_LEN);
	if (strcmp(cli_text(status, "network"), network) == 0 && number > (json_int_t)file->number)
		snprintf(out, 160, "the node has roster %lld, this file is roster %u: enlight roster adopt ROSTER",
			(long long)number, file->number);
}

/* Calls members by their handles, as far as the roster that the configuration names is there. */
static int resolve_names(struct config *c)
{
	struct problems ignored = {0};
	struct roster roster = {0};
	void *text = NULL;
	size_t len;
	int r = c->trust.roster == NULL ? -ENOENT : file_read(&text, &len, c->trust.roster, NOTE_MAX);

	if (r == 0)
		r = roster_parse(&roster, "roster", bytes_of(text, len), &ignored);
	if (r == 0)
		r = config_resolve(c, &roster);
	roster_deinit(&roster);
	problems_deinit(&ignored);
	free(text);
	return r == -ENOMEM ? r : 0;
}

int offline_member(char **out, const struct cli *c)
{
	struct problems problems = {0};
	struct config *config;
	int r = config_read(&config, c->config, &problems);

	*out = NULL;
	if (r == 0)
		r = resolve_names(config);
	if (r == 0)
		*out = strdup(config->member);
	if (r < 0 || (r == 0 && *out == NULL))
		r = EX_OSERR;
	else
		r = EX_OK;
	config_free(config);
	problems_deinit(&problems);
	return r;
}

char *offline_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

/* This member's own card: under its handle, or under the name that the configuration gives it, when only that is there. */
static char *card_path(const struct config *c, const char *name)
{
	char *path = offline_path(c->trust.cards, "%s.card", c->member), *other;

	if (path == NULL || offline_exists(path) || strcmp(name, c->member) == 0)
		return path;
	other = offline_path(c->trust.cards, "%s.card", name);
	if (other == NULL || !offline_exists(other)) {
		free(other);
		return path;
	}
	free(path);
	return other;
}

int node_folder_open(struct node_folder *out, const struct cli *c, const char *folder)
{
	struct problems problems = {0};
	char *name = NULL;
	int r = EX_OSERR;

	*out = (struct node_folder){0};
	out->folder = folder == NULL ? offline_folder_of(c->config) : strdup(folder);
	if (out->folder == NULL)
		goto out;
	out->file = folder == NULL ? strdup(c->config) : offline_path(folder, "enlight.yaml");
	if (out->file == NULL)
		goto out;
	if (!offline_exists(out->file)) {
		cli_error("%s: is not there; `enlight init` makes a node's folder%s", out->file,
			folder == NULL ? ", and this verb takes it as an argument" : "");
		r = EX_NOINPUT;
		goto out;
	}
	r = config_read(&out->config, out->file, &problems);
	r = r == CONFIG_BAD ? EX_CONFIG : r == 0 ? EX_OK : EX_OSERR;
	cli_problems(&problems);
	if (r != EX_OK)
		goto out;
	name = strdup(out->config->member);
	if (name != NULL && resolve_names(out->config) == 0)
		out->card = card_path(out->config, name);
	r = out->card == NULL ? EX_OSERR : EX_OK;
out:
	free(name);
	if (r != EX_OK)
		node_folder_close(out);
	return r;
}

void node_folder_close(struct node_folder *p)
{
	free(p->folder);
	free(p->file);
	free(p->card);
	config_free(p->config);
	*p = (struct node_folder){0};
}

void offline_say(const struct cli *c, const char *format, ...)
{
	va_list args;

	if (c->quiet)
		return;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}
