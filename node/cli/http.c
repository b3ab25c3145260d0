#include "cli/http.h"

#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPLY_MAX = 256 * 1024 * 1024, ASK_TIMEOUT_S = 120, LINE_MAX_LEN = 1024 * 1024 };

struct http {
	CURL *curl;
	char *socket;
	bool patient;
	char message[CURL_ERROR_SIZE];
};

static int socket_of(char **out, const struct cli *c)
{
	struct problems problems = {0};
	struct config *config = NULL;
	const char *path = c->socket;
	int r = path != NULL ? 0 : config_read(&config, c->config, &problems);

	if (r == 0 && path == NULL)
		path = config->api.socket;
	else if (r == CONFIG_BAD && !c->config_given)
		path = CONFIG_SOCKET;
	else if (r == CONFIG_BAD) {
		cli_problems(&problems);
		cli_error("the configuration does not say where the node's socket is; --socket does");
	}
	*out = path == NULL ? NULL : strdup(path);
	problems_deinit(&problems);
	config_free(config);
	return *out != NULL ? EX_OK : r == CONFIG_BAD && path == NULL ? EX_CONFIG : EX_OSERR;
}

int http_open(struct http **out, const struct cli *c)
{
	struct http *h = calloc(1, sizeof *h);
	int r = EX_OSERR;

	*out = NULL;
	if (h == NULL) {
		cli_lack_memory();
		return r;
	}
	r = socket_of(&h->socket, c);
	if (r == EX_OK) {
		h->curl = curl_easy_init();
		r = h->curl == NULL ? EX_OSERR : EX_OK;
	}
	if (r == EX_OK) {
		*out = h;
		h = NULL;
	}
	if (r == EX_OSERR)
		cli_lack_memory(); /* also for who only peeks */
	http_close(h);
	return r;
}

void http_close(struct http *h)
{
	if (h == NULL)
		return;
	curl_easy_cleanup(h->curl);
	free(h->socket);
	free(h);
}

const char *http_socket(const struct http *h)
{
	return h->socket;
}

void http_patient(struct http *h)
{
	h->patient = true;
}

/* A socket that cannot be connected to is the usual trouble: say which of the causes it is. */
static int explain(const struct http *h, CURLcode code)
{
	struct stat st;

	if (code == CURLE_OUT_OF_MEMORY || cli_lacks_memory())
		return EX_OSERR;
	if (h->patient)
		return code == CURLE_OPERATION_TIMEDOUT ? EX_TEMPFAIL : EX_UNAVAILABLE;
	if (code != CURLE_COULDNT_CONNECT) {
		cli_error("talking to the node at %s failed: %s", h->socket,
			h->message[0] != '\0' ? h->message : curl_easy_strerror(code));
		return code == CURLE_OPERATION_TIMEDOUT ? EX_TEMPFAIL : EX_UNAVAILABLE;
	}
	if (stat(h->socket, &st) < 0 && errno == ENOENT) {
		cli_error("there is no socket at %s: is enlightd running, and is this its configuration?", h->socket);
		return EX_UNAVAILABLE;
	}
	if (access(h->socket, R_OK | W_OK) < 0) {
		cli_error("you may not use the socket at %s (%s): join its group, or try sudo", h->socket,
			strerror(errno));
		return EX_NOPERM;
	}
	cli_error("nobody answers at %s: is enlightd running? (systemctl status enlightd)", h->socket);
	return EX_UNAVAILABLE;
}

static size_t on_body(char *data, size_t size, size_t n, void *context)
{
	struct buffer *body = context;

	if (body->len + size * n > REPLY_MAX)
		return 0;
	buffer_add(body, data, size * n);
	if (body->error != 0)
		cli_lack_memory();
	return body->error == 0 ? size * n : 0;
}

/* What all requests have in common. False: out of memory. */
static bool prepare(struct http *h, const char *method, const char *path, const char *type, struct curl_slist **headers)
{
	char line[192], url[8192];

	*headers = NULL;
	if (snprintf(url, sizeof url, "http://localhost%s", path) >= (int)sizeof url)
		return false;
	curl_easy_reset(h->curl);
	h->message[0] = '\0';
	curl_easy_setopt(h->curl, CURLOPT_ERRORBUFFER, h->message);
	curl_easy_setopt(h->curl, CURLOPT_UNIX_SOCKET_PATH, h->socket);
	curl_easy_setopt(h->curl, CURLOPT_URL, url);
	curl_easy_setopt(h->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(h->curl, CURLOPT_USERAGENT, "enlight/" ENLIGHT_VERSION);
	curl_easy_setopt(h->curl, CURLOPT_NOSIGNAL, 1L);
	*headers = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 Continue */
	if (*headers != NULL && type != NULL) {
		snprintf(line, sizeof line, "Content-Type: %s", type);
		if (curl_slist_append(*headers, line) == NULL) {
			curl_slist_free_all(*headers);
			*headers = NULL;
		}
	}
	return *headers != NULL;
}

static void take_reply(struct http *h, struct http_reply *out, struct buffer *body)
{
	char *type = NULL;

	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &out->status);
	curl_easy_getinfo(h->curl, CURLINFO_CONTENT_TYPE, &type);
	snprintf(out->type, sizeof out->type, "%s", type != NULL ? type : "");
	if (strstr(out->type, "json") != NULL && body->len != 0)
		out->json = json_loadb((const char *)body->data, body->len, JSON_REJECT_DUPLICATES, NULL);
	else
		out->body.data = buffer_take(body, &out->body.len);
}

int http_ask(struct http *h, struct http_reply *out, const char *method, const char *path, const char *type,
	struct bytes body)
{
	struct curl_slist *headers = NULL;
	struct buffer received = {0};
	CURLcode code;
	int r = EX_OSERR;

	*out = (struct http_reply){0};
	if (!prepare(h, method, path, type, &headers))
		return r;
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h->curl, CURLOPT_TIMEOUT, (long)ASK_TIMEOUT_S);
	curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, &received);
	if (body.data != NULL) {
		curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body.data);
	}
	code = curl_easy_perform(h->curl);
	if (code == CURLE_OK) {
		take_reply(h, out, &received);
		r = EX_OK;
	} else {
		r = explain(h, code);
	}
	curl_slist_free_all(headers);
	buffer_deinit(&received);
	return r;
}

void http_reply_deinit(struct http_reply *r)
{
	json_decref(r->json);
	free((void *)r->body.data);
	*r = (struct http_reply){0};
}

static const struct {
	long status;
	int exit_status;
} exit_of[] = {
	{400, EX_DATAERR},
	{403, EX_NOPERM},
	{404, EX_NOINPUT},
	{409, EX_DATAERR},
	{410, EX_NOINPUT},
	{413, EX_DATAERR},
	{415, EX_DATAERR},
	{422, EX_DATAERR},
	{503, EX_TEMPFAIL},
	{507, EX_CANTCREAT},
};

int http_problem(const struct http_reply *r)
{
	const json_t *errors = json_object_get(r->json, "errors"), *error;
	const char *title = cli_text(r->json, "title"), *detail = cli_text(r->json, "detail");
	size_t i;

	cli_error("%s (%ld)%s%s", *title != '\0' ? title : "the node refused", r->status, *detail != '\0' ? ": " : "",
		detail);
	json_array_foreach(errors, i, error)
		fprintf(stderr, "  %s: %s\n", cli_text(error, "pointer"), cli_text(error, "rule"));
	for (i = 0; i < sizeof exit_of / sizeof *exit_of; i++) {
		if (exit_of[i].status == r->status)
			return exit_of[i].exit_status;
	}
	return EX_SOFTWARE;
}

int http_json(struct http *h, json_t **out, const char *method, const char *path, const char *type, struct bytes body)
{
	struct http_reply reply;
	int r;

	*out = NULL;
	r = http_ask(h, &reply, method, path, type, body);
	if (r != EX_OK)
		return r;
	if (reply.status < 200 || reply.status > 299) {
		r = http_problem(&reply);
	} else if (reply.json == NULL) {
		cli_error("the node's answer is not JSON (%ld %s)", reply.status, reply.type);
		r = EX_SOFTWARE;
	} else {
		*out = json_incref(reply.json);
	}
	http_reply_deinit(&reply);
	return r;
}

int http_get(const struct cli *c, json_t **out, const char *path)
{
	struct http *h;
	int r;

	*out = NULL;
	r = http_open(&h, c);
	if (r == EX_OK)
		r = http_json(h, out, "GET", path, NULL, (struct bytes){0});
	http_close(h);
	return r;
}

json_t *http_peek(const struct cli *c, const char *path)
{
	struct http_reply reply = {0};
	json_t *answer = NULL;
	struct http *h;

	if (http_open(&h, c) != EX_OK)
		return NULL;
	http_patient(h);
	if (http_ask(h, &reply, "GET", path, NULL, (struct bytes){0}) == EX_OK && reply.status == 200)
		answer = json_incref(reply.json);
	http_reply_deinit(&reply);
	http_close(h);
	return answer;
}

/* ---- long answers ---- */

struct fetching {
	struct http *http;
	http_take take;
	void *context;
	struct buffer refusal;
	bool ended; /* by `take` */
};

/* Whether what comes is a refusal's text. */
static bool is_refusal(const struct http *h)
{
	long status = 0;

	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	return status != 200;
}

static size_t on_part(char *data, size_t size, size_t n, void *context)
{
	struct fetching *f = context;

	if (is_refusal(f->http))
		return on_body(data, size, n, &f->refusal);
	f->ended = !f->take(f->context, bytes_of(data, size * n));
	return f->ended ? 0 : size * n;
}

typedef size_t (*on_data)(char *data, size_t size, size_t n, void *context);

/* Gets a path's body piece by piece, giving up when none comes for so long (0: never); `refusal`, of what is no answer with 200, becomes the reply. False: out of memory before. */
static bool get_pieces(struct http *h, const char *path, long patience_s, on_data on, void *context,
	struct buffer *refusal, struct http_reply *reply, CURLcode *code)
{
	struct curl_slist *headers;

	if (!prepare(h, "GET", path, NULL, &headers))
		return false;
	curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h->curl, CURLOPT_WRITEFUNCTION, on);
	curl_easy_setopt(h->curl, CURLOPT_WRITEDATA, context);
	curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(h->curl, CURLOPT_LOW_SPEED_TIME, patience_s);
	*code = curl_easy_perform(h->curl);
	if (*code == CURLE_OK)
		take_reply(h, reply, refusal);
	curl_slist_free_all(headers);
	return true;
}

int http_fetch(struct http *h, const char *path, http_take take, void *context)
{
	struct fetching f = {.http = h, .take = take, .context = context};
	struct http_reply reply = {0};
	CURLcode code;
	int r = EX_OK;

	if (!get_pieces(h, path, ASK_TIMEOUT_S, on_part, &f, &f.refusal, &reply, &code))
		r = EX_OSERR;
	else if (code != CURLE_OK && !f.ended)
		r = explain(h, code);
	else if (code == CURLE_OK && reply.status != 200)
		r = http_problem(&reply);
	http_reply_deinit(&reply);
	buffer_deinit(&f.refusal);
	return r;
}

/* ---- server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) ---- */

struct stream {
	struct http *http;
	http_on_event on_event;
	void *context;
	struct buffer line, data, refusal;
	char id[128];
	bool ended; /* by on_event */
};

static void on_line(struct stream *s)
{
	const char *line = buffer_cstr(&s->line), *data;

	if (line == NULL) {
		cli_lack_memory();
		return;
	}
	if (*line == '\0') {
		data = buffer_cstr(&s->data);
		if (data == NULL)
			cli_lack_memory();
		if (s->data.len != 0 && data != NULL)
			s->ended = !s->on_event(s->context, s->id, data);
		else if (s->data.len == 0)
			s->ended = !s->on_event(s->context, s->id, NULL);
		buffer_clear(&s->data);
	} else if (strncmp(line, "id:", 3) == 0) {
		snprintf(s->id, sizeof s->id, "%s", line + 3 + (line[3] == ' '));
	} else if (strncmp(line, "data:", 5) == 0) {
		if (s->data.len != 0)
			buffer_str(&s->data, "\n");
		buffer_str(&s->data, line + 5 + (line[5] == ' '));
	}
}

static size_t on_stream(char *data, size_t size, size_t n, void *context)
{
	struct stream *s = context;

	if (is_refusal(s->http))
		return on_body(data, size, n, &s->refusal);
	for (size_t i = 0; i < size * n && !s->ended; i++) {
		if (data[i] == '\n') {
			on_line(s);
			buffer_clear(&s->line);
		} else if (data[i] != '\r') {
			buffer_add(&s->line, &data[i], 1);
		}
		if (s->line.error != 0 || s->data.error != 0)
			cli_lack_memory();
		if (s->line.len > LINE_MAX_LEN || s->data.len > LINE_MAX_LEN || cli_lacks_memory())
			return 0;
	}
	return s->ended ? 0 : size * n;
}

int http_stream(struct http *h, const char *path, http_on_event on_event, void *context)
{
	struct stream s = {.http = h, .on_event = on_event, .context = context};
	struct http_reply reply = {0};
	CURLcode code;
	int r = EX_OSERR;

	if (!get_pieces(h, path, 0, on_stream, &s, &s.refusal, &reply, &code))
		return r;
	if (s.ended) {
		r = EX_OK;
	} else if (code != CURLE_OK) {
		r = explain(h, code);
	} else if (reply.status == 503 && h->patient) {
		r = EX_TEMPFAIL;
	} else if (reply.status != 200) {
		r = http_problem(&reply);
	} else {
		if (!h->patient)
			cli_error("the node ended the stream");
		r = EX_UNAVAILABLE;
	}
	http_reply_deinit(&reply);
	buffer_deinit(&s.line);
	buffer_deinit(&s.data);
	buffer_deinit(&s.refusal);
	return r;
}

/* ---- addresses ---- */

void http_segment(struct buffer *path, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			buffer_add(path, text, 1);
		else
			buffer_printf(path, "%%%02X", (unsigned char)*text);
	}
}

void http_query(struct buffer *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buffer_str(path, path->len != 0 && memchr(path->data, '?', path->len) != NULL ? "&" : "?");
	buffer_printf(path, "%s=", name);
	http_segment(path, value);
}
