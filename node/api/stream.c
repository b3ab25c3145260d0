#include "api/stream.h"

#include "api/filter.h"
#include "api/handlers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct stream {
	struct event_filter filter;
	bool with_data;
	struct place after; /* everything up to here was written, or passed over by the filter */
	struct place said;  /* the cursor that the client was last told */
	bool at_end;        /* at the last look there was nothing more, and nothing was committed since */
	bool asking;        /* a query is under way */
	bool gone;          /* its client is, and it is not counted any more */
	bool broken;        /* memory was short in the middle of an event: the client is to connect again */
	uint64_t ping_ms;   /* when the client hears that we live */
	uint64_t retry_ms;  /* when to ask again after the node was too busy; 0: no need */
	struct buffer out;  /* what is to be written */
	size_t written;
};

static uint64_t ping_interval(const struct request *rq)
{
	return rq->api->options.ping_ms == 0 ? STREAM_PING_MS : rq->api->options.ping_ms;
}

static bool same_place(const struct place *a, const struct place *b)
{
	return a->number == b->number && a->index == b->index;
}

/* An id without data moves the client's cursor and shows it nothing. */
static void say_place(struct stream *s)
{
	if (same_place(&s->said, &s->after))
		return;
	buffer_printf(&s->out, "id: %llu.%u\n", (unsigned long long)s->after.number, (unsigned)s->after.index);
	s->said = s->after;
}

static int copy_text(char **out, const char *from)
{
	*out = from == NULL ? NULL : strdup(from);
	return from != NULL && *out == NULL ? -ENOMEM : 0;
}

static int copy_filter(struct event_filter *to, const struct event_filter *from)
{
	int r = copy_text(&to->source, from->source);

	r = r != 0 ? r : copy_text(&to->topic, from->topic);
	r = r != 0 ? r : copy_text(&to->subject, from->subject);
	r = r != 0 ? r : copy_text(&to->audience, from->audience);
	if (r != 0 || from->readable == NULL)
		return r;
	to->readable = calloc(from->n_readable + 1, sizeof *to->readable);
	if (to->readable == NULL)
		return -ENOMEM;
	for (; to->n_readable < from->n_readable && r == 0; to->n_readable++)
		r = copy_text(&to->readable[to->n_readable], from->readable[to->n_readable]);
	return r;
}

static struct query *next_query(const struct stream *s)
{
	struct query *query = query_new(QUERY_EVENTS);

	if (query == NULL)
		return NULL;
	query->events.after = s->after;
	query->events.from_start = s->after.number == 0;
	query->events.limit = STREAM_PAGE;
	query->events.with_data = s->with_data;
	if (copy_filter(&query->events.filter, &s->filter) == 0)
		return query;
	query_free(query);
	return NULL;
}

static void take_page(struct request *rq, struct query *query);

/* Asks for the next page; when the node is too busy, a little later. */
static void ask(struct request *rq)
{
	struct stream *s = rq->stream;
	struct query *query;

	if (s->asking)
		return;
	query = next_query(s);
	s->at_end = true; /* unless something is committed while the query runs */
	s->asking = true;
	s->retry_ms = 0;
	if (query != NULL) {
		query->tag = rq->tag = ++rq->api->last_tag;
		rq->queried = take_page;
		if (rq->api->options.ops->query(rq->api->options.context, query) == 0)
			return;
		query_free(query);
	}
	rq->tag = 0;
	s->asking = false;
	s->at_end = false;
	s->retry_ms = rq->api->now_ms + STREAM_RETRY_MS;
}

static void add_event(struct stream *s, const json_t *event)
{
	const char *cursor = json_string_value(json_object_get(event, "cursor"));

	if (cursor != NULL && place_parse(&s->said, cursor))
		buffer_printf(&s->out, "id: %s\n", cursor);
	buffer_str(&s->out, "event: event\ndata: ");
	json_append(&s->out, event);
	buffer_str(&s->out, "\n\n");
}

static void take_page(struct request *rq, struct query *query)
{
	struct stream *s = rq->stream;
	size_t i;
	json_t *event;

	s->asking = false;
	if (query->result != 0) {
		s->at_end = false;
		s->retry_ms = rq->api->now_ms + STREAM_RETRY_MS;
		return;
	}
	json_array_foreach(query->events.events, i, event) add_event(s, event);
	rq->api->counts.events += json_array_size(query->events.events);
	s->after = query->events.next;
	place_given(rq->api, &s->after);
	s->at_end = s->at_end && !query->events.more;
	s->broken = s->out.error != 0;
	if (s->out.len > 0 || s->broken)
		request_resume(rq);
	else if (!s->at_end)
		ask(rq);
}

/* Gives out what there is; when that is all, asks for more or sleeps. libmicrohttpd wants the connection suspended
 * whenever nothing is given. */
static ssize_t read_stream(void *context, uint64_t at, char *out, size_t max)
{
	struct request *rq = context;
	struct stream *s = rq->stream;
	size_t n = s->out.len - s->written;

	if (s->broken || s->gone || rq->api->closing)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	if (n > 0) {
		n = n < max ? n : max;
		memcpy(out, s->out.data + s->written, n);
		s->written += n;
		s->ping_ms = rq->api->now_ms + ping_interval(rq);
		return (ssize_t)n;
	}
	buffer_deinit(&s->out); /* pages differ much in size: what a large one took is given back */
	s->written = 0;
	if (!s->at_end && s->retry_ms == 0)
		ask(rq);
	if (s->out.len > 0) /* answered at once */
		return read_stream(context, at, out, max);
	rq->suspended = true;
	MHD_suspend_connection(rq->connection);
	return 0;
}

struct MHD_Response *stream_response(struct request *rq)
{
	enum { BLOCK = 16 * 1024 };

	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, rq, NULL);
}

static bool is_idle(const struct request *rq)
{
	return rq->answered && rq->suspended && rq->stream->out.len == 0;
}

void stream_wake(struct request *rq)
{
	rq->stream->at_end = false;
	if (is_idle(rq) && rq->stream->retry_ms == 0)
		ask(rq);
}

void stream_tick(struct request *rq, uint64_t now_ms)
{
	struct stream *s = rq->stream;

	if (!is_idle(rq))
		return;
	if (s->retry_ms != 0 && s->retry_ms <= now_ms)
		ask(rq);
	if (is_idle(rq) && s->ping_ms <= now_ms) {
		s->ping_ms = now_ms + ping_interval(rq);
		buffer_str(&s->out, ": ping\n");
		say_place(s);
		buffer_str(&s->out, "\n");
		s->broken = s->out.error != 0;
		request_resume(rq);
	}
}

uint64_t stream_due_ms(const struct request *rq)
{
	const struct stream *s = rq->stream;

	if (!is_idle(rq))
		return UINT64_MAX;
	return s->retry_ms != 0 && s->retry_ms < s->ping_ms ? s->retry_ms : s->ping_ms;
}

static void filter_deinit(struct event_filter *f)
{
	free(f->source);
	free(f->topic);
	free(f->subject);
	free(f->audience);
	for (size_t i = 0; i < f->n_readable; i++)
		free(f->readable[i]);
	free(f->readable);
}

void stream_free(struct request *rq)
{
	if (rq->stream == NULL)
		return;
	if (!rq->stream->gone)
		rq->api->n_streams--;
	filter_deinit(&rq->stream->filter);
	buffer_deinit(&rq->stream->out);
	free(rq->stream);
	rq->stream = NULL;
}

/* The name of what says where to begin. */
static const char *begins_by(const struct request *rq)
{
	const char *last = request_header(rq, "Last-Event-ID");

	return last != NULL && last[0] != '\0' ? "Last-Event-ID" : "after";
}

/* Last-Event-ID is what a client that lost its connection sends beside the address it began with, so it goes first. */
static void parse_begin(struct stream *s, const struct request *rq, struct problems *problems)
{
	const char *last = request_header(rq, "Last-Event-ID"), *after = request_value(rq, "after");

	if (last != NULL && last[0] != '\0') {
		if (!place_parse(&s->after, last))
			problem_add(problems, "Last-Event-ID", "the id of an event of this stream: NUMBER.INDEX");
	} else if (after != NULL) {
		if (!place_parse(&s->after, after))
			problem_add(problems, "after", "a cursor: NUMBER.INDEX; 0.0 is the beginning");
	} else {
		s->after.number = rq->api->options.ops->last_number(rq->api->options.context);
		s->after.index = s->after.number == 0 ? 0 : PLACE_INDEX_MAX;
		s->at_end = true;
	}
}

/* The first words send the headers on their way and tell the client where it stands and when to come back. */
static void begin(struct request *rq)
{
	struct stream *s = rq->stream;

	buffer_str(&s->out, "retry: 1000\n");
	say_place(s);
	buffer_str(&s->out, "\n");
	s->ping_ms = rq->api->now_ms + ping_interval(rq);
	if (s->out.error != 0) {
		stream_free(rq);
		request_out_of_memory(rq);
		return;
	}
	rq->answered = true;
	rq->status = 200;
	rq->content_type = "text/event-stream";
}

static void show(struct request *rq, bool may)
{
	if (may)
		begin(rq);
	else
		stream_free(rq);
}

/* A client that went away while its stream sleeps would be found out by the next ping only. */
static bool client_is_gone(const struct request *rq)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(rq->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	char byte;

	return info != NULL && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* Makes room: gives up the places of clients that are gone. */
static void sweep(struct api *a)
{
	for (struct request *rq = a->requests; rq != NULL; rq = rq->next) {
		if (rq->stream == NULL || rq->stream->gone || !is_idle(rq) || !client_is_gone(rq))
			continue;
		rq->stream->gone = true;
		a->n_streams--;
		request_resume(rq);
	}
}

void handle_events_stream(struct request *rq)
{
	struct problems problems = {0};
	int r;

	if (rq->api->n_streams == STREAMS_MAX)
		sweep(rq->api);
	if (rq->api->n_streams == STREAMS_MAX) {
		request_problem(rq, REFUSED_BUSY, NULL);
		return;
	}
	rq->stream = calloc(1, sizeof *rq->stream);
	if (rq->stream == NULL) {
		request_out_of_memory(rq);
		return;
	}
	rq->api->n_streams++;
	rq->stream->with_data = request_flag(rq, "data", &problems);
	parse_begin(rq->stream, rq, &problems);
	r = filter_of_request(&rq->stream->filter, rq, &problems);
	if (r == 0 && problems.total == 0 && place_beyond(rq, begins_by(rq), &rq->stream->after)) {
		stream_free(rq);
		problems_deinit(&problems);
		return;
	}
	if (r == 0 && problems.total == 0 && rq->stream->with_data) {
		request_show(rq, &rq->stream->filter, show);
	} else if (r == 0 && problems.total == 0) {
		begin(rq);
	} else {
		stream_free(rq);
		if (r != 0)
			request_out_of_memory(rq);
		else
			request_problem(rq, REFUSED_PARAMETER, &problems);
	}
	problems_deinit(&problems);
}
